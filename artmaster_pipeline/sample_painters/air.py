"""What surrounds the things: silk and paper, sky, water, mist, rain, snow, sun and moon, night, the seal."""

import numpy as np

from artmaster_pipeline.sample_painters.canvas import Canvas, Colour, Plane, Sheet, Window, mix, smooth
from artmaster_pipeline.sample_painters.manners import Manner
from artmaster_pipeline.sample_painters.scenes import Scene


def lay_ground(canvas: Canvas, manner: Manner) -> None:
    """The bare support: toned, stained, with its threads or fibres."""
    stain = canvas.cloud * np.float32(0.018 if manner.support != "silk" else 0.028)
    tone = np.float32(1.0) + stain
    if manner.support == "silk":
        tone += _threads(canvas)
    else:
        tone += canvas.noise("pulp", 60.0, 2) * np.float32(0.008)
    tone += canvas.grain * np.float32(0.010)
    for plane, value in zip(canvas.planes, manner.ground, strict=True):
        np.multiply(tone, np.float32(value), out=plane)
    if manner.support in ("paper", "washi"):
        _fibres(canvas, manner)
    canvas.ground = canvas.planes.copy()


def _threads(canvas: Canvas) -> Plane:
    pitch = 0.0026 * canvas.unit  # pixels per thread
    strength = np.float32(0.035 * np.clip((pitch - 1.6) / 1.4, 0.0, 1.0))
    warp = np.sin(canvas.xs * np.float32(2 * np.pi / 0.0026)) * strength
    weft = np.sin(canvas.ys * np.float32(2 * np.pi / 0.0031)) * strength
    streaks = canvas.noise("weft", 220.0, 1, stretch=30.0) * np.float32(0.008)
    return warp * 0.6 + weft + streaks


def _fibres(canvas: Canvas, manner: Manner) -> None:
    dice = canvas.dice("fibres")
    count = int(260 * canvas.right * canvas.bottom * canvas.detail(0.0012, 0.8))
    if not count:
        return
    start = dice.random((count, 1, 2)) * (canvas.right, canvas.bottom)
    step = dice.normal(0, 0.012, (count, 1, 2)) + dice.normal(0, 0.003, (count, 5, 2))
    sheet = canvas.sheet(0, 0, canvas.right, canvas.bottom)
    tones = (mix(manner.ground, (1, 1, 1), 0.5), mix(manner.ground, (0.45, 0.36, 0.25), 0.3))
    for i, path in enumerate(sheet.place(start + step.cumsum(1)).reshape(count, -1).tolist()):
        r, g, b = (int(c * 0.45 * 255) for c in tones[i % 2])
        sheet.draw.line(path, fill=(r, g, b, 115), width=max(1, round(0.0006 * sheet.scale)))
    sheet.lay()


def paint_sky(canvas: Canvas, manner: Manner, scene: Scene, horizon: float) -> None:
    """The hour in the sky above `horizon`: bokashi in prints, thin glazes in paintings."""
    y = canvas.ys + canvas.cloud * np.float32(0.0 if manner.flat else 0.05)
    down = np.clip(y / np.float32(max(horizon, 0.05)), 0.0, 1.2)
    warm: dict[str, tuple[Colour, Colour]] = {
        "dawn": ((0.93, 0.72, 0.62), (0.98, 0.86, 0.66)),
        "dusk": ((0.78, 0.47, 0.40), (0.97, 0.72, 0.45)),
    }
    if manner.medium:
        _paint_full_sky(canvas, manner, scene, down, warm)
        return
    if manner.snow and not manner.flat:  # snow is bare ground: it is the sky and the water that are washed dark
        cold = (0.64, 0.68, 0.72) if manner.support == "silk" else (0.66, 0.66, 0.67)
        canvas.stain(canvas.whole, cold, np.float32(0.62) - smooth(down, 0.3, 1.15) * np.float32(0.28))
    if manner.flat:
        band = smooth(down, 0.42, 0.0) * np.float32(manner.sky_strength)
        canvas.cover(canvas.whole, manner.sky, band * np.ones_like(canvas.xs))
        if scene.time_of_day in warm:
            high, low = warm[scene.time_of_day]
            glow = smooth(down, 0.35, 1.0) * np.float32(0.85) * (1 - smooth(down, 1.0, 1.15))
            canvas.cover(canvas.whole, mix(high, low, 0.3), glow * np.ones_like(canvas.xs))
    elif scene.time_of_day in warm:
        high, low = warm[scene.time_of_day]
        if manner.support == "paper":
            high, low = ((0.66, 0.65, 0.64), (0.86, 0.84, 0.81))
        strength = np.float32((0.70 if scene.time_of_day == "dusk" else 0.42) * (0.65 if manner.snow else 1.0))
        canvas.stain(canvas.whole, high, smooth(down, 0.9, 0.0) * strength * 0.7)
        canvas.stain(canvas.whole, low, np.exp(-(((down - 0.75) / 0.3) ** 2)) * strength)
    elif scene.weather == "clear" and scene.time_of_day == "day" and manner.support == "silk":
        canvas.stain(canvas.whole, (0.80, 0.84, 0.80), smooth(down, 0.8, 0.0) * np.float32(0.5))
    canvas.ground = canvas.planes.copy()


def _paint_full_sky(
    canvas: Canvas, manner: Manner, scene: Scene, down: Plane, warm: dict[str, tuple[Colour, Colour]]
) -> None:
    """A sky in full colour from the zenith to the horizon, with clouds."""
    zenith, glow = manner.sky, manner.glow
    if scene.time_of_day in warm:
        high, low = warm[scene.time_of_day]
        zenith, glow = mix(zenith, high, 0.55), mix(glow, low, 0.85)
    if scene.weather in ("rain", "snow"):
        grey = (0.60, 0.63, 0.66)
        zenith, glow = mix(zenith, grey, 0.75), mix(glow, (0.74, 0.76, 0.77), 0.7)
    canvas.cover(canvas.whole, zenith, np.ones_like(canvas.cloud))
    canvas.cover(canvas.whole, glow, smooth(down, 0.0, 1.0))
    puffs = canvas.noise("clouds", 3.2, 5, stretch=2.4) + canvas.cloud * 0.5
    much = 0.15 if scene.weather == "clear" else -0.35
    alpha = smooth(puffs, much, much + 0.9) * smooth(down, 1.15, 0.3)
    lit = mix((1.0, 1.0, 1.0), glow, 0.35) if scene.weather != "rain" else (0.52, 0.55, 0.59)
    canvas.cover(canvas.whole, lit, alpha * np.float32(0.8))
    canvas.ground = canvas.planes.copy()


def paint_disc(canvas: Canvas, manner: Manner, scene: Scene, x: float, y: float, radius: float) -> None:
    """The moon at night, a low sun at dawn and dusk."""
    distance = np.hypot(canvas.xs - np.float32(x), canvas.ys - np.float32(y))
    disc = np.clip((radius - distance) * canvas.unit + 0.5, 0.0, 1.0)
    if scene.time_of_day == "night":
        halo = np.exp(-np.maximum(distance - radius, 0) / np.float32(0.12)) * np.float32(0.38)
        moon = (0.99, 0.965, 0.88)
        canvas.cover(canvas.whole, moon, disc)
        canvas.light = np.maximum(disc, halo * (1 - disc * 0))
    else:
        strength = 0.9 if scene.time_of_day == "dusk" else 0.65
        rim = disc * (np.float32(1.0) - np.float32(0.12) * smooth(canvas.ys - y, -radius, radius))
        canvas.cover(canvas.whole, manner.sun, rim * np.float32(strength))


def paint_water(canvas: Canvas, manner: Manner, top: float, bottom: float, ripples: float = 1.0) -> None:
    """Water from `top` down to `bottom`: a wash, and ripples that come nearer and wider apart."""
    window = canvas.window(0, top, canvas.right, bottom)
    if window is None:
        return
    rows, _ = window
    depth = (canvas.ys[rows] - np.float32(top)) / np.float32(max(bottom - top, 0.05))
    soft = smooth(depth, 0.0, 0.06)
    canvas.mark(window, soft, "water")
    if manner.medium:
        _mirror(canvas, manner, window, top, depth, soft)
    elif manner.flat:
        band = smooth(depth, 0.75, 0.0) * np.float32(0.45) + np.float32(0.35)
        band = band + smooth(depth, 0.55, 1.0) * np.float32(0.35)
        canvas.cover(
            window,
            manner.water,
            np.clip(band, 0, 1) * soft * np.float32(manner.water_strength) * np.ones_like(canvas.xs),
        )
    else:
        wash = canvas.cloud[window] * 0.35 + 0.65
        canvas.stain(window, manner.water, np.clip(wash, 0, 1) * soft * np.float32(manner.water_strength * 1.6))
    _ripples(canvas, manner, top, bottom, ripples)


def _mirror(canvas: Canvas, manner: Manner, window: Window, top: float, depth: Plane, soft: Plane) -> None:
    """What stands above the water, upside down, broken by small waves, under the water's own colour."""
    rows, _ = window
    wave = canvas.noise("waves", 70.0, 2, stretch=7.0)[rows] * (0.004 + 0.02 * depth)
    y = 2 * np.float32(top) - canvas.ys[rows] * np.float32(1.0) + wave * 2.0
    x = np.broadcast_to(canvas.xs, y.shape) + wave * np.float32(0.4)
    seen = canvas.at(tuple(canvas.planes), x, y)
    share = np.float32(manner.water_strength) * (0.55 + 0.45 * depth) + wave * np.float32(8.0)
    share = np.clip(share, 0.0, 1.0)
    colour = [
        image * np.float32(0.93) + (np.float32(c) - image * np.float32(0.93)) * share
        for image, c in zip(seen, manner.water, strict=True)
    ]
    canvas.cover(window, colour, soft * np.ones_like(share))


def _ripples(canvas: Canvas, manner: Manner, top: float, bottom: float, amount: float) -> None:
    if manner.medium:
        amount *= 0.35
    dice = canvas.dice(f"ripples-{top:.3f}")
    total = int(520 * amount * (bottom - top) * canvas.right)
    near = dice.random(total) ** 0.75
    y = top + 0.01 + near * (bottom - top)
    x = dice.random(total) * canvas.right * 1.1 - 0.05
    # Ripples come in patches, with quiet water between them.
    patch = np.sin(x * 5 + dice.random() * 6) + np.sin(y * 17 + x * 2 + dice.random() * 6)
    keep = np.flatnonzero(patch > -0.1)
    keep = keep[: int(len(keep) * canvas.detail(0.0016, 0.7) ** 0.7)]
    sheet = canvas.sheet(0, top, canvas.right, bottom)
    colour, alpha = (
        (mix(manner.water, manner.ink, 0.55), 0.5) if not manner.flat else (mix(manner.water, (1, 1, 1), 0.6), 0.8)
    )
    t = np.linspace(-1, 1, 9)
    near, x, y, each = near[keep, None], x[keep, None], y[keep, None], keep[:, None]
    long = (0.012 + 0.05 * near) * (0.6 + 0.8 * ((each * 37) % 100) / 100)
    lift = 0.0035 * (0.3 + near) * np.sin(t * 4.5 + each)
    sheet.strokes(np.stack((x + t * long, y + lift), 2), (0.0007 + 0.0011 * near) * (1 - t * t), (colour,), alpha)
    sheet.lay(dry=0.5)


def paint_mist(canvas: Canvas, manner: Manner, y: float, thick: float, strength: float, part: str) -> None:
    """A bank of mist about the height y: what is there returns to the ground's tone, a little lighter."""
    window = canvas.window(0, y - 3.0 * thick, canvas.right, y + 3.0 * thick)
    if window is None:
        return
    rows, _ = window
    drift = canvas.cloud[window] * np.float32((0.2 if manner.flat else 0.55) * thick)
    away = (canvas.ys[rows] - np.float32(y) + drift) / np.float32(thick)
    alpha = np.exp(-(away * away * 1.2)) * np.float32(strength)
    canvas.cover(window, _mist_colour(canvas, manner, window), alpha)


def _mist_colour(canvas: Canvas, manner: Manner, window: Window) -> list[Plane]:
    return [
        paper[window] * np.float32(0.55) + np.float32(0.45 * m)
        for paper, m in zip(canvas.ground, manner.mist, strict=True)
    ]


def paint_weather_mist(canvas: Canvas, manner: Manner, heights: tuple[float, ...]) -> None:
    """Mist as the weather: drifting veils in paintings, the printed bands with round ends in woodblocks."""
    for i, share in enumerate(heights):
        paint_mist(
            canvas, manner, canvas.bottom * share, 0.13 if i else 0.09, 0.4 if manner.key_lines else 0.72, f"m{i}"
        )
    if not manner.key_lines:
        return
    dice = canvas.dice("bands")
    sheet = canvas.sheet(0, 0, canvas.right, canvas.bottom)
    for share in heights:
        x_end = float(dice.choice((-0.1, canvas.right + 0.1)))
        for row in range(3):
            tall = dice.uniform(0.034, 0.052)
            y = canvas.bottom * share + (row - 1) * 0.036
            long = dice.uniform(0.35, 0.85) * canvas.right
            x = x_end if x_end < 0 else x_end - long
            box = sheet.place(np.array(((x, y - tall / 2), (x + long, y + tall / 2)))).ravel().tolist()
            r, g, b = (int(c * 0.86 * 255) for c in mix(manner.mist, manner.ground, 0.3))
            sheet.draw.rounded_rectangle(box, radius=tall / 2 * sheet.scale, fill=(r, g, b, 219))
    sheet.lay()


def paint_cloud(canvas: Canvas, x: float, y: float, size: float, colour: Colour, part: str) -> None:
    """A heap of cloud about (x, y): round above, level and soft below, `size` half its width."""
    window = canvas.window(x - 1.4 * size, y - 1.2 * size, x + 1.4 * size, y + 0.6 * size)
    if window is None:
        return
    rows, columns = window
    dice = canvas.dice(part)
    height = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.float32)
    for _ in range(9):
        cx, cy = x + dice.uniform(-0.8, 0.8) * size, y - dice.uniform(0.0, 0.55) * size
        radius = size * dice.uniform(0.22, 0.42)
        away = np.hypot(canvas.xs[:, columns] - np.float32(cx), canvas.ys[rows] - np.float32(cy)) / np.float32(radius)
        height = np.maximum(height, np.clip(1.15 - away, 0, 1))
    ragged = height + canvas.waver_x[window] * np.float32(0.0 if canvas.unit < 64 else 0.06)
    alpha = smooth(ragged, 0.10, 0.30) * smooth(canvas.ys[rows], y + 0.45 * size, y)
    lit = np.float32(0.80) + np.float32(0.20) * smooth(canvas.ys[rows], y + 0.2 * size, y - 0.7 * size)
    canvas.cover(window, [lit * np.float32(c) for c in colour], alpha * np.float32(0.92))


def paint_glitter(canvas: Canvas, x: float, top: float, bottom: float) -> None:
    """The moon's path on the water."""
    dice = canvas.dice("glitter")
    sheet = canvas.sheet(x - 0.3, top, x + 0.3, bottom)
    count = int(90 * max(0.4, canvas.detail(0.003, 1.0)))
    t = np.linspace(-1, 1, 7)
    near = np.sort(dice.random(count) ** 1.2)[:, None]
    y = top + (bottom - top) * near * 0.8 + 0.001 * np.sin(t * 3 + near * 40)
    at = x + dice.normal(0, 1, (count, 1)) * (0.012 + 0.045 * near)
    long = dice.uniform(0.008, 0.022, (count, 1)) * (0.6 + near)
    sheet.strokes(np.stack((at + t * long, y), 2), 0.0032 * (0.5 + near) * (1 - t * t), ((0.98, 0.95, 0.86),), 0.55)
    sheet.lay(spare=True)


def paint_rain(canvas: Canvas, manner: Manner) -> None:
    """Slanting rain over everything, and the light taken out of it."""
    dice = canvas.dice("rain")
    canvas.stain(canvas.whole, (0.84, 0.86, 0.88), np.full((1, 1), 0.8, np.float32))
    count = int(420 * canvas.right * canvas.bottom * max(0.45, canvas.detail(0.0013, 0.9)))
    start = dice.random((count, 2)) * (canvas.right + 0.2, canvas.bottom + 0.1) - (0.0, 0.1)
    long = dice.uniform(0.06, 0.17, (count, 1))
    segments = np.stack((start, start + long * (-0.28, 1.0)), 1)
    sheet = canvas.sheet(0, 0, canvas.right, canvas.bottom)
    sheet.lines(segments[: count // 2], 0.0011, mix(manner.ink, manner.ground, 0.25), 0.34)
    sheet.lines(segments[count // 2 :], 0.0010, mix(manner.ground, (1, 1, 1), 0.5), 0.40)
    sheet.lay()


def paint_snowfall(canvas: Canvas, manner: Manner) -> None:
    """Flakes of white, the near ones larger."""
    dice = canvas.dice("snow")
    count = int(800 * canvas.right * canvas.bottom * max(0.5, canvas.detail(0.003, 1.0)))
    centres = dice.random((count, 2)) * (canvas.right, canvas.bottom)
    radii = np.repeat((0.0013 + 0.0032 * dice.random((count, 1)) ** 4), 2, axis=1)
    sheet = canvas.sheet(0, 0, canvas.right, canvas.bottom)
    sheet.dots(centres, radii, ((0.99, 0.99, 0.98),), 0.92)
    sheet.lay()


def lay_night(canvas: Canvas, manner: Manner, horizon: float, strength: float) -> None:
    """The night's dark glaze over everything but lamps and the moon; thinnest where mist lies along the horizon."""
    light = canvas.light if canvas.light is not None else np.zeros((1, 1), np.float32)
    colour = (0.24, 0.31, 0.47) if manner.support != "paper" else (0.30, 0.31, 0.33)
    away = (canvas.ys - np.float32(horizon)) / np.float32(0.45 * canvas.bottom)
    deep = (np.float32(0.92) - np.float32(0.34) * np.exp(-(away * away * 3.0))) * np.float32(strength)
    if manner.flat:
        canvas.stain(canvas.whole, colour, (1.0 - light) * deep)
    else:
        canvas.stain(canvas.whole, colour, (1.0 - light) * np.clip(deep + canvas.cloud * np.float32(0.05), 0, 1))


def press_seal(canvas: Canvas, manner: Manner, x: float, y: float, size: float) -> None:
    """A red seal with carved lines."""
    dice = canvas.dice("seal")
    sheet = canvas.sheet(x - size, y - size, x + size, y + size)
    half = size / 2
    carved = bool(dice.random() < 0.6)
    if carved:
        corner = dice.normal(0, 0.03 * size, (4, 2))
        sheet.polygon(
            np.array(((x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half))) + corner,
            manner.seal,
            0.92,
        )
    else:
        box = np.array(((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))) * half + (x, y)
        sheet.lines(np.stack((box[:-1], box[1:]), 1), size * 0.07, manner.seal, 0.92)
    colour = canvas.ground[:, min(canvas.height - 1, int(y * canvas.unit)), min(canvas.width - 1, int(x * canvas.unit))]
    line: Colour = (float(colour[0]), float(colour[1]), float(colour[2])) if carved else manner.seal
    for column in (-0.22, 0.22):
        for row in (-0.22, 0.22):
            _glyph(sheet, dice, x + column * size, y + row * size, size * 0.34, line)
    sheet.lay(dry=0.35)


def _glyph(sheet: Sheet, dice: np.random.Generator, x: float, y: float, size: float, colour: Colour) -> None:
    grid = np.linspace(-0.5, 0.5, 4) * size
    for _ in range(5):
        i, j, k = dice.integers(0, 4, 3)
        a, b = (
            ((grid[i], grid[j]), (grid[k], grid[j]))
            if dice.random() < 0.55
            else ((grid[i], grid[j]), (grid[i], grid[k]))
        )
        sheet.lines(np.array(((a, b),)) + np.array((x, y)), size * 0.13, colour, 0.95)

"""What surrounds the things: silk and paper, sky, water, mist, rain, snow, sun and moon, the night's glaze, the seal."""

import numpy as np

from artmaster_pipeline.sample_painters.canvas import Canvas, Colour, Plane, mix, smooth
from artmaster_pipeline.sample_painters.manners import Manner
from artmaster_pipeline.sample_painters.scenes import Scene


def lay_ground(canvas: Canvas, manner: Manner) -> None:
    """The bare support: toned, stained, with its threads or fibres."""
    stain = canvas.cloud * np.float32(0.018 if manner.support != "silk" else 0.032)
    tone = np.float32(1.0) + stain
    if manner.support == "silk":
        tone += _threads(canvas)
    else:
        tone += canvas.noise("pulp", 60.0, 2) * np.float32(0.008)
    tone += canvas.grain * np.float32(0.010)
    for plane, value in zip(canvas.planes, manner.ground, strict=True):
        np.multiply(tone, np.float32(value), out=plane)
    if manner.support != "silk":
        _fibres(canvas, manner)
    canvas.ground = canvas.planes.copy()


def _threads(canvas: Canvas) -> Plane:
    pitch = 0.0026 * canvas.unit  # pixels per thread
    strength = np.float32(0.035 * np.clip((pitch - 1.6) / 1.4, 0.0, 1.0))
    warp = np.sin(canvas.xs * np.float32(2 * np.pi / 0.0026)) * strength
    weft = np.sin(canvas.ys * np.float32(2 * np.pi / 0.0031)) * strength
    streaks = canvas.noise("weft", 220.0, 1, stretch=30.0) * np.float32(0.016)
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
        "dusk": ((0.80, 0.38, 0.26), (0.95, 0.66, 0.36)),
    }
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
            high, low = ((0.80, 0.79, 0.77), (0.9, 0.89, 0.87))
        strength = np.float32(0.75 if scene.time_of_day == "dusk" else 0.55)
        canvas.stain(canvas.whole, high, smooth(down, 0.9, 0.0) * strength * 0.7)
        canvas.stain(canvas.whole, low, np.exp(-(((down - 0.75) / 0.3) ** 2)) * strength)
    elif scene.weather == "clear" and scene.time_of_day == "day" and manner.support == "silk":
        canvas.stain(canvas.whole, (0.80, 0.84, 0.80), smooth(down, 0.8, 0.0) * np.float32(0.5))
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
    if manner.flat:
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


def _ripples(canvas: Canvas, manner: Manner, top: float, bottom: float, amount: float) -> None:
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
    for i in keep.tolist():
        long = (0.012 + 0.05 * near[i]) * (0.6 + 0.8 * ((i * 37) % 100) / 100)
        lift = 0.0035 * (0.3 + near[i]) * np.sin(t * 4.5 + i)
        points = np.stack((x[i] + t * long, y[i] + lift), 1)
        sheet.stroke(points, (0.0007 + 0.0011 * near[i]) * (1 - t * t), colour, alpha)
    sheet.lay(dry=0.5)


def paint_mist(canvas: Canvas, manner: Manner, y: float, thick: float, strength: float, part: str) -> None:
    """A bank of mist about the height y: what is there returns to the ground's tone, a little lighter."""
    window = canvas.window(0, y - 1.4 * thick, canvas.right, y + 1.4 * thick)
    if window is None:
        return
    rows, _ = window
    drift = canvas.cloud[window] * np.float32(0.55 * thick)
    away = (canvas.ys[rows] - np.float32(y) + drift) / np.float32(thick)
    if manner.flat:
        dice = canvas.dice(part)
        wave = np.sin(canvas.xs * dice.uniform(3, 6) + dice.uniform(0, 6)) * np.float32(0.3)
        alpha = np.exp(-((away * 1.2 + wave) ** 4)) * np.float32(strength)
    else:
        alpha = np.exp(-(away * away * 1.6)) * np.float32(strength)
    colour = [
        paper[window] * np.float32(0.55) + np.float32(0.45 * m)
        for paper, m in zip(canvas.ground, manner.mist, strict=True)
    ]
    canvas.cover(window, colour, np.clip(alpha, 0, 1))


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
    count = int(900 * canvas.right * canvas.bottom * max(0.5, canvas.detail(0.003, 1.0)))
    centres = dice.random((count, 2)) * (canvas.right, canvas.bottom)
    radii = np.repeat((0.0016 + 0.0034 * dice.random((count, 1)) ** 3), 2, axis=1)
    sheet = canvas.sheet(0, 0, canvas.right, canvas.bottom)
    sheet.dots(centres, radii, ((0.99, 0.99, 0.98),), 0.92)
    sheet.lay()


def lay_night(canvas: Canvas, manner: Manner) -> None:
    """The night's dark glaze over everything but lamps and the moon."""
    light = canvas.light if canvas.light is not None else np.zeros((1, 1), np.float32)
    colour = (0.30, 0.36, 0.50) if manner.support != "paper" else (0.42, 0.42, 0.43)
    deep = np.float32(0.78) + np.float32(0.22) * smooth(canvas.ys, canvas.bottom * 0.7, 0.0)
    canvas.stain(canvas.whole, colour, (1.0 - light) * deep)


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


def _glyph(sheet, dice: np.random.Generator, x: float, y: float, size: float, colour: Colour) -> None:
    grid = np.linspace(-0.5, 0.5, 4) * size
    for _ in range(5):
        i, j, k = dice.integers(0, 4, 3)
        a, b = (
            ((grid[i], grid[j]), (grid[k], grid[j]))
            if dice.random() < 0.55
            else ((grid[i], grid[j]), (grid[i], grid[k]))
        )
        sheet.lines(np.array(((a, b),)) + (x, y), size * 0.13, colour, 0.95)

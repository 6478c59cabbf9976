"""Hills, massifs and rocks: nested contours with folds, texture strokes that follow the slope, colour by height."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from artmaster_pipeline.sample_painters.canvas import Canvas, Colour, Plane, mix, smooth
from artmaster_pipeline.sample_painters.chance import chance
from artmaster_pipeline.sample_painters.manners import Manner


@dataclass(frozen=True)
class Hill:
    """One contour with what lies below it, in units. `far` is 0 at the viewer's feet and 1 at the horizon."""

    x: float
    top: float
    base: float
    left: float  # half widths at the base
    right: float
    power: float  # below 1 concave like a sacred cone, 1 straight, 2 rounded, 4 a pillar
    hue: float  # 0..1 between the two pigments
    far: float
    rough: float = 1.0
    melt: float = 0.55  # the share of its height from which it dissolves into mist; above 1 never

    def contour(self, x: np.ndarray) -> np.ndarray:
        """The contour's y at x, before the hand wavers."""
        reach = np.where(x < self.x, self.left, self.right)
        return self.top + (self.base - self.top) * np.minimum(np.abs(x - self.x) / reach, 1.2) ** self.power


_TILE = 1024
_PERIOD = 0.55  # units that one tile of strokes covers


@cache
def _strokes(kind: str) -> tuple[Plane, ...]:
    """A seamless tile of texture strokes running down, 0..1, with its halves: 1024, 512, 256, 128, 64 pixels."""
    dice = chance(0, "strokes", kind)
    image = Image.new("L", (_TILE, _TILE))
    draw = ImageDraw.Draw(image)
    count, length, width = {"hemp": (1500, 150, 3.2), "axe": (1100, 70, 11.0), "rain": (3000, 34, 7.0)}[kind]
    for _ in range(count):
        x, y, tone = dice.random() * _TILE, dice.random() * _TILE, int(dice.uniform(90, 255))
        long, wide = length * dice.uniform(0.45, 1.4), width * dice.uniform(0.5, 1.3)
        t = np.linspace(0, 1, 9)
        bend = dice.normal(0, 0.07) * long
        px = x + bend * np.sin(t * 3.0) + dice.normal(0, 1.2, 9).cumsum() * 0.4
        if kind == "axe":
            px = px + t * long * 0.35
        half = wide / 2 * (np.sin(np.pi * t**0.6) if kind != "axe" else (1 - t) ** 0.7)
        points = np.concatenate((np.stack((px - half, y + t * long), 1), np.stack((px + half, y + t * long), 1)[::-1]))
        for dx in (0, -_TILE) if x > _TILE - 60 else (0,):
            for dy in (0, -_TILE) if y + long > _TILE else (0,):
                draw.polygon((points + (dx, dy)).ravel().tolist(), fill=tone)
    tile = np.asarray(image, np.float32) / 255.0
    tiles = [tile]
    while len(tiles) < 6:
        t = tiles[-1]
        tiles.append((t[::2, ::2] + t[1::2, ::2] + t[::2, 1::2] + t[1::2, 1::2]) * 0.25)
    return tuple(tiles)


@cache
def _folds() -> tuple[Plane, Plane]:
    """A seamless tile (256) of gullies running down: (how deep, 0..1; which side catches the light, -1..1)."""
    from scipy.ndimage import gaussian_filter

    dice = chance(0, "folds")
    rough = dice.standard_normal((256, 256), dtype=np.float32)
    slow = gaussian_filter(rough, (34, 9), mode="wrap")
    quick = gaussian_filter(rough.T.copy(), (14, 3.5), mode="wrap")
    height = slow / slow.std() + 0.45 * quick / quick.std()
    gully = np.exp(-((height / 0.22) ** 2))
    side = height - np.roll(height, 3, axis=1)
    return gully.astype(np.float32), np.tanh(side / side.std() * 0.8).astype(np.float32)


def _look_up(tile: Plane, across: Plane, down: Plane) -> Plane:
    size = tile.shape[0]
    rows = (down * np.float32(size)).astype(np.int32) & (size - 1)
    columns = (across * np.float32(size)).astype(np.int32) & (size - 1)
    return tile.ravel().take(rows * size + columns)


def massif(
    dice: np.random.Generator, x: float, top: float, base: float, half: float, count: int, far: float, power: float
) -> list[Hill]:
    """A mountain of `count` hills: the peak, and shoulders that come lower, wider apart and nearer."""
    height = base - top
    hills = [
        Hill(x, top, base, half * dice.uniform(0.7, 1.1), half * dice.uniform(0.7, 1.1), power, dice.random(), far)
    ]
    for i in range(1, count):
        t = i / count
        y = top + height * (0.08 + 0.72 * t**0.9) + dice.normal(0, 0.02) * height
        offset = dice.uniform(-1, 1) * half * (0.25 + 0.75 * t)
        tall = height * dice.uniform(0.28, 0.5) * (1.1 - 0.5 * t)
        wide = half * dice.uniform(0.26, 0.5)
        hills.append(
            Hill(
                x + offset,
                y,
                min(y + tall, base + 0.1 * height),
                wide * dice.uniform(0.6, 1.2),
                wide * dice.uniform(0.6, 1.2),
                power * dice.uniform(0.75, 1.15),
                dice.random(),
                far,
            )  # fmt: skip
        )
    return sorted(hills, key=lambda hill: hill.base)


def ridge(
    dice: np.random.Generator, x0: float, x1: float, base: float, height: float, count: int, far: float, power: float
) -> list[Hill]:
    """A row of hills along one base line."""
    hills = []
    for i in range(count):
        x = x0 + (x1 - x0) * (i + dice.uniform(0.1, 0.9)) / count
        tall = height * dice.uniform(0.45, 1.0)
        wide = max((x1 - x0) / count * dice.uniform(0.7, 1.5), tall * 0.45)
        down = base + dice.normal(0, 0.04) * height
        hills.append(
            Hill(
                x,
                down - tall,
                down,
                wide * dice.uniform(0.7, 1.3),
                wide * dice.uniform(0.7, 1.3),
                power * dice.uniform(0.8, 1.2),
                dice.random(),
                far,
            )  # fmt: skip
        )
    return sorted(hills, key=lambda hill: hill.base)


def paint_hill(canvas: Canvas, hill: Hill, manner: Manner, kind: str = "hemp") -> None:
    """Lay one hill over what is there."""
    tall = hill.base - hill.top
    margin = 0.05 + 0.08 * tall
    window = canvas.window(hill.x - hill.left - margin, hill.top - margin, hill.x + hill.right + margin, hill.base)
    if window is None:
        return
    rows, columns = window
    sway = np.float32(hill.rough * (0.012 + 0.055 * min(tall, 0.7)))
    x = canvas.xs[:, columns] - np.float32(hill.x) + canvas.warp_x[window] * sway
    y = canvas.ys[rows] - np.float32(hill.top) + canvas.warp_y[window] * sway
    v = y * np.float32(1 / tall)
    q = np.abs(x) * np.where(x < 0, np.float32(1 / hill.left), np.float32(1 / hill.right))
    q += 1e-4
    edge = q ** np.float32(hill.power)
    slope = edge * np.float32(hill.power * tall * 2 / (hill.left + hill.right)) / q
    inside = (v - edge) * np.float32(tall) / np.sqrt(1.0 + slope * slope)  # distance below the contour, units
    mask = np.clip(inside * np.float32(canvas.unit) + 0.5, 0.0, 1.0)
    if not mask.any():
        return
    fade = smooth(v, hill.melt, 0.97) if hill.melt < 1 else np.zeros_like(v)
    mask = mask * (1.0 - smooth(v, 0.9, 1.0)) if hill.melt < 1 else mask
    if manner.flat:
        _flat_hill(canvas, window, hill, manner, v, inside, x, mask, fade)
    else:
        _brushed_hill(canvas, window, hill, manner, (x, v, inside, mask, fade), kind)


def _brushed_hill(canvas: Canvas, window, hill: Hill, manner: Manner, field, kind: str) -> None:
    x, v, inside, mask, fade = field
    tall = np.float32(hill.base - hill.top)
    fan = x / (v * np.float32(0.75) + np.float32(0.5))
    down = v * tall
    shift = np.float32(hill.hue * 7.3 + 10.0)
    gully, side = (_look_up(tile, fan * 1.6 + shift, down * 1.1 + shift) for tile in _folds())
    level = int(np.clip(np.log2(_TILE / _PERIOD / canvas.unit) + 0.4, 0, 5))
    strokes = _look_up(
        _strokes(kind)[level], fan * np.float32(1 / _PERIOD) + shift, down * np.float32(1 / _PERIOD) + shift
    )
    near = 1.0 - hill.far
    patch = canvas.warp_y[window] * np.float32(0.16)
    height = v + patch
    top = mix(manner.peaks[0], manner.peaks[1], hill.hue)
    low = smooth(height, 0.18, 0.55)
    lower = smooth(height, 0.5, 0.9)
    dark = side * np.float32(0.5) + np.float32(0.5)
    tone = np.float32(1.0) - np.float32(manner.shade) * (np.float32(0.5) * dark + np.float32(0.35) * gully)
    tone *= np.float32(1.0) + canvas.grain[window] * np.float32(0.035)
    haze = np.float32(min(0.85, hill.far * 0.85))
    veil = haze + (1.0 - haze) * fade
    opacity = np.float32(manner.pigment)
    for plane, bare, c_top, c_body, c_foot, c_mist in zip(
        canvas.planes, canvas.ground, top, manner.body, manner.foot, manner.mist, strict=True
    ):
        part = plane[window]
        colour = np.float32(c_top) + low * np.float32(c_body - c_top)
        colour += lower * (np.float32(c_foot) - colour)
        colour *= tone
        paper = bare[window]
        colour = paper + (colour - paper) * opacity
        colour += (np.float32(0.5) * (paper + np.float32(c_mist)) - colour) * veil
        part += (colour - part) * mask
    ink = _ink_lines(canvas, window, manner, hill, strokes, gully, dark, inside, v, near)
    ink *= mask * (1.0 - fade) * np.float32(0.25 + 0.75 * near)
    canvas.stain(window, manner.ink, ink)


def _ink_lines(canvas, window, manner, hill, strokes, gully, dark, inside, v, near) -> Plane:
    """Contour, wash below it and texture strokes, as one alpha."""
    waver = canvas.warp_x[window]
    width = np.float32(manner.outline * (0.45 + 0.75 * near)) * (1.0 + 0.7 * waver)
    width = np.maximum(width, np.float32(0.6 / canvas.unit))
    line = np.clip(1.6 - inside / width * 1.2, 0.0, 1.0) * np.float32(0.9)
    if manner.dry > 0.3:
        line *= np.clip(1.2 - manner.dry * (0.55 - canvas.grain[window] * 0.35) + 0.3 * waver, 0, 1)
    where = np.clip(0.25 + 0.9 * dark + 0.6 * gully - 0.5 * (1 - smooth(v, 0.0, 0.25)), 0.0, 1.3)
    texture = strokes * where * np.float32(manner.strokes)
    if manner.dry > 0.5:
        texture *= np.clip(1.0 + canvas.grain[window] * np.float32(0.4), 0.0, 1.5)
    wash = np.exp(inside * np.float32(-1.0 / (0.05 + 0.10 * (hill.base - hill.top))))
    wash *= np.float32(manner.wash) * (0.45 + 0.35 * dark)
    both = 1.0 - (1.0 - np.clip(line, 0, 1)) * (1.0 - np.clip(texture, 0, 0.9)) * (1.0 - np.clip(wash, 0, 0.85))
    return np.clip(both, 0.0, 0.95)


def _flat_hill(canvas, window, hill, manner, v, inside, x, mask, fade) -> None:
    """Two flat tones with a carved edge between them, a gradation to the foot and a key line."""
    near = 1.0 - hill.far
    top = mix(manner.peaks[0], manner.peaks[1], round(hill.hue))
    haze = hill.far * 0.45
    light, deep = mix(top, manner.mist, haze), mix(mix(top, manner.ink, 0.35), manner.mist, haze)
    foot = mix(manner.foot if near > 0.5 else manner.body, manner.mist, haze)
    fan = x / (v * np.float32(0.8) + np.float32(0.45))
    shift = np.float32(hill.hue * 7.3 + 10.0)
    gully, side = (_look_up(tile, fan * 1.2 + shift, v * np.float32(0.7) + shift) for tile in _folds())
    width = np.float32(max(0.12, 3.0 / canvas.unit))
    dark = np.clip((side - 0.35) / width, 0.0, 1.0) * (1.0 - smooth(v, 0.45, 0.75))
    slide = smooth(v, 0.15, 0.85)
    for plane, bare, a, b, c in zip(canvas.planes, canvas.ground, light, deep, foot, strict=True):
        part = plane[window]
        colour = np.float32(a) + dark * np.float32(b - a)
        colour += slide * (np.float32(c) - colour)
        colour += (bare[window] - colour) * fade
        part += (colour - part) * mask
    lw = np.float32(max(manner.outline * (0.5 + 0.6 * near), 0.7 / canvas.unit))
    line = np.clip(1.5 - inside / lw, 0.0, 1.0) * mask * (1.0 - fade)
    canvas.stain(window, mix(manner.ink, manner.mist, haze * 0.8), line * np.float32(0.95))


def contour_points(hill: Hill, dice: np.random.Generator, count: int, reach: float = 0.6) -> np.ndarray:
    """Places on a hill where trees can stand, a little below its contour: (count, 2)."""
    t = dice.uniform(-reach, reach, count)
    x = hill.x + np.where(t < 0, t * hill.left, t * hill.right)
    return np.stack((x, hill.contour(x) + 0.03 * (hill.base - hill.top)), 1)


def snow_shade(manner: Manner) -> Colour:
    """The colour of shaded snow."""
    return mix(manner.mist, manner.ink, 0.12)

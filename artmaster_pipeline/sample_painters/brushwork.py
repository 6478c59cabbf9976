"""How a hill is laid on the canvas: folds, texture strokes that follow the slope, colour by height, contour lines."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from artmaster_pipeline.sample_painters.canvas import Canvas, Plane, Window, mix, smooth
from artmaster_pipeline.sample_painters.chance import chance
from artmaster_pipeline.sample_painters.manners import Manner
from artmaster_pipeline.sample_painters.mountains import Hill, hand_of

_TILE = 1024
_PERIOD = 0.55  # units that one tile of strokes covers


@cache
def _strokes(kind: str) -> tuple[Plane, ...]:
    """A seamless tile of texture strokes running down, 0..1, with its halves: 1024, 512, 256, 128, 64 pixels."""
    dice = chance(0, "strokes", kind)
    image = Image.new("L", (_TILE, _TILE))
    draw = ImageDraw.Draw(image)
    count, length, width = {"hemp": (1250, 105, 4.2), "axe": (1000, 62, 11.0), "rain": (2600, 30, 8.0)}[kind]
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
                draw.polygon((points + np.array((dx, dy))).ravel().tolist(), fill=tone)
    tiles = [np.asarray(image, np.float32) * np.float32(1 / 255)]
    while len(tiles) < 6:
        last = tiles[-1]
        tiles.append((last[::2, ::2] + last[1::2, ::2] + last[::2, 1::2] + last[1::2, 1::2]) * 0.25)
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


@dataclass(frozen=True)
class _Form:
    """A hill in pixels: planes over one window of the canvas."""

    window: Window
    x: Plane  # units from the peak's axis, leaning but not shaking
    v: Plane  # 0 at the peak's height, 1 at the base
    inside: Plane  # units below the contour, across it
    mask: Plane  # 1 on the hill
    fade: Plane  # 1 where it has dissolved into mist


def paint_hill(canvas: Canvas, hill: Hill, manner: Manner, kind: str = "hemp") -> None:
    """Lay one hill over what is there; `kind` of texture strokes is hemp, axe or rain."""
    form = _form(canvas, hill)
    if form is None:
        return
    canvas.mark(form.window, form.mask, "rock")  # to its foot: what dissolves into mist is the hill still
    if manner.flat:
        _lay_flat(canvas, hill, manner, form)
    else:
        _lay_brushed(canvas, hill, manner, form, kind)


def _form(canvas: Canvas, hill: Hill) -> _Form | None:
    tall = hill.base - hill.top
    side = 0.05 + 0.08 * tall
    window = canvas.window(hill.x - hill.left - side, hill.top - side, hill.x + hill.right + side, hill.base + side)
    if window is None:
        return None
    rows, columns = window
    lean, shake = hand_of(hill)
    x = canvas.xs[:, columns] - np.float32(hill.x) + canvas.sway_x[window] * lean
    y = canvas.ys[rows] - np.float32(hill.top) + canvas.sway_y[window] * lean
    v = (y + canvas.waver_y[window] * shake) * np.float32(1 / tall)
    q = x + canvas.waver_x[window] * shake
    q = np.abs(q) * np.where(q < 0, np.float32(1 / hill.left), np.float32(1 / hill.right)) + np.float32(1e-4)
    edge = q ** np.float32(hill.power)
    slope = edge * np.float32(hill.power * tall * 2 / (hill.left + hill.right)) / q
    inside = (v - edge) * np.float32(tall) / np.sqrt(1.0 + slope * slope)
    mask = np.clip(inside * np.float32(canvas.unit) + 0.5, 0.0, 1.0)
    if hill.melt < 1:
        fade = smooth(v, hill.melt, 0.97)
        mask *= 1.0 - smooth(v, 0.9, 1.0)
    else:  # it stands on the ground or in the water, on a rounded foot
        fade = np.zeros_like(v)
        mask *= np.clip((1.0 - 0.22 * q * q - v) * np.float32(tall * canvas.unit) + 0.5, 0.0, 1.0)
    if not mask.any():
        return None
    return _Form(window, x, np.maximum(y * np.float32(1 / tall), 0.0), inside, mask, fade)


def _folds_of(hill: Hill, fan: Plane, down: Plane) -> tuple[Plane, Plane, np.float32]:
    """Gullies, lit sides and the shift that makes each hill's own."""
    shift = np.float32((hill.hue * 7.3 + hill.x * 3.1) % 5.0 + 10.0)
    gully, side = (_look_up(tile, fan + shift, down + shift) for tile in _folds())
    return gully, side, shift


def _lay_brushed(canvas: Canvas, hill: Hill, manner: Manner, form: _Form, kind: str) -> None:
    tall = np.float32(hill.base - hill.top)
    fan = form.x / (form.v * np.float32(0.75) + np.float32(0.5))
    down = form.v * tall + np.abs(form.x) * np.float32(0.5)
    gully, side, shift = _folds_of(hill, fan * 1.6, down * 1.1)
    dark = side * np.float32(0.5) + np.float32(0.5)
    _lay_pigment(canvas, hill, manner, form, gully, dark)
    canvas.shut(form.window, form.mask)
    level = int(np.clip(np.log2(_TILE / _PERIOD / canvas.unit) + 0.4, 0, 5))
    strokes = _look_up(
        _strokes(kind)[level], fan * np.float32(1 / _PERIOD) + shift, down * np.float32(1 / _PERIOD) + shift
    )
    ink = _ink(canvas, hill, manner, form, strokes, gully, dark)
    ink *= form.mask * (1.0 - form.fade) * np.float32(1.0 - 0.75 * hill.far)
    canvas.stain(form.window, manner.ink, ink)


def _lay_pigment(canvas: Canvas, hill: Hill, manner: Manner, form: _Form, gully: Plane, dark: Plane) -> None:
    """Colour by height: peak, body, foot; darker in folds, paler with distance and in mist."""
    height = form.v + canvas.waver_y[form.window] * np.float32(0.13)
    low, lower = smooth(height, 0.18, 0.55), smooth(height, 0.5, 0.9)
    tone = np.float32(1.0) - np.float32(manner.shade) * (np.float32(0.5) * dark + np.float32(0.35) * gully)
    tone *= np.float32(1.0) + canvas.grain[form.window] * np.float32(0.035)
    haze = np.float32(min(0.85, hill.far * 0.85))
    veil = haze + (1.0 - haze) * form.fade
    opacity = np.float32(manner.pigment)
    top = mix(manner.peaks[0], manner.peaks[1], hill.hue)
    for plane, bare, c_top, c_body, c_foot, c_mist in zip(
        canvas.planes, canvas.ground, top, manner.body, manner.foot, manner.mist, strict=True
    ):
        part, paper = plane[form.window], bare[form.window]
        colour = np.float32(c_top) + low * np.float32(c_body - c_top)
        colour += lower * (np.float32(c_foot) - colour)
        colour *= tone
        colour = paper + (colour - paper) * opacity
        colour += (np.float32(0.5) * (paper + np.float32(c_mist)) - colour) * veil
        part += (colour - part) * form.mask


def _ink(canvas: Canvas, hill: Hill, manner: Manner, form: _Form, strokes: Plane, gully: Plane, dark: Plane) -> Plane:
    """Contour, wash below it and texture strokes, as one alpha."""
    waver, grain = canvas.waver_x[form.window], canvas.grain[form.window]
    width = np.float32(manner.outline * (1.2 - 0.75 * hill.far)) * (1.0 + 0.7 * waver)
    width = np.maximum(width, np.float32(0.6 / canvas.unit))
    line = np.clip(1.6 - form.inside / width * 1.2, 0.0, 1.0) * np.float32(0.9)
    if manner.dry > 0.3:
        line *= np.clip(1.2 - manner.dry * (0.55 - grain * 0.35) + 0.3 * waver, 0, 1)
    where = np.clip(0.25 + 0.9 * dark + 0.6 * gully - 0.5 * (1 - smooth(form.v, 0.0, 0.25)), 0.0, 1.3)
    texture = strokes * where * np.float32(manner.strokes)
    if manner.dry > 0.5:
        texture *= np.clip(1.0 + grain * np.float32(0.4), 0.0, 1.5)
    wash = np.exp(form.inside * np.float32(-1.0 / (0.05 + 0.10 * (hill.base - hill.top))))
    wash *= np.float32(manner.wash) * (0.45 + 0.35 * dark)
    both = 1.0 - (1.0 - np.clip(line, 0, 1)) * (1.0 - np.clip(texture, 0, 0.9)) * (1.0 - np.clip(wash, 0, 0.85))
    return np.clip(both, 0.0, 0.95)


def _lay_flat(canvas: Canvas, hill: Hill, manner: Manner, form: _Form) -> None:
    """Two flat tones with a carved edge between them, a gradation to the foot and a key line."""
    haze = hill.far * 0.45
    top = mix(manner.peaks[0], manner.peaks[1], round(hill.hue))
    light, deep = mix(top, manner.mist, haze), mix(mix(top, manner.ink, 0.35), manner.mist, haze)
    foot = mix(manner.foot if hill.far < 0.5 else manner.body, manner.mist, haze)
    fan = form.x / (form.v * np.float32(0.8) + np.float32(0.45))
    _, side, _ = _folds_of(hill, fan * 1.2, form.v * np.float32(0.7))
    width = np.float32(max(0.12, 3.0 / canvas.unit))
    dark = np.clip((side - 0.35) / width, 0.0, 1.0) * (1.0 - smooth(form.v, 0.45, 0.75))
    slide = smooth(form.v, 0.15, 0.85)
    for plane, bare, a, b, c in zip(canvas.planes, canvas.ground, light, deep, foot, strict=True):
        part = plane[form.window]
        colour = np.float32(a) + dark * np.float32(b - a)
        colour += slide * (np.float32(c) - colour)
        colour += (bare[form.window] - colour) * form.fade
        part += (colour - part) * form.mask
    canvas.shut(form.window, form.mask)
    if manner.key_lines:
        width = np.float32(max(manner.outline * (1.1 - 0.6 * hill.far), 0.7 / canvas.unit))
        line = np.clip(1.5 - form.inside / width, 0.0, 1.0) * form.mask * (1.0 - form.fade)
        canvas.stain(form.window, mix(manner.ink, manner.mist, haze * 0.8), line * np.float32(0.95))

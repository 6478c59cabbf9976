"""The canvas: pixels, units and noise; pigment and ink laid on it through masks; sheets of brush strokes.

Lengths are in units of the picture's short side, x to the right and y down, so that the same seed gives the same
picture at every size. Colours are sRGB values in 0..1, held as three planes (3, H, W) of float32.
"""

from collections.abc import Callable, Sequence
from functools import cached_property, wraps
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
from PIL import Image, ImageDraw

from artmaster_pipeline.sample_painters.chance import chance
from artmaster_pipeline.sample_painters.layout import KINDS, Kind

_Given = ParamSpec("_Given")
_Back = TypeVar("_Back")
Colour = tuple[float, float, float]
Plane = np.ndarray
Window = tuple[slice, slice]  # rows, columns


def smooth(value: Plane, low: float, high: float) -> Plane:
    """0 at `low`, 1 at `high` (which may be the smaller one), with a soft start and end."""
    t = np.clip((value - low) * np.float32(1.0 / (high - low)), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """The colour `share` of the way from a to b."""
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share)


def supple(points: np.ndarray, widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A path (n, 2) and its widths with the corners cut twice (Chaikin 1974)."""
    both = np.column_stack((points, widths))
    for _ in range(2):
        early, late = 0.75 * both[:-1] + 0.25 * both[1:], 0.25 * both[:-1] + 0.75 * both[1:]
        both = np.concatenate((both[:1], np.stack((early, late), 1).reshape(-1, 3), both[-1:]))
    return both[:, :2], both[:, 2]


class Canvas:
    """A picture in the making; `ground` is the bare paper or silk, to which mist and distance return."""

    def __init__(self, width: int, height: int, seed: int) -> None:
        self.width, self.height, self.seed = width, height, seed
        self.unit = float(min(width, height))
        self.right, self.bottom = width / self.unit, height / self.unit
        self.xs = ((np.arange(width, dtype=np.float32) + 0.5) / self.unit)[None, :]
        self.ys = ((np.arange(height, dtype=np.float32) + 0.5) / self.unit)[:, None]
        self.planes: Plane = np.ones((3, height, width), np.float32)
        self.ground: Plane = self.planes
        self.light: Plane | None = None  # where lamps and the moon shine: spared by the night's glaze
        self.kinds: Plane | None = None  # what each pixel shows, as an index into KINDS, where somebody asks for it
        self.shown: Kind | None = None  # what the sheets that are laid now show; none: they change no kind

    def dice(self, part: str) -> np.random.Generator:
        """The part's own stream of chance."""
        return chance(self.seed, part)

    def noise(self, part: str, cells: float, octaves: int = 4, stretch: float = 1.0, gain: float = 0.5) -> Plane:
        """Fractal noise over the whole canvas, about -1..1: `cells` per unit, `stretch` times longer in x than in y."""
        dice = self.dice(part)
        total = np.zeros((self.height, self.width), np.float32)
        weight, norm = 1.0, 0.0
        for octave in range(octaves):
            nx = max(2, round(self.right * cells * 2**octave / stretch) + 1)
            ny = max(2, round(self.bottom * cells * 2**octave) + 1)
            norm += weight * weight
            if octave and (nx > 1.5 * self.width or ny > 1.5 * self.height):
                weight *= gain
                continue  # finer than the pixels; the weights stay those of the full picture
            lattice = dice.random((ny + 2, nx + 2), dtype=np.float32) * 2.0 - 1.0
            box = (1.0, 1.0, nx + 1.0, ny + 1.0)
            grown = Image.fromarray(lattice).resize((self.width, self.height), Image.Resampling.BICUBIC, box=box)
            total += np.asarray(grown) * np.float32(weight)
            weight *= gain
        return total * np.float32(1.3 / norm**0.5)

    @cached_property
    def sway_x(self) -> Plane:
        """How whole forms lean sideways, about -1..1: slow, so that strokes that follow it stay strokes."""
        return self.noise("sway-x", 3.6, 2)

    @cached_property
    def sway_y(self) -> Plane:
        """How whole forms lean up and down, about -1..1."""
        return self.noise("sway-y", 3.6, 2)

    @cached_property
    def waver_x(self) -> Plane:
        """How the hand wavers sideways while it draws a contour, about -1..1."""
        return self.noise("waver-x", 15.0, 4, gain=0.55)

    @cached_property
    def waver_y(self) -> Plane:
        """How the hand wavers up and down, about -1..1."""
        return self.noise("waver-y", 15.0, 4, gain=0.55)

    def at(self, planes: Sequence[Plane], x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
        """The planes' values at places in units; outside the canvas, those of its edge."""
        columns = np.minimum(np.maximum(x * self.unit, 0), self.width - 1).astype(np.int64)
        rows = np.minimum(np.maximum(y * self.unit, 0), self.height - 1).astype(np.int64)
        flat = rows * self.width + columns
        return [plane.ravel().take(flat) for plane in planes]

    @cached_property
    def cloud(self) -> Plane:
        """Slow noise, longer in x: mist, washes, stains."""
        return self.noise("cloud", 2.2, 4, stretch=2.2)

    @cached_property
    def grain(self) -> Plane:
        """Pigment and paper grain at the size of pixels, standard deviation about 1."""
        dice = self.dice("grain")
        fine = dice.standard_normal((self.height, self.width), dtype=np.float32)
        coarse = dice.standard_normal((self.height // 2 + 1, self.width // 2 + 1), dtype=np.float32)
        grown = Image.fromarray(coarse).resize((self.width, self.height), Image.Resampling.BILINEAR)
        return (fine * np.float32(0.6) + np.asarray(grown) * np.float32(1.1)).astype(np.float32)

    def window(self, x0: float, y0: float, x1: float, y1: float) -> Window | None:
        """The pixel rows and columns of a rectangle in units; None where it lies off the canvas."""
        left, right = max(0, int(x0 * self.unit) - 1), min(self.width, int(x1 * self.unit) + 2)
        top, bottom = max(0, int(y0 * self.unit) - 1), min(self.height, int(y1 * self.unit) + 2)
        return (slice(top, bottom), slice(left, right)) if left < right and top < bottom else None

    def cover(self, window: Window, colour: Sequence[Plane | float], alpha: Plane) -> None:
        """Lay opaque pigment: `colour` is three planes or numbers, `alpha` 0..1."""
        for plane, value in zip(self.planes, colour, strict=True):
            part = plane[window]
            part += (value - part) * alpha
        self.shut(window, alpha)

    def mark(self, window: Window, alpha: Plane, kind: Kind | None) -> None:
        """Note that `kind` was laid where `alpha`, 0..1, covers at least half a pixel."""
        if self.kinds is not None and kind is not None:
            self.kinds[window][np.broadcast_to(alpha >= 0.5, self.kinds[window].shape)] = KINDS.index(kind)

    def shut(self, window: Window, alpha: Plane) -> None:
        """What is laid over a light dims it."""
        if self.light is not None:
            self.light[window] *= 1.0 - alpha

    def stain(self, window: Window, colour: Sequence[float], alpha: Plane) -> None:
        """Lay transparent ink or wash: what is below shines through, multiplied by `colour` where alpha is 1."""
        for plane, value in zip(self.planes, colour, strict=True):
            plane[window] *= 1.0 - alpha * np.float32(1.0 - value)

    @property
    def whole(self) -> Window:
        """The window of the whole canvas."""
        return slice(0, self.height), slice(0, self.width)

    def sheet(self, x0: float, y0: float, x1: float, y1: float) -> "Sheet":
        """A transparent sheet for strokes over a rectangle in units; lay it with `Sheet.lay`."""
        return Sheet(self, self.window(x0, y0, x1, y1))

    def detail(self, size: float, pixels: float = 0.9) -> float:
        """1 where a mark of `size` units spans `pixels`, less where it is finer: the share of marks worth drawing."""
        return min(1.0, size * self.unit / pixels)

    def finish(self) -> np.ndarray:
        """The picture as uint8 (H, W, 3)."""
        planes = np.clip(self.planes, 0.0, 1.0) * np.float32(255.0) + np.float32(0.5)
        return np.ascontiguousarray(np.moveaxis(planes.astype(np.uint8), 0, 2))


def shows(
    kind: Kind,
) -> Callable[[Callable[Concatenate[Canvas, _Given], _Back]], Callable[Concatenate[Canvas, _Given], _Back]]:
    """Of a function that paints on a canvas: the sheets that it lays show `kind`."""

    def told(
        paint: Callable[Concatenate[Canvas, _Given], _Back],
    ) -> Callable[Concatenate[Canvas, _Given], _Back]:
        @wraps(paint)
        def painted(canvas: Canvas, /, *given: _Given.args, **named: _Given.kwargs) -> _Back:
            before, canvas.shown = canvas.shown, kind
            try:
                return paint(canvas, *given, **named)
            finally:
                canvas.shown = before

        return painted

    return told


class Sheet:
    """Brush strokes drawn with anti-aliasing over one window of a canvas; later strokes cover earlier ones."""

    def __init__(self, canvas: Canvas, window: Window | None) -> None:
        self.canvas, self.window = canvas, window
        self.fine = 2 if canvas.unit >= 600 else 4
        self.scale = canvas.unit * self.fine
        rows, columns = window or (slice(0, 1), slice(0, 1))
        size = ((columns.stop - columns.start) * self.fine, (rows.stop - rows.start) * self.fine)
        self.left, self.top = columns.start * self.fine, rows.start * self.fine
        # CMYK serves as four plain channels (premultiplied red, green, blue, alpha), which Pillow averages as they are.
        self.image = Image.new("CMYK", size)
        self.draw = ImageDraw.Draw(self.image)

    def place(self, points: np.ndarray) -> np.ndarray:
        """Units to this sheet's own pixels."""
        return np.asarray(points, np.float64) * self.scale - (self.left, self.top)

    def polygon(self, points: np.ndarray | Sequence[tuple[float, float]], colour: Colour, alpha: float = 1.0) -> None:
        """A filled polygon."""
        self.draw.polygon(self.place(np.asarray(points)).ravel().tolist(), fill=_fill(colour, alpha))

    def polygons(self, many: np.ndarray, colours: Sequence[Colour], alpha: float = 1.0) -> None:
        """Filled polygons of the same corner count: (n, k, 2); colours are used in turn."""
        fills = [_fill(colour, alpha) for colour in colours]
        placed = self.place(many).reshape(len(many), -1).tolist()
        for i, points in enumerate(placed):
            self.draw.polygon(points, fill=fills[i % len(fills)])

    def stroke(self, points: np.ndarray, widths: np.ndarray | float, colour: Colour, alpha: float = 1.0) -> None:
        """A brush stroke along points (n, 2) whose width varies; never thinner than a third of a pixel."""
        self.strokes(np.asarray(points)[None], widths, (colour,), alpha)

    def strokes(
        self, many: np.ndarray, widths: np.ndarray | float, colours: Sequence[Colour], alpha: float = 1.0
    ) -> None:
        """Brush strokes of the same point count: (n, k, 2), widths (n, k) or fewer; colours are used in turn."""
        along = np.empty_like(many)
        along[:, 1:-1] = many[:, 2:] - many[:, :-2]
        along[:, 0], along[:, -1] = many[:, 1] - many[:, 0], many[:, -1] - many[:, -2]
        half = np.maximum(widths, 0.34 / self.canvas.unit) * 0.5
        half = half / (np.hypot(along[..., 0], along[..., 1]) + 1e-9)
        side = along[..., ::-1] * (-1.0, 1.0) * half[..., None]
        self.polygons(np.concatenate((many + side, (many - side)[:, ::-1]), 1), colours, alpha)

    def lines(self, segments: np.ndarray, width: float, colour: Colour, alpha: float = 1.0) -> None:
        """Straight lines of one width: (n, 2, 2)."""
        fill, w = _fill(colour, alpha), max(1, round(width * self.scale))
        for points in self.place(segments).reshape(len(segments), 4).tolist():
            self.draw.line(points, fill=fill, width=w)

    def dots(self, centres: np.ndarray, radii: np.ndarray, colours: Sequence[Colour], alpha: float = 1.0) -> None:
        """Ellipses: centres (n, 2), radii (n, 2); colours are used in turn."""
        fills = [_fill(colour, alpha) for colour in colours]
        middle, radii = self.place(centres), np.maximum(np.asarray(radii) * self.scale, 0.5)
        boxes = np.concatenate((middle - radii, middle + radii), 1).tolist()
        for i, box in enumerate(boxes):
            self.draw.ellipse(box, fill=fills[i % len(fills)])

    def lay(self, dry: float = 0.0, spare: bool = False) -> None:
        """Lay the sheet on the canvas; `dry` lets the grain break the strokes; `spare` keeps them from the night."""
        drawn = self.image.getbbox()
        if self.window is None or drawn is None:
            return
        f = self.fine
        x0, y0, x1, y1 = drawn[0] // f, drawn[1] // f, -(-drawn[2] // f), -(-drawn[3] // f)
        rows, columns = self.window
        window = (slice(rows.start + y0, rows.start + y1), slice(columns.start + x0, columns.start + x1))
        small = np.asarray(self.image.reduce(f, box=(x0 * f, y0 * f, x1 * f, y1 * f)))
        alpha = small[..., 3] * np.float32(1 / 255)
        self.canvas.mark(window, alpha, self.canvas.shown)
        thin = np.ones_like(alpha)
        if dry:
            thin = np.clip(1.0 + dry * (self.canvas.grain[window] * 0.5 - 0.35), 0.0, 1.0)
            alpha = alpha * thin
        for plane, index in zip(self.canvas.planes, range(3), strict=True):
            part = plane[window]
            part *= 1.0 - alpha
            part += small[..., index] * np.float32(1 / 255) * thin
        if not spare:
            self.canvas.shut(window, alpha)
        else:
            if self.canvas.light is None:
                self.canvas.light = np.zeros((self.canvas.height, self.canvas.width), np.float32)
            lit = self.canvas.light[window]
            np.maximum(lit, alpha, out=lit)


def _fill(colour: Colour, alpha: float) -> tuple[int, int, int, int]:
    """Premultiplied, since averaging over empty pixels then gives premultiplied colour at the edges."""
    r, g, b = (int(min(max(c, 0.0), 1.0) * alpha * 255 + 0.5) for c in colour)
    return (r, g, b, int(alpha * 255 + 0.5))

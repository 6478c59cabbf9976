"""The windows among which a work's crops are chosen: both shapes, several sizes, places all over the painting."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from artmaster_pipeline.curation.boxes import Box
from artmaster_pipeline.settings import CROP_SIZES

UNCOVERED = 0.0005  # share of a window that may be no painting: no corner of it may stick out of a round leaf
STUCK_OUT = 0.03  # where no window lies wholly in the outline: what sticks out of it is 0 in the mask
_SMALLER = 0.82  # factor from one size to the next
_CLOSEST = 3.0  # how many times closer than the widest window a detail is seen at most
_LAST = 8.0  # and where no other lies in the outline
_LACKING = 0.75  # scan pixels per crop pixel that a window may have, if the scan has more elsewhere
_STEP = 0.11  # of a window's side, from one place to the next
_MOST_PLACES = 24  # along a side no longer than two and a half of the other
_FINE = 400_000  # pixels of a sheet from which two by two of them are enough to measure windows by
_AT_RIM = 0.01  # of the painting's side: what lies so close to its own rim is not cut there


@dataclass(frozen=True)
class Sheet:
    """A scan turned upright, at the look's size: all arrays are (height, width)."""

    lightness: np.ndarray  # L*, float32
    salient: np.ndarray  # 0..1; 0 on the ground around the painting and on marks
    painted: np.ndarray  # bool: within the painting's outline
    marks: np.ndarray  # bool: seals, inscriptions, damage
    blank: np.ndarray  # bool: blank space
    box: Box
    across: float  # its pixels per pixel of the scan, along its width
    down: float  # and along its height
    effective_scale: float = 1.0  # as in `CuratedScan`

    def aspect(self, shape: int) -> float:
        """Width by height, in its pixels, of one of `CROP_SIZES`."""
        width, height = CROP_SIZES[shape]
        return width / height * self.across / self.down

    def scan_pixels(self, width: Any, shape: int) -> Any:
        """Scan pixels per crop pixel of windows of that width."""
        return width / self.across / CROP_SIZES[shape][0]


@dataclass(frozen=True)
class Windows:
    """Windows side by side, each array (number,): their places in pixels of the sheet, and what is in them, 0..1."""

    shape: np.ndarray  # int: which of `CROP_SIZES`
    left: np.ndarray
    top: np.ndarray
    width: np.ndarray
    height: np.ndarray
    near: np.ndarray  # how closely details are seen; 1: as closely as the scan allows
    saliency: np.ndarray  # share of the work's saliency
    painted: np.ndarray  # share of the painting's area
    cut: np.ndarray  # stroke energy along its sides, by twice the painting's mean
    blank: np.ndarray  # share of it that is blank space
    marks: np.ndarray  # share of it that is seal, inscription or damage
    ground: np.ndarray  # share of it that is no painting
    lacking: np.ndarray  # share of its pixels a side that the scan does not have, though it has them for a wider one

    def __len__(self) -> int:
        return len(self.left)

    def __getitem__(self, chosen: np.ndarray) -> "Windows":
        return Windows(**{each.name: getattr(self, each.name)[chosen] for each in fields(self)})

    def __add__(self, other: "Windows") -> "Windows":
        both = {each.name: (getattr(self, each.name), getattr(other, each.name)) for each in fields(self)}
        return Windows(**{name: np.concatenate(arrays) for name, arrays in both.items()})


class Measured:
    """What windows of a sheet are measured by: sums over any rectangle in four look-ups."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self._cell = 2 if sheet.salient.size > _FINE else 1
        parts = sheet.salient, sheet.painted, sheet.marks, sheet.blank & sheet.painted
        self._salient, self._painted, self._marks, self._blank = (
            integral(in_cells(part, self._cell)) for part in parts
        )
        sizes = [_sizes(sheet, shape, _CLOSEST) for shape in range(len(CROP_SIZES))]
        self._closest = [min(widths) for widths in sizes]
        self._widest = [sheet.scan_pixels(max(widths), shape) for shape, widths in enumerate(sizes)]
        across, down = _stroke_energy(sheet.lightness)
        self._typical = max(float(across[sheet.painted].mean() + down[sheet.painted].mean()), 0.1)
        self._along_rows, self._along_columns = _summed(across, 1), _summed(down, 0)
        self.blank = float(self._blank[-1, -1] / max(1, self._painted[-1, -1]))

    def windows(self, shape: int, left: np.ndarray, top: np.ndarray, width: np.ndarray) -> Windows:
        """Windows of that shape at these places."""
        height = width / self.sheet.aspect(shape)
        cell = self._cell
        shape_here = self._salient.shape[0] - 1, self._salient.shape[1] - 1
        x0, y0, x1, y1 = corners(shape_here, left / cell, top / cell, width / cell, height / cell)
        pixels = np.maximum(1, (x1 - x0) * (y1 - y0)) * cell**2
        painted = within(self._painted, x0, y0, x1, y1)
        return Windows(
            shape=np.full(len(left), shape),
            left=left,
            top=top,
            width=width,
            height=height,
            near=np.minimum(1.0, (self._closest[shape] / width)) ** 0.5,
            saliency=within(self._salient, x0, y0, x1, y1) / max(self._salient[-1, -1], 1e-9),
            painted=painted / max(self._painted[-1, -1], 1),
            cut=self._cut(*corners(self.sheet.salient.shape, left, top, width, height)),
            blank=within(self._blank, x0, y0, x1, y1) / pixels,
            marks=within(self._marks, x0, y0, x1, y1) / pixels,
            ground=1 - painted / pixels,
            lacking=np.maximum(0.0, min(1.0, self._widest[shape]) - self.sheet.scan_pixels(width, shape)),
        )

    def _cut(self, x0: np.ndarray, y0: np.ndarray, x1: np.ndarray, y1: np.ndarray) -> np.ndarray:
        """Mean stroke energy along a window's sides, by the painting's own mean; none at the painting's rim."""
        box, (rows, columns) = self.sheet.box, self.sheet.salient.shape
        far_x, far_y = max(2.0, _AT_RIM * box.width), max(2.0, _AT_RIM * box.height)
        total = np.zeros(len(x0))
        for y, inner in ((y0, y0 > box.top + far_y), (y1 - 1, y1 < box.bottom - far_y)):
            line = np.clip(y, 0, rows - 1)
            total += np.where(inner, self._along_rows[line, x1] - self._along_rows[line, x0], 0)
        for x, inner in ((x0, x0 > box.left + far_x), (x1 - 1, x1 < box.right - far_x)):
            line = np.clip(x, 0, columns - 1)
            total += np.where(inner, self._along_columns[y1, line] - self._along_columns[y0, line], 0)
        around = 2 * np.maximum(1, x1 - x0 + y1 - y0)
        return np.minimum(1.0, total / around / self._typical)


def candidates(measured: Measured) -> Windows:
    """All windows that may be chosen: within the painting's outline, or, where none is, hardly out of it."""
    found = [_inside(measured, shape) for shape in range(len(CROP_SIZES))]
    return found[0] + found[1]


def beside(measured: Measured, one: Windows, reach: float) -> Windows:
    """Windows aside of a given one by up to that share of its width, and as much smaller or larger."""
    box, shape = measured.sheet.box, int(one.shape[0])
    steps = np.linspace(-reach, reach, 7)
    parts = []
    for size in (1 - reach, 1.0, 1 + reach):
        width = one.width[0] * size
        height = width / measured.sheet.aspect(shape)
        if width > box.width + 0.5 or height > box.height + 0.5 or width < measured._closest[shape] - 0.5:
            continue
        lefts = np.clip(one.left[0] + (one.width[0] - width) / 2 + steps * width, box.left, box.right - width)
        tops = np.clip(one.top[0] + (one.height[0] - height) / 2 + steps * height, box.top, box.bottom - height)
        x, y = (grid.ravel() for grid in np.meshgrid(lefts, tops))
        parts.append(measured.windows(shape, x, y, np.full(len(x), width)))
    found = sum(parts[1:], parts[0]) if parts else one
    limit = max(UNCOVERED, float(one.ground[0]))
    return found[np.flatnonzero(found.ground <= limit)] + one


def _inside(measured: Measured, shape: int) -> Windows:
    for closest, limit in ((_CLOSEST, UNCOVERED), (_CLOSEST, STUCK_OUT), (_LAST, UNCOVERED), (_LAST, STUCK_OUT)):
        parts = [measured.windows(shape, *places) for places in _places(measured.sheet, shape, closest)]
        found = sum(parts[1:], parts[0])
        fitting = found[np.flatnonzero(found.ground <= limit)]
        if len(fitting):
            return fitting
    return found[np.arange(0)]


def _sizes(sheet: Sheet, shape: int, closest: float) -> list[float]:
    """Widths from the largest that the painting's box holds to the smallest that still shows what the scan has."""
    full = min(sheet.box.width, sheet.box.height * sheet.aspect(shape))
    native = sheet.across * CROP_SIZES[shape][0] / max(0.25, min(1.0, sheet.effective_scale))
    least = max(full / closest, min(native, full * _SMALLER))
    if closest > _CLOSEST:
        least = full / closest
    elif native > full * _SMALLER:  # few pixels: a little smaller than native, so that there is something to choose
        least = max(full * _SMALLER**2, min(_LACKING * native, full))
    sizes = [full]
    while sizes[-1] * _SMALLER >= least * 0.97:
        sizes.append(sizes[-1] * _SMALLER)
    return sizes


def _places(sheet: Sheet, shape: int, closest: float) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    box = sheet.box
    most = _MOST_PLACES * max(1.0, max(box.width, box.height) / min(box.width, box.height) / 2.5)
    for width in _sizes(sheet, shape, closest):
        height = width / sheet.aspect(shape)
        lefts = _spread(box.left, box.right - width, _STEP * width, most)
        tops = _spread(box.top, box.bottom - height, _STEP * height, most)
        x, y = (grid.ravel() for grid in np.meshgrid(lefts, tops))
        yield x, y, np.full(len(x), width)


def _spread(first: float, last: float, step: float, most: float) -> np.ndarray:
    if last - first <= 0.5:
        return np.array([float(first)])
    return np.linspace(first, last, int(min(most, np.ceil((last - first) / max(step, 1.0)))) + 1)


def _stroke_energy(lightness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much the lightness changes from each pixel to the next across and down: what strokes make of a line there."""
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(lightness, 1.0, truncate=2.0)
    across, down = np.zeros_like(smooth), np.zeros_like(smooth)
    np.abs(np.diff(smooth, axis=1), out=across[:, :-1])
    np.abs(np.diff(smooth, axis=0), out=down[:-1])
    return across, down


def _summed(values: np.ndarray, axis: int) -> np.ndarray:
    """The sums of all values before each place along an axis, and of all."""
    sums = np.zeros([length + (axis == place) for place, length in enumerate(values.shape)], np.float32)
    values.cumsum(axis, out=sums[:, 1:] if axis == 1 else sums[1:])
    return sums


def in_cells(values: np.ndarray, cell: int) -> np.ndarray:
    """Sums over square cells; those at the right and at the bottom may be cut off."""
    if cell == 1:
        return values
    rows, columns = values.shape
    padded = np.pad(values.astype(np.float32), ((0, -rows % cell), (0, -columns % cell)))
    down = sum((padded[start::cell] for start in range(1, cell)), padded[::cell])
    return sum((down[:, start::cell] for start in range(1, cell)), down[:, ::cell])


def integral(values: np.ndarray) -> np.ndarray:
    """The sums of all values above and to the left of each corner."""
    return np.pad(values.cumsum(0, dtype=np.float64).cumsum(1), ((1, 0), (1, 0)))


def corners(
    shape: tuple[int, ...], left: np.ndarray, top: np.ndarray, width: np.ndarray, height: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Windows in whole pixels of a sheet: left, top, right, bottom."""
    rows, columns = shape[:2]

    def whole(values: np.ndarray, most: int) -> np.ndarray:
        return np.clip(np.rint(values), 0, most).astype(int)

    return whole(left, columns), whole(top, rows), whole(left + width, columns), whole(top + height, rows)


def within(sums: np.ndarray, x0: np.ndarray, y0: np.ndarray, x1: np.ndarray, y1: np.ndarray) -> np.ndarray:
    """Sums over windows from an integral picture."""
    return sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]

"""Where a crop goes: the largest window of a shape that lies in the painted area, moved to keep the most saliency."""

from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.curation.boxes import Box

_UNCOVERED = 0.0005  # share of a window that may be no painting: no corner of it may stick out of a round leaf
_STEPS = 48  # positions tried along each side
_SMALLER = 0.95  # factor from one window size to the next


@dataclass(frozen=True)
class Window:
    """A window in fractions of the picture's width and height, and the share of all saliency in it."""

    left: float
    top: float
    right: float
    bottom: float
    subject_share: float


def best_window(salient: np.ndarray, painted: np.ndarray, area: Box, aspect: float) -> Window | None:
    """The largest window of `aspect` (width / height, in pixels of the map) inside `area` and the mask `painted`.

    Of all places for a window of that size the one with the most saliency is taken. `salient` and `painted`
    have the same height and width. None where no window of at least an eighth of the full size fits.
    """
    within = salient * painted
    sums, ground = _integral(within), _integral(~painted)
    full = min(area.width, area.height * aspect)
    width = full
    while width >= full / 8:
        height = width / aspect
        lefts = _places(area.left, area.right - width)
        tops = _places(area.top, area.bottom - height)
        uncovered = _windows(ground, lefts, tops, width, height) / (width * height)
        found = _windows(sums, lefts, tops, width, height)
        if uncovered.min() <= _UNCOVERED:
            found[uncovered > _UNCOVERED] = -1
            row, column = np.unravel_index(int(found.argmax()), found.shape)
            share = float(found[row, column] / max(within.sum(), 1e-9))
            return _fraction(lefts[column], tops[row], width, height, salient.shape, min(1.0, share))
        width *= _SMALLER
    return None


def _places(first: float, last: float) -> np.ndarray:
    return np.linspace(first, last, _STEPS) if last - first > 0.5 else np.array([float(first)])


def _fraction(left: float, top: float, width: float, height: float, shape: tuple[int, ...], share: float) -> Window:
    rows, columns = shape[:2]
    return Window(left / columns, top / rows, (left + width) / columns, (top + height) / rows, share)


def _integral(values: np.ndarray) -> np.ndarray:
    return np.pad(values.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))


def _windows(sums: np.ndarray, lefts: np.ndarray, tops: np.ndarray, width: float, height: float) -> np.ndarray:
    """Sums over the windows at every (top, left), from the integral picture, to the nearest pixel."""
    rows, columns = sums.shape[0] - 1, sums.shape[1] - 1
    x0 = np.clip(np.rint(lefts), 0, columns).astype(int)
    x1 = np.clip(np.rint(lefts + width), 0, columns).astype(int)
    y0 = np.clip(np.rint(tops), 0, rows).astype(int)[:, None]
    y1 = np.clip(np.rint(tops + height), 0, rows).astype(int)[:, None]
    return sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]

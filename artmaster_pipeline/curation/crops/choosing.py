"""Which crops of a work to take: one optimisation over all of them together.

A set of windows is worth

    the saliency that it covers
    + `_CLOSE` times the same, each place counted by how closely its nearest window shows it
    + `_WHOLE` times the share of the painting that one window shows alone
    + `_ANOTHER` for each window
    - for each window: strokes cut at its sides, marks in it, ground in it, pixels that the scan lacks
    - overlap of pairs of windows (intersection over union)
    - how far the windows' mean share of blank space is from the whole work's.

The first three are monotone and submodular (maximum coverage and facility location), so that the greedy choice is a
good one (Nemhauser, Wolsey and Fisher, "An analysis of approximations for maximizing submodular set functions",
Mathematical Programming 14, 1978). The costs make the sum non-monotone, so windows are then exchanged, moved a little,
left out and added while that helps (local search: Feige, Mirrokni and Vondrák, "Maximizing non-monotone submodular
functions", FOCS 2007).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.curation.boxes import Box
from artmaster_pipeline.curation.crops.windows import (
    Measured,
    Sheet,
    Windows,
    beside,
    candidates,
    corners,
    in_cells,
    integral,
    within,
)

LEAST, MOST, MOST_OF_SCROLL = 2, 6, 8  # crops a work
_SCROLL = 2.5  # width by height from which a painting is a handscroll
_CLOSE, _WHOLE, _ANOTHER = 1.2, 0.3, 0.1
_CUT, _MARKED, _MARKS, _GROUND, _LACKING = 0.45, 0.6, 0.6, 2.0, 0.3
_UNMARKED = 0.0005  # share of a window: a few pixels of a mark's rim are none
_OVERLAP, _BLANK = 0.1, 0.2
_REACHES = (0.06, 0.06, 0.02)  # of a window's width, by which it is moved in one round after the other
_CELLS = 72  # of the short side, in which covering is counted


@dataclass(frozen=True)
class Drawn:
    """A crop that a person drew, in the scan's pixels."""

    box: Box
    shape: int  # which of `CROP_SIZES`
    by: str


@dataclass(frozen=True)
class Chosen:
    """A crop in pixels of the sheet, and the terms by which it was chosen."""

    left: float
    top: float
    width: float
    height: float
    shape: int  # which of `CROP_SIZES`
    terms: dict[str, float]
    by: str = ""  # the person who drew it
    drawn: Box | None = None  # as it was drawn


def choose(sheet: Sheet, drawn: Sequence[Drawn] = ()) -> list[Chosen]:
    """The crops of a work: those that persons drew, then those chosen beside them, the most telling first.

    There are 2 to 6 (of a handscroll to 8), both shapes among them where the painting holds both. None is chosen of a
    shape of which a person drew some.
    """
    measured = Measured(sheet)
    fixed = [_measured(measured, one) for one in drawn]
    windows = candidates(measured)
    free = ~np.isin(windows.shape, [one.shape for one in drawn])
    choice = _Choice(measured, windows[np.flatnonzero(free)], fixed)
    found = choice.made()
    return [
        Chosen(
            left=float(one.left[0]),
            top=float(one.top[0]),
            width=float(one.width[0]),
            height=float(one.height[0]),
            shape=int(one.shape[0]),
            terms=choice.terms(found, place),
            by=drawn[place].by if place < len(drawn) else "",
            drawn=drawn[place].box if place < len(drawn) else None,
        )
        for place, one in enumerate(found)
    ]


def _measured(measured: Measured, drawn: Drawn) -> Windows:
    box, sheet = drawn.box, measured.sheet
    places = (np.array([side]) for side in (box.left * sheet.across, box.top * sheet.down, box.width * sheet.across))
    return measured.windows(drawn.shape, *places)


class _Choice:
    def __init__(self, measured: Measured, windows: Windows, fixed: list[Windows]) -> None:
        self._measured, self._windows, self._fixed = measured, windows, fixed
        sheet = measured.sheet
        self._cell = max(1, min(sheet.salient.shape) // _CELLS)
        cells = in_cells(sheet.salient, self._cell)
        self._salient = cells / max(float(cells.sum()), 1e-9)
        self._shapes = {int(shape) for shape in np.unique(windows.shape)}
        scroll = sheet.box.width >= _SCROLL * sheet.box.height
        self._most = MOST_OF_SCROLL if scroll else MOST

    def made(self) -> list[Windows]:
        """The set: those that are fixed first."""
        if not len(self._windows):
            return self._fixed
        found = list(self._fixed)
        while len(found) < self._most and (best := self._best(found, self._windows, len(found))) is not None:
            found.append(best)
        for reach in _REACHES:
            found = self._exchanged(found, reach)
        return found

    def _exchanged(self, found: list[Windows], reach: float) -> list[Windows]:
        """Each window replaced by a better one, taken away or joined by another, where that is worth more."""
        changed = list(found)
        for place in range(len(self._fixed), len(found)):
            others = changed[:place] + changed[place + 1 :]
            near = self._windows + beside(self._measured, changed[place], reach)
            best = self._best(others, near, place, always=True)
            if best is not None and self.value(_with(others, place, best)) > self.value(changed) + 1e-6:
                changed = _with(others, place, best)
        for place in range(len(changed) - 1, len(self._fixed) - 1, -1):
            others = changed[:place] + changed[place + 1 :]
            if len(others) >= LEAST and self._shapes <= _shapes(others) and self.value(others) > self.value(changed):
                changed = others
        if len(changed) < self._most and (more := self._best(changed, self._windows, len(changed))) is not None:
            changed.append(more)
        return changed

    def _best(self, others: list[Windows], windows: Windows, place: int, *, always: bool = False) -> Windows | None:
        """The window that adds most to the others; None where none adds anything and there are enough."""
        missing = self._shapes - _shapes(others)
        needed = bool(missing) and len(others) + len(missing) >= LEAST
        allowed = np.isin(windows.shape, list(missing)) if needed else np.ones(len(windows), bool)
        gains = np.where(allowed, self._gains(others, windows), -np.inf)
        best = int(gains.argmax())
        if not always and len(others) >= LEAST and not missing and gains[best] <= 0:
            return None
        return windows[np.array([best])]

    def value(self, chosen: list[Windows]) -> float:
        """What a set is worth."""
        if not chosen:
            return -_BLANK * self._measured.blank
        together = sum(chosen[1:], chosen[0])
        near = self._nearness(chosen)
        covered = float((self._salient * (near > 0)).sum())
        closely = float((self._salient * near).sum())
        pairs = sum(float(_overlap(one, together[np.arange(place)]).sum()) for place, one in enumerate(chosen) if place)
        blank = abs(float(together.blank.mean()) - self._measured.blank)
        return float(
            covered
            + _CLOSE * closely
            + _WHOLE * together.painted.max()
            - _costs(together).sum()
            - _OVERLAP * pairs
            - _BLANK * blank
        )

    def terms(self, chosen: list[Windows], place: int) -> dict[str, float]:
        """What one of a set was judged by, each 0..1, and as `score` what the set would be worth less without it."""
        one, others = chosen[place], chosen[:place] + chosen[place + 1 :]
        overlap = max((float(_overlap(one, other)[0]) for other in others), default=0.0)
        return {
            "saliency": min(1.0, float(one.saliency[0])),
            "painting": min(1.0, float(one.painted[0])),
            "cut": float(one.cut[0]),
            "blank": float(one.blank[0]),
            "overlap": overlap,
            "marks": float(one.marks[0]),
            "score": self.value(chosen) - self.value(others),
        }

    def _gains(self, others: list[Windows], windows: Windows) -> np.ndarray:
        """What each of `windows` would add to the others."""
        near = self._nearness(others)
        uncovered = integral(self._salient * (near == 0))
        place = self._cells_of(windows)
        gains = within(uncovered, *place)
        for level in np.unique(windows.near):
            of_level = np.flatnonzero(windows.near == level)
            nearer = integral(self._salient * np.maximum(0, level - near))
            gains[of_level] += _CLOSE * within(nearer, *(side[of_level] for side in place))
        alone = max((float(other.painted[0]) for other in others), default=0.0)
        gains += _WHOLE * np.maximum(0, windows.painted - alone) - _costs(windows)
        for other in others:
            gains -= _OVERLAP * _overlap(other, windows)
        blank = sum(float(other.blank[0]) for other in others)
        whole = self._measured.blank
        before = abs(blank / len(others) - whole) if others else whole
        return gains - _BLANK * (np.abs((blank + windows.blank) / (len(others) + 1) - whole) - before)

    def _nearness(self, chosen: list[Windows]) -> np.ndarray:
        """How closely each cell is seen; 0 where it is not."""
        near = np.zeros(self._salient.shape)
        for one in chosen:
            x0, y0, x1, y1 = (int(side[0]) for side in self._cells_of(one))
            near[y0:y1, x0:x1] = np.maximum(near[y0:y1, x0:x1], one.near[0])
        return near

    def _cells_of(self, windows: Windows) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        places = (side / self._cell for side in (windows.left, windows.top, windows.width, windows.height))
        return corners(self._salient.shape, *places)


def _with(others: list[Windows], place: int, one: Windows) -> list[Windows]:
    return [*others[:place], one, *others[place:]]


def _shapes(chosen: list[Windows]) -> set[int]:
    return {int(one.shape[0]) for one in chosen}


def _costs(windows: Windows) -> np.ndarray:
    marked = np.where(windows.marks > _UNMARKED, _MARKED + _MARKS * windows.marks, 0)
    ground = _GROUND * np.maximum(0, windows.ground)
    return _CUT * windows.cut - _ANOTHER + marked + ground + _LACKING * windows.lacking


def _overlap(one: Windows, windows: Windows) -> np.ndarray:
    """Intersection over union of one window with each of others."""
    wide = np.minimum(one.left + one.width, windows.left + windows.width) - np.maximum(one.left, windows.left)
    high = np.minimum(one.top + one.height, windows.top + windows.height) - np.maximum(one.top, windows.top)
    both = np.maximum(0, wide) * np.maximum(0, high)
    return both / (one.width * one.height + windows.width * windows.height - both)

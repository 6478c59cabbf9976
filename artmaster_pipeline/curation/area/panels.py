"""The pieces that a mounted work is made of: frontispiece, painting, colophons, and the silk between them."""

import itertools
from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.curation.area.borders import lines_of
from artmaster_pipeline.curation.area.edges import REACH, Profile, profile, running_means
from artmaster_pipeline.curation.boxes import Box

_SEAM = 0.85  # share of a line at which two pieces of paper or silk meet
_SURE_SEAM = 0.95  # the same, in a work that is not of several pieces by its shape
_STEP = 3.0  # CIELAB, from one piece to the next
_SAME = 5.0  # CIELAB: pieces with grounds as near as that are one
_DOUBTFUL = 8.0  # CIELAB: grounds farther apart than that may be of two works
_NEAR = 12.0  # CIELAB: grounds of one picture
_PLAIN = 0.3  # variety of silk and paper with nothing on it, at most
_MOUNTING = 6.0  # CIELAB: of one material with what was taken off as a border
_SCROLL = 1.8  # length by breadth: so long a work is one of several pieces
_WRITTEN = 0.4  # how regular the columns of writing are at least
_SURELY_WRITTEN = 0.65  # the same, where colours are many
_LEAST = 0.35  # of a work that is no scroll: so much of it is the painting, or it is not known which part
_RIVAL = 0.75  # of the best panel's figure: a panel that may be painting too


@dataclass(frozen=True)
class Panel:
    """A piece of a work, from one seam to the next."""

    start: int
    end: int
    ground: np.ndarray  # CIELAB of its lighter half
    variety: float  # 0..1, of colours over its places
    writing: float  # how regular its columns are, -1..1

    @property
    def written(self) -> bool:
        """Whether it is writing: trunks and lances can stand as regularly, but not on one ground."""
        return self.writing >= (_WRITTEN if self.variety < 0.5 else _SURELY_WRITTEN)


@dataclass(frozen=True)
class Split:
    """The part of a box that is the painting, and whether a piece that was kept or left out is doubtful."""

    box: Box
    doubtful: bool = False


def painted_panels(lab: np.ndarray, box: Box, mounting: list[np.ndarray]) -> Split:
    """Leave out what lies above, below or beside the painting: colophons, frontispieces, silk between them.

    A piece is left out only where it is written, of the mounting's colour, or belongs to a long scroll.
    """
    doubtful = False
    for side in ("left", "top") if box.width > box.height else ("top", "left"):
        kept = _along(lab, box, side, mounting)
        box, doubtful = kept.box, doubtful or kept.doubtful
    return Split(box, doubtful)


def _along(lab: np.ndarray, box: Box, side: str, mounting: list[np.ndarray]) -> Split:
    lines = lines_of(lab, box, side)
    panels = _panels(lines, across=side == "top")
    if len(panels) < 2:
        return Split(box)
    worth = _worth(panels)
    sizes = np.array([panel.end - panel.start for panel in panels]) / len(lines)
    best = int((worth * np.sqrt(sizes)).argmax())
    scroll = side == "left" and len(lines) >= _SCROLL * lines.shape[1]
    rivals = [_is_rival(panels, worth, place, best) for place in range(len(panels))]
    may_go = [
        not rival and (scroll or panel.written or _is_mounting(panel, mounting))
        for panel, rival in zip(panels, rivals, strict=True)
    ]
    short = lines.shape[1] if scroll else 0
    first = best - _reach(panels[:best][::-1], rivals[:best][::-1], may_go[:best][::-1], short)
    last = best + _reach(panels[best + 1 :], rivals[best + 1 :], may_go[best + 1 :], short)
    gap = 2 + len(lines) // 400
    start = panels[first].start + gap if first or (scroll and panels[0].start) else 0
    end = panels[last].end - gap if last < len(panels) - 1 or (scroll and panels[-1].end < len(lines)) else len(lines)
    kept = panels[first : last + 1]
    doubtful = (scroll or any(may_go)) and any(
        np.linalg.norm(panel.ground - panels[best].ground) > _DOUBTFUL for panel in kept
    )
    if not scroll and end - start < _LEAST * len(lines):
        return Split(box, doubtful=True)
    if side == "left":
        return Split(Box(box.left + start, box.top, box.left + end, box.bottom), doubtful)
    return Split(Box(box.left, box.top + start, box.right, box.top + end), doubtful)


def _reach(panels: list[Panel], rivals: list[bool], may_go: list[bool], short: int) -> int:
    """How many of the panels that lie on from the painting are kept with it.

    In a scroll those up to the last that may be painting too, with no piece of writing longer than `short` between. In
    another work, for which `short` is 0, all up to the last that may not go.
    """
    if not short:
        return max((place + 1 for place, go in enumerate(may_go) if not go), default=0)
    reach = 0
    for place, (panel, rival) in enumerate(zip(panels, rivals, strict=True)):
        if panel.written and panel.end - panel.start > short:
            break
        reach = place + 1 if rival else reach
    return reach


def _panels(lines: np.ndarray, across: bool) -> list[Panel]:
    """The pieces that seams divide `lines` into, neighbours on the same ground as one."""
    seam = _SEAM if len(lines) >= _SCROLL * lines.shape[1] else _SURE_SEAM
    places = [0, *_seams(profile(lines), seam), len(lines)]
    if len(places) == 2:
        return []
    least = max(4 * REACH, 0.15 * lines.shape[1])
    found: list[Panel] = []
    for start, end in itertools.pairwise(places):
        if end - start < 2 * REACH:
            continue
        panel = _panel(lines, start, end, across)
        before = found[-1] if found else None
        alike = before is not None and np.linalg.norm(panel.ground - before.ground) <= _SAME
        if before is not None and alike and before.written == panel.written:
            found[-1] = _panel(lines, before.start, end, across)
        else:
            found.append(panel)
    return [panel for panel in found if panel.end - panel.start >= least]


def _panel(lines: np.ndarray, start: int, end: int, across: bool) -> Panel:
    inner = lines[start + REACH : end - REACH] if end - start > 3 * REACH else lines[start:end]
    points = inner[:: max(1, len(inner) // 200), :: max(1, inner.shape[1] // 100)].reshape(-1, 3)
    ground = np.median(points[points[:, 0] >= np.median(points[:, 0])], axis=0)
    return Panel(start, end, ground, _variety(inner), _writing(inner.transpose(1, 0, 2) if across else inner))


def _variety(inner: np.ndarray) -> float:
    """How much colours differ from place to place, once strokes and texture are evened out.

    The mean of each place counts half, its ground the other half: large characters stand on one ground, a painting's
    ground is washed.
    """
    cell = max(4, inner.shape[1] // 10)
    rows, columns = inner.shape[0] // cell, inner.shape[1] // cell
    if not rows or not columns:
        return 0.0
    cells = inner[: rows * cell, : columns * cell].reshape(rows, cell, columns, cell, 3).swapaxes(1, 2)
    cells = cells.reshape(rows * columns, cell * cell, 3)
    ground = np.percentile(cells[:, ::2], 75, axis=1)
    return (_spread(cells.mean(axis=1)) + _spread(ground)) / 2


def _spread(colours: np.ndarray) -> float:
    distance = np.linalg.norm(colours - np.median(colours, axis=0), axis=1)
    return float(min(1.0, np.percentile(distance, 85) / 12))


def _writing(lines: np.ndarray) -> float:
    """How regular upright columns of writing are, from -1 to 1: the autocorrelation of the ink on each line."""
    from scipy.ndimage import uniform_filter, uniform_filter1d

    lightness = lines[..., 0]
    depth, along = lightness.shape
    if depth < 12:
        return 0.0
    ink = np.clip(uniform_filter(lightness, along // 3 + 1) - lightness, 0, 15).mean(axis=1)
    ink -= uniform_filter1d(ink, max(5, along // 3))
    ink /= ink.std() + 1e-6
    lags = min(depth // 2, max(6, along // 3))
    alike = np.array([(ink[: depth - lag] * ink[lag:]).mean() for lag in range(lags)])
    below = np.flatnonzero(alike < 0)
    return float(alike[below[0] :].max()) if len(below) else 0.0


def _worth(panels: list[Panel]) -> np.ndarray:
    """How much each panel is like a painting: of many colours, on a darker ground than the rest, not written."""
    lightest = max(panel.ground[0] for panel in panels)
    return np.array(
        [
            (panel.variety + min(1.0, (lightest - panel.ground[0]) / 25) + 0.3) * (0.2 if panel.written else 1)
            for panel in panels
        ]
    )


def _is_rival(panels: list[Panel], worth: np.ndarray, place: int, best: int) -> bool:
    near = np.linalg.norm(panels[place].ground - panels[best].ground) <= _NEAR
    return bool(
        not panels[place].written and panels[place].variety > _PLAIN and worth[place] >= _RIVAL * worth[best] and near
    )


def _is_mounting(panel: Panel, mounting: list[np.ndarray]) -> bool:
    return panel.variety < _PLAIN and any(np.linalg.norm(panel.ground - colour) <= _MOUNTING for colour in mounting)


def _seams(side: Profile, least: float) -> list[int]:
    """Where two pieces meet along a whole line: one step of colour throughout.

    A shore or a roof is interrupted, or changes its colours along the way.
    """
    if side.depth < 8 * REACH:
        return []
    means = running_means(side.colours)
    steps = means[REACH + 1 :] - means[: -REACH - 1]  # one line left out between
    typical = np.median(steps, axis=1, keepdims=True)
    size = np.linalg.norm(typical, axis=2)
    alike = (steps * typical).sum(axis=2) > 0.4 * size**2
    share = np.where(size[:, 0] > _STEP, alike.mean(axis=1), 0.0)
    found = []
    while share.max() >= least:
        best = np.flatnonzero(share == share.max())
        place = int(best[size[best, 0].argmax()])
        found.append(place + REACH)
        share[max(0, place - 2 * REACH) : place + 2 * REACH + 1] = 0
    return sorted(found)

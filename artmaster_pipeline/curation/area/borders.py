"""Borders around a painting: margins of a scan, mounting silk, brocade and frames, taken off one after another.

A border is a strip along a side, much the same from end to end, that ends at a straight edge. Blank paper has no such
edge, and a sky above a straight shore has no like on another side. So the strips of all four sides are judged together.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from artmaster_pipeline.curation.area.edges import Profile, edges_along, profile
from artmaster_pipeline.curation.boxes import Box

SIDES = ("top", "bottom", "left", "right")
_OPPOSITE = {"top": "bottom", "bottom": "top", "left": "right", "right": "left"}
_ROUNDS = 6  # nested borders: scanner's lid, photograph's edge, mounting, brocade, frame
_DEEPEST = 0.45  # of the box's side, for one border
_TRIED = 4  # edges a side
_LEAST = 0.35  # share of a side along which a border's edge must run, where the painting is narrower than the mounting
_EDGE = 0.6  # share of the painting's side along which it must run
_AROUND = 0.75  # the same, on the mean of four sides, and for each deep one
_SURE = 0.8  # the same, where less speaks for the border
_DOUBTFUL = 0.9  # the same, where it is said that there may be a border
_SEAM = 0.85  # the same, where nothing else does
_REACHING = 0.6  # of the box's shorter side, for one border; what is deeper is a colophon or the like
_SLIVER = 0.02  # of the side: a rim that is always taken off
_THIN = 0.06  # of the side: so narrow a strip at the scan's own rim needs no second one like it
_NARROW = 0.12  # the same, where its edge is certain
_DEEP = 0.2  # of the side: such strips must be ended by edges that are sure
_CERTAIN = 0.95  # an edge that runs along so much of a side is one of a border, if anything speaks for that
_SAME = 6.0  # CIELAB: of one material
_ALIKE = 10.0  # CIELAB: of one material in another light
_UNIFORM = 0.8  # share of a strip that is alike from end to end; labels, seals and wear are the rest
_EVEN = 0.9  # the same, where little else speaks for it
_LARGELY = 0.6  # the same, where the edge is certain
_MARGIN = 0.25  # of the side: a margin with a colour chart or a ruler in it
_SMALLEST = 0.06  # of a box: what is left of it at least


@dataclass(frozen=True)
class Strip:
    """What lies between a side of a box and a straight edge."""

    depth: int
    share: float  # the depth, of the box's side
    colour: np.ndarray
    near: np.ndarray  # sums of the stretches that have an edge there, from the first one on
    uniform: float
    margin: bool  # at its edge it is of a colour that was taken off already, whatever lies outside: a colour chart
    flat: bool  # of one colour to the last level, as only a scanner's lid or a computer makes it
    outermost: bool  # it reaches to the scan's own rim
    sliver: bool  # it is a rim a few pixels wide
    support: float = 0.0  # share of the painting's side along which the edge runs


@dataclass
class Peeled:
    """The box that is left, the colours of what was taken off, and sides where something could have been one too."""

    box: Box
    colours: list[np.ndarray] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)


def peel(lab: np.ndarray, box: Box, scan: Box, colours: Iterable[np.ndarray] = ()) -> Peeled:
    """Take border after border off `box`; a strip is outermost where it touches the rim of `scan`.

    `colours` are of borders that were taken off before.
    """
    peeled = Peeled(box, list(colours))
    for _ in range(_ROUNDS):
        tried = _strips(lab, peeled, scan)
        kept = _believed(tried, peeled)
        if not kept:
            peeled.doubtful = [side for side in SIDES if any(_is_doubtful(strip) for strip in tried[side])]
            break
        peeled.box = _without(peeled.box, {side: strip.depth for side, strip in kept.items()})
        peeled.colours += [strip.colour for strip in kept.values() if not strip.sliver]
    return peeled


def lines_of(lab: np.ndarray, box: Box, side: str) -> np.ndarray:
    """The lines of a box, (depth, along, 3), beginning at that side."""
    inner = lab[box.top : box.bottom, box.left : box.right]
    inner = inner if side in ("top", "bottom") else inner.transpose(1, 0, 2)
    return inner if side in ("top", "left") else inner[::-1]


def _without(box: Box, depths: dict[str, int]) -> Box:
    return Box(
        box.left + depths.get("left", 0),
        box.top + depths.get("top", 0),
        box.right - depths.get("right", 0),
        box.bottom - depths.get("bottom", 0),
    )


def _strips(lab: np.ndarray, peeled: Peeled, scan: Box) -> dict[str, list[Strip]]:
    """For each side the strips that are borders by their looks."""
    box = peeled.box
    if min(box.width, box.height) < 32:
        return {side: [] for side in SIDES}
    found = {}
    for side in SIDES:
        gone = abs(getattr(box, side) - getattr(scan, side))
        found[side] = _strips_of(profile(lines_of(lab, box, side)), peeled.colours, gone, min(box.width, box.height))
    return found


def _strips_of(side: Profile, known: list[np.ndarray], gone: int, short: int) -> list[Strip]:
    """The strips at a side that has lost `gone` lines already, of a box whose shorter side is `short`."""
    found = []
    rim = max(4, _SLIVER * side.depth)
    outermost = gone <= rim
    edges = edges_along(side, _LEAST, int(min(_DEEPEST * side.depth, _REACHING * short)))
    for edge in sorted(edges, key=lambda edge: -edge.support)[:_TRIED]:
        colour, uniform, spread = _looks(side.colours[: edge.start])
        sliver = bool(gone + edge.end <= rim and edge.support >= _SEAM)
        last = side.colours[max(0, edge.start - 5) : max(1, edge.start - 1)].mean(axis=0)
        margin = edge.end <= _MARGIN * side.depth and _is_of(last, known)
        largely = edge.support >= _CERTAIN and edge.end <= _DEEP * side.depth
        enough = _LARGELY if largely else _UNIFORM
        if not (sliver or uniform >= enough or margin):
            continue
        near = np.concatenate([[0], np.cumsum(edge.hits)])
        flat = bool(spread < 1.5 and (colour[0] > 96 or colour[0] < 8))
        found.append(Strip(edge.end, edge.end / side.depth, colour, near, uniform, margin, flat, outermost, sliver))
    return found


def _is_of(stretches: np.ndarray, known: Iterable[np.ndarray]) -> bool:
    """Whether nearly all stretches have a colour that was taken off already: the margin behind a colour chart."""
    return any((np.linalg.norm(stretches - colour, axis=1) <= _SAME).mean() >= 0.8 for colour in known)


def _looks(colours: np.ndarray) -> tuple[np.ndarray, float, float]:
    """A strip's colour, how much of it is alike from end to end, and how far the rest is from it.

    Judged block by block of its depth, since a frame has mouldings, and over three stretches together, which evens out
    the pattern of a brocade.
    """
    depth, stretches = colours.shape[:2]
    starts = np.arange(0, depth, max(4, -(-depth // 4)))
    blocks = np.add.reduceat(colours, starts, axis=0) / np.diff([*starts, depth])[:, None, None]
    wide = blocks[:, : stretches // 3 * 3].reshape(len(blocks), -1, 3, 3).mean(axis=2)
    distance = np.linalg.norm(wide - np.median(wide, axis=1, keepdims=True), axis=2)
    colour = np.median(wide.reshape(-1, 3), axis=0)
    spread = np.percentile(np.linalg.norm(blocks.reshape(-1, 3) - colour, axis=1), 80)
    return colour, float((distance <= _SAME).mean()), float(spread)


def _believed(tried: dict[str, list[Strip]], peeled: Peeled) -> dict[str, Strip]:
    """The strips, at most one a side, that together are best borne out by their edges."""
    slivers = {side: next((strip for strip in strips if strip.sliver), None) for side, strips in tried.items()}
    if any(slivers.values()):
        return {side: strip for side, strip in slivers.items() if strip}
    best: dict[str, Strip] = {}
    most = 0.0
    for chosen in itertools.product(*([None, *tried[side]] for side in SIDES)):
        strips = _in_rectangle({side: strip for side, strip in zip(SIDES, chosen, strict=True) if strip})
        worth = sum(strip.support - _EDGE + 0.05 for strip in strips.values())
        if worth > most and all(_is_believed(side, strips, peeled.colours) for side in strips):
            best, most = strips, worth
    return best


def _in_rectangle(strips: dict[str, Strip]) -> dict[str, Strip]:
    """The strips with their edges' support along the rectangle that they leave; none where too little is left."""
    shares = {side: strips[side].share if side in strips else 0.0 for side in SIDES}
    across, down = 1 - shares["left"] - shares["right"], 1 - shares["top"] - shares["bottom"]
    if across <= 0 or down <= 0 or across * down < _SMALLEST:
        return {}
    found = {}
    for side, strip in strips.items():
        ends = ("left", "right") if side in ("top", "bottom") else ("top", "bottom")
        number = len(strip.near) - 1
        start, end = round(shares[ends[0]] * number), max(1, round((1 - shares[ends[1]]) * number))
        found[side] = replace(strip, support=float(strip.near[end] - strip.near[start]) / max(1, end - start))
    return found


def _is_doubtful(strip: Strip) -> bool:
    along = float(strip.near[-1]) / (len(strip.near) - 1)
    return strip.share <= _MARGIN and along >= _DOUBTFUL


def _is_believed(side: str, strips: dict[str, Strip], known: list[np.ndarray]) -> bool:
    """Whether enough speaks for a strip: itself, the others around, its opposite, or what was taken off before."""
    strip = strips[side]
    deep = strip.share > _DEEP
    if strip.support < _EDGE:
        return False
    return bool(
        (strip.flat and not (deep and len(strips) == 1))
        or _is_around(strip, strips)
        or _is_pair(strip, strips.get(_OPPOSITE[side]))
        or (strip.support >= (_SEAM if deep else _SURE) and _has_company(side, strips, known))
    )


def _is_around(strip: Strip, strips: dict[str, Strip]) -> bool:
    """Whether it is one of four that lie around the painting, all together well borne out."""
    together = float(np.mean([other.support for other in strips.values()]))
    return bool(len(strips) == len(SIDES) and min(together, strip.support + 1 - (strip.share > _DEEP)) >= _AROUND)


def _has_company(side: str, strips: dict[str, Strip], known: list[np.ndarray]) -> bool:
    """For a strip whose edge is sure: two others, one of its colour, or the scan's own rim beside it."""
    strip = strips[side]
    if len(strips) == 3:
        return True
    if strip.margin or (strip.uniform >= _EVEN and _is_near(strip, known)):
        return strip.support >= _SEAM
    if _is_near(strip, [other.colour for name, other in strips.items() if name != side]):
        return strip.outermost
    certain = strip.support >= _CERTAIN and strip.uniform >= _EVEN
    return strip.outermost and strip.share <= (_NARROW if certain else _THIN) and strip.support >= _SEAM


def _is_near(strip: Strip, colours: Iterable[np.ndarray]) -> bool:
    return any(np.linalg.norm(colour - strip.colour) <= _SAME for colour in colours)


def _is_pair(strip: Strip, opposite: Strip | None) -> bool:
    """Whether two opposite strips are of one material; strips of about one depth need be less sure."""
    if opposite is None:
        return False
    apart = np.linalg.norm(opposite.colour - strip.colour)
    if min(strip.share, opposite.share) >= 0.75 * max(strip.share, opposite.share) and apart <= _SAME:
        return min(strip.support, opposite.support) >= 0.7
    return bool(apart <= _ALIKE and min(strip.support, opposite.support) >= (_SEAM if strip.share > _DEEP else _SURE))

"""Borders around a painting: margins of a scan, mounting silk, brocade and frames, taken off one after another.

A border is a strip along a side, much the same from end to end, that ends at a straight edge. Blank paper has no such
edge, and a sky above a straight shore has no like on another side.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from artmaster_pipeline.curation.area.edges import REACH, Profile, candidates, profile
from artmaster_pipeline.curation.boxes import Box

SIDES = ("top", "bottom", "left", "right")
_OPPOSITE = {"top": "bottom", "bottom": "top", "left": "right", "right": "left"}
_ROUNDS = 6  # nested borders: scanner's lid, photograph's edge, mounting, brocade, frame
_DEEPEST = 0.45  # of the box's side, for one border
_LEAST = 0.4  # share of a side along which a border's edge must run
_EDGE = 0.75  # the same, of what the border leaves of that side
_SEAM = 0.85  # the same, where nothing else speaks for the border
_THIN = 0.06  # of the scan's side: so narrow a strip at the scan's own rim needs no second one like it
_SLIVER = 0.012  # of the side
_SAME = 6.0  # CIELAB: of one material
_ALIKE = 10.0  # CIELAB: of one material in another light
_UNIFORM = 0.8  # share of a strip's cells of one colour; labels, seals and wear are the rest


@dataclass(frozen=True)
class Strip:
    """What lies between a side of a box and a straight edge."""

    depth: int
    share: float  # the depth, of the box's side
    colour: np.ndarray
    support: float
    flat: bool  # of one colour to the last level, as only a scanner's lid or a computer makes it
    outermost: bool  # it reaches to the scan's own rim
    sliver: bool  # it is a rim a few pixels wide


@dataclass
class Peeled:
    """The box that is left, the colours of what was taken off, and what could have been a border too."""

    box: Box
    colours: list[np.ndarray] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)


def peel(lab: np.ndarray, box: Box, scan: Box) -> Peeled:
    """Take border after border off `box`; a strip counts as the scan's rim where it touches `scan`."""
    peeled = Peeled(box)
    for _ in range(_ROUNDS):
        strips = _strips(lab, peeled, scan)
        kept = {side: strip for side, strip in strips.items() if _is_believed(side, strip, strips, peeled.colours)}
        peeled.doubtful = [side for side, strip in strips.items() if side not in kept and strip.support >= _SEAM]
        if not kept:
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


def _strips(lab: np.ndarray, peeled: Peeled, scan: Box) -> dict[str, Strip]:
    box = peeled.box
    if min(box.width, box.height) < 32:
        return {}
    found = {}
    for side in SIDES:
        strip = _strip(profile(lines_of(lab, box, side)), peeled.colours, getattr(box, side) == getattr(scan, side))
        if strip is not None:
            found[side] = strip
    return found


def _strip(side: Profile, known: list[np.ndarray], outermost: bool) -> Strip | None:
    """The outermost strip that is a border by its looks."""
    for depth in candidates(side, _LEAST, int(_DEEPEST * side.depth)):
        colour, uniform, spread = _looks(side.colours[:depth])
        support = _support(side, depth, colour)
        sliver = outermost and depth <= max(4, _SLIVER * side.depth) and support >= _SEAM
        last = side.colours[max(0, depth - 5) : max(1, depth - 1)].mean(axis=0)
        if support < _EDGE or not (sliver or uniform >= _UNIFORM or _is_of(last, known)):
            continue
        flat = bool(spread < 1.5 and (colour[0] > 96 or colour[0] < 8))
        return Strip(depth, depth / side.depth, colour, support, flat, outermost, sliver)
    return None


def _support(side: Profile, depth: int, colour: np.ndarray) -> float:
    """Share of the stretches with an edge at that line, those left out at both ends where the border goes on inwards.

    So the edge of a painting is whole although the mounting is wider than the painting.
    """
    near = side.near[depth]
    inside = side.colours[depth + 1 : depth + 1 + 2 * REACH].mean(axis=0)
    border = ~near & (np.linalg.norm(inside - colour, axis=1) <= _SAME)
    others = np.flatnonzero(~border)
    if not len(others) or near.mean() < _LEAST:
        return 0.0
    return float(near[others[0] : others[-1] + 1].mean())


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


def _is_believed(side: str, strip: Strip, strips: dict[str, Strip], known: list[np.ndarray]) -> bool:
    if strip.flat or strip.sliver or len(strips) >= 3:
        return True
    if any(np.linalg.norm(colour - strip.colour) <= _SAME for colour in known):
        return True
    if any(np.linalg.norm(other.colour - strip.colour) <= _SAME for name, other in strips.items() if name != side):
        return True
    opposite = strips.get(_OPPOSITE[side])
    if opposite and np.linalg.norm(opposite.colour - strip.colour) <= _ALIKE:
        return True
    return strip.outermost and strip.share <= _THIN and strip.support >= _SEAM

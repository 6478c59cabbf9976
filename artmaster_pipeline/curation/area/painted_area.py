"""Where in a scan the painting is: margins, frames, mountings and the ground around a fan are left out.

A margin is taken off only where a straight, sharp edge ends it: blank paper and mist belong to the painting.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.curation.boxes import Box

_ROUNDS = 4  # nested borders: scanner bed, mounting, inner frame
_DEEPEST = 0.45  # of the side, for one border
_THIN = 0.06  # a border up to this share needs no second one like it
_NOTICEABLE = 7.0  # CIELAB distance from the border's colour that is not the border any more
_PATTERNED = 12.0  # CIELAB: a rim of more colours than this is brocade or painting, not one border
_STRAIGHT = 0.6  # share of the edge's points that must lie on one line
_SEAM = 0.9  # share of a line at which two pieces of paper or silk meet
_LARGEST_PANEL = 0.4  # of the box: what a panel needs to be taken for the painting
_RAGGED = 2.0  # squared outline over that of a disc of the same area: a fan has 1.6, mountains on paper 2.5 and more
_STEEPEST = 0.06  # skew that is tolerated: 3.4 degrees


@dataclass(frozen=True)
class PaintedArea:
    """The box that holds the painting, and a mask of the whole picture that is false on the ground around a shape."""

    box: Box
    mask: np.ndarray


def painted_area(lab: np.ndarray) -> PaintedArea:
    """Find the painting in a CIELAB picture (height, width, 3); boxes are in its pixels."""
    box = Box(0, 0, lab.shape[1], lab.shape[0])
    for _ in range(_ROUNDS):
        peeled = _main_panel(lab, _peel(lab, box))
        if peeled == box:
            break
        box = peeled
    return PaintedArea(box, _shape_mask(lab, box))


@dataclass(frozen=True)
class _Border:
    depth: int  # pixels to take off
    colour: np.ndarray
    flat: bool  # of one colour to the last level, as only a scanner's lid or a computer makes it


def _peel(lab: np.ndarray, box: Box) -> Box:
    inner = lab[box.top : box.bottom, box.left : box.right]
    sides = {
        "top": inner,
        "bottom": inner[::-1],
        "left": inner.transpose(1, 0, 2),
        "right": inner.transpose(1, 0, 2)[::-1],
    }
    found = {side: border for side, lines in sides.items() if (border := _border(lines))}
    kept = {side: border.depth for side, border in found.items() if _is_believed(side, border, found, sides[side])}
    return Box(
        box.left + kept.get("left", 0),
        box.top + kept.get("top", 0),
        box.right - kept.get("right", 0),
        box.bottom - kept.get("bottom", 0),
    )


def _is_believed(side: str, border: _Border, found: dict[str, _Border], lines: np.ndarray) -> bool:
    """A deep border is one only if another side has its like, or if it is flat; a sky above a straight shore is not."""
    if border.depth <= max(3, _THIN * len(lines)) or border.flat:
        return True
    others = [other.colour for name, other in found.items() if name != side]
    return any(np.linalg.norm(other - border.colour) < 12 for other in others)


def _border(lines: np.ndarray) -> _Border | None:
    """The border at the first of `lines` (depth, along, 3), or None where no straight sharp edge ends one."""
    depth, along = lines.shape[:2]
    rim = lines[: max(2, depth // 150)].reshape(-1, 3)
    colour = np.median(rim, axis=0)
    spread = float(np.percentile(np.linalg.norm(rim - colour, axis=1), 80))
    reach = int(_DEEPEST * depth)
    if reach < 8 or along < 8 or spread > _PATTERNED:
        return None
    cut = _edge(lines, colour, spread, reach)
    if cut is None:
        return None
    return _Border(min(cut, reach), colour, spread < 1.5 and bool(colour[0] > 96 or colour[0] < 8))


def _edge(lines: np.ndarray, colour: np.ndarray, spread: float, reach: int) -> int | None:
    """How many of `lines` lie outside the straight sharp edge at which the border's colour ends; None without one."""
    depth, along = lines.shape[:2]
    distance = np.linalg.norm(lines[: reach + 4] - colour, axis=2)
    outside = distance > max(_NOTICEABLE, 2.0 * spread)
    # two in a row, so that a speck of dust is no edge
    start = outside[:-1] & outside[1:]
    first = np.where(start.any(axis=0), start.argmax(axis=0), -1)
    places = np.flatnonzero((first >= 0) & (first < reach))
    if len(places) < 0.4 * along:
        return None
    slope, offset = _line(places, first[places])
    on_line = np.abs(first[places] - (offset + slope * places)) <= max(1.5, 0.008 * depth)
    straight = on_line.mean() >= _STRAIGHT and on_line.sum() >= 0.4 * along and abs(slope) <= _STEEPEST
    if not straight or not _is_sharp(lines, places[on_line], first[places][on_line]):
        return None
    ends = offset + slope * np.array([places[0], places[-1]])
    return max(int(np.ceil(ends.max())), 0) + 1 + depth // 250


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope and offset of the line most points lie on: least squares, trimmed to the nearer points five times over."""
    chosen = np.abs(y - np.median(y)) <= max(2.0, np.percentile(np.abs(y - np.median(y)), 70))
    slope, offset = 0.0, float(np.median(y))
    for _ in range(5):
        if chosen.sum() < 8:
            break
        slope, offset = np.polyfit(x[chosen], y[chosen], 1)
        miss = np.abs(y - (offset + slope * x))
        chosen = miss <= max(1.5, np.percentile(miss, 60))
    return float(slope), float(offset)


def _is_sharp(lines: np.ndarray, places: np.ndarray, first: np.ndarray) -> bool:
    """Whether the colour jumps at the edge within a few pixels; a sky that darkens by and by does not."""
    reach = 2
    before = lines[np.maximum(first - reach, 0), places]
    after = lines[np.minimum(first + reach, len(lines) - 1), places]
    return bool(np.median(np.linalg.norm(after - before, axis=1)) > 0.8 * _NOTICEABLE)


def _main_panel(lab: np.ndarray, box: Box) -> Box:
    """The largest of the panels that straight seams across the whole box divide it into: colophon, gap or painting.

    Unchanged where there is no seam, or where no panel is large enough to be clearly the painting.
    """
    inner = lab[box.top : box.bottom, box.left : box.right]
    down = _largest_between(_seams(inner), inner.shape[0])
    across = _largest_between(_seams(inner.transpose(1, 0, 2)), inner.shape[1])
    panel = Box(box.left + across[0], box.top + down[0], box.left + across[1], box.top + down[1])
    return panel if panel.width * panel.height >= _LARGEST_PANEL * box.width * box.height else box


def _seams(lines: np.ndarray) -> list[int]:
    """Where two grounds meet along a whole line of `lines` (depth, along, 3): pieces of paper or silk set together.

    A shore or a roof is interrupted, or changes its colours along the way; a seam has one step of colour throughout.
    """
    reach = 3
    if len(lines) < 16 * reach:
        return []
    points = lines[:, :: max(1, lines.shape[1] // 256)]
    means = (points[:-2] + points[1:-1] + points[2:]) / reach
    steps = means[reach + 1 :] - means[: -reach - 1]  # from the three lines before to the three after, one left out
    typical = np.median(steps, axis=1, keepdims=True)
    size = np.linalg.norm(typical, axis=2)
    alike = (steps * typical).sum(axis=2) > 0.5 * size**2
    share = np.where(size[:, 0] > _NOTICEABLE, alike.mean(axis=1), 0.0)
    found = []
    while share.max() >= _SEAM:
        place = int(share.argmax())
        found.append(place + reach)
        share[max(0, place - 2 * reach) : place + 2 * reach + 1] = 0
    return found


def _largest_between(seams: list[int], length: int) -> tuple[int, int]:
    margin = 3 + length // 200
    edges = [-margin, *sorted(seams), length + margin]
    start, end = max(itertools.pairwise(edges), key=lambda pair: pair[1] - pair[0])
    return start + margin, end - margin


def _shape_mask(lab: np.ndarray, box: Box) -> np.ndarray:
    """True where the painting may be: everywhere in the box, or in the fan or round leaf that lies on a flat ground."""
    mask = np.zeros(lab.shape[:2], bool)
    inner = lab[box.top : box.bottom, box.left : box.right]
    shape = _leaf(inner) if min(inner.shape[:2]) >= 32 else None
    mask[box.top : box.bottom, box.left : box.right] = True if shape is None else shape
    return mask


def _leaf(inner: np.ndarray) -> np.ndarray | None:
    """The mask of a fan or a leaf on a ground of one colour; None where the picture is ink on its own paper.

    A leaf is told by its outline: one piece, all around it ground, and either convex or, for a fan, on a ground that
    only a scanner's lid or a computer makes. Brushwork is ragged, and a sitter is cut off by the picture's edge.
    """
    from scipy import ndimage
    from skimage.measure import label, regionprops

    rim = np.concatenate([inner[0], inner[-1], inner[:, 0], inner[:, -1]])
    colour = np.median(rim, axis=0)
    spread = np.percentile(np.linalg.norm(rim - colour, axis=1), 60)
    pieces = label(np.linalg.norm(inner - colour, axis=2) <= _NOTICEABLE, connectivity=1)
    edges = (pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1])
    touching = np.unique(np.concatenate(edges))
    ground = np.isin(pieces, touching[touching > 0])
    sides = [float(ground_side.mean()) for ground_side in (ground[0], ground[-1], ground[:, 0], ground[:, -1])]
    radius = max(2, round(0.006 * max(inner.shape[:2])))
    shapes = label(_opened(ndimage.binary_fill_holes(~ground), radius))
    if min(sides) < 0.4 or not shapes.any():
        return None
    leaf = max(regionprops(shapes), key=lambda region: region.area)
    digital = spread < 1.5 and (colour[0] > 96 or colour[0] < 8) and min(sides) > 0.98
    round_enough = leaf.perimeter**2 / (4 * np.pi * leaf.area) < _RAGGED
    if not (0.1 < leaf.area / ground.size < 0.97 and round_enough and leaf.solidity > (0.65 if digital else 0.93)):
        return None
    return ndimage.binary_erosion(shapes == leaf.label, iterations=3)


def _opened(shape: np.ndarray, radius: int) -> np.ndarray:
    """Morphological opening by a disc, through distances, which stays fast for large discs."""
    from scipy.ndimage import distance_transform_edt

    eroded = distance_transform_edt(np.pad(shape, 1))[1:-1, 1:-1] > radius
    return distance_transform_edt(~eroded) <= radius if eroded.any() else eroded

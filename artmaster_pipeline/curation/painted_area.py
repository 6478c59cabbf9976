"""Where in a scan the painting is: margins, frames, mountings and the ground around a fan are left out.

A margin is taken off only where a straight, sharp edge ends it: blank paper and mist belong to the painting.
"""

from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.curation.windows import Box

_ROUNDS = 4  # nested borders: scanner bed, mounting, inner frame
_DEEPEST = 0.45  # of the side, for one border
_THIN = 0.06  # a border up to this share needs no second one like it
_NOTICEABLE = 7.0  # CIELAB distance from the border's colour that is not the border any more
_STRAIGHT = 0.6  # share of the edge's points that must lie on one line
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
        peeled = _peel(lab, box)
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
    reach = int(_DEEPEST * depth)
    if reach < 8 or along < 8:
        return None
    rim = lines[: max(2, depth // 150)].reshape(-1, 3)
    colour = np.median(rim, axis=0)
    spread = np.percentile(np.linalg.norm(rim - colour, axis=1), 80)
    if spread > 12:
        return None
    distance = np.linalg.norm(lines[: reach + 4] - colour, axis=2)
    outside = distance > max(_NOTICEABLE, 2.0 * spread)
    # two in a row, so that a speck of dust is no edge
    start = outside[:-1] & outside[1:]
    first = np.where(start.any(axis=0), start.argmax(axis=0), -1)
    places = np.flatnonzero((first >= 0) & (first < reach))
    if len(places) < 0.4 * along:
        return None
    slope, offset = _line(places, first[places])
    expected = offset + slope * places
    on_line = np.abs(first[places] - expected) <= max(1.5, 0.008 * depth)
    if on_line.mean() < _STRAIGHT or on_line.sum() < 0.4 * along or abs(slope) > _STEEPEST:
        return None
    if not _is_sharp(lines, places[on_line], first[places][on_line]):
        return None
    ends = offset + slope * np.array([places[0], places[-1]])
    cut = int(np.ceil(ends.max())) + 1 + depth // 250
    if cut <= 0:
        return None
    return _Border(min(cut, reach), colour, bool(spread < 1.5 and (colour[0] > 96 or colour[0] < 8)))


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


def _shape_mask(lab: np.ndarray, box: Box) -> np.ndarray:
    """True where the painting may be. A fan or a round leaf on a flat ground is told from ink on paper by its outline:
    filled up, it is one smooth piece, whereas brushwork is ragged."""
    from scipy import ndimage

    mask = np.zeros(lab.shape[:2], bool)
    mask[box.top : box.bottom, box.left : box.right] = True
    inner = lab[box.top : box.bottom, box.left : box.right]
    if min(inner.shape[:2]) < 32:
        return mask
    rim = np.concatenate(
        [inner[:2].reshape(-1, 3), inner[-2:].reshape(-1, 3), inner[:, :2].reshape(-1, 3), inner[:, -2:].reshape(-1, 3)]
    )
    colour = np.median(rim, axis=0)
    near = np.linalg.norm(inner - colour, axis=2) <= _NOTICEABLE
    labels, count = ndimage.label(near)
    touching = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    ground = np.isin(labels, touching[touching > 0])
    radius = max(2, round(0.012 * max(inner.shape[:2])))
    shape = ndimage.binary_fill_holes(~ground)
    smooth = _opened(shape, radius)
    pieces, count = ndimage.label(smooth)
    if not count:
        return mask
    sizes = ndimage.sum_labels(smooth, pieces, range(1, count + 1))
    largest = pieces == 1 + int(np.argmax(sizes))
    share = largest.mean()
    ragged = (shape ^ largest).sum() / max(largest.sum(), 1)
    if not 0.12 < share < 0.97 or ragged > 0.12:
        return mask
    mask[box.top : box.bottom, box.left : box.right] = ndimage.binary_erosion(largest, iterations=2)
    return mask


def _opened(shape: np.ndarray, radius: int) -> np.ndarray:
    """Morphological opening by a disc, through distances, which stays fast for large discs."""
    from scipy.ndimage import distance_transform_edt

    eroded = distance_transform_edt(np.pad(shape, 1))[1:-1, 1:-1] > radius
    return distance_transform_edt(~eroded) <= radius if eroded.any() else eroded

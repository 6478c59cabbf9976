"""Pictures that are not rectangles: fans, round leaves, torn silk, on a ground of one colour."""

from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.curation.boxes import Box

_NOTICEABLE = 7.0  # CIELAB distance from the ground's colour that is not ground any more
_RAGGED = 2.0  # squared outline over that of a disc of the same area: a fan has 1.6, mountains on paper 2.5 and more
_CONVEX = 0.97  # of its hull a leaf fills at least; a fan less
_FAN = 0.65
_SHARES = (0.1, 0.97)  # of the box
_FULL = 0.95  # of its own rectangle: a picture that fills it is a rectangle
_INSET = 0.012  # of the shorter side: what a border may have left at the rim
_OPEN = 0.25  # of each side of the box that is ground: a leaf may all but touch it
_MANY = 90_000  # pixels; of more, every other one is enough to tell a shape
_POINTS = 120  # of an outline
_LONGEST = 5  # times as long as high: a handscroll, and no leaf
_EVEN = 4.0  # CIELAB: of the ground's rim, three fifths are that near to one even colour


@dataclass(frozen=True)
class Leaf:
    """The mask of a leaf in a box, (height, width), and its outline as (x, y) of the box."""

    mask: np.ndarray
    outline: list[tuple[float, float]]


def leaf_in(lab: np.ndarray, box: Box) -> Leaf | None:
    """The fan or leaf on the ground of that box; None where the picture fills the box, or is ink on its own paper.

    A leaf is told by its outline: one piece, all around it ground, and either convex or, for a fan, on a ground that
    only a scanner's lid or a computer makes. Brushwork is ragged, and a sitter is cut off by the picture's edge.
    """
    if min(box.width, box.height) < 40 or max(box.width, box.height) > _LONGEST * min(box.width, box.height):
        return None
    inset = max(2, round(_INSET * min(box.width, box.height)))
    inner = lab[box.top + inset : box.bottom - inset, box.left + inset : box.right - inset]
    step = 1 + (inner.shape[0] * inner.shape[1] > _MANY)
    shape = _shape(inner[::step, ::step])
    if shape is None:
        return None
    return _drawn(np.pad(shape.repeat(step, 0).repeat(step, 1)[: inner.shape[0], : inner.shape[1]], inset))


def _shape(inner: np.ndarray) -> np.ndarray | None:
    """The mask of the fan or leaf in a picture, or None."""
    from scipy import ndimage
    from skimage.measure import label, regionprops

    ground, flat = _ground(inner)
    if ground is None:
        return None
    radius = max(2, round(0.006 * max(inner.shape[:2])))
    shapes = label(_opened(ndimage.binary_fill_holes(~ground), radius))
    if not shapes.any():
        return None
    leaf = max(regionprops(shapes), key=lambda region: region.area)
    rounded = leaf.perimeter**2 / (4 * np.pi * leaf.area) < _RAGGED
    share = leaf.area / ground.size
    if not (_SHARES[0] < share < _SHARES[1] and rounded and leaf.solidity > (_FAN if flat else _CONVEX)):
        return None
    if leaf.extent > _FULL:
        return None
    return ndimage.binary_erosion(shapes == leaf.label, iterations=2)


def _ground(inner: np.ndarray) -> tuple[np.ndarray | None, bool]:
    """Where the ground is that comes in from the sides, and whether it is of one colour to the last level."""
    from skimage.measure import label

    distance, spread, colour = _from_rim(inner)
    if np.percentile(np.concatenate((distance[0], distance[-1], distance[:, 0], distance[:, -1])), 60) > _EVEN:
        return None, False
    pieces = label(distance <= _NOTICEABLE, connectivity=1)
    touching = np.unique(np.concatenate((pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1])))
    ground = np.isin(pieces, touching[touching > 0])
    sides = [float(line.mean()) for line in (ground[0], ground[-1], ground[:, 0], ground[:, -1])]
    flat = bool(spread < 1.5 and (colour[0] > 96 or colour[0] < 8) and min(sides) > 0.98)
    return (ground if min(sides) >= _OPEN else None), flat


def _from_rim(inner: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """How far each colour is from that of the rim there, how far the rim is from its own median, and that.

    A lamp that lights one side more is allowed for: the rim's colour is a curved surface over the picture.
    """
    height, width = inner.shape[:2]
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=2).astype(np.float32)
    at_rim = np.ones((height, width), bool)
    at_rim[1:-1, 1:-1] = False
    rim, where = inner[at_rim], terms[at_rim]
    colour = np.median(rim, axis=0)
    apart = np.linalg.norm(rim - colour, axis=1)
    near = apart <= max(4 * _NOTICEABLE, np.percentile(apart, 60))
    for _ in range(3):
        surface, *_ = np.linalg.lstsq(where[near], rim[near], rcond=None)
        miss = np.linalg.norm(rim - where @ surface, axis=1)
        near = miss <= max(_NOTICEABLE / 2, np.percentile(miss, 60))
    return np.linalg.norm(inner - terms @ surface, axis=2), float(np.percentile(apart, 60)), colour


def _opened(shape: np.ndarray, radius: int) -> np.ndarray:
    """Morphological opening by a disc, through distances, which stays fast for large discs."""
    from scipy.ndimage import distance_transform_edt

    eroded = distance_transform_edt(np.pad(shape, 1))[1:-1, 1:-1] > radius
    return distance_transform_edt(~eroded) <= radius if eroded.any() else eroded


def _drawn(mask: np.ndarray) -> Leaf | None:
    """The leaf with its outline, or None where nothing is left of it."""
    from skimage.measure import find_contours

    contours = find_contours(np.pad(mask, 1).astype(np.float32), 0.5)
    if not contours:
        return None
    longest = max(contours, key=len)[:-1] - 1
    points = longest[np.linspace(0, len(longest), min(_POINTS, len(longest)), endpoint=False).astype(int)]
    return Leaf(mask, [(float(x), float(y)) for y, x in points])

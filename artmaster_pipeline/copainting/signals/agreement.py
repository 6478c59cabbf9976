"""Whether a layout can be read back from a picture that was painted to it.

The picture is cut into superpixels, which are clustered by how they look, knowing how many regions there are and not
where. Then clusters and regions are matched.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.copainting.signals.superpixels import cut, hand_features
from artmaster_pipeline.errors import WrongUse

_COLUMNS = {
    "colour": (0, 1, 2),
    "texture": (6, 7, 8),
    "strokes": (11, 12),
}  # of `hand_features`; no place is among them
_COUNTS = {"colour": 1.0, "texture": 0.7, "strokes": 0.3}
_SHIFTS = ((0, 0.5), (0.5, 0), (0.5, 0.5), (0, 0.25), (0.25, 0))  # of the sides: maps that know nothing of the picture


@dataclass(frozen=True)
class LayoutAgreement:
    """How well the regions found in a picture agree with a label map."""

    each: dict[int, float]  # label -> the IoU of its kind's area with what was found for it
    mean: float  # over the labels
    chance: float  # the mean that the same picture reaches with maps moved around its sides, or mirrored

    @property
    def above_chance(self) -> float:
        """(mean - chance) / (1 - chance): 0 where the layout cannot be told from another, 1 where it is exact."""
        return (self.mean - self.chance) / max(1e-9, 1 - self.chance)


def layout_iou(picture: np.ndarray, label_map: np.ndarray, kinds: Mapping[int, str]) -> LayoutAgreement:
    """Read a layout back from a uint8 picture (height, width, 3), given its label map (height, width) of uint8.

    With k labels in the map (0, the ground, is one) the picture's superpixels are put in k clusters by Ward's linkage
    of colour, texture and directedness of strokes, each scaled to unit spread over the picture; place is not
    looked at. Clusters and labels are matched one to one with the largest sum of IoU_ij = |C_i and L_j| / |C_i or L_j|
    (Hungarian matching). Labels of one kind cannot be told apart by what they show: their areas, and the clusters
    matched to them, are joined before IoU_j is taken. `kinds` gives each label's kind; one that it lacks stands alone.

    `chance` is the mean of the same figure over five cyclic shifts of the map by halves and quarters of the sides and
    its two mirrorings, each matched anew. Raises WrongUse where the sizes differ.
    """
    if label_map.shape != picture.shape[:2]:
        raise WrongUse(
            f"The label map has {label_map.shape[1]} x {label_map.shape[0]} pixels and the picture "
            f"{picture.shape[1]} x {picture.shape[0]}: bring the map to the picture's size."
        )
    clusters = _clusters(picture, len(np.unique(label_map)), label_map.shape)
    each = _matched(clusters, label_map, kinds)
    others = [_matched(clusters, other, kinds) for other in _other_maps(label_map)]
    return LayoutAgreement(each, _mean(each), float(np.mean([_mean(other) for other in others])))


def _mean(each: Mapping[int, float]) -> float:
    return float(np.mean(list(each.values())))


def _clusters(picture: np.ndarray, count: int, shape: tuple[int, ...]) -> np.ndarray:
    """The cluster's number 0.. of each pixel, at the picture's size."""
    from scipy.cluster.hierarchy import fcluster, linkage

    from artmaster_pipeline.copainting.signals.regions import enlarged_map

    pixels = cut(picture)
    if count < 2 or len(pixels.sizes) < 2:
        return np.zeros(shape, np.int64)
    plain, parts = hand_features(pixels), []
    for name, columns in _COLUMNS.items():
        values = plain[:, columns]
        spread = np.sqrt(values.var(0).sum()) + 1e-6  # together: a grey picture's faint hues stay faint
        parts.append(_COUNTS[name] * (values - values.mean(0)) / spread)
    found = fcluster(linkage(np.hstack(parts), "ward"), count, "maxclust") - 1
    return enlarged_map(found[pixels.labels], shape)


def _matched(clusters: np.ndarray, label_map: np.ndarray, kinds: Mapping[int, str]) -> dict[int, float]:
    """IoU by label, after the matching."""
    from scipy.optimize import linear_sum_assignment

    names, numbers = np.unique(label_map, return_inverse=True)
    counts = np.zeros((clusters.max() + 1, len(names)))
    np.add.at(counts, (clusters.ravel(), numbers.ravel()), 1)
    found, areas = counts.sum(1, keepdims=True), counts.sum(0, keepdims=True)
    rows, columns = linear_sum_assignment(-counts / np.maximum(found + areas - counts, 1))
    of_label = [kinds.get(int(name), f"label {name}") for name in names]
    each = {}
    for column, name in enumerate(names):
        same = [other for other in range(len(names)) if of_label[other] == of_label[column]]
        matched = [row for row, taken in zip(rows, columns, strict=True) if taken in same]
        inside = counts[np.ix_(matched, same)].sum()
        union = found[matched].sum() + areas[0, same].sum() - inside
        each[int(name)] = float(inside / union) if union else 0.0
    return each


def _other_maps(label_map: np.ndarray) -> list[np.ndarray]:
    height, width = label_map.shape
    moved = [np.roll(label_map, (round(y * height), round(x * width)), (0, 1)) for y, x in _SHIFTS]
    return [*moved, label_map[::-1], label_map[:, ::-1]]

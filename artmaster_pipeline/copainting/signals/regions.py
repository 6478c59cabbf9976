"""The regions that a picture is made of: superpixels merged by colour, texture, place and what they seem to show.

Merging is Ward's (1963), of neighbours only, as agglomerative clustering with connectivity has it.
"""

from collections.abc import Iterator

import numpy as np

from artmaster_pipeline.copainting.records import MOST_REGIONS
from artmaster_pipeline.copainting.signals.found import FoundRegion, FoundRegions
from artmaster_pipeline.copainting.signals.kinds import kinds_of
from artmaster_pipeline.copainting.signals.superpixels import Superpixels, cut, hand_features
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.sample_painters.layout import KINDS

DOUBTFUL = 0.5  # a sureness below which a kind is as likely wrong as right, on paintings kept aside
_SMOOTHINGS, _OWN = 4, 0.5  # passes in which a superpixel listens to its neighbours, and what its own word counts
_ALIKE = 14.0  # CIELAB distance at which a neighbour's word counts 1/e
_COLOUR, _TEXTURE, _PLACE, _KIND = 1 / 30, 0.2, 0.25, 2.0  # what merging counts
_COST = 0.02  # of the spread a merge adds, as a share of the picture, above which regions stay apart
_SMALL = 0.012  # of the picture: a smaller region goes to the neighbour that is most like it


def regions_of(picture: np.ndarray, *, drawn: bool = False, most: int = MOST_REGIONS) -> FoundRegions:
    """The regions of a uint8 picture (height, width, 3), at most `most` of them, labelled from the top down.

    `drawn` reads a layout that a person drew instead, in flat colours or closed outlines (`drawn.read_layout`).
    A region's sureness is the mean probability, over its area, that the readout gives its kind: on paintings kept
    aside, a kind said with 0.5 was right in half of the cases, and one said with 0.9 in nine of ten.
    Raises WrongUse where `most` is not 1 to 12 or the picture is smaller than 32 pixels on a side, BadInput for a drawn
    layout in which nothing is found, MissingRequirement where a file of the installation is not there.
    """
    _check(picture, most)
    if drawn:
        from artmaster_pipeline.copainting.signals.drawn import read_layout

        return read_layout(picture, most)
    pixels = cut(picture)
    chances = _listened(pixels, kinds_of(pixels)[0])
    of_superpixel = _merged(pixels, chances, most)
    return found_of(pixels, of_superpixel, chances, picture.shape[:2])


def _check(picture: np.ndarray, most: int) -> None:
    faults = []
    if not 1 <= most <= MOST_REGIONS:
        faults.append(f"{most} regions are asked for: 1 to {MOST_REGIONS} can be had")
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        faults.append("the picture is not 8-bit RGB: convert it first")
    elif min(picture.shape[:2]) < 32:
        height, width = picture.shape[:2]
        faults.append(f"the picture has {width} x {height} pixels, and 32 are needed on each side: name a larger one")
    if faults:
        raise WrongUse(f"No regions can be read: {'; '.join(faults)}.")


def _listened(pixels: Superpixels, chances: np.ndarray) -> np.ndarray:
    """Probabilities after superpixels have listened to neighbours of their colour, in proportion to the likeness."""
    colours = pixels.means(pixels.lab)
    apart = np.linalg.norm(colours[:, None] - colours[None], axis=2)
    weights = np.exp(-apart / _ALIKE) * pixels.neighbours()
    weights /= np.maximum(weights.sum(1, keepdims=True), 1e-9)
    heard = chances
    for _ in range(_SMOOTHINGS):
        heard = _OWN * chances + (1 - _OWN) * (weights @ heard)
        heard /= heard.sum(1, keepdims=True)
    return heard


def _merged(pixels: Superpixels, chances: np.ndarray, most: int) -> np.ndarray:
    """The region's number 0.. of each superpixel."""
    plain = hand_features(pixels)
    rows, columns = pixels.labels.shape
    y, x = np.mgrid[:rows, :columns] / max(rows, columns)
    place = pixels.means(np.stack([y, x], axis=2))
    parts = [plain[:, :3] * _COLOUR, plain[:, 6:9] * _TEXTURE, place * _PLACE, np.sqrt(chances) * _KIND]
    sizes = pixels.sizes / pixels.sizes.sum()
    return ward(np.hstack(parts), sizes, pixels.neighbours(), most, _COST, _SMALL)


def ward(
    features: np.ndarray, sizes: np.ndarray, touch: np.ndarray, most: int, cost: float, small: float
) -> np.ndarray:
    """The cluster's number 0.. of each of n neighbouring things, merged two by two.

    `features` (n, k), `sizes` (n,) summing to one, `touch` bool (n, n). Merged are the neighbours whose merging adds
    least to the spread within clusters, until no more than `most` are left and the next would add more than `cost`;
    then every cluster smaller than `small` goes to the neighbour most like it.
    """
    of = np.arange(len(sizes))
    means, weights, near = features.astype(np.float64).copy(), sizes.astype(np.float64).copy(), touch.copy()
    alive = np.ones(len(sizes), bool)
    costs = np.where(near, _costs(means, weights), np.inf)
    while alive.sum() > 1:
        keep, gone = np.unravel_index(int(costs.argmin()), costs.shape)
        tiny = alive & (weights < small)
        if not np.isfinite(costs[keep, gone]):
            break  # islands
        if alive.sum() <= most and costs[keep, gone] > cost:
            if not tiny.any():
                break
            keep = np.where(tiny, weights, np.inf).argmin()
            gone = np.where(near[keep], np.linalg.norm(means - means[keep], axis=1), np.inf).argmin()
        _merge(int(keep), int(gone), means, weights, near, alive, costs)
        of[of == gone] = keep
    return np.unique(of, return_inverse=True)[1]


def _costs(means: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What merging each two adds to the sum of squares within."""
    apart = ((means[:, None] - means[None]) ** 2).sum(2)
    both = weights[:, None] * weights[None] / np.maximum(weights[:, None] + weights[None], 1e-12)
    costs: np.ndarray = both * apart
    return costs


def _merge(
    keep: int,
    gone: int,
    means: np.ndarray,
    weights: np.ndarray,
    near: np.ndarray,
    alive: np.ndarray,
    costs: np.ndarray,
) -> None:
    both = weights[keep] + weights[gone]
    means[keep] = (weights[keep] * means[keep] + weights[gone] * means[gone]) / both
    weights[keep] = both
    near[keep] |= near[gone]
    near[:, keep] = near[keep]
    near[gone], near[:, gone], alive[gone] = False, False, False
    near[keep, keep] = False
    apart = ((means - means[keep]) ** 2).sum(1)
    row = np.where(near[keep], weights * both / (weights + both) * apart, np.inf)
    costs[keep], costs[:, keep], costs[gone], costs[:, gone] = row, row, np.inf, np.inf


def found_of(
    pixels: Superpixels, of_superpixel: np.ndarray, chances: np.ndarray, shape: tuple[int, ...]
) -> FoundRegions:
    """The regions, numbered from the top down, on a map of the picture's size."""
    order = np.argsort(list(_heights(pixels, of_superpixel)), kind="stable")
    number = np.empty(len(order), int)
    number[order] = np.arange(1, len(order) + 1)
    small = number[of_superpixel][pixels.labels].astype(np.uint8)
    labels = enlarged_map(small, shape)
    regions = []
    for label in range(1, len(order) + 1):
        chosen = number[of_superpixel] == label
        mean = np.average(chances[chosen], axis=0, weights=pixels.sizes[chosen])
        best = int(mean.argmax())
        share = float((labels == label).mean())
        regions.append(FoundRegion(label, KINDS[best], round(float(mean[best]), 3), round(share, 4)))
    return FoundRegions(labels, tuple(regions), "superpixels", in_words(regions))


def _heights(pixels: Superpixels, of_superpixel: np.ndarray) -> Iterator[float]:
    """How far down the middle of each region lies, 0..1."""
    rows = np.broadcast_to(np.arange(pixels.labels.shape[0])[:, None] / pixels.labels.shape[0], pixels.labels.shape)
    down = pixels.means(rows)
    for region in range(of_superpixel.max() + 1):
        chosen = of_superpixel == region
        yield float(np.average(down[chosen], weights=pixels.sizes[chosen]))


def enlarged_map(labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A label map (rows, columns) at the size (height, width), each pixel the nearest's label."""
    y = (np.arange(shape[0]) * labels.shape[0] // shape[0])[:, None]
    x = (np.arange(shape[1]) * labels.shape[1] // shape[1])[None, :]
    return np.ascontiguousarray(labels[y, x])


def in_words(regions: list[FoundRegion]) -> str:
    """What was found and what is doubtful, in one sentence or two."""
    doubtful = [region for region in regions if region.sureness < DOUBTFUL]
    listed = ", ".join(f"{region.label} {region.kind} ({region.sureness:.2f})" for region in regions)
    if not doubtful:
        return f"{listed}."
    names = ", ".join(f"{region.label} ({region.kind}?)" for region in doubtful)
    return f"{listed}. Doubtful, to be looked at: {names}."

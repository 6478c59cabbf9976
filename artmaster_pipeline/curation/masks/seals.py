"""Seals: small compact shapes, redder than the ground around them, with carved characters inside."""

import numpy as np

from artmaster_pipeline.curation.masks.regions import Region, outline_of

_LEVELS = (5.0, 8.0, 12.0, 18.0, 27.0)  # how much redder than around it, in CIELAB's a*
_LARGEST = 0.3  # of the painting's short side
_SMALLEST = 7  # pixels of the look
_POINTS = 24
_SURE = 0.35  # score from which a shape is taken for a seal


def find_seals(lab: np.ndarray, writing: np.ndarray) -> list[Region]:
    """The seals of a CIELAB picture (height, width, 3); `writing` is the likelihood of writing at each pixel."""
    from scipy import ndimage

    redness = _redness(lab)
    found: list[tuple[float, tuple[slice, slice], np.ndarray]] = []
    for level in _LEVELS:
        red = ndimage.binary_closing(np.pad(redness > level, 3), iterations=2)[3:-3, 3:-3]
        labels, _ = ndimage.label(red)
        for number, place in enumerate(ndimage.find_objects(labels), 1):
            if not _has_the_size(place, lab.shape):
                continue
            piece = ndimage.binary_fill_holes(labels[place] == number)
            score = _score(redness, labels, place, piece, level, writing)
            if score >= _SURE:
                found.append((score, place, piece))
    return [
        Region("seal", outline_of(piece, _POINTS, place[1].start, place[0].start), round(score, 3))
        for score, place, piece in _best_of_nested(found)
    ]


def _redness(lab: np.ndarray) -> np.ndarray:
    """How much redder each pixel is than the ground around it; 0 where its hue is not that of cinnabar."""
    from scipy import ndimage

    step = 8
    a, b = lab[..., 1], lab[..., 2]
    coarse = ndimage.median_filter(a[step // 2 :: step, step // 2 :: step], 15, mode="nearest")
    ground = ndimage.zoom(
        coarse, (a.shape[0] / coarse.shape[0], a.shape[1] / coarse.shape[1]), order=1, grid_mode=True, mode="nearest"
    )
    redder = a - np.maximum(ground, 0)
    return np.where((a > 0.35 * b) & (b > -0.35 * a), redder, 0)


def _has_the_size(place: tuple[slice, slice], shape: tuple[int, ...]) -> bool:
    height, width = place[0].stop - place[0].start, place[1].stop - place[1].start
    short = min(shape[:2])
    return (
        min(height, width) >= max(_SMALLEST, 0.008 * short)
        and max(height, width) <= _LARGEST * short
        and 1 / 5 <= width / height <= 5
    )


def _score(
    redness: np.ndarray,
    labels: np.ndarray,
    place: tuple[slice, slice],
    piece: np.ndarray,
    level: float,
    writing: np.ndarray,
) -> float:
    """The product of what a seal is: compact, ending sharply, alone on its ground, uneven inside."""
    from scipy import ndimage

    height, width = piece.shape
    side = (height * width) ** 0.5
    filled = piece.sum() / piece.size
    margin = max(3, round(0.2 * side))
    wide = tuple(slice(max(0, part.start - margin), part.stop + margin) for part in place)
    inside = np.zeros(redness[wide].shape, bool)
    inside[place[0].start - wide[0].start :, place[1].start - wide[1].start :][:height, :width] = piece
    near = redness[wide]
    ring = ndimage.binary_dilation(inside, iterations=margin) & ~ndimage.binary_dilation(inside, iterations=1)
    body = float(near[inside].mean())
    alone = 1 - float((near[ring] > level).mean()) if ring.any() else 0.0
    drop = (body - float(near[ring].mean())) / max(body, 1e-6) if ring.any() else 0.0
    carved = _carved(near, inside, side)
    written = float(writing[place][piece].max(initial=0))
    compact = _ramp(filled, 0.55, 0.75)
    return (
        compact
        * _ramp(alone, 0.6, 0.85)
        * _ramp(drop, 0.4, 0.75)
        * max(_ramp(carved, 1.0, 2.5), 0.9 * (written > 0.3))
        * _ramp(body, 4, 9)
    )


def _carved(redness: np.ndarray, inside: np.ndarray, side: float) -> float:
    """How often, along a line through it, cinnabar and paper change."""
    middle = np.median(redness[inside])
    spread = redness[inside].std()
    high = redness > middle
    across = (high[:, 1:] != high[:, :-1])[inside[:, 1:] & inside[:, :-1]].mean() if inside.any() else 0
    down = (high[1:] != high[:-1])[inside[1:] & inside[:-1]].mean() if inside.any() else 0
    return float((across + down) / 2 * side * min(1.0, spread / max(0.15 * middle, 1e-6)))


def _ramp(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _best_of_nested(
    found: list[tuple[float, tuple[slice, slice], np.ndarray]],
) -> list[tuple[float, tuple[slice, slice], np.ndarray]]:
    """Of shapes that lie in each other, at several levels, the one with the highest score, the larger where alike."""
    kept: list[tuple[float, tuple[slice, slice], np.ndarray]] = []
    for one in sorted(found, key=lambda each: -round(each[0], 1) * 1e6 - each[2].sum()):
        if all(_apart(one[1], other[1]) for other in kept):
            kept.append(one)
    return kept


def _apart(one: tuple[slice, slice], other: tuple[slice, slice]) -> bool:
    shared = 1
    for mine, its in zip(one, other, strict=True):
        shared *= max(0, min(mine.stop, its.stop) - max(mine.start, its.start))
    areas = [(place[0].stop - place[0].start) * (place[1].stop - place[1].start) for place in (one, other)]
    return shared < 0.3 * min(areas)

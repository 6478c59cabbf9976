"""Seals: small compact shapes, redder than the ground around them, with carved characters inside.

Redness is judged at three sizes of the picture, so that the lines of a large seal run together to one shape and the
grain of old silk, in which a faded seal drowns, is averaged. At each size, shapes are cut out at several thresholds (as
in maximally stable extremal regions; Matas et al., BMVC 2002). What speaks for and against a shape is weighed by a
logistic regression, whose weights were fitted to seals marked by hand.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.curation.masks.regions import Region, outline_of
from artmaster_pipeline.curation.masks.resampling import enlarged, reduced

_LEVELS = (2.5, 4.0, 6.0, 9.0, 13.0, 19.0, 27.0)  # how much redder than around it, in CIELAB
_SIDES = {1: (6, 30), 2: (24, 80), 4: (64, 220)}  # reduction: least and greatest side of a seal, in pixels of the look
_LEAST, _GREATEST = 0.012, 0.3  # sides, as shares of the painting's short side
_LONGEST = 6.0  # one side over the other
_EMPTY = 0.5  # share of its box that a shape fills at least
_SURE = 0.5
_POINTS = 24
_GROUND = 16  # pixels of the look that the ground's colour is averaged over

# Log odds that a shape is a seal
_WEIGHTS = {
    "filled": 9.75,  # share of its box
    "alone": 3.84,  # share of what surrounds it that is not as red
    "contrast": 1.22,  # log of its redness over the picture's grain
    "carved": 1.99,  # log of the changes between cinnabar and paper along a line through it
    "crisp": 3.0,  # step of redness from a pixel to the next, over its mean
    "purple": -4.0,  # radians of hue that it lies away from cinnabar, towards pink
    "restless": -2.51,  # log of the spread of lightness around it: seals stand on plain ground
    "written": 2.33,  # whether the text detector sees writing on it or beside it
    "central": -8.0,  # distance from the nearer side, as a share of the width
    "oblong": -1.4,  # log of the longer side over the shorter
    "large": 0.66,  # log of its side in pixels
}
_BIAS = -12.4
_MOST_OF_LINES = 7.0  # log odds that the lines through a shape can add
_CARVED = 0.75  # of a shape's mean redness: what is less red is paper
# A shape of at least so many pixels in which so little changes is a red leaf or a robe, whatever else speaks for it
_LEGIBLE, _UNCARVED, _EVEN = 16, 1.0, 0.05
_CINNABAR = 0.75  # its least angle of hue, in radians from a* towards b*

Place = tuple[slice, slice]


@dataclass(frozen=True)
class _Shape:
    place: Place  # in pixels of the look
    piece: np.ndarray  # bool, reduced
    reduction: int
    score: float  # below 0 for an even patch of red


def find_seals(lab: np.ndarray, writing: np.ndarray) -> list[Region]:
    """The seals of a CIELAB picture (height, width, 3); `writing` is the likelihood of writing at each pixel."""
    redness = _redness(lab)
    shapes = [shape for reduction in _SIDES for shape in _shapes(redness, lab, writing, reduction)]
    return [Region("seal", _outline(shape), round(shape.score, 3)) for shape in _best_of_overlapping(shapes, lab.shape)]


def _redness(lab: np.ndarray) -> np.ndarray:
    """How much redder each pixel is than the ground around it; browner alone is not redder, and counts against it."""
    a, b = lab[..., 1], lab[..., 2]
    redder = a - np.maximum(_ground(a), 0) - 0.4 * np.maximum(0, b - _ground(b))
    is_red = (a > 0.3 * b) & (b > -0.4 * a)
    return np.where(is_red, redder, np.minimum(redder, 0)).astype(np.float32)


def _ground(values: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    coarse = ndimage.median_filter(reduced(values, min(_GROUND, *values.shape)), 9, mode="nearest")
    return enlarged(coarse, values.shape)


def _shapes(redness: np.ndarray, lab: np.ndarray, writing: np.ndarray, reduction: int) -> Iterator[_Shape]:
    from scipy import ndimage

    if min(redness.shape) < 2 * reduction:
        return
    red = ndimage.gaussian_filter(reduced(redness, reduction), 1.2)
    some = red[::3, ::3]
    grain = 1.5 * float(np.median(np.abs(some - np.median(some))))
    light, a, b = (reduced(lab[..., channel], reduction) for channel in range(3))
    sheet = _Sheet(redness, red, light, a, b, writing, reduction, max(grain, 0.3))
    for level in (level for level in _LEVELS if level >= 2 * grain):
        labels, _ = ndimage.label(red > level)
        for number, place in enumerate(ndimage.find_objects(labels), 1):
            if not sheet.may_be_a_seal(place):
                continue
            piece = ndimage.binary_fill_holes(labels[place] == number)
            score = sheet.score(place, piece, level) if piece.mean() >= _EMPTY else 0.0
            if score >= _SURE or score < 0:
                yield _Shape(_times(place, reduction), piece, reduction, score)


@dataclass(frozen=True)
class _Sheet:
    """A picture at one size, as seals are judged on it."""

    full: np.ndarray  # redness, unreduced
    red: np.ndarray
    light: np.ndarray
    reddishness: np.ndarray  # CIELAB's a*
    yellowness: np.ndarray  # b*
    writing: np.ndarray  # unreduced
    reduction: int
    grain: float

    def may_be_a_seal(self, place: Place) -> bool:
        height, width = (part.stop - part.start for part in place)
        short = min(self.red.shape)
        least, greatest = (side / self.reduction for side in _SIDES[self.reduction])
        least, greatest = max(least, _LEAST * short), min(greatest, _GREATEST * short)
        small, large = sorted((height, width))
        return small >= 0.7 * least and least <= large <= 1.1 * greatest and large <= _LONGEST * small

    def score(self, place: Place, piece: np.ndarray, level: float) -> float:
        height, width = piece.shape
        side = (height * width) ** 0.5
        wide = _around(place, max(2, round(0.25 * side)))
        ring = np.ones(self.red[wide].shape, bool)
        ring[_within(_around(place, 1), wide)] = False
        if not ring.any():
            return 0.0
        left, right = place[1].start, self.red.shape[1] - place[1].stop
        odds = _BIAS + _weighed(
            filled=float(piece.mean()),
            alone=float((self.red[wide][ring] <= 0.7 * level).mean()),
            contrast=float(np.log(max(0.1, self.red[place][piece].mean() / self.grain))),
            restless=float(np.log1p(self.light[wide][ring].std())),
            written=float(self.writing[_times(wide, self.reduction)].max(initial=0) > 0.3),
            central=min(0.3, min(left, right) / self.red.shape[1]),
            oblong=float(abs(np.log(height / width))),
            large=float(np.log(side * self.reduction)),
        )
        if odds < -_MOST_OF_LINES:
            return 0.0
        changes, steps = self._lines_through(place, piece)
        hue = float(np.arctan2(self.yellowness[place][piece].mean(), self.reddishness[place][piece].mean()))
        if changes < _UNCARVED and steps < _EVEN and side * self.reduction >= _LEGIBLE:
            return -1.0
        odds += _weighed(carved=float(np.log(0.3 + changes)), crisp=min(1.0, steps), purple=max(0.0, _CINNABAR - hue))
        return float(1 / (1 + np.exp(-odds)))

    def _lines_through(self, place: Place, piece: np.ndarray) -> tuple[float, float]:
        """Along a line through the shape, at full size: how often cinnabar and paper change, and by how much a step."""
        red = self.full[_times(place, self.reduction)]
        inside = np.kron(_core(piece), np.ones((self.reduction, self.reduction), bool))
        high = red > _CARVED * red[inside].mean()
        across, down = inside[:, 1:], inside[1:]
        changes = (high[:, 1:] != high[:, :-1])[across].mean() + (high[1:] != high[:-1])[down].mean()
        steps = np.abs(np.diff(red, axis=1))[across].mean() + np.abs(np.diff(red, axis=0))[down].mean()
        return float(changes / 2 * high.size**0.5), float(steps / 2 / max(1.0, red[inside].mean()))


def _core(piece: np.ndarray) -> np.ndarray:
    """A shape without its rim, where any red patch fades into its ground."""
    from scipy import ndimage

    core: np.ndarray = ndimage.binary_erosion(np.pad(piece, 1), iterations=max(1, round(min(piece.shape) / 10)))
    return core[1:-1, 1:-1] if core.any() else piece


def _weighed(**evidence: float) -> float:
    return sum(_WEIGHTS[name] * value for name, value in evidence.items())


def _times(place: Place, reduction: int) -> Place:
    rows, columns = (slice(part.start * reduction, part.stop * reduction) for part in place)
    return rows, columns


def _around(place: Place, margin: int) -> Place:
    rows, columns = (slice(max(0, part.start - margin), part.stop + margin) for part in place)
    return rows, columns


def _within(place: Place, outer: Place) -> Place:
    rows, columns = (
        slice(part.start - whole.start, part.stop - whole.start) for part, whole in zip(place, outer, strict=True)
    )
    return rows, columns


def _best_of_overlapping(shapes: list[_Shape], shape: tuple[int, ...]) -> list[_Shape]:
    """Of shapes that lie on each other, at several sizes and levels, the surest, and the larger of equals.

    None is kept that is mostly an even patch of red.
    """
    kept: list[_Shape] = []
    taken = np.zeros(shape[:2], bool)
    even = np.zeros(shape[:2], bool)
    for one in shapes:
        if one.score < 0:
            even[one.place] = True
    shapes = [one for one in shapes if one.score > 0 and even[one.place].mean() < 0.4]
    for one in sorted(shapes, key=lambda each: (-round(each.score, 1), -each.piece.size * each.reduction**2)):
        if taken[one.place].mean() < 0.25:
            taken[one.place] = True
            kept.append(one)
    return kept


def _outline(shape: _Shape) -> tuple[tuple[float, float], ...]:
    """Around the shape, a pixel of its size wider: its rim was smoothed."""
    from scipy import ndimage

    piece = ndimage.binary_dilation(np.pad(shape.piece, 1))
    rows, columns = shape.place
    return tuple(
        (columns.start + x * shape.reduction, rows.start + y * shape.reduction)
        for x, y in outline_of(piece, _POINTS, -1, -1)
    )

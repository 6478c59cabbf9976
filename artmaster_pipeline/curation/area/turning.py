"""A painting that stands askew in its scan: by how much, and turned back."""

import math
from typing import TYPE_CHECKING

import numpy as np

from artmaster_pipeline.curation.area.edges import Profile, profile

if TYPE_CHECKING:
    import pyvips

_STEEPEST = 5.0  # degrees
_FINE = 0.25  # degrees between the slopes that are tried
_WINDOW = 0.6  # of a side: the painting may be so much narrower than its mounting
_SURE = 0.85  # share of that along which a slanting edge must run
_STANDS_OUT = 0.4  # by so much more than on the lines beside it
_LEAST = 0.2  # degrees; less is not worth turning a picture for
_DEEPEST = 0.3  # of the depth: how far in a border's edge is looked for


def skew_of(lab: np.ndarray) -> float:
    """Degrees, counter-clockwise, by which the edges around a picture stand askew; 0 where no two sides say so.

    Edges on a slope are counted on each side of the picture, as in a Hough transform. Two sides must agree.
    """
    slopes = np.tan(np.radians(np.arange(-_STEEPEST, _STEEPEST + _FINE, _FINE)))
    # a picture that is turned counter-clockwise rises to the right along its top, and leans to the left along its left
    views = (
        (lab, -1),
        (lab[::-1], 1),
        (lab.transpose(1, 0, 2), 1),
        (lab.transpose(1, 0, 2)[::-1], -1),
    )
    sides = [(profile(lines), sign) for lines, sign in views]
    best = np.array([[_along(side, sign * slope)[0] for slope in slopes] for side, sign in sides])
    counted = np.where(best >= _SURE, best, 0)
    straight = len(slopes) // 2
    agreeing = np.sort(counted, axis=0)[-2:]
    total = np.where(agreeing[0] > 0, counted.sum(axis=0), 0)
    winner = int(total.argmax())
    if total[winner] == 0 or total[straight] >= 0.97 * total[winner]:
        return 0.0
    fits = [
        sign * _fitted(side, sign * slopes[winner])
        for (side, sign), share in zip(sides, counted[:, winner], strict=True)
        if share
    ]
    degrees = float(np.degrees(np.arctan(np.median(fits))))
    return degrees if abs(degrees) >= _LEAST else 0.0


def _along(side: Profile, slope: float) -> tuple[float, int]:
    """The largest share of stretches whose edges lie on one line of that slope, and where that line begins."""
    reach = int(_DEEPEST * side.depth)
    if not reach:
        return 0.0, 0
    hits = side.sloping(slope, reach).T
    window = round(_WINDOW * len(hits))
    sums = np.concatenate([np.zeros((1, reach), np.int16), np.cumsum(hits, axis=0, dtype=np.int16)])
    shares = (sums[window:] - sums[:-window]) / window
    share = shares.max(axis=0)
    place = int(share.argmax())
    here = shares[shares[:, place].argmax()]
    around = np.concatenate([here[max(0, place - 12) : max(0, place - 4)], here[place + 5 : place + 13]])
    stands_out = share[place] - (around.mean() if len(around) else 0) >= _STANDS_OUT
    return (float(share[place]) if stands_out else 0.0), place


def _fitted(side: Profile, slope: float) -> float:
    """The slope of the line through the edges near to that of `slope`."""
    _, place = _along(side, slope)
    number = side.near.shape[1]
    x = ((np.arange(number) + 0.5) / number - 0.5) * side.along
    found = []
    for stretch, shift in enumerate(side.shifts(slope)):
        lines = np.arange(max(0, place + shift - 4), min(side.depth, place + shift + 5))
        hits = lines[side.near[lines, stretch]]
        if len(hits):
            found.append((x[stretch], hits.mean()))
    points = np.array(found)
    for _ in range(3):
        fit = np.polyfit(points[:, 0], points[:, 1], 1)
        miss = np.abs(points[:, 1] - np.polyval(fit, points[:, 0]))
        points = points[miss <= max(1.0, np.percentile(miss, 80))]
    return float(fit[0])


def upright(pixels: np.ndarray, skew: float) -> np.ndarray:
    """A look's pixels turned back by `skew` degrees about their middle, on a sheet of the same size.

    What comes in at the corners is the rim's colours.
    """
    if not skew:
        return pixels
    from scipy.ndimage import affine_transform

    angle = np.radians(skew)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])  # (row, column)
    middle = (np.array(pixels.shape[:2]) - 1) / 2
    bands = [
        affine_transform(band, turn, middle - turn @ middle, order=1, mode="nearest")
        for band in np.moveaxis(pixels, 2, 0)
    ]
    return np.stack(bands, axis=2)


def turned(image: "pyvips.Image", skew: float) -> "pyvips.Image":
    """The picture turned back by `skew` degrees about its middle, on a sheet of the same size; pixels as asked for."""
    if not skew:
        return image
    import pyvips

    turn = math.radians(skew)
    cos, sin = math.cos(turn), math.sin(turn)
    middle = (image.width - 1) / 2, (image.height - 1) / 2
    found = image.affine(
        [cos, -sin, sin, cos],
        interpolate=pyvips.Interpolate.new("bicubic"),
        oarea=[0, 0, image.width, image.height],
        idx=-middle[0],
        idy=-middle[1],
        odx=middle[0],
        ody=middle[1],
        extend="copy",
    )
    return found.copy(interpretation=image.interpretation)

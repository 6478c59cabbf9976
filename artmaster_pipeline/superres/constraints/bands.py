"""Detail in bands: octaves of luminance, each in three directions, and how strong they are from place to place.

The bands are those of the stationary ("a trous") wavelet transform with the cubic B-spline (Starck, Murtagh and Fadili,
"Sparse image and signal processing", 2010, chapter 3), separable, so that their sum with the rest is the picture. How
strong a band is at a place foretells how strong the next finer one is there: over most scans the logarithms correlate
by 0.8 to 0.99 (Buccigrossi and Simoncelli, "Image compression via joint statistical characterization in the wavelet
domain", 1999). This is what texture and grain are held to.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from artmaster_pipeline.superres.constraints.filters import convolved, gaussian, minimum, reduced

if TYPE_CHECKING:
    from torch import Tensor

DIRECTIONS = 3  # strokes that lie across, that stand upright, and those that are oblique
WINDOW = 3.0  # the standard deviation of the window in which strength is looked at, in pixels of the original
REACH = 12  # four of them: a strength is a mean of squares, in which an edge far away counts
_LUMINANCE = (0.299, 0.587, 0.114)
_NEAR, _NEAR_SIDE = 1.5, 7  # the standard deviation of a window and a side, in pixels of the original
_OF_MINIMUM = 2.7
_SPLINE = (6 / 16, 4 / 16, 1 / 16)  # its middle and one side


def octaves(scale: int) -> int:
    """How many octaves an enlarged picture has that its original has not."""
    return math.ceil(math.log2(scale))


def luminance(picture: "Tensor") -> "Tensor":
    """H x W of a picture of 3 x H x W, of its own encoding."""
    red, green, blue = picture
    return _LUMINANCE[0] * red + _LUMINANCE[1] * green + _LUMINANCE[2] * blue


def split(values: "Tensor", octave: int) -> "tuple[Tensor, tuple[Tensor, ...]]":
    """What is coarser than the octave (0 is the finest), and the octave in its three directions; all add up."""
    step = 2**octave
    down = convolved(values, _SPLINE, -2, step)
    rest = convolved(down, _SPLINE, -1, step)
    fine = values - down
    across = convolved(fine, _SPLINE, -1, step)
    return rest, (across, down - rest, fine - across)


def strength(band: "Tensor", scale: int = 1) -> "Tensor":
    """The mean square around each pixel of the original."""
    return gaussian(reduced(band * band, scale), WINDOW)


def grain_variance(finest: "Sequence[Tensor]") -> "Tensor":
    """The variance of white noise that the finest octave shows between strokes, around each pixel.

    Grain is everywhere and in all directions alike, strokes are not: so it is what the quietest direction has at the
    quietest place near by. A minimum lies below the mean, by a factor that white noise tells.
    """
    import torch

    near = [gaussian(band * band, _NEAR) / seen for band, seen in zip(finest, noise_variances(0), strict=True)]
    quiet = minimum(torch.stack(near).amin(0), _NEAR_SIDE) * _OF_MINIMUM
    return gaussian(quiet, WINDOW)


@cache
def noise_variances(octave: int) -> tuple[float, float, float]:
    """The variance of white noise of variance one in the octave's three directions."""
    passed = np.ones(1)
    for step in (2**number for number in range(octave)):
        passed = np.convolve(passed, _kernel(step))
    coarser = np.convolve(passed, _kernel(2**octave))
    finer = np.pad(passed, (len(coarser) - len(passed)) // 2) - coarser
    fine, rest = float((finer**2).sum()), float((coarser**2).sum())
    return fine * rest, rest * fine, fine * fine


def _kernel(step: int) -> np.ndarray:
    kernel = np.zeros(4 * step + 1)
    kernel[::step] = (*_SPLINE[:0:-1], *_SPLINE)
    return kernel

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

import numpy as np

from artmaster_pipeline.superres.constraints.scales import reduced

DIRECTIONS = 3  # strokes that lie across, that stand upright, and those that are oblique
WINDOW = 3.0  # the standard deviation of the window in which strength is looked at, in pixels of the original
REACH = 12  # four of them: a strength is a mean of squares, in which an edge far away counts
_LUMINANCE = (0.299, 0.587, 0.114)
_NEAR, _NEAR_SIDE = 1.5, 7  # the standard deviation of a window and a side, in pixels of the original
_OF_MINIMUM = 2.7
_SPLINE = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def octaves(scale: int) -> int:
    """How many octaves an enlarged picture has that its original has not."""
    return math.ceil(math.log2(scale))


def luminance(picture: np.ndarray) -> np.ndarray:
    """H x W, of the picture's own encoding."""
    return picture @ np.asarray(_LUMINANCE, np.float32)


def split(values: np.ndarray, octave: int) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """What is coarser than the octave (0 is the finest), and the octave in its three directions; all add up."""
    step = 2**octave
    down = _smooth(values, 0, step)
    rest = _smooth(down, 1, step)
    fine = values - down
    across = _smooth(fine, 1, step)
    return rest, (across, down - rest, fine - across)


def strength(band: np.ndarray, scale: int = 1) -> np.ndarray:
    """The mean square around each pixel of the original."""
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(reduced(band * band, scale), WINDOW, mode="reflect"))


def grain_variance(finest: Sequence[np.ndarray]) -> np.ndarray:
    """The variance of white noise that the finest octave shows between strokes, around each pixel.

    Grain is everywhere and in all directions alike, strokes are not: so it is what the quietest direction has at the
    quietest place near by. A minimum lies below the mean, by a factor that white noise tells.
    """
    from scipy.ndimage import gaussian_filter, minimum_filter

    near = [gaussian_filter(band * band, _NEAR, mode="reflect") for band in finest]
    least = np.min([one / variance for one, variance in zip(near, noise_variances(0), strict=True)], axis=0)
    quiet = minimum_filter(least, _NEAR_SIDE, mode="reflect") * np.float32(_OF_MINIMUM)
    return np.asarray(gaussian_filter(quiet, WINDOW, mode="reflect"))


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


def _smooth(values: np.ndarray, axis: int, step: int) -> np.ndarray:
    from scipy.ndimage import convolve1d

    return np.asarray(convolve1d(values, _kernel(step), axis, mode="reflect"))


def _kernel(step: int) -> np.ndarray:
    kernel = np.zeros(4 * step + 1, np.float32)
    kernel[::step] = _SPLINE
    return kernel

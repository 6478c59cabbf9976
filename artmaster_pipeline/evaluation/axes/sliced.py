"""The sliced Wasserstein distance of order 1 between clouds of points, as a difference of two vectors.

A cloud is projected on fixed directions; along each, the distance of two clouds is the mean difference of their
quantiles (Rabin et al. 2011; Bonneel et al. 2015). So one picture's quantiles are its whole description, and a matrix
of distances costs one subtraction per pair.
"""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_QUANTILES = 64


@cache
def directions(dimension: int, count: int) -> "np.ndarray":
    """`count` unit vectors as rows (count, dimension), float32, always the same.

    In three dimensions they are a spiral of equal areas (Swinbank and Purser 2006), in others drawn with one seed.
    """
    import numpy as np

    if dimension == 3:
        height = (np.arange(count) + 0.5) / count  # the other half of the sphere says the same
        turn = np.pi * (3 - np.sqrt(5)) * np.arange(count)
        ring = np.sqrt(1 - height**2)
        return np.column_stack([ring * np.cos(turn), ring * np.sin(turn), height]).astype(np.float32)
    drawn = np.random.default_rng(0).standard_normal((count, dimension))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def length_of_shift(dimension: int) -> float:
    """What a sliced distance of order 1 is multiplied by so that shifting every point by d gives |d|.

    It is 1 / E|cos| over the unit sphere: 2 in three dimensions (Archimedes), and sqrt(dimension) for order 2 only.
    """
    from math import gamma, pi, sqrt

    return sqrt(pi) * gamma((dimension + 1) / 2) / gamma(dimension / 2)


def quantiles(values: "np.ndarray", count: int = _QUANTILES) -> "np.ndarray":
    """`count` evenly spaced quantiles of each row of (rows, points), flattened, float32."""
    import numpy as np

    ordered = np.sort(np.ascontiguousarray(values, dtype=np.float32), axis=1)
    last = ordered.shape[1] - 1
    place = np.clip((np.arange(count) + 0.5) / count * (last + 1) - 0.5, 0, last)
    below = place.astype(int)
    part = (place - below).astype(np.float32)
    return (ordered[:, below] * (1 - part) + ordered[:, np.minimum(below + 1, last)] * part).ravel()


def sliced(points: "np.ndarray", count: int) -> "np.ndarray":
    """The quantiles of a cloud (points, dimension) along `count` directions: the description to compare."""
    import numpy as np

    return quantiles(directions(points.shape[1], count) @ np.asarray(points, dtype=np.float32).T)


def mean_difference(described: "np.ndarray") -> "np.ndarray":
    """The mean absolute difference of every two rows of (n, k): (n, n)."""
    from scipy.spatial.distance import pdist, squareform

    return squareform(pdist(described, "cityblock")) / described.shape[1]

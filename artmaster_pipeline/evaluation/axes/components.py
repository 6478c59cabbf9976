"""What one component of the panel is: a description of single pictures, and how far two descriptions are apart.

Every component gives a matrix of distances between all pictures under comparison. Distances between sets of pictures,
their intervals, the spread within a set and its diversity all follow from that matrix (see `sets.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from artmaster_pipeline.axes import Axis

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Component:
    """One measure of an axis.

    `pairwise` takes the descriptions of n pictures, an array with n rows, and a mask (n,) of those that are works the
    painter's adapter was trained on; it gives the distances (n, n), symmetric, never negative, zero on the diagonal.
    The mask lets a component scale by the painter's own variety or look at the painter's own hues.
    """

    name: str
    axis: Axis
    unit: str  # what a distance of 1 is, before it is divided by the painter's own variety
    source: str  # the formula's paper or standard
    pairwise: "Callable[[np.ndarray, np.ndarray], np.ndarray]"


def scaled_difference(values: "np.ndarray", painter: "np.ndarray") -> "np.ndarray":
    """|a - b| of one number per picture (n,) or (n, 1), in standard deviations of the painter's works: (n, n)."""
    import numpy as np

    flat = np.asarray(values, dtype=np.float64).reshape(len(values))
    spread = flat[painter].std() if painter.any() else flat.std()
    return np.abs(flat[:, None] - flat[None, :]) / max(float(spread), 1e-6 * (1 + abs(float(flat.mean()))))

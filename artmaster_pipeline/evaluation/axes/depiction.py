"""Depiction: what a picture shows and where, as VGG16's last stages see it, with their places kept.

Tone, brushwork and Gram matrices forget where things are: blotches all over a sheet, in the painter's ink, have his
statistics and are no picture. The deepest features answer to shapes (a peak, a roof, a shore), and on a coarse grid
they also say where in the picture those are: sky above, water below, a mountain at one side.

`style.py` passes pictures through VGG16 for both axes, `hub_features.py` through the hub's networks.

Distances are Euclidean, not squared, so that the energy distance of two sets (Székely and Rizzo 2013) tells any two
distributions apart and not only their means.
"""

from typing import TYPE_CHECKING, Any

from artmaster_pipeline.evaluation.axes.components import Component

if TYPE_CHECKING:
    import numpy as np

_GRID = 2  # places along a side that are told apart


def on_grid(features: Any, grid: int = _GRID) -> "np.ndarray":
    """Features (n, channels, height, width) as means over `grid` x `grid` parts, each picture's scaled to length 1.

    Scaled, they lose the picture's overall contrast, which is tone's to measure. Float32 (n, channels * grid^2).
    """
    import numpy as np
    import torch
    from torch.nn.functional import adaptive_avg_pool2d, normalize

    with torch.inference_mode():
        rows: np.ndarray = normalize(adaptive_avg_pool2d(features, grid).flatten(1), dim=1).cpu().numpy()
    return rows


def euclidean(descriptions: "np.ndarray", painter: "np.ndarray") -> "np.ndarray":
    """The Euclidean distances of the rows, (n, n)."""
    from scipy.spatial.distance import pdist, squareform

    return squareform(pdist(descriptions.astype("float64")))


SHAPES = Component(
    "shapes",
    "depiction",
    "distance of VGG16's last stage on a 2 x 2 grid, each picture's scaled to length 1",
    "Simonyan and Zisserman 2015, https://arxiv.org/abs/1409.1556",
    euclidean,
)

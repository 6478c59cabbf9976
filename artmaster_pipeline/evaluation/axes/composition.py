"""Composition: where the picture is empty, where its weight lies, and how ordered or intricate it is.

Weight is difference to the picture's own ground, the tone of its light smooth parts: the bare paper or silk of an ink
painting, a sky in oils. So light figures on dark silk weigh as dark ink on paper does. Pictures are looked at from
afar, at 128 pixels along the shorter side, where single strokes no longer count.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from artmaster_pipeline.evaluation.axes.components import Component, scaled_difference

if TYPE_CHECKING:
    import numpy as np

_SIDE = 128  # pixels, of the shorter side
_NOISE = 1.0  # sigma of the Gaussian that takes a scan's noise away, pixels
_NEIGHBOURHOOD = 2.0  # sigma of what a pixel's smoothness is judged by, pixels
_SMOOTH = 1.0  # CIELAB colour difference: standard deviation around a pixel of bare paper or silk; oils have more
_GROUND_WIDTH = 3.0  # L*: how far tones of one ground lie apart
_NEAR_GROUND = 8.0  # CIELAB colour difference
_EDGES = (1.0, 2.0)  # L* per pixel: where an edge goes on, where one starts
_TONE = 2.0  # L*: what differs by less makes no ordinal pattern, as the noise of bare ground


def describe(pictures: Sequence["np.ndarray"]) -> dict[str, "np.ndarray"]:
    """The composition of RGB uint8 pictures (height, width, 3), one row each.

    `blank space` (n, 2): shares of the picture that are blank and that the largest connected blank region takes.
    `centre of mass` (n, 2): x and y of the visual weight, 0..1 from the upper left corner. `balance` (n, 4): the
    quadrants' shares of the weight, row by row. `intricacy` (n, 1): box-counting dimension of the edges. `order`
    (n, 2): permutation entropy and statistical complexity, both in 0..1.
    """
    import numpy as np

    rows: dict[str, list[np.ndarray]] = {component.name: [] for component in COMPONENTS}
    for picture in pictures:
        lab = _from_afar(picture)
        smooth = smooth_parts(lab)
        from_ground = np.linalg.norm(lab - ground(lab, smooth), axis=-1)
        weight = np.maximum(from_ground - _NEAR_GROUND / 2, 0)
        rows["blank space"].append(blank_space(smooth & (from_ground < _NEAR_GROUND)))
        rows["centre of mass"].append(centre_of_mass(weight))
        rows["balance"].append(quadrants(weight))
        rows["intricacy"].append(np.array([box_dimension(lab[..., 0])]))
        rows["order"].append(order(lab[..., 0]))
    return {name: np.stack(row) for name, row in rows.items()}


def _from_afar(picture: "np.ndarray") -> "np.ndarray":
    """A picture in CIELAB at 128 pixels along its shorter side, without its noise."""
    import numpy as np
    from PIL import Image
    from skimage.color import rgb2lab
    from skimage.filters import gaussian

    height, width = picture.shape[:2]
    if (shorter := min(height, width)) > _SIDE:
        size = (round(width * _SIDE / shorter), round(height * _SIDE / shorter))
        picture = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
    return gaussian(rgb2lab(picture), _NOISE, mode="reflect", channel_axis=-1)


def smooth_parts(lab: "np.ndarray") -> "np.ndarray":
    """Where a CIELAB image varies no more around a pixel than bare paper or silk does: bool (height, width)."""
    import numpy as np
    from skimage.filters import gaussian

    from_mean = lab - gaussian(lab, _NEIGHBOURHOOD, mode="reflect", channel_axis=-1)
    variance = gaussian((from_mean**2).sum(axis=-1), _NEIGHBOURHOOD, mode="reflect")
    return np.asarray(variance < _SMOOTH**2)


def ground(lab: "np.ndarray", smooth: "np.ndarray") -> "np.ndarray":
    """The tone of the ground (3,): the mean colour around the most frequent lightness of the lighter smooth parts.

    Lighter than half of the picture, since paint goes on the ground: dark smooth parts are painted shadows. A picture
    without such parts has the most frequent lightness of its lighter half for ground.
    """
    import numpy as np
    from scipy.ndimage import gaussian_filter1d

    lighter = lab[..., 0] >= np.median(lab[..., 0])
    points = lab[smooth & lighter] if (smooth & lighter).any() else lab[lighter]
    counts, edges = np.histogram(points[:, 0], bins=101, range=(-0.5, 100.5))
    peak = edges[int(np.argmax(gaussian_filter1d(counts.astype(float), _GROUND_WIDTH)))] + 0.5
    return points[np.abs(points[:, 0] - peak) <= 2 * _GROUND_WIDTH].mean(axis=0)


def blank_space(blank: "np.ndarray") -> "np.ndarray":
    """The shares of a picture that are True, and that the largest connected True region takes."""
    import numpy as np
    from scipy.ndimage import label

    regions, _ = label(blank)
    return np.array([blank.mean(), np.bincount(regions.ravel(), minlength=2)[1:].max() / blank.size])


def centre_of_mass(weight: "np.ndarray") -> "np.ndarray":
    """The centre (x, y), 0..1, of the weights (height, width); the middle where nothing weighs."""
    import numpy as np

    total = weight.sum()
    if total <= 0:
        return np.array([0.5, 0.5])
    down, across = ((np.arange(length) + 0.5) / length for length in weight.shape)
    return np.array([weight.sum(axis=0) @ across, weight.sum(axis=1) @ down]) / total


def quadrants(weight: "np.ndarray") -> "np.ndarray":
    """The quadrants' shares of the weights (height, width), row by row; a quarter each where nothing weighs."""
    import numpy as np

    half = weight.shape[0] // 2, weight.shape[1] // 2
    parts = np.array([part.sum() for rows in np.split(weight, half[:1]) for part in np.split(rows, half[1:], axis=1)])
    return parts / parts.sum() if parts.sum() > 0 else np.full(4, 0.25)


def box_dimension(light: "np.ndarray") -> float:
    """The box-counting dimension of a lightness image's edges (Taylor 1999): 1 for a line, 2 for edges everywhere.

    Edges are Canny's (1986). Boxes have sides of 2, 4, 8, ... pixels up to an eighth of the shorter side; 0 without
    edges.
    """
    import numpy as np
    from skimage.feature import canny
    from skimage.measure import block_reduce

    edges = canny(light, 1.5, *_EDGES)
    if not edges.any():
        return 0.0
    sides = 2 ** np.arange(1, max(3, int(np.log2(min(light.shape))) - 2))
    counts = [block_reduce(edges, (int(side), int(side)), np.max).sum() for side in sides]
    return float(-np.polyfit(np.log(sides), np.log(counts), 1)[0])


def order(light: "np.ndarray") -> "np.ndarray":
    """Permutation entropy and statistical complexity of the 2 x 2 ordinal patterns of a lightness image in L*.

    As Sigaki, Perc and Ribeiro (2018) compute them, except that tones are rounded so that noise in bare ground
    makes no pattern.
    """
    import numpy as np
    import ordpy

    tones = np.rint(light / _TONE)
    windows = np.stack([tones[:-1, :-1], tones[:-1, 1:], tones[1:, :-1], tones[1:, 1:]], axis=-1).reshape(-1, 4)
    patterns = np.argsort(windows, axis=1, kind="stable") @ np.array([64, 16, 4, 1])
    counts = np.bincount(patterns)
    entropy, complexity = ordpy.complexity_entropy(counts[counts > 0] / counts.sum(), dx=2, dy=2, probs=True)
    return np.array([max(float(entropy), 0.0), max(float(complexity), 0.0)])


def _between(described: "np.ndarray", _: "np.ndarray") -> "np.ndarray":
    """Euclidean distances of the rows."""
    from scipy.spatial.distance import pdist, squareform

    return squareform(pdist(described))


def _shares(described: "np.ndarray", _: "np.ndarray") -> "np.ndarray":
    """Half the summed differences of shares."""
    from scipy.spatial.distance import pdist, squareform

    return squareform(pdist(described, "cityblock")) / 2


def _scaled(described: "np.ndarray", painter: "np.ndarray") -> "np.ndarray":
    """The mean of the scaled differences of the numbers in (n, k)."""
    import numpy as np

    return np.mean([scaled_difference(column, painter) for column in described.T], axis=0)


COMPONENTS: tuple[Component, ...] = (
    Component(
        "blank space",
        "composition",
        "share of the picture",
        "shares of the smooth parts near the ground's tone and of their largest connected region",
        _between,
    ),
    Component(
        "centre of mass", "composition", "side of the picture", "centre of difference to the ground's tone", _between
    ),
    Component(
        "balance",
        "composition",
        "share of the visual weight",
        "total variation of the quadrants' shares of difference to the ground's tone",
        _shares,
    ),
    Component(
        "intricacy",
        "composition",
        "standard deviation of the painter's works",
        "box-counting dimension (Taylor 1999) of edges (Canny 1986)",
        _scaled,
    ),
    Component(
        "order",
        "composition",
        "standard deviation of the painter's works",
        "permutation entropy and statistical complexity (Sigaki, Perc and Ribeiro 2018)",
        _scaled,
    ),
)

"""How far two sets of pictures are apart in colour and in texture.

Both are sliced Wasserstein distances (Rabin et al. 2011; Bonneel et al. 2015) between clouds of points, one point per
pixel. Colour: the pixel in CIELAB (D65), so the unit is a CIELAB colour difference. Texture: what the pixel's
neighbourhood looks like in lightness: the log energy of three octave bands (differences of Gaussians; Burt and Adelson
1983) and, from the structure tensor (Bigun and Granlund 1987), how strongly strokes run in one direction and which;
each divided by its spread over the reference works, so the unit is one such spread.

Pictures are brought to one size before measuring and every picture gives equally many points, so neither resolution
nor the number of pictures decides. A distance is multiplied by the square root of the dimension: shifting every
point by d then gives exactly |d|.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_POINTS = 1_000  # of each picture
_PROJECTIONS = 100
_BANDS = (1.0, 2.0, 4.0)  # sigma of each band's finer Gaussian, pixels
_TENSOR_SIGMA = 2.0  # pixels
_DARKEST_ENERGY = 1e-2  # L* squared: below it lies the noise of 8-bit pictures


@dataclass(frozen=True)
class Clouds:
    """The points of a set of pictures, one array (points, dimension) per picture and axis."""

    colour: tuple["np.ndarray", ...]
    texture: tuple["np.ndarray", ...]


def measure(pictures: Sequence[Path], side: int) -> Clouds:
    """Read pictures, bring each to `side` pixels along its shorter side, and take the points of both axes."""
    import numpy as np
    from PIL import Image
    from skimage.color import rgb2lab

    colour, texture = [], []
    for path in pictures:
        with Image.open(path) as file:
            image = file.convert("RGB")
            scale = side / min(image.size)
            size = (max(side, round(image.width * scale)), max(side, round(image.height * scale)))
            lab = rgb2lab(np.asarray(image.resize(size, Image.Resampling.LANCZOS)))
        chosen = np.random.default_rng(0).choice(lab.shape[0] * lab.shape[1], _POINTS, replace=False)
        colour.append(lab.reshape(-1, 3)[chosen])
        texture.append(texture_of(lab[..., 0]).reshape(-1, len(_BANDS) + 3)[chosen])
    return Clouds(tuple(colour), tuple(texture))


def texture_of(lightness: "np.ndarray") -> "np.ndarray":
    """The local texture at every pixel of a lightness image (height, width) in L*.

    Gives (height, width, 6): three log band energies, coherence c in 0..1, c cos 2t and c sin 2t, t being the direction
    across the stroke.
    """
    import numpy as np
    from skimage.feature import structure_tensor
    from skimage.filters import difference_of_gaussians, gaussian

    bands = []
    for sigma in _BANDS:
        band = difference_of_gaussians(lightness, sigma, 2 * sigma, mode="reflect")
        bands.append(np.log(gaussian(band**2, 2 * sigma, mode="reflect") + _DARKEST_ENERGY))
    rows, mixed, columns = structure_tensor(lightness, sigma=_TENSOR_SIGMA, mode="reflect", order="rc")
    along, across = columns - rows, 2 * mixed
    energy = rows + columns + _DARKEST_ENERGY
    return np.stack([*bands, np.hypot(along, across) / energy, along / energy, across / energy], axis=-1)


def colour_distance(a: Sequence["np.ndarray"], b: Sequence["np.ndarray"]) -> float:
    """Distance of two sets of CIELAB points."""
    return _distance(a, b, 1.0)


def texture_distance(a: Sequence["np.ndarray"], b: Sequence["np.ndarray"], reference: Sequence["np.ndarray"]) -> float:
    """Distance of two sets of texture points in spreads of `reference`."""
    import numpy as np

    return _distance(a, b, np.concatenate(reference).std(axis=0) + 1e-6)


def _distance(a: Sequence["np.ndarray"], b: Sequence["np.ndarray"], unit: Any) -> float:
    import numpy as np
    import ot

    x, y = np.concatenate(a) / unit, np.concatenate(b) / unit
    sliced = ot.sliced_wasserstein_distance(x, y, n_projections=_PROJECTIONS, seed=0)
    return float(sliced) * float(np.sqrt(x.shape[1]))

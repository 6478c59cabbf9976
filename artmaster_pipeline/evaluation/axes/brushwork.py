"""Brushwork: how strokes run, how wide they are, and how much happens at which scale.

Resolution, sharpness and compression are made equal before measuring (`evened_lightness`): what a scanner or a file
format did to a picture must not look like the painter's hand. Colour plays no part, and the picture's overall contrast
none except in `texture`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from artmaster_pipeline.evaluation.axes.components import Component, scaled_difference
from artmaster_pipeline.evaluation.axes.sliced import length_of_shift, mean_difference, sliced

if TYPE_CHECKING:
    import numpy as np

_JPEG_QUALITY = 75
_LOW_PASS = 1.2  # sigma, pixels
_FLAT = 1e-2  # L* squared: below it lies the noise of 8-bit pictures
_BANDS = (1.5, 3.0, 6.0)  # sigma of each band's finer Gaussian, pixels
_TENSOR_SIGMA = 2.0  # pixels
_DIRECTIONS_OF_STROKES = 18  # bins of 10 degrees
_TEXTURE_POINTS = 1_024  # of each picture
_TEXTURE_DIRECTIONS = 48
_SPECTRUM = (0.02, 0.13)  # cycles per pixel: above lies what the low-pass removed, below too few frequencies
_SURROUNDINGS = 1 / 12  # sigma of what a stroke is told from, of the shorter side
_STROKE_CONTRAST = 0.25  # of the standard deviation of the difference to the surroundings


def describe(pictures: Sequence["np.ndarray"]) -> dict[str, "np.ndarray"]:
    """The brushwork of RGB uint8 pictures (height, width, 3) with one shorter side, one row each.

    `stroke direction` (n, 2): entropy and coherence. `texture` (n, 1024, 6): points of `texture_of`. `bands` (n, k):
    log energies and log kurtoses of wavelet bands. `spectrum` (n, 1): its slope. `stroke width` (n, 4): mean and spread
    of the log width of dark strokes, then of light ones.
    """
    import numpy as np

    rows: dict[str, list[np.ndarray]] = {component.name: [] for component in COMPONENTS}
    for picture in pictures:
        light = evened_lightness(picture)
        rows["stroke direction"].append(stroke_direction(light))
        texture = texture_of(light).reshape(-1, len(_BANDS) + 3)
        chosen = np.random.default_rng(0).choice(len(texture), _TEXTURE_POINTS, replace=len(texture) < _TEXTURE_POINTS)
        rows["texture"].append(texture[chosen].astype(np.float32))
        rows["bands"].append(wavelet_bands(light))
        rows["spectrum"].append(np.array([spectrum_slope(light)]))
        rows["stroke width"].append(np.concatenate([stroke_width(light), stroke_width(-light)]))
    return {name: np.stack(row) for name, row in rows.items()}


def evened_lightness(picture: "np.ndarray") -> "np.ndarray":
    """L* of an RGB uint8 picture after one JPEG compression and one slight Gaussian low-pass: float (height, width)."""
    from io import BytesIO

    import numpy as np
    from PIL import Image
    from skimage.color import rgb2lab
    from skimage.filters import gaussian

    lightness = np.rint(rgb2lab(picture)[..., 0] * 2.55).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(lightness).save(file, "JPEG", quality=_JPEG_QUALITY)
    with Image.open(file) as compressed:
        return gaussian(np.asarray(compressed) / 2.55, _LOW_PASS, mode="reflect")


def stroke_direction(light: "np.ndarray") -> "np.ndarray":
    """(entropy, coherence) of the directions in a lightness image, both in 0..1.

    Entropy is that of the histogram of directions, weighted by how strongly strokes run in them, over its largest
    value; coherence is 1 where all gradients of a neighbourhood are parallel, 0 where they have no common direction,
    averaged by energy (structure tensor; Bigun and Granlund 1987).
    """
    import numpy as np

    along, across, energy = _structure(light)
    strength = np.hypot(along, across)
    place = np.arctan2(across, along) / (2 * np.pi) % 1 * _DIRECTIONS_OF_STROKES
    shares = np.bincount(place.astype(int).ravel() % _DIRECTIONS_OF_STROKES, strength.ravel(), _DIRECTIONS_OF_STROKES)
    shares = (shares + 1e-6) / (shares + 1e-6).sum()
    entropy = -(shares * np.log(shares)).sum() / np.log(_DIRECTIONS_OF_STROKES)
    return np.array([entropy, strength.sum() / energy.sum()])


def texture_of(light: "np.ndarray") -> "np.ndarray":
    """The local texture at every pixel of a lightness image (height, width) in L*.

    Gives (height, width, 6): three log energies of octave bands (differences of Gaussians; Burt and Adelson 1983),
    coherence c in 0..1, c cos 2t and c sin 2t, t being the direction across the stroke.
    """
    import numpy as np
    from skimage.filters import difference_of_gaussians, gaussian

    bands = []
    for sigma in _BANDS:
        band = difference_of_gaussians(light, sigma, 2 * sigma, mode="reflect")
        bands.append(np.log(gaussian(band**2, 2 * sigma, mode="reflect") + _FLAT))
    along, across, energy = _structure(light)
    return np.stack([*bands, np.hypot(along, across) / energy, along / energy, across / energy], axis=-1)


def _structure(light: "np.ndarray") -> "tuple[np.ndarray, np.ndarray, np.ndarray]":
    """Of the structure tensor: the double-angle vector of the direction across strokes, and the energy."""
    from skimage.feature import structure_tensor

    rows, mixed, columns = structure_tensor(light, sigma=_TENSOR_SIGMA, mode="reflect", order="rc")
    return columns - rows, 2 * mixed, rows + columns + _FLAT


def wavelet_bands(light: "np.ndarray") -> "np.ndarray":
    """Log energies of a lightness image's wavelet subbands, less their mean, then the log kurtosis of every octave.

    Daubechies' wavelet with two vanishing moments (1992), octaves from 4 pixels to an eighth of the shorter side, three
    directions each; kurtosis is 3 for Gaussian coefficients and grows where few strokes hold most of the energy.
    """
    import numpy as np
    import pywt

    octaves = max(2, int(np.log2(min(light.shape))) - 3)
    energies, kurtoses = [], []
    for details in pywt.wavedec2(light, "db2", mode="symmetric", level=octaves)[1:-1]:  # the finest was evened out
        energies += [np.log((detail**2).mean() + _FLAT) for detail in details]
        coefficients = np.concatenate([detail.ravel() for detail in details])
        squares = coefficients**2
        kurtoses.append(np.log(((squares**2).mean() + 3 * _FLAT**2) / (squares.mean() + _FLAT) ** 2))
    return np.array([*(np.array(energies) - np.mean(energies)), *kurtoses])


def spectrum_slope(light: "np.ndarray") -> float:
    """The exponent of the power law that the radially averaged power spectrum follows (Field 1987): about -2 to -4."""
    import numpy as np

    window = np.outer(np.hanning(light.shape[0]), np.hanning(light.shape[1]))
    power = np.abs(np.fft.rfft2((light - light.mean()) * window)) ** 2 / (window**2).sum()
    frequency = np.hypot(np.fft.fftfreq(light.shape[0])[:, None], np.fft.rfftfreq(light.shape[1])[None, :])
    edges = np.geomspace(*_SPECTRUM, 11)
    ring = np.digitize(frequency, edges).ravel()
    counts = np.bincount(ring, minlength=12)[1:11]
    mean = np.bincount(ring, power.ravel(), 12)[1:11] / np.maximum(counts, 1)
    there = counts > 0
    centres = np.sqrt(edges[1:] * edges[:-1])
    return float(np.polyfit(np.log(centres[there]), np.log(mean[there] + _FLAT), 1)[0])


def stroke_width(light: "np.ndarray") -> "np.ndarray":
    """Mean and standard deviation of log2 of the width, in pixels, of the dark strokes of a lightness image.

    A stroke is what is darker than its surroundings; its width is twice the distance to its edge along its skeleton
    (Zhang and Suen 1984), so every piece counts by its length. Zeros where there are no strokes.
    """
    import numpy as np
    from scipy.ndimage import distance_transform_edt
    from skimage.filters import gaussian
    from skimage.morphology import skeletonize

    darker = gaussian(light, _SURROUNDINGS * min(light.shape), mode="reflect") - light
    strokes = darker > max(_STROKE_CONTRAST * darker.std(), 1.0)
    inside = np.pad(strokes, 1)  # strokes end at the picture's edge
    widths = 2 * distance_transform_edt(inside)[1:-1, 1:-1][skeletonize(strokes)]
    if not len(widths):
        return np.zeros(2)
    return np.array([np.log2(widths).mean(), np.log2(widths).std()])


def _scaled(described: "np.ndarray", painter: "np.ndarray") -> "np.ndarray":
    """The mean of the scaled differences of the numbers in (n, k)."""
    import numpy as np

    return np.mean([scaled_difference(column, painter) for column in described.T], axis=0)


def _texture(described: "np.ndarray", painter: "np.ndarray") -> "np.ndarray":
    """Sliced Wasserstein distances of the points (n, points, 6), each number in spreads of the painter's works."""
    import numpy as np

    works = described[painter] if painter.any() else described
    dimension = described.shape[2]
    unit = works.reshape(-1, dimension).astype(np.float64).std(axis=0) + 1e-3
    quantiles = np.stack([sliced(points / unit, _TEXTURE_DIRECTIONS) for points in described])
    return length_of_shift(dimension) * mean_difference(quantiles)


COMPONENTS: tuple[Component, ...] = (
    Component(
        "stroke direction",
        "brushwork",
        "standard deviation of the painter's works",
        "entropy of directions and coherence of the structure tensor (Bigun and Granlund 1987)",
        _scaled,
    ),
    Component(
        "texture",
        "brushwork",
        "spread of the painter's pixels",
        "sliced Wasserstein distance of order 1 (Rabin 2011, Bonneel 2015) of local band energies and directions",
        _texture,
    ),
    Component(
        "bands",
        "brushwork",
        "standard deviation of the painter's works",
        "energy and kurtosis of wavelet bands (Daubechies 1992)",
        _scaled,
    ),
    Component(
        "spectrum",
        "brushwork",
        "standard deviation of the painter's works",
        "slope of the radially averaged power spectrum (Field 1987)",
        _scaled,
    ),
    Component(
        "stroke width",
        "brushwork",
        "standard deviation of the painter's works",
        "distance transform along the skeleton of strokes (Zhang and Suen 1984)",
        _scaled,
    ),
)

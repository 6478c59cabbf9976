"""How much each part of a painting draws the eye: the measure by which a crop keeps its main subject."""

import numpy as np

from artmaster_pipeline.curation.masks.resampling import enlarged, reduced

_MEASURED_AT, _SHORTEST = 130_000, 64  # pixels that it is measured at, about; of the short side, at least
_RESIDUAL_SIDE = 64  # pixels of the short side at which the spectral residual is taken, as in its paper
_PLAIN = 2.0  # CIELAB: local contrast of what counts as ground


def saliency(lab: np.ndarray) -> np.ndarray:
    """Saliency of a CIELAB picture (height, width, 3), as float32 in 0..1 of the same height and width.

    The mean of three measures, each scaled by its 99th percentile. Structure: the spectral residual (Hou and Zhang,
    "Saliency Detection: A Spectral Residual Approach", CVPR 2007). Colour: the distance of the smoothed colour from
    the mean (Achanta et al., "Frequency-tuned Salient Region Detection", CVPR 2009), here from the mean of what is
    plain, so that a mountain which fills the sheet stands out against its sky, and not the sky against the mountain.
    Detail: local contrast relative to lightness (Weber; Peli, "Contrast in complex images", JOSA A 1990), which
    brushwork has in the darkest mass and blank paper has not. A mild prior for the middle breaks ties (Judd et al.,
    ICCV 2009).
    """
    from scipy.ndimage import gaussian_filter

    height, width = lab.shape[:2]
    times = max(1, min(int((height * width / _MEASURED_AT) ** 0.5), min(height, width) // _SHORTEST))
    small = np.stack([reduced(lab[..., channel], times) for channel in range(3)], axis=2)
    contrast = _local_contrast(small[..., 0], reduced(lab[..., 0] ** 2, times))
    measures = (
        _spectral_residual(small[..., 0]),
        _distinct_colour(small, contrast),
        np.sqrt(contrast / (small[..., 0] + 20)),
    )
    together = sum(_unit(measure) for measure in measures) / len(measures)
    smooth = gaussian_filter(together, 0.01 * max(small.shape[:2]))
    return np.clip(enlarged(_unit(smooth * _middle(*small.shape[:2])), lab.shape), 0, 1)


def _spectral_residual(lightness: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter, uniform_filter
    from skimage.transform import resize

    scale = _RESIDUAL_SIDE / min(lightness.shape)
    small = resize(lightness, [max(8, round(side * scale)) for side in lightness.shape], anti_aliasing=True)
    spectrum = np.fft.fft2(small)
    amplitude = np.log(np.abs(spectrum) + 1e-8)
    residual = amplitude - uniform_filter(amplitude, 3, mode="wrap")
    power = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    return enlarged(gaussian_filter(power, 2.5), lightness.shape)


def _distinct_colour(lab: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    plain = 1 / (1 + (contrast / _PLAIN) ** 2)
    ground = np.average(lab.reshape(-1, 3), axis=0, weights=plain.ravel())
    return np.linalg.norm(gaussian_filter(lab, (1.5, 1.5, 0)) - ground, axis=2)


def _local_contrast(lightness: np.ndarray, squared: np.ndarray) -> np.ndarray:
    """The spread of lightness around each point, from the means of it and of its square."""
    from scipy.ndimage import gaussian_filter

    radius = max(2.0, 0.01 * max(lightness.shape))
    mean = gaussian_filter(lightness, radius)
    return np.sqrt(np.maximum(gaussian_filter(squared, radius) - mean**2, 0))


def _middle(height: int, width: int) -> np.ndarray:
    y = np.linspace(-1, 1, height)[:, None]
    x = np.linspace(-1, 1, width)[None, :]
    return 0.6 + 0.4 * np.exp(-(x**2 + y**2))


def _unit(values: np.ndarray) -> np.ndarray:
    # A picture of one colour has no saliency anywhere: it is spread evenly
    low, high = float(values.min()), float(np.percentile(values, 99))
    return np.clip((values - low) / (high - low), 0, 1) if high - low > 1e-6 else np.full(values.shape, 0.5)

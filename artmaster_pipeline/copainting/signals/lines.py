"""A picture's lines, read without weights: Canny's edges, soft lines, and a sketch.

Widths grow with the picture (they are for 512 x 512 pixels), so that a painting gives the same lines at two sizes.
"""

import numpy as np

from artmaster_pipeline.copainting.signals.found import Signal, likeness, same_three
from artmaster_pipeline.copainting.signals.structure import agreement_of, f_of

_SMOOTHED = 1.0  # pixels: brush marks finer than this are no edges
_LEAST_HIGH = 60.0  # of Canny's upper threshold: what is fainter is paper
_LOW = 0.5  # of the upper threshold
_STABLE_PX = 2.0
_OTHER_WAYS = ((0.8, 1.0), (1.25, 1.0), (1.0, 0.75), (1.0, 1.35))  # times the thresholds, times the smoothing
_LINE, _AROUND = 1.2, 18.0  # of soft lines: standard deviations of the gradient and of what it is measured against
_FAINT = 1.5  # lightness a pixel: a gradient that is nothing
_OTHER_LINES = 1.3  # times the widths, for how sure soft lines and sketches are
_STROKE, _WIDER, _SHARPENED = 1.0, 1.6, 11.0  # XDoG's sigma, k and p
_INK, _SOFT = 0.76, 12.0  # XDoG's epsilon, of the picture's own light, and phi


def read_edges(picture: np.ndarray) -> Signal:
    """Canny's edges (1986), white on black.

    Sureness: the mean F-score, within 2 pixels, with the edges that thresholds a fifth lower or a quarter higher and a
    smoothing a quarter weaker or a third stronger give.
    """
    edges = canny_edges(picture)
    others = (canny_edges(picture, times, smoothing) for times, smoothing in _OTHER_WAYS)
    sureness = float(np.mean([f_of(*agreement_of(edges, other, _STABLE_PX * _scale(picture))) for other in others]))
    says = (
        f"edges on {edges.mean():.0%} of the pixels; {sureness:.0%} of them stay under other thresholds and smoothing"
    )
    return Signal("edges", "canny", same_three(edges.astype(np.float32)), sureness, says)


def canny_edges(picture: np.ndarray, times: float = 1.0, smoothing: float = 1.0) -> np.ndarray:
    """Edges of a uint8 picture (height, width, 3) as bool (height, width).

    The upper threshold is Otsu's (1979) of the gradients, at least 60 of OpenCV's scale; the lower one half of it.
    """
    import cv2

    grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    grey = cv2.GaussianBlur(grey, (0, 0), _SMOOTHED * smoothing * _scale(picture))
    across, down = (cv2.Sobel(grey, cv2.CV_16S, *order) for order in ((1, 0), (0, 1)))
    size = np.hypot(across.astype(np.float32), down.astype(np.float32))
    otsu, _ = cv2.threshold(np.clip(size / 4, 0, 255).astype(np.uint8), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    high = max(_LEAST_HIGH, 4.0 * otsu) * times
    return np.asarray(cv2.Canny(across, down, _LOW * high, high, L2gradient=True) > 0)


def read_soft_line(picture: np.ndarray) -> Signal:
    """Soft lines, white on black: gradients of lightness against what is usual around them.

    Sureness: the correlation with the lines of a width a third larger.
    """
    lines = _soft_lines(picture, 1.0)
    sureness = likeness(lines, _soft_lines(picture, _OTHER_LINES))
    return Signal("soft-line", "soft-line", same_three(lines), sureness, f"{sureness:.2f} alike at another width")


def _soft_lines(picture: np.ndarray, width: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude

    scale = _scale(picture)
    light = _lightness(picture)
    gradient = gaussian_gradient_magnitude(light, _LINE * scale * width) * scale
    around = np.sqrt(gaussian_filter(gradient**2, _AROUND * scale)) + _FAINT
    lines: np.ndarray = np.tanh(np.maximum(gradient / around - 0.4, 0) * 0.9)
    return lines


def read_sketch(picture: np.ndarray) -> Signal:
    """Thin dark lines on white: the extended difference of Gaussians (Winnemoeller, Kyprianidis, Olsen 2012).

    Sureness: the correlation with the sketch of strokes a third wider.
    """
    sketch = _sketched(picture, 1.0)
    sureness = likeness(sketch, _sketched(picture, _OTHER_LINES))
    dark = float((sketch < 0.5).mean())
    says = f"lines on {dark:.0%} of the paper, {sureness:.2f} alike at another width"
    return Signal("sketch", "sketch", same_three(sketch), sureness, says)


def _sketched(picture: np.ndarray, width: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    scale = _scale(picture) * width
    light = _lightness(picture) / 100
    ground = gaussian_filter(light, _AROUND * _scale(picture)) + 0.02
    even = np.minimum(light / ground, 1.5)  # a dark silk is drawn as a white paper is
    fine, wide = gaussian_filter(even, _STROKE * scale), gaussian_filter(even, _STROKE * _WIDER * scale)
    sharp = (1 + _SHARPENED) * fine - _SHARPENED * wide
    return np.where(sharp >= _INK, 1.0, 1 + np.tanh(_SOFT * (sharp - _INK)))


def _lightness(picture: np.ndarray) -> np.ndarray:
    from skimage.color import rgb2lab

    light: np.ndarray = rgb2lab(picture)[..., 0]
    return light


def _scale(picture: np.ndarray) -> float:
    return float(np.sqrt(picture.shape[0] * picture.shape[1]) / 512)

"""Colour: the network's picture in the original's colours, along the strokes that the network drew."""

from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.superres.constraints.bands import luminance
from artmaster_pipeline.superres.constraints.scales import reduced, widened

_WINDOW = 1.5  # the standard deviation, in pixels of the original
_REACH = 5
_LEAST = 1e-4  # a variance, of 2.5 levels: where there is less, what is lacking is lacking everywhere alike
_STEEPEST = 1.0


@dataclass(frozen=True)
class Colour:
    """What the colours lack is added as a linear function of the luminance that the network drew, place by place.

    It is the function that comes nearest to what the reduced picture lacks: the guided filter (He, Sun and Tang,
    "Guided image filtering", 2013), its guide the network's picture. So a wrong colour is changed up to a stroke's edge
    and not across it.
    """

    name: str = "colour"
    reach: int = _REACH

    def __call__(self, original: np.ndarray, enlarged: np.ndarray) -> np.ndarray:
        scale = enlarged.shape[0] // original.shape[0]
        small, guide = reduced(enlarged, scale), luminance(enlarged)
        light = luminance(small)
        mean = _around(light)
        variance = _around(light * light) - mean * mean
        coloured = np.empty_like(enlarged)
        for n in range(3):
            lacking = original[..., n] - small[..., n]
            offset = _around(lacking)
            slope = (_around(light * lacking) - mean * offset) / (variance + _LEAST)
            slope = np.clip(slope, -_STEEPEST, _STEEPEST)
            added = widened(slope, scale) * guide + widened(offset - slope * mean, scale)
            np.clip(enlarged[..., n] + added, 0, 1, out=coloured[..., n])
        return coloured


def _around(values: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(values, _WINDOW, mode="reflect"))

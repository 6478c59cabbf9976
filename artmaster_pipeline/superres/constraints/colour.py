"""Colour: the network's picture in the original's colours, along the strokes that the network drew."""

from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.superres.constraints.scales import reduced, widened

_WINDOW = 1.5  # the standard deviation, in pixels of the original
_REACH = 5
_LEAST = 1e-4  # a variance, of 2.5 levels: where there is less, only the mean is brought over
_MOST = 2.0  # times: the contrast of a place is changed by no more


@dataclass(frozen=True)
class Colour:
    """Around each place and in each channel the enlarged picture becomes a linear function of itself.

    The one by which, reduced, it comes nearest to the original: the guided filter (He, Sun and Tang, "Guided image
    filtering", 2013) with the network's picture as the guide, so that a wrong colour is changed up to a stroke's edge
    and not across it.
    """

    name: str = "colour"
    reach: int = _REACH

    def __call__(self, original: np.ndarray, enlarged: np.ndarray) -> np.ndarray:
        scale = enlarged.shape[0] // original.shape[0]
        small = reduced(enlarged, scale)
        ours, theirs = _around(small), _around(original)
        variance = _around(small * small) - ours * ours
        covariance = _around(small * original) - ours * theirs
        slope = np.clip((covariance + _LEAST) / (variance + _LEAST), 0, _MOST)
        coloured = np.empty_like(enlarged)
        for n in range(3):
            offset = widened(theirs[..., n] - slope[..., n] * ours[..., n], scale)
            np.clip(widened(slope[..., n], scale) * enlarged[..., n] + offset, 0, 1, out=coloured[..., n])
        return coloured


def _around(values: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(values, (_WINDOW, _WINDOW, 0), mode="reflect"))

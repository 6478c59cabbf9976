"""Back-projection: an enlarged picture that is reduced again is the picture that it was made from."""

from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.superres.constraints.scales import reduced, widened

_ITERATIONS = 4  # the first meets the equation but for what is clipped; the others spread that over the neighbours
_REACH = 8  # the spline's filter falls by a factor of 5.8 a pixel


@dataclass(frozen=True)
class BackProjection:
    """The enlarged picture's area mean over each pixel of the original becomes that pixel.

    Irani and Peleg, "Improving resolution by image registration" (1991): the picture is reduced, and what it lacks is
    put back, until nothing is lacking. What is put back is a linear spline whose area means are the lacking values
    (Unser and Aldroubi, "A general sampling theory for nonideal acquisition devices", 1994): the mean of a linear
    spline over a pixel is a quadratic spline at its middle, so its coefficients are those of the quadratic spline
    through the values, and one step nearly suffices. Values are kept in 0..1 after each.
    """

    name: str = "back-projection"
    reach: int = _REACH

    def __call__(self, original: np.ndarray, enlarged: np.ndarray) -> np.ndarray:
        from scipy.ndimage import spline_filter1d

        scale = enlarged.shape[0] // original.shape[0]
        corrected = enlarged
        for _ in range(_ITERATIONS):
            lacking = original - reduced(corrected, scale)
            for axis in (0, 1):
                if lacking.shape[axis] > 1:
                    lacking = spline_filter1d(lacking, 2, axis, np.float32, "reflect")
            added = [widened(lacking[..., channel], scale) for channel in range(3)]
            corrected = np.clip(corrected + np.stack(added, axis=-1), 0, 1)
        return corrected

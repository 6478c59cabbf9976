"""Back-projection: an enlarged picture that is reduced again is the picture that it was made from."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from artmaster_pipeline.superres.constraints.filters import convolved, reduced, widened

if TYPE_CHECKING:
    from torch import Tensor

_ITERATIONS = 4  # the first meets the equation but for what is clipped; the others spread that over the neighbours
_REACH = 8  # the spline's filter falls by a factor of 5.8 a pixel
_POLE = 8**0.5 - 3  # of the inverse of (1, 6, 1) / 8, a quadratic spline's values at whole numbers
_SPLINE = tuple(2**0.5 * _POLE**x for x in range(_REACH + 1))


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

    def __call__(self, original: "Tensor", enlarged: "Tensor") -> "Tensor":
        scale = enlarged.shape[-1] // original.shape[-1]
        corrected = enlarged
        for _ in range(_ITERATIONS):
            lacking = original - reduced(corrected, scale)
            for axis in (-2, -1):
                lacking = convolved(lacking, _SPLINE, axis)
            corrected = (corrected + widened(lacking, scale)).clamp_(0, 1)
        return corrected

"""Colour: the network's picture in the original's colours, along the strokes that the network drew."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from artmaster_pipeline.superres.constraints.bands import luminance
from artmaster_pipeline.superres.constraints.filters import gaussian, reduced, widened

if TYPE_CHECKING:
    from torch import Tensor

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

    def __call__(self, original: "Tensor", enlarged: "Tensor") -> "Tensor":
        scale = enlarged.shape[-1] // original.shape[-1]
        small = reduced(enlarged, scale)
        light, lacking = luminance(small), original - small
        mean, offset = gaussian(light, _WINDOW), gaussian(lacking, _WINDOW)
        variance = gaussian(light * light, _WINDOW) - mean * mean
        slope = (gaussian(light * lacking, _WINDOW) - mean * offset) / (variance + _LEAST)
        slope = slope.clamp_(-_STEEPEST, _STEEPEST)
        added = widened(slope, scale) * luminance(enlarged) + widened(offset - slope * mean, scale)
        return added.add_(enlarged).clamp_(0, 1)

"""Tone: the colours of areas, which an enlarged picture must share with the one it was made from."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from artmaster_pipeline.superres.constraints.filters import gaussian, reduced, widened

if TYPE_CHECKING:
    from torch import Tensor

_RADIUS = 4.0  # the standard deviation of the low-pass, in pixels of the original: wider than grain and JPEG's ringing
_REACH = 8  # two standard deviations, of a difference of few levels


@dataclass(frozen=True)
class Tone:
    """The enlarged picture gets the original's low frequencies.

    Real-ESRGAN's networks draw strokes well and shift colours by a few levels. This is one step of back-projection
    (Irani and Peleg, "Improving resolution by image registration", 1991): the enlarged picture is reduced again, and
    what it then lacks is added. Only the low-passed part is, so that the noise of the scan does not come back.
    """

    name: str = "tone"
    reach: int = _REACH

    def __call__(self, original: "Tensor", enlarged: "Tensor") -> "Tensor":
        scale = enlarged.shape[-1] // original.shape[-1]
        lacking = gaussian(original - reduced(enlarged, scale), _RADIUS)
        return (enlarged + widened(lacking, scale)).clamp_(0, 1)

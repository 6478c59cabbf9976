"""Texture: detail that the network drew, made as strong and as directed as the painter's is at that place."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from artmaster_pipeline.superres.constraints import bands
from artmaster_pipeline.superres.constraints.falls import Falls, common_falls, details_of
from artmaster_pipeline.superres.constraints.filters import widened

if TYPE_CHECKING:
    from torch import Tensor

_MOST = 2.0  # times: a band is changed by no more, since then it is the network's noise or another's stroke
_FAINT = 1e-8  # a mean square: keeps bare ground from being divided by


@dataclass(frozen=True)
class Texture:
    """Each octave and direction of luminance gets the energy that `falls` foretells (module `falls`).

    Energies of oriented bands are what textures are told apart by (Portilla and Simoncelli, "A parametric texture model
    based on joint statistics of complex wavelet coefficients", 2000). They are met by a gain that varies from place to
    place with the bands' local energy (Lyu and Simoncelli, "Nonlinear image representation using divisive
    normalization", 2008), between a half and two.
    """

    falls: Falls | None = None  # those of paintings in general where none are given
    reach: int = bands.REACH

    @property
    def name(self) -> str:
        return f"texture {self.falls}"

    def __call__(self, original: "Tensor", enlarged: "Tensor") -> "Tensor":
        import torch

        scale = enlarged.shape[-1] // original.shape[-1]
        luminance = bands.luminance(enlarged)
        change = torch.zeros_like(luminance)
        for detail in details_of(original, luminance, self.falls or common_falls(scale)):
            gain = ((detail.wanted + _FAINT) / (detail.has + _FAINT)).sqrt_().clamp_(1 / _MOST, _MOST)
            change += widened(gain - 1, scale) * detail.band
        return (enlarged + change).clamp_(0, 1)

"""Grain: what paper, silk and the scan have between the strokes, and every network smooths away."""

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from artmaster_pipeline.superres.constraints import bands
from artmaster_pipeline.superres.constraints.falls import Falls, common_falls, details_of
from artmaster_pipeline.superres.constraints.filters import widened
from artmaster_pipeline.superres.constraints.noise import noise_of

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Grain:
    """Octaves that are weaker than the grain between the strokes foretells are filled up with noise of that octave.

    Grain is a stationary texture: noise with its energy in each octave looks like it (Heeger and Bergen,
    "Pyramid-based texture analysis/synthesis", 1995). The noise is made from the picture's own pixels (`noise_of`), so
    the same picture has the same grain.
    """

    falls: Falls | None = None  # those of paintings in general where none are given
    reach: int = bands.REACH

    @property
    def name(self) -> str:
        return f"grain {self.falls}"

    def __call__(self, original: "Tensor", enlarged: "Tensor") -> "Tensor":
        import torch

        scale = enlarged.shape[-1] // original.shape[-1]
        variance = bands.grain_variance(bands.split(bands.luminance(original), 0)[1])
        luminance, noise = bands.luminance(enlarged), noise_of(original, scale)
        added = torch.zeros_like(luminance)
        details = details_of(original, luminance, self.falls or common_falls(scale))
        for octave, directions in groupby(details, key=lambda detail: detail.octave):
            rest, noises = bands.split(noise, octave)
            lacking = torch.zeros_like(variance)
            for detail, seen in zip(directions, bands.noise_variances(0), strict=True):
                lacking += variance * (seen * 10 ** (detail.fall / 10)) - detail.has
            strength = (lacking.clamp_(min=0) / sum(bands.noise_variances(octave))).sqrt_()
            added += widened(strength, scale) * sum(noises)
            noise = rest
        return (enlarged + added).clamp_(0, 1)

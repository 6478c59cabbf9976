"""Grain: what paper, silk and the scan have between the strokes, and every network smooths away."""

from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.superres.constraints import bands
from artmaster_pipeline.superres.constraints.falls import Falls, common_falls, details_of
from artmaster_pipeline.superres.constraints.noise import noise_of
from artmaster_pipeline.superres.constraints.scales import widened


@dataclass(frozen=True)
class Grain:
    """Bands of luminance that are weaker than foretold are filled up with noise of that band.

    Grain is a stationary texture: noise with its energies in oriented bands looks like it (Heeger and Bergen,
    "Pyramid-based texture analysis/synthesis", 1995). The noise is made from the picture's own pixels (`noise_of`), so
    the same picture has the same grain.
    """

    falls: Falls | None = None  # those of paintings in general where none are given
    reach: int = bands.REACH

    @property
    def name(self) -> str:
        return f"grain {self.falls}"

    def __call__(self, original: np.ndarray, enlarged: np.ndarray) -> np.ndarray:
        scale = enlarged.shape[0] // original.shape[0]
        luminance, rest, octave = bands.luminance(enlarged), noise_of(original, scale), -1
        added = np.zeros_like(luminance)
        for detail in details_of(original, luminance, self.falls or common_falls(scale)):
            if detail.octave != octave:
                octave = detail.octave
                rest, noises = bands.split(rest, octave)
            lacking = np.maximum(0, detail.wanted - detail.has) / bands.noise_variances(octave)[detail.direction]
            added += widened(np.sqrt(lacking), scale) * noises[detail.direction]
        return np.clip(enlarged + added[..., None], 0, 1)

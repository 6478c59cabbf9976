"""What is done to a network's pixels so that they stay the picture's: one step after the other, on each tile."""

from typing import Protocol

import numpy as np


class Correction(Protocol):
    """A step. It works on tiles, so it says how far it looks: tiles overlap by that much more."""

    @property
    def name(self) -> str:
        """Part of an enlarged picture's identity: another name where it makes other pixels."""

    @property
    def reach(self) -> int:
        """Pixels of the original beyond which nothing changes a pixel by a level."""

    def __call__(self, original: np.ndarray, enlarged: np.ndarray) -> np.ndarray:
        """`enlarged`, (H * n) x (W * n) x 3, corrected towards `original`, H x W x 3; all in 0..1 of type float32."""

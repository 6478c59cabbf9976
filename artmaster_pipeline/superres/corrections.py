"""What is done to a network's pixels so that they stay the picture's: one step after the other, on each tile."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Correction(Protocol):
    """A step. It works on tiles, so it says how far it looks: tiles overlap by what the furthest looks."""

    @property
    def name(self) -> str:
        """Part of an enlarged picture's identity: another name where it makes other pixels."""

    @property
    def reach(self) -> int:
        """Pixels of the original beyond which nothing changes a pixel by a level."""

    def __call__(self, original: "Tensor", enlarged: "Tensor") -> "Tensor":
        """`enlarged`, 3 x (H * n) x (W * n), corrected towards `original`, 3 x H x W; all float32 in 0..1, one device.

        A new tensor: what is given stays as it is.
        """

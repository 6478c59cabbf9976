"""Bringing pictures to a size: a crop whose scan was too small for it, a sample on its way to a gallery."""

import math
from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.records import identity
from artmaster_pipeline.superres.enlarge import Enlarger, check_picture

_LAST_RESIZE = 1.1  # at most this much is left to Lanczos rather than to another pass of the network


def restore_detail(picture: np.ndarray, size: tuple[int, int], enlarger: Enlarger) -> np.ndarray:
    """The crop at `size` (width, height) as the network draws it, height x width x 3 of type uint8, in its own tone.

    It is enlarged by the network as often as it takes, and reduced to the size. A picture that has the size is returned
    as it is.

    Raises BadInput for anything but an RGB picture, WrongUse where `size` is smaller than the picture.
    """
    check_picture(picture)
    width, height = size
    across, down = width / picture.shape[1], height / picture.shape[0]
    if min(across, down) < 1:
        raise WrongUse(f"{picture.shape[1]}x{picture.shape[0]} pixels are not enlarged to {width}x{height}.")
    if across == down == 1:
        return picture
    restored = picture
    for _ in range(passes(max(across, down), enlarger.scale)):
        restored = enlarger.enlarge(restored)
    return resized(restored, size)


@dataclass(frozen=True)
class Enlarging:
    """A network that brings pictures to one size, in as many passes as it takes; `size` none: in one, to its scale."""

    network: Enlarger
    size: tuple[int, int] | None = None  # width, height

    @property
    def name(self) -> str:
        """The network's name."""
        return self.network.name

    @property
    def identity(self) -> str:
        """Made from all that decides the enlarged pixels."""
        return identity(self.network.identity, self.size) if self.size else self.network.identity

    def enlarge(self, picture: np.ndarray) -> np.ndarray:
        """The picture, H x W x 3 of type uint8, at the size. Raises as `restore_detail`."""
        return restore_detail(picture, self.size, self.network) if self.size else self.network.enlarge(picture)


def passes(factor: float, scale: int) -> int:
    """How often a network of that scale is asked to make a picture so many times wider and higher."""
    return max(1, math.ceil(math.log(factor / _LAST_RESIZE, scale)))


def resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The picture reduced to `size` (width, height): by the area mean where it is of whole pixels, else by Lanczos."""
    from PIL import Image

    width, height = size
    whole = picture.shape[0] % height == picture.shape[1] % width == 0
    by = Image.Resampling.BOX if whole else Image.Resampling.LANCZOS  # area means stay what back-projection made them
    return np.asarray(Image.fromarray(picture).resize((width, height), by))

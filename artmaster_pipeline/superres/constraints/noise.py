"""Noise that a picture makes itself: the same for the same pixels, wherever a tile is cut and whoever computes it."""

from typing import TYPE_CHECKING

from artmaster_pipeline.superres.constraints.filters import mirrored

if TYPE_CHECKING:
    from torch import Tensor

_MIX = (0x85EBCA6B, 0xC2B2AE35)  # MurmurHash3's last steps, by which every bit comes to depend on every other
_ROW, _COLUMN, _PLACE = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D  # odd: primes of xxHash
_ALL = 0xFFFFFFFF


def noise_of(original: "Tensor", scale: int) -> "Tensor":
    """White noise of mean 0 and variance 1, (H * scale) x (W * scale), seeded at each pixel by it and its neighbours.

    `original`: 3 x H x W. A sum of four uniform numbers, which is near enough to a normal one.
    """
    import torch

    height, width = original.shape[-2:]
    red, green, blue = original.contiguous().view(torch.int32).long() & _ALL
    own = _mixed(red * _ROW & _ALL ^ _mixed(green * _COLUMN & _ALL ^ _mixed(blue)))
    seeds = torch.zeros_like(own)
    around = mirrored(mirrored(own, 1, -2), 1, -1)
    for row in range(3):
        for column in range(3):
            seeds = _mixed(seeds ^ around[row : row + height, column : column + width])
    noise = original.new_empty(height, scale, width, scale)
    for row in range(scale):
        for column in range(scale):
            drawn = _mixed((seeds + (row * scale + column) * _PLACE) & _ALL)
            octets = sum((drawn >> bits & 0xFF) for bits in (0, 8, 16, 24))
            noise[:, row, :, column] = (octets - 4 * 127.5) / 147.8
    return noise.reshape(height * scale, width * scale)


def _mixed(values: "Tensor") -> "Tensor":
    """32 bits in 64, since what is shifted and multiplied here has no sign."""
    mixed = values ^ (values >> 16)
    mixed = mixed * _MIX[0] & _ALL
    mixed = mixed ^ (mixed >> 13)
    mixed = mixed * _MIX[1] & _ALL
    return mixed ^ (mixed >> 16)

"""Noise that a picture makes itself: the same for the same pixels, wherever a tile is cut and whoever computes it."""

import numpy as np

_MIX = (0x85EBCA6B, 0xC2B2AE35)  # MurmurHash3's last steps, by which every bit comes to depend on every other
_ROW, _COLUMN, _PLACE = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D  # odd: primes of xxHash
REACH = 1


def noise_of(original: np.ndarray, scale: int) -> np.ndarray:
    """White noise of mean 0 and variance 1, (H * scale) x (W * scale), seeded at each pixel by it and its neighbours.

    A sum of four uniform numbers, which is near enough to a normal one.
    """
    height, width = original.shape[:2]
    bits = np.ascontiguousarray(original, np.float32).view(np.uint32)
    own = _mixed(bits[..., 0] * np.uint32(_ROW) ^ _mixed(bits[..., 1] * np.uint32(_COLUMN) ^ _mixed(bits[..., 2])))
    seeds = np.zeros((height, width), np.uint32)
    around = np.pad(own, 1, mode="edge")
    for row in range(3):
        for column in range(3):
            seeds = _mixed(seeds ^ around[row : row + height, column : column + width])
    places = np.arange(scale * scale, dtype=np.uint32).reshape(scale, 1, scale) * np.uint32(_PLACE)
    drawn = _mixed(seeds[:, None, :, None] + places[None])
    octets = drawn.reshape(height * scale, width * scale)[..., None].view(np.uint8)
    return (octets.sum(axis=-1, dtype=np.float32) - 4 * 127.5) / np.float32(147.8)


def _mixed(values: np.ndarray) -> np.ndarray:
    mixed = values ^ (values >> np.uint32(16))
    mixed = mixed * np.uint32(_MIX[0])
    mixed ^= mixed >> np.uint32(13)
    mixed *= np.uint32(_MIX[1])
    return mixed ^ (mixed >> np.uint32(16))

"""Seeded chance: every part of a picture has its own stream, so that one part's dice never move another's."""

import zlib

import numpy as np


def chance(seed: int, *parts: str) -> np.random.Generator:
    """A generator made from the seed and the part's name, the same on every machine."""
    return np.random.default_rng([seed & 0xFFFFFFFFFFFF, *(zlib.crc32(part.encode()) for part in parts)])


def apart(dice: np.random.Generator) -> np.random.Generator:
    """One form's own stream: it may throw more dice in a larger picture, and yet the next form's stay the same."""
    return np.random.default_rng(int(dice.integers(0, 2**62)))

"""Mountings, frames and photographers' things around a painting, with the rectangle that is the painting."""

import numpy as np
import pyvips  # noqa: TID253 - a test may

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom

_CHART = ((115, 82, 68), (194, 150, 130), (98, 122, 157), (87, 108, 67), (133, 128, 177), (103, 189, 170))
_GREYS = tuple((level,) * 3 for level in (243, 200, 160, 122, 85, 52))


def brocade(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Silk with a woven pattern of medallions, in two tones, uint8 RGB."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    pattern = np.sin(x * 0.45) * np.sin(y * 0.45) + 0.6 * np.sin((x + y) * 0.9)
    silk = np.where(pattern[..., None] > 0.35, (176, 148, 96), (140, 112, 72)).astype(np.float32)
    return (silk + rng.normal(0, 4, (height, width, 1))).clip(0, 255).astype(np.uint8)


def silk(width: int, height: int, colour: tuple[int, int, int] = (206, 194, 166), seed: int = 0) -> np.ndarray:
    """Plain silk: one colour and its weave."""
    noise = np.random.default_rng(seed).normal(0, 3, (height, width, 1))
    return (np.full((height, width, 3), colour, np.float32) + noise).clip(0, 255).astype(np.uint8)


def set_into(ground: np.ndarray, picture: np.ndarray, left: int, top: int) -> tuple[np.ndarray, Rectangle]:
    """The ground with the picture laid on it, and where that is."""
    out = ground.copy()
    height, width = picture.shape[:2]
    out[top : top + height, left : left + width] = picture
    return out, (left, top, left + width, top + height)


def wooden_frame(picture: np.ndarray, wide: int = 40, seed: int = 0) -> tuple[np.ndarray, Rectangle]:
    """A gilt frame: mouldings that run around it, lit from above, with the grain of wood."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[0 : height + 2 * wide, 0 : width + 2 * wide]
    edge = np.minimum(np.minimum(y, height + 2 * wide - 1 - y), np.minimum(x, width + 2 * wide - 1 - x))
    moulding = 18 * np.cos(edge / wide * 9.0) + np.random.default_rng(seed).normal(0, 5, edge.shape)
    gilt = np.array((150, 112, 52), np.float32) + (moulding - 12.0 * (y > height + wide))[..., None]
    return set_into(gilt.clip(0, 255).astype(np.uint8), picture, wide, wide)


def with_chart(picture: np.ndarray, grey: int = 128, seed: int = 0) -> tuple[np.ndarray, Rectangle]:
    """A painting on a photographer's grey, a colour chart and a ruler in the margin below it."""
    height, width = picture.shape[:2]
    ground = np.full((height + 190, width + 120, 3), grey, np.float32)
    ground += np.random.default_rng(seed).normal(0, 1.5, (*ground.shape[:2], 1))
    out, place = set_into(ground.clip(0, 255).astype(np.uint8), picture, 60, 50)
    for row, colours in enumerate((_CHART, _GREYS)):
        for column, colour in enumerate(colours):
            out[height + 85 + 30 * row : height + 113 + 30 * row, 70 + 30 * column : 98 + 30 * column] = colour
    out[height + 150 : height + 166, 60 : 60 + width // 2] = 240
    out[height + 150 : height + 158, 60 : 60 + width // 2 : 10] = 20
    return out, place


def turned(pixels: np.ndarray, degrees: float, ground: tuple[int, int, int]) -> np.ndarray:
    """The pixels turned counter-clockwise about their middle, on a sheet of the same size."""
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")
    around = image.rotate(-degrees, background=list(ground))
    height, width = pixels.shape[:2]
    return around.crop((around.width - width) // 2, (around.height - height) // 2, width, height).numpy()

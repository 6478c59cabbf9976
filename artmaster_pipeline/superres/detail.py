"""Giving a crop the detail that its scan was too small for."""

import math

import numpy as np

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.superres.enlarge import Enlarger, check_picture

_LAST_RESIZE = 1.1  # at most this much is left to Lanczos rather than to another pass of the network


def restore_detail(picture: np.ndarray, source_scale: float, enlarger: Enlarger) -> np.ndarray:
    """The crop as the network draws it, H x W x 3 of type uint8, same size and tone as `picture`.

    `source_scale` is how many pixels the scan had per pixel of the crop. Below 1 the crop was enlarged from fewer
    pixels: it is brought back to them, enlarged by the network as often as it takes, and reduced to its own size.
    From 1 on the scan had the detail itself, and `picture` is returned as it is.

    Raises BadInput for anything but an RGB picture, WrongUse unless `source_scale` is positive.
    """
    check_picture(picture)
    if not source_scale > 0:
        raise WrongUse(f"source_scale is {source_scale}; it says scan pixels per crop pixel and is above 0.")
    if source_scale >= 1:
        return picture
    height, width = picture.shape[:2]
    restored = _resize(picture, max(1, round(height * source_scale)), max(1, round(width * source_scale)))
    for _ in range(_passes(source_scale, enlarger.scale)):
        restored = enlarger.enlarge(restored)
    return _resize(restored, height, width)


def _passes(source_scale: float, scale: int) -> int:
    return max(1, math.ceil(math.log(1 / (source_scale * _LAST_RESIZE), scale)))


def _resize(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))

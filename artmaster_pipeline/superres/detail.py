"""Giving a crop the detail that its scan was too small for."""

import math

import numpy as np

from artmaster_pipeline.errors import WrongUse
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
    for _ in range(_passes(max(across, down), enlarger.scale)):
        restored = enlarger.enlarge(restored)
    return _resize(restored, height, width)


def _passes(factor: float, scale: int) -> int:
    return max(1, math.ceil(math.log(factor / _LAST_RESIZE, scale)))


def _resize(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))

"""A picture brought to a canvas' shape, and the shape of a canvas for a picture."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from artmaster_pipeline.copainting.canvas.maps import Size
from artmaster_pipeline.copainting.canvas.reading import LARGEST, SMALLEST, STEP
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.scans.decoding import decode, reading
from artmaster_pipeline.settings import CROP_SIZES

if TYPE_CHECKING:
    import pyvips

_AREA = 512 * 640  # pixels of a canvas that nobody sized, between the two shapes that adapters are trained for
_PREFERRED = 0.05  # by which a picture's width over height may miss one of those and still get it


def size_for(width: int, height: int, step: int = STEP) -> Size:
    """The canvas' size for a picture: the shapes that adapters are trained for where they fit, else the nearest one."""
    sides = range(-(-SMALLEST // step) * step, LARGEST + 1, step)
    trained = [(w, h) for w, h in CROP_SIZES if w % step == 0 and h % step == 0]
    others = [(w, h) for w in sides for h in sides if 0.6 <= w * h / _AREA <= 1.65]

    def misses(size: Size) -> float:
        return abs(math.log(size[0] / size[1] / (width / height)))

    near = [size for size in trained if misses(size) <= _PREFERRED]
    candidates = near or others or [(w, h) for w in sides for h in sides]
    return min(candidates, key=lambda size: (round(misses(size), 2), abs(math.log(size[0] * size[1] / _AREA))))


def fitted(
    source: Path, size: Size | None = None, *, step: int = STEP, exact_colours: bool = False
) -> tuple[Size, np.ndarray, float]:
    """(the canvas' size, the picture's middle in that shape as uint8 (height, width, 3), the share that is cut off).

    The pixels are as many as the canvas', or with `exact_colours` those of the file, none mixed with another, up to the
    largest canvas. Raises WrongUse where there is no such file, BadInput where it is no picture that can be used.
    """
    if not source.is_file():
        raise WrongUse(f"There is no picture {source}.")
    with reading(source):
        image = decode(source).image
        size = size or size_for(image.width, image.height, step)
        scale = min(image.width / size[0], image.height / size[1])
        wanted = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
        lost = 1 - wanted[0] * wanted[1] / (image.width * image.height)
        cut = image.crop((image.width - wanted[0]) // 2, (image.height - wanted[1]) // 2, *wanted)
        pixels = _at_most(cut, LARGEST) if exact_colours else cut.thumbnail_image(size[0], height=size[1], size="force")
        return size, np.asarray(pixels.numpy())[..., :3], max(0.0, lost)


def _at_most(image: "pyvips.Image", side: int) -> "pyvips.Image":
    scale = side / max(image.width, image.height)
    return image.resize(scale, kernel="nearest") if scale < 1 else image

"""Pictures of the painter, large enough to show what an enlarged one's finest strokes and paper should be like."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from artmaster_pipeline.errors import BadInput, WrongUse
from artmaster_pipeline.superres.networks import LIKE_OTHERS
from artmaster_pipeline.superres.upscaling.naming import pictures_in
from artmaster_pipeline.superres.upscaling.opening import open_picture

_MOST = 16  # pictures: the falls of one painter's scans hardly differ (superres.constraints.falls)
_LEAST_SIDE = 512  # pixels of the shorter side: what is smaller is of the kind that is enlarged
_LARGEST = 2048  # pixels a side; what is larger is reduced to it


def pictures_like(place: Path, constraints: Sequence[str]) -> list[np.ndarray]:
    """Up to sixteen large pictures in a folder, evenly chosen in the order of their names; H x W x 3 of type uint8.

    Raises WrongUse where no constraint goes by them, or there are none; BadInput for one that cannot be read.
    """
    if not LIKE_OTHERS.intersection(constraints):
        raise WrongUse(f"like says how {' and '.join(sorted(LIKE_OTHERS))} shall be, and neither is a constraint here.")
    if not place.is_dir():
        raise WrongUse(f"{place}: there is no such folder of pictures for like.")
    large = [file for file in pictures_in(place) if shorter_side(file) >= _LEAST_SIDE]
    if not large:
        raise WrongUse(
            f"There is no picture of at least {_LEAST_SIDE} pixels a side in {place}: for like, name a folder of the "
            "painter's large scans."
        )
    chosen = np.linspace(0, len(large) - 1, min(_MOST, len(large))).round().astype(int)
    return [read_large(large[n]) for n in chosen]


def shorter_side(file: Path) -> int:
    """In pixels; 0 for what would not be enlarged either."""
    import pyvips

    try:
        opened = open_picture(file)
    except (BadInput, pyvips.Error, OSError):
        return 0
    return min(opened.width, opened.height)


def read_large(file: Path) -> np.ndarray:
    """A picture in sRGB, H x W x 3 of type uint8, reduced to at most 2,048 pixels a side.

    Raises BadInput where it cannot be read to its end.
    """
    import pyvips

    try:
        image = pyvips.Image.thumbnail(str(file), _LARGEST, size="down", fail_on="error", output_profile="srgb")
        image = image.colourspace("srgb")
        pixels: np.ndarray = (image.flatten(background=255) if image.hasalpha() else image).cast("uchar").numpy()
    except pyvips.Error as error:
        raise BadInput(f"{file}, which others are to be like, cannot be read", "Take it out of the folder") from error
    return pixels

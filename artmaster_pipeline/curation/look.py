"""A scan as curation looks at it: small enough to be judged quickly, large enough that an inscription can be told."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyvips

_LONG, _SHORT, _MOST = 1280, 640, 1_600_000  # pixels: of a side at least, where the scan has them; of the whole at most


@dataclass(frozen=True)
class Look:
    """A whole scan, reduced."""

    rgb: np.ndarray  # uint8 (height, width, 3), sRGB
    lab: np.ndarray  # float32 (height, width, 3), CIELAB
    scale: float  # its pixels per pixel of the scan, at most 1


def scale_of(width: int, height: int) -> float:
    """Pixels of the look per pixel of a scan of that size."""
    scale = min(1.0, max(_LONG / max(width, height), _SHORT / min(width, height)))
    return min(scale, (_MOST / (width * height)) ** 0.5)


def look_at(image: "pyvips.Image", scan_width: int, scan_height: int) -> Look:
    """The look of a scan of that size from a picture of it, 8-bit sRGB, that may be reduced already."""
    scale = scale_of(scan_width, scan_height)
    width, height = max(1, round(scan_width * scale)), max(1, round(scan_height * scale))
    small = image.thumbnail_image(width, height=height, size="force")
    return Look(small.numpy(), small.colourspace("lab").numpy().astype(np.float32, copy=False), scale)

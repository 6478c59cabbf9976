"""A mask file: white is painted, black stays. Its header is looked at first, and its pixels stay on the disk.

A mask has the picture's size, or its shape at another size; a grey is white from the middle on. The border between
what is painted and what stays is softened inside the white part alone (`joining.opacity`).
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from artmaster_pipeline.copainting.editing.windows import Box, within
from artmaster_pipeline.errors import BadInput
from artmaster_pipeline.superres.upscaling.opening import Opened, open_picture
from artmaster_pipeline.superres.upscaling.sheets import RawPixels, write_raw

if TYPE_CHECKING:
    import pyvips

_LOADERS = {"pngload": "PNG", "tiffload": "TIFF"}


@dataclass(frozen=True)
class Mask:
    """Which pixels of the result are made: those of a file, or of whole boxes."""

    boxes: tuple[Box, ...]  # in each everything, or what the file says, is painted
    pixels: RawPixels | None = None  # one band of 0 and 255, of the picture's size

    def part(self, box: Box) -> np.ndarray:
        """Whether each pixel of a box is painted, bool (height, width); outside the picture nothing is."""
        left, top, right, bottom = box
        found = np.zeros((bottom - top, right - left), bool)
        if self.pixels is None:
            for each in self.boxes:
                found[within(each, box, found.shape)] = True
            return found
        height, width, _ = self.pixels.shape
        inner = (max(0, left), max(0, top), min(width, right), min(height, bottom))
        if inner[0] < inner[2] and inner[1] < inner[3]:
            values = self.pixels[inner[1] : inner[3], inner[0] : inner[2], 0]
            found[within(inner, box, found.shape)] = values > 0
        return found

    def image(self, size: tuple[int, int]) -> "pyvips.Image":
        """The mask at the result's size, one band of 0 and 255, to be read once from top to bottom."""
        import pyvips

        if self.pixels is not None:
            return self.pixels.image("b-w")
        image = pyvips.Image.black(*size)
        for left, top, right, bottom in self.boxes:
            image = image.insert(pyvips.Image.black(right - left, bottom - top).linear(1, 255).cast("uchar"), left, top)
        return image.copy(interpretation="b-w")


def whole(size: tuple[int, int]) -> Mask:
    """Everything is painted."""
    return Mask(((0, 0, *size),))


def mask_faults(file: Path, size: tuple[int, int] | None) -> list[str]:
    """What is wrong with a mask for a picture of that size (none: nobody knows), by its header and its values."""
    import pyvips

    try:
        opened = open_picture(file)
        return _header_faults(file, opened, size) or _value_faults(file, opened)
    except BadInput as error:
        return [f"The mask {file} cannot be used: {error.reason}. {error.remedy}"]
    except (pyvips.Error, OSError):
        return [f"The mask {file} cannot be read to its end: take a whole copy, or save it again as PNG"]


def read_mask(file: Path, size: tuple[int, int], folder: Path) -> Mask:
    """A mask without faults as the picture's own pixels, which lie in a file of `folder`."""
    image = _level(open_picture(file))
    if (image.width, image.height) != size:
        image = image.resize(size[0] / image.width, vscale=size[1] / image.height, kernel="nearest")
    pixels = write_raw(image, folder / "mask.plain")
    raw = RawPixels(folder / "mask.raw", pixels.shape, np.uint8)
    with pixels.file.open("rb") as plain, raw.file.open("wb") as target:
        target.write(bytes(raw.head))
        shutil.copyfileobj(plain, target, 2**20)
    pixels.file.unlink()
    across, down = (np.flatnonzero(sums.numpy()) for sums in raw.image("b-w").project())
    box = (int(across[0]), int(down[0]), int(across[-1]) + 1, int(down[-1]) + 1)
    return Mask((box,), raw)


def _header_faults(file: Path, opened: Opened, size: tuple[int, int] | None) -> list[str]:
    found, kind = [], opened.image.get("vips-loader")
    if kind not in _LOADERS:
        found.append(f"The mask {file} is no PNG or TIFF: other formats blur its border. Save it as PNG")
    if opened.space == "CMYK":
        found.append(f"The mask {file} is in CMYK: save it in grey, white where the picture is to be painted")
    if size and (opened.width, opened.height) != size:
        width, height = size
        if abs(opened.height - height * opened.width / width) > 1:
            found.append(
                f"The mask {file} is {opened.width}x{opened.height} pixels and the picture {width}x{height}: it needs "
                "the picture's size, or its shape at another size"
            )
    return found


def _value_faults(file: Path, opened: Opened) -> list[str]:
    found = []
    if opened.has_alpha and (opened.pixels().extract_band(opened.image.bands - 1).min() < _white(opened)):
        found.append(
            f"The mask {file} is transparent in part, which says neither paint nor leave: flatten it onto black and "
            "save it in grey"
        )
    if opened.space == "RGB":
        bands = opened.pixels().extract_band(0, n=3)
        if ((bands[0] - bands[1]).abs() + (bands[1] - bands[2]).abs()).max() > 0:
            found.append(f"The mask {file} has colours: save it in grey, white where the picture is to be painted")
    if found:
        return found
    mean = _level(opened).avg()
    if mean == 0:
        found.append(f"The mask {file} is black all over, so there is nothing to paint: make white what is to be made")
    if mean == 255:
        found.append(
            f"The mask {file} is white all over, so nothing of the work would stay: to draw a new picture there is "
            "artmaster generate, to give the whole another style artmaster restyle without --mask"
        )
    return found


def _level(opened: Opened) -> "pyvips.Image":
    """One band of 0 and 255."""
    return opened.pixels().extract_band(0) > _white(opened) / 2


def _white(opened: Opened) -> int:
    return 65535 if opened.bits == 16 else 255

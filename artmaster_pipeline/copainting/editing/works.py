"""An existing work as it is edited: its samples as the file has them, and the same as a model sees them, and back.

What is not painted is never converted: its samples go from file to file. Only what a model is shown is brought to sRGB
with 8 bits, and what it made is brought back into the work's own colour space and depth.
"""

import hashlib
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from artmaster_pipeline.errors import BadInput
from artmaster_pipeline.files import sha256_of, writing
from artmaster_pipeline.superres.upscaling.opening import Opened, open_picture

if TYPE_CHECKING:
    import pyvips

_SMALLEST = 64  # pixels a side
_KINDS = {("RGB", 8): "srgb", ("RGB", 16): "rgb16", ("grey", 8): "b-w", ("grey", 16): "grey16"}
_CHANNELS = {"RGB": "RGB", "grey": "GRAY", "CMYK": "CMYK"}
_COLOURS = {"RGB": 3, "grey": 1, "CMYK": 4}
_THUMBNAIL = 256


@dataclass(frozen=True)
class Work:
    """A picture file that was opened; `folder` is where its profile is put down, since libvips reads it from there."""

    opened: Opened
    sha256: str
    folder: Path

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, upright."""
        return self.opened.width, self.opened.height

    @property
    def colours(self) -> int:
        """How many bands are colours; a further one is alpha."""
        return _COLOURS[self.opened.space]

    def pixels(self) -> "pyvips.Image":
        """All bands as the file has them, upright, to be read once from top to bottom."""
        return self.opened.pixels()

    def shown(self, samples: np.ndarray) -> np.ndarray:
        """Samples of the work (height x width x bands) in 8-bit sRGB, uint8 (height, width, 3)."""
        image = self._image(samples[..., : self.colours])
        if self._profile_file:
            image = image.icc_transform("srgb", input_profile=self._profile_file, depth=8, **_INTENT)
        elif self.opened.space == "CMYK":
            image = image.icc_transform("srgb", input_profile="cmyk", depth=8, **_INTENT)
        elif self.opened.space == "RGB":
            return samples[..., :3] if self.opened.bits == 8 else np.rint(samples[..., :3] / 257).astype(np.uint8)
        else:
            level = samples[..., :1] if self.opened.bits == 8 else np.rint(samples[..., :1] / 257).astype(np.uint8)
            return np.repeat(level, 3, axis=2)
        return np.asarray(image.numpy())

    def in_own_colours(self, pixels: np.ndarray) -> np.ndarray:
        """What a model made (uint8, height x width x 3, sRGB) as samples of the work's colours, without alpha."""
        import pyvips

        deep = self.opened.bits == 16
        profile = self._profile_file or ("cmyk" if self.opened.space == "CMYK" else "")
        if profile:
            image = pyvips.Image.new_from_array(pixels, interpretation="srgb")
            image = image.icc_transform(profile, input_profile="srgb", depth=self.opened.bits, **_INTENT)
            found = np.asarray(image.numpy())
            return found if found.ndim == 3 else found[..., None]
        values = pixels.astype(np.float64)
        if self.opened.space == "grey":
            values = (values @ np.array([0.2126, 0.7152, 0.0722]))[..., None]  # Rec. 709's luma
        return np.rint(values * 257).astype(np.uint16) if deep else np.rint(values).astype(np.uint8)

    def thumbnail(self) -> bytes:
        """The work at 256 pixels a side at most, as the register keeps it: a JPEG."""
        image = self.pixels()
        samples = image.resize(min(1.0, _THUMBNAIL / max(self.size))).numpy()
        pixels = self.shown(samples if samples.ndim == 3 else samples[..., None])
        return _jpeg(pixels)

    @cached_property
    def _profile_file(self) -> str:
        """The file's profile where it can be followed; empty where there is none that can."""
        profile = self.opened.profile()
        if not profile or not _fits(profile, self.opened.space):
            return ""
        file = self.folder / f"{hashlib.sha256(profile).hexdigest()[:16]}.icc"
        if not file.is_file():
            with writing(file) as temporary:
                temporary.write_bytes(profile)
        return str(file)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was decided while it was read, one sentence each."""
        found = list(self.opened.notes)
        profile = self.opened.profile()
        if profile and not _fits(profile, self.opened.space):
            found.append("Its colour profile is broken or belongs to other channels: what was made was taken as sRGB")
        return tuple(found)

    def _image(self, samples: np.ndarray) -> "pyvips.Image":
        import pyvips

        kind = _KINDS.get((self.opened.space, self.opened.bits), "cmyk")
        return pyvips.Image.new_from_array(np.ascontiguousarray(samples), interpretation=kind)


_INTENT: dict[str, Any] = {"intent": "relative", "black_point_compensation": True}


def open_work(picture: Path, folder: Path) -> Work:
    """The work in a file; nothing but its header is read, and its bytes for their sha256.

    Raises BadInput where it cannot be edited, pyvips.Error where it is not whole.
    """
    opened = open_picture(picture)
    if min(opened.width, opened.height) < _SMALLEST:
        raise BadInput(
            f"It is {opened.width}x{opened.height} pixels, and a side of {_SMALLEST} is the least that is edited",
            "Take a larger scan, or enlarge it first (artmaster upscale)",
        )
    return Work(opened, sha256_of(picture), folder)


def _fits(profile: bytes, space: str) -> bool:
    """Whether an ICC profile can be read and is of these channels."""
    from PIL import ImageCms

    try:
        core = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile
    except (OSError, ValueError, ImageCms.PyCMSError):
        return False
    return bool(core.xcolor_space.strip() == _CHANNELS[space])


def _jpeg(pixels: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()

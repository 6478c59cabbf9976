"""A picture file as it is opened to be enlarged: its colours as three channels, in the file's own colour space.

The values of RGB files go through the network as they are, whatever their profile: it was trained on gamma-encoded
values and moves them by little, so nothing is clipped to another gamut and nothing is converted twice. Grey is given to
it three times and averaged afterwards. CMYK, of which there are more values than colours, is brought to Display P3 by
the file's profile (ISO 15076-1, relative colorimetric, black point compensation) and back by the same one.
"""

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from artmaster_pipeline.errors import BadInput
from artmaster_pipeline.superres.upscaling.iptc import PNG_TEXT, captions_in, captions_in_text
from artmaster_pipeline.superres.upscaling.words import Words, words_in, words_of

if TYPE_CHECKING:
    import pyvips

Space = Literal["RGB", "grey", "CMYK"]
SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")
MAX_PIXELS = 1_000_000_000
CMYK_BETWEEN = "p3"  # libvips' own Display P3
RESAVE = "Save it again as an 8-bit or 16-bit RGB TIFF, PNG or JPEG"
_TEXT = re.compile(r"png-comment-\d+-(.+)", re.DOTALL)
_PNG_UNSAID = (2.834, 2.834)  # what libvips takes a PNG for that says nothing
_MILLIMETRES = {"in": 25.4, "cm": 10.0}
_MAGIC = {
    "jpegload": (b"\xff\xd8\xff",),
    "pngload": (b"\x89PNG\r\n\x1a\n",),
    "tiffload": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "webpload": (b"RIFF",),
}
_COLOURS: dict[str, tuple[Space, int]] = {
    "srgb": ("RGB", 3),
    "rgb": ("RGB", 3),
    "rgb16": ("RGB", 3),
    "b-w": ("grey", 1),
    "grey16": ("grey", 1),
    "cmyk": ("CMYK", 4),
}


@dataclass(frozen=True)
class Opened:
    """A picture upright. `image` is its header; its pixels are read from the file each time that they are asked for."""

    path: Path
    image: "pyvips.Image"
    space: Space
    has_alpha: bool
    bits: int
    notes: tuple[str, ...]
    words: Words  # what the file says in EXIF

    @property
    def width(self) -> int:
        return int(self.image.height if self._on_its_side else self.image.width)

    @property
    def height(self) -> int:
        return int(self.image.width if self._on_its_side else self.image.height)

    @property
    def resolution(self) -> tuple[float, float] | None:
        """Pixels per millimetre across and down, where the file says so."""
        said = _resolution_said(self.image)
        return said[::-1] if said and self._on_its_side else said

    @property
    def _on_its_side(self) -> bool:
        return bool(self.image.get_typeof("orientation")) and self.image.get("orientation") in range(5, 9)

    def colours(self) -> "pyvips.Image":
        """Three channels of 8 or 16 bits for the network."""
        image = self.pixels()
        if self.has_alpha:
            image = image.extract_band(0, n=image.bands - 1)
        if self.space == "grey":
            return image.bandjoin([image, image])
        if self.space == "CMYK":
            return image.icc_transform(
                CMYK_BETWEEN,
                embedded=True,
                input_profile="cmyk",
                intent="relative",
                black_point_compensation=True,
                depth=16,
            )
        return image

    def alpha(self) -> "pyvips.Image | None":
        """The alpha channel, if there is one."""
        return self.pixels().extract_band(self.image.bands - 1) if self.has_alpha else None

    def pixels(self) -> "pyvips.Image":
        """All bands, from top to bottom; what is to be turned cannot be read in that order and waits on the disk."""
        image = _load(self.path, in_order=not _is_turned(self.image))
        return image.autorot() if _is_turned(image) else image

    def profile(self) -> bytes | None:
        """The file's ICC profile."""
        return bytes(self.image.get("icc-profile-data")) if self.image.get_typeof("icc-profile-data") else None


def open_picture(path: Path) -> Opened:
    """The picture in `path`, a JPEG, PNG, TIFF or WebP told by its bytes. Nothing but its header is read yet.

    Raises BadInput where it cannot be enlarged; pyvips.Error, then or when its pixels are read, where it is not whole.
    """
    image, notes = _load(path, in_order=True), []
    if image.width * image.height > MAX_PIXELS:
        raise BadInput(
            f"It is {image.width:,} x {image.height:,} pixels, more than {MAX_PIXELS:,}", "Cut it into parts first"
        )
    if (pages := image.get("n-pages") if image.get_typeof("n-pages") else 1) > 1:
        if image.get("vips-loader") != "tiffload":
            raise BadInput(f"It is an animation of {pages} frames", "Save the frame that shows the artwork")
        notes.append(f"Only the first of its {pages} pages was enlarged")
    if image.interpretation not in _COLOURS or image.format not in ("uchar", "ushort"):
        raise BadInput(f"Its pixels are {image.interpretation} values of type {image.format}", RESAVE)
    space, bands = _COLOURS[image.interpretation]
    beyond = image.bands - bands
    if beyond not in (0, 1):
        raise BadInput(f"It has {image.bands} channels where {bands} and an alpha channel can be meant", RESAVE)
    if space == "CMYK" and not image.get_typeof("icc-profile-data"):
        notes.append("CMYK without a profile: taken as libvips' own press profile means it")
    bits = 16 if image.format == "ushort" else 8
    return Opened(path, image, space, beyond == 1, bits, tuple(notes), _words(image, path))


def _resolution_said(image: "pyvips.Image") -> tuple[float, float] | None:
    """Not all that libvips has: that is a number for every file. It tells no unit of a PNG and reads no WebP's EXIF."""
    said = (float(image.xres), float(image.yres))
    unit = image.get("resolution-unit") if image.get_typeof("resolution-unit") else None
    if image.get("vips-loader") == "pngload" and said != _PNG_UNSAID:
        return said
    if unit and image.get("vips-loader") == "webpload":
        across, down = (image.get(f"exif-ifd0-{side}Resolution").split()[0] for side in "XY")
        try:
            said = (float(Fraction(across)) / _MILLIMETRES[unit], float(Fraction(down)) / _MILLIMETRES[unit])
        except (ValueError, ZeroDivisionError):
            return None
    return said if unit and min(said) > 0 else None


def _words(image: "pyvips.Image", path: Path) -> Words:
    if image.get("vips-loader") == "tiffload":
        return words_of(path)
    words = words_in(bytes(image.get("exif-data"))) if image.get_typeof("exif-data") else Words()
    texts = {match[1]: image.get(match[0]) for name in image.get_fields() if (match := _TEXT.fullmatch(name))}
    captions = captions_in_text(texts.pop(PNG_TEXT, ""))
    if image.get_typeof("iptc-data"):
        captions = captions_in(bytes(image.get("iptc-data")))
    return replace(words, iptc=captions, texts=tuple(texts.items()))


def _load(path: Path, *, in_order: bool) -> "pyvips.Image":
    import pyvips

    with path.open("rb") as file:
        head = file.read(16)
    for loader, beginnings in _MAGIC.items():
        if head.startswith(beginnings) and (loader != "webpload" or head[8:12] == b"WEBP"):
            access = "sequential" if in_order else "random"
            return getattr(pyvips.Image, loader)(str(path), access=access, fail_on="error", revalidate=True)
    raise BadInput("It is no JPEG, PNG, TIFF or WebP picture", "Save it again as one of them")


def _is_turned(image: "pyvips.Image") -> bool:
    return bool(image.get_typeof("orientation")) and image.get("orientation") in range(2, 9)

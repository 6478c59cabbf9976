"""An enlarged picture as a file: PNG, tiled TIFF or JPEG, with what the source's file said of itself."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from artmaster_pipeline.errors import BadInput
from artmaster_pipeline.superres.upscaling.iptc import PNG_TEXT, segment_of, text_of
from artmaster_pipeline.superres.upscaling.opening import CMYK_BETWEEN, Opened
from artmaster_pipeline.superres.upscaling.png_texts import put_into_png
from artmaster_pipeline.superres.upscaling.words import Words, block_of, put_into_tiff

if TYPE_CHECKING:
    import pyvips

Format = Literal["png", "tiff", "jpeg"]
ENDINGS: dict[Format, str] = {"png": ".png", "tiff": ".tif", "jpeg": ".jpg"}
_JPEG_SIDE = 65_500  # pixels; libjpeg's limit
_BIG = 3_500_000_000  # bytes of pixels, from which on a TIFF needs 64-bit offsets
_UNKNOWN = (72 / 25.4, 72 / 25.4)  # pixels per millimetre, which Exif 2.32 (4.6.4) has written where nobody knows
_CARRIED = re.compile(r"exif-.*|xmp-data|icc-profile-data|resolution-unit")
_TURNED = re.compile(rb'(tiff:Orientation(?:="|>))[2-8]')
_KINDS = {("RGB", 8): "srgb", ("RGB", 16): "rgb16", ("grey", 8): "b-w", ("grey", 16): "grey16"}


def check_format(opened: Opened, file_format: Format, width: int, height: int) -> None:
    """Raise BadInput where a file of that format cannot hold the picture."""
    if file_format == "jpeg" and opened.has_alpha:
        raise BadInput("It is transparent in part, and JPEG has no alpha channel", "Choose --format png or tiff")
    if file_format == "png" and opened.space == "CMYK":
        raise BadInput("Its colours are CMYK, which PNG does not hold", "Choose --format tiff or jpeg")
    if file_format == "jpeg" and max(width, height) > _JPEG_SIDE:
        raise BadInput(
            f"It would be {width:,} x {height:,} pixels, more than a JPEG holds a side", "Choose --format tiff or png"
        )


def finished(
    opened: Opened, colours: "pyvips.Image", alpha: "pyvips.Image | None", bits: int, folder: Path
) -> "pyvips.Image":
    """The enlarged colours (three channels of 16 bits) in the source's colour space, with alpha and metadata.

    `folder` is for what libvips reads from files alone.
    """
    image = _in_own_space(opened, colours, bits, folder)
    if alpha is not None:
        image = image.bandjoin(_reduced(alpha, bits))
    return dressed(opened, image, bits, colours.width / opened.width)


def dressed(opened: Opened, image: "pyvips.Image", bits: int, times: float = 1.0) -> "pyvips.Image":
    """An image of the source's bands with what is in the source's header; it is so many `times` as wide as that."""
    image = image.copy(interpretation=_KINDS.get((opened.space, bits), "cmyk"))
    _carry(opened, image)
    across, down = _UNKNOWN
    if opened.resolution:
        across, down = (side * times for side in opened.resolution)
    return image.copy(xres=across, yres=down)  # last: libvips takes what EXIF says wherever EXIF is set


def save(image: "pyvips.Image", file: Path, file_format: Format, quality: int, words: Words) -> None:
    """Write the picture row by row; `quality` is a JPEG's, `words` what the file is to say beside its pixels."""
    import pyvips

    image = image.copy()
    if file_format == "png":
        image.pngsave(str(file), compression=6)
        put_into_png(file, dict(words.texts) | ({PNG_TEXT: text_of(words.iptc)} if words.iptc else {}))
    elif file_format == "jpeg":
        if words.iptc:
            image.set_type(pyvips.GValue.blob_type, "iptc-data", segment_of(words.iptc))
        image.jpegsave(str(file), Q=quality, subsample_mode="off")
    else:
        size = image.width * image.height * image.bands * (2 if image.format == "ushort" else 1)
        image.tiffsave(
            str(file),
            tile=True,
            tile_width=256,
            tile_height=256,
            compression="deflate",
            predictor="horizontal",
            bigtiff=size > _BIG,
        )
        put_into_tiff(file, words)


def _in_own_space(opened: Opened, colours: "pyvips.Image", bits: int, folder: Path) -> "pyvips.Image":
    if opened.space == "CMYK":
        profile = "cmyk"
        if content := opened.profile():
            (folder / "own.icc").write_bytes(content)
            profile = str(folder / "own.icc")
        return colours.icc_transform(
            profile, input_profile=CMYK_BETWEEN, intent="relative", black_point_compensation=True, depth=bits
        )
    return _reduced(colours.bandmean() if opened.space == "grey" else colours, bits)


def _reduced(image: "pyvips.Image", bits: int) -> "pyvips.Image":
    return image if bits == 16 else (image / 257).rint().cast("uchar")


def _carry(opened: Opened, target: "pyvips.Image") -> None:
    """Give the target what is in the source's header, but how it was to be turned and the thumbnail of before."""
    import pyvips

    source = opened.image
    if opened.words != Words() and not source.get_typeof("exif-data"):
        target.set_type(pyvips.GValue.blob_type, "exif-data", block_of(opened.words))
    for name in source.get_fields():
        if not _CARRIED.fullmatch(name) or name.endswith("-Orientation"):
            continue
        value: Any = source.get(name)
        if name == "xmp-data":
            value = _TURNED.sub(rb"\g<1>1", bytes(value))
        target.set_type(source.get_typeof(name), name, value)
    target.set_type(pyvips.GValue.gint_type, "orientation", 1)

"""How a scan is read: its format told by its bytes, its size checked before decoding, its colours brought to sRGB.

Every room reads scans through `open_scan`. Whatever had to be decided on the way (a missing profile, an alpha channel,
more pages than one, values that fill a part of their range) is said in `Decoded.notes`; whatever cannot be decided well
is refused as BadInput.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.errors import ArtMasterError, BadInput
from artmaster_pipeline.scans.kinds import SUFFIXES, sniff
from artmaster_pipeline.scans.pages import (
    Page,
    ends_well,
    jpeg_pictures,
    left_out,
    picture_begins,
    the_scan,
    tiff_pages,
    unread_compression,
)

if TYPE_CHECKING:
    import pyvips

DECODER = "2"  # changes when the same bytes would give other pixels, so that nothing decoded before is reused
MAX_PIXELS = 1_000_000_000  # 3 GB once decoded; the largest real scroll at hand has a tenth of it
_THUMBNAIL = 256  # pixels of the long side
_MAX_PROFILE_BYTES = 8_000_000  # the largest press profiles have about 3 MB
_HELD_IN_MEMORY = 64_000_000  # bytes of a decoded picture; a larger one waits on the disk
_RESAVE = "Save it again as an 8-bit or 16-bit RGB TIFF, PNG or JPEG"
_NOT_TO_ITS_END, _AGAIN = (
    "It cannot be decoded to its end ({})",
    "Scan it again, or take a whole copy from the archive's store",
)
_WHOLE = "the file itself is whole"
_BLANK, _DRAWN = 1.0, 4.0  # grey levels of deviation: of a sheet without anything on it, and of a picture
_DARKEST = 4095  # of 65,535: what is never brighter shows nothing, so its values were meant for fewer bits
_DARK = 16383  # of 65,535: a scan never brighter than this may be a very dark painting, or hold 14-bit values


@dataclass(frozen=True)
class Decoded:
    """A picture as sRGB (lazily evaluated), what its file is, and what was decided while reading it."""

    image: "pyvips.Image"
    format: str
    colour: str
    notes: tuple[str, ...]


def open_scan(path: Path) -> "pyvips.Image":
    """The scan as three bands of 8-bit sRGB, turned upright, to be read once from top to bottom.

    Raises BadInput where the file is not a whole JPEG, PNG, TIFF or WebP picture. A truncated file may only be
    found when its pixels are asked for: pyvips then raises its own Error, which `reading` turns into BadInput.
    """
    return decode(path).image


def decode(path: Path, shrink: int = 1, *, deep: bool = False) -> Decoded:
    """Open the scan at `path` with its colours in sRGB; a JPEG may be decoded at 1/2, 1/4 or 1/8 for speed.

    It has 8 bits a channel; where it is `deep`, those of 16 keep them (see `eight_bits`). The file's pixels are decoded
    once, when they are first asked for; `held` lets them be read more than once. Raises BadInput where the scan cannot
    be used.
    """
    kind = sniff(path)
    shrink = shrink if kind == "JPEG" else 1
    pages = tiff_pages(path) if kind == "TIFF" else jpeg_pictures(path) if kind == "JPEG" else ()
    page = the_scan(pages) if kind == "TIFF" and pages else None
    if kind == "JPEG" and not picture_begins(path):
        raise BadInput(_NOT_TO_ITS_END.format("no picture begins in it"), _AGAIN)
    with reading(path, kind, page):
        raw = _load(path, kind, shrink, page, random=False)
        if raw.width * raw.height * shrink * shrink > MAX_PIXELS:
            raise BadInput(
                f"It is {raw.width * shrink:,} x {raw.height * shrink:,} pixels, more than {MAX_PIXELS:,}",
                "Save it at a smaller size; crops need 768 pixels at most",
            )
        notes = _pages(raw, path, kind, pages, page)
        if path.suffix.lower() not in SUFFIXES[kind]:
            notes.append(f"Its bytes are {kind}, whatever its name says")
        turned = raw.get_typeof("orientation") and raw.get("orientation") in range(2, 9)
        if turned or raw.format == "ushort" or _beyond_colours(raw) != 0:
            # what is turned, or looked at before it is converted, has to be read more than once
            raw = _load(path, kind, shrink, page, random=True)
        if turned:
            raw = raw.autorot()
            notes.append("Turned as its EXIF orientation says")
        image, colour, more = to_srgb(raw, page, deep=deep)
    return Decoded(image, kind, colour, tuple(notes + more))


def reduced(image: "pyvips.Image") -> "pyvips.Image":
    """The picture at no more than 256 pixels a side: as the register's thumbnail shows it."""
    return image.thumbnail_image(_THUMBNAIL, height=_THUMBNAIL, size="down")


def eight_bits(image: "pyvips.Image") -> "pyvips.Image":
    """The picture with 8 bits a channel: values of 16 are rounded to the nearest, where libvips takes the one below."""
    if image.format != "ushort":
        return image
    return (image / 257).rint().cast("uchar").copy(interpretation="srgb")


def thumbnail_bytes(small: "pyvips.Image") -> bytes:
    """The register's thumbnail, as a JPEG, of a picture that `reduced` gave."""
    return bytes(small.jpegsave_buffer(Q=80, keep="none"))


@contextmanager
def held(image: "pyvips.Image", folder: Path) -> Iterator["pyvips.Image"]:
    """The same picture, decoded and converted once, to be read any number of times while the block lasts.

    A small one is kept in memory, a larger one in a file of `folder` that is gone afterwards, so memory does not grow
    with the scan. Raises pyvips.Error where the scan is not whole (see `reading`).
    """
    if image.width * image.height * image.bands * (2 if image.format == "ushort" else 1) <= _HELD_IN_MEMORY:
        yield image.copy_memory()
        return
    import tempfile

    import pyvips

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as place:
        file = str(Path(place, "pixels.tif"))
        # tiles are read one by one, where libvips' own format would be mapped into memory as a whole
        image.tiffsave(file, tile=True, tile_width=64, tile_height=64, bigtiff=True, keep="none")
        yield pyvips.Image.tiffload(file, revalidate=True).copy(interpretation=image.interpretation)


class reading:  # noqa: N801 - reads as a verb: `with reading(path):`
    """Turns a failure of pyvips inside the block into BadInput, with the way out that fits the file.

    A file that is whole by its own structure is not to be scanned again: it is stored in a way that is not read here.
    """

    def __init__(self, path: Path, kind: str = "", page: Page | None = None) -> None:
        self._path, self._kind, self._page = path, kind, page

    def __enter__(self) -> None:
        return None

    def __exit__(self, exception: type[BaseException] | None, error: BaseException | None, at: object) -> None:
        import pyvips

        if not isinstance(error, pyvips.Error):
            return
        detail = _detail(error)
        if "no space left" in str(error).lower():
            raise ArtMasterError(
                f"There was no room left on the disk while {self._path} was decoded. Free some, or point TMPDIR to a "
                "larger disk, then run the same command again; finished work is kept."
            ) from error
        raise self._judged(detail) from error

    def _judged(self, detail: str) -> BadInput:
        kind = self._kind or sniff(self._path)
        page = self._page
        if kind == "TIFF" and page is None and (pages := tiff_pages(self._path)):
            page = the_scan(pages)
        if compression := unread_compression(self._path, kind, page):
            return BadInput(
                f"Its pixels are compressed as {compression}, which is not read here; {_WHOLE}",
                "Save it again as TIFF with LZW compression: nothing of it is lost",
            )
        if not self._opens(kind, page) and ends_well(self._path, kind, page):
            return BadInput(f"It is stored in a way that is not read here ({detail}); {_WHOLE}", _RESAVE)
        return BadInput(_NOT_TO_ITS_END.format(detail), _AGAIN)

    def _opens(self, kind: str, page: Page | None) -> bool:
        import pyvips

        try:
            _load(self._path, kind, 1, page, random=False)
        except pyvips.Error:
            return False
        return True


def to_srgb(
    image: "pyvips.Image", page: Page | None = None, *, deep: bool = False
) -> tuple["pyvips.Image", str, list[str]]:
    """Bring any picture to 8-bit sRGB: gives it, what its colours meant, and what was decided.

    Where it is `deep`, a picture of 16 bits a channel keeps them. Embedded ICC profiles are followed with relative
    colorimetric intent and black point compensation (ISO 15076-1); CMYK without a profile is read with libvips' own
    press profile; alpha is laid on white. `page` is what a TIFF's directory says of it. A picture of 16 bits or with
    more channels than its colours is read more than once.
    """
    if image.format in ("float", "double") and image.interpretation not in ("lab", "labs"):
        raise BadInput(
            "Its pixels are floating-point numbers, and nothing in the file says which of them is white",
            "Save it again as a 16-bit RGB TIFF from the program that made it",
        )
    if image.format not in ("uchar", "ushort") and image.interpretation not in ("lab", "labs"):
        raise BadInput(f"Its pixels are stored as {image.format} numbers of unknown range", _RESAVE)
    notes: list[str] = []
    if image.interpretation == "multiband":
        image = image.copy(interpretation="srgb" if image.bands > 2 else "b-w")
        notes.append("The file does not say what its channels mean: taken as RGB")
    image = _only_alpha(image, page, notes)
    if image.format == "ushort":
        image = _full_range(image, page, notes)
        notes.append("16 bits a channel were reduced to 8")
    plain = _without_profile(image)
    colour = _KINDS.get(image.interpretation, image.interpretation)
    depth = 16 if deep and image.format == "ushort" else 8
    converted, followed = _follow_profile(image, depth, notes)
    if converted is None:
        converted = _assume(plain, depth)
        colour = f"{colour} without profile" if colour == "CMYK" else colour
    else:
        colour = followed if colour == "sRGB" else f"{colour}, {followed}"
    if converted.hasalpha():
        converted = _laid_on_white(converted, notes)
    kind, meaning = ("ushort", "rgb16") if depth == 16 else ("uchar", "srgb")
    return converted.extract_band(0, n=3).cast(kind).copy(interpretation=meaning), colour, notes


_COLOURS = {"b-w": 1, "grey16": 1, "cmyk": 4}


def _beyond_colours(image: "pyvips.Image") -> int:
    """How many channels there are beside the colours: alpha, masks, spot colours."""
    return int(image.bands) - _COLOURS.get(image.interpretation, 3)


def _only_alpha(image: "pyvips.Image", page: Page | None, notes: list[str]) -> "pyvips.Image":
    """The colours and the alpha channel, if there is one. A TIFF says which channel is alpha; the others are none."""
    extra = _beyond_colours(image)
    if extra < 1 or page is None:
        return image
    colours = image.extract_band(0, n=image.bands - extra)
    alphas = [place for place, kind in enumerate(page.extras[:extra]) if kind in ("ASSOCALPHA", "UNASSALPHA")]
    dropped = extra - min(1, len(alphas))
    if dropped:
        what = "An extra channel that is not alpha was" if dropped == 1 else f"{dropped} extra channels were"
        notes.append(f"{what} left out: the file gives {'it' if dropped == 1 else 'them'} no meaning for the picture")
    return colours.bandjoin(image.extract_band(image.bands - extra + alphas[0])) if alphas else colours


def _full_range(image: "pyvips.Image", page: Page | None, notes: list[str]) -> "pyvips.Image":
    """A 16-bit picture with values that fill their range: those of 8, 10 or 12 bits would come out nearly black.

    The file's own word decides (MaxSampleValue as 2^n - 1), then the largest value. Where that leaves open whether the
    picture is dark or of fewer bits, it is refused: neither a black crop nor a night scene made day is right.
    """
    colours = image.extract_band(0, n=image.bands - _beyond_colours(image))
    inverted = page is not None and page.photometric == "MINISWHITE"  # libvips has turned these values over
    highest = int(65535 - colours.min() if inverted else colours.max())
    said = page.largest_value if page else 0
    exact = said >= 255 and (said & (said + 1)) == 0 and highest <= said < 65535
    if not exact and (highest > _DARK or highest == 0):
        return image
    bits = said.bit_length() if exact else _bits_of(max(highest, said if said < 65535 else 0))
    if not bits:
        raise BadInput(
            f"The largest of its 16-bit values is {highest:,} of 65,535: they have fewer bits, or it is very dark",
            "Save it from the scanner's program with its full range; if the painting is that dark, save it with 8 bits",
        )
    notes.append(f"Its values fill {bits} of 16 bits (the largest is {highest:,}): stretched to the full range")
    factor = 65535 / (2**bits - 1)
    stretched = image.linear(factor, 65535 * (1 - factor)) if inverted else image * factor
    return stretched.rint().cast("ushort").copy(interpretation=image.interpretation)


def _bits_of(highest: int) -> int:
    """8, 10 or 12 where the largest value is in the upper half of what so many bits hold; 0 where it is in no such."""
    return next((bits for bits in (8, 10, 12) if 2 ** (bits - 1) <= highest < 2**bits), 0)


def _laid_on_white(image: "pyvips.Image", notes: list[str]) -> "pyvips.Image":
    """The picture on white paper; one that would vanish there keeps its colours, as its alpha cannot be meant."""
    colours = image.extract_band(0, n=image.bands - 1)
    level = 257 if image.format == "ushort" else 1
    flat = image.flatten(background=255 * level)
    if flat.deviate() < _BLANK * level and colours.deviate() >= _DRAWN * level:
        notes.append("Its alpha channel would leave a blank sheet and was not used")
        return colours
    notes.append("Its alpha channel was laid on white")
    return flat


_KINDS = {
    "srgb": "sRGB",
    "rgb": "sRGB",
    "rgb16": "sRGB",
    "b-w": "grey",
    "grey16": "grey",
    "cmyk": "CMYK",
    "lab": "CIELAB",
    "labs": "CIELAB",
    "scrgb": "scRGB",
    "xyz": "CIE XYZ",
}
_CHANNELS = {"b-w": "GRAY", "grey16": "GRAY", "cmyk": "CMYK"}


def _load(path: Path, kind: str, shrink: int, page: Page | None, *, random: bool) -> "pyvips.Image":
    import pyvips

    load = getattr(pyvips.Image, {"JPEG": "jpegload", "PNG": "pngload", "TIFF": "tiffload", "WebP": "webpload"}[kind])
    options: dict[str, Any] = {"shrink": shrink} if shrink > 1 else {}
    if page is not None:
        options["page"] = page.number - 1
        if page.inner is not None:
            options["subifd"] = page.inner
    # revalidate: libvips remembers pictures by file name, and a scan may have been replaced under its name
    return load(str(path), access="random" if random else "sequential", fail_on="error", revalidate=True, **options)


def _pages(image: "pyvips.Image", path: Path, kind: str, pages: Sequence[Page], page: Page | None) -> list[str]:
    """What is to be said of other pages and frames. Raises BadInput for an animation."""
    if kind == "JPEG" and len(pages) > 1:
        return left_out(pages, pages[0])
    if page is not None:
        return left_out(pages, page)
    if kind == "TIFF":
        return ["The list of its pages could not be read: only the first was used"]
    frames = image.get("n-pages") if image.get_typeof("n-pages") else 1
    if frames == 1 and not (kind == "PNG" and _is_animated(path)):
        return []
    raise BadInput(
        f"It is an animation of {frames} frames" if frames > 1 else "It is an animation (APNG)",
        "Save the frame that shows the artwork as a picture",
    )


def _is_animated(png: Path) -> bool:
    """Whether a PNG announces frames (its chunk acTL stands before the pixels)."""
    with png.open("rb") as file:
        head = file.read(65_536)
    return 0 < head.find(b"acTL") < (head.find(b"IDAT") % len(head) or len(head))


def _follow_profile(image: "pyvips.Image", depth: int, notes: list[str]) -> tuple["pyvips.Image | None", str]:
    """The picture in sRGB by its own profile, and that profile's name; None where it has none that can be followed."""
    import pyvips

    if not image.get_typeof("icc-profile-data"):
        return None, ""
    profile = image.get("icc-profile-data")
    if len(profile) > _MAX_PROFILE_BYTES:
        notes.append(f"Its colour profile of {len(profile):,} bytes cannot be one and was not used")
        return None, ""
    name = _profile_name(profile, _CHANNELS.get(image.interpretation, "RGB"))
    try:
        # libvips would quietly take another profile in place of one that it cannot read: so it is read first
        converted = name and image.icc_transform(
            "srgb", embedded=True, intent="relative", black_point_compensation=True, depth=depth
        )
    except pyvips.Error:
        converted = None
    if not converted:
        notes.append("Its colour profile is broken or belongs to other channels and was not used")
        return None, ""
    return converted, f"ICC: {name}"


def _assume(image: "pyvips.Image", depth: int) -> "pyvips.Image":
    if image.interpretation == "cmyk":
        return image.icc_transform(
            "srgb", input_profile="cmyk", intent="relative", black_point_compensation=True, depth=depth
        )
    return image.colourspace("rgb16" if depth == 16 else "srgb")


def _without_profile(image: "pyvips.Image") -> "pyvips.Image":
    plain = image.copy()
    if plain.get_typeof("icc-profile-data"):
        plain.remove("icc-profile-data")
    return plain


def _profile_name(profile: bytes, channels: str) -> str:
    """What an ICC profile calls itself; empty where it is broken or describes other channels."""
    from PIL import ImageCms

    try:
        core = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile
        fits = core.xcolor_space.strip() == channels
        name = core.profile_description or ""
    except (OSError, ValueError, ImageCms.PyCMSError):
        return ""
    printable = "".join(character for character in name if character.isprintable()).strip()[:80]
    return (printable or "unnamed") if fits else ""


def _detail(error: Exception) -> str:
    """The decoder's own words, without the file's place on this machine."""
    lines = [line.strip() for line in str(getattr(error, "detail", error)).splitlines() if line.strip()]
    words = [line for line in lines if "/" not in line and not line.startswith("unable to call")]
    return words[0][:120] if words else "the decoder gave no reason"

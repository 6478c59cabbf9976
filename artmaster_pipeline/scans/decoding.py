"""How a scan is read: its format told by its bytes, its size checked before decoding, its colours brought to sRGB.

Every room reads scans through `open_scan`. Whatever had to be decided on the way (a missing profile, an alpha channel,
more pages than one) is said in `Decoded.notes`; whatever cannot be decided well is refused as BadInput.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.errors import BadInput

if TYPE_CHECKING:
    import pyvips

DECODER = "1"  # changes when the same bytes would give other pixels, so that nothing decoded before is reused
MAX_PIXELS = 1_000_000_000  # 3 GB once decoded; the largest real scroll at hand has a tenth of it
_MAX_PROFILE_BYTES = 8_000_000  # the largest press profiles have about 3 MB
_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
)
_FOREIGN = (
    (0, b"GIF8", "a GIF"),
    (4, b"ftyp", "a HEIF, AVIF or video file"),
    (0, b"%PDF", "a PDF"),
    (0, b"BM", "a Windows bitmap"),
    (0, b"8BPS", "a Photoshop document"),
    (4, b"jP  ", "a JPEG 2000"),
    (0, b"PK\x03\x04", "a ZIP archive"),
)
_SUFFIXES = {"JPEG": (".jpg", ".jpeg"), "PNG": (".png",), "TIFF": (".tif", ".tiff"), "WebP": (".webp",)}
_RESAVE = "Save it again as an 8-bit or 16-bit RGB TIFF, PNG or JPEG"


@dataclass(frozen=True)
class Decoded:
    """A picture as 8-bit sRGB (lazily evaluated), what its file is, and what was decided while reading it."""

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


def decode(path: Path, shrink: int = 1) -> Decoded:
    """Open the scan at `path` with its colours in sRGB; a JPEG may be decoded at 1/2, 1/4 or 1/8 for speed.

    Raises BadInput where it cannot be used.
    """
    kind = sniff(path)
    with reading():
        raw = _load(path, kind, shrink, random=False)
        if raw.width * raw.height * shrink * shrink > MAX_PIXELS:
            raise BadInput(
                f"It is {raw.width * shrink:,} x {raw.height * shrink:,} pixels, more than {MAX_PIXELS:,}",
                "Save it at a smaller size; crops need 768 pixels at most",
            )
        notes = _pages(raw, kind)
        if path.suffix.lower() not in _SUFFIXES[kind]:
            notes.append(f"Its bytes are {kind}, whatever its name says")
        if raw.get_typeof("orientation") and raw.get("orientation") in range(2, 9):
            raw = _load(path, kind, shrink, random=True).autorot()
            notes.append("Turned as its EXIF orientation says")
        image, colour, more = to_srgb(raw)
    return Decoded(image, kind, colour, tuple(notes + more))


class reading:  # noqa: N801 - reads as a verb: `with reading():`
    """Turns a failure of pyvips inside the block into BadInput."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> None:
        import pyvips

        if isinstance(error, pyvips.Error):
            raise BadInput(
                f"It cannot be decoded to its end ({_detail(error)})",
                "Scan it again, or take a whole copy from the archive's store",
            ) from error


def sniff(path: Path) -> str:
    """JPEG, PNG, TIFF or WebP, told by the file's first bytes. Raises BadInput, saying what else it is."""
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise BadInput("It is empty", "Copy it again from where it came from")
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WebP"
    for offset, signature, name in _FOREIGN:
        if head[offset:].startswith(signature):
            raise BadInput(f"It is {name}, not a JPEG, PNG, TIFF or WebP picture", _RESAVE)
    what = "text" if _is_text(head) else "something else"
    raise BadInput(f"It is {what}, not a JPEG, PNG, TIFF or WebP picture", "Put the picture itself in its place")


def to_srgb(image: "pyvips.Image") -> tuple["pyvips.Image", str, list[str]]:
    """Bring any picture to 8-bit sRGB: gives it, what its colours meant, and what was decided.

    Embedded ICC profiles are followed with relative colorimetric intent and black point compensation (ISO 15076-1);
    CMYK without a profile is read with libvips' own press profile; alpha is laid on white.
    """
    if image.format not in ("uchar", "ushort") and image.interpretation not in ("lab", "labs", "scrgb", "xyz"):
        raise BadInput(f"Its pixels are stored as {image.format} numbers of unknown range", _RESAVE)
    notes = []
    if image.format == "ushort":
        notes.append("16 bits a channel were reduced to 8")
    if image.interpretation == "multiband":
        image = image.copy(interpretation="srgb" if image.bands > 2 else "b-w")
        notes.append("The file does not say what its channels mean: taken as RGB")
    plain = _without_profile(image)
    colour = _KINDS.get(image.interpretation, image.interpretation)
    converted, followed = _follow_profile(image, notes)
    if converted is None:
        converted = _assume(plain)
        colour = f"{colour} without profile" if colour == "CMYK" else colour
    else:
        colour = followed if colour == "sRGB" else f"{colour}, {followed}"
    if converted.hasalpha():
        converted = converted.flatten(background=255)
        notes.append("Its alpha channel was laid on white")
    return converted.extract_band(0, n=3).cast("uchar").copy(interpretation="srgb"), colour, notes


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


def _load(path: Path, kind: str, shrink: int, *, random: bool) -> "pyvips.Image":
    import pyvips

    load = getattr(pyvips.Image, {"JPEG": "jpegload", "PNG": "pngload", "TIFF": "tiffload", "WebP": "webpload"}[kind])
    options: dict[str, Any] = {"shrink": shrink} if kind == "JPEG" and shrink > 1 else {}
    # revalidate: libvips remembers pictures by file name, and a scan may have been replaced under its name
    return load(str(path), access="random" if random else "sequential", fail_on="error", revalidate=True, **options)


def _pages(image: "pyvips.Image", kind: str) -> list[str]:
    pages = image.get("n-pages") if image.get_typeof("n-pages") else 1
    if pages == 1:
        return []
    if kind == "TIFF":
        return [f"Only the first of its {pages} pages was used"]
    raise BadInput(f"It is an animation of {pages} frames", "Save the frame that shows the artwork as a picture")


def _follow_profile(image: "pyvips.Image", notes: list[str]) -> tuple["pyvips.Image | None", str]:
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
            "srgb", embedded=True, intent="relative", black_point_compensation=True, depth=8
        )
    except pyvips.Error:
        converted = None
    if not converted:
        notes.append("Its colour profile is broken or belongs to other channels and was not used")
        return None, ""
    return converted, f"ICC: {name}"


def _assume(image: "pyvips.Image") -> "pyvips.Image":
    if image.interpretation == "cmyk":
        return image.icc_transform("srgb", input_profile="cmyk", intent="relative", black_point_compensation=True)
    return image.colourspace("srgb")


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


def _is_text(head: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\r\n" for byte in head)


def _detail(error: Exception) -> str:
    """The decoder's own words, without the file's place on this machine."""
    lines = [line.strip() for line in str(getattr(error, "detail", error)).splitlines() if line.strip()]
    words = [line for line in lines if "/" not in line and not line.startswith("unable to call")]
    return words[0][:120] if words else "the decoder gave no reason"

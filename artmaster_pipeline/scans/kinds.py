"""What a file is, told by its first bytes: a picture that can be used, or one that cannot, with its own way out.

A name is asked only where bytes cannot tell: a camera's raw file begins as a TIFF does, and some formats have no mark.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from artmaster_pipeline.errors import BadInput

SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".mpo"),
    "PNG": (".png",),
    "TIFF": (".tif", ".tiff", ".ptif", ".ptiff", ".btf", ".tf8"),
    "WebP": (".webp",),
}
HEAD = 512  # bytes that tell what a file is
_USED = "a JPEG, PNG, TIFF or WebP picture"
_RESAVE = "Save it again as an 8-bit or 16-bit RGB TIFF, PNG or JPEG"
_EXPORT = "Export it as TIFF or PNG from the program that made it, with its layers merged"


@dataclass(frozen=True)
class Foreign:
    """A kind of file that is not read: its name with its article, and what its owner can do."""

    what: str
    remedy: str

    def refusal(self) -> BadInput:
        """The reason and the way out, as an exception that may be raised."""
        return BadInput(f"It is {self.what}, not {_USED}", self.remedy)


_HEIC = Foreign("a HEIF picture (HEIC, as phones write it)", "Export it as JPEG or TIFF with the phone's photo program")
_AVIF = Foreign("an AVIF picture", _RESAVE)
_VIDEO = Foreign("a video (or another file in the HEIF family's container)", "Export the frame that shows the artwork")
_JPEG_2000 = Foreign("a JPEG 2000 picture", _RESAVE)
_JPEG_XL = Foreign("a JPEG XL picture", _RESAVE)
_JPEG_XR = Foreign("a JPEG XR picture", _RESAVE)
_JPEG_LS = Foreign("a JPEG-LS picture", _RESAVE)
_PHOTOSHOP = Foreign("a Photoshop document", "Save a merged copy as TIFF or PNG from Photoshop, GIMP or Krita")
_GIF = Foreign("a GIF of at most 256 colours", "Take the scan that it was made from, or save it as PNG")
_BITMAP = Foreign("a Windows bitmap", "Save it as PNG or TIFF: nothing of it is lost")
_PDF = Foreign("a PDF document", "Export its pictures at their full size, for example with pdfimages -all")
_POSTSCRIPT = Foreign("a PostScript or Illustrator drawing", "Export the picture in it as TIFF or PNG")
_DRAWING = Foreign("a drawing of lines (vector graphics)", "Put a scan of the artwork in its place")
_RAW = Foreign("a camera's raw file", "Develop it, then export it as 16-bit TIFF or as JPEG")
_ARCHIVE = Foreign("an archive of files", "Unpack it and add the folder of its pictures")
_LAYERS = Foreign("a painting program's own document", _EXPORT)
_HIGH_RANGE = Foreign("a high dynamic range picture", "Choose its exposure, then save it as 16-bit TIFF")
_DEVICE = Foreign("a picture of a scientific or medical device", _RESAVE)
_BOOK = Foreign("a DjVu document", "Export its pages as TIFF at their full size, for example with ddjvu -format=tiff")
_OTHER = Foreign("a picture of a rarer kind", "Save it as PNG or TIFF")
_THUMBNAIL = Foreign("a camera's thumbnail", "Add the photograph that it belongs to")

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
)
_FOREIGN = (  # offset, bytes, kind; the first that fits counts
    (0, b"\xff\xd8\xff\xf7", _JPEG_LS),
    (8, b"CR\x02", _RAW),
    (0, b"GIF8", _GIF),
    (4, b"ftypcrx", _RAW),
    *(
        (4, b"ftyp" + brand, _HEIC)
        for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
    ),
    *((4, b"ftyp" + brand, _AVIF) for brand in (b"avif", b"avis")),
    (4, b"ftyp", _VIDEO),
    (0, b"%PDF", _PDF),
    (0, b"%!PS", _POSTSCRIPT),
    (0, b"\xc5\xd0\xd3\xc6", _POSTSCRIPT),
    (0, b"8BPS", _PHOTOSHOP),
    (4, b"jP  ", _JPEG_2000),
    (0, b"\xff\x4f\xff\x51", _JPEG_2000),
    (4, b"JXL ", _JPEG_XL),
    (0, b"\xff\x0a", _JPEG_XL),
    (0, b"II\xbc\x01", _JPEG_XR),
    (0, b"FUJIFILMCCD-RAW", _RAW),
    *((0, mark, _RAW) for mark in (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")),
    (0, b"gimp xcf", _LAYERS),
    (0, b"CSFCHUNK", _LAYERS),
    (0, b"PDN3", _LAYERS),
    (0, b"\0\xffKA", _LAYERS),
    (0, b"\x76\x2f\x31\x01", _HIGH_RANGE),
    (0, b"#?RADIANCE", _HIGH_RANGE),
    (0, b"#?RGBE", _HIGH_RANGE),
    *((0, mark, _DEVICE) for mark in (b"SIMPLE  =", b"SDPX", b"XPDS")),
    (128, b"DICM", _DEVICE),
    (0, b"AT&TFORM", _BOOK),
    *((0, mark, _OTHER) for mark in (b"qoif", b"FLIF", b"BPG\xfb", b"\x8aMNG", b"icns")),
    (0, b"Rar!\x1a\x07", _ARCHIVE),
    (0, b"7z\xbc\xaf\x27\x1c", _ARCHIVE),
    (257, b"ustar", _ARCHIVE),
)
# Only where the name says the same: short marks that other files may begin with, and formats that have none.
_NAMED = {
    ".heic .heif .hif": _HEIC,
    ".avif": _AVIF,
    ".jp2 .j2k .j2c .jpf .jpx .jpm .jpc": _JPEG_2000,
    ".jxl": _JPEG_XL,
    ".jxr .wdp .hdp": _JPEG_XR,
    ".jls": _JPEG_LS,
    ".psd .psb": _PHOTOSHOP,
    ".gif": _GIF,
    ".bmp .dib": _BITMAP,
    ".pdf": _PDF,
    ".eps .ps .ai": _POSTSCRIPT,
    ".svg .svgz .wmf .emf .cdr": _DRAWING,
    ".dng .nef .nrw .cr2 .cr3 .crw .arw .srf .sr2 .raf .orf .rw2 .pef .x3f .3fr .iiq .fff .erf .mef .mos .mrw .kdc "
    ".dcr .srw .rwl .gpr .raw": _RAW,
    ".zip .rar .7z .tar .tgz .gz .bz2 .xz .szi": _ARCHIVE,
    ".xcf .kra .ora .clip .procreate .pdn .afphoto .afdesign .sai .sai2 .mdp .pspimage .psp": _LAYERS,
    ".exr .hdr .pfm": _HIGH_RANGE,
    ".fits .fit .fts .dcm .dpx .cin": _DEVICE,
    ".djvu .djv": _BOOK,
    ".tga .pcx .ico .icns .cur .qoi .flif .bpg .mng .sgi .pbm .pgm .ppm .pnm .pam .xbm .xpm .pict .pct": _OTHER,
    ".thm": _THUMBNAIL,
}
_BY_SUFFIX = {suffix: kind for suffixes, kind in _NAMED.items() for suffix in suffixes.split()}
_NAME_DECIDES = (_RAW, _THUMBNAIL)  # their bytes are a TIFF's or a JPEG's, of which they would give the preview
_MADE_OF_ZIP = (".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".epub", ".jar", ".pages", ".numbers", ".key")


def sniff(path: Path) -> str:
    """JPEG, PNG, TIFF or WebP, told by the file's first bytes. Raises BadInput, saying what else it is."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        raise BadInput("It is empty", "Copy it again from where it came from")
    kind = kind_of(head, path.name)
    if isinstance(kind, Foreign):
        raise kind.refusal()
    if kind is None:
        what = "text" if _is_text(head) else "something else"
        raise BadInput(f"It is {what}, not {_USED}", "Put the picture itself in its place")
    return kind


def kind_of(head: bytes, name: str) -> str | Foreign | None:
    """JPEG, PNG, TIFF or WebP; a kind of picture that is not read; None where it is no kind of picture.

    `head` are the file's first bytes (`HEAD` of them are enough); its name is asked where they cannot tell.
    """
    suffix = PurePosixPath(name).suffix.lower()
    named = _BY_SUFFIX.get(suffix)
    if named in _NAME_DECIDES:
        return named
    marked = next((foreign for at, mark, foreign in _FOREIGN if head[at:].startswith(mark)), None)
    used = next((kind for mark, kind in _SIGNATURES if head.startswith(mark)), None)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        used = "WebP"
    if head.startswith(b"PK\x03\x04") and suffix not in _MADE_OF_ZIP:
        marked = named or _ARCHIVE
    if head.startswith(b"BM") and not _is_text(head):
        marked = _BITMAP
    return marked or used or (_DRAWING if _is_drawing(head) else named)


def _is_drawing(head: bytes) -> bool:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith(b"<svg") or (start.startswith((b"<?xml", b"<!doctype svg", b"<!--")) and b"<svg" in start)


def _is_text(head: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\r\n" for byte in head)

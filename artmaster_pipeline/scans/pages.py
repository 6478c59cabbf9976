"""The pictures in one file: which page of a TIFF is the scan, and what else lies in a TIFF or a multi-picture JPEG.

Only directories are read here, no pixels. libvips opens a page by its number, but says nothing of what the others are.
"""

import itertools
import logging
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from artmaster_pipeline.errors import BadInput

_REDUCED, _MASK = 1, 4  # bits of NewSubfileType (TIFF 6.0, tag 254)
_DNG_VERSION, _LARGEST_VALUES = 50706, (281, 341)  # MaxSampleValue and SMaxSampleValue
_RAW_SENSOR = ("CFA", "LINEAR_RAW")
_READ = ("NONE", "LZW", "DEFLATE", "ADOBE_DEFLATE", "PACKBITS", "JPEG", "OJPEG", "CCITTRLE", "CCITTFAX3", "CCITTFAX4")
_OWN_PICTURE = 0.5  # of the largest page's pixels; what a pyramid's next level has is a quarter
_NAMED_PAGES = 6
_MULTI_PICTURE = b"MPF\0"  # of the segment that lists the pictures (CIPA DC-007)
_MOST_PAGES = 256  # of one TIFF: a pyramid has a dozen, a bundle of a sketchbook's leaves some dozens
_START_OF_SCAN, _WITHOUT_LENGTH = 0xDA, {0x01, *range(0xD0, 0xD9)}  # markers of a JPEG (ITU-T T.81, table B.1)
_STRAY = 65_536  # bytes between two markers of a JPEG that belong to neither
_TAIL = 65_536  # bytes of a JPEG or PNG in which its end must stand; some programs append to it


@dataclass(frozen=True)
class Page:
    """One picture in a file. `number` counts from 1; `inner` is the place among that page's SubIFDs, or None."""

    number: int
    width: int
    height: int
    inner: int | None = None
    reduced: bool = False  # the file says that it is a smaller copy of another page
    mask: bool = False
    compression: str = "NONE"
    photometric: str = ""
    extras: tuple[str, ...] = ()  # what each channel beyond the colours is: UNSPECIFIED, ASSOCALPHA, UNASSALPHA
    bits: int = 8
    largest_value: int = 0  # by the file's own word; 0 where it says nothing
    whole: bool = True  # all its strips or tiles lie inside the file

    @property
    def pixels(self) -> int:
        """Its area."""
        return self.width * self.height

    def __str__(self) -> str:
        place = f"page {self.number}" if self.inner is None else f"page {self.number}, inner picture {self.inner + 1}"
        what = ", a mask" if self.mask else ", a reduced copy" if self.reduced else ""
        return f"{place} ({self.width} x {self.height}{what})"


def tiff_pages(path: Path) -> tuple[Page, ...]:
    """The pages of a TIFF and their SubIFDs, in the file's order; empty where its directory cannot be read.

    Raises BadInput where it is a camera's raw file, whatever its name is: of that only a preview could be read; and
    where it has more pages than any scan.
    """
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it warns of is for the decoder to judge
    try:
        with tifffile.TiffFile(path) as file:
            size = path.stat().st_size
            found = [
                (ifd, number, inner)
                for number, page in enumerate(itertools.islice(file.pages, _MOST_PAGES + 1), 1)
                for inner, ifd in [(None, page), *enumerate(itertools.islice(_inner(page), _MOST_PAGES))]
            ]
            if found and found[-1][1] > _MOST_PAGES:
                raise BadInput(f"It has more than {_MOST_PAGES} pages", "Save each page that is a scan as its own file")
            raw = any(_is_raw(ifd) for ifd, _, _ in found)
            pages = tuple(_page(ifd, number, inner, size) for ifd, number, inner in found)
    except (tifffile.TiffFileError, OSError, ValueError, TypeError, KeyError, IndexError, struct.error, RuntimeError):
        return ()
    if raw:
        raise BadInput("It is a camera's raw file", "Develop it, then export it as 16-bit TIFF or as JPEG")
    return pages


def picture_begins(jpeg: Path) -> bool:
    """Whether a JPEG's segments lead to a picture, found by their lengths: nothing else of the file is read.

    libvips keeps all that it reads before the picture begins, which in a file of zeros is the whole file.
    """
    size = jpeg.stat().st_size
    with jpeg.open("rb") as file:
        file.seek(2)
        while file.tell() < size:
            found = file.read(_STRAY)
            place = found.find(b"\xff")
            while found[place + 1 : place + 2] == b"\xff":  # fill bytes
                place += 1
            if place < 0 or place + 4 > len(found):
                return False
            marker = found[place + 1]
            if marker == _START_OF_SCAN:
                return True
            length = 0 if marker in _WITHOUT_LENGTH else int.from_bytes(found[place + 2 : place + 4], "big")
            file.seek(place + 2 + length - len(found), 1)
    return False


def jpeg_pictures(path: Path) -> tuple[Page, ...]:
    """The pictures of a multi-picture JPEG (MPO); one or none where the file holds a single one."""
    from PIL import Image

    with path.open("rb") as file:
        if _MULTI_PICTURE not in file.read(_TAIL * 2):
            return ()
    try:
        with Image.open(path) as file:
            count = getattr(file, "n_frames", 1)
            return tuple(_frame(file, number) for number in range(count)) if count > 1 else ()
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError):
        return ()  # the decoder judges the file


def the_scan(pages: Sequence[Page]) -> Page:
    """The largest page that is a picture of its own; of pages as large as it, the first."""
    full = [page for page in pages if not (page.reduced or page.mask)]
    return max(full or [page for page in pages if not page.mask] or pages, key=lambda page: page.pixels)


def left_out(pages: Sequence[Page], used: Page) -> list[str]:
    """What a person should know of the other pages, as notes; empty where there are none."""
    others = [page for page in pages if page != used]
    if not others:
        return []
    named = "; ".join(str(page) for page in others[:_NAMED_PAGES])
    named += f"; and {len(others) - _NAMED_PAGES} more" if len(others) > _NAMED_PAGES else ""
    notes = [f"Of the {len(pages)} pictures in it {_short(used)} was used. Left out: {named}"]
    own = [page for page in others if not (page.reduced or page.mask) and page.pixels >= _OWN_PICTURE * used.pixels]
    if own:
        notes.append(
            f"{len(own) + 1} pages in it are pictures of their own: save each as a file of its own to use them all"
        )
    return notes


def unread_compression(path: Path, kind: str, page: Page | None) -> str:
    """How a whole TIFF's page is stored where that is a way not read here; empty where its file is not whole."""
    if kind != "TIFF" or page is None or not page.whole:
        return ""
    return "" if page.compression in _READ else page.compression.replace("_", " ").lower()


def ends_well(path: Path, kind: str, page: Page | None) -> bool:
    """Whether the file goes to the end that its format asks for, so that what cannot be read is not a torn copy."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        file.seek(max(0, size - _TAIL))
        tail = file.read()
    if kind == "TIFF":
        return page is not None and page.whole
    if kind == "WebP":
        return size >= int.from_bytes(head[4:8], "little") + 8
    return (b"\xff\xd9" if kind == "JPEG" else b"IEND\xaeB`\x82") in tail


def _short(page: Page) -> str:
    return str(replace(page, reduced=False, mask=False))


def _inner(page: Any) -> Iterator[Any]:
    yield from page.pages or ()


def _is_raw(page: Any) -> bool:
    return _DNG_VERSION in page.tags or _name(page.photometric) in _RAW_SENSOR


def _page(page: Any, number: int, inner: int | None, size: int) -> Page:
    flags = int(page.subfiletype)
    bits = page.bitspersample
    return Page(
        number,
        page.imagewidth,
        page.imagelength,
        inner,
        bool(flags & _REDUCED),
        bool(flags & _MASK) or _name(page.photometric) == "MASK",
        _name(page.compression),
        _name(page.photometric),
        tuple(_name(extra) for extra in page.extrasamples),
        bits if isinstance(bits, int) else max(bits),
        max((_largest(page.tags[tag].value) for tag in _LARGEST_VALUES if tag in page.tags), default=0),
        bool(page.dataoffsets)
        and all(at + length <= size for at, length in zip(page.dataoffsets, page.databytecounts, strict=False)),
    )


def _largest(value: Any) -> int:
    return max((int(number) for number in (value if isinstance(value, tuple) else (value,))), default=0)


def _frame(file: Any, number: int) -> Page:
    file.seek(number)
    return Page(number + 1, *file.size)


def _name(value: Any) -> str:
    return str(getattr(value, "name", value))

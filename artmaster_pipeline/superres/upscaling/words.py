"""What a picture's file says in EXIF: read from any TIFF structure, made a block for JPEG and PNG, put into a TIFF.

libvips reads and writes EXIF in JPEG, PNG and WebP, and in TIFF not. There the same tags stand among those that say how
the pixels lie (TIFF 6.0; Exif 2.32, section 4.6; BigTIFF), so that these are picked out by their numbers.
"""

import io
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from artmaster_pipeline.superres.upscaling.tiff import (
    CLASSIC,
    Entry,
    entries_at,
    form_of,
    list_of,
    records_at,
    turned,
)

# Names and words: document, description, make, model, software, date, artist, host, copyright, Windows' own.
_SAID = {269, 270, 271, 272, 305, 306, 315, 316, 33432, *range(40091, 40096)}
_EXIF, _GPS, _IPTC = 34665, 34853, 33723
# Of the old pixels, or with places in the old file: width, height, interoperability, the maker's notes.
_LEFT_OUT = {40962, 40963, 40965, 37500}
_DESCRIPTION = 270
_OF_PIXELS = re.compile(rb'\s*\{"shape"|ImageJ=|SCIFIO=|(?:<\?xml[^>]*>)?(?:\s*<!--.*?-->)*\s*<OME[ >]', re.DOTALL)
_LEAD = b"Exif\0\0"


@dataclass(frozen=True)
class Words:
    """The tags of a file that are words about the picture."""

    main: tuple[Entry, ...] = ()
    exif: tuple[Entry, ...] = ()
    gps: tuple[Entry, ...] = ()
    iptc: bytes = b""  # captions; beside EXIF in a TIFF, elsewhere in other files (iptc.py)
    texts: tuple[tuple[str, str], ...] = ()  # a PNG's own, by their keywords


def words_of(path: Path) -> Words:
    """Those of a TIFF file; none where its lists cannot be read."""
    with path.open("rb") as file:
        return _read(file)


def words_in(block: bytes) -> Words:
    """Those of an EXIF block as JPEG, PNG and WebP hold it."""
    return _read(io.BytesIO(block.removeprefix(_LEAD)))


def block_of(words: Words) -> bytes:
    """An EXIF block."""
    parts, records, place = list[bytes](), list[Entry](), 8
    for entries, tag in ((words.exif, _EXIF), (words.gps, _GPS)):
        if entries:
            part = list_of(entries, (), CLASSIC, place)
            records.append(Entry(tag, 4, 1, place.to_bytes(4, "little")))
            parts.append(part)
            place += len(part)
    main = list_of((*words.main, *records), (), CLASSIC, place)
    return _LEAD + struct.pack("<2sHI", b"II", 42, place) + b"".join(parts) + main


def put_into_tiff(path: Path, words: Words) -> None:
    """Add words to a TIFF's first list, which is written anew behind the pixels; tags that it has stay."""
    if words == Words():
        return
    with path.open("r+b") as file:
        form, first = form_of(file)
        there, after = records_at(file, form, first)
        have = {struct.unpack_from(form.order + "H", record)[0] for record in there}
        place = file.seek(0, io.SEEK_END)
        place += file.write(b"\0" * (place % 2))
        captions = [Entry(_IPTC, 7, len(words.iptc), words.iptc)] if words.iptc else []
        added = [entry for entry in (*words.main, *captions) if entry.tag not in have]
        for entries, tag in ((words.exif, _EXIF), (words.gps, _GPS)):
            if entries:
                added.append(Entry(tag, 4 if form.inline == 4 else 16, 1, place.to_bytes(form.inline, "little")))
                place += file.write(list_of(entries, (), form, place))
        file.write(list_of(added, there, form, place, after))
        file.seek(4 if form.inline == 4 else 8)
        file.write(struct.pack(form.place, place))


def _read(file: IO[bytes]) -> Words:
    try:
        form, first = form_of(file)
        entries = entries_at(file, form, first)
        below = {entry.tag: int.from_bytes(entry.data, "little") for entry in entries if entry.tag in (_EXIF, _GPS)}
        inner = {tag: entries_at(file, form, place) for tag, place in below.items()}
    except (struct.error, ValueError, OverflowError, OSError):
        return Words()
    exif = tuple(entry for entry in inner.get(_EXIF, ()) if entry.tag not in _LEFT_OUT)
    # captions are bytes, in whatever numbers they are written
    captions = [turned(entry.data, entry.kind, form.order) for entry in entries if entry.tag == _IPTC]
    main = tuple(entry for entry in entries if entry.tag in _SAID and not _is_of_the_pixels(entry))
    return Words(main, exif, tuple(inner.get(_GPS, ())), b"".join(captions[:1]))


def _is_of_the_pixels(entry: Entry) -> bool:
    """Whether a description is a program's own, of how many pixels there are: another picture's would mislead it."""
    return entry.tag == _DESCRIPTION and bool(_OF_PIXELS.match(entry.data))

"""What a picture's file says in EXIF: read from any TIFF structure, made a block for JPEG and PNG, put into a TIFF.

libvips reads and writes EXIF in JPEG, PNG and WebP, and in TIFF not. There the same tags stand among those that say how
the pixels lie (TIFF 6.0; Exif 2.32, section 4.6; BigTIFF), so that these are picked out by their numbers.
"""

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
}  # bytes of a value, by type
_PARTS = {
    3: 2,
    4: 4,
    5: 4,
    8: 2,
    9: 4,
    10: 4,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
}  # what is turned where the byte order is another
# Names and words: document, description, make, model, software, date, artist, host, copyright, Windows' own.
_SAID = {269, 270, 271, 272, 305, 306, 315, 316, 33432, *range(40091, 40096)}
_EXIF, _GPS, _IPTC = 34665, 34853, 33723
# Of the old pixels, or with places in the old file: width, height, interoperability, the maker's notes.
_LEFT_OUT = {40962, 40963, 40965, 37500}
_MOST_ENTRIES, _LONGEST = 500, 1_000_000  # of a list, and bytes of an entry: what is beyond is no word
_LEAD = b"Exif\0\0"


class Entry(NamedTuple):
    """One tag; its values in little-endian order."""

    tag: int
    kind: int
    count: int
    data: bytes


@dataclass(frozen=True)
class Words:
    """The tags of a file that are words about the picture."""

    main: tuple[Entry, ...] = ()
    exif: tuple[Entry, ...] = ()
    gps: tuple[Entry, ...] = ()
    iptc: bytes = b""  # captions; beside EXIF in a TIFF, elsewhere in other files (iptc.py)
    texts: tuple[tuple[str, str], ...] = ()  # a PNG's own, by their keywords


class _Form(NamedTuple):
    """How a TIFF structure writes its lists."""

    order: str  # of struct
    head: str  # how many entries
    entry: str
    inline: int  # bytes of a value that need no place of their own

    @property
    def entry_size(self) -> int:
        return struct.calcsize(self.order + self.entry)

    @property
    def place(self) -> str:
        return self.order + ("Q" if self.inline == 8 else "I")


def words_of(path: Path) -> Words:
    """Those of a TIFF file; none where its lists cannot be read."""
    with path.open("rb") as file:
        return _read(file)


def words_in(block: bytes) -> Words:
    """Those of an EXIF block as JPEG, PNG and WebP hold it."""
    return _read(io.BytesIO(block.removeprefix(_LEAD)))


def block_of(words: Words) -> bytes:
    """An EXIF block."""
    form = _Form("<", "H", "HHI4s", 4)
    parts, records, place = list[bytes](), list[Entry](), 8
    for entries, tag in ((words.exif, _EXIF), (words.gps, _GPS)):
        if entries:
            part = _list(entries, (), form, place)
            records.append(Entry(tag, 4, 1, place.to_bytes(4, "little")))
            parts.append(part)
            place += len(part)
    main = _list((*words.main, *records), (), form, place)
    return _LEAD + struct.pack("<2sHI", b"II", 42, place) + b"".join(parts) + main


def put_into_tiff(path: Path, words: Words) -> None:
    """Add words to a TIFF's first list, which is written anew behind the pixels; tags that it has stay."""
    if words == Words():
        return
    with path.open("r+b") as file:
        form, first = _form_of(file)
        there, after = _records(file, form, first)
        have = {struct.unpack_from(form.order + "H", record)[0] for record in there}
        place = file.seek(0, io.SEEK_END)
        place += file.write(b"\0" * (place % 2))
        captions = [Entry(_IPTC, 7, len(words.iptc), words.iptc)] if words.iptc else []
        added = [entry for entry in (*words.main, *captions) if entry.tag not in have]
        for entries, tag in ((words.exif, _EXIF), (words.gps, _GPS)):
            if entries:
                added.append(Entry(tag, 4 if form.inline == 4 else 16, 1, place.to_bytes(form.inline, "little")))
                place += file.write(_list(entries, (), form, place))
        file.write(_list(added, there, form, place, after))
        file.seek(4 if form.inline == 4 else 8)
        file.write(struct.pack(form.place, place))


def _read(file: IO[bytes]) -> Words:
    try:
        form, first = _form_of(file)
        entries = _entries(file, form, first)
        below = {entry.tag: int.from_bytes(entry.data, "little") for entry in entries if entry.tag in (_EXIF, _GPS)}
        inner = {tag: _entries(file, form, place) for tag, place in below.items()}
    except (struct.error, ValueError, OverflowError, OSError):
        return Words()
    exif = tuple(entry for entry in inner.get(_EXIF, ()) if entry.tag not in _LEFT_OUT)
    # captions are bytes, in whatever numbers they are written
    captions = [_turned(entry.data, entry.kind, form.order) for entry in entries if entry.tag == _IPTC]
    main = tuple(entry for entry in entries if entry.tag in _SAID)
    return Words(main, exif, tuple(inner.get(_GPS, ())), b"".join(captions[:1]))


def _form_of(file: IO[bytes]) -> tuple[_Form, int]:
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None:
        raise ValueError("no TIFF structure")
    if struct.unpack(order + "H", head[2:4])[0] == 43:
        return _Form(order, "Q", "HHQ8s", 8), struct.unpack(order + "Q", head[8:16])[0]
    return _Form(order, "H", "HHI4s", 4), struct.unpack(order + "I", head[4:8])[0]


def _records(file: IO[bytes], form: _Form, place: int) -> tuple[list[bytes], bytes]:
    """The entries of a list as they lie in the file, and the place of the next list."""
    file.seek(place)
    head = form.order + form.head
    (count,) = struct.unpack(head, file.read(struct.calcsize(head)))
    if count > _MOST_ENTRIES:
        raise ValueError(f"a list of {count} entries")
    content = file.read(count * form.entry_size + form.inline)
    size = form.entry_size
    return [content[at : at + size] for at in range(0, count * size, size)], content[count * size :]


def _entries(file: IO[bytes], form: _Form, place: int) -> list[Entry]:
    found = []
    for record in _records(file, form, place)[0]:
        tag, kind, count, value = struct.unpack(form.order + form.entry, record)
        size = count * _SIZES.get(kind, 0)
        if not 0 < size <= _LONGEST:
            continue
        if size > form.inline:
            file.seek(struct.unpack(form.place, value)[0])
            value = file.read(size)
        if len(value) >= size:
            found.append(Entry(tag, kind, count, _turned(value[:size], kind, form.order)))
    return found


def _turned(data: bytes, kind: int, order: str) -> bytes:
    """Little-endian values from those of an order, or the other way round."""
    size = _PARTS.get(kind, 1)
    if order == "<" or size == 1:
        return data
    return b"".join(data[at : at + size][::-1] for at in range(0, len(data), size))


def _list(entries: Sequence[Entry], records: Sequence[bytes], form: _Form, place: int, after: bytes = b"") -> bytes:
    """A list that begins at `place`: `records` as they are and `entries` with their values behind it."""
    head = struct.pack(form.order + form.head, len(entries) + len(records))
    beyond = place + len(head) + (len(entries) + len(records)) * form.entry_size + form.inline
    values, made = b"", list(records)
    for entry in entries:
        data = _turned(entry.data, entry.kind, form.order)
        if len(data) <= form.inline:
            data = data.ljust(form.inline, b"\0")
        else:
            values += b"\0" * (len(values) % 2)
            at = struct.pack(form.place, beyond + len(values))
            values, data = values + data, at
        made.append(struct.pack(form.order + form.entry, entry.tag, entry.kind, entry.count, data))
    made.sort(key=lambda record: struct.unpack_from(form.order + "H", record)[0])
    return head + b"".join(made) + (after or b"\0" * form.inline) + values + b"\0" * (len(values) % 2)

"""The lists of tags in TIFF structures (TIFF 6.0, BigTIFF): read with a limit to everything, and written."""

import struct
from collections.abc import Sequence
from typing import IO, NamedTuple

# Bytes of a value, by type; and of the numbers in it, which are turned where the byte order is another.
_SIZES = (
    dict.fromkeys((1, 2, 6, 7), 1)
    | dict.fromkeys((3, 8), 2)
    | dict.fromkeys((4, 9, 11, 13), 4)
    | dict.fromkeys((5, 10, 12, 16), 8)
)
_PARTS = _SIZES | {5: 4, 10: 4}
_MOST_ENTRIES, _LONGEST = 500, 1_000_000  # of a list, and bytes of an entry: what is beyond is no word


class Entry(NamedTuple):
    """One tag; its values in little-endian order."""

    tag: int
    kind: int
    values: int  # how many
    data: bytes


class Form(NamedTuple):
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


CLASSIC = Form("<", "H", "HHI4s", 4)
BIG = Form("<", "Q", "HHQ8s", 8)


def form_of(file: IO[bytes]) -> tuple[Form, int]:
    """The form of a structure that begins where the file stands, and the place of its first list."""
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None:
        raise ValueError("no TIFF structure")
    if struct.unpack(order + "H", head[2:4])[0] == 43:
        return BIG._replace(order=order), struct.unpack(order + "Q", head[8:16])[0]
    return CLASSIC._replace(order=order), struct.unpack(order + "I", head[4:8])[0]


def records_at(file: IO[bytes], form: Form, place: int) -> tuple[list[bytes], bytes]:
    """The entries of a list as they lie in the file, and the place of the next list."""
    file.seek(place)
    head = form.order + form.head
    (count,) = struct.unpack(head, file.read(struct.calcsize(head)))
    if count > _MOST_ENTRIES:
        raise ValueError(f"a list of {count} entries")
    content = file.read(count * form.entry_size + form.inline)
    size = form.entry_size
    return [content[at : at + size] for at in range(0, count * size, size)], content[count * size :]


def entries_at(file: IO[bytes], form: Form, place: int) -> list[Entry]:
    """The entries of a list; those that cannot be what they say are left out."""
    found = []
    for record in records_at(file, form, place)[0]:
        tag, kind, count, value = struct.unpack(form.order + form.entry, record)
        size = count * _SIZES.get(kind, 0)
        if not 0 < size <= _LONGEST:
            continue
        if size > form.inline:
            file.seek(struct.unpack(form.place, value)[0])
            value = file.read(size)
        if len(value) >= size:
            found.append(Entry(tag, kind, count, turned(value[:size], kind, form.order)))
    return found


def turned(data: bytes, kind: int, order: str) -> bytes:
    """Little-endian values from those of an order, or the other way round."""
    size = _PARTS.get(kind, 1)
    if order == "<" or size == 1:
        return data
    return b"".join(data[at : at + size][::-1] for at in range(0, len(data), size))


def list_of(entries: Sequence[Entry], records: Sequence[bytes], form: Form, place: int, after: bytes = b"") -> bytes:
    """A list that begins at `place`: `records` as they are and `entries` with their values behind it."""
    head = struct.pack(form.order + form.head, len(entries) + len(records))
    beyond = place + len(head) + (len(entries) + len(records)) * form.entry_size + form.inline
    values, made = b"", list(records)
    for entry in entries:
        data = turned(entry.data, entry.kind, form.order)
        if len(data) <= form.inline:
            data = data.ljust(form.inline, b"\0")
        else:
            values += b"\0" * (len(values) % 2)
            at = struct.pack(form.place, beyond + len(values))
            values, data = values + data, at
        made.append(struct.pack(form.order + form.entry, entry.tag, entry.kind, entry.values, data))
    made.sort(key=lambda record: struct.unpack_from(form.order + "H", record)[0])
    return head + b"".join(made) + (after or b"\0" * form.inline) + values + b"\0" * (len(values) % 2)

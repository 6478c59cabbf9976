"""The parts that PNG, JPEG and WebP files are made of: taken apart, put together, and the picture told from its words.

A picture's data is what decides the pixels that a viewer shows: compressed data, tables, palettes, colour profiles. Its
words (text chunks, EXIF, XMP, comments, C2PA manifests) can come and go without touching it. So a hash of the data
stands for the picture wherever the file's words lie, and needs no decoder (decoders of JPEG differ in the last bit).

PNG: W3C PNG 3rd edition, 5.3. JPEG: ISO/IEC 10918-1, annex B. WebP: RFC 9649.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_PNG = b"\x89PNG\r\n\x1a\n"
_WORDS = {
    "png": {"iTXt", "tEXt", "zTXt", "tIME", "caBX"},
    "jpeg": {"APP0", "APP1", "APP11", "APP13", "COM"},
    "webp": {"VP8X", "EXIF", "XMP ", "C2PA"},
}
_CREDENTIALS = {"png": "caBX", "jpeg": "APP11", "webp": "C2PA"}


@dataclass(frozen=True)
class Part:
    """A chunk of a PNG or WebP, a segment of a JPEG. The last of a JPEG is all from its first scan on, named SOS."""

    name: str
    payload: bytes


def kind_of(content: bytes) -> str:
    """`png`, `jpeg` or `webp` by a file's first bytes; empty for anything else."""
    if content.startswith(_PNG):
        return "png"
    if content.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    return "webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else ""


def take_apart(content: bytes) -> tuple[Part, ...]:
    """The parts of a picture file in their order; empty where it is none of the three, or is broken off or damaged."""
    readers = {"png": _png_parts, "jpeg": _jpeg_parts, "webp": _webp_parts}
    kind = kind_of(content)
    try:
        return tuple(readers[kind](content)) if kind else ()
    except (struct.error, IndexError, ValueError):
        return ()


def put_together(kind: str, parts: Sequence[Part]) -> bytes:
    """The file that `parts` make; `take_apart` gives them back."""
    if kind == "png":
        return _PNG + b"".join(_png_chunk(part) for part in parts)
    if kind == "jpeg":
        return b"\xff\xd8" + b"".join(_jpeg_segment(part) for part in parts)
    body = b"WEBP" + b"".join(_riff_chunk(part) for part in parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def data_sha256(content: bytes) -> str:
    """sha256 of a picture's data, whatever its words; empty where the file cannot be taken apart."""
    kind = kind_of(content)
    data = [part for part in take_apart(content) if part.name not in _WORDS[kind]]
    if not data:
        return ""
    digest = hashlib.sha256()
    for part in data:
        digest.update(f"{part.name} {len(part.payload)}\n".encode() + part.payload)
    return digest.hexdigest()


def has_credentials(content: bytes) -> bool:
    """Whether the file carries a C2PA manifest, sound or not; of a damaged file, whether it seems to."""
    parts = take_apart(content)
    if not parts:
        return bool(kind_of(content)) and b"jumb" in content and b"c2pa" in content
    return any(part.name == _CREDENTIALS[kind_of(content)] for part in parts)


def without_credentials(content: bytes) -> bytes:
    """The file as it was before a C2PA manifest was put in, byte for byte; itself where it carries none."""
    kind = kind_of(content)
    parts = take_apart(content)
    if not any(part.name == _CREDENTIALS.get(kind) for part in parts):
        return content
    return put_together(kind, [part for part in parts if part.name != _CREDENTIALS[kind]])


def webp_with_words(content: bytes, width: int, height: int, words: Sequence[Part]) -> bytes:
    """A WebP of one picture without transparency, with EXIF and XMP chunks; their flags are set in its header."""
    flags = sum({"EXIF": 0x08, "XMP ": 0x04}[part.name] for part in words)
    header = struct.pack("<I", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    picture = [part for part in take_apart(content) if part.name != "VP8X"]
    return put_together("webp", [Part("VP8X", header), *picture, *words])


def _png_parts(content: bytes) -> Iterable[Part]:
    at = len(_PNG)
    while at < len(content):
        length, name = struct.unpack_from(">I4s", content, at)
        payload = content[at + 8 : at + 8 + length]
        (crc,) = struct.unpack_from(">I", content, at + 8 + length)
        if crc != zlib.crc32(name + payload):
            raise ValueError("a chunk's checksum is wrong")
        yield Part(name.decode("latin-1"), payload)
        at += 12 + length


def _png_chunk(part: Part) -> bytes:
    body = part.name.encode("latin-1") + part.payload
    return struct.pack(">I", len(part.payload)) + body + struct.pack(">I", zlib.crc32(body))


def _jpeg_parts(content: bytes) -> Iterable[Part]:
    at = 2
    while content[at + 1] != 0xDA:
        if content[at] != 0xFF:
            raise ValueError("a marker is missing")
        (length,) = struct.unpack_from(">H", content, at + 2)
        yield Part(_jpeg_name(content[at + 1]), content[at + 4 : at + 2 + length])
        at += 2 + length
    yield Part("SOS", content[at + 2 :])


def _jpeg_segment(part: Part) -> bytes:
    if part.name == "SOS":
        return b"\xff\xda" + part.payload
    return b"\xff" + bytes([_jpeg_marker(part.name)]) + struct.pack(">H", len(part.payload) + 2) + part.payload


def _jpeg_name(marker: int) -> str:
    if 0xE0 <= marker <= 0xEF:
        return f"APP{marker - 0xE0}"
    return "COM" if marker == 0xFE else f"{marker:02X}"


def _jpeg_marker(name: str) -> int:
    if name.startswith("APP"):
        return 0xE0 + int(name[3:])
    return 0xFE if name == "COM" else int(name, 16)


def _webp_parts(content: bytes) -> Iterable[Part]:
    (size,) = struct.unpack_from("<I", content, 4)
    if size + 8 != len(content):
        raise ValueError("the file is broken off, or something follows it")
    at = 12
    while at < len(content):
        name, length = struct.unpack_from("<4sI", content, at)
        if at + 8 + length > len(content):
            raise ValueError("a chunk is broken off")
        yield Part(name.decode("latin-1"), content[at + 8 : at + 8 + length])
        at += 8 + length + length % 2


def _riff_chunk(part: Part) -> bytes:
    return (
        part.name.encode("latin-1")
        + struct.pack("<I", len(part.payload))
        + part.payload
        + b"\0" * (len(part.payload) % 2)
    )

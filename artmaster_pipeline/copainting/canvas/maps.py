"""PNGs that say where things are, from anybody: a file's frame is judged before a pixel of it is decoded.

So a file of whatever claims costs no more than a canvas does: at most 16 MiB of it are read, at most the canvas' own
pixels are decoded, and of its parts the decoder is given those alone that make up the picture (W3C PNG 3rd edition, 5).
Every function adds what is wrong to `faults`, each with its way out, and then gives None.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from artmaster_pipeline.containers import Part, kind_of, put_together
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import inside

LARGEST_FILE = 16 * 2**20  # bytes: more than the pixels of the largest canvas, uncompressed
_MOST_PARTS = 20_000
_MOVES = {"acTL", "fcTL", "fdAT"}  # an animated PNG's
_GREY, _RGB, _PALETTE = 0, 2, 3  # colour types of PNG
_COLOURS = {0: "grey", 2: "colours", 3: "a palette", 4: "grey with transparency", 6: "colours with transparency"}
_KINDS = {"jpeg": "a JPEG", "webp": "a WebP", "": "no PNG"}

Size = tuple[int, int]  # width, height


@dataclass
class _Frame:
    """What a PNG says before its pixels, and the parts that its pixels need."""

    width: int
    height: int
    bits: int
    colour: int
    names: set[str] = field(default_factory=set)
    parts: list[Part] = field(default_factory=list)

    @property
    def in_words(self) -> str:
        return f"{_COLOURS.get(self.colour, 'no colours that PNG has')} of {self.bits} bits"


def read_labels(folder: Path, name: str, size: Size | None, faults: list[str]) -> np.ndarray | None:
    """A label map's numbers, uint8 (height, width): a palette's indices, grey levels, or 0 and 1 of a black-and-white.

    Without a `size` the file is judged and not decoded.
    """
    frame = _frame(folder, name, size, faults)
    if frame is None:
        return None
    if frame.colour == _GREY and frame.bits == 16:
        faults.append("it has 16 bits a pixel, room for 65,536 labels, and 255 are the most: save it with 8 bits")
    elif frame.colour == _GREY and frame.bits in (2, 4):
        # a viewer spreads these over all greys, so that nobody can tell which number is meant
        faults.append(f"it is grey of {frame.bits} bits: save it with 8 bits, or with a palette")
    elif frame.colour not in (_GREY, _PALETTE):
        faults.append(
            f"it has {frame.in_words}, and a pixel's number is the label: save it with a palette, or as grey of 8 bits"
        )
    _check_opaque(frame, faults)
    pixels = _decoded(frame, size, faults)
    if pixels is None:
        return None
    return pixels.astype(np.uint8)  # of a black-and-white one, true is label 1


def read_mask(folder: Path, name: str, size: Size | None, faults: list[str]) -> np.ndarray | None:
    """Where a mask is at least half white, bool (height, width). Without a `size` as in `read_labels`."""
    frame = _frame(folder, name, size, faults)
    if frame is None:
        return None
    if frame.colour != _GREY or frame.bits > 8:
        faults.append(
            f"it has {frame.in_words}: save it in black and white or in grey of 8 bits, white where the region is"
        )
    _check_opaque(frame, faults)
    pixels = _decoded(frame, size, faults)
    if pixels is None:
        return None
    return pixels if pixels.dtype == bool else pixels >= 128


def read_signal(folder: Path, name: str, size: Size | None, faults: list[str]) -> np.ndarray | None:
    """A structure signal's picture, uint8 (height, width, 3). Without a `size` as in `read_labels`."""
    frame = _frame(folder, name, size, faults)
    if frame is None:
        return None
    if frame.colour not in (_GREY, _RGB, _PALETTE) or frame.bits > 8:
        faults.append(f"it has {frame.in_words}: save it in grey or colours of 8 bits, without transparency")
    _check_opaque(frame, faults)
    return _decoded(frame, size, faults, "RGB")


def file_of(folder: Path, name: str, faults: list[str]) -> Path | None:
    """The file of that name in the canvas' folder; None where it is outside, or is no file."""
    try:
        file = inside(folder, name)
        if Path(name).is_absolute():
            faults.append(f"it is named by its place on this machine: put it into {folder} and name it from there")
        elif not file.is_file():  # a pipe or a device would be waited for
            faults.append(f"there is no such file in {folder}")
        else:
            return file
    except WrongUse:
        faults.append(f"it lies outside {folder}: put it there")
    except (OSError, ValueError, RuntimeError) as error:
        faults.append(f"it cannot be looked for ({error})")
    return None


def _frame(folder: Path, name: str, size: Size | None, faults: list[str]) -> _Frame | None:
    """A PNG's frame where it may be looked at further; what stands against that otherwise."""
    file = file_of(folder, name, faults)
    if file is None:
        return None
    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        faults.append(f"it cannot be read ({error.strerror})")
        return None
    if len(content) > LARGEST_FILE:
        faults.append(f"it has more than {LARGEST_FILE >> 20} MiB, which no map of a canvas needs: save it anew")
        return None
    if (kind := kind_of(content)) != "png":
        faults.append(f"it is {_KINDS[kind]}, whatever its name says: save it as a PNG")
        return None
    try:
        frame = _taken_apart(content)
    except (struct.error, ValueError) as error:
        faults.append(f"it is no whole PNG ({error}): save it anew")
        return None
    if moving := sorted(frame.names & _MOVES):
        faults.append(f"it is an animation ({', '.join(moving)}): save one picture")
    if size and (frame.width, frame.height) != size:
        faults.append(f"it is {frame.width}x{frame.height}, and the canvas {size[0]}x{size[1]}: draw it at that size")
    return frame


def _taken_apart(content: bytes) -> _Frame:
    parts = _parts(content)
    first = next(parts, None)
    if first is None or first[0] != "IHDR" or len(first[1]) != 13:
        raise ValueError("its header is missing")
    width, height, bits, colour = struct.unpack_from(">IIBB", first[1])
    frame = _Frame(width, height, bits, colour, parts=[Part("IHDR", bytes(first[1]))])
    pixels = []
    for name, payload in parts:
        frame.names.add(name)
        if name in ("PLTE", "tRNS"):
            frame.parts.append(Part(name, bytes(payload[:1024])))
        elif name == "IDAT":
            pixels.append(payload)
    if "IEND" not in frame.names or not pixels:
        raise ValueError("it is broken off")
    frame.parts += [Part("IDAT", b"".join(pixels)), Part("IEND", b"")]
    return frame


def _parts(content: bytes) -> Iterator[tuple[str, memoryview]]:
    view, at, count = memoryview(content), 8, 0
    while at < len(content):
        length, name = struct.unpack_from(">I4s", content, at)
        payload = view[at + 8 : at + 8 + length]
        (crc,) = struct.unpack_from(">I", content, at + 8 + length)
        if crc != zlib.crc32(payload, zlib.crc32(name)):
            raise ValueError("a part's checksum is wrong")
        yield name.decode("latin-1"), payload
        if name == b"IEND":
            return
        at, count = at + 12 + length, count + 1
        if count > _MOST_PARTS:
            raise ValueError(f"it is in more than {_MOST_PARTS:,} parts")


def _check_opaque(frame: _Frame, faults: list[str]) -> None:
    if "tRNS" in frame.names:
        faults.append("parts of it are transparent, so that what is seen is not what counts: save it without that")


def _decoded(frame: _Frame, size: Size | None, faults: list[str], mode: str = "") -> np.ndarray | None:
    """The pixels of a file that has no fault; the decoder sees nothing of it but its frame and its pixels."""
    from PIL import Image

    if faults or size is None:
        return None
    try:
        with Image.open(io.BytesIO(put_together("png", frame.parts)), formats=["PNG"]) as image:
            return np.asarray(image.convert(mode) if mode else image)
    except (
        OSError,
        ValueError,
        SyntaxError,
        struct.error,
        zlib.error,
        IndexError,
    ) as error:
        faults.append(f"it cannot be decoded ({error}): save it anew")
        return None

"""Pixels on the disk while a picture is enlarged: what is read from, and what finished tiles are laid on.

Files of plain numbers, of which only the part in work is in memory, so memory does not grow with the picture. To
libvips they are TIFFs without compression, since it reads those row by row, where it maps other files into memory as a
whole. A sheet remembers how many bands of tiles it holds: after a kill the next run goes on behind them.
"""

import json
import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from artmaster_pipeline.files import to_disk, write_text
from artmaster_pipeline.superres.upscaling.tiff import BIG, Entry, list_of

if TYPE_CHECKING:
    import pyvips

_HEAD = 16  # bytes of a BigTIFF's head, in front of the pixels
_STRIP = 16  # rows
_CACHED = 64_000_000  # bytes of rows that are resized at once


@dataclass(frozen=True)
class RawPixels:
    """A file of interleaved pixels without a header; slices are read from the disk."""

    file: Path
    shape: tuple[int, int, int]
    dtype: Any
    head: int = _HEAD  # bytes in front of the pixels

    @property
    def size(self) -> int:
        """Bytes of the pixels."""
        height, width, bands = self.shape
        return height * width * bands * np.dtype(self.dtype).itemsize

    def __getitem__(self, part: Any) -> np.ndarray:
        return np.array(self.mapped("r")[part])

    def mapped(self, mode: Literal["r", "r+"]) -> np.ndarray:
        """The pixels as an array on the disk."""
        return np.memmap(self.file, self.dtype, mode, self.head, self.shape)

    def image(self, interpretation: str) -> "pyvips.Image":
        """The same for libvips, to be read once from top to bottom."""
        import pyvips

        with self.file.open("r+b") as file:
            file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, self.head + self.size))
            file.truncate(self.head + self.size)
            file.seek(self.head + self.size)
            file.write(self._directory())
        image = pyvips.Image.tiffload(str(self.file), access="sequential", revalidate=True)
        return image.copy(interpretation=interpretation)

    def _directory(self) -> bytes:
        """What a TIFF says of its pixels: one strip after the other, and where each lies."""
        height, width, bands = self.shape
        row = self.size // height
        tops = range(0, height, _STRIP)
        entries = [
            _entry(256, "I", width),
            _entry(257, "I", height),
            _entry(258, "H", *[8 * np.dtype(self.dtype).itemsize] * bands),
            _entry(259, "H", 1),  # no compression
            _entry(262, "H", 2 if bands == 3 else 1),  # RGB or grey
            _entry(273, "Q", *(self.head + top * row for top in tops)),
            _entry(277, "H", bands),
            _entry(278, "I", _STRIP),
            _entry(279, "Q", *((min(height, top + _STRIP) - top) * row for top in tops)),
        ]
        return list_of(entries, (), BIG, self.head + self.size)


def _entry(tag: int, kind: str, *numbers: int) -> Entry:
    """A tag with numbers of 2 ("H"), 4 ("I") or 8 bytes ("Q")."""
    return Entry(tag, {"H": 3, "I": 4, "Q": 16}[kind], len(numbers), struct.pack(f"<{len(numbers)}{kind}", *numbers))


def write_raw(image: "pyvips.Image", file: Path) -> RawPixels:
    """Decode a picture of 8 or 16 bits into a file."""
    image.rawsave(str(file), keep="none")
    kind = np.uint8 if image.format == "uchar" else np.uint16
    return RawPixels(file, (image.height, image.width, image.bands), kind, head=0)


def enlarged_by_lanczos(source: RawPixels, width: int, height: int, file: Path) -> RawPixels:
    """One channel at another size, with 16 bits, some rows at a time (Pillow's Lanczos, three lobes)."""
    from PIL import Image

    inner_height, inner_width, _ = source.shape
    whole = float(np.iinfo(source.dtype).max)
    rows = max(1, _CACHED // (8 * width))
    factor = inner_height / height
    with file.open("wb") as target:
        target.write(bytes(_HEAD))
        for top in range(0, height, rows):
            bottom = min(height, top + rows)
            first = max(0, int(top * factor) - 8)
            last = min(inner_height, int(bottom * factor) + 9)
            values = source[first:last, :, 0].astype(np.float32) / whole
            box = (0, top * factor - first, inner_width, bottom * factor - first)
            size = (width, bottom - top)
            resized = Image.fromarray(values).resize(size, Image.Resampling.LANCZOS, box=box)
            target.write(np.rint(np.clip(np.asarray(resized), 0, 1) * 65535).astype(np.uint16).tobytes())
    return RawPixels(file, (height, width, 1), np.uint16)


class Sheet:
    """A canvas of 16-bit pixels in a folder, which outlives the process."""

    def __init__(self, folder: Path, name: str, height: int, width: int, shared_rows: int, cut: str) -> None:
        """`cut` says how the picture is cut into tiles: bands of another cut are of no use."""
        self.pixels = RawPixels(folder / f"{name}.raw", (height, width, 3), np.uint16)
        self._state = folder / f"{name}.json"
        self._shared_rows = shared_rows
        self._cut = cut
        self.bands = bands_there(folder, name, cut)
        if not self.bands:
            _take_room(self.pixels.file, _HEAD + self.pixels.size)

    def write(self, top: int, left: int, values: np.ndarray) -> None:
        """Put finished pixels in their place."""
        sheet = self.pixels.mapped("r+")
        sheet[top : top + values.shape[0], left : left + values.shape[1]] = np.rint(values * 65535)

    def shared(self, band: int) -> Any:
        """The rows that a band shares with the next. Two files take turns, so that a band can be made again."""
        file = self._shared_file(band)
        shape = (self._shared_rows, *self.pixels.shape[1:])
        size = math.prod(shape) * np.dtype(np.float32).itemsize
        if not file.exists() or file.stat().st_size != size:
            _take_room(file, size)
        return np.memmap(file, np.float32, "r+", shape=shape)

    def _shared_file(self, band: int) -> Path:
        return self.pixels.file.with_suffix(f".shared{band % 2}")

    def finished(self, band: int) -> None:
        """Remember that a band is there; its pixels are on the disk before that is."""
        for file in (self.pixels.file, self._shared_file(band)):
            if file.exists():
                to_disk(file)
        self.bands = band + 1
        write_text(self._state, json.dumps({"bands": self.bands, "cut": self._cut}))


def bands_there(folder: Path, name: str, cut: str) -> int:
    """How many bands of tiles a sheet of that name holds, if it is cut like that."""
    try:
        state = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        if state["cut"] == cut and (folder / f"{name}.raw").is_file():
            return int(state["bands"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0


def _take_room(file: Path, size: int) -> None:
    """A file of that many zeros for which the disk has room: a disk found full while memory is mapped kills a process.

    Where the system cannot take room (macOS, Windows) the file is as long and its room is taken later.
    """
    with file.open("wb") as opened:
        opened.truncate(size)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(opened.fileno(), 0, size)

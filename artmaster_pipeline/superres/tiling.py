"""How a picture is cut into tiles that overlap, and how enlarged tiles are laid side by side so that no seam shows.

A network is wrong near a cut, as far as it sees: there it meets zeros in place of the picture. So neighbours share
twice that margin, which is thrown away, and between the two a strip in which one fades into the other. Tiles are made
in bands from top to bottom; what a band shares with the next is kept until that one is made. Every pixel is written
once.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Fetch = Callable[[], np.ndarray]  # waits for an enlarged tile, H x W x 3 in 0..1 of type float32
_FADE = 16  # pixels before enlarging in which one tile fades into the next
ALIGNMENT = 8  # tiles begin at multiples of it, since some networks fold 2x2 pixels or 8x8 windows into one


@dataclass(frozen=True)
class Tiling:
    """How pictures are cut: all numbers are pixels before enlarging."""

    side: int  # of the largest tile
    margin: int  # next to a cut, thrown away

    @property
    def overlap(self) -> int:
        """What neighbouring tiles share."""
        return math.ceil((2 * self.margin + _FADE) / ALIGNMENT) * ALIGNMENT

    @property
    def smallest(self) -> int:
        """The side of the smallest tile of which anything is left after its margins."""
        return self.overlap + 2 * ALIGNMENT

    def spans(self, length: int) -> list[slice]:
        """Equal tiles along one side, each sharing `overlap` pixels with the next."""
        if length <= self.side:
            return [slice(0, length)]
        alone = length - self.overlap
        count = math.ceil(alone / (self.side - self.overlap))
        step = math.ceil(alone / count / ALIGNMENT) * ALIGNMENT
        return [slice(start, min(start + step + self.overlap, length)) for start in range(0, alone, step)]

    def count(self, height: int, width: int) -> int:
        """How many tiles a picture is cut into."""
        return len(self.spans(height)) * len(self.spans(width))

    def ramp(self, scale: int) -> np.ndarray:
        """How much of the later tile is seen in each enlarged row that two share: 0 at its edge, 1 at the other's."""
        rows = (np.arange(self.overlap * scale, dtype=np.float32) + 0.5) / scale
        fade = self.overlap - 2 * self.margin
        return np.clip((rows - self.margin) / fade, 0, 1).astype(np.float32)


class Canvas(Protocol):
    """Where enlarged tiles are laid."""

    def write(self, top: int, left: int, values: np.ndarray) -> None:
        """Put finished pixels in their place; in 0..1, float32."""

    def shared(self, band: int) -> Any:
        """An array as wide as the canvas for the rows that a band shares with the next, float32."""

    def finished(self, band: int) -> None:
        """All of a band, and what it shares with the next, is there."""


def lay_tiles(
    source: Any,
    scale: int,
    tiling: Tiling,
    enlarge: Callable[[np.ndarray], Fetch],
    canvas: Canvas,
    advance: Callable[[], None],
    first_band: int = 0,
    ahead: int = 0,
) -> None:
    """Enlarge `source`, an H x W x 3 array of unsigned numbers (or float32 in 0..1), tile by tile onto `canvas`.

    `enlarge` begins with a tile and answers with what waits for it; it is asked for so many tiles `ahead`. Bands before
    `first_band` are there already.
    """
    height, width = source.shape[:2]
    across, bands = tiling.spans(width), tiling.spans(height)
    ramp = tiling.ramp(scale)
    tiles = (_in_unit(source[rows, columns]) for rows in bands[first_band:] for columns in across)
    pieces = fetched(map(enlarge, tiles), ahead)
    for band in range(first_band, len(bands)):
        rows = bands[band]
        above = canvas.shared(band - 1) if band else None
        below = canvas.shared(band) if band + 1 < len(bands) else None
        strip = None  # what the tile before shares with this one
        for columns in across:
            piece, strip = _beside(next(pieces), strip, ramp, last=columns is across[-1])
            left = columns.start * scale
            reach = slice(left, left + piece.shape[1])
            if above is not None:
                _fade(piece, above[:, reach], ramp[:, None, None])
            if below is not None:
                below[:, reach] = piece[-len(ramp) :]
                piece = piece[: -len(ramp)]
            canvas.write(rows.start * scale, left, piece)
            advance()
        canvas.finished(band)


def fetched(begun: Iterable[Fetch], ahead: int) -> Iterator[np.ndarray]:
    """What is fetched, in order, each after so many more were begun with."""
    waiting: deque[Fetch] = deque()
    for fetch in begun:
        waiting.append(fetch)
        if len(waiting) > ahead:
            yield waiting.popleft()()
    while waiting:
        yield waiting.popleft()()


def _in_unit(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.float32:
        return pixels
    return pixels.astype(np.float32) / np.iinfo(pixels.dtype).max


def _beside(
    piece: np.ndarray, strip: np.ndarray | None, ramp: np.ndarray, *, last: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """The columns of a tile that are finished with, and those that it shares with the next."""
    if strip is not None:
        _fade(piece.swapaxes(0, 1), strip.swapaxes(0, 1), ramp[:, None, None])
    if last:
        return piece, None
    return piece[:, : -len(ramp)], piece[:, -len(ramp) :]


def _fade(piece: np.ndarray, before: np.ndarray, ramp: np.ndarray) -> None:
    """Let the first rows of `piece` come out of `before`, in place."""
    first = piece[: len(ramp)]
    first[:] = before + ramp * (first - before)

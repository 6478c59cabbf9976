"""One network enlarging one picture, tile by tile, so that memory is bounded and no seam shows."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from artmaster_pipeline.errors import ArtMasterError, BadInput
from artmaster_pipeline.progress import Advance, terminal_progress
from artmaster_pipeline.records import identity
from artmaster_pipeline.sessions import free_memory, is_out_of_memory
from artmaster_pipeline.settings import CONSTRAINTS
from artmaster_pipeline.superres.constraints import corrections_of
from artmaster_pipeline.superres.corrections import Correction
from artmaster_pipeline.superres.engines import Engine
from artmaster_pipeline.superres.pixels import fetching, tensor_of
from artmaster_pipeline.superres.tiling import ALIGNMENT, Canvas, Fetch, Tiling, lay_tiles

_METHOD = 2  # part of the identity: raise it when tiling makes other pixels
# An RRDB network sees some 350 pixels, but from here on cuts change no pixel by two levels (docs/upscaling.md).
_SEEN_CLEARLY = 48
_TILE_BYTES = 800_000_000  # of memory that a tile may take: a fixed number, so that every machine cuts alike
_CORRECTING_BYTES = 112  # for each of its enlarged pixels while a tile is corrected: grain takes most
_LARGEST_TILE = 1024
_ANY = 2**31  # pixels: no picture is wider or higher
_SHARE_OF_FREE = 0.5  # of the free memory, where that is less


@dataclass
class _Room:
    """The largest tile that there has been memory for."""

    side: int


@dataclass(frozen=True)
class Enlarger:
    """A network in an engine, and how pictures are cut for it; `load_network` makes it."""

    engine: Engine
    tile: int  # the side of the largest tile, in pixels before enlarging
    corrections: tuple[Correction, ...] = corrections_of(CONSTRAINTS)
    _room: _Room = field(default_factory=lambda: _Room(_ANY), compare=False)

    @property
    def name(self) -> str:
        """The network's name."""
        return self.engine.network

    @property
    def identity(self) -> str:
        """Made from the engine, the network, its weights, the number type, and how pictures are tiled and corrected."""
        return identity(self.engine.identity, _METHOD, [correction.name for correction in self.corrections])

    @property
    def scale(self) -> int:
        """How many times wider and higher a picture becomes."""
        return self.engine.scale

    @property
    def tiling(self) -> Tiling:
        """How a picture is cut: whole, where the network gives nothing sensible for a part."""
        # Corrections follow one another, but what the first makes of a cut is too faint for the next to carry it on.
        margin = min(self.engine.sees, _SEEN_CLEARLY) + max((each.reach for each in self.corrections), default=0)
        least = Tiling(0, margin).smallest
        return Tiling(max(self.tile, least) if self.engine.may_be_tiled else _ANY, margin)

    def tiles(self, height: int, width: int) -> int:
        """How many tiles a picture of this size is worked on in: the steps that `enlarge` tells of."""
        return self.tiling.count(height, width)

    def enlarge(self, picture: np.ndarray, advance: Advance | None = None, *, corrected: bool = True) -> np.ndarray:
        """The picture, H x W x 3 in 8-bit sRGB, as (H * scale) x (W * scale) x 3; `advance` is called for every tile.

        The network's pixels are corrected towards the picture's (`constraints`) unless `corrected` is False.
        Neighbouring tiles share more than the network sees clearly and fade into each other, so the result is that of
        one piece (docs/upscaling.md says how nearly). Where there is no memory for a tile it is made in smaller ones,
        which is said on the terminal.

        Raises BadInput for anything but an RGB picture, ArtMasterError where there is no memory for any tile.
        """
        check_picture(picture)
        height, width = picture.shape[:2]
        canvas = InMemory(np.empty((height * self.scale, width * self.scale, 3), np.uint8), self._shared_rows)
        self.enlarge_onto(picture, canvas, advance, corrected=corrected)
        return canvas.pixels

    def enlarge_onto(
        self,
        source: Any,
        canvas: Canvas,
        advance: Advance | None = None,
        *,
        corrected: bool = True,
        first_band: int = 0,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """Enlarge `source`, H x W x 3 of uint8 or uint16 that may lie on the disk, onto a canvas; see `enlarge`.

        `first_band`: how many bands of tiles are there already. `say` is told where tiles had to become smaller.
        """
        told, tell = advance or _silent, say or terminal_progress().say
        work = lambda tile: self._run(tile, corrected, tell)  # noqa: E731
        ahead = 0 if self.engine.device.type == "cpu" else 1  # a GPU computes while the tile before is laid
        lay_tiles(source, self.scale, self.tiling, work, canvas, told, first_band, ahead)

    @property
    def _shared_rows(self) -> int:
        return self.tiling.overlap * self.scale

    def _run(self, tile: np.ndarray, corrected: bool, say: Callable[[str], None]) -> Fetch:
        if max(tile.shape[:2]) > self._room.side and self.engine.may_be_tiled:
            return self._in_parts(tile, corrected, say)
        try:
            return self._tile(tile, corrected)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Not in there: as long as the error is held, so is what the tile has taken.
        self._make_smaller(max(tile.shape[:2]), say)
        return self._run(tile, corrected, say)

    def _tile(self, tile: np.ndarray, corrected: bool) -> Fetch:
        import torch

        enlarged = self.engine.enlarge(tile)
        with torch.inference_mode():
            original = tensor_of(tile, self.engine.device)
            for correct in self.corrections if corrected else ():
                enlarged = correct(original, enlarged)
            return self._sound(fetching(enlarged))

    def _sound(self, fetch: Fetch) -> Fetch:
        """The same; raises ArtMasterError where values are no numbers. Asked before, a GPU would be waited for."""

        def wait() -> np.ndarray:
            piece = fetch()
            if np.isnan(piece.min()):
                raise ArtMasterError(
                    f"The network {self.name} gave values that are no numbers ({self.engine.dtype}): "
                    "choose float32, or another network."
                )
            return piece

        return wait

    def _in_parts(self, tile: np.ndarray, corrected: bool, say: Callable[[str], None]) -> Fetch:
        height, width = tile.shape[:2]
        canvas = InMemory(np.empty((height * self.scale, width * self.scale, 3), np.float32), self._shared_rows)
        tiling = Tiling(self._room.side, self.tiling.margin)
        lay_tiles(tile, self.scale, tiling, lambda part: self._run(part, corrected, say), canvas, _silent)
        return lambda: canvas.pixels

    def _make_smaller(self, side: int, say: Callable[[str], None]) -> None:
        free_memory()
        half = max(side // 2 // ALIGNMENT * ALIGNMENT, self.tiling.smallest)
        if not self.engine.may_be_tiled or half >= side:
            raise ArtMasterError(
                f"There is not enough memory for a tile of {side} pixels, and smaller ones do not go with the network "
                f"{self.name}. Close other programs, or choose another network."
            )
        self._room.side = half
        say(f"No memory for a tile of {side} pixels: going on with tiles of {half}.")


def enlarger_by(engine: Engine) -> Enlarger:
    """The Enlarger of an engine, with tiles for which this machine has memory."""
    return Enlarger(engine, _tile_side(engine))


def _tile_side(engine: Engine) -> int:
    """The side of the largest tile that takes no more than `_TILE_BYTES`, or a part of what is free, in steps of 64.

    What the engine takes is given back before a tile is corrected, so the larger of the two counts.
    """
    most = min(_TILE_BYTES, int(_SHARE_OF_FREE * engine.free_bytes()))
    taken = max(engine.tile_bytes(64, 64), 64 * 64 * engine.scale**2 * _CORRECTING_BYTES)
    fitting = math.isqrt(most * 64 * 64 // taken) // 64 * 64
    return min(fitting, _LARGEST_TILE)


@dataclass
class InMemory:
    """A canvas in memory, of type uint8 or float32."""

    pixels: np.ndarray
    shared_rows: int
    _shared: dict[int, np.ndarray] = field(default_factory=dict)

    def write(self, top: int, left: int, values: np.ndarray) -> None:
        place = self.pixels[top : top + values.shape[0], left : left + values.shape[1]]
        place[:] = values if self.pixels.dtype == np.float32 else np.rint(values * 255)

    def shared(self, band: int) -> np.ndarray:
        if band not in self._shared:
            self._shared[band] = np.empty((self.shared_rows, *self.pixels.shape[1:]), np.float32)
        return self._shared[band]

    def finished(self, band: int) -> None:
        self._shared.pop(band - 1, None)


def _silent(steps: int = 1, note: str = "") -> None:
    """An `Advance` that tells nobody."""


def check_picture(picture: np.ndarray) -> None:
    """Raise BadInput unless `picture` is H x W x 3, 8 bit, with at least one pixel."""
    shape, kind = np.shape(picture), getattr(picture, "dtype", type(picture).__name__)
    if kind != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise BadInput(
            f"An array of shape {shape} and type {kind} is not an RGB picture",
            "Give height x width x 3 of type uint8 (Pillow: numpy.asarray(picture.convert('RGB'))).",
        )

"""One network enlarging one picture, tile by tile, so that memory is bounded and no seam shows."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from artmaster_pipeline.errors import ArtMasterError, BadInput
from artmaster_pipeline.progress import Advance
from artmaster_pipeline.superres.tone import with_tone_of

if TYPE_CHECKING:
    import torch

TILE = 384  # pixels before enlarging; an RRDB network then takes about 1.2 GB in float32
OVERLAP = 64  # pixels that neighbouring tiles share
_DISCARDED = 16  # of the shared pixels, those next to a tile's edge, where the zeros beyond it are felt most
_ALIGNMENT = 8  # tiles begin at multiples of it, since some networks fold 2x2 pixels or 8x8 windows into one


@dataclass(frozen=True)
class Enlarger:
    """A loaded super-resolution network; `load_network` makes it."""

    descriptor: Any  # spandrel's ImageModelDescriptor: it knows the network's scale, sizes and tiling
    name: str
    identity: str  # made from the name, the scale, the number type, every weight and how pictures are tiled and toned
    tile: int = TILE  # at least twice OVERLAP

    @property
    def scale(self) -> int:
        """How many times wider and higher a picture becomes."""
        return int(self.descriptor.scale)

    def tiles(self, height: int, width: int) -> int:
        """How many tiles a picture of this size is worked on in: the steps that `enlarge` tells of."""
        return len(self._spans(height)) * len(self._spans(width))

    def enlarge(self, picture: np.ndarray, advance: Advance | None = None, *, keep_tone: bool = True) -> np.ndarray:
        """The picture, H x W x 3 in 8-bit sRGB, as (H * scale) x (W * scale) x 3; `advance` is called for every tile.

        The colours of areas stay the picture's (`with_tone_of`) unless `keep_tone` is False: then the pixels are the
        network's own. Neighbouring tiles are cross-faded where they overlap. For the compact networks the result is
        the same as in one piece (their receptive field, 18 pixels, is smaller than the overlap). RRDB networks see
        some 350 pixels far, mostly faintly: there tiles change fine texture a little, and no seam shows.

        Raises BadInput for anything but an RGB picture.
        """
        check_picture(picture)
        enlarged = self._enlarge_tiles(picture, advance or _silent)
        return with_tone_of(picture, enlarged) if keep_tone else enlarged

    def _enlarge_tiles(self, picture: np.ndarray, advance: Advance) -> np.ndarray:
        height, width = picture.shape[:2]
        enlarged = np.empty((height * self.scale, width * self.scale, 3), np.uint8)
        for rows in self._spans(height):  # tiles into a band, bands into the picture
            band = np.empty(((rows.stop - rows.start) * self.scale, width * self.scale, 3), np.uint8)
            for columns in self._spans(width):
                tile = self._run(picture[rows, columns])
                _lay(tile.swapaxes(0, 1), band.swapaxes(0, 1), columns.start, self.scale)
                advance()
            _lay(band, enlarged, rows.start, self.scale)
        return enlarged

    def _spans(self, length: int) -> list[slice]:
        """Equal tiles along one side, each sharing OVERLAP pixels with the next."""
        from spandrel import ModelTiling

        if length <= self.tile or self.descriptor.tiling != ModelTiling.SUPPORTED:
            return [slice(0, length)]
        count = math.ceil((length - OVERLAP) / (self.tile - OVERLAP))
        step = math.ceil((length - OVERLAP) / count / _ALIGNMENT) * _ALIGNMENT
        return [slice(start, min(start + step + OVERLAP, length)) for start in range(0, length - OVERLAP, step)]

    def _run(self, tile: np.ndarray) -> np.ndarray:
        import torch

        pixels = torch.tensor(tile, device=self.descriptor.device).permute(2, 0, 1)[None]
        pixels = pixels.to(self.descriptor.dtype, memory_format=torch.channels_last) / 255
        with torch.inference_mode():
            enlarged = self.descriptor(pixels)[0].permute(1, 2, 0).float()
            self._check(enlarged)
            values = (enlarged * 255).round().to(torch.uint8)
        return np.asarray(values.cpu().numpy())

    def _check(self, enlarged: "torch.Tensor") -> None:
        if enlarged.isnan().any():
            raise ArtMasterError(
                f"The network {self.name} gave values that are no numbers ({self.descriptor.dtype}): "
                "choose float32, or another network."
            )


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


def _lay(piece: np.ndarray, canvas: np.ndarray, start: int, scale: int) -> None:
    """Put `piece` on `canvas` from row `start` (before enlarging) on, faded in over the rows shared with the last one.

    Of the shared rows those next to either piece's edge come from the other piece alone.
    """
    shared = OVERLAP * scale if start else 0
    below = canvas[start * scale :][:shared]
    rows = (np.arange(shared, dtype=np.float32) + 0.5) / scale
    shown = np.clip((rows - _DISCARDED) / (OVERLAP - 2 * _DISCARDED), 0, 1)[:, None, None]
    below[:] = np.rint(below + shown * (piece[:shared].astype(np.float32) - below))
    canvas[start * scale :][shared : len(piece)] = piece[shared:]

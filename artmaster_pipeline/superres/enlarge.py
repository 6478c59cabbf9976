"""One network enlarging one picture, tile by tile, so that memory is bounded and no seam shows."""

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from artmaster_pipeline.errors import ArtMasterError, BadInput
from artmaster_pipeline.progress import Advance

if TYPE_CHECKING:
    import torch

TILE = 384  # pixels before enlarging; x4plus then needs about 2.5 GB in float32
OVERLAP = 64  # pixels that neighbouring tiles share
_DISCARDED = 16  # of the shared pixels, those next to a tile's edge, where the zeros beyond it are felt most
_ALIGNMENT = 8  # tiles begin at multiples of it, since some networks fold 2x2 pixels or 8x8 windows into one


@dataclass(frozen=True)
class Enlarger:
    """A loaded super-resolution network; `load_network` makes it."""

    descriptor: Any  # spandrel's ImageModelDescriptor: it knows the network's scale, sizes and tiling
    name: str
    identity: str  # made from the name, the scale, the number type and every weight
    tile: int = TILE

    @property
    def scale(self) -> int:
        """How many times wider and higher a picture becomes."""
        return int(self.descriptor.scale)

    def tiles(self, height: int, width: int) -> int:
        """How many tiles a picture of this size is worked on in: the steps that `enlarge` tells of."""
        return len(self._spans(height)) * len(self._spans(width))

    def enlarge(self, picture: np.ndarray, advance: Advance | None = None) -> np.ndarray:
        """The picture, H x W x 3 in 8-bit sRGB, as (H * scale) x (W * scale) x 3; `advance` is called for every tile.

        Neighbouring tiles are cross-faded where they overlap. For the compact networks the result is the same as in
        one piece (their receptive field, 18 pixels, is smaller than the overlap). RRDB networks see 350 pixels far,
        mostly faintly: there a tiled picture has other fine texture than one in one piece, but no seam.

        Raises BadInput for anything but an RGB picture.
        """
        check_picture(picture)
        height, width = picture.shape[:2]
        enlarged = np.empty((height * self.scale, width * self.scale, 3), np.uint8)
        for rows, columns in itertools.product(self._spans(height), self._spans(width)):
            tile = self._run(picture[rows, columns])
            place = enlarged[self._enlarged(rows), self._enlarged(columns)]
            place[:] = _laid_over(place, tile, self.scale, from_above=rows.start > 0, from_left=columns.start > 0)
            if advance:
                advance()
        return enlarged

    def _enlarged(self, span: slice) -> slice:
        return slice(span.start * self.scale, span.stop * self.scale)

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

        pixels = torch.from_numpy(np.ascontiguousarray(tile)).to(self.descriptor.device).permute(2, 0, 1)[None]
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


def check_picture(picture: np.ndarray) -> None:
    """Raise BadInput unless `picture` is H x W x 3, 8 bit, with at least one pixel."""
    shape, kind = np.shape(picture), getattr(picture, "dtype", type(picture).__name__)
    if kind != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise BadInput(
            f"An array of shape {shape} and type {kind} is not an RGB picture",
            "Give height x width x 3 of type uint8 (Pillow: numpy.asarray(picture.convert('RGB'))).",
        )


def _laid_over(below: np.ndarray, tile: np.ndarray, scale: int, *, from_above: bool, from_left: bool) -> np.ndarray:
    """`tile` over what its neighbours above and to the left have put there, faded in over the shared pixels."""
    height, width = tile.shape[:2]
    down = _fade_in(height, scale) if from_above else np.ones(height, np.float32)
    across = _fade_in(width, scale) if from_left else np.ones(width, np.float32)
    shown = np.outer(down, across)[:, :, None]
    return np.rint(below + shown * (tile.astype(np.float32) - below)).astype(np.uint8)


def _fade_in(length: int, scale: int) -> np.ndarray:
    """0 over the discarded pixels at the near end, 1 from as many before the end of the overlap on, linear between."""
    ramp = (np.arange(length, dtype=np.float32) + 0.5) / scale
    return np.clip((ramp - _DISCARDED) / (OVERLAP - 2 * _DISCARDED), 0, 1)

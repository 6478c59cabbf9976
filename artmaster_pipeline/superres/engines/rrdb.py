"""RRDB networks (Wang et al., "ESRGAN", 2018), arranged so that they take less memory and half the time.

Nine tenths of the work are in the trunk, at the size of the tile; most of the memory is taken by the few layers behind
it, at up to sixteen times as many pixels. Those see two pixels far, so they work in strips, and tiles may be larger. In
16-bit types the convolutions are; what the trunk's add to stays in float32, since it sums up hundreds of residuals. In
float32 on a CPU the trunk's convolutions are Winograd's: a dense block transforms each of its channels once for all the
convolutions that see it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.superres.engines.winograd import Convolution, Grid, fits

if TYPE_CHECKING:
    from torch import Tensor

_Step = tuple[Convolution, "Callable[[Tensor], Tensor]"]  # a convolution and what is done to its answer
_CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4", "conv5")  # of a dense block
_STREAM = 0.2  # how much of a dense block's answer is added (section 3.1)
_STRIP = 2**14  # pixels before enlarging; at four times the size in float32, 64 channels of them take 64 MB
_HALO = 2  # pixels that the layers behind the trunk see: half of one, and a quarter three times


def keep_residuals_in_float32(network: Any, dtype: Any) -> bool:
    """Let spandrel's RRDBNet convolve in a 16-bit type, in place; False, and unchanged, where it is of another make.

    The first convolution and the last, which write what is summed and what is seen, stay in float32; they are small.
    """
    first, trunk, *upwards, last = network.model
    dense = _dense_blocks(trunk)
    if dense is None:
        return False
    for block in dense:
        block.to(dtype).forward = partial(_dense, block, dtype)
    rising = _in_a_row(upwards)
    for layers in (trunk.sub[-1], rising):
        layers.to(dtype).forward = partial(_rough, layers.forward, dtype)
    network.model = _in_a_row([first, trunk, rising, last])
    return True


def convolve_by_winograd(network: Any) -> int:
    """Let the trunk of spandrel's RRDBNet convolve by module `winograd`; unchanged, where it is of another make.

    Gives the bytes that the transformed weights take beside the network's own.
    """
    trunk = network.model[1]
    dense = _dense_blocks(trunk)
    layers = [_layers(getattr(block, name)) for block in dense or () for name in _CONVOLUTIONS]
    layers.append(_layers(trunk.sub[-1]))
    if dense is None or not all(fits(layer) and len(rest) <= 1 for layer, *rest in layers):
        return 0
    *inner, last = [(Convolution.of(layer), rest[0] if rest else _unchanged) for layer, *rest in layers]
    count = len(_CONVOLUTIONS)
    blocks = [inner[first : first + count] for first in range(0, len(inner), count)]
    trunk.forward = _Trunk([blocks[first : first + 3] for first in range(0, len(blocks), 3)], last)
    return sum(by.kernel.nbytes for by, _ in (*inner, last))


def go_up_in_strips(network: Any) -> None:
    """Let what lies behind the trunk of spandrel's RRDBNet work in strips; in place."""
    first, trunk, *upwards = network.model
    rising = _in_a_row(upwards)
    rising.forward = partial(_in_strips, rising.forward, network.scale)
    for layer in rising.modules():
        layer.bounded = True  # a mark for `probe`
    network.model = _in_a_row([first, trunk, rising])


@dataclass(frozen=True)
class _Trunk:
    """All that a network's blocks add to the picture, by Winograd."""

    blocks: list[list[list["_Step"]]]  # blocks of three dense blocks of five
    last: "_Step"

    def __call__(self, values: "Tensor") -> "Tensor":
        (picture,) = values
        grid = Grid(*picture.shape[-2:])
        stream = grid.phases_of(picture, "stream")
        for block in self.blocks:
            before = grid.phases("before", len(picture)).copy_(stream)
            for steps in block:
                _add_dense(grid, stream, steps)
            stream.mul_(_STREAM).add_(before)
        return values + grid.picture(grid.convolved(stream, *self.last, "before"))[None]


def _add_dense(grid: Grid, stream: "Tensor", steps: "list[_Step]") -> None:
    """Add a dense block's answer to the stream."""
    *growing, (last, _) = steps
    seen = last.channels
    found = [grid.memory(strip.start, 36, seen * grid.pieces(strip)) for strip in grid.strips]
    newest, first = stream, 0
    for by, activation in growing:
        _find(grid, newest, found, first)
        first = by.channels
        newest = grid.phases("newest", by.features)
        for strip, values in zip(grid.strips, found, strict=True):
            grid.within(newest, strip).copy_(grid.convolve(strip, values, by, activation))
        grid.clear(newest)
    _find(grid, newest, found, first)
    for strip, values in zip(grid.strips, found, strict=True):
        grid.within(stream, strip).add_(grid.convolve(strip, values, last, _unchanged), alpha=_STREAM)
    grid.clear(stream)


def _find(grid: Grid, newest: "Tensor", found: "list[Tensor]", first: int) -> None:
    """Put the transform of the newest channels behind those of the `first` ones."""
    for strip, values in zip(grid.strips, found, strict=True):
        pieces = grid.pieces(strip)
        grid.transform(strip, newest, values[:, first * pieces : (first + newest.shape[2]) * pieces])


def _unchanged(values: "Tensor") -> "Tensor":
    return values


def _dense_blocks(trunk: Any) -> list[Any] | None:
    """A trunk's dense blocks, three for each of its blocks; None where they are of another make."""
    dense = [getattr(block, name) for block in trunk.sub for name in ("RDB1", "RDB2", "RDB3") if hasattr(block, name)]
    return None if not dense or any(getattr(block, "conv1x1", None) for block in dense) else dense


def _layers(block: Any) -> list[Any]:
    """A convolution and what follows it."""
    return list(block) if isinstance(block, Iterable) else [block]


def _in_a_row(layers: list[Any]) -> Any:
    from torch import nn

    return nn.Sequential(*layers)


def _dense(block: Any, dtype: Any, stream: "Tensor") -> "Tensor":
    """A dense block that takes and gives float32 and convolves in a 16-bit type."""
    import torch

    found = [stream.to(dtype)]
    for name in _CONVOLUTIONS:
        found.append(getattr(block, name)(torch.cat(found, 1) if len(found) > 1 else found[0]))
    return torch.add(stream, found[-1], alpha=_STREAM)


def _rough(forward: "Callable[[Tensor], Tensor]", dtype: Any, values: "Tensor") -> "Tensor":
    """Layers that take and give float32 and compute in a 16-bit type."""
    return forward(values.to(dtype)).float()


def _in_strips(forward: "Callable[[Tensor], Tensor]", scale: int, values: "Tensor") -> "Tensor":
    """Layers that enlarge, over a few rows at a time: the same numbers as in one piece."""
    import torch

    height, width = values.shape[-2:]
    rows = max(1, _STRIP // width)
    if height <= rows:
        return forward(values)
    strips = []
    for top in range(0, height, rows):
        first, bottom = max(0, top - _HALO), min(height, top + rows)
        strip = forward(values[:, :, first : min(height, bottom + _HALO)])
        strips.append(strip[:, :, (top - first) * scale : (bottom - first) * scale])
    return torch.cat(strips, 2)

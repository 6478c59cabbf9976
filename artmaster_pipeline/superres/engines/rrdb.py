"""RRDB networks (Wang et al., "ESRGAN", 2018), arranged so that they take less memory and half the time.

Nine tenths of the work are in the trunk, at the size of the tile; most of the memory is taken by the few layers behind
it, at up to sixteen times as many pixels. Those see two pixels far, so they work in strips, and tiles may be larger. In
bfloat16 the convolutions are; what the trunk's add to stays in float32, since it sums up hundreds of residuals.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_STREAM = 0.2  # how much of a dense block's answer is added (section 3.1)
_STRIP = 2**14  # pixels before enlarging; at four times the size in float32, 64 channels of them take 64 MB
_HALO = 2  # pixels that the layers behind the trunk see: half of one, and a quarter three times


def keep_residuals_in_float32(network: Any) -> bool:
    """Change spandrel's RRDBNet in place; False, and nothing changed, where its blocks are of another make.

    The first convolution and the last, which write what is summed and what is seen, stay in float32; they are small.
    """
    first, trunk, *upwards, last = network.model
    dense = [getattr(block, name) for block in trunk.sub for name in ("RDB1", "RDB2", "RDB3") if hasattr(block, name)]
    if not dense or any(getattr(block, "conv1x1", None) for block in dense):
        return False
    for block in dense:
        block.bfloat16().forward = partial(_dense, block)
    rising = _in_a_row(upwards)
    for layers in (trunk.sub[-1], rising):
        layers.bfloat16().forward = partial(_rough, layers.forward)
    network.model = _in_a_row([first, trunk, rising, last])
    return True


def go_up_in_strips(network: Any) -> None:
    """Let what lies behind the trunk of spandrel's RRDBNet work in strips; in place."""
    first, trunk, *upwards = network.model
    rising = _in_a_row(upwards)
    rising.forward = partial(_in_strips, rising.forward, network.scale)
    for layer in rising.modules():
        layer.bounded = True  # a mark for `probe`
    network.model = _in_a_row([first, trunk, rising])


def _in_a_row(layers: list[Any]) -> Any:
    from torch import nn

    return nn.Sequential(*layers)


def _dense(block: Any, stream: "Tensor") -> "Tensor":
    """A dense block that takes and gives float32 and computes in bfloat16."""
    import torch

    found = [stream.bfloat16()]
    for layer in (block.conv1, block.conv2, block.conv3, block.conv4, block.conv5):
        found.append(layer(torch.cat(found, 1) if len(found) > 1 else found[0]))
    return torch.add(stream, found[-1], alpha=_STREAM)


def _rough(forward: "Callable[[Tensor], Tensor]", values: "Tensor") -> "Tensor":
    """Layers that take and give float32 and compute in bfloat16."""
    return forward(values.bfloat16()).float()


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

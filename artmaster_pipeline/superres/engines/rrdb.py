"""RRDB networks (Wang et al., "ESRGAN", 2018), arranged so that they take less memory and half the time.

Nine tenths of the work are in the trunk, at the size of the tile; most of the memory is taken by the few layers behind
it, at up to sixteen times as many pixels. Those see two pixels far, so they work in strips, and tiles may be larger. In
bfloat16 the convolutions are; what the trunk's add to stays in float32, since it sums up hundreds of residuals.
"""

from typing import Any

import torch  # noqa: TID253 - this module holds layers and is imported on use alone
from torch import nn  # noqa: TID253

_STREAM = 0.2  # how much of a dense block's answer is added (section 3.1)
_STRIP = 2**14  # pixels before enlarging; at four times the size in float32, 64 channels of them take 64 MB
_HALO = 2  # pixels that the layers behind the trunk see: half of one, and a quarter three times


class _Dense(nn.Module):
    """A dense block that takes and gives float32 and computes in bfloat16."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.block = block.to(torch.bfloat16)

    def forward(self, stream: torch.Tensor) -> torch.Tensor:
        layers = self.block
        found = [stream.to(torch.bfloat16)]
        for layer in (layers.conv1, layers.conv2, layers.conv3, layers.conv4, layers.conv5):
            found.append(layer(torch.cat(found, 1) if len(found) > 1 else found[0]))
        return torch.add(stream, found[-1], alpha=_STREAM)


class _Rough(nn.Module):
    """Layers that take and give float32 and compute in bfloat16."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers.to(torch.bfloat16)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layers(values.to(torch.bfloat16)).float()
        return found


class _InStrips(nn.Module):
    """Layers that enlarge, over a few rows at a time: the same numbers as in one piece."""

    def __init__(self, layers: nn.Module, scale: int) -> None:
        super().__init__()
        self.layers, self.scale = layers, scale
        for layer in layers.modules():
            layer.bounded = True  # a mark for `probe`

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        height, width = values.shape[-2:]
        rows = max(1, _STRIP // width)
        if height <= rows:
            whole: torch.Tensor = self.layers(values)
            return whole
        strips = []
        for top in range(0, height, rows):
            first, bottom = max(0, top - _HALO), min(height, top + rows)
            strip = self.layers(values[:, :, first : min(height, bottom + _HALO)])
            strips.append(strip[:, :, (top - first) * self.scale : (bottom - first) * self.scale])
        return torch.cat(strips, 2)


def keep_residuals_in_float32(network: Any) -> bool:
    """Change spandrel's RRDBNet in place; False, and nothing changed, where its blocks are of another make.

    The first convolution and the last, which write what is summed and what is seen, stay in float32; they are small.
    """
    first, trunk, *upwards, last = network.model
    places = [(block, name) for block in trunk.sub for name in ("RDB1", "RDB2", "RDB3") if hasattr(block, name)]
    dense = [getattr(block, name) for block, name in places]
    if not dense or any(getattr(block, "conv1x1", None) for block in dense):
        return False
    for (block, name), layers in zip(places, dense, strict=True):
        setattr(block, name, _Dense(layers))
    trunk.sub[-1] = _Rough(trunk.sub[-1])
    network.model = nn.Sequential(first, trunk, _Rough(nn.Sequential(*upwards)), last)
    return True


def go_up_in_strips(network: Any) -> None:
    """Let what lies behind the trunk of spandrel's RRDBNet work in strips; in place."""
    first, trunk, *upwards = network.model
    network.model = nn.Sequential(first, trunk, _InStrips(nn.Sequential(*upwards), network.scale))

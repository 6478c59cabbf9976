"""What a network is like, found by running it on a small tile: how far it sees, and what memory a pixel takes."""

import math
from dataclasses import dataclass
from typing import Any

_SIDE = 32  # pixels of the tile
UNBOUNDED = 10_000  # what a network sees that looks at all of a tile, or in a way that is not known here
_HELD = 3  # times a layer's input and output: what waits to be joined to it later is there, too
_IN_A_ROW = "SRVGGNetCompact"  # the class of networks in which nothing does
# Layers that look no further than a convolution's kernel does.
_LOCAL = {
    *("Conv2d", "PReLU", "ReLU", "LeakyReLU", "SiLU", "GELU", "Mish", "BatchNorm2d", "Identity"),
    *("PixelShuffle", "PixelUnshuffle", "Upsample", "Dropout", "ZeroPad2d", "ReflectionPad2d", "ReplicationPad2d"),
}


@dataclass(frozen=True)
class Probed:
    """What was found."""

    sees: int  # pixels before enlarging; an upper bound: all convolutions one behind the other
    layer_bytes: float  # for each pixel of the tile: what the layer that takes most is given and makes
    held: int  # times that much is there at once


def probe(model: Any, run: Any) -> Probed:
    """Look at the layers of `model` while `run(side)` passes a tile of side x side pixels through it.

    A layer marked as `bounded` takes no more memory for a larger tile.
    """
    seen = [0.0]
    bytes_taken = [0]
    unknown: set[str] = set()

    def look(layer: Any, given: tuple[Any, ...], made: Any) -> None:
        if type(layer).__name__ not in _LOCAL:
            unknown.add(type(layer).__name__)
        if not getattr(layer, "bounded", False):
            bytes_taken.append(sum(tensor.numel() * tensor.element_size() for tensor in (*given, made)))
        if type(layer).__name__ == "Conv2d":
            reach = max((k - 1) // 2 * d for k, d in zip(layer.kernel_size, layer.dilation, strict=True))
            seen.append(reach * _SIDE / given[0].shape[-1])

    leaves = [layer for layer in model.modules() if not any(layer.children())]
    hooks = [layer.register_forward_hook(look) for layer in leaves]
    try:
        run(_SIDE)
    finally:
        for hook in hooks:
            hook.remove()
    held = 1 if type(model).__name__ == _IN_A_ROW else _HELD
    sees = UNBOUNDED if unknown else math.ceil(sum(seen)) + 1  # one more for a resize behind the network
    return Probed(sees, max(bytes_taken) / _SIDE**2, held)

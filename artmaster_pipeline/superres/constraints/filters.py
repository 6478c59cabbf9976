"""Filters along rows and columns, by which constraints look at a picture, and the way to the original's grid and back.

Pictures are tensors whose last two sides are height and width. Beyond its edges a picture is mirrored, the edge's own
pixels first, so that a mean over all of it is kept.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_WIDTHS = 4.0  # standard deviations at which a Gaussian is cut off


def reduced(enlarged: "Tensor", scale: int) -> "Tensor":
    """The area mean: each value what a scanner with pixels `scale` times as wide and high would see."""
    from torch.nn.functional import avg_pool2d

    return avg_pool2d(enlarged[None] if enlarged.dim() == 2 else enlarged, scale).reshape(
        *enlarged.shape[:-2], enlarged.shape[-2] // scale, enlarged.shape[-1] // scale
    )


def widened(values: "Tensor", scale: int) -> "Tensor":
    """Values interpolated linearly to `scale` times the height and the width."""
    from torch.nn.functional import interpolate

    planes = values.reshape(1, -1, *values.shape[-2:])
    wide = interpolate(planes, scale_factor=scale, mode="bilinear", align_corners=False)
    return wide.reshape(*values.shape[:-2], *wide.shape[-2:])


def convolved(values: "Tensor", half: Sequence[float], axis: int, step: int = 1) -> "Tensor":
    """With a symmetric kernel along axis -2 or -1: `half` is its middle and one side, `step` pixels apart."""
    length, reach = values.shape[axis], (len(half) - 1) * step
    padded = mirrored(values, reach, axis)
    summed = half[0] * values
    for number, weight in enumerate(half[1:], 1):
        for start in (reach - number * step, reach + number * step):
            summed.add_(padded.narrow(axis, start, length), alpha=weight)
    return summed


def gaussian(values: "Tensor", deviation: float) -> "Tensor":
    """Low-passed by a Gaussian of that standard deviation in pixels."""
    weights = [math.exp(-0.5 * (x / deviation) ** 2) for x in range(round(_WIDTHS * deviation) + 1)]
    total = 2 * sum(weights) - weights[0]
    half = [weight / total for weight in weights]
    return convolved(convolved(values, half, -2), half, -1)


def minimum(values: "Tensor", side: int) -> "Tensor":
    """The least value in the square of `side` pixels around each."""
    from torch.nn.functional import max_pool2d

    padded = mirrored(mirrored(values, side // 2, -2), side // 2, -1)
    return -max_pool2d(-padded[None], side, stride=1)[0]


def mirrored(values: "Tensor", reach: int, axis: int) -> "Tensor":
    """With `reach` more pixels at both ends of an axis."""
    import torch

    length = values.shape[axis]
    if reach <= length:
        before, after = (values.narrow(axis, start, reach).flip(axis) for start in (0, length - reach))
        return torch.cat((before, values, after), axis)
    there_and_back = torch.arange(-reach, length + reach, device=values.device) % (2 * length)
    return values.index_select(axis, torch.minimum(there_and_back, 2 * length - 1 - there_and_back))

"""3x3 convolutions by Winograd's minimal filtering, F(4x4, 3x3): 36 products where the sum over a kernel takes 144.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016. In float32 on a CPU, where the products are
what takes the time, an RRDB network gets through a tile in three quarters of it. The numbers are those of the plain sum
but for the rounding.

A picture lies in sixteen phases, 4 x 4 x channels x rows x columns: pixel (4r + p, 4c + q) is at [p, q, :, r, c]. So
pieces of 6 x 6 pixels, which overlap, are slices of it, both transforms are one matrix product each, and what comes out
lies as the next convolution wants it. Around rows and columns there is a rim of zeros, which is the padding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_STEP = 4  # pixels that a piece gives in each direction
_PIECES = 512  # worked on at a time: of half as many and of twice as many, none is faster
_PIECE = ((0, 3, -1), (slice(1, 5), slice(4), 0), (5, 0, 1))  # rows of a piece, phases that they are, squares away
# The matrices of section 4.3, for the points 0, 1, -1, 2, -2 and infinity.
_INTO = (
    *((4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0)),
    *((0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1)),
)
_OUT_OF = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
_KERNEL = (
    *((1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6)),
    *((1 / 24, 1 / 12, 1 / 6), (1 / 24, -1 / 12, 1 / 6), (0, 0, 1)),
)
_AT_ONE = 7  # of the 36: the one that every pixel of a piece gets once, so that a bias can be added there


@dataclass(frozen=True)
class Convolution:
    """A convolution's weights, transformed; `fits` says which ones can be."""

    kernel: "Tensor"  # 36 x features out x features in
    bias: "Tensor"  # features out x 1

    @property
    def features(self) -> int:
        """How many channels come out."""
        return self.kernel.shape[1]

    @property
    def channels(self) -> int:
        """How many channels go in."""
        return self.kernel.shape[2]

    @classmethod
    def of(cls, layer: Any) -> "Convolution":
        """The weights of a torch.nn.Conv2d."""
        import torch

        matrix = torch.tensor(_KERNEL, dtype=torch.float64)
        kernel = torch.einsum("ai,kcij,bj->abkc", matrix, layer.weight.detach().double(), matrix)
        return cls(kernel.flatten(0, 1).float().contiguous(), layer.bias.detach()[:, None])


def fits(layer: Any) -> bool:
    """Whether a layer is a 3x3 convolution over all channels that keeps the size by zeros, and has a bias."""
    plain = {"kernel_size": (3, 3), "stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    is_plain = all(getattr(layer, key, None) == value for key, value in plain.items())
    return is_plain and layer.padding_mode == "zeros" and layer.bias is not None


class Grid:
    """The squares of 4 x 4 pixels that a picture is made of, and the memory in which it is worked on, used again."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.rows, self.columns = -(-height // _STEP), -(-width // _STEP)  # of squares
        step = max(1, _PIECES // self.columns)
        self.strips = tuple(slice(top, min(top + step, self.rows)) for top in range(0, self.rows, step))
        self._memory: dict[tuple[object, ...], Tensor] = {}

    def pieces(self, strip: slice) -> int:
        """How many pieces, one for each square, a strip has."""
        return (strip.stop - strip.start) * self.columns

    def memory(self, use: object, *shape: int) -> "Tensor":
        """Memory for one use: zeros at first, later what was left there."""
        import torch

        key = (use, *shape)
        if key not in self._memory:
            self._memory[key] = torch.zeros(shape)
        return self._memory[key]

    def phases(self, use: object, channels: int) -> "Tensor":
        """Phases whose rim is zeros."""
        return self.memory(use, _STEP, _STEP, channels, self.rows + 2, self.columns + 2)

    def phases_of(self, picture: "Tensor", use: object) -> "Tensor":
        """A picture, channels x height x width, in phases."""
        from torch.nn.functional import pad

        whole = pad(picture, (0, self.columns * _STEP - self.width, 0, self.rows * _STEP - self.height))
        squares = whole.reshape(-1, self.rows, _STEP, self.columns, _STEP)
        made = self.phases(use, len(picture))
        made[..., 1:-1, 1:-1] = squares.permute(2, 4, 0, 1, 3)
        return made

    def picture(self, phases: "Tensor") -> "Tensor":
        """What phases show, as channels x height x width."""
        whole = phases[..., 1:-1, 1:-1].permute(2, 3, 0, 4, 1).flatten(3, 4).flatten(1, 2)
        return whole[:, : self.height, : self.width]

    def within(self, phases: "Tensor", strip: slice) -> "Tensor":
        """The part of phases, without the rim, that a strip of them is."""
        return phases[..., 1 + strip.start : 1 + strip.stop, 1:-1]

    def clear(self, phases: "Tensor") -> None:
        """Make zeros of what lies beyond the picture's last row and column, as the next convolution expects."""
        if beyond := self.height % _STEP:
            phases[beyond:, :, :, self.rows] = 0
        if beyond := self.width % _STEP:
            phases[:, beyond:, :, :, self.columns] = 0

    def transform(self, strip: slice, phases: "Tensor", out: "Tensor") -> None:
        """Write the transform of all pieces of a strip to `out`, 36 x (channels * pieces)."""
        import torch

        pieces = self.memory("pieces", 6, 6, phases.shape[2], strip.stop - strip.start, self.columns)
        for row, phase, down in _PIECE:
            for column, other, right in _PIECE:
                rows = slice(1 + down + strip.start, 1 + down + strip.stop)
                columns = slice(1 + right, 1 + right + self.columns)
                pieces[row, column] = phases[phase, other, :, rows, columns]
        torch.mm(_both_ways(_INTO), pieces.view(36, -1), out=out)

    def convolve(self, strip: slice, values: "Tensor", by: Convolution, activation: Callable[..., Any]) -> "Tensor":
        """The convolution of a strip whose transform is `values`, as 4 x 4 x features x rows x columns."""
        import torch

        features, channels, pieces = by.features, by.channels, self.pieces(strip)
        products = self.memory("products", 36, features, pieces)
        torch.bmm(by.kernel, values[:, : channels * pieces].unflatten(1, (channels, pieces)), out=products)
        products[_AT_ONE] += by.bias
        made = self.memory("made", _STEP * _STEP, features * pieces)
        torch.mm(_both_ways(_OUT_OF), products.view(36, -1), out=made)
        answer = activation(made.view(_STEP * _STEP, features, pieces))
        return answer.view(_STEP, _STEP, features, -1, self.columns)

    def convolved(self, phases: "Tensor", by: Convolution, activation: Callable[..., Any], use: object) -> "Tensor":
        """The convolution of all the picture, in memory for another use than `phases` are in."""
        made = self.phases(use, by.features)
        for strip in self.strips:
            values = self.memory("values", 36, phases.shape[2] * self.pieces(strip))
            self.transform(strip, phases, values)
            self.within(made, strip).copy_(self.convolve(strip, values, by, activation))
        self.clear(made)
        return made


@cache
def _both_ways(rows: tuple[tuple[int, ...], ...]) -> "Tensor":
    """The matrix that does to a piece, taken as one column, what `rows` does along its rows and along its columns."""
    import torch

    matrix = torch.tensor(rows, dtype=torch.float32)
    return torch.kron(matrix, matrix)

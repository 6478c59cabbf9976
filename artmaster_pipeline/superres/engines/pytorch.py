"""The engine `torch`: PyTorch on the CPU and on CUDA, channels last.

In bfloat16 a compact network computes in bfloat16 throughout. An RRDB network adds up hundreds of small residuals,
which eight bits of mantissa do not hold: there the convolutions alone are in bfloat16, and the sums are in float32.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.base_models.precision import settle_precision
from artmaster_pipeline.errors import ArtMasterError, MissingRequirement, WrongUse
from artmaster_pipeline.records import identity
from artmaster_pipeline.superres.engines import rrdb
from artmaster_pipeline.superres.engines.interface import Dtype, Network, OutOfMemory
from artmaster_pipeline.superres.engines.probing import Probed, probe
from artmaster_pipeline.superres.pixels import tensor_of

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

NAME = "torch"
_FLOAT_BYTES, _COPIES = 4, 4  # of the enlarged tile: as a tensor, as an array, with its tone, and on the way there
_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")  # how PyTorch says it on the CPU


@dataclass(frozen=True)
class TorchEngine:
    """A network in PyTorch; `load` makes it."""

    descriptor: Any  # spandrel's, its model on the device and in the number types that are computed in
    network: str
    dtype: Dtype
    identity: str
    probed: Probed

    @property
    def name(self) -> str:
        return NAME

    @property
    def scale(self) -> int:
        return int(self.descriptor.scale)

    @property
    def sees(self) -> int:
        return self.probed.sees

    @property
    def may_be_tiled(self) -> bool:
        from spandrel import ModelTiling

        return bool(self.descriptor.tiling == ModelTiling.SUPPORTED)

    @property
    def weight_bytes(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in self.descriptor.model.parameters())

    def tile_bytes(self, height: int, width: int) -> int:
        enlarged = 3 * self.scale**2 * _FLOAT_BYTES * _COPIES
        return int(height * width * (self.probed.bytes_per_pixel + enlarged))

    @property
    def device(self) -> Any:
        return self.descriptor.device

    def free_bytes(self) -> int:
        import psutil
        import torch

        if self.device.type == "cuda":
            return int(torch.cuda.mem_get_info(self.device)[0])
        return int(psutil.virtual_memory().available)

    def enlarge(self, tile: "np.ndarray") -> "Tensor":
        import torch

        try:
            with torch.inference_mode():
                pixels = tensor_of(tile, self.device)[None]
                pixels = pixels.to(self.descriptor.dtype, memory_format=torch.channels_last)
                enlarged: Tensor = self.descriptor(pixels)[0].float().contiguous()
                if enlarged.isnan().any():
                    raise ArtMasterError(
                        f"The network {self.network} gave values that are no numbers ({self.dtype}): "
                        "choose float32, or another network."
                    )
                return enlarged
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise OutOfMemory from error
        except RuntimeError as error:
            if any(words in str(error) for words in _NO_MEMORY):
                raise OutOfMemory from error
            raise


def load(network: Network, device: str, dtype: Dtype) -> TorchEngine:
    """The engine with `network`, ready on `device`; raises as `load_engine` does."""
    import torch
    from spandrel.architectures.ESRGAN import ESRGAN

    place = _device(device)
    settle_precision()
    descriptor = network.descriptor
    if dtype == "bfloat16" and not descriptor.supports_bfloat16:
        raise WrongUse(f"The network {network.name} is not made for bfloat16: choose float32.")
    known_as = identity(NAME, network.name, descriptor.scale, dtype, network.weights)
    descriptor.eval().to(place)
    _arrange(descriptor, dtype)
    descriptor.model.to(memory_format=torch.channels_last)

    def run(side: int) -> None:
        with torch.inference_mode():
            descriptor(torch.zeros(1, 3, side, side, device=place, dtype=descriptor.dtype))

    probed = probe(descriptor.model, run)
    if place.type == "cpu" and dtype == "float32" and isinstance(descriptor.model, ESRGAN):
        rrdb.convolve_by_winograd(descriptor.model)
    return TorchEngine(descriptor, network.name, dtype, known_as, probed)


def _arrange(descriptor: Any, dtype: Dtype) -> None:
    """Bring the network's layers to the number type, and an RRDB network's to what `rrdb` says."""
    import torch
    from spandrel.architectures.ESRGAN import ESRGAN

    rough = dtype == "bfloat16"
    if isinstance(descriptor.model, ESRGAN):
        rough = rough and not rrdb.keep_residuals_in_float32(descriptor.model)
        rrdb.go_up_in_strips(descriptor.model)
    if rough:
        descriptor.to(torch.bfloat16)


def _device(device: str) -> Any:
    import torch

    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise WrongUse(f"{device!r} is not a device: choose cpu or cuda.") from error
    if place.type not in ("cpu", "cuda"):
        raise WrongUse(f"Pictures are enlarged on cpu or cuda, not on {device!r}.")
    if place.type == "cuda" and not torch.cuda.is_available():
        raise MissingRequirement("Enlarging on CUDA was asked for and there is no CUDA GPU here: choose device cpu.")
    return place

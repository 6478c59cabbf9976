"""The engine `torch`: PyTorch on the CPU and on CUDA, channels last.

In a 16-bit type a compact network computes in it throughout. An RRDB network adds up hundreds of small residuals,
which bfloat16's eight bits of mantissa do not hold: there the convolutions alone are in it, and sums are in float32.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.base_models.precision import settle_precision
from artmaster_pipeline.errors import MissingRequirement, WrongUse
from artmaster_pipeline.records import identity
from artmaster_pipeline.superres.engines import rrdb
from artmaster_pipeline.superres.engines.interface import Dtype, Network
from artmaster_pipeline.superres.engines.probing import Probed, probe
from artmaster_pipeline.superres.pixels import tensor_of

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

NAME = "torch"
_FLOAT_BYTES, _COPIES = 4, 3  # of the enlarged tile, while it is clipped and laid in a row


@dataclass(frozen=True)
class TorchEngine:
    """A network in PyTorch; `load` makes it."""

    descriptor: Any  # spandrel's, its model on the device and in the number types that are computed in
    network: str
    dtype: Dtype
    identity: str
    probed: Probed
    transformed_bytes: int = 0  # of weights in another form, beside the descriptor's

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
        return self.transformed_bytes + sum(tensor.nbytes for tensor in self.descriptor.model.parameters())

    def tile_bytes(self, height: int, width: int) -> int:
        enlarged = 3 * self.scale**2 * _FLOAT_BYTES * _COPIES
        computed = self.probed.layer_bytes * self.probed.held
        return int(height * width * max(computed, enlarged))  # one after the other

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

        with torch.inference_mode():
            pixels = tensor_of(tile, self.device)[None]
            pixels = pixels.to(self.descriptor.dtype, memory_format=torch.channels_last)
            enlarged: Tensor = self.descriptor(pixels)[0].float().contiguous()
            return enlarged


def load(network: Network, device: str, dtype: Dtype) -> TorchEngine:
    """The engine with `network`, ready on `device`; raises as `load_engine` does."""
    import torch
    from spandrel.architectures.ESRGAN import ESRGAN

    place = _device(device)
    settle_precision()
    descriptor = network.descriptor
    if dtype == "float16" and place.type == "cpu":
        raise WrongUse("float16 is computed on CUDA alone: choose float32 or bfloat16, or device cuda.")
    made_for = {"float16": descriptor.supports_half, "bfloat16": descriptor.supports_bfloat16, "float32": True}
    if not made_for[dtype]:
        raise WrongUse(f"The network {network.name} is not made for {dtype}: choose float32.")
    known_as = identity(NAME, network.name, descriptor.scale, dtype, network.weights)
    descriptor.eval().to(place)
    _arrange(descriptor, dtype)
    descriptor.model.to(memory_format=torch.channels_last)
    found = _probed(descriptor)
    by_winograd = place.type == "cpu" and dtype == "float32" and isinstance(descriptor.model, ESRGAN)
    transformed = rrdb.convolve_by_winograd(descriptor.model) if by_winograd else 0
    return TorchEngine(descriptor, network.name, dtype, known_as, found, transformed)


def _probed(descriptor: Any) -> Probed:
    """What a network is like, by its layers."""
    import torch

    def run(side: int) -> None:
        with torch.inference_mode():
            descriptor(torch.zeros(1, 3, side, side, device=descriptor.device, dtype=descriptor.dtype))

    return probe(descriptor.model, run)


def _arrange(descriptor: Any, dtype: Dtype) -> None:
    """Bring the network's layers to the number type, and an RRDB network's to what `rrdb` says."""
    import torch
    from spandrel.architectures.ESRGAN import ESRGAN

    rough = dtype != "float32"
    if isinstance(descriptor.model, ESRGAN):
        rough = rough and not rrdb.keep_residuals_in_float32(descriptor.model, getattr(torch, dtype))
        rrdb.go_up_in_strips(descriptor.model)
    if rough:
        descriptor.to(getattr(torch, dtype))


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

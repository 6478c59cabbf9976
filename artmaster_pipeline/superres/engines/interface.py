"""What an engine is asked, and what it is given: one network, one number type, tile after tile."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Dtype = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Network:
    """A network before an engine takes it."""

    name: str
    descriptor: Any  # spandrel's ImageModelDescriptor: it knows the network's scale, sizes and tiling
    weights: str  # a hash of its tensors


class Engine(Protocol):
    """Enlarges one tile by one network. What it says of itself decides how pictures are cut for it."""

    @property
    def name(self) -> str:
        """The engine's own name, as settings know it."""

    @property
    def network(self) -> str:
        """The network's name."""

    @property
    def dtype(self) -> Dtype:
        """The number type of the convolutions."""

    @property
    def identity(self) -> str:
        """Made from the engine, the network, its scale, every weight and the number type."""

    @property
    def scale(self) -> int:
        """How many times wider and higher a tile becomes."""

    @property
    def sees(self) -> int:
        """The receptive field: how many pixels of the tile away from a pixel its surroundings still change it."""

    @property
    def may_be_tiled(self) -> bool:
        """Whether the network gives the same for a part as for the whole, but near cuts."""

    @property
    def weight_bytes(self) -> int:
        """Memory that the weights take."""

    @property
    def transformed_bytes(self) -> int:
        """Of it, what weights take once more that were transformed for convolutions on a CPU."""

    def tile_bytes(self, height: int, width: int) -> int:
        """Memory that a tile takes on its way through, about."""

    def free_bytes(self) -> int:
        """Memory that is free where it computes."""

    @property
    def device(self) -> Any:
        """Where enlarged tiles lie, as PyTorch names it."""

    def enlarge(self, tile: "np.ndarray") -> "Tensor":
        """A tile, H x W x 3 in 0..1 of type float32, as 3 x (H * scale) x (W * scale) in the same, on `device`.

        On a GPU it is only begun with. Raises what `sessions.is_out_of_memory` knows where there is no memory for it.
        """

"""Which super-resolution networks there are, and how one is loaded: by the name of a shipped one, or from a file.

What a network is (its family, scale, channels, whether it may be tiled) is asked of spandrel's descriptor, which
recognises it by its tensors; nothing is decided by a name, but which networks are of one kind in several scales.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.errors import BadInput, WrongUse
from artmaster_pipeline.sessions import kept
from artmaster_pipeline.settings import CONSTRAINTS, Profile
from artmaster_pipeline.superres.constraints import corrections_of, falls_in
from artmaster_pipeline.superres.detail import Enlarging, passes
from artmaster_pipeline.superres.engines import Dtype, Network, load_engine
from artmaster_pipeline.superres.enlarge import Enlarger, enlarger_by
from artmaster_pipeline.superres.ncnn_weights import read_shipped, shipped_folder

if TYPE_CHECKING:
    import numpy as np

_OWN_FILES = (".pth", ".safetensors")
DEFAULT_ENGINE = "torch"
DEFAULT_NETWORK = "realesrgan-x4plus"
LIKE_OTHERS = frozenset({"texture", "grain"})  # the constraints that go by pictures of the painter
_OF_A_FAMILY = re.compile(r"(.+)-x\d+")


def network_names() -> tuple[str, ...]:
    """The Real-ESRGAN networks that are installed with the product, sorted."""
    return tuple(sorted(file.stem for file in shipped_folder().glob("*.param")))


def families() -> dict[str, tuple[str, ...]]:
    """The installed networks that differ in scale alone, under the name that is left without it ("-x2", "-x4")."""
    found: dict[str, tuple[str, ...]] = {}
    for name in network_names():
        if of := _OF_A_FAMILY.fullmatch(name):
            found[of[1]] = (*found.get(of[1], ()), name)
    return {name: members for name, members in found.items() if len(members) > 1}


def load_descriptor(name_or_path: str) -> Any:
    """Spandrel's descriptor of the network of that name, or of that file; raises as `load_network` does."""
    if _is_own(name_or_path):
        return _load_own(Path(name_or_path))
    if name_or_path in network_names():
        return _load_shipped(name_or_path)
    raise WrongUse(
        f"There is no super-resolution network {name_or_path!r}. Choose one of "
        f"{', '.join(sorted((*network_names(), *families())))}, or give the path of a .pth or .safetensors file."
    )


def _is_own(name_or_path: str) -> bool:
    return Path(name_or_path).suffix.lower() in _OWN_FILES


@kept
def load_network(
    name_or_path: str, device: str = "cpu", dtype: Dtype = "float32", engine: str = DEFAULT_ENGINE
) -> Enlarger:
    """The network of that name, or of that .pth or .safetensors file, ready on `device`.

    In a session it is loaded once. A .pth is read as tensors only: one that holds anything else is refused and nothing
    in it is run.

    Raises WrongUse for an unknown name, a missing file, an unknown device or engine; BadInput for a file that is not an
    RGB super-resolution network; MissingRequirement where CUDA is asked for and absent.
    """
    descriptor = load_descriptor(name_or_path)
    name = Path(name_or_path).stem if _is_own(name_or_path) else name_or_path
    network = Network(name, descriptor, _weights_hash(descriptor.model.state_dict()))
    return enlarger_by(load_engine(engine, network, device, dtype))


@dataclass(frozen=True)
class Networks:
    """A network, or all of a family, under a profile's constraints: for each picture the smallest scale that suffices.

    `like`: pictures by whose texture and grain they go, as in `constrained`.
    """

    members: tuple[Enlarger, ...]
    constraints: tuple[str, ...] = CONSTRAINTS
    like: tuple["np.ndarray", ...] = ()
    _ready: dict[int, Enlarger] = field(default_factory=dict, compare=False)

    def largest(self) -> Enlarger:
        """The one that enlarges most in one pass."""
        return self._constrained(max(self.members, key=lambda network: network.scale))

    def suited(self, factor: float) -> Enlarger:
        """The one that makes a picture so many times wider and higher in the fewest passes, with the least to spare."""
        return self._constrained(min(self.members, key=lambda each: (passes(factor, each.scale), each.scale)))

    def to_long_side(self, size: tuple[int, int], long_side: int | None) -> Enlarging | None:
        """What brings pictures of `size` (width, height) to that longer side; none where they have it.

        In their own proportions. Without a `long_side` it is one pass of the largest network.
        """
        if long_side is None:
            return Enlarging(self.largest())
        factor = long_side / max(size)
        if factor <= 1:
            return None
        width, height = (max(1, round(side * factor)) for side in size)
        return Enlarging(self.suited(factor), (width, height))

    def _constrained(self, network: Enlarger) -> Enlarger:
        if network.scale not in self._ready:
            self._ready[network.scale] = constrained(network, self.constraints, self.like)
        return self._ready[network.scale]


def load_networks(
    name_or_path: str, device: str = "cpu", dtype: Dtype = "float32", engine: str = DEFAULT_ENGINE
) -> Networks:
    """The networks of a family, by its name, or the one that `load_network` gives; raises as it does."""
    names = families().get(name_or_path, (name_or_path,))
    return Networks(tuple(load_network(name, device, dtype, engine) for name in names))


def networks_of(profile: Profile, constraints: Sequence[str], like: Iterable["np.ndarray"] = ()) -> Networks:
    """What a profile's pictures are enlarged by, under constraints; see `Networks` for `like`."""
    loaded = load_networks(
        profile.super_resolution, profile.device, profile.super_resolution_dtype, profile.super_resolution_engine
    )
    return replace(loaded, constraints=tuple(constraints), like=tuple(like))


def constrained(network: Enlarger, constraints: Sequence[str], like: Iterable["np.ndarray"] = ()) -> Enlarger:
    """The network under these constraints; texture and grain as in the large pictures `like`, where any are given.

    `like`: H x W x 3 of type uint8, not enlarged themselves. Raises WrongUse for a constraint that is none.
    """
    pictures = tuple(like) if LIKE_OTHERS.intersection(constraints) else ()
    falls = falls_in(pictures, network.scale) if pictures else None
    return replace(network, corrections=corrections_of(constraints, falls))


def _load_shipped(name: str) -> Any:
    from spandrel import ModelLoader

    shipped = read_shipped(name)
    descriptor = ModelLoader().load_from_state_dict(shipped.state_dict)
    return descriptor if shipped.resize == 1 else _resized(descriptor, shipped.resize)


def _resized(descriptor: Any, factor: float) -> Any:
    """The same network followed by a bicubic resize, as one descriptor."""
    from spandrel import ImageModelDescriptor
    from torch.nn.functional import interpolate

    return ImageModelDescriptor(
        descriptor.model,
        descriptor.model.state_dict(),
        architecture=descriptor.architecture,
        purpose=descriptor.purpose,
        tags=descriptor.tags,
        supports_half=descriptor.supports_half,
        supports_bfloat16=descriptor.supports_bfloat16,
        scale=round(descriptor.scale * factor),
        input_channels=descriptor.input_channels,
        output_channels=descriptor.output_channels,
        size_requirements=descriptor.size_requirements,
        tiling=descriptor.tiling,
        call_fn=lambda model, picture: interpolate(model(picture), scale_factor=factor, mode="bicubic"),
    )


def _load_own(path: Path) -> Any:
    from spandrel import ImageModelDescriptor, ModelLoader, canonicalize_state_dict

    if not path.is_file():
        raise WrongUse(f"{path}: there is no such file; super_resolution names a network or its weights.")
    # takes the tensors out of Real-ESRGAN's wrappers `params_ema` and `params`
    tensors = canonicalize_state_dict(_read_pth(path) if path.suffix.lower() == ".pth" else _read_safetensors(path))
    try:
        descriptor = ModelLoader().load_from_state_dict(tensors)
    except Exception as error:  # spandrel raises whatever the family it took the tensors for stumbles over
        raise _not_a_network(path, "spandrel does not recognise its tensors") from error
    if not isinstance(descriptor, ImageModelDescriptor) or descriptor.purpose != "SR":
        raise _not_a_network(path, f"it is {descriptor.architecture.name}, which is made for {descriptor.purpose}")
    if (descriptor.input_channels, descriptor.output_channels) != (3, 3):
        raise _not_a_network(path, f"it takes {descriptor.input_channels} colour channels instead of 3")
    return descriptor


def _read_pth(path: Path) -> dict[str, Any]:
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises many things; one with code in it is refused here, unrun
        raise BadInput(
            f"{path} is damaged, or holds more than tensors and was not read, since that could run code",
            "Use the original download, or save its state dict as .safetensors.",
        ) from error
    if not isinstance(content, dict):
        raise _not_a_network(path, f"it holds a {type(content).__name__}")
    return content


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise BadInput(f"{path} cannot be read as safetensors: {error}", "Use the original download.") from error


def _not_a_network(path: Path, why: str) -> BadInput:
    return BadInput(
        f"{path} is not a network that enlarges RGB pictures: {why}",
        f"Use a Real-ESRGAN network, or one of those installed: {', '.join(network_names())}.",
    )


def _weights_hash(tensors: dict[str, Any]) -> str:
    """sha256 over names, types, shapes and bytes: one content, whatever kind of file it came from."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()

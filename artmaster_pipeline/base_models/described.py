"""What others are told about a base model: in an adapter's model card, and in the metadata of exported files."""

from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True)
class Licence:
    """A licence as the hub's model cards name it (https://huggingface.co/docs/hub/model-cards#specifying-a-license)."""

    id: str  # "apache-2.0", or "other" with a name and a link
    name: str = ""
    link: str = ""


@dataclass(frozen=True)
class Base:
    """One base model."""

    name: str  # a hub repository, or what it is called; never a path of this machine
    licence: Licence | None  # of the weights; None: not known here
    architecture: str  # ModelSpec's `modelspec.architecture`, without "/lora"
    version: str = ""  # sd-scripts' `ss_base_model_version`; empty where sd-scripts does not know the base
    public: bool = True  # whether other programs can have it


_FLUX_DEV = Base(
    "black-forest-labs/FLUX.1-dev",
    Licence(
        "other",
        "flux-1-dev-non-commercial-license",
        "https://huggingface.co/black-forest-labs/FLUX.1-dev/blob/main/LICENSE.md",
    ),
    "flux-1-dev",
    "flux1",
)
_MINIATURE = Base("miniature", Licence("apache-2.0"), "miniature", public=False)


def describe_base(base_model: str) -> Base:
    """What is known of the base model that an adapter's record names: a hub repository, a folder or the miniature."""
    name = PurePath(base_model).name
    if name == PurePath(_FLUX_DEV.name).name:
        return _FLUX_DEV
    if base_model == _MINIATURE.name:
        return _MINIATURE
    path = PurePath(base_model)
    return Base(name if path.is_absolute() or len(path.parts) != 2 else base_model, None, name)

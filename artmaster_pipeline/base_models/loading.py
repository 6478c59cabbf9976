"""A base model as a stock pipeline of diffusers on the profile's device, whole or only the parts that are asked for."""

import importlib.util
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from artmaster_pipeline.base_models.device import settle_device
from artmaster_pipeline.base_models.family import Family
from artmaster_pipeline.base_models.hub import Source, family_of, find_source, hub_refusals
from artmaster_pipeline.base_models.miniature.model import quiet_libraries
from artmaster_pipeline.base_models.precision import settle_precision
from artmaster_pipeline.errors import ArtMasterError, MissingRequirement, WrongUse
from artmaster_pipeline.sessions import free_memory
from artmaster_pipeline.settings import Home, Profile


@contextmanager
def open_pipeline(profile: Profile, parts: Iterable[str] | None = None, home: Home | None = None) -> Iterator[Any]:
    """`load_pipeline` for as long as the block lasts: after it the pipeline is empty and its memory is free."""
    pipe = load_pipeline(profile, parts, home)
    try:
        yield pipe
    finally:
        parts_there = [part for part in pipe.components.values() if hasattr(part, "modules")]
        modules = [weakref.ref(module) for part in parts_there for module in part.modules()]
        parts_there.clear()
        for name in list(pipe.components):
            setattr(pipe, name, None)
        free_memory(modules)


def load_pipeline(profile: Profile, parts: Iterable[str] | None = None, home: Home | None = None) -> Any:
    """The profile's pipeline in its dtype on its device; parts that are not named are None and not read.

    For a person at a prompt; the product's rooms use `open_pipeline`. `home` holds the commits of hub models whose
    profile names none. Raises MissingRequirement where CUDA, the hub, a licence or bitsandbytes is missing (one
    message, with the way out), WrongUse where base_model is of no known family.
    """
    check_device(profile)
    family, source = family_of(profile, home), find_source(profile, home)
    wanted = family.parts if parts is None else tuple(parts)
    if unknown := sorted(set(wanted) - set(family.parts)):
        raise WrongUse(
            f"A {family.name} pipeline has no part {', '.join(unknown)}: choose from {', '.join(family.parts)}."
        )
    quiet_libraries()
    settle_precision()
    pipe = _read(profile, family, source, wanted)
    if "transformer" in wanted:
        settle_device(profile)  # now, since it asks for the configuration that may just have been fetched
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(profile.device)


def check_device(profile: Profile) -> None:
    """Raise MissingRequirement unless this machine has the profile's device and what its quantization needs."""
    import torch

    if profile.device == "cuda" and not torch.cuda.is_available():
        raise MissingRequirement(
            f"Profile {profile.name!r} needs a CUDA GPU, and this machine shows none to PyTorch. Run it on a machine "
            "with one (check `nvidia-smi`), or use the profile 'miniature', which runs on the CPU."
        )
    if profile.quantization and importlib.util.find_spec("bitsandbytes") is None:
        raise MissingRequirement(
            f"Profile {profile.name!r} holds the base in {profile.quantization}, which needs bitsandbytes: "
            "pip install 'artmaster-pipeline[cuda]'"
        )


def _read(profile: Profile, family: Family, source: Source, wanted: tuple[str, ...]) -> Any:
    import diffusers
    import torch

    settings: dict[str, Any] = {part: None for part in family.parts if part not in wanted}
    settings["dtype"] = getattr(torch, profile.dtype)
    settings["use_safetensors"] = True  # never a pickle, whatever else a repository holds
    if not source.local:
        settings["revision"] = source.commit
    if profile.quantization:
        settings["quantization_config"] = _nf4(settings["dtype"], [part for part in family.quantized if part in wanted])
    try:
        with hub_refusals(source.name):
            pipe = getattr(diffusers, family.pipeline_class).from_pretrained(source.name, **settings)
    except (OSError, ValueError) as error:
        raise ArtMasterError(
            f"The base model {source.name} (profile {profile.name!r}) cannot be read: {error} Its files are missing or "
            "damaged; fetch them again, or correct base_model in the profile."
        ) from error
    for part in wanted:
        getattr(pipe, part).eval().requires_grad_(False)
    return pipe


def _nf4(dtype: Any, parts: list[str]) -> Any:
    """4-bit NormalFloat (https://arxiv.org/abs/2305.14314) for the parts that hold nearly all the weights."""
    from diffusers.quantizers import PipelineQuantizationConfig

    return PipelineQuantizationConfig(
        quant_backend="bitsandbytes_4bit",
        quant_kwargs={"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": dtype},
        components_to_quantize=parts,
    )

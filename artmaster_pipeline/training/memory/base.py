"""A base model's parts without their weights: sizes, the autoencoder on `meta`."""

from typing import TYPE_CHECKING, Any

from artmaster_pipeline.base_models.configuration import config_of, folder_of
from artmaster_pipeline.base_models.hub import family_of
from artmaster_pipeline.settings import Profile

if TYPE_CHECKING:
    import torch

GIB = 2**30
BYTES = {"float32": 4, "bfloat16": 2}
NF4 = 0.5 + 4 / 64  # bytes a weight: 4 bits, and an fp32 scale for every 64 of them (https://arxiv.org/abs/2305.14314)


def base_alone(profile: Profile) -> Profile:
    """The profile with nothing but what its base's own tensors follow from, so that what is alike is counted once."""
    base = ("base_model", "revision", "device", "dtype", "quantization", "size_divisor", "max_sequence_length")
    return Profile(name="counted", **{name: getattr(profile, name) for name in base})


def encoders_size(profile: Profile) -> float:
    """Bytes of the text encoders' weights."""
    from safetensors import safe_open

    folder, linear, other = folder_of(profile), 0.0, 0.0
    files = sorted(folder.glob("text_encoder*/*.safetensors")) if folder else []
    for file in files:
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - it is no dict
                shape, numbers = tensors.get_slice(name).get_shape(), 1
                for side in shape:
                    numbers *= side
                packed = file.parent.name in family_of(profile).quantized and len(shape) == 2 and "shared" not in name
                linear, other = (linear + numbers, other) if packed else (linear, other + numbers)
    if not files:
        linear, other = family_of(profile).base(profile.base_model).encoder_numbers
    each = BYTES[profile.dtype]
    return linear * (NF4 if profile.quantization else each) + other * each


def vae_of(profile: Profile) -> Any:
    """The base's VAE on `meta`."""
    import diffusers
    import torch

    kind = getattr(diffusers, family_of(profile).autoencoder_class)
    with torch.device("meta"):
        return in_dtype(kind(**config_of(profile, "vae")), getattr(torch, profile.dtype)).eval()


def in_dtype(module: Any, dtype: "torch.dtype") -> Any:
    """The module, frozen, its parameters in `dtype`."""
    for p in module.requires_grad_(False).parameters():
        p.data = p.data.to(dtype)
    return module


def numbers_of(module: Any) -> int:
    """How many parameters a module has."""
    return sum(p.numel() for p in module.parameters())

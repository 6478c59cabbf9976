"""Pictures being drawn, decoded and encoded: what a base model takes when it is not trained."""

from functools import cache
from typing import Any

from artmaster_pipeline.base_models.hub import family_of
from artmaster_pipeline.settings import CROP_SIZES, Profile
from artmaster_pipeline.training.memory.base import BYTES, NF4, base_alone, config_of, in_dtype, numbers_of, vae_of
from artmaster_pipeline.training.memory.counting import fused_attention, meter, unpack_when_used


def drawing(profile: Profile, rows: int) -> dict[str, float]:
    """Parts of a denoising step of `rows` pictures of the larger size, the VAE beside it."""
    linear, other, passing = _denoised(base_alone(profile), rows)
    each = BYTES[profile.dtype]
    return {
        "base model": linear * (NF4 if profile.quantization else each) + other * each,
        "VAE": float(numbers_of(vae_of(profile))) * each,
        "pictures being drawn": float(passing),
    }


def decoding(profile: Profile, rows: int) -> dict[str, float]:
    """Parts of the moment in which `rows` pictures are decoded, the transformer still there."""
    parts = {name: size for name, size in drawing(profile, rows).items() if name != "pictures being drawn"}
    return parts | {"pictures being decoded": float(decoded_size(base_alone(profile), rows))}


def encoding(profile: Profile) -> dict[str, float]:
    """Parts of a picture's encoding by the VAE alone."""
    size = float(encoded_size(base_alone(profile)))
    return {"VAE": float(numbers_of(vae_of(profile))) * BYTES[profile.dtype], "a picture being encoded": size}


@cache
def _denoised(profile: Profile, rows: int) -> tuple[int, int, int]:
    """Numbers in the transformer's linear layers and in the rest, and the bytes that pass through a forward pass."""
    import diffusers
    import torch

    family, dtype = family_of(profile), getattr(torch, profile.dtype)
    config: dict[str, Any] = config_of(profile, "transformer")
    width, height = profile.size(*CROP_SIZES[1])
    with torch.device("meta"):
        transformer = in_dtype(getattr(diffusers, family.transformer_class)(**config), dtype)
        linear = sum(m.weight.numel() for m in transformer.modules() if isinstance(m, torch.nn.Linear))
        every = numbers_of(transformer)
        if profile.quantization:
            unpack_when_used(transformer)
        from artmaster_pipeline.base_models.family import TextEmbedding

        shapes = family.text_shapes(config, profile.max_sequence_length)
        text = TextEmbedding({name: torch.empty(shape, dtype=dtype) for name, shape in shapes.items()})
        latents = torch.empty(rows, *family.latent_shape(config, width, height))
        counted = meter()()
        with torch.no_grad(), counted, fused_attention():
            family.predict_velocity(transformer, latents, torch.empty(rows), [text] * rows, 1.0, dtype)
    return linear, every - linear, int(counted.peak)


@cache
def decoded_size(profile: Profile, rows: int) -> int:
    """Bytes that decoding a batch of square pictures takes at its peak."""
    import torch

    if rows == 0:
        return 0
    width, height = profile.size(*CROP_SIZES[0])
    vae, counted = vae_of(profile), meter()()
    with torch.device("meta"), torch.no_grad(), counted, fused_attention():
        factor = 2 ** (len(vae.config.block_out_channels) - 1)
        latents = torch.empty(rows, vae.config.latent_channels, height // factor, width // factor, dtype=vae.dtype)
        vae.decode(latents, return_dict=False)
    return int(counted.peak)


@cache
def encoded_size(profile: Profile) -> int:
    """Bytes that encoding one picture takes at its peak."""
    import torch

    width, height = profile.size(*CROP_SIZES[1])
    vae, counted = vae_of(profile), meter()()
    with torch.device("meta"), torch.no_grad(), counted, fused_attention():
        vae.encode(torch.empty(1, 3, height, width, dtype=vae.dtype)).latent_dist.mode()
    return int(counted.peak)

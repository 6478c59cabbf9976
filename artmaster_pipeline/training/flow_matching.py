"""Rectified-flow training on FLUX's latents: sigmas, noise, the velocity target, and one prediction of the model.

x_t = (1 - sigma) z + sigma eps with z = (vae latent - shift) * scale; the model predicts eps - z
(https://arxiv.org/abs/2403.03206).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.records import identity
from artmaster_pipeline.settings import TrainingSettings

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TextEmbedding:
    """A caption as the transformer takes it: T5's tokens (tokens x features) and CLIP's pooled vector."""

    prompt_embeds: "torch.Tensor"
    pooled_prompt_embeds: "torch.Tensor"


def sigmas_for(count: int, image_seq_len: int, scheduler: Any, shifted: bool, generator: Any) -> "torch.Tensor":
    """`count` noise levels in (0, 1), logit-normal; with `shifted`, moved as the scheduler moves them for this size.

    FLUX's resolution-dependent shift is 1.88 at 512x512 (1024 tokens) and 2.05 at 512x768 (1536 tokens).
    """
    import torch
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    sigmas = torch.sigmoid(torch.randn(count, generator=generator))
    if not shifted:
        return sigmas
    config = scheduler.config
    if config.use_dynamic_shifting:
        mu = calculate_shift(
            image_seq_len, config.base_image_seq_len, config.max_image_seq_len, config.base_shift, config.max_shift
        )
        return scheduler.time_shift(mu, 1.0, sigmas)
    return config.shift * sigmas / (1 + (config.shift - 1) * sigmas)


def step_generator(seed: int, step: int) -> "torch.Generator":
    """The CPU generator of one step's sigmas and noise: a function of seed and step, so no state has to be saved."""
    import torch

    return torch.Generator().manual_seed(int(identity("training noise", seed, step), 16) >> 1)


def predict_velocity(
    transformer: Any,
    noisy: "torch.Tensor",
    sigmas: "torch.Tensor",
    texts: list[TextEmbedding],
    guidance_scale: float,
    dtype: "torch.dtype",
) -> "torch.Tensor":
    """The model's velocity for latents (batch, channels, height, width), in the same shape.

    `dtype` is the base weights' (asked of a wrapped or quantised model it would not be it). The model gets sigma
    itself as its timestep (diffusers' pipeline passes timestep / 1000).
    """
    import torch
    from diffusers import FluxPipeline

    batch, channels, height, width = noisy.shape
    device = noisy.device
    guidance = None
    if transformer.config.guidance_embeds:
        guidance = torch.full((batch,), guidance_scale, device=device, dtype=torch.float32)
    prompt_embeds = torch.stack([text.prompt_embeds for text in texts]).to(device, dtype)
    packed = transformer(
        hidden_states=FluxPipeline._pack_latents(noisy, batch, channels, height, width).to(dtype),
        timestep=sigmas.to(device, dtype),
        guidance=guidance,
        pooled_projections=torch.stack([text.pooled_prompt_embeds for text in texts]).to(device, dtype),
        encoder_hidden_states=prompt_embeds,
        txt_ids=torch.zeros(prompt_embeds.shape[1], 3, device=device, dtype=dtype),
        img_ids=FluxPipeline._prepare_latent_image_ids(batch, height // 2, width // 2, device, dtype),
        return_dict=False,
    )[0]
    # vae_scale_factor 1: _unpack_latents then counts in latent pixels instead of picture pixels
    return FluxPipeline._unpack_latents(packed, height, width, vae_scale_factor=1)


def velocity_loss(
    transformer: Any,
    latents: "torch.Tensor",
    texts: list[TextEmbedding],
    scheduler: Any,
    settings: TrainingSettings,
    dtype: "torch.dtype",
    generator: "torch.Generator",
) -> "torch.Tensor":
    """The mean squared error of the predicted velocity, in fp32, for clean latents (batch, channels, height, width)."""
    import torch

    batch, _, height, width = latents.shape
    tokens = (height // 2) * (width // 2)
    sigmas = sigmas_for(batch, tokens, scheduler, settings.shifted_sigmas, generator).to(latents.device)
    noise = torch.randn(latents.shape, generator=generator).to(latents.device)
    level = sigmas.view(-1, 1, 1, 1)
    noisy = (1 - level) * latents + level * noise
    predicted = predict_velocity(transformer, noisy, sigmas, texts, settings.guidance_scale, dtype)
    return (predicted.float() - (noise - latents)).square().mean()

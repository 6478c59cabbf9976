"""Rectified-flow training on FLUX's latents: sigmas, noise, the velocity target.

x_t = (1 - sigma) z + sigma eps with z = (vae latent - shift) * scale; the model predicts eps - z
(https://arxiv.org/abs/2403.03206).
"""

from typing import TYPE_CHECKING, Any

from artmaster_pipeline.base_models.velocity import TextEmbedding, predict_velocity
from artmaster_pipeline.records import identity
from artmaster_pipeline.settings import TrainingSettings

if TYPE_CHECKING:
    import torch


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
    sigmas = sigmas_for(batch, tokens, scheduler, settings.timestep_sampling == "shifted", generator).to(latents.device)
    noise = torch.randn(latents.shape, generator=generator).to(latents.device)
    level = sigmas.view(-1, 1, 1, 1)
    noisy = (1 - level) * latents + level * noise
    predicted = predict_velocity(transformer, noisy, sigmas, texts, settings.guidance_scale, dtype)
    return (predicted.float() - (noise - latents)).square().mean()

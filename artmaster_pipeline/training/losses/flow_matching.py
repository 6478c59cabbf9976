"""Rectified-flow training on latents: sigmas, noise, the velocity target.

x_t = (1 - sigma) z + sigma eps with z a clean latent; the model predicts eps - z
(https://arxiv.org/abs/2403.03206).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.records import identity

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Noised:
    """Clean latents with noise added: what the model gets, and what it should answer."""

    noisy: "torch.Tensor"  # (batch, channels, height, width), as the next one
    velocity: "torch.Tensor"
    sigmas: "torch.Tensor"  # (batch,)


def sigmas_for(
    count: int,
    shift: float,
    sampling: str,
    generator: Any,
    band: tuple[float, float] = (0.0, 1.0),
) -> "torch.Tensor":
    """`count` noise levels within `band`, (count,), fp32: uniform, logit-normal, or logit-normal and shifted.

    The logit-normal density favours middle levels (https://arxiv.org/abs/2403.03206, section 3.1); `shifted` moves it
    by the factor `shift` towards high noise, as the base's own schedule does for this size (`Family.shift`).
    Within a narrower band the same density is cut, by its inverse distribution function.
    """
    import torch

    drawn = torch.rand(count, generator=generator, dtype=torch.float64)
    low, high = band
    if sampling == "uniform":
        return (low + (high - low) * drawn).float()
    factor = shift if sampling == "shifted" else 1.0
    ends = torch.tensor([low, high], dtype=torch.float64)
    below, above = torch.special.ndtr(torch.logit(ends / (factor - (factor - 1) * ends)))
    level = (below + (above - below) * drawn).clamp(1e-7, 1 - 1e-7)
    plain = torch.sigmoid(torch.special.ndtri(level))
    return (factor * plain / (1 + (factor - 1) * plain)).float()


def step_generator(seed: int, *number: int) -> "torch.Generator":
    """The CPU generator of one step's sigmas and noise: a function of its numbers, so no state has to be saved."""
    import torch

    return torch.Generator().manual_seed(int(identity("training noise", seed, *number), 16) >> 1)


def add_noise(latents: "torch.Tensor", sigmas: "torch.Tensor", generator: "torch.Generator") -> Noised:
    """Latents (batch, channels, height, width) at noise levels (batch,), with noise from a CPU generator."""
    import torch

    return with_noise(latents, sigmas, torch.randn(latents.shape, generator=generator))


def with_noise(latents: "torch.Tensor", sigmas: "torch.Tensor", noise: "torch.Tensor") -> Noised:
    """Latents (batch, channels, height, width) at noise levels (batch,), with `noise` of their shape."""
    noise, sigmas = noise.to(latents.device), sigmas.to(latents.device)
    level = sigmas.view(-1, 1, 1, 1)
    return Noised((1 - level) * latents + level * noise, noise - latents, sigmas)


def clean_latents(noised: Noised, predicted: "torch.Tensor") -> "torch.Tensor":
    """The clean latents that a predicted velocity means: x_t - sigma v."""
    return noised.noisy - noised.sigmas.view(-1, 1, 1, 1) * predicted


def velocity_loss(predicted: "torch.Tensor", noised: Noised, weights: "torch.Tensor | None" = None) -> "torch.Tensor":
    """The mean squared error of the velocity in fp32; with `weights` (batch, 1, height, width), the weighted mean."""
    error = (predicted.float() - noised.velocity).square()
    if weights is None:
        return error.mean()
    return (error * weights).sum() / (weights.sum() * error.shape[1]).clamp_min(1e-8)

"""Semantic guidance: an adapter changes the hand, and leaves what words mean where it was.

Two losses against the base's own predictions, without any further picture:

- Where the trigger is not said, the adapted model answers like the base, so that the style binds to the trigger. This
  is the prior preservation of DreamBooth (Ruiz et al. 2022, https://arxiv.org/abs/2208.12242) with the base's answer in
  place of pictures drawn beforehand, as in learning without forgetting (Li and Hoiem 2016,
  https://arxiv.org/abs/1606.09282).
- Where it is said, the difference that other words make stays what it is in the base: v(trigger, c1) - v(trigger, c2)
  = v0(c1) - v0(c2). What both predictions share, the hand, is free; what tells a bowl of fruit from a boat is kept. The
  direction between two texts as the thing to preserve is CLIP's and StyleGAN-NADA's (Gal et al. 2021,
  https://arxiv.org/abs/2108.00946).

Both are asked at high noise, where the words decide what will be painted.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.base_models.family import TextEmbedding
from artmaster_pipeline.settings import SemanticGuidanceSettings

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class GuidanceTexts:
    """The guidance's prompts as embeddings, without and with the trigger, in one order."""

    plain: tuple[TextEmbedding, ...]
    triggered: tuple[TextEmbedding, ...]


def guidance_texts(settings: SemanticGuidanceSettings, trigger: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The prompts without and with the trigger."""
    return settings.prompts, tuple(f"{trigger}, {prompt}" for prompt in settings.prompts)


def is_due(settings: SemanticGuidanceSettings, step: int) -> bool:
    """Whether a step (from 1) is one of those with guidance."""
    return (settings.weight > 0 or settings.direction_weight > 0) and step % settings.every == 0


def guidance_loss(
    predict: Any,
    settings: SemanticGuidanceSettings,
    texts: GuidanceTexts,
    latent: "torch.Tensor",
    generator: "torch.Generator",
) -> "torch.Tensor":
    """The weighted sum of both losses, in fp32, on one clean latent (channels, height, width).

    `predict(noisy, sigmas, texts, adapted)` gives velocities, with the adapter or, without gradients, of the base.
    """
    import torch

    from artmaster_pipeline.training.losses.flow_matching import add_noise

    low = settings.min_sigma
    sigma = low + (1 - low) * torch.rand(1, generator=generator)
    first, second = torch.randperm(len(texts.plain), generator=generator)[:2].tolist()
    noised = add_noise(latent[None], sigma, generator)
    asked = [texts.plain[first]] if settings.weight > 0 else []
    if settings.direction_weight > 0:
        asked += [texts.triggered[first], texts.triggered[second]]

    def ask(prompts: list[TextEmbedding], adapted: bool) -> "torch.Tensor":
        noisy = noised.noisy.expand(len(prompts), -1, -1, -1)
        return predict(noisy, noised.sigmas.expand(len(prompts)), prompts, adapted).float()

    with torch.no_grad():
        base = ask([texts.plain[first], texts.plain[second]][: 2 if settings.direction_weight > 0 else 1], False)
    found = ask(asked, True)
    loss = torch.zeros((), device=latent.device)
    if settings.weight > 0:
        loss = loss + settings.weight * (found[0] - base[0]).square().mean()
    if settings.direction_weight > 0:
        kept = (found[-2] - found[-1]) - (base[0] - base[1])
        loss = loss + settings.direction_weight * kept.square().mean()
    return loss

"""The cross-layer style constraint: a predicted clean latent has the feature statistics of the painter's own.

Where the features come from: the latent itself and the first layers of the base's own VAE decoder (its input
convolution, its middle block, its first upsampling block), which is the part of the model that turns a latent into
strokes and pigment. Losses on that decoder's inner features say more about what will be seen than the latent's squared
error does ("latent perceptual loss", Berrada et al. 2024, https://arxiv.org/abs/2411.04873), and these layers cost
about a hundredth of a step at FLUX.1-dev's size.

What is compared: the channels' means and standard deviations (Huang and Belongie 2017, https://arxiv.org/abs/1703.06868)
and their Gram matrix (Gatys et al. 2016, https://arxiv.org/abs/1508.06576), depth by depth. Statistics know no places,
so what is learnt is how the painter paints, not where a work has its mountain. Each is relative to the work's own, so
that no depth outweighs the others.
"""

from typing import TYPE_CHECKING, Any

from artmaster_pipeline.base_models.family import Family

if TYPE_CHECKING:
    import torch

_LEAST = 1e-4  # of a channel's standard deviation: a channel that is constant in a work cannot blow up


class StyleConstraint:
    """The auxiliary loss between predicted and true clean latents, by a VAE's decoder."""

    def __init__(self, vae: Any, family: Family, max_sigma: float) -> None:
        decoder = vae.decoder
        self._layers = (decoder.conv_in, decoder.mid_block, decoder.up_blocks[0])
        self._before = vae.post_quant_conv if vae.config.use_post_quant_conv else None
        self._vae, self._family = vae, family
        self._dtype = vae.dtype
        self._max_sigma = max_sigma

    def __call__(
        self, predicted: "torch.Tensor", clean: "torch.Tensor", sigmas: "torch.Tensor"
    ) -> "torch.Tensor | None":
        """The loss in fp32 for latents (batch, channels, height, width); None with every sigma above `max_sigma`."""
        import torch

        near = sigmas <= self._max_sigma
        if not near.any():
            return None
        with torch.no_grad():
            targets = self._features(clean[near])
        found = self._features(predicted[near])
        each = [_difference(a, b) for a, b in zip(found, targets, strict=True)]
        # over the whole batch, so that a batch with few low sigmas does not count as one with many
        return torch.stack(each).mean() * near.float().mean()

    def _features(self, latents: "torch.Tensor") -> "list[torch.Tensor]":
        features = [latents.float()]
        hidden = self._family.decoder_input(self._vae, latents).to(self._dtype)
        hidden = hidden if self._before is None else self._before(hidden)
        for layer in self._layers:
            hidden = layer(hidden)
            features.append(hidden.float())
        return features


def _difference(found: "torch.Tensor", target: "torch.Tensor") -> "torch.Tensor":
    """Mean, deviation and Gram of (batch, channels, height, width), in the target's units; the mean of the three."""
    found, target = found.flatten(2), target.flatten(2)
    mean, deviation = target.mean(2, keepdim=True), target.std(2, keepdim=True).clamp_min(_LEAST)
    means = ((found.mean(2, keepdim=True) - mean) / deviation).square().mean()
    deviations = (found.std(2, keepdim=True) / deviation - 1).square().mean()
    gram, wanted = _gram((found - mean) / deviation), _gram((target - mean) / deviation)
    grams = ((gram - wanted).square().sum((1, 2)) / wanted.square().sum((1, 2))).mean()
    return (means + deviations + grams) / 3


def _gram(features: "torch.Tensor") -> "torch.Tensor":
    return features @ features.transpose(1, 2) / features.shape[2]

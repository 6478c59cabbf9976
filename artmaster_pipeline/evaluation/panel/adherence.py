"""Does a picture show what its prompt says? Told apart from other prompts, so that no absolute score is needed.

A picture adheres to its prompt in so far as the prompt fits it better than other prompts do: the share of the others
that fit worse (0.5 is chance, 1 is always right; R-precision, Park et al. 2021, in its pairwise form). How well a
prompt fits is the cosine similarity of CLIP (Radford et al. 2021; Hessel et al. 2021), or, where no CLIP can be had,
what a model itself says: the error of its denoising under that prompt (diffusion classifier, Li et al. 2023,
https://arxiv.org/abs/2303.16203).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.settings import Profile
from artmaster_pipeline.threads import giving_way

if TYPE_CHECKING:
    import numpy as np

    from artmaster_pipeline.base_models import TextEmbedding

# Fit of each prompt to a picture: larger is better.
Fits = Callable[["np.ndarray", Sequence[str]], "np.ndarray"]

_SIGMAS = (0.5, 0.65, 0.8)  # noise levels at which the prompt decides most of what is painted
_NOISES = 2  # at each level, the same for all prompts of a picture
_GUIDANCE = 1.0  # of guidance-embedded models: none, the plain conditional prediction


def adherence(fits: Fits, picture: "np.ndarray", prompt: str, others: Sequence[str]) -> float:
    """The share of `others` that fit the picture (uint8, height, width, 3) worse than `prompt` does, 0..1."""
    scores = fits(picture, [prompt, *others])
    return float((scores[1:] < scores[0]).mean() + (scores[1:] == scores[0]).mean() / 2)


def without_trigger(prompt: str, trigger: str) -> str:
    """What a prompt says of the subject; a model without the adapter has never heard the trigger."""
    return prompt.replace(trigger, "").strip(" ,;")


def other_prompts(prompt: str, prompts: Sequence[str], far: Sequence[str], count: int = 8) -> list[str]:
    """Up to `count` prompts that say something else: first of `prompts`, evenly chosen, then of `far`."""
    near = sorted({other for other in prompts if other != prompt})
    near = near[:: max(1, -(-len(near) // (count // 2)))][: count // 2]
    return [*near, *(other for other in far if other != prompt and other not in near)][:count]


def denoising_fits(pipe: Any, profile: Profile, embedded: "Mapping[str, TextEmbedding]") -> Fits:
    """Fits from the pipeline's model, with its adapter if one is on: minus the mean squared error of the velocity.

    `embedded` holds every prompt that will be asked for: the pipeline needs no text encoders.
    """
    import numpy as np
    import torch
    from PIL import Image

    from artmaster_pipeline.base_models import family_for

    family = family_for(pipe)
    dtype = getattr(torch, profile.dtype)

    def fits(picture: "np.ndarray", prompts: Sequence[str]) -> "np.ndarray":
        with torch.inference_mode(), torch.autocast(profile.device, dtype, enabled=dtype == torch.bfloat16):
            texts = [embedded[prompt] for prompt in prompts]
            clean = family.encode_picture(pipe, Image.fromarray(picture), picture.shape[1], picture.shape[0])
            errors = np.zeros(len(prompts))
            for number in range(_NOISES * len(_SIGMAS)):
                noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(number)).to(clean.device)
                sigma = _SIGMAS[number % len(_SIGMAS)]
                noisy = ((1 - sigma) * clean + sigma * noise)[None].expand(len(prompts), -1, -1, -1)
                sigmas = torch.full((len(prompts),), sigma, device=clean.device)
                with giving_way():
                    predicted = family.predict_velocity(pipe.transformer, noisy, sigmas, texts, _GUIDANCE, dtype)
                predicted = predicted.float()
                errors += (predicted - (noise - clean)).square().mean((1, 2, 3)).cpu().numpy()
        return -errors / (_NOISES * len(_SIGMAS))

    return fits

"""Shared noise: what all shots of a story begin with alike, so that pictures of one hand also begin as one.

    noise of a picture = sqrt(a) * the story's + sqrt(1 - a) * the picture's own

Both are standard normal and independent, so their sum is, whatever the share a of the variance: the model sees noise
as it knows it. The story's noise is drawn at the larger of the shapes that pictures have, and a smaller picture has its
upper part.
"""

import math
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.base_models.family import family_for
from artmaster_pipeline.settings import CROP_SIZES, Profile

if TYPE_CHECKING:
    import torch


def noise_of(
    pipe: Any, profile: Profile, size: tuple[int, int], seed: int, story_seed: int, share: float
) -> "torch.Tensor":
    """A picture's first noise, fp32 (channels, rows, columns) of the latents; `size` is in the model's pixels.

    It is made on the CPU from seeds alone, so that it is the same on every device.
    """
    shape = _shape(pipe, size)
    own = _normal(shape, seed)
    if not share:
        return own
    largest = max((profile.size(*each) for each in CROP_SIZES), key=lambda each: each[0] * each[1])
    of_story = _normal(_shape(pipe, (max(size[0], largest[0]), max(size[1], largest[1]))), story_seed)
    rows, columns = shape[1:]
    return math.sqrt(share) * of_story[:, :rows, :columns] + math.sqrt(1 - share) * own


def _shape(pipe: Any, size: tuple[int, int]) -> tuple[int, int, int]:
    return family_for(pipe).latent_shape(pipe.transformer.config, *size)


def _normal(shape: tuple[int, int, int], seed: int) -> "torch.Tensor":
    import torch

    return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed))

"""What is settled about a device before a profile's models compute on it: precision, and which attention kernels."""

from artmaster_pipeline.base_models.attention import Attention, Shape, settle_attention
from artmaster_pipeline.base_models.configuration import config_of
from artmaster_pipeline.base_models.hub import family_of
from artmaster_pipeline.base_models.precision import settle_precision
from artmaster_pipeline.settings import CROP_SIZES, Profile


def settle_device(profile: Profile) -> Attention | None:
    """Settle both for this process; gives what was found of attention on a GPU, None on the CPU or without one.

    Raises MissingRequirement where the kernels cannot be tried, WrongUse for a kernel that there is not.
    """
    import torch

    settle_precision()
    if profile.device != "cuda" or not torch.cuda.is_available():
        return None
    return settle_attention(attention_shapes(profile), profile.dtype)


def attention_shapes(profile: Profile) -> tuple[Shape, ...]:
    """The attention of the transformer's blocks in a training, at both sizes: text and image tokens together."""
    family, config = family_of(profile), config_of(profile, "transformer")
    shapes = []
    for size in CROP_SIZES:
        _, rows, columns = family.latent_shape(config, *profile.size(*size))
        tokens = family.tokens(rows, columns) + profile.max_sequence_length
        shapes.append(
            (profile.training.batch_size, config["num_attention_heads"], tokens, config["attention_head_dim"])
        )
    return tuple(shapes)

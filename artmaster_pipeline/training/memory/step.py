"""A training step: its tensors, counted forward, backward and through AdaLoRA's upkeep, and what stays."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from artmaster_pipeline.base_models.hub import family_of
from artmaster_pipeline.settings import CROP_SIZES, Profile, TrainingSettings
from artmaster_pipeline.training.memory.base import BYTES, NF4, base_alone, config_of, in_dtype, numbers_of, vae_of
from artmaster_pipeline.training.memory.counting import fused_attention, meter, unpack_when_used

# bytes that an optimizer keeps for each trained number
_MOMENTS = {"adamw": 8.0, "adamw8bit": 2 + 8 / 256, "prodigy": 16.0}
# What glibc's heap holds beyond the smaller ones in it, as a share of them: measured, 0.7 to 0.9
_HOLES = 0.8


@dataclass(frozen=True)
class _Counted:
    linear: int  # numbers in the base's linear layers
    other: int  # and in the rest of it
    trained: int  # in the adapter
    kept: int  # bytes that autograd keeps for the backward pass
    peak: int  # bytes of these and all that comes and goes
    small: int  # of the peak's bytes those in blocks that glibc keeps in its heap


def _counted_by(profile: Profile) -> Profile:
    """The profile with nothing but what a step's tensors follow from, so that no two equal steps are counted."""
    settings = profile.training
    kept = ("adapter", "init_r", "target_r", "stages", "orth_reg_weight", "style_constraint", "gradient_checkpointing")
    training = TrainingSettings(**{name: getattr(settings, name) for name in kept}, batch_size=_rows(settings))
    return base_alone(profile).model_copy(update={"training": training})


def resident_parts(profile: Profile) -> dict[str, float]:
    """What is there all through a training."""
    settings, counted = profile.training, _count(_counted_by(profile))
    each, trained = BYTES[profile.dtype], counted.trained
    linear = NF4 if profile.quantization else each
    importance = 8.0 if settings.adapter == "adalora" else 0.0
    return {
        "base model": counted.linear * linear + counted.other * each,
        "adapter and its gradients": trained * (12.0 + each),  # fp32; the working copies alone in the model's dtype
        f"optimizer ({settings.optimizer})": trained * _MOMENTS[settings.optimizer],
        "AdaLoRA's importance": trained * importance,
        "running mean (ema_decay)": trained * 4.0 if settings.ema_decay else 0.0,
        "VAE": float(numbers_of(vae_of(profile))) * each,
    }


def step_parts(profile: Profile) -> dict[str, float]:
    """What comes and goes in a step at its peak."""
    counted = _count(_counted_by(profile))
    return {
        "activations kept for the backward pass": float(counted.kept),
        "passing tensors": float(counted.peak - counted.kept),
        "holes in the heap": _HOLES * counted.small if profile.device == "cpu" else 0.0,
    }


def trained_numbers(profile: Profile) -> int:
    """How many numbers an adapter of this profile has while it is trained."""
    return _count(_counted_by(profile)).trained


@cache
def _count(profile: Profile) -> _Counted:
    """Build everything on `meta` and go through the largest step."""
    import diffusers
    import torch

    from artmaster_pipeline.training.adalora import injecting as adalora
    from artmaster_pipeline.training.adalora.stacked import Stacks
    from artmaster_pipeline.training.schedule import RankSchedule

    settings, dtype = profile.training, getattr(torch, profile.dtype)
    config = config_of(profile, "transformer")
    with torch.device("meta"):
        transformer = in_dtype(getattr(diffusers, family_of(profile).transformer_class)(**config), dtype)
        linear = sum(m.weight.numel() for m in transformer.modules() if isinstance(m, torch.nn.Linear))
        every = numbers_of(transformer)
        if profile.quantization:
            unpack_when_used(transformer)
        if settings.gradient_checkpointing:
            transformer.enable_gradient_checkpointing()
        model = adalora.wrap(transformer, settings, RankSchedule(100, 10, 30)).train()
        stacks = Stacks(model, adalora.parameters(model), dtype)
        counted = meter()()
        with counted, fused_attention():
            kept = _go_through(profile, transformer, config, stacks, counted)
    trained = sum(tensor.numel() for tensor in stacks.tensors)
    return _Counted(linear, every - linear, trained, kept, counted.peak, counted.small)


def _go_through(profile: Profile, transformer: Any, config: dict[str, Any], stacks: Any, counted: Any) -> int:
    """A step forward, backward and through AdaLoRA's upkeep; gives the bytes that are kept between the first two."""
    import torch

    from artmaster_pipeline.base_models.family import TextEmbedding, family_for

    settings, dtype = profile.training, getattr(torch, profile.dtype)
    rows, (width, height) = settings.batch_size, profile.size(*CROP_SIZES[1])
    family = family_for(transformer)
    shapes = family.text_shapes(config, profile.max_sequence_length)
    text = TextEmbedding({name: torch.empty(shape, dtype=dtype) for name, shape in shapes.items()})
    latents = torch.empty(rows, *family.latent_shape(config, width, height))
    predicted = family.predict_velocity(transformer, latents, torch.empty(rows), [text] * rows, 1.0, dtype).float()
    loss = (predicted - latents).square().mean()
    if settings.style_constraint.weight > 0:
        loss = loss + _constraint_loss(profile, predicted, latents)
    del predicted
    kept: int = counted.now
    loss.backward()
    stacks.collect()
    stacks.add_orthogonal_loss(settings.orth_reg_weight)
    if settings.adapter == "adalora":
        # its importance: a product with the gradient for every trained number
        [tensor.detach() * tensor.grad for tensor in stacks.tensors]
    return kept


def _constraint_loss(profile: Profile, predicted: Any, latents: Any) -> Any:
    import torch

    from artmaster_pipeline.training.losses.style_constraint import StyleConstraint

    constraint = StyleConstraint(vae_of(profile), family_of(profile), 1.0)
    return constraint(predicted, latents, torch.zeros(len(latents), device="cpu"))


def _rows(settings: TrainingSettings) -> int:
    """Pictures that go through the model at once: a batch, or the guidance's prompts if those are more."""
    guidance = settings.semantic_guidance
    asked = int(guidance.weight > 0) + 2 * int(guidance.direction_weight > 0)
    return max(settings.batch_size, asked)

"""How long a training is, which pictures each step sees, and when AdaLoRA takes ranks away.

Everything here is a pure function of the settings and the pictures, so that a resumed training needs nothing but the
number of its last step to go on exactly.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from artmaster_pipeline.records import TrainingImage, identity
from artmaster_pipeline.settings import TrainingSettings


@dataclass(frozen=True)
class RankSchedule:
    """AdaLoRA's three phases in steps (https://arxiv.org/abs/2303.10512): warm-up, pruning, settling."""

    total_step: int
    tinit: int  # steps before the first pruning
    tfinal: int  # steps after the last pruning


@dataclass(frozen=True)
class Batch:
    """What one optimizer step sees: pictures of one size."""

    epoch: int  # from 1
    images: tuple[TrainingImage, ...]


def steps_for(n_images: int | Sequence[int], settings: TrainingSettings) -> int:
    """Optimizer steps of a training on `n_images` pictures, or on so many of each size; at most `max_steps`.

    A batch never mixes sizes, so each size's last batch of an epoch may be smaller. 40 pictures with the product's
    first recipe (10 repeats, 15 epochs, batch 1) take 6,000 steps.
    """
    sizes = [n_images] if isinstance(n_images, int) else list(n_images)
    steps = settings.epochs * sum(math.ceil(n * settings.repeats / settings.batch_size) for n in sizes)
    return min(steps, settings.max_steps) if settings.max_steps else steps


def kept_steps(total_step: int, settings: TrainingSettings) -> tuple[int, ...]:
    """The steps after which the adapter as it is then is kept beside the finished one, evenly spaced."""
    count = settings.checkpoints
    return tuple(sorted({round(total_step * n / (count + 1)) for n in range(1, count + 1)} - {0, total_step}))


def rank_schedule(total_step: int, settings: TrainingSettings) -> RankSchedule:
    """AdaLoRA's phases for a training of `total_step` steps."""
    tinit = int(total_step * settings.warmup_share)
    tfinal = int(total_step * settings.settle_share)
    return RankSchedule(total_step, tinit, tfinal)


def batches(images: Sequence[TrainingImage], settings: TrainingSettings) -> Iterator[Batch]:
    """The batches of the whole training in order, cut at `max_steps`; the same on every machine.

    In an epoch every picture is shown `repeats` times, in rounds, each in an order of its own; batches of the two
    sizes are shuffled among each other.
    """
    buckets = buckets_by_size(images)
    left = steps_for([len(bucket) for bucket in buckets], settings)
    for epoch in range(1, settings.epochs + 1):
        drawn = [batch for bucket in buckets for batch in _epoch_of_bucket(bucket, epoch, settings)]
        drawn = _shuffled(drawn, settings.seed, epoch, "batches")
        for images_of_batch in drawn[:left]:
            yield Batch(epoch, images_of_batch)
        left -= len(drawn)
        if left <= 0:
            return


def buckets_by_size(images: Sequence[TrainingImage]) -> list[list[TrainingImage]]:
    """The pictures grouped by width and height, smaller sizes first, each group sorted by id."""
    sizes = sorted({(image.width, image.height) for image in images})
    ordered = sorted(images, key=lambda image: image.id)
    return [[image for image in ordered if (image.width, image.height) == size] for size in sizes]


def _epoch_of_bucket(
    bucket: list[TrainingImage], epoch: int, settings: TrainingSettings
) -> list[tuple[TrainingImage, ...]]:
    shown = [
        image
        for turn in range(settings.repeats)
        for image in _shuffled(bucket, settings.seed, epoch, turn, bucket[0].width, bucket[0].height)
    ]
    size = settings.batch_size
    return [tuple(shown[start : start + size]) for start in range(0, len(shown), size)]


def _shuffled(items: list, *seed: object) -> list:
    """A shuffle by hash: no generator whose next version could deal otherwise."""
    order = sorted(range(len(items)), key=lambda n: identity(*seed, n))
    return [items[n] for n in order]

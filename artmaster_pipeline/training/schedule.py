"""How long a training is, which pictures each step sees in which stage, how fast it learns, when ranks are taken away.

Everything here is a pure function of the settings and the pictures, so that a resumed training needs nothing but the
number of its last step to go on exactly.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.records import TrainingImage, identity
from artmaster_pipeline.settings import TrainingSettings, TrainingStage

WHOLE = TrainingStage(name="whole", share=1.0)  # the one stage of a training without stages


@dataclass(frozen=True)
class RankSchedule:
    """AdaLoRA's three phases in steps (https://arxiv.org/abs/2303.10512): warm-up, pruning, settling."""

    total_step: int
    tinit: int  # steps before the first pruning
    tfinal: int  # steps after the last pruning


@dataclass(frozen=True)
class Step:
    """What one step of the optimizer sees."""

    number: int  # from 1, over the whole training
    stage: int  # from 0
    epoch: int  # from 1, within the stage
    batches: tuple[tuple[TrainingImage, ...], ...]  # each of pictures of one size

    @property
    def images(self) -> tuple[TrainingImage, ...]:
        """All pictures of the step."""
        return tuple(image for batch in self.batches for image in batch)


def steps_for(n_images: int | Sequence[int], settings: TrainingSettings) -> int:
    """Optimizer steps of a training on `n_images` pictures, or on so many of each size; at most `max_steps`.

    A batch never mixes sizes, so each size's last batch of an epoch may be smaller. 40 pictures with the product's
    first recipe (10 repeats, 15 epochs, batch 1) take 6,000 steps.
    """
    sizes = [n_images] if isinstance(n_images, int) else list(n_images)
    batches = settings.epochs * sum(math.ceil(n * settings.repeats / settings.batch_size) for n in sizes)
    steps = math.ceil(batches / settings.gradient_accumulation)
    return min(steps, settings.max_steps) if settings.max_steps else steps


def warm_settings(images: Sequence[TrainingImage], settings: TrainingSettings) -> TrainingSettings:
    """The settings of a training on `images` that starts from an adapter: `warm_start_share` of the steps."""
    whole = steps_for([len(bucket) for bucket in buckets_by_size(images)], settings)
    return settings.model_copy(update={"max_steps": max(1, round(whole * settings.warm_start_share))})


def stages_of(settings: TrainingSettings) -> tuple[TrainingStage, ...]:
    """The stages of a training, one at least."""
    return settings.stages or (WHOLE,)


def stage_ends(total_step: int, settings: TrainingSettings) -> tuple[int, ...]:
    """The last step of each stage. Raises WrongUse where a stage would have none."""
    shares = itertools.accumulate(stage.share for stage in stages_of(settings))
    ends = [*(round(total_step * share) for share in list(shares)[:-1]), total_step]
    for stage, (before, end) in zip(stages_of(settings), itertools.pairwise([0, *ends]), strict=True):
        if end <= before:
            raise WrongUse(
                f"The stage {stage.name!r} has a share of {stage.share:g} of {total_step} steps, which is none: "
                "give it a larger share, or train for more steps."
            )
    return tuple(ends)


def kept_steps(total_step: int, settings: TrainingSettings) -> tuple[int, ...]:
    """The steps whose adapter is kept beside the finished one: evenly spaced, and the end of every stage."""
    count = settings.checkpoints
    evenly = {round(total_step * n / (count + 1)) for n in range(1, count + 1)}
    return tuple(sorted((evenly | set(stage_ends(total_step, settings))) - {0, total_step}))


def rank_schedule(total_step: int, settings: TrainingSettings) -> RankSchedule:
    """AdaLoRA's phases for a training of `total_step` steps.

    Raises WrongUse where a stage trains layers first when all ranks have been allocated.
    """
    schedule = RankSchedule(
        total_step, int(total_step * settings.warmup_share), int(total_step * settings.settle_share)
    )
    known: set[str] = set()
    for stage, begin in zip(stages_of(settings), (0, *stage_ends(total_step, settings)), strict=False):
        new = not stage.layers or bool(set(stage.layers) - known)
        if begin and new and known and begin >= total_step - schedule.tfinal and settings.adapter == "adalora":
            raise WrongUse(
                f"The stage {stage.name!r} begins to train layers when AdaLoRA's ranks are all allocated (the last "
                f"{settings.settle_share:.0%} of the steps, `settle_share`): let it begin earlier, or lower that share."
            )
        if not stage.layers:
            return schedule
        known |= set(stage.layers)
    return schedule


def learning_rate_at(step: int, total_step: int, stage: TrainingStage, settings: TrainingSettings) -> float:
    """The learning rate of a step (from 1): the stage's, or the training's, with warm-up and scheduler.

    `cosine` goes from the whole rate to zero along half a cosine (https://arxiv.org/abs/1608.03983).
    """
    rate = stage.learning_rate or settings.learning_rate
    warmup = int(total_step * settings.lr_warmup_share)
    if step <= warmup:
        return rate * step / warmup
    if settings.lr_scheduler == "cosine":
        return rate * (1 + math.cos(math.pi * (step - 1 - warmup) / max(1, total_step - warmup))) / 2
    return rate


def steps(images: Sequence[TrainingImage], settings: TrainingSettings) -> Iterator[Step]:
    """The steps of the whole training in order; the same on every machine.

    In an epoch every picture of the stage's sizes is shown `repeats` times, in rounds, each in an order of its own;
    batches of the two sizes are shuffled among each other. A stage goes on, epoch after epoch, to its last step. Raises
    WrongUse where there is no picture of a stage's sizes.
    """
    total = steps_for([len(bucket) for bucket in buckets_by_size(images)], settings)
    begin = 0
    for place, (stage, end) in enumerate(zip(stages_of(settings), stage_ends(total, settings), strict=True)):
        stream = _batches(_of_sizes(images, stage), settings, place)
        for number in range(begin + 1, end + 1):
            drawn = list(itertools.islice(stream, settings.gradient_accumulation))
            yield Step(number, place, drawn[0][0], tuple(batch for _, batch in drawn))
        begin = end


def times_shown(images: Sequence[TrainingImage], settings: TrainingSettings, last_step: int) -> dict[str, int]:
    """How often each picture, by its id, is seen in the steps up to `last_step`; 0 for one of no stage's size."""
    seen = itertools.takewhile(lambda step: step.number <= last_step, steps(images, settings))
    counts = Counter(image.id for step in seen for image in step.images)
    return {image.id: counts[image.id] for image in sorted(images, key=lambda image: image.id)}


def buckets_by_size(images: Sequence[TrainingImage]) -> list[list[TrainingImage]]:
    """The pictures grouped by width and height, smaller sizes first, each group sorted by id."""
    sizes = sorted({(image.width, image.height) for image in images})
    ordered = sorted(images, key=lambda image: image.id)
    return [[image for image in ordered if (image.width, image.height) == size] for size in sizes]


def _of_sizes(images: Sequence[TrainingImage], stage: TrainingStage) -> list[TrainingImage]:
    found = [image for image in images if f"{image.width}x{image.height}" in stage.sizes]
    if not found:
        raise WrongUse(
            f"The stage {stage.name!r} wants crops of {' or '.join(stage.sizes)} and the training set has none: change "
            "its `sizes`."
        )
    return found


def _batches(
    images: Sequence[TrainingImage], settings: TrainingSettings, stage: int
) -> Iterator[tuple[int, tuple[TrainingImage, ...]]]:
    """(epoch, batch) without end."""
    buckets = buckets_by_size(images)
    for epoch in itertools.count(1):
        drawn = [batch for bucket in buckets for batch in _epoch_of_bucket(bucket, (stage, epoch), settings)]
        for batch in _shuffled(drawn, settings.seed, stage, epoch, "batches"):
            yield epoch, batch


def _epoch_of_bucket(
    bucket: list[TrainingImage], when: tuple[int, int], settings: TrainingSettings
) -> list[tuple[TrainingImage, ...]]:
    shown = [
        image
        for turn in range(settings.repeats)
        for image in _shuffled(bucket, settings.seed, *when, turn, bucket[0].width, bucket[0].height)
    ]
    size = settings.batch_size
    return [tuple(shown[start : start + size]) for start in range(0, len(shown), size)]


def _shuffled(items: list, *seed: object) -> list:
    """A shuffle by hash: no generator whose next version could deal otherwise."""
    order = sorted(range(len(items)), key=lambda n: identity(*seed, n))
    return [items[n] for n in order]

"""What is watched while an adapter is trained: the loss on works it does not learn from, pictures, and a judge.

All of it is about the validation works, never about the held-out ones that judge the finished adapter, and all of it
asks the same questions each time: the same noise levels and noise, the same prompts and seeds. So curves move because
the adapter does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from artmaster_pipeline.base_models.family import TextEmbedding
from artmaster_pipeline.drawing_settings import DrawingSettings, drawing_of
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import TrainingImage
from artmaster_pipeline.settings import CROP_SIZES, Profile
from artmaster_pipeline.training.adalora import injecting as adalora
from artmaster_pipeline.training.learner import Example, Learner
from artmaster_pipeline.training.losses.flow_matching import step_generator
from artmaster_pipeline.training.schedule import buckets_by_size

if TYPE_CHECKING:
    import numpy as np
    import torch

_MOST_PICTURES = 16  # of the validation works: more make the curve little steadier and each reading longer
_SAMPLE_SEED = 3_000  # after the profile's evaluation seed; the evaluation's own seeds begin at 0, 1,000 and 2,000


class Judge(Protocol):
    """Says how good an adapter is while it is trained; made by the evaluation, which training knows nothing of."""

    texts: tuple[str, ...]  # everything it will have drawn or read

    def __call__(self, model: "LiveModel", drawing: DrawingSettings | None = None) -> dict[str, float]:
        """Figures of the adapter as it is now; `score`, larger is better, is what the choice goes by.

        Its pictures are drawn with `drawing`, or else as the profile says.
        """

    def choose_drawing(self, model: "LiveModel", progress: Progress) -> "tuple[dict[str, float], ...]":
        """Each of the profile's ways of drawing with the figures of its pictures, the best `score` first."""


JudgeFor = Callable[..., Judge | None]  # (home, painter, profile, images) -> a judge, or none where there is too little


@dataclass(frozen=True)
class LiveModel:
    """An adapter in training as something that draws: the wrapped transformer in a pipeline without text encoders."""

    pipe: Any
    learner: Learner
    profile: Profile
    texts: Mapping[str, TextEmbedding]
    state: "Mapping[str, torch.Tensor] | None" = None  # an earlier state in place of the present one

    def draw(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        adapted: bool = True,
        drawing: DrawingSettings | None = None,
    ) -> "list[np.ndarray]":
        """Square pictures, uint8 (height, width, 3), as the finished adapter (or the base) would draw them now.

        With `drawing`, or else as the profile says. `texts` must hold what the family's `negative_prompt` names.
        """
        from artmaster_pipeline.generation.sampling import draw_embedded, negative_of

        how, pictures = self.profile.evaluation, []
        drawing = drawing or drawing_of(None, self.profile)
        negative = negative_of(self.pipe, self.texts, drawing)
        size = self.profile.size(*CROP_SIZES[0])
        drawn = (*size, how.num_inference_steps, drawing, negative)
        with self._as_finished(drawing.strength) if adapted else self.base():
            for begin in range(0, len(prompts), how.batch_size):
                part = slice(begin, begin + how.batch_size)
                embedded = [self.texts[prompt] for prompt in prompts[part]]
                pictures += draw_embedded(self.pipe, embedded, seeds[part], *drawn)
        return pictures

    def base(self) -> Any:
        """A context in which the pipeline is the base's."""
        return self.learner.stacks.off()

    def _as_finished(self, strength: float) -> Any:
        scale = adalora.final_scale(self.learner.settings) * strength
        return self.learner.finished(scale) if self.state is None else self.learner.showing(self.state, scale)


class ValidationLoss:
    """The loss of the velocity over validation pictures at fixed noise levels and noise, with the whole change."""

    def __init__(self, examples: Sequence[tuple[TrainingImage, Example]], profile: Profile) -> None:
        by_id = {image.id: example for image, example in examples[:_MOST_PICTURES]}
        buckets = buckets_by_size([image for image, _ in examples[:_MOST_PICTURES]])
        size = max(1, profile.training.batch_size)
        self._batches = [bucket[start : start + size] for bucket in buckets for start in range(0, len(bucket), size)]
        self._examples = by_id
        self._settings = profile.training

    def __call__(self, learner: Learner) -> dict[str, float]:
        """`loss`, the mean, and the mean at each noise level as `loss at SIGMA`."""
        import torch

        found = {}
        with learner.finished(adalora.scale(self._settings)):
            for sigma in self._settings.validation.sigmas:
                errors = [
                    learner.velocity_error(
                        [self._examples[image.id] for image in batch],
                        sigma,
                        [step_generator(self._settings.seed, int(image.id, 16), round(sigma * 1e6)) for image in batch],
                    )
                    for batch in self._batches
                ]
                found[f"loss at {sigma:g}"] = torch.cat(errors).mean().item()
        return {"loss": sum(found.values()) / len(found)} | found


def sample_prompts(images: Sequence[TrainingImage], count: int) -> list[tuple[str, int]]:
    """(prompt, seed offset) of the pictures drawn while training: captions of validation works, else of others."""
    for part in ("validate", "train"):
        captions = sorted({image.caption for image in images if image.split == part})
        if captions:
            return [(captions[n % len(captions)], _SAMPLE_SEED + n) for n in range(count)]
    return []


def best_step(readings: Sequence[Mapping[str, float]]) -> int:
    """The step of the reading with the highest score; the earlier of two equal ones. 0 where there is none."""
    best = max(readings, key=lambda reading: (reading["score"], -reading["step"]), default=None)
    return int(best["step"]) if best else 0


def stopped_improving(readings: Sequence[Mapping[str, float]], patience: int | None) -> bool:
    """Whether the last `patience` readings are all no better than the best one before them."""
    if patience is None or len(readings) <= patience:
        return False
    before = max(reading["score"] for reading in readings[:-patience])
    return all(reading["score"] <= before for reading in readings[-patience:])


class Trend:
    """Tells a diverging loss from a noisy one: its running mean has grown to a multiple of the lowest it ever was."""

    FACTOR = 3.0  # a batch of one picture varies by about 2 between noise levels; a mean of 20 of them does not by 3
    _SMOOTH, _STEPS = 0.95, 20

    def __init__(self) -> None:
        self._stage, self._count, self._sum, self._lowest = -1, 0, 0.0, float("inf")
        self.lowest_at = 0

    def diverges(self, step: int, stage: int, loss: float) -> bool:
        """Take a step's loss in. Another stage, with its own noise levels, begins anew."""
        if stage != self._stage:
            self._stage, self._count, self._sum, self._lowest = stage, 0, 0.0, float("inf")
        self._count += 1
        self._sum = self._SMOOTH * self._sum + (1 - self._SMOOTH) * loss
        mean = self._sum / (1 - self._SMOOTH**self._count)
        if self._count < self._STEPS:
            return False
        if mean < self._lowest:
            self._lowest, self.lowest_at = mean, step
        return mean > self.FACTOR * self._lowest

"""The validation panel, asked while an adapter is trained: which of its states is nearest to the painter's hand?

It sees the validation works only, so the held-out ones, which judge the adapter in the end, choose nothing. The score
is the geometric mean over the axes of how far the adapter comes from the base to the painter's own works (0 where the
base is, 1 where the training works are, `sets.py`). Geometric, since a picture is as good as its weakest side: ink
that is right all over makes up for no picture that dissolved. An axis at or beyond the base counts a hundredth; one on
which the base is as near as the works are says nothing. A state that loses more of the base's prompt adherence
than the gate allows cannot win against one that does not: what is above the limit is taken off the score a
hundredfold. The way in which the chosen state is drawn is chosen by the same score; the base is drawn as the profile
says for all of them, so that no way gains by a base that it spoils.
"""

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from artmaster_pipeline.drawing_settings import DrawingSettings, drawing_of
from artmaster_pipeline.evaluation import intervals
from artmaster_pipeline.evaluation.axes import sets
from artmaster_pipeline.evaluation.axes.distances import pairwise_distances
from artmaster_pipeline.evaluation.panel.adherence import (
    Fits,
    adherence,
    denoising_fits,
    other_prompts,
    without_trigger,
)
from artmaster_pipeline.evaluation.panel.measure import MIN_HELD_OUT, concatenated, one_per_work
from artmaster_pipeline.files import inside
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import TrainingImage
from artmaster_pipeline.settings import Home, Profile, load_painter

if TYPE_CHECKING:
    import numpy as np

    from artmaster_pipeline.base_models.family import TextEmbedding

_PANEL_SEED, _FAR_SEED = 4_000, 5_000  # after the profile's evaluation seed: other pictures than the final evaluation's
_MOST_WORKS = 40  # of each part
_BEYOND = 100.0
_LEAST_SHARE = 0.01
_LEAST_ROOM = 0.01  # in units of the painter's own variety: below it an axis is noise


class Draws(Protocol):
    """An adapter in training: it draws, and lends its pipeline as the base's."""

    @property
    def pipe(self) -> Any: ...

    @property
    def texts(self) -> "Mapping[str, TextEmbedding]": ...

    def draw(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        adapted: bool = True,
        drawing: DrawingSettings | None = None,
    ) -> "list[np.ndarray]": ...

    def base(self) -> Any: ...


class ValidationPanel:
    """Measures an adapter in training against the validation works; `score` is what the choice goes by."""

    def __init__(self, home: Home, painter: str, profile: Profile, images: Sequence[TrainingImage]) -> None:
        how, folder = profile.training.validation, home.training_set(painter)
        trigger, seed = load_painter(home, painter).trigger, profile.evaluation.seed
        works = {part: one_per_work(i for i in images if i.split == part) for part in ("train", "validate")}
        self._home, self._profile, self._trigger = home, profile, trigger
        self._works = {part: [inside(folder, i.path) for i in of[:_MOST_WORKS]] for part, of in works.items()}
        captions = sorted({image.caption for image in works["validate"]})
        self._prompts = [captions[n % len(captions)] for n in range(how.panel_samples)]
        self._seeds = [seed + _PANEL_SEED + n for n in range(how.panel_samples)]
        self._near = [without_trigger(caption, trigger) for caption in captions]
        self._far = list(how.far_prompts)
        self._far_seeds = [seed + _FAR_SEED + n for n in range(len(self._far))]
        self._floors: dict[str, tuple[float, float]] = {}  # of the base, drawn as the profile says
        self._base_readings: dict[DrawingSettings, float] = {}
        triggered = [f"{trigger}, {prompt}" for prompt in self._far]
        others = {other for prompt in self._far for other in other_prompts(prompt, self._near, self._far)}
        self.texts = tuple(sorted({*captions, *self._far, *triggered, *others}))

    def __call__(self, model: Draws, drawing: DrawingSettings | None = None) -> dict[str, float]:
        """By axis the distance to the validation works, the loss of adherence, and the score.

        Pictures are drawn with `drawing`, if not as the profile says; the base's with the same guidance.
        """
        drawing = drawing or drawing_of(None, self._profile)
        figures = self._figures(model, self._prompts, drawing)
        of_base = drawing.of_base()
        if of_base not in self._base_readings:
            self._base_readings[of_base] = self._reading(model, of_base, adapted=False)
        lost = self._base_readings[of_base] - self._reading(model, drawing, adapted=True) if self._far else 0.0
        beyond = max(0.0, lost - self._profile.gate.max_drift)
        score = figures["score"] - _BEYOND * beyond
        return figures | {"loss of adherence": _rounded(lost), "score": _rounded(score)}

    def choose_drawing(self, model: Draws, progress: Progress) -> tuple[dict[str, float], ...]:
        """Each of the profile's ways of drawing with its distances by axis and its score, the best first.

        The same prompts and noise are drawn in each way. Adherence is not read anew, since that costs as much as the
        pictures: the state was chosen by it, and the gate asks for it of the pictures drawn in the chosen way.
        """
        how = self._profile.training.validation
        rows = []
        with progress.task("Ways of drawing", len(how.drawings)) as advance:
            for way in how.drawings:
                figures = self._figures(model, self._prompts[: how.drawing_samples], way)
                rows.append({name: float(value) for name, value in way.model_dump().items()} | figures)
                advance(note=way.in_words())
        return tuple(sorted(rows, key=lambda row: -row["score"]))

    def _figures(self, model: Draws, prompts: list[str], drawing: DrawingSettings) -> dict[str, float]:
        """By axis the energy distance of pictures of the prompts to the validation works, and the score."""
        if not self._floors:
            of_base = drawing_of(None, self._profile).of_base()
            pictures = model.draw(self._prompts, self._seeds, adapted=False, drawing=of_base)
            self._floors = self._distances(pictures, self._prompts)
        axes = self._distances(model.draw(prompts, self._seeds[: len(prompts)], drawing=drawing), prompts)
        shares = []
        for axis, (distance, ceiling) in axes.items():
            floor = self._floors[axis][0]
            if floor - ceiling > _LEAST_ROOM:
                shares.append(min(1.0, max(_LEAST_SHARE, (floor - distance) / (floor - ceiling))))
        score = math.prod(shares) ** (1 / len(shares)) if shares else 0.0
        return {axis: _rounded(distance) for axis, (distance, _) in axes.items()} | {"score": _rounded(score)}

    def _distances(self, pictures: "Sequence[np.ndarray]", prompts: list[str]) -> dict[str, tuple[float, float]]:
        """By axis the energy distances to the validation works: of pictures of the prompts, and of training works."""
        import numpy as np

        with tempfile.TemporaryDirectory() as folder:
            paths, rows = concatenated({**self._works, "drawn": _write(Path(folder), pictures)})
            distances = pairwise_distances(self._home, self._profile, paths, rows["train"])
        clusters = np.arange(len(paths))
        clusters[rows["drawn"]] = len(paths) + intervals.labelled(prompts)  # pictures of one prompt are no pair
        return {
            str(axis): (
                float(sets.energy(m, rows["drawn"], rows["validate"], clusters)),
                float(sets.energy(m, rows["train"], rows["validate"], clusters)),
            )
            for axis, m in distances.axes.items()
        }

    def _reading(self, model: Draws, drawing: DrawingSettings, *, adapted: bool) -> float:
        """The mean adherence of pictures of the far prompts, read by CLIP or by the base."""
        if not self._far:
            return 1.0
        prompts = [f"{self._trigger}, {prompt}" for prompt in self._far]
        pictures = model.draw(prompts, self._far_seeds, adapted=adapted, drawing=drawing)
        with model.base():
            fits = self._fits(model)
            found = [
                adherence(fits, picture, prompt, other_prompts(prompt, self._near, self._far))
                for picture, prompt in zip(pictures, self._far, strict=True)
            ]
        return sum(found) / len(found)

    def _fits(self, model: Draws) -> Fits:
        if self._profile.evaluation.adherence == "clip":
            from artmaster_pipeline.evaluation.axes.hub_features import clip_fits

            return clip_fits(self._profile, self._home)
        return denoising_fits(model.pipe, self._profile, model.texts)


def validation_panel(
    home: Home, painter: str, profile: Profile, images: Sequence[TrainingImage]
) -> ValidationPanel | None:
    """The panel for a painter's training; None where fewer than two works are kept for validation."""
    works = {part: len({i.work for i in images if i.split == part}) for part in ("train", "validate")}
    return ValidationPanel(home, painter, profile, images) if min(works.values()) >= MIN_HELD_OUT else None


def _rounded(value: float) -> float:
    return round(float(value), 6)


def _write(folder: Path, pictures: "Sequence[np.ndarray]") -> list[Path]:
    from PIL import Image

    paths = [folder / f"{number:03d}.png" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    return paths

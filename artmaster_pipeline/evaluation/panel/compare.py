"""Two adapters on the same prompts and seeds, picture by picture: champion and challenger, or any two."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from artmaster_pipeline.evaluation.axes import sets
from artmaster_pipeline.evaluation.axes.distances import pairwise_distances
from artmaster_pipeline.evaluation.cells import Cell, CellMaker
from artmaster_pipeline.evaluation.panel.measure import MIN_HELD_OUT, concatenated, one_per_work
from artmaster_pipeline.evaluation.samples import EXTRA, fill_cells
from artmaster_pipeline.files import inside
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import Adapter, Sample, TrainingImage
from artmaster_pipeline.settings import Home, Profile


@dataclass(frozen=True)
class Contest:
    """How a challenger compares with a champion. `axes` holds the figures of `sets.Comparison`, its base the champion.

    A positive gain says that the challenger is nearer to the held-out works. `why_not` says why nothing was compared.
    """

    champion_id: str
    challenger_id: str
    prompts: int = 0
    axes: dict[str, dict[str, Any]] = field(default_factory=dict)
    why_not: str = ""

    def as_json(self) -> dict[str, Any]:
        """All of it, for a record."""
        kept = ("gain", "gain_interval", "p", "floor", "result")
        axes = {axis: {name: figures[name] for name in kept} for axis, figures in self.axes.items()}
        return {**vars(self), "axes": axes}


def compare_adapters(
    home: Home,
    profile: Profile,
    champion: Adapter,
    challenger: Adapter,
    images: Sequence[TrainingImage],
    samples: Sequence[Sample],
    known: dict[str, Sample],
    progress: Progress = SILENT,
) -> tuple[Contest, tuple[Sample, ...]]:
    """Compare two adapters; gives the contest and the champion's pictures, in the order of the challenger's.

    `samples` are the challenger's, as its evaluation drew them. The champion's pictures for the same prompts and seeds
    are taken from `known` or drawn, as it draws best: each adapter has its own strength and guidance.
    """
    if champion.base_model != challenger.base_model or champion.base_revision != challenger.base_revision:
        why = f"it was trained on another base model ({champion.base_model}, revision {champion.base_revision})"
        return Contest(champion.id, challenger.id, why_not=why), ()
    ours = [s for s in samples if s.role in ("panel", "row") and s.column == "adapter"]
    theirs, _ = fill_cells(home, champion, profile, _same_cells(champion, profile, ours), known, progress, EXTRA)
    works = {part: one_per_work(image for image in images if image.split == part) for part in ("train", "held_out")}
    if min(len(of) for of in works.values()) < MIN_HELD_OUT:
        return Contest(champion.id, challenger.id, why_not="too few works were held out of the training"), theirs
    folder, drawn = home.training_set(challenger.painter), home.evaluation(challenger.painter)
    parts = {
        "train": [inside(folder, image.path) for image in works["train"]],
        "held_out": [inside(folder, image.path) for image in works["held_out"]],
        "base": [inside(drawn, s.path) for s in theirs if s.role == "panel"],
        "adapter": [inside(drawn, s.path) for s in ours if s.role == "panel"],
    }
    pictures, rows = concatenated(parts)
    prompts = tuple(s.prompt for s in ours if s.role == "panel")
    captions = tuple(image.caption for image in works["held_out"])
    members = sets.Members(**rows, prompts=prompts, captions=captions)
    distances = pairwise_distances(home, profile, pictures, members.train, progress)
    axes = {str(axis): sets.compare(matrix, members).as_json() for axis, matrix in distances.axes.items()}
    return Contest(champion.id, challenger.id, len(set(prompts)), axes), theirs


def _same_cells(champion: Adapter, profile: Profile, ours: Sequence[Sample]) -> list[Cell]:
    maker = CellMaker(champion, profile)
    return [maker.with_adapter(s.prompt, s.seed, (s.width, s.height), s.role) for s in ours]

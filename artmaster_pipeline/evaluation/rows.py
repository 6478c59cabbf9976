"""Which works and prompts make the grid's rows: held-out works first, one picture of each work."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from artmaster_pipeline.records import Split, TrainingImage

_LABELS: dict[Split, str] = {
    "held_out": "held-out work",
    "validate": "work for validation",
    "train": "work from the training set",
}


@dataclass(frozen=True)
class Row:
    """One row of the grid: the picture in its first column gives the prompt and the size of the other two."""

    image: TrainingImage
    seed: int

    @property
    def label(self) -> str:
        """Where the row's work stood in the training."""
        return _LABELS[self.image.split]


def choose_rows(images: Iterable[TrainingImage], count: int, seed: int) -> tuple[Row, ...]:
    """Up to `count` rows of distinct works, what the adapter knows least first; row i has seed + i.

    Held-out works come before those for validation, and these before the works of the training set.

    The two crop shapes alternate where a work has both, so that the grid judges both.
    """
    pictures = tuple(images)
    works = [work for split in _LABELS for work in _works(pictures, split)]
    return tuple(Row(_shaped(work, tall=row % 2 == 1), seed + row) for row, work in enumerate(works[:count]))


def _works(images: Sequence[TrainingImage], split: Split) -> list[list[TrainingImage]]:
    works: dict[str, list[TrainingImage]] = {}
    for image in sorted(images, key=lambda image: (image.work, image.scan_sha256, image.place, image.id)):
        if image.split == split:
            works.setdefault(image.work, []).append(image)
    return list(works.values())


def _shaped(work: Sequence[TrainingImage], *, tall: bool) -> TrainingImage:
    return next((image for image in work if (image.height > image.width) == tall), work[0])

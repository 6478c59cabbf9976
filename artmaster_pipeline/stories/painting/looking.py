"""How pictures look beside the painter's works: how near in style, nearer than to whom else, and how far apart.

Compared with works that the adapters were trained on alone: those that were held out judge the finished story, so they
must not choose its pictures. Style is the mean of tone, brushwork and whole style (`evaluation/axes`), in the painter's
own units; how far apart pictures are is the mean of all axes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from artmaster_pipeline.axes import Axis
from artmaster_pipeline.evaluation.axes import sets
from artmaster_pipeline.evaluation.axes.distances import DistanceMatrices, pairwise_distances
from artmaster_pipeline.evaluation.evaluate import works_of
from artmaster_pipeline.evaluation.panel.measure import (
    MIN_HELD_OUT,
    concatenated,
    one_per_work,
    other_painters,
)
from artmaster_pipeline.files import inside
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import TrainingImage
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stories.painting.hand import OneHand

STYLE: tuple[Axis, ...] = ("tone", "brushwork", "style")
_MOST_WORKS = 60  # of each painter and part
_OWN_FLOOR = 0.05  # quantile of the distances of two works: pictures of a story should not be nearer than that
_OWN_SPREAD = 0.95  # quantile of the works' distances to the others: what lies beyond is outside the painter's spread


@dataclass(frozen=True)
class Works:
    """The works that pictures are compared with."""

    train: tuple[Path, ...]
    held_out: tuple[Path, ...]
    others: dict[str, tuple[Path, ...]]  # other painters of the house


@dataclass(frozen=True)
class Looks:
    """What was measured of pictures, in their order."""

    distances: np.ndarray | None  # (n,) mean style distance to the training works; None: too few works
    own: np.ndarray  # (works,) of each training work to the others
    margins: np.ndarray | None  # (n,) None: no other painters
    own_margins: np.ndarray  # (works,) of each training work beside the others; empty: no other painters
    nearest: tuple[str, ...]  # of each the other painter that it is nearest to
    apart: np.ndarray  # (n, n) over all axes
    floor: float

    @property
    def limit(self) -> float:
        """The style distance beyond which a picture is outside the painter's own spread."""
        return float(np.quantile(self.own, _OWN_SPREAD)) if len(self.own) else float("inf")

    @property
    def margin_limit(self) -> float:
        """The margin below which a picture is nearer to another painter than the painter's own works are; at most 0."""
        return min(0.0, float(np.quantile(self.own_margins, 1 - _OWN_SPREAD))) if len(self.own_margins) else 0.0

    def likeness(self, number: int) -> float:
        """1 where a picture is as near to the works as they are to each other, less where it is farther."""
        if self.distances is None:
            return 1.0
        return float(min(1.0, np.median(self.own) / max(self.distances[number], 1e-9)))


def works_for(home: Home, hand: OneHand) -> Works:
    """The works of the hand's painters, one picture of each, and those of the house's other painters."""
    images = [image for adapter in hand.adapters for image in works_of(home, adapter)]

    def chosen(part: str) -> tuple[Path, ...]:
        found: dict[str, list[TrainingImage]] = {}
        for image in one_per_work(image for image in images if image.split == part):
            found.setdefault(image.painter, []).append(image)
        return _paths(home, [image for of in found.values() for image in of[:_MOST_WORKS]])

    others = other_painters(home, hand.painters)
    return Works(chosen("train"), chosen("held_out"), {name: _paths(home, of) for name, of in others.items()})


def look_at(home: Home, hand: OneHand, works: Works, files: Sequence[Path], progress: Progress) -> Looks:
    """Measure pictures beside the training works."""
    n, none = len(files), np.zeros(0)
    if len(works.train) < MIN_HELD_OUT:
        return Looks(None, none, None, none, ("",) * n, np.ones((n, n)), 0.0)
    parts = {"drawn": list(files), "train": list(works.train), **{f"of {k}": list(v) for k, v in works.others.items()}}
    paths, rows = concatenated(parts)
    distances = pairwise_distances(home, hand.profile, paths, rows["train"], progress)
    style, whole = style_of(distances), np.mean(list(distances.axes.values()), axis=0)
    drawn, train = rows["drawn"], rows["train"]
    far = style[np.ix_(drawn, train)].mean(1)
    among = style[np.ix_(train, train)]
    own = among.sum(1) / (len(train) - 1)
    pairs = whole[np.ix_(train, train)][np.triu_indices(len(train), 1)]
    margins, nearest = _margins(style, rows, drawn, far, tuple(works.others))
    own_margins, _ = _margins(style, rows, train, own, tuple(works.others))
    return Looks(
        distances=far,
        own=own,
        margins=margins,
        own_margins=none if own_margins is None else own_margins,
        nearest=nearest,
        apart=whole[np.ix_(drawn, drawn)],
        floor=float(np.quantile(pairs, _OWN_FLOOR)),
    )


def style_of(distances: DistanceMatrices) -> np.ndarray:
    """The matrix of style: the mean of its axes."""
    return np.asarray(np.mean([distances.axes[axis] for axis in STYLE], axis=0))


def _margins(
    style: np.ndarray, rows: dict[str, np.ndarray], pictures: np.ndarray, far: np.ndarray, others: Sequence[str]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """By how much farther pictures are from the nearest other painter than from this one (`far`); and from whom.

    A painter's own variety is taken off: the mean distance to a set less half of the set's spread is the part of the
    energy distance that a picture decides.
    """
    if not others:
        return None, ("",) * len(pictures)
    own = far - sets.spread(style, rows["train"]) / 2
    to_others = [
        style[np.ix_(pictures, rows[f"of {o}"])].mean(1) - sets.spread(style, rows[f"of {o}"]) / 2 for o in others
    ]
    table = np.stack(to_others)
    return table.min(0) - own, tuple(others[place] for place in table.argmin(0))


def _paths(home: Home, images: Sequence[TrainingImage]) -> tuple[Path, ...]:
    return tuple(inside(home.training_set(image.painter), image.path) for image in images)

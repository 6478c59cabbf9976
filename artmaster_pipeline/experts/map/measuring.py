"""How much of what an adapter changes is lost without a part of it, on an axis of the panel, with intervals.

Pictures of one prompt and seed are compared in threes: the base's b, the whole adapter's w, and k without the part.
In a space of looks the adapter's change goes from b to w, and the part's share is how far k has gone back along it:

    t = <k - w, b - w> / |b - w|^2 = (d(w,k)^2 + d(w,b)^2 - d(k,b)^2) / (2 d(w,b)^2)

by the law of cosines, d being the axis' distance: 0 where nothing of the change is lost, 1 where all is. A picture that
became another one, but no nearer to the base's, moved at a right angle and has lost nothing: `moved` tells how far. The
share over pictures is the ratio of the sums, with Fieller's interval over prompts (`evaluation.intervals`).
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from artmaster_pipeline.evaluation.intervals import Estimate, Interval, labelled, ratio

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Loss:
    """What is lost without a part, and how far pictures moved, both in units of the adapter's change."""

    lost: Interval
    moved: float


def loss_of(
    distances: "np.ndarray",
    base: "np.ndarray",
    whole: "np.ndarray",
    without: "np.ndarray",
    prompts: Sequence[Hashable],
) -> Loss:
    """The loss from a matrix of distances; `base`, `whole` and `without` are its rows of the same prompts and seeds.

    Where the adapter changes nothing on the axis nothing can be lost, and the interval has no ends.
    """
    change = distances[whole, base] ** 2
    moved, apart = distances[whole, without] ** 2, distances[without, base] ** 2
    if not change.sum() > 0:
        return Loss(Interval(0.0, None, None), 0.0)
    lost = ratio(_mean((moved + change - apart) / 2, prompts), _mean(change, prompts))
    return Loss(lost, float((moved.sum() / change.sum()) ** 0.5))


def _mean(values: "np.ndarray", prompts: Sequence[Hashable]) -> Estimate:
    """The mean over pictures, and without each prompt's."""
    import numpy as np

    labels = labelled(prompts)
    sums, counts = np.bincount(labels, values), np.bincount(labels)
    left = counts.sum() - counts
    without = np.where(left > 0, (sums.sum() - sums) / left.clip(1), np.nan)
    return Estimate(float(values.mean()), (without,))

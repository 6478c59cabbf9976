"""Sets of pictures, compared through the matrix of distances between their pictures.

The distance of two sets is the energy distance E d(x,y) - E d(x,x')/2 - E d(y,y')/2 (Székely and Rizzo 2013) as a
U-statistic: no picture is paired with itself, so that it is unbiased, about 0 for two samples of one painter however
few they are, and may fall slightly below. With d = |f(x) - f(y)|^2 in the feature space of a kernel it is the
unbiased squared MMD (Gretton et al. 2012, lemma 6; Sejdinovic et al. 2013), that is, KID for KID's kernel.

One matrix serves everything: distances, their bootstrap over works and prompts, the permutation test, the spread within
a set, and its diversity.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.evaluation.axes.components import Component

if TYPE_CHECKING:
    import numpy as np

ROUNDS = 2000  # of the bootstrap and of the permutation test
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Members:
    """Which rows of the matrix are what. `base` and `adapter` are pairs: the same prompts and seeds, in one order."""

    train: "np.ndarray"
    held_out: "np.ndarray"
    base: "np.ndarray"
    adapter: "np.ndarray"


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval; an end is None where the bootstrap finds no bound."""

    value: float
    low: float | None
    high: float | None

    def named(self, name: str) -> dict[str, Any]:
        """The figure as `name` and its interval as `name`_interval, rounded to five digits."""
        return {name: _rounded(self.value), f"{name}_interval": [_rounded(self.low), _rounded(self.high)]}


@dataclass(frozen=True)
class Comparison:
    """How far base, adapter and training works are from the held-out works.

    `score` is (floor - result) / (floor - ceiling): 0 where the base is, 1 where the painter's own works are. It is
    None where the base is as near to the held-out works as the training works are, so that nothing is left to gain.
    """

    floor: Interval  # base to held-out works
    result: Interval  # adapter to held-out works
    ceiling: Interval  # training works to held-out works
    gain: Interval  # floor - result
    score: Interval | None
    p: float  # of a gain so large if base and adapter were the same; paired permutation test

    def as_json(self) -> dict[str, Any]:
        """All figures under their names."""
        score = self.score.named("score") if self.score else {"score": None, "score_interval": [None, None]}
        figures = [getattr(self, name).named(name) for name in ("floor", "result", "ceiling", "gain")]
        return {key: value for part in (score, *figures, {"p": _rounded(self.p)}) for key, value in part.items()}


def in_painters_units(components: "dict[Component, np.ndarray]", train: "np.ndarray") -> "dict[Component, np.ndarray]":
    """The components' matrices divided by the mean distance of two training works.

    In this unit, 1 is the painter's own variety, and components of one axis can be averaged.
    """
    scaled = {}
    for component, matrix in components.items():
        unit = spread(matrix, _counts(len(matrix), train))
        scaled[component] = matrix / unit if unit > 0 else matrix
    return scaled


def compare(matrix: "np.ndarray", members: Members, seed: int = 0) -> Comparison:
    """Compare base and adapter with the held-out works, with intervals and a p-value.

    Works and prompts are drawn again with replacement; a prompt is drawn with both its pictures.
    """
    import numpy as np

    dice = np.random.default_rng(seed)
    once = {name: _counts(len(matrix), rows)[None] for name, rows in vars(members).items()}
    point = _figures(matrix, once)
    drawn = {
        name: _resampled(len(matrix), rows, dice) for name, rows in vars(members).items() if name not in ("adapter",)
    }
    drawn["adapter"] = np.zeros_like(drawn["base"])
    drawn["adapter"][:, members.adapter] = drawn["base"][:, members.base]
    rounds = _figures(matrix, drawn)
    shown = {name: interval(point[name][0], rounds[name]) for name in ("floor", "result", "ceiling", "gain")}
    score = None
    if point["room"][0] > 0:
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = np.where(rounds["room"] > 0, rounds["gain"] / rounds["room"], np.sign(rounds["gain"]) * np.inf)
        score = interval(point["gain"][0] / point["room"][0], scores)
    return Comparison(**shown, score=score, p=_permutation_p(matrix, members, point["gain"][0], dice))


def energy(matrix: "np.ndarray", a: "np.ndarray", b: "np.ndarray") -> float:
    """The energy distance of the pictures at rows `a` and those at rows `b`."""
    n = len(matrix)
    return float(_energy(matrix, _counts(n, a)[None], _counts(n, b)[None])[0])


def spread_ratio(matrix: "np.ndarray", drawn: "np.ndarray", works: "np.ndarray", seed: int = 0) -> Interval:
    """The mean distance of two drawn pictures as a share of that of two works: 1 is right, near 0 is collapse."""
    import numpy as np

    dice, n = np.random.default_rng(seed), len(matrix)
    value = spread(matrix, _counts(n, drawn)) / max(spread(matrix, _counts(n, works)), 1e-12)
    rounds = _within(matrix, _resampled(n, drawn, dice)) / np.maximum(
        _within(matrix, _resampled(n, works, dice)), 1e-12
    )
    return interval(value, rounds)


def spread(matrix: "np.ndarray", counts: "np.ndarray") -> float:
    """The mean distance of two different pictures of a set, given how often each row counts; 0 for one picture."""
    return float(_within(matrix, counts[None])[0])


def vendi_score(matrix: "np.ndarray", rows: "np.ndarray") -> float:
    """How many different pictures a set amounts to, 1 .. n (Friedman and Dieng 2023).

    exp of the entropy of the eigenvalues of K / n, with K = exp(-d): d is in the painter's own units, so that two
    pictures as far apart as two of the painter's works are alike by 1/e.
    """
    import numpy as np

    if not len(rows):
        return 0.0
    kernel = np.exp(-matrix[np.ix_(rows, rows)]) / len(rows)
    eigenvalues = np.linalg.eigvalsh(kernel)
    kept = eigenvalues[eigenvalues > 1e-12]
    return float(np.exp(-(kept * np.log(kept)).sum()))


def mean_difference(first: Sequence[float], second: Sequence[float], seed: int = 0) -> Interval:
    """The mean of second - first over pairs, with a bootstrap over the pairs."""
    import numpy as np

    difference = np.asarray(second, dtype=float) - np.asarray(first, dtype=float)
    drawn = np.random.default_rng(seed).integers(0, len(difference), (ROUNDS, len(difference)))
    return interval(float(difference.mean()), difference[drawn].mean(1))


def interval(value: float, rounds: "np.ndarray") -> Interval:
    """The 95 % percentile interval of bootstrap rounds around a figure."""
    import numpy as np

    ends = ((1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2)
    low, high = (float(np.quantile(rounds, end, method="nearest")) for end in ends)
    return Interval(float(value), low if np.isfinite(low) else None, high if np.isfinite(high) else None)


def _figures(matrix: "np.ndarray", counts: "dict[str, np.ndarray]") -> "dict[str, np.ndarray]":
    floor, result, ceiling = (
        _energy(matrix, counts[name], counts["held_out"]) for name in ("base", "adapter", "train")
    )
    return {"floor": floor, "result": result, "ceiling": ceiling, "gain": floor - result, "room": floor - ceiling}


def _energy(matrix: "np.ndarray", a: "np.ndarray", b: "np.ndarray") -> "np.ndarray":
    """For each row of counts `a` and `b`, (rounds, n): their energy distance, (rounds,)."""
    between = ((a @ matrix) * b).sum(1) / (a.sum(1) * b.sum(1))
    return between - _within(matrix, a) / 2 - _within(matrix, b) / 2


def _within(matrix: "np.ndarray", counts: "np.ndarray") -> "np.ndarray":
    import numpy as np

    pairs = counts.sum(1) ** 2 - (counts**2).sum(1)  # a picture drawn twice is not a pair
    return ((counts @ matrix) * counts).sum(1) / np.maximum(pairs, 1)


def _counts(n: int, rows: "np.ndarray") -> "np.ndarray":
    import numpy as np

    counts = np.zeros(n)
    counts[rows] = 1
    return counts


def _resampled(n: int, rows: "np.ndarray", dice: "np.random.Generator") -> "np.ndarray":
    import numpy as np

    counts = np.zeros((ROUNDS, n))
    if len(rows):
        counts[:, rows] = dice.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), ROUNDS)
    return counts


def _permutation_p(matrix: "np.ndarray", members: Members, gain: float, dice: "np.random.Generator") -> float:
    """Base and adapter change places prompt by prompt, by the toss of a coin."""
    import numpy as np

    n, pairs = len(matrix), len(members.base)
    swapped = dice.integers(0, 2, (ROUNDS, pairs)).astype(bool)
    base, adapter = np.zeros((ROUNDS, n)), np.zeros((ROUNDS, n))
    base[:, members.base], base[:, members.adapter] = ~swapped, swapped
    adapter[:, members.base], adapter[:, members.adapter] = swapped, ~swapped
    held_out = np.repeat(_counts(n, members.held_out)[None], ROUNDS, 0)
    gains = _energy(matrix, base, held_out) - _energy(matrix, adapter, held_out)
    return float((1 + (gains >= gain - 1e-12).sum()) / (1 + ROUNDS))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 5)

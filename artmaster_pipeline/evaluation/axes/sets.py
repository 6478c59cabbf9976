"""Sets of pictures, compared through the matrix of distances between their pictures.

The distance of two sets is the energy distance E d(x,y) - E d(x,x')/2 - E d(y,y')/2 (Székely and Rizzo 2013) as a
U-statistic: x and x' are never of one cluster, that is, never one picture nor two pictures of one prompt, which are
nearer to each other than two independent pictures are. So it is unbiased, about 0 for two samples of one painter
however few they are, and may fall slightly below. With d = |f(x) - f(y)|^2 in the feature space of a kernel it is the
unbiased squared MMD (Gretton et al. 2012, lemma 6; Sejdinovic et al. 2013), that is, KID for KID's kernel.

One matrix serves everything: distances, their intervals over works and prompts (`intervals.py`), the permutation test,
the spread within a set, and its diversity.
"""

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.evaluation.axes.components import Component
from artmaster_pipeline.evaluation.intervals import Estimate, Interval, interval, labelled, ratio, rounded

if TYPE_CHECKING:
    import numpy as np

ROUNDS = 2000  # of the permutation test, where trying all permutations would be more
_ALL_PERMUTATIONS = 11  # prompts: 2^11 permutations are all tried


@dataclass(frozen=True)
class Members:
    """Which rows of the matrix are what. `base` and `adapter` are pairs: the same prompts and seeds, in one order.

    `prompts` says of each pair which prompt drew it; without it each pair has a prompt of its own. `captions` are the
    held-out works' own, in their order: a picture is not compared with the work whose caption asked for it, to which it
    is nearer than to works that it knows nothing of.
    """

    train: "np.ndarray"
    held_out: "np.ndarray"
    base: "np.ndarray"
    adapter: "np.ndarray"
    prompts: "tuple[str | int, ...]" = field(default=())
    captions: "tuple[str | int, ...]" = field(default=())

    @property
    def pairs_by_prompt(self) -> "np.ndarray":
        """Of each pair the number of its prompt, from 0 on."""
        return labelled(self.prompts or range(len(self.base)))

    def clusters(self, count: int) -> "np.ndarray":
        """Of each of the matrix's `count` rows its cluster: the prompt of a drawn picture, else the picture itself."""
        import numpy as np

        found = np.arange(count)
        found[self.base] = found[self.adapter] = count + self.pairs_by_prompt
        return found

    def strangers(self, count: int) -> "np.ndarray":
        """Which rows are compared across sets, (count, count): all but pictures with the works that asked for them.

        All, where there would be nothing else to compare with, since every work has the one prompt's caption.
        """
        import numpy as np

        found = np.ones((count, count))
        if not self.captions:
            return found
        prompts = np.array(self.prompts, dtype=object)
        other = (prompts[:, None] != np.array(self.captions, dtype=object)[None]).astype(float)
        if other.any():
            for rows in (self.base, self.adapter):
                found[np.ix_(rows, self.held_out)] = other
                found[np.ix_(self.held_out, rows)] = other.T
        return found


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
        return {key: value for part in (score, *figures, {"p": rounded(self.p)}) for key, value in part.items()}


def in_painters_units(components: "dict[Component, np.ndarray]", train: "np.ndarray") -> "dict[Component, np.ndarray]":
    """The components' matrices divided by the mean distance of two training works.

    In this unit, 1 is the painter's own variety, and components of one axis can be averaged.
    """
    scaled = {}
    for component, matrix in components.items():
        unit = spread(matrix, train)
        scaled[component] = matrix / unit if unit > 0 else matrix
    return scaled


def compare(matrix: "np.ndarray", members: Members, seed: int = 0) -> Comparison:
    """Compare base and adapter with the held-out works, with intervals and a p-value.

    What varies are the prompts, each with all its pictures of both, the held-out works and the training works.
    `seed` draws the permutations where there are too many to try all.
    """
    import numpy as np

    n, prompts = len(matrix), members.pairs_by_prompt
    pictures = _Pictures(matrix, members.clusters(n), members.strangers(n))
    whole = {name: _counts(n, getattr(members, name)) for name in ("train", "held_out", "base", "adapter")}
    point = _figures(pictures, {name: counts[None] for name, counts in whole.items()})
    left_out = {
        "prompts": [{"base": members.base[prompts == p], "adapter": members.adapter[prompts == p]}
                    for p in range(prompts.max() + 1)],
        "held_out": [{"held_out": np.array([row])} for row in members.held_out],
        "train": [{"train": np.array([row])} for row in members.train],
    }  # fmt: skip
    without = {name: _figures(pictures, _without(whole, gone)) for name, gone in left_out.items()}

    jointly = _jointly(pictures, members)

    def estimate(figure: str, *samples: str) -> Estimate:
        met = tuple(of[figure] for pair, of in jointly.items() if set(pair) <= set(samples))
        return Estimate(float(point[figure][0]), tuple(without[sample][figure] for sample in samples), met)

    everything = ("prompts", "held_out", "train")
    room = estimate("room", *everything)
    return Comparison(
        floor=interval(estimate("floor", "prompts", "held_out")),
        result=interval(estimate("result", "prompts", "held_out")),
        ceiling=interval(estimate("ceiling", "held_out", "train")),
        gain=interval(estimate("gain", "prompts", "held_out")),
        score=ratio(estimate("gain", *everything), room) if room.value > 0 else None,
        p=_permutation_p(pictures, members, float(point["gain"][0]), np.random.default_rng(seed)),
    )


def energy(matrix: "np.ndarray", a: "np.ndarray", b: "np.ndarray", clusters: "np.ndarray | None" = None) -> float:
    """The energy distance of the pictures at rows `a` and those at rows `b`.

    `clusters` (n,) names each row's cluster; without it no two pictures belong together.
    """
    n = len(matrix)
    pictures = _Pictures(matrix, _own(n) if clusters is None else clusters)
    return float(_energy(pictures, _counts(n, a)[None], _counts(n, b)[None])[0])


def spread_ratio(
    matrix: "np.ndarray", drawn: "np.ndarray", works: "np.ndarray", clusters: "np.ndarray | None" = None
) -> Interval:
    """The mean distance of two drawn pictures as a share of that of two works: 1 is right, near 0 is collapse.

    `clusters` (n,) names each row's cluster, so that pictures of one prompt are not compared with each other.
    """
    import numpy as np

    n = len(matrix)
    clusters = _own(n) if clusters is None else clusters
    pictures = _Pictures(matrix, clusters)

    def estimate(rows: "np.ndarray", place: int) -> Estimate:
        counts = _counts(n, rows)
        gone = [rows[clusters[rows] == cluster] for cluster in np.unique(clusters[rows])]
        left = _within(pictures, np.stack([counts - _counts(n, cluster) for cluster in gone]))
        value = float(_within(pictures, counts[None])[0])
        others = (drawn, works)[1 - place]
        same = np.full(len(np.unique(clusters[others])), value)  # the other set's pictures do not touch this figure
        return Estimate(value, (left, same) if place == 0 else (same, left))

    over, under = estimate(drawn, 0), estimate(works, 1)
    return ratio(over, under) if under.value > 0 else Interval(0.0, None, None)


def spread(matrix: "np.ndarray", rows: "np.ndarray") -> float:
    """The mean distance of two different pictures of a set; 0 for one picture."""
    n = len(matrix)
    return float(_within(_Pictures(matrix, _own(n)), _counts(n, rows)[None])[0])


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


class _Pictures:
    """The distances of all pictures, those within a set between different clusters, those between sets."""

    def __init__(self, matrix: "np.ndarray", clusters: "np.ndarray", strangers: "np.ndarray | None" = None) -> None:
        self.matrix = matrix
        self.strangers = strangers
        self.across = matrix if strangers is None else matrix * strangers
        self.apart = (clusters[:, None] != clusters[None]).astype(float)
        self.between_clusters = matrix * self.apart


def _figures(pictures: _Pictures, counts: "dict[str, np.ndarray]") -> "dict[str, np.ndarray]":
    floor, result, ceiling = (
        _energy(pictures, counts[name], counts["held_out"]) for name in ("base", "adapter", "train")
    )
    return {"floor": floor, "result": result, "ceiling": ceiling, "gain": floor - result, "room": floor - ceiling}


def _energy(pictures: _Pictures, a: "np.ndarray", b: "np.ndarray") -> "np.ndarray":
    """For each row of counts `a` and `b`, (rounds, n): their energy distance, (rounds,)."""
    pairs = a.sum(1) * b.sum(1) if pictures.strangers is None else (a @ pictures.strangers * b).sum(1)
    between = ((a @ pictures.across) * b).sum(1) / pairs.clip(1)
    return between - _within(pictures, a) / 2 - _within(pictures, b) / 2


def _within(pictures: _Pictures, counts: "np.ndarray") -> "np.ndarray":
    """For each row of counts (rounds, n), the mean distance of two pictures of different clusters, (rounds,).

    Where all are of one cluster, pictures of that cluster have to do.
    """
    import numpy as np

    pairs = ((counts @ pictures.apart) * counts).sum(1)
    apart = ((counts @ pictures.between_clusters) * counts).sum(1) / np.maximum(pairs, 1)
    every = counts.sum(1) ** 2 - (counts**2).sum(1)
    together = ((counts @ pictures.matrix) * counts).sum(1) / np.maximum(every, 1)
    return np.where(pairs > 0, apart, together)


def _own(n: int) -> "np.ndarray":
    import numpy as np

    return np.arange(n)


def _counts(n: int, rows: "np.ndarray") -> "np.ndarray":
    import numpy as np

    counts = np.zeros(n)
    counts[rows] = 1
    return counts


def _without(whole: "dict[str, np.ndarray]", gone: "list[dict[str, np.ndarray]]") -> "dict[str, np.ndarray]":
    """The sets' counts, a round for each cluster that is left out: by set (clusters, n)."""
    import numpy as np

    found = {name: np.repeat(counts[None], len(gone), 0) for name, counts in whole.items()}
    for place, sets in enumerate(gone):
        for name, rows in sets.items():
            found[name][place, rows] = 0
    return found


def _jointly(pictures: _Pictures, members: Members) -> "dict[tuple[str, str], dict[str, np.ndarray]]":
    """What leaving out a cluster of each of two samples does beyond leaving out either, by figure.

    Two samples meet only in the mean distance between them, so that is all it takes.
    """
    import numpy as np

    prompts, works = members.pairs_by_prompt, members.held_out
    of_prompt = (prompts[None] == np.arange(prompts.max() + 1)[:, None]).astype(float)
    every = np.eye(len(members.train))
    base, adapter, train = (
        _beyond(of @ pictures.across[np.ix_(rows, works)], of @ _compared(pictures)[np.ix_(rows, works)])
        for of, rows in ((of_prompt, members.base), (of_prompt, members.adapter), (every, members.train))
    )
    no_prompt, no_train = np.zeros_like(base), np.zeros_like(train)
    of_pictures = {"floor": base, "result": adapter, "ceiling": no_prompt, "gain": base - adapter, "room": base}
    of_works = dict.fromkeys(("floor", "result", "gain"), no_train) | {"ceiling": train, "room": -train}
    return {("prompts", "held_out"): of_pictures, ("train", "held_out"): of_works}


def _compared(pictures: _Pictures) -> "np.ndarray":
    import numpy as np

    return np.ones_like(pictures.matrix) if pictures.strangers is None else pictures.strangers


def _beyond(sums: "np.ndarray", pairs: "np.ndarray") -> "np.ndarray":
    """Of a mean of distances, given their sums and numbers (clusters, works), what `_jointly` says."""
    import numpy as np

    if min(sums.shape) < 2:
        return np.zeros_like(sums)

    def left(of: "np.ndarray") -> "list[np.ndarray]":
        """Without a cluster of each, without one of the first, without one of the second, whole."""
        rows, columns, total = of.sum(1, keepdims=True), of.sum(0, keepdims=True), of.sum(keepdims=True)
        return [total - rows - columns + of, total - rows, total - columns, total]

    means = [a / b.clip(1) for a, b in zip(left(sums), left(pairs), strict=True)]
    return np.where(left(pairs)[0] > 0, means[0] - means[1] - means[2] + means[3], 0.0)


def _permutation_p(pictures: _Pictures, members: Members, gain: float, dice: "np.random.Generator") -> float:
    """Base and adapter change places prompt by prompt, with all pictures of a prompt.

    All permutations are tried where they are few, so that with 4 prompts p cannot fall below 1/16; else ROUNDS are
    drawn by the toss of a coin for each prompt.
    """
    import numpy as np

    n, prompts = len(pictures.matrix), members.pairs_by_prompt
    count = int(prompts.max()) + 1
    exact = count <= _ALL_PERMUTATIONS
    tossed = (
        np.array(list(itertools.product((False, True), repeat=count)))
        if exact
        else dice.integers(0, 2, (ROUNDS, count)).astype(bool)
    )
    swapped = tossed[:, prompts]
    base, adapter = np.zeros((len(swapped), n)), np.zeros((len(swapped), n))
    base[:, members.base], base[:, members.adapter] = ~swapped, swapped
    adapter[:, members.base], adapter[:, members.adapter] = swapped, ~swapped
    held_out = np.repeat(_counts(n, members.held_out)[None], len(swapped), 0)
    gains = _energy(pictures, base, held_out) - _energy(pictures, adapter, held_out)
    as_large = int((gains >= gain - 1e-12).sum())
    return float(as_large / len(gains) if exact else (1 + as_large) / (1 + len(gains)))

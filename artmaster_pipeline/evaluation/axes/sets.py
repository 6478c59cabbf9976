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

Cluster = dict[str, "np.ndarray"]  # what is drawn as one: rows by the set that they are in
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

    def samples(self) -> "tuple[list[Cluster], ...]":
        """What varies beside the training works, as samples of clusters: of each, the rows of the sets that it is in.

        With captions: the held-out works with the pictures that they asked for, drawn together; then works without
        pictures and pictures of other prompts, where there are two or more. Without: prompts, and held-out works.
        """
        import numpy as np

        prompts: list[object] = list(self.prompts) or list(range(len(self.base)))
        captions: list[object] = list(self.captions) or [object() for _ in self.held_out]
        kinds: dict[str, list[Cluster]] = {"both": [], "prompts": [], "works": []}
        for name in dict.fromkeys([*prompts, *captions]):
            drawn, works = (np.array([each == name for each in of], dtype=bool) for of in (prompts, captions))
            cluster = {"base": self.base[drawn], "adapter": self.adapter[drawn], "held_out": self.held_out[works]}
            kind = "both" if drawn.any() and works.any() else "prompts" if drawn.any() else "works"
            kinds[kind].append({key: rows for key, rows in cluster.items() if len(rows)})
        if self.captions:
            for kind in ("prompts", "works"):
                if len(kinds["both"]) > 1 and len(kinds[kind]) == 1:  # alone it would have no variance
                    kinds["both"] += kinds.pop(kind)
        return tuple(clusters for clusters in kinds.values() if clusters)

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

    What varies are the held-out works, each with its caption's pictures of base and adapter, and the training works;
    without `members.captions` prompts and held-out works vary each by itself. `seed` draws the permutations where there
    are too many to try all.
    """
    import numpy as np

    n = len(matrix)
    pictures = _Pictures(matrix, members.clusters(n), members.strangers(n))
    whole = {name: _counts(n, getattr(members, name)) for name in ("train", "held_out", "base", "adapter")}
    point = _figures(pictures, {name: counts[None] for name, counts in whole.items()})
    samples = members.samples()
    training: list[Cluster] = [{"train": np.array([row])} for row in members.train]
    left_out = [_figures(pictures, _without(whole, clusters)) for clusters in (*samples, training)]

    def second_order(one: "list[Cluster]", other: "list[Cluster]") -> "dict[str, np.ndarray]":
        return _jointly(pictures, whole, (one, other), point)

    among = [] if members.captions else [second_order(*samples)]  # a work and its prompt are one draw
    beside = [second_order(sample, training) for sample in samples if "held_out" in sample[0]]

    def estimate(figure: str, *, trained: bool) -> Estimate:
        """With what the training works add to its variance, or without."""
        without = left_out if trained else left_out[:-1]
        met = (*among, *beside) if trained else tuple(among)
        return Estimate(float(point[figure][0]), tuple(of[figure] for of in without), tuple(of[figure] for of in met))

    room = estimate("room", trained=True)
    return Comparison(
        floor=interval(estimate("floor", trained=False)),
        result=interval(estimate("result", trained=False)),
        ceiling=interval(estimate("ceiling", trained=True)),
        gain=interval(estimate("gain", trained=False)),
        score=ratio(estimate("gain", trained=True), room) if room.value > 0 else None,
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
    """For each row of counts `a` and `b`, (rounds, n): their energy distance, (rounds,); NaN where nothing is left."""
    import numpy as np

    pairs = a.sum(1) * b.sum(1) if pictures.strangers is None else (a @ pictures.strangers * b).sum(1)
    between = np.where(pairs > 0, ((a @ pictures.across) * b).sum(1) / pairs.clip(1), np.nan)
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


def _without(whole: "dict[str, np.ndarray]", gone: "list[Cluster]") -> "dict[str, np.ndarray]":
    """The sets' counts, a round for each cluster that is left out: by set (clusters, n)."""
    import numpy as np

    found = {name: np.repeat(counts[None], len(gone), 0) for name, counts in whole.items()}
    for place, sets in enumerate(gone):
        for name, rows in sets.items():
            found[name][place, rows] = 0
    return found


def _jointly(
    pictures: _Pictures,
    whole: "dict[str, np.ndarray]",
    samples: "tuple[list[Cluster], list[Cluster]]",
    point: "dict[str, np.ndarray]",
) -> "dict[str, np.ndarray]":
    """What leaving out a cluster of each sample does beyond leaving out either, by figure (one, other)."""
    import numpy as np

    first, second = samples
    alone = _figures(pictures, _without(whole, first)), _figures(pictures, _without(whole, second))
    both = []
    for place in range(len(first)):
        rest = {name: counts[0] for name, counts in _without(whole, first[place : place + 1]).items()}
        both.append(_figures(pictures, _without(rest, second)))
    return {
        name: np.stack([of[name] for of in both]) - alone[0][name][:, None] - alone[1][name][None] + point[name]
        for name in point
    }


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

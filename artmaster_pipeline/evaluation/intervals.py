"""What chance leaves open of a figure: the jackknife over clusters, with Student's t.

Pictures that repeat a prompt are no independent witnesses, so the unit of chance is the cluster: all pictures of one
prompt, with the work whose caption it is. Each cluster is left out once, and the figures without it tell how much hangs
on it (Tukey 1958; Arvesen 1969, "Jackknifing U-statistics", https://doi.org/10.1214/aoms/1177697287). Where two samples
vary, such as held-out works and training works, their variances add up, less that of what they do together, which both
contain (the two-way random-effects analysis of variance, Searle, Casella and McCulloch 1992; Cameron, Gelbach and
Miller 2011 for clusters). With few clusters the deviation is measured in few, so the bounds are Student's t and not the
normal's, with the degrees of freedom of Satterthwaite (1946). For a mean over clusters of one size this is the t
interval.

Why no percentiles of a bootstrap: a mean drawn again never leaves the range of its clusters, and the range of four
independent values holds their median 1 - 2 / 2^4 = 87.5 % of the time; no percentile, accelerated (BCa) or expanded,
can hold it in 95 %. `benchmarks/evaluation/coverage.py` has the coverage of these beside the one used here.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval; an end is None where there is no bound, as with a single cluster."""

    value: float
    low: float | None
    high: float | None

    def named(self, name: str) -> dict[str, Any]:
        """The figure as `name` and its interval as `name`_interval, rounded to five digits."""
        return {name: rounded(self.value), f"{name}_interval": [rounded(self.low), rounded(self.high)]}


@dataclass(frozen=True)
class Estimate:
    """A figure, and what it is without each cluster, for every sample that varies (prompts, works).

    `jointly` holds, for every two samples that meet in the figure, what leaving out one cluster of each does beyond
    leaving out either: figure without both - without the first - without the second + figure.
    """

    value: float
    without: "tuple[np.ndarray, ...]"  # of each sample (clusters,)
    jointly: "tuple[np.ndarray, ...]" = ()  # of each two samples (clusters of one, clusters of the other)

    def minus(self, other: "Estimate", share: float = 1.0) -> "Estimate":
        """This figure less a share of another one of the same pictures."""
        without = zip(self.without, other.without, strict=True)
        jointly = zip(self.jointly, other.jointly, strict=True)
        return Estimate(
            self.value - share * other.value,
            tuple(a - share * b for a, b in without),
            tuple(a - share * b for a, b in jointly),
        )

    @property
    def known(self) -> bool:
        """Whether each sample has the clusters that are needed to see it vary, and there is a figure without each."""
        import numpy as np

        enough = all(len(without) > 1 for without in self.without)
        return enough and all(bool(np.isfinite(each).all()) for each in (*self.without, *self.jointly))


def interval(estimate: Estimate) -> Interval:
    """The 95 % interval of a figure; without bounds where a sample has fewer than two clusters."""
    if not estimate.known:
        return Interval(estimate.value, None, None)
    share = _shared(estimate)
    reach = _quantile(estimate, share) * max(0.0, _covariance(estimate, estimate, share)) ** 0.5
    return Interval(estimate.value, estimate.value - reach, estimate.value + reach)


def ratio(numerator: Estimate, denominator: Estimate) -> Interval:
    """The ratio of two figures of the same pictures with its 95 % interval by Fieller (1954); the lower must not be 0.

    It holds every ratio s for which numerator - s * denominator may be zero. Where the denominator itself may be zero
    the set has no end on one side or on both: of its two branches the one with the measured ratio is given.
    """
    from math import sqrt

    value = numerator.value / denominator.value
    nothing_known = Interval(value, None, None)
    if not numerator.known:
        return nothing_known
    difference = numerator.minus(denominator, value)
    share = _shared(difference)
    above, both, below = (
        _covariance(one, other, share)
        for one, other in ((numerator, numerator), (numerator, denominator), (denominator, denominator))
    )
    t2 = _quantile(difference, share) ** 2
    # (n - s d)^2 <= t^2 var(n - s d), as a s^2 - 2 b s + c <= 0
    a = denominator.value**2 - t2 * below
    b = numerator.value * denominator.value - t2 * both
    c = numerator.value**2 - t2 * above
    root = b * b - a * c
    if a == 0 or root < 0:  # nothing, or not even the sign, is known of the denominator
        return nothing_known
    low, high = sorted(((b - sqrt(root)) / a, (b + sqrt(root)) / a))
    if a > 0:
        return Interval(value, low, high)
    return Interval(value, high, None) if value >= high else Interval(value, None, low)


def mean(values: Sequence[float], clusters: Sequence[Hashable]) -> Interval:
    """The mean of values, every one counting the same, with its interval over the clusters that they belong to."""
    import numpy as np

    numbers = np.asarray(values, dtype=float)
    labels = labelled(clusters)
    sums, counts = np.bincount(labels, numbers), np.bincount(labels)
    if len(sums) < 2:
        return Interval(float(numbers.mean()), None, None)
    without = (sums.sum() - sums) / (counts.sum() - counts)
    return interval(Estimate(float(numbers.mean()), (without,)))


def labelled(clusters: Sequence[Hashable]) -> "np.ndarray":
    """The clusters as numbers from 0 on, in the order of their first occurrence."""
    import numpy as np

    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(cluster, len(known)) for cluster in clusters], dtype=int)


def rounded(value: float | None) -> float | None:
    """A figure to five digits, as the records hold it."""
    return None if value is None else round(float(value), 5)


def _covariance(one: Estimate, other: Estimate, share: float) -> float:
    """The jackknife's covariance of two figures of the same pictures, less a share of what two samples do together."""
    alone = sum(_part(a, b) for a, b in zip(one.without, other.without, strict=True))
    return alone - share * sum(_joint(a, b) for a, b in zip(one.jointly, other.jointly, strict=True))


def _part(a: "np.ndarray", b: "np.ndarray") -> float:
    clusters = len(a)
    return float((clusters - 1) / clusters * ((a - a.mean()) * (b - b.mean())).sum())


def _joint(a: "np.ndarray", b: "np.ndarray") -> float:
    """The covariance of what two samples do together, from the doubly centred effects of leaving out one of each."""
    rows, columns = a.shape
    return float((rows - 1) * (columns - 1) / (rows * columns) * (_centred(a) * _centred(b)).sum())


def _centred(effects: "np.ndarray") -> "np.ndarray":
    return effects - effects.mean(0) - effects.mean(1)[:, None] + effects.mean()


def _shared(estimate: Estimate) -> float:
    """How much of what samples do together may be taken off: all of it, or so much that the largest sample's is left.

    Measured in few clusters, it may come out larger than a sample's variance, which contains it.
    """
    joint = sum(_joint(each, each) for each in estimate.jointly)
    parts = [_part(each, each) for each in estimate.without]
    return min(1.0, (sum(parts) - max(parts)) / joint) if joint > 0 else 0.0


def _quantile(estimate: Estimate, share: float) -> float:
    """Student's t for a figure whose variance is a sum: Satterthwaite's degrees of freedom."""
    from scipy.stats import t

    parts = [(_part(each, each), len(each) - 1) for each in estimate.without]
    parts += [(share * _joint(each, each), (each.shape[0] - 1) * (each.shape[1] - 1)) for each in estimate.jointly]
    spread = sum(part**2 / freedom for part, freedom in parts)
    total = _covariance(estimate, estimate, share)
    freedom = total**2 / spread if spread > 0 else min(freedom for _, freedom in parts)
    fewest = min(len(each) - 1 for each in estimate.without)  # a sum is measured no worse than its worst part
    return float(t.ppf((1 + CONFIDENCE) / 2, max(freedom, fewest)))

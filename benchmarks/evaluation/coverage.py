"""Do intervals that say 95 % hold the truth in 95 % of all evaluations? Simulated, where the truth is known.

    python benchmarks/evaluation/coverage.py [--home HOME --painter PAINTER]

Three worlds: a mean over pictures that vary by prompt (standard deviation 1) and by seed (0.5), as a loss of adherence;
sets of points, prompts and seeds of these deviations in eight dimensions, compared as the panel compares sets, so that
gain, floor and score are the real statistics; and, with `--home`, the distances between an evaluated adapter's own
pictures, from which works, with pictures of their captions, are drawn as from a population. Beside the product's
interval stand those it could have used. With r repetitions the simulation's own error is sqrt(0.95 * 0.05 / r):
0.2 % at 10,000 (the mean), 0.4 % at 2,500 (the sets).
"""

import argparse
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.stats import norm, t

from artmaster_pipeline.evaluation import intervals
from artmaster_pipeline.evaluation.axes import sets

PROMPT_SD, SEED_SD = 1.0, 0.5
DESIGNS = ((10, 2), (8, 3), (4, 6))  # prompts, pictures of each
DIMENSIONS = 8
ROUNDS = 1000  # of the bootstraps that are shown for comparison

Ends = tuple[float | None, float | None]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=10_000)
    parser.add_argument("--repetitions-of-sets", type=int, default=2_500)
    parser.add_argument("--home", type=Path, help="a data home with an evaluated adapter")
    parser.add_argument("--painter")
    asked = parser.parse_args()
    print("| a mean over pictures | " + " | ".join(f"{prompts} x {seeds}" for prompts, seeds in DESIGNS) + " |")
    print("|---|" + "---|" * len(DESIGNS))
    for name, method in METHODS.items():
        found = [mean_coverage(method, *design, asked.repetitions) for design in DESIGNS]
        print(f"| {name} | " + " | ".join(f"{100 * share:.1f} %" for share in found) + " |", flush=True)
    for title, world in _worlds(asked.home, asked.painter):
        print(f"\n| {title} | figure | " + " | ".join(f"{prompts} x {seeds}" for prompts, seeds in DESIGNS) + " |")
        print("|---|---|" + "---|" * len(DESIGNS))
        columns = [sets_coverage(world, *design, asked.repetitions_of_sets) for design in DESIGNS]
        for figure in columns[0]:
            print(f"| | {figure} | " + " | ".join(f"{100 * of[figure]:.1f} %" for of in columns) + " |", flush=True)


# A mean over pictures


def mean_coverage(method: Callable[..., Ends], prompts: int, seeds: int, repetitions: int) -> float:
    """How often the interval of `method` holds the true mean, which is 0."""
    dice = np.random.default_rng(0)
    clusters = np.repeat(np.arange(prompts), seeds)
    hit = 0
    for _ in range(repetitions):
        values = dice.normal(0, PROMPT_SD, prompts)[clusters] + dice.normal(0, SEED_SD, len(clusters))
        hit += _holds(method(values, clusters, dice), 0.0)
    return hit / repetitions


def the_products(values: np.ndarray, clusters: np.ndarray, _: np.random.Generator) -> Ends:
    """The jackknife over prompts with Student's t."""
    found = intervals.mean(values, clusters.tolist())
    return found.low, found.high


def over_pictures(values: np.ndarray, _: np.ndarray, dice: np.random.Generator) -> Ends:
    """Percentiles of a bootstrap that draws pictures again."""
    return _percentiles(values[dice.integers(0, len(values), (ROUNDS, len(values)))].mean(1), 0.025)


def over_prompts(values: np.ndarray, clusters: np.ndarray, dice: np.random.Generator) -> Ends:
    """Percentiles of a bootstrap that draws prompts again."""
    return _percentiles(_prompts_drawn(values, clusters, dice), 0.025)


def expanded(values: np.ndarray, clusters: np.ndarray, dice: np.random.Generator) -> Ends:
    """The same at the levels of Hesterberg 2015 for few observations."""
    n = clusters.max() + 1
    return _percentiles(_prompts_drawn(values, clusters, dice), norm.cdf(-np.sqrt(n / (n - 1)) * t.ppf(0.975, n - 1)))


METHODS: dict[str, Callable[..., Ends]] = {
    "bootstrap over pictures, percentiles (as it was)": over_pictures,
    "bootstrap over prompts, percentiles": over_prompts,
    "bootstrap over prompts, expanded percentiles (Hesterberg 2015)": expanded,
    "**jackknife over prompts, Student's t (the product)**": the_products,
}


def _prompts_drawn(values: np.ndarray, clusters: np.ndarray, dice: np.random.Generator) -> np.ndarray:
    means = np.bincount(clusters, values) / np.bincount(clusters)
    return means[dice.integers(0, len(means), (ROUNDS, len(means)))].mean(1)


def _percentiles(rounds: np.ndarray, below: float) -> Ends:
    low, high = np.quantile(rounds, (below, 1 - below))
    return float(low), float(high)


def _holds(ends: Ends, truth: float) -> bool:
    low, high = ends
    return (low is None or low <= truth) and (high is None or truth <= high)


# Sets of pictures


class Points:
    """Works and pictures as points: works around 0, drawn pictures around a centre for each column.

    With `own` the prompts are captions of the held-out works: half of a prompt's variance is that of its work.
    """

    def __init__(self, base: float, adapter: float, own: bool = False) -> None:
        self._centres, self._own = (base, adapter), own
        self.truth = self._truth()

    def draw(self, prompts: int, seeds: int, dice: np.random.Generator) -> tuple[np.ndarray, sets.Members]:
        """A matrix of distances between 30 training works, as many held-out works as prompts, base and adapter."""
        train, held_out = self._works(30, dice), self._works(prompts, dice)
        points = [train, held_out, *self._columns(prompts, seeds, dice, held_out)]
        ends = np.cumsum([0, *(len(part) for part in points)])
        rows = [np.arange(a, b) for a, b in itertools.pairwise(ends)]
        captions = tuple(range(prompts)) if self._own else ()
        members = sets.Members(*rows, tuple(np.repeat(np.arange(prompts), seeds).tolist()), captions)
        return _distances(np.concatenate(points)), members

    def _works(self, count: int, dice: np.random.Generator) -> np.ndarray:
        return dice.normal(0, np.hypot(PROMPT_SD, SEED_SD), (count, DIMENSIONS))

    def _columns(self, prompts: int, seeds: int, dice: np.random.Generator, works: np.ndarray) -> list[np.ndarray]:
        """Base and adapter, which share half of what a prompt does to a picture."""
        shared = dice.normal(0, PROMPT_SD * np.sqrt(0.5), (prompts, DIMENSIONS))
        if self._own:
            shared = works / np.hypot(PROMPT_SD, SEED_SD) * PROMPT_SD * np.sqrt(0.5)
        found = []
        for centre in self._centres:
            effect = shared + dice.normal(0, PROMPT_SD * np.sqrt(0.5), (prompts, DIMENSIONS))
            noise = dice.normal(0, SEED_SD, (prompts * seeds, DIMENSIONS))
            found.append(np.repeat(effect, seeds, 0) + noise + centre / np.sqrt(DIMENSIONS))
        return found

    def _truth(self) -> dict[str, float]:
        """By drawing pairs: all sets have one covariance, so that only the distance between sets differs."""
        dice = np.random.default_rng(1)
        apart = dice.normal(0, np.sqrt(2) * np.hypot(PROMPT_SD, SEED_SD), (2_000_000, DIMENSIONS))
        within = float(np.linalg.norm(apart, axis=1).mean())
        away = [float(np.linalg.norm(apart + c / np.sqrt(DIMENSIONS), axis=1).mean()) - within for c in self._centres]
        return {"floor": away[0], "result": away[1], "gain": away[0] - away[1], "score": 1 - away[1] / away[0]}


class Population:
    """The pictures of an evaluated adapter on one axis, of which works with their prompt's pictures are drawn again."""

    def __init__(self, matrix: np.ndarray, members: sets.Members) -> None:
        self._matrix, self._members = matrix, members
        self.truth = self._truth()

    def draw(self, prompts: int, seeds: int, dice: np.random.Generator) -> tuple[np.ndarray, sets.Members]:
        """The distances of a sample: 30 training works, held-out works, pictures of their captions by both."""
        drawn, captions = np.array(self._members.prompts), np.array(self._members.captions)
        works = dice.integers(0, len(captions), prompts)
        pairs = np.concatenate([dice.choice(np.flatnonzero(drawn == captions[work]), seeds) for work in works])
        parts = [dice.choice(self._members.train, 30), self._members.held_out[works]]
        parts += [self._members.base[pairs], self._members.adapter[pairs]]
        rows = np.concatenate(parts)
        ends = np.cumsum([0, *(len(part) for part in parts)])
        places = [np.arange(a, b) for a, b in itertools.pairwise(ends)]
        members = sets.Members(*places, tuple(np.repeat(np.arange(prompts), seeds).tolist()), tuple(range(prompts)))
        return self._matrix[np.ix_(rows, rows)], members

    def _truth(self) -> dict[str, float]:
        """Every pair of two draws with its probability; the same picture may be drawn twice."""

        def mean(a: np.ndarray, b: np.ndarray) -> float:
            return float(self._matrix[np.ix_(a, b)].mean())

        held_out = self._members.held_out
        away = {
            name: mean(rows, held_out) - mean(rows, rows) / 2 - mean(held_out, held_out) / 2
            for name, rows in vars(self._members).items()
            if name in ("train", "base", "adapter")
        }
        gain, room = away["base"] - away["adapter"], away["base"] - away["train"]
        return {"floor": away["base"], "result": away["adapter"], "gain": gain, "score": gain / room}


def sets_coverage(world: Points | Population, prompts: int, seeds: int, repetitions: int) -> dict[str, float]:
    """How often the panel's intervals hold the truth (no score holds it), and how often p is below 0.05, by figure."""
    dice = np.random.default_rng(2)
    hits: dict[str, list[bool]] = {name: [] for name in (*world.truth, "p below 0.05")}
    for _ in range(repetitions):
        found = sets.compare(*world.draw(prompts, seeds, dice))
        for name, truth in world.truth.items():
            figure = getattr(found, name)
            hits[name].append(figure is None or _holds((figure.low, figure.high), truth))
        hits["p below 0.05"].append(found.p < 0.05)
    return {name: float(np.mean(held)) for name, held in hits.items()}


def _worlds(home: Path | None, painter: str | None) -> list[tuple[str, Points | Population]]:
    worlds: list[tuple[str, Points | Population]] = [
        ("points: base at 2, adapter at 1", Points(2.0, 1.0)),
        ("points: the same, prompts that follow the held-out works", Points(2.0, 1.0, own=True)),
        ("points: base and adapter both at 1.5, prompts that follow the works", Points(1.5, 1.5, own=True)),
    ]
    if home and painter:
        worlds += [(f"{painter}: {axis}", Population(*of)) for axis, of in _measured(home, painter).items()]
    return worlds


def _measured(home_folder: Path, painter: str) -> dict[str, tuple[np.ndarray, sets.Members]]:
    """By axis the distances between the pictures of the painter's current adapter, and which is which."""
    from artmaster_pipeline.adapters import find_adapter
    from artmaster_pipeline.evaluation.axes.distances import pairwise_distances
    from artmaster_pipeline.evaluation.evaluate import works_of
    from artmaster_pipeline.evaluation.panel.measure import gather_pictures, one_per_work
    from artmaster_pipeline.records import MANIFEST, Sample, read_manifest
    from artmaster_pipeline.settings import Home, load_profile

    home, profile = Home(home_folder.resolve()), load_profile("miniature")
    adapter = find_adapter(home, painter, profile)
    images, samples = works_of(home, adapter), read_manifest(home.evaluation(painter) / adapter.id / MANIFEST, Sample)
    samples = sorted(samples, key=lambda s: (s.column, s.seed))  # pairs in one order
    works = {part: one_per_work(image for image in images if image.split == part) for part in ("train", "held_out")}
    pictures = gather_pictures(home, painter, works, {}, samples)
    found = pairwise_distances(
        home, profile, pictures.paths, pictures.members.train, works=pictures.works, revision=adapter.base_revision
    )
    return {axis: (matrix, pictures.members) for axis, matrix in found.axes.items()}


def _distances(points: np.ndarray) -> np.ndarray:
    squares = (points**2).sum(1)
    return np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * points @ points.T, 0))


if __name__ == "__main__":
    main()

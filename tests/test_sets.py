"""Sets of pictures compared through their distances: unbiased, paired, with intervals that mean what they say."""

import numpy as np
import pytest

from artmaster_pipeline.evaluation.axes import sets
from artmaster_pipeline.evaluation.axes.components import Component


def matrix_of(*groups: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Distances between all points of the groups, and the rows of each."""
    points = np.concatenate(groups)
    ends = np.cumsum([len(group) for group in groups])
    rows = [np.arange(end - len(group), end) for group, end in zip(groups, ends, strict=True)]
    return np.linalg.norm(points[:, None] - points[None], axis=-1), rows


def cloud(seed: int, count: int, centre: float = 0.0, spread: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(centre, spread, (count, 4))


def compared(base: float, adapter: float, count: int = 20) -> sets.Comparison:
    """Train and held-out works around 0, the base and the adapter around other places."""
    matrix, rows = matrix_of(cloud(0, 40), cloud(1, 15), cloud(2, count, base), cloud(3, count, adapter))
    return sets.compare(matrix, sets.Members(*rows))


def test_two_samples_of_one_hand_are_at_no_distance_however_few() -> None:
    found = []
    for seed in range(200):
        matrix, (a, b) = matrix_of(cloud(2 * seed, 4), cloud(2 * seed + 1, 4))
        found.append(sets.energy(matrix, a, b))
    standard_error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found)) < 3 * standard_error


def test_a_shift_is_seen_and_a_larger_one_is_farther() -> None:
    matrix, (a, near, far) = matrix_of(cloud(0, 30), cloud(1, 30, 1.0), cloud(2, 30, 3.0))
    assert 0 < sets.energy(matrix, a, near) < sets.energy(matrix, a, far)


def test_squared_distances_give_the_distance_of_the_means() -> None:
    a, b = cloud(0, 4000), cloud(1, 4000, 0.5)
    matrix, (first, second) = matrix_of(a[:800], b[:800])
    expected = ((a[:800].mean(0) - b[:800].mean(0)) ** 2).sum()
    assert sets.energy(matrix**2, first, second) == pytest.approx(expected, abs=0.02)


def test_the_score_is_one_at_the_painters_own_works_and_zero_at_the_base() -> None:
    own = compared(base=3.0, adapter=0.0)
    nothing = compared(base=3.0, adapter=3.0)
    half = compared(base=3.0, adapter=1.5)
    assert own.score is not None
    assert own.score.value == pytest.approx(1, abs=0.1)
    assert nothing.score is not None
    assert nothing.score.value == pytest.approx(0, abs=0.1)
    assert half.score is not None
    assert 0.3 < half.score.value < 0.95


def test_a_gain_excludes_zero_only_where_there_is_one() -> None:
    gained, none, lost = compared(3.0, 1.0), compared(3.0, 3.0), compared(1.0, 3.0)
    assert gained.gain.low is not None
    assert gained.gain.low > 0
    assert gained.p < 0.01
    assert none.gain.low is not None
    assert none.gain.high is not None
    assert none.gain.low < 0 < none.gain.high
    assert none.p > 0.05
    assert lost.gain.high is not None
    assert lost.gain.high < 0
    assert lost.p > 0.9


def test_fewer_works_and_prompts_widen_the_interval() -> None:
    def width(comparison: sets.Comparison) -> float:
        assert comparison.gain.low is not None
        assert comparison.gain.high is not None
        return comparison.gain.high - comparison.gain.low

    assert width(compared(2.0, 1.0, count=5)) > 1.3 * width(compared(2.0, 1.0, count=40))


def test_where_the_base_is_already_as_near_as_own_works_there_is_no_score() -> None:
    matrix, rows = matrix_of(cloud(0, 40, 1.0), cloud(1, 15), cloud(2, 20), cloud(3, 20))
    comparison = sets.compare(matrix, sets.Members(*rows))
    assert comparison.score is None
    assert comparison.as_json()["score"] is None


def test_the_permutation_test_is_calm_where_base_and_adapter_are_the_same() -> None:
    p_values = []
    for seed in range(60):
        groups = (
            cloud(4 * seed + 9, 20),
            cloud(4 * seed + 10, 8),
            cloud(4 * seed + 11, 8, 2.0),
            cloud(4 * seed + 12, 8, 2.0),
        )
        matrix, rows = matrix_of(*groups)
        p_values.append(sets.compare(matrix, sets.Members(*rows)).p)
    assert 0.3 < np.mean(p_values) < 0.7
    assert np.mean(np.array(p_values) < 0.05) < 0.2


def test_the_same_figures_come_again() -> None:
    assert compared(3.0, 1.0) == compared(3.0, 1.0)


def test_in_the_painters_units_two_works_are_one_apart_on_average() -> None:
    component = Component("c", "tone", "", "", lambda values, painter: values)
    matrix, (train, _) = matrix_of(cloud(0, 30, spread=7.0), cloud(1, 5, 50.0))
    scaled = sets.in_painters_units({component: matrix}, train)[component]
    assert sets.spread(scaled, train) == pytest.approx(1)


def test_collapse_and_unsteadiness_are_told_from_the_works_own_variety() -> None:
    matrix, (works, alike, wild) = matrix_of(cloud(0, 40), cloud(1, 20, spread=0.1), cloud(2, 20, spread=3.0))
    assert sets.spread_ratio(matrix, alike, works).value == pytest.approx(0.1, abs=0.05)
    assert sets.spread_ratio(matrix, wild, works).value > 2
    assert sets.spread_ratio(matrix, works, works).value == pytest.approx(1)


def test_the_vendi_score_counts_different_pictures() -> None:
    same = np.zeros((10, 10))
    apart = 1000 * (1 - np.eye(10))
    pairs = 1000.0 * (np.arange(10)[:, None] // 2 != np.arange(10)[None] // 2)
    rows = np.arange(10)
    assert sets.vendi_score(same, rows) == pytest.approx(1)
    assert sets.vendi_score(apart, rows) == pytest.approx(10)
    assert sets.vendi_score(pairs, rows) == pytest.approx(5)

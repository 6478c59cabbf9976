"""A classifier's two-sample test: 1 for sets that differ, 0.5 for two samples of one, whatever their sizes."""

import numpy as np
import pytest

from artmaster_pipeline.evaluation.panel.two_sample import told_apart


def points(count: int, middle: float, seed: int, dimensions: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).normal(middle, 1.0, (count, dimensions))


def area(*sets: np.ndarray, clusters: np.ndarray | None = None, squared: bool = False) -> float | None:
    """Of telling the first set from the second; the third, if there is one, is learnt from alone."""
    from scipy.spatial.distance import cdist

    rows, ends = np.concatenate(sets), np.cumsum([len(points) for points in sets])
    matrix = cdist(rows, rows, "sqeuclidean" if squared else "euclidean")
    drawn, works, *more = np.split(np.arange(len(rows)), ends[:-1])
    clusters = np.arange(len(rows)) if clusters is None else clusters
    return told_apart(matrix, drawn, works, clusters, more[0] if more else None)


@pytest.mark.parametrize("squared", [False, True])
def test_sets_that_differ_are_always_told_apart(squared: bool) -> None:
    assert area(points(24, 0.0, 0), points(12, 1.0, 1), squared=squared) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("sizes", [(24, 8), (10, 10), (60, 20)])
def test_two_samples_of_one_are_told_apart_by_chance(sizes: tuple[int, int]) -> None:
    found = [area(points(sizes[0], 0.0, 2 * n), points(sizes[1], 0.0, 2 * n + 1)) for n in range(30)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)  # type: ignore[arg-type]


def test_a_difference_that_means_do_not_show_is_found() -> None:
    """Squared distances see means alone; the Euclidean ones see that one set is drawn from two places."""
    two_places = np.concatenate([points(40, 1.5, 3, 4), points(40, -1.5, 4, 4)])
    one = points(80, 0.0, 5, 4)
    assert area(two_places, one) > 0.75  # type: ignore[operator]


def test_pictures_of_one_prompt_are_learnt_from_or_asked_about() -> None:
    """Else a classifier knows a picture by its neighbour, and chance would look like knowledge."""
    prompts = np.repeat(points(8, 0.0, 6), 4, axis=0) + 0.05 * points(32, 0.0, 7)
    works = points(8, 0.0, 8)
    clusters = np.concatenate([np.repeat(np.arange(8), 4), 100 + np.arange(8)])
    blind, grouped = area(prompts, works), area(prompts, works, clusters=clusters)
    assert blind > grouped + 0.1  # type: ignore[operator]


def test_further_works_are_learnt_from() -> None:
    few, more = points(6, 0.5, 9), points(60, 0.5, 10)
    drawn = points(24, 0.0, 11)
    assert area(drawn, few, more) > area(drawn, few)  # type: ignore[operator]


def test_a_set_of_one_cluster_cannot_be_asked_about() -> None:
    assert area(points(5, 0.0, 0), points(1, 0.0, 1)) is None
    assert area(points(5, 0.0, 0), points(4, 0.0, 1), clusters=np.array([0] * 5 + [1, 2, 3, 4])) is None
    assert area(points(5, 0.0, 0), points(0, 0.0, 1)) is None


def test_pictures_that_are_all_the_same_are_told_apart_by_chance() -> None:
    assert area(np.ones((6, 4)), np.ones((4, 4))) == 0.5

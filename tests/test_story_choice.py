"""The best of k for every shot, chosen together: never a copy, never one picture again, else the best."""

from itertools import combinations, product

import numpy as np
import pytest

from artmaster_pipeline.stories.painting.choosing import Candidates, below_floor, choose


def candidates(
    scores: list[list[float]], places: np.ndarray | None = None, floor: float = 0.0, copies: tuple[int, ...] = ()
) -> Candidates:
    """Candidates by shot; `places` (n, d) are where pictures lie, one far from the other where nothing is said."""
    flat = [score for of in scores for score in of]
    ends = np.cumsum([len(of) for of in scores])
    points = 10.0 * np.arange(len(flat))[:, None] if places is None else places
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    copied = np.isin(np.arange(len(flat)), copies)
    shots = tuple(tuple(range(end - len(of), end)) for of, end in zip(scores, ends, strict=True))
    return Candidates(shots, np.array(flat), copied, apart, floor)


def test_where_nothing_is_near_each_shot_has_its_best() -> None:
    assert choose(candidates([[0.2, 0.9], [0.7, 0.1], [0.3, 0.4]])) == (1, 2, 5)


def test_one_picture_repeated_does_not_win() -> None:
    """The best of each shot is nearly the same picture; the second best are apart."""
    places = np.array([[0.0], [5.0], [0.1], [9.0], [0.2], [14.0]])
    found = candidates([[0.9, 0.6], [0.9, 0.6], [0.9, 0.6]], places, floor=1.0)
    chosen = choose(found)
    assert not below_floor(found, chosen)
    assert sum(found.scores[list(chosen)]) == pytest.approx(0.9 + 0.6 + 0.6)


def test_a_copy_is_not_chosen_however_well_it_scores() -> None:
    assert choose(candidates([[1.0, 0.1], [0.5, 0.4]], copies=(0,))) == (1, 2)


def test_where_all_are_copies_one_has_to_do() -> None:
    assert choose(candidates([[0.3, 0.8]], copies=(0, 1))) == (1,)


def test_copies_weigh_more_than_nearness_and_nearness_more_than_scores() -> None:
    places = np.array([[0.0], [0.1], [0.0]])
    found = candidates([[1.0, 0.2], [0.9]], places, floor=1.0, copies=(0,))
    assert choose(found) == (1, 2)


def test_equal_candidates_are_chosen_in_their_order() -> None:
    assert choose(candidates([[0.5, 0.5], [0.5, 0.5]])) == (0, 2)


@pytest.mark.parametrize("seed", range(12))
def test_it_is_the_best_of_all_choices(seed: int) -> None:
    """Against every combination of four shots with three pictures each, crowded enough for the floor to matter."""
    dice = np.random.default_rng(seed)
    found = candidates(dice.random((4, 3)).tolist(), dice.random((12, 2)), floor=0.35, copies=tuple(dice.choice(12, 2)))

    def value(chosen: tuple[int, ...]) -> tuple[int, int, float]:
        near = sum(found.apart[a, b] < found.floor for a, b in combinations(chosen, 2))
        return -int(found.copies[list(chosen)].sum()), -near, round(float(found.scores[list(chosen)].sum()), 9)

    best = max(value(chosen) for chosen in product(*found.shots))
    assert value(choose(found)) == best


def test_a_whole_book_is_chosen_at_once() -> None:
    dice = np.random.default_rng(1)
    found = candidates(dice.random((24, 8)).tolist(), dice.random((192, 3)), floor=0.2)
    chosen = choose(found)
    assert len(chosen) == 24
    assert not below_floor(found, chosen)

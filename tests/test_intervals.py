"""What an interval that says 95 % holds: the truth in 95 % of all evaluations, with few prompts and works too."""

import importlib.util
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from artmaster_pipeline.evaluation import intervals
from artmaster_pipeline.evaluation.axes import sets

BENCHMARK = Path(__file__).parent.parent / "benchmarks" / "evaluation" / "coverage.py"


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    found = importlib.util.spec_from_file_location("coverage_of_intervals", BENCHMARK)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("prompts", "seeds"), [(10, 2), (4, 6)])
def test_an_interval_over_prompts_that_says_95_percent_holds_95_percent(
    simulation: ModuleType, prompts: int, seeds: int
) -> None:
    share = simulation.mean_coverage(simulation.the_products, prompts, seeds, 2000)
    assert 0.93 < share < 0.97


def test_pictures_that_repeat_a_prompt_taken_for_prompts_would_not(simulation: ModuleType) -> None:
    assert simulation.mean_coverage(simulation.over_pictures, 4, 6, 300) < 0.65


@pytest.mark.parametrize(("prompts", "seeds"), [(10, 2), (4, 6)])
def test_the_panels_own_figures_hold_the_truth(simulation: ModuleType, prompts: int, seeds: int) -> None:
    found = simulation.sets_coverage(simulation.Points(2.0, 1.0), prompts, seeds, 80)
    assert min(found[figure] for figure in ("floor", "result", "gain", "score")) > 0.92
    alike = simulation.sets_coverage(simulation.Points(1.5, 1.5), prompts, seeds, 80)
    assert alike["gain"] > 0.92
    assert alike["p below 0.05"] < 0.1


def test_prompts_that_follow_the_held_out_works_do_not_bring_the_adapter_nearer(simulation: ModuleType) -> None:
    assert simulation.sets_coverage(simulation.Points(2.0, 1.0, own=True), 10, 2, 80)["score"] > 0.92


def test_over_prompts_of_one_size_it_is_students_interval_of_their_means() -> None:
    from scipy import stats

    values = np.random.default_rng(0).normal(size=20)
    means = values.reshape(10, 2).mean(1)
    found = intervals.mean(values, [n // 2 for n in range(20)])
    low, high = stats.t.interval(0.95, 9, means.mean(), means.std(ddof=1) / np.sqrt(10))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_a_prompt_repeated_says_no_more_than_said_once() -> None:
    once = intervals.mean([1.0, 2.0, 4.0], ["a", "b", "c"])
    often = intervals.mean([1.0, 2.0, 4.0] * 8, ["a", "b", "c"] * 8)
    assert (often.low, often.high) == (pytest.approx(once.low), pytest.approx(once.high))


def test_one_prompt_bounds_nothing() -> None:
    found = intervals.mean([0.1, 0.2, 0.3], ["the same"] * 3)
    assert (found.value, found.low, found.high) == (pytest.approx(0.2), None, None)


def test_a_ratio_whose_lower_part_may_be_zero_has_no_end_there() -> None:
    dice = np.random.default_rng(0)

    def estimate(mean: float) -> intervals.Estimate:
        values = dice.normal(mean, 1, 10)
        return intervals.Estimate(values.mean(), ((values.sum() - values) / 9,))

    clear = intervals.ratio(estimate(5), estimate(10))
    assert clear.low is not None
    assert clear.high is not None
    assert clear.low < 0.5 < clear.high
    open_above = intervals.ratio(estimate(5), estimate(0.3))
    assert open_above.high is None or open_above.low is None


def matrix_and_members(prompts: tuple[str, ...]) -> tuple[np.ndarray, sets.Members]:
    """Works around 0; pictures around their prompt's own place, the base's farther away."""
    dice = np.random.default_rng(3)
    places = {prompt: dice.normal(0, 1, 4) for prompt in dict.fromkeys(prompts)}
    drawn = np.array([places[prompt] for prompt in prompts])
    parts = [dice.normal(0, 1.1, (20, 4)), dice.normal(0, 1.1, (8, 4))]
    parts += [drawn + dice.normal(far, 0.3, drawn.shape) for far in (1.5, 0.0)]
    points = np.concatenate(parts)
    rows = [np.arange(a, b) for a, b in pairwise(np.cumsum([0, *map(len, parts)]))]
    return np.linalg.norm(points[:, None] - points[None], axis=-1), sets.Members(*rows, prompts=prompts)


def test_twenty_four_pictures_of_four_prompts_are_four_witnesses() -> None:
    prompts = tuple("abcd" * 6)
    matrix, members = matrix_and_members(prompts)
    by_prompt = sets.compare(matrix, members)
    by_picture = sets.compare(matrix, sets.Members(members.train, members.held_out, members.base, members.adapter))

    def width(of: intervals.Interval) -> float:
        assert of.low is not None
        assert of.high is not None
        return of.high - of.low

    assert width(by_prompt.gain) > 1.3 * width(by_picture.gain)
    assert by_prompt.p >= 1 / 16  # of 16 ways to exchange base and adapter
    assert by_picture.p < 0.01


def test_pictures_of_one_prompt_alone_leave_every_gain_open() -> None:
    found = sets.compare(*matrix_and_members(("a",) * 6))
    assert found.gain.low is None
    assert found.gain.high is None
    assert found.p >= 0.5


def test_pictures_of_one_prompt_are_no_pair_of_their_set() -> None:
    matrix = np.array([[0, 0, 5, 5], [0, 0, 5, 5], [5, 5, 0, 0], [5, 5, 0, 0]], dtype=float)
    works = np.arange(4)
    assert sets.spread_ratio(matrix, works, works, np.array([0, 0, 1, 1])).value == pytest.approx(1)
    assert sets.energy(matrix, np.array([0, 1]), np.array([2, 3]), np.array([0, 0, 1, 1])) == pytest.approx(5)


def test_two_works_with_their_own_prompts_leave_every_gain_open() -> None:
    """Without one of them there is nothing that the other could be compared with."""
    matrix, members = matrix_and_members(tuple("abababab"))
    two = sets.Members(members.train, members.held_out[:2], members.base, members.adapter, members.prompts, ("a", "b"))
    found = sets.compare(matrix, two)
    assert np.isfinite(found.gain.value)
    assert (found.gain.low, found.gain.high) == (None, None)
    assert found.score is None or (found.score.low, found.score.high) == (None, None)


def test_a_work_is_one_draw_with_the_pictures_that_its_caption_asked_for() -> None:
    _, members = matrix_and_members(tuple("abcd" * 3))
    captions = ("a", "b", "c", "d", "d", "x", "y", "z")
    (both, works) = sets.Members(
        members.train, members.held_out, members.base, members.adapter, members.prompts, captions
    ).samples()
    assert [len(cluster["base"]) for cluster in both] == [3, 3, 3, 3]
    assert [len(cluster["held_out"]) for cluster in both] == [1, 1, 1, 2]
    assert [list(cluster) for cluster in works] == [["held_out"]] * 3


def test_a_picture_is_not_compared_with_the_work_whose_caption_asked_for_it() -> None:
    """Base and adapter draw each work again: that brings them no nearer to the painter's other works."""
    dice = np.random.default_rng(0)
    train, held_out = dice.normal(size=(20, 4)), dice.normal(size=(6, 4))
    points = np.concatenate([train, held_out, held_out + 3, held_out])
    rows = [np.arange(a, b) for a, b in pairwise((0, 20, 26, 32, 38))]
    matrix = np.linalg.norm(points[:, None] - points[None], axis=-1)
    copied = sets.compare(matrix, sets.Members(*rows, prompts=tuple(range(6)), captions=tuple(range(6))))
    assert copied.result.value == pytest.approx(0, abs=1e-9)
    assert sets.compare(matrix, sets.Members(*rows)).result.value < -0.2

"""What is watched while training: which state is chosen, when it stops, what diverges, the loss on validation works."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_stacked import batch, learner

from artmaster_pipeline.training.monitoring.watch import (
    Trend,
    best_step,
    sample_prompts,
    stopped_improving,
)


def readings(*scores: float) -> list[dict[str, float]]:
    return [{"step": 10 * n, "score": score} for n, score in enumerate(scores, start=1)]


def test_the_best_reading_is_chosen_and_the_earlier_of_two_equal_ones():
    assert best_step(readings(-0.5, -0.2, -0.4)) == 20
    assert best_step(readings(-0.5, -0.2, -0.2)) == 20
    assert best_step([]) == 0


def test_the_training_stops_after_so_many_readings_without_a_better_one():
    assert not stopped_improving(readings(-0.5, -0.4, -0.3), 2)
    assert not stopped_improving(readings(-0.5, -0.3, -0.4), 2)
    assert stopped_improving(readings(-0.5, -0.3, -0.4, -0.35), 2)
    assert not stopped_improving(readings(-0.5, -0.3, -0.4, -0.35), None)


@given(st.lists(st.floats(-1, 0), min_size=1, max_size=12), st.integers(1, 4))
def test_a_training_that_stops_has_its_best_state_behind_it(scores, patience):
    if stopped_improving(readings(*scores), patience):
        assert best_step(readings(*scores)) <= 10 * (len(scores) - patience)


def test_a_noisy_loss_does_not_diverge_and_a_growing_one_does():
    import random

    dice, trend = random.Random(0), Trend()
    assert not any(trend.diverges(step, 0, dice.lognormvariate(0, 0.7)) for step in range(1, 2000))
    assert any(trend.diverges(step, 0, 1.02 ** (step - 2000)) for step in range(2000, 2200))
    assert trend.lowest_at < 2000


def test_a_stage_of_other_noise_levels_is_no_divergence():
    trend = Trend()
    assert not any(trend.diverges(step, 0, 0.2) for step in range(1, 100))
    assert not any(trend.diverges(step, 1, 2.0) for step in range(100, 200))


def test_the_loss_on_validation_works_is_the_same_whenever_it_is_asked_and_moves_with_the_adapter():
    from artmaster_pipeline.settings import load_profile
    from artmaster_pipeline.training.monitoring.watch import ValidationLoss

    ours = learner()
    profile = load_profile("miniature").model_copy(update={"training": ours.settings})
    from test_training_schedule import images

    pairs = list(zip(images(2, 1), batch(5, 3), strict=True))
    measure = ValidationLoss(pairs, profile)
    before = measure(ours)
    assert measure(ours) == before
    assert set(before) == {"loss", *(f"loss at {s:g}" for s in ours.settings.validation.sigmas)}
    again = ValidationLoss(pairs[::-1], profile)(ours)
    assert again == pytest.approx(before, rel=1e-6)
    for step in range(1, 6):
        ours.step(step, 0, [batch()])
    assert measure(ours)["loss"] != before["loss"]


def test_pictures_while_training_show_validation_works_captions_and_no_held_out_ones():
    from test_training_schedule import images

    rows = images(3, 0)
    parts = [
        row.model_copy(update={"split": part, "caption": f"caption {part}"})
        for row, part in zip(rows, ("train", "validate", "held_out"), strict=True)
    ]
    assert {prompt for prompt, _ in sample_prompts(parts, 2)} == {"caption validate"}
    assert {prompt for prompt, _ in sample_prompts(parts[:1], 2)} == {"caption train"}
    assert len({seed for _, seed in sample_prompts(parts, 3)}) == 3


def test_what_watches_a_training_is_called_validation_also_where_an_earlier_version_wrote_it(tmp_path):
    from artmaster_pipeline.adapters.folder import read_watch, write_watch

    write_watch(tmp_path / "new", [{"step": 1, "loss": 0.5}], [{"step": 1, "score": -0.1}])
    assert [row["what"] for row in read_watch(tmp_path / "new")] == ["validation loss", "validation panel"]
    (tmp_path / "old").write_text('{"what": "loss", "step": 1}\n{"what": "panel", "step": 1}\n')
    assert [row["what"] for row in read_watch(tmp_path / "old")] == ["validation loss", "validation panel"]

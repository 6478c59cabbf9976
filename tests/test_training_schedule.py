"""How long a training is, what each step sees in which stage, how fast it learns, when AdaLoRA may prune."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.records import TrainingImage, identity
from artmaster_pipeline.settings import TrainingSettings, TrainingStage, load_profile
from artmaster_pipeline.training import steps_for
from artmaster_pipeline.training.schedule import (
    kept_steps,
    learning_rate_at,
    rank_schedule,
    stage_ends,
    stages_of,
    steps,
)

TONE = TrainingStage(name="tone", share=0.6, sigmas=(0.5, 1.0))
BRUSH = TrainingStage(name="brush", share=0.4, sigmas=(0.0, 0.5), sizes=("512x512",), learning_rate=1e-4)


def image(n: int, height: int) -> TrainingImage:
    name = identity(n, height)
    return TrainingImage(
        id=name, painter="p", crop_id=name, scan_id=str(n), scan_sha256=identity(n) * 4, path=f"images/{name}.png",
        sha256=identity(name) * 4, width=512, height=height, caption="p style", caption_source="sidecar", split="train",
    )  # fmt: skip


def images(square: int, tall: int) -> list[TrainingImage]:
    return [image(n, 512) for n in range(square)] + [image(n, 768) for n in range(tall)]


def test_forty_pictures_with_the_first_recipe_take_6000_steps():
    assert steps_for(40, load_profile("flux-dev").training) == 6000
    assert steps_for([20, 20], load_profile("flux-dev").training) == 6000
    assert len(list(steps(images(20, 20), load_profile("flux-dev").training))) == 6000


@given(
    st.integers(1, 7), st.integers(0, 7), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(1, 40),
    st.integers(1, 3),
)  # fmt: skip
def test_a_training_is_as_long_as_announced_and_no_batch_mixes_sizes(
    square, tall, size, repeats, epochs, most, accumulation
):
    settings = TrainingSettings(
        batch_size=size, repeats=repeats, epochs=epochs, max_steps=most, gradient_accumulation=accumulation
    )
    drawn = list(steps(images(square, tall), settings))
    assert [step.number for step in drawn] == list(range(1, steps_for([square, tall], settings) + 1))
    assert len(drawn) <= most
    batches = [batch for step in drawn for batch in step.batches]
    assert len(batches) == accumulation * len(drawn)
    assert all(len({(i.width, i.height) for i in batch}) == 1 and 1 <= len(batch) <= size for batch in batches)


@given(st.integers(1, 7), st.integers(0, 7), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3))
def test_every_picture_is_shown_equally_often_in_every_epoch(square, tall, size, repeats, epochs):
    settings = TrainingSettings(batch_size=size, repeats=repeats, epochs=epochs)
    pictures = images(square, tall)
    for epoch in range(1, epochs + 1):
        shown = Counter(i.id for step in steps(pictures, settings) if step.epoch == epoch for i in step.images)
        assert shown == {picture.id: repeats for picture in pictures}


def test_the_order_depends_on_the_seed_and_the_epoch_and_on_nothing_else():
    settings = TrainingSettings(epochs=2, repeats=1)
    order = [step.images[0].id for step in steps(images(10, 10), settings)]
    assert order == [step.images[0].id for step in steps(images(10, 10)[::-1], settings)]
    assert order[:20] != order[20:]
    other = TrainingSettings(epochs=2, repeats=1, seed=1)
    assert order != [step.images[0].id for step in steps(images(10, 10), other)]


# --- stages


def test_each_stage_has_its_share_of_the_steps_and_sees_its_sizes_only():
    settings = TrainingSettings(stages=(TONE, BRUSH), epochs=2, repeats=2)
    drawn = list(steps(images(5, 5), settings))
    assert stage_ends(40, settings) == (24, 40)
    assert [step.stage for step in drawn] == [0] * 24 + [1] * 16
    assert {i.height for step in drawn[:24] for i in step.images} == {512, 768}
    assert {i.height for step in drawn[24:] for i in step.images} == {512}
    assert set(kept_steps(40, settings)) >= {24}


@given(st.integers(17, 3000), st.lists(st.floats(0.2, 1), min_size=1, max_size=4))  # the least share, 1/16, is a step
def test_stages_share_out_all_steps_in_order(total, weights):
    shares = [weight / sum(weights) for weight in weights]
    named = tuple(TrainingStage(name=f"s{n}", share=share) for n, share in enumerate(shares))
    ends = (0, *stage_ends(total, TrainingSettings(stages=named)))
    assert ends[-1] == total
    assert all(before < end for before, end in pairwise(ends))


def test_a_stage_of_no_steps_or_without_pictures_is_refused_by_name():
    short = (TrainingStage(name="blink", share=0.01), TrainingStage(name="rest", share=0.99))
    with pytest.raises(WrongUse, match=r"'blink' has a share of 0\.01 of 10 steps"):
        stage_ends(10, TrainingSettings(stages=short))
    with pytest.raises(WrongUse, match="'brush' wants crops of 512x512"):
        list(steps(images(0, 4), TrainingSettings(stages=(TONE, BRUSH))))


def test_layers_that_are_trained_first_when_all_ranks_are_allocated_are_refused():
    late = (
        TrainingStage(name="a", share=0.8, layers=("double",)),
        TrainingStage(name="b", share=0.2, layers=("single",)),
    )
    with pytest.raises(WrongUse, match="'b' begins to train layers when"):
        rank_schedule(100, TrainingSettings(stages=late))
    rank_schedule(100, TrainingSettings(stages=late, settle_share=0.1))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"stages": (TONE, TONE)}, "two stages share a name"),
        ({"stages": (TONE,)}, "add up to 0.6 instead of 1"),
        ({"init_r": 8, "target_r": 8}, "target_r .8. must be smaller than init_r"),
        ({"warmup_share": 0.6, "settle_share": 0.4}, "warmup_share and settle_share"),
        ({"optimizer": "prodigy"}, "set learning_rate to 1.0"),
    ],
)
def test_settings_that_cannot_go_together_are_refused(wrong, said):
    with pytest.raises(ValidationError, match=said):
        TrainingSettings(**wrong)


def test_a_band_of_sigmas_must_ascend():
    with pytest.raises(ValidationError, match="the lower one first"):
        TrainingStage(name="x", share=1, sigmas=(0.6, 0.4))


# --- learning rate and ranks


def test_the_learning_rate_warms_up_falls_along_a_cosine_and_belongs_to_its_stage():
    plain, whole = TrainingSettings(), stages_of(TrainingSettings())[0]
    assert {learning_rate_at(step, 100, whole, plain) for step in range(1, 101)} == {2e-4}
    assert learning_rate_at(1, 100, BRUSH, plain) == 1e-4
    settings = TrainingSettings(lr_warmup_share=0.1, lr_scheduler="cosine")
    rates = [learning_rate_at(step, 100, whole, settings) for step in range(1, 101)]
    assert rates[0] == pytest.approx(2e-5)
    assert rates[9] == rates[10] == pytest.approx(2e-4)
    assert rates[55] == pytest.approx(1e-4, rel=0.02)
    assert all(a >= b for a, b in pairwise(rates[9:]))
    assert 0 < rates[-1] < 1e-6


@given(st.integers(1, 10_000), st.floats(0, 0.99), st.floats(0, 0.99))
def test_every_schedule_that_is_accepted_leaves_peft_a_step_to_prune(total, warmup, settle):
    if warmup + settle >= 1:
        return
    schedule = rank_schedule(total, TrainingSettings(warmup_share=warmup, settle_share=settle))
    assert schedule.tinit < schedule.total_step - schedule.tfinal

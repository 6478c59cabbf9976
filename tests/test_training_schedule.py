"""How long a training is and what each step sees: pure functions, no model."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.records import TrainingImage, identity
from artmaster_pipeline.settings import TrainingSettings, load_profile
from artmaster_pipeline.training import steps_for
from artmaster_pipeline.training.schedule import batches, rank_schedule


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
    assert len(list(batches(images(20, 20), load_profile("flux-dev").training))) == 6000


@given(
    st.integers(1, 7), st.integers(0, 7), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(1, 40)
)
def test_a_training_is_as_long_as_announced_and_no_batch_mixes_sizes(square, tall, size, repeats, epochs, most):
    settings = TrainingSettings(batch_size=size, repeats=repeats, epochs=epochs, max_steps=most)
    drawn = list(batches(images(square, tall), settings))
    assert len(drawn) == steps_for([square, tall], settings) <= most
    assert all(len({(i.width, i.height) for i in batch.images}) == 1 for batch in drawn)
    assert all(1 <= len(batch.images) <= size for batch in drawn)


@given(st.integers(1, 7), st.integers(0, 7), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3))
def test_every_picture_is_shown_equally_often_in_every_epoch(square, tall, size, repeats, epochs):
    settings = TrainingSettings(batch_size=size, repeats=repeats, epochs=epochs)
    pictures = images(square, tall)
    for epoch in range(1, epochs + 1):
        shown = Counter(i.id for batch in batches(pictures, settings) if batch.epoch == epoch for i in batch.images)
        assert shown == {picture.id: repeats for picture in pictures}


def test_the_order_depends_on_the_seed_and_the_epoch_and_on_nothing_else():
    settings = TrainingSettings(epochs=2, repeats=1)
    order = [batch.images[0].id for batch in batches(images(10, 10), settings)]
    assert order == [batch.images[0].id for batch in batches(images(10, 10)[::-1], settings)]
    assert order[:20] != order[20:]
    other = TrainingSettings(epochs=2, repeats=1, seed=1)
    assert order != [batch.images[0].id for batch in batches(images(10, 10), other)]


def test_adalora_without_room_to_prune_is_refused_with_every_fault_named():
    settings = TrainingSettings(init_r=8, target_r=8, warmup_share=0.6, settle_share=0.4)
    with pytest.raises(WrongUse, match=r"target_r.*init_r.*warmup_share and settle_share"):
        rank_schedule(100, settings)


@given(st.integers(1, 10_000), st.floats(0, 0.99), st.floats(0, 0.99))
def test_every_schedule_that_is_accepted_leaves_peft_a_step_to_prune(steps, warmup, settle):
    if warmup + settle >= 1:
        return
    schedule = rank_schedule(steps, TrainingSettings(warmup_share=warmup, settle_share=settle))
    assert schedule.tinit < schedule.total_step - schedule.tfinal

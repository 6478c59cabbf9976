"""What a run needs is asked before its first stage, and all that is missing is said at once."""

import shutil
from collections import namedtuple

import pytest

from artmaster_pipeline import needs
from artmaster_pipeline.errors import MissingRequirement
from artmaster_pipeline.needs import check_needs, needs_of
from artmaster_pipeline.settings import Home, load_profile
from artmaster_pipeline.stages import STAGES

Usage = namedtuple("Usage", "total used free")


def test_the_embedded_profile_lacks_nothing_and_counts_nothing(home: Home, monkeypatch):
    monkeypatch.setattr(needs, "forecast_stage", lambda *_: pytest.fail("counted"))
    check_needs(home, "p", load_profile("miniature"), STAGES)


@pytest.fixture
def bare(monkeypatch):
    """A machine without a GPU, a network, room on its disk or bitsandbytes."""
    import torch

    real = needs.importlib.util.find_spec
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2**40, 2**40, 1000))
    monkeypatch.setattr(needs.importlib.util, "find_spec", lambda name: None if name == "bitsandbytes" else real(name))


@pytest.mark.usefixtures("bare")
def test_all_that_is_missing_is_in_one_message_each_with_its_way_out(home: Home):
    with pytest.raises(MissingRequirement) as caught:
        check_needs(home, "p", load_profile("flux-dev-24gb"), STAGES)
    said = str(caught.value)
    for what, way in (
        ("the package bitsandbytes", "pip install 'artmaster-pipeline[cuda]'"),
        ("a CUDA GPU", "nvidia-smi"),
        ("GPU memory for style_adapter", "See what is said of the GPU"),
        ("on the data home's disk (0.0 GiB free)", "--home"),
        ("black-forest-labs/FLUX.1-dev in the hub's cache", "hf download black-forest-labs/FLUX.1-dev"),
        ("Qwen/Qwen3-VL-4B-Instruct", "HF_HUB_OFFLINE"),
        ("facebook/dinov2-base", "HF_HOME"),
    ):
        assert what in said
        assert way in said
    assert "Nothing was begun" in said


@pytest.mark.usefixtures("bare")
def test_only_the_stages_that_will_run_are_asked_about(home: Home, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2**40, 0, 2**40))
    check_needs(home, "p", load_profile("flux-dev-24gb"), ("raw_scans", "curated_crops"))
    listed = " ".join(what for what, _, _ in needs_of(home, "p", load_profile("flux-dev-24gb"), ("sample_gallery",)))
    assert "spandrel" in listed
    assert "bitsandbytes" not in listed
    assert "FLUX" not in listed


def test_more_scans_and_states_need_more_disk(home: Home):
    folder = home.scans("p")
    folder.mkdir(parents=True)
    profile = load_profile("flux-dev")
    few = needs._training_size(home, "p", profile) + needs._scans_size(home, "p", STAGES)
    for number in range(500):
        (folder / f"{number}.jpg").touch()
        (folder / f"{number}.txt").touch()
    many = needs._training_size(home, "p", profile) + needs._scans_size(home, "p", STAGES)
    assert many - few == pytest.approx(500 * (5e6 + 4.2e6 + 8e5), rel=0.05)
    more = profile.model_copy(update={"training": profile.training.model_copy(update={"checkpoints": 20})})
    assert needs._training_size(home, "p", more) > needs._training_size(home, "p", profile) + 5e9


def test_an_optimizer_brings_its_package(home: Home):
    profile = load_profile("miniature")
    profile = profile.model_copy(update={"training": profile.training.model_copy(update={"optimizer": "prodigy"})})
    assert any("prodigyopt" in what for what, _, _ in needs_of(home, None, profile, ("style_adapter",)))
    assert not any("prodigyopt" in what for what, _, _ in needs_of(home, None, profile, ("evaluation_grid",)))


def test_a_run_is_stopped_before_its_first_stage(home: Home, monkeypatch):
    from made_scans import painting
    from PIL import Image

    from artmaster_pipeline.orchestration.run import run_painter

    folder = home.scans("p")
    folder.mkdir(parents=True)
    Image.fromarray(painting(1, 120, 160)).save(folder / "a.png")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2**40, 2**40, 1000))
    with pytest.raises(MissingRequirement, match="data home's disk"):
        run_painter(home, "p", until="curated_crops")
    assert not home.register("p").exists() or not any(home.register("p").iterdir())

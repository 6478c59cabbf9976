"""What a training takes of the memory: forecast before, measured on a process of its own, and what to do about it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_flux import transformer_config
from training_home import PAINTER, fill_home, tiny_profile

from artmaster_pipeline.base_models.needs import memory
from artmaster_pipeline.dataset import build_training_set
from artmaster_pipeline.sessions import is_out_of_memory
from artmaster_pipeline.settings import Home, Profile, load_profile
from artmaster_pipeline.training import train_adapter
from artmaster_pipeline.training.memory.forecast import forecast_lines, predict
from artmaster_pipeline.training.memory.process import peak_of_this_process
from artmaster_pipeline.training.memory.running_out import out_of_memory_message

GIB = 2**30


def with_training(profile: Profile, **changes) -> Profile:
    training = type(profile.training).model_validate(profile.training.model_dump() | changes)
    return profile.model_copy(update={"training": training})


def quickly_drawn(profile: Profile) -> Profile:
    """The profile with two denoising steps for a picture, which take what twenty-eight take, and no captioner."""
    evaluation = profile.evaluation.model_copy(update={"num_inference_steps": 2})
    return profile.model_copy(update={"evaluation": evaluation, "captioner": None})


def measured(home: Path, profile: Profile) -> float:
    """Peak resident bytes of a process that trains with a profile, as `artmaster train` does."""
    given = json.dumps([str(home), profile.model_dump(mode="json")])
    done = subprocess.run([sys.executable, __file__], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return float(done.stdout.split()[-1])


if __name__ == "__main__":  # what `measured` starts
    from artmaster_pipeline.evaluation import validation_panel

    folder, content = json.loads(sys.stdin.read())
    train_adapter(Home(Path(folder)), PAINTER, Profile.model_validate(content), judge_for=validation_panel)
    print(peak_of_this_process())


def without_panel(profile: Profile, **changes) -> Profile:
    """The profile where the last state is kept, so that the training's step is what takes most."""
    last = profile.training.validation.model_dump() | {"choose": "last", "sigmas": (0.5,), "samples": 1}
    return quickly_drawn(with_training(profile, validation=last, **changes))


@pytest.mark.slow
def test_the_miniatures_peak_is_within_15_percent_of_what_is_measured(tmp_path):
    profile = without_panel(load_profile("miniature"), max_steps=4, batch_size=24)
    home = Home(tmp_path)
    build_training_set(fill_home(home), PAINTER, profile)
    forecast = predict(profile)
    assert forecast.moment == "a training step"
    assert forecast.total == pytest.approx(measured(tmp_path, profile), rel=0.15)


@pytest.mark.slow
def test_a_panel_that_looks_at_pictures_on_the_way_is_in_the_forecast(tmp_path):
    shipped = load_profile("miniature")
    quick = shipped.training.validation.model_dump() | {
        "sigmas": (0.5,),
        "far_prompts": ("bamboo", "a pagoda on a hill"),
        "panel_samples": 4,
        "drawings": shipped.training.validation.drawings[:1],
        "drawing_samples": 2,
    }
    profile = quickly_drawn(with_training(shipped, max_steps=2, validation=quick))
    home = Home(tmp_path)
    build_training_set(fill_home(home, works=24), PAINTER, profile)
    forecast = predict(profile)
    assert forecast.moment == "reading the panel"
    assert forecast.total == pytest.approx(measured(tmp_path, profile), rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "checkpointing"), [(4, False), (4, True)])
def test_a_larger_models_peak_is_within_15_percent_with_and_without_checkpointing(
    tmp_path, larger_flux, size, checkpointing
):
    """A random FLUX of 79 M parameters, large enough for its activations to weigh as much as the libraries."""
    flux = larger_flux
    training = {
        **tiny_profile(flux).training.model_dump(),
        "epochs": 1, "max_steps": 2, "batch_size": size, "init_r": 16, "target_r": 8,
        "gradient_checkpointing": checkpointing,
    }  # fmt: skip
    profile = without_panel(with_training(tiny_profile(flux, size_divisor=2), **training))
    home = Home(tmp_path / "home")
    build_training_set(fill_home(home), PAINTER, profile)
    assert predict(profile).total == pytest.approx(measured(home.root, profile), rel=0.15)


@pytest.fixture(scope="module")
def larger_flux(tiny_flux: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from diffusers import FluxTransformer2DModel

    folder = tmp_path_factory.mktemp("larger") / "flux"
    shutil.copytree(tiny_flux, folder)
    torch.manual_seed(0)
    config = transformer_config(
        attention_head_dim=64, num_attention_heads=8, num_layers=4, num_single_layers=10, joint_attention_dim=32,
        pooled_projection_dim=32, axes_dims_rope=(8, 28, 28),
    )  # fmt: skip
    FluxTransformer2DModel(**config).save_pretrained(folder / "transformer")
    return folder


def test_flux_dev_and_its_24_gb_form_are_forecast_without_its_files():
    whole, quantised = predict(load_profile("flux-dev")), predict(load_profile("flux-dev-24gb"))
    assert whole.parts["base model"] == pytest.approx(23.8e9, rel=0.01)  # 11.9 B parameters of two bytes
    assert quantised.parts["base model"] == pytest.approx(6.7e9, rel=0.02)
    assert whole.total - quantised.total == pytest.approx(whole.parts["base model"] - quantised.parts["base model"])
    assert quantised.total < 22e9
    without = predict(with_training(load_profile("flux-dev"), gradient_checkpointing=False))
    assert without.total > whole.total + 10 * GIB


def test_advice_saves_what_it_says_and_the_largest_comes_first(larger_flux):
    shipped = load_profile("flux-dev").model_copy(update={"base_model": str(larger_flux)})
    profile = with_training(shipped, gradient_checkpointing=False, batch_size=4)
    advice = predict(profile).advice()
    assert [saved for _, saved in advice] == sorted((saved for _, saved in advice), reverse=True)
    named = dict(advice)
    checkpointed = predict(with_training(profile, gradient_checkpointing=True))
    assert named["`gradient_checkpointing: true`"] == predict(profile).total - checkpointed.total
    assert "`batch_size: 2` with `gradient_accumulation: 2`" in named


def test_a_processs_peak_is_its_own_and_not_that_of_the_one_that_started_it():
    ballast = b"1" * 500_000_000
    code = "from artmaster_pipeline.training.memory.process import peak_of_this_process as p; print(p())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 10_000_000 < int(done.stdout) < len(ballast) / 2


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)  # fmt: skip
def test_memory_that_ran_out_is_told_from_other_errors(error, is_one):
    assert is_out_of_memory(error) is is_one


def test_the_message_says_what_used_how_much_and_what_brings_it_down():
    said = out_of_memory_message(load_profile("flux-dev"), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert "Tried to allocate 2 GiB" in said
    assert "base model 22.1" in said
    assert "`quantization: nf4` (the profile flux-dev-24gb) (saves about 15.9 GiB)" in said
    assert "goes on from its last checkpoint" in said


def test_the_message_says_where_to_ask_where_memory_is_too_short_to_count(monkeypatch):
    def no_memory(_):
        raise MemoryError

    monkeypatch.setattr("artmaster_pipeline.training.memory.running_out.predict", no_memory)
    said = out_of_memory_message(load_profile("flux-dev"), MemoryError())
    assert "`artmaster doctor --profile flux-dev`" in said


def test_a_training_without_memory_ends_with_that_message(tmp_path, tiny_flux, monkeypatch):
    from artmaster_pipeline.errors import ArtMasterError
    from artmaster_pipeline.training.learner import Learner

    def no_memory(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 GiB")

    profile = tiny_profile(tiny_flux)
    home = Home(tmp_path / "home")
    build_training_set(fill_home(home), PAINTER, profile)
    monkeypatch.setattr(Learner, "step", no_memory)
    with pytest.raises(ArtMasterError, match=r"Memory ran out .*at its peak: .*What brings it down: "):
        train_adapter(home, PAINTER, profile)


def test_the_tables_add_up():
    parts, ways = forecast_lines(predict(load_profile("flux-dev-24gb")))
    assert parts[-1]["part"] == "in all, while drawing pictures on the way"
    shown = sum(float(row["takes"].split()[0]) for row in parts[:-1])
    assert shown == pytest.approx(float(parts[-1]["takes"].split()[0]), abs=0.05)
    assert ways


@pytest.mark.parametrize(("needed", "is_there"), [(2**20, True), (2**60, False)])
def test_memory_is_a_need_that_can_be_missing(needed, is_there):
    asked = memory(load_profile("miniature"), needed, "cpu", "style_adapter")
    assert "GiB of memory for style_adapter" in asked[0]
    assert asked[1] is is_there
    assert "`artmaster doctor --profile miniature`" in asked[2]


@pytest.mark.parametrize("profile", ["flux-dev", "flux-dev-24gb"])
def test_every_stage_has_a_forecast_that_fits_where_its_profile_says(profile):
    from artmaster_pipeline.stages import STAGES
    from artmaster_pipeline.training.memory.forecast import forecast_stage, forecast_stages

    assert set(STAGES) < set(forecast_stages())
    peaks = {stage: forecast_stage(stage, load_profile(profile)) for stage in forecast_stages()}
    assert all(0 < peak.total < {"flux-dev": 40e9, "flux-dev-24gb": 22e9}[profile] for peak in peaks.values())
    assert peaks["raw_scans"].device == peaks["curated_crops"].device == "cpu"
    assert peaks["training_set"].parts["the captioner"] == pytest.approx(2 * 4437.8e6)
    enlarges = forecast_stage("training_set", load_profile(profile).model_copy(update={"captioner": None})).parts
    assert enlarges["super-resolution network"] == pytest.approx(4 * 16.7e6, rel=0.01)
    drawn = {"base model", "VAE", "pictures being decoded"}
    assert drawn < set(peaks["evaluation_grid"].parts)
    assert peaks["evaluation_grid"].total < peaks["style_adapter"].total


def test_a_captioner_and_the_hubs_networks_count(tmp_path):
    from artmaster_pipeline.training.memory import networks

    profile = load_profile("flux-dev")
    assert networks.captioning(profile)["the captioner"] == pytest.approx(2 * 4437.8e6)
    assert networks.captioning(load_profile("miniature"))["the captioner"] < 1e8
    assert networks.captioning(profile.model_copy(update={"captioner": None})) == {}
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    own = profile.model_copy(update={"captioner": str(tmp_path)})
    assert networks.captioning(own)["the captioner"] == 7
    held = {
        how: networks.judging_networks(with_style(profile, how))["the panel's networks"] for how in ("hub", "vgg16")
    }
    assert held["hub"] - held["vgg16"] == pytest.approx(4 * (86.6e6 + 304.0e6))
    assert networks.parameters_of("openai/clip-vit-large-patch14@abc") == networks.parameters_of(
        "openai/clip-vit-large-patch14"
    )


def with_style(profile: Profile, how: str) -> Profile:
    return profile.model_copy(update={"evaluation": profile.evaluation.model_copy(update={"style_features": how})})

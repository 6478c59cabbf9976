"""A second family of base models needs its descriptor and nothing else: it trains, folds, attaches, draws, exports."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_flux import save_tiny_flux
from tiny_klein import NAME, Flux2Klein, save_tiny_klein
from training_home import PAINTER, fill_home, tiny_profile

from artmaster_pipeline.adapters import attach, detach
from artmaster_pipeline.adapters.exporting import export_adapter
from artmaster_pipeline.base_models import describe_base, family, family_for, family_of, open_pipeline
from artmaster_pipeline.base_models.flux.descriptor import FAMILY as FLUX
from artmaster_pipeline.dataset import build_training_set
from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.errors import BadInput, WrongUse
from artmaster_pipeline.generation import draw
from artmaster_pipeline.settings import EvaluationSettings, Home, Profile
from artmaster_pipeline.training import train_adapter
from artmaster_pipeline.training.adapter_check import check_adapter

ROOT = Path(__file__).parent.parent
HOW: dict[str, Any] = {
    "num_inference_steps": 2,
    "settings": DrawingSettings(guidance_scale=2.5),
    "max_sequence_length": 24,
}


@pytest.fixture(scope="module", autouse=True)
def known() -> Any:
    """The descriptor is registered as long as these tests run."""
    family.register(Flux2Klein())
    yield
    family._registered.clear()


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory, known: None) -> Profile:
    folder = save_tiny_klein(tmp_path_factory.mktemp("klein"))
    evaluation = EvaluationSettings(num_inference_steps=2, guidance_scale=2.5)
    plain = tiny_profile(folder, evaluation=evaluation)
    constraint = plain.training.style_constraint.model_copy(update={"weight": 0.1, "max_sigma": 1.0})
    guidance = plain.training.semantic_guidance.model_copy(update={"weight": 0.5})
    return plain.model_copy(
        update={
            "training": plain.training.model_copy(
                update={"style_constraint": constraint, "semantic_guidance": guidance, "max_steps": 8}
            )
        }
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, profile: Profile) -> Any:
    home = fill_home(Home(tmp_path_factory.mktemp("klein-home")))
    build_training_set(home, PAINTER, profile)
    (adapter,) = train_adapter(home, PAINTER, profile).records
    return home, adapter


def test_a_family_is_found_by_the_pipeline_class_of_the_folder(profile: Profile, tmp_path: Path) -> None:
    assert family_of(profile).name == "flux-2-klein"
    assert family_of(tiny_profile(save_tiny_flux(tmp_path / "flux"))) is FLUX
    assert family_of(profile.model_copy(update={"base_model": "miniature"})) is FLUX
    assert family_of(profile.model_copy(update={"base_model": NAME})).name == "flux-2-klein"
    (tmp_path / "flux" / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    with pytest.raises(WrongUse, match=r"StableDiffusionPipeline.*FluxPipeline"):
        family_of(tiny_profile(tmp_path / "flux"))


def test_it_trains_every_layer_that_its_descriptor_names(trained: Any, profile: Profile) -> None:
    _, adapter = trained
    with open_pipeline(profile, ("transformer",)) as pipe:
        layers = {name for name, _ in pipe.transformer.named_modules() if re.fullmatch(Flux2Klein.adapted_layers, name)}
    assert set(adapter.ranks) == layers
    assert "single_transformer_blocks.1.attn.to_qkv_mlp_proj" in layers
    assert len(layers) == 2 * 12 + 2 * 2


def test_folded_and_live_predict_the_same_and_not_what_the_base_does(trained: Any, profile: Profile) -> None:
    figures = check_adapter(trained[0], PAINTER, profile)
    assert figures["folded_difference"] < figures["tolerance"]
    assert figures["effect"] > 10 * figures["prediction_difference"] > 0


def test_it_draws_with_real_guidance_with_and_without_the_adapter(trained: Any, profile: Profile) -> None:
    home, adapter = trained
    with open_pipeline(profile) as pipe:
        base = draw(pipe, "a boat", 1, 64, 96, **HOW)
        unguided = draw(pipe, "a boat", 1, 64, 96, **HOW | {"settings": DrawingSettings(guidance_scale=1.0)})
        attach(pipe, home.root / adapter.path)
        adapted = draw(pipe, "a boat", 1, 64, 96, **HOW)
        off = HOW["settings"].model_copy(update={"adapter_in_unguided": False})
        half = draw(pipe, "a boat", 1, 64, 96, **HOW | {"settings": off})  # this pipeline copies the embeddings
        attach(pipe, home.root / adapter.path, 1.0, alike=True)
        alike = draw(pipe, "a boat", 1, 64, 96, **HOW)
        detach(pipe)
        assert np.array_equal(draw(pipe, "a boat", 1, 64, 96, **HOW), base)
        with pytest.raises(WrongUse, match="multiples of 16"):
            draw(pipe, "a boat", 1, 60, 64, **HOW)
    assert base.shape == (96, 64, 3)
    assert not np.array_equal(base, unguided)
    assert not np.array_equal(base, adapted)
    assert not np.array_equal(half, adapted) and not np.array_equal(half, base)
    assert np.abs(adapted.astype(int) - alike).max() <= 1


def test_a_latent_is_what_the_autoencoder_decodes(profile: Profile) -> None:
    import torch

    chance = torch.Generator().manual_seed(0)
    with open_pipeline(profile, ("vae",)) as pipe, torch.inference_mode():
        asked = family_for(pipe)
        pipe.vae.bn.running_mean.copy_(torch.randn(16, generator=chance))
        raw = torch.randn(2, 4, 8, 12, generator=chance)
        packed = pipe._patchify_latents(raw)
        deviation = torch.sqrt(pipe.vae.bn.running_var + pipe.vae.config.batch_norm_eps).view(1, -1, 1, 1)
        latents = (packed - pipe.vae.bn.running_mean.view(1, -1, 1, 1)) / deviation
        assert torch.allclose(asked.decoder_input(pipe.vae, latents), raw, atol=1e-5)


def test_it_exports_in_diffusers_format_and_says_that_kohya_has_no_names_for_it(
    trained: Any, profile: Profile, tmp_path: Path
) -> None:
    home, adapter = trained
    exported = export_adapter(home, PAINTER, "diffusers", out=tmp_path)
    with open_pipeline(profile) as pipe:
        attach(pipe, home.root / adapter.path)
        ours = draw(pipe, "a boat", 1, 64, 64, **HOW)
        detach(pipe)
        pipe.load_lora_weights(str(tmp_path), weight_name=exported.file.name)
        assert np.array_equal(draw(pipe, "a boat", 1, 64, 64, **HOW), ours)
    with pytest.raises(BadInput, match="--format diffusers"):
        export_adapter(home, PAINTER, "kohya", out=tmp_path)


def test_its_memory_is_forecast(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    from artmaster_pipeline.training.memory import forecast, process

    monkeypatch.setattr(process, "baseline", lambda *_: 2.0**30)
    expected = forecast.predict(profile)
    assert expected.parts["base model"] > 4 * 100_000  # bytes of fp32
    assert expected.total > 2**30


def test_no_room_asks_which_base_it_is_on() -> None:
    """What a base is called, and how FLUX's classes and layers are, is said in base_models and nowhere else."""
    told = r"FluxPipeline|FluxTransformer|AutoencoderKL|single_transformer_blocks|calculate_shift|_pack_latents"
    asked = r'[=!]= *"miniature"|endswith\("FLUX'
    found = subprocess.run(
        ["grep", "-rnE", f"{told}|{asked}", "--include=*.py", "artmaster_pipeline"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    ).stdout.splitlines()  # fmt: skip
    assert [line for line in found if not line.startswith("artmaster_pipeline/base_models/")] == []


def test_a_kind_of_layers_that_a_family_has_not_is_named() -> None:
    with pytest.raises(WrongUse, match=r"feed_forward.*double, single"):
        Flux2Klein().is_of("transformer_blocks.0.ff.linear_in", ("feed_forward",))


def test_what_is_not_known_of_a_base_is_not_invented() -> None:
    known = FLUX.base("black-forest-labs/FLUX.1-dev")
    assert known.licence is not None and known.licence.name == "flux-1-dev-non-commercial-license"
    assert describe_base("/gone/FLUX.1-dev") == describe_base("black-forest-labs/FLUX.1-dev") == known
    assert describe_base("miniature").public is False
    assert describe_base("someone/their-model").licence is None
    assert describe_base("someone/their-model").name == "someone/their-model"
    assert describe_base("/models/my-own").name == "my-own"  # no path of this machine
    assert FLUX.base("/models/my-own").licence is None
    assert replace(FLUX.base("/models/my-own"), name="x").version == ""


def test_letters_that_a_base_does_not_read_are_named() -> None:
    from artmaster_pipeline.base_models.scripts import unread_message, unread_scripts

    assert unread_scripts("Zürich, n\u0153ud 12 - \u2022 ﬁne ªº ｗｉｄｅ", FLUX) == ()
    assert unread_scripts("山水, Волга and a boat", FLUX) == ("Chinese characters", "Cyrillic")
    assert unread_scripts("山水, a boat", Flux2Klein()) == ()
    said = unread_message(["山水", "a boat", "水墨 mist"], FLUX, "caption")
    assert said.startswith("2 captions hold letters")
    assert "Chinese characters" in said
    assert unread_message(["a boat"], FLUX, "caption") == ""

"""How pictures are drawn: who says it, that it is kept, and what true classifier-free guidance does to a step."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tiny_klein import Flux2Klein
from training_home import TRAINING, tiny_profile

from artmaster_pipeline.adapters import attach
from artmaster_pipeline.base_models import load_pipeline
from artmaster_pipeline.base_models.flux.descriptor import FAMILY
from artmaster_pipeline.drawing_settings import DrawingSettings, drawing_of
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.generation import draw
from artmaster_pipeline.generation.sampling import compile_blocks, draw_embedded, embed_texts
from artmaster_pipeline.records import Adapter, Sample
from artmaster_pipeline.settings import EvaluationSettings, Home, Profile, ValidationSettings
from artmaster_pipeline.stage_settings import settings_of
from artmaster_pipeline.stages import stage_named

TEXTS = ["a boat", "a pine beside a rock"]
CHOSEN = DrawingSettings(strength=0.8, guidance_scale=2.5, true_cfg_scale=1.5, adapter_in_unguided=False)


def adapter(**more: Any) -> Adapter:
    return Adapter(
        id="a" * 16, painter="p", path="adapters/p/a", sha256="0", profile="tiny", base_model="b", base_revision="r",
        trigger="p style", training_set_hash="0", training_image_ids=(), scan_sha256s=(), seed=0, steps=1, settings={},
        ranks={}, final_loss=0.0, **more,
    )  # fmt: skip


def profile(**how: Any) -> Profile:
    return tiny_profile(Path("tiny"), evaluation=EvaluationSettings(**how))


# --- who says it


def test_a_command_says_it_before_the_adapter_and_the_adapter_before_the_profile() -> None:
    assert drawing_of(None, profile()) == DrawingSettings(guidance_scale=3.5)
    assert drawing_of(adapter(), profile(guidance_scale=2, strength=0.5)) == DrawingSettings(
        guidance_scale=2, strength=0.5
    )
    assert drawing_of(adapter(drawing=CHOSEN), profile(guidance_scale=2, strength=0.5)) == CHOSEN
    assert drawing_of(adapter(drawing=CHOSEN), profile(), strength=1.2, true_cfg_scale=None) == CHOSEN.at(1.2)
    assert drawing_of(adapter(drawing=CHOSEN), profile(), adapter_in_unguided=True).adapter_in_unguided


def test_a_profile_may_speak_for_all_of_it() -> None:
    said = profile(drawing="profile", guidance_scale=2, true_cfg_scale=3)
    assert drawing_of(adapter(drawing=CHOSEN), said) == DrawingSettings(guidance_scale=2, true_cfg_scale=3)
    assert drawing_of(adapter(drawing=CHOSEN), said, guidance_scale=0.0).guidance_scale == 0


def test_what_cannot_be_is_told_at_once() -> None:
    with pytest.raises(WrongUse, match=r"--strength 1\.7: .*--guidance-scale -1\.0: .*--true-cfg-scale nan: "):
        drawing_of(None, profile(), strength=1.7, guidance_scale=-1.0, true_cfg_scale=float("nan"))
    for wrong in ({"strength": 0.0}, {"true_cfg_scale": 0.5}, {"guidance_scale": float("inf")}):
        with pytest.raises(WrongUse):
            drawing_of(None, profile(), **wrong)


# --- that it is kept


def test_what_was_made_before_keeps_its_identity() -> None:
    """Settings and records that say nothing of it are written as before there was anything to say."""
    new = {"strength", "true_cfg_scale", "adapter_in_unguided", "drawing"}
    plain = EvaluationSettings()
    assert new.isdisjoint(plain.model_dump(mode="json"))
    assert new.isdisjoint(plain.deciding())
    assert {"drawings", "drawing_samples"}.isdisjoint(ValidationSettings().model_dump(mode="json"))
    assert {"drawing", "drawing_table"}.isdisjoint(adapter().model_dump(mode="json"))


def test_settings_that_say_something_are_written_and_read_again() -> None:
    how = profile(strength=0.8, adapter_in_unguided=False, drawing="profile")
    assert Profile.model_validate(how.model_dump(mode="json")) == how
    assert how.evaluation.deciding()["strength"] == 0.8
    assert "drawing" not in how.evaluation.deciding()  # who speaks decides no figure
    chosen = adapter(drawing=CHOSEN, drawing_table=({"strength": 0.8, "score": -0.2},))
    assert Adapter.model_validate_json(chosen.model_dump_json()) == chosen


def test_a_stages_settings_say_nothing_of_it_where_the_profile_does_not(home: Home) -> None:
    """So a home of before is not stale; and who speaks makes no adapter stale."""
    (home.root / "profiles").mkdir(parents=True)
    home.scans("p").mkdir(parents=True)

    def used(stage: str, said: dict[str, Any]) -> Any:
        content = {"base_model": "miniature", "device": "cpu", "dtype": "float32", "evaluation": said}
        (home.root / "profiles" / "own.yaml").write_text(yaml.safe_dump(content))
        (home.scans("p") / "painter.yaml").write_text("profile: own")
        return settings_of(home, "p", stage_named(stage))["profile"]["evaluation"]

    new = {"strength", "true_cfg_scale", "adapter_in_unguided", "drawing"}
    for stage in ("style_adapter", "evaluation_grid"):
        assert new.isdisjoint(used(stage, {}))
        assert used(stage, {"true_cfg_scale": 2}) == used(stage, {}) | {"true_cfg_scale": 2.0}
    assert used("style_adapter", {"drawing": "profile"}) == used("style_adapter", {})
    assert used("evaluation_grid", {"drawing": "profile"})["drawing"] == "profile"


def test_the_record_of_a_picture_says_what_differs() -> None:
    facts: dict[str, Any] = {
        "id": "0" * 16, "painter": "p", "column": "adapter", "base_model": "b", "base_revision": "r", "prompt": "x",
        "seed": 0, "width": 8, "height": 8, "num_inference_steps": 1, "path": "0.png", "sha256": "0",
    }  # fmt: skip
    plain = Sample(**facts, guidance_scale=2.5)
    assert {"true_cfg_scale", "adapter_in_unguided"}.isdisjoint(plain.model_dump())
    assert plain.drawing.further() == {}
    drawn = Sample(**facts, **CHOSEN.model_dump())
    assert Sample.model_validate_json(drawn.model_dump_json()) == drawn
    assert drawn.drawing == CHOSEN
    assert drawn.drawing.further() == {"strength": 0.8, "true_cfg_scale": 1.5, "adapter_in_unguided": False}


# --- true classifier-free guidance


@pytest.fixture(scope="module")
def pipe(tiny_flux: Path) -> Any:
    return load_pipeline(tiny_profile(tiny_flux))


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from safetensors.torch import save_file

    file, dice = tmp_path_factory.mktemp("lora") / "some.safetensors", torch.Generator().manual_seed(3)
    tensors = {}
    for layer in ("transformer_blocks.0.attn.to_q", "single_transformer_blocks.1.attn.to_k"):
        tensors[f"transformer.{layer}.lora_A.weight"] = torch.randn(4, 32, generator=dice)
        tensors[f"transformer.{layer}.lora_B.weight"] = torch.randn(32, 4, generator=dice)
    save_file(tensors, file)
    return file


def embedded(pipe: Any, settings: DrawingSettings) -> tuple[list[Any], Any]:
    texts = [FAMILY.encode_text(pipe, text, "cpu", 24) for text in TEXTS]
    without = FAMILY.negative_prompt(settings)
    return texts, None if without is None else FAMILY.encode_text(pipe, without, "cpu", 24)


def stepped(pipe: Any, settings: DrawingSettings) -> np.ndarray:
    """Two pictures in one step each, by hand: v = v(without) + s (v(with) - v(without)) for the empty prompt's v."""
    import torch

    texts, without = embedded(pipe, settings)
    noise = torch.cat([torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(n)) for n in (0, 1)])
    asked = (pipe.transformer, noise, torch.ones(2))

    def velocity(of: list[Any]) -> Any:
        return FAMILY.predict_velocity(*asked, of, settings.guidance_scale, torch.float32)

    with torch.inference_mode():
        told = velocity(texts)
        if not settings.adapter_in_unguided:
            pipe.transformer.disable_adapters()
        untold = velocity([without] * 2)
        if not settings.adapter_in_unguided:
            pipe.transformer.enable_adapters()
        clean = noise - (untold + settings.true_cfg_scale * (told - untold))
        pixels = pipe.vae.decode(FAMILY.decoder_input(pipe.vae, clean), return_dict=False)[0]
    return np.round(((pixels / 2 + 0.5).clamp(0, 1) * 255).permute(0, 2, 3, 1).numpy()).astype(np.uint8)


def drawn(pipe: Any, settings: DrawingSettings, steps: int = 1) -> np.ndarray:
    texts, without = embedded(pipe, settings)
    return np.stack(draw_embedded(pipe, texts, [0, 1], 64, 64, steps, settings, without))


def apart(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("on", [False, True])
def test_a_step_goes_away_from_the_empty_prompt_with_or_without_the_adapter(pipe: Any, lora: Path, on, alike) -> None:
    settings = DrawingSettings(guidance_scale=2, true_cfg_scale=3, adapter_in_unguided=on)
    attach(pipe, lora, 0.7, alike=alike)
    assert apart(drawn(pipe, settings), stepped(pipe, settings)) <= 1
    other = settings.model_copy(update={"adapter_in_unguided": not on})
    assert apart(drawn(pipe, settings), drawn(pipe, other)) > 5
    assert not any(getattr(module, "_disable_adapters", False) for module in pipe.transformer.modules())
    assert not pipe.transformer._forward_pre_hooks


def test_with_the_adapter_in_both_passes_it_is_what_stock_diffusers_draws(pipe: Any, lora: Path) -> None:
    import torch

    attach(pipe, lora)
    settings = DrawingSettings(guidance_scale=2, true_cfg_scale=3)
    ours = draw(pipe, TEXTS[0], 4, 64, 64, 3, settings, 24)
    stock = pipe(
        TEXTS[0], negative_prompt="", true_cfg_scale=3.0, guidance_scale=2.0, width=64, height=64, output_type="np",
        num_inference_steps=3, max_sequence_length=24, generator=torch.Generator().manual_seed(4),
    ).images[0]  # fmt: skip
    assert np.array_equal(ours, np.round(stock * 255).astype(np.uint8))


def test_the_base_is_drawn_with_the_same_guidance_whatever_is_said_of_the_adapter(pipe: Any) -> None:
    from artmaster_pipeline.adapters import detach

    detach(pipe)
    plain, guided = DrawingSettings(guidance_scale=2), DrawingSettings(guidance_scale=2, true_cfg_scale=3)
    off = guided.model_copy(update={"adapter_in_unguided": False})
    assert off.of_base() == guided
    assert np.array_equal(drawn(pipe, guided, 2), drawn(pipe, off, 2))
    assert apart(drawn(pipe, guided, 2), drawn(pipe, plain, 2)) > 5


def test_compiled_blocks_are_left_alone_where_the_adapter_is_off_in_one_pass(tiny_flux: Path, lora: Path) -> None:
    import torch

    fresh, settings = load_pipeline(tiny_profile(tiny_flux)), DrawingSettings(guidance_scale=2, true_cfg_scale=3)
    off = settings.model_copy(update={"adapter_in_unguided": False})
    attach(fresh, lora, 0.7, alike=True)
    expected = drawn(fresh, off)
    compile_blocks(fresh, backend="eager")
    on = drawn(fresh, settings)
    with torch.compiler.set_stance("fail_on_recompile"):
        assert np.array_equal(drawn(fresh, settings), on)
    assert np.array_equal(drawn(fresh, off), expected)
    with torch.compiler.set_stance("fail_on_recompile"):
        assert np.array_equal(drawn(fresh, settings), on)


def test_an_adapter_in_training_is_off_in_one_pass_too(tiny_flux: Path) -> None:
    import torch

    from artmaster_pipeline.training.learner import Learner
    from artmaster_pipeline.training.monitoring.watch import LiveModel

    how, fresh = tiny_profile(tiny_flux), load_pipeline(tiny_profile(tiny_flux))
    how = how.model_copy(update={"evaluation": EvaluationSettings(num_inference_steps=1, batch_size=2)})
    texts = {text: FAMILY.encode_text(fresh, text, "cpu", 24) for text in (*TEXTS, "")}
    learner = Learner(fresh.transformer, fresh.scheduler, TRAINING, 8, torch.float32)
    dice = torch.Generator().manual_seed(0)
    for tensor in learner.stacks.tensors:
        tensor.data.copy_(torch.randn(tensor.shape, generator=dice))
    model = LiveModel(fresh, learner, how, texts)

    def pictures(drawing: DrawingSettings, *, adapted: bool = True) -> np.ndarray:
        return np.stack(model.draw(TEXTS, [0, 1], adapted=adapted, drawing=drawing))

    weak = DrawingSettings(strength=0.1, guidance_scale=2, true_cfg_scale=3)
    off = weak.model_copy(update={"adapter_in_unguided": False})
    base = pictures(weak, adapted=False)
    assert np.array_equal(pictures(off, adapted=False), base)
    found = [pictures(each) for each in (weak, off, weak.at(0.3))]
    assert all(apart(one, base) > 5 for one in found)
    assert apart(found[0], found[1]) > 5 and apart(found[0], found[2]) > 5
    assert np.array_equal(np.stack(model.draw(TEXTS, [0, 1])), pictures(DrawingSettings(guidance_scale=3.5)))
    assert not any(module._disable_adapters for module in learner.stacks._modules)


def test_each_family_has_guidance_of_its_own(tiny_flux: Path) -> None:
    plain, guided = DrawingSettings(guidance_scale=2), DrawingSettings(guidance_scale=2, true_cfg_scale=3)
    assert FAMILY.negative_prompt(plain) is None
    assert FAMILY.negative_prompt(guided) == ""
    assert FAMILY.guidance_arguments(guided) == {"guidance_scale": 2, "true_cfg_scale": 3}
    assert Flux2Klein().negative_prompt(plain) == ""
    assert Flux2Klein().guidance_arguments(plain) == {"guidance_scale": 2}
    with pytest.raises(WrongUse, match=r"flux-2-klein take no true_cfg_scale.*guidance_scale"):
        Flux2Klein().guidance_arguments(guided)
    assert set(embed_texts(tiny_profile(tiny_flux), ["x"], settings=guided)) == {"x", ""}
    assert set(embed_texts(tiny_profile(tiny_flux), ["x"])) == {"x"}

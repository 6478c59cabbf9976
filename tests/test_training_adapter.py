"""The stage style_adapter on a tiny FLUX with FLUX.1-dev's configuration keys: train, kill, resume, fold, load."""

import json
import os
import re
import signal
from contextlib import contextmanager
from pathlib import Path

import forked
import pytest
from tiny_flux import transformer_config
from training_home import PAINTER, TRAINING, fill_home, tiny_profile

from artmaster_pipeline.adapters.tensor_file import tensors_hash
from artmaster_pipeline.base_models.flux.descriptor import FAMILY
from artmaster_pipeline.dataset import build_training_set
from artmaster_pipeline.errors import ArtMasterError, MissingRequirement
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import (
    MANIFEST,
    Adapter,
    AdapterSnapshot,
    Scan,
    TrainingImage,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.settings import Home, TrainingSettings
from artmaster_pipeline.training import check_adapter, train_adapter
from artmaster_pipeline.training.schedule import kept_steps


def ready(home: Home, profile) -> Home:
    build_training_set(fill_home(home), PAINTER, profile)
    return home


class Stopped(Exception):
    pass


class StopsAt(Progress):
    """Ends the training as soon as `step` is told, by an exception or, as a real kill does, without any goodbye."""

    def __init__(self, step: int, stop=None) -> None:
        super().__init__()
        self.step, self.stop = step, stop or self._raise
        self.began = None

    @contextmanager
    def task(self, description, total, done=0):
        count = done
        if description == "Training":
            self.began = done

        def advance(steps=1, note=""):
            nonlocal count
            count += steps
            if description == "Training" and count == self.step:
                self.stop()

        yield advance

    @staticmethod
    def _raise():
        raise Stopped


def kill_self():
    os.kill(os.getpid(), signal.SIGKILL)


# --- what is trained


@pytest.fixture(scope="module")
def flux_dev_linears() -> list[str]:
    """The names of all linear layers of FLUX.1-dev's transformer at its real size, without its weights."""
    import torch
    from diffusers import FluxTransformer2DModel

    with torch.device("meta"):
        model = FluxTransformer2DModel(**transformer_config())
    return [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]


def test_all_418_attention_and_mlp_linears_of_flux_dev_are_trained_and_nothing_else(flux_dev_linears):
    in_blocks = {name for name in flux_dev_linears if "transformer_blocks." in name and ".norm" not in name}
    assert {name for name in flux_dev_linears if re.fullmatch(FAMILY.adapted_layers, name)} == in_blocks
    assert len(in_blocks) == 418


def test_flux_dev_trains_on_its_own_resolution_dependent_sigmas():
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler
    from tiny_flux import SCHEDULER

    from artmaster_pipeline.training.losses.flow_matching import sigmas_for

    scheduler = FlowMatchEulerDiscreteScheduler(**SCHEDULER)
    for tokens, shift in ((1024, 1.88), (1536, 2.05)):
        plain = sigmas_for(1000, FAMILY.shift(scheduler, tokens), "logit_normal", torch.Generator().manual_seed(0))
        moved = sigmas_for(1000, FAMILY.shift(scheduler, tokens), "shifted", torch.Generator().manual_seed(0))
        assert torch.allclose(moved, shift * plain / (1 + (shift - 1) * plain), atol=1e-3)
        assert 0 < moved.min() < moved.max() < 1


@pytest.mark.parametrize("sampling", ["uniform", "logit_normal", "shifted"])
def test_a_band_of_sigmas_is_the_same_distribution_cut(sampling):
    """Drawn from the whole range and thrown away outside the band, or drawn within it: the same quantiles."""
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler
    from tiny_flux import SCHEDULER

    from artmaster_pipeline.training.losses.flow_matching import sigmas_for

    scheduler = FlowMatchEulerDiscreteScheduler(**SCHEDULER)
    whole = sigmas_for(200_000, FAMILY.shift(scheduler, 1024), sampling, torch.Generator().manual_seed(0))
    kept = whole[(whole >= 0.3) & (whole <= 0.7)]
    band = sigmas_for(50_000, FAMILY.shift(scheduler, 1024), sampling, torch.Generator().manual_seed(1), (0.3, 0.7))
    assert 0.3 <= band.min() < band.max() <= 0.7
    for quantile in (0.1, 0.5, 0.9):
        assert band.quantile(quantile).item() == pytest.approx(kept.quantile(quantile).item(), abs=0.01)


def test_the_model_is_asked_for_noise_minus_latent():
    """A model that answers with the true velocity has no loss; so target, packing and unpacking agree."""
    import torch
    from diffusers import FluxPipeline

    from artmaster_pipeline.base_models import TextEmbedding
    from artmaster_pipeline.training.losses.flow_matching import (
        add_noise,
        clean_latents,
        step_generator,
        velocity_loss,
    )

    latents = torch.randn(2, 16, 8, 12)

    class KnowsTheLatents(torch.nn.Module):
        config = type("Config", (), {"guidance_embeds": True})

        def forward(self, hidden_states, timestep, guidance, **_):
            packed = FluxPipeline._pack_latents(latents, 2, 16, 8, 12)
            assert guidance.tolist() == [1.0, 1.0]
            return ((hidden_states - packed) / timestep.view(-1, 1, 1),)  # x_t - z = sigma (eps - z)

    text = [TextEmbedding({"prompt_embeds": torch.zeros(4, 8), "pooled_prompt_embeds": torch.zeros(8)})] * 2
    noised = add_noise(latents, torch.tensor([0.3, 0.8]), step_generator(0, 1))
    predicted = FAMILY.predict_velocity(KnowsTheLatents(), noised.noisy, noised.sigmas, text, 1.0, torch.float32)
    assert velocity_loss(predicted, noised).item() < 1e-9
    assert torch.allclose(clean_latents(noised, predicted), latents, atol=1e-5)


# --- what comes of it


def test_the_ranks_left_are_the_budget_and_the_log_shows_them_going(trained):
    home, _, adapter = trained
    log = [json.loads(line) for line in (home.root / adapter.path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log] == list(range(1, adapter.steps + 1))
    assert sum(adapter.ranks.values()) == log[-1]["rank"] == 2 * len(adapter.ranks)
    assert log[0]["rank"] == 4 * len(adapter.ranks)
    assert len(set(adapter.ranks.values())) > 1
    assert set(log[0]) == {"step", "stage", "epoch", "loss", "orth", "norm", "lr", "rank"}
    assert log[-1]["loss"] < log[0]["loss"]


def test_folded_and_live_adapter_predict_the_same_and_not_what_the_base_predicts(trained):
    home, profile, _ = trained
    figures = check_adapter(home, PAINTER, profile)
    assert figures["folded_difference"] <= figures["tolerance"] <= 1e-5
    assert figures["prediction_difference"] <= 1e-4
    assert figures["effect"] > 0.01
    assert figures["weights_difference"] < 1e-5


def test_folded_and_live_adapter_draw_the_same_picture_in_stock_diffusers(trained, tiny_flux):
    import numpy as np
    import torch
    from diffusers import FluxPipeline

    from artmaster_pipeline.training.adalora.injecting import load_live

    home, _, adapter = trained
    folder = home.root / adapter.path

    def draw(pipe):
        pipe.set_progress_bar_config(disable=True)
        generator = torch.Generator().manual_seed(5)
        return pipe(
            "wangximeng style", height=64, width=64, num_inference_steps=3, guidance_scale=3.5, generator=generator,
            output_type="np", max_sequence_length=24,
        ).images  # fmt: skip

    stock = FluxPipeline.from_pretrained(tiny_flux)
    base = draw(stock)
    stock.load_lora_weights(folder)  # stock diffusers finds the file in the folder by itself
    folded = draw(stock)
    live_pipe = FluxPipeline.from_pretrained(tiny_flux)
    load_live(live_pipe.transformer, folder / "adalora")
    assert np.abs(draw(live_pipe) - folded).max() <= 1e-4
    assert np.abs(folded - base).max() > 1e-3


def test_layers_of_rank_0_are_left_out_of_the_file(trained):
    from safetensors import safe_open

    home, _, adapter = trained
    with safe_open(home.root / adapter.path / "adapter.safetensors", "pt") as file:
        ranks = {
            name.removeprefix("transformer.").removesuffix(".lora_A.weight"): file.get_slice(name).get_shape()[0]
            for name in file.keys()  # noqa: SIM118 - a safetensors file is no dict
            if name.endswith(".lora_A.weight")
        }
    assert ranks == {layer: rank for layer, rank in adapter.ranks.items() if rank}


def test_the_adapter_names_exactly_the_scans_it_was_trained_on(trained):
    home, _, adapter = trained
    folder = home.root / adapter.path
    rows = read_manifest(home.training_set(PAINTER) / MANIFEST, TrainingImage)
    train = {row.scan_sha256 for row in rows if row.split == "train"}
    assert set(adapter.scan_sha256s) == train
    assert train < {row.scan_sha256 for row in rows}
    snapshot = AdapterSnapshot.model_validate_json((folder / "lineage.json").read_text())
    assert snapshot.training_images == rows
    assert {scan.sha256 for scan in snapshot.scans} == {row.scan_sha256 for row in rows}
    assert {crop.id for crop in snapshot.crops} == {row.crop_id for row in rows}
    assert Adapter.model_validate_json((folder / "adapter.json").read_text()) == adapter


def test_the_model_card_says_rights_and_how_to_load_and_takes_no_markup_from_the_archive(trained):
    home, _, adapter = trained
    card = (home.root / adapter.path / "README.md").read_text()
    assert "public domain \\| \\<b\\>CC0\\</b\\>" in card
    assert adapter.path not in card
    assert "pipe.load_lora_weights(adapter)" in card
    assert f"| train | {len(adapter.scan_sha256s)} |" in card
    assert "| validate | 0 | may choose a checkpoint |" in card
    assert "| held out | 1 | only judge" in card
    assert adapter.trigger in card
    assert adapter.sha256 in card


def test_an_adapter_that_is_there_is_not_trained_again(trained):
    home, profile, adapter = trained
    folder = home.root / adapter.path
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    again = train_adapter(home, PAINTER, profile, StopsAt(1))
    assert (again.made, again.reused, again.records) == (0, 1, (adapter,))
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == before
    assert not (home.cache / "training" / adapter.id).exists()


# --- kills


@pytest.mark.parametrize("step", [1, 4, 7, 10, 15])
def test_a_training_stopped_at_any_step_goes_on_to_the_same_bytes(tmp_path, trained, step):
    """12 or more steps, checkpoints every 4, pruning from step 2 to 10: before, in and after it."""
    whole, profile, adapter = trained
    assert adapter.steps > 15
    home = ready(Home(tmp_path / "home"), profile)
    with pytest.raises(Stopped):
        train_adapter(home, PAINTER, profile, StopsAt(step))
    second = StopsAt(-1)
    again = train_adapter(home, PAINTER, profile, second)
    saved = {*range(0, step + 1, 4), *kept_steps(adapter.steps, profile.training)}
    assert second.began == max(n for n in saved if n <= step)
    assert again.records == (adapter,)
    assert files_below(home.adapters(PAINTER)) == files_below(whole.adapters(PAINTER))


KILLED_AT_STEP_9 = """
import sys
from pathlib import Path
from test_training_adapter import PAINTER, Home, StopsAt, kill_self, tiny_profile, train_adapter
train_adapter(Home(Path(sys.argv[1])), PAINTER, tiny_profile(Path(sys.argv[2])), StopsAt(9, kill_self))
"""


@pytest.mark.slow
def test_kill_9_in_mid_pruning_loses_nothing(tmp_path, trained, tiny_flux):
    whole, profile, _ = trained
    home = ready(Home(tmp_path / "home"), profile)
    dead = forked.run(KILLED_AT_STEP_9, "killed", str(home.root), str(tiny_flux))
    assert dead.returncode == -signal.SIGKILL
    train_adapter(home, PAINTER, profile)
    assert files_below(home.adapters(PAINTER)) == files_below(whole.adapters(PAINTER))


EVERYTHING = TrainingSettings.model_validate(
    TRAINING.model_dump()
    | {
        "ema_decay": 0.9,
        "caption_dropout": 0.3,
        "lr_scheduler": "cosine",
        "gradient_accumulation": 2,
        "epochs": 5,
        "style_constraint": {"weight": 0.1, "max_sigma": 0.8},
        "semantic_guidance": {"weight": 1.0, "direction_weight": 1.0, "every": 2},
        "stages": (
            {"name": "tone", "share": 0.6, "sigmas": (0.4, 1.0), "layers": ("double",)},
            {"name": "brush", "share": 0.4, "sigmas": (0.0, 0.6), "sizes": ("512x512",), "learning_rate": 5e-3},
        ),
    }
)


@pytest.fixture(scope="module")
def trained_with_everything(tmp_path_factory, tiny_flux):
    home, profile = Home(tmp_path_factory.mktemp("everything")), tiny_profile(tiny_flux, training=EVERYTHING)
    build_training_set(fill_home(home), PAINTER, profile)
    (adapter,) = train_adapter(home, PAINTER, profile).records
    return home, profile, adapter


@pytest.mark.parametrize("step", [3, 9, 12, 13, 16])
def test_with_every_mechanism_on_it_goes_on_to_the_same_bytes_across_a_stage_end_too(
    tmp_path, trained_with_everything, step
):
    whole, profile, adapter = trained_with_everything
    assert adapter.steps == 20
    assert kept_steps(20, EVERYTHING) == (5, 10, 12, 15)
    home = ready(Home(tmp_path / "home"), profile)
    with pytest.raises(Stopped):
        train_adapter(home, PAINTER, profile, StopsAt(step))
    train_adapter(home, PAINTER, profile)
    assert files_below(home.adapters(PAINTER)) == files_below(whole.adapters(PAINTER))


def test_every_mechanism_leaves_its_trace_in_the_log(trained_with_everything):
    home, _, adapter = trained_with_everything
    folder = home.root / adapter.path
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [row["stage"] for row in log] == [0] * 12 + [1] * 8
    assert all((row["guidance"] > 0) == (row["step"] % 2 == 0) for row in log[4:])
    assert any(row["constraint"] > 0 for row in log)
    assert log[0]["lr"] > log[10]["lr"]
    assert log[12]["lr"] < 5e-3


def test_a_torn_checkpoint_is_passed_over_for_the_one_before(tmp_path, trained):
    whole, profile, _ = trained
    home = ready(Home(tmp_path / "home"), profile)
    with pytest.raises(Stopped):
        train_adapter(home, PAINTER, profile, StopsAt(9))
    (newest, older) = sorted((home.cache / "training").glob("*/step-*"), reverse=True)
    (newest / "state.safetensors").write_bytes(b"torn")
    second = StopsAt(-1)
    train_adapter(home, PAINTER, profile, second)
    assert second.began == int(older.name.removeprefix("step-"))
    assert files_below(home.adapters(PAINTER)) == files_below(whole.adapters(PAINTER))


def test_no_checkpoint_holds_a_pickle(tmp_path, trained):
    _, profile, _ = trained
    home = ready(Home(tmp_path / "home"), profile)
    with pytest.raises(Stopped):
        train_adapter(home, PAINTER, profile, StopsAt(13))
    kept = sorted((home.cache / "training").glob("*/step-*"))
    assert [folder.name for folder in kept] == ["step-0000008", "step-0000012"]
    assert {file.suffix for folder in kept for file in folder.iterdir()} == {".safetensors", ".json"}


def test_earlier_states_are_kept_beside_the_adapter_evenly_spaced(trained):
    home, profile, adapter = trained
    folder = home.root / adapter.path / "checkpoints"
    kept = sorted(file.name for file in folder.iterdir())
    steps = kept_steps(adapter.steps, profile.training)
    assert len(steps) == 3
    assert kept == [f"step-{step:07d}.tensors" for step in steps]
    assert len({sha256_of(file) for file in folder.iterdir()} | {adapter.sha256}) == 4


def test_a_share_of_the_change_is_kept_and_live_and_folded_agree_on_it(tmp_path, trained):
    import torch
    from safetensors.torch import load_file

    whole_home, profile, whole = trained
    half = profile.model_copy(update={"training": profile.training.model_copy(update={"strength": 0.5})})
    home = ready(Home(tmp_path / "home"), half)
    (adapter,) = train_adapter(home, PAINTER, half).records
    assert adapter.id != whole.id
    figures = check_adapter(home, PAINTER, half)
    assert figures["folded_difference"] <= figures["tolerance"]
    whole_lora = load_file(whole_home.root / whole.path / "adapter.safetensors")
    for name, tensor in load_file(home.root / adapter.path / "adapter.safetensors").items():
        share = 0.5 if name.endswith("lora_B.weight") else 1.0
        assert torch.allclose(tensor, share * whole_lora[name])


def files_below(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): sha256_of(file) for file in folder.rglob("*") if file.is_file()}


# --- retraining, other precisions


def test_what_the_archive_says_about_held_out_works_changes_the_record_but_trains_nothing(home, tiny_flux):
    profile = tiny_profile(tiny_flux, training=TRAINING.model_copy(update={"epochs": 1}))
    first = train_adapter(ready(home, profile), PAINTER, profile).records[0]
    register = home.register(PAINTER) / MANIFEST
    scans = read_manifest(register, Scan)
    write_manifest(
        register,
        [scan if scan.sha256 in first.scan_sha256s else scan.model_copy(update={"subject": "boat"}) for scan in scans],
    )
    rows = build_training_set(home, PAINTER, profile)
    outcome = train_adapter(home, PAINTER, profile, StopsAt(1))
    assert outcome.made == 0
    assert outcome.records[0].id == first.id
    assert outcome.records[0].training_set_hash == rows.hash != first.training_set_hash
    assert "boat" in (home.root / first.path / "lineage.json").read_text()


def test_a_new_caption_of_a_trained_work_is_another_adapter_and_the_old_one_stays(home, tiny_flux):
    profile = tiny_profile(tiny_flux, training=TRAINING.model_copy(update={"epochs": 1}))
    first = train_adapter(ready(home, profile), PAINTER, profile).records[0]
    register = home.register(PAINTER) / MANIFEST
    write_manifest(register, [s.model_copy(update={"caption": "mist"}) for s in read_manifest(register, Scan)])
    build_training_set(home, PAINTER, profile)
    second = train_adapter(home, PAINTER, profile).records[0]
    assert second.id != first.id
    assert read_manifest(home.adapters(PAINTER) / MANIFEST, Adapter) == (second,)
    assert (home.root / first.path / "adapter.safetensors").is_file()


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_same_path_trains_in_bf16_with_and_without_gradient_checkpointing(home, tiny_flux, checkpointing):
    training = TRAINING.model_copy(update={"gradient_checkpointing": checkpointing, "epochs": 2})
    profile = tiny_profile(tiny_flux, dtype="bfloat16", training=training)
    (adapter,) = train_adapter(ready(home, profile), PAINTER, profile).records
    figures = check_adapter(home, PAINTER, profile)
    assert adapter.final_loss < 3
    assert figures["folded_difference"] <= figures["tolerance"]
    assert figures["effect"] > figures["folded_difference"]


def test_gradient_checkpointing_changes_no_weight_in_fp32(tmp_path, trained):
    whole_home, profile, whole = trained
    training = profile.training.model_copy(update={"gradient_checkpointing": True})
    again = profile.model_copy(update={"training": training})
    home = ready(Home(tmp_path / "home"), again)
    (adapter,) = train_adapter(home, PAINTER, again).records
    files = [at.root / of.path / "adapter.safetensors" for at, of in ((home, adapter), (whole_home, whole))]
    assert tensors_hash(files[0]) == tensors_hash(files[1])


def test_a_loss_that_blows_up_names_step_works_and_rate_and_what_to_try(home, tiny_flux):
    profile = tiny_profile(tiny_flux, training=TRAINING.model_copy(update={"learning_rate": 1e30}))
    with pytest.raises(ArtMasterError, match="smaller `learning_rate`") as told:
        train_adapter(ready(home, profile), PAINTER, profile)
    assert re.search(r"at step \d: its loss is no longer a number", str(told.value))
    assert re.search(r"artworks: 'wangximeng style, [^']+' \(scan [0-9a-f]{12}\)", str(told.value))
    assert "The learning rate was 1e+30" in str(told.value)
    assert not list(home.adapters(PAINTER).glob("*/adapter.json"))


def test_after_a_loss_that_grows_the_last_good_state_lies_there_and_draws(home, tiny_flux, monkeypatch):
    from diffusers import FluxPipeline

    from artmaster_pipeline.training import trainer

    class GrowsAt14(trainer.Trend):
        def diverges(self, step, stage, loss):
            self.lowest_at = 13
            return step == 14

    monkeypatch.setattr(trainer, "Trend", GrowsAt14)
    profile = tiny_profile(tiny_flux)
    with pytest.raises(ArtMasterError, match="its loss has grown to 3 times") as told:
        train_adapter(ready(home, profile), PAINTER, profile)
    file = Path(re.search(r"after step 12, the last good one that was kept, is (\S+safetensors)", str(told.value))[1])
    assert (file.parent.parent / "step-0000012").is_dir()
    assert not (file.parent.parent / "step-0000014").is_dir()
    FluxPipeline.from_pretrained(tiny_flux).load_lora_weights(file.parent, weight_name=file.name)


def test_cuda_that_is_not_there_is_said_and_never_replaced_by_the_cpu(home, tiny_flux, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    ready(home, tiny_profile(tiny_flux))
    with pytest.raises(MissingRequirement, match="CUDA"):
        train_adapter(home, PAINTER, tiny_profile(tiny_flux, device="cuda", dtype="bfloat16"))


def test_without_a_training_set_the_stage_to_run_is_named(home, tiny_flux):
    home.scans(PAINTER).mkdir(parents=True)
    with pytest.raises(ArtMasterError, match="run the stage training_set first"):
        train_adapter(home, PAINTER, tiny_profile(tiny_flux))


def test_the_rank_plot_is_drawn_for_all_418_layers_of_flux_dev(tmp_path, flux_dev_linears):
    from PIL import Image

    from artmaster_pipeline.training.monitoring.plots import draw_ranks

    names = [name for name in flux_dev_linears if re.fullmatch(FAMILY.adapted_layers, name)]
    log = [{"step": n, "rank": 6688 - n} for n in range(1, 50)]
    for file in ("a.png", "b.png"):
        draw_ranks(log, {name: n % 17 for n, name in enumerate(names)}, 16, tmp_path / file)
    assert Image.open(tmp_path / "a.png").width > 900
    assert sha256_of(tmp_path / "a.png") == sha256_of(tmp_path / "b.png")


# --- the model card


def front_matter_of(card: str) -> dict:
    import yaml

    return yaml.safe_load(card.split("---\n")[1])


def test_the_model_card_draws_as_was_chosen(trained):
    from artmaster_pipeline.adapters import read_adapter, read_snapshot
    from artmaster_pipeline.adapters.model_card import model_card
    from artmaster_pipeline.drawing_settings import DrawingSettings

    home, adapter = trained[0], read_adapter(trained[0], PAINTER, trained[2].id)
    folder, snapshot = home.root / adapter.path, read_snapshot(home, adapter)
    assert model_card(home, adapter, snapshot, folder) == (folder / "README.md").read_text(encoding="utf-8")
    chosen = DrawingSettings(strength=0.8, guidance_scale=2.5)
    card = model_card(home, adapter.model_copy(update={"drawing": chosen}), snapshot, folder)
    assert 'pipe.set_adapters("style", 0.8)' in card
    assert "    guidance_scale=2.5,\n).images[0]" in card
    assert "chosen on the validation works: strength 0.8, guidance 2.5." in card
    assert "true_cfg_scale" not in card
    chosen = DrawingSettings(guidance_scale=2.5, true_cfg_scale=1.5, adapter_in_unguided=False)
    card = model_card(home, adapter.model_copy(update={"drawing": chosen}), snapshot, folder)
    assert '    true_cfg_scale=1.5,\n    negative_prompt="",\n' in card
    assert "set_adapters" not in card
    assert "Other programs leave the adapter on in both passes" in card


def test_the_model_card_names_every_file_that_lies_beside_it(trained):
    home, _, adapter = trained
    folder = home.root / adapter.path
    named = set(re.findall(r"^- `([^`]+)`: ", (folder / "README.md").read_text(), re.MULTILINE))
    there = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert {name for name in there if name not in named and f"{name.split('/')[0]}/" not in named} == set()
    assert {name for name in named if not (folder / name).exists()} == set()


def test_the_model_card_shows_the_pictures_that_lie_there_with_their_prompts(trained):
    from artmaster_pipeline.pictures import read_facts

    home, _, adapter = trained
    folder = home.root / adapter.path
    card = (folder / "README.md").read_text()
    widget = front_matter_of(card)["widget"]
    pictures = sorted(f"samples/{file.name}" for file in (folder / "samples").iterdir())
    assert [each["output"]["url"] for each in widget] == pictures != []
    assert [each["text"] for each in widget] == [read_facts(folder / name)["prompt"] for name in pictures]
    assert "<Gallery />" in card


@pytest.mark.parametrize(
    ("base_model", "said"),
    [
        (
            "black-forest-labs/FLUX.1-dev",
            {
                "license": "other",
                "license_name": "flux-1-dev-non-commercial-license",
                "license_link": "https://huggingface.co/black-forest-labs/FLUX.1-dev/blob/main/LICENSE.md",
            },
        ),
        ("miniature", {"license": "apache-2.0"}),
        ("/some/where/unheard-of", {"license": "unknown", "base_model": "unheard-of"}),
    ],
)
def test_the_model_card_has_the_licence_of_the_base_and_the_words_the_hub_knows_adapters_by(trained, base_model, said):
    from artmaster_pipeline.adapters import read_snapshot
    from artmaster_pipeline.adapters.model_card import model_card

    home, _, adapter = trained
    adapter = adapter.model_copy(update={"base_model": base_model})
    card = model_card(home, adapter, read_snapshot(home, adapter), home.root / adapter.path)
    front = front_matter_of(card)
    assert front.items() >= ({"base_model": base_model, "instance_prompt": adapter.trigger} | said).items()
    assert {"text-to-image", "template:sd-lora", "diffusers", "lora", "adalora", "artmaster"} <= set(front["tags"])
    assert str(home.root) not in card
    assert "/some/where" not in card
    assert 'adapter = "."' in card
    assert said.get("license_link", "") in card

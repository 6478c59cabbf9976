"""The evaluation grid: which works it shows, what is drawn again and what is not, what its distances mean."""

import json
import shutil
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import forked
import numpy as np
import pytest
from PIL import Image
from sharing import unlinked
from small_archive import (
    FAR_PROMPTS,
    PAINTER,
    TRIGGER,
    add_adapter,
    copied,
    quick_drawing,
    small_archive,
    small_profile,
)
from typer.testing import CliRunner

from artmaster_pipeline import pictures
from artmaster_pipeline.cli import app, evaluating
from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.evaluation import Asked, evaluate, evaluate_adapter, measure_drawn
from artmaster_pipeline.evaluation.panel import drift
from artmaster_pipeline.evaluation.panel.adherence import adherence, denoising_fits, other_prompts
from artmaster_pipeline.evaluation.panel.measure import flat_figures
from artmaster_pipeline.evaluation.report.lettering import find_lettering
from artmaster_pipeline.evaluation.rows import choose_rows
from artmaster_pipeline.files import sha256_of, write_text
from artmaster_pipeline.records import (
    ADAPTER_RECORD,
    MANIFEST,
    Adapter,
    AdapterSnapshot,
    Sample,
    Scan,
    TrainingImage,
    manifest_hash,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.settings import Home, load_profile

PROFILE = small_profile()
GRID = 15  # cells: 5 works, 3 columns
ALL = GRID + 8 + 4  # and 4 pairs for the panel, 2 far prompts with and without the adapter


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, bool]]:
    return quick_drawing(monkeypatch)


@pytest.fixture(scope="module")
def evaluated_once(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """An archive after its evaluation; tests look at it and leave it as it is."""
    home = Home(tmp_path_factory.mktemp("evaluated") / "home")
    small_archive(home)
    with pytest.MonkeyPatch.context() as patch:
        drawn = quick_drawing(patch)
        outcome = evaluate_adapter(home, PAINTER, PROFILE)
    assert len(drawn) == ALL - 5
    assert (outcome.made, outcome.reused) == (ALL, 0)
    return home


@pytest.fixture
def evaluated(evaluated_once: Home, home: Home, drawn: list) -> Home:
    """A copy of it, for tests that change it; nothing has been drawn in it yet."""
    return copied(evaluated_once, home)


def samples_of(home: Home) -> tuple[Sample, ...]:
    return read_manifest(home.evaluation(PAINTER) / MANIFEST, Sample)


def adapter_of(home: Home) -> Adapter:
    return read_manifest(home.adapters(PAINTER) / MANIFEST, Adapter)[0]


def training_images(home: Home) -> tuple[TrainingImage, ...]:
    return read_manifest(home.training_set(PAINTER) / MANIFEST, TrainingImage)


def rows_of(samples: tuple[Sample, ...]) -> dict[int, dict[str, Sample]]:
    rows: dict[int, dict[str, Sample]] = {}
    for sample in (sample for sample in samples if sample.role == "row"):
        rows.setdefault(sample.seed, {})[sample.column] = sample
    return rows


# Rows


def test_held_out_works_come_first_and_no_work_comes_twice(home: Home) -> None:
    small_archive(home, works=5, held_out=2)
    rows = choose_rows(training_images(home), 4, seed=10)
    assert [row.image.split for row in rows] == ["held_out", "held_out", "train", "train"]
    assert [row.label for row in rows][1:3] == ["held-out work", "work from the training set"]
    assert len({row.image.scan_sha256 for row in rows}) == 4
    assert [row.seed for row in rows] == [10, 11, 12, 13]


def test_works_for_validation_stand_between_and_two_scans_of_one_work_are_one_row(home: Home) -> None:
    small_archive(home, works=5, held_out=2)
    images = training_images(home)
    chooses, again, first = sorted({image.scan_sha256 for image in images if image.split == "train"})
    changes = {chooses: {"split": "validate"}, again: {"group": first}, first: {"group": first}}
    divided = [image.model_copy(update=changes.get(image.scan_sha256, {})) for image in images]
    rows = choose_rows(divided, 6, seed=0)
    assert [row.label for row in rows[1:]] == ["held-out work", "work for validation", "work from the training set"]


def test_both_crop_shapes_are_judged(home: Home) -> None:
    small_archive(home)
    assert {row.image.height for row in choose_rows(training_images(home), 4, 0)} == {512, 768}


def test_there_are_no_more_rows_than_works(home: Home) -> None:
    small_archive(home, works=3, held_out=1)
    assert len(choose_rows(training_images(home), 6, 0)) == 3


# Cells


def test_a_row_is_the_work_then_base_and_adapter_with_its_caption_and_one_seed(evaluated_once: Home) -> None:
    captions = {image.caption for image in training_images(evaluated_once)}
    rows = rows_of(samples_of(evaluated_once))
    assert sorted(rows) == [0, 1, 2, 3, 4]
    for row in rows.values():
        assert set(row) == {"original", "base", "adapter"}
        assert len({(s.prompt, s.seed, s.width, s.height) for s in row.values()}) == 1
        assert row["base"].prompt in captions
        assert row["base"].prompt.startswith(TRIGGER)
        assert row["base"].width == 512 // PROFILE.size_divisor
    assert {sample.evaluated_adapter_id for sample in samples_of(evaluated_once)} == {adapter_of(evaluated_once).id}


def test_only_the_third_column_is_drawn_with_the_adapter(home: Home, drawn: list) -> None:
    small_archive(home, works=2, held_out=1)
    rows = rows_of(evaluate_adapter(home, PAINTER, PROFILE).records)
    prompts = [rows[seed]["adapter"].prompt for seed in (0, 1)]
    in_rows = [(prompt, seed, attached) for prompt, seed, attached in drawn if seed < 1000]
    assert in_rows == [(p, seed, attached) for attached in (False, True) for seed, p in enumerate(prompts)]


def test_the_records_describe_the_files(evaluated_once: Home) -> None:
    for sample in samples_of(evaluated_once):
        file = evaluated_once.evaluation(PAINTER) / sample.path
        assert sha256_of(file) == sample.sha256
        assert pictures.read_rgb(file).shape == (sample.height, sample.width, 3)


def test_a_generated_picture_says_so_and_an_original_does_not(evaluated_once: Home) -> None:
    row = rows_of(samples_of(evaluated_once))[0]
    files = {column: evaluated_once.evaluation(PAINTER) / sample.path for column, sample in row.items()}
    facts = {column: pictures.read_facts(file) for column, file in files.items()}
    assert facts["adapter"]["notice"] == facts["base"]["notice"] == pictures.AI_GENERATED
    assert (facts["adapter"]["prompt"], facts["adapter"]["seed"]) == (row["adapter"].prompt, 0)
    assert (facts["adapter"]["adapter"], facts["base"]["adapter"]) == (adapter_of(evaluated_once).id, "")
    assert facts["original"]["scan_sha256"] == row["original"].scan_sha256
    for column, file in files.items():
        assert (b"trainedAlgorithmicMedia" in file.read_bytes()) == (column != "original")


# Incremental


def test_a_second_run_draws_nothing_and_changes_nothing(evaluated: Home, drawn: list) -> None:
    def files() -> dict[Path, tuple[int, bytes]]:
        there = (file for file in evaluated.evaluation(PAINTER).rglob("*") if file.is_file())
        return {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in there}

    before = files()
    outcome = evaluate_adapter(evaluated, PAINTER, PROFILE)
    assert drawn == []
    assert (outcome.made, outcome.reused) == (0, ALL)
    assert files() == before


def test_only_a_damaged_picture_is_drawn_again_and_comes_out_the_same(evaluated: Home, drawn: list) -> None:
    before = manifest_hash(evaluated.evaluation(PAINTER) / MANIFEST)
    victim = next(s for s in samples_of(evaluated) if s.column == "adapter" and s.role == "row")
    unlinked(evaluated.evaluation(PAINTER) / victim.path).write_bytes(b"not a picture")
    outcome = evaluate_adapter(evaluated, PAINTER, PROFILE)
    assert outcome.made == 1
    assert drawn == [(victim.prompt, victim.seed, True)]
    assert outcome.hash == before


def test_what_a_killed_run_finished_is_taken_up_and_what_it_broke_is_not(evaluated: Home) -> None:
    manifest = evaluated.evaluation(PAINTER) / MANIFEST
    unbroken = manifest_hash(manifest)
    broken, lost = (evaluated.evaluation(PAINTER) / sample.path for sample in samples_of(evaluated)[:2])
    manifest.unlink()
    (evaluated.evaluation(PAINTER) / adapter_of(evaluated).id / MANIFEST).unlink()
    lost.unlink()
    unlinked(broken).write_bytes(broken.read_bytes()[:2000])
    (broken.parent / ".partial-abc.png").write_bytes(b"")
    (broken.parent / "0123456789abcdef.png").write_bytes(b"of no record")
    assert evaluate_adapter(evaluated, PAINTER, PROFILE).made == 2
    assert manifest_hash(manifest) == unbroken
    assert len(list(broken.parent.iterdir())) == ALL


def test_a_new_adapter_takes_over_the_base_pictures(evaluated: Home, drawn: list) -> None:
    old = adapter_of(evaluated)
    snapshot = AdapterSnapshot.model_validate_json((evaluated.root / old.path / "lineage.json").read_text())
    new = add_adapter(evaluated, snapshot.scans, snapshot.training_images, seed=1)
    outcome = evaluate_adapter(evaluated, PAINTER, PROFILE)
    assert [with_adapter for _, _, with_adapter in drawn] == [True] * (5 + 4 + 2)
    assert {sample.path.split("/")[0] for sample in outcome.records} == {new.id}
    assert (evaluated.evaluation(PAINTER) / old.id / "grid.png").is_file()


def test_the_evaluation_of_a_removed_adapter_goes(evaluated: Home) -> None:
    gone = evaluated.evaluation(PAINTER) / "0123456789abcdef"
    gone.mkdir()
    evaluate_adapter(evaluated, PAINTER, PROFILE)
    assert not gone.exists()


def test_of_a_removed_adapter_that_was_judged_the_verdicts_stay_without_pictures(evaluated: Home, drawn: list) -> None:
    judged = evaluated.evaluation(PAINTER) / "0123456789abcdef"
    shutil.copytree(evaluated.evaluation(PAINTER) / adapter_of(evaluated).id, judged)
    evaluate_adapter(evaluated, PAINTER, PROFILE)
    assert (judged / "verdicts.jsonl").is_file()
    assert (judged / "panel.json").is_file()
    assert not (judged / "samples").exists()
    assert not (judged / MANIFEST).exists()


def test_other_steps_are_other_pictures(evaluated: Home, drawn: list) -> None:
    faster = PROFILE.model_copy(update={"evaluation": PROFILE.evaluation.model_copy(update={"num_inference_steps": 4})})
    assert evaluate_adapter(evaluated, PAINTER, faster).made == ALL - 5
    assert len(drawn) == ALL - 5


@pytest.mark.slow
def test_kill_9_at_any_moment_then_again_gives_the_records_of_an_unbroken_run(
    tmp_path: Path, evaluated_once: Home, drawn: list
) -> None:
    killed = Home(tmp_path / "killed")
    small_archive(killed)
    died = forked.run(_RUN_THAT_DIES, "dies", str(killed.root))
    assert died.returncode == -signal.SIGKILL
    samples = killed.evaluation(PAINTER)
    assert 5 < len(list(samples.rglob("[0-9a-f]*.png"))) < ALL
    assert not (samples / MANIFEST).exists()
    evaluate_adapter(killed, PAINTER, PROFILE)
    assert 0 < len(drawn) < ALL - 5
    assert (samples / MANIFEST).read_bytes() == (evaluated_once.evaluation(PAINTER) / MANIFEST).read_bytes()
    assert not list(samples.rglob(".partial-*"))


_RUN_THAT_DIES = """
import os, signal, sys
from pathlib import Path
import pytest
from small_archive import PAINTER, quick_drawing, small_profile
from artmaster_pipeline.evaluation import evaluate_adapter
from artmaster_pipeline.generation import sampling
from artmaster_pipeline.settings import Home
patch = pytest.MonkeyPatch()
quick_drawing(patch)
quick, batches = sampling.draw_embedded, []
def draw(*args, **kwargs):
    batches.append(args)
    if len(batches) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return quick(*args, **kwargs)
patch.setattr(sampling, "draw_embedded", draw)
evaluate_adapter(Home(Path(sys.argv[1])), PAINTER, small_profile())
"""


# The real base model


@pytest.mark.slow
def test_the_miniature_draws_the_same_again_and_otherwise_with_the_adapter(home: Home) -> None:
    import torch
    from safetensors.torch import save

    from artmaster_pipeline.base_models import base_revision, load_pipeline

    old = small_archive(home, works=2, held_out=1)
    layer = "transformer_blocks.0.attn.to_q"
    out_features, in_features = load_pipeline(PROFILE).transformer.get_submodule(layer).weight.shape
    random = torch.Generator().manual_seed(0)
    lora = {
        f"transformer.{layer}.lora_A.weight": torch.randn(4, in_features, generator=random),
        f"transformer.{layer}.lora_B.weight": torch.randn(out_features, 4, generator=random),
    }
    snapshot = AdapterSnapshot.model_validate_json((home.root / old.path / "lineage.json").read_text())
    add_adapter(home, snapshot.scans, snapshot.training_images, 1, save(lora), base_revision(PROFILE))
    quick = small_profile(num_inference_steps=2, rows=1, samples=2)

    first = evaluate_adapter(home, PAINTER, quick)
    (row,) = rows_of(first.records).values()
    folder = home.evaluation(PAINTER)
    assert not np.array_equal(*(pictures.read_rgb(folder / row[column].path) for column in ("base", "adapter")))
    for column in ("base", "adapter"):
        (folder / row[column].path).unlink()
    second = evaluate_adapter(home, PAINTER, quick)
    assert (second.made, second.hash) == (2, first.hash)


# What cannot be evaluated


def test_without_an_adapter_the_stage_to_run_is_named(home: Home) -> None:
    home.scans(PAINTER).mkdir(parents=True)
    with pytest.raises(ArtMasterError, match="style_adapter"):
        evaluate_adapter(home, PAINTER, PROFILE)


def test_an_adapter_of_another_base_model_is_refused(home: Home, drawn: list) -> None:
    small_archive(home)
    with pytest.raises(WrongUse, match=r"miniature.*FLUX\.1-dev"):
        evaluate_adapter(home, PAINTER, load_profile("flux-dev"))
    assert drawn == []


def test_a_base_model_that_changed_since_the_training_is_refused(home: Home, drawn: list, monkeypatch) -> None:
    from artmaster_pipeline import base_models

    small_archive(home)
    monkeypatch.setattr(base_models, "base_revision", lambda profile, home=None: "another")
    with pytest.raises(WrongUse, match="no longer the one"):
        evaluate_adapter(home, PAINTER, PROFILE)
    assert drawn == []


# The grid as a picture


def test_the_grid_shows_its_cells_in_their_columns(evaluated_once: Home) -> None:
    folder = evaluated_once.evaluation(PAINTER)
    sheet = pictures.read_rgb(folder / adapter_of(evaluated_once).id / "grid.png")
    row = rows_of(samples_of(evaluated_once))[0]
    for column, left in (("original", 56), ("base", 464), ("adapter", 872)):
        shown = sheet[150 : 150 + 384, left : left + 384]
        cell = Image.open(folder / row[column].path).resize((384, 384), Image.Resampling.LANCZOS)
        assert np.array_equal(shown, np.asarray(cell))


def test_there_is_a_small_grid_for_the_ui(evaluated_once: Home) -> None:
    preview = evaluated_once.evaluation(PAINTER) / adapter_of(evaluated_once).id / "grid.jpg"
    with Image.open(preview) as image:
        assert image.width == 900
    assert preview.stat().st_size < (preview.parent / "grid.png").stat().st_size
    assert pictures.read_facts(preview)["notice"] == pictures.AI_GENERATED


def test_characters_without_a_font_are_left_out_and_never_set_as_boxes() -> None:
    text = "style, \u4e25\u5b50\u9675 \U0001f600 dawn"
    lettering = find_lettering([text])
    readable = lettering.readable(text)
    assert readable.startswith("style, ")
    assert readable.endswith(" dawn")
    box = lettering.font("\uffff", 40).getmask("\uffff")
    for character in readable.replace(" ", ""):
        mask = lettering.font(readable, 40).getmask(character)
        assert (mask.size, bytes(mask)) != (box.size, bytes(box))


def test_text_that_the_shipped_font_has_stays_as_it_is() -> None:
    text = "Fr\u00fchling \u2014 \u0412\u0435\u0441\u043d\u0430,\n  a\u00a0pavilion"
    assert find_lettering([text]).readable(text) == "Fr\u00fchling \u2014 \u0412\u0435\u0441\u043d\u0430, a pavilion"


# The panel


def panel_of(home: Home) -> dict:
    file = home.evaluation(PAINTER) / adapter_of(home).id / "panel.json"
    return json.loads(file.read_text(encoding="utf-8"))


def test_the_panel_counts_what_it_measured_and_is_modest_about_few_pictures(evaluated_once: Home) -> None:
    panel = panel_of(evaluated_once)
    assert panel["counts"] == {
        "prompts": 2,
        "pictures": 4, "far_prompts": 2, "train_works": 3, "validate_works": 0, "held_out_works": 2,
    }  # fmt: skip
    tone = panel["axes"]["tone"]
    assert tone["ceiling"] < tone["result"] < tone["floor"]  # the archive's inks, the adapter's, pink
    assert set(tone["components"]) == {"colour", "palette", "lightness", "leading hues"}
    assert "With 2 held-out works and 2 prompts (2 pictures of each) this is a hint, not a proof." in panel["summary"]
    figures = flat_figures(panel)
    assert figures["tone: score"] == tone["score"]
    assert all(isinstance(value, (int, float, str)) for value in figures.values())


def test_every_component_names_the_source_of_its_formula(evaluated_once: Home) -> None:
    panel = panel_of(evaluated_once)
    for axis, figures in panel["axes"].items():
        assert set(panel["sources"][axis]) == set(figures["components"])
        assert all(panel["sources"][axis].values())


def test_each_sample_is_shown_with_its_nearest_training_work(evaluated_once: Home) -> None:
    (adapter,) = read_manifest(evaluated_once.adapters(PAINTER) / MANIFEST, Adapter)
    found = panel_of(evaluated_once)["memorisation"]
    assert found["pictures"] == len(found["nearest"]) == 5 + 4 + 2
    assert {row["scan_sha256"] for row in found["nearest"]} <= set(adapter.scan_sha256s)


def test_a_panel_without_held_out_works_says_that_nothing_was_measured(home: Home, drawn: list) -> None:
    small_archive(home, works=2, held_out=0)
    outcome = evaluate_adapter(home, PAINTER, PROFILE)
    assert "nobody can say whose hand this is" in outcome.figures["summary"]
    assert outcome.figures["may be published"] == "no"
    assert sum(sample.role == "row" for sample in outcome.records) == 6


def test_one_held_out_work_is_too_few(home: Home, drawn: list) -> None:
    small_archive(home, works=4, held_out=1)
    assert "Only 1 work was held out" in evaluate_adapter(home, PAINTER, PROFILE).figures["summary"]


def test_other_painters_of_the_house_are_compared_with(evaluated: Home) -> None:
    other = evaluated.training_set("another-painter")
    images = training_images(evaluated)
    for image in images:
        target = other / image.path
        target.parent.mkdir(parents=True, exist_ok=True)
        pixels = pictures.read_rgb(evaluated.training_set(PAINTER) / image.path)
        Image.fromarray(255 - pixels).save(target, compress_level=1)
    moved = [i.model_copy(update={"painter": "another-painter", "sha256": sha256_of(other / i.path)}) for i in images]
    write_manifest(other / MANIFEST, moved)
    evaluated.scans("another-painter").mkdir()
    evaluate_adapter(evaluated, PAINTER, PROFILE)
    consistency = panel_of(evaluated)["consistency"]
    assert consistency["nearest_other"] == "another-painter"
    assert consistency["margin"] == pytest.approx(
        consistency["others"]["another-painter"] - consistency["own"], abs=1e-4
    )


# Prompts and adherence


def test_adherence_is_the_share_of_other_prompts_that_fit_worse() -> None:
    def fits(picture: np.ndarray, prompts: list[str]) -> np.ndarray:
        return np.array([{"own": 2.0, "better": 3.0, "same": 2.0}.get(prompt, 1.0) for prompt in prompts])

    picture = np.zeros((8, 8, 3), np.uint8)
    assert adherence(fits, picture, "own", ["a", "b"]) == 1
    assert adherence(fits, picture, "own", ["better", "a"]) == 0.5
    assert adherence(fits, picture, "own", ["same", "same"]) == 0.5


def test_a_prompt_is_told_apart_from_others_that_say_something_else() -> None:
    near = ["mist", "rain", "mist", "snow"]
    assert other_prompts("mist", near, ("fruit", "mist")) == ["rain", "snow", "fruit"]
    many = [f"hill {n:02d}" for n in range(50)]
    chosen = other_prompts("hill 07", many, [f"far {n}" for n in range(20)])
    assert len(chosen) == len(set(chosen)) == 8
    assert "hill 07" not in chosen


@pytest.mark.slow
def test_the_base_reads_its_own_pictures_and_sees_a_wrong_prompt() -> None:
    from artmaster_pipeline.base_models import load_pipeline
    from artmaster_pipeline.generation import draw
    from artmaster_pipeline.generation.sampling import embed_texts

    profile = load_profile("miniature")
    pipe = load_pipeline(profile)
    subjects = ["bamboo", "a vase of flowers on a terrace", "tall clouds over the sea", "a pagoda on a hill"]
    fits = denoising_fits(pipe, profile, embed_texts(profile, subjects))
    right, wrong = [], []
    for seed, subject in enumerate(subjects):
        picture = draw(pipe, subject, seed, 128, 128, 12, DrawingSettings(guidance_scale=3.5), 48)
        others = [other for other in subjects if other != subject]
        right.append(adherence(fits, picture, subject, others))
        wrong.append(adherence(fits, picture, others[0], [subject, *others[1:]]))
    assert np.mean(right) > 0.8
    assert np.mean(wrong) < 0.6


def test_drift_is_the_loss_of_adherence_with_its_slope(evaluated: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = []

    def readers(strength: float) -> Any:
        """Pink pictures, the base's, show what their prompts say; no others do."""

        def fits(picture: np.ndarray, prompts: list[str]) -> np.ndarray:
            heard.append((strength, prompts))
            pink = picture[..., 0].mean() > picture[..., 1].mean() + 20
            return np.arange(len(prompts)) * (-1.0 if pink else 1.0)

        return fits

    monkeypatch.setattr(drift, "open_readers", lambda *_: nullcontext(readers))
    shutil.rmtree(evaluated.cache / "adherence")
    stronger = small_profile(strengths=(0.5,))
    evaluate_adapter(evaluated, PAINTER, stronger)
    found = panel_of(evaluated)["drift"]
    assert found["far"] == {"base": 1.0, "adapter": 0.0, "loss": 1.0, "loss_interval": [1.0, 1.0]}
    assert found["loss"] == 1.0
    assert found["by_strength"] == {"0": 1.0, "0.5": 0.0, "1": 0.0}
    assert found["slope"] == pytest.approx(-1.0)
    assert found["works"] == {"base": 0.0, "adapter": 0.0}
    for strength, prompts in heard:  # only the adapter has heard of the trigger
        assert all(prompt.startswith(TRIGGER) == (strength > 0) for prompt in prompts)
    assert {strength for strength, prompts in heard if FAR_PROMPTS[0] == prompts[0]} == {0.0}  # the base reads these


def test_the_larger_of_the_two_losses_counts(evaluated_once: Home) -> None:
    found = panel_of(evaluated_once)["drift"]
    assert found["loss"] == max(found["training_like"]["loss"], found["far"]["loss"])


# Drawn as was chosen, or otherwise


def choose(home: Home, drawing: DrawingSettings) -> Adapter:
    """Let these settings be chosen for the current adapter."""
    adapter = adapter_of(home).model_copy(update={"drawing": drawing})
    write_manifest(home.adapters(PAINTER) / MANIFEST, [adapter])
    write_text(home.adapters(PAINTER) / adapter.id / ADAPTER_RECORD, adapter.model_dump_json())
    return adapter


def test_settings_that_say_nothing_new_are_the_same_pictures(evaluated: Home) -> None:
    before = samples_of(evaluated)
    choose(evaluated, DrawingSettings(guidance_scale=PROFILE.evaluation.guidance_scale))
    done = evaluate_adapter(evaluated, PAINTER, PROFILE)
    assert (done.made, samples_of(evaluated)) == (0, before)


def test_an_adapter_is_judged_as_it_was_chosen_to_be_drawn(evaluated: Home) -> None:
    chosen = DrawingSettings(strength=0.75, guidance_scale=2.5, true_cfg_scale=1.5, adapter_in_unguided=False)
    before, adapter = samples_of(evaluated), choose(evaluated, chosen)
    evaluate_adapter(evaluated, PAINTER, small_profile(strengths=(0.5,)))
    samples, panel, folder = samples_of(evaluated), panel_of(evaluated), evaluated.evaluation(PAINTER)
    assert {s.id for s in before if s.column == "original"} == {s.id for s in samples if s.column == "original"}
    for column, how in (("base", chosen.of_base()), ("adapter", chosen)):
        assert {s.drawing for s in samples if s.column == column and s.role != "far"} == {how}
    assert {s.strength for s in samples if s.role == "far" and s.column == "adapter"} == {0.5, 0.75}
    assert set(panel["drift"]["by_strength"]) == {"0", "0.5", "0.75"}
    assert panel["memorisation"]["pictures"] == len([s for s in samples if s.strength == 0.75])
    assert panel["drawing"] == chosen.model_dump()
    assert panel["summary"].startswith("Drawn with strength 0.75, guidance 2.5, true classifier-free guidance 1.5, ")
    assert "drawn with strength 0.75" in (folder / adapter.id / "report.html").read_text(encoding="utf-8")
    facts = {s.column: pictures.read_facts(folder / s.path) for s in samples if s.role == "row"}
    assert facts["adapter"].items() >= chosen.model_dump().items()
    assert facts["base"].items() >= {"guidance_scale": 2.5, "true_cfg_scale": 1.5}.items()
    assert {"strength", "adapter_in_unguided"}.isdisjoint(facts["base"])
    assert evaluate_adapter(evaluated, PAINTER, small_profile(drawing="profile")).made > 0
    assert {s.id for s in samples_of(evaluated)} == {s.id for s in before}


def test_two_adapters_are_compared_each_as_it_is_drawn(evaluated: Home) -> None:
    choose(evaluated, DrawingSettings(strength=0.5, guidance_scale=2))
    first = adapter_of(evaluated)
    scans = read_manifest(evaluated.register(PAINTER) / MANIFEST, Scan)
    add_adapter(evaluated, scans, training_images(evaluated), seed=9)
    second = choose(evaluated, DrawingSettings(strength=1.25, guidance_scale=3))
    done = evaluate(evaluated, second, PROFILE, Asked(against=first.id))
    assert done.contest is not None and not done.contest.why_not
    assert {s.drawing for s in done.samples if s.drawn_by} == {DrawingSettings(strength=1.25, guidance_scale=3)}
    files = list((evaluated.evaluation(PAINTER) / first.id / "extra").glob("*.png"))
    facts = [pictures.read_facts(file) for file in files]
    assert {(one["strength"], one["guidance_scale"]) for one in facts} == {(0.5, 2)}


def test_what_is_drawn_otherwise_on_request_is_measured_beside_the_evaluation(evaluated: Home, drawn: list) -> None:
    folder = evaluated.evaluation(PAINTER) / adapter_of(evaluated).id
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    asked = DrawingSettings(strength=0.5, guidance_scale=PROFILE.evaluation.guidance_scale)
    panel, grid = measure_drawn(evaluated, adapter_of(evaluated), PROFILE, asked)
    assert all(adapted for _, _, adapted in drawn)  # the base's pictures are those that were there
    assert panel["drawing"]["strength"] == 0.5
    assert panel["axes"]
    assert panel["summary"].startswith("Drawn with strength 0.5")
    assert pictures.read_facts(grid)["shows"] == asked.in_words()
    assert {file: file.read_bytes() for file in before} == before
    new = {file.name for file in folder.iterdir()} - {file.relative_to(folder).parts[0] for file in before}
    assert new == {grid.name, grid.with_suffix(".jpg").name, f"panel-{grid.stem.removeprefix('grid-')}.json", "extra"}
    count = len(drawn)
    assert measure_drawn(evaluated, adapter_of(evaluated), PROFILE, asked) == (panel, grid)
    assert len(drawn) == count
    assert evaluate_adapter(evaluated, PAINTER, PROFILE).made == 0


def test_the_command_says_that_the_verdict_is_of_other_pictures(
    evaluated: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluating, "painter_profile", lambda *_: PROFILE)
    monkeypatch.setattr(evaluating, "_evaluation_versioned", lambda *_: nullcontext())

    def said(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["evaluate", PAINTER, "--home", str(evaluated.root), *words])
        if isinstance(done.exception, WrongUse):  # main() turns it into the code
            return done.exception.exit_code, str(done.exception)
        return done.exit_code, " ".join(done.output.split())

    code, output = said("--strength", "0.5", "--guidance-scale", "2")
    assert code == 0, output
    assert "This is of pictures drawn with strength 0.5, guidance 2." in output
    assert "The report, the verdict and the gallery are of pictures drawn with strength 1, guidance 1.5." in output
    assert "grid-drawn-" in output
    assert "Report:" in said("--strength", "1")[1]  # that is how it is drawn anyway
    code, output = said("--strength", "2", "--true-cfg-scale", "0")
    assert code == 2
    assert "--strength 2.0: " in output and "--true-cfg-scale 0.0: " in output
    code, output = said("--strength", "0.5", "--strengths", "0,1")
    assert (code, "without --strength" in output) == (2, True)


def test_importing_the_room_loads_no_heavy_library() -> None:
    heavy = ("torch", "diffusers", "transformers", "peft", "spandrel", "dvc", "matplotlib", "pyvips", "skimage", "ot")
    code = "import artmaster_pipeline.evaluation, artmaster_pipeline.gallery, sys; " + (
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

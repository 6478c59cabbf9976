"""The learned gate: whose caption it is, whose prediction denoises, what fits nobody, and the stage that teaches it."""

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sharing import linked_copy, unlinked
from training_home import PAINTER

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.experts.factors import FACTORS, BlockGroup, FactorMap
from artmaster_pipeline.experts.learned import LearnedShares, learn_gate, learned_shares
from artmaster_pipeline.experts.learned.asking import Answers, region_masks
from artmaster_pipeline.experts.learned.measuring import best_temperature, measure
from artmaster_pipeline.experts.learned.network import REGIONS, logits
from artmaster_pipeline.experts.learned.sharing_out import _says
from artmaster_pipeline.experts.learned.strangers import distances, known_texts, threshold
from artmaster_pipeline.experts.learned.teaching import load_balance, teach
from artmaster_pipeline.experts.records import ExpertGate
from artmaster_pipeline.files import sha256_of, write_text
from artmaster_pipeline.records import (
    ADAPTER_RECORD,
    MANIFEST,
    SNAPSHOT,
    Adapter,
    TrainingImage,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.settings import ExpertSettings, Home, LearnedGateSettings, Profile, load_painter, save_painter
from artmaster_pipeline.stages import set_of

if TYPE_CHECKING:
    import torch

HOW = LearnedGateSettings(hidden=16, caption_steps=120, mixture_steps=60, pictures=2, sigmas=(0.3, 0.8))
OTHER = "hiroshige"
FEATURES = 12


def texts(seed: int, count: int = 30) -> "tuple[torch.Tensor, torch.Tensor]":
    """Embeddings of two painters' captions, apart in two features, with the painters' numbers."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    painters = torch.arange(count) % 2
    found = torch.randn(count, FEATURES, generator=generator)
    found[:, 0] += 4.0 * painters
    return found, painters


def answers(best: int, embeddings: "torch.Tensor") -> "tuple[Answers, torch.Tensor]":
    """Answers of two experts and the base on pictures, of which the expert `best` is always right."""
    import torch

    cases = len(embeddings)
    targets = torch.randn(cases, 50, generator=torch.Generator().manual_seed(3))
    said = targets + torch.randn(3, cases, 50, generator=torch.Generator().manual_seed(4))
    said[best] = targets
    return Answers(
        texts=("",) * cases,
        regions=torch.zeros(cases, dtype=torch.long),
        sigmas=torch.full((cases,), 0.5),
        products=torch.einsum("end,fnd->nef", said, said) / 50,
        with_target=torch.einsum("end,nd->ne", said, targets) / 50,
        target=targets.square().mean(1),
    ), embeddings


def odds(parameters: "dict[str, torch.Tensor]", embeddings: "torch.Tensor") -> "torch.Tensor":
    import torch

    whole, level = torch.zeros(len(embeddings), dtype=torch.long), torch.full((len(embeddings),), 0.5)
    return logits(parameters, embeddings, whole, level).softmax(1)


def test_captions_teach_whose_they_are_and_the_same_teach_the_same() -> None:
    import torch

    taught, painters = texts(0)
    parameters = teach(taught, painters, 2, HOW)
    again = teach(taught, painters, 2, HOW)
    assert all(torch.equal(parameters[name], again[name]) for name in parameters)
    assert not torch.equal(
        parameters["out.weight"], teach(taught, painters, 2, HOW.model_copy(update={"seed": 1}))["out.weight"]
    )
    new, whose = texts(1)
    found = odds(parameters, new)
    assert found.shape == (30, 3)
    assert (found[:, :2].argmax(1) == whose).float().mean() > 0.9
    assert 0 < found[:, 2].mean() < 0.3  # nobody has a little


@pytest.mark.parametrize("best", [0, 1, 2])
def test_with_frozen_experts_the_gate_leans_to_who_denoises_best(best: int) -> None:
    """Number 2 is the base: nobody."""
    taught, painters = texts(0)
    before = odds(teach(taught, painters, 2, HOW), taught)[:, best].mean()
    after = odds(teach(taught, painters, 2, HOW, *answers(best, taught)), taught)[:, best].mean()
    assert after > before + 0.1


def test_the_mixtures_loss_is_that_of_mixed_predictions() -> None:
    import torch

    embeddings, _ = texts(0, 5)
    of, _ = answers(1, embeddings)
    gates = torch.rand(5, 3, generator=torch.Generator().manual_seed(0)).softmax(1)
    targets = torch.randn(5, 50, generator=torch.Generator().manual_seed(3))
    said = targets + torch.randn(3, 5, 50, generator=torch.Generator().manual_seed(4))
    said[1] = targets
    mixed = torch.einsum("ne,end->nd", gates, said)
    assert torch.allclose(of.losses(gates), (mixed - targets).square().mean(1), atol=1e-5)


def test_the_load_balance_loss_is_one_where_all_get_alike_and_the_number_of_experts_where_one_gets_all() -> None:
    import torch

    assert load_balance(torch.eye(4)) == pytest.approx(1)
    assert load_balance(torch.eye(4)[torch.zeros(8, dtype=torch.long)]) == pytest.approx(4)


def test_regions_are_halves_and_the_middle() -> None:
    import torch

    masks = dict(zip(REGIONS, region_masks(8, 6), strict=True))
    assert {name: float(mask.mean()) for name, mask in masks.items()} == {
        **dict.fromkeys(("upper", "lower", "left", "right"), 0.5),
        "whole": 1.0,
        "middle": pytest.approx(4 * 4 / 48),
    }
    assert torch.equal(masks["upper"] + masks["lower"], masks["whole"])


def test_what_is_farther_than_held_out_captions_fits_nobody() -> None:
    taught, painters = texts(0, 200)
    known = known_texts(taught, painters, 2)
    limit = threshold(distances(known, texts(1, 200)[0]), 0.05)
    assert 0.02 < (distances(known, texts(2, 200)[0]) > limit).float().mean() < 0.12
    strange = texts(3, 20)[0]
    strange[:, 5] += 12
    assert (distances(known, strange) > limit).all()


@settings(max_examples=20)
@given(st.integers(2, 12), st.integers(0, 100))
def test_fewer_captions_than_features_still_have_distances(captions: int, seed: int) -> None:
    import torch

    taught, painters = texts(seed, captions)
    found = distances(known_texts(taught, painters, 2), taught)
    assert torch.isfinite(found).all()
    assert (found >= 0).all()


def test_the_calibration_error_is_what_confidence_promises_too_much() -> None:
    import torch

    sure = torch.tensor([[0.95, 0.05]] * 10)
    whose = torch.tensor([0] * 6 + [1] * 4)
    found = measure(sure, whose, ("a", "b"), range(10))
    assert found.accuracy is not None
    assert found.accuracy.value == pytest.approx(0.6)
    assert found.calibration_error == pytest.approx(0.35, abs=1e-4)
    assert found.chance == pytest.approx(0.6)
    assert found.confusion == {"a": {"a": 6, "b": 0}, "b": {"a": 4, "b": 0}}
    assert [row["captions"] for row in found.reliability] == [10]
    # a temperature makes it as sure as it is right
    scores = sure.log()
    best = best_temperature(scores, whose)
    assert (scores / best).softmax(1)[0, 0] == pytest.approx(0.6, abs=0.02)
    assert best_temperature(scores[:0], whose[:0]) == 1
    assert measure(sure[:0], whose[:0], ("a", "b"), ()).accuracy is None


@pytest.mark.parametrize(
    ("prompt", "named"),
    [
        ("a hill, HIROSHIGE style", True),
        ("a  wang   ximeng hill", True),
        ("hiroshiges hill", False),
        ("a style of its own", False),
    ],
)
def test_a_name_is_named_in_whole_words(prompt: str, named: bool) -> None:
    assert any(_says(prompt, name) for name in ("Hiroshige", "wang ximeng", "a.b")) == named


def second_painter(home: Home) -> None:
    """Another painter with the same pictures and weights, other captions, and works held out of both."""
    for folder in ("scans", "register", "crops", "training_set", "adapters"):
        shutil.copytree(home.root / folder / PAINTER, home.root / folder / OTHER, dirs_exist_ok=True)
    save_painter(home, PAINTER, load_painter(home, PAINTER))
    save_painter(home, OTHER, load_painter(home, OTHER).model_copy(update={"name": "Utagawa Hiroshige"}))
    for painter, said in ((PAINTER, "blue and green mountain"), (OTHER, "rain on a bridge")):
        folder = home.training_set(painter)
        rows = read_manifest(folder / MANIFEST, TrainingImage)
        works = sorted({row.work for row in rows})
        parts = dict(zip(works, ("train", "train", "train", "validate", "held_out"), strict=True))
        trigger = load_painter(home, painter).trigger
        new = [
            row.model_copy(
                update={
                    "painter": painter,
                    "split": parts[row.work],
                    "caption": trigger if row.work == works[0] else f"{trigger}, {said} {works.index(row.work)}",
                }
            )
            for row in rows
        ]
        write_manifest(folder / MANIFEST, new)
        retrained(home, painter, trigger, [row for row in new if row.split == "train"])


def retrained(home: Home, painter: str, trigger: str, images: "list[TrainingImage]") -> None:
    """Let the painter's adapter say that it was trained on those pictures."""
    (adapter,) = read_manifest(home.adapters(painter) / MANIFEST, Adapter)
    new = adapter.model_copy(
        update={
            "painter": painter,
            "trigger": trigger,
            "path": f"adapters/{painter}/{adapter.id}",
            "scan_sha256s": tuple(sorted({image.scan_sha256 for image in images})),
        }
    )
    write_manifest(home.adapters(painter) / MANIFEST, [new])
    write_text(home.root / new.path / ADAPTER_RECORD, new.model_dump_json())
    assert (home.root / new.path / SNAPSHOT).is_file()


@pytest.fixture(scope="module")
def taught(
    trained: tuple[Home, Profile, Adapter], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Home, Profile, ExpertGate]:
    """A home with the gate of two painters; look, but do not write."""
    home = Home(linked_copy(trained[0].root, tmp_path_factory.mktemp("gate") / "home"))
    second_painter(home)
    profile = trained[1].model_copy(update={"experts": ExpertSettings(gate=HOW)})
    outcome = learn_gate(home, set_of([PAINTER, OTHER]), profile)
    assert outcome.made == 1
    (gate,) = outcome.records
    return home, profile, gate


def test_the_gate_says_who_taught_it_and_how_good_it_is(taught: tuple[Home, Profile, ExpertGate]) -> None:
    home, _, gate = taught
    folder = home.stage_folder("expert_gate", set_of([PAINTER, OTHER]))
    assert gate.painters == (OTHER, PAINTER)
    assert sha256_of(folder / gate.path) == gate.sha256
    assert (folder / gate.id / "reliability.png").is_file()
    assert gate.captions == {OTHER: 2, PAINTER: 2}
    assert gate.wordless == {OTHER: 2, PAINTER: 2}  # two crops of the work whose caption is the trigger word
    assert gate.held_out == 2
    assert gate.accuracy is not None
    assert sum(count for row in gate.confusion.values() for count in row.values()) == 2
    assert sum(row["captions"] for row in gate.reliability) == 2
    assert set(gate.losses) == {OTHER, PAINTER, "nobody", "all alike", "the gate"}
    assert gate.losses[OTHER] != gate.losses[PAINTER] or gate.losses["nobody"] != gate.losses[OTHER]
    assert gate.threshold is not None


def test_a_gate_is_kept_until_the_experts_or_their_captions_are_others(
    taught: tuple[Home, Profile, ExpertGate], tmp_path: Path
) -> None:
    made, profile, gate = taught
    both = set_of([PAINTER, OTHER])
    home = Home(linked_copy(made.root, tmp_path / "home"))
    assert learn_gate(home, both, profile).made == 0
    weights = unlinked(home.stage_folder("expert_gate", both) / gate.path)
    weights.write_bytes(b"damaged")
    again = learn_gate(home, both, profile)
    assert (again.made, again.records) == (1, (gate,))  # the same bytes
    rows = read_manifest(home.training_set(OTHER) / MANIFEST, TrainingImage)
    changed = [row.model_copy(update={"caption": row.caption.replace("rain", "snow")}) for row in rows]
    write_manifest(home.training_set(OTHER) / MANIFEST, changed)
    (new,) = learn_gate(home, both, profile).records
    assert new.id != gate.id
    assert [entry.name for entry in home.stage_folder("expert_gate", both).iterdir() if entry.is_dir()] == [new.id]


def ask(taught: tuple[Home, Profile, ExpertGate], prompt: str) -> LearnedShares:
    home, profile, _ = taught
    found = learned_shares(home, profile, prompt, [PAINTER, OTHER])
    assert sum(found.weights.values()) == pytest.approx(1)
    for place in range(4):
        assert sum(of[place] for of in found.by_band.values()) == pytest.approx(1)
    return found


@pytest.mark.parametrize(
    ("prompt", "weights"),
    [
        ("a hill by Utagawa Hiroshige", {OTHER: 1, PAINTER: 0}),
        ("wangximeng style, rain on a bridge", {OTHER: 0, PAINTER: 1}),
        ("hiroshige and wang-ximeng", {OTHER: 0.5, PAINTER: 0.5}),
    ],
)
def test_a_prompt_that_names_painters_gets_them(
    taught: tuple[Home, Profile, ExpertGate], prompt: str, weights: dict[str, float]
) -> None:
    found = ask(taught, prompt)
    assert found.weights == weights
    assert found.says.startswith("The prompt names ")
    assert set(found.named) == {painter for painter, weight in weights.items() if weight}


def test_a_prompt_that_fits_nobody_says_so_and_is_shared_evenly(taught: tuple[Home, Profile, ExpertGate]) -> None:
    found = ask(taught, "@@@@ 0000 ZZZZ")
    assert not found.fits
    assert found.weights == {OTHER: 0.5, PAINTER: 0.5}
    assert re.search(r"fits nobody.*all but 5%.*same share", found.says)


def test_a_prompt_that_the_base_does_not_read_fits_nobody(taught: tuple[Home, Profile, ExpertGate]) -> None:
    home, profile, _ = taught
    reader = profile.model_copy(update={"max_unread": 0.34})  # the tiny tokenizers spell every word
    found = learned_shares(home, reader, "rain on a bridge 1", [PAINTER, OTHER])
    assert not found.fits
    assert found.weights == {OTHER: 0.5, PAINTER: 0.5}
    assert re.search(r"fits nobody: the base does not know \d+% of its words \(more than 34%\).*same share", found.says)


def test_a_prompt_like_a_painters_captions_is_shared_out_by_the_gate(taught: tuple[Home, Profile, ExpertGate]) -> None:
    _, _, gate = taught
    found = ask(taught, "rain on a bridge 1")
    assert found.fits
    assert found.gate_id == gate.id
    assert found.weights[OTHER] > found.weights[PAINTER]
    assert found.says.startswith("By the learned gate: Utagawa Hiroshige")
    assert 0 < found.nobody < 1
    group = BlockGroup(name="all", blocks="transformer_blocks", first=0, last=1)
    flat = found.shares(FactorMap.flat([group]))
    assert flat[OTHER] == pytest.approx(dict.fromkeys(FACTORS, found.weights[OTHER]))
    late = FactorMap.flat([group]).model_copy(update={"psi": dict.fromkeys(FACTORS, (1.0, 0.0, 0.0, 0.0))})
    assert found.shares(late)[OTHER]["brush"] == pytest.approx(found.by_band[OTHER][0])


def test_without_its_gate_or_with_other_adapters_nothing_is_guessed(
    taught: tuple[Home, Profile, ExpertGate], tmp_path: Path
) -> None:
    made, profile, _ = taught
    home = Home(linked_copy(made.root, tmp_path / "home"))
    manifest = home.stage_folder("expert_gate", set_of([PAINTER, OTHER])) / MANIFEST
    (gate,) = read_manifest(manifest, ExpertGate)
    write_manifest(manifest, [gate.model_copy(update={"adapter_ids": ("0" * 16, gate.adapter_ids[1])})])
    command = f"artmaster experts gate {OTHER} {PAINTER}"
    with pytest.raises(ArtMasterError, match=f"other adapters than those in use.*{command}"):
        learned_shares(home, profile, "rain", [PAINTER, OTHER])
    manifest.unlink()
    with pytest.raises(ArtMasterError, match=f"No gate has been taught.*{command}"):
        learned_shares(home, profile, "rain", [PAINTER, OTHER])
    assert np.isclose(sum(learned_shares(home, profile, "hiroshige style", [PAINTER, OTHER]).weights.values()), 1)


def test_the_command_prints_figures_and_dagster_shows_the_reliability_plot(
    taught: tuple[Home, Profile, ExpertGate], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from artmaster_pipeline.cli.experts import experts_gate
    from artmaster_pipeline.errors import WrongUse
    from artmaster_pipeline.orchestration import metadata, run

    home, profile, gate = taught
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(run, "run_painter", lambda home, partition, only: asked.append((partition, only)))
    with pytest.raises(WrongUse, match="adapters of nobody passed"):  # none was judged
        experts_gate(None, None, home.root)
    experts_gate([PAINTER, OTHER], None, home.root)
    assert asked == [(set_of([PAINTER, OTHER]), "expert_gate")]
    said = " ".join(capsys.readouterr().out.split())
    assert f"Accuracy {gate.accuracy:.2f}" in said
    assert "calibration error" in said
    assert f"taken for {OTHER}" in said
    both = set_of([PAINTER, OTHER])
    shown = metadata.of_stage("expert_gate", home, both, learn_gate(home, both, profile))
    assert shown["reliability"].value.startswith("![reliability](data:image/jpeg;base64,")
    assert [dict(row.data)["painter"] for row in shown["experts"].records] == [OTHER, PAINTER]
    assert all(adapter_id in shown["lineage"].value for adapter_id in gate.adapter_ids)

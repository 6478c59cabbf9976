"""The gate: every limit is tried, each verdict says why, and a person's word is kept beside the figures."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from small_archive import PAINTER, add_adapter, copied, quick_drawing, small_archive, small_profile

from artmaster_pipeline.adapters import find_adapter
from artmaster_pipeline.axes import AXES
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.evaluation import Asked, current_verdict, decide, evaluate, evaluate_adapter
from artmaster_pipeline.evaluation.gate import judge
from artmaster_pipeline.evaluation.panel.compare import Contest
from artmaster_pipeline.records import MANIFEST, Adapter, AdapterSnapshot, Sample, Verdict, read_manifest
from artmaster_pipeline.settings import GateSettings, Home
from artmaster_pipeline.training.monitoring.watch import sample_prompts

LIMITS = GateSettings()
REQUIRED = LIMITS.better_than_base


def axis(gain: float, low: float | None, high: float | None) -> dict[str, Any]:
    return {
        "score": gain,
        "score_interval": [low, high],
        "gain": gain,
        "gain_interval": [low, high],
        "p": 0.01,
        "floor": 1.0,
        "result": 0.5,
    }


def contest(**axes: dict[str, Any]) -> Contest:
    return Contest("c" * 16, "a" * 16, 24, axes)


def panel(**changes: Any) -> dict[str, Any]:
    """An adapter that keeps every limit, but for the changes."""
    fine = {
        "adapter_id": "a" * 16,
        "counts": {"prompts": 24, "held_out_works": 12},
        "axes": {name: axis(0.5, 0.2, 0.8) for name in AXES},
        "style_drawable": axis(0.5, 0.2, 0.8),
        "drift": {"loss": 0.05, "loss_interval": [0.0, 0.1], "slope": -0.05, "method": "CLIP"},
        "memorisation": {"suspects": 0, "pictures": 40},
    }
    return fine | changes


def verdict(measured: dict[str, Any], contest: Contest | None = None, **decision: str) -> Verdict:
    return judge(measured, LIMITS, contest, decision)


def test_an_adapter_that_keeps_every_limit_may_be_published() -> None:
    found = verdict(panel())
    assert (found.publish, found.by, found.failed) == (True, "figures", ())
    assert len(found.reasons) == len(AXES) + 2


@pytest.mark.parametrize("name", REQUIRED)
def test_a_gain_whose_interval_reaches_zero_is_no_gain(name: str) -> None:
    level = axis(0.5, -0.01, 0.9)
    found = verdict(panel(axes=panel()["axes"] | {name: level}))
    assert not found.publish
    assert len(found.failed) == 1
    assert "not clearly nearer" in found.reasons[0]
    assert "-0.010 to 0.900" in found.reasons[0]


@pytest.mark.parametrize("name", sorted(set(AXES) - set(REQUIRED)))
def test_on_an_axis_that_is_not_asked_for_no_adapter_may_be_clearly_farther_than_the_base(name: str) -> None:
    """Tone, brushwork and whole style can be met by a texture in the painter's ink, which is no picture."""
    found = verdict(panel(axes=panel()["axes"] | {name: axis(-0.5, -0.9, -0.1)}))
    assert not found.publish
    assert found.reasons == (
        f"{name.capitalize()}: clearly farther from the held-out works than the base "
        "(gain -0.500, 95 % interval -0.900 to -0.100).",
    )
    assert verdict(panel(axes=panel()["axes"] | {name: axis(-0.1, -0.3, 0.1)})).publish  # cannot be told apart


def test_all_reasons_are_given_at_once() -> None:
    drift = {"loss": 0.4, "loss_interval": [0.3, 0.5], "slope": None, "method": "CLIP"}
    found = verdict(panel(axes={}, drift=drift, memorisation={"suspects": 2, "pictures": 40}))
    assert not found.publish
    assert len(found.failed) == len(REQUIRED) + 2
    assert any("base is 0.400" in reason and "limit 0.15" in reason for reason in found.reasons)
    assert any("2 of 40 samples" in reason for reason in found.reasons)
    assert any("not measured" in reason for reason in found.reasons)


def test_a_challenger_that_is_clearly_worse_than_the_champion_is_refused() -> None:
    worse = verdict(panel(), contest(tone=axis(-0.3, -0.5, -0.1), brushwork=axis(0.1, 0.0, 0.2)))
    assert not worse.publish
    assert worse.champion_id == "c" * 16
    assert "Tone: worse than the published adapter" in worse.reasons[0]
    alike = {name: axis(-0.1, -0.3, 0.1) for name in REQUIRED}
    assert verdict(panel(), contest(**alike)).publish  # cannot be told apart: not worse


@pytest.mark.parametrize(
    "met",
    [
        Contest("c" * 16, "a" * 16, why_not="its weights are no longer there"),
        Contest("", "a" * 16, why_not="the gallery's manifest cannot be read"),
        Contest("c" * 16, "a" * 16),  # nobody says why
        contest(**{name: axis(0.1, 0.0, 0.2) for name in REQUIRED if name != "tone"}),  # tone was not compared
        contest(**{name: axis(0.1, None, None) for name in REQUIRED}),
    ],
)
def test_what_could_not_be_compared_with_the_published_adapter_is_for_a_person_to_decide(met: Contest) -> None:
    found = verdict(panel(), met)
    assert (found.publish, found.by, found.needs_person) == (False, "figures", True)
    assert any("Not compared" in reason and "a person to decide" in reason for reason in found.reasons)
    said = {"by": "mei", "at": "2026-11-24T10:00:00+00:00", "reason": "I looked at both", "verdict": "publish"}
    assert verdict(panel(), met, **said).publish


def test_with_no_axis_required_the_published_adapter_is_still_compared_on_all() -> None:
    limits = GateSettings(better_than_base=())
    worse = judge(panel(), limits, contest(**{name: axis(-0.3, -0.5, -0.1) for name in AXES}), {})
    assert len(worse.failed) == len(AXES)
    assert not judge(panel(), limits, Contest("c" * 16, "a" * 16, why_not="it is gone"), {}).publish


def test_what_was_not_measured_does_not_pass() -> None:
    drift = {"loss": None, "loss_interval": [None, None], "slope": None, "method": "CLIP"}
    unread = verdict(panel(drift=drift))
    assert (unread.publish, unread.needs_person) == (False, True)
    unseen = verdict(panel(memorisation={"suspects": 0, "pictures": 0}))
    assert (unseen.publish, unseen.needs_person) == (False, True)


def test_a_verdict_names_the_champion_with_its_own_figures() -> None:
    before = verdict(panel(adapter_id="c" * 16), contest(tone=axis(0.1, 0.0, 0.2))).model_copy(update={"id": "v" * 16})
    found = judge(panel(id="p" * 16), LIMITS, contest(tone=axis(0.1, 0.0, 0.2)), {}, before)
    assert (found.champion_id, found.champion["verdict_id"], found.panel_id) == ("c" * 16, "v" * 16, "p" * 16)
    assert found.champion["figures"]["axes"]["tone"]["gain"] == 0.5
    assert "against_published" not in found.champion["figures"]


def test_a_persons_word_stands_and_the_figures_stay_beside_it() -> None:
    bad = panel(memorisation={"suspects": 3, "pictures": 40})
    said = {"by": "mei", "at": "2026-11-24T10:00:00+00:00", "reason": "The estate agreed"}
    allowed = verdict(bad, **said, verdict="publish")
    assert (allowed.publish, allowed.by) == (True, "person")
    assert allowed.reasons == ("mei decided on 2026-11-24: The estate agreed",)
    assert len(allowed.failed) == 1
    refused = verdict(panel(), **said, verdict="reject")
    assert (refused.publish, refused.failed) == (False, ())


def test_every_figure_is_in_the_verdict() -> None:
    found = verdict(panel(), contest(tone=axis(0.1, 0.0, 0.2))).figures
    assert found["axes"]["tone"]["gain_interval"] == [0.2, 0.8]
    assert found["drift"]["loss"] == 0.05
    assert found["suspects"] == 0
    assert found["against_published"]["axes"]["tone"]["gain"] == 0.1
    assert json.loads(json.dumps(found)) == found


# In a data home


@pytest.fixture(scope="module")
def evaluated_once(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """An archive after its evaluation; tests take copies."""
    home = Home(tmp_path_factory.mktemp("evaluated") / "home")
    small_archive(home, works=6, held_out=3)
    with pytest.MonkeyPatch.context() as patch:
        quick_drawing(patch)
        evaluate_adapter(home, PAINTER, small_profile())
    return home


@pytest.fixture
def evaluated(evaluated_once: Home, home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    quick_drawing(monkeypatch)
    return copied(evaluated_once, home)


def adapter_of(home: Home) -> Adapter:
    return read_manifest(home.adapters(PAINTER) / MANIFEST, Adapter)[0]


def test_the_verdict_lies_beside_the_panel_with_a_report(evaluated: Home) -> None:
    found, report = current_verdict(evaluated, PAINTER)
    assert found.adapter_id == adapter_of(evaluated).id
    page = report.read_text(encoding="utf-8")
    for reason in found.reasons:
        assert reason.split("(")[0].strip() in page.replace("&#39;", "'")


def test_the_report_names_the_prompts_of_the_pictures_drawn_while_training(evaluated: Home) -> None:
    adapter = adapter_of(evaluated)
    any_picture = evaluated.evaluation(PAINTER) / adapter.id / "grid.png"
    shutil.copyfile(any_picture, evaluated.root / adapter.path / "samples.png")
    evaluate(evaluated, adapter, small_profile(), Asked())
    page = current_verdict(evaluated, PAINTER)[1].read_text(encoding="utf-8")
    caption = page.split('<img src="samples.png"')[1].split("<figcaption>")[1].split("</figcaption>")[0]
    snapshot = AdapterSnapshot.model_validate_json((evaluated.root / adapter.path / "lineage.json").read_text())
    asked = sample_prompts(snapshot.training_images, small_profile().training.validation.samples)
    assert len(asked) > 0
    assert all(prompt in caption for prompt, _ in asked)


def test_decisions_only_grow_and_the_last_one_counts(evaluated: Home) -> None:
    adapter = adapter_of(evaluated)
    decide(evaluated, PAINTER, adapter.id, "reject", "The heirs object")
    evaluate(evaluated, adapter, small_profile(), Asked())
    assert current_verdict(evaluated, PAINTER)[0].publish is False
    decide(evaluated, PAINTER, adapter.id, "publish", "The heirs   agreed\nin writing")
    evaluate(evaluated, adapter, small_profile(), Asked())
    found = current_verdict(evaluated, PAINTER)[0]
    assert found.publish
    assert found.reasons[0].endswith("The heirs agreed in writing")
    kept = (evaluated.evaluation(PAINTER) / "decisions.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["verdict"] for line in kept] == ["reject", "publish"]


def test_a_decision_without_a_reason_or_an_evaluation_is_refused(evaluated: Home) -> None:
    with pytest.raises(WrongUse, match="reason"):
        decide(evaluated, PAINTER, adapter_of(evaluated).id, "publish", "  ")
    with pytest.raises(WrongUse, match="artmaster evaluate"):
        decide(evaluated, PAINTER, "0" * 16, "publish", "why not")


def published(home: Home, adapter: Adapter) -> None:
    """Let the gallery's manifest name that adapter."""
    from artmaster_pipeline.records import write_manifest

    rows = read_manifest(home.evaluation(PAINTER) / adapter.id / MANIFEST, Sample)
    write_manifest(home.gallery(PAINTER) / MANIFEST, rows[:1])


def test_a_new_adapter_meets_the_published_one_on_the_same_prompts_and_seeds(evaluated: Home) -> None:
    old = adapter_of(evaluated)
    published(evaluated, old)
    snapshot = AdapterSnapshot.model_validate_json((evaluated.root / old.path / "lineage.json").read_text())
    new = add_adapter(evaluated, snapshot.scans, snapshot.training_images, seed=1)
    evaluate_adapter(evaluated, PAINTER, small_profile())
    found = current_verdict(evaluated, PAINTER)[0]
    assert (found.adapter_id, found.champion_id) == (new.id, old.id)
    against = found.figures["against_published"]
    assert against["prompts"] == 3  # four pictures of the captions of three works
    for figures in against["axes"].values():  # both draw the same here
        assert figures["gain"] == pytest.approx(0, abs=1e-9)


def test_a_report_shows_text_as_text(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    quick_drawing(monkeypatch)
    small_archive(home, works=6, held_out=3, title="<script>alert('x')</script>")
    evaluate_adapter(home, PAINTER, small_profile())
    page = current_verdict(home, PAINTER)[1].read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "&lt;script&gt;alert" in page
    assert 'src="http' not in page


def test_find_adapter_refuses_names_that_are_paths(evaluated: Home) -> None:
    with pytest.raises(WrongUse, match="Known adapters"):
        find_adapter(evaluated, PAINTER, small_profile(), "../../scans")


# The record of verdicts


def verdicts_of(home: Home) -> list[dict[str, Any]]:
    file = home.evaluation(PAINTER) / adapter_of(home).id / "verdicts.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_verdicts_are_added_and_none_is_lost(evaluated: Home) -> None:
    adapter = adapter_of(evaluated)
    (first,) = verdicts_of(evaluated)
    evaluate(evaluated, adapter, small_profile(), Asked())
    assert verdicts_of(evaluated) == [first]  # nothing else to say
    decide(evaluated, PAINTER, adapter.id, "publish", "For the exhibition")
    evaluate(evaluated, adapter, small_profile(), Asked())
    decide(evaluated, PAINTER, adapter.id, "reject", "It is over")
    evaluate(evaluated, adapter, small_profile(), Asked())
    kept = verdicts_of(evaluated)
    assert kept[0] == first
    assert [line["publish"] for line in kept] == [first["publish"], True, False]
    assert len({line["id"] for line in kept}) == 3
    assert all(line["at"] and line["panel_id"] for line in kept)


def test_a_verdict_of_an_earlier_version_is_read_and_becomes_the_first_line(evaluated: Home) -> None:
    folder = evaluated.evaluation(PAINTER) / adapter_of(evaluated).id
    (folder / "verdicts.jsonl").unlink()
    old = {"adapter_id": folder.name, "publish": True, "by": "figures", "reasons": ["Good."], "failed": []}
    old |= {"figures": {"suspects": 0}, "champion_id": ""}
    (folder / "verdict.json").write_text(json.dumps(old), encoding="utf-8")
    assert current_verdict(evaluated, PAINTER)[0].reasons == ("Good.",)
    evaluate(evaluated, adapter_of(evaluated), small_profile(), Asked())
    first, second = verdicts_of(evaluated)
    assert (first["publish"], first["reasons"], first["figures"]) == (True, ["Good."], {"suspects": 0})
    assert second["figures"]["counts"]["prompts"] == 3
    assert not (folder / "verdict.json").exists()


def test_verdicts_that_cannot_be_read_are_named_and_never_written_over(evaluated: Home) -> None:
    file = evaluated.evaluation(PAINTER) / adapter_of(evaluated).id / "verdicts.jsonl"
    damaged = file.read_text(encoding="utf-8") + "{half a li"
    file.write_text(damaged, encoding="utf-8")
    with pytest.raises(ArtMasterError, match=r"verdicts\.jsonl cannot be read"):
        evaluate(evaluated, adapter_of(evaluated), small_profile(), Asked())
    assert file.read_text(encoding="utf-8") == damaged


def test_decisions_taken_at_one_time_are_all_kept(evaluated: Home) -> None:
    adapter = adapter_of(evaluated)
    with ThreadPoolExecutor(8) as people:
        list(people.map(lambda n: decide(evaluated, PAINTER, adapter.id, "reject", f"reason {n}"), range(24)))
    rows = (evaluated.evaluation(PAINTER) / "decisions.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(row)["reason"] for row in rows} == {f"reason {n}" for n in range(24)}


@pytest.mark.parametrize("what", ["weights", "manifest", "damaged"])
def test_a_published_adapter_that_is_no_longer_whole_lets_none_take_its_place_unseen(
    evaluated: Home, what: str
) -> None:
    old = adapter_of(evaluated)
    published(evaluated, old)
    snapshot = AdapterSnapshot.model_validate_json((evaluated.root / old.path / "lineage.json").read_text())
    new = add_adapter(evaluated, snapshot.scans, snapshot.training_images, seed=1)
    manifest = evaluated.gallery(PAINTER) / MANIFEST
    if what == "weights":
        shutil.rmtree(evaluated.root / old.path)
    elif what == "manifest":
        manifest.rename(manifest.with_name("elsewhere"))
    else:
        manifest.write_text("<<<<<<< HEAD", encoding="utf-8")
    evaluate_adapter(evaluated, PAINTER, small_profile())
    found = current_verdict(evaluated, PAINTER)[0]
    assert (found.adapter_id, found.publish, found.needs_person) == (new.id, False, True)
    assert any("Not compared with" in reason for reason in found.reasons)
    assert (evaluated.evaluation(PAINTER) / old.id / "verdicts.jsonl").is_file()  # what justified it stays

"""Retraining by itself: counted in works, in a painter's own rhythm, once for each reason, and said in a sentence."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
import yaml
from small_archive import PAINTER, small_archive

from artmaster_pipeline.adapters import current_adapter
from artmaster_pipeline.cli.retraining import retraining as command
from artmaster_pipeline.dataset.difference import difference
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.orchestration.assets import SETTINGS_TAG
from artmaster_pipeline.orchestration.automation import withdrawn_works
from artmaster_pipeline.orchestration.build import build_defs
from artmaster_pipeline.orchestration.instance import open_instance
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.orchestration.retraining import ASKED_TAG, WHY_TAG, Decision, decide, decide_all
from artmaster_pipeline.records import (
    MANIFEST,
    Adapter,
    AdapterSnapshot,
    TrainingImage,
    Verdict,
    identity,
    manifest_hash,
    write_manifest,
)
from artmaster_pipeline.settings import Home, complete_painter, load_painter
from artmaster_pipeline.stage_settings import settings_identity
from artmaster_pipeline.stages import STAGES, TRAINED, and_below, stage_named
from artmaster_pipeline.withdrawal import withdraw_artwork

SUNDAY = datetime(2026, 11, 29, 23, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MONDAY = SUNDAY + 4 * HOUR  # at 3
P = "huang-binhong"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def picture(work: str, caption: str = "a mountain", scan: str = "", split: str = "train") -> TrainingImage:
    return TrainingImage(
        id=identity(work, caption, scan),
        painter=P,
        crop_id="c",
        scan_id="s",
        scan_sha256=scan or work,
        path=f"images/{work}.png",
        sha256=identity(work, scan),
        width=512,
        height=512,
        caption=caption,
        caption_source="sidecar",
        split=split,
        group=work,
    )


def works(*numbers: int, **said: str) -> list[TrainingImage]:
    return [picture(f"{number:064x}", **said) for number in numbers]


def training_set(home: Home, images: Iterable[TrainingImage], painter: str = P) -> None:
    home.scans(painter).mkdir(parents=True, exist_ok=True)
    write_manifest(home.training_set(painter) / MANIFEST, images)


def trained(home: Home, images: list[TrainingImage], painter: str = P) -> Adapter:
    """A training set, and an adapter that was trained on it."""
    training_set(home, images, painter)
    name = identity("adapter", painter, [image.id for image in images])
    adapter = Adapter(
        id=name,
        painter=painter,
        path=f"adapters/{painter}/{name}",
        sha256="0" * 64,
        profile="miniature",
        base_model="miniature",
        base_revision="r",
        trigger="t",
        training_set_hash=manifest_hash(home.training_set(painter) / MANIFEST),
        training_image_ids=(),
        scan_sha256s=tuple(sorted({image.scan_sha256 for image in images})),
        seed=0,
        steps=1,
        settings={},
        ranks={},
        final_loss=1.0,
    )
    folder = home.adapters(painter) / name
    folder.mkdir(parents=True)
    snapshot = AdapterSnapshot(scans=(), crops=(), training_images=tuple(images))
    (folder / "lineage.json").write_text(snapshot.model_dump_json(), encoding="utf-8")
    write_manifest(home.adapters(painter) / MANIFEST, [adapter])
    return adapter


def rules(home: Home, painter: str = P, **said: object) -> None:
    home.scans(painter).mkdir(parents=True, exist_ok=True)
    (home.scans(painter) / "painter.yaml").write_text(yaml.safe_dump({"retraining": said}), encoding="utf-8")


def ticked(home: Home, instance: dg.DagsterInstance, at: datetime) -> tuple[list[Decision], str]:
    """Whom the schedule retrains at a time, and all that it says then."""
    decisions = decide_all(home, instance, at)
    return [decision for decision in decisions if decision.retrain], "\n".join(decision.why for decision in decisions)


def started(instance: dg.DagsterInstance, decision: Decision, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    """A run as Dagster makes it of a decision."""
    tags = {ASKED_TAG: decision.key, "dagster/partition": decision.painter}
    return instance.create_run_for_job(build_defs().resolve_job_def("whole_chain"), status=status, tags=tags)


# What counts


def test_works_are_counted_whatever_number_of_scans_and_crops_show_them() -> None:
    a, b, c, d = (f"{n:064x}" for n in range(4))
    old = [picture(a), picture(a, scan="5" * 64), picture(b), picture(c), picture(d, split="held_out")]
    new = [picture(a), picture(a, scan="6" * 64), picture(c, caption="a river"), picture("e" * 64), picture(d)]
    found = difference(old, new)
    assert (found.added, found.left, found.changed, found.before) == (2, 1, 2, 3)
    assert difference(old, list(reversed(old))).works == 0


def test_a_work_that_another_of_its_scans_names_now_is_the_same_work() -> None:
    first, second = "a" * 64, "b" * 64
    old = [picture(second)]
    new = [picture(first, scan=first), picture(first, scan=second)]
    found = difference(old, new)
    assert (found.added, found.left, found.changed) == (0, 0, 1)


# When, and what is said


def test_under_both_thresholds_nothing_is_asked_and_the_tick_says_so(home: Home, instance: dg.DagsterInstance) -> None:
    adapter = trained(home, works(*range(41)))
    training_set(home, [*works(*range(1, 41)), *works(100, 101, 102)])
    ticked(home, instance, SUNDAY)
    said = (
        f"{P}: 3 works added, 1 work left since adapter {adapter.id} (41 works): under 5 works and 10 %; not retrained."
    )
    assert ticked(home, instance, MONDAY) == ([], said)


@pytest.mark.parametrize(("before", "after"), [(range(8), range(9)), (range(100), range(105))])
def test_either_threshold_is_enough(home: Home, instance: dg.DagsterInstance, before: range, after: range) -> None:
    adapter = trained(home, works(*before))
    training_set(home, works(*after))
    asked, said = ticked(home, instance, SUNDAY)
    assert asked == []
    assert said.endswith("at least 5 works or 10 %; its time is Mon 2026-11-30 03:00 UTC.")
    ((decision,), said) = ticked(home, instance, MONDAY)
    assert (decision.painter, decision.stages) == (P, and_below(TRAINED))
    assert said.endswith(f"since adapter {adapter.id} ({len(before)} works): at least 5 works or 10 %; to be trained.")


def test_the_schedule_makes_runs_of_decisions_and_says_why_it_makes_none(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("ARTMASTER_HOME", "")
    training_set(home, works(1))
    repository, resources = build_defs().get_repository_def(), {"data_home": DataHome(root=str(home.root))}

    def tick(instance: dg.DagsterInstance) -> Any:
        with dg.build_schedule_context(
            instance=instance, resources=resources, repository_def=repository, scheduled_execution_time=MONDAY
        ) as context:
            return repository.get_schedule_def("retraining").evaluate_tick(context)

    with open_instance(home) as instance:
        none = tick(instance)
        assert none.run_requests == []
        assert none.skip_message == decide(home, instance, P, MONDAY).why
        training_set(home, works(1, 2))
        (request,) = tick(instance).run_requests
        assert instance.get_dynamic_partitions("painter") == [P]
        decision = decide(home, instance, P, MONDAY)
    assert request.partition_key == P
    assert [key.to_user_string() for key in request.asset_selection] == list(and_below(TRAINED))
    assert (request.run_key, request.tags[ASKED_TAG]) == (decision.key, decision.key)
    assert request.tags[WHY_TAG] == decision.why


def test_one_threshold_may_be_taken_away(home: Home, instance: dg.DagsterInstance) -> None:
    rules(home, works=None, percent=20)
    trained(home, works(*range(100)))
    training_set(home, works(*range(119)))
    ticked(home, instance, SUNDAY)
    assert ticked(home, instance, MONDAY)[1].endswith("under 20 %; not retrained.")


def test_a_tick_decides_the_same_when_it_is_taken_twice_and_a_time_is_used_once(
    home: Home, instance: dg.DagsterInstance
) -> None:
    trained(home, works(*range(8)))
    training_set(home, works(*range(16)))
    ticked(home, instance, SUNDAY)
    first, again = (ticked(home, instance, MONDAY)[0] for _ in range(2))
    assert [r.key for r in first] == [r.key for r in again] != []
    assert ticked(home, instance, MONDAY + HOUR)[0] == []
    assert [r.key for r in ticked(home, instance, MONDAY + 7 * DAY)[0]] == [r.key for r in first]


def test_a_time_that_passed_while_nothing_was_switched_on_is_made_up_for(
    home: Home, instance: dg.DagsterInstance
) -> None:
    trained(home, works(*range(8)))
    training_set(home, works(*range(16)))
    ticked(home, instance, SUNDAY)
    assert len(ticked(home, instance, MONDAY + 2 * DAY)[0]) == 1


def test_painters_have_rhythms_of_their_own_and_a_wrong_one_stops_nobody_else(
    home: Home, instance: dg.DagsterInstance
) -> None:
    rhythms = {"a": "daily", "b": "weekly", "c": "monthly", "d": "30 22 * * *", "e": "never", "f": "61 3 * * *"}
    for painter, every in rhythms.items():
        rules(home, painter, every=every)
        trained(home, works(*range(8)), painter)
        training_set(home, works(*range(16)), painter)
    ticked(home, instance, SUNDAY)
    at = {MONDAY: ["a", "b"], MONDAY + 20 * HOUR: ["d"], datetime(2026, 12, 1, 3, tzinfo=UTC): ["a", "c"]}
    assert {time: [r.painter for r in ticked(home, instance, time)[0]] for time in at} == at


def test_never_and_what_cannot_be_decided_are_said(home: Home, instance: dg.DagsterInstance) -> None:
    for painter, every in {"never": "never", "wrong": "61 3 * * *", "torn": "weekly", "none": "weekly"}.items():
        rules(home, painter, every=every)
        if painter != "none":
            trained(home, works(*range(8)), painter)
            training_set(home, works(*range(16)), painter)
    (home.adapters("torn") / MANIFEST).write_bytes(b"\0\xff")
    said = {line.split(":")[0]: line for line in ticked(home, instance, MONDAY)[1].splitlines()}
    assert "painter.yaml says never, so that only a withdrawal asks; not retrained." in said["never"]
    assert "nothing can be decided. painter.yaml: retraining.every: '61 3 * * *' names no time" in said["wrong"]
    assert f"nothing can be decided. {home.adapters('torn') / MANIFEST} is damaged" in said["torn"]
    assert "there is no training set yet; artmaster run none --until training_set makes it." in said["none"]


def test_the_first_adapter_waits_for_works_and_for_no_day(home: Home, instance: dg.DagsterInstance) -> None:
    training_set(home, works(1))
    assert (
        "1 work in the training set, where a style needs at least 2; not trained." in ticked(home, instance, SUNDAY)[1]
    )
    training_set(home, works(1, 2))
    ((decision,), _) = ticked(home, instance, SUNDAY + HOUR)
    assert decision.painter == P
    rules(home, every="never")
    assert "painter.yaml says never; not trained" in ticked(home, instance, SUNDAY + 2 * HOUR)[1]


# Once for each reason


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            dg.DagsterRunStatus.FAILURE,
            "did not succeed, so that it is not tried again by itself until",
        ),
        (dg.DagsterRunStatus.CANCELED, "did not succeed"),
        (dg.DagsterRunStatus.STARTED, "is at it"),
        (dg.DagsterRunStatus.SUCCESS, "was made for this"),
    ],
)
def test_what_had_its_run_is_not_run_again_until_something_changes(
    home: Home, instance: dg.DagsterInstance, status: dg.DagsterRunStatus, said: str
) -> None:
    rules(home, every="daily")
    trained(home, works(*range(8)))
    training_set(home, works(*range(16)))
    ticked(home, instance, SUNDAY)
    ((decision,), _) = ticked(home, instance, MONDAY)
    run = started(instance, decision, status)
    asked, told = ticked(home, instance, MONDAY + DAY)
    assert asked == []
    assert f"run {run.run_id} " in told
    assert said in told
    training_set(home, works(*range(17)))
    assert len(ticked(home, instance, MONDAY + 2 * DAY)[0]) == 1


def test_an_adapter_that_the_gate_refused_is_not_trained_again_on_the_same_set(
    home: Home, instance: dg.DagsterInstance
) -> None:
    adapter = trained(home, works(*range(8)))
    folder = home.evaluation(P) / adapter.id
    folder.mkdir(parents=True)
    verdict = Verdict(adapter_id=adapter.id, publish=False, by="figures", reasons=("Tone: not clear.",), figures={})
    (folder / "verdict.json").write_text(verdict.model_dump_json(), encoding="utf-8")
    ticked(home, instance, SUNDAY)
    asked, said = ticked(home, instance, MONDAY)
    assert asked == []
    assert said.endswith("(8 works), which the gate did not let be published; not retrained.")


def test_other_settings_are_said_and_ask_for_nothing(home: Home, instance: dg.DagsterInstance) -> None:
    trained(home, works(*range(8)))
    now = settings_identity(home, P, stage_named(TRAINED))
    for tag, told in ((now, False), ("another", True)):
        made = dg.AssetMaterialization(TRAINED, partition=P, tags={SETTINGS_TAG: tag})
        instance.report_runless_asset_event(made)
        asked, said = ticked(home, instance, MONDAY)
        assert asked == []
        assert (f"Its settings changed since, which asks for nothing by itself: artmaster run {P}" in said) == told


def test_a_training_set_that_did_not_pass_its_checks_is_not_trained_on(
    home: Home, instance: dg.DagsterInstance
) -> None:
    training_set(home, works(1, 2, 3))
    instance.add_dynamic_partitions("painter", [P])
    failed = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("training_set"), check_name="ready_to_train", passed=False, partition=P, metadata={}
    )
    instance.report_runless_asset_event(failed)
    assert ticked(home, instance, MONDAY) == (
        [], f"{P}: its training set did not pass ready_to_train; not retrained.",
    )  # fmt: skip


def test_a_withdrawal_asks_at_once_whatever_the_thresholds_and_once_for_sensor_and_schedule(
    home: Home, instance: dg.DagsterInstance
) -> None:
    small_archive(home, works=3, held_out=1)
    rules(home, PAINTER, every="never", works=100, percent=100)
    adapter = current_adapter(home, PAINTER)
    assert adapter is not None
    withdraw_artwork(home, adapter.scan_sha256s[0], "The lender withdrew it")
    ((decision,), _) = ticked(home, instance, SUNDAY)
    assert decision.stages == STAGES
    assert "whatever the thresholds" in decision.why
    resources = {"data_home": DataHome(root=str(home.root))}
    for run, expected in ((None, [decision.key]), (decision, [])):
        if run is not None:
            started(instance, run, dg.DagsterRunStatus.STARTED)
        with dg.build_sensor_context(instance=instance, resources=resources, definitions=build_defs()) as context:
            asked = withdrawn_works(context)
        assert isinstance(asked, dg.SensorResult)
        assert [each.run_key for each in asked.run_requests or ()] == expected
    assert "is at it" in ticked(home, instance, SUNDAY + HOUR)[1]


# The command and the settings


def test_the_command_says_the_same_and_remembers_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("ARTMASTER_HOME", "")
    command(home=home.root, json=True)
    assert json.loads(capsys.readouterr().out) == {"schedule_is_on": False, "painters": []}
    assert not home.root.exists()
    adapter = trained(home, works(*range(8)))
    rules(home, "other", every="never")
    command(home=home.root, json=True)
    said = json.loads(capsys.readouterr().out)
    assert [row["painter"] for row in said["painters"]] == [P, "other"]
    mine, other = said["painters"]
    assert mine["why"] == f"{P}: no work changed since adapter {adapter.id} (8 works); not retrained."
    assert (mine["retrain"], said["schedule_is_on"], other["next"]) == (False, False, None)
    assert datetime.fromisoformat(mine["next"]).strftime("%a %H:%M") == "Mon 03:00"
    command(P, home=home.root)
    lines = capsys.readouterr().out
    assert mine["why"] in lines
    assert "The schedule `retraining` is off" in lines
    assert not (home.cache / "retraining").exists()
    with pytest.raises(WrongUse, match="no painter 'nobody'"):
        command("nobody", home=home.root)


def test_painter_yaml_holds_the_rhythm_only_where_one_is_said(home: Home) -> None:
    home.scans(P).mkdir(parents=True)
    complete_painter(home, P)
    file = home.scans(P) / "painter.yaml"
    assert "retraining" not in file.read_text(encoding="utf-8")
    rules(home, every="0 22 * * 5", works=12)
    complete_painter(home, P)
    assert load_painter(home, P).retraining.model_dump() == {"every": "0 22 * * 5", "works": 12, "percent": 10.0}
    assert yaml.safe_load(file.read_text(encoding="utf-8"))["retraining"] == {"every": "0 22 * * 5", "works": 12}


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"every": "fortnightly"}, "'fortnightly' is neither daily, weekly, monthly, never nor five fields of cron"),
        ({"every": "* * * *"}, "nor five fields of cron"),
        ({"works": 0}, "retraining.works: Input should be greater than 0"),
        ({"percent": 101}, "retraining.percent"),
        ({"works": None, "percent": None}, "for no retraining say every: never"),
        ({"work": 3}, "retraining.work: there is no such setting; did you mean 'works'?"),
    ],
)
def test_wrong_rhythms_are_named_when_the_file_is_read(home: Home, said: dict, fault: str) -> None:
    rules(home, **said)
    with pytest.raises(WrongUse) as raised:
        load_painter(home, P)
    assert fault in str(raised.value)

"""Retraining without being asked, with a real Dagster instance: settled scans ask once, and no file is opened."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import made_scans
import pytest
from small_archive import PAINTER, add_adapter, small_archive

from artmaster_pipeline.curation import crop_scans
from artmaster_pipeline.orchestration.assets import PAINTERS
from artmaster_pipeline.orchestration.automation import new_scans, retraining, withdrawn_works
from artmaster_pipeline.orchestration.build import build_defs
from artmaster_pipeline.orchestration.instance import open_instance
from artmaster_pipeline.orchestration.jobs import RETRAIN, TAKE_IN
from artmaster_pipeline.orchestration.notifying import notices_of
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.records import (
    MANIFEST,
    Adapter,
    AdapterSnapshot,
    identity,
    read_manifest,
)
from artmaster_pipeline.scans import register_scans
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stages import STAGES, TRAINED, and_below, before, stage_named
from artmaster_pipeline.withdrawal import restore_artwork, withdraw_artwork


@pytest.fixture
def instance(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("ARTMASTER_HOME", "")
    with open_instance(home) as instance:
        yield instance


class Watch:
    """The sensor as the daemon runs it: each tick gets the cursor of the last one, and its requests are carried out."""

    def __init__(self, home: Home, instance: dg.DagsterInstance) -> None:
        self.home, self.instance, self.cursor = home, instance, None

    def tick(self) -> list[str | None]:
        """The painters that this evaluation asks a run for."""
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            resources={"data_home": DataHome(root=str(self.home.root))},
            definitions=build_defs(),
        ) as context:
            result = new_scans(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        for request in result.dynamic_partitions_requests or ():
            self.instance.add_dynamic_partitions("painter", list(request.partition_keys))
        return [request.partition_key for request in result.run_requests or ()]


@pytest.fixture
def watch(home: Home, instance: dg.DagsterInstance) -> Watch:
    return Watch(home, instance)


def put(home: Home, painter: str, name: str, content: bytes) -> None:
    home.scans(painter).mkdir(parents=True, exist_ok=True)
    (home.scans(painter) / name).write_bytes(content)


def test_an_empty_home_asks_for_nothing(watch: Watch) -> None:
    assert watch.tick() == []


def test_a_new_painter_becomes_a_partition_and_gets_one_run_once_its_scans_are_settled(
    home: Home, watch: Watch, instance: dg.DagsterInstance
) -> None:
    put(home, "new-painter", "a.jpg", b"half")
    assert watch.tick() == []
    put(home, "new-painter", "a.jpg", b"half and half")  # the copy was still in progress
    assert watch.tick() == []
    assert watch.tick() == ["new-painter"]
    assert instance.get_dynamic_partitions("painter") == ["new-painter"]
    assert watch.tick() == []


def test_each_painter_gets_one_run_however_many_scans_came(home: Home, watch: Watch) -> None:
    for name in ("a.jpg", "b.tif", "c.png"):
        put(home, "p", name, name.encode())
        put(home, "q", name, name.encode() + b"q")
    watch.tick()
    assert watch.tick() == ["p", "q"]


def test_a_changed_scan_asks_again_for_its_painter_only(home: Home, watch: Watch) -> None:
    put(home, "p", "a.jpg", b"1")
    put(home, "q", "a.jpg", b"2")
    watch.tick()
    watch.tick()
    put(home, "p", "a.jpg", b"3")
    watch.tick()
    assert watch.tick() == ["p"]


def test_touching_asks_once_and_the_run_finds_nothing_to_do(home: Home, watch: Watch) -> None:
    for seed in (1, 2):
        made_scans.write(home.scans("p") / f"{seed}.png", seed)
    watch.tick()
    assert watch.tick() == ["p"]
    first = register_scans(home, "p"), crop_scans(home, "p")
    os.utime(home.scans("p") / "1.png", (1, 1))
    assert [watch.tick(), watch.tick()] == [[], ["p"]]
    again = register_scans(home, "p"), crop_scans(home, "p")
    assert [stage.made for stage in again] == [0, 0]
    assert [stage.hash for stage in again] == [stage.hash for stage in first]
    assert [watch.tick(), watch.tick()] == [[], []]


def test_a_tick_over_four_thousand_files_opens_none_of_them(home: Home, watch: Watch) -> None:
    home.scans("p").mkdir(parents=True)
    for number in range(4000):
        (home.scans("p") / f"{number}.tif").touch()
    opened: list[str] = []
    listening = True

    def hook(event: str, arguments: tuple) -> None:
        if listening and event == "open" and str(home.scans("p")) in str(arguments[0]):
            opened.append(str(arguments[0]))

    sys.addaudithook(hook)  # cannot be taken away again; `listening` ends it
    assert [watch.tick(), watch.tick()] == [[], ["p"]]
    listening = False
    assert opened == []


def test_what_systems_keep_for_themselves_asks_for_nothing(home: Home, watch: Watch) -> None:
    put(home, "p", "a.jpg", b"1")
    watch.tick()
    watch.tick()
    for name in ("#recycle/b.jpg", "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "._a.jpg", "Thumbs.db"):
        (home.scans("p") / name).parent.mkdir(parents=True, exist_ok=True)
        (home.scans("p") / name).write_bytes(b"x")
    assert [watch.tick(), watch.tick()] == [[], []]


def test_a_painter_s_folder_may_be_a_link(home: Home, watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "drive").mkdir()
    (tmp_path / "drive" / "a.jpg").write_bytes(b"1")
    home.scans("p").parent.mkdir(parents=True, exist_ok=True)
    home.scans("p").symlink_to(tmp_path / "drive")
    assert [watch.tick(), watch.tick()] == [[], ["p"]]


def test_the_cursor_of_a_version_that_hashed_the_scans_is_taken_over(home: Home, watch: Watch) -> None:
    """Written as that version wrote it: the file that it had asked a run for asks for none, a new one does."""
    put(home, "p", "a.jpg", b"1")
    put(home, "q", "a.jpg", b"2")
    for painter in ("p", "q"):
        stat = (home.scans(painter) / "a.jpg").stat()
        reading = [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, "sha256"]
        memory = home.cache / "fingerprints" / f"{painter}.json"
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps({"a.jpg": reading}), encoding="utf-8")
    content = {painter: identity([["a.jpg", "sha256"]]) for painter in ("p", "q")}
    watch.cursor = json.dumps({"seen": content, "asked": content})
    put(home, "q", "b.jpg", b"new")
    assert [watch.tick(), watch.tick(), watch.tick()] == [[], ["q"], []]


def test_a_removed_scan_asks_again(home: Home, watch: Watch) -> None:
    put(home, "p", "a.jpg", b"1")
    put(home, "p", "b.jpg", b"2")
    watch.tick()
    watch.tick()
    (home.scans("p") / "b.jpg").unlink()
    watch.tick()
    assert watch.tick() == ["p"]


def test_broken_links_and_hidden_files_do_not_stop_the_sensor(home: Home, watch: Watch) -> None:
    put(home, "p", "a.jpg", b"1")
    put(home, "p", ".DS_Store", b"x")
    (home.scans("p") / "b.jpg").symlink_to("nowhere")
    os.mkfifo(home.scans("p") / "c.jpg")
    watch.tick()
    assert watch.tick() == ["p"]


def test_all_begin_switched_off_and_can_be_switched_on(home: Home, instance: dg.DagsterInstance) -> None:
    for sensor in (new_scans, withdrawn_works):
        assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
    assert retraining.default_status == dg.DefaultScheduleStatus.STOPPED
    sensors = {sensor.name: sensor.default_status for sensor in build_defs().get_repository_def().sensor_defs}
    assert sensors == dict.fromkeys(
        (
            "default_automation_condition_sensor",
            "new_scans",
            "tell_of_failures",
            "tell_of_successes",
            "withdrawn_works",
        ),
        dg.DefaultSensorStatus.STOPPED,
    )


# The stages between the scans and the training


class Following:
    """Dagster's evaluation of the stages' conditions, tick after tick."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance, self.cursor, self.definitions = instance, None, build_defs()

    def tick(self) -> set[tuple[str, str]]:
        """What is requested now: stages and partitions."""
        result = dg.evaluate_automation_conditions(self.definitions, self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        return {
            (stage, str(partition))
            for stage in STAGES
            for partition in result.get_requested_partitions(dg.AssetKey(stage)) or ()
        }

    def made(self, stage: str, partition: str) -> None:
        """A stage was made by a run of its own."""
        self.instance.report_runless_asset_event(dg.AssetMaterialization(stage, partition=partition))


def made_by_one_run(instance: dg.DagsterInstance, stages: tuple[str, ...], partition: str) -> None:
    """Those stages as one run makes them, all of them planned from its beginning."""

    def assets() -> Iterator[dg.AssetsDefinition]:
        for stage in stages:
            deps = [dep for dep in stage_named(stage).after if dep in stages]

            @dg.asset(name=stage, partitions_def=PAINTERS, deps=deps)
            def made() -> None: ...

            yield made

    assert dg.materialize(list(assets()), instance=instance, partition_key=partition).success


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
def test_crops_and_training_set_follow_new_scans_but_not_those_of_a_run_that_makes_them_too() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("painter", ["p", "q"])
        follow = Following(instance)
        assert follow.tick() == set()  # nothing is there, and nothing is made for want of it
        follow.made("raw_scans", "p")
        assert follow.tick() == {("curated_crops", "p"), ("training_set", "p")}
        assert follow.tick() == set()
        made_by_one_run(instance, before(TRAINED), "q")
        assert follow.tick() == set()
        made_by_one_run(instance, ("raw_scans", "curated_crops"), "q")
        assert follow.tick() == {("training_set", "q")}


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
def test_no_stage_follows_while_it_is_made_and_none_from_the_training_on() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("painter", ["p"])
        follow = Following(instance)
        follow.tick()
        running = instance.create_run_for_job(
            build_defs().resolve_job_def(TAKE_IN), status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": "p"}
        )
        follow.made("raw_scans", "p")
        assert follow.tick() == set()
        instance.report_run_failed(running)
        assert follow.tick() == {("curated_crops", "p"), ("training_set", "p")}
        for stage in STAGES:
            follow.made(stage, "p")
        assert {stage for stage, _ in follow.tick()}.isdisjoint(and_below(TRAINED))


def test_taking_in_ends_before_the_training() -> None:
    graph = build_defs().get_repository_def().asset_graph
    jobs = {job: build_defs().resolve_job_def(job).asset_layer.selected_asset_keys for job in (TAKE_IN, RETRAIN)}
    named = {job: {key.to_user_string() for key in keys} for job, keys in jobs.items()}
    assert named[TAKE_IN] == {"raw_scans", "curated_crops", "training_set"}
    assert named[TAKE_IN] | named[RETRAIN] == {key.to_user_string() for key in graph.get_all_asset_keys()}
    assert not named[TAKE_IN] & named[RETRAIN]


# Withdrawn works


def asked_for(home: Home, instance: dg.DagsterInstance) -> dict[str | None, str | None]:
    """The painters that the sensor asks runs for, and the runs' keys."""
    resources = {"data_home": DataHome(root=str(home.root))}
    with dg.build_sensor_context(instance=instance, resources=resources, definitions=build_defs()) as context:
        result = withdrawn_works(context)
    assert isinstance(result, dg.SensorResult)
    return {request.partition_key: request.run_key for request in result.run_requests or ()}


def test_a_withdrawn_work_asks_for_one_run_of_each_painter_who_had_it(home: Home, instance: dg.DagsterInstance) -> None:
    for painter in ("p", "q", "r"):
        made_scans.write(home.scans(painter) / "own.png", ord(painter))
        made_scans.write(home.scans(painter) / "more.png", 2 * ord(painter))
    for painter in ("p", "q"):
        made_scans.write(home.scans(painter) / "shared.png", 1)
    for painter in ("p", "q", "r"):
        register_scans(home, painter)
    assert asked_for(home, instance) == {}
    shared = next(scan for scan in register_scans(home, "p").records if scan.path == "shared.png")
    withdraw_artwork(home, shared.sha256, "The lender withdrew it")
    assert asked_for(home, instance) == {}  # the registers are as they shall be, and no adapter has it
    restore_artwork(home, shared.sha256)
    keys = asked_for(home, instance)
    assert set(keys) == {"p", "q"}
    assert asked_for(home, instance) == keys  # Dagster runs a key once
    for painter in ("p", "q"):
        register_scans(home, painter)
    assert asked_for(home, instance) == {}


def test_a_marked_adapter_asks_for_a_run_until_there_is_another(home: Home, instance: dg.DagsterInstance) -> None:
    small_archive(home, works=6, held_out=2)
    (adapter,) = read_manifest(home.adapters(PAINTER) / MANIFEST, Adapter)
    first, second, *_ = adapter.scan_sha256s
    withdraw_artwork(home, first, "One")
    once = asked_for(home, instance)
    assert set(once) == {PAINTER}
    withdraw_artwork(home, second, "Two")
    assert asked_for(home, instance)[PAINTER] != once[PAINTER]
    snapshot = AdapterSnapshot.model_validate_json((home.root / adapter.path / "lineage.json").read_text())
    images = tuple(i for i in snapshot.training_images if i.scan_sha256 not in (first, second))
    add_adapter(home, snapshot.scans, images, seed=9)
    assert asked_for(home, instance) == {}


def test_a_folder_that_somebody_put_there_is_taken_in_without_the_command_line(
    home: Home, instance: dg.DagsterInstance
) -> None:
    """Its painter.yaml is written on the way, since DVC's stages depend on it."""
    for seed in (1, 2):
        made_scans.write(home.scans("p") / f"{seed}.png", seed)
    (home.scans("p") / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    instance.add_dynamic_partitions("painter", ["p"])
    job = build_defs(resource_overrides={"data_home": DataHome(root=str(home.root))}).resolve_job_def(TAKE_IN)
    for told in (["delivery with bad files"], []):
        done = job.execute_in_process(
            instance=instance, partition_key="p", asset_selection=[dg.AssetKey("raw_scans")], raise_on_error=False
        )
        assert done.success
        run = instance.get_run_by_id(done.run_id)
        assert run is not None
        assert [notice.event for notice in notices_of(home, instance, run)] == told
    assert (home.scans("p") / "painter.yaml").is_file()

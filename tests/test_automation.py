"""Retraining without being asked, with a real Dagster instance: settled scans ask once, and no file is opened."""

from collections.abc import Iterator

import dagster as dg
import made_scans
import pytest
from small_archive import PAINTER, add_adapter, small_archive

from artmaster_pipeline.orchestration.assets import PAINTERS
from artmaster_pipeline.orchestration.automation import new_of, retraining, withdrawn_works
from artmaster_pipeline.orchestration.build import build_defs
from artmaster_pipeline.orchestration.instance import open_instance
from artmaster_pipeline.orchestration.jobs import RETRAIN, TAKE_IN
from artmaster_pipeline.orchestration.notifying import notices_of
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.orchestration.watching import new_scans
from artmaster_pipeline.records import (
    MANIFEST,
    Adapter,
    AdapterSnapshot,
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


def test_all_begin_switched_off_and_can_be_switched_on(home: Home, instance: dg.DagsterInstance) -> None:
    for sensor in (new_scans, new_of("canvas"), new_of("story"), withdrawn_works):
        assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
    assert retraining.default_status == dg.DefaultScheduleStatus.STOPPED
    sensors = {sensor.name: sensor.default_status for sensor in build_defs().get_repository_def().sensor_defs}
    assert sensors == dict.fromkeys(
        (
            "default_automation_condition_sensor",
            "new_canvases",
            "new_scans",
            "new_stories",
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
    jobs = {job: build_defs().resolve_job_def(job).asset_layer.selected_asset_keys for job in (TAKE_IN, RETRAIN)}
    named = {job: {key.to_user_string() for key in keys} for job, keys in jobs.items()}
    assert named[TAKE_IN] == {"raw_scans", "curated_crops", "training_set"}
    assert named[TAKE_IN] | named[RETRAIN] == set(STAGES)
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

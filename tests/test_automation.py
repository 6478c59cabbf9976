"""Retraining without being asked, with a real Dagster instance: Mondays and withdrawn works."""

from collections.abc import Iterator

import dagster as dg
import made_scans
import pytest
from small_archive import PAINTER, add_adapter, small_archive

from artmaster_pipeline.orchestration.automation import needs_retraining, weekly_retraining, withdrawn_works
from artmaster_pipeline.orchestration.build import build_defs
from artmaster_pipeline.orchestration.instance import open_instance
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.orchestration.watching import new_scans
from artmaster_pipeline.records import (
    MANIFEST,
    Adapter,
    AdapterSnapshot,
    TrainingImage,
    identity,
    manifest_hash,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.scans import register_scans
from artmaster_pipeline.settings import Home
from artmaster_pipeline.withdrawal import restore_artwork, withdraw_artwork


@pytest.fixture
def instance(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("ARTMASTER_HOME", "")
    with open_instance(home) as instance:
        yield instance


def training_set(home: Home, painter: str, caption: str) -> str:
    row = TrainingImage(
        id=identity(caption),
        painter=painter,
        crop_id="c",
        scan_id="s",
        scan_sha256="f" * 64,
        path="images/x.png",
        sha256="0" * 64,
        width=512,
        height=512,
        caption=caption,
        caption_source="sidecar",
        split="train",
    )
    write_manifest(home.training_set(painter) / MANIFEST, [row])
    return manifest_hash(home.training_set(painter) / MANIFEST)


def adapter(home: Home, painter: str, training_set_hash: str) -> None:
    row = Adapter(
        id=identity(training_set_hash),
        painter=painter,
        path="adapters/p/x",
        sha256="0" * 64,
        profile="miniature",
        base_model="miniature",
        base_revision="r",
        trigger="t",
        training_set_hash=training_set_hash,
        training_image_ids=(),
        scan_sha256s=(),
        seed=0,
        steps=1,
        settings={},
        ranks={},
        final_loss=1.0,
    )
    write_manifest(home.adapters(painter) / MANIFEST, [row])


def monday(home: Home, instance: dg.DagsterInstance) -> list[str | None]:
    with dg.build_schedule_context(
        instance=instance, resources={"data_home": DataHome(root=str(home.root))}
    ) as context:
        asked = list(weekly_retraining(context))  # type: ignore[call-overload]
    return [request.partition_key for request in asked if isinstance(request, dg.RunRequest)]


def test_monday_retrains_only_painters_whose_training_set_is_not_the_adapter_s(
    home: Home, instance: dg.DagsterInstance
) -> None:
    for painter in ("fresh", "moved", "empty"):
        home.scans(painter).mkdir(parents=True)
    instance.add_dynamic_partitions("painter", ["fresh", "moved", "empty"])
    adapter(home, "fresh", training_set(home, "fresh", "one"))
    adapter(home, "moved", training_set(home, "moved", "one"))
    training_set(home, "moved", "two")
    assert not needs_retraining(home, "fresh")
    assert not needs_retraining(home, "empty")
    assert monday(home, instance) == ["moved"]


def test_monday_trains_a_painter_that_has_a_training_set_and_no_adapter(
    home: Home, instance: dg.DagsterInstance
) -> None:
    home.scans("p").mkdir(parents=True)
    instance.add_dynamic_partitions("painter", ["p"])
    training_set(home, "p", "one")
    assert monday(home, instance) == ["p"]


def test_a_damaged_record_is_told_in_one_sentence(home: Home, instance: dg.DagsterInstance) -> None:
    home.scans("p").mkdir(parents=True)
    training_set(home, "p", "one")
    adapter(home, "p", "0")
    (home.adapters("p") / MANIFEST).write_bytes(b"\0\xff")
    with pytest.raises(dg.Failure) as raised:
        monday(home, instance)
    assert f"{home.adapters('p') / MANIFEST} is damaged" in str(raised.value.description)


def test_all_begin_switched_off_and_can_be_switched_on(home: Home, instance: dg.DagsterInstance) -> None:
    for sensor in (new_scans, withdrawn_works):
        assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
    assert weekly_retraining.default_status == dg.DefaultScheduleStatus.STOPPED
    names = {definition.name for definition in build_defs().get_repository_def().sensor_defs}
    assert names == {"new_scans", "withdrawn_works"}


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

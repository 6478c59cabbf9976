"""Retraining without being asked, with a real Dagster instance: settled content asks once, time asks for nothing."""

import os
from collections.abc import Iterator

import dagster as dg
import pytest

from artmaster_pipeline.orchestration.automation import needs_retraining, new_scans, weekly_retraining
from artmaster_pipeline.orchestration.build import build_defs
from artmaster_pipeline.orchestration.instance import open_instance
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.records import MANIFEST, Adapter, TrainingImage, identity, manifest_hash, write_manifest
from artmaster_pipeline.settings import Home


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


def test_touching_or_renaming_back_asks_for_nothing(home: Home, watch: Watch) -> None:
    put(home, "p", "a.jpg", b"1")
    watch.tick()
    watch.tick()
    os.utime(home.scans("p") / "a.jpg", (1, 1))
    assert watch.tick() == []
    assert watch.tick() == []


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


def test_both_begin_switched_off_and_can_be_switched_on(home: Home, instance: dg.DagsterInstance) -> None:
    assert new_scans.default_status == dg.DefaultSensorStatus.STOPPED
    assert weekly_retraining.default_status == dg.DefaultScheduleStatus.STOPPED
    names = {definition.name for definition in build_defs().get_repository_def().sensor_defs}
    assert names == {"new_scans"}

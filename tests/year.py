"""A year of an archive in minutes, with a made-up clock: scans come in bursts, works are withdrawn, runs are killed.

    python tests/year.py [--weeks 52] [--seed 1] [--home FOLDER]

Sensors, schedule and jobs are the product's own, on Dagster's own storage; each run is a process of its own, on the
miniature with a training of a few steps. What Dagster's daemon does between them (asking, carrying requests out, each
run key once) is done here, so that a week takes seconds. A person reads the failures and starts the painter's run
again. In the end everything that was delivered and may be used is trained on, nothing else is, and every record holds.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import forked
import made_scans
import time_machine
from few_steps import PROFILE

from artmaster_pipeline.adapters import all_adapters, current_adapter, read_snapshot
from artmaster_pipeline.adapters.withdrawn import marks_of
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.lineage import verify
from artmaster_pipeline.orchestration.automation import retraining, withdrawn_works
from artmaster_pipeline.orchestration.build import build_defs
from artmaster_pipeline.orchestration.instance import end_killed_runs, open_instance
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.orchestration.watching import new_scans
from artmaster_pipeline.records import MANIFEST, QUARANTINE, Quarantined, Scan, TrainingImage, read_manifest
from artmaster_pipeline.scans.withdrawn import read_withdrawn
from artmaster_pipeline.settings import Home, load_painter, save_painter
from artmaster_pipeline.stages import STAGES
from artmaster_pipeline.withdrawal import restore_artwork, withdraw_artwork

BEGIN = datetime(2030, 1, 7, 2, tzinfo=UTC)  # a Monday, an hour before the weekly time

# A run as Dagster's launcher starts it: a process of its own, on a given day, which may be killed or find a full disk.
RUN = """
import json, os, signal, sys
import dagster as dg, time_machine
said = json.loads(sys.argv[1])
with time_machine.travel(said["at"], tick=True):
    from pathlib import Path
    from artmaster_pipeline import files
    from artmaster_pipeline.orchestration import assets
    from artmaster_pipeline.orchestration.build import build_defs
    from artmaster_pipeline.orchestration.instance import alive, open_instance
    from artmaster_pipeline.orchestration.resources import DataHome
    from artmaster_pipeline.settings import Home
    flushed, made, now = files.to_disk, assets.make, {"stage": "", "count": 0}
    def make(home, stage, partition, progress):
        now.update(stage=stage.name, count=0)
        return made(home, stage, partition, progress)
    def to_disk(path):
        now["count"] += 1
        if said["fault"] and (now["stage"], now["count"]) == (said["stage"], said["write"]):
            print(f"{said['fault']} in {now['stage']}", flush=True)
            if said["fault"] == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(28, "No space left on device", str(path))
        flushed(path)
    files.to_disk, assets.make = to_disk, make
    home = Home(Path(said["home"]))
    definitions = build_defs(resource_overrides={"data_home": DataHome(root=said["home"])})
    with open_instance(home) as instance, alive(home, instance, said["run_id"]):
        done = definitions.resolve_job_def(said["job"]).execute_in_process(
            instance=instance, partition_key=said["painter"], run_id=said["run_id"], tags=said["tags"],
            asset_selection=[dg.AssetKey(name) for name in said["stages"]] or None, raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        for event in done.all_events if not done.success else ():
            print(event.message if event.is_failure else "", end="", flush=True)
sys.exit(0 if done.success else 1)
"""
PERSON = "import sys, time_machine\nwith time_machine.travel(sys.argv.pop(0), tick=True):\n    " + forked.COMMAND


@dataclass(frozen=True)
class Event:
    """What happens at the beginning of a week."""

    week: int
    what: str  # a method of Year
    painter: str
    count: int = 0


@dataclass
class Year:
    """The archive, its clock, and what the person in charge knows of it."""

    home: Home
    seed: int = 1
    now: datetime = BEGIN
    said: list[str] = field(default_factory=list)
    expected: dict[str, set[str]] = field(default_factory=dict)  # sha256 of what may be used, by painter
    bad: dict[str, set[str]] = field(default_factory=dict)  # files that cannot be used
    ends: dict[str, tuple[str, datetime]] = field(default_factory=dict)  # sha256 -> painter and the end of its rights
    withdrawn: dict[str, list[tuple[str, Path]]] = field(default_factory=dict)
    faults: list[tuple[str, str]] = field(default_factory=list)  # (kill or full disk, stage) that are still to come
    counts: Counter[str] = field(default_factory=Counter)
    _keys: set[str] = field(default_factory=set)
    _cursor: str | None = None
    _pictures: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        (self.home.root / "profiles").mkdir(parents=True, exist_ok=True)
        (self.home.root / "profiles" / "few-steps.yaml").write_text(PROFILE)
        self.instance = open_instance(self.home)

    # What happens

    def arrives(self, painter: str, count: int) -> None:
        """A new painter's folder."""
        self.delivery(painter, count)
        with self.clock():
            from artmaster_pipeline.settings import complete_painter

            complete_painter(self.home, painter)
            save_painter(
                self.home, painter, load_painter(self.home, painter).model_copy(update={"profile": "few-steps"})
            )

    def delivery(self, painter: str, count: int) -> None:
        """A burst of scans."""
        for _ in range(count):
            self._pictures += 1
            name = f"{painter}-{self._pictures:03}.png"
            file = made_scans.write(self.home.scans(painter) / name, self.seed * 1000 + self._pictures, 520, 780)
            self.expected.setdefault(painter, set()).add(sha256_of(file))

    def bad_files(self, painter: str, count: int) -> None:
        """Files that are no pictures, or only the beginning of one."""
        whole = next(self.home.scans(painter).glob("*.png")).read_bytes()
        for number in range(count):
            name = f"bad-{self.now:%m%d}-{number}.png"
            content = whole[: len(whole) // 3] + bytes([number]) if number % 2 else f"no picture {name}".encode()
            (self.home.scans(painter) / name).write_bytes(content)
            self.bad.setdefault(painter, set()).add(name)

    def rename(self, painter: str, _count: int) -> None:
        """Somebody renames a file and touches another: nothing has to be done for that."""
        first, second = sorted(self.home.scans(painter).glob(f"{painter}-*.png"))[:2]
        first.rename(first.with_name(f"{painter}-000-{self.now:%m%d}.png"))
        second.touch()

    def withdraw(self, painter: str, _count: int) -> None:
        """A work may not be used any more."""
        sha256 = self.chance.choice(sorted(self.expected[painter] - set(self.ends)))
        kept = self._copy_of(painter, sha256)
        with self.clock():
            withdraw_artwork(self.home, sha256, "the estate asked", "A Keeper", now=True)
        self.expected[painter].discard(sha256)
        self.withdrawn.setdefault(painter, []).append((sha256, kept))

    def again(self, painter: str, _count: int) -> None:
        """A withdrawn work is delivered again under another name: it stays out."""
        sha256, kept = self.withdrawn[painter][-1]
        (self.home.scans(painter) / f"again-{sha256[:8]}.png").write_bytes(kept.read_bytes())
        self.bad.setdefault(painter, set()).add(f"again-{sha256[:8]}.png")

    def restore(self, painter: str, _count: int) -> None:
        """A withdrawal is taken back, and the file is delivered again."""
        sha256, kept = self.withdrawn[painter].pop()
        with self.clock():
            restore_artwork(self.home, sha256, "the estate agreed", "A Keeper")
        self.bad.get(painter, set()).discard(f"again-{sha256[:8]}.png")
        for file in self.home.scans(painter).glob(f"again-{sha256[:8]}.png"):
            file.unlink()
        held = {sha256_of(file) for file in self.home.scans(painter).glob("*.png")}
        if sha256 not in held:
            (self.home.scans(painter) / f"back-{sha256[:8]}.png").write_bytes(kept.read_bytes())
        self.expected[painter].add(sha256)

    def rights(self, painter: str, count: int) -> None:
        """A row of artworks.csv says that a work's rights end in `count` weeks."""
        sha256 = sorted(self.expected[painter])[0]
        self._copy_of(painter, sha256)
        file = next(f for f in sorted(self.home.scans(painter).glob("*.png")) if sha256_of(f) == sha256)
        end = self.now + timedelta(weeks=count)
        table = self.home.scans(painter) / "artworks.csv"
        table.write_text(f"file,title,rights_until\n{file.name},On loan,{end:%Y-%m-%d}\n", encoding="utf-8")
        self.ends[sha256] = (painter, end)

    def kill(self, stage: str, _count: int) -> None:
        """The next run that comes to a stage is killed in it."""
        self.faults.append(("kill", stage))

    def full_disk(self, stage: str, _count: int) -> None:
        """The next run that comes to a stage finds the disk full."""
        self.faults.append(("full disk", stage))

    # A week

    def week(self, events: Iterable[Event]) -> None:
        """What happens, and what Dagster does of it until the next Monday."""
        for event in events:
            self.say(f"{event.what.replace('_', ' ')} {event.painter} {event.count or ''}")
            getattr(self, event.what)(event.painter, event.count)
        for sha256, (painter, end) in self.ends.items():
            if end <= self.now:
                self.expected[painter].discard(sha256)
        for minutes in (1, 3, 5):
            self._evaluate(new_scans, minutes)
        self._evaluate(withdrawn_works, 30)
        self._schedule(60)
        self.now += timedelta(weeks=1)

    def _evaluate(self, sensor: dg.SensorDefinition, minutes: int) -> None:
        at = self.now + timedelta(minutes=minutes)
        cursor = self._cursor if sensor is new_scans else None
        with (
            time_machine.travel(at, tick=True),
            dg.build_sensor_context(
                instance=self.instance, cursor=cursor, definitions=build_defs(), resources=self._resources()
            ) as context,
        ):
            result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        if sensor is new_scans:
            self._cursor = result.cursor
        for request in result.dynamic_partitions_requests or ():
            self.instance.add_dynamic_partitions("painter", list(request.partition_keys))
        self._carry_out(result.run_requests or (), sensor.job_name, sensor.name, at)

    def _schedule(self, minutes: int) -> None:
        at = self.now + timedelta(minutes=minutes)
        with (
            time_machine.travel(at, tick=True),
            dg.build_schedule_context(
                instance=self.instance, scheduled_execution_time=at, resources=self._resources()
            ) as context,
        ):
            result = retraining(context)
        if isinstance(result, dg.SkipReason):
            self.say(f"schedule: {result.skip_message}")
            return
        self._carry_out(result, retraining.job_name, retraining.name, at)

    def _carry_out(self, requests: Iterable[dg.RunRequest], job: str, asked_by: str, at: datetime) -> None:
        for request in requests:
            key = f"{asked_by} {request.run_key}"
            if key in self._keys:
                continue
            self._keys.add(key)
            painter = str(request.partition_key)
            stages = [key.to_user_string() for key in request.asset_selection or ()]
            tags = {**request.tags, "dagster/run_key": str(request.run_key)}
            self.say(f"{asked_by}: a run of {job} for {painter} {tags.get('artmaster/why', '')}")
            self._run(job, painter, stages, tags, at)

    def _run(self, job: str, painter: str, stages: list[str], tags: dict[str, str], at: datetime) -> None:
        fault, stage = self._next_fault(job, stages)
        told = {
            "home": str(self.home.root), "job": job, "painter": painter, "stages": stages, "tags": tags,
            "run_id": str(self.chance.randbytes(16).hex()), "at": at.isoformat(), "fault": fault, "stage": stage,
            "write": self.chance.randint(1, 4),
        }  # fmt: skip
        done = forked.run(RUN, "run", json.dumps(told))
        self.counts["runs"] += 1
        if fault and done.stdout.startswith(fault):
            self.faults.remove((fault, stage))
            self.counts[fault] += 1
        if done.returncode == 0:
            return
        self.say(f"the run ended with {done.returncode}: {done.stdout.strip()}")
        assert fault and done.stdout.startswith(fault), done.stdout + done.stderr
        later = at + timedelta(days=1)
        with time_machine.travel(later, tick=True):
            end_killed_runs(self.home, self.instance)
        again = forked.run(PERSON, later.isoformat(), "artmaster", "run", painter, "--home", str(self.home.root))
        assert again.returncode == 0, again.stdout + again.stderr
        self.counts["runs started by a person"] += 1
        self.say(f"a person: artmaster run {painter}")

    def _next_fault(self, job: str, stages: list[str]) -> tuple[str, str]:
        """The first fault that is to come and can come in this run."""
        comes_to = set(stages) or {str(node) for node in build_defs().resolve_job_def(job).graph.node_dict}
        return next(((fault, stage) for fault, stage in self.faults if stage in comes_to), ("", ""))

    # The end

    def check(self) -> None:
        """Everything is as it has to be; an AssertionError says what is not."""
        for painter, expected in sorted(self.expected.items()):
            scans = read_manifest(self.home.register(painter) / MANIFEST, Scan)
            assert {scan.sha256 for scan in scans} == expected, painter
            left_out = read_manifest(self.home.register(painter) / QUARANTINE, Quarantined)
            paths = {row.path for row in (*left_out, *read_withdrawn(self.home, painter))}
            assert paths >= self.bad.get(painter, set()), painter
            images = read_manifest(self.home.training_set(painter) / MANIFEST, TrainingImage)
            assert {image.scan_sha256 for image in images} == expected, painter
            adapter = current_adapter(self.home, painter)
            assert adapter is not None
            with self.clock():
                assert marks_of(self.home, adapter) == (), painter
        for adapter in all_adapters(self.home):
            snapshot = read_snapshot(self.home, adapter)
            trained = {image.scan_sha256 for image in snapshot.training_images if image.split == "train"}
            assert set(adapter.scan_sha256s) == trained
            self.counts["adapters"] += 1
        assert not self.faults, f"never came to: {self.faults}"
        with self.clock():
            found = verify(self.home).findings
        assert found == (), found
        assert all(run.is_finished for run in self.instance.get_runs())
        before = self._contents()
        for painter in sorted(self.expected):
            words = ("artmaster", "run", painter, "--home", str(self.home.root))
            said = forked.run(PERSON, self.now.isoformat(), *words, check=True).stdout
            self.say(f"{painter}: {said.strip().splitlines()[-1]}")
        again = self._contents()
        assert {name for name, content in before.items() if again.get(name) != content} <= self._waiting()

    def _contents(self) -> dict[str, str]:
        return {
            f"{stage} {painter}": sha256_of(file)
            for stage in STAGES
            for painter in self.expected
            if (file := self.home.stage_folder(stage, painter) / MANIFEST).is_file()
        }

    def _waiting(self) -> set[str]:
        """What a person's run makes anew at the year's end, since the schedule waits for more works."""
        below = ("style_adapter", "evaluation_grid", "sample_gallery")
        return {f"{stage} {painter}" for stage in below for painter in self.expected}

    def clock(self) -> time_machine.travel:
        """The made-up time."""
        return time_machine.travel(self.now, tick=True)

    def say(self, text: str) -> None:
        """Tell what happened, on its day."""
        self.said.append(f"{self.now:%Y-%m-%d} {text.strip()}")
        print(self.said[-1], flush=True)

    def _resources(self) -> dict[str, DataHome]:
        return {"data_home": DataHome(root=str(self.home.root))}

    def _copy_of(self, painter: str, sha256: str) -> Path:
        """The person's own copy of a scan, outside of the home."""
        kept = self.home.root.parent / "kept" / f"{sha256}.png"
        kept.parent.mkdir(exist_ok=True)
        for file in self.home.scans(painter).glob("*.png"):
            if sha256_of(file) == sha256:
                kept.write_bytes(file.read_bytes())
        return kept


def events_of(weeks: int, seed: int) -> list[Event]:
    """A year's events: what must happen, spread over the weeks, and deliveries by chance."""
    chance = random.Random(seed)
    first, second = "an-ink-painter", "a-painter-in-oil"
    events = [Event(0, "arrives", first, 6), Event(weeks // 4, "arrives", second, 5)]
    must = [
        ("bad_files", first, 3), ("withdraw", first, 0), ("rename", first, 0), ("rights", first, weeks // 6),
        ("again", first, 0), ("restore", first, 0), ("bad_files", second, 2), ("withdraw", second, 0),
        ("rename", second, 0), ("again", second, 0),
    ]  # fmt: skip
    for place, (what, painter, count) in enumerate(must):
        least = weeks // 4 + 1 if painter == second else 1
        events.append(Event(least + place * (weeks - least - weeks // 4) // len(must), what, painter, count))
    for place, stage in enumerate(STAGES):
        events.append(Event(place * weeks // 8, "kill", stage))
    events.append(Event(weeks // 3, "full_disk", "style_adapter"))
    for week in range(2, weeks - 2):
        if chance.random() < 0.4:
            events.append(Event(week, "delivery", first if week <= weeks // 4 or chance.random() < 0.5 else second, 2))
    events += [Event(weeks - 3, "delivery", first, 5), Event(weeks - 2, "delivery", second, 5)]
    return events


def simulate(home: Home, weeks: int, events: Iterable[Event], seed: int = 1) -> Year:
    """A home after `weeks` weeks with these events, checked."""
    year, events = Year(home, seed), list(events)
    for week in range(weeks):
        year.week([event for event in events if event.week == week])
    year.check()
    return year


def main() -> None:
    """The script: says what happens each week, and in the end how much it was and how long it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weeks", type=int, default=52)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--home", type=Path)
    said = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(said.home or Path(folder) / "home")
        year = simulate(home, said.weeks, events_of(said.weeks, said.seed), said.seed)
    print(", ".join(f"{count} {what}" for what, count in sorted(year.counts.items())))
    print(f"{said.weeks} weeks in {time.monotonic() - began:.0f} s; everything is as it has to be.")


if __name__ == "__main__":
    sys.exit(main())

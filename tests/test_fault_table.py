"""What may happen to a home from outside: a clock set back, a remote that goes, a killed daemon, a read-only disk."""

import json
import os
import shutil
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import forked
import made_scans
import pytest
from forked import DVC, dvc
from small_archive import PAINTER
from test_versioning import contents, painter_with_stages
from year import RUN

from artmaster_pipeline import versioning, withdrawals
from artmaster_pipeline.evaluation import verdicts
from artmaster_pipeline.orchestration.assets import PAINTERS
from artmaster_pipeline.orchestration.instance import end_killed_runs, open_instance
from artmaster_pipeline.orchestration.run import run_painter
from artmaster_pipeline.records import Adapter, Verdict
from artmaster_pipeline.settings import Home, Profile
from artmaster_pipeline.withdrawals import WithdrawnScan, append, in_force, new_line


class Clock:
    """A clock that somebody sets."""

    year = 2030

    @classmethod
    def now(cls, zone: object = None) -> datetime:
        return datetime(cls.year, 1, 1, tzinfo=UTC)


def test_the_last_word_is_the_one_that_was_said_last_whatever_the_clock_says(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "datetime", Clock)
    monkeypatch.setattr(withdrawals, "datetime", Clock)
    scan = WithdrawnScan(sha256="a" * 64)
    for year, publish, action in ((2030, True, "restored"), (2001, False, "withdrawn")):
        monkeypatch.setattr(Clock, "year", year)
        word = "publish" if publish else "reject"
        verdict = Verdict(adapter_id="a" * 16, publish=publish, by="person", reasons=(word,), figures={})
        verdicts.append_verdict(home, PAINTER, verdict)
        verdicts.decide(home, PAINTER, "a" * 16, word, "A person's reason")
        append(home, new_line(action, [scan], [PAINTER], "A reason", "somebody"))
    last = verdicts.last_verdict(home.evaluation(PAINTER) / ("a" * 16))
    assert last is not None
    assert (last.at[:4], last.publish) == ("2001", False)
    assert verdicts.last_decision(home, PAINTER, "a" * 16)["verdict"] == "reject"
    assert in_force(home)[scan.sha256].at[:4] == "2001"


GONE = f"""
import sys
store, left = sys.argv.pop(), 3
def hear(event, args):
    global left
    if event == "os.rename" and str(args[1]).startswith(store):
        left -= 1
        if left < 0:
            raise OSError(5, "Input/output error", str(args[1]))
sys.addaudithook(hear)
{DVC}
"""


def test_a_remote_that_goes_in_the_middle_of_a_push_takes_nothing_with_it(home: Home, tmp_path: Path) -> None:
    painter_with_stages(home, "a-painter")
    store = tmp_path / "store"
    dvc(home.root, "remote", "add", "-d", "store", str(store))
    before = contents(home.root)
    pushed = forked.run(GONE, "dvc", "push", str(store), cwd=home.root)
    assert pushed.returncode != 0
    assert contents(home.root) == before
    assert versioning.stale_stages(home, "a-painter") == ()
    dvc(home.root, "push")
    for folder in {name.split("/")[0] for name in before}:
        shutil.rmtree(home.root / folder / "a-painter")
    shutil.rmtree(home.root / ".dvc" / "cache")
    dvc(home.root, "pull", "--force")
    assert contents(home.root) == before


@pytest.mark.slow
def test_a_run_that_was_killed_with_its_daemon_is_ended_and_the_next_one_goes_on(home: Home) -> None:
    for seed in range(2):
        made_scans.write(home.scans(PAINTER) / f"{seed}.jpg", seed, 540, 800)
    with open_instance(home) as instance:
        instance.add_dynamic_partitions(str(PAINTERS.name), [PAINTER])
    begun = {
        "at": datetime.now(UTC).isoformat(), "home": str(home.root), "run_id": "0" * 32, "job": "whole_chain",
        "painter": PAINTER, "tags": {}, "stages": ["raw_scans", "curated_crops"],
        "fault": "kill", "stage": "curated_crops", "write": 6,
    }  # fmt: skip
    killed = forked.run(RUN, "run", json.dumps(begun))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    left = {file: file.stat().st_ino for file in home.root.glob(f"register/{PAINTER}/*/*")}
    with open_instance(home) as instance:  # as whoever starts the daemon again
        assert not instance.get_run_by_id("0" * 32).is_finished  # type: ignore[union-attr]
        end_killed_runs(home, instance)
        assert instance.get_run_by_id("0" * 32).is_failure  # type: ignore[union-attr]
        assert list(instance.event_log_storage.get_concurrency_run_ids()) == []
    assert "curated_crops" in run_painter(home, PAINTER, until="curated_crops").made
    assert {file: file.stat().st_ino for file in left} == left
    assert run_painter(home, PAINTER, until="curated_crops").made == ()


# A process that may not write what its user may not: root may everywhere, until it gives its capabilities away.
AS_ALLOWED = f"""
import ctypes, os
if os.geteuid() == 0:
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()  # capabilities(7), version 3
    assert ctypes.CDLL(None).capset(header, none) == 0
{forked.COMMAND}
"""


@pytest.mark.skipif(sys.platform != "linux" and os.geteuid() == 0, reason="root may write everywhere on this system")
def test_a_home_that_may_only_be_read_answers_questions_and_says_why_it_makes_nothing(
    trained: tuple[Home, Profile, Adapter], tmp_path: Path
) -> None:
    whole, _, adapter = trained
    root = Path(shutil.copytree(whole.root, tmp_path / "home", symlinks=True))
    questions = (("lineage", "verify"), ("lineage", "adapter", adapter.id), ("painters", "list"))
    asked = {words: forked.run(AS_ALLOWED, "artmaster", *words, "--home", str(root)) for words in questions}
    before = contents(root)
    places = [root, *(place for place in root.rglob("*") if not place.is_symlink())]
    for place in reversed(places):
        place.chmod(0o555 if place.is_dir() else 0o444)
    try:
        told = {words: forked.run(AS_ALLOWED, "artmaster", *words, "--home", str(root)) for words in questions}
        refused = [
            forked.run(AS_ALLOWED, "artmaster", *words, "--home", str(root))
            for words in (("run", adapter.painter), ("retraining",))
        ]
    finally:
        for place in places:
            place.chmod(0o755 if place.is_dir() else 0o644)
    for words, done in told.items():  # as of a home that may be written
        assert (done.returncode, done.stdout) == (asked[words].returncode, asked[words].stdout), done.stderr
    assert "4 artworks" in told["lineage", "adapter", adapter.id].stdout
    for done in refused:
        assert done.returncode == 1
        assert f"artmaster: {root}" in done.stderr
        assert "this user may not read or write it. Allow it" in done.stderr
        assert done.stderr.strip().count("\n") == 0
    assert contents(root) == before

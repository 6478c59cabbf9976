"""What may happen to a home from outside: a clock set back, a remote that goes away in the middle of a push."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import forked
import pytest
from forked import DVC, dvc
from small_archive import PAINTER
from test_versioning import contents, painter_with_stages

from artmaster_pipeline import versioning, withdrawals
from artmaster_pipeline.evaluation import verdicts
from artmaster_pipeline.records import Verdict
from artmaster_pipeline.settings import Home
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

"""A year in short form (`year.py` has the whole of it): weeks of one painter, with runs that are killed or fail."""

from pathlib import Path

import pytest
from year import Event, simulate

from artmaster_pipeline.settings import Home

P = "an-ink-painter"
WEEKS = (
    Event(0, "arrives", P, 5), Event(0, "full_disk", "curated_crops"),
    Event(1, "bad_files", P, 2), Event(1, "withdraw", P), Event(1, "delivery", P, 5), Event(1, "kill", "style_adapter"),
)  # fmt: skip


@pytest.mark.slow
def test_after_some_weeks_everything_that_may_be_used_is_trained_on_and_every_record_holds(tmp_path: Path) -> None:
    year = simulate(Home(tmp_path / "home"), 3, WEEKS)
    assert (year.counts["kill"], year.counts["full disk"]) == (1, 1)
    assert year.counts["runs started by a person"] == 2
    assert year.counts["adapters"] >= 2
    assert any("no work changed since" in line for line in year.said)

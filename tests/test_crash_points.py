"""Whatever is stopped between two changes of a data home is finished by the next run, and nothing of it is lost.

`ARTMASTER_ALL_CRASH_POINTS=1 pytest tests/test_crash_points.py` tries every point, which takes an hour or so;
otherwise the dear acts are tried at points that chance chooses.
"""

import json
import os
from pathlib import Path

import forked
import pytest
from crash_acts import ACTS
from sharing import Shared

PROGRAM = "import sys; import crash_acts; crash_acts.main(sys.argv[1:])"
# Points that are tried; 0: all
SAMPLED = {
    "raw_scans": 4, "curated_crops": 1, "training_set": 4, "style_adapter": 1, "evaluation_grid": 1,
    "sample_gallery": 1, "first commit": 3, "withdrawal": 1, "renaming": 1, "removal": 1, "addition": 2,
}  # fmt: skip
pytestmark = pytest.mark.spread


@pytest.fixture(scope="session")
def homes(shared: Shared, tiny_flux: Path) -> Path:
    """The homes from which the acts begin."""

    def build(folder: Path) -> None:
        forked.run(PROGRAM, "crash_acts", "build", str(folder), str(tiny_flux), check=True)

    return shared("crash-homes", build)


def swept(homes: Path, workplace: Path, act: str, most: int, how: str) -> None:
    done = forked.run(PROGRAM, "crash_acts", "sweep", str(homes), act, str(most), "0", str(workplace), how)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["tried"] == (most or len(found["points"])) > 0
    assert found["faults"] == []


@pytest.mark.slow
@pytest.mark.parametrize("act", ACTS)
def test_a_kill_at_any_point_loses_nothing(act: str, homes: Path, tmp_path: Path) -> None:
    most = 0 if os.environ.get("ARTMASTER_ALL_CRASH_POINTS") else SAMPLED[act]
    swept(homes, tmp_path / "work", act, most, "killed")


@pytest.mark.slow
@pytest.mark.parametrize("act", ["raw_scans", "training_set", "first commit"])
def test_a_disk_that_is_full_from_any_point_on_loses_nothing(act: str, homes: Path, tmp_path: Path) -> None:
    swept(homes, tmp_path / "work", act, 0 if os.environ.get("ARTMASTER_ALL_CRASH_POINTS") else 2, "full")


@pytest.mark.parametrize(("stage", "bytes_lost"), [("raw_scans", 30), ("curated_crops", 30), ("curated_crops", 0)])
def test_a_truncated_manifest_is_found_out_and_made_whole_by_the_next_run(
    stage: str, bytes_lost: int, homes: Path, tmp_path: Path
) -> None:
    """In the middle of a line, and (0) at a line's end."""
    words = "crash_acts", "truncated", str(homes), stage, str(bytes_lost), str(tmp_path / "work")
    told = json.loads(forked.run(PROGRAM, *words, check=True).stdout)
    assert any("manifest.jsonl" in said for said in told["found"])
    assert told["said"] == ""
    assert told["healed"]
    assert told["after"] == []

"""A painter with too few works is told what there is, what is needed, and why the other files do not count."""

import dagster as dg
import made_scans

from artmaster_pipeline.orchestration.checks import enough_works
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.scans import register_scans
from artmaster_pipeline.settings import Home


def checked(home: Home) -> dg.AssetCheckResult:
    register_scans(home, "p")
    result = enough_works(dg.build_op_context(partition_key="p"), DataHome(root=str(home.root)))
    assert isinstance(result, dg.AssetCheckResult)
    return result


def test_three_copies_of_one_picture_are_one_work_and_said_to_be(home: Home) -> None:
    scan = made_scans.write(home.scans("p") / "a.jpg", 1)
    for name in ("b.jpg", "c.jpg"):
        (home.scans("p") / name).write_bytes(scan.read_bytes())
    (home.scans("p") / "torn.jpg").write_bytes(scan.read_bytes()[:2000])
    result = checked(home)
    assert not result.passed
    said = str(result.description)
    assert "1 scan can be used and a style needs those of at least 2 works" in said
    assert "2 more are duplicates, 1 cannot be used" in said
    assert "'b.jpg': It has the same bytes as a.jpg" in said
    assert "'torn.jpg': It cannot be decoded to its end" in said
    assert "artmaster painters add p" in said
    table = result.metadata["left out"]
    figures = {name: value.value for name, value in result.metadata.items()}
    assert (figures["scans"], figures["least"], figures["duplicates"], figures["unusable"]) == (1, 2, 2, 1)
    assert isinstance(table, dg.TableMetadataValue)
    assert {str(row.data["file"]) for row in table.records} == {"b.jpg", "c.jpg", "torn.jpg"}


def test_two_works_are_enough_for_a_start(home: Home) -> None:
    for seed in (1, 2):
        made_scans.write(home.scans("p") / f"{seed}.png", seed)
    result = checked(home)
    assert result.passed
    assert result.description is None

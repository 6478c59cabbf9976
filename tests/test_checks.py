"""The check before training: no work in two parts, and how many works each part has."""

from pathlib import Path

import dagster as dg
import pytest
from training_home import PAINTER, fill_home, tiny_profile

from artmaster_pipeline.dataset import build_training_set
from artmaster_pipeline.orchestration.checks import ready_to_train
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.records import MANIFEST, TrainingImage, read_manifest, write_manifest
from artmaster_pipeline.settings import Home


@pytest.fixture
def rows(home: Home) -> tuple[TrainingImage, ...]:
    """A training set of ten works."""
    return build_training_set(fill_home(home, works=10), PAINTER, tiny_profile(Path("unused"))).records


def checked(home: Home) -> tuple[bool, dict]:
    result = ready_to_train(dg.build_op_context(partition_key=PAINTER), DataHome(root=str(home.root)))
    return result.passed, {name: value.value for name, value in result.metadata.items()}


def test_a_training_set_in_three_parts_is_ready(home, rows):
    passed, said = checked(home)
    assert passed
    assert {name: said[f"{name} works"] for name in ("train", "validate", "held-out")} == {
        "train": 7, "validate": 1, "held-out": 2,
    }  # fmt: skip


@pytest.mark.parametrize("parts", [("train", "held_out"), ("train", "validate"), ("validate", "held_out")])
def test_two_scans_of_one_work_in_two_parts_are_not_ready(home, rows, parts):
    one, other = (next(row for row in rows if row.split == part) for part in parts)
    work = one.work
    joined = [row.model_copy(update={"group": work}) if row.work == other.work else row for row in rows]
    write_manifest(home.training_set(PAINTER) / MANIFEST, joined)
    passed, said = checked(home)
    assert not passed
    assert said["works in two parts"] == [work]


def test_a_scan_in_two_parts_is_not_ready(home, rows):
    moved = next(row for row in rows if row.split == "train")
    write_manifest(
        home.training_set(PAINTER) / MANIFEST,
        [row.model_copy(update={"split": "held_out"}) if row.id == moved.id else row for row in rows],
    )
    assert read_manifest(home.training_set(PAINTER) / MANIFEST, TrainingImage) != rows
    assert checked(home)[1]["works in two parts"] == [moved.work]

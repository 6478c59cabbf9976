"""The table of the stages: one more entry is seen by Dagster, DVC, the plan and the home, and by nothing else."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
import yaml

from artmaster_pipeline import stages, versioning
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.orchestration.build import build_defs
from artmaster_pipeline.orchestration.run import run_painter
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import MANIFEST, Outcome, Record, write_manifest
from artmaster_pipeline.settings import Home, Profile, default_painter, save_painter
from artmaster_pipeline.stages import Stage, Step, in_order, inputs_of, set_of, steps_towards, to_make

A, B = "a-painter", "b-painter"
BOTH = "a-painter--b-painter"


class Shared(Record):
    """What the tiny stages below make."""

    said: str


def list_scans(home: Home, painter: str, progress: Progress = SILENT) -> Outcome[Shared]:
    """A stage of one painter: the names of the scans."""
    rows = [Shared(id=file.name, said=painter) for file in sorted(home.scans(painter).glob("*.jpg"))]
    return _written(home.stage_folder("tiny_list", painter) / MANIFEST, rows)


def share(home: Home, partition: str, profile: Profile, progress: Progress = SILENT) -> Outcome[Shared]:
    """A stage over a set of painters: who they are and what their lists say."""
    files = [home.stage_folder("tiny_list", member) / MANIFEST for member in stages.members(partition)]
    rows = [Shared(id=file.parent.name, said=f"{profile.name}: {len(file.read_text())}") for file in files]
    return _written(home.stage_folder("tiny_shared", partition) / MANIFEST, rows)


def _written(manifest: Path, rows: list[Shared]) -> Outcome[Shared]:
    write_manifest(manifest, rows)
    return Outcome(tuple(rows), manifest, len(rows), 0)


LIST = Stage("tiny_list", "Names.", "tiny_lists", f"{__name__}:list_scans", sources=("scans",))
SHARED = Stage(
    "tiny_shared",
    "Names of several painters.",
    "tiny_shared",
    f"{__name__}:share",
    after=("tiny_list",),
    painter=("name",),
    profile=("evaluation.seed",),
    kind="painters",
)

ASKED = replace(LIST, on_request=True)


@pytest.fixture
def seventh(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more stage in the table, the only one over sets of painters."""
    over = Stage("tiny_shared", "Shared.", "shared", "x:y", after=("style_adapter",), kind="painters")
    monkeypatch.setattr(stages, "TABLE", (*_of_painters(), over))


def _of_painters() -> tuple[Stage, ...]:
    """The table without its stages over sets: those would be made of a tiny set, too."""
    return tuple(stage for stage in stages.TABLE if stage.kind == "painter")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two stages more, which need no pictures: one of a painter, one over sets."""
    monkeypatch.setattr(stages, "TABLE", (*_of_painters(), LIST, SHARED))


def add_painter(home: Home, painter: str, scans: int = 1) -> None:
    home.scans(painter).mkdir(parents=True)
    for number in range(scans):
        (home.scans(painter) / f"{number}.jpg").write_bytes(f"{painter} {number}".encode())
    save_painter(home, painter, default_painter(painter))


def test_the_table_is_light_to_read() -> None:
    program = (
        "import sys, artmaster_pipeline.stages as s; s.in_order();"
        "print([m for m in ('dagster','dvc','torch','pydantic','numpy') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_function_that_the_table_names_is_there() -> None:
    for stage in stages.TABLE:
        assert callable(stage.function())
        assert all(callable(lent) for lent in stage.lent().values())


def test_one_more_stage_is_seen_everywhere(seventh: None, home: Home) -> None:
    graph = build_defs().resolve_asset_graph()
    key = dg.AssetKey("tiny_shared")
    assert graph.get(key).parent_keys == {dg.AssetKey("style_adapter")}
    assert graph.get(key).partitions_def.name == "painters"
    names = {check.name for check in graph.asset_check_keys if check.asset_key == key}
    assert names == {"tiny_shared_versioned"}
    written = yaml.safe_load(versioning.pipeline_text("assets_data", [BOTH]))["stages"][
        "tiny_shared--a-painter--b-painter"
    ]
    assert written["deps"] == ["assets_data/adapters/a-painter", "assets_data/adapters/b-painter"]
    assert written["outs"] == [{f"assets_data/shared/{BOTH}": {"persist": True}}]
    assert home.stage_folder("tiny_shared", BOTH) == home.root / "shared" / BOTH
    plan = steps_towards(BOTH)
    assert plan[-1] == Step("tiny_shared", BOTH)
    assert set(plan[:-1]) == {Step(s, p) for p in (A, B) for s in stages.STAGES[:4]}
    assert {job.name for job in build_defs().resolve_all_job_defs()} >= {"whole_chain", "whole_chain_of_sets"}


def test_without_stages_over_sets_there_is_no_job_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "TABLE", _of_painters())
    assert "whole_chain_of_sets" not in {job.name for job in build_defs().resolve_all_job_defs()}


def test_a_stage_over_several_painters_is_made_committed_and_found_current(tiny: None, home: Home) -> None:
    add_painter(home, A)
    add_painter(home, B, scans=2)
    report = run_painter(home, BOTH)
    assert report.made == ("tiny_list of a-painter", "tiny_list of b-painter", "tiny_shared")
    assert run_painter(home, BOTH).made == ()
    (home.scans(B) / "9.jpg").write_bytes(b"one more")
    report = run_painter(home, BOTH)
    assert (report.made, report.current) == (("tiny_list of b-painter", "tiny_shared"), ("tiny_list of a-painter",))
    assert versioning.stale_stages(home, BOTH) == ()
    assert yaml.safe_load((home.root / "painters.yaml").read_text()) == {"painters": [A, B], "sets": [BOTH]}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("dvc")), "status", "settings", "tiny_list", f"tiny_shared--{BOTH}"],
        cwd=home.root,
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "up to date" in done.stdout


def test_a_stage_on_request_is_made_and_listed_for_whom_it_was_asked_for(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "TABLE", (*stages.TABLE, ASKED))
    add_painter(home, A)
    add_painter(home, B)
    assert "tiny_list" not in {step.stage for step in steps_towards(A)}
    assert steps_towards(A, "tiny_list") == (Step("tiny_list", A),)
    assert run_painter(home, A, until="tiny_list").made == ("tiny_list",)
    assert run_painter(home, A, until="tiny_list").made == ()
    assert versioning.stale_steps(home, [Step("tiny_list", A), Step("tiny_list", B)]) == {Step("tiny_list", B)}
    versioning.prepare(home, B)
    assert "tiny_list" not in versioning.stale_stages(home, A)
    assert "tiny_list" not in versioning.stale_stages(home, B)  # nobody asked
    written = yaml.safe_load((home.root / "dvc.yaml").read_text())["stages"]
    assert written["tiny_list"]["foreach"] == [A]
    assert yaml.safe_load((home.root / "painters.yaml").read_text())["on_request"] == {"tiny_list": [A]}
    versioning.forget(home, A, instead="c-painter")
    assert yaml.safe_load((home.root / "painters.yaml").read_text())["on_request"] == {"tiny_list": ["c-painter"]}


def test_members_on_different_profiles_are_refused(tiny: None, home: Home) -> None:
    add_painter(home, A)
    add_painter(home, B)
    save_painter(home, B, default_painter(B).model_copy(update={"profile": "flux-dev"}))
    with pytest.raises(WrongUse, match="a-painter: miniature, b-painter: flux-dev"):
        run_painter(home, BOTH)


def test_what_is_stale_takes_what_lies_below_with_it_and_nothing_else() -> None:
    plan = steps_towards(A)
    assert [step.stage for step in plan] == list(stages.STAGES)

    def made(*stale: str) -> list[str]:
        return [step.stage for step in to_make(plan, lambda step: step.stage not in stale)]

    assert made() == []
    assert made("evaluation_grid") == ["evaluation_grid", "sample_gallery"]
    assert made("curated_crops", "sample_gallery") == list(stages.STAGES[1:])


def test_the_plan_is_a_graph_and_no_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    side = Stage("side", "", "side", "x:y", after=("raw_scans",))
    monkeypatch.setattr(stages, "TABLE", (*stages.TABLE, side))
    plan = steps_towards(A, "side")
    assert [step.stage for step in plan] == ["raw_scans", "side"]
    everything = to_make(steps_towards(A), lambda step: step.stage != "curated_crops")
    assert "side" not in {step.stage for step in everything}
    assert inputs_of(Step("side", A)) == (Step("raw_scans", A),)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([Stage("x", "", "x", "x:y", after=("nothing",))], "lacks: nothing"),
        ([Stage("x", "", "x", "x:y", after=("y",)), Stage("y", "", "y", "x:y", after=("x",))], "circle"),
        ([Stage("raw_scans", "", "x", "x:y")], "share a name"),
        ([SHARED, Stage("x", "", "x", "x:y", after=("tiny_shared",))], "which set"),
    ],
)
def test_a_table_that_cannot_be_is_said(monkeypatch: pytest.MonkeyPatch, more: list[Stage], said: str) -> None:
    monkeypatch.setattr(stages, "TABLE", (*stages.TABLE, LIST, *more))
    with pytest.raises(ValueError, match=said):
        in_order()


def test_sets_have_one_name_each() -> None:
    assert set_of([B, A, B]) == BOTH
    assert stages.members(BOTH) == (A, B)
    for wrong in ("b--a", "a--a", "a---b", "../x--b"):
        with pytest.raises(WrongUse):
            stages.check_partition(wrong)

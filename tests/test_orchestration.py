"""The Dagster graph as reviewers see it, and the traps of the libraries that it leans on."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from artmaster_pipeline.orchestration.build import build_defs
from artmaster_pipeline.orchestration.instance import alive, end_killed_runs, open_instance
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stages import in_order

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent

# asset: group, pool, upstream
GRAPH = {
    "raw_scans": ("pictures", None, []),
    "curated_crops": ("pictures", None, ["raw_scans"]),
    "training_set": ("training", "gpu", ["curated_crops", "raw_scans"]),
    "style_adapter": ("training", "gpu", ["training_set"]),
    "evaluation_grid": ("evaluation", "gpu", ["style_adapter", "training_set"]),
    "sample_gallery": ("gallery", "gpu", ["evaluation_grid", "raw_scans", "style_adapter", "training_set"]),
    "expert_map": ("experts", "gpu", ["style_adapter", "training_set"]),
    "expert_gate": ("experts", "gpu", ["style_adapter", "training_set"]),
    "mixed_samples": ("experts", "gpu", ["evaluation_grid", "sample_gallery", "style_adapter", "training_set"]),
    "mixed_gallery": (
        *("experts", "gpu"),
        ["evaluation_grid", "mixed_samples", "raw_scans", "sample_gallery", "style_adapter", "training_set"],
    ),
    "copaintings": ("experts", "gpu", ["evaluation_grid", "sample_gallery", "style_adapter"]),
    "canvas_gallery": (
        *("experts", "gpu"),
        ["copaintings", "evaluation_grid", "raw_scans", "sample_gallery", "style_adapter", "training_set"],
    ),
    "storyboards": ("stories", "gpu", ["training_set"]),
    "illustrated_stories": (
        *("stories", "gpu"),
        ["evaluation_grid", "storyboards", "style_adapter", "training_set"],
    ),
    "story_books": (
        *("stories", "gpu"),
        [
            *("evaluation_grid", "illustrated_stories", "raw_scans", "sample_gallery", "storyboards", "style_adapter"),
            "training_set",
        ],
    ),
}
# check: whether it stops what comes after it
CHECKS = {
    "canvas_gallery:canvas_gallery_versioned": True,
    "canvas_gallery:canvas_pages_are_whole": True,
    "copaintings:copaintings_versioned": True,
    "copaintings:every_region_names_its_hand": True,
    "curated_crops:curated_crops_versioned": True,
    "curated_crops:every_scan_is_accounted_for": True,
    "evaluation_grid:evaluation_grid_versioned": True,
    "expert_gate:expert_gate_versioned": True,
    "expert_map:expert_map_versioned": True,
    "illustrated_stories:as_steady_as_the_painter": False,
    "illustrated_stories:every_shot_is_in_one_hand": True,
    "illustrated_stories:illustrated_stories_versioned": True,
    "mixed_gallery:mixed_gallery_versioned": True,
    "mixed_gallery:mixed_pages_are_whole": True,
    "mixed_samples:mixed_samples_versioned": True,
    "evaluation_grid:fit_to_publish": True,
    "raw_scans:enough_works": True,
    "raw_scans:few_quarantined": False,
    "raw_scans:raw_scans_versioned": True,
    "sample_gallery:from_the_newest_passed_adapter": False,
    "sample_gallery:pages_are_whole": True,
    "sample_gallery:sample_gallery_versioned": True,
    "story_books:book_is_whole": True,
    "story_books:story_books_versioned": True,
    "storyboards:storyboard_is_without_fault": True,
    "storyboards:storyboards_versioned": True,
    "style_adapter:folds_exactly": True,
    "style_adapter:style_adapter_versioned": True,
    "training_set:ready_to_train": True,
    "training_set:true_to_the_scans": True,
    "training_set:training_set_versioned": True,
}


@pytest.fixture(scope="module")
def graph() -> dg.Definitions:
    return build_defs()


def test_the_graph(graph: dg.Definitions) -> None:
    found = {}
    for asset in graph.assets or ():
        assert isinstance(asset, dg.AssetsDefinition)
        spec = asset.get_asset_spec()
        upstream = sorted(dep.asset_key.to_user_string() for dep in spec.deps)
        found[spec.key.to_user_string()] = (spec.group_name, asset.op.pool, upstream)
        assert isinstance(spec.partitions_def, dg.DynamicPartitionsDefinition)
        assert spec.description
        assert spec.kinds
        assert spec.code_version
    assert found == GRAPH
    assert tuple(found) == tuple(stage.name for stage in in_order())
    on_request = {stage.name for stage in in_order() if stage.on_request}
    assert on_request == {"expert_map", "expert_gate"}
    for job in ("whole_chain", "retrain", "take_in"):  # none of them is made by a run of everything
        nodes = {node.name for node in graph.resolve_job_def(job).graph.nodes}
        assert not nodes & on_request


def test_the_checks(graph: dg.Definitions) -> None:
    specs = [spec for check in graph.asset_checks or () for spec in check.check_specs]
    found = {f"{spec.asset_key.to_user_string()}:{spec.name}": spec.blocking for spec in specs}
    assert found == CHECKS
    pools = {check.op.pool for check in graph.asset_checks or () if check.op.name.endswith("_versioned")}
    assert pools == {"dvc"}


def test_jobs_sensors_and_schedules(graph: dg.Definitions) -> None:
    repository = graph.get_repository_def()
    assert {"whole_chain", "take_in", "retrain"} <= set(repository.job_names)
    assert {"on_request", "on_request_of_sets"} <= set(repository.job_names)
    assert [sensor.name for sensor in repository.sensor_defs] == [
        *("default_automation_condition_sensor", "new_canvases", "new_scans", "new_stories", "tell_of_failures"),
        *("tell_of_successes", "withdrawn_works"),
    ]
    assert [(s.name, s.cron_schedule) for s in repository.schedule_defs] == [("retraining", "0 * * * *")]


def test_selections_given_as_strings_are_understood(graph: dg.Definitions) -> None:
    """Under antlr4 4.9, which dvc's own dependencies once brought, every such selection raised TypeError."""
    selection = dg.AssetSelection.from_string('key:"style_adapter"+')
    keys = selection.resolve(graph.resolve_asset_graph())
    assert {key.to_user_string() for key in keys} == {
        *("style_adapter", "evaluation_grid", "sample_gallery"),
        *("expert_map", "expert_gate", "mixed_samples", "mixed_gallery", "copaintings", "canvas_gallery"),
        *("illustrated_stories", "story_books"),
    }


def test_loading_the_code_location_imports_nothing_heavy() -> None:
    program = (
        "import sys, artmaster_pipeline.definitions;"
        "print([m for m in ('torch','diffusers','transformers','peft','spandrel','dvc','matplotlib','pyvips','scipy')"
        " if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_workspace_file_is_valid(tmp_path: Path) -> None:
    command = [str(BIN / "dagster"), "definitions", "validate", "-w", str(ROOT / "workspace.yaml")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_new_data_home_sends_no_usage_reports_and_runs_one_gpu_step_at_a_time(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("ARTMASTER_HOME", "")
    with open_instance(home) as instance:
        assert not instance.telemetry_enabled
        assert instance.get_settings("concurrency")["pools"] == {"default_limit": 1, "granularity": "op"}


def test_every_run_has_an_end_that_the_largest_training_keeps_within(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Homes of before get it, too, where nobody has changed their settings; changed ones stay as they are."""
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("ARTMASTER_HOME", "")
    file = home.dagster / "dagster.yaml"
    for said, seconds, fresh in (("", 14 * 86400, True), (FORMER, 14 * 86400, True), (CHANGED, 60, False)):
        file.unlink(missing_ok=True)
        if said:
            file.write_text(said, encoding="utf-8")
        with open_instance(home) as instance:
            assert instance.run_monitoring_enabled
            assert instance.run_monitoring_max_runtime_seconds == seconds
            assert bool(instance.get_settings("freshness")) == fresh


FORMER = """
telemetry: {enabled: false}
nux: {enabled: false}
concurrency: {pools: {default_limit: 1, granularity: op}}
run_monitoring: {enabled: true, free_slots_after_run_end_seconds: 30}
"""
CHANGED = """
telemetry: {enabled: false}
run_monitoring: {enabled: true, max_runtime_seconds: 60}
"""


def test_a_killed_run_is_ended_and_frees_its_place_in_the_pools(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("ARTMASTER_HOME", "")
    with open_instance(home) as instance:
        job = build_defs().resolve_job_def("whole_chain")
        killed, living = (instance.create_run_for_job(job) for _ in range(2))
        storage = instance.event_log_storage
        storage.initialize_concurrency_limit_to_default("gpu")
        assert storage.claim_concurrency_slot("gpu", killed.run_id, "style_adapter").is_claimed
        (home.cache / "runs").mkdir(parents=True)
        (home.cache / "runs" / f"{killed.run_id}.lock").touch()
        with alive(home, instance, living.run_id):
            end_killed_runs(home, instance)
            assert instance.get_run_by_id(killed.run_id).is_failure  # type: ignore[union-attr]
            assert not instance.get_run_by_id(living.run_id).is_finished  # type: ignore[union-attr]
            assert storage.claim_concurrency_slot("gpu", living.run_id, "style_adapter").is_claimed
        assert list((home.cache / "runs").iterdir()) == []

"""`artmaster run`: which stages of a painter have to be made, and making them through Dagster in this process.

It is the same job, the same assets and the same records as a materialisation started in the UI.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.errors import DagsterAssetCheckFailedError, DagsterExecutionInterruptedError
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as CheckStatus

from artmaster_pipeline import versioning
from artmaster_pipeline.errors import ArtMasterError, Interrupted
from artmaster_pipeline.evaluation import current_verdict
from artmaster_pipeline.orchestration.assets import ASSETS, PAINTERS, PROFILE_TAG, profile_tag
from artmaster_pipeline.orchestration.build import build_defs
from artmaster_pipeline.orchestration.checks import CHECKS, GATE
from artmaster_pipeline.orchestration.instance import end_killed_runs, open_instance
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.records import MANIFEST, Verdict, manifest_hash
from artmaster_pipeline.settings import (
    STAGES,
    Home,
    Stage,
    complete_painter,
    load_painter,
    painter_profile,
    save_painter,
)

_USES_PROFILE = frozenset(STAGES[2:])


@dataclass(frozen=True)
class RunReport:
    """What a run did: the stages it made, the ones it found current, and Dagster's id of the run (none: no work)."""

    made: tuple[Stage, ...]
    current: tuple[Stage, ...]
    run_id: str | None
    refused: tuple[Verdict, Path] | None = None  # the gate's verdict and the report, where it let nothing be published


def run_painter(
    home: Home, painter: str, *, profile: str | None = None, until: Stage | None = None, only: Stage | None = None
) -> RunReport:
    """Bring a painter's stages up to date, to the gallery or to `until`; `only` makes one stage, stale or not.

    A profile given here becomes the painter's (painter.yaml), so that the UI, the schedule and `dvc repro` go on with
    it.

    An adapter that the gate refuses is no failure: the report says why, and what was published stays. Raises
    ArtMasterError with the reason of the first stage or blocking check that failed; what was finished before it stays.
    """
    _settle_profile(home, painter, profile)
    versioning.prepare(home, painter)
    with open_instance(home) as instance:
        end_killed_runs(home, instance)
        instance.add_dynamic_partitions(str(PAINTERS.name), [painter])
        wanted = STAGES[: STAGES.index(until) + 1] if until else STAGES
        stages = (only,) if only else stages_to_make(home, instance, painter, wanted)
        if stages == ("sample_gallery",) and not only and (refused := _refusal(home, painter)):
            return RunReport((), wanted[:-1], None, refused)
        if not stages:
            return RunReport((), wanted, None)
        run_id = _execute(home, instance, painter, stages)
        refused = _refusal(home, painter) if "evaluation_grid" in stages else None
        made = tuple(stage for stage in stages if not (refused and stage == "sample_gallery"))
        return RunReport(made, tuple(s for s in wanted if s not in stages), run_id, refused)


def stages_to_make(
    home: Home, instance: dg.DagsterInstance, painter: str, wanted: Sequence[Stage] = STAGES
) -> tuple[Stage, ...]:
    """The first stage of `wanted` that is not current, and all after it; empty where nothing has to be done.

    A stage is current when DVC finds its inputs and outputs as committed, and Dagster's last record of it has this
    manifest's hash, this code version, this profile, and passed blocking checks.
    """
    stale = set(versioning.stale_stages(home, painter))
    for place, stage in enumerate(wanted):
        if stage in stale or not _is_recorded(home, instance, painter, stage):
            return tuple(wanted[place:])
    return ()


def _refusal(home: Home, painter: str) -> tuple[Verdict, Path] | None:
    """The verdict on the current adapter and its report, where it says that nothing may be published."""
    verdict, report = current_verdict(home, painter)
    return None if verdict.publish else (verdict, report)


def _settle_profile(home: Home, painter: str, profile: str | None) -> None:
    settings = load_painter(home, painter)
    if profile and profile != settings.profile:
        settings = settings.model_copy(update={"profile": profile})
        save_painter(home, painter, settings)
    complete_painter(home, painter)
    painter_profile(home, painter)  # a wrong profile is said now, not in the middle of the run


def _is_recorded(home: Home, instance: dg.DagsterInstance, painter: str, stage: Stage) -> bool:
    manifest = home.stage_folder(stage, painter) / MANIFEST
    asset = ASSETS[STAGES.index(stage)]
    filters = dg.AssetRecordsFilter(asset_key=asset.key, asset_partitions=[painter])
    records = instance.fetch_materializations(filters, limit=1).records
    if not records or records[0].asset_materialization is None or not manifest.exists():
        return False
    tags = records[0].asset_materialization.tags or {}
    expected = {
        "dagster/data_version": manifest_hash(manifest),
        "dagster/code_version": asset.code_versions_by_key[asset.key],
    }
    if stage in _USES_PROFILE:
        expected[PROFILE_TAG] = profile_tag(painter_profile(home, painter))
    return all(tags.get(name) == value for name, value in expected.items()) and _checks_passed(instance, painter, stage)


def _checks_passed(instance: dg.DagsterInstance, painter: str, stage: Stage) -> bool:
    # The gate judges the adapter, not the evaluation: that is whole and current whatever the verdict.
    blocking = [spec.key for check in CHECKS for spec in check.check_specs if spec.blocking and spec.name != GATE]
    keys = [key for key in blocking if key.asset_key == dg.AssetKey(stage)]
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys, PartitionKeyFilter(key=painter))
    return all(key in latest and latest[key].status == CheckStatus.SUCCEEDED for key in keys)


def _execute(home: Home, instance: dg.DagsterInstance, painter: str, stages: Sequence[Stage]) -> str:
    definitions = build_defs(resource_overrides={"data_home": DataHome(root=str(home.root), terminal=True)})
    run_id = str(uuid.uuid4())  # Dagster's name for this attempt; no record of ours is made from it
    try:
        definitions.resolve_job_def("whole_chain").execute_in_process(
            instance=instance,
            partition_key=painter,
            asset_selection=[dg.AssetKey(stage) for stage in stages],
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            run_id=run_id,
        )
    except DagsterAssetCheckFailedError as error:
        failed = _failed_checks(instance, run_id)
        if [evaluation.asset_check_key.name for evaluation in failed] != [GATE]:
            raise ArtMasterError(_told(failed, painter)) from error
    except DagsterExecutionInterruptedError as error:
        raise Interrupted from error
    return run_id


def _failed_checks(instance: dg.DagsterInstance, run_id: str) -> list[dg.AssetCheckEvaluation]:
    """What the blocking checks of a run found wrong."""
    logs = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    evaluations = [log.dagster_event.asset_check_evaluation_data for log in logs if log.dagster_event]
    return [e for e in evaluations if not e.passed and e.severity == dg.AssetCheckSeverity.ERROR]


def _told(failed: Sequence[dg.AssetCheckEvaluation], painter: str) -> str:
    """Failed checks as a person should read them."""
    found = "; ".join(
        f"{e.asset_check_key.name} of {e.asset_check_key.asset_key.to_user_string()} ("
        + ", ".join(f"{name}: {value.value}" for name, value in e.metadata.items())
        + ")"
        for e in failed
    )
    return f"A check stopped the run of {painter}: {found}. Nothing after it was made; mend the cause and run again."

"""`artmaster run`: which steps of a painter, a set of painters or a canvas have to be made, and making them by Dagster.

It is the same job, the same assets and the same records as a materialisation started in the UI.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.errors import DagsterAssetCheckFailedError, DagsterExecutionInterruptedError

from artmaster_pipeline import versioning
from artmaster_pipeline.adapters.finding import current_adapter
from artmaster_pipeline.adapters.withdrawn import marks_of
from artmaster_pipeline.errors import ArtMasterError, Interrupted
from artmaster_pipeline.evaluation import current_verdict
from artmaster_pipeline.orchestration.assets import PARTITIONS, SETTINGS_TAG
from artmaster_pipeline.orchestration.build import build_defs
from artmaster_pipeline.orchestration.checks import GATE, CheckStatus, blocking_checks
from artmaster_pipeline.orchestration.failures import told_by_the_run
from artmaster_pipeline.orchestration.instance import alive, end_killed_runs, open_instance
from artmaster_pipeline.orchestration.jobs import CHAINS, REQUESTS
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.records import MANIFEST, Verdict, manifest_hash
from artmaster_pipeline.scans.withdrawn import is_behind
from artmaster_pipeline.settings import Home, complete_painter, load_painter, save_painter
from artmaster_pipeline.stage_settings import partition_profile, settings_identity
from artmaster_pipeline.stages import KINDS, Step, inputs_of, kind_of, stage_named, steps_towards, to_make

_GUARDED = "sample_gallery"  # what the gate lets through or not
_STARTED = "style_adapter"  # what may hold works that none of its inputs has any more


@dataclass(frozen=True)
class RunReport:
    """What a run did: the stages it made, the ones it found current, and Dagster's id of the run (none: no work).

    Stages of the members of a set, and of a canvas' painters, are named with their painter.
    """

    made: tuple[str, ...]
    current: tuple[str, ...]
    run_id: str | None
    refused: tuple[Verdict, Path] | None = None  # the gate's verdict and the report, where it let nothing be published
    notes: tuple[str, ...] = ()  # what a person should know of how the bytes are kept


def run_painter(
    home: Home, partition: str, *, profile: str | None = None, until: str | None = None, only: str | None = None
) -> RunReport:
    """Bring a painter, a set or a canvas up to date: wholly, or to `until`; `only` makes one stage, stale or not.

    A profile given here becomes the painters' (painter.yaml), so that the UI, the schedule and `dvc repro` go on with
    it.

    An adapter that the gate refuses is no failure: the report says why, and what was published stays. Raises
    ArtMasterError with the reason of the first stage or blocking check that failed; what was finished before it stays.
    """
    wanted = steps_towards(partition, until or only, home)
    _settle_profile(home, partition, profile)
    versioning.prepare(home, partition, wanted)
    notes = versioning.said_of(home, partition)
    with open_instance(home) as instance:
        end_killed_runs(home, instance)
        steps = (Step(only, partition),) if only else steps_to_make(home, instance, wanted)
        if [step.stage for step in steps] == [_GUARDED] and not only and (refused := _refusal(home, partition)):
            current = _names([step for step in wanted if step not in steps], partition)
            return RunReport((), current, None, refused, notes)
        if not steps:
            return RunReport((), _names(wanted, partition), None, notes=notes)
        made, run_id = _make_all(home, instance, steps)
        judged = kind_of(partition) == "painter" and Step("evaluation_grid", partition) in steps
        refused = _refusal(home, partition) if judged else None
        current = _names([step for step in wanted if step not in steps], partition)
        return RunReport(_names(made, partition), current, run_id, refused, notes)


def steps_to_make(home: Home, instance: dg.DagsterInstance, wanted: Sequence[Step]) -> tuple[Step, ...]:
    """Those of `wanted` that are not current, and those that lie below them; empty where nothing has to be done.

    A step is current when DVC finds its inputs, settings and outputs as committed, Dagster's last record of it has this
    manifest's hash, this code version, these settings, and passed blocking checks, and the scans that it lists may all
    be used.
    """
    stale = versioning.stale_steps(home, wanted)
    return to_make(
        wanted,
        lambda step: step not in stale and _is_recorded(home, instance, step) and not is_behind_the_ledger(home, step),
        home,
    )


def is_behind_the_ledger(home: Home, step: Step) -> bool:
    """Whether a painter's register has what may not be used by now: no file has changed then, but the day or a word.

    So it is with an adapter that was started from one which holds such a work, though no scan of it is left.
    """
    if step.stage == _STARTED:
        adapter = current_adapter(home, step.partition)
        return adapter is not None and bool(adapter.started_from and marks_of(home, adapter))
    return "scans" in stage_named(step.stage).sources and any(is_behind(home, p) for p in home.members(step.partition))


def _names(steps: Sequence[Step], partition: str) -> tuple[str, ...]:
    return tuple(step.stage if step.partition == partition else str(step) for step in steps)


def _refusal(home: Home, painter: str) -> tuple[Verdict, Path] | None:
    """The verdict on the current adapter and its report, where it says that nothing may be published."""
    verdict, report = current_verdict(home, painter)
    return None if verdict.publish else (verdict, report)


def _settle_profile(home: Home, partition: str, profile: str | None) -> None:
    for painter in home.members(partition):
        settings = load_painter(home, painter)
        if profile and profile != settings.profile:
            settings = settings.model_copy(update={"profile": profile})
            save_painter(home, painter, settings)
        complete_painter(home, painter)
    partition_profile(home, partition)  # a wrong profile is said now, not in the middle of the run


def _is_recorded(home: Home, instance: dg.DagsterInstance, step: Step) -> bool:
    stage = stage_named(step.stage)
    manifest = home.stage_folder(step.stage, step.partition) / MANIFEST
    filters = dg.AssetRecordsFilter(asset_key=dg.AssetKey(stage.name), asset_partitions=[step.partition])
    records = instance.fetch_materializations(filters, limit=1).records
    if not records or records[0].asset_materialization is None or not manifest.exists():
        return False
    tags = records[0].asset_materialization.tags or {}
    expected = {"dagster/data_version": manifest_hash(manifest), "dagster/code_version": stage.code_version}
    if SETTINGS_TAG in tags:  # records of before settings were resolved: DVC alone knows
        expected[SETTINGS_TAG] = settings_identity(home, step.partition, stage)
    # The gate judges the adapter, not the evaluation: that is whole and current whatever the verdict.
    results = blocking_checks(instance, step.stage, step.partition)
    passed = all(status == CheckStatus.SUCCEEDED for name, status in results.items() if name != GATE)
    return passed and all(tags.get(name) == value for name, value in expected.items())


def _make_all(home: Home, instance: dg.DagsterInstance, steps: Sequence[Step]) -> tuple[tuple[Step, ...], str | None]:
    """Make steps, one run of Dagster's per partition, painters first; gives those that were made.

    What lies below an adapter that the gate refuses is not made.
    """
    run_id, held_back = None, set[Step]()
    for partition in sorted({step.partition for step in steps}, key=lambda each: (KINDS.index(kind_of(each)), each)):
        due = [
            step for step in steps if step.partition == partition and not held_back.intersection(inputs_of(step, home))
        ]
        held_back |= {step for step in steps if step.partition == partition and step not in due}
        if due:
            run_id, passed = _execute(home, instance, partition, [step.stage for step in due])
            held_back |= set() if passed else {step for step in due if step.stage == _GUARDED}
    return tuple(step for step in steps if step not in held_back), run_id


def _execute(home: Home, instance: dg.DagsterInstance, partition: str, stages: Sequence[str]) -> tuple[str, bool]:
    """Make stages of one partition; gives the run's id, and whether the gate let everything through."""
    definitions = build_defs(resource_overrides={"data_home": DataHome(root=str(home.root), terminal=True)})
    run_id = str(uuid.uuid4())  # Dagster's name for this attempt; no record of ours is made from it
    kind = kind_of(partition)
    jobs = REQUESTS if any(stage_named(stage).on_request for stage in stages) else CHAINS
    instance.add_dynamic_partitions(str(PARTITIONS[kind].name), [partition])
    try:
        with alive(home, instance, run_id), told_by_the_run(home):
            definitions.resolve_job_def(jobs[kind]).execute_in_process(
                instance=instance,
                partition_key=partition,
                asset_selection=[dg.AssetKey(stage) for stage in stages],
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                run_id=run_id,
            )
    except DagsterAssetCheckFailedError as error:
        failed = _failed_checks(instance, run_id)
        if [evaluation.asset_check_key.name for evaluation in failed] != [GATE]:
            raise ArtMasterError(_told(failed, partition)) from error
        return run_id, False
    except DagsterExecutionInterruptedError as error:
        raise Interrupted from error
    return run_id, True


def _failed_checks(instance: dg.DagsterInstance, run_id: str) -> list[dg.AssetCheckEvaluation]:
    """What the blocking checks of a run found wrong."""
    logs = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    evaluations = [log.dagster_event.asset_check_evaluation_data for log in logs if log.dagster_event]
    return [e for e in evaluations if not e.passed and e.severity == dg.AssetCheckSeverity.ERROR]


def _told(failed: Sequence[dg.AssetCheckEvaluation], painter: str) -> str:
    """Failed checks as a person should read them."""
    found = "; ".join(
        f"{e.asset_check_key.name} of {e.asset_check_key.asset_key.to_user_string()} ({_why(e)})" for e in failed
    )
    return f"A check stopped the run of {painter}: {found}. Nothing after it was made; mend the cause and run again."


def _why(evaluation: dg.AssetCheckEvaluation) -> str:
    """The check's own sentence, or its figures where it has none."""
    return evaluation.description or ", ".join(f"{name}: {value.value}" for name, value in evaluation.metadata.items())

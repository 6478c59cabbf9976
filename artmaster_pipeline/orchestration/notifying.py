"""Telling people of runs: what has failed, which adapter passed the gate or did not, which files could not be used.

Two sensors, off until they are turned on; where the messages go says the environment (`notifications`).
"""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from artmaster_pipeline.notifications import Event, Notice, link_to, tell
from artmaster_pipeline.orchestration.checks import GATE
from artmaster_pipeline.orchestration.failures import one_sentence
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.records import QUARANTINE, Quarantined, read_manifest
from artmaster_pipeline.settings import Home

_NAMED = 5  # files in a message
_LOOKED_BACK = 20  # runs of a painter, should the sensor come late
_TAKEN_IN = "raw_scans"


@dg.run_status_sensor(run_status=dg.DagsterRunStatus.SUCCESS)
def tell_of_successes(context: dg.RunStatusSensorContext, data_home: DataHome) -> None:
    """Tells, by webhook and e-mail, of adapters that passed and of deliveries with files that could not be used."""
    _tell(context, data_home)


@dg.run_status_sensor(run_status=dg.DagsterRunStatus.FAILURE)
def tell_of_failures(context: dg.RunStatusSensorContext, data_home: DataHome) -> None:
    """Tells, by webhook and e-mail, of runs that failed, of adapters that the gate refused, and of bad files."""
    _tell(context, data_home)


def notices_of(home: Home, instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[Notice, ...]:
    """What is to be told of a run that has ended; nothing where nobody needs to know."""
    painter = run.tags.get("dagster/partition", "")
    judged = _judged(home, instance, run, painter)
    failed = _failure(instance, run, painter)
    return (*_bad_files(home, instance, run, painter), *judged, *failed)


def _tell(context: dg.RunStatusSensorContext, data_home: DataHome) -> None:
    with one_sentence(data_home.home):
        notices = notices_of(data_home.home, context.instance, context.dagster_run)
    tell(notices, context.log.warning)


def _bad_files(home: Home, instance: dg.DagsterInstance, run: dg.DagsterRun, painter: str) -> Iterator[Notice]:
    """A delivery whose files cannot all be used: once for each file, not again at every later run."""
    before = _left_out_before(instance, run, painter)
    if before is None:
        return
    file = home.register(painter) / QUARANTINE
    bad = [e for e in read_manifest(file, Quarantined) if not e.duplicate_of and e.path not in before]
    if bad:
        more = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        said = "; ".join(f"{entry.path!r}: {entry.reason}. {entry.remedy}" for entry in bad[:_NAMED])
        title = f"{painter}: {len(bad)} {'file' if len(bad) == 1 else 'files'} could not be used"
        yield _notice("delivery with bad files", painter, title, f"{said}{more}", link_to(home, file))


def _left_out_before(instance: dg.DagsterInstance, run: dg.DagsterRun, painter: str) -> set[str] | None:
    """The files that were left out when scans were taken in the time before; None where this run took none in."""
    if not painter:
        return None
    filters = dg.AssetRecordsFilter(asset_key=dg.AssetKey(_TAKEN_IN), asset_partitions=[painter])
    records = instance.fetch_materializations(filters, limit=_LOOKED_BACK).records  # the newest first
    runs = [record.run_id for record in records]
    if run.run_id not in runs:
        return None
    earlier = [record for record in records[runs.index(run.run_id) :] if record.run_id != run.run_id]
    made = earlier[0].asset_materialization if earlier else None
    table = made.metadata.get("quarantine") if made else None
    rows = table.records if isinstance(table, dg.TableMetadataValue) else ()
    return {str(row.data["file"]) for row in rows}


def _judged(home: Home, instance: dg.DagsterInstance, run: dg.DagsterRun, painter: str) -> Iterator[Notice]:
    for evaluation in _evaluations(instance, run):
        if evaluation.asset_check_key.name != GATE:
            continue
        report = evaluation.metadata.get("report")
        file = Path(str(report.value)) if report else None
        adapter = file.parent.name if file else ""
        what = "passed" if evaluation.passed else "was refused"
        stays = "" if evaluation.passed else " What was published before stays."
        yield _notice(
            "adapter passed" if evaluation.passed else "adapter refused",
            painter,
            f"{painter}: the adapter {adapter} {what}",
            f"{evaluation.description or ''}{stays}",
            link_to(home, file) if file else "",
        )


def _failure(instance: dg.DagsterInstance, run: dg.DagsterRun, painter: str) -> Iterator[Notice]:
    """Why a run failed; that the gate refused an adapter is no failure."""
    if run.status != dg.DagsterRunStatus.FAILURE:
        return
    stopped = [e for e in _evaluations(instance, run) if not e.passed and e.severity == dg.AssetCheckSeverity.ERROR]
    reasons = [f"{e.asset_check_key.name}: {e.description or 'it did not pass'}" for e in stopped]
    for log in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        data = log.dagster_event.step_failure_data if log.dagster_event else None
        if data and data.user_failure_data and data.user_failure_data.description:
            reasons.append(f"{log.step_key}: {data.user_failure_data.description}")
        elif data and data.error and not stopped:
            reasons.append(f"{log.step_key}: {data.error.message}")
    if stopped and all(e.asset_check_key.name == GATE for e in stopped) and len(reasons) == len(stopped):
        return
    ended = [log.message for log in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)]
    title = f"{painter or run.job_name}: run {run.run_id} ({run.job_name}) failed"
    yield _notice("run failed", painter, title, " ".join(reasons or ended))


def _evaluations(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[dg.AssetCheckEvaluation]:
    logs = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    return [log.dagster_event.asset_check_evaluation_data for log in logs if log.dagster_event]


def _notice(event: Event, painter: str, title: str, text: str, link: str = "") -> Notice:
    return Notice(event=event, painter=painter, title=title, text=text, link=link)

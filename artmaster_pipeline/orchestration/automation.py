"""What happens without being asked: sensors for new scans and for withdrawn works, the retraining. All begin off."""

import json
from collections.abc import Sequence
from typing import Any

import dagster as dg

from artmaster_pipeline.orchestration.assets import PAINTERS
from artmaster_pipeline.orchestration.failures import one_sentence
from artmaster_pipeline.orchestration.jobs import CHAINS
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.orchestration.retraining import (
    ASKED_TAG,
    SCHEDULE,
    WHY_TAG,
    decide_all,
    was_asked,
    withdrawal_key,
)
from artmaster_pipeline.scans.fingerprint import fingerprint_of_content, scans_fingerprint
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stages import TRAINED, before
from artmaster_pipeline.terminal import plain
from artmaster_pipeline.withdrawal import due_for_retraining

_BY = "listing"  # what a cursor's fingerprints are made of


@dg.sensor(job_name=CHAINS["painter"], minimum_interval_seconds=60)
def new_scans(context: dg.SensorEvaluationContext, data_home: DataHome) -> dg.SensorResult:
    """New or changed scans ask for one run of their painter; a new folder below scans/ becomes a new painter.

    No file is opened: scans count as settled when two evaluations in a row list the same names, sizes and times, so
    that a copy in progress is never taken for a delivery. The run hashes what is there: where a file was only touched,
    it makes nothing and trains nothing.
    """
    home = data_home.home
    with one_sentence(home):
        before = _cursor(home, context.cursor)
        seen = {painter: scans_fingerprint(home, painter) for painter in home.painters()}
        settled = {painter for painter, content in seen.items() if content and before["seen"].get(painter) == content}
        due = sorted(painter for painter in settled if before["asked"].get(painter) != seen[painter])
        known = set(context.instance.get_dynamic_partitions(str(PAINTERS.name)))
        new = [painter for painter in due if painter not in known]
        asked = {painter: seen[painter] if painter in due else before["asked"].get(painter) for painter in seen}
        return dg.SensorResult(
            run_requests=[dg.RunRequest(run_key=f"{p}-{seen[p]}", partition_key=p) for p in due],
            dynamic_partitions_requests=[PAINTERS.build_add_request(new)] if new else [],
            cursor=json.dumps({"by": _BY, "seen": seen, "asked": asked}),
        )


@dg.sensor(job_name=CHAINS["painter"], minimum_interval_seconds=600)
def withdrawn_works(context: dg.SensorEvaluationContext, data_home: DataHome) -> dg.SensorResult:
    """A work that was withdrawn or restored, or whose rights have ended, asks for one run of each of its painters.

    Nothing is remembered but by Dagster, which runs each key once: whose adapter is marked is asked of the ledger.
    """
    with one_sentence(data_home.home):
        asked = {p: withdrawal_key(p, key) for p, key in due_for_retraining(data_home.home).items()}
        due = {p: key for p, key in asked.items() if was_asked(context.instance, key) is None}  # not by the schedule
        known = set(context.instance.get_dynamic_partitions(str(PAINTERS.name)))
        new = [painter for painter in due if painter not in known]
        return dg.SensorResult(
            run_requests=[dg.RunRequest(run_key=key, partition_key=p, tags={ASKED_TAG: key}) for p, key in due.items()],
            dynamic_partitions_requests=[PAINTERS.build_add_request(new)] if new else [],
        )


def _cursor(home: Home, text: str | None) -> dict[str, dict[str, str | None]]:
    """What the last evaluation saw and has asked for. Cursors of versions that hashed the scans are taken over."""
    before: dict[str, Any] = json.loads(text) if text else {"by": _BY, "seen": {}, "asked": {}}
    if before.get("by") == _BY:
        return before
    asked = {painter: fingerprint_of_content(home, painter, content) for painter, content in before["asked"].items()}
    return {"seen": asked, "asked": asked}


@dg.schedule(name=SCHEDULE, job_name=CHAINS["painter"], cron_schedule="0 * * * *")
def retraining(context: dg.ScheduleEvaluationContext, data_home: DataHome) -> Sequence[dg.RunRequest] | dg.SkipReason:
    """Every hour each painter is looked at whose time has come (`retraining` in painter.yaml): retrained, or why not.

    A run makes the stages from the training on; where a work was withdrawn, the whole chain.
    """
    with one_sentence(data_home.home):
        decisions = decide_all(data_home.home, context.instance, context.scheduled_execution_time)
    for decision in decisions:
        context.log.info(plain(decision.why))
    due = [decision for decision in decisions if decision.retrain]
    if not due:
        return dg.SkipReason("\n".join(plain(decision.why) for decision in decisions) or "There are no painters yet.")
    context.instance.add_dynamic_partitions(str(PAINTERS.name), [decision.painter for decision in due])
    return [
        dg.RunRequest(
            run_key=decision.key,
            partition_key=decision.painter,
            asset_selection=[dg.AssetKey(stage) for stage in decision.stages],
            tags={ASKED_TAG: decision.key, WHY_TAG: plain(decision.why)},
        )
        for decision in due
    ]


following = dg.AutomationConditionSensorDefinition(
    "default_automation_condition_sensor",  # Dagster's own name for it
    target=dg.AssetSelection.assets(*before(TRAINED)),
    description="Crops and training sets follow when what they are made from was made anew by another run.",
)

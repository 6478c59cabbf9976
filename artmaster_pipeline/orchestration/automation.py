"""What happens without being asked, beside new scans (`watching`): sensors for withdrawn works, canvases and stories,
the retraining, the stages that follow. All begin off.
"""

import json
from collections.abc import Sequence
from functools import cache

import dagster as dg

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.filed import FILED
from artmaster_pipeline.orchestration.assets import PAINTERS, PARTITIONS
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
from artmaster_pipeline.records import identity
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stages import TRAINED, Kind, before
from artmaster_pipeline.terminal import plain
from artmaster_pipeline.withdrawal import due_for_retraining


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


@cache
def new_of(kind: Kind) -> dg.SensorDefinition:
    """The sensor `new_canvases` or `new_stories`: one that is new or changed asks for one run.

    It is painted, judged and, if it passes, published. By what its file says (and of a canvas by what lies beside it),
    so that a comment asks for nothing. It counts once two evaluations in a row find it the same: a person may be
    writing it just now. One that cannot be read is said and passed over.
    """
    folder = FILED[kind].folder

    @dg.sensor(
        name=f"new_{folder}",
        job_name=CHAINS[kind],
        minimum_interval_seconds=60,
        description=f"Each new or changed folder in {folder}/ asks for one run, once two looks find it the same.",
    )
    def new(context: dg.SensorEvaluationContext, data_home: DataHome) -> dg.SensorResult:
        with one_sentence(data_home.home):
            return _found_new(kind, data_home.home, context)

    return new


def _found_new(kind: Kind, home: Home, context: dg.SensorEvaluationContext) -> dg.SensorResult:
    of, partitions = FILED[kind], PARTITIONS[kind]
    last: dict[str, dict[str, str]] = json.loads(context.cursor) if context.cursor else {"seen": {}, "asked": {}}
    seen: dict[str, str] = {}
    said: list[str] = []
    for partition in home.filed(kind):
        try:
            seen[partition] = identity(of.said(home.filed_folder(partition)))
        except WrongUse as error:
            said.append(plain(str(error)))
    for line in said:
        context.log.info(line)
    settled = {partition: key for partition, key in seen.items() if last["seen"].get(partition) == key}
    due = {partition: key for partition, key in settled.items() if last["asked"].get(partition) != key}
    asked = {partition: key for partition, key in (last["asked"] | due).items() if partition in seen}
    known = set(context.instance.get_dynamic_partitions(str(partitions.name)))
    new = [partition for partition in due if partition not in known]
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=f"{p}-{key}", partition_key=p) for p, key in due.items()],
        skip_reason=None if due else "; ".join(said) or f"No new {of.folder}.",
        dynamic_partitions_requests=[partitions.build_add_request(new)] if new else [],
        cursor=json.dumps({"seen": seen, "asked": asked}, separators=(",", ":")),
    )


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

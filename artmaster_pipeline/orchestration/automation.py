"""Retraining without being asked: a sensor for withdrawn works, a weekly schedule. All begin off."""

from collections.abc import Iterator

import dagster as dg

from artmaster_pipeline.adapters import current_adapter
from artmaster_pipeline.orchestration.assets import PAINTERS
from artmaster_pipeline.orchestration.failures import one_sentence
from artmaster_pipeline.orchestration.jobs import CHAINS, RETRAIN
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.records import MANIFEST, manifest_hash
from artmaster_pipeline.settings import Home
from artmaster_pipeline.withdrawal import due_for_retraining


@dg.sensor(job_name=CHAINS["painter"], minimum_interval_seconds=600)
def withdrawn_works(context: dg.SensorEvaluationContext, data_home: DataHome) -> dg.SensorResult:
    """A work that was withdrawn or restored, or whose rights have ended, asks for one run of each of its painters.

    Nothing is remembered but by Dagster, which runs each key once: whose adapter is marked is asked of the ledger.
    """
    with one_sentence(data_home.home):
        due = due_for_retraining(data_home.home)
        known = set(context.instance.get_dynamic_partitions(str(PAINTERS.name)))
        new = [painter for painter in due if painter not in known]
        return dg.SensorResult(
            run_requests=[dg.RunRequest(run_key=f"{p}-withdrawn-{key}", partition_key=p) for p, key in due.items()],
            dynamic_partitions_requests=[PAINTERS.build_add_request(new)] if new else [],
        )


@dg.schedule(job_name=RETRAIN, cron_schedule="0 3 * * 1")
def weekly_retraining(
    context: dg.ScheduleEvaluationContext, data_home: DataHome
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Mondays at 3: a painter is retrained when the training set is no longer the one that the last adapter saw."""
    with one_sentence(data_home.home):
        due = [painter for painter in data_home.home.painters() if needs_retraining(data_home.home, painter)]
        known = set(context.instance.get_dynamic_partitions(str(PAINTERS.name)))
        for painter in due:
            if painter in known:
                yield dg.RunRequest(
                    run_key=f"{painter}-{_training_set_hash(data_home.home, painter)}", partition_key=painter
                )
        if not known.intersection(due):
            yield dg.SkipReason("Every painter's adapter was trained on the training set as it stands.")


def needs_retraining(home: Home, painter: str) -> bool:
    """Whether the training set is there and is not the one that the current adapter was trained on."""
    now = _training_set_hash(home, painter)
    adapter = current_adapter(home, painter)
    return bool(now) and (adapter is None or adapter.training_set_hash != now)


def _training_set_hash(home: Home, painter: str) -> str:
    manifest = home.training_set(painter) / MANIFEST
    return manifest_hash(manifest) if manifest.exists() else ""

"""Whether a painter's adapter is trained anew without being asked, and why: one plain sentence per painter.

A decision follows from the records, from what Dagster knows of earlier runs, and from the time that it is given: the
schedule gives its tick's, the command line the present. Only the schedule remembers when it last decided.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorStatus, InstigatorType
from dagster._utils.schedules import get_latest_completed_cron_tick, get_next_cron_tick, is_valid_cron_string

from artmaster_pipeline.adapters import current_adapter, read_snapshot
from artmaster_pipeline.dataset.difference import Difference, difference, trained_on, works
from artmaster_pipeline.dataset.split import MIN_TRAIN_WORKS
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.evaluation import last_verdict
from artmaster_pipeline.faults import in_product_words
from artmaster_pipeline.files import write_text
from artmaster_pipeline.orchestration.assets import SETTINGS_TAG
from artmaster_pipeline.orchestration.checks import CheckStatus, blocking_checks
from artmaster_pipeline.records import MANIFEST, Adapter, TrainingImage, identity, manifest_hash, read_manifest
from artmaster_pipeline.settings import Home, RetrainingSettings, load_painter
from artmaster_pipeline.stage_settings import settings_identity
from artmaster_pipeline.stages import TRAINED, and_below, before, chain, stage_named
from artmaster_pipeline.withdrawal import asks_for_retraining

SCHEDULE = "retraining"
ASKED_TAG = "artmaster/asked"  # on a run that nobody started by hand: what asked for it, the same for the same reason
WHY_TAG = "artmaster/why"
_CRON = {"daily": "0 3 * * *", "weekly": "0 3 * * 1", "monthly": "0 3 1 * *"}  # UTC, as every cron expression here
_TRAINING_SET = before(TRAINED)[-1]


@dataclass(frozen=True)
class Decision:
    """Whether a painter is retrained now, the sentence that says why or why not, and what was looked at."""

    painter: str
    retrain: bool
    why: str
    next: datetime | None = None  # when the painter's own time comes; None: it never does
    stages: tuple[str, ...] = ()  # that the run makes, where there is one
    key: str = ""  # what asked for it


def decide_all(home: Home, instance: dg.DagsterInstance, now: datetime) -> tuple[Decision, ...]:
    """The decision on every painter at the schedule's time `now`; those whose own time has come are remembered.

    Asked twice for the same time it decides the same. What is wrong with one painter's files is that painter's
    sentence, and stops no other.
    """
    return tuple(decide(home, instance, painter, now, remember=True) for painter in home.painters())


def decide(
    home: Home, instance: dg.DagsterInstance, painter: str, now: datetime, *, remember: bool = False
) -> Decision:
    """The decision on one painter at `now`, as the schedule would take it then."""
    try:
        with in_product_words(lambda: home.root):
            rules = load_painter(home, painter).retraining
            since, first = _since(home, painter, now)
            due = _fires(rules, since, now)
            decision = _decided(home, instance, painter, rules, now, due)
            if remember and (first or due):
                _remember(home, painter, since, now)
            return decision
    except ArtMasterError as error:
        return Decision(painter, False, f"{painter}: nothing can be decided. {error}")


def is_on(instance: dg.DagsterInstance) -> bool:
    """Whether somebody has turned the schedule on in this data home."""
    states = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    return any(state.name == SCHEDULE and state.status == InstigatorStatus.RUNNING for state in states)


def was_asked(instance: dg.DagsterInstance, key: str) -> dg.DagsterRun | None:
    """The last run that was started for the reason `key`."""
    return next(iter(instance.get_runs(dg.RunsFilter(tags={ASKED_TAG: key}), limit=1)), None)


def withdrawal_key(painter: str, key: str) -> str:
    """What asks for a run where a work may not be used any more; `key` is `withdrawal.due_for_retraining`'s."""
    return f"{painter}-withdrawn-{key}"


def _decided(
    home: Home, instance: dg.DagsterInstance, painter: str, rules: RetrainingSettings, now: datetime, due: bool
) -> Decision:
    following = _next(rules, now)
    key, stages, why = _asked_by_withdrawal(home, painter)
    if not key:
        key, why = _asked_byworks(home, instance, painter, rules, following, due)
        stages = and_below(TRAINED)
    if not key:
        return Decision(painter, False, f"{painter}: {why}", following)
    if (run := was_asked(instance, key)) is not None:
        return Decision(painter, False, f"{painter}: {why}; {_told_of(run)}", following)
    return Decision(painter, True, f"{painter}: {why}; to be trained.", following, stages, key)


def _asked_by_withdrawal(home: Home, painter: str) -> tuple[str, tuple[str, ...], str]:
    asked = asks_for_retraining(home, painter)
    if not asked:
        return "", (), ""
    stages = tuple(stage.name for stage in chain("painter"))
    why = "a work was withdrawn or its rights are over, or it may be used again, whatever the thresholds"
    return withdrawal_key(painter, asked), stages, why


def _asked_byworks(
    home: Home,
    instance: dg.DagsterInstance,
    painter: str,
    rules: RetrainingSettings,
    following: datetime | None,
    due: bool,
) -> tuple[str, str]:
    """The key of what asks for a run, empty where nothing does, and why."""
    manifest = home.training_set(painter) / MANIFEST
    if not manifest.is_file():
        return "", f"there is no training set yet; artmaster run {painter} --until {_TRAINING_SET} makes it."
    results = blocking_checks(instance, _TRAINING_SET, painter)
    if failed := [name for name, status in results.items() if status == CheckStatus.FAILED]:
        return "", f"its training set did not pass {' and '.join(failed)}; not retrained."
    rows, adapter = read_manifest(manifest, TrainingImage), current_adapter(home, painter)
    settings = settings_identity(home, painter, stage_named(TRAINED))
    if adapter is None:
        why, asks = _first(rules, rows)
    else:
        found = difference(read_snapshot(home, adapter).training_images, rows)
        why, asks = _again(home, rules, adapter, found, following if not due else None)
        why += "" if asks else _of_settings(instance, painter, settings)
    key = identity(manifest_hash(manifest), settings, adapter.id if adapter else "")
    return f"{painter}-{key}" if asks else "", why


def _first(rules: RetrainingSettings, rows: tuple[TrainingImage, ...]) -> tuple[str, bool]:
    """What is said of a painter without an adapter, who is trained as soon as there are enough works."""
    count = len({row.work for row in rows})
    there = f"no adapter yet and {works(count)} in the training set"
    if rules.every == "never":
        return f"{there}, but painter.yaml says never; not trained.", False
    if count < MIN_TRAIN_WORKS or not trained_on(rows):
        return f"{there}, where a style needs at least {MIN_TRAIN_WORKS}; not trained.", False
    return f"{there}, which is enough", True


def _again(
    home: Home, rules: RetrainingSettings, adapter: Adapter, found: Difference, wait_for: datetime | None
) -> tuple[str, bool]:
    """What is said of a painter who has an adapter; `wait_for` is the painter's time where it has not come yet."""
    said, limits = found.in_words(adapter), _limits(rules)
    if rules.every == "never":
        return f"{said}; painter.yaml says never, so that only a withdrawal asks; not retrained.", False
    if found.is_enough(rules):
        asked = f"{said}: at least {limits}"
        return (f"{asked}; its time is {wait_for:%a %Y-%m-%d %H:%M} UTC.", False) if wait_for else (asked, True)
    if found.works == 0:
        verdict = last_verdict(home.evaluation(adapter.painter) / adapter.id)
        refused = ", which the gate did not let be published" if verdict and not verdict.publish else ""
        return f"{said}{refused}; not retrained.", False
    return f"{said}: under {limits.replace(' or ', ' and ')}; not retrained.", False


def _limits(rules: RetrainingSettings) -> str:
    said = [works(rules.works)] if rules.works is not None else []
    said += [f"{rules.percent:g} %"] if rules.percent is not None else []
    return " or ".join(said)


def _of_settings(instance: dg.DagsterInstance, painter: str, now: str) -> str:
    """What is said where the last adapter was made with other settings than the painter's profile has now."""
    filters = dg.AssetRecordsFilter(asset_key=dg.AssetKey(TRAINED), asset_partitions=[painter])
    records = instance.fetch_materializations(filters, limit=1).records
    tags = (records[0].asset_materialization.tags or {}) if records and records[0].asset_materialization else {}
    if tags.get(SETTINGS_TAG) in (None, now):
        return ""
    return f" Its settings changed since, which asks for nothing by itself: artmaster run {painter} trains with them."


def _told_of(run: dg.DagsterRun) -> str:
    """What is said where the same reason has had its run: nothing is tried twice."""
    if not run.is_finished:
        return f"run {run.run_id} is at it."
    if run.status == dg.DagsterRunStatus.SUCCESS:
        return f"run {run.run_id} was made for this."
    return (
        f"run {run.run_id} was made for this and did not succeed, so that it is not tried again by itself until the "
        f"training set or the settings change: see that run, then artmaster run {run.tags.get('dagster/partition')}"
    )


def _cron(rules: RetrainingSettings) -> str | None:
    if rules.every == "never":
        return None
    cron = _CRON.get(rules.every, rules.every)
    if not is_valid_cron_string(cron):
        raise WrongUse(f"painter.yaml: retraining.every: {cron!r} names no time. Five fields of cron: '0 3 * * 1'")
    return cron


def _fires(rules: RetrainingSettings, since: datetime, now: datetime) -> bool:
    """Whether the painter's time has come after `since` and not after `now`."""
    cron = _cron(rules)
    return cron is not None and get_latest_completed_cron_tick(cron, now, "UTC") > since


def _next(rules: RetrainingSettings, now: datetime) -> datetime | None:
    cron = _cron(rules)
    return get_next_cron_tick(cron, now + timedelta(seconds=1), "UTC") if cron else None


def _memory(home: Home, painter: str) -> Path:
    return home.cache / "retraining" / f"{painter}.json"


def _since(home: Home, painter: str, now: datetime) -> tuple[datetime, bool]:
    """From when on a painter's time counts as passed: the last decision, or now for one who is seen first.

    A decision taken at this same time is taken again, as Dagster does with a tick that was interrupted.
    """
    file = _memory(home, painter)
    if not file.is_file():
        return now, True
    said = {name: datetime.fromisoformat(time) for name, time in json.loads(file.read_text(encoding="utf-8")).items()}
    return (said["since"] if said["at"] == now else said["at"]), False


def _remember(home: Home, painter: str, since: datetime, now: datetime) -> None:
    times = {"since": since, "at": now}
    write_text(_memory(home, painter), json.dumps({n: time.astimezone(UTC).isoformat() for n, time in times.items()}))

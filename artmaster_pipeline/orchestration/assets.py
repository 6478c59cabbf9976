"""The assets, made from the stages' table: one per stage, one partition per painter (or set, canvas, story).

An asset calls its stage's function and shows what came of it; the work is in the rooms. Its data version is the hash of
its manifest: the same scans and settings give the same version on every machine, whichever way it was started.
"""

from collections.abc import Set as AbstractSet
from datetime import timedelta
from functools import cache
from typing import Any

import dagster as dg

from artmaster_pipeline.needs import check_needs
from artmaster_pipeline.orchestration import metadata
from artmaster_pipeline.orchestration.failures import one_sentence
from artmaster_pipeline.orchestration.lineage_events import told
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import Outcome
from artmaster_pipeline.settings import Home, complete_painter
from artmaster_pipeline.stage_settings import partition_profile, settings_identity
from artmaster_pipeline.stages import KINDS, TRAINED, Kind, Stage, Step, before, chain, in_order

PAINTERS = dg.DynamicPartitionsDefinition(name="painter")
PARTITIONS: dict[Kind, dg.DynamicPartitionsDefinition] = {
    "painter": PAINTERS,
    **{kind: dg.DynamicPartitionsDefinition(name=kind) for kind in KINDS if kind != "painter"},
}
# A season without a new gallery of anybody is worth a look, a year is worth a question; nothing is done because of it.
_FRESHNESS = {"sample_gallery": dg.FreshnessPolicy.time_window(fail_window=timedelta(366), warn_window=timedelta(92))}
SETTINGS_TAG = "artmaster/settings"  # the identity of the settings that an asset was made with


def assets() -> tuple[dg.AssetsDefinition, ...]:
    """The assets of the table's stages, each after those that it reads."""
    return tuple(_asset(stage) for stage in in_order())


def make(home: Home, stage: Stage, partition: str, progress: Progress) -> Outcome[Any]:
    """Call a stage's function with what the table says that it takes."""
    profile = (partition_profile(home, partition),) if stage.profile else ()
    return stage.function()(home, partition, *profile, progress=progress, **stage.lent())


def _fetch(home: Home, partition: str, progress: Progress) -> None:
    """Bring what deliveries hold of the partition's painters, before anything asks whether they are there."""
    from artmaster_pipeline.scans import fetch_deliveries

    for painter in home.members(partition):
        fetch_deliveries(home, painter, progress)


def _check_needs_of_run(home: Home, partition: str, stage: Stage, selected: AbstractSet[dg.AssetKey] | None) -> None:
    """Before the first stage of a run, ask for all that its stages need, so that none fails after hours for a GPU."""
    every = chain(stage.kind) if selected is None else in_order(stage.kind)
    due = [each.name for each in every if selected is None or dg.AssetKey(each.name) in selected]
    if due and due[0] == stage.name:
        check_needs(home, partition, partition_profile(home, partition), due)


def _follows() -> dg.AutomationCondition:
    """A stage follows what it reads where another run, one that left it out, has made that anew.

    Nothing is made for a partition whose inputs are missing or that is at work already.
    """
    condition = dg.AutomationCondition
    return (
        condition.any_deps_updated().since_last_handled()
        & ~condition.any_deps_missing()
        & ~condition.any_deps_in_progress()
        & ~condition.in_progress()
    ).with_label("follows what it reads")


@cache
def _asset(stage: Stage) -> dg.AssetsDefinition:
    @dg.asset(
        name=stage.name,
        description=stage.says,
        partitions_def=PARTITIONS[stage.kind],
        group_name=stage.group,
        kinds=set(stage.tools),
        code_version=stage.code_version,
        deps=list(stage.after),
        pool=stage.pool,
        freshness_policy=_FRESHNESS.get(stage.name),
        automation_condition=_follows() if stage.name in before(TRAINED) and stage.after else None,
    )
    def made(context: dg.AssetExecutionContext, data_home: DataHome) -> dg.MaterializeResult:
        home, partition = data_home.home, context.partition_key
        progress, step = data_home.progress(context), Step(stage.name, partition)
        with told(context, home, step, progress.say) as tell, one_sentence(home, data_home.tries(context)):
            if "scans" in stage.sources:
                _fetch(home, partition, progress)
            for painter in home.members(partition):
                complete_painter(home, painter)  # a folder that was put there by hand has no painter.yaml for DVC yet
            _check_needs_of_run(home, partition, stage, context.run.asset_selection)
            used = settings_identity(home, partition, stage)
            outcome = make(home, stage, partition, progress)
            tell(outcome)
            return dg.MaterializeResult(
                metadata=metadata.of_stage(stage.name, home, partition, outcome),
                data_version=dg.DataVersion(outcome.hash),
                tags={SETTINGS_TAG: used},
            )

    return made

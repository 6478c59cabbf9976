"""The assets, made from the stages' table: one per stage, one partition per painter (or per set of painters).

An asset calls its stage's function and shows what came of it; the work is in the rooms. Its data version is the hash of
its manifest: the same scans and settings give the same version on every machine, whichever way it was started.
"""

from collections.abc import Set as AbstractSet
from functools import cache
from typing import Any

import dagster as dg

from artmaster_pipeline.needs import check_needs
from artmaster_pipeline.orchestration import metadata
from artmaster_pipeline.orchestration.failures import one_sentence
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import Outcome
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stage_settings import partition_profile, settings_identity
from artmaster_pipeline.stages import Kind, Stage, in_order, members

PAINTERS = dg.DynamicPartitionsDefinition(name="painter")
PARTITIONS: dict[Kind, dg.DynamicPartitionsDefinition] = {
    "painter": PAINTERS,
    "painters": dg.DynamicPartitionsDefinition(name="painters"),
}
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

    for painter in members(partition):
        fetch_deliveries(home, painter, progress)


def _check_needs_of_run(home: Home, partition: str, stage: Stage, selected: AbstractSet[dg.AssetKey] | None) -> None:
    """Before the first stage of a run, ask for all that its stages need, so that none fails after hours for a GPU."""
    due = [each.name for each in in_order(stage.kind) if selected is None or dg.AssetKey(each.name) in selected]
    if due and due[0] == stage.name:
        check_needs(home, partition, partition_profile(home, partition), due)


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
    )
    def made(context: dg.AssetExecutionContext, data_home: DataHome) -> dg.MaterializeResult:
        home, partition = data_home.home, context.partition_key
        with one_sentence(home):
            if stage.sources:
                _fetch(home, partition, data_home.progress(context))
            _check_needs_of_run(home, partition, stage, context.run.asset_selection)
            used = settings_identity(home, partition, stage)
            outcome = make(home, stage, partition, data_home.progress(context))
            return dg.MaterializeResult(
                metadata=metadata.of_stage(stage.name, home, partition, outcome),
                data_version=dg.DataVersion(outcome.hash),
                tags={SETTINGS_TAG: used},
            )

    return made

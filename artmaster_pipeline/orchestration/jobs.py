"""The jobs over the assets: the whole chain of a painter or of a set, and a painter's retraining."""

from typing import Any

import dagster as dg

from artmaster_pipeline.orchestration.assets import PAINTERS, PARTITIONS
from artmaster_pipeline.stages import KINDS, Kind, in_order

CHAINS: dict[Kind, str] = {"painter": "whole_chain", "painters": "whole_chain_of_sets"}
RETRAIN = "retrain"
_TRAINED = "style_adapter"


def jobs() -> list[Any]:
    """A chain for each kind of partition that has stages, and the retraining."""
    chains = [
        dg.define_asset_job(
            CHAINS[kind],
            selection=_selection([stage.name for stage in in_order(kind)]),
            partitions_def=PARTITIONS[kind],
            description="From the first stage to the last. What is already there is not made again.",
        )
        for kind in KINDS
        if in_order(kind)
    ]
    below = {_TRAINED}
    for stage in in_order("painter"):
        if below.intersection(stage.after):
            below.add(stage.name)
    retrain = dg.define_asset_job(
        RETRAIN,
        selection=_selection(sorted(below)),
        partitions_def=PAINTERS,
        description="A new adapter from the training set as it stands, and all that is made from it.",
    )
    return [*chains, retrain]


def _selection(names: list[str]) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*names)

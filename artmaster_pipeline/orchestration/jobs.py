"""The jobs over the assets: the whole chain of each kind of partition, taking scans in, a painter's retraining."""

from collections.abc import Iterable
from typing import Any

import dagster as dg

from artmaster_pipeline.orchestration.assets import PAINTERS, PARTITIONS
from artmaster_pipeline.stages import KINDS, TRAINED, Kind, and_below, before, chain, in_order

CHAINS: dict[Kind, str] = {
    "painter": "whole_chain",
    "painters": "whole_chain_of_sets",
    "canvas": "whole_chain_of_canvases",
    "story": "whole_chain_of_stories",
}
REQUESTS: dict[Kind, str] = {
    "painter": "on_request",
    "painters": "on_request_of_sets",
    "canvas": "on_request_of_canvases",
    "story": "on_request_of_stories",
}
TAKE_IN = "take_in"
RETRAIN = "retrain"


def jobs() -> list[Any]:
    """A chain for each kind of partition that has one, what comes before the training, and the retraining.

    And for each kind with stages on request the chain with those: a run selects from it what was asked for.
    """
    chains = [
        dg.define_asset_job(
            CHAINS[kind],
            selection=_selection([stage.name for stage in chain(kind)]),
            partitions_def=PARTITIONS[kind],
            description="From the first stage to the last. What is already there is not made again.",
        )
        for kind in KINDS
        if chain(kind)
    ]
    requests = [
        dg.define_asset_job(
            REQUESTS[kind],
            selection=_selection([stage.name for stage in in_order(kind)]),
            partitions_def=PARTITIONS[kind],
            description="The whole chain, and what is made on request alone: choose of it what is wanted.",
        )
        for kind in KINDS
        if in_order(kind) != chain(kind)
    ]
    take_in = dg.define_asset_job(
        TAKE_IN,
        selection=_selection(before(TRAINED)),
        partitions_def=PAINTERS,
        description="From the scans to the training set. Whether an adapter is trained on it, the schedule decides.",
    )
    retrain = dg.define_asset_job(
        RETRAIN,
        selection=_selection(and_below(TRAINED)),
        partitions_def=PAINTERS,
        description="A new adapter from the training set as it stands, and all that is made from it.",
    )
    return [*chains, *requests, take_in, retrain]


def _selection(names: Iterable[str]) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*names)

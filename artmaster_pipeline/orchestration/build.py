"""How the definitions are put together: the one seam through which tests and the command line change them."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from artmaster_pipeline.filed import FILED
from artmaster_pipeline.orchestration.assets import assets
from artmaster_pipeline.orchestration.automation import following, new_of, retraining, withdrawn_works
from artmaster_pipeline.orchestration.checks import checks
from artmaster_pipeline.orchestration.jobs import jobs
from artmaster_pipeline.orchestration.notifying import tell_of_failures, tell_of_successes
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.orchestration.watching import new_scans
from artmaster_pipeline.stages import chain


def build_defs(*, resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """All assets, checks, jobs, sensors and schedules; `resource_overrides` replaces resources by name.

    The steps of a run share one process: each run has its own, so a GPU is free again when the run has ended, and a
    chain of short steps does not pay for a start of Python each.
    """
    of_files = [new_of(kind) for kind in FILED if chain(kind)]  # a table without such stages has no job for them
    return dg.Definitions(
        assets=assets(),
        asset_checks=checks(),
        jobs=jobs(),
        sensors=[new_scans, *of_files, withdrawn_works, following, tell_of_successes, tell_of_failures],
        schedules=[retraining],
        resources={"data_home": DataHome(), **(resource_overrides or {})},
        executor=dg.in_process_executor,
    )

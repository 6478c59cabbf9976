"""What the assets share: the data home, the painter at work, and where progress is told."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
from pydantic import PrivateAttr

from artmaster_pipeline.locks import working_on
from artmaster_pipeline.orchestration.failures import Tries
from artmaster_pipeline.orchestration.instance import alive
from artmaster_pipeline.progress import Progress, terminal_progress
from artmaster_pipeline.settings import Home, Profile, painter_profile


class DataHome(dg.ConfigurableResource):
    """The data home that a run works in, held for one painter by one run at a time."""

    root: str = ""  # empty: $ARTMASTER_HOME, else assets_data/ below the working directory
    terminal: bool = False  # progress bars on this process's terminal, beside the lines in Dagster's log
    _home: Home = PrivateAttr()

    @property
    def home(self) -> Home:
        """The data home."""
        return Home.find(Path(self.root) if self.root else None)

    def profile(self, painter: str) -> Profile:
        """The profile of a painter."""
        return painter_profile(self.home, painter)

    def progress(self, context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> Progress:
        """Progress for a step: lines in its log and, with `terminal`, bars (plain lines where there is no screen)."""
        return terminal_progress(context.log.info) if self.terminal else Progress(context.log.info)

    def tries(self, context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> Tries:
        """How often a step was tried before, and where it says that it is tried again."""
        of_step = getattr(context, "op_execution_context", context)
        return Tries(lambda: of_step.retry_number, lambda said: self.progress(context).say(said))

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["DataHome"]:
        """Hold the run's lock, and the painter's: two runs never write one painter's folders at once."""
        run, instance = context.run, context.instance
        with ExitStack() as stack:
            if run is not None and instance is not None:
                stack.enter_context(alive(self.home, instance, run.run_id, until_exit=True))
                if partition := run.tags.get("dagster/partition"):
                    told = Progress(context.log.info if context.log else None)
                    stack.enter_context(working_on(self.home, partition, None if self.terminal else told))
            yield self

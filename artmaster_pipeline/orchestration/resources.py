"""What the assets share: the data home, the painter at work, and where progress is told."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout
from pydantic import PrivateAttr

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

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["DataHome"]:
        """Hold the run's lock, and the painter's: two runs never write one painter's folders at once."""
        run, instance = context.run, context.instance
        with ExitStack() as stack:
            if run is not None and instance is not None:
                stack.enter_context(alive(self.home, instance, run.run_id))
                if painter := run.tags.get("dagster/partition"):
                    stack.enter_context(_painter_lock(self.home, painter, context))
            yield self


@contextmanager
def _painter_lock(home: Home, painter: str, context: dg.InitResourceContext) -> Iterator[None]:
    folder = home.cache / "painters"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{painter}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if context.log:
            context.log.info(f"Another run is working on {painter}; this one waits for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()

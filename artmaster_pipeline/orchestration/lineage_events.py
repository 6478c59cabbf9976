"""What a run tells an OpenLineage collector while it works: a stage begins, and ends with what it read and kept.

Off by default; on where OpenLineage's client is configured by its own means (`OPENLINEAGE_URL`, `OPENLINEAGE_CONFIG`,
`OPENLINEAGE__TRANSPORT__...`, or an openlineage.yml in the working folder or ~/.openlineage). `dagster-openlineage`
does not serve: it knows data sets by their asset alone, so that all painters would be one, leaves out their versions,
and listens by a sensor, which `artmaster run` does not wait for, or in place of the event log, which decides what is
made. A collector that does not answer costs a run one message and no more.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from artmaster_pipeline.lineage.exports.openlineage import EXTRA, StageRun, State, given, is_installed, kept, name_of
from artmaster_pipeline.records import MANIFEST, Outcome, manifest_hash
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stages import Step, inputs_of, source_named, stage_named

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset

_FILE = "openlineage.yml"
_GIVEN_UP: set[str] = set()  # the runs of this process whose events nobody takes
Say = Callable[[str], None]


@contextmanager
def told(
    context: dg.AssetExecutionContext, home: Home, step: Step, say: Say
) -> Iterator[Callable[[Outcome[Any]], None]]:
    """Tell the collector that a step begins and how it ends; gives the function that is told what came of it.

    Does nothing where no collector is configured. What goes wrong with telling is said and goes no further.
    """
    if not _is_asked_for():
        yield lambda outcome: None
        return
    teller = _Teller(context, home, step, say)
    teller.tell("START")
    try:
        yield teller.made
    except Exception as error:
        teller.tell("FAIL", str(getattr(error, "description", None) or error))
        raise
    except BaseException:  # somebody ended the run
        teller.tell("ABORT")
        raise
    teller.tell("COMPLETE")


class _Teller:
    """One step of one run, as the collector hears of it."""

    def __init__(self, context: dg.AssetExecutionContext, home: Home, step: Step, say: Say) -> None:
        self.context, self.home, self.step, self.say = context, home, step, say
        self.there_before = (home.stage_folder(step.stage, step.partition) / MANIFEST).is_file()
        self.outcome: Outcome[Any] | None = None

    def made(self, outcome: Outcome[Any]) -> None:
        """Keep what came of the step until it ends."""
        self.outcome = outcome

    def tell(self, state: State, fault: str = "") -> None:
        """Send an event; after one that nobody took, no more of this run."""
        run_id = self.context.run_id
        if run_id in _GIVEN_UP:
            return
        if not is_installed():
            _GIVEN_UP.add(run_id)
            self.say(f"OpenLineage is configured, but no events are sent: they need {EXTRA}")
            return
        try:
            self._send(state, fault)
        except Exception as error:  # of any kind: a collector is no part of the work
            _GIVEN_UP.add(run_id)
            self.say(
                f"The OpenLineage collector did not take the event that {self.step} has come to {state} "
                f"({type(error).__name__}: {error}). The run goes on and sends no more of them."
            )

    def _send(self, state: State, fault: str) -> None:
        from openlineage.client import OpenLineageClient

        of = uuid.uuid5(uuid.UUID(self.context.run_id), str(self.step))
        run = StageRun(self.step, str(of), self._inputs(), (self.context.run_id, self.context.job_name))
        client = OpenLineageClient()
        if client.transport.kind == "console" and not client.config.transport:
            raise ValueError(f"no transport is configured: is there a file {os.environ.get('OPENLINEAGE_CONFIG')!r}?")
        client.emit(run.event(state, datetime.now(UTC).isoformat(), self._outputs(), fault))
        client.close(timeout=10)

    def _inputs(self) -> "list[InputDataset]":
        found = []
        for folder in stage_named(self.step.stage).sources:
            found.append(given(f"{folder}/{source_named(self.step.partition)}"))
        for before in inputs_of(self.step, self.home):
            manifest = self.home.stage_folder(before.stage, before.partition) / MANIFEST
            version = manifest_hash(manifest) if manifest.is_file() else ""
            found.append(given(name_of(before), version, before.stage))
        return found

    def _outputs(self) -> "list[OutputDataset]":
        if self.outcome is None:
            return []
        return [kept(self.step, self.outcome.hash, len(self.outcome.records), anew=self.there_before)]


def _is_asked_for() -> bool:
    """Whether OpenLineage's client finds a configuration; looked for without importing it."""
    if os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return False
    named = any(os.environ.get(name) for name in ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG"))
    spelt = any(name.startswith("OPENLINEAGE__TRANSPORT") for name in os.environ)
    return named or spelt or any((folder / _FILE).is_file() for folder in (Path(), Path.home() / ".openlineage"))

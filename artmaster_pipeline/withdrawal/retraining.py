"""Whose adapter has to be trained anew: asked of the ledger and the records each time, so the queue is never stale."""

from artmaster_pipeline.adapters.finding import current_adapter
from artmaster_pipeline.adapters.withdrawn import marks_of
from artmaster_pipeline.records import identity
from artmaster_pipeline.scans.withdrawn import is_behind
from artmaster_pipeline.settings import Home


def due_for_retraining(home: Home) -> dict[str, str]:
    """The painters who have to be run since a work may not be used any more (or may again), each with a key.

    The key is another one when something else is the reason: whoever asks for a run by key asks once for each reason.
    """
    asked = {painter: asks_for_retraining(home, painter) for painter in home.painters()}
    return {painter: key for painter, key in asked.items() if key}


def asks_for_retraining(home: Home, painter: str) -> str:
    """The key of `due_for_retraining` for one painter; empty where nothing asks."""
    adapter = current_adapter(home, painter)
    marks = marks_of(home, adapter) if adapter else ()
    if not marks and not is_behind(home, painter):
        return ""
    return identity(adapter.id if adapter else "", [[mark.sha256, mark.since] for mark in marks])

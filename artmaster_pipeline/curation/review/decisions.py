"""decisions.csv beside the scans: what persons decided about them."""

from artmaster_pipeline.records import Decision
from artmaster_pipeline.settings import Home


def decisions_of(home: Home, painter: str) -> dict[str, tuple[Decision, ...]]:
    """What was decided, by the scan's path, in the order of the file."""
    return {}

"""Which scans a person should look at, and why."""

from collections.abc import Mapping, Sequence

from artmaster_pipeline.curation.area import PaintedArea
from artmaster_pipeline.curation.look import Look
from artmaster_pipeline.records import CuratedScan, Flag, Mask
from artmaster_pipeline.settings import Home


def features(look: Look, area: PaintedArea, masks: Sequence[Mask]) -> dict[str, float]:
    """What is measured of one scan so that it can be compared with the others."""
    return {}


def flags_of(home: Home, painter: str, curated: Sequence[CuratedScan]) -> Mapping[str, tuple[Flag, ...]]:
    """The flags of every scan, by sha256, from the measures of all."""
    return {}

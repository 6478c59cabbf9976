"""Procedural painters: seeded pictures with exact captions, and the scans an archive would have of them."""

from artmaster_pipeline.sample_painters.layout import KIND_COLOURS, KINDS, Kind
from artmaster_pipeline.sample_painters.paintings import paint, paint_with_layout
from artmaster_pipeline.sample_painters.scan_files import write_scans
from artmaster_pipeline.sample_painters.scenes import (
    COMPOSITIONS,
    FURTHER_SUBJECTS,
    PALETTES,
    SEASONS,
    STYLES,
    SUBJECTS,
    TIMES_OF_DAY,
    WEATHERS,
    Scene,
    imagine,
    spoken,
)

__all__ = [
    "COMPOSITIONS",
    "FURTHER_SUBJECTS",
    "KINDS",
    "KIND_COLOURS",
    "PALETTES",
    "SEASONS",
    "STYLES",
    "SUBJECTS",
    "TIMES_OF_DAY",
    "WEATHERS",
    "Kind",
    "Scene",
    "imagine",
    "paint",
    "paint_with_layout",
    "spoken",
    "write_scans",
]

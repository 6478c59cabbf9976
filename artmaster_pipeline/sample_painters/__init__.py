"""Procedural painters: seeded pictures with exact captions, and the scans an archive would have of them."""

from artmaster_pipeline.sample_painters.paintings import paint
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
    "PALETTES",
    "SEASONS",
    "STYLES",
    "SUBJECTS",
    "TIMES_OF_DAY",
    "WEATHERS",
    "Scene",
    "imagine",
    "paint",
    "spoken",
    "write_scans",
]

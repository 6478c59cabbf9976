"""Crops at the two training shapes: what is painted is found, and what is on it; a person may decide otherwise."""

from artmaster_pipeline.curation.crops.cropping import crop_scans, decisions_asked

__all__ = ["crop_scans", "decisions_asked"]

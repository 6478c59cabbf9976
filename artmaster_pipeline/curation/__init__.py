"""Crops at the two training shapes: the painted area is found, its main subject kept, mounting and margins left out."""

from artmaster_pipeline.curation.crops.cropping import crop_scans

__all__ = ["crop_scans"]

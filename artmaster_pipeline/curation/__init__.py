"""Crops at the two training shapes: the painted area is found, its main subject kept, mounting and margins left out.

`crop_scans` is the stage curated_crops.
"""

from artmaster_pipeline.curation.cropping import crop_scans

__all__ = ["crop_scans"]

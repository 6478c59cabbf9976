"""How much each part of a painting counts: its saliency, and what on it is no painting."""

from artmaster_pipeline.curation.masks.finding import find_masks
from artmaster_pipeline.curation.masks.regions import Region, rasterised
from artmaster_pipeline.curation.masks.saliency import saliency

__all__ = ["Region", "find_masks", "rasterised", "saliency"]

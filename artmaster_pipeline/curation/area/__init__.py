"""Where in a scan the painting is."""

from artmaster_pipeline.curation.area.finding import PaintedArea, find_area
from artmaster_pipeline.curation.area.turning import upright

__all__ = ["PaintedArea", "find_area", "upright"]

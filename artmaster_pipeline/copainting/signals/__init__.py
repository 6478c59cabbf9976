"""What holds a picture's structure: edges, soft lines, a sketch, depth, and the regions that it is made of."""

from artmaster_pipeline.copainting.signals.agreement import LayoutAgreement, layout_iou
from artmaster_pipeline.copainting.signals.found import FoundRegion, FoundRegions, Signal
from artmaster_pipeline.copainting.signals.reading import SOURCES, coloured, read_regions, read_signal
from artmaster_pipeline.copainting.signals.regions import regions_of
from artmaster_pipeline.copainting.signals.signal_files import read_signal_file, write_signal
from artmaster_pipeline.copainting.signals.structure import EdgeAgreement, edge_agreement, edge_f_score

__all__ = [
    "SOURCES",
    "EdgeAgreement",
    "FoundRegion",
    "FoundRegions",
    "LayoutAgreement",
    "Signal",
    "coloured",
    "edge_agreement",
    "edge_f_score",
    "layout_iou",
    "read_regions",
    "read_signal",
    "read_signal_file",
    "regions_of",
    "write_signal",
]

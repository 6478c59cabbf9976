"""Which artworks fed which adapter, and where an artwork has gone: answers from the records alone.

Needs neither Dagster nor DVC nor torch: the lineage.json that each adapter carries is a full snapshot of the scans,
crops and training images it was made from, so an answer holds after the archive has moved on.
"""

from artmaster_pipeline.lineage.answers import (
    AdapterLineage,
    ArtworkLineage,
    FileLineage,
    adapter_lineage,
    artwork_lineage,
    file_lineage,
)
from artmaster_pipeline.lineage.recognising import PictureLineage, picture_lineage

__all__ = [
    "AdapterLineage",
    "ArtworkLineage",
    "FileLineage",
    "PictureLineage",
    "adapter_lineage",
    "artwork_lineage",
    "file_lineage",
    "picture_lineage",
]

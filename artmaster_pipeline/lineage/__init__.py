"""Which artworks fed which adapter, where an artwork has gone, and whether the records hold: from records alone.

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
from artmaster_pipeline.lineage.verifying import Verification, verify

__all__ = [
    "AdapterLineage",
    "ArtworkLineage",
    "FileLineage",
    "PictureLineage",
    "Verification",
    "adapter_lineage",
    "artwork_lineage",
    "file_lineage",
    "picture_lineage",
    "verify",
]

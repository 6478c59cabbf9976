"""The scans of one painter: taken in without touching the originals, read with their colours right, identified.

`add_scans` copies a folder into the data home; `fetch_deliveries` brings what stores hold; `register_scans` is the
stage raw_scans; `open_scan` is the one way in which any room reads a scan's pixels; `unreadable_entries` tells
versioning what it cannot hash.
"""

from artmaster_pipeline.scans.adding import AddedScans, add_scans
from artmaster_pipeline.scans.decoding import open_scan
from artmaster_pipeline.scans.deliveries import fetch_deliveries
from artmaster_pipeline.scans.listing import unreadable_entries
from artmaster_pipeline.scans.registering import register_scans, scan_path

__all__ = [
    "AddedScans",
    "add_scans",
    "fetch_deliveries",
    "open_scan",
    "register_scans",
    "scan_path",
    "unreadable_entries",
]

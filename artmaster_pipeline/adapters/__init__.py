"""Adapters of all painters: finding and reading them, folding, putting one on a pipeline, exporting it."""

from artmaster_pipeline.adapters.attaching import attach, detach
from artmaster_pipeline.adapters.finding import (
    all_adapters,
    any_adapter,
    current_adapter,
    find_adapter,
    folder_of,
    known_adapters,
    published_adapter,
    read_adapter,
    read_snapshot,
)

__all__ = [
    "all_adapters",
    "any_adapter",
    "attach",
    "current_adapter",
    "detach",
    "find_adapter",
    "folder_of",
    "known_adapters",
    "published_adapter",
    "read_adapter",
    "read_snapshot",
]

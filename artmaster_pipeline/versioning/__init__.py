"""DVC: the bytes of every stage and their names. The only room that imports dvc.

A data home belongs to the nearest dvc.yaml whose `home` variable names it (the project's own, for `assets_data/`), or
is a DVC repository of its own. dvc.yaml holds the same stages as Dagster, one of each per painter, and one more that
resolves their settings. After an asset has been written, its stage is committed in process: dvc.lock then names the
bytes that Dagster's record describes. Inside `dvc repro` the commit is left to DVC.
"""

from artmaster_pipeline.versioning.committing import (
    Unfinished,
    commit_renamed,
    commit_stage,
    committed_stages,
    forget,
    forget_stage,
    left_unfinished,
    painters_or_none,
    prepare,
    renamed_set,
    said_of,
    stale_stages,
    stale_steps,
    unfinished,
)
from artmaster_pipeline.versioning.pipeline import pipeline_text
from artmaster_pipeline.versioning.purging import Purged, cached_files, purge
from artmaster_pipeline.versioning.recorded import (
    RecordedFolder,
    Unreadable,
    cached_bytes,
    is_passed_over,
    passed_over,
    recorded_folders,
)
from artmaster_pipeline.versioning.repository import find_root

__all__ = [
    "Purged",
    "RecordedFolder",
    "Unfinished",
    "Unreadable",
    "cached_bytes",
    "cached_files",
    "commit_renamed",
    "commit_stage",
    "committed_stages",
    "find_root",
    "forget",
    "forget_stage",
    "is_passed_over",
    "left_unfinished",
    "painters_or_none",
    "passed_over",
    "pipeline_text",
    "prepare",
    "purge",
    "recorded_folders",
    "renamed_set",
    "said_of",
    "stale_stages",
    "stale_steps",
    "unfinished",
]

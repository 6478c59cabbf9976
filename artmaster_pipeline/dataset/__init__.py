"""The data set: crops become training pictures, enlarged where a scan lacked detail, captioned, split by work."""

from artmaster_pipeline.dataset.caption_table import CaptionRow, caption_rows, write_captions
from artmaster_pipeline.dataset.training_set import build_training_set

__all__ = ["CaptionRow", "build_training_set", "caption_rows", "write_captions"]

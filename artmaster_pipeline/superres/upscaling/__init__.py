"""Enlarging picture files of any size: read and written through the disk, with all that the files say of themselves."""

from artmaster_pipeline.superres.upscaling.files import Failed, Upscaled, upscale
from artmaster_pipeline.superres.upscaling.records import Enlarged

__all__ = ["Enlarged", "Failed", "Upscaled", "upscale"]

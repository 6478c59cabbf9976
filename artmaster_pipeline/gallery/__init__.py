"""From an evaluated adapter to a published static site of enlarged samples with provenance; and drawing on request."""

from artmaster_pipeline.gallery.drawing import generate
from artmaster_pipeline.gallery.publish import publish_gallery

__all__ = ["generate", "publish_gallery"]

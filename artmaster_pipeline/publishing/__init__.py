"""Publishing: a gallery put in place, versions of it kept, pictures signed and verified, copies sent elsewhere."""

from artmaster_pipeline.publishing.publish import publish_gallery

__all__ = ["publish_gallery"]

"""Adapters of all painters: what lies in an adapter's folder, folding, putting one on a pipeline, exporting it."""

from artmaster_pipeline.adapters.attaching import attach, detach

__all__ = ["attach", "detach"]

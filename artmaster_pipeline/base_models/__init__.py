"""Base models: a profile's name becomes a stock diffusers pipeline, whole or in parts.

Light to import: torch and the libraries above it come when a function runs.
"""

from artmaster_pipeline.base_models.hub import base_revision
from artmaster_pipeline.base_models.loading import load_pipeline
from artmaster_pipeline.base_models.needs import requirements

__all__ = ["base_revision", "load_pipeline", "requirements"]

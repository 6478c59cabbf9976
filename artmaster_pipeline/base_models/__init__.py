"""Base models: a profile's name becomes a stock diffusers pipeline, whole or in parts, and what its family knows.

Light to import: torch and the libraries above it come when a function runs.
"""

from artmaster_pipeline.base_models.family import Family, TextEmbedding, family_for
from artmaster_pipeline.base_models.hub import describe_base, family_of
from artmaster_pipeline.base_models.identity import base_commit, base_revision
from artmaster_pipeline.base_models.loading import load_pipeline, open_pipeline

__all__ = [
    "Family",
    "TextEmbedding",
    "base_commit",
    "base_revision",
    "describe_base",
    "family_for",
    "family_of",
    "load_pipeline",
    "open_pipeline",
]

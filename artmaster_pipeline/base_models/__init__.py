"""Base models: a profile's name becomes a stock `FluxPipeline`; adapters go on it, pictures come out of it.

Light to import: torch and the libraries above it come when a function runs.
"""

from artmaster_pipeline.base_models.adapters import attach, detach
from artmaster_pipeline.base_models.hub import base_revision
from artmaster_pipeline.base_models.loading import load_pipeline
from artmaster_pipeline.base_models.needs import requirements
from artmaster_pipeline.base_models.sampling import Drawing, draw, draw_all
from artmaster_pipeline.base_models.train import train_base

__all__ = [
    "Drawing",
    "attach",
    "base_revision",
    "detach",
    "draw",
    "draw_all",
    "load_pipeline",
    "requirements",
    "train_base",
]

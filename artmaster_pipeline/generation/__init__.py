"""Drawing: prompts and seeds become pictures, in batches, with a painter's adapter or without."""

from artmaster_pipeline.generation.on_request import generate
from artmaster_pipeline.generation.sampling import Drawing, draw, draw_all

__all__ = ["Drawing", "draw", "draw_all", "generate"]

"""Several painters on one canvas in one generation: gates by region, words by region, structure held."""

from artmaster_pipeline.copainting.painting.drawing import draw_canvas
from artmaster_pipeline.copainting.painting.hands import Hands, hands_of
from artmaster_pipeline.copainting.painting.pictures import paint_canvas_file
from artmaster_pipeline.copainting.painting.stage import paint_canvases

__all__ = ["Hands", "draw_canvas", "hands_of", "paint_canvas_file", "paint_canvases"]

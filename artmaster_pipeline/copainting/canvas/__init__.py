"""A canvas: canvas.yaml and its maps, read with every fault named, brought to the model's tokens, and shown."""

from artmaster_pipeline.copainting.canvas.colours import colours_of, label_picture
from artmaster_pipeline.copainting.canvas.finding import LABELS_FILE, find_canvas
from artmaster_pipeline.copainting.canvas.reading import control_picture, label_map, load
from artmaster_pipeline.copainting.canvas.showing import preview
from artmaster_pipeline.copainting.canvas.tokens import token_masks
from artmaster_pipeline.copainting.canvas.writing import write

__all__ = [
    "LABELS_FILE",
    "colours_of",
    "control_picture",
    "find_canvas",
    "label_map",
    "label_picture",
    "load",
    "preview",
    "token_masks",
    "write",
]

"""The painting in a look: its skew, its box, and the outline of a fan or a leaf."""

from artmaster_pipeline.curation.area.painted_area import painted_area
from artmaster_pipeline.curation.boxes import Box
from artmaster_pipeline.curation.look import Look
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PaintedArea:
    """Where the painting is, in pixels of the look turned upright."""

    skew: float  # degrees, counter-clockwise, by which the painting stands askew
    box: Box
    mask: np.ndarray  # bool (height, width): False outside of the painting's outline
    outline: list[tuple[float, float]] | None = None  # (x, y) around a fan, a round or an irregular leaf
    unsure: str = ""  # a sentence, where the border is doubtful


def find_area(look: Look) -> PaintedArea:
    """Find the painting in a look; where it is doubtful, the larger area."""
    found = painted_area(look.lab)
    return PaintedArea(0.0, found.box, found.mask)


def upright(pixels: np.ndarray, skew: float) -> np.ndarray:
    """A look's pixels turned back by `skew` about their middle, on a sheet of the same size."""
    return pixels

"""A part of a picture that is of one kind, as a polygon of few points."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.records import MaskKind

Outline = tuple[tuple[float, float], ...]  # (x, y), closed


@dataclass(frozen=True)
class Region:
    """What was found at a place of a look: `outline` in its pixels, `score` how sure it is, 0..1."""

    kind: MaskKind
    outline: Outline
    score: float


def outline_of(piece: np.ndarray, points: int, left: int = 0, top: int = 0) -> Outline:
    """The outline of a bool mask's largest piece, of at most so many points, moved by (left, top).

    The corners are those that Douglas and Peucker's method leaves at the smallest tolerance that suffices.
    """
    from skimage.measure import approximate_polygon, find_contours

    around = max(find_contours(np.pad(piece, 1).astype(np.float32), 0.5), key=len)
    tolerance = 0.7
    corners = approximate_polygon(around, tolerance)
    while len(corners) > points + 1:
        tolerance *= 1.4
        corners = approximate_polygon(corners, tolerance)
    # a contour runs between pixels' middles; in a look's pixels the middle of the first is (0.5, 0.5), and 1 is padding
    return tuple((round(float(x) - 0.5 + left, 1), round(float(y) - 0.5 + top, 1)) for y, x in corners[:-1])


def rasterised(outlines: Iterable[Sequence[tuple[float, float]]], shape: tuple[int, ...]) -> np.ndarray:
    """A bool mask (height, width) that is true inside of any of the outlines, which may reach over its edges."""
    from PIL import Image, ImageDraw

    sheet = Image.new("1", (shape[1], shape[0]))
    pen = ImageDraw.Draw(sheet)
    for outline in outlines:
        pen.polygon([(x - 0.5, y - 0.5) for x, y in outline], fill=1)
    return np.array(sheet)

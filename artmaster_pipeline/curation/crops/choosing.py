"""Which crops of a work to take: one optimisation over all of them together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.curation.boxes import Box
from artmaster_pipeline.curation.crops.windows import best_window
from artmaster_pipeline.records import Corners
from artmaster_pipeline.settings import CROP_SIZES


@dataclass(frozen=True)
class Sheet:
    """A scan turned upright, at the look's size: all arrays are (height, width)."""

    lightness: np.ndarray  # L*, float32
    salient: np.ndarray  # 0..1; 0 on the ground around the painting and on marks
    painted: np.ndarray  # bool: within the painting's outline
    marks: np.ndarray  # bool: seals, inscriptions, damage
    blank: np.ndarray  # bool: blank space
    box: Box
    across: float  # its pixels per pixel of the scan, along its width
    down: float  # and along its height


@dataclass(frozen=True)
class Chosen:
    """A crop in pixels of the sheet, and the terms by which it was chosen."""

    left: float
    top: float
    width: float
    height: float
    shape: int  # which of `CROP_SIZES`
    terms: dict[str, float]
    by: str = ""  # the person who drew it


def choose(sheet: Sheet, drawn: Sequence[tuple[Corners, str]] = ()) -> list[Chosen]:
    """The crops of a work, the first being the one that shows most of it."""
    found = []
    rows, columns = sheet.salient.shape
    for shape, (width, height) in enumerate(CROP_SIZES):
        window = best_window(sheet.salient, sheet.painted, sheet.box, width / height * sheet.across / sheet.down)
        if window:
            found.append(
                Chosen(
                    window.left * columns,
                    window.top * rows,
                    (window.right - window.left) * columns,
                    (window.bottom - window.top) * rows,
                    shape,
                    {"saliency": window.subject_share},
                )
            )
    return found

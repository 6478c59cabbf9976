"""The painting in a look: its skew, its box, and the outline of a fan or a leaf."""

from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.curation.area.borders import peel
from artmaster_pipeline.curation.area.turning import skew_of, upright
from artmaster_pipeline.curation.boxes import Box
from artmaster_pipeline.curation.look import Look

_WORK = 350_000  # pixels that borders are looked for in
_SHORT = 200  # pixels that a side keeps


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
    small, factor = _reduced(look.lab)
    scan = Box(0, 0, small.shape[1], small.shape[0])
    skew = skew_of(small)
    peeled = peel(upright(small, skew), scan, scan)
    box = peeled.box
    full = Box(box.left*factor, box.top*factor, box.right*factor, box.bottom*factor)
    mask=np.zeros(look.lab.shape[:2],bool); mask[full.top:full.bottom, full.left:full.right]=True
    return PaintedArea(round(skew,2), full, mask, None, ' '.join(peeled.doubtful))


def _reduced(lab: np.ndarray) -> tuple[np.ndarray, int]:
    """The picture at a whole fraction of its size, and by how much it was reduced."""
    height, width = lab.shape[:2]
    factor = int(max(1, min(round((height * width / _WORK) ** 0.5), min(height, width) // _SHORT)))
    rows, columns = height // factor * factor, width // factor * factor
    if factor == 1:
        return lab, 1
    blocks = sum(lab[i:rows:factor, j:columns:factor] for i in range(factor) for j in range(factor))
    return blocks / np.float32(factor**2), factor

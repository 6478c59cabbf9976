"""The painting in a look: its skew, its box, and the outline of a fan or a leaf."""

from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.curation.area.borders import Peeled, peel
from artmaster_pipeline.curation.area.leaves import leaf_in
from artmaster_pipeline.curation.area.panels import painted_panels
from artmaster_pipeline.curation.area.turning import skew_of, upright
from artmaster_pipeline.curation.boxes import Box
from artmaster_pipeline.curation.look import Look

_WORK = 350_000  # pixels that borders are looked for in
_SHORT = 200  # pixels that a side keeps
_LEAST = 16  # pixels: a narrower picture is taken as it is
_TRACE, _TRACED = 2, 0.004  # pixels of the reduced picture, and at most that share of a side


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
    if min(look.lab.shape[:2]) < _LEAST:
        return _all_of(look)
    small, factor = _reduced(look.lab)
    scan = Box(0, 0, small.shape[1], small.shape[0])
    skew = skew_of(small)
    small = upright(small, skew)
    peeled, unsure = _peeled(small, scan)
    box = _inset(peeled.box, scan)
    leaf = leaf_in(small, box)
    mask = np.zeros(look.lab.shape[:2], bool)
    box = _whole(box, scan, factor, look)
    if leaf is None:
        mask[box.top : box.bottom, box.left : box.right] = True
        return PaintedArea(round(skew, 2), box, mask, None, " ".join(unsure))
    outline = [(box.left + x * factor, box.top + y * factor) for x, y in leaf.outline]
    large = leaf.mask.repeat(factor, axis=0).repeat(factor, axis=1)
    mask[box.top : box.top + large.shape[0], box.left : box.left + large.shape[1]] = large
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return PaintedArea(round(skew, 2), box, mask, outline, " ".join(unsure))


def _all_of(look: Look) -> PaintedArea:
    height, width = look.lab.shape[:2]
    return PaintedArea(0.0, Box(0, 0, width, height), np.ones((height, width), bool))


def _peeled(small: np.ndarray, scan: Box) -> tuple[Peeled, list[str]]:
    """What is left when borders and other panels are taken off, and what is doubtful about it."""
    peeled = peel(small, scan, scan)
    split = painted_panels(small, peeled.box, peeled.colours)
    if split.box != peeled.box:
        peeled = peel(small, split.box, scan, peeled.colours)
    unsure = []
    if peeled.doubtful:
        unsure.append(f"There may be a border left at the {' and the '.join(peeled.doubtful)}.")
    if split.doubtful:
        unsure.append("The work seems to be of several pieces, and which of them is the painting is doubtful.")
    return peeled, unsure


def _inset(box: Box, scan: Box) -> Box:
    """The box without the last trace of a border, which an edge blurs into it, on the sides that had one."""
    across, down = (max(1, min(_TRACE, round(_TRACED * side))) for side in (box.width, box.height))
    return Box(
        box.left + across * (box.left > scan.left),
        box.top + down * (box.top > scan.top),
        box.right - across * (box.right < scan.right),
        box.bottom - down * (box.bottom < scan.bottom),
    )


def _whole(box: Box, scan: Box, factor: int, look: Look) -> Box:
    """The box in pixels of the look; it ends with the look where it ends with the reduced one."""
    height, width = look.lab.shape[:2]
    right = width if box.right == scan.right else box.right * factor
    bottom = height if box.bottom == scan.bottom else box.bottom * factor
    return Box(box.left * factor, box.top * factor, right, bottom)


def _reduced(lab: np.ndarray) -> tuple[np.ndarray, int]:
    """The picture at a whole fraction of its size, and by how much it was reduced."""
    height, width = lab.shape[:2]
    factor = int(max(1, min(round((height * width / _WORK) ** 0.5), min(height, width) // _SHORT)))
    rows, columns = height // factor * factor, width // factor * factor
    if factor == 1:
        return lab, 1
    blocks = np.zeros((rows // factor, columns // factor, 3), np.float32)
    for i in range(factor):
        for j in range(factor):
            blocks += lab[i:rows:factor, j:columns:factor]
    return blocks / np.float32(factor**2), factor

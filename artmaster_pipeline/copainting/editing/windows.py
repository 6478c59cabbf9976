"""How a large picture is cut into windows that the model paints one after the other, each seeing what is there already.

Neighbours overlap. Of each overlap the half that is nearer to the later window is painted anew by it, since the earlier
one could not see what comes there; so each pixel is kept from one window alone, and the halves join under a feather.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom outside
Grows = Literal["right", "left"]  # the direction in which windows follow one another


@dataclass(frozen=True)
class Window:
    """A part of the picture as the model sees it; `box` may reach beyond the picture, `keeps` is what stays of it."""

    box: Box
    keeps: Box


def windows_over(
    area: Box, sheet: tuple[int, int], size: tuple[int, int], context: int, part: int = 4, grows: Grows = "right"
) -> tuple[Window, ...]:
    """Windows of `size` (width, height) over an area of a sheet, in the order in which they are painted.

    So far as the sheet goes, they see `context` pixels around the area. Neighbours overlap by a `part`-th at least.
    """
    across = _spans(area[0], area[2], sheet[0], size[0], context, part)
    down = _spans(area[1], area[3], sheet[1], size[1], context, part)
    if grows == "left":
        across = across[::-1]
    return tuple(
        Window((x, y, x + size[0], y + size[1]), (left, top, right, bottom))
        for x, left, right in across
        for y, top, bottom in down
    )


def widest_feather(size: tuple[int, int], part: int = 4) -> int:
    """How wide a feather may be so that it ends before what the later of two neighbours paints anew does."""
    return min(size) // part // 2


def around(windows: tuple[Window, ...], sheet: tuple[int, int]) -> Box:
    """The smallest box that holds all of the windows, so far as they lie on the sheet."""
    left, top, right, bottom = zip(*(window.box for window in windows), strict=True)
    return max(0, min(left)), max(0, min(top)), min(sheet[0], max(right)), min(sheet[1], max(bottom))


def within(box: Box, frame: Box, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Where a box lies in an array of `shape` (height, width) whose first pixel is the first of `frame`."""
    left, top = box[0] - frame[0], box[1] - frame[1]
    right, bottom = box[2] - frame[0], box[3] - frame[1]
    height, width = shape
    return slice(min(max(top, 0), height), max(bottom, 0)), slice(min(max(left, 0), width), max(right, 0))


def finished(window: Window, earlier: tuple[Window, ...]) -> np.ndarray:
    """Which pixels of a window stay as earlier windows have painted them, bool (height, width)."""
    left, top, right, bottom = window.box
    found = np.zeros((bottom - top, right - left), bool)
    for each in earlier:
        found[within(each.keeps, window.box, found.shape)] = True
    return found


def _spans(begin: int, end: int, limit: int, size: int, context: int, part: int) -> list[tuple[int, int, int]]:
    """Along one side: where each window begins, and from where to where it is kept."""
    first, last = max(0, begin - context), min(limit, end + context)
    if last - first <= size:
        start = (begin + end - size) // 2
        start = min(max(start, 0), limit - size) if limit >= size else (limit - size) // 2
        return [(start, begin, end)]
    overlap = size // part
    count = -(-(last - first - overlap) // (size - overlap))
    starts = [round(first + (last - size - first) * number / (count - 1)) for number in range(count)]
    cuts = [begin, *((after + before + size) // 2 for before, after in pairwise(starts)), end]
    return [(start, cuts[number], cuts[number + 1]) for number, start in enumerate(starts)]

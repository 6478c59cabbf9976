"""A scan's pixels for its look and its crops: decoded once for each size, turned upright as they are read."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from artmaster_pipeline.curation.area.turning import turned
from artmaster_pipeline.curation.boxes import Box
from artmaster_pipeline.curation.look import Look, look_at, scale_of
from artmaster_pipeline.records import Scan
from artmaster_pipeline.scans.decoding import decode, eight_bits, held

if TYPE_CHECKING:
    import numpy as np
    import pyvips

HUGE = 64_000_000  # pixels of a scan with which memory is to be spared
_HELD = 21_000_000  # pixels of a JPEG that is held as a whole, as its crops may need it, too
_SHRINKS = (8, 4, 2)  # what a JPEG can be reduced by while it is decoded
_TO_SPARE = 1.2  # how much larger than needed a reduced picture has to be, so that no detail is lost


class Source:
    """The pictures of one scan; use it within `stack`, which frees them."""

    def __init__(self, path: Path, scan: Scan, workplace: Path, stack: ExitStack) -> None:
        import pyvips

        self._path, self._scan, self._workplace, self._stack = path, scan, workplace, stack
        self._held: dict[int, pyvips.Image] = {}
        pyvips.cache_set_max(0)  # what libvips remembers of earlier scans is never asked for again

    def look(self) -> Look:
        """The whole scan as it is judged, not yet turned."""
        scan = self._scan
        with ExitStack() as passing:
            # of a huge scan nothing is kept while it is judged
            stack = passing if scan.format == "JPEG" and scan.width * scan.height > HUGE else self._stack
            image = self._reduced(1 / scale_of(scan.width, scan.height), stack)
            found = look_at(eight_bits(image), scan.width, scan.height)
        if stack is passing:
            self._held.clear()
        return found

    def cut(self, box: Box, width: int, height: int, skew: float) -> "pyvips.Image":
        """A rectangle of the scan turned upright, 8-bit sRGB, reduced to that size; never meant to enlarge.

        Values of 16 bits are reduced to 8 as the last step.
        """
        image = self._reduced(box.width / width)
        across, down = image.width / self._scan.width, image.height / self._scan.height
        left, top = min(int(box.left * across), image.width - 1), min(int(box.top * down), image.height - 1)
        part = turned(image, skew).crop(
            left,
            top,
            min(max(1, round(box.width * across)), image.width - left),
            min(max(1, round(box.height * down)), image.height - top),
        )
        return eight_bits(_resized(part, width, height))

    def patches(self, boxes: list[Box]) -> list["np.ndarray"]:
        """Rectangles of one size of the scan, not turned, at its own resolution: grey, uint8 (height, width).

        A large JPEG is read for them from top to bottom without being held; there a rectangle beside an earlier one in
        the list is left out.
        """
        if self._scan.format != "JPEG" or 1 in self._held or self._scan.width * self._scan.height <= _HELD:
            return [_grey(self._reduced(1.0).crop(*_measures(box))).numpy() for box in boxes]
        kept: list[Box] = []
        for box in boxes:
            if all(box.bottom <= other.top or box.top >= other.bottom for other in kept):
                kept.append(box)
        if not kept:
            return []
        import pyvips

        image = decode(self._path, 1, deep=True).image
        kept.sort(key=lambda box: box.top)
        column = pyvips.Image.arrayjoin([_grey(image.crop(*_measures(box))) for box in kept], across=1).numpy()
        return [column[place * kept[0].height :][: kept[0].height] for place in range(len(kept))]

    def _reduced(self, scan_pixels: float, stack: ExitStack | None = None) -> "pyvips.Image":
        """The picture for a reduction by `scan_pixels`: a JPEG at 1/2, 1/4 or 1/8 where that leaves detail to spare.

        One that was decoded at a larger size already does as well.
        """
        shrink = next((factor for factor in _SHRINKS if scan_pixels >= _TO_SPARE * factor), 1)
        shrink = shrink if self._scan.format == "JPEG" else 1
        shrink = max((size for size in self._held if size < shrink), default=shrink)
        if shrink not in self._held:
            image = decode(self._path, shrink, deep=True).image
            self._held[shrink] = (stack or self._stack).enter_context(held(image, self._workplace))
        return self._held[shrink]


def _measures(box: Box) -> tuple[int, int, int, int]:
    return box.left, box.top, box.width, box.height


def _grey(image: "pyvips.Image") -> "pyvips.Image":
    return eight_bits(image).colourspace("b-w")


def _resized(part: "pyvips.Image", width: int, height: int) -> "pyvips.Image":
    if (part.width, part.height) == (width, height):
        return part
    if part.format == "uchar":
        return part.thumbnail_image(width, height=height, size="force")
    # a thumbnail would be of 8 bits before it is reduced
    return part.resize(width / part.width, vscale=height / part.height).copy(interpretation=part.interpretation)

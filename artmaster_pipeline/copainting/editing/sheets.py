"""The part of a picture that is painted, on the disk while it is worked on: read and laid on window by window.

A finished window is a file of its own that appears whole or not at all; the canvas is laid anew from these when work
begins. So a run that was killed goes on behind the last finished window, and nothing is half painted.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from artmaster_pipeline.copainting.editing.masks import Mask
from artmaster_pipeline.copainting.editing.windows import Box, Window, around, finished, within
from artmaster_pipeline.files import writing
from artmaster_pipeline.superres.upscaling.sheets import RawPixels, write_raw

if TYPE_CHECKING:
    import pyvips

# What makes a window of its samples, the mask there, what earlier windows have finished of it, and its number.
Make = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]


@dataclass(frozen=True)
class Sheet:
    """Windows over one area of the picture, and the folder for their samples."""

    area: Box
    windows: tuple[Window, ...]
    frame: Box  # around the windows, inside the picture: what of it is decoded
    folder: Path

    @property
    def patches(self) -> list[Path]:
        """The file of each window, in their order."""
        return [self.folder / f"window-{number}.npy" for number in range(len(self.windows))]

    @property
    def missing(self) -> int:
        """How many windows are still to be made."""
        return sum(not file.is_file() for file in self.patches)

    def paint(self, ground: "pyvips.Image", mask: Mask, make: Make, advance: Callable[[], None]) -> "pyvips.Image":
        """The area of the picture painted, to be read once. `ground` is the picture, read once, as it was."""
        left, top, right, bottom = self.frame
        self.folder.mkdir(parents=True, exist_ok=True)
        canvas = _canvas(ground.crop(left, top, right - left, bottom - top), self.folder)
        for number, (window, file) in enumerate(zip(self.windows, self.patches, strict=True)):
            if file.is_file():
                _lay(canvas, self.frame, window.box, np.load(file, allow_pickle=False))
                continue
            paint, done = _read_mask(mask, window, self.frame), finished(window, self.windows[:number])
            samples = _padded(canvas, window.box, self.frame)
            made = make(samples, paint, done, number) if (paint & ~done).any() else samples
            inner = made[within(self.frame, window.box, made.shape[:2])]
            with writing(file) as temporary:
                np.save(temporary, inner, allow_pickle=False)
            _lay(canvas, self.frame, window.box, inner)
            advance()
        return self._area_of(canvas, ground)

    def _area_of(self, canvas: RawPixels, ground: "pyvips.Image") -> "pyvips.Image":
        image = canvas.image(ground.interpretation)
        left, top, right, bottom = self.area
        return image.crop(left - self.frame[0], top - self.frame[1], right - left, bottom - top)


def sheet_over(area: Box, windows: tuple[Window, ...], picture: tuple[int, int], folder: Path) -> Sheet:
    """A sheet for windows over an area of a picture of that size."""
    frame = around(windows, picture)
    return Sheet(area, windows, frame, folder)


def _canvas(image: "pyvips.Image", folder: Path) -> RawPixels:
    """The samples in a file that may be read and written by parts."""
    plain = write_raw(image, folder / "ground.raw")
    canvas = RawPixels(folder / "canvas.raw", plain.shape, plain.dtype)
    with plain.file.open("rb") as source, canvas.file.open("wb") as target:
        target.write(bytes(canvas.head))
        shutil.copyfileobj(source, target, 2**20)
    plain.file.unlink()
    return canvas


def _inside(box: Box, frame: Box) -> Box:
    return max(box[0], frame[0]), max(box[1], frame[1]), min(box[2], frame[2]), min(box[3], frame[3])


def _padded(canvas: RawPixels, box: Box, frame: Box) -> np.ndarray:
    """A window's samples; what of it lies beyond the picture is mirrored."""
    inner = _inside(box, frame)
    samples = canvas[inner[1] - frame[1] : inner[3] - frame[1], inner[0] - frame[0] : inner[2] - frame[0]]
    return np.pad(samples, (*_beyond(box, inner), (0, 0)), "symmetric")


def _read_mask(mask: Mask, window: Window, frame: Box) -> np.ndarray:
    """Which pixels of a window are to be painted, mirrored where it reaches beyond the picture."""
    inner = _inside(window.box, frame)
    return np.pad(mask.part(inner), _beyond(window.box, inner), "symmetric")


def _beyond(box: Box, inner: Box) -> tuple[tuple[int, int], tuple[int, int]]:
    return (inner[1] - box[1], box[3] - inner[3]), (inner[0] - box[0], box[2] - inner[2])


def _lay(canvas: RawPixels, frame: Box, box: Box, samples: np.ndarray) -> None:
    inner = _inside(box, frame)
    place = canvas.mapped("r+")[inner[1] - frame[1] : inner[3] - frame[1], inner[0] - frame[0] : inner[2] - frame[0]]
    place[:] = samples
    del place

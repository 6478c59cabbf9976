"""One picture on its way: decoded onto the disk, through the network as often as it takes, and finished."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from artmaster_pipeline.errors import BadInput
from artmaster_pipeline.faults import size_in_words
from artmaster_pipeline.progress import Advance
from artmaster_pipeline.superres.detail import passes
from artmaster_pipeline.superres.enlarge import Enlarger
from artmaster_pipeline.superres.upscaling.opening import Opened
from artmaster_pipeline.superres.upscaling.saving import finished
from artmaster_pipeline.superres.upscaling.sheets import (
    RawPixels,
    Sheet,
    bands_there,
    enlarged_by_lanczos,
    write_raw,
)

if TYPE_CHECKING:
    import pyvips

_PIXEL = 6  # bytes of three channels


class Speed:
    """Tells how far work is, in tiles, and how fast it goes, in megapixels of the enlarged pictures a second."""

    def __init__(self, advance: Advance) -> None:
        self._advance = advance
        self._began = time.monotonic()
        self._pixels = 0.0
        self._tiles = 0

    @contextmanager
    def counted(self, tiles: int) -> Iterator[None]:
        """So many tiles are counted in here at the end, also where a picture failed or there was nothing to make."""
        before = self._tiles
        try:
            yield
        finally:
            if rest := before + tiles - self._tiles:
                self._tiles += rest
                self._advance(rest)

    def over(self, pixels: float, name: str) -> Callable[..., None]:
        """An `Advance` for tiles of about so many enlarged pixels."""

        def advance(steps: int = 1, note: str = "") -> None:
            self._tiles += steps
            self._pixels += steps * pixels
            speed = self._pixels / 1e6 / max(time.monotonic() - self._began, 1e-3)
            self._advance(steps, f"{speed:.3g} megapixels/s, {name}")

        return advance


def tiles_to_make(opened: Opened, width: int, net: Enlarger, work: Path) -> int:
    """How many tiles are still to be made until a picture has that width, over all passes."""
    count = 0
    for number in range(passes(width / opened.width, net.scale)):
        times = net.scale**number
        across, down = (net.tiling.spans(side * times) for side in (opened.width, opened.height))
        count += len(across) * (len(down) - bands_there(work, _name(number), _cut(net)))
    return count


def check_disk(out: Path, opened: Opened, size: tuple[int, int], net: Enlarger) -> None:
    """Raise BadInput where the disk of `out` has no room for the picture and the pixels in work."""
    times = net.scale ** passes(size[0] / opened.width, net.scale)
    needed = (opened.width * opened.height * times**2 + size[0] * size[1]) * _PIXEL
    if needed > (free := shutil.disk_usage(out).free):
        raise BadInput(
            f"It takes up to {size_in_words(needed)} of the disk while it lasts, and {size_in_words(free)} are free",
            "Make room, or choose another --out",
        )


def enlarged(
    opened: Opened, size: tuple[int, int], bits: int, net: Enlarger, work: Path, told: Speed, say: Callable[[str], None]
) -> "pyvips.Image":
    """The picture at `size`, in its own colour space, to be read once; what is needed for it lies in the folder `work`.

    What a run before has left there is gone on with.
    """
    width, height = size
    source = write_raw(opened.colours(), work / "source.raw")
    for number in range(passes(width / opened.width, net.scale)):
        source = _pass(source, net, work, number, told, opened.path.name, say)
    colours = source.image("rgb16")
    if (colours.width, colours.height) != size:
        colours = _reduced(colours, width, height)
    alpha = None
    if (transparency := opened.alpha()) is not None:
        raw = write_raw(transparency, work / "alpha-source.raw")
        alpha = enlarged_by_lanczos(raw, width, height, work / "alpha.raw").image("grey16")
    return finished(opened, colours, alpha, bits, work)


def _reduced(colours: "pyvips.Image", width: int, height: int) -> "pyvips.Image":
    """By the area mean where that is of whole pixels, since those means are the original's; else by Lanczos."""
    if colours.width % width == colours.height % height == 0:
        return colours.shrink(colours.width // width, colours.height // height)
    return colours.resize(width / colours.width, vscale=height / colours.height, kernel="lanczos3")


def _pass(
    source: RawPixels, net: Enlarger, work: Path, number: int, told: Speed, name: str, say: Callable[[str], None]
) -> RawPixels:
    """The network once over all of the source."""
    height, width, _ = source.shape
    shared = net.tiling.overlap * net.scale
    sheet = Sheet(work, _name(number), height * net.scale, width * net.scale, shared, _cut(net))
    advance = told.over(height * width * net.scale**2 / net.tiles(height, width), name)
    net.enlarge_onto(source, sheet, advance, first_band=sheet.bands, say=say)
    return sheet.pixels


def _name(number: int) -> str:
    return f"pass-{number}"


def _cut(net: Enlarger) -> str:
    """How pictures are cut into tiles."""
    return f"{net.tiling.side} {net.tiling.overlap}"

"""What is asked of an edit, and everything that is wrong with it, told at once before anything is loaded."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from artmaster_pipeline.copainting.editing.masks import mask_faults
from artmaster_pipeline.copainting.editing.records import Kind
from artmaster_pipeline.copainting.editing.windows import Box
from artmaster_pipeline.copainting.editing.works import Work, open_work
from artmaster_pipeline.errors import BadInput, WrongUse
from artmaster_pipeline.files import check_folder
from artmaster_pipeline.generation.requests import file_name
from artmaster_pipeline.settings import Profile
from artmaster_pipeline.superres.upscaling.saving import ENDINGS, Format

T = TypeVar("T")

_FORMATS: dict[str, Format] = {".png": "png", ".tif": "tiff", ".tiff": "tiff"}
_PICTURES = (*_FORMATS, ".jpg", ".jpeg", ".webp")
_MOST_KEPT = 0.95  # beyond it no step is left
_LEAST_ADDED, _MOST_TIMES_WIDER = 16, 8
_SMALLEST_WINDOW = 64
_MOST_PIXELS = 1_000_000_000
# How many times larger than the model's picture a window becomes at most where nobody says how large it is: beyond,
# what is made has too little detail of its own. A scroll is extended by windows as high as it, and what keeps its
# structure has it from the work.
_MOST_TIMES: dict[Kind, float] = {"repaint": 6.0, "restyle": 8.0, "outpaint": 8.0}
_AROUND = 1.6  # so many times as wide as the mask a window is, so that the model sees what it paints into
_OF_THE_WORK = 2.5  # a window is no smaller than this part of the work's shorter side: crops that taught are not, too


@dataclass(frozen=True)
class Wish:
    """One edit that was asked for; `left` and `right` are an outpainting's, in pixels."""

    kind: Kind
    picture: Path
    painter: str
    prompt: str = ""
    mask: Path | None = None
    left: int = 0
    right: int = 0
    keep: float = 0.0
    control: bool = False  # whether the profile's ControlNet holds it to the work's edges
    adapter_id: str | None = None
    count: int = 1
    seed: int = 0
    out: Path = field(default_factory=Path)
    window: int | None = None  # pixels of the picture, the shorter side
    feather: int | None = None  # pixels of the picture
    sign: bool | None = None  # none: where the house has keys
    drawing: dict[str, Any] = field(default_factory=dict)  # settings by name; none of them: as chosen

    @property
    def is_file(self) -> bool:
        """Whether `out` names the picture itself, not a folder."""
        return self.out.suffix.lower() in _PICTURES and not self.out.is_dir()

    def result_size(self, work: tuple[int, int]) -> tuple[int, int]:
        """Width and height of the picture that comes out."""
        return work[0] + self.left + self.right, work[1]

    def format_for(self, work: Work) -> Format:
        """The kind of file: as `out` says, else a TIFF of a TIFF or of CMYK, else a PNG."""
        if self.is_file:
            return _FORMATS[self.out.suffix.lower()]
        is_tiff = work.opened.image.get("vips-loader") == "tiffload" or work.opened.space == "CMYK"
        return "tiff" if is_tiff else "png"

    def target(self, work: Work, seed: int, record_id: str) -> Path:
        """The file that the picture goes to."""
        if self.is_file:
            return self.out
        name = f"{file_name(self.picture.stem, 'picture')}-{self.kind}-{self.painter}-{seed}-{record_id[:8]}"
        return self.out / f"{name}{ENDINGS[self.format_for(work)]}"


def opened_wish(wish: Wish, folder: Path, hand: Callable[[], T]) -> tuple[Work, T]:
    """The work, and what `hand` finds of the painter; `folder` is for what is made on the way.

    Raises WrongUse with everything that is wrong with the wish, and with what `hand` raises of that kind.
    """
    import pyvips

    faults, work = _numbers(wish), None
    try:
        work = open_work(wish.picture, folder)
    except FileNotFoundError:
        faults.append(f"{wish.picture}: there is no such file")
    except BadInput as error:
        faults.append(f"{wish.picture} cannot be edited: {error.reason}. {error.remedy}")
    except (pyvips.Error, OSError):
        faults.append(f"{wish.picture} cannot be read: take a whole copy of a PNG, TIFF, JPEG or WebP")
    if wish.mask is not None:
        faults += mask_faults(wish.mask, work.size if work else None)
    if work:
        faults += _of_the_work(wish, work)
    found = None
    try:
        found = hand()
    except WrongUse as error:
        faults.append(str(error).removesuffix("."))
    if faults or work is None or found is None:
        listed = "".join(f"\n  - {fault}." for fault in faults)
        raise WrongUse(f"{faults[0]}." if len(faults) == 1 else f"There is more than one thing wrong:{listed}")
    check_folder(wish.out.parent if wish.is_file else wish.out)
    return work, found


def _numbers(wish: Wish) -> list[str]:
    found = []
    if wish.count < 1:
        found.append(f"{wish.count} pictures cannot be made: ask for one or more")
    if not 0 <= wish.keep <= _MOST_KEPT:
        found.append(f"--keep {wish.keep:g} is not between 0 (nothing is kept) and {_MOST_KEPT:g}")
    if wish.window is not None and wish.window < _SMALLEST_WINDOW:
        found.append(f"--window {wish.window} is less than {_SMALLEST_WINDOW} pixels")
    if wish.feather is not None and wish.feather < 1:
        found.append(f"--feather {wish.feather}: give at least one pixel")
    return found + _sides(wish) + _out(wish)


def _sides(wish: Wish) -> list[str]:
    if wish.kind != "outpaint":
        return []
    found = [
        f"--{name} {pixels}: add {_LEAST_ADDED} pixels or more, or none"
        for name, pixels in (("left", wish.left), ("right", wish.right))
        if pixels < 0 or 0 < pixels < _LEAST_ADDED
    ]
    if wish.left == wish.right == 0:
        found.append("Nothing is to be added: say --left or --right with a number of pixels")
    return found


def _out(wish: Wish) -> list[str]:
    found = []
    if wish.is_file and wish.out.suffix.lower() not in _FORMATS:
        found.append(f"--out {wish.out}: {wish.out.suffix} changes every pixel; name a .png or .tif, or a folder")
    if wish.is_file and wish.count > 1:
        found.append(f"--out {wish.out} is one file and {wish.count} pictures are asked for: name a folder")
    return found


def _of_the_work(wish: Wish, work: Work) -> list[str]:
    found = []
    width, height = wish.result_size(work.size)
    if wish.kind == "outpaint" and max(wish.left, wish.right) > _MOST_TIMES_WIDER * max(work.size):
        found.append(f"More than {_MOST_TIMES_WIDER} times the work cannot be added at a side: add less, then go on")
    if width * height > _MOST_PIXELS:
        found.append(f"The picture would have {width:,} x {height:,} pixels, more than {_MOST_PIXELS:,}: add less")
    if wish.is_file and wish.out.resolve() == wish.picture.resolve():
        found.append(f"--out {wish.out} is the work itself, which is never written over: name another file")
    png = wish.is_file and wish.out.suffix.lower() == ".png"
    if png and work.opened.space == "CMYK":
        found.append(f"--out {wish.out}: the work's colours are CMYK, which PNG does not hold; name a .tif")
    return found


def window_size(
    wish: Wish, area: Box, work: tuple[int, int], profile: Profile
) -> tuple[tuple[int, int], tuple[int, int]]:
    """The windows' width and height in the picture's pixels, and in the model's."""
    square, upright = profile.size(512, 512), profile.size(512, 768)
    shapes = [square] if wish.kind == "outpaint" else [square, upright]
    if wish.kind == "restyle":
        shapes.append(upright[::-1])
    wide, high = _extent(wish, area, work)
    most = _MOST_TIMES[wish.kind]
    fits = []
    for width, height in shapes:
        times = min(max(wide / width, high / height, 1.0), most)
        if wish.window is not None:
            times = wish.window / min(width, height)
        pieces = math.ceil(wide / (width * times) - 0.01) * math.ceil(high / (height * times) - 0.01)
        fits.append((width * height * times**2 * pieces, times, (width, height)))
    _, times, model = min(fits)
    return (round(model[0] * times), round(model[1] * times)), model


def _extent(wish: Wish, area: Box, work: tuple[int, int]) -> tuple[float, float]:
    """What a window should show at once, where the model's picture is large enough."""
    wide, high = area[2] - area[0], area[3] - area[1]
    if wish.kind == "outpaint":
        return float(work[1]), float(work[1])
    if wish.kind == "restyle" and wish.mask is None:
        return float(wide), float(high)
    least = min(work) / _OF_THE_WORK
    return max(wide * _AROUND, least), max(high * _AROUND, least)

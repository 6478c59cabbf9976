"""A canvas as a person looks at it before anything is painted: numbered regions over a picture, and who paints each."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from artmaster_pipeline.copainting.canvas.colours import Colour, shades_of
from artmaster_pipeline.copainting.canvas.fitting import fitted
from artmaster_pipeline.copainting.canvas.outlines import INK, PAPER, numbered, outlined
from artmaster_pipeline.copainting.canvas.reading import label_map, load
from artmaster_pipeline.copainting.records import Canvas, Hand
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.evaluation.report.lettering import OMITTED, Lettering, find_lettering
from artmaster_pipeline.pictures import read_facts, write_png
from artmaster_pipeline.records import GROUND
from artmaster_pipeline.sample_painters.layout import KIND_COLOURS
from artmaster_pipeline.settings import Home

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

_SHOWS = "who paints which region"
_LONG_SIDE = 1024  # pixels of the canvas on the sheet
_SAME_SHAPE = 0.02  # by which a picture's width over height may miss the canvas'
_TINT = 0.4  # a region's colour over a picture
_LINE = 1  # pixels on each side of a border, and one of ink beyond
_DISC = 17  # pixels: the radius of the disc that a region's number stands on
_MARGIN, _LEGEND, _ENTRY, _HEAD, _SWATCH = 32, 520, 78, 120, 34
_QUIET = (112, 104, 96)


@dataclass(frozen=True)
class _Entry:
    """A region in the legend, with the number that it has on the label map; the ground has none."""

    number: str
    name: str
    kind: str
    painters: str
    prompt: str
    share: float
    colour: Colour


def preview(canvas: Canvas, picture: np.ndarray | None) -> np.ndarray:
    """A sheet, uint8 (height, width, 3): the regions tinted over a picture, outlined and numbered, with a legend.

    `picture` is uint8 (height, width, 3) of the canvas' shape and any size; without one the regions are shown in their
    own colours. Raises WrongUse for a picture of another shape, and as `label_map` does.
    """
    from PIL import Image

    labels = label_map(canvas)
    scale = _LONG_SIDE / max(canvas.size)
    shown = (round(canvas.size[0] * scale), round(canvas.size[1] * scale))
    large = np.asarray(Image.fromarray(labels).resize(shown, Image.Resampling.NEAREST))
    # over a picture the ground is left as it is
    entries = _entries(canvas, labels, KIND_COLOURS["other"] if picture is None else PAPER)
    if picture is None:
        pixels = _coloured(large, canvas, entries)
    else:
        pixels = _tinted(_resized(picture, canvas, shown), large, canvas, entries)
    drawn = Image.fromarray(outlined(pixels, large, _LINE))
    lettering = find_lettering([canvas.prompt, *(entry.prompt for entry in entries)])
    for region, entry in zip(canvas.regions, entries[1:], strict=True):
        numbered(drawn, large == region.label, entry.number, _DISC)
    return np.asarray(_sheet(canvas, drawn, entries, lettering))


def write_preview(path: Path, home: Home, file: Path, over: Path | None = None) -> tuple[str, ...]:
    """Write the sheet of a canvas.yaml as a PNG, over a picture where one is named; gives what is to be said of it.

    The picture's middle is taken in the canvas' shape. Raises WrongUse as `load`, and where something else than such a
    sheet has the file's place; BadInput for a picture that cannot be used.
    """
    if file.suffix.lower() != ".png":
        raise WrongUse(f"--out {file}: the sheet is a PNG: name a file that ends in .png.")
    if os.path.lexists(file) and read_facts(file).get("shows") != _SHOWS:
        raise WrongUse(f"{file} exists and is no such sheet: name another file with --out.")
    canvas = load(path, home)
    picture, lost = None, 0.0
    if over is not None:
        _, picture, lost = fitted(over, canvas.size)
    write_png(file, preview(canvas, picture), {"canvas": canvas.name, "shows": _SHOWS})
    return (f"{lost:.0%} of the picture lies outside of the canvas' shape.",) if lost >= 0.005 else ()


def _entries(canvas: Canvas, labels: np.ndarray, ground: Colour) -> list[_Entry]:
    counts = np.bincount(labels.reshape(-1), minlength=256) / labels.size
    shades = shades_of(region.kind for region in canvas.regions)
    found = [_entry("", GROUND, "", canvas.ground, counts[0], ground)]
    for region, shade in zip(canvas.regions, shades, strict=True):
        found.append(_entry(str(region.label), region.id, region.kind, region, counts[region.label], shade))
    return found


def _entry(number: str, name: str, kind: str, hand: Hand, share: float, colour: Colour) -> _Entry:
    painters = hand.mix.in_words() if hand.mix else ", ".join(hand.painters)
    return _Entry(number, name, kind, painters, hand.prompt, float(share), colour)


def _resized(picture: np.ndarray, canvas: Canvas, shown: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    height, width = picture.shape[:2]
    if abs(width / height / (canvas.size[0] / canvas.size[1]) - 1) > _SAME_SHAPE:
        raise WrongUse(
            f"The picture is {width}x{height} and the canvas {canvas.size[0]}x{canvas.size[1]}, another shape: "
            "crop the picture to the canvas' shape."
        )
    return np.asarray(Image.fromarray(picture).resize(shown, Image.Resampling.LANCZOS))


def _coloured(large: np.ndarray, canvas: Canvas, entries: list[_Entry]) -> np.ndarray:
    table = np.zeros((256, 3), np.uint8)
    for label, entry in zip([0, *(region.label for region in canvas.regions)], entries, strict=True):
        table[label] = entry.colour
    return table[large]


def _tinted(picture: np.ndarray, large: np.ndarray, canvas: Canvas, entries: list[_Entry]) -> np.ndarray:
    colours = _coloured(large, canvas, entries)
    weight = np.where(large > 0, _TINT, 0.0)[..., None]
    return np.rint(picture * (1 - weight) + colours * weight).astype(np.uint8)


def _sheet(canvas: Canvas, drawn: "Image.Image", entries: list[_Entry], lettering: Lettering) -> "Image.Image":
    """Legend at the right of a standing canvas, below a lying one."""
    from PIL import Image, ImageDraw

    beside = canvas.size[1] >= canvas.size[0]
    columns = 1 if beside else max(1, drawn.width // 480)
    legend_height = _HEAD + _ENTRY * -(-len(entries) // columns)
    if beside:
        size = (3 * _MARGIN + drawn.width + _LEGEND, 2 * _MARGIN + max(drawn.height, legend_height))
        left, top = 2 * _MARGIN + drawn.width, _MARGIN
    else:
        size = (2 * _MARGIN + drawn.width, 3 * _MARGIN + drawn.height + legend_height)
        left, top = _MARGIN, 2 * _MARGIN + drawn.height
    sheet = Image.new("RGB", size, PAPER)
    sheet.paste(drawn, (_MARGIN, _MARGIN))
    pen = ImageDraw.Draw(sheet)
    width = size[0] - _MARGIN - left
    _line(pen, lettering, (left, top), f"{canvas.name}, {canvas.size[0]}x{canvas.size[1]}", 28, INK, width)
    first, rest = _two_lines(lettering, canvas.prompt, 17, width)
    _line(pen, lettering, (left, top + 44), first, 17, _QUIET, width, sans=True)
    _line(pen, lettering, (left, top + 68), rest, 17, _QUIET, width, sans=True)
    for index, entry in enumerate(entries):
        column, row = divmod(index, -(-len(entries) // columns))
        place = (left + column * width // columns, top + _HEAD + row * _ENTRY)
        _draw_entry(pen, lettering, entry, place, width // columns - 12)
    return sheet


def _draw_entry(
    pen: "ImageDraw.ImageDraw", lettering: Lettering, entry: _Entry, place: tuple[int, int], width: int
) -> None:
    x, y = place
    pen.rectangle((x, y, x + _SWATCH, y + _SWATCH), fill=entry.colour, outline=INK)
    if entry.number:
        light = sum(entry.colour) > 3 * 120
        centre = (x + _SWATCH // 2, y + _SWATCH // 2)
        font = lettering.font(entry.number, 19 if len(entry.number) < 3 else 15, sans=True)
        pen.text(centre, entry.number, INK if light else PAPER, font, anchor="mm")
    x, width = x + _SWATCH + 14, width - _SWATCH - 14
    kind = f", {entry.kind}" if entry.kind not in ("", entry.name) else ""
    _line(pen, lettering, (x, y - 3), f"{entry.name}{kind} ({entry.share:.0%})", 19, INK, width, sans=True)
    _line(pen, lettering, (x, y + 21), entry.painters, 17, INK, width, sans=True)
    _line(pen, lettering, (x, y + 43), entry.prompt, 16, _QUIET, width, sans=True)


def _two_lines(lettering: Lettering, text: str, size: int, width: int) -> tuple[str, str]:
    """As many words as the first line holds, and the others."""
    words = lettering.readable(text).split(" ")
    font = lettering.font(text, size, sans=True)
    first = len(words)
    while first > 1 and font.getlength(" ".join(words[:first])) > width:
        first -= 1
    return " ".join(words[:first]), " ".join(words[first:])


def _line(
    pen: "ImageDraw.ImageDraw",
    lettering: Lettering,
    place: tuple[int, int],
    text: str,
    size: int,
    colour: Colour,
    width: int,
    *,
    sans: bool = False,
) -> None:
    """One line of text, cut to `width` pixels."""
    text = lettering.readable(text)
    font = lettering.font(text, size, sans=sans)
    while text.rstrip(OMITTED) and font.getlength(text) > width:
        text = f"{text.rstrip(OMITTED)[:-1].rstrip()}{OMITTED}"
    pen.text(place, text, fill=colour, font=font)

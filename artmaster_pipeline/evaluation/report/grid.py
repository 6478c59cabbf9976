"""A grid as one picture: original | base | adapter, or other columns; a row per prompt, with headings and captions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.evaluation.report.lettering import OMITTED, Lettering, find_lettering
from artmaster_pipeline.evaluation.rows import Row
from artmaster_pipeline.files import writing
from artmaster_pipeline.pictures import AI_GENERATED, is_whole, write_jpeg, write_png
from artmaster_pipeline.records import Sample, identity

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

GRID = "grid.png"
HEADINGS = ("Original", "Base model", "With the adapter")

_LAYOUT = 2  # part of the grid's id: raise it when the drawing below changes
_CELL = 384  # pixels: the least width at which a picture is shown
_GAP, _MARGIN = 24, 56
_PREVIEW_WIDTH = 900
_PAPER, _INK, _QUIET, _RULE = (250, 248, 243), (33, 30, 27), (112, 104, 96), (214, 207, 196)


@dataclass(frozen=True)
class Sheet:
    """What stands above a grid: the painter's name, what is shown, and a heading for each column."""

    title: str
    subtitle: str
    headings: tuple[str, ...]


@dataclass(frozen=True)
class _Line:
    text: str
    size: int
    colour: tuple[int, int, int]
    sans: bool = False


def grid_id(samples: Sequence[Sample], labels: Sequence[str]) -> str:
    """What decides the grid's pixels, fonts apart."""
    return identity("grid", _LAYOUT, list(labels), [[s.id, s.sha256, s.prompt, s.seed] for s in samples])


def preview_of(grid: Path) -> Path:
    """The smaller JPEG of a grid."""
    return grid.with_suffix(".jpg")


def write_grid(grid: Path, root: Path, sheet: Sheet, rows: Sequence[Row], samples: Sequence[Sample]) -> bool:
    """Write `grid` (PNG) and its smaller preview; gives whether they had to be drawn.

    `samples` are one per heading for every row, row by row; their paths are below `root`.
    """
    identifier = grid_id(samples, [sheet.title, sheet.subtitle, *sheet.headings, *(row.label for row in rows)])
    preview = preview_of(grid)
    if preview.is_file() and grid.is_file() and is_whole(grid, identifier):
        return False
    import numpy as np
    from PIL import Image

    drawn = _draw_sheet(root, sheet, rows, samples)
    facts = {"id": identifier, "notice": AI_GENERATED, "shows": sheet.subtitle, "columns": list(sheet.headings)}
    height = round(drawn.height * _PREVIEW_WIDTH / drawn.width)
    with writing(preview) as temporary:
        write_jpeg(temporary, drawn.resize((_PREVIEW_WIDTH, height), Image.Resampling.LANCZOS), facts, quality=85)
    write_png(grid, np.asarray(drawn), facts)
    return True


def _draw_sheet(root: Path, sheet: Sheet, rows: Sequence[Row], samples: Sequence[Sample]) -> "Image.Image":
    from PIL import Image, ImageDraw

    lettering = find_lettering([sheet.title, *(sample.prompt for sample in samples)])
    columns = len(sheet.headings)
    cell = max(_CELL, *(sample.width for sample in samples))
    of_row = [samples[columns * i : columns * (i + 1)] for i in range(len(rows))]
    heights = [max(round(s.height * cell / s.width) for s in cells) for cells in of_row]
    unit = cell / _CELL  # letters grow with the pictures
    head, foot, caption = round(150 * unit), round(72 * unit), round(64 * unit)
    width = 2 * _MARGIN + columns * cell + (columns - 1) * _GAP
    drawn = Image.new("RGB", (width, head + sum(heights) + caption * len(rows) + foot), _PAPER)
    pen = ImageDraw.Draw(drawn)
    _draw_head(pen, lettering, sheet, cell, unit)
    top = head
    for row, cells, height in zip(rows, of_row, heights, strict=True):
        for column, sample in enumerate(cells):
            with Image.open(root / sample.path) as file:
                picture = file.convert("RGB").resize((cell, height), Image.Resampling.LANCZOS)
            drawn.paste(picture, (_MARGIN + column * (cell + _GAP), top))
        top += height
        _draw_caption(pen, lettering, row, (_MARGIN, top + round(10 * unit)), width - 2 * _MARGIN, unit)
        top += caption
    note = f"Same prompt and seed in each row. All columns but the first: {AI_GENERATED}."
    if any(OMITTED in lettering.readable(sample.prompt) != sample.prompt for sample in samples):
        note += f" {OMITTED} stands for characters that no font on this machine has."
    place = (_MARGIN, top + round(14 * unit))
    _set(pen, lettering, place, _Line(note, round(15 * unit), _QUIET, sans=True), width - 2 * _MARGIN)
    return drawn


def _draw_head(pen: "ImageDraw.ImageDraw", lettering: Lettering, sheet: Sheet, cell: int, unit: float) -> None:
    columns = len(sheet.headings)
    right = _MARGIN + columns * cell + (columns - 1) * _GAP
    name = _Line(lettering.readable(sheet.title), round(34 * unit), _INK)
    _set(pen, lettering, (_MARGIN, round(30 * unit)), name, (columns - 1) * cell)
    facts = _Line(sheet.subtitle, round(15 * unit), _QUIET, sans=True)
    start = right - min(cell, lettering.font(facts.text, facts.size, sans=True).getlength(facts.text))
    _set(pen, lettering, (round(start), round(48 * unit)), facts, cell)
    line = round(88 * unit)
    pen.line((_MARGIN, line, right, line), _RULE, 1)
    for column, heading in enumerate(sheet.headings):
        place = (_MARGIN + column * (cell + _GAP), line + round(20 * unit))
        _set(pen, lettering, place, _Line(heading, round(19 * unit), _INK, sans=True), cell)


def _draw_caption(
    pen: "ImageDraw.ImageDraw", lettering: Lettering, row: Row, place: tuple[int, int], width: int, unit: float
) -> None:
    label = _Line(f"{row.label} · seed {row.seed}", round(15 * unit), _QUIET, sans=True)
    space = round(lettering.font(label.text, label.size, sans=True).getlength(label.text))
    _set(pen, lettering, (place[0] + width - space, place[1] + round(3 * unit)), label, space + 1)
    caption = _Line(lettering.readable(row.image.caption), round(18 * unit), _INK)
    _set(pen, lettering, place, caption, width - space - round(24 * unit))


def _set(pen: "ImageDraw.ImageDraw", lettering: Lettering, place: tuple[int, int], line: _Line, width: int) -> None:
    """Set one line, cut with an ellipsis where it is longer than `width` pixels."""
    font: Any = lettering.font(line.text, line.size, sans=line.sans)
    text = line.text
    while text and font.getlength(text) > width:
        text = text[: -2 if text.endswith(OMITTED) else -1].rstrip() + OMITTED
        if text == OMITTED:
            break
    pen.text(place, text, line.colour, font)

"""The site's files as names and contents: the page, its pictures in the sizes it shows, provenance."""

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any

from artmaster_pipeline.files import inside
from artmaster_pipeline.gallery.enlarging import Picture, sample_facts
from artmaster_pipeline.gallery.provenance import Provenance, provenance_json
from artmaster_pipeline.pictures import AI_GENERATED, write_jpeg
from artmaster_pipeline.records import Sample, Scan
from artmaster_pipeline.settings import Home, load_painter

PAGE = "index.html"
Contents = dict[str, bytes | Path]  # POSIX path below the site -> bytes, or the file to copy

_THUMBNAIL, _VIEW = 640, 2048  # pixels of the longer side
_STATIC = ("style.css", "gallery.js")
_SCRIPTS = (("ja", re.compile(r"[぀-ヿ]")), ("ko", re.compile(r"[가-힯]")), ("zh", re.compile(r"[㐀-鿿]")))


@dataclass(frozen=True)
class Comparison:
    """A row of the evaluation grid on the page."""

    original: Sample
    base: Sample
    adapter: Sample
    held_out: bool


def site_contents(home: Home, provenance: Provenance, enlarged: Sequence[Picture], cells: Sequence[Sample]) -> Contents:
    """All files of a painter's site but its manifest. `cells` are the evaluation's samples, three per row."""
    painter = provenance.adapter.painter
    compared = {cell.path: inside(home.evaluation(painter), cell.path) for cell in cells}
    contents: Contents = {}
    for picture in enlarged:
        contents[picture.record.path] = picture.file
        contents[view_of(picture.record)] = _jpeg(picture.file, _VIEW, picture.record)
        contents[thumbnail_of(picture.record)] = _jpeg(picture.file, _THUMBNAIL, picture.record)
    shown = [published_cell(cell) for cell in cells]
    for cell, record in zip(cells, shown, strict=True):
        contents[record.path] = compared[cell.path]
        contents[thumbnail_of(record)] = _jpeg(compared[cell.path], _THUMBNAIL, record)
    works = work_thumbnails(home, provenance)
    contents |= {f"works/{name}": file for name, file in works.items()}
    evaluated = home.evaluation(painter) / provenance.adapter.id
    contents["grid.png"] = evaluated / "grid.png"
    contents |= {name: _asset(name) for name in _STATIC}
    records = [picture.record for picture in enlarged]
    contents["provenance.json"] = provenance_json(provenance, [*records, *shown]).encode()
    panel = json.loads((evaluated / "panel.json").read_text(encoding="utf-8"))
    page = _page(home, provenance, records, _comparisons(shown, provenance), panel, frozenset(works))
    contents[PAGE] = page.encode()
    return contents


def painters_page(
    home: Home, galleries: Mapping[str, Sequence[Sample]], folders: Mapping[str, str] | None = None
) -> str:
    """The page over all painters; `galleries` holds the published records of each.

    `folders` says in which folder beside the page a painter's site lies, where that is not the slug's.
    """
    shown = []
    for painter, records in sorted(galleries.items()):
        pictures = [record for record in in_order(records) if record.enlarged_by]
        name = load_painter(home, painter).name if home.scans(painter).is_dir() else painter
        shown.append({"slug": (folders or {}).get(painter, painter), "name": name, "pictures": pictures})
    css = _asset("style.css").decode()
    return _environment().get_template("painters.html").render(painters=shown, css=css, notice=AI_GENERATED)


def published_cell(cell: Sample) -> Sample:
    """The record of a cell of the evaluation grid as it lies in the site."""
    return Sample.model_validate(cell.model_dump() | {"path": f"comparison/{cell.id}.png"})


def in_order(records: Sequence[Sample]) -> list[Sample]:
    """Records in the order of the grid's rows: by seed."""
    return sorted(records, key=lambda record: (record.seed, record.id))


def view_of(record: Sample) -> str:
    """The JPEG that a viewer opens."""
    return record.path.removesuffix(".png") + ".jpg"


def thumbnail_of(record: Sample) -> str:
    """The JPEG on the page."""
    return f"thumbnails/{record.id}.jpg"


def work_thumbnails(home: Home, provenance: Provenance) -> dict[str, Path]:
    """The register's thumbnails of the works trained on, by file name; a scan that has left the register has none."""
    folder = home.register(provenance.adapter.painter) / "thumbnails"
    names = [f"{scan.id}.jpg" for scan in provenance.trained_on]
    return {name: inside(folder, name) for name in names if inside(folder, name).is_file()}


def _page(
    home: Home,
    provenance: Provenance,
    pictures: Sequence[Sample],
    comparisons: Sequence[Comparison],
    panel: dict[str, Any],
    works: frozenset[str],
) -> str:
    adapter = provenance.adapter
    ranks = list(adapter.ranks.values())
    return (
        _environment()
        .get_template("painter.html")
        .render(
            painter=load_painter(home, adapter.painter),
            adapter=adapter,
            pictures=in_order(pictures),
            comparisons=comparisons,
            cell_width=max(320, *(row.original.width for row in comparisons)),
            panel=panel,
            works=provenance.trained_on,
            held_out=provenance.held_out,
            thumbnails=works,
            mean_rank=sum(ranks) / max(1, len(ranks)),
            notice=AI_GENERATED,
        )
    )


def _comparisons(cells: Sequence[Sample], provenance: Provenance) -> list[Comparison]:
    """Cells by row: a row has one seed of its own, and one cell per column."""
    rows = []
    for _, row in groupby(in_order(cells), key=lambda cell: cell.seed):
        by_column = {cell.column: cell for cell in row}
        original = by_column["original"]
        held_out = original.scan_sha256 not in provenance.adapter.scan_sha256s
        rows.append(Comparison(original, by_column["base"], by_column["adapter"], held_out))
    return rows


def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("artmaster_pipeline.gallery", "site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"thumbnail": thumbnail_of, "view": view_of, "language": language_of, "named": work_name}
    return environment


def language_of(text: str) -> str:
    """The language tag by which browsers choose fonts and voices: zh, ja or ko by the text's script, else empty."""
    return next((tag for tag, script in _SCRIPTS if script.search(text)), "")


def work_name(scan: Scan) -> str:
    """A work's title, or the name of its file where the archive gave none."""
    return scan.title or Path(scan.path).stem


def _asset(name: str) -> bytes:
    return (resources.files("artmaster_pipeline.gallery") / "site" / name).read_bytes()


def _jpeg(file: Path, long_side: int, record: Sample) -> bytes:
    from PIL import Image

    with Image.open(file) as picture:
        image = picture.convert("RGB")
    image.thumbnail((long_side, long_side), Image.Resampling.LANCZOS)
    if record.column == "original":
        facts = {"id": record.id, "notice": "Detail of a scanned artwork", "scan_sha256": record.scan_sha256}
    else:
        facts = sample_facts(record) | {"enlarged_by": record.enlarged_by}
    buffer = io.BytesIO()
    write_jpeg(buffer, image, facts)
    return buffer.getvalue()

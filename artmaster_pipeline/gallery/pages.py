"""The site's files as names and contents: the pages in each language, their pictures, provenance."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any

from artmaster_pipeline import __version__
from artmaster_pipeline.adapters.finding import any_adapter
from artmaster_pipeline.files import inside
from artmaster_pipeline.gallery import renditions
from artmaster_pipeline.gallery.citing import bibtex, json_ld
from artmaster_pipeline.gallery.enlarging import Picture
from artmaster_pipeline.gallery.judgement import read_judgement
from artmaster_pipeline.gallery.provenance import Provenance, provenance_json
from artmaster_pipeline.gallery.rights import ShowWorks, may_show, strictest
from artmaster_pipeline.gallery.words import GALLERY, LANGUAGES, Words
from artmaster_pipeline.pictures import AI_GENERATED
from artmaster_pipeline.records import PROVENANCE, Sample, Scan
from artmaster_pipeline.settings import Home, PainterSettings, load_painter
from artmaster_pipeline.stages import is_filed, members, source_named
from artmaster_pipeline.templates import html_templates

PAGE = "index.html"
Contents = dict[str, bytes | Path]  # POSIX path below the site -> bytes, or the file to copy

_STATIC = (
    "style.css",
    "theme.js",
    "gallery.js",
    "vendor/openseadragon.min.js",
    "vendor/openseadragon-LICENSE.txt",
)
_MOST_DETAILS = 2  # pictures whose enlargement the page shows by a slider
_SCRIPTS = (
    ("ja", re.compile(r"[぀-ヿ]")),
    ("ko", re.compile(r"[가-힯]")),
    ("zh", re.compile(r"[㐀-鿿]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
)


@dataclass(frozen=True)
class GridRow:
    """A row of the evaluation grid on the page; `original` is None where its work may not be shown."""

    original: Sample | None
    base: Sample
    adapter: Sample
    held_out: bool


def site_contents(home: Home, provenance: Provenance, enlarged: Sequence[Picture], cells: Sequence[Sample]) -> Contents:
    """All files of a painter's site but its manifest. `cells` are the evaluation's samples, three per row.

    Raises ArtMasterError where the evaluation's panel.json or its verdicts cannot be read.
    """
    painter = provenance.adapter.painter
    evaluated = home.evaluation(painter) / provenance.adapter.id
    files = {cell.id: inside(home.evaluation(painter), cell.path) for cell in cells}
    shown = published_cells(home, provenance, cells)
    records = in_order([picture.record for picture in enlarged])
    works = work_thumbnails(home, provenance)
    contents = static_files() | picture_files(enlarged)
    for cell in shown:
        contents[cell.path] = files[cell.id]
        contents |= renditions.renditions(cell, files[cell.id])
    by_id = {cell.id: cell for cell in shown}
    large = {picture.record.id: picture.file for picture in enlarged}
    for record in _with_details(records):
        source = by_id[record.enlarged_from]
        contents |= renditions.details(record, large[record.id], source, files[source.id])
    contents |= {f"works/{name}": file for name, file in works.items()}
    with_grid = len(shown) == len(cells)  # the grid shows every original
    if with_grid:
        contents["grid.png"] = evaluated / "grid.png"
    contents[PROVENANCE] = provenance_json(provenance, [*records, *shown]).encode()
    facts = _facts(home, provenance, records, shown) | {
        "judgement": read_judgement(evaluated),
        "thumbnails": {Path(name).stem: f"works/{name}" for name in works},
        "grid": with_grid,
    }
    return contents | _pages(facts, by_id)


def published_cells(home: Home, provenance: Provenance, cells: Sequence[Sample]) -> tuple[Sample, ...]:
    """The records of the grid's cells as they lie in the site; details of works that may not be shown are not there."""
    settings = load_painter(home, provenance.adapter.painter)
    return tuple(
        published_cell(cell)
        for cell in cells
        if cell.column != "original" or may_show(provenance.scan(cell.scan_sha256), settings)
    )


def published_cell(cell: Sample) -> Sample:
    """The record of a cell of the evaluation grid as it lies in the site."""
    return Sample.model_validate(cell.model_dump() | {"path": f"comparison/{cell.id}.png"})


def painters_pages(
    home: Home, galleries: Mapping[str, Sequence[Sample]], folders: Mapping[str, str] | None = None
) -> dict[str, bytes]:
    """The pages over all painters, one per language, by file name; each holds its style and needs no other file.

    `galleries` holds the published records of each painter, `folders` where a painter's site lies, as seen from the
    pages; it is the painter's slug where nothing is said.
    """
    shown = []
    for painter, records in sorted(galleries.items()):
        pictures = [record for record in in_order(records) if record.is_large]
        shown.append(
            {
                "folder": (folders or {}).get(painter, painter),
                "name": _name_of(home, painter, pictures),
                "pictures": pictures,
            }
        )
    inline = {"css": asset("style.css").decode(), "script": asset("theme.js").decode()}
    return {
        t.page("index"): render("painters.html", "index", t, {"painters": shown, "inline": inline}) for t in LANGUAGES
    }


def _name_of(home: Home, partition: str, pictures: Sequence[Sample]) -> str:
    """Whose gallery it is, for a person; of a canvas or a story its name, and who painted what is shown."""
    if not is_filed(partition):
        return painters_in_words(home, members(partition))
    painted = {painter for picture in pictures for painter in _painters_of(home, picture)}
    return f"{canvas_in_words(source_named(partition))} ({painters_in_words(home, sorted(painted))})"


def _painters_of(home: Home, picture: Sample) -> tuple[str, ...]:
    """Who painted a picture, by its regions; else by the adapters that drew it, as far as they are there."""
    if picture.regions:
        return tuple(painter for region in picture.regions for painter in region.painters)
    found = (any_adapter(home, adapter_id) for adapter_id in picture.adapter_ids)
    return tuple(adapter.painter for adapter in found if adapter)


def canvas_in_words(slug: str) -> str:
    """A canvas' or a story's name for a person."""
    return slug.replace("-", " ")


def painters_in_words(home: Home, painters: Iterable[str]) -> str:
    """Painters by name, or by slug where their folder is gone."""
    return " × ".join(load_painter(home, each).name if home.scans(each).is_dir() else each for each in painters)


def in_order(records: Sequence[Sample]) -> list[Sample]:
    """Records in the order of the grid's rows: by seed."""
    return sorted(records, key=lambda record: (record.seed, record.id))


def work_thumbnails(home: Home, provenance: Provenance, rule: ShowWorks | None = None) -> dict[str, Path]:
    """The register's thumbnails of the works trained on that may be shown, by file name.

    A scan that has left the register has none. `rule` stands in the place of painter.yaml's `show_works`.
    """
    settings = load_painter(home, provenance.adapter.painter)
    settings = settings.model_copy(update={"show_works": rule or settings.show_works})
    folder = home.register(provenance.adapter.painter) / "thumbnails"
    names = [f"{scan.id}.jpg" for scan in provenance.trained_on if may_show(scan, settings)]
    return {name: inside(folder, name) for name in names if inside(folder, name).is_file()}


def works_behind(
    home: Home, provenance: Provenance, settings: Mapping[str, PainterSettings]
) -> tuple[Contents, list[dict[str, Any]]]:
    """What a site of several painters says of the works behind it: the files, and for the page each adapter's works.

    Shown are those that all of the painters (by slug) let be shown. Adapters are sorted by painter.
    """
    rule, contents, experts = strictest(settings.values()), Contents(), []
    for each in sorted((provenance, *provenance.others), key=lambda each: each.adapter.painter):
        shown = work_thumbnails(home, each, rule)
        contents |= {f"works/{name}": file for name, file in shown.items()}
        stems = {Path(name).stem: f"works/{name}" for name in shown}
        experts.append({"of": each, "name": settings[each.adapter.painter].name, "shown": stems})
    return contents, experts


def picture_files(pictures: Iterable[Picture]) -> Contents:
    """The files of a site's enlarged pictures, in all sizes and formats."""
    contents = Contents()
    for picture in pictures:
        contents[picture.record.path] = picture.file
        contents |= renditions.renditions(picture.record, picture.file)
    return contents


def viewer_layer(record: Sample, label: str, alt: str) -> dict[str, Any]:
    """A picture as the viewer shows it; several may lie over one another."""
    return {
        "label": label,
        "alt": alt,
        "url": renditions.view_of(record),
        "source": renditions.tile_source(record),
    }


def language_of(text: str) -> str:
    """The language tag by which browsers choose fonts and voices, by the text's script; empty for Latin and others."""
    return next((tag for tag, script in _SCRIPTS if script.search(text)), "")


def work_name(scan: Scan) -> str:
    """A work's title, or the name of its file where the archive gave none."""
    return scan.title or Path(scan.path).stem


def _facts(home: Home, provenance: Provenance, pictures: Sequence[Sample], cells: Sequence[Sample]) -> dict[str, Any]:
    """What both pages of a painter are written from, whatever the language."""
    adapter, painter = provenance.adapter, load_painter(home, provenance.adapter.painter)
    ranks = list(adapter.ranks.values())
    rights = Counter(scan.rights or painter.rights for scan in provenance.trained_on)
    return {
        "painter": painter,
        "adapter": adapter,
        "pictures": pictures,
        "comparisons": _comparisons(cells, provenance),
        "works": provenance.trained_on,
        "held_out": provenance.held_out,
        "mean_rank": sum(ranks) / max(1, len(ranks)),
        "rights": sorted(rights.items(), key=lambda item: (-item[1], item[0])),
        "same_rights": next(iter(rights)) if len(rights) == 1 else "",
        "bibtex": bibtex(painter, adapter, len(provenance.trained_on)),
        "version": __version__,
    }


def _pages(facts: dict[str, Any], cells: Mapping[str, Sample]) -> dict[str, bytes]:
    """A painter's two pages in each language; `cells` are the comparison's, by id."""
    pages = {}
    views = [renditions.view_of(picture) for picture in facts["pictures"]]
    for t in LANGUAGES:
        described = json_ld(facts["painter"], facts["adapter"], facts["pictures"], views, t.tag)
        said = facts | {
            "json_ld": described,
            "layers": _layers(t, facts["pictures"], facts["comparisons"], cells),
            "details": [_detail(picture, cells) for picture in _with_details(facts["pictures"])],
        }
        pages[t.page("index")] = render("painter.html", "index", t, said)
        pages[t.page("about")] = render("about.html", "about", t, said)
    return pages


def _layers(
    t: Words, pictures: Sequence[Sample], comparisons: Sequence[GridRow], cells: Mapping[str, Sample]
) -> dict[str, list[dict[str, Any]]]:
    """What the viewer lays over one another, by the id of the picture that it is opened from."""

    def layer(record: Sample, label: str, alt: str) -> dict[str, Any]:
        return viewer_layer(record, str(t(label)), str(t(alt, prompt=record.prompt).unescape()))

    layers = {
        record.id: [layer(record, "after", "picture_alt"), layer(cells[record.enlarged_from], "before", "picture_alt")]
        for record in pictures
    }
    for row in comparisons:
        originals = [layer(row.original, "original", "original_alt")] if row.original else []
        drawn = [layer(row.base, "base_model", "base_alt"), layer(row.adapter, "with_adapter", "adapter_alt")]
        layers[row.adapter.id] = originals + drawn
    return layers


def _with_details(records: Sequence[Sample]) -> list[Sample]:
    return [record for record in records if record.enlarged_by][:_MOST_DETAILS]


def _detail(record: Sample, cells: Mapping[str, Sample]) -> dict[str, Any]:
    width, height = renditions.detail_size(record)
    scale = f"{record.width / cells[record.enlarged_from].width:g}"
    files = renditions.detail_files(record)
    return {"record": record, "files": files, "width": width, "height": height, "scale": scale}


def _comparisons(cells: Sequence[Sample], provenance: Provenance) -> list[GridRow]:
    """Cells by row: a row has one seed of its own, and one cell per column."""
    rows = []
    for _, row in groupby(in_order(cells), key=lambda cell: cell.seed):
        by_column = {cell.column: cell for cell in row}
        original = by_column.get("original")
        held_out = original is None or original.scan_sha256 not in {scan.sha256 for scan in provenance.trained_on}
        rows.append(GridRow(original, by_column["base"], by_column["adapter"], held_out))
    return rows


def static_files() -> Contents:
    """The files that are the same in every site."""
    return {name: asset(name) for name in _STATIC}


def render(template: str, stem: str, t: Words, facts: dict[str, Any]) -> bytes:
    """A page of the site in one language, made from its template and from what is said on it.

    The template is one of the room of the words, or of the gallery.
    """
    page = _environment(t.room).get_template(template)
    said = {"inline": None, **facts, "t": t, "stem": stem, "languages": LANGUAGES, "generated": AI_GENERATED}
    return str(page.render(said)).encode()


@cache
def _environment(room: str) -> Any:
    """The templates of a room whose pages stand on the gallery's, or the gallery's own."""
    environment = html_templates(room or GALLERY, "site", *([GALLERY] if room else []))
    environment.filters |= {
        "thumbnail": renditions.thumbnail_of,
        "view": renditions.view_of,
        "srcset": renditions.srcset_of,
        "largest_webp": renditions.largest_of,
        "language": language_of,
        "named": work_name,
        "figure": lambda value: f"{value:.2f}".replace("-", "\N{MINUS SIGN}"),
    }
    return environment


def asset(name: str) -> bytes:
    """A file of the site that is the same for every painter."""
    return (resources.files(GALLERY) / "site" / name).read_bytes()

"""What a person sees of a materialisation in the Dagster UI: counts, tables, thumbnails, curves.

Every stage shows its counts and figures, and where its records are; those of SHOWN show more. Dagster keeps all of it
in its log, so tables, cells and sheets are bounded, and tables say how many more rows there are.
"""

import base64
import io
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from artmaster_pipeline.adapters.ancestry import only_inherited
from artmaster_pipeline.adapters.finding import read_snapshot
from artmaster_pipeline.curation.review.works import Work, works_of
from artmaster_pipeline.experts.records import ExpertGate
from artmaster_pipeline.records import (
    ADAPTER_RECORD,
    MANIFEST,
    PANEL,
    PROVENANCE,
    QUARANTINE,
    SNAPSHOT,
    VERDICTS,
    Adapter,
    Outcome,
    Quarantined,
    Record,
    Sample,
    Scan,
    read_manifest,
)
from artmaster_pipeline.settings import Home

BOOK = "book.pdf"  # in a story's site, as `stories.book` writes it
_CONSISTENCY = "consistency.json"  # beside the pictures of a story, as `stories.painting` writes it
_SHEET_PICTURES = 12
_SHEET_HEIGHT = 128  # pixels
_MOST_ROWS = 500  # of a table: more than FLUX.1 has layers
_MOST_FIGURES = 100  # of one name
_LONGEST_CELL = 300  # characters
_MOST_ARTWORKS = 60  # thumbnails in the sheet of an adapter's artworks
_ARTWORK_SIDE, _SHEET_COLUMNS = 96, 10  # pixels; thumbnails in a row
_WORK_SIDE = 128  # pixels of a work in the sheet of a curation
_AREA, _CROP, _FLAG = "#0a84ff", "#ffd60a", "#d70015"  # colours in it


def counts(outcome: Outcome[Any]) -> dict[str, Any]:
    """The figures that every stage has: how many records, how many of them new, how many files left out."""
    listed = outcome.manifest.with_name(QUARANTINE)
    return {
        "records": len(outcome.records),
        "made now": outcome.made,
        "already there": outcome.reused,
        "manifest": dg.MetadataValue.path(str(outcome.manifest)),
        "open_manifest": dg.MetadataValue.url(outcome.manifest.as_uri()),
        "quarantined": len(outcome.quarantined),
        **({"quarantine": quarantine_table(outcome.quarantined)} if outcome.quarantined else {}),
        **({"quarantine_records": dg.MetadataValue.path(str(listed))} if listed.is_file() else {}),
    }


def quarantine_table(quarantined: Sequence[Quarantined]) -> Any:
    """What was left out, why, and what its owner can do."""
    return table([{"file": q.path, "reason": q.reason, "way out": q.remedy} for q in quarantined])


def table(rows: Sequence[dict[str, Any]], most: int = _MOST_ROWS) -> Any:
    """The first rows as a table, and how many more there are; cells are text."""
    shown = list(rows[:most])
    if len(rows) > len(shown):
        first, *others = rows[0]
        shown.append({first: f"and {len(rows) - len(shown):,} more", **dict.fromkeys(others, "")})
    return dg.MetadataValue.table(
        [dg.TableRecord({name: _cut(str(value)) for name, value in row.items()}) for row in shown],
        schema=dg.TableSchema([dg.TableColumn(name) for name in (rows[0] if rows else {})]),
    )


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_CELL else text[:_LONGEST_CELL] + "…"


def tally(records: Iterable[Record], attribute: str) -> Any:
    """How many records have each value of an attribute."""
    return table([{attribute: value, "n": n} for value, n in Counter(getattr(r, attribute) for r in records).items()])


def picture(path: Path, long_side: int) -> Any:
    """One picture, small enough to be stored in Dagster's log (it has no image type; Markdown shows a data address)."""
    from PIL import Image

    with Image.open(path) as file:
        image = file.convert("RGB")
    image.thumbnail((long_side, long_side))
    return dg.MetadataValue.md(_markdown(image, path.stem))


def contact_sheet(paths: Sequence[Path]) -> Any:
    """Up to twelve pictures side by side, evenly chosen."""
    from PIL import Image

    step = max(1, -(-len(paths) // _SHEET_PICTURES))
    pictures = []
    for path in paths[::step]:
        with Image.open(path) as file:
            size = (max(1, file.width * _SHEET_HEIGHT // file.height), _SHEET_HEIGHT)
            pictures.append(file.convert("RGB").resize(size))
    if not pictures:
        return dg.MetadataValue.md("no pictures")
    sheet = Image.new("RGB", (sum(p.width + 4 for p in pictures), _SHEET_HEIGHT), "white")
    left = 0
    for image in pictures:
        sheet.paste(image, (left, 0))
        left += image.width + 4
    return dg.MetadataValue.md(_markdown(sheet, f"{len(pictures)} of {len(paths)}"))


def artworks_sheet(files: Sequence[Path]) -> Any:
    """The artworks' thumbnails in rows, evenly chosen where there are many; one that is gone leaves its place out."""
    from PIL import Image

    there = [file for file in files if file.is_file()]
    chosen = there[:: max(1, -(-len(there) // _MOST_ARTWORKS))]
    pictures = []
    for file in chosen:
        with Image.open(file) as picture:
            pictures.append(picture.convert("RGB"))
    return _in_rows(pictures, _ARTWORK_SIDE, f"{len(chosen)} of {len(files)} artworks")


def curation_sheet(home: Home, painter: str, works: Sequence[Work]) -> Any:
    """The first works of the review, each thumbnail with its area (blue) and its crops (yellow) drawn on it."""
    from PIL import Image, ImageDraw

    pictures = []
    for work in works[:_MOST_ARTWORKS]:
        file = home.register(painter) / "thumbnails" / f"{work.scan.id}.jpg"
        if not file.is_file():
            continue
        with Image.open(file) as picture:
            image = picture.convert("RGB").rotate(-work.curated.skew, Image.Resampling.BILINEAR)
        image.thumbnail((_WORK_SIDE, _WORK_SIDE))
        across, down = image.width / work.scan.width, image.height / work.scan.height
        drawn = ImageDraw.Draw(image)
        crops = [((crop.left, crop.top, crop.right, crop.bottom), _CROP) for crop in work.crops]
        for (left, top, right, bottom), colour in [(work.curated.area, _AREA), *crops]:
            corners = (left * across, top * down, max(left * across, right * across - 1))
            drawn.rectangle((*corners, max(top * down, bottom * down - 1)), outline=colour)
        if work.curated.flags:
            drawn.rectangle((0, 0, image.width - 1, 3), fill=_FLAG)
        pictures.append(image)
    return _in_rows(pictures, _WORK_SIDE, f"{len(pictures)} of {len(works)} works, flagged ones first, with a red bar")


def _in_rows(pictures: Sequence[Any], side: int, text: str) -> Any:
    """Pictures in rows of ten, none larger than a square of that side."""
    from PIL import Image

    if not pictures:
        return dg.MetadataValue.md("no pictures")
    place = side + 4
    columns = min(_SHEET_COLUMNS, len(pictures))
    sheet = Image.new("RGB", (columns * place, -(-len(pictures) // columns) * place), "white")
    for number, picture in enumerate(pictures):
        picture.thumbnail((side, side))
        sheet.paste(picture, (number % columns * place, number // columns * place))
    return dg.MetadataValue.md(_markdown(sheet, text))


def _markdown(image: Any, text: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return f"![{text}](data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()})"


def of_stage(stage: str, home: Home, partition: str, outcome: Outcome[Any]) -> dict[str, Any]:
    """All that is shown of what a stage gave."""
    more = SHOWN[stage](home, partition, outcome) if stage in SHOWN else {}
    asked = {"lineage": LINEAGE[stage](outcome)} if stage in LINEAGE and outcome.records else {}
    figures = {name: _first_of(value) for name, value in outcome.figures.items()}
    return {**counts(outcome), **asked, **more, **figures}


def _first_of(figure: Any) -> Any:
    """A figure; of a long list or table of them the first, and how many more there are."""
    if not isinstance(figure, list | tuple | dict) or len(figure) <= _MOST_FIGURES:
        return figure
    rest = f"and {len(figure) - _MOST_FIGURES:,} more"
    if isinstance(figure, dict):
        return dict(itertools.islice(figure.items(), _MOST_FIGURES)) | {"": rest}
    return [*figure[:_MOST_FIGURES], rest]


def _scans(home: Home, painter: str, outcome: Outcome[Any]) -> dict[str, Any]:
    thumbnails = [home.register(painter) / "thumbnails" / f"{scan.id}.jpg" for scan in outcome.records]
    return {
        "formats": tally(outcome.records, "format"),
        "colour": tally(outcome.records, "colour"),
        "scans": contact_sheet(thumbnails),
    }


def _crops(home: Home, painter: str, outcome: Outcome[Any]) -> dict[str, Any]:
    works = works_of(home, painter)
    flagged = [
        {
            "file": work.scan.path,
            "why look": "; ".join(f"{f.kind} {f.score:.2f}: {f.reason}" for f in work.curated.flags),
        }
        for work in works
        if work.curated.flags
    ]
    decided = [
        {"file": work.scan.path, "decision": row.decision.what, "who": row.decision.who, "why": row.decision.why}
        for work in works
        for row in work.rows
    ]
    return {
        "works": curation_sheet(home, painter, works),
        **({"flagged": table(flagged)} if flagged else {}),
        **({"decided by persons": table(decided)} if decided else {}),
        "review": dg.MetadataValue.md(f"`artmaster review {painter}`"),
        "crops": contact_sheet([home.crops(painter) / crop.path for crop in outcome.records]),
        "crops that need enlarging": sum(crop.lacks_detail for crop in outcome.records),
    }


def _training_set(home: Home, painter: str, outcome: Outcome[Any]) -> dict[str, Any]:
    return {
        "parts": tally(outcome.records, "split"),
        "enlarged": tally(outcome.records, "enlarged_by"),
        "detail": table(
            [{"picture": r.path, "why": r.reason, "by": r.enlarged_by} for r in _least_first(outcome)], most=20
        ),
        "captions": table(
            [{"caption": r.caption, "said by": r.caption_source, "unread": f"{r.unread:.2f}"} for r in outcome.records],
            most=20,
        ),
        "captions by": tally(outcome.records, "caption_source"),
        "pictures": contact_sheet([home.training_set(painter) / r.path for r in outcome.records]),
    }


def _least_first(outcome: Outcome[Any]) -> list[Any]:
    return sorted(outcome.records, key=lambda row: (row.detail, row.id))


def _adapter(home: Home, painter: str, outcome: Outcome[Any]) -> dict[str, Any]:
    (adapter,) = outcome.records
    folder = home.root / adapter.path
    sheet = folder / "samples.png"
    return {
        "adapter": adapter.id,
        "folder": dg.MetadataValue.path(str(folder)),
        "artworks": len(adapter.scan_sha256s),
        **({"started from": adapter.started_from} if adapter.started_from else {}),
        "snapshot": dg.MetadataValue.path(str(folder / SNAPSHOT)),
        "adapter_record": dg.MetadataValue.path(str(folder / ADAPTER_RECORD)),
        "steps": adapter.steps,
        "loss": adapter.final_loss,
        "loss_curve": picture(folder / "loss.png", 720),
        "rank_curve": picture(folder / "ranks.png", 960),
        "validation": picture(folder / "watch.png", 720),
        **({"pictures while training": picture(sheet, 960)} if sheet.is_file() else {}),
        **_artworks(home, adapter),
        "ranks": table([{"layer": layer, "rank": rank} for layer, rank in sorted(adapter.ranks.items())]),
    }


def _artworks(home: Home, adapter: Adapter) -> dict[str, Any]:
    """The works in an adapter, by its own snapshot: each with its crops and its share of the pictures shown."""
    snapshot, trained = read_snapshot(home, adapter), set(adapter.scan_sha256s)
    works = {scan.sha256: scan for scan in snapshot.scans if scan.sha256 in trained}
    images = [image for image in snapshot.training_images if image.split == "train"]
    crops = Counter(image.scan_sha256 for image in images)
    shown = snapshot.training.shown if snapshot.training else {}
    steps: Counter[str] = Counter()
    for image in images:
        steps[image.scan_sha256] += shown.get(image.id, 0)
    total = steps.total()
    rows = [
        {
            "title": scan.title or scan.path,
            "accession number": scan.accession_number,
            "crops": crops[sha256],
            "share of steps": f"{steps[sha256] / total:.2%}" if total else "not recorded",
            "rights": scan.rights,
            "sha256": sha256,
        }
        for sha256, scan in works.items()
    ]
    inherited = [
        {"title": each.scan.title or each.scan.path, "sha256": each.scan.sha256, "through": each.through}
        for each in only_inherited(adapter, snapshot.inherited)
    ]
    thumbnails = home.register(adapter.painter) / "thumbnails"
    return {
        "artworks in it": table(rows),
        **({"artworks it inherited": table(inherited)} if inherited else {}),
        "artworks' thumbnails": artworks_sheet([thumbnails / f"{scan.id}.jpg" for scan in works.values()]),
    }


def _evaluation(home: Home, painter: str, outcome: Outcome[Any]) -> dict[str, Any]:
    folder = home.evaluation(painter) / outcome.records[0].evaluated_adapter_id
    return {
        "grid": picture(folder / "grid.png", 900),
        "report": dg.MetadataValue.path(str(folder / "report.html")),
        "open_report": dg.MetadataValue.url((folder / "report.html").as_uri()),
        "panel": dg.MetadataValue.path(str(folder / PANEL)),
        "verdicts": dg.MetadataValue.path(str(folder / VERDICTS)),
    }


def _gallery(home: Home, painter: str, outcome: Outcome[Any]) -> dict[str, Any]:
    page = home.gallery(painter) / "index.html"
    return {
        "page": dg.MetadataValue.path(str(page)),
        "open_page": dg.MetadataValue.url(page.as_uri()),
        "provenance": dg.MetadataValue.path(str(home.gallery(painter) / PROVENANCE)),
        "samples": contact_sheet([home.gallery(painter) / r.path for r in outcome.records]),
    }


def _mixed_samples(home: Home, partition: str, outcome: Outcome[Any]) -> dict[str, Any]:
    mixed = [record for record in outcome.records if record.column == "adapter"]
    verdicts = sorted(home.evaluation(partition).glob(f"*/{VERDICTS}"))
    return {
        "pictures of mixes": contact_sheet([home.evaluation(partition) / record.path for record in mixed]),
        "verdicts": table([{"file": str(file)} for file in verdicts]),
    }


def _copaintings(home: Home, partition: str, outcome: Outcome[Any]) -> dict[str, Any]:
    painted = [record for record in outcome.records if record.column == "adapter"]
    folder = home.evaluation(partition)
    regions = [
        {"region": of.id, "painters": ", ".join(of.painters), "adapters": ", ".join(of.adapter_ids), "share": of.share}
        for of in (painted[0].regions if painted else ())
    ]
    return {
        "pictures of the canvas": contact_sheet([folder / record.path for record in painted]),
        "regions": table(regions),
        "verdicts": table([{"file": str(file)} for file in sorted(folder.glob(f"*/{VERDICTS}"))]),
    }


def _storyboards(home: Home, partition: str, outcome: Outcome[Any]) -> dict[str, Any]:
    ordered = sorted(outcome.records, key=_place)
    names = ("shot", "era", "onstage", "motifs", "prompt", "seed")
    return {"shots": table([{name: _listed(getattr(record, name)) for name in names} for record in ordered])}


def _illustrated(home: Home, partition: str, outcome: Outcome[Any]) -> dict[str, Any]:
    painted = sorted((record for record in outcome.records if record.column == "adapter"), key=_place)
    folder = home.evaluation(partition)
    shots = [{"shot": record.shot, "seed": record.seed, "prompt": record.prompt} for record in painted]
    figures = [{"figure": name, "value": value} for name, value in consistency_of(home, partition).items()]
    return {
        "pictures of the story": contact_sheet([folder / record.path for record in painted]),
        "shots": table(shots),
        **({"one hand": table(figures)} if figures else {}),
        "verdicts": table([{"file": str(file)} for file in sorted(folder.glob(f"*/{VERDICTS}"))]),
    }


def _book(home: Home, partition: str, outcome: Outcome[Any]) -> dict[str, Any]:
    pdf = home.gallery(partition) / BOOK
    return {
        **_gallery(home, partition, outcome),
        "book": dg.MetadataValue.path(str(pdf)),
        "open_book": dg.MetadataValue.url(pdf.as_uri()),
    }


def consistency_of(home: Home, partition: str) -> dict[str, Any]:
    """What was measured of how much of one hand a story's pictures are; nothing where it was not measured."""
    folder = home.evaluation(partition)
    painted = next((row for row in read_manifest(folder / MANIFEST, Sample) if row.column == "adapter"), None)
    file = folder / Path(painted.path).parts[0] / _CONSISTENCY if painted else None
    return json.loads(file.read_text(encoding="utf-8")) if file and file.is_file() else {}


def _place(record: Any) -> tuple[int, str]:
    return len(record.shot), record.shot  # shot-2 before shot-10


def _listed(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _expert_map(home: Home, painter: str, outcome: Outcome[Any]) -> dict[str, Any]:
    (found,) = outcome.records
    folder = home.stage_folder("expert_map", painter) / found.adapter_id
    lost = [row for factor in found.lost for row in found.rows(factor)]
    return {
        "adapter": found.adapter_id,
        "heat_map": picture(folder / "map.png", 900),
        "lost without a part": table(lost),
        "says nothing of": table([{"factor": f, "parts": "; ".join(of)} for f, of in found.silent.items()]),
        "page": dg.MetadataValue.path(str(folder / "map.html")),
        "open_page": dg.MetadataValue.url((folder / "map.html").as_uri()),
    }


def _expert_gate(home: Home, partition: str, outcome: Outcome[Any]) -> dict[str, Any]:
    (gate,) = outcome.records
    folder = (home.stage_folder("expert_gate", partition) / gate.path).parent
    return {
        "gate": gate.id,
        "experts": table([{"painter": painter, "adapter": of} for painter, of in gate.taught_with.items()]),
        "accuracy's interval": str(gate.accuracy_interval),
        "reliability": picture(folder / "reliability.png", 420),
        "confusion": table([{"captions of": true} | taken for true, taken in gate.confusion.items()]),
        "loss": table([{"who denoises": who, "loss": loss} for who, loss in gate.losses.items()]),
    }


def _of_experts(outcome: Outcome[Any]) -> Any:
    """How to ask what is in the adapters that it is about."""
    first = outcome.records[0]
    ids = first.adapter_ids if isinstance(first, ExpertGate) else (first.adapter_id,)
    return dg.MetadataValue.md("; ".join(f"`artmaster lineage adapter {adapter_id}`" for adapter_id in ids))


def _of_artworks(outcome: Outcome[Any]) -> Any:
    """How to ask where a work has gone, for one of them."""
    first = outcome.records[0]
    sha256 = first.sha256 if isinstance(first, Scan) else first.scan_sha256
    return dg.MetadataValue.md(f"`artmaster lineage artwork {sha256[:16]}`, and so for every other work")


def _of_adapter(outcome: Outcome[Any]) -> Any:
    """How to ask what is in an adapter."""
    first = outcome.records[0]
    adapter_id = first.id if isinstance(first, Adapter) else first.evaluated_adapter_id
    return dg.MetadataValue.md(
        f"`artmaster lineage adapter {adapter_id} --html page.html`; `artmaster lineage export {adapter_id}`"
    )


def _of_picture(outcome: Outcome[Any]) -> Any:
    """How to ask what is behind a picture by several adapters."""
    named = sorted({name for record in outcome.records for name in record.adapter_ids})
    asked = "; ".join(f"`artmaster lineage adapter {name}`" for name in named)
    return dg.MetadataValue.md(f"`artmaster lineage picture FILE`; {asked}")


def _of_storyboard(outcome: Outcome[Any]) -> Any:
    """How to ask once it is painted: words alone are made from no artwork."""
    return dg.MetadataValue.md(f"`artmaster run {outcome.records[0].painter}`, then `artmaster lineage picture FILE`")


LINEAGE: dict[str, Callable[[Outcome[Any]], Any]] = {
    "raw_scans": _of_artworks,
    "curated_crops": _of_artworks,
    "training_set": _of_artworks,
    "style_adapter": _of_adapter,
    "evaluation_grid": _of_adapter,
    "sample_gallery": _of_adapter,
    "mixed_samples": _of_picture,
    "mixed_gallery": _of_picture,
    "copaintings": _of_picture,
    "canvas_gallery": _of_picture,
    "storyboards": _of_storyboard,
    "illustrated_stories": _of_picture,
    "story_books": _of_picture,
    "expert_map": _of_experts,
    "expert_gate": _of_experts,
}
SHOWN: dict[str, Callable[[Home, str, Outcome[Any]], dict[str, Any]]] = {
    "raw_scans": _scans,
    "curated_crops": _crops,
    "training_set": _training_set,
    "style_adapter": _adapter,
    "evaluation_grid": _evaluation,
    "sample_gallery": _gallery,
    "mixed_samples": _mixed_samples,
    "mixed_gallery": _gallery,
    "copaintings": _copaintings,
    "canvas_gallery": _gallery,
    "storyboards": _storyboards,
    "illustrated_stories": _illustrated,
    "story_books": _book,
    "expert_map": _expert_map,
    "expert_gate": _expert_gate,
}

"""What a person sees of a materialisation in the Dagster UI: counts, tables, thumbnails, curves.

Every stage shows its counts and figures; those of SHOWN show more.
"""

import base64
import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from artmaster_pipeline.records import Outcome, Quarantined, Record
from artmaster_pipeline.settings import Home

_SHEET_PICTURES = 12
_SHEET_HEIGHT = 128  # pixels


def counts(outcome: Outcome[Any]) -> dict[str, Any]:
    """The figures that every stage has: how many records, how many of them new, how many files left out."""
    return {
        "records": len(outcome.records),
        "made now": outcome.made,
        "already there": outcome.reused,
        "manifest": dg.MetadataValue.path(str(outcome.manifest)),
        "quarantined": len(outcome.quarantined),
        **({"quarantine": quarantine_table(outcome.quarantined)} if outcome.quarantined else {}),
    }


def quarantine_table(quarantined: Sequence[Quarantined]) -> Any:
    """What was left out, why, and what its owner can do."""
    return table([{"file": q.path, "reason": q.reason, "way out": q.remedy} for q in quarantined])


def table(rows: Sequence[dict[str, Any]]) -> Any:
    """Rows as a table; cells are text."""
    return dg.MetadataValue.table(
        [dg.TableRecord({name: str(value) for name, value in row.items()}) for row in rows],
        schema=dg.TableSchema([dg.TableColumn(name) for name in (rows[0] if rows else {})]),
    )


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


def _markdown(image: Any, text: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return f"![{text}](data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()})"


def of_stage(stage: str, home: Home, partition: str, outcome: Outcome[Any]) -> dict[str, Any]:
    """All that is shown of what a stage gave."""
    more = SHOWN[stage](home, partition, outcome) if stage in SHOWN else {}
    return {**counts(outcome), **more, **outcome.figures}


def _scans(home: Home, painter: str, outcome: Outcome[Any]) -> dict[str, Any]:
    thumbnails = [home.register(painter) / "thumbnails" / f"{scan.id}.jpg" for scan in outcome.records]
    return {
        "formats": tally(outcome.records, "format"),
        "colour": tally(outcome.records, "colour"),
        "scans": contact_sheet(thumbnails),
    }


def _crops(home: Home, painter: str, outcome: Outcome[Any]) -> dict[str, Any]:
    return {
        "crops": contact_sheet([home.crops(painter) / crop.path for crop in outcome.records]),
        "crops that need enlarging": sum(crop.source_scale < 1 for crop in outcome.records),
    }


def _training_set(home: Home, painter: str, outcome: Outcome[Any]) -> dict[str, Any]:
    return {
        "parts": tally(outcome.records, "split"),
        "enlarged": tally(outcome.records, "enlarged_by"),
        "captions": table(
            [
                {"caption": r.caption, "said by": r.caption_source, "unread": f"{r.unread:.2f}"}
                for r in outcome.records[:20]
            ]
        ),
        "captions by": tally(outcome.records, "caption_source"),
        "pictures": contact_sheet([home.training_set(painter) / r.path for r in outcome.records]),
    }


def _adapter(home: Home, painter: str, outcome: Outcome[Any]) -> dict[str, Any]:
    (adapter,) = outcome.records
    folder = home.root / adapter.path
    sheet = folder / "samples.png"
    return {
        "adapter": adapter.id,
        "folder": dg.MetadataValue.path(str(folder)),
        "artworks": len(adapter.scan_sha256s),
        **({"started from": adapter.started_from} if adapter.started_from else {}),
        "steps": adapter.steps,
        "loss": adapter.final_loss,
        "loss_curve": picture(folder / "loss.png", 720),
        "rank_curve": picture(folder / "ranks.png", 960),
        "validation": picture(folder / "watch.png", 720),
        **({"pictures while training": picture(sheet, 960)} if sheet.is_file() else {}),
        "ranks": table([{"layer": layer, "rank": rank} for layer, rank in sorted(adapter.ranks.items())]),
    }


def _evaluation(home: Home, painter: str, outcome: Outcome[Any]) -> dict[str, Any]:
    folder = home.evaluation(painter) / outcome.records[0].evaluated_adapter_id
    return {
        "grid": picture(folder / "grid.png", 900),
        "report": dg.MetadataValue.path(str(folder / "report.html")),
        "open_report": dg.MetadataValue.url((folder / "report.html").as_uri()),
    }


def _gallery(home: Home, painter: str, outcome: Outcome[Any]) -> dict[str, Any]:
    page = home.gallery(painter) / "index.html"
    return {
        "page": dg.MetadataValue.path(str(page)),
        "open_page": dg.MetadataValue.url(page.as_uri()),
        "samples": contact_sheet([home.gallery(painter) / r.path for r in outcome.records]),
    }


SHOWN: dict[str, Callable[[Home, str, Outcome[Any]], dict[str, Any]]] = {
    "raw_scans": _scans,
    "curated_crops": _crops,
    "training_set": _training_set,
    "style_adapter": _adapter,
    "evaluation_grid": _evaluation,
    "sample_gallery": _gallery,
}

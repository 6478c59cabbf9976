"""What is written beside an adapter's weights once they are final: lineage, model card, record."""

import json
from pathlib import Path

from pydantic import ValidationError

from artmaster_pipeline.adapters.ancestry import Ancestry
from artmaster_pipeline.adapters.folder import CARD, MADE, made_on
from artmaster_pipeline.adapters.model_card import model_card
from artmaster_pipeline.adapters.software import product_commit, software
from artmaster_pipeline.files import write_text
from artmaster_pipeline.records import (
    ADAPTER_RECORD,
    CURATED,
    MANIFEST,
    QUARANTINE,
    SNAPSHOT,
    Adapter,
    AdapterSnapshot,
    Crop,
    CuratedScan,
    Quarantined,
    Scan,
    TrainingFacts,
    TrainingImage,
    read_manifest,
)
from artmaster_pipeline.settings import Home


def write_texts(
    folder: Path,
    home: Home,
    adapter: Adapter,
    rows: tuple[TrainingImage, ...],
    training: TrainingFacts | None = None,
) -> None:
    """Write lineage.json, the model card and, last, adapter.json; what says the same already is left alone.

    Without `training`, what lineage.json says of it and of the curation before it stays: other software that looks at
    an adapter did not train it, and what persons decide later did not make it.
    """
    if not (folder / MADE).is_file():
        write_text(folder / MADE, json.dumps({"date": made_on(folder)}) + "\n")
    before = _said_before(folder / SNAPSHOT)
    curated = _curated(home, adapter.painter, rows) if training else before.curated
    snapshot = _snapshot(home, adapter.painter, rows, training or before.training, curated)
    texts = {
        SNAPSHOT: snapshot.model_dump_json(indent=1) + "\n",
        CARD: model_card(home, adapter, snapshot, folder),
        ADAPTER_RECORD: adapter.model_dump_json(indent=1) + "\n",
    }
    for name, text in texts.items():
        file = folder / name
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            write_text(file, text)


def training_facts(home: Home, painter: str, shown: dict[str, int], ancestry: Ancestry) -> TrainingFacts:
    """What is to be said of a training that ends now; `shown` says how often each picture was seen.

    `ancestry` says from what it started.
    """
    return TrainingFacts(
        fresh_because=ancestry.fresh_because,
        ancestors=ancestry.ancestors,
        inherited=ancestry.inherited,
        software=software(),
        commit=product_commit(),
        shown=shown,
        quarantined=read_manifest(home.register(painter) / QUARANTINE, Quarantined),
        without_crops=read_manifest(home.crops(painter) / QUARANTINE, Quarantined),
    )


def _said_before(file: Path) -> AdapterSnapshot:
    """What lineage.json said; nothing where there is none, or a damaged one."""
    try:
        return AdapterSnapshot.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return AdapterSnapshot(scans=(), crops=(), training_images=())


def _curated(home: Home, painter: str, rows: tuple[TrainingImage, ...]) -> tuple[CuratedScan, ...]:
    """What curation saw in the scans behind the rows, and in those about which persons decided, left out or not."""
    scan_ids = {row.scan_id for row in rows}
    works = read_manifest(home.crops(painter) / CURATED, CuratedScan)
    told = (work for work in works if work.id in scan_ids or work.decisions)
    return tuple(work.model_copy(update={"measures": {}}) for work in told)  # numbers for machines alone


def _snapshot(
    home: Home,
    painter: str,
    rows: tuple[TrainingImage, ...],
    training: TrainingFacts | None,
    curated: tuple[CuratedScan, ...],
) -> AdapterSnapshot:
    """The records behind the training set's rows, as they are now."""
    crop_ids, scan_ids = {row.crop_id for row in rows}, {row.scan_id for row in rows}
    scans = read_manifest(home.register(painter) / MANIFEST, Scan)
    crops = read_manifest(home.crops(painter) / MANIFEST, Crop)
    return AdapterSnapshot(
        scans=tuple(scan for scan in scans if scan.id in scan_ids),
        crops=tuple(crop for crop in crops if crop.id in crop_ids),
        training_images=rows,
        training=training,
        curated=curated,
    )

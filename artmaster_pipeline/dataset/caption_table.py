"""The captions as a person sees and corrects them: a row for each scan, and captions.csv beside the scans."""

from dataclasses import dataclass
from pathlib import Path

from artmaster_pipeline.dataset.captions import without_trigger
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.files import write_text
from artmaster_pipeline.locks import one_at_a_time
from artmaster_pipeline.records import MANIFEST, Scan, TrainingImage, read_manifest
from artmaster_pipeline.scans.artworks import CAPTIONS, Table, merged, read_table, written
from artmaster_pipeline.settings import Home, load_painter

COLUMNS = ("file", "caption", "said_by", "unread")


@dataclass(frozen=True)
class CaptionRow:
    """What is said of a scan: its caption behind the trigger, who says it, what the base did not read of the archive's.

    Where a captioner described several crops of one scan, the squarest one's caption stands for all.
    """

    file: str
    caption: str
    source: str
    unread: float
    picture: str  # the training picture, a POSIX path below training_set/<painter>/


def caption_rows(home: Home, painter: str) -> tuple[CaptionRow, ...]:
    """A row for each scan in the training set, by file. Raises ArtMasterError where there is no training set yet."""
    trigger, folder = load_painter(home, painter).trigger, home.training_set(painter)
    images = read_manifest(folder / MANIFEST, TrainingImage)
    if not images:
        raise ArtMasterError(f"{folder} holds no captions yet. Run: artmaster run {painter} --until training_set")
    paths = {scan.id: scan.path for scan in read_manifest(home.register(painter) / MANIFEST, Scan)}
    rows: dict[str, CaptionRow] = {}
    for image in sorted(images, key=lambda image: (abs(image.height - image.width), image.id)):
        file = paths.get(image.scan_id, image.scan_id)
        caption = without_trigger(image.caption, trigger)
        rows.setdefault(file, CaptionRow(file, caption, image.caption_source, image.unread, image.path))
    return tuple(rows[file] for file in sorted(rows))


@one_at_a_time
def write_captions(home: Home, painter: str) -> tuple[Path, int]:
    """Write captions.csv beside the scans, for a person to correct; gives it and how many rows are new.

    What stands there stays, since a person may have written it: only scans that it does not name yet are added. Raises
    ArtMasterError where there is no training set yet, BadInput where the file there cannot be read.
    """
    file = home.scans(painter) / CAPTIONS
    found = caption_rows(home, painter)
    rows = [dict(zip(COLUMNS, (r.file, r.caption, r.source, f"{r.unread:.2f}"), strict=True)) for r in found]
    old = read_table(file) if file.exists() else Table(COLUMNS, (), ())
    named = {row["file"] for row in old.rows}
    new = Table(COLUMNS, tuple(row for row in rows if row["file"] not in named), ())
    if new.rows or not file.exists():
        write_text(file, written(merged(old, new)))
    return file, len(new.rows)

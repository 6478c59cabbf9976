"""What the data home holds of a work, and how it is removed: found first, written down, then deleted.

The list with each file's md5 (DVC's name for it) is on the disk before the first file goes: so a purge of DVC's cache
can follow later, a killed removal goes on, and a restoration knows where the scans lay. It lies in the home's cache and
is no record of the product's.
"""

import hashlib
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from artmaster_pipeline import versioning
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import clear_partials, inside, sha256_of, write_text
from artmaster_pipeline.records import (
    CURATED,
    MANIFEST,
    Crop,
    CuratedScan,
    Record,
    Sample,
    Scan,
    TrainingImage,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.scans.listing import list_folder
from artmaster_pipeline.scans.withdrawn import leave_out
from artmaster_pipeline.settings import Home
from artmaster_pipeline.withdrawal.finding import Archive, Work

# Caches of pictures and captions under names made from several things: which of their files are the work's cannot be
# told, so they are emptied whole. Everything in them is made again when it is next needed.
_EMPTIED = ("latents", "text", "looks", "autoencoded", "review")
_ID = re.compile(r"[0-9a-f]{16}")


class ScanFile(BaseModel):
    """A scan's file that was removed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    painter: str
    path: str
    sha256: str
    md5: str


class Removal(BaseModel):
    """What is to be removed of a work, or was: its scans, and every file of any kind."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scans: tuple[ScanFile, ...] = ()
    files: dict[str, str] = {}  # POSIX path below the data home -> md5, as it was last
    md5s: tuple[str, ...] = ()  # of all of them, those of earlier times included
    uncommitted: tuple[tuple[str, str], ...] = ()  # painter, stage: dvc.lock still names the work there
    ids: tuple[str, ...] = ()  # of records, by which files are named: scans, crops, training pictures, details shown

    def with_more(self, other: "Removal") -> "Removal":
        """Both together."""
        scans = {(scan.painter, scan.path, scan.sha256): scan for scan in (*self.scans, *other.scans)}
        md5s, ids = {*self.md5s, *other.md5s}, {*self.ids, *other.ids}
        return Removal(
            scans=tuple(scans.values()),
            files=self.files | other.files,
            md5s=tuple(sorted(md5s)),
            ids=tuple(sorted(ids)),
            uncommitted=tuple(sorted({*self.uncommitted, *other.uncommitted})),
        )


def read_removal(home: Home, line_id: str) -> Removal:
    """What is written down about a removal, by the id of its line in the ledger; nothing where nothing is."""
    file = _written_down(home, line_id)
    return Removal.model_validate_json(file.read_text(encoding="utf-8")) if file.is_file() else Removal()


def write_removal(home: Home, line_id: str, removal: Removal) -> None:
    """Write it down, beside what was written down before."""
    whole = read_removal(home, line_id).with_more(removal)
    write_text(_written_down(home, line_id), _text(whole))


def uncommitted(home: Home, line_id: str, painter: str) -> tuple[str, ...]:
    """The painter's stages that were changed by the removal and that dvc.lock does not name as they are yet."""
    return tuple(stage for each, stage in read_removal(home, line_id).uncommitted if each == painter)


def note_committed(home: Home, line_id: str, painter: str) -> None:
    """Note that dvc.lock names the painter's stages as the removal left them."""
    known = read_removal(home, line_id)
    left = tuple(each for each in known.uncommitted if each[0] != painter)
    if left != known.uncommitted:
        write_text(_written_down(home, line_id), _text(known.model_copy(update={"uncommitted": left})))


def forget_removal(home: Home, line_id: str) -> None:
    """Nothing is left to purge or to restore."""
    _written_down(home, line_id).unlink(missing_ok=True)


@dataclass(frozen=True)
class Removed:
    """How many files of a painter's folders went, and what stays, with the reason."""

    files: int
    stays: tuple[str, ...]


def remove(home: Home, painter: str, work: Work, archive: Archive, line_id: str) -> Removed:
    """Remove what a painter's folders hold of a work that a line of the ledger withdrew.

    The caller holds the painter. The manifests go first, so that none names a file that is gone.
    """
    for folder in (home.register, home.crops, home.training_set, home.evaluation):
        clear_partials(folder(painter))
    scans, linked = _scan_files(home, painter, work, archive)
    paths = [*(inside(home.scans(painter), scan.path) for scan in scans), *_pictures(home, painter, work, archive)]
    files = {path: _md5(path) for path in paths} | _left_over(home, painter, line_id)
    ids = [*(sha256[:16] for sha256 in work.why), *(path.stem for path in files if _ID.fullmatch(path.stem))]
    records: dict[str, list[tuple[Path, type[Record]]]] = {
        "curated_crops": [(home.crops(painter) / MANIFEST, Crop), (home.crops(painter) / CURATED, CuratedScan)],
        "training_set": [(home.training_set(painter) / MANIFEST, TrainingImage)],
        "evaluation_grid": [(manifest, Sample) for manifest in _evaluations(home, painter)],
    }
    register = read_manifest(home.register(painter) / MANIFEST, Scan)
    changed = ["raw_scans"] if any(scan.sha256 in work.why for scan in register) else []
    changed += [stage for stage, of in records.items() if any(_names(*each, work) for each in of)]
    changed += ["evaluation_grid"] if any(path.is_relative_to(home.evaluation(painter)) for path in files) else []
    removal = Removal(
        scans=tuple(scans),
        files={path.relative_to(home.root).as_posix(): md5 for path, md5 in files.items()},
        md5s=tuple(files.values()),
        ids=tuple(ids),
        uncommitted=tuple((painter, stage) for stage in changed),
    )
    write_removal(home, line_id, removal)
    leave_out(home, painter, work.why.keys())
    for manifest, kind in (each for of in records.values() for each in of):
        if _names(manifest, kind, work):
            rows = read_manifest(manifest, kind)
            write_manifest(manifest, [row for row in rows if row.scan_sha256 not in work.why])  # type: ignore[attr-defined]
    removed, stays = 0, [*linked, *_other_names(home, files)]
    for file in files:
        try:
            file.unlink()
            removed += 1
        except OSError as error:
            stays.append(f"{file}: {error.strerror}. Remove it by hand.")
    return Removed(removed, tuple(stays))


def empty_caches(home: Home, painters: Iterable[str]) -> None:
    """Empty the caches that may hold pictures of a work, or weights of an unfinished training on it."""
    for name in _EMPTIED:
        shutil.rmtree(home.cache / name, ignore_errors=True)
    clear_partials(home.cache / "decoded")
    for painter in painters:
        for name in (f"{painter}.json", f"{painter}.worths.json"):
            (home.cache / "near_duplicates" / name).unlink(missing_ok=True)
        unfinished = home.cache / "tensorboard" / painter
        for begun in unfinished.iterdir() if unfinished.is_dir() else ():
            shutil.rmtree(home.cache / "training" / begun.name, ignore_errors=True)


def _scan_files(home: Home, painter: str, work: Work, archive: Archive) -> tuple[list[ScanFile], list[str]]:
    """The files below scans/<painter>/ whose bytes are a scan of the work; and those that may not be touched."""
    root = home.scans(painter)
    if not root.is_dir():
        return [], []
    holdings = archive.holding(work.why)
    sizes, paths = {holding.bytes for holding in holdings}, {h.path for h in holdings if h.painter == painter}
    found, linked = [], []
    for entry in list_folder(root).pictures:
        try:
            inside(root, entry.relative)
            if entry.relative not in paths and entry.path.stat().st_size not in sizes:
                continue
            sha256 = sha256_of(entry.path)
        except (OSError, WrongUse):
            continue
        if sha256 in work.why and (root.is_symlink() or root.parent.is_symlink()):
            linked.append(f"{entry.path}: the scans of {painter} lie where their owner keeps them. Remove it there.")
        elif sha256 in work.why:
            found.append(ScanFile(painter=painter, path=entry.relative, sha256=sha256, md5=_md5(entry.path)))
    return found, linked


def _pictures(home: Home, painter: str, work: Work, archive: Archive) -> list[Path]:
    """Thumbnails, crops, masks, training pictures, and where evaluations show the work; those that are there."""
    crops = [c for snapshot in archive.snapshots.values() for c in snapshot.crops if c.scan_sha256 in work.why]
    crops += [c for c in read_manifest(home.crops(painter) / MANIFEST, Crop) if c.scan_sha256 in work.why]
    images = [image for image in archive.images if image.scan_sha256 in work.why]
    paths = [inside(home.register(painter), f"thumbnails/{sha256[:16]}.jpg") for sha256 in work.why]
    paths += [inside(home.crops(painter), path) for crop in crops for path in (crop.path, crop.mask_path)]
    paths += [inside(home.training_set(painter), image.path) for image in images]
    stems = {Path(image.path).stem for image in images}
    paths += [file for file in home.evaluation(painter).glob("*/nearest/*.jpg") if file.stem in stems]
    for manifest in _evaluations(home, painter):
        for sample in read_manifest(manifest, Sample):
            if sample.scan_sha256 in work.why:
                picture = inside(home.evaluation(painter), sample.path)
                grids = picture.parent.parent, home.evaluation(painter) / sample.evaluated_adapter_id
                paths += [picture, *(grid for folder in grids for grid in folder.glob("grid*.*"))]
    return [path for path in dict.fromkeys(paths) if path.is_file()]


def _evaluations(home: Home, painter: str) -> Iterator[Path]:
    """The manifests of a painter's evaluations."""
    folder = home.evaluation(painter)
    yield from (
        manifest for manifest in (folder / MANIFEST, *sorted(folder.glob(f"*/{MANIFEST}"))) if manifest.exists()
    )


def _left_over(home: Home, painter: str, line_id: str) -> dict[Path, str]:
    """The painter's files that a killed removal had written down and that are still what they were, with their md5.

    No manifest names them any more.
    """
    files = {home.root / path: md5 for path, md5 in read_removal(home, line_id).files.items()}
    return {
        file: md5
        for file, md5 in files.items()
        if file.relative_to(home.root).parts[1] == painter and file.is_file() and _md5(file) == md5
    }


def _names(manifest: Path, kind: type[Record], work: Work) -> bool:
    """Whether a manifest has records of the work."""
    return any(getattr(row, "scan_sha256", "") in work.why for row in read_manifest(manifest, kind))


def _other_names(home: Home, files: dict[Path, str]) -> list[str]:
    """What is to be said of files (with their md5) that lie under further names; DVC's cache is one that is known."""
    linked = {file: md5 for file, md5 in files.items() if file.stat().st_nlink > 1}
    cached = versioning.cached_files(home, linked.values())
    said = []
    for file, md5 in linked.items():
        known = int(md5 in cached and cached[md5].samefile(file))
        if more := file.stat().st_nlink - 1 - known:
            how = f"find -inum {file.stat().st_ino} lists them"
            said.append(f"{file}: its bytes also lie under {more} other names on this disk (hard links): {how}.")
    return said


def _text(removal: Removal) -> str:
    return removal.model_dump_json(indent=1) + "\n"


def _md5(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _written_down(home: Home, line_id: str) -> Path:
    return home.cache / "withdrawals" / f"{line_id}.json"

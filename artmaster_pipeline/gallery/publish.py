"""The stage sample_gallery: the current adapter's evaluated samples, enlarged and published in one step."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.files import check_slug, clear_partials, inside, sha256_of, write_text, writing_folder
from artmaster_pipeline.gallery.enlarging import enlarge_samples, waiting_room
from artmaster_pipeline.gallery.pages import PAGE, Contents, painters_page, published_cell, site_contents
from artmaster_pipeline.gallery.provenance import read_provenance
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import MANIFEST, Adapter, Outcome, Sample, read_manifest, write_manifest
from artmaster_pipeline.settings import Home, Profile


def publish_gallery(home: Home, painter: str, profile: Profile, progress: Progress = SILENT) -> Outcome[Sample]:
    """Publish gallery/<painter>/ and the page over all painters; gives the records of every picture in the site.

    Records with `enlarged_by` are the gallery's pictures; the others are the cells of the comparison, originals
    included. The site is built aside and takes the old one's place whole; one that would not change is left alone.
    Raises ArtMasterError where the current adapter has not been evaluated yet.
    """
    adapter, cells = _evaluated(home, painter)
    provenance = read_provenance(home, adapter)
    drawn = [cell for cell in cells if cell.column == "adapter"]
    enlarged, made = enlarge_samples(home, painter, profile, drawn, progress)
    records = [picture.record for picture in enlarged] + [published_cell(cell) for cell in cells]
    contents = site_contents(home, provenance, enlarged, cells)
    _switch(home, painter, contents, records)
    shutil.rmtree(waiting_room(home, painter), ignore_errors=True)
    progress.say(f"The gallery is at {home.gallery(painter) / PAGE}")
    figures = {"pictures": len(enlarged), "artworks behind them": len(provenance.trained_on)}
    return Outcome(
        tuple(sorted(records, key=lambda record: record.id)),
        home.gallery(painter) / MANIFEST,
        made,
        len(enlarged) - made,
        figures=figures,
    )


def _evaluated(home: Home, painter: str) -> tuple[Adapter, tuple[Sample, ...]]:
    adapters = read_manifest(home.adapters(painter) / MANIFEST, Adapter)
    cells = read_manifest(home.evaluation(painter) / MANIFEST, Sample)
    if not adapters:
        raise ArtMasterError(f"There is no adapter for {painter} yet: run the stage style_adapter first.")
    if {cell.adapter_id for cell in cells} != {adapters[0].id}:
        raise ArtMasterError(
            f"The current adapter {adapters[0].id} of {painter} has not been evaluated: run the stage "
            "evaluation_grid first."
        )
    changed = [
        cell.path
        for cell in cells
        if not (file := inside(home.evaluation(painter), cell.path)).is_file() or sha256_of(file) != cell.sha256
    ]
    if changed:
        raise ArtMasterError(
            f"{len(changed)} pictures of the evaluation are missing or changed ({', '.join(changed)}): run the stage "
            "evaluation_grid again."
        )
    return adapters[0], cells


def _switch(home: Home, painter: str, contents: Contents, records: Sequence[Sample]) -> None:
    """Put the site in place and renew the page over all painters; one process at a time, whatever the painter."""
    from filelock import FileLock

    folder = home.gallery(painter)
    folder.parent.mkdir(parents=True, exist_ok=True)
    home.cache.mkdir(parents=True, exist_ok=True)
    with FileLock(home.cache / "gallery.lock"):
        clear_partials(folder.parent)
        if not _is_published(folder, contents):
            with writing_folder(folder) as building:
                _write(building, contents)
                write_manifest(building / MANIFEST, records)
        write_manifest(folder / MANIFEST, records)
        _renew_painters_page(home)


def _write(folder: Path, contents: Contents) -> None:
    for name, content in contents.items():
        file = inside(folder, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, file)
        else:
            file.write_bytes(content)


def _is_published(folder: Path, contents: Contents) -> bool:
    there = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if not file.is_dir()}
    if there != {*contents, MANIFEST}:
        return False
    return all(sha256_of(folder / name) == _hash_of(content) for name, content in contents.items())


def _hash_of(content: bytes | Path) -> str:
    return sha256_of(content) if isinstance(content, Path) else hashlib.sha256(content).hexdigest()


def _renew_painters_page(home: Home) -> None:
    galleries: dict[str, Sequence[Sample]] = {}
    for manifest in sorted((home.root / "gallery").glob(f"*/{MANIFEST}")):
        painter = check_slug(manifest.parent.name)
        galleries[painter] = read_manifest(manifest, Sample)
    page = home.root / "gallery" / PAGE
    text = painters_page(home, galleries)
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        write_text(page, text)

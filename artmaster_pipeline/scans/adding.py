"""Taking a folder of scans into the data home: whole copies, originals untouched, refusals remembered."""

import os
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.files import clear_partials, inside, sha256_of, write_text, writing
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import Quarantined, Record, identity, read_manifest, write_manifest
from artmaster_pipeline.scans.artworks import merged_table
from artmaster_pipeline.scans.listing import Entry, Listing, Refusal, list_folder, unreadable
from artmaster_pipeline.settings import Home, PainterSettings, default_painter, load_painter, save_painter

# Hidden, among the scans: it is input to the stage raw_scans, so a refusal that is mended makes that stage stale.
_NOT_COPIED = ".not-copied.jsonl"


class NotCopied(Record):
    """A file that add_scans had to refuse. `source` is a hash of its folder's place, so that adding again mends it."""

    source: str
    path: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class AddedScans:
    """What add_scans did, as POSIX paths below the folder that was given."""

    added: tuple[str, ...]
    already_there: tuple[str, ...]
    changed: tuple[str, ...]
    refused: tuple[Quarantined, ...]
    sidecars: tuple[str, ...]  # .txt and artworks.csv files that were new or changed
    ignored: tuple[str, ...]  # files that are neither pictures nor sidecars
    passed_over: tuple[str, ...] = ()  # lines on what systems keep for themselves

    def ignored_summary(self) -> tuple[str, ...]:
        """One line for each kind of file that was passed over, for people to see that nothing vanished silently."""
        kinds = Counter(Path(name).suffix.lower() or Path(name).name for name in self.ignored)
        lines = (f"ignored: {count} x {kind}" for kind, count in sorted(kinds.items()))
        return (*lines, *self.passed_over)


def add_scans(
    home: Home,
    painter: str,
    source: Path,
    *,
    name: str | None = None,
    trigger: str | None = None,
    rights: str | None = None,
    progress: Progress = SILENT,
) -> AddedScans:
    """Copy what is new or changed in `source` to scans/<painter>/, with sub-folders, sidecars and artworks.csv.

    Content decides (sha256), not time. The first call writes painter.yaml from defaults; later ones change only the
    settings that are given. Files that cannot be copied are returned as `refused` and remembered for the stage
    raw_scans, until they are mended and `source` is added again. Raises WrongUse where `source` is no folder of scans.
    """
    target = home.scans(painter)
    listing = _list_source(home, source)
    settings = _settings(home, painter, name, trigger, rights)
    target.mkdir(parents=True, exist_ok=True)
    clear_partials(target)
    done: dict[str, list[str]] = {"added": [], "changed": [], "already there": []}
    refusals = list(listing.refused)
    with progress.task(f"Copying scans of {painter}", len(listing.pictures)) as advance:
        for picture in listing.pictures:
            outcome = _copy(picture, target)
            if isinstance(outcome, Refusal):
                refusals.append(outcome)
            else:
                done[outcome].append(picture.relative)
            advance(note=picture.relative)
    sidecars = _copy_sidecars(listing, target, refusals)
    _remember(target, source, refusals)
    save_painter(home, painter, settings)
    result = AddedScans(
        tuple(done["added"]),
        tuple(done["already there"]),
        tuple(done["changed"]),
        tuple(_quarantined(painter, refusal) for refusal in sorted(refusals, key=lambda refusal: refusal.relative)),
        tuple(sidecars),
        tuple(listing.ignored),
        listing.passed_over_summary(),
    )
    _tell(result, progress)
    return result


def not_copied(home: Home, painter: str) -> tuple[Quarantined, ...]:
    """What add_scans refused and nobody has mended since, as rows of the quarantine."""
    target = home.scans(painter)
    rows = read_manifest(target / _NOT_COPIED, NotCopied)
    by_path = {row.path: Refusal(row.path, row.reason, row.remedy) for row in rows}
    return tuple(_quarantined(painter, by_path[path]) for path in sorted(by_path) if not _is_there(target, path))


def _list_source(home: Home, source: Path) -> Listing:
    if not source.is_dir():
        what = "is a file" if source.is_file() else "does not exist"
        raise WrongUse(f"{source} {what}: give the folder that holds the painter's scans.")
    here, there = source.resolve(), (home.root / "scans").resolve()
    if here.is_relative_to(there) or there.is_relative_to(here):
        raise WrongUse(f"{source} and the data home's own {there} lie in one another: give the originals' folder.")
    listing = list_folder(source)
    if not listing.pictures and not listing.refused:
        raise WrongUse(f"{source} holds no pictures: expected .jpg, .jpeg, .png, .tif, .tiff or .webp files.")
    return listing


def _settings(home: Home, painter: str, name: str | None, trigger: str | None, rights: str | None) -> PainterSettings:
    known = home.scans(painter).is_dir()
    settings = load_painter(home, painter) if known else default_painter(painter)
    given = {"name": name, "trigger": trigger, "rights": rights}
    return settings.model_copy(update={key: value for key, value in given.items() if value is not None})


def _copy(picture: Entry, target: Path) -> str | Refusal:
    try:
        sha256 = sha256_of(picture.path)  # reads every byte, so what fails below is the data home's fault
    except OSError as error:
        return unreadable(picture.relative, error)
    place = target / picture.relative
    if _is_whole(place) and place.stat().st_size == picture.path.stat().st_size and sha256_of(place) == sha256:
        return "already there"
    outcome = "changed" if os.path.lexists(place) else "added"
    if place.is_dir() and not place.is_symlink():
        return Refusal(picture.relative, "The data home has a folder of that name", "Rename the picture")
    try:
        with writing(inside(target, str(Path(picture.relative).parent)) / place.name) as temporary:
            shutil.copyfile(picture.path, temporary)
    except OSError as error:
        raise ArtMasterError(
            f"{picture.path} could not be copied to {place} ({error.strerror}). Make room there or allow writing, then "
            "add the folder again: what is already copied stays."
        ) from error
    return outcome


def _copy_sidecars(listing: Listing, target: Path, refusals: list[Refusal]) -> list[str]:
    copied = []
    tables = {table.relative for table in listing.tables}
    for sidecar in (*listing.captions, *listing.tables):
        place = target / sidecar.relative
        if sidecar.relative in tables and _is_whole(place):
            text = merged_table(place, sidecar.path)
            if text == merged_table(place, place):
                continue
            write_text(place, text)
        elif isinstance(outcome := _copy(sidecar, target), Refusal):
            refusals.append(outcome)
            continue
        elif outcome == "already there":
            continue
        copied.append(sidecar.relative)
    return copied


def _remember(target: Path, source: Path, refusals: list[Refusal]) -> None:
    key = identity(str(source.resolve()))
    kept = [row for row in read_manifest(target / _NOT_COPIED, NotCopied) if row.source != key]
    new = {
        refusal.relative: NotCopied(
            id=identity(key, refusal.relative),
            source=key,
            path=refusal.relative,
            reason=refusal.reason,
            remedy=refusal.remedy,
        )
        for refusal in refusals
    }
    rows = [row for row in kept if not _is_there(target, row.path)] + list(new.values())
    if rows:
        write_manifest(target / _NOT_COPIED, rows)
    else:
        (target / _NOT_COPIED).unlink(missing_ok=True)


def _quarantined(painter: str, refusal: Refusal) -> Quarantined:
    return Quarantined(
        id=identity("not copied", refusal.relative, refusal.reason),
        painter=painter,
        path=refusal.relative,
        reason=refusal.reason,
        remedy=refusal.remedy,
    )


def _is_whole(place: Path) -> bool:
    return place.is_file() and not place.is_symlink()


def _is_there(target: Path, relative: str) -> bool:
    # A refused name may be too long or too strange to ask the file system about; then nothing of it is there.
    try:
        return _is_whole(target / relative)
    except (OSError, ValueError):
        return False


def _tell(result: AddedScans, progress: Progress) -> None:
    for refusal in result.refused:
        progress.say(f"{refusal.path}: {refusal.reason}. {refusal.remedy}.")
    for line in result.ignored_summary():
        progress.say(line)

"""Taking a folder of scans into the data home: whole copies, originals untouched, refusals remembered."""

import errno
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from artmaster_pipeline.errors import ArtMasterError, BadInput, WrongUse
from artmaster_pipeline.faults import disk_full
from artmaster_pipeline.files import clear_partials, inside, sha256_of, write_text, writing
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import Quarantined, Record, identity, read_manifest, write_manifest
from artmaster_pipeline.scans.artworks import Table, describe, kept_silently, merged, read_table, written
from artmaster_pipeline.scans.decoding import decode, reading, reduced, thumbnail_bytes
from artmaster_pipeline.scans.listing import Entry, Listing, Refusal, is_table, list_folder, unreadable
from artmaster_pipeline.scans.recognition import Recogniser
from artmaster_pipeline.scans.withdrawn import way_back
from artmaster_pipeline.settings import (
    Home,
    PainterSettings,
    checked_painter,
    default_painter,
    load_painter,
    save_painter,
)
from artmaster_pipeline.withdrawals import LedgerLine, in_force

# Hidden, among the scans: it is input to the stage raw_scans, so a refusal that is mended makes that stage stale.
_NOT_COPIED = ".not-copied.jsonl"


class NotCopied(Record):
    """What add_scans had to refuse. `source` is a hash of its folder's place, so that adding again mends it.

    A table of artworks counts as refused whatever the data home has under its name: that one says something else.
    """

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
    sidecars: tuple[str, ...]  # .txt files and tables that were new or changed
    ignored: tuple[str, ...]  # files that are neither pictures nor sidecars
    faults: tuple[Quarantined, ...] = ()  # what tables and captions say that could not be used
    notes: tuple[str, ...] = ()  # what else a person should know of tables and captions
    passed_over: tuple[str, ...] = ()  # lines on what systems keep for themselves

    @property
    def all_descriptions_taken(self) -> bool:
        """Whether everything that the folder's tables and captions say is in the data home now."""
        return not self.faults and not any(is_table(refused.path) for refused in self.refused)

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
    """Copy what is new or changed in `source` to scans/<painter>/, with sub-folders, sidecars and tables.

    A work that was withdrawn is refused, whatever file it comes in. Content decides (sha256), not time. The first call
    writes painter.yaml from defaults; later ones change only the settings that are given. Files that cannot be copied
    are returned as `refused` and remembered for the stage raw_scans, until they are mended and `source` is added again;
    so are tables of artworks, whole or in part, by the rules of `describe`. Raises WrongUse where `source` is no folder
    of scans or a setting is wrong, ArtMasterError where the data home's disk has no room for them.
    """
    target = home.scans(painter)
    listing = _list_source(home, source)
    settings = _settings(home, painter, name, trigger, rights)
    _check_room(listing, target)
    target.mkdir(parents=True, exist_ok=True)
    clear_partials(target)
    done: dict[str, list[str]] = {"added": [], "changed": [], "already there": []}
    refusals, withdrawn = list(listing.refused), in_force(home)
    recogniser = Recogniser.of(home)
    with progress.task(f"Copying scans of {painter}", len(listing.pictures)) as advance:
        for picture in listing.pictures:
            outcome = withdrawn_refusal(picture, withdrawn, recogniser) or _copy(picture, target)
            if isinstance(outcome, Refusal):
                refusals.append(outcome)
            else:
                done[outcome].append(picture.relative)
            advance(note=picture.relative)
    described = describe(listing, _pictures_in(target))
    notes, dropped = list(described.notes), list[Refusal]()
    sidecars = [
        *_copy_captions(listing, target, refusals),
        *_take_tables(listing.tables, target, refusals, dropped, lambda place, new: _merge(place, new, notes)),
        *_take_tables(listing.decisions, target, refusals, dropped, _add_rows, once=False),
    ]
    faults = [each for each in (*described.unread, *described.partial) if each.relative not in _paths(refusals)]
    _remember(target, source, [*refusals, *dropped])
    save_painter(home, painter, settings)
    return AddedScans(
        tuple(done["added"]),
        tuple(done["already there"]),
        tuple(done["changed"]),
        tuple(_quarantined(painter, refusal) for refusal in sorted(refusals, key=lambda refusal: refusal.relative)),
        tuple(sidecars),
        tuple(listing.ignored),
        tuple(_quarantined(painter, fault) for fault in faults),
        tuple(notes),
        listing.passed_over_summary(),
    )


def not_copied(home: Home, painter: str) -> tuple[Quarantined, ...]:
    """What add_scans refused and nobody has mended since, as rows of the quarantine."""
    target = home.scans(painter)
    rows = read_manifest(target / _NOT_COPIED, NotCopied)
    by_path = {row.path: Refusal(row.path, row.reason, row.remedy) for row in rows}
    return tuple(_quarantined(painter, by_path[path]) for path in sorted(by_path) if not _is_mended(target, path))


def withdrawn_refusal(picture: Entry, withdrawn: Mapping[str, LedgerLine], recogniser: Recogniser) -> Refusal | None:
    """Why a picture may not come in: it is a withdrawn work, in the same bytes or in others."""
    if not withdrawn:
        return None
    try:
        sha256 = sha256_of(picture.path)
    except OSError as error:
        return unreadable(picture.relative, error)
    if line := withdrawn.get(sha256):
        said = f"It was withdrawn on {line.day} ({line.reason})"
        return Refusal(picture.relative, said, f"{way_back(sha256)}, then add it again")
    try:
        with reading(picture.path):
            thumbnail = thumbnail_bytes(reduced(decode(picture.path).image))
    except BadInput:  # the stage raw_scans says what is wrong with it
        return None
    if like := recogniser.like(sha256, thumbnail):
        line = withdrawn[like]
        said = f"It shows the work {like[:16]}, which was withdrawn on {line.day} ({line.reason})"
        return Refusal(picture.relative, said, f"{way_back(sha256, like)}, then add it again")
    return None


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
    changed = {key: value.strip() for key, value in given.items() if value is not None}
    return checked_painter({**settings.model_dump(), **changed})


def _check_room(listing: Listing, target: Path) -> None:
    """Raise ArtMasterError where the disk cannot hold what has to be copied, before anything is."""
    needed = 0
    for picture in listing.pictures:
        with suppress(OSError):  # an unreadable picture is refused later, by name
            size, place = picture.path.stat().st_size, target / picture.relative
            needed += 0 if place.is_file() and place.stat().st_size == size else size
    home = next(folder for folder in (target, *target.parents) if folder.is_dir())
    usage = shutil.disk_usage(home)
    if needed > usage.free and usage.total:  # some network drives do not say how large they are
        raise disk_full(home, needed=needed)


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
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(place, needed=picture.path.stat().st_size) from error
        raise ArtMasterError(
            f"{picture.path} could not be copied to {place} ({error.strerror}). Make room there or allow writing, then "
            "add the folder again: what is already copied stays."
        ) from error
    return outcome


def _copy_captions(listing: Listing, target: Path, refusals: list[Refusal]) -> list[str]:
    copied = []
    for caption in listing.captions:
        outcome = _copy(caption, target)
        if isinstance(outcome, Refusal):
            refusals.append(outcome)
        elif outcome != "already there":
            copied.append(caption.relative)
    return copied


def _take_tables(
    tables: list[Entry],
    target: Path,
    refusals: list[Refusal],
    dropped: list[Refusal],
    put_into: Callable[[Path, Table], str],
    *,
    once: bool = True,
) -> list[str]:
    """Put each table where the data home has none, or into the one that it has; gives those that changed.

    A table of which nothing can be read is refused, and the one in the data home stays as it was. Rows that could not
    be used, and so did not get into the data home's, are `dropped`.
    """
    taken = []
    for entry in tables:
        place = _table_in(target, entry.relative)
        try:
            table, there = read_table(entry.path, once=once), _is_whole(place)
            changed = put_into(place, table) if there else _copy(entry, target)
            reason = "; ".join(table.faults) if there else ""  # a copy holds them, and the stage names them itself
            dropped += [Refusal(entry.relative, reason, "Mend the rows, then add the folder again")] if reason else []
        except BadInput as bad:
            stays = "; what the data home's own table says stays" if _is_whole(place) else ""
            refusals.append(Refusal(entry.relative, f"{bad.reason}{stays}", f"{bad.remedy}, then add the folder again"))
            continue
        if isinstance(changed, Refusal):
            refusals.append(changed)
        elif changed != "already there":
            taken.append(entry.relative)
    return taken


def _merge(place: Path, new: Table, notes: list[str]) -> str:
    old = _own(place, once=True)
    if stays := kept_silently(old, new):
        notes.append(f"{place.name}: {stays}")
    whole = merged(old, new)
    if (whole.columns, whole.rows) == (old.columns, old.rows):
        return "already there"
    write_text(place, written(whole))
    return "changed"


def _add_rows(place: Path, new: Table) -> str:
    """Add to the decisions in the data home those that it lacks, after its own: there the last word counts."""
    old = _own(place, once=False)
    if old.faults:
        raise BadInput(f"The data home's own {place} has rows that cannot be read ({old.faults[0]})", "Mend that one")
    known = [_cells(row) for row in old.rows]
    rows = [row for row in new.rows if _cells(row) not in known]
    if not rows:
        return "already there"
    columns = [*old.columns, *(name for name in new.columns if name not in old.columns)]
    write_text(place, written(Table(tuple(columns), (*old.rows, *rows), ())))
    return "changed"


def _own(place: Path, *, once: bool) -> Table:
    try:
        return read_table(place, once=once)
    except BadInput as bad:
        raise BadInput(f"The data home's own {place} cannot be read ({bad.reason})", "Mend or remove that one") from bad


def _cells(row: dict[str, str]) -> dict[str, str]:
    """What a row says: the cells that are not empty."""
    return {name: cell.strip() for name, cell in row.items() if cell.strip()}


def _table_in(target: Path, relative: str) -> Path:
    """The table of that name in the same folder of the data home, however its name is written."""
    place = target / relative
    if place.parent.is_dir():
        same = place.name.casefold()
        return next((each for each in sorted(place.parent.iterdir()) if each.name.casefold() == same), place)
    return place


def _pictures_in(target: Path) -> list[str]:
    return [picture.relative for picture in list_folder(target).pictures]


def _paths(refusals: list[Refusal]) -> set[str]:
    return {refusal.relative for refusal in refusals}


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
    rows = [row for row in kept if not _is_mended(target, row.path)] + list(new.values())
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


def _is_mended(target: Path, relative: str) -> bool:
    if is_table(relative):
        return False
    # A refused name may be too long or too strange to ask the file system about; then nothing of it is there.
    try:
        return _is_whole(target / relative)
    except (OSError, ValueError):
        return False

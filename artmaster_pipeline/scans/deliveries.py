"""Fetching deliveries into scans/: what is new or changed at the addresses of deliveries.yaml, whole files only.

What was fetched, and what was refused, is remembered by its version at the store beside the scans, so nothing is
fetched twice. No file of the home is removed, and none gets other bytes but one that came from the same delivery and is
still as it came.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from artmaster_pipeline.errors import ArtMasterError, BadInput, WrongUse
from artmaster_pipeline.faults import disk_full
from artmaster_pipeline.files import clear_partials, inside, make_folder, move, sha256_of, to_disk
from artmaster_pipeline.locks import one_at_a_time
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import Quarantined, Record, identity, read_manifest, write_manifest
from artmaster_pipeline.scans.adding import withdrawn_refusal
from artmaster_pipeline.scans.listing import Entry, bad_name
from artmaster_pipeline.scans.recognition import Recogniser
from artmaster_pipeline.scans.remote import Delivery, RemoteFile, foreign_kind, list_delivery, read_deliveries, time_of
from artmaster_pipeline.settings import PAINTER_FILE, Home
from artmaster_pipeline.stores import open_store, unreachable
from artmaster_pipeline.withdrawals import in_force

RECORDS = ".deliveries.jsonl"  # hidden, among the scans: it goes with them, wherever they go
_GIVE_UP = 3  # files in a row that could not be fetched: the store has gone
_WRITE_AFTER = 50  # files after which the records are written: a kill fetches no more than these again
_NAME = "name"


class Delivered(Record):
    """A version of a remote file: fetched to `path` as `sha256`, or refused for `reason` and not in the home.

    `until` says when a refusal is looked at again: where it is a name, once the name is free; else once the ledger of
    withdrawn works is no longer the one of that identity.
    """

    source: str  # identity(address)
    version: str
    name: str  # at the store, printable
    path: str = ""
    sha256: str = ""
    was_there: bool = False  # the home had these bytes already, from elsewhere
    reason: str = ""
    remedy: str = ""
    until: str = ""


@dataclass
class Fetched:
    """What fetching did for one painter; names are POSIX paths below the painter's folder."""

    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)
    already_there: list[str] = field(default_factory=list)
    refused: list[Quarantined] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)  # what could not be fetched now, and why
    notes: list[str] = field(default_factory=list)


def delivered_hashes(home: Home, painter: str) -> frozenset[str]:
    """The sha256 of the files that deliveries brought into the painter's folder."""
    return frozenset(row.sha256 for row in _records(home, painter) if row.sha256 and not row.was_there)


def refused_deliveries(home: Home, painter: str) -> tuple[Quarantined, ...]:
    """The files at the stores that were refused, as rows of the quarantine."""
    sources = {identity(url) for url in read_deliveries(home)}
    by_name = {row.name: row for row in _records(home, painter) if row.reason and row.source in sources}
    return tuple(_quarantined(painter, by_name[name]) for name in sorted(by_name))


def pending(home: Home, painter: str, source: str, files: Iterable[RemoteFile]) -> list[RemoteFile]:
    """Those of the files at an address that have to be fetched, or decided about anew."""
    known = {row.version: row for row in _records(home, painter) if row.source == source}
    ledger, target = ledger_name(home), home.scans(painter)
    settings_there = (target / PAINTER_FILE).exists()
    return [
        file
        for file in files
        if not (file.relative == PAINTER_FILE and settings_there) and _is_open(known.get(file.version), target, ledger)
    ]


def ledger_name(home: Home) -> str:
    """A name for which works are withdrawn now."""
    return identity(sorted(in_force(home)))


def records_reading(home: Home, painter: str) -> list[int]:
    """What changes when the records of deliveries do; empty where there are none."""
    try:
        stat = (home.scans(painter) / RECORDS).stat()
    except OSError:
        return []
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]


def fetch_deliveries(home: Home, painter: str, progress: Progress = SILENT) -> Fetched:
    """Fetch what deliveries hold of a painter; the folder scans/PAINTER is made where there is none.

    A store that cannot be reached and files that cannot be fetched are told as `failed`, and the others go on. Raises
    WrongUse where deliveries.yaml is wrong, ArtMasterError where the disk has no room for what came.
    """
    fetched = Fetched()
    if urls := read_deliveries(home):
        _fetch_all(home, painter, urls, fetched, progress)
    for name, why in fetched.failed:
        progress.say(f"{name} was not fetched: {why}.")
    for note in fetched.notes:
        progress.say(note)
    return fetched


@one_at_a_time
def _fetch_all(home: Home, painter: str, urls: Sequence[str], fetched: Fetched, progress: Progress) -> None:
    if home.scans(painter).is_dir():
        clear_partials(home.scans(painter))
    for url in urls:
        try:
            delivery = list_delivery(url, painter)
        except ArtMasterError as error:
            fetched.failed.append((url, str(error).removeprefix(f"{url} ").rstrip(".")))
            continue
        fetched.notes += delivery.notes
        _Fetching(home, painter, delivery, fetched, progress).all(delivery.files.get(painter, []))


class _Fetching:
    """What lies at one address, on its way into one painter's folder."""

    def __init__(self, home: Home, painter: str, delivery: Delivery, fetched: Fetched, progress: Progress) -> None:
        self._home, self._painter, self._delivery = home, painter, delivery
        self._fetched, self._progress = fetched, progress
        self._target = home.scans(painter)
        self._rows = {row.id: row for row in _records(home, painter)}
        self._withdrawn, self._recogniser = in_force(home), Recogniser.of(home)
        self._ledger = ledger_name(home)

    def all(self, files: Sequence[RemoteFile]) -> None:
        store, _ = open_store(self._delivery.url)
        due = pending(self._home, self._painter, self._delivery.source, files)
        self._check_room(due)
        if due:
            make_folder(self._target)
        in_a_row = 0
        try:
            self._forget_refusals(files)
            self._rename(files)
            with self._progress.task(f"Fetching scans of {self._painter}", len(due)) as advance:
                for number, file in enumerate(due, start=1):
                    in_a_row = 0 if self._take(store, file) else in_a_row + 1
                    advance(note=_printable(file.relative))
                    if number % _WRITE_AFTER == 0:
                        self._write()
                    if in_a_row == _GIVE_UP and number < len(due):
                        self._fetched.failed.append((f"{len(due) - number} more files", f"{_GIVE_UP} in a row failed"))
                        break
        finally:
            self._write()

    def _take(self, store: Any, file: RemoteFile) -> bool:
        """Fetch one file, or refuse it; gives False where the store did not give it."""
        try:
            place = self._place(file)
            self._fetch(store, file, place)
        except BadInput as bad:
            self._refuse(file, bad)
        except ArtMasterError as error:
            self._fetched.failed.append((_printable(file.relative), str(error).rstrip(".")))
            return False
        return True

    def _place(self, file: RemoteFile) -> Path:
        """Where a file goes. Raises BadInput for a name that no scan may have, and for a kind that is not read."""
        parts = file.relative.split("/")
        for part in parts:
            if refusal := bad_name(file.relative, part):
                raise BadInput(refusal.reason, "Rename it at the store with plain characters")
        if any(part in ("", ".") for part in parts):
            raise BadInput("Its path has an empty part", "Rename it at the store with plain characters")
        if foreign := foreign_kind(file.relative):
            raise foreign.refusal()
        try:
            place = inside(self._target, file.relative)
            blocked = next((each for each in place.parents if os.path.lexists(each) and not each.is_dir()), None)
        except (WrongUse, OSError) as error:
            raise BadInput("Its place lies outside of the painter's folder", "Rename it at the store") from error
        if blocked or place.is_dir():
            raise _taken("The home has a folder where it has a file, or a file where it has a folder")
        return place

    def _fetch(self, store: Any, file: RemoteFile, place: Path) -> None:
        handle, name = tempfile.mkstemp(prefix=".partial-", suffix=place.suffix, dir=self._target)
        os.close(handle)
        temporary = Path(name)
        try:
            self._download(store, file, temporary)
            sha256 = sha256_of(temporary)
            if refusal := withdrawn_refusal(Entry(file.relative, temporary), self._withdrawn, self._recogniser):
                raise BadInput(refusal.reason, refusal.remedy)
            outcome = self._compare(file, place, sha256)
            if outcome is not self._fetched.already_there:
                temporary.chmod(0o644)
                to_disk(temporary)
                move(temporary, place)
            outcome.append(file.relative)
            was_there = outcome is self._fetched.already_there
            self._note(file, path=file.relative, sha256=sha256, was_there=was_there)
        finally:
            temporary.unlink(missing_ok=True)

    def _download(self, store: Any, file: RemoteFile, temporary: Path) -> None:
        try:
            store.get_file(file.path, str(temporary))
            now = file.mark if file.is_checksum else time_of(store.info(file.path))
        except Exception as error:  # each library has its own family of errors, most of them not OSError
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise  # the home's disk: no other file has room, either
            raise unreachable(self._delivery.url, error) from error
        if temporary.stat().st_size != file.size or now != file.mark:
            raise ArtMasterError("It was changed at the store while it was fetched: it is fetched once it is whole")

    def _compare(self, file: RemoteFile, place: Path, sha256: str) -> list[str]:
        """The list that the file belongs to. Raises BadInput where its name is another file's."""
        if not os.path.lexists(place):
            return self._fetched.new
        if not place.is_file() or place.is_symlink():
            raise _taken("The home has something else than a file of that name")
        there = sha256_of(place)
        if there == sha256:
            return self._fetched.already_there
        source = self._delivery.source
        ours = [r for r in self._rows.values() if r.source == source and r.path == file.relative and not r.was_there]
        if all(row.sha256 != there for row in ours):
            raise _taken("The home has another file of that name, which did not come from this delivery as it is now")
        return self._fetched.changed

    def _rename(self, files: Sequence[RemoteFile]) -> None:
        """Let files that have another name at the store now, and are as they came, have it in the home, too."""
        source, names = self._delivery.source, {file.relative for file in files}
        by_version = {row.version: row for row in self._rows.values() if row.source == source and row.path}
        for file in files:
            row = by_version.get(file.version)
            if not row or not file.is_checksum or row.path == file.relative or row.path in names or row.was_there:
                continue
            old = self._target / row.path
            try:
                new = self._place(file)
            except BadInput:
                continue  # it keeps the name that it has
            if old.is_file() and not old.is_symlink() and not os.path.lexists(new) and sha256_of(old) == row.sha256:
                move(old, new)
                self._rows[row.id] = row.model_copy(update={"path": file.relative, "name": file.relative})
                self._fetched.renamed.append(file.relative)

    def _forget_refusals(self, files: Sequence[RemoteFile]) -> None:
        """What was refused and is no longer at the store is nobody's concern."""
        there, source = {file.version for file in files}, self._delivery.source
        self._rows = {
            key: row
            for key, row in self._rows.items()
            if not row.reason or row.source != source or row.version in there
        }

    def _check_room(self, due: Sequence[RemoteFile]) -> None:
        home = next(folder for folder in (self._target, *self._target.parents) if folder.is_dir())
        needed, usage = sum(file.size for file in due), shutil.disk_usage(home)
        if needed > usage.free and usage.total:  # some network drives do not say how large they are
            raise disk_full(home, needed=needed)

    def _refuse(self, file: RemoteFile, bad: BadInput) -> None:
        reason = f"{bad.reason} (at {self._delivery.url})"
        until = _NAME if isinstance(bad, _Taken) else self._ledger
        row = self._note(file, reason=reason, remedy=bad.remedy, until=until)
        self._fetched.refused.append(_quarantined(self._painter, row))

    def _note(self, file: RemoteFile, **said: Any) -> Delivered:
        """Remember what became of a file; one that came succeeds all other versions of its name."""
        source, name = self._delivery.source, _printable(file.relative)
        self._rows = {
            key: row
            for key, row in self._rows.items()
            if row.source != source or row.name != name or said.get("reason")
        }
        row = Delivered(id=identity(source, file.version), source=source, version=file.version, name=name, **said)
        self._rows[row.id] = row
        return row

    def _write(self) -> None:
        if self._rows or (self._target / RECORDS).exists():
            write_manifest(self._target / RECORDS, self._rows.values())


class _Taken(BadInput):
    """The name is taken in the home; looked at again once it is free."""


def _taken(reason: str) -> _Taken:
    return _Taken(reason, "Rename it at the store; or move the home's own away, then fetch again")


def _is_open(row: Delivered | None, target: Path, ledger: str) -> bool:
    """Whether a version is to be fetched: not known, or refused for a reason that may be over."""
    if row is None:
        return True
    if not row.reason:
        return False
    return not os.path.lexists(target / row.name) if row.until == _NAME else row.until != ledger


def _records(home: Home, painter: str) -> tuple[Delivered, ...]:
    return read_manifest(home.scans(painter) / RECORDS, Delivered)


def _quarantined(painter: str, row: Delivered) -> Quarantined:
    key = identity("not fetched", row.id, row.reason)
    return Quarantined(id=key, painter=painter, path=row.name, reason=row.reason, remedy=row.remedy)


def _printable(name: str) -> str:
    """A remote name as records hold it: no control characters, valid UTF-8."""
    shown = name.encode("utf-8", "backslashreplace").decode()
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in shown)

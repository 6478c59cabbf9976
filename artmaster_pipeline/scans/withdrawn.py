"""Which files of a painter's folder may not be used, though nothing is wrong with them.

Three reasons: the ledger names their bytes; they show a work that it names, in other bytes; or the archive's own
rights in them are over (`rights_until` of artworks.csv). They are no faults: register/<painter>/withdrawn.jsonl has
them, and the quarantine does not.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from artmaster_pipeline.records import MANIFEST, WITHDRAWN, Scan, Withdrawn, identity, read_manifest, write_manifest
from artmaster_pipeline.scans.recognition import Recogniser, fingerprint_of
from artmaster_pipeline.settings import Home, load_painter
from artmaster_pipeline.withdrawals import LedgerLine, in_force, is_over, told_apart


@dataclass(frozen=True)
class Seen:
    """A file of the folder: `pixels` names what it shows, and is empty where it cannot be decoded."""

    path: str
    sha256: str
    pixels: str
    rights_until: str


def read_withdrawn(home: Home, painter: str) -> tuple[Withdrawn, ...]:
    """What the register has as withdrawn; empty where nothing is."""
    return read_manifest(home.register(painter) / WITHDRAWN, Withdrawn)


def write_withdrawn(home: Home, painter: str, rows: Iterable[Withdrawn]) -> None:
    """Write those rows; no file where there are none."""
    file, rows = home.register(painter) / WITHDRAWN, list(rows)
    if rows or file.exists():
        write_manifest(file, rows)
    if not rows:
        file.unlink(missing_ok=True)


def find_withdrawn(
    home: Home, painter: str, files: Sequence[Seen], thumbnail: Callable[[Seen], Path]
) -> dict[str, Withdrawn]:
    """Those of `files` that may not be used, by path. `thumbnail` gives a file's, and is asked only where needed."""
    lines, recogniser = in_force(home), Recogniser.of(home)
    found = {
        file.path: _by_ledger(painter, file.path, file.sha256, lines[file.sha256])
        for file in files
        if file.sha256 in lines
    }
    before = {row.sha256: row.like for row in read_withdrawn(home, painter) if row.like in lines}
    groups: dict[str, list[Seen]] = {}
    for file in files:
        if file.pixels and file.path not in found and file.sha256 not in recogniser.apart:
            groups.setdefault(file.pixels, []).append(file)
    pixels = {file.pixels: file.sha256 for file in files if file.path in found}
    for shown, group in groups.items() if lines else ():
        one = group[0]
        like = pixels.get(shown) or before.get(one.sha256) or recogniser.like(one.sha256, thumbnail(one))
        if like:
            found |= {file.path: _by_likeness(painter, file, lines[like], like) for file in group}
    return found | _over(painter, [file for file in files if file.path not in found], thumbnail)


def gone(home: Home, painter: str, present: Iterable[Withdrawn]) -> list[Withdrawn]:
    """The painter's works that the ledger has withdrawn and whose files are gone; with the paths that they had."""
    names = {painter, *(load_painter(home, painter).formerly if home.scans(painter).is_dir() else ())}
    there = {row.sha256 for row in present}
    paths = {row.sha256: row.path for row in read_withdrawn(home, painter)}
    return [
        _by_ledger(painter, paths.get(sha256, ""), sha256, line)
        for sha256, line in in_force(home).items()
        if sha256 not in there and (sha256 in paths or names.intersection(line.painters))
    ]


def leave_out(home: Home, painter: str, sha256s: Collection[str]) -> tuple[Scan, ...]:
    """Take scans that the ledger has withdrawn out of the register's manifest, as the stage would; gives them."""
    manifest = home.register(painter) / MANIFEST
    scans = read_manifest(manifest, Scan)
    out = tuple(scan for scan in scans if scan.sha256 in sha256s)
    if not manifest.exists():
        return ()
    rows = {row.sha256: row for row in read_withdrawn(home, painter)}
    lines = in_force(home)
    rows |= {s.sha256: _by_ledger(painter, s.path, s.sha256, lines[s.sha256]) for s in out if s.sha256 in lines}
    write_withdrawn(home, painter, [*rows.values(), *gone(home, painter, rows.values())])
    if out:
        write_manifest(manifest, (scan for scan in scans if scan.sha256 not in sha256s))
    return out


def is_behind(home: Home, painter: str) -> bool:
    """Whether the register has works that may not be used by now, or leaves out what may be used again."""
    lines, apart = in_force(home), told_apart(home)
    scans = read_manifest(home.register(painter) / MANIFEST, Scan)
    if any(scan.sha256 in lines or is_over(scan.rights_until) for scan in scans):
        return True
    for row in read_withdrawn(home, painter):
        by_ledger = (row.like in lines and row.sha256 not in apart) if row.like else row.sha256 in lines
        if not (is_over(row.rights_until) if row.rights_until else by_ledger):
            return True
    return False


def way_back(sha256: str, like: str = "") -> str:
    """What a person can do about a file that is refused as withdrawn."""
    back = f"To take the withdrawal back: artmaster restore {(like or sha256)[:16]}"
    return f"If it is another work: artmaster restore {sha256} --other-work --reason TEXT. {back}" if like else back


def _over(painter: str, files: Sequence[Seen], thumbnail: Callable[[Seen], Path]) -> dict[str, Withdrawn]:
    """The files whose rights are over, and those without a date of their own that show the same works."""
    over = {file.sha256: file for file in files if is_over(file.rights_until)}
    if not over:
        return {}
    recogniser = Recogniser({sha256: _fingerprint(file, thumbnail) for sha256, file in over.items()})
    pixels = {file.pixels: sha256 for sha256, file in over.items() if file.pixels}
    found = {}
    for file in files:
        if is_over(file.rights_until):
            found[file.path] = _by_rights(painter, file, file.rights_until)
        elif not file.rights_until and file.pixels:
            like = pixels.get(file.pixels) or recogniser.like(file.sha256, thumbnail(file))
            if like:
                found[file.path] = _by_rights(painter, file, over[like].rights_until, like)
    return found


def _fingerprint(file: Seen, thumbnail: Callable[[Seen], Path]) -> str:
    return fingerprint_of(thumbnail(file)) if file.pixels else ""


def _by_ledger(painter: str, path: str, sha256: str, line: LedgerLine) -> Withdrawn:
    return _row(painter, path, sha256, since=line.day, reason=line.reason)


def _by_likeness(painter: str, file: Seen, line: LedgerLine, like: str) -> Withdrawn:
    reason = f"It shows the withdrawn work {like[:16]} in another file ({line.reason})"
    return _row(painter, file.path, file.sha256, since=line.day, reason=reason, like=like)


def _by_rights(painter: str, file: Seen, day: str, like: str = "") -> Withdrawn:
    reason = f"Its rights ended on {day}" + (f", by the row about {like[:16]}, the same work" if like else "")
    return _row(painter, file.path, file.sha256, since=day, reason=reason, like=like, rights_until=day)


def _row(painter: str, path: str, sha256: str, **said: str) -> Withdrawn:
    return Withdrawn(id=identity("withdrawn", path, sha256), painter=painter, path=path, sha256=sha256, **said)

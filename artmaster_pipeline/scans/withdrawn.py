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
from artmaster_pipeline.withdrawals import LedgerLine, is_over


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
    recogniser = Recogniser.of(home)
    found = {
        file.path: _by_ledger(painter, file.path, file.sha256, line)
        for file in files
        if (line := recogniser.same(file.sha256))
    }
    before = {row.sha256: row for row in read_withdrawn(home, painter) if row.like in recogniser.withdrawn}
    groups: dict[str, list[Seen]] = {}
    for file in files:
        if file.pixels and file.path not in found and file.sha256 not in recogniser.apart:
            groups.setdefault(file.pixels, []).append(file)
    withdrawn_pixels = {file.pixels: file.sha256 for file in files if file.path in found}
    for pixels, group in groups.items() if recogniser.withdrawn else ():
        known = before.get(group[0].sha256)
        like = withdrawn_pixels.get(pixels) or (known.like if known else "")
        if not like and (alike := recogniser.like(group[0].sha256, thumbnail(group[0]))):
            like = alike[0]
        if like:
            found |= {file.path: _by_likeness(painter, file, recogniser.withdrawn[like], like) for file in group}
    return found | _over(painter, [file for file in files if file.path not in found], thumbnail)


def gone(home: Home, painter: str, present: Iterable[Withdrawn]) -> list[Withdrawn]:
    """The painter's works that the ledger has withdrawn and whose files are gone; with the paths that they had."""
    names = {painter, *(load_painter(home, painter).formerly if home.scans(painter).is_dir() else ())}
    there = {row.sha256 for row in present}
    paths = {row.sha256: row.path for row in read_withdrawn(home, painter)}
    return [
        _by_ledger(painter, paths.get(sha256, ""), sha256, line)
        for sha256, line in Recogniser.of(home).withdrawn.items()
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
    lines = Recogniser.of(home).withdrawn
    rows |= {s.sha256: _by_ledger(painter, s.path, s.sha256, lines[s.sha256]) for s in out if s.sha256 in lines}
    write_withdrawn(home, painter, [*rows.values(), *gone(home, painter, rows.values())])
    if out:
        write_manifest(manifest, (scan for scan in scans if scan.sha256 not in sha256s))
    return out


def is_behind(home: Home, painter: str) -> bool:
    """Whether the register has works that may not be used by now, or leaves out what may be used again."""
    recogniser = Recogniser.of(home)
    scans = read_manifest(home.register(painter) / MANIFEST, Scan)
    if any(scan.sha256 in recogniser.withdrawn or is_over(scan.rights_until) for scan in scans):
        return True
    return any(not _holds(row, recogniser) for row in read_withdrawn(home, painter))


def way_back(sha256: str, like: str = "") -> str:
    """What a person can do about a file that is refused as withdrawn."""
    back = f"To take the withdrawal back: artmaster restore {(like or sha256)[:16]}"
    return f"If it is another work: artmaster restore {sha256} --other-work --reason TEXT. {back}" if like else back


def _holds(row: Withdrawn, recogniser: Recogniser) -> bool:
    if row.rights_until:
        return is_over(row.rights_until)
    if row.like:
        return row.like in recogniser.withdrawn and row.sha256 not in recogniser.apart
    return row.sha256 in recogniser.withdrawn


def _over(painter: str, files: Sequence[Seen], thumbnail: Callable[[Seen], Path]) -> dict[str, Withdrawn]:
    """The files whose rights are over, and those without a date of their own that show the same works."""
    over = [file for file in files if is_over(file.rights_until)]
    if not over:
        return {}
    lines = {
        file.sha256: LedgerLine.model_validate(
            {
                "id": "",
                "action": "withdrawn",
                "scans": [{"sha256": file.sha256, "fingerprint": _fingerprint(file, thumbnail)}],
                "reason": f"Its rights ended on {file.rights_until}",
                "by": "artworks.csv",
                "at": file.rights_until,
            }
        )
        for file in over
    }
    dates = {file.sha256: file.rights_until for file in over}
    recogniser, pixels = Recogniser(lines), {file.pixels: file.sha256 for file in over if file.pixels}
    found = {file.path: _by_rights(painter, file, file.rights_until) for file in over}
    for file in files:
        if file.path in found or file.rights_until or not file.pixels:
            continue
        like = pixels.get(file.pixels) or next(iter(recogniser.like(file.sha256, thumbnail(file)) or ()), "")
        if like:
            found[file.path] = _by_rights(painter, file, dates[str(like)], str(like))
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

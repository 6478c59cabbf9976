"""What the product wrote while it held a painter: found by comparing the painter's files before and after.

How the files were is on the disk before any work begins. A run that is killed leaves that behind, and the next one that
holds the painter writes its work down before anything else. A file that changed while nobody held the painter is in
neither: its hash in the list stays what it was, and checking finds it.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from artmaster_pipeline.files import clear_partials, sha256_of, write_text
from artmaster_pipeline.proof.chain import PROOF, append, chain_lock, listing_named
from artmaster_pipeline.proof.listing import (
    Listing,
    files_there,
    folders,
    listing_file,
    owner_of,
    read_listing,
    write_listing,
)
from artmaster_pipeline.records import (
    ADAPTER_RECORD,
    CURATED,
    DECISIONS,
    MANIFEST,
    PANEL,
    PROVENANCE,
    QUARANTINE,
    SNAPSHOT,
    VERDICT,
    VERDICTS,
    VERSIONS_FOLDER,
    WITHDRAWALS,
    WITHDRAWN,
)
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stages import in_order

State = dict[str, list[int]]  # path -> size in bytes, time of the last change in nanoseconds, inode

_RECORDS = {
    *(MANIFEST, QUARANTINE, WITHDRAWN, WITHDRAWALS, ADAPTER_RECORD, SNAPSHOT, PANEL, PROVENANCE),
    *(VERDICT, VERDICTS, DECISIONS, CURATED),
}
_held: dict[tuple[Path, str], tuple[State, bool]] = {}  # how files were, and whether a killed run's work is among it


def begin(home: Home, painter: str) -> None:
    """Remember how a painter's files are now; what a run wrote that was killed is noted first.

    The caller holds the painter.
    """
    left = _left_by_a_kill(_memory(home, painter))
    if left is not None:
        _held[home.root, painter] = left, True
        note_written(home, painter)
    before = _state(home, painter)
    write_text(_memory(home, painter), json.dumps(before))
    _held[home.root, painter] = before, False


def note_written(home: Home, painter: str) -> None:
    """Add a line about what has been written since `begin`, or since this was last called; none where nothing was."""
    before, after_a_kill = _held[home.root, painter]
    now = _state(home, painter)
    if now == before and not after_a_kill:
        return
    with chain_lock(home):
        _write_down(home, painter, before, now, after_a_kill)
    _held[home.root, painter] = now, False


def end(home: Home, painter: str) -> None:
    """Forget how the files were: all that was written is in the chain."""
    _held.pop((home.root, painter), None)
    _memory(home, painter).unlink(missing_ok=True)


def note_file(home: Home, partition: str, file: Path) -> None:
    """Add a line about one file of a painter, or of a set, that was written by somebody who need not hold it."""
    painter = owner_of(partition)
    path = file.relative_to(home.root).as_posix()
    with chain_lock(home):
        before = {name: state for name, state in _state(home, painter).items() if name != path}
        _write_down(home, painter, before, before | {path: []}, after_a_kill=False)


def listing_as_named(home: Home, painter: str) -> tuple[Listing | None, bool]:
    """A painter's list, and whether the chain names it; no list where there is none or it cannot be read."""
    try:
        with chain_lock(home):  # whoever writes the list adds its line next
            return _as_named(home, painter)
    except OSError:  # the home may only be read
        return _as_named(home, painter)


def _as_named(home: Home, painter: str) -> tuple[Listing | None, bool]:
    listing, named = _known(home, painter), listing_named(home, painter)
    return listing, bool(named) and listing is not None and sha256_of(listing_file(home, painter)) == named


def _memory(home: Home, painter: str) -> Path:
    return home.cache / "proof" / f"{painter}.before"


def _left_by_a_kill(file: Path) -> State | None:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # there was none; or a torn one, from before any work began
        return None


def _state(home: Home, painter: str) -> State:
    return {path: _seen(stat) for path, stat in files_there(home, painter).items()}


def _seen(stat: os.stat_result) -> list[int]:
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]


def _write_down(home: Home, painter: str, before: State, now: State, after_a_kill: bool) -> None:
    """Bring the painter's list up to date and add its line. The caller holds `chain_lock`."""
    clear_partials(home.root / PROOF)
    known, named = _known(home, painter), listing_named(home, painter)
    there = sha256_of(listing_file(home, painter)) if known is not None else ""
    listing: Listing = dict.fromkeys(before, "") if known is None else dict(known)
    written = [path for path, state in now.items() if before.get(path) != state]
    if known is None:  # of the files that were there before, those that hold records
        written += [path for path in before if path in now and _is_record(path) and path not in written]
    found = 0 if known is not None else sum(path in now and path not in written for path in before)
    for path in before.keys() - now.keys():
        listing.pop(path, None)
    moved = _moved_from_others(home, painter)
    for path in written:
        try:
            listing[path] = moved.get(tuple(now[path])) or sha256_of(home.root / path)
        except OSError:  # a link to nothing, or gone again
            listing.pop(path, None)
    old = known or {}
    changed = sorted(path for path in listing.keys() | old.keys() if listing.get(path) != old.get(path))
    if not changed and there == named:
        return
    write_listing(home, painter, listing)
    append(
        home,
        painter,
        stages=_stages(home, painter, changed),
        records={path: listing.get(path, "") for path in changed if _is_record(path)},
        listing=sha256_of(listing_file(home, painter)),
        begins=not named,
        found=found,
        after_a_kill=after_a_kill,
        list_edited=there != named and not after_a_kill,
    )


def _moved_from_others(home: Home, painter: str) -> dict[tuple[int, ...], str]:
    """Hashes of the files of other painters who are held now: one that is renamed keeps what was known of its files."""
    found: dict[tuple[int, ...], str] = {}
    for (root, other), (before, _) in _held.items():
        if root == home.root and other != painter:
            known = _known(home, other) or {}
            found |= {tuple(state): known[path] for path, state in before.items() if known.get(path)}
    return found


def _known(home: Home, painter: str) -> Listing | None:
    try:
        return read_listing(home, painter)
    except (ValueError, OSError):  # somebody wrote into it: what is written now is listed anew, the rest as found
        return None


def _stages(home: Home, painter: str, paths: Iterable[str]) -> tuple[str, ...]:
    """The stages in whose folders the paths are."""
    known = folders(home, painter)
    found = {stage for path in paths for folder, stage in known.items() if path.startswith(f"{folder}/")}
    return tuple(stage.name for stage in in_order() if stage.name in found)


def _is_record(path: str) -> bool:
    """Whether a file holds records, or the weights that a record is about: those are named in the line itself."""
    *_, parent, name = ("", *path.split("/"))
    if f"/{VERSIONS_FOLDER}/" in path and path.count("/") == 3:  # a version's own record, and the ledger of versions
        return True
    return name in _RECORDS or (path.startswith("adapters/") and name == "adapter.safetensors" and len(parent) == 16)

"""One name for what a painter's scans folder says: from contents and what pairs them, not from names or times.

A picture counts by its bytes, a sidecar by its own and its picture's, a table by its own. So scans that are renamed
(with their sidecars), saved again with the same bytes or only touched leave the name as it is.
"""

import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from artmaster_pipeline.records import identity
from artmaster_pipeline.scans.hashes import Hashes, Reading, reading_of
from artmaster_pipeline.scans.leftovers import is_own_file, is_own_folder
from artmaster_pipeline.scans.listing import is_table, one_form
from artmaster_pipeline.settings import PAINTER_FILE, Home

NOTHING = identity([])  # the content of a folder in which nothing counts

# What is larger counts by its size and time: a drive of 100 MB/s needs ten seconds for it, longer than a tick may take.
_LARGE = 1 << 30


class Seen(NamedTuple):
    """An entry of the folder. `relative` is its printable POSIX path; `reading` is None where it cannot be hashed."""

    relative: str
    path: str
    reading: Reading | None


@dataclass(frozen=True)
class Content:
    """The folder's content; `name` is None where the time was over before all files were hashed.

    It is not `certain` where a file could not be read: the same listing may have another content once it can.
    """

    name: str | None
    read: int
    files: int
    certain: bool = True


def list_scans(home: Home, painter: str) -> list[Seen]:
    """All files of the folder, sorted; what systems keep for themselves is left out. No file is opened."""
    found: list[Seen] = []
    _list(home.scans(painter), "", found)
    return sorted(found)


def listing_name(seen: list[Seen]) -> str:
    """A name that changes with any name, size or time in the listing; empty where nothing is there."""
    return identity([(each.relative, each.reading) for each in seen]) if seen else ""


def content_of(
    home: Home, painter: str, seen: list[Seen], until: float, delivered: frozenset[str] = frozenset()
) -> Content:
    """The content's name. Hashes what is not known, one file at least, while `time.monotonic()` is below `until`.

    `delivered` are the hashes of files that a delivery brought and that shall not count again as they come.
    """
    hashes, found, unread = Hashes(home, painter), dict[str, str](), 0
    wanted = [each for each in seen if each.reading and each.reading[0] <= _LARGE]
    opened = 0
    for each in wanted:
        known = hashes.known(each.relative, each.reading) if each.reading else None
        if not known and opened and time.monotonic() >= until:
            unread += 1
        elif sha256 := known or _hashed(hashes, each):
            found[each.relative] = sha256
            opened += not known
    hashes.save(only={each.relative for each in wanted})
    if unread:
        return Content(None, len(wanted) - unread, len(wanted))
    return Content(_name(seen, found, delivered), len(found), len(wanted), certain=len(found) == len(wanted))


def _hashed(hashes: Hashes, seen: Seen) -> str | None:
    try:
        return hashes.of(seen.relative, Path(seen.path))[0]
    except OSError:  # the stage raw_scans says why
        return None


def _name(seen: list[Seen], sha256s: dict[str, str], delivered: frozenset[str]) -> str:
    pictures: dict[str, list[str]] = {}
    texts: dict[str, str] = {}
    elements: set[tuple[str, ...]] = set()
    for each in seen:
        sha256 = sha256s.get(each.relative)
        name = each.relative.rpartition("/")[2]
        if not sha256:
            # By name where it cannot be read. Otherwise it is too large, and counts by its size and time.
            elements.add(("unread", *map(str, each.reading[:2])) if each.reading else ("unread", each.relative))
        elif is_table(name):
            elements.add((name.casefold(), sha256))
        elif name[-4:].casefold() == ".txt":
            texts[_stem(each.relative)] = sha256
        else:
            elements.add(("picture", sha256))
            pictures.setdefault(_stem(each.relative), []).append(sha256)
    for stem, text in texts.items():
        elements |= {("sidecar", picture, text) for picture in pictures.get(stem, ())}
    counted = {element for element in elements if not delivered.issuperset(element[1:])}
    gone = {("gone", sha256) for sha256 in delivered.difference(sha256s.values())}
    return identity(sorted(counted | gone))


def _stem(relative: str) -> str:
    return one_form(relative.removesuffix(PurePosixPath(relative).suffix))


def _list(folder: Path | str, prefix: str, found: list[Seen]) -> None:
    try:
        with os.scandir(folder) as entries:
            listed = list(entries)
    except FileNotFoundError:
        return
    except OSError:
        found.append(Seen(prefix or ".", str(folder), None))
        return
    for entry in listed:
        name = entry.name if entry.name.isascii() else os.fsencode(entry.name).decode("utf-8", "backslashreplace")
        relative = prefix + name
        if entry.is_dir(follow_symlinks=False):
            if not is_own_folder(entry.name):
                _list(entry.path, f"{relative}/", found)
        elif relative != PAINTER_FILE and not is_own_file(entry.name):
            found.append(Seen(relative, entry.path, _reading(entry)))


def _reading(entry: os.DirEntry[str]) -> Reading | None:
    try:
        told = entry.stat()
    except OSError:
        return None
    return reading_of(told) if stat.S_ISREG(told.st_mode) else None

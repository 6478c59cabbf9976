"""One name for all that lies in a painter's scans folder, from names, sizes and times alone; no file is opened.

It says cheaply that something may have changed. Whether it has, the stage raw_scans finds out by content.
"""

import json
import os
from pathlib import Path

from artmaster_pipeline.records import identity
from artmaster_pipeline.scans.leftovers import is_own_file, is_own_folder
from artmaster_pipeline.settings import PAINTER_FILE, Home


def scans_fingerprint(home: Home, painter: str) -> str:
    """An identity of the names, sizes and modification times of the scans and their sidecars; empty without any.

    What systems keep for themselves does not count. Entries that cannot be looked at count by name. A listing of 4,000
    files takes a fraction of a second on a local disk.
    """
    seen: list[list] = []
    _list(home.scans(painter), "", seen)
    return identity(sorted(seen)) if seen else ""


def fingerprint_of_content(home: Home, painter: str, content: str | None) -> str | None:
    """The fingerprint of the files that an older version had hashed to `content`, from what it remembered of them.

    None where it remembers other files or nothing: then a run finds out.
    """
    try:
        memory = json.loads((home.cache / "fingerprints" / f"{painter}.json").read_text(encoding="utf-8"))
        hashed = identity([[name, sha256] for name, (*_, sha256) in memory.items()])
        seen = [
            [name, "unreadable"] if sha256 == "unreadable" else [name, size, modified]
            for name, (size, _, modified, _, sha256) in memory.items()
        ]
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return identity(sorted(seen)) if seen and hashed == content else None


def _list(folder: Path, prefix: str, seen: list[list]) -> None:
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except OSError:
        seen.append([prefix, "unreadable"])
        return
    for entry in found:
        name = os.fsencode(prefix + entry.name).decode("utf-8", "backslashreplace")
        if entry.is_dir(follow_symlinks=False):
            if not is_own_folder(entry.name):
                _list(Path(entry.path), f"{prefix}{entry.name}/", seen)
        elif name != PAINTER_FILE and not is_own_file(entry.name):
            seen.append([name, *_stat(entry)])


def _stat(entry: os.DirEntry[str]) -> list:
    try:
        stat = entry.stat()
    except OSError:
        return ["unreadable"]
    return [stat.st_size, stat.st_mtime_ns]

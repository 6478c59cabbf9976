"""The hashes of a painter's files, remembered for as long as the file system says that a file is the same."""

import json
import os
import time
from collections.abc import Collection
from pathlib import Path

from artmaster_pipeline.files import sha256_of, write_text
from artmaster_pipeline.settings import Home

Reading = tuple[int, int, int, int]  # size, times of the last change of content and of anything (ns), inode

# A change within one tick of the file system's clock shows in none of its times (FAT counts two seconds), so what was
# changed just now is hashed, and not remembered.
_TOO_YOUNG = 2_000_000_000


def reading_of(stat: os.stat_result) -> Reading:
    """What of a file's status changes with its content."""
    return (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


def now_ns() -> int:
    """The time by which files are too young to be remembered."""
    return time.time_ns()


class Hashes:
    """sha256 by path below scans/PAINTER and reading. Kept in the cache: whatever is lost is hashed again."""

    def __init__(self, home: Home, painter: str) -> None:
        self._file = home.cache / "hashes" / f"{painter}.json"
        self._known = self._on_disk()
        self._new: dict[str, tuple[Reading, str]] = {}

    def known(self, relative: str, reading: Reading) -> str | None:
        """The sha256 of a file that reads as it did when it was hashed; no file is opened."""
        told = self._new.get(relative) or self._known.get(relative)
        return told[1] if told and told[0] == reading else None

    def of(self, relative: str, path: Path) -> tuple[str, int]:
        """A file's sha256 and its size in bytes; opened only where that is not known yet. Raises OSError."""
        before = reading_of(path.stat())
        if known := self.known(relative, before):
            return known, before[0]
        sha256, after = sha256_of(path), reading_of(path.stat())
        if before == after and now_ns() - after[2] > _TOO_YOUNG:
            self._new[relative] = (after, sha256)
        return sha256, after[0]

    def save(self, only: Collection[str] | None = None) -> None:
        """Write down what was learnt; with `only`, what is known of other paths is forgotten."""
        kept = self._on_disk() | self._new  # another process may have learnt something meanwhile
        if only is not None:
            kept = {relative: told for relative, told in kept.items() if relative in only}
        if self._new or len(kept) != len(self._known):
            write_text(self._file, json.dumps({name: [*reading, sha256] for name, (reading, sha256) in kept.items()}))
            self._known, self._new = kept, {}

    def _on_disk(self) -> dict[str, tuple[Reading, str]]:
        try:
            rows = json.loads(self._file.read_text(encoding="utf-8"))
            return {name: ((size, modified, changed, inode), sha256)
                    for name, (size, modified, changed, inode, sha256) in rows.items()}  # fmt: skip
        except (OSError, ValueError, TypeError, AttributeError):  # none yet, or damaged: it is a cache
            return {}

"""One name for all that lies in a painter's scans folder, by content; cheap to ask for again and again."""

import json
from pathlib import Path

from artmaster_pipeline.files import sha256_of, write_text
from artmaster_pipeline.records import identity
from artmaster_pipeline.settings import PAINTER_FILE, Home


def scans_fingerprint(home: Home, painter: str) -> str:
    """An identity of the names and bytes of the scans and their sidecars; empty where there are none.

    A file is read again only when its size, inode or change time differs from the last reading's, as git and DVC do;
    what decides is the content alone. Entries that cannot be read count by name.
    """
    folder = home.scans(painter)
    memory = home.cache / "fingerprints" / f"{painter}.json"
    known: dict[str, list] = json.loads(memory.read_text(encoding="utf-8")) if memory.exists() else {}
    now: dict[str, list] = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        name = str(relative).encode("utf-8", "backslashreplace").decode()
        if name == PAINTER_FILE or any(part.startswith(".") for part in relative.parts):
            continue
        if path.is_dir() and not path.is_symlink():
            continue
        now[name] = _reading(path, known.get(name))
    if now != known:
        write_text(memory, json.dumps(now, ensure_ascii=False))
    return identity([[name, reading[-1]] for name, reading in now.items()]) if now else ""


def _reading(path: Path, before: list | None) -> list:
    """[size, inode, modified, changed, sha256]: the old one where the first four are the same."""
    try:
        stat = path.stat()
        seen = [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]
        if before and before[:4] == seen:
            return before
        return [*seen, sha256_of(path) if path.is_file() else "not a file"]
    except OSError:
        return [0, 0, 0, 0, "unreadable"]

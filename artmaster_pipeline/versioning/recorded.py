"""What DVC's own files say of the bytes below a data home, read without DVC.

dvc.lock and the `.dvc` files name a folder by the md5 of a list of its files; the list lies in DVC's cache under that
name, as a JSON array of {"md5", "relpath"} sorted by path.
"""

import fnmatch
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from artmaster_pipeline.errors import BadInput
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stages import in_order
from artmaster_pipeline.versioning.repository import LOCK_FILE, find_root
from artmaster_pipeline.yaml_text import read_yaml

_DIR = ".dir"
_CACHE = Path(".dvc", "cache", "files", "md5")


class Unreadable(BadInput):
    """A file of DVC's that cannot be read."""

    def __init__(self, file: Path) -> None:
        super().__init__(
            f"{file} cannot be read, so nobody can say which bytes DVC named",
            "Put it back from git or a backup, or run the painter's stages again, which writes it anew.",
        )
        self.file = file


@dataclass(frozen=True)
class RecordedFolder:
    """A folder that DVC names."""

    folder: str  # POSIX path below the data home
    md5: str  # of the list of its files
    files: Mapping[str, str] | None  # POSIX path below the folder -> md5; None: the list is not in DVC's cache
    told_by: str  # the file that names it, POSIX path below DVC's root

    def is_named(self, files: Mapping[str, str]) -> bool:
        """Whether a folder with these files (path below it -> md5) is the one that is named."""
        rows = [{"md5": md5, "relpath": path} for path, md5 in sorted(files.items(), key=lambda each: each[0])]
        return _md5(json.dumps(rows, sort_keys=True).encode()) == self.md5


def recorded_folders(home: Home) -> tuple[RecordedFolder, ...]:
    """Every folder of the stages, and of scans, that dvc.lock or a `.dvc` file names; none where nothing is versioned.

    Raises Unreadable where such a file cannot be read.
    """
    root = find_root(home)
    if root is None:
        return ()
    found = []
    ours = {"scans", *(stage.folder for stage in in_order())}
    for file, place, md5 in _named(home, root):
        if not place.is_relative_to(home.root):
            continue
        folder = place.relative_to(home.root).as_posix()
        if folder.split("/", 1)[0] in ours and md5.endswith(_DIR):
            name = md5.removesuffix(_DIR)
            told_by = file.relative_to(root).as_posix()
            found.append(RecordedFolder(folder, name, _list_of(root, name), told_by))
    return tuple(found)


def passed_over(home: Home, painter: str) -> list[str]:
    """The patterns by which DVC passes over files of a painter's scans, relative to the painter's folder."""
    file = home.root / "scans" / ".dvcignore"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return [line.removeprefix(f"/{painter}/") for line in lines if line.startswith((f"/{painter}/", "."))]


def is_passed_over(path: str, patterns: list[str]) -> bool:
    """Whether one of the patterns of `passed_over` is of a path, or of a file of that name in any folder."""
    name = path.rsplit("/", 1)[-1]
    plain = [pattern.replace("\\", "") for pattern in patterns]
    return any(fnmatch.fnmatch(path, each) or path == each or fnmatch.fnmatch(name, each) for each in plain)


def _named(home: Home, root: Path) -> Iterator[tuple[Path, Path, str]]:
    """(the file that says so, the place, its md5) for all outputs."""
    lock = root / LOCK_FILE
    if lock.is_file():
        stages = _read(lock).get("stages") or {}
        for stage in stages.values():
            for out in stage.get("outs") or ():
                yield lock, root / str(out["path"]), str(out.get("md5", ""))
    for pointer in sorted((home.root / "scans").glob("*.dvc")):
        for out in _read(pointer).get("outs") or ():
            yield pointer, pointer.parent / str(out["path"]), str(out.get("md5", ""))


def _read(file: Path) -> dict[str, Any]:
    try:
        content = read_yaml(file.read_text(encoding="utf-8"), quick=True)
        if isinstance(content, dict):
            return content
    except (yaml.YAMLError, UnicodeDecodeError):
        pass
    raise Unreadable(file)


def cached_bytes(home: Home, md5: str) -> Path | None:
    """The file in DVC's cache that holds the bytes of this name; None where they are not in it."""
    root = find_root(home)
    file = root / _CACHE / md5[:2] / md5[2:] if root else None
    return file if file and file.is_file() else None


def _list_of(root: Path, md5: str) -> dict[str, str] | None:
    try:
        content = (root / _CACHE / md5[:2] / f"{md5[2:]}{_DIR}").read_bytes()
    except OSError:
        return None
    if _md5(content) != md5:  # somebody wrote into the cache
        return None
    return {row["relpath"]: row["md5"] for row in json.loads(content)}


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()

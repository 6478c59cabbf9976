"""What several tests use is made once: folders that all workers share, and copies of them that cost next to nothing.

A folder that takes seconds to make (a trained adapter, a published gallery) is made by whichever worker asks first;
the others wait for it. Tests that only look use it as it lies there. A test that changes it takes a copy, in which
pictures and weights are hard links to the first: the product replaces files by renaming, which leaves the first as it
was. A test that damages such a file on purpose calls `unlinked` first; one that forgets fails and is told so.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

# Files that are never appended to: all others (journals, databases, records) are really copied.
_LINKED = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".safetensors"}
_seen: dict[Path, tuple[int, int]] = {}  # linked files as they were: size in bytes, time in nanoseconds


class Shared:
    """Folders by name, each made once in a test run, whichever worker asks first."""

    def __init__(self, base: Path) -> None:
        self._base = base

    def __call__(self, name: str, make: Callable[[Path], object]) -> Path:
        """The folder `name`, filled by `make(folder)` if nobody has done so; what fails is tried again by the next."""
        folder, made = self._base / name, self._base / f"{name}.made"
        with FileLock(self._base / f"{name}.lock"):
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                make(folder)
                made.touch()
        return folder


def shared_base(factory: pytest.TempPathFactory) -> Path:
    """A folder of this test run that is the same for all of its workers."""
    own = factory.getbasetemp()
    base = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    base.mkdir(exist_ok=True)
    return base


def linked_copy(source: Path, to: Path) -> Path:
    """A copy of a folder whose pictures and weights are hard links to those of `source`; links stay links."""
    return Path(shutil.copytree(source, to, symlinks=True, copy_function=_link_or_copy))


def unlinked(file: Path) -> Path:
    """The same file as one of its own, so that it may be written in place."""
    own = file.with_name(f".own-{file.name}")
    shutil.copy2(file, own)
    return own.replace(file)


def written_in_place() -> list[Path]:
    """The files of shared folders that were changed through a link since the last question."""
    changed = [file for file, was in _seen.items() if _state(file) != was]
    _seen.clear()
    return changed


def _link_or_copy(source: str, to: str) -> str:
    if Path(source).suffix.lower() not in _LINKED:
        return str(shutil.copy2(source, to))
    os.link(source, to)
    _seen[Path(source)] = _state(Path(source))
    return to


def _state(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_size, found.st_mtime_ns

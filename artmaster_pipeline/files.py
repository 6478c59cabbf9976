"""Files on disk: names that are safe, writes that are whole, contents that have one name (sha256)."""

import ctypes
import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artmaster_pipeline.errors import WrongUse

# What fsync says where a file system has no such thing for a folder or for a file opened for reading.
_CANNOT_FLUSH = frozenset({errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


def check_slug(slug: str) -> str:
    """Return `slug` if it can name a painter's folder, a Dagster partition and a DVC stage alike.

    Raises WrongUse unless it is lower-case ASCII letters and digits in groups joined by single hyphens, at most 64.
    """
    if not is_slug(slug):
        raise WrongUse(
            f"{slug!r} cannot name a painter: use lower-case letters, digits and single hyphens between them, "
            "at most 64 characters, for example huang-binhong."
        )
    return slug


def is_slug(name: str) -> bool:
    """Whether `check_slug` takes a name."""
    return len(name) <= 64 and bool(_SLUG.fullmatch(name))


def inside(root: Path, relative: str) -> Path:
    """Return `root / relative`, refusing whatever would leave `root` (`..`, absolute paths, links pointing out)."""
    path = root / relative
    if not path.resolve().is_relative_to(root.resolve()):
        raise WrongUse(f"{relative!r} lies outside {root}: only paths below that folder are used.")
    return path


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes as 64 lower-case hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends well, it takes `path`'s place in one step.

    Its bytes are on the disk before it takes the place, and the place is before this returns: what follows may delete
    what the file succeeds. The temporary name keeps the suffix, since image and weight writers choose their format by
    it. A kill leaves at most a file whose name begins with `.partial-`, which `clear_partials` removes.
    """
    make_folder(path.parent)
    handle, name = tempfile.mkstemp(prefix=".partial-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        to_disk(temporary)
        temporary.replace(path)
        to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writing_folder(path: Path) -> Iterator[Path]:
    """Give an empty temporary folder beside `path`; when the block ends well, it takes `path`'s place.

    All that is in it is on the disk before it takes the place. An older folder of that name is replaced, and removed
    once the new one's place is on the disk, too: the two are exchanged in one step where the system can. Elsewhere the
    old one is moved aside first, so a kill between the two renames leaves the old content under a `.partial-` name
    and no half-written `path`.
    """
    make_folder(path.parent)
    temporary = Path(tempfile.mkdtemp(prefix=".partial-", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        _tree_to_disk(temporary)
        if not path.exists():
            temporary.replace(path)
            to_disk(path.parent)
        elif exchange(temporary, path):
            to_disk(path.parent)
        else:
            aside = Path(tempfile.mkdtemp(prefix=".partial-", dir=path.parent)) / path.name
            path.replace(aside)
            temporary.replace(path)
            to_disk(path.parent)
            shutil.rmtree(aside.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, so that they are there after a loss of power, too."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in reversed(missing):
        to_disk(each.parent)


def move(source: Path, target: Path) -> None:
    """Give a file or folder another place on the same disk; it is there, and not at the old one, when this returns."""
    make_folder(target.parent)
    source.replace(target)
    to_disk(target.parent)
    to_disk(source.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder so that it is gone in one step; a kill leaves at most what `clear_partials` removes."""
    aside = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
    folder.replace(aside / folder.name)
    to_disk(folder.parent)
    shutil.rmtree(aside)


def to_disk(path: Path) -> None:
    """Have the system write a file's bytes, or a folder's list of names, to the disk before this returns.

    A file system that cannot do that for a folder (some of networks, some of Windows) is left to its own order; an
    error of the disk itself is raised.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders, and nobody one that may not be read
        if path.is_dir():
            return
        raise
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH:
            raise
    finally:
        os.close(handle)


def _tree_to_disk(folder: Path) -> None:
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            file = Path(place, name)
            if not file.is_symlink():
                to_disk(file)
        to_disk(Path(place))


def exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step; gives whether the system and the file system can do that.

    By renameat2 with RENAME_EXCHANGE on Linux, renamex_np with RENAME_SWAP on macOS: nobody sees a moment without
    either.
    """
    if os.name != "posix":
        return False
    system = ctypes.CDLL(None)
    names = os.fsencode(one), os.fsencode(other)
    if hasattr(system, "renameat2"):
        here = -100  # AT_FDCWD: relative names begin at the working folder
        return bool(system.renameat2(here, names[0], here, names[1], 2) == 0)
    if hasattr(system, "renamex_np"):
        return bool(system.renamex_np(*names, 2) == 0)
    return False


def check_folder(path: Path, option: str = "--out") -> None:
    """Make the folder `path` where there is none, and see that files can be written in it, before long work begins.

    Raises WrongUse, naming `option`, where it is a file, a link to nothing, or a place that cannot be written in.
    """
    way_out = f"name another folder with {option}."
    taken = next((each for each in (path, *path.parents) if os.path.lexists(each)), path)
    if os.path.lexists(taken) and not taken.is_dir():
        what = "a link to something that is not there" if taken.is_symlink() and not taken.exists() else "a file"
        raise WrongUse(f"{taken} is {what}, and a folder is needed there: {way_out}")
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise WrongUse(f"{path} cannot be written in ({error.strerror}): {way_out}") from error


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def whole_files(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder that fit a pattern, sorted; without what a killed run left half-written there.

    What is being written has the ending of its file, so a plain `glob` by an ending finds it, too.
    """
    return sorted(file for file in folder.glob(pattern) if not file.name.startswith(".partial-"))


def clear_partials(folder: Path) -> None:
    """Remove what a killed run left half-written below `folder`."""
    for leftover in sorted(folder.rglob(".partial-*"), reverse=True):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)

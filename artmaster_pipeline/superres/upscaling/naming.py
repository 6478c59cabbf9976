"""Which pictures are meant by what a person names, and what each is called once it is enlarged.

A picture keeps its name, and its place below the folder that was named; its ending becomes that of the format. Where
two would then share a name, also on a disk that does not tell case apart, both get the first digits of their content's
hash.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.superres.upscaling.opening import SUFFIXES


@dataclass(frozen=True)
class Job:
    """A picture to enlarge, and its place below the folder of the enlarged ones."""

    source: Path
    path: str


def jobs_for(inputs: Sequence[Path], out: Path, ending: str) -> tuple[Job, ...]:
    """Every picture that is named, or lies in a folder that is. Hidden files, links to folders and `out` are left out.

    Raises WrongUse where something that is named is not there, or there is no picture in all of it.
    """
    if missing := [str(each) for each in inputs if not each.exists()]:
        raise WrongUse(f"There is no such file or folder: {', '.join(missing)}.")
    found: dict[Path, PurePosixPath] = {}
    for each in inputs:
        for file, below in _pictures(each, out) if each.is_dir() else [(each, PurePosixPath(each.name))]:
            found.setdefault(file.resolve(), below.with_suffix(ending))
    if not found:
        raise WrongUse(f"There is no picture ({', '.join(SUFFIXES)}) in {', '.join(map(str, inputs))}.")
    claims = Counter(map(_alike, found.values()))
    return tuple(
        Job(file, str(_told_apart(below, file) if claims[_alike(below)] > 1 else below))
        for file, below in sorted(found.items(), key=lambda entry: str(entry[1]))
    )


def _pictures(folder: Path, out: Path) -> Iterable[tuple[Path, PurePosixPath]]:
    for file in sorted(folder.rglob("*")):
        below = file.relative_to(folder)
        hidden = any(part.startswith(".") for part in below.parts)
        if file.suffix.lower() in SUFFIXES and file.is_file() and not hidden and not _is_in(file, out):
            yield file, PurePosixPath(below.as_posix())


def _is_in(file: Path, out: Path) -> bool:
    return file.resolve().is_relative_to(out.resolve())


def _alike(path: PurePosixPath) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()


def _told_apart(path: PurePosixPath, file: Path) -> PurePosixPath:
    try:
        return path.with_stem(f"{path.stem}-{sha256_of(file)[:8]}")
    except OSError:  # it cannot be read, which is told when it is its turn
        return path

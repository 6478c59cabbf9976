"""Which pictures are meant by what a person names, and what each is called once it is enlarged.

A picture keeps its name, and its place below the folder that was named; its ending becomes that of the format. Where
two would then share a name, also on a disk that does not tell case apart, both get the first digits of their content's
hash.
"""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.superres.upscaling.opening import SUFFIXES


@dataclass(frozen=True)
class Job:
    """A picture to enlarge, and its place below the folder of the enlarged ones."""

    source: Path  # as it was named
    path: str
    problem: str = ""  # why it cannot even be opened


def jobs_for(inputs: Sequence[Path], out: Path, ending: str) -> tuple[Job, ...]:
    """Every picture that is named, or lies in a folder that is. Hidden files, links to folders and `out` are left out.

    Raises WrongUse where something that is named is not there, or there is no picture in all of it.
    """
    if missing := [str(each) for each in inputs if not each.exists()]:
        raise WrongUse(f"There is no such file or folder: {', '.join(missing)}.")
    found: dict[Path, Job] = {}
    for each in inputs:
        for job in _pictures(each, out) if each.is_dir() else [_job(each, PurePosixPath(each.name))]:
            known = found.setdefault(job.source.resolve(), job)
            if known.source.is_symlink() and not job.source.is_symlink():  # the picture's own name before a link's
                found[job.source.resolve()] = job
    if not found:
        raise WrongUse(f"There is no picture ({', '.join(SUFFIXES)}) in {', '.join(map(str, inputs))}.")
    jobs = [replace(job, path=str(PurePosixPath(job.path).with_suffix(ending))) for job in found.values()]
    claims = Counter(_alike(job.path) for job in jobs)
    told_apart = (_told_apart(job) if claims[_alike(job.path)] > 1 else job for job in jobs)
    return tuple(sorted(told_apart, key=lambda job: job.path))


def pictures_in(folder: Path) -> list[Path]:
    """The pictures in a folder and those in it, sorted, without hidden ones."""
    return [job.source for job in _pictures(folder) if not job.problem]


def _pictures(folder: Path, out: Path | None = None) -> Iterator[Job]:
    """Those of a folder but not of `out`; a folder below it that cannot be listed is told of like a picture."""
    unread: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=unread.append):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        if out and _is_in(Path(place), out):
            folders.clear()
            continue
        for name in sorted(names):
            file = Path(place, name)
            if file.suffix.lower() in SUFFIXES and not name.startswith("."):
                yield _job(file, PurePosixPath(file.relative_to(folder).as_posix()))
    for error in unread:
        below = PurePosixPath(Path(error.filename).relative_to(folder).as_posix())
        yield Job(Path(error.filename), str(below), f"It cannot be listed ({error.strerror})")


def _job(file: Path, below: PurePosixPath) -> Job:
    try:
        problem = "" if file.is_file() else "It is no file, or a link to nothing"
        str(below).encode()
    except OSError as error:
        problem = f"It cannot be looked at ({error.strerror})"
    except UnicodeEncodeError:
        problem = "Its name is not valid UTF-8"
    return Job(file, str(below), problem)


def _is_in(place: Path, out: Path) -> bool:
    return place.resolve().is_relative_to(out.resolve())


def _alike(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _told_apart(job: Job) -> Job:
    path = PurePosixPath(job.path)
    try:
        return replace(job, path=str(path.with_stem(f"{path.stem}-{sha256_of(job.source)[:8]}")))
    except OSError:  # it cannot be read, which is told when it is its turn
        return job

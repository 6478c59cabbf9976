"""`upscale`: picture files enlarged into a folder, one after the other, each once.

What is in work lies in the hidden folder `.upscale/work` and is taken up again by the next run, band by band. A picture
that cannot be enlarged is told of at the end; the others are done.
"""

import errno
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from artmaster_pipeline.errors import ArtMasterError, BadInput, WrongUse
from artmaster_pipeline.faults import in_words
from artmaster_pipeline.files import check_folder, inside, make_folder, move, sha256_of, to_disk, writing
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import identity
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import CONSTRAINTS
from artmaster_pipeline.superres.engines import Dtype
from artmaster_pipeline.superres.enlarge import Enlarger
from artmaster_pipeline.superres.networks import DEFAULT_ENGINE, DEFAULT_NETWORK, Networks, load_networks
from artmaster_pipeline.superres.upscaling import saving
from artmaster_pipeline.superres.upscaling.likeness import pictures_like
from artmaster_pipeline.superres.upscaling.naming import Job, jobs_for
from artmaster_pipeline.superres.upscaling.opening import RESAVE, Opened, open_picture
from artmaster_pipeline.superres.upscaling.passing import Speed, check_disk, enlarged, tiles_to_make
from artmaster_pipeline.superres.upscaling.records import (
    FOLDER,
    Enlarged,
    all_remembered,
    made_as,
    remember,
    remembered,
)
from artmaster_pipeline.superres.upscaling.saving import ENDINGS, Format
from artmaster_pipeline.superres.upscaling.wishes import Wish

_VERSION = 2  # part of an enlarged picture's id: raise it when reading or writing give other files
_QUALITY = 95


@dataclass(frozen=True)
class Failed:
    """A picture that was not enlarged, and the way out."""

    source: Path
    reason: str
    remedy: str


@dataclass(frozen=True)
class Upscaled:
    """What came of it."""

    pictures: tuple[Enlarged, ...]  # all that are there now
    made: int  # of them, by this run
    left: tuple[tuple[Path, str], ...]  # pictures that needed nothing, each with the reason
    failed: tuple[Failed, ...]


@dataclass(frozen=True)
class _Planned:
    """A picture to enlarge."""

    job: Job
    source_sha256: str
    known_as: str
    size: tuple[int, int]
    net: Enlarger
    tiles: int  # that are to be made
    notes: tuple[str, ...]


@session()
def upscale(
    inputs: Sequence[Path | str],
    out: Path | str,
    *,
    scale: float | None = None,
    size: tuple[int, int] | None = None,
    network: str = DEFAULT_NETWORK,
    engine: str = DEFAULT_ENGINE,
    dtype: Dtype = "float32",
    device: str = "cpu",
    constraints: Sequence[str] = CONSTRAINTS,
    like: Path | str | None = None,
    format: Format = "png",
    bits: int | None = None,
    quality: int = _QUALITY,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Upscaled:
    """Enlarge pictures, and all pictures in folders, into the folder `out`.

    `scale`: how many times wider and higher (default: the network's scale); or `size`: as large as fits into that width
    and height, in the picture's own proportions. `bits`: 8 or 16 a channel (default: as the picture has, 8 in a JPEG).
    `constraints`: what holds the network's pixels to the picture's, some of "tone", "colour", "texture", "grain" and
    "back-projection", or none. `like`: a folder of the painter's own large pictures, by which texture and grain are
    measured (default: what paintings have in common). Profile, resolution and metadata are kept, transparency too. What
    is there already is not made again; another file under a picture's name is left alone unless `overwrite` says
    otherwise.

    Raises WrongUse for wishes that contradict each other or cannot be met, MissingRequirement for what is not here, and
    ArtMasterError where another process enlarges into that folder or the disk is full.
    """
    place, sources = Path(out), [Path(each) for each in inputs]
    wish = Wish(scale, size, format, bits, quality, overwrite)
    wish.check()
    jobs = jobs_for(sources, place, ENDINGS[format])
    pictures = pictures_like(Path(like), constraints) if like is not None else ()
    networks = replace(
        load_networks(network, device, dtype, engine), constraints=tuple(constraints), like=tuple(pictures)
    )
    check_folder(place)
    with _alone(place):
        return _Run(place, networks, wish, progress).do(jobs)


class _Run:
    """One run over many pictures."""

    def __init__(self, out: Path, networks: Networks, wish: Wish, progress: Progress) -> None:
        self._out, self._networks, self._wish, self._progress = out, networks, wish, progress
        self._sources: set[Path] = set()
        self._known = {record.id: record for record in all_remembered(out)}
        self._pictures: list[Enlarged] = []
        self._left: list[tuple[Path, str]] = []
        self._failed: list[Failed] = []
        self._made = 0

    def do(self, jobs: Sequence[Job]) -> Upscaled:
        self._sources = {job.source.resolve() for job in jobs}
        planned = self._plan_all(jobs)
        self._clear_work({plan.known_as for plan in planned})
        if planned:
            with self._progress.task("Enlarging", sum(plan.tiles for plan in planned)) as advance:
                told = Speed(advance)
                for plan in planned:
                    with self._failing(plan.job.source), told.counted(plan.tiles):
                        self._do(plan, told)
        pictures = sorted(self._pictures, key=lambda record: record.path)
        return Upscaled(tuple(pictures), self._made, tuple(self._left), tuple(self._failed))

    def _plan_all(self, jobs: Sequence[Job]) -> list[_Planned]:
        """What is to be made. All that can be said before work begins is said here, so that the time left is true."""
        planned: list[_Planned] = []
        with self._progress.task("Looking at pictures", len(jobs)) as advance:
            for job in jobs:
                with self._failing(job.source):
                    plan = self._plan(job)
                    planned += [plan] if plan else []
                advance()
        return planned

    def _plan(self, job: Job) -> _Planned | None:
        if job.problem:
            raise BadInput(job.problem, "Put it right, or take it out")
        opened, wish = open_picture(job.source), self._wish
        size = wish.size_for(opened, self._networks.largest().scale)
        if size is None:
            self._left.append((job.source, f"it has {opened.width}x{opened.height} pixels already"))
            return None
        net = self._networks.suited(size[0] / opened.width)
        saving.check_format(opened, wish.file_format, *size)
        source_sha256 = sha256_of(job.source)
        known_as = identity(
            *("upscaled", source_sha256, net.identity, _VERSION, size),
            *(wish.file_format, wish.bits, wish.quality if wish.file_format == "jpeg" else None),
        )
        target, there = inside(self._out, job.path), remembered(self._out, job.path)
        if there and there.id == known_as:
            self._pictures.append(there)
            return None
        if target.resolve() in self._sources:
            raise BadInput("The enlarged picture would take its own or another source's place", "Choose another --out")
        if target.exists() and not wish.overwrite:
            raise BadInput(
                f"{target} is there already and is another picture, or made in another way",
                "Say --overwrite, or choose another --out",
            )
        check_disk(self._out, opened, size, net)
        tiles = tiles_to_make(opened, size[0], net, self._work(known_as))
        return _Planned(job, source_sha256, known_as, size, net, tiles, self._notes(opened, source_sha256))

    def _notes(self, opened: Opened, source_sha256: str) -> tuple[str, ...]:
        before = made_as(opened.path, source_sha256)
        before = before or next((each for each in self._known.values() if each.sha256 == source_sha256), None)
        if not before:
            return opened.notes
        name = Path(before.source).name
        return (*opened.notes, f"It was enlarged before, from {name} by {before.network}, and is drawn on from there")

    def _do(self, plan: _Planned, told: Speed) -> None:
        if sha256_of(plan.job.source) != plan.source_sha256:
            raise BadInput("It was changed meanwhile", "Run the same command again")
        same = self._known.get(plan.known_as)
        if same and remembered(self._out, same.path):
            target = inside(self._out, plan.job.path)
            with writing(target) as temporary:
                shutil.copyfile(inside(self._out, same.path), temporary)
            notes = (*plan.notes, f"It is a copy of {same.path}, which was made from the same bytes")
        else:
            self._make(plan, told)
            notes = plan.notes
            self._made += 1
        record = self._record(plan, notes)
        remember(self._out, record)
        self._known[record.id] = record
        self._pictures.append(record)

    def _make(self, plan: _Planned, told: Speed) -> None:
        work, net = self._work(plan.known_as), plan.net
        make_folder(work)
        opened = open_picture(plan.job.source)
        check_disk(self._out, opened, plan.size, net)
        image = enlarged(opened, plan.size, self._wish.bits_for(opened), net, work, told, self._progress.say)
        finished = work / f"finished{ENDINGS[self._wish.file_format]}"
        saving.save(image, finished, self._wish.file_format, self._wish.quality, opened.words)
        to_disk(finished)
        move(finished, inside(self._out, plan.job.path))
        shutil.rmtree(work)

    def _record(self, plan: _Planned, notes: tuple[str, ...]) -> Enlarged:
        return Enlarged(
            id=plan.known_as,
            source=str(plan.job.source),
            source_sha256=plan.source_sha256,
            path=plan.job.path,
            sha256=sha256_of(inside(self._out, plan.job.path)),
            width=plan.size[0],
            height=plan.size[1],
            network=plan.net.name,
            engine=plan.net.engine.name,
            dtype=plan.net.engine.dtype,
            constraints=tuple(correction.name for correction in plan.net.corrections),
            notes=notes,
        )

    def _work(self, known_as: str) -> Path:
        return self._out / FOLDER / "work" / known_as

    def _clear_work(self, but: set[str]) -> None:
        """Drop what was begun for pictures that are not asked for any more."""
        folder = self._out / FOLDER / "work"
        for each in folder.iterdir() if folder.is_dir() else ():
            if each.name not in but:
                shutil.rmtree(each, ignore_errors=True)

    @contextmanager
    def _failing(self, source: Path) -> Iterator[None]:
        """Keep what goes wrong with one picture for the end; a full disk ends the run."""
        import pyvips

        try:
            yield
        except BadInput as error:
            self._failed.append(Failed(source, error.reason, error.remedy))
        except WrongUse as error:  # of a name that leads out of the folder
            self._failed.append(Failed(source, str(error), "Rename it, or choose another --out"))
        except ArtMasterError as error:  # the message names the way out
            self._failed.append(Failed(source, str(error), ""))
        except pyvips.Error as error:
            if "no space left" in str(error).lower():
                raise ArtMasterError(
                    f"There was no room left on the disk while {source} was enlarged. Free some, then run the "
                    "same command again; finished work is kept."
                ) from error
            reason = f"It cannot be read to its end ({_decoders_words(error)})"
            self._failed.append(Failed(source, reason, f"Take a whole copy. {RESAVE}"))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            words = in_words(error)
            self._failed.append(Failed(source, str(words or f"It cannot be read or written ({error.strerror})"), ""))


def _decoders_words(error: Exception) -> str:
    """What the decoder says, without places on this machine."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    words = [line for line in lines if "/" not in line and not line.startswith("unable to call")]
    return words[0][:120] if words else "the decoder gave no reason"


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Only one process at a time enlarges into a folder."""
    from filelock import FileLock, Timeout

    make_folder(out / FOLDER)
    try:
        with FileLock(out / FOLDER / "lock", timeout=0):
            yield
    except Timeout as error:
        raise ArtMasterError(
            f"Another process enlarges pictures into {out}. Wait for it to end, or choose another --out."
        ) from error

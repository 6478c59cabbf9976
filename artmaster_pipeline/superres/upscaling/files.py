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
from typing import Any

from artmaster_pipeline.errors import ArtMasterError, BadInput, WrongUse
from artmaster_pipeline.files import check_folder, inside, make_folder, sha256_of, writing
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import identity
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import CONSTRAINTS
from artmaster_pipeline.superres.engines import Dtype
from artmaster_pipeline.superres.enlarge import Enlarger
from artmaster_pipeline.superres.networks import DEFAULT_ENGINE, DEFAULT_NETWORK, Networks, load_networks
from artmaster_pipeline.superres.upscaling import saving
from artmaster_pipeline.superres.upscaling.naming import Job, jobs_for
from artmaster_pipeline.superres.upscaling.opening import Opened, open_picture
from artmaster_pipeline.superres.upscaling.passing import Speed, check_disk, enlarged, tiles_of
from artmaster_pipeline.superres.upscaling.records import FOLDER, Enlarged, remember, remembered
from artmaster_pipeline.superres.upscaling.saving import ENDINGS, Format

_VERSION = 1  # part of an enlarged picture's id: raise it when reading or writing give other pixels
_MOST = 64.0  # times wider and higher: beyond it nothing of the picture is left that was in it
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
class _Wish:
    """What is asked for, the same for all pictures."""

    scale: float
    size: tuple[int, int] | None
    file_format: Format
    bits: int | None
    quality: int
    overwrite: bool

    def size_for(self, opened: Opened) -> tuple[int, int]:
        """The size that a picture of this size gets."""
        factor = self.scale
        if self.size:
            factor = min(self.size[0] / opened.width, self.size[1] / opened.height)
        return max(1, round(opened.width * factor)), max(1, round(opened.height * factor))

    def bits_for(self, opened: Opened) -> int:
        return self.bits or (8 if self.file_format == "jpeg" else opened.bits)


@dataclass(frozen=True)
class _Planned:
    job: Job
    size: tuple[int, int]
    net: Enlarger
    tiles: int


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
    "back-projection", or none. Profile, resolution and metadata are kept, transparency too. What is there already is
    not made again; another file under a picture's name is left alone unless `overwrite` says otherwise.

    Raises WrongUse for wishes that contradict each other or cannot be met, MissingRequirement for what is not here, and
    ArtMasterError where another process enlarges into that folder or the disk is full.
    """
    place, sources = Path(out), [Path(each) for each in inputs]
    _check(scale, size, format, bits, quality)
    jobs = jobs_for(sources, place, ENDINGS[format])
    networks = replace(load_networks(network, device, dtype, engine), constraints=tuple(constraints))
    wish = _Wish(scale or networks.largest().scale, size, format, bits, quality, overwrite)
    check_folder(place)
    with _alone(place):
        return _Run(place, networks, wish, progress).do(jobs)


class _Run:
    """One run over many pictures."""

    def __init__(self, out: Path, networks: Networks, wish: _Wish, progress: Progress) -> None:
        self._out, self._networks, self._wish, self._progress = out, networks, wish, progress
        self._pictures: list[Enlarged] = []
        self._left: list[tuple[Path, str]] = []
        self._failed: list[Failed] = []
        self._made = 0

    def do(self, jobs: Sequence[Job]) -> Upscaled:
        planned = [plan for job in jobs if (plan := self._plan(job))]
        sources = {job.source for job in jobs}
        with self._progress.task("Enlarging", sum(plan.tiles for plan in planned)) as advance:
            told = Speed(advance)
            for plan in planned:
                with self._failing(plan.job):
                    self._do(plan, told, sources)
        return Upscaled(tuple(self._pictures), self._made, tuple(self._left), tuple(self._failed))

    def _plan(self, job: Job) -> _Planned | None:
        with self._failing(job):
            opened = open_picture(job.source)
            width, height = self._wish.size_for(opened)
            if (width, height) == (opened.width, opened.height) or width < opened.width or height < opened.height:
                self._left.append((job.source, f"it has {opened.width}x{opened.height} pixels already"))
                return None
            if max(width / opened.width, height / opened.height) > _MOST:
                raise BadInput(f"{width}x{height} would be more than {_MOST:.0f} times its size", "Ask for less")
            saving.check_format(opened, self._wish.file_format, width, height)
            net = self._networks.suited(width / opened.width)
            return _Planned(job, (width, height), net, tiles_of(opened, width, net))
        return None

    def _do(self, plan: _Planned, told: Speed, sources: set[Path]) -> None:
        job, wish = plan.job, self._wish
        source_sha256 = sha256_of(job.source)
        known_as = identity(
            *("upscaled", source_sha256, plan.net.identity, _VERSION, plan.size),
            *(wish.file_format, wish.bits, wish.quality if wish.file_format == "jpeg" else None),
        )
        target, there = inside(self._out, job.path), remembered(self._out, job.path)
        if there and there.id == known_as:
            self._pictures.append(there)
            told.skip(plan.tiles)
            return
        if target.resolve() in sources:
            raise BadInput("The enlarged picture would take its own or another source's place", "Choose another --out")
        if target.exists() and not wish.overwrite:
            raise BadInput(
                f"{target} is there already and is another picture, or made in another way",
                "Say --overwrite, or choose another --out",
            )
        record = self._make(plan, source_sha256, known_as, target, told)
        remember(self._out, record)
        self._pictures.append(record)
        self._made += 1

    def _make(self, plan: _Planned, source_sha256: str, known_as: str, target: Path, told: Speed) -> Enlarged:
        work, net = self._out / FOLDER / "work" / known_as, plan.net
        self._clear_work(known_as)
        make_folder(work)
        opened = open_picture(plan.job.source)
        check_disk(self._out, opened, plan.size, net)
        with writing(target) as temporary:
            image = enlarged(opened, plan.size, self._wish.bits_for(opened), net, work, told, self._progress.say)
            saving.save(image, temporary, self._wish.file_format, self._wish.quality, opened.words)
        shutil.rmtree(work)
        return Enlarged(
            id=known_as,
            source=str(plan.job.source),
            source_sha256=source_sha256,
            path=plan.job.path,
            sha256=sha256_of(target),
            width=plan.size[0],
            height=plan.size[1],
            network=net.name,
            engine=net.engine.name,
            dtype=net.engine.dtype,
            notes=opened.notes,
        )

    def _clear_work(self, but: str) -> None:
        folder = self._out / FOLDER / "work"
        for each in folder.iterdir() if folder.is_dir() else ():
            if each.name != but:
                shutil.rmtree(each, ignore_errors=True)

    @contextmanager
    def _failing(self, job: Job) -> Iterator[None]:
        """Keep what goes wrong with one picture for the end; a full disk ends the run."""
        import pyvips

        try:
            yield
        except BadInput as error:
            self._failed.append(Failed(job.source, error.reason, error.remedy))
        except WrongUse as error:  # of a name that leads out of the folder
            self._failed.append(Failed(job.source, str(error), "Rename it, or choose another --out"))
        except ArtMasterError as error:  # the message names the way out
            self._failed.append(Failed(job.source, str(error), ""))
        except pyvips.Error as error:
            if "no space left" in str(error).lower():
                raise ArtMasterError(
                    f"There was no room left on the disk while {job.source} was enlarged. Free some, then run the "
                    "same command again; finished work is kept."
                ) from error
            reason = f"It cannot be read to its end ({_decoders_words(error)})"
            self._failed.append(Failed(job.source, reason, "Scan it again, or take a whole copy"))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            self._failed.append(
                Failed(job.source, f"It cannot be read or written ({error.strerror})", "Check the disk")
            )


def _decoders_words(error: Exception) -> str:
    """What the decoder says, without places on this machine."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    words = [line for line in lines if "/" not in line and not line.startswith("unable to call")]
    return words[0][:120] if words else "the decoder gave no reason"


def _check(scale: float | None, size: tuple[int, int] | None, file_format: Format, bits: Any, quality: int) -> None:
    wrong = []
    if scale is not None and size is not None:
        wrong.append("scale and size are both given: give one")
    if scale is not None and not 1 < scale <= _MOST:
        wrong.append(f"scale {scale:g} is not between 1 and {_MOST:.0f}")
    if size is not None and min(size) < 1:
        wrong.append(f"size {size[0]}x{size[1]} has no pixels")
    if file_format not in ENDINGS:
        wrong.append(f"format {file_format!r} is none of {', '.join(ENDINGS)}")
    if bits not in (None, 8, 16):
        wrong.append(f"bits {bits} are neither 8 nor 16")
    if bits == 16 and file_format == "jpeg":
        wrong.append("a JPEG holds 8 bits, not 16: choose png or tiff")
    if not 1 <= quality <= 100:
        wrong.append(f"quality {quality} is not between 1 and 100")
    if wrong:
        raise WrongUse(f"{'; '.join(wrong)}.")


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

"""Runs of the product that are killed between any two changes of a data home, and what is left after each.

A point is a moment before a name in the home changes: a file or folder is made, renamed, exchanged, linked or removed,
or a file is opened to be written where it lies. Between two points nothing changes but what lies under a temporary
name, and a file that is about to leave such a name is torn there. `sweep` starts the same work again and again, each
time in a fork of one process that has imported everything, and has it kill itself at the next point; it looks at what
is left, starts the work again without a kill, and looks again.
"""

import errno
import json
import os
import random
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sharing import linked_copy

from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.settings import Home

Act = Callable[[Home, Progress], object]

_NAMES = {"os.remove": 1, "os.rmdir": 1, "os.mkdir": 1, "os.truncate": 1, "os.rename": 2, "os.link": 2, "os.symlink": 2}
_EXCHANGES = ("renameat2", "renamex_np")  # what `files.exchange` asks the system for
_WRITES = os.O_WRONLY | os.O_RDWR
_PASSING = ".partial-"  # begins the names of what is being written
# What shall be there after all: records, pictures and weights; and the work that an unfinished run has kept
_KEPT = ("scans", "register", "crops", "training_set", "adapters", "evaluation", "gallery", "proof")
_BEGUN = (".cache/latents", ".cache/text", ".cache/training", ".cache/autoencoded", ".cache/looks")
_ADMITTED = "unfinished "  # begins what a home may say of itself after a kill, with the way out; not after the next run
_LASTING = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".safetensors"}


class Points:
    """Writes down the changes below a folder, from now on, and kills this process before the one numbered `at`.

    With `full`, the disk is full from that one on instead: whatever is not removed is refused.
    """

    def __init__(self, root: Path, at: int = 0, *, full: bool = False) -> None:
        self.seen: list[str] = []
        self._full = full
        self._root, self._at, self._busy = os.path.realpath(root) + os.sep, at, False
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self._busy or not (event in _NAMES or event in ("open", "ctypes.dlsym")):
            return
        self._busy = True
        try:
            names = self._changed(event, args)
            if any(name and _PASSING not in name for name in names) and self._is_change(event, names[0]):
                self.seen.append(" -> ".join([event.removeprefix("os."), *names]))
                if 0 < self._at <= len(self.seen):
                    self._stop(event, self._root + names[0])
        finally:
            self._busy = False

    def _stop(self, event: str, source: str) -> None:
        if not self._full:
            _tear(source)
            os.kill(os.getpid(), signal.SIGKILL)
        elif event not in ("os.remove", "os.rmdir"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), source)

    def _changed(self, event: str, args: tuple[Any, ...]) -> list[str]:
        """What a call changes, below the root."""
        if event == "ctypes.dlsym":
            return [self._exchanged()] if args[1] in _EXCHANGES else []
        if event == "open":
            path, _, flags = args
            is_written = isinstance(path, str | bytes | os.PathLike) and flags & _WRITES
            return [name] if is_written and not (name := self._below(path)).endswith(".lock") else []
        folder = next((each for each in args[_NAMES[event] :] if isinstance(each, int) and each > 2), -1)
        return [self._below(path, folder) for path in args[: _NAMES[event]]]

    def _is_change(self, event: str, name: str) -> bool:
        """Whether there is anything to remove, or something to make that is not there yet."""
        there = os.path.lexists(self._root + name)
        return not there if event == "os.mkdir" else there or event not in ("os.remove", "os.rmdir")

    def _exchanged(self) -> str:
        """The folder that is about to get its new content."""
        frame: Any = sys._getframe()
        while frame.f_code.co_name != "exchange":
            frame = frame.f_back
        return self._below(frame.f_locals["other"])

    def _below(self, path: Any, folder: int = -1) -> str:
        name = os.fsdecode(path) if not isinstance(path, int) else f"/proc/self/fd/{path}"
        if not os.path.isabs(name) and folder > 2:  # noqa: PTH117
            name = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), name)  # noqa: PTH115, PTH118
        whole = os.path.join(os.path.realpath(os.path.dirname(name)), os.path.basename(name))  # noqa: PTH118, PTH119, PTH120
        return whole.removeprefix(self._root) if whole.startswith(self._root) else ""


def _tear(source: str) -> None:
    """Leave half of a file that was about to leave its temporary name: as a kill in the middle of writing it would."""
    if _PASSING in source and os.path.isfile(source):  # noqa: PTH113
        os.truncate(source, os.path.getsize(source) // 2)  # noqa: PTH202


@dataclass
class Ended:
    """How a fork ended."""

    status: int  # as of `os.waitstatus_to_exitcode`
    seen: list[str] = field(default_factory=list)  # its points; those of a killed one are not known
    done_before: dict[str, int] = field(default_factory=dict)  # how much of each piece of work was there already
    said: str = ""  # the traceback of one that failed


def in_fork(work: Callable[[], dict[str, Any]]) -> Ended:
    """Do work in a fork of this process; what it gives are fields of `Ended`."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        code = 0
        try:
            told = work()
        except BaseException:
            told, code = {"said": traceback.format_exc()}, 1
        with os.fdopen(writing, "w") as pipe:
            pipe.write(json.dumps(told))
        os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = json.loads(pipe.read() or "{}")
    return Ended(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), **told)


def run(act: Act, home: Home, at: int = 0, *, full: bool = False) -> Ended:
    """Do an act in a fork, killed before its `at`th point (0: not killed); with `full` the disk is full from there."""

    def work() -> dict[str, Any]:
        points, heard = Points(home.root, at, full=full), _Heard()
        act(home, heard)
        return {"seen": points.seen, "done_before": heard.done_before}

    return in_fork(work)


class _Heard(Progress):
    """Keeps how much of each piece of work was there before."""

    def __init__(self) -> None:
        super().__init__()
        self.done_before: dict[str, int] = {}

    def task(self, description: str, total: int, done: int = 0) -> Any:
        self.done_before[description] = done
        return super().task(description, total, done)


@dataclass(frozen=True)
class Swept:
    """What a sweep found."""

    points: list[str]  # all that there are, in order
    tried: int
    faults: list[str]  # one line each: the point, and what was not as it should be after it


def sweep(
    start: Home,
    act: Act,
    workplace: Path,
    look: Callable[[Home], list[str]],
    most: int = 0,
    seed: int = 0,
    unit: int = 0,
    full: bool = False,
) -> Swept:
    """Kill an act, which begins with the home `start`, at every point; with `most`, at so many that chance chooses.

    `look` says in sentences what is wrong with a home; it is asked after every kill and after every run that follows.
    Up to `unit` finished files may be made again: those of one piece of work, which a kill leaves in the middle.
    """
    whole = _copy(start, workplace / "whole")
    unbroken = run(act, whole)
    if unbroken.status:
        raise AssertionError(unbroken.said)
    wanted = _state(whole)
    points = range(1, len(unbroken.seen) + 1)
    chosen = sorted(random.Random(seed).sample(points, min(most, len(points)))) if most else list(points)
    faults = []
    for number in chosen:
        home = _copy(start, workplace / "home")
        faults += [
            f"{number}, before {unbroken.seen[number - 1]}: {said}"
            for said in _tried(home, act, number, wanted, look, unit, full)
        ]
        shutil.rmtree(home.root)
    shutil.rmtree(whole.root)
    return Swept(unbroken.seen, len(chosen), faults)


def _tried(
    home: Home, act: Act, number: int, wanted: dict[str, str], look: Callable[[Home], list[str]], unit: int, full: bool
) -> Iterator[str]:
    killed = run(act, home, number, full=full)
    told = full and (not killed.status or os.strerror(errno.ENOSPC) in killed.said)
    if not told and killed.status != -signal.SIGKILL:
        yield f"not killed but ended with {killed.status}: {killed.said[-1500:]}"
        return
    for said in look(home):
        if not said.startswith(_ADMITTED):
            yield f"after the kill: {said}"
    left = _finished(home)
    again = run(act, home)
    if again.status:
        yield f"the next run failed: {again.said[-1500:]}"
        return
    for said in look(home):
        yield f"after the next run: {said}"
    now, there = _state(home), _finished(home)
    for name in sorted(now.keys() ^ wanted.keys()):
        yield f"{name} is {'left over' if name in now else 'missing'}"
    for name in sorted(name for name in now.keys() & wanted.keys() if now[name] != wanted[name]):
        yield f"{name} is another than after an unbroken run"
    anew = [name for name in left if name in there and there[name][0] == left[name][0] and there[name] != left[name]]
    if len(anew) > unit:
        yield f"finished and made again: {', '.join(anew)}"


def _copy(home: Home, to: Path) -> Home:
    shutil.rmtree(to, ignore_errors=True)
    return Home(linked_copy(home.root, to))


def _files(home: Home, folders: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    for folder in folders:
        for file in sorted((home.root / folder).rglob("*")):
            if file.is_file():
                yield file.relative_to(home.root).as_posix(), file


def _state(home: Home) -> dict[str, str]:
    """Every file that shall be there after a run, with the hash of those that are the same in every run."""
    told = {name: _content(file) for name, file in _files(home, _KEPT)}
    return told | {
        str(p.relative_to(home.root)): "" for folder in _KEPT for p in (home.root / folder).rglob(".partial-*")
    }


def _content(file: Path) -> str:
    """What is the same after every run: the bytes of manifests and weights; of other lines, which tell the time, how
    many they are."""
    if ".versions" not in file.parts and file.name in ("manifest.jsonl", "quarantine.jsonl", "adapter.safetensors"):
        return sha256_of(file)
    is_counted = file.suffix == ".jsonl" and "proof" not in file.parts  # a kill is a line of the chain, too
    return str(len(file.read_bytes().splitlines())) if is_counted else ""


def _finished(home: Home) -> dict[str, tuple[str, tuple[int, int]]]:
    """What is finished and took work, with its sha256 and which file it is."""
    return {
        name: (sha256_of(file), (file.stat().st_ino, file.stat().st_mtime_ns))
        for name, file in _files(home, (*_KEPT, *_BEGUN))
        if file.suffix in _LASTING and _PASSING not in name
    }

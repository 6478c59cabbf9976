"""One process at a time for each painter: every function that writes a painter's folders takes the painter's lock.

A canvas or a story has one of its own beside its painters', since its file may name others tomorrow.

The lock is the operating system's and goes with its process, so a kill leaves none behind. It may be taken again by the
thread that holds it: a run holds its painter from the first stage to the last, and each stage takes it once more.
"""

import functools
import inspect
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from artmaster_pipeline import proof
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.files import write_text
from artmaster_pipeline.progress import Progress, terminal_progress
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stages import in_words, is_filed

_LONGEST_COMMAND = 60  # characters of another process's command that a person is shown
F = TypeVar("F", bound=Callable[..., Any])


@contextmanager
def working_on(home: Home, partition: str, progress: Progress | None = None, *, wait: bool = True) -> Iterator[None]:
    """Hold a painter, all painters of a set, or a canvas or story and its painters for the block.

    Where another process holds one, `progress` (the terminal, where there is none) is told whom this one waits for;
    with `wait=False` that is an ArtMasterError instead.
    """
    if int(os.environ.get("RANK") or 0) > 0:  # one of several processes of a training: the first holds the painter
        yield
        return
    with ExitStack() as stack:
        for painter in _all_held(home, partition):
            stack.enter_context(_held(home, painter, progress, wait=wait))
        yield


def one_at_a_time(function: F) -> F:
    """A stage function, or another that writes, which holds the painter while it works.

    Its first parameter is the home; its second the painter, the set, or a record of the painter's; it may have one
    named `progress`.
    """
    signature = inspect.signature(function)
    second = list(signature.parameters)[1]

    @functools.wraps(function)
    def locked(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        home, whom = next(iter(given.values())), given[second]
        with working_on(home, whom if isinstance(whom, str) else whom.painter, given.get("progress")):
            return function(*args, **kwargs)

    return locked  # type: ignore[return-value]


def _all_held(home: Home, partition: str) -> tuple[str, ...]:
    """Whose locks a partition's work takes, always in one order; last a canvas' or a story's own.

    Where its file cannot be read that one alone: the work that needs its painters says what is wrong with the file,
    and a site may be taken down without them.
    """
    if not is_filed(partition):
        return home.members(partition)
    try:
        return (*home.members(partition), partition)
    except WrongUse:
        return (partition,)


@contextmanager
def _held(home: Home, painter: str, progress: Progress | None, *, wait: bool) -> Iterator[None]:
    folder = home.cache / "painters"
    folder.mkdir(parents=True, exist_ok=True)
    lock, note = FileLock(folder / f"{painter}.lock", is_singleton=True), folder / f"{painter}.holder.json"
    again = lock.is_locked
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        whom = in_words(painter) if painter != proof.HOUSE else "What belongs to no painter"
        said = f"{whom} is being worked on by {_holder(note)}"
        if not wait:
            raise ArtMasterError(f"{said}. Wait for it to end, then run the same command again.") from error
        (progress or terminal_progress()).say(f"{said}; this one waits for it.")
        lock.acquire()
    try:
        if not again:
            write_text(note, json.dumps(_myself()))
            proof.begin(home, painter)
        with _written_down(home, painter, last=not again):
            yield
    finally:
        lock.release()


@contextmanager
def _written_down(home: Home, painter: str, *, last: bool) -> Iterator[None]:
    """What the block writes goes into the chain, also where it fails; after a full disk the next block's does."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            _write_down(home, painter, last=last)
        raise
    _write_down(home, painter, last=last)


def _write_down(home: Home, painter: str, *, last: bool) -> None:
    if not home.cache.is_dir():  # a home that was removed meanwhile
        return
    proof.note_written(home, painter)
    if last:
        proof.end(home, painter)


def _myself() -> dict[str, Any]:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    if "dagster" in command:
        command = "a run started in Dagster"
    return {
        "command": command[:_LONGEST_COMMAND],
        "process": os.getpid(),
        "machine": socket.gethostname(),
        "since": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def _holder(note: Path) -> str:
    """Whoever wrote the note, in words. The note only informs: the lock alone decides."""
    try:
        said = json.loads(note.read_text(encoding="utf-8"))
        where = "" if said["machine"] == socket.gethostname() else f" on {said['machine']}"
        return f"another process ({said['command']}, process {said['process']}{where}, since {said['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"

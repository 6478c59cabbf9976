"""What files, disks, memory, networks, DVC, git and Dagster do to a command, in the product's words.

`in_product_words` is the one boundary: the command line, and every step that Dagster runs, do their work inside it.
An error that the world outside the code caused comes out as one ArtMasterError that names the file, the reason and the
way out; whatever else comes out unchanged is a fault of the product itself, which `report_fault` writes down.
"""

import errno
import os
import re
import shutil
import socket
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from artmaster_pipeline.errors import ArtMasterError, Interrupted

_AGAIN = "then run the same command again: what is finished is kept"
_FULL = re.compile(
    r"no space left on device|disk quota exceeded|database or disk is full|not enough space"
    r"|requested and \d+ written|failed writing file",  # numpy's and torch's words for it
    re.IGNORECASE,
)

# By errno: what is wrong with the file, and the way out. {again} ends most of them.
_REASONS: dict[int, tuple[str, str]] = {
    errno.EACCES: ("this user may not read or write it", "Allow it, or work as the user who owns it, {again}"),
    errno.EPERM: ("the system does not allow this here", "Allow it, or work as the user who owns it, {again}"),
    errno.EROFS: (
        "its disk can only be read",
        "Choose a folder on another disk, or mount this one for writing, {again}",
    ),
    errno.ENOENT: ("it is not there, or no longer", "Put it back, or choose another, {again}"),
    errno.EEXIST: ("it is already there", "Move it away, or choose another name, {again}"),
    errno.ENOTDIR: ("a part of this path is a file, where a folder is needed", "Choose another place, {again}"),
    errno.EISDIR: ("it is a folder, where a file is needed", "Move it away, or choose another name, {again}"),
    errno.ENOTEMPTY: ("it is a folder that is not empty", "Move it away, or choose another name, {again}"),
    errno.ENAMETOOLONG: ("its name is too long for this disk", "Shorten the name, or a folder's above it, {again}"),
    errno.EINVAL: (
        "this disk does not take such a name or such a file",
        "Choose another name or another disk, {again}",
    ),
    errno.EILSEQ: ("this disk does not take such a name", "Rename it with plain characters, {again}"),
    errno.EIO: ("the disk or the network drive failed", "Check it, or move the files to a sound one, {again}"),
    errno.ELOOP: ("it is a link that leads to itself", "Put the file itself in its place, {again}"),
    errno.EBUSY: ("another program holds it", "Close that program, {again}"),
    errno.ETXTBSY: ("another program holds it", "Close that program, {again}"),
    errno.EFBIG: ("this disk does not hold files of that size", "Choose a disk with another file system, {again}"),
    errno.EXDEV: ("it lies on another disk than its target", "Put both on one disk, {again}"),
    errno.ENOTSUP: ("this disk's file system cannot do that", "Choose a folder on another disk, {again}"),
    errno.ENOLCK: ("this disk's file system has no locks", "Choose a folder on another disk, {again}"),
    errno.ESTALE: ("the network drive has lost it", "Connect the drive anew, {again}"),
    errno.ENOTCONN: ("the drive is not connected", "Connect the drive anew, {again}"),
    errno.ENODEV: ("the drive is not connected", "Connect the drive anew, {again}"),
    errno.ENXIO: ("it is a device or a pipe, not a file", "Put a file in its place, {again}"),
}
_WITHOUT_FILE: dict[int, str] = {
    errno.EMFILE: "This process may open no more files. Raise the limit (ulimit -n 4096), {again}.",
    errno.ENFILE: "This machine can open no more files. Close other programs, {again}.",
    errno.ENOMEM: "This machine has no memory left. Close other programs, {again}.",
    errno.EAGAIN: "This machine can start no more processes. Close other programs, {again}.",
    errno.EADDRINUSE: "That port is taken by another program. Choose another port, or end that program.",
    errno.EADDRNOTAVAIL: "This machine has no such address. Choose another one.",
}
_ROOM = 1_000_000  # bytes; SQLite needs some to say anything at all
_CONNECTION = (
    "requests", "urllib3", "httpx", "httpcore", "aiohttp", "botocore", "s3fs", "gcsfs", "adlfs", "azure", "google",
    "huggingface_hub", "hf_xet", "ssl", "fsspec", "socket", "httpx2", "httpcore2", "urllib", "http", "smtplib",
)  # fmt: skip
# Of those packages' exceptions: what a network says that may be gone in a minute.
_PASSES = (
    "ConnectionError", "ConnectError", "ReadError", "WriteError", "RemoteProtocolError", "ProtocolError",
    "TimeoutError", "Timeout", "TimeoutException", "HTTPClientError", "ClientConnectionError", "ClientPayloadError",
    "IncompleteRead", "ChunkedEncodingError", "ServiceRequestError", "ServiceResponseError", "SMTPServerDisconnected",
    "SMTPConnectError", "SSLEOFError",
)  # fmt: skip
_STAYS = ("OfflineModeIsEnabled", "SSLCertVerificationError")
_BUSY = (408, 425, 429)  # HTTP's statuses below 500 that ask to come back
_VERSIONING = ("dvc", "dvc_data", "dvc_objects", "scmrepo", "pygit2", "_pygit2", "dulwich", "asyncssh")
_DATABASE = ("sqlite3", "sqlalchemy", "psycopg2")


def in_words(error: BaseException, root: Path | None = None) -> ArtMasterError | None:
    """The product's error for `error`; None where nothing but a fault of the code explains it.

    Causes are looked at, too: what Dagster, SQLAlchemy or DVC wrap. `root` is the data home, for the disk's name.
    """
    chain = list(_causes(error))
    own = next((link for link in chain if isinstance(link, ArtMasterError)), None)
    if own and _FULL.search(str(own)):
        return own
    for link in chain:
        if _says_full(link):  # whoever wrapped it speaks of its own part only
            return disk_full(*(_named_by(link) or _places(link, root)))
    if own:
        return own
    if any(isinstance(link, KeyboardInterrupt) or _is(link, "DagsterExecutionInterruptedError") for link in chain):
        return Interrupted()
    for link in chain:
        for known in _KINDS:
            if told := known(link, root):
                return told
    return None


@contextmanager
def in_product_words(root: Callable[[], Path | None] | None = None) -> Iterator[None]:
    """What goes wrong inside leaves as an ArtMasterError where the world outside the code caused it."""
    try:
        yield
    except Exception as error:
        told = in_words(error, root() if root else None)
        if told is None or told is error:
            raise
        raise told from error


def can_pass(error: BaseException) -> bool:
    """Whether the same work may succeed in a minute: a network, a hub or another server did not answer as it should.

    What it answers decides where it answers at all: a refusal stays one, and so does a name that nobody knows.
    """
    chain = list(_causes(error))
    unknown = [link for link in chain if isinstance(link, socket.gaierror) and link.errno != socket.EAI_AGAIN]
    if unknown or any(_is(link, *_STAYS) for link in chain):
        return False
    if statuses := [status for link in chain if (status := _status_of(link))]:
        return all(status in _BUSY or status >= 500 for status in statuses)
    return any(_is_passing(link) for link in chain)


def _is_passing(error: BaseException) -> bool:
    if isinstance(error, socket.gaierror):
        return True
    if isinstance(error, BrokenPipeError) or _is_from(error, ("filelock",)):  # a process of this machine
        return False
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    if isinstance(reply := getattr(error, "smtp_code", None), int):
        return reply < 500  # the post's own statuses: 4 is for now, 5 for good
    return _is_from(error, _CONNECTION) and _is(error, *_PASSES)


def _status_of(error: BaseException) -> int | None:
    """HTTP's status in an error of one of the clients; None where it has none."""
    if not _is_from(error, _CONNECTION):
        return None
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's
        return response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    found = [getattr(response, "status_code", None), *(getattr(error, name, None) for name in ("status", "code"))]
    return next((status for status in found if isinstance(status, int) and 100 <= status < 600), None)


def disk_full(*paths: Path, needed: int | None = None) -> ArtMasterError:
    """The error of a disk without room: the fullest of those of `paths`, how much is free and `needed` (bytes)."""
    place = min(map(_there, paths), key=lambda folder: shutil.disk_usage(folder).free)
    usage = shutil.disk_usage(place)
    entries = os.statvfs(place) if hasattr(os, "statvfs") else None
    wanted = f"{size_in_words(needed)} are needed" if needed else "more is needed"
    if entries and entries.f_files and not entries.f_favail:
        wanted = "it can hold no more files"
    free, total = size_in_words(usage.free), size_in_words(usage.total)
    return ArtMasterError(
        f"No space left on device: the disk that holds {place} has {free} of {total} free, "
        f"and {wanted}. Make room there, or choose a place on another disk, {_AGAIN}, and nothing half-written is left."
    )


def size_in_words(count: int) -> str:
    """So many bytes as a person says it: "12 MB"."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count //= 1000
    return f"{count} GB"


def report_fault(error: BaseException, root: Path | None) -> str:
    """Write a fault of the product itself down below the data home `root`, else in the system's own temporary folder.

    Gives what to tell: one sentence with the name of that file.
    """
    text = "".join(traceback.format_exception(error))
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    said = (
        f"This is a fault of ArtMaster, not of your files or settings ({type(error).__name__}: {_first_line(error)})."
    )
    places = [root / ".cache" / "faults"] if root and root.is_dir() else []
    for place in (*places, Path(tempfile.gettempdir()) / "artmaster-faults"):
        try:
            place.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return f"{said} Where it happened is written in {place / name}: please report it with that file."
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = f"{last[0].filename}, line {last[0].lineno}" if last else "an unknown place"
    return f"{said} It happened at {where}; no file about it could be written."


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and what caused it, outermost first: `raise from`, and what Dagster and SQLAlchemy keep as attributes."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop(0)
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        foreign = not type(link).__module__.startswith(("builtins", "artmaster_pipeline"))
        inner = [getattr(link, name, None) for name in ("orig", "user_exception", "original_exc_info", "reason")]
        inner.append(link.__cause__ or (link.__context__ if foreign and not link.__suppress_context__ else None))
        waiting += [each for each in inner if isinstance(each, BaseException)]


def _of_files(error: BaseException, _root: Path | None) -> ArtMasterError | None:
    if not isinstance(error, OSError) or isinstance(error, ConnectionError) or _is_from(error, _CONNECTION):
        return None
    if _is(error, "Timeout") and _is_from(error, ("filelock",)):
        return ArtMasterError(f"{error}. Another process of ArtMaster works there: wait for it to end, {_AGAIN}.")
    if error.errno in _WITHOUT_FILE:
        return ArtMasterError(_WITHOUT_FILE[error.errno].format(again=_AGAIN))
    file = _file_of(error)
    reason, way_out = _REASONS.get(error.errno or 0, (error.strerror or _first_line(error), "Mend that, {again}"))
    return ArtMasterError(f"{file or _nameless()}: {reason}. {way_out.format(again=_AGAIN)}.")


def _of_text(error: BaseException, _root: Path | None) -> ArtMasterError | None:
    """A file that is not what it should be: text in another encoding, broken YAML or JSON."""
    # What reads a file has it in hand, perhaps around a generator; who calls from farther off may be at fault itself.
    file = next(iter(_in_hand(error.__traceback__, frames=2)), None)
    if _is_from(error, ("yaml",)):
        return ArtMasterError(
            f"{file or 'A settings file'} cannot be read as YAML: {_first_line(error)}. Mend it there."
        )
    damaged = isinstance(error, UnicodeDecodeError) or _is(
        error, "JSONDecodeError", "ValidationError", "SafetensorError"
    )
    if not damaged or file is None:
        return None
    return ArtMasterError(
        f"{file} is damaged, or something else than its name says ({_first_line(error)}). Restore it (with "
        "`dvc checkout` if it is versioned), or move it away so that it is made again."
    )


def _of_memory(error: BaseException, _root: Path | None) -> ArtMasterError | None:
    text = str(error).lower()
    if not (isinstance(error, MemoryError) or _is(error, "OutOfMemoryError") or "can't allocate memory" in text):
        return None
    device = "The GPU" if "cuda" in text else "This machine"
    return ArtMasterError(
        f"{device} has no memory left for this ({_first_line(error)}). Close other programs, or choose a smaller "
        f"profile or batch_size (`artmaster doctor --profile NAME` forecasts it), {_AGAIN}."
    )


def _of_connections(error: BaseException, _root: Path | None) -> ArtMasterError | None:
    if not (isinstance(error, ConnectionError) or _is_from(error, _CONNECTION)):
        return None
    return ArtMasterError(
        f"The other side of a connection did not do as asked ({_first_line(error)}). Check the network, the address "
        f"and the credentials, {_AGAIN}."
    )


def _of_databases(error: BaseException, root: Path | None) -> ArtMasterError | None:
    """Dagster's own storage: a folder of SQLite files below the data home, or a PostgreSQL database."""
    if not _is_from(error, _DATABASE):
        return None
    if _is_from(getattr(error, "orig", None) or error, ("psycopg2",)):
        return ArtMasterError(
            f"PostgreSQL, which keeps Dagster's records (ARTMASTER_DAGSTER_POSTGRES), did not do as asked "
            f"({_first_line(getattr(error, 'orig', None) or error)}). See that its server runs and that the user may "
            f"write there, {_AGAIN}."
        )
    if root and shutil.disk_usage(_there(root)).free < _ROOM:  # SQLite says "disk I/O error" then
        return disk_full(root)
    place = root / ".dagster" if root else "Dagster's storage"
    text = _first_line(getattr(error, "orig", None) or error).lower()
    if "locked" in text:
        return ArtMasterError(f"{place}: another process writes in it. Wait for it to end, {_AGAIN}.")
    if "malformed" in text or "not a database" in text or "no such table" in text:
        return ArtMasterError(
            f"{place}: Dagster's record of runs is damaged ({text}). Move that folder away: only the "
            f"history of runs is in it, and a new one is begun. Then run the same command again."
        )
    return ArtMasterError(
        f"{place}: Dagster's record of runs cannot be written or read ({text}). See that the folder is there, that "
        f"this user may write in it, and that its disk is sound, {_AGAIN}."
    )


def _of_versioning(error: BaseException, root: Path | None) -> ArtMasterError | None:
    if not _is_from(error, _VERSIONING):
        return None
    return ArtMasterError(
        f"DVC or git could not do its part in {root or 'the data home'} ({_first_line(error)}). Mend that, {_AGAIN}."
    )


def _of_dagster(error: BaseException, _root: Path | None) -> ArtMasterError | None:
    if not _is_from(error, ("dagster",)) or _is(
        error, "DagsterExecutionStepExecutionError", "DagsterInvariantViolationError"
    ):
        return None
    text = _first_line(error)
    if "partition" in text.lower():
        return ArtMasterError(
            f"Dagster no longer knows the painter's partition: was it deleted while the run was at work? ({text}) Run "
            "the same command again, which adds it anew: what is finished is kept."
        )
    return ArtMasterError(f"Dagster could not go on ({text}). Run the same command again: what is finished is kept.")


def _of_pictures(error: BaseException, _root: Path | None) -> ArtMasterError | None:
    if not _is_from(error, ("pyvips",)):
        return None
    return ArtMasterError(
        f"{_file_of(error) or 'A picture'} could not be read or written ({_first_line(error)}). Put a sound file in "
        f"its place, or mend the disk, {_AGAIN}."
    )


_KINDS = (_of_memory, _of_connections, _of_files, _of_databases, _of_versioning, _of_pictures, _of_text, _of_dagster)


def _says_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return not isinstance(error, ArtMasterError) and bool(_FULL.search(str(error)))


def _file_of(error: BaseException) -> Path | None:
    """The file that an error speaks of; where it names none, the one that the product's own code had in hand."""
    return next(iter((*_named_by(error), *_in_hand(error.__traceback__)[:1])), None)


def _named_by(error: BaseException) -> list[Path]:
    if not isinstance(error, OSError):
        return []
    names = (error.filename, error.filename2)
    return [
        Path(os.fsdecode(name)) for name in names if isinstance(name, (str, bytes, os.PathLike)) and os.fspath(name)
    ]


def _places(error: BaseException, root: Path | None) -> list[Path]:
    """Where a command may have been writing: files in hand, the data home, and where programs put what passes."""
    usual = [root, Path(tempfile.gettempdir())]
    with suppress(OSError):  # the working folder may be gone
        usual.append(Path.cwd())
    return [*_in_hand(error.__traceback__), *(place for place in usual if place)]


def _nameless() -> str:
    try:
        Path.cwd()
    except OSError:
        return "The working folder"
    return "A file"


def _in_hand(trace: TracebackType | None, frames: int | None = None) -> list[Path]:
    """The files that the product's functions (the last `frames` of them) had in hand, nearest to the fault first."""
    names = ("temporary", "place", "path", "file", "manifest", "target", "folder", "destination", "out")
    found: list[list[Path]] = []
    while trace:
        if trace.tb_frame.f_globals.get("__name__", "").startswith("artmaster_pipeline"):
            held = [trace.tb_frame.f_locals.get(name) for name in names]
            found.insert(0, [each for each in held if isinstance(each, Path)])
        trace = trace.tb_next
    return [path for held in found[:frames] for path in held]


def _there(path: Path) -> Path:
    """The nearest folder of `path` that exists."""
    path = path.absolute()
    return next((folder for folder in (path, *path.parents) if folder.is_dir()), Path("/"))


def _is(error: BaseException, *names: str) -> bool:
    return any(kind.__name__ in names for kind in type(error).__mro__)


def _is_from(error: BaseException, packages: tuple[str, ...]) -> bool:
    return any(kind.__module__.partition(".")[0] in packages for kind in type(error).__mro__)


def _first_line(error: BaseException) -> str:
    """An error's own words as one short sentence without its full stop."""
    words = " ".join((str(error) or type(error).__name__).split())
    return f"{words[:300]} ..." if len(words) > 300 else words.rstrip(".")

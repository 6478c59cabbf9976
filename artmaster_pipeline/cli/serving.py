"""`artmaster ui`: Dagster's pages of a data home, on this machine alone, and what they say on the terminal."""

import ctypes
import errno
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Annotated, TextIO

import typer
from filelock import FileLock, Timeout

from artmaster_pipeline.cli.options import HomeOption
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.settings import Home
from artmaster_pipeline.terminal import err, out, plain

_LOCALHOST = "127.0.0.1"
_SERVES = re.compile(r"Serving dagster-webserver on http")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # Dagster's logs have it whether a terminal reads them or not
_TRACE = re.compile(r"\s*(Traceback \(most recent call last\)|Stack Trace|The above exception )")


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port on localhost.")] = 3000, home: HomeOption = None
) -> None:
    """The Dagster UI of a data home, on localhost, with the daemon that runs sensors and schedules."""
    from artmaster_pipeline.orchestration.instance import open_instance

    place = Home.find(home)
    check_port(port)
    place.cache.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(place.cache / "ui.lock", timeout=0):
            open_instance(place).dispose()  # its storage is there and answers, which is told now or in the log
            _serve(place, port)
    except Timeout as error:
        raise ArtMasterError(
            f"Another `artmaster ui` serves {place.root}: two would start every scheduled run twice. Use that one, or "
            "end it first."
        ) from error


def check_port(port: int) -> None:
    """Raise ArtMasterError where nobody can serve on `port` of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: not taken by what has ended
        try:
            probe.bind((_LOCALHOST, port))
            probe.listen()
        except PermissionError as error:
            raise ArtMasterError(
                f"Port {port} is kept for the system's own services: choose one from 1024 on, for example --port 3000."
            ) from error
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise ArtMasterError(
                f"Port {port} is taken by another program: end that one, or choose another port, for example "
                f"--port {_free_port()}."
            ) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOCALHOST, 0))
        return int(probe.getsockname()[1])


def _serve(home: Home, port: int) -> None:
    """Run the server until a person ends it; what it prints passes the gate, tracebacks go to a file only."""
    program = Path(sys.executable).with_name("dagster")
    command = [str(program), "dev", "-m", "artmaster_pipeline.definitions", "-h", _LOCALHOST, "-p", str(port)]
    log = home.cache / "ui.log"
    server = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl+C reaches it once, through `end`, and not twice
        preexec_fn=_heed_its_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - no threads here
    )
    ended = False

    def end(_number: int, _frame: FrameType | None) -> None:
        nonlocal ended
        ended = True
        server.send_signal(signal.SIGINT)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), end)
    with log.open("w", encoding="utf-8") as whole:
        for line in without_traces(_kept(server.stdout or (), whole)):
            if _SERVES.search(line):
                out.say(f"Dagster UI of {home.root}: http://{_LOCALHOST}:{port}  (Ctrl+C ends it)")
            else:
                err.say(line)
    server.wait()
    if not ended:
        raise ArtMasterError(f"The Dagster UI has ended by itself: what it said is in {log}.")


def _heed_its_parent() -> None:
    """Let the server hear Ctrl+C (shells' background jobs do not), and be told to end when this process is killed."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG


def _kept(lines: Iterable[str], whole: TextIO) -> Iterator[str]:
    for line in lines:
        said = plain(_COLOUR.sub("", line).rstrip())
        whole.write(f"{said}\n")
        whole.flush()
        yield said


def without_traces(lines: Iterable[str]) -> Iterator[str]:
    """The lines that are no part of a Python traceback; of one, the exception's own line."""
    within = False
    for line in lines:
        if _TRACE.match(line):
            within = True
        elif not within or (line and not line[0].isspace()):
            within = False
            yield line

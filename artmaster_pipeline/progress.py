"""How long work tells a person how far it is: bars on a terminal, lines in a log, or both at once."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from artmaster_pipeline.terminal import Screen, err, guarded_stderr, plain


class Advance(Protocol):
    """Tells that `steps` more are done; `note` is what a person wants to see beside the count (the file, the loss)."""

    def __call__(self, steps: int = 1, note: str = "") -> None: ...


class Progress:
    """Reports to any of: a log function (a line at the start, at the end and every few seconds), a terminal bar."""

    def __init__(
        self, log: Callable[[str], None] | None = None, *, bar: bool = False, every_seconds: float = 10.0
    ) -> None:
        self._log = log
        self._bar = bar
        self._every = every_seconds

    def say(self, message: str) -> None:
        """One line for the log and, where there are bars, above them; nothing in it steers a terminal."""
        self._note(message)
        if self._bar:
            print(plain(message), file=sys.stderr, flush=True)  # noqa: T201 - rich puts it above a bar

    @contextmanager
    def task(self, description: str, total: int, done: int = 0) -> Iterator[Advance]:
        """Open a piece of work of `total` steps, `done` of which were there before; gives the function to call."""
        with self._open_bar(description, total, done) as advance_bar:
            count, began, spoke = done, time.monotonic(), time.monotonic()

            def advance(steps: int = 1, note: str = "") -> None:
                nonlocal count, spoke
                count += steps
                advance_bar(steps, note)
                now = time.monotonic()
                if now - spoke >= self._every:
                    spoke = now
                    left = (now - began) / max(count - done, 1) * (total - count)
                    self._note(f"{description}: {count} of {total}, about {_lasting(left)} left. {note}".strip())

            yield advance
            self._note(f"{description}: {count} of {total} in {time.monotonic() - began:.1f} s")

    def _note(self, message: str) -> None:
        if self._log:
            self._log(plain(message))

    @contextmanager
    def _open_bar(self, description: str, total: int, done: int) -> Iterator[Advance]:
        if not self._bar:
            yield lambda steps=1, note="": None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description:<34}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        screen = Screen(stderr=True)
        with Bars(*columns, console=screen, redirect_stdout=False) as bars, guarded_stderr():
            row = bars.add_task(plain(description, screen.encoding), total=total, completed=done, note="")
            yield lambda steps=1, note="": bars.update(row, advance=steps, note=plain(note, screen.encoding))


def _lasting(seconds: float) -> str:
    """As exactly as a person wants it: 90 s, 12 min, 9 h 27 min."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def terminal_progress(log: Callable[[str], None] | None = None) -> Progress:
    """Progress on this process's stderr, beside `log`: bars on a terminal, plain lines where there is no screen."""
    if sys.stderr.isatty():
        return Progress(log, bar=True)

    def told(message: str) -> None:
        if log:
            log(message)
        err.say(message)

    return Progress(told)


SILENT = Progress()

"""How long work tells a person how far it is: bars on a terminal, lines in a log, or both at once."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


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
        """One line for the log (and for the terminal, above the bar)."""
        if self._log:
            self._log(message)

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
                    self.say(f"{description}: {count} of {total}, about {left:.0f} s left. {note}".strip())

            yield advance
            self.say(f"{description}: {count} of {total} in {time.monotonic() - began:.1f} s")

    @contextmanager
    def _open_bar(self, description: str, total: int, done: int) -> Iterator[Advance]:
        if not self._bar:
            yield lambda steps=1, note="": None
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description:<34}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Bars(*columns, console=Console(stderr=True)) as bars:
            row = bars.add_task(description, total=total, completed=done, note="")
            yield lambda steps=1, note="": bars.update(row, advance=steps, note=note)


SILENT = Progress()

"""How the commands print: lines, tables, JSON, and progress on stderr."""

import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from artmaster_pipeline.progress import Progress

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)


def terminal_progress() -> Progress:
    """Bars on a terminal; plain lines on stderr where there is no screen."""
    if sys.stderr.isatty():
        return Progress(bar=True)
    return Progress(lambda message: print(message, file=sys.stderr, flush=True))  # noqa: T201


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout."""
    import json

    print(json.dumps(value, ensure_ascii=False, indent=2))  # noqa: T201 - stdout is the result


def print_table(title: str, rows: list[dict[str, Any]]) -> None:
    """Print rows as a table whose columns are the first row's keys; nothing where there are no rows."""
    if not rows:
        return
    grid = Table(title=title, title_justify="left", header_style="bold")
    for column in rows[0]:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(escape(printable(str(value))) for value in row.values()))
    out.print(grid)


def printable(text: str) -> str:
    """Text safe to show on a terminal: control characters and broken Unicode of file names are spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


def short(path: Path) -> str:
    """A path as it is seen from the working folder."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)

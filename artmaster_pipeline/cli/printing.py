"""How the commands print: lines, tables and JSON, all through the gate of `terminal`."""

from pathlib import Path
from typing import Any

from rich.table import Table

from artmaster_pipeline.terminal import out


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout."""
    out.json(value)


def print_table(title: str, rows: list[dict[str, Any]]) -> None:
    """Print rows as a table whose columns are the first row's keys; nothing where there are no rows."""
    if not rows:
        return
    grid = Table(title=out.words(title), title_justify="left", header_style="bold")
    for column in rows[0]:
        grid.add_column(out.words(column), overflow="fold")
    for row in rows:
        grid.add_row(*(out.words(value) for value in row.values()))
    out.print(grid)


def short(path: Path) -> str:
    """A path as it is seen from the working folder."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)

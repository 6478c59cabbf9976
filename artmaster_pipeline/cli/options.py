"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer


class _Given:
    """What was said on the command line, for those who tell of an error outside the command."""

    home: Path | None = None


given = _Given()


def _remember(home: Path | None) -> Path | None:
    given.home = home or given.home
    return home


HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        envvar="ARTMASTER_HOME",
        help="The data home (default: assets_data/).",
        show_default=False,
        callback=_remember,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on stdout.")]
PainterArgument = Annotated[str, typer.Argument(help="The painter's slug, for example huang-binhong.")]

"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", envvar="ARTMASTER_HOME", help="The data home (default: assets_data/).", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on stdout.")]
PainterArgument = Annotated[str, typer.Argument(help="The painter's slug, for example huang-binhong.")]

"""The command line as one program: every command under its name, in the order in which `--help` shows them."""

import os
import sys

import typer
from rich.markup import escape

from artmaster_pipeline.cli import drawing, evaluating, keeping, lineage, machine, painters, publishing, running
from artmaster_pipeline.cli.options import HomeOption
from artmaster_pipeline.cli.printing import err
from artmaster_pipeline.errors import ArtMasterError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From a painter's scans to a style adapter for FLUX.1-dev, and proof of which artworks are in it.",
)
for _command in (
    running.demo,
    running.run,
    running.train,
    evaluating.evaluate,
    evaluating.gate,
    drawing.generate,
    drawing.export,
    publishing.publish,
    publishing.verify,
    machine.doctor,
    machine.ui,
):
    app.command()(_command)

_painters = typer.Typer(no_args_is_help=True, help="The painters of the data home.")
_painters.command("add")(painters.painters_add)
_painters.command("list")(painters.painters_list)
_painters.command("settings")(keeping.painters_settings)
app.add_typer(_painters, name="painters")

_lineage = typer.Typer(no_args_is_help=True, help="Which artworks fed which adapter, and where an artwork has gone.")
_lineage.command("adapter")(lineage.lineage_adapter)
_lineage.command("artwork")(lineage.lineage_artwork)
app.add_typer(_lineage, name="lineage")

_base = typer.Typer(no_args_is_help=True, help="The embedded base model, the miniature.")
_base.command("train")(machine.base_train)
app.add_typer(_base, name="base")


@app.callback()
def _everywhere(home: HomeOption = None) -> None:
    if home is not None:
        os.environ["ARTMASTER_HOME"] = str(home.expanduser().resolve())


def main() -> None:
    """Run the command line; our own errors become one message and their exit code."""
    try:
        app(standalone_mode=True)
    except ArtMasterError as error:
        err.print(f"[bold red]artmaster:[/bold red] {escape(str(error))}")
        sys.exit(error.exit_code)

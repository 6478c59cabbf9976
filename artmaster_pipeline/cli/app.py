"""The command line as one program: every command under its name, in the order in which `--help` shows them."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from artmaster_pipeline.cli import (
    captions,
    copainting,
    drawing,
    editing,
    evaluating,
    experts,
    keeping,
    lineage,
    machine,
    mixing,
    painters,
    publishing,
    refining,
    retraining,
    reviewing,
    running,
    serving,
    stories,
    upscaling,
    withdrawing,
)
from artmaster_pipeline.cli.options import HomeOption, given
from artmaster_pipeline.errors import ArtMasterError, Interrupted
from artmaster_pipeline.faults import in_product_words, report_fault
from artmaster_pipeline.settings import Home
from artmaster_pipeline.terminal import ReaderGone, discard, err, guard_streams

_READER_GONE = 141  # what shells give a program that a closed pipe ended


class _Commands(TyperGroup):
    """The commands, whose errors leave in the product's words."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override] # typer's own context, by its public name
        given.home = None
        with in_product_words(_root):
            return super().invoke(ctx)


def _root() -> Path | None:
    """The data home, where one can be told."""
    try:
        return Home.find(given.home).root
    except (OSError, ArtMasterError):  # the working folder is gone, or the home is a file
        return None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From a painter's scans to a style adapter for FLUX.1-dev, and proof of which artworks are in it.",
)
for _command in (
    running.demo,
    running.run,
    running.train,
    retraining.retraining,
    reviewing.review,
    captions.captions,
    evaluating.evaluate,
    evaluating.gate,
    drawing.generate,
    mixing.mix,
    mixing.mixes,
    editing.repaint,
    editing.restyle,
    editing.outpaint,
    drawing.export,
    upscaling.upscale,
    refining.refine,
    publishing.publish,
    publishing.verify,
    withdrawing.withdraw,
    withdrawing.restore,
    machine.doctor,
    serving.ui,
):
    app.command()(_command)

_painters = typer.Typer(no_args_is_help=True, help="The painters of the data home.")
_painters.command("add")(painters.painters_add)
_painters.command("fetch")(painters.painters_fetch)
_painters.command("list")(painters.painters_list)
_painters.command("rename")(keeping.painters_rename)
_painters.command("remove")(keeping.painters_remove)
_painters.command("settings")(keeping.painters_settings)
app.add_typer(_painters, name="painters")

_lineage = typer.Typer(no_args_is_help=True, help="Which artworks fed which adapter, and where an artwork has gone.")
_lineage.command("adapter")(lineage.lineage_adapter)
_lineage.command("artwork")(lineage.lineage_artwork)
_lineage.command("picture")(lineage.lineage_picture)
_lineage.command("file")(lineage.lineage_file)
_lineage.command("verify")(lineage.lineage_verify)
_lineage.command("export")(lineage.lineage_export)
app.add_typer(_lineage, name="lineage")

_copaint = typer.Typer(
    cls=copainting.CopaintGroup,
    no_args_is_help=True,
    help="Several painters on one canvas: `artmaster copaint CANVAS` paints it.",
)
_copaint.command("paint")(copainting.copaint)
_copaint.command("preview")(copainting.copaint_preview)
_copaint.command("new")(copainting.copaint_new)
app.add_typer(_copaint, name="copaint")

_story = typer.Typer(no_args_is_help=True, help="Stories across time: from a wish to a book, painted in one hand.")
_story.command("new")(stories.story_new)
_story.command("check")(stories.story_check)
_story.command("paint")(stories.story_paint)
_story.command("book")(stories.story_book)
_story.command("publish")(stories.story_publish)
_story.command("list")(stories.story_list)
app.add_typer(_story, name="story")

_experts = typer.Typer(no_args_is_help=True, help="Several painters' adapters, before they draw together.")
_experts.command("map")(experts.experts_map)
_experts.command("gate")(experts.experts_gate)
app.add_typer(_experts, name="experts")

_base = typer.Typer(no_args_is_help=True, help="The embedded base model, the miniature.")
_base.command("train")(machine.base_train)
app.add_typer(_base, name="base")


@app.callback()
def _everywhere(home: HomeOption = None) -> None:
    if home is not None:
        os.environ["ARTMASTER_HOME"] = str(home.expanduser().resolve())


def main() -> None:
    """Run the command line: one message for whatever goes wrong, and its exit code."""
    guard_streams()
    code = _answered()
    with suppress(OSError):
        sys.stdout.flush()
    sys.exit(code)


def _answered() -> int:
    try:
        code = app(standalone_mode=False) or 0
    except ReaderGone:
        discard(1)  # what is still buffered goes nowhere
        return _READER_GONE
    except (KeyboardInterrupt, typer.Abort):
        code = Interrupted.exit_code
    except ArtMasterError as error:
        return _say(error, error.exit_code)
    except Exception as error:
        if hasattr(error, "format_message"):  # how typer says that a command was used wrongly
            return _say_usage(error)
        return _say(report_fault(error, _root()), 1)
    if code == Interrupted.exit_code:  # typer makes this of Ctrl+C
        return _say(Interrupted(), code)
    return code if isinstance(code, int) else 0


def _say(message: object, code: int) -> int:
    with suppress(ReaderGone, ArtMasterError):  # stderr may be what is broken
        err.say(("artmaster:", "bold red"), f" {message}")
    return code


def _say_usage(error: Any) -> int:
    context = getattr(error, "ctx", None)
    name = context.command_path if context else "artmaster"
    if context and type(error).__name__ == "NoArgsIsHelpError":
        context.get_help()  # rich prints it
        return int(error.exit_code)
    return _say(f"{error.format_message()} (see: {name} --help)", int(error.exit_code))

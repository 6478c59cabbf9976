"""`artmaster painters settings`, `rename` and `remove`: what keeps a data home in order beside the runs."""

from typing import Annotated

import typer

from artmaster_pipeline.cli.options import HomeOption, PainterArgument
from artmaster_pipeline.cli.printing import short
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.settings import Home
from artmaster_pipeline.terminal import out

YesOption = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]


def painters_settings(painter: PainterArgument, home: HomeOption = None) -> None:
    """Write down what each stage uses of painter.yaml and the profile, and say where; DVC compares that file."""
    from artmaster_pipeline.stage_settings import write_settings

    out.say(short(write_settings(Home.find(home), painter)))


def painters_rename(
    old: PainterArgument,
    new: Annotated[str, typer.Argument(help="The new slug: lower-case letters, digits, single hyphens.")],
    yes: YesOption = False,
    home: HomeOption = None,
) -> None:
    """Give a painter another slug: folders, records, DVC's and Dagster's names. What was published stays as it is."""
    from artmaster_pipeline.orchestration.painters import rename_painter

    _ask(yes, f"Rename {old} to {new}?")
    place = Home.find(home)
    rename_painter(place, old, new)
    out.say(f"{old} is {new} now. What was published keeps its old name until: artmaster run {new}")


def painters_remove(painter: PainterArgument, yes: YesOption = False, home: HomeOption = None) -> None:
    """Take a painter's scans, pictures and weights out of the home. The lineage and what was published stay."""
    from artmaster_pipeline.orchestration.painters import remove_painter

    _ask(yes, f"Remove the scans, pictures and adapters of {painter} from this home?")
    place = Home.find(home)
    remove_painter(place, painter)
    out.say(f"{painter} is removed. Its records and what it published stay: {short(place.gallery(painter))}")
    out.say("DVC's cache still holds the bytes; `dvc gc --workspace` frees them for good.")


def _ask(yes: bool, question: str) -> None:
    if yes:
        return
    try:
        agreed = typer.confirm(question)
    except typer.Abort as error:  # nobody there to answer
        raise WrongUse(f"{question} Say so with --yes where nobody can be asked.") from error
    if not agreed:
        raise WrongUse("Nothing was changed.")

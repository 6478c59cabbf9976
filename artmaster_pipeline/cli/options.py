"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.settings import CROP_SIZES


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
PartitionArgument = Annotated[
    str,
    typer.Argument(
        metavar="PAINTER",
        help="The painter's slug, for example huang-binhong; a set of painters (a--b), a canvas (canvas_NAME) or "
        "a story (story_NAME).",
    ),
]

# How pictures are drawn; what is not said is as chosen for the adapter. Limits are those of DrawingSettings.
StrengthOption = Annotated[float | None, typer.Option(help="The adapter's strength, up to 1.5 (default: as chosen).")]
GuidanceOption = Annotated[float | None, typer.Option(help="The base's own guidance (default: as chosen).")]
TrueCfgOption = Annotated[
    float | None,
    typer.Option(help="True classifier-free guidance, twice the time; 1 is off (default: as chosen)."),
]
UnguidedOption = Annotated[
    bool | None,
    typer.Option(
        "--adapter-in-unguided/--no-adapter-in-unguided",
        help="Whether the adapter is on in that guidance's pass without the prompt (default: as chosen).",
    ),
]
EnlargeOption = Annotated[bool, typer.Option(help="Enlarge each picture in one pass of the profile's network.")]
LongSideOption = Annotated[
    int | None, typer.Option(min=1, max=16384, help="Enlarge each picture to so many pixels, the longer side.")
]


def picture_size(text: str) -> tuple[int, int]:
    """The size that a person asked for. Raises WrongUse for one that adapters are not trained for."""
    sizes = {f"{width}x{height}": (width, height) for width, height in CROP_SIZES}
    if text not in sizes:
        raise WrongUse(f"--size {text}: choose one of {', '.join(sizes)}.")
    return sizes[text]

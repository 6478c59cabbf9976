"""`artmaster copaint`: several painters on one canvas, painted, looked at beforehand, and begun from a picture."""

from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from typer.core import TyperGroup

from artmaster_pipeline.cli.options import EnlargeOption, HomeOption, LongSideOption
from artmaster_pipeline.cli.printing import short
from artmaster_pipeline.copainting.records import SignalKind
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.progress import terminal_progress
from artmaster_pipeline.settings import Home
from artmaster_pipeline.terminal import out

CanvasArgument = Annotated[
    str, typer.Argument(metavar="CANVAS", help="A canvas.yaml, its folder, or the name of a canvas in the data home.")
]


class CopaintGroup(TyperGroup):
    """`copaint CANVAS` is `copaint paint CANVAS`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, "--help"}:
            args = ["paint", *args]
        return super().parse_args(ctx, args)


def copaint(
    canvas: CanvasArgument,
    n: Annotated[int | None, typer.Option("-n", min=1, help="How many pictures (default: the canvas' seeds).")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="The first picture's seed, instead of the canvas' own; the next count up.")
    ] = None,
    enlarge: EnlargeOption = False,
    long_side: LongSideOption = None,
    destination: Annotated[Path, typer.Option("--out", help="Where the pictures go.")] = Path(),
    home: HomeOption = None,
) -> None:
    """Paint a canvas: every region in the hands that its canvas.yaml gives it, all in one picture."""
    from artmaster_pipeline.copainting.canvas import find_canvas

    place = Home.find(home)
    file = find_canvas(canvas, place)
    from artmaster_pipeline.copainting.painting import paint_canvas_file

    done = paint_canvas_file(
        place,
        file,
        out=destination,
        count=n,
        seed=seed,
        enlarge=enlarge,
        long_side=long_side,
        progress=terminal_progress(),
    )
    for path in done:
        out.say(str(path))


def copaint_preview(
    canvas: CanvasArgument,
    destination: Annotated[Path, typer.Option("--out", metavar="F.png", help="The sheet to write.")],
    over: Annotated[Path | None, typer.Option(metavar="PICTURE", help="Show the regions over this picture.")] = None,
    home: HomeOption = None,
) -> None:
    """Show a canvas' regions, numbered, and who paints each, without painting."""
    from artmaster_pipeline.copainting.canvas import find_canvas
    from artmaster_pipeline.copainting.canvas.showing import write_preview

    place = Home.find(home)
    for sentence in write_preview(find_canvas(canvas, place), place, destination, over):
        out.say(sentence)
    out.say(short(destination))


def copaint_new(
    source: Annotated[Path, typer.Option("--from", metavar="PICTURE", help="A picture, or with --sketch a layout.")],
    destination: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The canvas' folder.")],
    painters: Annotated[str, typer.Option(help="Who gets the regions, the largest kind to the first: A,B,C.")],
    ground: Annotated[str, typer.Option(help="Who paints what no region covers (default: the first).")] = "",
    sketch: Annotated[
        bool, typer.Option("--sketch", help="The picture is a layout drawn by hand: flat colours, or closed outlines.")
    ] = False,
    control: Annotated[
        str, typer.Option(help=f"Signals to keep to, with commas between: {', '.join(get_args(SignalKind))}.")
    ] = "",
    prompt: Annotated[str, typer.Option(help="What the picture shows (default: said from what was found).")] = "",
    home: HomeOption = None,
) -> None:
    """Write a first canvas from a picture's regions: canvas.yaml and labels.png, for a person to go on with."""
    from artmaster_pipeline.copainting.canvas.first import new_canvas

    signals: list[SignalKind] = [kind for kind in get_args(SignalKind) if kind in _named(control)]
    if strangers := sorted(set(_named(control)) - set(signals)):
        raise WrongUse(f"--control {', '.join(strangers)}: choose from {', '.join(get_args(SignalKind))}.")
    path, sentences = new_canvas(
        Home.find(home),
        source,
        destination,
        _named(painters),
        ground=ground,
        drawn=sketch,
        control=signals,
        prompt=prompt,
    )
    for sentence in sentences:
        out.say(sentence)
    out.say(short(path))
    out.say(f"To see it: artmaster copaint preview {short(path)} --over {short(source)} --out seen.png")


def _named(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))

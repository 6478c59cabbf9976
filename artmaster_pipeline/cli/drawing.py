"""`artmaster generate` and `export`: pictures in a painter's hand, and the adapter as a file for other programs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from artmaster_pipeline.cli.options import (
    EnlargeOption,
    GuidanceOption,
    HomeOption,
    LongSideOption,
    PainterArgument,
    StrengthOption,
    TrueCfgOption,
    UnguidedOption,
    picture_size,
)
from artmaster_pipeline.cli.printing import short
from artmaster_pipeline.progress import terminal_progress
from artmaster_pipeline.settings import Home, painter_profile
from artmaster_pipeline.terminal import out

AdapterOption = Annotated[
    str | None, typer.Option(help="An adapter's id (default: the published one, else the newest).")
]


def generate(
    painter: PainterArgument,
    prompt: Annotated[str, typer.Argument(help="What the picture shows; the trigger word is added.")],
    n: Annotated[int, typer.Option("-n", min=1, help="How many pictures.")] = 1,
    seed: Annotated[int, typer.Option(help="The first picture's seed; the next ones count up.")] = 0,
    adapter: AdapterOption = None,
    size: Annotated[str, typer.Option(help="512x512 or 512x768.")] = "512x512",
    enlarge: EnlargeOption = False,
    long_side: LongSideOption = None,
    strength: StrengthOption = None,
    guidance_scale: GuidanceOption = None,
    true_cfg_scale: TrueCfgOption = None,
    adapter_in_unguided: UnguidedOption = None,
    destination: Annotated[Path, typer.Option("--out", help="Where the pictures go.")] = Path(),
    home: HomeOption = None,
) -> None:
    """Draw pictures in the painter's style."""
    from artmaster_pipeline.generation import generate as draw

    place = Home.find(home)
    paths = draw(
        place,
        painter,
        painter_profile(place, painter),
        prompt,
        n,
        seed,
        adapter_id=adapter,
        out=destination,
        enlarge=enlarge,
        long_side=long_side,
        size=picture_size(size),
        strength=strength,
        guidance_scale=guidance_scale,
        true_cfg_scale=true_cfg_scale,
        adapter_in_unguided=adapter_in_unguided,
        progress=terminal_progress(),
    )
    for path in paths:
        out.say(str(path))


def export(
    painter: PainterArgument,
    file_format: Annotated[
        Literal["diffusers", "kohya"],
        typer.Option("--format", help="diffusers, or kohya for ComfyUI, Forge, InvokeAI and sd-scripts."),
    ],
    adapter: AdapterOption = None,
    destination: Annotated[
        Path | None,
        typer.Option("--out", help="The file, or its folder (default: PAINTER-ID-FORMAT.safetensors, here)."),
    ] = None,
    uniform_rank: Annotated[
        bool, typer.Option("--uniform-rank", help="Fill all layers up to one rank, for programs that take no other.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Write an adapter as one file that other programs open."""
    from artmaster_pipeline.adapters.exporting import export_adapter

    place = Home.find(home)
    done = export_adapter(place, painter, file_format, adapter, destination, uniform_rank=uniform_rank)
    out.say(f"{short(done.file)} ({done.file.stat().st_size / 1e6:.1f} MB)")
    out.say(f"Adapter {done.adapter.id} of {painter}, for {done.adapter.base_model}.")
    out.say("Trigger word, to be said in the prompt: ", (done.adapter.trigger, "bold"))
    if done.newer:
        out.say(done.newer)
    for hint in done.hints:
        out.say(f"  {hint}")

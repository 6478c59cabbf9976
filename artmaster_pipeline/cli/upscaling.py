"""`artmaster upscale`: picture files enlarged as they are, outside any painter."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from artmaster_pipeline.cli.options import JsonOption
from artmaster_pipeline.cli.printing import print_json, short
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.progress import terminal_progress
from artmaster_pipeline.settings import CONSTRAINTS, EnlargingEngine
from artmaster_pipeline.superres.networks import DEFAULT_NETWORK
from artmaster_pipeline.terminal import err, out


def upscale(
    inputs: Annotated[list[Path], typer.Argument(metavar="IN...", help="Pictures, and folders of pictures.")],
    destination: Annotated[Path, typer.Option("--out", help="The folder for the enlarged pictures.")],
    scale: Annotated[
        float | None, typer.Option(help="How many times wider and higher (default: the network's scale).")
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="WxH: as large as fits into it, in the picture's own proportions.")
    ] = None,
    network: Annotated[
        str, typer.Option(help="A shipped network or family, or a .pth or .safetensors file.")
    ] = DEFAULT_NETWORK,
    file_format: Annotated[Literal["png", "tiff", "jpeg"], typer.Option("--format")] = "png",
    bits: Annotated[
        int | None, typer.Option(help="8 or 16 a channel (default: as the picture has; 8 in a JPEG).")
    ] = None,
    quality: Annotated[int, typer.Option(help="Of a JPEG, up to 100.")] = 95,
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"],
        typer.Option(help="The 16-bit ones are faster where there are instructions for them; float16 is CUDA's alone."),
    ] = "float32",
    engine: Annotated[EnlargingEngine, typer.Option(help="What computes the network.")] = "torch",
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where it is computed.")] = "cpu",
    constraints: Annotated[
        str, typer.Option(help="What holds the network's pixels to the picture's, with commas between; or none.")
    ] = ",".join(CONSTRAINTS),
    like: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The painter's large scans, by which texture and grain are measured."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace other files under a picture's name.")] = False,
    json: JsonOption = False,
) -> None:
    """Enlarge pictures of any size; profile, resolution and metadata are kept.

    What is there already is not made again, a killed run is taken up where it was, and pictures that cannot be enlarged
    are told of at the end (exit code 1).
    """
    from artmaster_pipeline.superres import upscale as enlarge

    done = enlarge(
        inputs,
        destination,
        scale=scale,
        size=_width_and_height(size) if size else None,
        network=network,
        engine=engine,
        dtype=dtype,
        device=device,
        format=file_format,
        bits=bits,
        quality=quality,
        constraints=[] if constraints == "none" else [name.strip() for name in constraints.split(",")],
        like=like,
        overwrite=overwrite,
        progress=terminal_progress(),
    )
    if json:
        print_json(
            {
                "pictures": [picture.model_dump(mode="json") for picture in done.pictures],
                "made": done.made,
                "left": [{"source": str(source), "reason": reason} for source, reason in done.left],
                "failed": [{"source": str(f.source), "reason": f.reason, "remedy": f.remedy} for f in done.failed],
            }
        )
    else:
        for picture in done.pictures:
            out.say(f"{short(destination / picture.path)} ({picture.width}x{picture.height})")
            for note in picture.notes:
                out.say(f"  {note}.", style="dim")
        for source, reason in done.left:
            out.say(f"{short(source)} was left as it is: {reason}.")
        out.say(f"{done.made} enlarged, {len(done.pictures) - done.made} there already, {len(done.failed)} failed.")
        for failed in done.failed:
            why = " ".join(f"{words.rstrip('.')}." for words in (failed.reason, failed.remedy) if words)
            out.say(f"{short(failed.source)} was not enlarged: {why}")
    if done.failed:
        err.say(f"artmaster: {len(done.failed)} of the pictures could not be enlarged.")
        raise typer.Exit(1)


def _width_and_height(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,6})[xX×](\d{1,6})", text)
    if not found:
        raise WrongUse(f"--size {text}: say it as width x height in pixels, for example 4096x4096.")
    return int(found[1]), int(found[2])

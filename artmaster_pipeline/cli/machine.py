"""`artmaster doctor` and `base`: what this machine can run, and the embedded base model."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from artmaster_pipeline.cli.options import HomeOption
from artmaster_pipeline.cli.printing import print_table
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.progress import terminal_progress
from artmaster_pipeline.settings import Home, load_profile, profile_names
from artmaster_pipeline.terminal import out


def doctor(
    profile: Annotated[str | None, typer.Option(help="Ask for one profile only.")] = None, home: HomeOption = None
) -> None:
    """What this machine can run, and what is missing for the other profiles. Asks nothing of the network.

    With --profile, also what a training takes of the memory at its peak, part by part, and what brings it down.
    """
    from artmaster_pipeline.base_models import requirements
    from artmaster_pipeline.training.memory.forecast import forecast_lines, predict

    place = Home.find(home)
    ready = []
    for name in (profile,) if profile else profile_names(place):
        chosen, forecast, unknown = load_profile(name, place), None, ""
        try:
            forecast = predict(chosen)
        except ArtMasterError as error:  # of a base model that was never fetched
            unknown = str(error)
        found = requirements(chosen, place, forecast.total if forecast else None)
        rows = [{"needs": what, "": "ok" if ok else "missing", "way out": "" if ok else way} for what, ok, way in found]
        print_table(f"Profile {name}", rows)
        ready += [name] if all(ok for _, ok, _ in found) else []
        if unknown:
            out.say(unknown)
        if profile and forecast:
            parts, ways = forecast_lines(forecast)
            print_table("Memory of a training at its peak", parts)
            print_table("What brings it down", ways)
    out.say(f"Ready here: {', '.join(ready) or 'none'}.")
    if profile and not ready:
        raise typer.Exit(1)


def base_train(
    destination: Annotated[Path, typer.Option("--out", help="Where the model and its unfinished states go.")],
    minutes: Annotated[float, typer.Option(min=0.1, help="How long to train, painting the scenes apart.")] = 60.0,
    corpus: Annotated[
        list[Path] | None, typer.Option(help="A folder of real paintings to learn from as well; may be repeated.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training that --out holds.")] = False,
    part: Annotated[
        Literal["all", "decoder", "transformer"],
        typer.Option(help="Train one part only; the other stays as --out holds it."),
    ] = "all",
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where to train.")] = "cpu",
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the transformer on the CPU too; needs a C++ compiler.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Scenes, weights and noise follow from it.")] = 0,
) -> None:
    """Train a miniature FLUX from nothing: tokenizers, autoencoder, text encoders and transformer."""
    from artmaster_pipeline.base_models.miniature.train import train_base

    folder = train_base(
        destination,
        minutes=minutes,
        corpora=corpus or (),
        resume=resume,
        part=part,
        seed=seed,
        device=device,
        compiled=compiled,
        progress=terminal_progress(),
    )
    out.say(str(folder))

"""`artmaster doctor` and `base`: what this machine can run, and the embedded base model."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from artmaster_pipeline.cli.options import HomeOption
from artmaster_pipeline.cli.printing import print_table
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.progress import terminal_progress
from artmaster_pipeline.settings import Home, Profile, load_profile, profile_names
from artmaster_pipeline.terminal import out


def doctor(
    profile: Annotated[str | None, typer.Option(help="Ask for one profile only.")] = None, home: HomeOption = None
) -> None:
    """What this machine can run, and what is missing for the other profiles. Asks nothing of the network.

    With --profile, also what each stage takes of the memory at its peak; of a training part by part, and what brings
    it down; and on a GPU which attention kernel works there.
    """
    from artmaster_pipeline.needs import needs_of
    from artmaster_pipeline.stages import STAGES

    place = Home.find(home)
    ready = []
    for name in (profile,) if profile else profile_names(place):
        chosen = load_profile(name, place)
        found = needs_of(place, None, chosen, STAGES)
        rows = [{"needs": what, "": "ok" if ok else "missing", "way out": "" if ok else way} for what, ok, way in found]
        print_table(f"Profile {name} (disk: for 100 scans)", rows)
        ready += [name] if all(ok for _, ok, _ in found) else []
        if profile:
            _print_forecasts(chosen)
    out.say(f"Ready here: {', '.join(ready) or 'none'}.")
    if profile and not ready:
        raise typer.Exit(1)


def _print_forecasts(profile: Profile) -> None:
    from artmaster_pipeline.base_models.device import settle_device
    from artmaster_pipeline.training.memory.forecast import forecast_lines, forecast_stage, forecast_stages, predict

    try:
        peaks = [forecast_stage(stage, profile) for stage in forecast_stages()]
        parts, ways = forecast_lines(predict(profile))
    except ArtMasterError as error:  # of a base model that was never fetched
        out.say(str(error))
        return
    print_table("Memory of each stage at its peak", [peak.row() for peak in peaks])
    print_table("Of the training", parts)
    print_table("What brings the training down", ways)
    if (attention := settle_device(profile)) is not None:
        out.say(f"Attention on this GPU: {attention}.")


def base_train(
    destination: Annotated[Path, typer.Option("--out", help="Where the model and its unfinished states go.")],
    minutes: Annotated[float, typer.Option(min=0.1, help="How long to train, painting the scenes apart.")] = 60.0,
    corpus: Annotated[
        list[Path] | None, typer.Option(help="A folder of real paintings to learn from as well; may be repeated.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="A miniature's folder to begin with the weights of; without it, from nothing.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training that --out holds.")] = False,
    part: Annotated[
        Literal["all", "decoder", "transformer", "control"],
        typer.Option(
            help="Train one part only; the other stays as --out holds it. control: a ControlNet for the miniature of "
            "--start, or for the one that ships."
        ),
    ] = "all",
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where to train.")] = "cpu",
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the transformer on the CPU too; needs a C++ compiler.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Scenes, weights and noise follow from it.")] = 0,
) -> None:
    """Train a miniature FLUX from nothing: tokenizers, autoencoder, text encoders and transformer."""
    from artmaster_pipeline.base_models.miniature.train import train_base, train_base_control
    from artmaster_pipeline.dataset.captioners.interface import Facts
    from artmaster_pipeline.dataset.captioners.reader import load_reader

    if part == "control":
        if corpus or compiled:
            raise WrongUse(
                "--part control learns from painted scenes alone and is not compiled: leave out --corpus and --compile."
            )
        net = train_base_control(
            destination,
            minutes=minutes,
            start=start,
            resume=resume,
            seed=seed,
            device=device,
            progress=terminal_progress(),
        )
        out.say(str(net))
        return
    folder = train_base(
        destination,
        minutes=minutes,
        corpora=corpus or (),
        describe=lambda picture, title: load_reader().describe(picture, Facts(title=title)),
        start=start,
        resume=resume,
        part=part,
        seed=seed,
        device=device,
        compiled=compiled,
        progress=terminal_progress(),
    )
    out.say(str(folder))

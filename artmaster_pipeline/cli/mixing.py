"""`artmaster mix` and `mixes`: pictures in the hands of several painters, and strips from one painter to another."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from artmaster_pipeline.cli.options import EnlargeOption, HomeOption, JsonOption, LongSideOption, picture_size
from artmaster_pipeline.cli.printing import print_json, print_table
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.progress import terminal_progress
from artmaster_pipeline.records import MIXES_FILE
from artmaster_pipeline.settings import Home
from artmaster_pipeline.terminal import out

if TYPE_CHECKING:
    from artmaster_pipeline.experts.resolving import Resolved


def mix(
    prompt: Annotated[str, typer.Argument(help="What the picture shows; the painters' trigger words are added.")],
    words: Annotated[
        str,
        typer.Option(
            "--mix",
            help='Who has which part: "composition=A colour=B brush=C", "A=0.7 B=0.3", or a share in each of four '
            'noise bands, the noisiest first: "A=1,0.5,0,0 B=0,0.5,1,1". A is a painter, or PAINTER@ADAPTER.',
        ),
    ] = "",
    painters: Annotated[str, typer.Option(help="Who takes part where no shares are said: A,B,C.")] = "",
    gate: Annotated[
        Literal["learned", "uniform"] | None,
        typer.Option(help="Who weighs painters where no shares are said (default: the learned one, if any)."),
    ] = None,
    region: Annotated[
        list[str] | None, typer.Option("--region", help="PAINTER=MAP.png, white where the painter is. Once for each.")
    ] = None,
    strength: Annotated[
        list[str] | None,
        typer.Option("--strength", help="PAINTER=0.8, of that adapter (default: as chosen). Once for each."),
    ] = None,
    convex: Annotated[bool, typer.Option("--convex/--no-convex", help="Whether shares must add up to 1.")] = True,
    start: Annotated[str, typer.Option("--from", help="A strip from this painter ...")] = "",
    end: Annotated[str, typer.Option("--to", help="... to this one.")] = "",
    steps: Annotated[int, typer.Option(help="Pictures in the strip.")] = 9,
    n: Annotated[int, typer.Option("-n", min=1, help="How many pictures.")] = 1,
    seed: Annotated[int, typer.Option(help="The first picture's seed; the next ones count up.")] = 0,
    size: Annotated[str, typer.Option(help="512x512 or 512x768.")] = "512x512",
    enlarge: EnlargeOption = False,
    long_side: LongSideOption = None,
    destination: Annotated[Path, typer.Option("--out", help="Where the pictures go.")] = Path(),
    home: HomeOption = None,
) -> None:
    """Draw pictures in the hands of several painters: by factor, by share, by noise band, by region, or learned."""
    from artmaster_pipeline.experts.drawing import mix_pictures
    from artmaster_pipeline.experts.mixes import Mix, interpolation, listed, parse_mix
    from artmaster_pipeline.experts.resolving import resolve

    place, shape = Home.find(home), picture_size(size)
    faults: list[str] = []
    regions = {key: str(Path(file).expanduser().resolve()) for key, file in _pairs("--region", region, faults).items()}
    strengths = _numbers(_pairs("--strength", strength, faults), faults)
    mixes: tuple[Mix, ...] = ()
    if start or end:
        if words or painters or gate or regions or strengths:
            faults.append("--from and --to stand alone: leave out --mix, --painters, --gate, --region and --strength")
        mixes = interpolation(start, end, steps, faults=faults)
    else:
        named = [name.strip() for name in painters.split(",") if name.strip()]
        found = parse_mix(
            words, gate=gate, painters=named, strengths=strengths, regions=regions, convex=convex, faults=faults
        )
        mixes = (found,) if found else ()
    if not mixes:
        raise WrongUse(f"The mix cannot be drawn: {listed(faults)}")
    resolved = [resolve(place, each, size=shape, faults=faults) for each in mixes]
    if not words and not regions and not gate and not start:
        resolved = [_by_default(place, resolved[0])]
    done = mix_pictures(
        place,
        prompt,
        resolved,
        n,
        seed,
        out=destination,
        enlarge=enlarge,
        long_side=long_side,
        size=shape,
        progress=terminal_progress(),
    )
    for path in done:
        out.say(str(path))


def mixes(home: HomeOption = None, json: JsonOption = False) -> None:
    """The mixes of mixes.yaml: whose they are, who has which part, and whether they are published."""
    from artmaster_pipeline.experts.mixes import read_mixes
    from artmaster_pipeline.experts.samples import state_of

    place = Home.find(home)
    rows = [
        {
            "mix": mix.name,
            "painters": mix.partition,
            "who has what": f"{mix.painters[0]} to {mix.painters[1]}" if mix.is_strip else mix.steps[0].in_words(),
            "pictures": len(mix.prompts) * len(mix.seeds) * len(mix.steps),
            "state": state_of(place, mix),
        }
        for mix in read_mixes(place)
    ]
    if json:
        print_json(rows)
    elif rows:
        print_table(f"Mixes of {place.root / MIXES_FILE}", rows)
        for partition in dict.fromkeys(row["painters"] for row in rows):
            out.say(f"To draw and publish: artmaster run {partition}")
    else:
        out.say(f"No mixes yet: write {place.root / MIXES_FILE} (docs/mixing.md)")


def _by_default(home: Home, resolved: "Resolved") -> "Resolved":
    """Where neither shares nor a gate were said: the learned gate, if one was taught for these experts; else alike."""
    from artmaster_pipeline.experts.gating import has_gate

    if has_gate(home, resolved):
        return replace(resolved, mix=resolved.mix.model_copy(update={"gate": "learned"}))
    out.say("No shares were said and no gate was taught for these experts, so all have the same share.", style="dim")
    return resolved


def _pairs(option: str, values: list[str] | None, faults: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for value in values or ():
        key, equals, rest = value.partition("=")
        if not equals or not rest:
            faults.append(f"{option} {value} says nothing: write {option} PAINTER=...")
        elif key in found:
            faults.append(f"{option} is said twice of {key}")
        found[key] = rest
    return found


def _numbers(said: dict[str, str], faults: list[str]) -> dict[str, float]:
    found = {}
    for key, text in said.items():
        try:
            found[key] = float(text)
        except ValueError:
            faults.append(f"--strength {key}={text}: {text!r} is no number")
    return found

"""`artmaster experts`: where an adapter's factors live, and the gate that shares prompts out among painters."""

from typing import TYPE_CHECKING, Annotated

import typer

from artmaster_pipeline.cli.options import HomeOption, JsonOption, PainterArgument
from artmaster_pipeline.cli.printing import print_json, print_table, short
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.settings import Home, load_painter
from artmaster_pipeline.stages import set_of
from artmaster_pipeline.terminal import out

if TYPE_CHECKING:
    from artmaster_pipeline.experts.records import ExpertGate


def experts_map(painter: PainterArgument, home: HomeOption = None, json: JsonOption = False) -> None:
    """Where in depth and noise an adapter keeps composition, colour and brush; can be stopped and run again."""
    from artmaster_pipeline.adapters import find_adapter
    from artmaster_pipeline.experts.map import read_map
    from artmaster_pipeline.orchestration.run import run_painter

    place = Home.find(home)
    adapter = find_adapter(place, painter)
    run_painter(place, painter, only="expert_map")
    found = read_map(place, adapter)
    if found is None:
        raise WrongUse(f"{painter} has another adapter by now: run the same command again.")
    if json:
        print_json(found.model_dump(mode="json"))
        return
    for factor in found.lost:
        rows = [{name: said for name, said in row.items() if name != "factor"} for row in found.rows(factor)]
        print_table(f"{factor.capitalize()}: share of the change that is lost without blocks at a noise level", rows)
    out.say("In brackets: the interval holds zero, so the map says nothing there.")
    for factor, share in found.explained.items():
        out.say(f"{factor}: phi and psi hold {share:.0%} of the squares of what was lost.")
    page = place.stage_folder("expert_map", painter) / adapter.id / "map.html"
    out.say(f"Map: {short(page)}")


def experts_gate(
    painters: Annotated[
        list[str] | None, typer.Argument(help="Two painters or more (default: all whose adapter passed).")
    ] = None,
    ask: Annotated[str | None, typer.Option(help="Then share this prompt out, and say why.")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Teach the network that shares prompts out among painters, and say how good it is."""
    from artmaster_pipeline.experts.learned import learned_shares, passed_painters
    from artmaster_pipeline.experts.records import ExpertGate
    from artmaster_pipeline.orchestration.run import run_painter
    from artmaster_pipeline.records import MANIFEST, read_manifest
    from artmaster_pipeline.stage_settings import partition_profile

    place = Home.find(home)
    chosen = tuple(painters or passed_painters(place))
    if len(chosen) < 2:
        raise WrongUse(
            f"A gate is taught for two painters or more; the adapters of {', '.join(chosen) or 'nobody'} passed. "
            "Name painters to teach it for them whatever the verdicts: artmaster experts gate PAINTER PAINTER"
        )
    for painter in chosen:
        load_painter(place, painter)
    partition = set_of(chosen)
    run_painter(place, partition, only="expert_gate")
    (gate,) = read_manifest(place.stage_folder("expert_gate", partition) / MANIFEST, ExpertGate)
    shares = learned_shares(place, partition_profile(place, partition), ask, chosen) if ask else None
    if json:
        asked = {"asked": {"prompt": ask, "weights": shares.weights, "says": shares.says}} if shares else {}
        print_json(gate.model_dump(mode="json") | asked)
        return
    _print_gate(gate)
    if shares:
        out.say(shares.says)
    out.say(short(place.stage_folder("expert_gate", partition) / gate.path))


def _print_gate(gate: "ExpertGate") -> None:
    rows = [
        {"captions of": true} | {f"taken for {said}": str(count) for said, count in taken.items()}
        for true, taken in gate.confusion.items()
    ]
    print_table(f"Gate {gate.id}: {gate.held_out} held-out captions", rows)
    if gate.accuracy is None:
        out.say("No caption was held out, so nobody can say how good it is, nor what fits nobody.")
        return
    ends = " to ".join("-" if end is None else f"{end:.2f}" for end in gate.accuracy_interval)
    out.say(f"Accuracy {gate.accuracy:.2f} ({ends}; chance {gate.chance:.2f}).")
    out.say(f"Expected calibration error {gate.calibration_error:.3f}.")
    losses = ", ".join(f"{who} {loss:.4f}" for who, loss in gate.losses.items())
    out.say(f"Loss on works that taught nothing: {losses}.")

"""`artmaster evaluate` and `gate`: measuring an adapter, and the verdict on it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from artmaster_pipeline.cli.options import (
    GuidanceOption,
    HomeOption,
    JsonOption,
    PainterArgument,
    StrengthOption,
    TrueCfgOption,
    UnguidedOption,
)
from artmaster_pipeline.cli.printing import print_json, print_table, short
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.progress import terminal_progress
from artmaster_pipeline.settings import Home, Profile, painter_profile
from artmaster_pipeline.stages import WHICH, Kind, is_filed, judging_stage, kind_of, source_named
from artmaster_pipeline.terminal import out

if TYPE_CHECKING:
    from artmaster_pipeline.drawing_settings import DrawingSettings
    from artmaster_pipeline.records import Adapter, Verdict


_HAND = "The painter's hand (0: as the base, 1: as the painter's own works)"


def evaluate(
    painter: PainterArgument,
    adapter: Annotated[str | None, typer.Option(help="An adapter's id (default: the painter's current one).")] = None,
    against: Annotated[
        str | None, typer.Option(help="Another adapter's id: both on the same prompts and seeds, picture by picture.")
    ] = None,
    strengths: Annotated[
        str | None, typer.Option(help="A further grid with the adapter at these strengths, for example 0,0.5,1,1.25.")
    ] = None,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="A further grid with the adapter as it was earlier in the training.")
    ] = False,
    strength: StrengthOption = None,
    guidance_scale: GuidanceOption = None,
    true_cfg_scale: TrueCfgOption = None,
    adapter_in_unguided: UnguidedOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Measure an adapter against its base, the held-out works and, if asked, another adapter; writes a report.

    Drawn otherwise than was chosen for it, it is measured beside that: report and verdict stay as they are.
    """
    from artmaster_pipeline.adapters import find_adapter
    from artmaster_pipeline.drawing_settings import drawing_of
    from artmaster_pipeline.evaluation import Asked
    from artmaster_pipeline.evaluation import evaluate as measure

    place = Home.find(home)
    profile = painter_profile(place, painter)
    asked = Asked(_strengths(strengths), checkpoints, against)
    found = find_adapter(place, painter, profile, adapter)
    drawing = drawing_of(
        found,
        profile,
        strength=strength,
        guidance_scale=guidance_scale,
        true_cfg_scale=true_cfg_scale,
        adapter_in_unguided=adapter_in_unguided,
    )
    if drawing != drawing_of(found, profile):
        if asked != Asked():
            raise WrongUse(
                "--strengths, --checkpoints and --against show the adapter as it is drawn by itself: ask for them "
                "without --strength, --guidance-scale, --true-cfg-scale and --adapter-in-unguided."
            )
        _measure_drawn(place, found, profile, drawing, json=json)
        return
    with _evaluation_versioned(place, painter):
        done = measure(place, found, profile, asked, terminal_progress())
    if json:
        contest = {"against": done.contest.as_json()} if done.contest else {}
        print_json({"panel": done.panel, "verdict": done.verdict.model_dump(mode="json"), **contest})
        return
    _print_axes(_HAND, done.panel["axes"], "score")
    if done.contest:
        title = f"Nearer to the held-out works than adapter {done.contest.champion_id} by"
        _print_axes(title, done.contest.axes, "gain")
        if done.contest.why_not:
            out.say(f"Not compared with {done.contest.champion_id}: {done.contest.why_not}.")
    out.say(done.panel["summary"])
    print_verdict(painter, done.verdict)
    for grid in done.grids:
        out.say(f"Grid: {short(grid)}")
    out.say(f"Report: {short(done.report)}")


def gate(
    painter: PainterArgument,
    adapter: Annotated[str | None, typer.Option(help="An adapter's id (default: the painter's current one).")] = None,
    publish: Annotated[bool, typer.Option("--publish", help="Let it be published, whatever its figures.")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="Keep it from being published.")] = False,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the verdict.")] = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """The verdict on an adapter; with --publish or --reject a person's decision in its place, with its reason."""
    from artmaster_pipeline.adapters import find_adapter
    from artmaster_pipeline.evaluation import Asked, decide, verdict_on
    from artmaster_pipeline.evaluation import evaluate as measure

    if publish and reject:
        raise WrongUse("--publish and --reject cannot both be meant: choose one.")
    place = Home.find(home)
    if kind_of(painter) == "painters":
        _gate_of_mix(place, painter, adapter, "publish" if publish else "reject" if reject else None, reason, json=json)
        return
    if is_filed(painter):
        _gate_of_filed(place, painter, "publish" if publish else "reject" if reject else None, reason, json=json)
        return
    profile = painter_profile(place, painter)
    found = find_adapter(place, painter, profile, adapter)
    if publish or reject:
        with _evaluation_versioned(place, painter):
            decide(place, painter, found.id, "publish" if publish else "reject", reason)
            verdict = measure(place, found, profile, Asked(), terminal_progress()).verdict
    else:
        verdict = verdict_on(place, painter, found.id)
    if json:
        print_json(verdict.model_dump(mode="json"))
        return
    print_verdict(painter, verdict)
    if publish:
        out.say(f"Next: artmaster run {painter}")


def _gate_of_mix(home: Home, partition: str, name: str | None, decision: Any, reason: str, *, json: bool) -> None:
    """The verdict on a mix of a set of painters, or a person's decision on it."""
    from artmaster_pipeline.evaluation import verdict_on
    from artmaster_pipeline.experts.samples import decide_on_mix, mix_called
    from artmaster_pipeline.stage_settings import partition_profile

    if name is None:
        raise WrongUse(f"Which mix of {partition}? Name it with --adapter NAME (artmaster mixes lists them).")
    if decision:
        with _evaluation_versioned(home, partition, "mixed_samples"):
            verdict = decide_on_mix(home, partition, name, decision, reason, partition_profile(home, partition))
    else:
        verdict = verdict_on(home, partition, mix_called(home, partition, name).key)
    if json:
        print_json(verdict.model_dump(mode="json"))
        return
    print_verdict(partition, verdict, f"Mix {name}")
    if decision == "publish":
        out.say(f"Next: artmaster run {partition}")


def _gate_of_filed(home: Home, partition: str, decision: Any, reason: str, *, json: bool) -> None:
    """The verdict on a canvas or a story as it is now, or a person's decision on it."""
    from artmaster_pipeline.evaluation import last_verdict
    from artmaster_pipeline.stage_settings import partition_profile

    profile = partition_profile(home, partition)
    decide_on, key_of = _judged(kind_of(partition))
    if decision:
        with _evaluation_versioned(home, partition, judging_stage(partition)):
            verdict = decide_on(home, partition, decision, reason, profile)
    else:
        found = last_verdict(home.evaluation(partition) / key_of(home, partition, profile))
        if found is None:
            raise WrongUse(f"{partition} has not been judged as it is now. Run: artmaster run {partition}")
        verdict = found
    if json:
        print_json(verdict.model_dump(mode="json"))
        return
    print_verdict(partition, verdict, f"{WHICH[kind_of(partition)].capitalize()} {source_named(partition)}")
    if decision == "publish":
        out.say(f"Next: artmaster run {partition}")


def _judged(kind: Kind) -> tuple[Callable[..., "Verdict"], Callable[[Home, str, Profile], str]]:
    """How a decision on a canvas or a story is kept, and the id under which it is judged as it is now."""
    if kind == "story":
        from artmaster_pipeline.stories.painting import current_key, decide_on_story

        return decide_on_story, current_key
    from artmaster_pipeline.copainting.samples import decide_on_canvas, hands_at_work

    return decide_on_canvas, lambda home, partition, _: hands_at_work(home, partition).identity()


def _measure_drawn(
    place: Home, adapter: "Adapter", profile: Profile, drawing: "DrawingSettings", *, json: bool
) -> None:
    from artmaster_pipeline.drawing_settings import drawing_of
    from artmaster_pipeline.evaluation import measure_drawn

    with _evaluation_versioned(place, adapter.painter):
        panel, grid = measure_drawn(place, adapter, profile, drawing, terminal_progress())
    if json:
        print_json({"panel": panel})
        return
    _print_axes(_HAND, panel["axes"], "score")
    out.say(panel["summary"])
    own = drawing_of(adapter, profile)
    out.say(f"This is of pictures drawn with {drawing.in_words()}.")
    out.say(f"The report, the verdict and the gallery are of pictures drawn with {own.in_words()}.")
    out.say(f"Grid: {short(grid)}")


def print_verdict(painter: str, verdict: "Verdict", what: str = "") -> None:
    """Say whether an adapter's pictures, or those of a mix (`what`), may be published, who decided, and why."""
    said = "may be published" if verdict.publish else "not published"
    by = ", by a person's decision" if verdict.by == "person" else ""
    out.say(f"{what or f'Adapter {verdict.adapter_id}'}: ", (said, "bold"), f"{by}.")
    for reason in verdict.reasons:
        out.say(f"  - {reason}")
    if verdict.needs_person and verdict.by == "figures":
        out.say("The figures cannot decide this; a person can:")
        out.say(f"artmaster gate {painter} --adapter {verdict.adapter_id} --publish --reason TEXT (or --reject)")


@contextmanager
def _evaluation_versioned(home: Home, painter: str, stage: str = "evaluation_grid") -> Iterator[None]:
    """What is added to a painter's evaluations is committed where they were clean, so that nothing becomes stale."""
    from artmaster_pipeline import versioning

    clean = stage not in versioning.stale_stages(home, painter)
    yield
    if clean:
        versioning.commit_stage(home, stage, painter)


def _print_axes(title: str, axes: dict[str, Any], figure: str) -> None:
    from artmaster_pipeline.axes import AXES

    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    rows = [
        {
            "axis": axis,
            figure: shown(of[figure]),
            "95 % interval": " to ".join(shown(end) for end in of[f"{figure}_interval"]),
            "p": shown(of["p"]),
        }
        for axis, of in sorted(axes.items(), key=lambda row: AXES.index(row[0]))
    ]
    print_table(title, rows)


def _strengths(text: str | None) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in (text or "").split(",") if part.strip())
    except ValueError as error:
        raise WrongUse(f"--strengths {text}: give numbers with commas between them, for example 0,0.5,1.") from error
    if any(not 0 <= strength <= 2 for strength in found):
        raise WrongUse(f"--strengths {text}: a strength is between 0 (the base model) and 2.")
    return found

"""`artmaster retraining`: when each painter's adapter is trained anew by itself, and why it is or is not."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from artmaster_pipeline.cli.options import HomeOption, JsonOption
from artmaster_pipeline.cli.printing import print_json
from artmaster_pipeline.settings import Home, load_painter
from artmaster_pipeline.terminal import out


def retraining(
    painter: Annotated[str | None, typer.Argument(help="The painter's slug (default: all painters).")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Whether the schedule would train a painter anew now, why or why not, and when it looks next."""
    from artmaster_pipeline.orchestration.instance import open_instance
    from artmaster_pipeline.orchestration.retraining import Decision, decide, is_on

    place = Home.find(home)
    if painter:
        load_painter(place, painter)
    whom, now = [painter] if painter else place.painters(), datetime.now(UTC)
    decisions, on = list[Decision](), False
    if whom:  # nothing is made in a folder that is no data home
        with open_instance(place) as instance:
            decisions, on = [decide(place, instance, each, now) for each in whom], is_on(instance)
    if json:
        rows = [
            {"painter": d.painter, "retrain": d.retrain, "why": d.why, "next": d.next.isoformat() if d.next else None}
            for d in decisions
        ]
        print_json({"schedule_is_on": on, "painters": rows})
        return
    for decision in decisions:
        out.say(decision.why)
        if decision.next and not decision.retrain:
            out.say(f"  Looked at next on {decision.next:%a %Y-%m-%d %H:%M} UTC.", style="dim")
    if not decisions:
        out.say(f"No painters in {place.root} yet. Add one: artmaster painters add SLUG FOLDER_OF_SCANS")
    elif not on:
        out.say("The schedule `retraining` is off, so nothing of this happens by itself. Turn it on: artmaster ui")

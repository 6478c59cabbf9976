"""`artmaster demo`, `run` and `train`: making what is stale, and saying what came of it."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from artmaster_pipeline.cli.evaluating import print_verdict
from artmaster_pipeline.cli.options import HomeOption, JsonOption, PainterArgument, PartitionArgument
from artmaster_pipeline.cli.printing import print_json, print_table, short
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.progress import terminal_progress
from artmaster_pipeline.settings import Home, load_painter, load_profile, painter_profile
from artmaster_pipeline.stages import PUBLISHED, STAGES, check_partition, stage_named
from artmaster_pipeline.terminal import out

if TYPE_CHECKING:
    from artmaster_pipeline.records import Verdict


def demo(home: HomeOption = None) -> None:
    """The whole chain on a procedural sample painter, in a data home of its own (default: .demo/)."""
    from artmaster_pipeline.evaluation import current_verdict
    from artmaster_pipeline.sample_painters.demo import DEMO_HOME, prepare_demo

    place = Home.find(home or DEMO_HOME)
    painter = prepare_demo(place, terminal_progress())
    run_and_report(place, painter)
    flag = f"--home {short(place.root)}"
    if not shutil.which("artmaster"):
        activate = Path(sys.executable).with_name("activate")
        out.say()
        out.say(("First", "bold"), f"         source {short(activate)}", end="")
    out.say()
    page = place.gallery(painter) / "index.html"
    if not page.is_file():  # not published
        _, page = current_verdict(place, painter)
    out.say(("See it", "bold"), f"        {page}  (open it in a browser)")
    out.say(("Dagster UI", "bold"), f"    artmaster ui {flag}")
    out.say(("Try next", "bold"), f'      artmaster generate {painter} "a pavilion above the mist" {flag}')
    out.say("              artmaster painters add my-painter FOLDER_OF_SCANS && artmaster run my-painter")


def run(
    painter: PartitionArgument,
    profile: Annotated[
        str | None, typer.Option(help="miniature, flux-dev or flux-dev-24gb; becomes the painter's profile.")
    ] = None,
    until: Annotated[str | None, typer.Option(help=f"Stop after this stage: {', '.join(STAGES)}.")] = None,
    only: Annotated[str | None, typer.Option(help="Make this one stage, whether it is stale or not.")] = None,
    home: HomeOption = None,
) -> None:
    """Make what is stale, from the scans to the gallery. Can be stopped and run again at any moment."""
    place = Home.find(home)
    run_and_report(place, painter, profile=profile, until=_stage(until), only=_stage(only))


def train(painter: PainterArgument, home: HomeOption = None, json: JsonOption = False) -> None:
    """Train the painter's adapter and nothing else; under `accelerate launch` on several GPUs at once."""
    from artmaster_pipeline.evaluation import validation_panel
    from artmaster_pipeline.training import train_adapter

    place = Home.find(home)
    done = train_adapter(place, painter, painter_profile(place, painter), terminal_progress(), validation_panel)
    (adapter,) = done.records
    if json:
        print_json(adapter.model_dump(mode="json"))
        return
    said = "trained" if done.made else "already there"
    out.say(f"Adapter {adapter.id} of {painter}: {said}, {adapter.steps} steps, weights of step {adapter.step}.")
    out.say(short(place.root / adapter.path))
    out.say(f"Next: artmaster run {painter}")


def run_and_report(
    home: Home, painter: str, *, profile: str | None = None, until: str | None = None, only: str | None = None
) -> None:
    """Run the painter's stages, then say what was made, what was left out, and what the gate decided."""
    if profile:
        load_profile(profile, home)
    check_partition(painter)
    _fetch(home, painter)
    for member in home.members(painter):
        load_painter(home, member)
    from artmaster_pipeline.orchestration.run import run_painter

    with _left_out_where_too_few(home, painter):
        report = run_painter(home, painter, profile=profile, until=until, only=only)
    for note in report.notes:
        out.say(note)
    if not report.made and not report.refused:
        out.say(f"{painter}: everything is up to date, nothing was made.")
        return
    if report.made:
        out.say(f"{painter}: made {', '.join(report.made)}.")
    if report.current and not only:
        out.say(f"Already current: {', '.join(report.current)}.")
    _print_left_out(home, painter)
    page = home.stage_folder("sample_gallery", painter) / "index.html"
    if "evaluation_grid" in report.made and not report.refused:
        from artmaster_pipeline.evaluation import current_verdict

        out.say(f"Report: {short(current_verdict(home, painter)[1])}")
    if set(PUBLISHED.values()) & set(report.made):
        out.say(f"Gallery: {page}")
    if report.refused:
        _print_refusal(painter, *report.refused, page)


def _fetch(home: Home, painter: str) -> None:
    """Bring what deliveries hold, before the plan is made: what came is new to it."""
    from artmaster_pipeline.scans.remote import DELIVERIES

    if (home.root / DELIVERIES).exists():
        from artmaster_pipeline.scans import fetch_deliveries

        for member in home.members(painter):
            fetch_deliveries(home, member, terminal_progress())


def _print_refusal(painter: str, verdict: "Verdict", report: Path, page: Path) -> None:
    print_verdict(painter, verdict)
    out.say(f"Report: {short(report)}")
    stays = f"The gallery of the adapter before stays: {page}" if page.exists() else "No gallery was published."
    out.say(stays)
    out.say(f"To overrule: artmaster gate {painter} --adapter {verdict.adapter_id} --publish --reason TEXT")


@contextmanager
def _left_out_where_too_few(home: Home, painter: str) -> Iterator[None]:
    """Where a run fails for want of scans, why each of the others does not count."""
    from artmaster_pipeline.dataset.split import MIN_TRAIN_WORKS
    from artmaster_pipeline.records import MANIFEST, Scan, read_manifest

    try:
        yield
    except ArtMasterError:
        manifests = [home.register(member) / MANIFEST for member in home.members(painter)]
        if any(file.exists() and len(read_manifest(file, Scan)) < MIN_TRAIN_WORKS for file in manifests):
            _print_left_out(home, painter)
        raise


def _print_left_out(home: Home, painter: str) -> None:
    from artmaster_pipeline.records import QUARANTINE, Quarantined, read_manifest
    from artmaster_pipeline.scans.withdrawn import read_withdrawn

    left_out = [
        entry
        for member in home.members(painter)
        for folder in (home.register(member), home.crops(member))
        for entry in read_manifest(folder / QUARANTINE, Quarantined)
    ]
    rows = [{"file": entry.path, "reason": entry.reason, "way out": entry.remedy} for entry in left_out]
    print_table(f"Left out: {len(rows)} files", rows)
    withdrawn = [row for member in home.members(painter) for row in read_withdrawn(home, member)]
    rows = [{"file": row.path, "work": row.sha256[:16], "since": row.since, "why": row.reason} for row in withdrawn]
    print_table(f"Withdrawn: {len(rows)} scans", rows)


def _stage(name: str | None) -> str | None:
    return stage_named(name).name if name else None

"""`artmaster withdraw` and `restore`: an artwork that may not be used any more, and taking that back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from artmaster_pipeline.cli.options import HomeOption, JsonOption
from artmaster_pipeline.cli.printing import print_json, print_table, short
from artmaster_pipeline.progress import terminal_progress
from artmaster_pipeline.settings import Home
from artmaster_pipeline.terminal import err, out

if TYPE_CHECKING:
    from artmaster_pipeline.notifications import Notice
    from artmaster_pipeline.withdrawal import Impact, Report

ArtworkArgument = Annotated[
    str, typer.Argument(help="Its accession number or title, or the sha256 of one of its scans (8 or more digits).")
]
ByOption = Annotated[str, typer.Option(help="Who decided it (default: who is logged in).")]


def withdraw(
    artwork: ArtworkArgument,
    reason: Annotated[str, typer.Option(help="Why; it is kept in the ledger and said wherever it matters.")] = "",
    by: ByOption = "",
    now: Annotated[
        bool, typer.Option("--now", help="Take galleries down at once, here and where they were copied.")
    ] = False,
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove its bytes from DVC's cache and remotes, too: they cannot come back.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be touched, and change nothing.")] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Take an artwork out of everything: training, adapters, galleries, files. Exit code 1: something is left to do."""
    from artmaster_pipeline.notifications import tell
    from artmaster_pipeline.withdrawal import impact_of, withdraw_artwork

    place = Home.find(home)
    if dry_run:
        impact = impact_of(place, artwork)
        if json:
            print_json(impact.model_dump(mode="json"))
        else:
            _say_impact(impact)
            out.say("Nothing was changed.")
        return
    report, page = withdraw_artwork(place, artwork, reason, by, now=now, purge=purge, progress=terminal_progress())
    tell([_notice(place, report, page)], err.say)
    if json:
        print_json(report.model_dump(mode="json") | {"page": str(page)})
    else:
        _say_impact(report.impact)
        _say_done(report)
        out.say(f"Report: {short(page)}")
    if not report.is_complete:
        raise typer.Exit(1)


def restore(
    artwork: ArtworkArgument,
    reason: Annotated[str, typer.Option(help="Why; it is kept in the ledger.")] = "",
    by: ByOption = "",
    other_work: Annotated[
        bool,
        typer.Option("--other-work", help="The file with this sha256 only resembles a withdrawn work: let it be used."),
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Take a withdrawal back. Its files return where DVC still has them; else add them again."""
    from artmaster_pipeline.withdrawal import restore_artwork, tell_apart

    place = Home.find(home)
    if other_work:
        line = tell_apart(place, artwork, reason, by)
        if json:
            print_json(line.model_dump(mode="json"))
        else:
            out.say(f"{line.sha256s[0]} counts as another work from now on: add its folder or run its painter again.")
        return
    done = restore_artwork(place, artwork, reason, by, terminal_progress())
    if json:
        rows = [scan.model_dump() for scan in done.back]
        print_json({"line": done.line.model_dump(mode="json"), "back": rows, "missing": done.missing})
        return
    out.say(f"Restored: {', '.join(sha256[:16] for sha256 in done.line.sha256s)}. All marks are gone.")
    for scan in done.back:
        out.say(f"Back: {scan.painter}/{scan.path}")
    for sha256 in done.missing:
        out.say(f"{sha256[:16]}: its file is not here any more. Add its folder again: artmaster painters add")
    for painter in done.queued:
        out.say(f"Next: artmaster run {painter}")


def _notice(home: Home, report: "Report", page: Path) -> "Notice":
    from artmaster_pipeline.notifications import Notice, link_to

    painters = ", ".join(report.line.painters)
    left = "" if report.is_complete else " Something is left to do: see the report."
    return Notice(
        event="work withdrawn",
        painter=painters,
        title=f"{painters}: the work {report.impact.sha256[:16]} was withdrawn",
        text=f"By {report.line.by}: {report.line.reason}.{left}",
        link=link_to(home, page),
    )


def _say_impact(impact: "Impact") -> None:
    rows = [
        {"scan": f"{s.painter}/{s.path}", "title": s.title, "sha256": s.sha256[:16], "why": s.why} for s in impact.scans
    ]
    print_table("The work", rows)
    out.say(f"{impact.crops} crops, {impact.training_pictures} training pictures, {impact.drawn} drawn pictures.")
    adapters = [
        {
            "adapter": f"{a.adapter_id}{' (current)' if a.current else ''}",
            "painter": a.painter,
            "the work": {"train": "trained on", "validate": "chosen by", "held_out": "only judged by"}[a.part],
            "used on": "no" if a.marked else "yes, after a new evaluation",
        }
        for a in impact.adapters
    ]
    print_table("Adapters", adapters)
    galleries = [
        {
            "painter": g.painter,
            "version": g.version_id,
            "in place": "yes" if g.in_place else "",
            "pictures": g.pictures,
            "copied to": ", ".join(g.copies),
        }
        for g in impact.galleries
    ]
    print_table("Galleries", galleries)
    print_table("Mixes", [{"mix": m.name, "of": m.partition, "pictures": m.pictures} for m in impact.mixes])
    canvases = [{"canvas": c.canvas, "regions": ", ".join(c.regions), "pictures": c.pictures} for c in impact.canvases]
    print_table("Canvases", canvases)
    stories = [{"story": s.story, "shots": ", ".join(s.shots), "pictures": s.pictures} for s in impact.stories]
    print_table("Stories", stories)
    print_table("Out of reach", [{"what": said} for said in impact.out_of_reach])


def _say_done(report: "Report") -> None:
    out.say(f"Withdrawn on {report.line.at} by {report.line.by}: {report.line.reason}")
    out.say(f"{report.files_removed} files removed. {report.in_dvc}".strip())
    for said in (*report.galleries_down, *report.copies_down):
        out.say(f"Taken down: {said}")
    for said in report.still_published:
        out.say(f"Still published until the next `artmaster publish`, or with --now: {said}")
    for said in (*report.not_removed, *report.not_reached):
        out.say(f"Not done: {said}")
    for said in report.notes:
        out.say(said)
    for painter in report.queued:
        out.say(f"To be trained anew: artmaster run {painter}")

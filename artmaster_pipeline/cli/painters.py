"""`artmaster painters`: taking a painter's scans in, and listing who is there."""

from pathlib import Path
from typing import Annotated

import typer

from artmaster_pipeline.cli.options import HomeOption, JsonOption, PainterArgument
from artmaster_pipeline.cli.printing import print_json, print_table
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.progress import terminal_progress
from artmaster_pipeline.settings import Home, load_painter
from artmaster_pipeline.terminal import out


def painters_add(
    slug: PainterArgument,
    scans_dir: Annotated[Path, typer.Argument(help="A folder of scans: JPEG, PNG, TIFF, WebP.")],
    name: Annotated[str | None, typer.Option(help="The painter's name.")] = None,
    trigger: Annotated[str | None, typer.Option(help="The words that call the style up in a prompt.")] = None,
    rights: Annotated[str | None, typer.Option(help="Who holds the rights, and what may be done.")] = None,
    home: HomeOption = None,
) -> None:
    """Copy a folder of scans into the data home. Run it again with new scans: only those are copied."""
    from artmaster_pipeline.curation.review import read_decisions
    from artmaster_pipeline.scans import add_scans

    place = Home.find(home)
    added = add_scans(place, slug, scans_dir, name=name, trigger=trigger, rights=rights, progress=terminal_progress())
    out.say(
        f"{slug}: {len(added.added)} added, {len(added.changed)} changed, {len(added.already_there)} already there, "
        f"{len(added.refused)} refused."
    )
    print_table("Refused", [{"file": q.path, "reason": q.reason, "way out": q.remedy} for q in added.refused])
    faults = (*added.faults, *read_decisions(place, slug).quarantined(slug))
    rows = [{"file": q.path, "what": q.reason, "way out": q.remedy} for q in faults]
    print_table("Not taken from tables and captions", rows)
    for line in (*added.notes, *added.ignored_summary()):
        out.say(line, style="dim")
    if faults or not added.all_descriptions_taken:
        out.say(
            f"Mend what was not taken, then add the folder again. The scans stay; with them alone: artmaster run {slug}"
        )
        raise typer.Exit(1)
    out.say(f"Next: artmaster run {slug}")


def painters_fetch(
    painter: Annotated[str | None, typer.Argument(help="One painter; without it, all of the deliveries.")] = None,
    home: HomeOption = None,
) -> None:
    """Fetch now what is new at the addresses of deliveries.yaml, and say what came and what failed."""
    from artmaster_pipeline.scans import fetch_deliveries
    from artmaster_pipeline.scans.remote import DELIVERIES, list_delivery, read_deliveries

    place = Home.find(home)
    urls = read_deliveries(place)
    if not urls:
        raise WrongUse(f"{place.root / DELIVERIES} lists no deliveries: write one address a line there, '- s3://...'.")
    found, failed = {painter} if painter else set[str](), False
    for url in () if painter else urls:
        try:
            delivery = list_delivery(url)
        except ArtMasterError as error:
            failed = True
            out.say(f"{error}.")
            continue
        found |= set(delivery.files)
        for note in delivery.notes:
            out.say(f"{note}.", style="dim")
    for slug in sorted(found):
        fetched = fetch_deliveries(place, slug, terminal_progress())
        failed = failed or bool(fetched.failed)
        out.say(
            f"{slug}: {len(fetched.new)} new, {len(fetched.changed)} changed, {len(fetched.renamed)} renamed, "
            f"{len(fetched.already_there)} already there, {len(fetched.refused)} refused, {len(fetched.failed)} failed."
        )
        came = [*(("new", name) for name in fetched.new), *(("changed", name) for name in fetched.changed)]
        print_table("Came", [{"file": name, "what": what} for what, name in came])
        rows = [{"file": q.path, "reason": q.reason, "way out": q.remedy} for q in fetched.refused]
        print_table("Refused", rows)
        print_table("Failed", [{"file": name, "reason": why} for name, why in fetched.failed])
    if failed:
        raise typer.Exit(1)


def painters_list(home: HomeOption = None, json: JsonOption = False) -> None:
    """The painters, their profiles, and what has been made for each."""
    from artmaster_pipeline.adapters import current_adapter
    from artmaster_pipeline.records import MANIFEST, Sample, Scan, read_manifest

    place = Home.find(home)
    rows = []
    for slug in place.painters():
        settings = load_painter(place, slug)
        adapter = current_adapter(place, slug)
        rows.append(
            {
                "painter": slug,
                "name": settings.name,
                "trigger": settings.trigger,
                "profile": settings.profile,
                "scans": len(read_manifest(place.register(slug) / MANIFEST, Scan)),
                "adapter": adapter.id if adapter else "",
                "samples": len(read_manifest(place.gallery(slug) / MANIFEST, Sample)),
            }
        )
    if json:
        print_json(rows)
    elif rows:
        print_table(f"Painters in {place.root}", rows)
    else:
        out.say(f"No painters in {place.root} yet. Add one: artmaster painters add SLUG FOLDER_OF_SCANS")

"""`artmaster painters`: taking a painter's scans in, and listing who is there."""

from pathlib import Path
from typing import Annotated

import typer

from artmaster_pipeline.cli.options import HomeOption, JsonOption, PainterArgument
from artmaster_pipeline.cli.printing import print_json, print_table
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
    from artmaster_pipeline.scans import add_scans

    place = Home.find(home)
    added = add_scans(place, slug, scans_dir, name=name, trigger=trigger, rights=rights, progress=terminal_progress())
    out.say(
        f"{slug}: {len(added.added)} added, {len(added.changed)} changed, {len(added.already_there)} already there, "
        f"{len(added.refused)} refused."
    )
    print_table("Refused", [{"file": q.path, "reason": q.reason, "way out": q.remedy} for q in added.refused])
    rows = [{"file": q.path, "what": q.reason, "way out": q.remedy} for q in added.faults]
    print_table("Not taken from tables and captions", rows)
    for line in (*added.notes, *added.ignored_summary()):
        out.say(line, style="dim")
    if not added.all_descriptions_taken:
        out.say(
            f"Mend what was not taken, then add the folder again. The scans stay; with them alone: artmaster run {slug}"
        )
        raise typer.Exit(1)
    out.say(f"Next: artmaster run {slug}")


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

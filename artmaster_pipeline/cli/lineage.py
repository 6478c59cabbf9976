"""`artmaster lineage`: which artworks fed which adapter, and where an artwork has gone."""

from typing import Annotated

import typer

from artmaster_pipeline.cli.options import HomeOption, JsonOption
from artmaster_pipeline.cli.printing import print_json, print_table
from artmaster_pipeline.settings import Home
from artmaster_pipeline.terminal import out


def lineage_adapter(
    adapter_id: Annotated[str, typer.Argument(metavar="ID", help="The adapter's id.")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """The artworks, crops and pictures in an adapter."""
    from artmaster_pipeline.lineage import adapter_lineage

    answer = adapter_lineage(Home.find(home), adapter_id)
    if json:
        print_json(answer.model_dump(mode="json"))
        return
    out.say(
        f"Adapter {answer.adapter.id} of {answer.adapter.painter}: trained on {len(answer.artworks)} artworks "
        f"({len(answer.crops)} crops, {len(answer.training_images)} pictures); "
        f"{len(answer.validation)} artworks for validation; "
        f"judged by {len(answer.held_out)} held-out artworks; {len(answer.samples)} pictures drawn with it."
    )
    said_by = "; ".join(f"{source} {count}" for source, count in answer.captions_by.items())
    out.say(f"Captions by: {said_by}")
    for scan in answer.artworks:
        out.say(f"{scan.sha256}  {scan.path}  {scan.title}")


def lineage_artwork(
    artwork: Annotated[
        str, typer.Argument(metavar="SHA_OR_ID", help="A scan's sha256, or its first 8 digits or more.")
    ],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """The adapters and published pictures that an artwork is in."""
    from artmaster_pipeline.lineage import artwork_lineage

    answer = artwork_lineage(Home.find(home), artwork)
    if json:
        print_json(answer.model_dump(mode="json"))
        return
    for scan in answer.scans:
        out.say(f"{scan.sha256}  {scan.painter}/{scan.path}  {scan.title}")
    print_table("Adapters", [use.model_dump() for use in answer.adapters])
    print_table("Published pictures", [{"picture": s.path, "prompt": s.prompt} for s in answer.published])
    if not answer.adapters:
        out.say("It is in no adapter.")

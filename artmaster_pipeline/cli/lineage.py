"""`artmaster lineage`: which artworks fed which adapter, and where an artwork has gone."""

from typing import Annotated

import typer
from rich.markup import escape

from artmaster_pipeline.cli.options import HomeOption, JsonOption
from artmaster_pipeline.cli.printing import out, print_json, print_table, printable
from artmaster_pipeline.settings import Home


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
    out.print(
        f"Adapter {answer.adapter.id} of {answer.adapter.painter}: trained on {len(answer.artworks)} artworks "
        f"({len(answer.crops)} crops, {len(answer.training_images)} pictures); "
        f"{len(answer.validation)} artworks for validation; "
        f"judged by {len(answer.held_out)} held-out artworks; {len(answer.samples)} pictures drawn with it."
    )
    for scan in answer.artworks:
        out.print(f"{scan.sha256}  {escape(printable(scan.path))}  {escape(printable(scan.title))}")


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
        out.print(f"{scan.sha256}  {scan.painter}/{escape(printable(scan.path))}  {escape(printable(scan.title))}")
    print_table("Adapters", [use.model_dump() for use in answer.adapters])
    print_table("Published pictures", [{"picture": s.path, "prompt": s.prompt} for s in answer.published])
    if not answer.adapters:
        out.print("It is in no adapter.")

"""`artmaster captions`: what is said of each picture, who says it, and a table for a person to correct."""

from collections import Counter
from typing import Annotated

import typer

from artmaster_pipeline.cli.options import HomeOption, JsonOption, PainterArgument
from artmaster_pipeline.cli.printing import print_json, print_table
from artmaster_pipeline.settings import Home
from artmaster_pipeline.terminal import out


def captions(
    painter: PainterArgument,
    edit: Annotated[
        bool, typer.Option("--edit", help="Write captions.csv beside the scans, to be corrected; it wins ever after.")
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """What the training set says of each picture, who says it, and what the base model could not read."""
    from artmaster_pipeline.dataset import caption_rows, write_captions

    place = Home.find(home)
    rows = caption_rows(place, painter)
    if json:
        print_json([vars(row) for row in rows])
    else:
        shown = [
            {"file": r.file, "caption": r.caption, "said by": r.source, "unread": f"{100 * r.unread:.0f} %"}
            for r in rows
        ]
        print_table(f"Captions of {painter}, behind its trigger", shown)
        counts = Counter(row.source for row in rows)
        out.say("Said by: " + "; ".join(f"{source} {count}" for source, count in counts.most_common()))
    if edit:
        file, new = write_captions(place, painter)
        if json:
            return
        added = f"{new} row{'' if new == 1 else 's'} added" if new else "every scan was there already"
        out.say(f"{file}: {added}. Correct the column `caption`, then: artmaster run {painter}")

"""`artmaster lineage`: what is in an adapter, where an artwork has gone, where a picture is from, what holds."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from artmaster_pipeline.cli.options import HomeOption, JsonOption
from artmaster_pipeline.cli.printing import print_json, print_table, short
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import check_folder, write_text
from artmaster_pipeline.progress import terminal_progress
from artmaster_pipeline.settings import Home
from artmaster_pipeline.terminal import out

if TYPE_CHECKING:
    from artmaster_pipeline.lineage.answers import Answer

HtmlOption = Annotated[
    Path | None,
    typer.Option(
        "--html", metavar="FILE", help="Write the answer as one page with thumbnails, too.", show_default=False
    ),
]


def lineage_adapter(
    adapter_id: Annotated[str, typer.Argument(metavar="ID", help="The adapter's id.")],
    home: HomeOption = None,
    json: JsonOption = False,
    html: HtmlOption = None,
) -> None:
    """The artworks, crops and captions in an adapter, how it was made, and what was left out."""
    from artmaster_pipeline.lineage import adapter_lineage, page, words

    place = Home.find(home)
    answer = adapter_lineage(place, adapter_id)
    _say(
        answer,
        words.adapter_facts(answer),
        words.adapter_tables(answer),
        json,
        html,
        lambda: page.adapter_page(place, answer),
    )


def lineage_artwork(
    artwork: Annotated[
        str,
        typer.Argument(
            metavar="ARTWORK", help="A scan's sha256, its first 8 digits or more, its accession number or its title."
        ),
    ],
    home: HomeOption = None,
    json: JsonOption = False,
    html: HtmlOption = None,
) -> None:
    """The crops, adapters and pictures that an artwork is in, today's and earlier ones."""
    from artmaster_pipeline.lineage import artwork_lineage, page, words

    place = Home.find(home)
    answer = artwork_lineage(place, artwork)
    facts = words.artwork_facts(answer)
    _say(answer, facts, words.artwork_tables(answer), json, html, lambda: page.artwork_page(place, answer))


def lineage_picture(
    file: Annotated[Path, typer.Argument(help="A published or generated picture, or a copy: PNG, JPEG or WebP.")],
    home: HomeOption = None,
    json: JsonOption = False,
    html: HtmlOption = None,
) -> None:
    """Which picture a file shows, and the adapters and artworks behind it (else exit code 1)."""
    from artmaster_pipeline.lineage import page, picture_lineage, words

    place = Home.find(home)
    answer = picture_lineage(place, file, terminal_progress())
    facts = words.picture_facts(answer)
    _say(answer, facts, words.picture_tables(answer), json, html, lambda: page.picture_page(place, answer))
    if not answer.is_answered:
        raise typer.Exit(1)


def lineage_file(
    file: Annotated[Path, typer.Argument(help="An adapter: a .safetensors file, wherever it lies.")],
    home: HomeOption = None,
    json: JsonOption = False,
    html: HtmlOption = None,
) -> None:
    """What an adapter's file says it was trained on, also outside of any data home (exit code 1: it says nothing)."""
    from artmaster_pipeline.lineage import file_lineage, page, words

    answer = file_lineage(file, Home.find(home))
    _say(answer, words.file_facts(answer), words.file_tables(answer), json, html, lambda: page.file_page(answer))
    if answer.ledger is None:
        raise typer.Exit(1)


def lineage_verify(
    adapter: Annotated[
        str, typer.Argument(metavar="[ADAPTER]", help="An adapter's id (default: the whole data home).")
    ] = "",
    head: Annotated[
        str, typer.Option("--head", metavar="HASH", help="The hash of a line of the chain that was kept elsewhere.")
    ] = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Hash every file that the records name anew, and look for edited records (exit code 1: something was found)."""
    from artmaster_pipeline.lineage import verify, words

    answer = verify(Home.find(home), adapter, head, terminal_progress())
    if json:
        print_json(answer.model_dump(mode="json"))
    else:
        out.say(words.verified(answer))
        for finding in answer.findings:
            out.say((finding.what, "bold red"), f" {words.finding_in_words(finding)}")
        for said in (*answer.notes, *(answer.limits if answer.findings else ())):
            out.say(said)
    if not answer.is_whole:
        raise typer.Exit(1)


def _say(
    answer: "Answer",
    facts: list[tuple[str, str]],
    tables: list[tuple[str, list[dict[str, Any]]]],
    json: bool,
    html: Path | None,
    page: Callable[[], str],
) -> None:
    """Print an answer, as JSON or in words; with `html`, write `page` there before."""
    if html is not None:
        if html.is_dir():
            raise WrongUse(f"--html {html} is a folder: name the file to write in it.")
        check_folder(html.parent, "--html")
        write_text(html, page())
    if json:
        print_json(answer.model_dump(mode="json"))
        return
    for name, value in facts:
        out.say((f"{name}: ", "bold"), value)
    for title, rows in tables:
        print_table(title, rows)
    if html is not None:
        out.say(f"Page: {short(html)}")

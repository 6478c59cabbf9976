"""`artmaster review`: what curation made of each work, on a page where a person decides, or as a list."""

import threading
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from artmaster_pipeline.cli.options import HomeOption, PainterArgument
from artmaster_pipeline.cli.printing import print_table, short
from artmaster_pipeline.cli.serving import check_port
from artmaster_pipeline.progress import terminal_progress
from artmaster_pipeline.settings import Home
from artmaster_pipeline.terminal import out


def review(
    painter: PainterArgument,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port on localhost.")] = 3080,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Whether to open the page.")] = True,
    listed: Annotated[bool, typer.Option("--list", help="Print the works in the review's order instead.")] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Write a page to read, which opens from disk, into this folder.", show_default=False
        ),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Each work with its area, masks, crops and flags on a local page, where you correct them and decide."""
    from artmaster_pipeline.curation.review.page import write_page
    from artmaster_pipeline.curation.review.works import Work, works_of
    from artmaster_pipeline.evaluation.verdicts import this_user

    def decided(work: Work) -> str:
        return "; ".join(f"{row.decision.what} ({row.decision.who or 'a person'})" for row in work.rows)

    def reasons(work: Work) -> str:
        flags = (f"{flag.kind} {flag.score:.2f}: {flag.reason}" for flag in work.curated.flags)
        return " ".join((*flags, *(f"Without crops: {row.reason}." for row in work.reasons)))

    place = Home.find(home)
    works = works_of(place, painter)
    if listed:
        rows = [{"file": work.scan.path, "why look": reasons(work), "decided": decided(work)} for work in works]
        print_table(f"Review of {painter}", rows)
        out.say(f"{sum(bool(work.curated.flags) for work in works)} of {len(works)} works are flagged.")
    elif folder is not None:
        out.say(f"Page to read: {short(write_page(place, painter, works, folder, terminal_progress()))}")
    else:
        check_port(port)
        _serve(place, painter, port, this_user(), browser=browser)


def _serve(home: Home, painter: str, port: int, who: str, *, browser: bool) -> None:
    """Serve the page until a person ends it."""
    import uvicorn

    from artmaster_pipeline.curation.review.server import LOCALHOST, Review

    page = Review(home, painter, port, who)
    address = f"http://{LOCALHOST}:{port}/{page.token}/"

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
            await super().startup(sockets)  # type: ignore[arg-type]
            out.say(f"Review of {painter}: {address}  (Ctrl+C ends it)")
            if browser:
                # beside the server, which a browser in the terminal would keep from answering
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    config = uvicorn.Config(
        page.app(), host=LOCALHOST, port=port, log_level="warning", access_log=False, server_header=False
    )
    with suppress(KeyboardInterrupt):  # every decision is on the disk already
        Server(config).run()

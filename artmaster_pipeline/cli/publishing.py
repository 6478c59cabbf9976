"""`artmaster publish` and `verify`: the published site and its versions, and what a picture says of its origin."""

from pathlib import Path
from typing import Annotated

import typer

from artmaster_pipeline.cli.options import HomeOption, JsonOption, PainterArgument
from artmaster_pipeline.cli.printing import print_json, print_table
from artmaster_pipeline.progress import terminal_progress
from artmaster_pipeline.settings import Home, load_painter
from artmaster_pipeline.terminal import out


def publish(
    painter: PainterArgument,
    to: Annotated[
        str | None,
        typer.Option(help="Copy the published site there: a folder, s3://, gs://, az://, or hf://spaces/USER/NAME."),
    ] = None,
    version: Annotated[str | None, typer.Option(help="Put this older version back in place.")] = None,
    versions: Annotated[bool, typer.Option("--versions", help="List the versions that are kept, and stop.")] = False,
    sign: Annotated[
        bool, typer.Option("--sign", help="Sign pictures from now on; makes the house's keys where there are none.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Publish the current adapter's gallery, put an older version back, or copy the published site elsewhere."""
    from artmaster_pipeline.publishing import credentials, targets
    from artmaster_pipeline.publishing.publish import kept_versions

    place = Home.find(home)
    for member in place.members(painter):
        load_painter(place, member)
    if versions:
        print_table(f"Versions of {painter}", kept_versions(place, painter))
        return
    if sign:
        credentials.make_keys(place)
    if version:
        _put_back(place, painter, version)
    elif sign or not to:
        _publish_here(place, painter)
    if to:
        copied = targets.copy_gallery(place, painter, to, terminal_progress())
        out.say(
            f"{painter}: version {copied.version.id} is at {copied.where} "
            f"({copied.sent} files sent, {copied.there} were there)."
        )


def verify(
    files: Annotated[list[Path], typer.Argument(help="PNG, JPEG or WebP files.")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """What pictures say about where they come from, and whether they are as they were written (else exit code 1)."""
    from artmaster_pipeline.publishing.verify import verify_picture

    place = Home.find(home)
    answers = [verify_picture(file, place) for file in files]
    if json:
        print_json([answer.model_dump(mode="json") for answer in answers])
    else:
        for answer in answers:
            for line in answer.lines():
                out.say(line)
    if any(answer.state not in ("intact", "repacked") for answer in answers):
        raise typer.Exit(1)


def _publish_here(home: Home, painter: str) -> None:
    """As `run --only sample_gallery`, so that Dagster and DVC know; a person's word lifts a person's word."""
    from artmaster_pipeline.orchestration.run import run_painter
    from artmaster_pipeline.publishing.publish import allow_again
    from artmaster_pipeline.stages import publishing_stage

    allow_again(home, painter)
    run_painter(home, painter, only=publishing_stage(painter))
    out.say(f"Gallery: {home.gallery(painter) / 'index.html'}")


def _put_back(home: Home, painter: str, version_id: str) -> None:
    from artmaster_pipeline import versioning
    from artmaster_pipeline.publishing.publish import put_back
    from artmaster_pipeline.stages import publishing_stage

    version = put_back(home, painter, version_id)
    if versioning.find_root(home):
        versioning.commit_stage(home, publishing_stage(painter), painter)
    whose = f" (adapter {version.adapter_id})" if version.adapter_id else ""
    out.say(f"{painter}: version {version.id} of {version.made}{whose} is in place again.")
    out.say(f"The stage does not undo this. To publish the current adapter's: artmaster publish {painter}")

"""`artmaster story`: a wish written to a storyboard, checked after a person edited it, painted, and made a book."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from artmaster_pipeline.cli.options import HomeOption, JsonOption
from artmaster_pipeline.cli.printing import print_json, print_table, short
from artmaster_pipeline.cli.running import run_and_report
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.files import check_slug, make_folder
from artmaster_pipeline.progress import terminal_progress
from artmaster_pipeline.records import PANEL
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stages import story_named, story_of
from artmaster_pipeline.stories.records import (
    FEWEST_SHOTS,
    MOST_ERAS,
    MOST_SHOTS,
    Language,
    Story,
    Wish,
)
from artmaster_pipeline.story_folders import FOLDER, STORY_FILE, WISH_FILE
from artmaster_pipeline.terminal import out

_SLUG_LENGTH = 40
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The story's name, as `story list` shows it.")]


def story_new(
    text: Annotated[str, typer.Argument(help='What the story is of: "a modern city as mountain and water".')],
    painter: Annotated[str, typer.Option(help="The painter in whose hand all of it is painted; or")] = "",
    mix: Annotated[str, typer.Option(help='a mix of several: "A=0.7 B=0.3".')] = "",
    eras: Annotated[int, typer.Option(min=1, max=MOST_ERAS, help="Times and cultures that it goes through.")] = 2,
    shots: Annotated[int, typer.Option(min=FEWEST_SHOTS, max=MOST_SHOTS, help="Pictures.")] = 6,
    author: Annotated[
        str,
        typer.Option(
            help="Who writes: template (tables, no model), local (a model on this machine), or the URL of an "
            "OpenAI-compatible endpoint, to which the wish is then sent."
        ),
    ] = "template",
    model: Annotated[
        str, typer.Option(help="Of an endpoint which model; of local a folder or hub repository instead of SmolLM2.")
    ] = "",
    language: Annotated[
        str, typer.Option(help="en or zh: which comes first in the book (default: the wish's own).")
    ] = "",
    medium: Annotated[str, typer.Option(help="ink, oil, ... (default: what the painter's captions say).")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Another story of the same wish.")] = 0,
    name: Annotated[str, typer.Option(metavar="SLUG", help="The story's name (default: of the wish's words).")] = "",
    home: HomeOption = None,
) -> None:
    """Write the storyboard of a wish: stories/NAME/wish.yaml and story.yaml, for a person to go on with."""
    from artmaster_pipeline.stories.authors import write_storyboard
    from artmaster_pipeline.stories.authors.asking import as_data
    from artmaster_pipeline.stories.storyboard import write_story, write_wish

    place = Home.find(home)
    if not (plain := as_data(text, len(text))):
        raise WrongUse("The wish is empty: say what the story is of.")
    if len(plain) > 1000:
        raise WrongUse(f"The wish has {len(plain)} characters: 1000 are the most.")
    wish = Wish(
        text=plain,
        language=_language(language, plain),
        painter=painter,
        mix=mix,
        eras=eras,
        shots=shots,
        seed=seed,
        medium=medium,
        author=author,
        model=model,
    )
    slug = check_slug(name) if name else slug_of(plain)
    folder = place.story(slug)
    if taken := [file for file in (STORY_FILE, WISH_FILE) if (folder / file).exists()]:
        raise WrongUse(
            f"{short(folder / taken[0])} is there already and is not written over: "
            "name this story otherwise with --name, or move that folder away."
        )
    story = write_storyboard(place, wish, terminal_progress(), name=slug)
    make_folder(folder)
    write_wish(folder, wish)
    _print_story(story)
    file = write_story(folder, story)
    out.say(short(file))
    out.say(f"Edit it as you like, then: artmaster story check {slug} && artmaster story paint {slug}")


def story_check(name: NameArgument, home: HomeOption = None) -> None:
    """Find all faults of a story's storyboard, without painting."""
    from artmaster_pipeline.stage_settings import partition_profile
    from artmaster_pipeline.stories.storyboard import read_story, read_wish

    place = Home.find(home)
    folder = _there(place, name)
    if not (folder / STORY_FILE).is_file():
        read_wish(folder / WISH_FILE)
        out.say(f"{name} is a wish; its author writes the storyboard when it is painted.")
    else:
        story = read_story(folder / STORY_FILE, place, partition_profile(place, story_of(name)))
        _print_story(story)
        out.say("No fault found.")
    out.say(f"Next: artmaster story paint {name}")


def story_paint(name: NameArgument, home: HomeOption = None) -> None:
    """Paint a story's pictures and choose among them; what is painted already and did not change stays.

    How many pictures are painted for each shot is the profile's `stories: {candidates: 4}`. The painters' adapters in
    use draw, published or not; for the book to be published they have to be.
    """
    place = Home.find(home)
    _there(place, name)
    run_and_report(place, story_of(name), until="illustrated_stories")
    out.say(f"Next: artmaster story book {name} --out FOLDER, to look at it; artmaster story publish {name}")


def story_book(
    name: NameArgument,
    destination: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the book goes.")],
    home: HomeOption = None,
) -> None:
    """Make a story's book for yourself, marked as a proof: pages and a PDF in one folder. Nothing is published."""
    from artmaster_pipeline.stories.book import proof_book

    place = Home.find(home)
    _there(place, name)
    proof_book(place, story_of(name), destination)
    out.say(short(destination / "index.html"))


def story_publish(name: NameArgument, home: HomeOption = None) -> None:
    """Make what is stale of a story and publish its book, if its pictures passed the gate."""
    place = Home.find(home)
    _there(place, name)
    run_and_report(place, story_of(name))


def story_list(json: JsonOption = False, home: HomeOption = None) -> None:
    """The stories of the data home: who paints them, and how far they are."""
    place = Home.find(home)
    rows = [_row(place, folder.name) for folder in _folders(place)]
    if json:
        print_json(rows)
    elif not rows:
        out.say('No stories yet: artmaster story new "a modern city as mountain and water" --painter PAINTER')
    else:
        print_table("Stories", rows)


def slug_of(text: str) -> str:
    """A story's name from its wish: its English words, else story- and the wish's hash."""
    import re

    from artmaster_pipeline.files import is_slug
    from artmaster_pipeline.records import identity

    slug = "-".join(re.findall(r"[a-z0-9]+", text.casefold()))[:_SLUG_LENGTH].strip("-")
    if not text.isascii() or not is_slug(slug):
        return f"story-{identity('story name', text)[:8]}"
    return slug


def _language(said: str, text: str) -> Language:
    from artmaster_pipeline.stories.storyboard.matching import has_chinese

    if said == "en" or (not said and not has_chinese(text)):
        return "en"
    if said in ("zh", ""):
        return "zh"
    raise WrongUse(f"--language {said[:20]}: choose en or zh.")


def _folders(home: Home) -> list[Path]:
    return [home.story(story_named(partition)) for partition in home.stories()]


def _there(home: Home, name: str) -> Path:
    """The folder of a story. Raises WrongUse where there is none, and names the near ones."""
    from difflib import get_close_matches

    known = [folder.name for folder in _folders(home)]
    if name not in known:
        near = get_close_matches(name, known, n=2, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(known) or 'none'}"
        raise WrongUse(f"There is no story {name[:64]!r} in {home.root / FOLDER} ({hint})")
    return home.story(name)


def _row(home: Home, name: str) -> dict[str, Any]:
    from artmaster_pipeline.stories.storyboard import read_wish

    folder, partition = home.story(name), story_of(name)
    wish = None
    with suppress(ArtMasterError):  # `story check` says what is wrong
        wish = read_wish(folder / WISH_FILE) if (folder / WISH_FILE).is_file() else None
    painted = any(home.evaluation(partition).glob(f"*/{PANEL}"))
    published = (home.gallery(partition) / "index.html").is_file()
    state = "published" if published else "painted" if painted else "written"
    if state == "written" and not (folder / STORY_FILE).is_file():
        state = "wished"
    return {
        "story": name,
        "painted by": (wish.painter or wish.mix) if wish else "",
        "author": wish.author if wish else "",
        "shots": str(wish.shots) if wish else "",
        "state": state,
    }


def _print_story(story: Story) -> None:
    eras = {era.id: era.name.en for era in story.eras}
    rows = [
        {
            "shot": shot.id,
            "era": eras.get(shot.era, shot.era),
            "on stage": ", ".join(shot.onstage),
            "line": getattr(shot.narration, story.language) or shot.narration.en,
        }
        for shot in story.shots
    ]
    print_table(f"{story.title.en} / {story.title.zh}", rows)
    for sentence in story.authorship.repairs:
        out.say(f"  {sentence}")
    sent = (
        f"the wish was sent to {story.authorship.endpoint}"
        if story.authorship.endpoint
        else "nothing left this machine"
    )
    written = f"{story.authorship.author} {story.authorship.model}".strip()
    out.say(f"Written by {written}; {sent}.")

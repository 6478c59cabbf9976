"""What the stage storyboards asks of this room: a story's storyboard found to be without fault, a record for each shot.

stories/<slug>/       what a person put there: wish.yaml, story.yaml or both
storyboards/<story>/  the records, and the story.yaml that an author wrote where the person has none
"""

from collections.abc import Callable
from pathlib import Path

from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.locks import one_at_a_time
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import MANIFEST, Outcome, Storyboarded, read_manifest, write_manifest
from artmaster_pipeline.settings import Home, Profile
from artmaster_pipeline.stages import story_named
from artmaster_pipeline.stories.records import Story, Wish
from artmaster_pipeline.stories.storyboard.prompts import picture_identity, prompt_of, size_of
from artmaster_pipeline.stories.storyboard.reading import read_story, read_wish
from artmaster_pipeline.stories.storyboard.writing import write_story
from artmaster_pipeline.story_folders import STORY_FILE, WISH_FILE

_STAGE = "storyboards"
# Writes the storyboard of a wish: `authors.write_storyboard`, which lies above this room.
Write = Callable[[Home, Wish, Progress], Story]


@one_at_a_time
def make_storyboards(
    home: Home, partition: str, profile: Profile, progress: Progress = SILENT, *, write: Write
) -> Outcome[Storyboarded]:
    """The records of a story's shots, of the person's story.yaml, else of the one that `write` writes for wish.yaml.

    What was written for a wish is kept until the wish changes. Raises WrongUse where a file is wrong or neither there.
    """
    source, folder = source_of(home, partition), home.stage_folder(_STAGE, partition)
    if not (source / STORY_FILE).is_file():
        wish = _wish(source)
        if _kept(folder, source.name, wish, home, profile) is None:
            write_story(folder, write(home, wish, progress).model_copy(update={"name": source.name}))
    story = story_of(home, partition, profile)
    records = [_record(story, partition, number) for number in range(len(story.shots))]
    known = {record.id for record in read_manifest(folder / MANIFEST, Storyboarded)}
    write_manifest(folder / MANIFEST, records)
    made = sum(record.id not in known for record in records)
    figures = {"shots": len(story.shots), "eras": len(story.eras), "repairs": len(story.authorship.repairs)}
    ordered = tuple(sorted(records, key=lambda record: record.id))
    return Outcome(ordered, folder / MANIFEST, made, len(records) - made, figures=figures)


def story_of(home: Home, partition: str, profile: Profile) -> Story:
    """The storyboard in force: the person's story.yaml, else the one that was written for wish.yaml as it is.

    Its name is the story's slug. Raises WrongUse where it has faults, ArtMasterError where none was written yet.
    """
    source = source_of(home, partition)
    if (source / STORY_FILE).is_file():
        return read_story(source, home, profile)
    story = _kept(home.stage_folder(_STAGE, partition), source.name, _wish(source), home, profile)
    if story is None:
        raise ArtMasterError(f"There is no storyboard of {source.name} as it is now. Run: artmaster run {partition}")
    return story


def source_of(home: Home, partition: str) -> Path:
    """The folder where a person put a story's wish and storyboard."""
    return home.story(story_named(partition))


def _kept(folder: Path, name: str, wish: Wish, home: Home, profile: Profile) -> Story | None:
    """What was written for a wish; None where nothing was, for another wish, or what is there has faults by now."""
    try:
        story = read_story(folder, home, profile, name)
    except WrongUse:
        return None
    return story if story.wish == wish else None


def _wish(source: Path) -> Wish:
    if not (source / WISH_FILE).is_file():
        raise WrongUse(f"{source} holds neither {STORY_FILE} nor {WISH_FILE}: put one there (artmaster story new).")
    return read_wish(source)


def _record(story: Story, partition: str, number: int) -> Storyboarded:
    shot = story.shots[number]
    width, height = size_of(shot)
    return Storyboarded(
        id=picture_identity(story, shot),
        painter=partition,
        shot=shot.id,
        era=shot.era,
        prompt=prompt_of(story, shot),
        seed=shot.seed,
        width=width,
        height=height,
        onstage=shot.onstage,
        motifs=shot.motifs,
    )

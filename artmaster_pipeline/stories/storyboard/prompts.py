"""What is painted in a shot: its words in one order, its size, and the identity of all that decides its pictures."""

from collections.abc import Mapping

from artmaster_pipeline.records import identity
from artmaster_pipeline.settings import CROP_SIZES
from artmaster_pipeline.stories.records import Character, Motif, Perspective, Shot, ShotRegion, Story
from artmaster_pipeline.stories.storyboard.entries import motifs
from artmaster_pipeline.stories.storyboard.matching import found_in, replaced

_SQUARE, _TALL = CROP_SIZES
# Guo Xi's three distances, in the words that the bases' captions have for them.
_PERSPECTIVES: Mapping[Perspective, str] = {
    "high": "a towering view",
    "deep": "a deep view, near and far",
    "level": "a wide level view",
}
_JOINED = ("in ", "at ", "by ")  # a description that begins so belongs to what is said before it


def prompt_of(story: Story, shot: Shot) -> str:
    """What is painted, without the trigger: as a person put it, else composed of the shot's parts.

    A thing of today for which the story has a motif is said as what stands for it.
    """
    said = rendered(story.motifs, shot.prompt) if shot.prompt else composed(story, shot)
    return " ".join(said.split())


def composed(story: Story, shot: Shot) -> str:
    """The setting and what else is seen; who is on stage, in the same words in every shot of an era; what the motifs
    are painted as; the distance; the palette. What is said already is not said again.

    The setting comes first, since what a prompt begins with decides most of the picture: figures first, and every shot
    is of them and nowhere.
    """
    by_id = {motif.id: motif for motif in story.motifs}
    things = [by_id[id].traditional_rendering for id in shot.motifs if id in by_id]
    setting, description = (rendered(story.motifs, said) for said in (shot.setting, shot.static_description))
    joined = " " if setting and description.startswith(_JOINED) else ", "
    place = joined.join(part for part in (setting, description) if part)
    seen = dict.fromkeys([*(visual_of(story, id, shot.era) for id in shot.onstage), *things])
    parts = [part for part in (place, *(each for each in seen if each != setting)) if part]
    return ", ".join([*parts, perspective_words(shot.perspective), *story.style_contract.palette])


def rendered(known: tuple[Motif, ...], text: str) -> str:
    """A text with each thing of today said as the motif of those `known` that stands for it."""
    for motif in known:
        for term in terms_of(motif):
            if found_in(text, [term]):
                text = replaced(text, term, motif.traditional_rendering)
    return text


def terms_of(motif: Motif) -> tuple[str, ...]:
    """The words that ask for a motif, the longest first: the table's, else its own name, which may mean much (bank)."""
    entry = motifs().get(motif.id)
    words = entry.keywords.en + entry.keywords.zh if entry else (motif.modern_thing.en, motif.modern_thing.zh)
    return tuple(sorted((word for word in words if word), key=lambda word: (-len(word), word)))


def visual_of(story: Story, id: str, era: str) -> str:
    """How a character is painted in an era, or a motif anywhere; empty where the story has neither."""
    parts: tuple[Character | Motif, ...] = (*story.characters, *story.motifs)
    return next((words_of(part, era) for part in parts if part.id == id), "")


def words_of(part: Character | Motif, era: str) -> str:
    """How a character is painted in an era, or a motif anywhere."""
    if isinstance(part, Motif):
        return part.traditional_rendering
    return part.era_variants.get(era, part.canonical_visual)


def region_prompt(story: Story, shot: Shot, region: ShotRegion) -> str:
    """What a region shows: its own words, else the character's or the motif's."""
    return rendered(story.motifs, region.prompt) or visual_of(story, region.of, shot.era)


def perspective_words(perspective: Perspective) -> str:
    """How a distance is said to the base."""
    return _PERSPECTIVES[perspective]


def size_of(shot: Shot) -> tuple[int, int]:
    """Width and height in pixels: tall where the view goes up or in, square where it goes across."""
    return _SQUARE if shot.perspective == "level" else _TALL


def recurring(story: Story) -> tuple[str, ...]:
    """The characters who are on stage in two shots or more, in the story's order."""
    stages = [set(shot.onstage) for shot in story.shots]
    return tuple(who.id for who in story.characters if sum(who.id in stage for stage in stages) > 1)


def picture_identity(story: Story, shot: Shot) -> str:
    """Made from all that decides a shot's pictures: an edit of what is told beside them leaves it as it is."""
    again = recurring(story)
    return identity(
        "shot",
        prompt_of(story, shot),
        shot.seed,
        size_of(shot),
        story.style_contract.model_dump(mode="json", include={"painter", "mix"}),
        story.wish.seed,  # of the noise that all shots share
        [[id, visual_of(story, id, shot.era), id in again] for id in shot.onstage],
        [[region.id, region.of, region.box, region_prompt(story, shot, region)] for region in shot.regions],
    )

"""What a story is at each step: a wish, a draft as an author writes it, the storyboard, and a shot as it is painted.

An author, whatever it is, says what a `StoryDraft` holds and nothing else: who paints, what files are called, seeds and
prompts are the product's, so no text can change them.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from artmaster_pipeline.progress import Progress

Language = Literal["en", "zh"]
# Guo Xi's three distances: up a mountain from its foot, through between mountains, and level across to far ones.
Perspective = Literal["high", "deep", "level"]
FEWEST_SHOTS, MOST_SHOTS = 1, 24
MOST_ERAS = 6
MOST_ONSTAGE = 3  # characters of one shot
MOST_CHARACTERS = 8

Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
Passage = Annotated[str, StringConstraints(strip_whitespace=True, max_length=600)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=48)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Words(_Part):
    """The same in English and Chinese. One may be empty where an author has one language; a book says so."""

    en: Passage = ""
    zh: Passage = ""


class Wish(_Part):
    """wish.yaml: what somebody asked for."""

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
    language: Language = "en"
    painter: str = ""  # a slug; or
    mix: str = ""  # a mix, in the grammar of `experts.mixes`
    eras: int = Field(2, ge=1, le=MOST_ERAS)
    shots: int = Field(6, ge=FEWEST_SHOTS, le=MOST_SHOTS)
    seed: int = Field(0, ge=0)
    medium: str = ""  # one of the tables' mediums; empty: what the painter's training captions say
    author: str = "template"  # "template", "local", or the URL of an OpenAI-compatible endpoint
    model: str = ""  # of an endpoint: which of its models; of "local": a folder or hub repository instead of SmolLM2


class Era(_Part):
    """A time and a culture that shots are set in."""

    id: Name
    name: Words
    years: Line = ""  # "960-1279"; for the book


class StyleContract(_Part):
    """What holds every shot to one hand."""

    painter: str = ""
    mix: str = ""
    medium: str  # one of the tables' mediums
    palette: tuple[Line, ...] = ()  # words of colour that every prompt ends with
    forbidden: tuple[Line, ...] = ()  # words that no prompt may hold: they contradict the medium
    # words and marks that a prompt may have, so that the encoders hear all of it behind the trigger
    words: int = Field(32, ge=8, le=200)


class Character(_Part):
    """Somebody or something that recurs."""

    id: Name
    name: Words
    canonical_visual: Line  # how it is painted, in the base's words, the same in every shot
    era_variants: dict[Name, Line] = {}  # era -> how it is painted there instead


class Motif(_Part):
    """A thing of today and what stands for it in the painter's world."""

    id: Name
    modern_thing: Words
    traditional_rendering: Line  # how it is painted, in the base's words


class ShotRegion(_Part):
    """A part of a shot's picture that shows something of its own."""

    id: Name
    of: Name  # a character's or a motif's id
    box: tuple[float, float, float, float]  # left, top, right, bottom, as shares of the picture, 0..1
    prompt: Line = ""  # empty: the character's or the motif's own words


class Shot(_Part):
    """One picture of the story and what is told beside it."""

    id: Name  # "shot-1", ...
    era: Name
    plot: Words  # what happens
    setting: Line  # where, in the base's words
    perspective: Perspective
    onstage: tuple[Name, ...] = ()  # ids of characters
    motifs: tuple[Name, ...] = ()  # ids of motifs that are shown
    static_description: Line  # what is seen beside who is on stage, in the base's words
    narration: Words  # the line below the picture
    regions: tuple[ShotRegion, ...] = ()
    seed: int = Field(ge=0)
    prompt: Passage = (
        ""  # what is painted, without the trigger; as `storyboard.prompt_of` puts it together, or a person
    )


class Authorship(_Part):
    """Who wrote a storyboard, and what was mended in it."""

    author: str  # as `Author.name` says
    model: str = ""
    weights_sha256: str = ""  # of a local model's file
    endpoint: str = ""  # the URL that the wish was sent to; empty: it never left the machine
    repairs: tuple[Passage, ...] = ()  # a sentence each: what the author wrote that could not stand, and what does
    by_hand: bool = False  # a person changed it since
    written: str = ""  # the identity of the storyboard as it was written, by which that is seen


class Story(_Part):
    """story.yaml: a storyboard that was read and found to be without fault."""

    name: Name  # its folder's
    title: Words
    language: Language
    wish: Wish
    eras: tuple[Era, ...]
    style_contract: StyleContract
    characters: tuple[Character, ...]
    motifs: tuple[Motif, ...]
    shots: tuple[Shot, ...]
    authorship: Authorship


class ShotDraft(_Part):
    """What an author says of a shot."""

    era: Name
    plot: Words
    setting: Line
    perspective: Perspective
    onstage: tuple[Name, ...]
    motifs: tuple[Name, ...] = ()
    static_description: Line
    narration: Words


class StoryDraft(_Part):
    """All that an author says."""

    title: Words
    shots: tuple[ShotDraft, ...]


class Brief(_Part):
    """What an author is given: the wish, and all that it may choose from."""

    wish: Wish
    eras: tuple[Era, ...]
    style_contract: StyleContract
    characters: tuple[Character, ...]
    motifs: tuple[Motif, ...]
    settings: dict[Name, tuple[Line, ...]]  # era -> settings, in the base's words
    descriptions: tuple[Line, ...]  # seasons, hours, airs in the base's words, for static_description


class Written(_Part):
    """What an author gave for a brief. `draft` may be less than was asked for; the storyboard room mends it."""

    draft: StoryDraft
    authorship: Authorship


class Author(Protocol):
    """Whoever writes: a template, a local model, an endpoint."""

    name: str

    def write(self, brief: Brief, progress: Progress) -> Written:
        """A draft for the brief. Raises ArtMasterError where it could not be made to give one."""

    def revise(self, story: Story, shot: Shot, faults: Sequence[str], progress: Progress) -> ShotDraft:
        """That shot written anew so that the faults (one sentence each: what its pictures miss) may go."""

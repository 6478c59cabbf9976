"""What a book tells, whoever shows it: a story with its painted pictures, chapter by chapter, and who is seen where.

A story's text is anybody's: what would turn lines round, or cannot be printed, is taken out of it here, once for page
and PDF.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.gallery.enlarging import Picture
from artmaster_pipeline.gallery.provenance import Provenance
from artmaster_pipeline.records import Sample
from artmaster_pipeline.settings import PainterSettings
from artmaster_pipeline.stories.records import Character, Era, Motif, Shot, Story

# Marks that change the direction of what stands beside them, up to a mark that may never come.
_TURNING = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


@dataclass(frozen=True)
class Round:
    """What the critique said of a shot in one round."""

    number: int  # 1 and on
    faults: tuple[str, ...] = ()  # a sentence each: what its best picture missed
    kept: bool = False  # whether that picture is the book's
    says: str = ""  # why nobody wrote the shot anew, or why it was not painted anew


@dataclass(frozen=True)
class Told:
    """How a shot's picture came to be chosen."""

    candidates: int = 0  # pictures that were painted for it; 0: not recorded
    why: str = ""  # a sentence
    rounds: tuple[Round, ...] = ()


@dataclass(frozen=True)
class Plate:
    """A picture of the book."""

    number: int  # 1 and on, through all chapters
    shot: Shot
    picture: Picture
    told: Told = Told()

    @property
    def record(self) -> Sample:
        """The record of the picture."""
        return self.picture.record


@dataclass(frozen=True)
class Chapter:
    """The plates that follow one another in one era."""

    number: int
    era: Era
    plates: tuple[Plate, ...]


@dataclass(frozen=True)
class Book:
    """All that a book tells."""

    story: Story
    chapters: tuple[Chapter, ...]
    provenance: Provenance
    painters: Mapping[str, PainterSettings]  # whose hand it is, by slug
    proof: bool = False  # nobody judged it fit to be published

    @property
    def plates(self) -> tuple[Plate, ...]:
        """All pictures, in the order of the story."""
        return tuple(plate for chapter in self.chapters for plate in chapter.plates)

    @property
    def hands(self) -> str:
        """The painters for a person."""
        return " × ".join(painter.name for painter in self.painters.values())

    @property
    def cast(self) -> tuple[tuple[Character, tuple[Plate, ...]], ...]:
        """The characters who are on stage anywhere, and where."""
        shown = ((who, self._with(who.id, lambda shot: shot.onstage)) for who in self.story.characters)
        return tuple((who, plates) for who, plates in shown if plates)

    @property
    def motifs(self) -> tuple[tuple[Motif, tuple[Plate, ...]], ...]:
        """The things of today that are shown anywhere, and where."""
        shown = ((thing, self._with(thing.id, lambda shot: shot.motifs)) for thing in self.story.motifs)
        return tuple((thing, plates) for thing, plates in shown if plates)

    def has(self, language: str) -> bool:
        """Whether any line of the story is told in a language."""
        shots = self.story.shots
        return any(getattr(words, language) for shot in shots for words in (shot.narration, shot.plot))

    def _with(self, name: str, names: Any) -> tuple[Plate, ...]:
        return tuple(plate for plate in self.plates if name in names(plate.shot))


def book_of(
    story: Story,
    pictures: Iterable[Picture],
    provenance: Provenance,
    painters: Mapping[str, PainterSettings],
    told: Mapping[str, Told] | None = None,
    *,
    proof: bool = False,
) -> Book:
    """The book of a story and its pictures, one for each shot; `told` by the shots' ids.

    Raises ArtMasterError where a shot has no picture.
    """
    story, by_shot = readable(story), {picture.record.shot: picture for picture in pictures}
    if missing := [shot.id for shot in story.shots if shot.id not in by_shot]:
        raise ArtMasterError(
            f"The story {story.name} has no picture for {', '.join(missing)}: paint it first (artmaster story paint "
            f"{story.name})."
        )
    eras = {era.id: _headed(era) for era in story.eras}
    plates = (
        Plate(number, shot, by_shot[shot.id], (told or {}).get(shot.id, Told()))
        for number, shot in enumerate(story.shots, 1)
    )
    chapters = groupby(plates, key=lambda plate: plate.shot.era)
    found = tuple(Chapter(number, eras[era], tuple(of)) for number, (era, of) in enumerate(chapters, 1))
    return Book(story, found, provenance, dict(painters), proof)


def _headed(era: Era) -> Era:
    """An era as a chapter's title has it: a capital first, and a dash between years."""
    english = era.name.en[:1].upper() + era.name.en[1:]
    years = re.sub(r"(?<=\d)-(?=\d)", "\N{EN DASH}", era.years)
    return era.model_copy(update={"name": era.name.model_copy(update={"en": english}), "years": years})


def readable(story: Story) -> Story:
    """The story with texts that can be shown: without controls and marks that turn lines round."""
    return Story.model_validate(_cleaned(story.model_dump(mode="json")))


def _cleaned(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _cleaned(of) for name, of in value.items()}
    if isinstance(value, list):
        return [_cleaned(of) for of in value]
    return _shown(value) if isinstance(value, str) else value


def _shown(text: str) -> str:
    """A text without what cannot be shown; a question mark where nothing is left of it."""
    kept = ("" if char in _TURNING or unicodedata.category(char) in ("Cs", "Co", "Cn") else char for char in text)
    spaced = (" " if unicodedata.category(char) == "Cc" else char for char in "".join(kept))
    found = " ".join("".join(spaced).split())
    return found or ("?" if text.strip() else "")

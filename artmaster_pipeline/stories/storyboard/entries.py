"""The tables of this room (tables/*.yaml): eras, places, moments, cast, motifs, mediums and threads, in two languages.

What is painted is said in words that the bases' encoders read, the miniature's too; what is told, in English and
Chinese. A table that is wrong is an error of the package, and a test reads them all.
"""

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from artmaster_pipeline.stories.records import Line, Name, Perspective, Words
from artmaster_pipeline.yaml_text import read_strict_yaml

_FOLDER = Path(__file__).parent / "tables"
# Where in a picture somebody is, when he is there alone.
Stand = Literal["ground", "water", "sky"]
Lines = Annotated[tuple[Words, ...], Field(min_length=1)]
# The season, the hour and the air that a moment says.
_MODERN = 1950  # an era that ends later is our own: its things are painted as what stands for them


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Keywords(_Entry):
    """Words of a wish that ask for an entry: of English also their plurals, of Chinese anywhere in the text."""

    en: tuple[str, ...] = ()
    zh: tuple[str, ...] = ()


class EraEntry(_Entry):
    """A time and a culture."""

    name: Words
    years: Line
    begins: int
    ends: int
    keywords: Keywords = Keywords()
    places: tuple[Line, ...] = Field(min_length=4)  # of the table of places
    arrivals: Lines  # when the story comes there

    @property
    def is_modern(self) -> bool:
        """Whether the things of today are at home there."""
        return self.ends > _MODERN


class Place(_Entry):
    """Where a shot is: the words that are painted, and "in the village by the river" as it is told."""

    words: Line
    en: str
    zh: str
    perspectives: tuple[Perspective, ...] = ("high", "deep", "level")


class Moment(_Entry):
    """Season, hour and air: the words that are painted, and "On a misty autumn evening" as it is told."""

    words: Line
    en: str
    zh: str


class Figure(_Entry):
    """Somebody or something that recurs."""

    name: Words  # as a title says it: "The Fisherman"
    who: Words  # as a sentence says it: "the fisherman"
    visual: Line
    variants: dict[Name, Line] = {}
    stand: Stand = "ground"
    lead: bool = True  # whether a story can be told of it
    keywords: Keywords = Keywords()
    does: Lines  # what it does, as the rest of a sentence
    meets: Lines  # what it does beside whoever the story is of


class MotifEntry(_Entry):
    """A thing of today and what stands for it."""

    thing: Words
    rendering: Line
    since: int  # the year from which it was about
    keywords: Keywords
    told: Lines  # a sentence on what it has become


class Medium(_Entry):
    """What a picture is made with."""

    name: Words
    palettes: tuple[Line, ...] = ()
    forbidden: tuple[Line, ...] = ()


class Thread(_Entry):
    """What a story is about: its lines, of a beginning, changes of era, middles, a turn and an end."""

    leads: tuple[Name, ...] = Field(min_length=1)
    titles: Lines
    openings: Lines
    crossings: Lines  # where another era begins
    middles: Lines
    turns: Lines
    endings: Lines


E = TypeVar("E", bound=_Entry)


@cache
def eras() -> dict[str, EraEntry]:
    """By id, in the order of time."""
    return dict(sorted(_named("eras", EraEntry).items(), key=lambda entry: entry[1].begins))


@cache
def cast() -> dict[str, Figure]:
    """By id, as the table has them."""
    return _named("cast", Figure)


@cache
def motifs() -> dict[str, MotifEntry]:
    """By id, as the table has them."""
    return _named("motifs", MotifEntry)


@cache
def mediums() -> dict[str, Medium]:
    """By id, as the table has them."""
    return _named("mediums", Medium)


@cache
def threads() -> dict[str, Thread]:
    """By id, as the table has them."""
    return _named("threads", Thread)


@cache
def places() -> dict[str, Place]:
    """By the words that are painted."""
    return {place.words: place for place in (Place.model_validate(entry) for entry in _content("places"))}


@cache
def moments() -> dict[str, Moment]:
    """By the words that are painted."""
    return {moment.words: moment for moment in (Moment.model_validate(entry) for entry in _content("moments"))}


@cache
def interludes() -> tuple[Words, ...]:
    """Lines that any story may have between, once its thread's own are told."""
    return tuple(Words.model_validate(entry) for entry in _content("interludes"))


@cache
def further_things() -> Keywords:
    """Things of today without a rendering of their own."""
    return Keywords.model_validate(_content("things_of_today"))


def _named(table: str, kind: type[E]) -> dict[str, E]:
    return {name: kind.model_validate(entry) for name, entry in _content(table).items()}


def _content(table: str) -> Any:
    return read_strict_yaml((_FOLDER / f"{table}.yaml").read_text(encoding="utf-8"))

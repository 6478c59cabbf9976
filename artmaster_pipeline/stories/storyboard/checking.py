"""Whether a storyboard can be painted as it stands: every fault at once, each with where it is and the way out."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from itertools import combinations
from typing import Any

from artmaster_pipeline.copainting.canvas.reading import token_of
from artmaster_pipeline.copainting.records import MOST_REGIONS
from artmaster_pipeline.settings import Home, Profile
from artmaster_pipeline.stories.records import (
    FEWEST_SHOTS,
    MOST_CHARACTERS,
    MOST_ERAS,
    MOST_ONSTAGE,
    MOST_SHOTS,
    Shot,
    ShotRegion,
    Story,
    Words,
)
from artmaster_pipeline.stories.storyboard.brief import painters_of
from artmaster_pipeline.stories.storyboard.entries import eras, further_things, mediums, motifs
from artmaster_pipeline.stories.storyboard.matching import found_in, has_chinese
from artmaster_pipeline.stories.storyboard.prompts import prompt_of, rendered, size_of
from artmaster_pipeline.stories.storyboard.words import Encoders

_SEEDS = 2**63
_PARTS = ("eras", "characters", "motifs", "shots")
_EDGE = 1e-6  # by which a box may miss the picture's edge: thirds are rounded


@dataclass(frozen=True)
class Left:
    """What was taken out of a storyboard before it was judged, since it was no storyboard's: told of already."""

    positions: Mapping[str, Sequence[int]] = field(default_factory=dict)  # part -> the places of what is still there
    ids: Mapping[str, frozenset[str]] = field(default_factory=dict)  # part -> ids of what is not
    names: frozenset[str] = frozenset()  # of whole parts


def faults_of(story: Story, home: Home, profile: Profile, left: Left = Left()) -> tuple[str, ...]:  # noqa: B008 - frozen
    """Every fault of a storyboard: "shots[2] (shot-3).onstage: there is no 'ladi'; did you mean lady?"; none is empty."""
    return tuple(dict.fromkeys(_Checking(story, home, profile, left).faults()))


def things_of_today(text: str, era_id: str) -> tuple[str, ...]:
    """The words of a text for things that an era does not know; of our own eras all of them, since all are rendered."""
    era = eras().get(era_id)
    until = era.ends if era and not era.is_modern else -(10**6)
    terms = [
        term for entry in motifs().values() if entry.since > until for term in entry.keywords.en + entry.keywords.zh
    ]
    return found_in(text, dict.fromkeys([*terms, *further_things().en, *further_things().zh]))


def forbidden_in(story_forbidden: Iterable[str], medium: str, text: str) -> tuple[str, ...]:
    """The words of a text that contradict the medium."""
    entry = mediums().get(medium)
    return found_in(text, dict.fromkeys([*story_forbidden, *(entry.forbidden if entry else ())]))


def is_plain(text: str) -> bool:
    """Whether a text has no control characters, and no marks that turn its direction."""
    return not any(unicodedata.category(letter) in ("Cc", "Cf", "Co", "Cs") for letter in text)


class _Checking:
    """One storyboard as it is judged."""

    def __init__(self, story: Story, home: Home, profile: Profile, left: Left) -> None:
        self.story, self.home, self.profile, self.left = story, home, profile, left
        self.painter_faults: list[str] = []
        contract = story.style_contract
        known = "style_contract" not in left.names
        self.painters = painters_of(contract.painter, contract.mix, home, self.painter_faults) if known else ()
        self.known = {part: {each.id for each in getattr(story, part)} | set(left.ids.get(part, ())) for part in _PARTS}

    @cached_property
    def encoders(self) -> Encoders:
        return Encoders.of(self.profile, self.home, self.painters)

    def faults(self) -> Iterator[str]:
        """All of them, in the order of the file."""
        yield from self._texts()
        yield from self._title()
        yield from (f"style_contract.{fault}" for fault in self.painter_faults)
        yield from self._contract()
        yield from self._counts()
        yield from self._ids()
        yield from self._eras()
        for number, who in enumerate(self.story.characters):
            place = self._place("characters", number)
            yield from self._words(f"{place}.canonical_visual", who.canonical_visual, "")
            for era, words in who.era_variants.items():
                yield from self._known(f"{place}.era_variants", "eras", [era])
                yield from self._words(f"{place}.era_variants.{era}", words, era)
            if not who.canonical_visual:
                yield f"{place}.canonical_visual: say how it is painted, in a few words"
        for number, motif in enumerate(self.story.motifs):
            place = f"{self._place('motifs', number)}.traditional_rendering"
            yield from self._words(place, motif.traditional_rendering, "", renders=False)
            if not motif.traditional_rendering:
                yield f"{place}: say what stands for it, in a few words"
        for number, shot in enumerate(self.story.shots):
            yield from self._shot(self._place("shots", number), shot)
        yield from self._same()

    def _place(self, part: str, number: int) -> str:
        positions = self.left.positions.get(part)
        id = getattr(self.story, part)[number].id
        return f"{part}[{positions[number] if positions else number}] ({id})"

    def _texts(self) -> Iterator[str]:
        for where, text in _strings(self.story.model_dump(mode="json")):
            if not is_plain(text):
                yield f"{where}: it holds a character that no text has: type it anew"

    def _title(self) -> Iterator[str]:
        if not any((self.story.title.en, self.story.title.zh)) and "title" not in self.left.names:
            yield "title: say it in English (en), Chinese (zh), or both"

    def _contract(self) -> Iterator[str]:
        contract = self.story.style_contract
        if contract.medium not in mediums():
            yield f"style_contract.medium: {_unknown(contract.medium, mediums())}"
        for number, words in enumerate(contract.palette):
            yield from self._words(f"style_contract.palette[{number}]", words, "")

    def _counts(self) -> Iterator[str]:
        bounds = {"eras": (1, MOST_ERAS), "characters": (0, MOST_CHARACTERS), "shots": (FEWEST_SHOTS, MOST_SHOTS)}
        for part, (fewest, most) in bounds.items():
            there = len(getattr(self.story, part)) + len(self.left.ids.get(part, ()))
            if part in self.left.names or part in self.left.positions and there < fewest:
                continue
            if not fewest <= there <= most:
                yield f"{part}: {there} of them: have {fewest or 'none'} to {most}"

    def _ids(self) -> Iterator[str]:
        for part in _PARTS:
            ids = [each.id for each in getattr(self.story, part)]
            for id in dict.fromkeys(id for id in ids if ids.count(id) > 1):
                yield f"{part}: {ids.count(id)} have the id {id}: give each its own"
        for id in sorted({who.id for who in self.story.characters} & {motif.id for motif in self.story.motifs}):
            yield f"motifs: {id} is a character's id, too: give the motif another"

    def _eras(self) -> Iterator[str]:
        used = {shot.era for shot in self.story.shots}
        if self.left.positions.get("shots") or "shots" in self.left.names:
            return  # one that is taken out may be set there
        for number, era in enumerate(self.story.eras):
            if era.id not in used:
                yield f"{self._place('eras', number)}: no shot is set in it: set one there, or take it out"

    def _shot(self, place: str, shot: Shot) -> Iterator[str]:
        yield from self._known(f"{place}.era", "eras", [shot.era])
        yield from self._known(f"{place}.onstage", "characters", shot.onstage)
        yield from self._known(f"{place}.motifs", "motifs", shot.motifs)
        for name, ids in (("onstage", shot.onstage), ("motifs", shot.motifs)):
            for id in dict.fromkeys(id for id in ids if ids.count(id) > 1):
                yield f"{place}.{name}: {id} is named {ids.count(id)} times: once is enough"
        if len(shot.onstage) > MOST_ONSTAGE:
            yield f"{place}.onstage: {len(shot.onstage)} at once: {MOST_ONSTAGE} are the most that a picture keeps apart"
        yield from self._told(f"{place}.plot", shot.plot)
        yield from self._told(f"{place}.narration", shot.narration)
        before = len(self.unsaid)
        for name in ("setting", "static_description", "prompt"):
            yield from self._words(f"{place}.{name}", getattr(shot, name), shot.era)
        if not (shot.setting or shot.prompt):
            yield f"{place}.setting: say where it is, in a few words"
        elif len(self.unsaid) == before and (why := self.encoders.too_long(prompt_of(self.story, shot))):
            way_out = "say it in fewer words" if shot.prompt else "leave out a motif or somebody, or say less"
            yield f"{place}.prompt: {why}, so its end would not be painted: {way_out}"
        if shot.seed >= _SEEDS:
            yield f"{place}.seed: {shot.seed}: choose one below 2^63"
        yield from self._regions(place, shot)

    @cached_property
    def unsaid(self) -> list[str]:
        """Places of words that cannot stand: what hangs on them needs no telling."""
        return []

    def _regions(self, place: str, shot: Shot) -> Iterator[str]:
        ids = [region.id for region in shot.regions]
        for id in dict.fromkeys(id for id in ids if ids.count(id) > 1):
            yield f"{place}.regions: {ids.count(id)} have the id {id}: give each its own"
        if len(ids) > MOST_REGIONS:
            yield f"{place}.regions: {len(ids)} of them: {MOST_REGIONS} are the most"
        for number, region in enumerate(shot.regions):
            where = f"{place}.regions[{number}] ({region.id})"
            here = {*shot.onstage, *shot.motifs}
            if region.of not in self.known["characters"] | self.known["motifs"]:
                yield f"{where}.of: {_unknown(region.of, here)}"
            elif region.of not in here:
                yield f"{where}.of: {region.of} is not in this shot: put it in onstage or motifs, or take the region out"
            yield from (f"{where}.box: {fault}" for fault in self._box(shot, region))
            yield from self._words(f"{where}.prompt", region.prompt, shot.era)
        for one, other in combinations(shot.regions, 2):
            if _overlap(one.box, other.box):
                yield f"{place}.regions: {one.id} and {other.id} overlap: give each part of the picture to one of them"

    def _box(self, shot: Shot, region: ShotRegion) -> Iterator[str]:
        left, top, right, bottom = region.box
        said = f"{list(region.box)}"
        if min(region.box) < -_EDGE or max(region.box) > 1 + _EDGE:
            yield f"{said} is outside the picture: left, top, right, bottom are shares of it, 0 to 1"
        elif left >= right or top >= bottom:
            yield f"{said} is empty: say left, top, right, bottom, left below right and top below bottom"
        else:
            width, height = size_of(shot)
            token = token_of(self.profile)
            if (right - left) * width < token or (bottom - top) * height < token:
                least = f"{token / width:.3g} of the width and {token / height:.3g} of the height"
                yield f"{said} is less than one token of the model: make it {least} or more"

    def _same(self) -> Iterator[str]:
        seen: dict[tuple[str, int], str] = {}
        for number, shot in enumerate(self.story.shots):
            place = self._place("shots", number)
            key = (prompt_of(self.story, shot), shot.seed)
            if key in seen:
                yield f"{place}: it would be the same picture as {seen[key]}: say something else, or give it another seed"
            seen.setdefault(key, place)

    def _told(self, place: str, words: Words) -> Iterator[str]:
        if not (words.en or words.zh):
            yield f"{place}: say it in English (en), Chinese (zh), or both"

    def _known(self, place: str, part: str, ids: Iterable[str]) -> Iterator[str]:
        for id in dict.fromkeys(ids):
            if id not in self.known[part]:
                yield f"{place}: {_unknown(id, sorted(self.known[part]))}"

    def _words(self, place: str, text: str, era: str, *, renders: bool = True) -> Iterator[str]:
        """What is wrong with words that are painted."""
        heard = rendered(self.story.motifs, text) if renders else text
        found = []
        if unread := self.encoders.unread(heard):
            which = ", ".join(repr(word) for word in unread[:6])
            if any(map(has_chinese, unread)):
                way_out = "say it in English; Chinese belongs in title, plot and narration"
            else:
                way_out = "say it in other words"
            found.append(f"{place}: the base model does not read {which}: {way_out}")
        contract = self.story.style_contract
        for word in forbidden_in(contract.forbidden, contract.medium, heard):
            found.append(f"{place}: {word!r} contradicts the medium ({contract.medium}): take it out")
        for word in things_of_today(heard, era):
            known = [id for id, entry in motifs().items() if word in entry.keywords.en + entry.keywords.zh]
            stands = f"add the motif {known[0]} ({motifs()[known[0]].rendering})" if known else "add a motif for it"
            found.append(f"{place}: nothing stands for {word!r}: {stands}, or take the word out")
        self.unsaid.extend(found)
        yield from found


def _overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    width = min(one[2], other[2]) - max(one[0], other[0])
    return width > _EDGE and min(one[3], other[3]) - max(one[1], other[1]) > _EDGE


def _unknown(said: str, known: Iterable[str]) -> str:
    known = list(known)
    near = get_close_matches(said, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
    return f"there is no {said[:64]!r}; {hint}"


def _strings(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _strings(each, f"{where}.{name}" if where else str(name))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _strings(each, f"{where}[{number}]")

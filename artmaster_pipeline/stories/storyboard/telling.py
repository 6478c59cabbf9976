"""A story told from the tables: the same for the same brief. What an author leaves out is taken from it.

A story has a thread (a letter, a net, a bridge): it opens, passes from era to era, turns at two thirds and ends where
it began. What is told below a picture is the thread's; what happens in it is put together from the moment, the place
and what whoever is there does, in sentences that both languages have.
"""

import random
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from artmaster_pipeline.records import identity
from artmaster_pipeline.stories.records import Brief, Era, Perspective, Shot, ShotDraft, Story, StoryDraft, Words
from artmaster_pipeline.stories.storyboard.entries import (
    Moment,
    Place,
    cast,
    eras,
    interludes,
    moments,
    motifs,
    places,
    threads,
)
from artmaster_pipeline.stories.storyboard.matching import count_words
from artmaster_pipeline.stories.storyboard.prompts import perspective_words

T = TypeVar("T")
_SHORTEST = 2  # words of a moment that fits anywhere: "at dusk"
_QUIET = 12  # the shortest moments, which leave a picture to who is in it


def told(brief: Brief) -> StoryDraft:
    """The whole story of a brief, with as many shots as were wished for."""
    return _Telling(brief).story()


def told_again(story: Story, shot: Shot, faults: Sequence[str]) -> ShotDraft:
    """A shot with the same people, plot and narration in another place at another moment, emptier than it was.

    What stands beside who is on stage is what hides him: so the motifs go, and the view is level. The same faults of
    the same shot give the same; others something else.
    """
    dice = _dice("revision", shot.id, shot.setting, shot.static_description, list(faults))
    entry = eras().get(shot.era)
    shown = {who.canonical_visual for who in story.characters if who.id in shot.onstage}
    taken = {each.setting for each in story.shots} | shown
    goes = set(cast()[shot.onstage[0]].goes) if shot.onstage and shot.onstage[0] in cast() else set()
    fitting = [words for words, place in places().items() if not goes or place.kind in goes]
    of_era = [words for words in (entry.places if entry else ()) if words in fitting and words not in taken]
    setting = dice.choice(of_era or [words for words in fitting if words not in taken] or [shot.setting])
    known = places().get(setting)
    fitting_moments = [words for words, moment in moments().items() if known is None or known.is_at(moment)]
    quiet = sorted(fitting_moments, key=count_words)[:_QUIET]
    draft = ShotDraft(
        era=shot.era,
        plot=Words(),
        setting=setting,
        perspective="level" if shot.onstage else shot.perspective,
        onstage=shot.onstage,
        motifs=() if shot.onstage else shot.motifs,
        static_description=dice.choice([words for words in quiet if words != shot.static_description]),
        narration=shot.narration,
    )
    return draft.model_copy(update={"plot": plot_of(draft, shot.id)})


def line_of_the_tables(narration: Words) -> Words:
    """A narration without what a model added behind the tables' line; as it is where it is no line of theirs."""
    lines = list(interludes().between)
    for thread in threads().values():
        lines += [*thread.openings, *thread.crossings, *thread.middles, *thread.turns, *thread.endings]
    for line in lines:
        if _as_pattern(line.zh).fullmatch(narration.zh) and (said := _as_pattern(line.en).match(narration.en)):
            return narration.model_copy(update={"en": said[0]})
    return narration


def _as_pattern(line: str) -> re.Pattern[str]:
    """What a line can be once its {names} are filled in."""
    return re.compile(".+?".join(re.escape(part) for part in re.split(r"\{\w+\}", line)), re.IGNORECASE)


def plot_of(shot: ShotDraft, seed: object = 0) -> Words:
    """What happens in a shot, from its parts, in both languages: the same for the same `seed`."""
    dice = _dice("plot", seed, shot.era, shot.setting, shot.onstage, shot.static_description)
    figures = [id for id in shot.onstage if id in cast()]
    return _plot(shot, dice.choice(cast()[figures[0]].does) if figures else Words(), dice)


class _Turns(Generic[T]):
    """Things taken in turns from a shuffled pack: none comes again before all were there."""

    def __init__(self, dice: random.Random, things: Iterable[T], *, in_order: bool = False) -> None:
        self.dice, self.things = dice, list(things)
        self.left: list[T] = list(self.things) if in_order else []
        self.last: list[T] = []

    def next(self, fits: Callable[[T], bool] = lambda _: True) -> T:
        """The next that fits; where none does, the next."""
        if not any(map(fits, self.left)):
            fresh = [thing for thing in self.things if thing not in self.left]
            self.dice.shuffle(fresh)
            # what came last does not come first of the new pack
            self.left += sorted(fresh, key=lambda thing: thing in self.last)
        found = next((thing for thing in self.left if fits(thing)), self.left[0])
        self.left.remove(found)
        self.last = [found]
        return found


class _Telling:
    """One story as it is put together."""

    def __init__(self, brief: Brief) -> None:
        self.brief = brief
        self.names = {era.id: _said(era) for era in brief.eras}
        parts = brief.model_dump(mode="json", include={"wish", "eras", "characters", "motifs"})
        self.dice = dice = _dice("telling", parts)
        here = [who.id for who in brief.characters if who.id in cast()]
        name, self.lead = self._thread(here)
        self.thread = threads()[name]
        self.others = [id for id in here if id != self.lead]
        known = [motif.id for motif in brief.motifs if motif.id in motifs()]
        # those that were asked for come first, and what an old era foresees comes again in ours
        self.motifs = {now: _Turns(dice, known, in_order=True) for now in (False, True)}
        self.moments = _Turns(dice, moments().values())
        self.places = {era.id: _Turns(dice, _places(brief, era.id)) for era in brief.eras}
        self.companions = _Turns(dice, self.others)
        self.views: _Turns[Perspective] = _Turns(dice, ("level", "high", "deep"))
        self.told_middles = 0
        self.lines: dict[str, _Turns[Words]] = {}

    def _thread(self, here: Sequence[str]) -> tuple[str, str]:
        """A thread and whom it is of: whoever was asked for, who is first in a brief, if there is a thread for him."""
        pairs = [(name, lead) for name, thread in threads().items() for lead in thread.leads if lead in here]
        first = [pair for pair in pairs if pair[1] == here[0]] if here else []
        return self.dice.choice(first or pairs or [(name, "") for name in threads()])

    def story(self) -> StoryDraft:
        """The draft."""
        count, eras_ = self.brief.wish.shots, self.brief.eras
        of = [eras_[number * len(eras_) // count].id for number in range(count)]
        title = _filled(self.dice.choice(self.thread.titles), era=self.names[of[-1]])
        return StoryDraft(title=title, shots=tuple(self._shot(number, of) for number in range(count)))

    def _shot(self, number: int, of: Sequence[str]) -> ShotDraft:
        era, begins = of[number], number > 0 and of[number] != of[number - 1]
        onstage = self._onstage(number, len(of))
        place, view = self._place(era, onstage)
        alone = len(of) > 3 and number in (0, len(of) - 1)  # a story begins and ends with one person and one place
        now = era in eras() and eras()[era].is_modern
        shows = not alone and (now or number % 3 == 1)
        shown = [self.motifs[now].next()] if shows and self.motifs[now].things else []
        draft = ShotDraft(
            era=era,
            plot=Words(),
            setting=place.words,
            perspective=view,
            onstage=tuple(onstage),
            motifs=tuple(shown),
            static_description="",
            narration=self._narration(number, of, begins=begins),
        )
        for less in ({"motifs": ()}, {"onstage": tuple(onstage[:1])}):
            if self._length(draft) + _SHORTEST > self.brief.style_contract.words:
                draft = draft.model_copy(update=less)
        onstage = list(draft.onstage)
        moment = self._moment(place, self.brief.style_contract.words - self._length(draft))
        draft = draft.model_copy(update={"static_description": moment.words})
        plot = _plot(
            draft, self._next(f"does {onstage[0]}", cast()[onstage[0]].does) if onstage else Words(), self.dice
        )
        entry = eras().get(era)
        if entry and (begins or number == 0):
            plot = _joined([self._next(f"arrivals {era}", entry.arrivals), plot])
        return draft.model_copy(update={"plot": plot})

    def _onstage(self, number: int, count: int) -> list[str]:
        """Whoever the story is of, now and then with a companion; of four pictures in the middle one is of another."""
        if not self.lead:
            return []
        if self.others and 0 < number < count - 1 and number % 4 == 3:
            return [self.companions.next()]
        together = self.others and number % 3 == 1 and (number < count - 1 or count < 4)
        return [self.lead, self.companions.next()] if together else [self.lead]

    def _place(self, era: str, onstage: Sequence[str]) -> tuple[Place, Perspective]:
        shown = {who.canonical_visual for who in self.brief.characters if who.id in onstage}
        goes = [set(cast()[id].goes) for id in onstage]
        all_go = set.intersection(*goes) if goes else set()
        if not any(place.kind in all_go for place in self.places[era].things):
            all_go = goes[0] if goes else {place.kind for place in self.places[era].things}
        place = self.places[era].next(lambda place: place.kind in all_go and place.words not in shown)
        return place, self.views.next(lambda view: view in place.perspectives)

    def _narration(self, number: int, of: Sequence[str], *, begins: bool) -> Words:
        count = len(of)
        if number == 0:
            part, lines = "openings", self.thread.openings
        elif number == count - 1:
            part, lines = "endings", self.thread.endings
        elif begins:
            part, lines = "crossings", self.thread.crossings
        elif number == 2 * count // 3:
            part, lines = "turns", self.thread.turns
        else:
            own = self.told_middles < len(self.thread.middles)
            part, lines = ("middles", self.thread.middles) if own else ("interludes", interludes().between)
            self.told_middles += 1
        before = self.names[of[max(0, number - 1)]]
        return _filled(self._next(part, lines), era=self.names[of[number]], before=before)

    def _next(self, of: str, lines: Sequence[Words]) -> Words:
        if of not in self.lines:
            self.lines[of] = _Turns(self.dice, lines)
        return self.lines[of].next()

    def _length(self, draft: ShotDraft) -> int:
        """Words and marks of all in a shot's prompt but the moment."""
        visuals = {who.id: who.era_variants.get(draft.era, who.canonical_visual) for who in self.brief.characters}
        things = {motif.id: motif.traditional_rendering for motif in self.brief.motifs}
        parts = [*(visuals[id] for id in draft.onstage), draft.setting, *(things[id] for id in draft.motifs)]
        parts += [perspective_words(draft.perspective), *self.brief.style_contract.palette]
        return count_words(", ".join(dict.fromkeys(parts)))

    def _moment(self, place: Place, room: int) -> Moment:
        """The next moment that the place has, in as many words as there is room for."""
        room = max(room, _SHORTEST)
        return self.moments.next(lambda moment: count_words(moment.words) <= room and place.is_at(moment))


def _plot(shot: ShotDraft, does: Words, dice: random.Random) -> Words:
    """What happens: "On a misty evening, in the village by the river, the traveller asks the way.", and so on."""
    moment, place = moments().get(shot.static_description), places().get(shot.setting)
    figures = [cast()[id] for id in shot.onstage if id in cast()]
    if figures:
        en, zh = f"{figures[0].who.en} {does.en}", f"{figures[0].who.zh}{does.zh}"
    else:
        en, zh = "nobody is to be seen", "四下无人"
    where = [part for part in (moment, place) if part]
    first = Words(
        en=_sentence(", ".join([*(part.en for part in where), en])),
        zh="，".join([*(part.zh for part in where), zh]) + "。",
    )
    meets = [Words(en=_sentence(f"{each.who.en} {line.en}"), zh=f"{each.who.zh}{line.zh}。")
             for each in figures[1:] for line in [dice.choice(each.meets)]]  # fmt: skip
    things = [_thing(id, shot.era, dice) for id in shot.motifs if id in motifs()]
    return _joined([first, *meets, *things])


def _thing(id: str, era: str, dice: random.Random) -> Words:
    """What a thing of today has become; in an era that does not know it, that it will come."""
    entry, when = motifs()[id], eras().get(era)
    if when is None or when.is_modern or entry.since <= when.ends:
        return dice.choice(entry.told)
    return _filled(dice.choice(interludes().foresights), thing=entry.thing)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _joined(parts: Sequence[Words]) -> Words:
    return Words(en=" ".join(part.en for part in parts), zh="".join(part.zh for part in parts))


def _said(era: Era) -> Words:
    """An era as a sentence says it."""
    entry = eras().get(era.id)
    return entry.said if entry and entry.said else era.name


def _filled(line: Words, **names: Words) -> Words:
    """A line with {era} and {before} said."""
    en, zh = line.en, line.zh
    for slot, name in names.items():
        en, zh = en.replace(f"{{{slot}}}", name.en), zh.replace(f"{{{slot}}}", name.zh)
    return Words(en=en[:1].upper() + en[1:], zh=zh)


def _places(brief: Brief, era: str) -> list[Place]:
    said = [places()[words] for words in brief.settings.get(era, ()) if words in places()]
    return said or list(places().values())


def _dice(*parts: object) -> random.Random:
    return random.Random(identity(*parts))  # noqa: S311 - no secret

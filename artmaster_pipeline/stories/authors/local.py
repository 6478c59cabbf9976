"""The local author: a language model on this machine that chooses from the tables and writes a sentence for each shot.

The embedded one is small: it obeys a form and writes little. So the tables carry the story (its thread, its lines in
both languages), and the model decides what a story of this wish shows: of whom it is, where each shot is, at which
hour, from what distance, in whose company, which things of today stand in it; and it adds a sentence of its own to
each English line, if one of those that it writes can stand.
"""

import math
import random
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import identity
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stories.authors.asking import as_data, brief_of
from artmaster_pipeline.stories.authors.guided import ChatModel, load_chat_model
from artmaster_pipeline.stories.authors.sentences import copies, faults_of_sentence, is_fragment, untimely
from artmaster_pipeline.stories.authors.weights import Weights, weights_of
from artmaster_pipeline.stories.records import (
    Authorship,
    Brief,
    Character,
    Perspective,
    Shot,
    ShotDraft,
    Story,
    StoryDraft,
    Words,
    Written,
)
from artmaster_pipeline.stories.storyboard.checking import things_of_today
from artmaster_pipeline.stories.storyboard.entries import cast, eras, places
from artmaster_pipeline.stories.storyboard.matching import count_words, found_in, has_latin
from artmaster_pipeline.stories.storyboard.prompts import perspective_words, words_of
from artmaster_pipeline.stories.storyboard.telling import line_of_the_tables, plot_of, told, told_again

Id = TypeVar("Id", bound=str)
_GIST = 240  # characters of a wish that a small model is told
_MOMENTS = 8  # hours and airs that are weighed for a shot
_LINES, _ROUNDS = 4, 2  # sentences that are written at once, and how often
_CHANCE = 0.05  # nats a token by which another seed may turn a choice
_AGAIN = 0.4  # nats a token by which what was chosen before is worth less, each time
_VIEWS: dict[Perspective, str] = {
    "high": "from below, up to high peaks",
    "deep": "deep into the distance",
    "level": "level across a wide land",
}
_TASK = (
    "You write the lines under the pictures of a quiet picture book. One short sentence each, about what is seen. "
    "Name nobody who is not in the picture."
)
_EXAMPLES = (
    ("a pine beside a rock, in winter at dawn. There: nobody.",
     "A pine holds its place beside the rock, and the snow makes no sound."),
    ("a village by a river, in the rain. There: the lady under a parasol.",
     "The lady waits under her parasol while the rain counts the roofs of the village."),
    ("layered mountains, on an autumn morning. There: the traveller.",
     "The traveller counts seven ridges, and behind the last one there is another."),
)  # fmt: skip


class LocalAuthor:
    """Writes by a model on this machine; nothing leaves it."""

    name = "local"

    def __init__(self, model: str = "", home: Home | None = None) -> None:
        """By SmolLM2 where `model` is empty, else by a folder or hub repository. Raises MissingRequirement."""
        self._weights: Weights = weights_of(model, home)

    @session()
    def write(self, brief: Brief, progress: Progress) -> Written:
        """A draft for the brief, with all that was asked for."""
        progress.say(f"{self._weights.name} writes on this machine.")
        writing = _Writing(load_chat_model(self._weights), brief)
        with progress.task("Writing shots", brief.wish.shots) as advance:
            for number in range(brief.wish.shots):
                shot = writing.shot(number)
                advance(note=shot.setting)
        said = Authorship(
            author=self.name,
            model=self._weights.name,
            weights_sha256=self._weights.sha256,
            repairs=(_what_it_did(self._weights.name, writing.written, brief), *writing.repairs),
        )
        return Written(draft=StoryDraft(title=writing.base.title, shots=tuple(writing.shots)), authorship=said)

    @session()
    def revise(self, story: Story, shot: Shot, faults: Sequence[str], progress: Progress) -> ShotDraft:
        """The shot emptier, in another place at another hour of the model's choice, with the same people and line.

        The sentence that it wrote for the place before goes.
        """
        progress.say(f"{shot.id}: {self._weights.name} chooses another place.")
        draft = told_again(story, shot, faults)
        draft = draft.model_copy(update={"narration": line_of_the_tables(draft.narration)})
        model, about = load_chat_model(self._weights), _about(story.wish.text, brief_of(story))
        entry = eras().get(shot.era)
        shown = {who.canonical_visual for who in story.characters if who.id in shot.onstage}
        taken = {each.setting for each in story.shots} | shown
        free = [words for words in (entry.places if entry else ()) if words not in taken]
        if not free:
            return draft
        scores = model.chosen("A painter reads a story {about}. For it the painter paints", about, free)
        draft = draft.model_copy(update={"setting": _best(free, scores)})
        return draft.model_copy(update={"plot": plot_of(draft, shot.id)})


class _Writing:
    """One story as a model chooses and writes it."""

    def __init__(self, model: ChatModel, brief: Brief) -> None:
        self.model, self.about = model, _about(brief.wish.text, brief)
        self.brief = brief = self._led(brief)
        self.base = told(brief)
        self.shots: list[ShotDraft] = []
        self.repairs: list[str] = []
        self.lines: list[str] = []  # that the model wrote
        self.written = 0
        self.used: Counter[str] = Counter()
        self.figures = {who.id: who for who in brief.characters}

    def shot(self, number: int) -> ShotDraft:
        """The next shot: who, where, how far, what stands in it, when; then what happens, and a line."""
        base = self.base.shots[number]
        onstage = self._company(base)
        setting = self._setting(base, onstage)
        draft = base.model_copy(update={"onstage": onstage, "setting": setting, "static_description": ""})
        draft = draft.model_copy(update={"perspective": self._view(draft), "motifs": self._motifs(draft)})
        draft = draft.model_copy(update={"static_description": self._moment(draft, number)})
        draft = draft.model_copy(update={"plot": plot_of(draft, number)})
        draft = draft.model_copy(update={"narration": self._narration(draft, number)})
        self.shots.append(draft)
        return draft

    def _led(self, brief: Brief) -> Brief:
        """The brief with whoever the story is of in the first place: the wish's own, or whom the model finds fit."""
        known = cast()
        named = [
            who.id
            for who in brief.characters
            if who.id in known and found_in(brief.wish.text, [*known[who.id].keywords.en, *known[who.id].keywords.zh])
        ]
        if named or len(brief.characters) < 2:
            return brief
        names = [who.name.en for who in brief.characters]
        scores = self.model.chosen("A painter reads a story {about}. The story is of", self.about, names)
        ranked = sorted(range(len(names)), key=lambda place: -scores[place])
        return brief.model_copy(update={"characters": tuple(brief.characters[place] for place in ranked)})

    def _company(self, base: ShotDraft) -> tuple[str, ...]:
        """As many as the thread has on stage, its lead among them where he is; the others are of the model's choice."""
        lead = self.base.shots[0].onstage[:1]
        stays = tuple(id for id in base.onstage if id in lead)
        others = [id for id in self.figures if id not in lead]
        wanted = len(base.onstage) - len(stays)
        if not wanted or len(others) <= wanted:
            return base.onstage
        chosen = self._ranked("In the next picture there is", others, [_who(self.figures[id]) for id in others])
        return (*stays, *chosen[:wanted])

    def _setting(self, base: ShotDraft, onstage: Sequence[str]) -> str:
        """A place of the era that was not shown yet and is not what somebody's own words show."""
        shown = {self.figures[id].canonical_visual for id in onstage if id in self.figures}
        all_ = [words for words in self.brief.settings.get(base.era, ()) if words not in shown]
        fresh = [words for words in all_ if not self.used[words]] or all_
        return self._ranked(f"In {self._era(base.era)} the painter paints", fresh, fresh)[0] if fresh else base.setting

    def _view(self, draft: ShotDraft) -> Perspective:
        place = places().get(draft.setting)
        views: list[Perspective] = list(place.perspectives) if place else list(_VIEWS)
        question = f"The painter paints {draft.setting}, seen"
        return self._ranked(question, views, [_VIEWS[view] for view in views])[0]

    def _motifs(self, draft: ShotDraft) -> tuple[str, ...]:
        """As many as the thread shows, those that were not shown before them that were."""
        known = {motif.id: motif for motif in self.brief.motifs}
        if not draft.motifs or not known:
            return ()
        fresh = [id for id in known if not self.used[id]] or list(known)
        things = [known[id].modern_thing.en for id in fresh]
        return tuple(self._ranked(f"Beside {draft.setting} there is", fresh, things)[: len(draft.motifs)])

    def _moment(self, draft: ShotDraft, number: int) -> str:
        """Of some hours and airs that leave the prompt short enough, the one that fits the story."""
        room = self.brief.style_contract.words - self._length(draft)
        fitting = [words for words in self.brief.descriptions if count_words(words) <= room]
        fitting = fitting or [min(self.brief.descriptions, key=count_words)]
        fresh = [words for words in fitting if not self.used[words]] or fitting
        weighed = random.Random(self._seed("moments", number)).sample(fresh, min(_MOMENTS, len(fresh)))  # noqa: S311
        return self._ranked(f"The painter paints {draft.setting}", weighed, weighed)[0]

    def _narration(self, draft: ShotDraft, number: int) -> Words:
        """The thread's line in both languages, and the model's sentence behind the English one."""
        frame = self.base.shots[number].narration
        written, why = self._sentence(draft, number)
        if not written:
            self.repairs.append(f"Shot {number + 1}: what the model wrote cannot stand ({why}): the tables' line does.")
            return frame
        self.written += 1
        self.lines.append(written)
        return Words(en=f"{frame.en} {written}", zh=frame.zh)

    def _sentence(self, draft: ShotDraft, number: int) -> tuple[str, str]:
        """The likeliest sentence without a fault; else nothing, and the last fault."""
        shown = [f"{_who(self.figures[id])} {self.figures[id].canonical_visual}" for id in draft.onstage]
        era, why, begin = eras().get(draft.era), "it wrote none", self._begin(draft, number)
        for turn in range(_ROUNDS):
            lines = self.model.sentences(self._asked(draft), begin, _LINES, self._seed("line", number, turn))
            for line in sorted(lines, key=lambda line: -line.likelihood):
                faults = faults_of_sentence(line.text, shown, self.lines)
                if is_fragment(line.text.removeprefix(begin)):
                    faults += ("it has no verb",)
                if line.strangest:
                    faults += (f"{line.strangest} is hardly a word",)
                if wrong := untimely(line.text.removeprefix(begin), f"{draft.static_description} {draft.setting}"):
                    faults += (f"it speaks of {wrong} at another time",)
                if not era or not era.is_modern:
                    faults += tuple(f"it speaks of {thing}" for thing in things_of_today(line.text, draft.era))
                if copies(line.text.removeprefix(begin), (draft.plot.en, draft.static_description, draft.setting)):
                    faults += ("it says what is told already",)
                if not faults:
                    return line.text, ""
                why = faults[0]
        return "", why

    def _asked(self, draft: ShotDraft) -> list[dict[str, str]]:
        messages = [{"role": "system", "content": _TASK}]
        for seen, line in _EXAMPLES:
            messages += [{"role": "user", "content": seen}, {"role": "assistant", "content": line}]
        there = " and ".join(_who(self.figures[id]) for id in draft.onstage) or "nobody"
        seen = f"{draft.setting}, {draft.static_description}. There: {there}."
        return [*messages, {"role": "user", "content": f"A story {self.about}. {seen}"}]

    def _begin(self, draft: ShotDraft, number: int) -> str:
        """How the line begins, so that it stays with the picture: with who is there, or with where he is."""
        who = _who(self.figures[draft.onstage[0]]) if draft.onstage else ""
        place = places().get(draft.setting)
        parts = [*([place.en] if place and (number % 2 or not who) else []), *([who] if who else [])]
        text = ", ".join(parts) or "Nobody"
        return text[:1].upper() + text[1:]

    def _ranked(self, question: str, ids: Sequence[Id], words: Sequence[str]) -> list[Id]:
        """The ids by how much likelier the story makes their words, less for what was chosen before."""
        if len(ids) < 2:
            self.used.update(ids)
            return list(ids)
        before = f" Lately, {self.shots[-1].setting}." if self.shots else ""
        scores = self.model.chosen(f"A painter reads a story {{about}}.{before} {question}", self.about, words)
        dice = random.Random(self._seed("choice", len(self.shots), question))  # noqa: S311 - no secret
        chance = [-_CHANCE * math.log(-math.log(1 - dice.random())) for _ in ids]  # Gumbel: close ones take turns
        worth = {id: score + luck - _AGAIN * self.used[id] for id, score, luck in zip(ids, scores, chance, strict=True)}
        ranked = sorted(ids, key=lambda id: -worth[id])
        self.used.update(ranked[:1])
        return ranked

    def _length(self, draft: ShotDraft) -> int:
        """Words of a prompt without its moment."""
        things = {motif.id: motif.traditional_rendering for motif in self.brief.motifs}
        parts = [*(words_of(self.figures[id], draft.era) for id in draft.onstage), draft.setting]
        parts += [*(things[id] for id in draft.motifs), perspective_words(draft.perspective)]
        return count_words(", ".join(dict.fromkeys([*parts, *self.brief.style_contract.palette]))) + 1

    def _era(self, id: str) -> str:
        return next((era.name.en for era in self.brief.eras if era.id == id), "that time")

    def _seed(self, *parts: object) -> int:
        wish = self.brief.wish
        return int(identity("local author", wish.text, wish.seed, *parts), 16) % 2**31


def _about(text: str, brief: Brief) -> str:
    """The wish in the English that a small model reads: its own words, or what the tables found in it."""
    plain = as_data(text, _GIST)
    if not has_latin(plain):
        things = [
            *(who.name.en for who in brief.characters[:1]),
            *(motif.modern_thing.en for motif in brief.motifs[:3]),
        ]
        plain = ", ".join(things)
    return f"about {plain.rstrip(' .!?')}"


def _who(figure: Character) -> str:
    entry = cast().get(figure.id)
    return entry.who.en if entry else figure.name.en


def _best(words: Sequence[str], scores: Sequence[float]) -> str:
    return max(zip(scores, words, strict=True))[1]


def _what_it_did(name: str, written: int, brief: Brief) -> str:
    """What is the model's and what the tables', for whoever reads the book."""
    said = (
        f"{name} chose whom the story is of, places, hours, distances, company and motifs, and wrote a sentence in "
        f"{written} of {brief.wish.shots} English lines; all else, and all Chinese, is of the tables."
    )
    if not has_latin(brief.wish.text):
        said += " It reads no Chinese: it was told the English names of what the tables found in the wish."
    return said

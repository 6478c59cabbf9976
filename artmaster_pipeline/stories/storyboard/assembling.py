"""An author's draft made into a storyboard that can be painted: what cannot stand is mended from the tables.

Whatever an author says, there is a storyboard; each thing that was mended is one sentence of `authorship.repairs`.
Names, files, seeds, prompts, who paints and in which medium are not the author's to say.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from artmaster_pipeline.records import identity
from artmaster_pipeline.settings import Home, Profile
from artmaster_pipeline.stories.records import (
    MOST_ONSTAGE,
    Authorship,
    Brief,
    Character,
    Motif,
    Shot,
    ShotDraft,
    ShotRegion,
    Story,
    StoryDraft,
    StyleContract,
    Words,
    Written,
)
from artmaster_pipeline.stories.storyboard.brief import painters_of
from artmaster_pipeline.stories.storyboard.checking import forbidden_in, things_of_today
from artmaster_pipeline.stories.storyboard.entries import Stand, cast, eras, moments, places
from artmaster_pipeline.stories.storyboard.matching import count_words, has_chinese, has_latin, plain, strange_words
from artmaster_pipeline.stories.storyboard.prompts import composed, rendered
from artmaster_pipeline.stories.storyboard.telling import plot_of, told, told_again
from artmaster_pipeline.stories.storyboard.words import Encoders

_LONGEST_REPAIR = 600  # characters, as of any passage
_SHORTENED = 160  # characters of what an author said, in a sentence on it
_ALONE: dict[Stand, tuple[float, float, float, float]] = {
    "ground": (0.25, 0.45, 0.75, 0.95),
    "water": (0.2, 0.5, 0.8, 0.95),
    "sky": (0.25, 0.05, 0.75, 0.45),
}


def assemble(
    brief: Brief, written: Written, name: str, *, home: Home | None = None, profile: Profile | None = None
) -> Story:
    """The storyboard called `name` of what an author gave for a brief. Never an exception for what the author said.

    With a home and a profile, words that the profile's base does not read are mended, too; without them only those of
    letters that no base reads.
    """
    base = told(brief)
    encoders = _encoders(brief.style_contract, home, profile)
    repairs: list[str] = list(written.authorship.repairs)
    draft = written.draft
    shell = Story(
        name=name,
        title=_title(draft, base, repairs),
        language=brief.wish.language,
        wish=brief.wish,
        eras=brief.eras,
        style_contract=brief.style_contract,
        characters=brief.characters,
        motifs=brief.motifs,
        shots=(),
        authorship=Authorship(author=written.authorship.author),
    )
    mending = _Mending(shell, repairs, encoders, places=profile is not None and profile.stories.places)
    if brief.wish.eras > brief.wish.shots:
        repairs.append(f"{brief.wish.eras} eras were asked for and {brief.wish.shots} shots: each is set in one era.")
    if len(draft.shots) > len(base.shots):
        repairs.append(f"{len(draft.shots)} shots were given and {len(base.shots)} asked for: the rest is left out.")
    shots = [
        mending.shot(number, draft.shots[number] if number < len(draft.shots) else None, fallback)
        for number, fallback in enumerate(base.shots)
    ]
    if not any(shot.onstage for shot in shots) and any(shot.onstage for shot in base.shots):
        repairs.append("Nobody was on stage in any shot: the template's people are.")
        shots = [mending.peopled(shot, of) for shot, of in zip(shots, base.shots, strict=True)]
    return _finished(shell, shots, written.authorship, repairs)


def revised(
    story: Story, shot: Shot, draft: ShotDraft, *, home: Home | None = None, profile: Profile | None = None
) -> Story:
    """The storyboard with that shot written anew, mended as `assemble` does.

    Era, seed, and who is on stage stay: a shot that misses somebody is not mended by doing without him.
    """
    repairs = list(story.authorship.repairs)
    number = next((place for place, each in enumerate(story.shots) if each.id == shot.id), 0)
    others = [each for each in story.shots if each.id != shot.id]
    encoders = _encoders(story.style_contract, home, profile)
    mending = _Mending(story, repairs, encoders, places=bool(shot.regions))
    mending.seen |= {_seen(each) for each in others}
    mending.said |= {each.narration.en for each in others}
    kept = draft.model_copy(update={"era": shot.era, "onstage": shot.onstage})
    fallback = told_again(story, shot, ("a revision that cannot stand",))
    new = mending.shot(number, kept, fallback)
    new = mending.composed(new.model_copy(update={"id": shot.id, "seed": shot.seed}))
    shots = tuple(new if each.id == shot.id else each for each in story.shots)
    told_anew = story.model_copy(update={"shots": shots})
    said: dict[str, object] = {"repairs": _bounded(repairs)}
    if not story.authorship.by_hand:
        said["written"] = written_identity(told_anew)
    return told_anew.model_copy(update={"authorship": story.authorship.model_copy(update=said)})


def written_identity(story: Story) -> str:
    """Of all that a storyboard says, but not of who wrote it."""
    return identity("storyboard", story.model_dump(mode="json", exclude={"authorship"}))


def regions_of(onstage: Sequence[str]) -> tuple[ShotRegion, ...]:
    """Where those on stage are, side by side where several share the ground or the sky."""
    stands = {id: cast()[id].stand if id in cast() else "ground" for id in onstage}
    below = [id for id in onstage if stands[id] != "sky"]
    above = [id for id in onstage if stands[id] == "sky"]
    found = []
    for row in (below, above):
        for place, id in enumerate(row):
            left, top, right, bottom = _ALONE[stands[id]]
            if len(row) > 1:
                left, right = place / len(row) + 0.02, (place + 1) / len(row) - 0.02
            found.append(ShotRegion(id=id, of=id, box=(round(left, 3), top, round(right, 3), bottom)))
    return tuple(sorted(found, key=lambda region: list(onstage).index(region.of)))


@dataclass
class _Mending:
    """Shots of one story, mended one after another."""

    story: Story  # without its shots
    repairs: list[str]
    encoders: Encoders | None
    places: bool  # whether figures get places of their own
    seen: set[tuple[object, ...]] = field(default_factory=set)  # of the shots before
    said: set[str] = field(default_factory=set)

    def shot(self, number: int, draft: ShotDraft | None, fallback: ShotDraft) -> Shot:
        """One shot of the storyboard."""
        place = f"Shot {number + 1}"
        if draft is None:
            self.repairs.append(f"{place} was missing: it is the template's.")
            draft = fallback
        draft = self._era(place, _cleaned(draft), fallback)
        draft = draft.model_copy(
            update={
                "onstage": self._ids(place, draft.onstage, self.story.characters, "on stage", MOST_ONSTAGE),
                "motifs": self._ids(place, draft.motifs, self.story.motifs, "a motif", MOST_ONSTAGE),
            }
        )
        draft = self._painted(place, draft, fallback)
        draft = self._fitting(place, self._unlike(place, draft, fallback), fallback)
        narration = self._narration(place, draft, fallback)
        plot = self._plot(place, draft, number)
        self.seen.add(_seen(draft))
        return self.composed(
            Shot(
                id=f"shot-{number + 1}",
                era=draft.era,
                plot=plot,
                setting=draft.setting,
                perspective=draft.perspective,
                onstage=draft.onstage,
                motifs=draft.motifs,
                static_description=draft.static_description,
                narration=narration,
                regions=regions_of(draft.onstage) if self.places else (),
                seed=int(identity("shot seed", self.story.wish.seed, number), 16) % 2**31,
            )
        )

    def composed(self, shot: Shot) -> Shot:
        """A shot with its prompt put together."""
        return shot.model_copy(update={"prompt": composed(self.story, shot)})

    def peopled(self, shot: Shot, fallback: ShotDraft) -> Shot:
        """A shot with the template's people, and the place, the moment and the plot that go with them."""
        told_parts = ("era", "setting", "static_description", "perspective", "onstage", "motifs", "plot")
        regions = regions_of(fallback.onstage) if self.places else ()
        parts = fallback.model_dump(include=set(told_parts)) | {"plot": fallback.plot, "regions": regions}
        return self.composed(shot.model_copy(update=parts))

    def _era(self, place: str, draft: ShotDraft, fallback: ShotDraft) -> ShotDraft:
        known = [era.id for era in self.story.eras]
        if draft.era in known:
            return draft
        self.repairs.append(f"{place} was set in {draft.era!r}, which is no era of this story: {fallback.era} it is.")
        return draft.model_copy(update={"era": fallback.era})

    def _ids(
        self, place: str, said: Sequence[str], parts: Sequence[Character] | Sequence[Motif], what: str, most: int
    ) -> tuple[str, ...]:
        known = [part.id for part in parts]
        found: dict[str, None] = {}
        for id in said:
            near = [id] if id in known else get_close_matches(id, known, n=1, cutoff=0.7)
            if not near:
                self.repairs.append(f"{place}: {id!r} is nobody and nothing of this story: left out.")
            elif near[0] != id:
                self.repairs.append(f"{place}: {id!r} is taken for {near[0]}.")
            found |= dict.fromkeys(near)
        if len(found) > most:
            self.repairs.append(f"{place} had {len(found)} of {what}: the first {most} stay.")
        return tuple(found)[:most]

    def _painted(self, place: str, draft: ShotDraft, fallback: ShotDraft) -> ShotDraft:
        """The shot with words for its setting and what else is seen that can be painted."""
        for name in ("setting", "static_description"):
            said: str = getattr(draft, name)
            if why := self._against(said, draft.era):
                instead = self._instead(name, getattr(fallback, name), draft.era)
                self.repairs.append(f"{place}: its {_WORDS[name]} {_short(said)} {why}: {_short(instead)} instead.")
                draft = draft.model_copy(update={name: instead})
        return draft

    def _instead(self, name: str, other: str, era: str) -> str:
        """The template's words, else the first of the tables' that can be painted."""
        entry = eras().get(era)
        known = (entry.places if entry else tuple(places())) if name == "setting" else tuple(moments())
        return next((words for words in (other, *known, *places()) if not self._against(words, era)), other)

    def _against(self, text: str, era: str) -> str:
        """Why words cannot be painted; empty where they can."""
        heard = rendered(self.story.motifs, text)
        contract = self.story.style_contract
        if not heard:
            return "was not said"
        strange = self.encoders.unread(heard) if self.encoders else strange_words(heard)
        reasons = (
            ("has words that the base does not read", strange[:4]),
            ("contradicts the medium", forbidden_in(contract.forbidden, contract.medium, heard)),
            ("says what nothing stands for", things_of_today(heard, era)),
        )
        why = next((f"{what} ({', '.join(words)})" for what, words in reasons if words), "")
        return why or ("is too long" if count_words(heard) > contract.words // 2 else "")

    def _unlike(self, place: str, draft: ShotDraft, fallback: ShotDraft) -> ShotDraft:
        """The shot unlike those before: one picture is not painted twice."""
        if _seen(draft) not in self.seen:
            return draft
        tried = [
            draft.model_copy(update={"setting": fallback.setting, "static_description": fallback.static_description})
        ]
        tried += [draft.model_copy(update={"static_description": words}) for words in moments()]
        new = next((each for each in tried if _seen(each) not in self.seen), draft)
        self.repairs.append(f"{place} was the same picture as one before: {_short(new.static_description)} instead.")
        return new

    def _fitting(self, place: str, draft: ShotDraft, fallback: ShotDraft) -> ShotDraft:
        """The shot with no more than the encoders hear: less of what matters less, until it fits."""
        ways: list[Callable[[ShotDraft], ShotDraft]] = [
            *[lambda shot: shot.model_copy(update={"motifs": shot.motifs[:-1]})] * max(0, len(draft.motifs) - 1),
            lambda shot: shot.model_copy(update={"static_description": shot.static_description.split(",")[0]}),
            lambda shot: shot.model_copy(update={"onstage": shot.onstage[:2]}),
            lambda shot: shot.model_copy(update={"motifs": ()}),
            lambda shot: shot.model_copy(update={"onstage": shot.onstage[:1]}),
            lambda shot: shot.model_copy(update={"perspective": "level"}),
            lambda shot: shot.model_copy(update={"static_description": ""}),
            lambda shot: shot.model_copy(update={"setting": fallback.setting}),
        ]
        new = draft
        for way in ways:
            if self._fits(new):
                break
            new = way(new)
        if new != draft:
            self.repairs.append(f"{place} said more than the base hears: {_what_left(draft, new)}.")
        return new

    def _fits(self, draft: ShotDraft) -> bool:
        shot = Shot(id="shot", seed=0, **draft.model_dump())
        prompt = composed(self.story, shot)
        if count_words(prompt) > self.story.style_contract.words:
            return False
        return not (self.encoders and self.encoders.too_long(prompt))

    def _plot(self, place: str, draft: ShotDraft, number: int) -> Words:
        """What happens, in both languages: a missing one is told from the shot's parts."""
        return self._both(place, "what happens", draft.plot, plot_of(draft, number))

    def _narration(self, place: str, draft: ShotDraft, fallback: ShotDraft) -> Words:
        said = draft.narration
        if said.en and said.en in self.said:
            self.repairs.append(f"{place} said the same line as one before: the template's instead.")
            said = fallback.narration
        line = self._both(place, "its line", said, fallback.narration)
        self.said.add(line.en)
        return line

    def _both(self, place: str, what: str, said: Words, instead: Words) -> Words:
        en, zh = _in_its_script(said)
        missing = [name for name, text in (("English", en), ("Chinese", zh)) if not text]
        if missing:
            self.repairs.append(f"{place}: {what} was not said in {' and '.join(missing)}: the template says it.")
        return Words(en=en or instead.en, zh=zh or instead.zh)


_WORDS = {"setting": "setting", "static_description": "description"}


def _finished(shell: Story, shots: Sequence[Shot], authorship: Authorship, repairs: Sequence[str]) -> Story:
    """The storyboard without what no shot uses."""
    used = {id for shot in shots for id in (*shot.onstage, *shot.motifs, shot.era)}
    unused = [era.id for era in shell.eras if era.id not in used]
    repairs = [*repairs, *(f"No shot was set in {era}: the story does without it." for era in unused)]
    story = shell.model_copy(
        update={
            "eras": tuple(era for era in shell.eras if era.id in used),
            "characters": tuple(_within(who, used) for who in shell.characters if who.id in used),
            "motifs": tuple(motif for motif in shell.motifs if motif.id in used),
            "shots": tuple(shots),
        }
    )
    said = {"repairs": _bounded(repairs), "by_hand": False, "written": written_identity(story)}
    return story.model_copy(update={"authorship": authorship.model_copy(update=said)})


def _bounded(repairs: Sequence[str]) -> tuple[str, ...]:
    return tuple(repair[:_LONGEST_REPAIR] for repair in map(plain, repairs) if repair)


def _within(who: Character, used: set[str]) -> Character:
    """A character without what it looks like in eras that are not used."""
    return who.model_copy(update={"era_variants": {era: w for era, w in who.era_variants.items() if era in used}})


def _encoders(contract: StyleContract, home: Home | None, profile: Profile | None) -> Encoders | None:
    if home is None or profile is None:
        return None
    return Encoders.of(profile, home, painters_of(contract.painter, contract.mix, home, []))


def _title(draft: StoryDraft, base: StoryDraft, repairs: list[str]) -> Words:
    said = Words(en=plain(draft.title.en), zh=plain(draft.title.zh))
    en, zh = _in_its_script(said)
    if missing := [name for name, text in (("English", en), ("Chinese", zh)) if not text]:
        repairs.append(f"The title was not said in {' and '.join(missing)}: the template says it.")
    return Words(en=en or base.title.en, zh=zh or base.title.zh)


def _in_its_script(said: Words) -> tuple[str, str]:
    """The English where it is in Latin letters alone, the Chinese where it has Chinese characters; else nothing."""
    en = said.en if has_latin(said.en) and not has_chinese(said.en) else ""
    return en, said.zh if has_chinese(said.zh) else ""


def _cleaned(draft: ShotDraft) -> ShotDraft:
    """The draft without characters that steer a page or a terminal."""
    words = {name: plain(getattr(draft, name)).rstrip(" ,;.") for name in _WORDS}
    told_ = {
        name: Words(en=plain(getattr(draft, name).en), zh=plain(getattr(draft, name).zh))
        for name in ("plot", "narration")
    }
    return draft.model_copy(update={**words, **told_})


def _seen(shot: ShotDraft | Shot) -> tuple[object, ...]:
    return shot.era, shot.setting, shot.static_description, shot.onstage, shot.motifs, shot.perspective


def _short(text: str) -> str:
    text = re.sub(r"\s+", " ", text)
    return repr(text if len(text) <= _SHORTENED else f"{text[:_SHORTENED]}...") if text else "nothing"


def _what_left(old: ShotDraft, new: ShotDraft) -> str:
    gone = [*(id for id in (*old.onstage, *old.motifs) if id not in {*new.onstage, *new.motifs})]
    parts = [f"without {', '.join(gone)}"] if gone else []
    parts += [
        f"{_WORDS[name]} {_short(getattr(new, name))}" for name in _WORDS if getattr(new, name) != getattr(old, name)
    ]
    if new.perspective != old.perspective:
        parts.append("in level distance")
    return "; ".join(parts)

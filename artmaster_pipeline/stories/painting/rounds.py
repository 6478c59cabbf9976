"""Text and picture close the loop: paint, look, choose, look again, ask the author for other words, at most n times.

A shot whose picture misses something goes back to whoever wrote the story, with what is missed in sentences; what comes
is mended as any draft is (`storyboard.revised`) and painted, and the better of the two rounds stays. A shot that new
words did not make better is not asked about again. What an author wrote is kept by what was asked, so that a run that
was stopped asks nobody twice; the person's own story.yaml is never touched.

    illustrated_stories/<story>/revisions/<id>.json    what an author wrote when asked
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.evaluation.evaluate import works_of
from artmaster_pipeline.evaluation.panel.measure import copies, one_per_work
from artmaster_pipeline.files import write_text
from artmaster_pipeline.records import identity
from artmaster_pipeline.stories.painting.candidates import Drawn, Easel, paint_candidates, sample_of
from artmaster_pipeline.stories.painting.choosing import Candidates, below_floor, choose
from artmaster_pipeline.stories.painting.critique import better, faults_of
from artmaster_pipeline.stories.painting.looking import Looks, Works, look_at, works_for
from artmaster_pipeline.stories.painting.reading import Question, Reading, other_prompts, read_pictures
from artmaster_pipeline.stories.painting.records import Candidate, Choice, Critique
from artmaster_pipeline.stories.records import Author, Shot, ShotDraft, Story
from artmaster_pipeline.stories.storyboard import picture_identity, prompt_of, revised, visual_of

REVISIONS = "revisions"
Ask = Callable[[], Author]  # the author of the story, opened where somebody asks


@dataclass(frozen=True)
class Version:
    """A shot in the words of one round, with all its pictures."""

    shot: Shot
    round: int
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Told:
    """A story painted: as it is now, the choice for each shot, and all that was seen on the way."""

    story: Story
    choices: tuple[Choice, ...]
    critiques: tuple[Critique, ...]
    looks: Looks  # of the chosen pictures, in the order of the shots
    pictures: frozenset[str]  # the ids of all candidates of all rounds
    made: int


@dataclass
class _Loop:
    """The work on one story."""

    easel: Easel
    works: Works
    story: Story
    ask: Ask | None
    author: str
    looks: Looks | None = None
    rows: dict[str, int] = field(default_factory=dict)  # candidate -> its place in `looks`
    versions: dict[str, Version] = field(default_factory=dict)
    critiques: list[Critique] = field(default_factory=list)
    files: dict[str, Drawn] = field(default_factory=dict)
    made: int = 0


def tell(easel: Easel, story: Story, ask: Ask | None) -> Told:
    """Paint a story's shots and choose one picture for each, with as many second looks as the settings say.

    `ask` opens the author; without it nobody is asked. An author who fails leaves the shot as it is, and the record
    says so.
    """
    loop = _Loop(easel, works_for(easel.home, easel.hand), story, ask, story.authorship.author)
    _take_in(loop, story, story.shots, 0)
    chosen = _choose(loop)
    open_shots = {shot.id for shot in story.shots}
    for number in range(1, easel.settings.revisions + 1):
        open_shots = _second_look(loop, chosen, open_shots, number)
        if not open_shots:
            break
        chosen = _choose(loop)
    _last_look(loop, chosen)
    return _told(loop, chosen)


def _take_in(loop: _Loop, story: Story, shots: Sequence[Shot], number: int) -> dict[str, Version]:
    """Paint, read and measure shots; gives them as versions, and keeps those that are the first."""
    easel = loop.easel
    drawn, made = paint_candidates(easel, story, shots)
    loop.made += made
    every = [picture for shot in shots for picture in drawn[shot.id]]
    loop.files |= {picture.id: picture for picture in every}
    _look_at_all(loop)
    assert loop.looks is not None
    readings = _read(loop, story, [(shot, picture) for shot in shots for picture in drawn[shot.id]])
    suspects = _copies(easel, story, [(shot, picture) for shot in shots for picture in drawn[shot.id]])
    found = {}
    for shot in shots:
        rows = tuple(_candidate(loop, p, readings[p.id], suspects.get(p.id, "")) for p in drawn[shot.id])
        found[shot.id] = Version(shot, number, rows)
        loop.versions.setdefault(shot.id, found[shot.id])
    return found


def _look_at_all(loop: _Loop) -> None:
    """Measure all pictures of all rounds beside each other; what was looked at before comes from the cache."""
    easel = loop.easel
    files = [easel.folder / picture.path for picture in loop.files.values()]
    loop.looks = look_at(easel.home, easel.hand, loop.works, files, easel.progress)
    loop.rows = {key: place for place, key in enumerate(loop.files)}


def _read(loop: _Loop, story: Story, pictures: Sequence[tuple[Shot, Drawn]]) -> dict[str, Reading]:
    easel = loop.easel
    prompts = [prompt_of(story, shot) for shot in story.shots]
    questions = []
    for shot, picture in pictures:
        prompt = prompt_of(story, shot)
        others = other_prompts(prompt, prompts, easel.hand.profile.evaluation.far_prompts)
        figures = {who: words for who in shot.onstage if (words := visual_of(story, who, shot.era)) in prompt}
        questions.append(Question(easel.folder / picture.path, picture.sha256, prompt, others, figures))
    readings = read_pictures(easel.home, easel.hand, questions, easel.progress)
    return {picture.id: reading for (_, picture), reading in zip(pictures, readings, strict=True)}


def _copies(easel: Easel, story: Story, pictures: Sequence[tuple[Shot, Drawn]]) -> dict[str, str]:
    """Of each picture that looks like a copy of a training work, that work's scan."""
    images = [image for adapter in easel.hand.adapters for image in works_of(easel.home, adapter)]
    held_out = one_per_work(image for image in images if image.split == "held_out")
    samples = [sample_of(easel, story, shot, picture) for shot, picture in pictures]
    rows = copies(easel.home, easel.hand.profile, images, held_out, samples)["nearest"]
    ids = {picture.path: picture.id for _, picture in pictures}
    return {ids[row["sample"]]: str(row["scan_sha256"]) for row in rows if row["suspect"]}


def _candidate(loop: _Loop, picture: Drawn, reading: Reading, copy_of: str) -> Candidate:
    """A picture with its figures; it is chosen by the mean of likeness, adherence and the share of figures seen."""
    looks, place = loop.looks, loop.rows[picture.id]
    assert looks is not None
    likeness = looks.likeness(place)
    seen = [float(there) for there in reading.there.values()]
    parts = [likeness, reading.adherence, *([sum(seen) / len(seen)] if seen else [])]
    return Candidate(
        id=picture.id,
        path=picture.path,
        sha256=picture.sha256,
        seed=picture.seed,
        distance=None if looks.distances is None else round(float(looks.distances[place]), 4),
        likeness=round(likeness, 4),
        margin=None if looks.margins is None else round(float(looks.margins[place]), 4),
        nearest_other=looks.nearest[place],
        adherence=round(reading.adherence, 4),
        there=reading.there,
        copy_of=copy_of,
        score=round(sum(parts) / len(parts), 4),
    )


def _choose(loop: _Loop) -> dict[str, Candidate]:
    """The chosen candidate of each shot, of the versions as they are now."""
    rows, versions = _in_a_row(loop), [loop.versions[shot.id] for shot in loop.story.shots]
    flat = [candidate for version in versions for candidate in version.candidates]
    return {version.shot.id: flat[place] for version, place in zip(versions, choose(rows), strict=True)}


def _in_a_row(loop: _Loop) -> Candidates:
    assert loop.looks is not None
    versions = [loop.versions[shot.id] for shot in loop.story.shots]
    flat = [candidate for version in versions for candidate in version.candidates]
    ends = np.cumsum([len(version.candidates) for version in versions])
    places = np.array([loop.rows[candidate.id] for candidate in flat])
    return Candidates(
        shots=tuple(
            tuple(range(end - len(version.candidates), end)) for version, end in zip(versions, ends, strict=True)
        ),
        scores=np.array([candidate.score for candidate in flat]),
        copies=np.array([bool(candidate.copy_of) for candidate in flat]),
        apart=loop.looks.apart[np.ix_(places, places)],
        floor=loop.looks.floor,
    )


def _second_look(loop: _Loop, chosen: Mapping[str, Candidate], open_shots: set[str], number: int) -> set[str]:
    """Ask for other words where pictures miss something, paint them, keep the better; gives the shots that got better.

    Only those are asked about again.
    """
    assert loop.looks is not None
    drafts: dict[str, ShotDraft] = {}
    story, faults = loop.story, {}
    for shot in loop.story.shots:
        faults[shot.id] = faults_of(loop.story, shot, chosen[shot.id], loop.looks)
        if shot.id not in open_shots or not faults[shot.id]:
            continue
        draft, says = _asked(loop, shot, faults[shot.id])
        loop.critiques.append(_critique(loop, loop.versions[shot.id], chosen[shot.id], faults[shot.id], draft, says))
        if draft is not None:
            drafts[shot.id] = draft
            story = revised(story, shot, draft, home=loop.easel.home, profile=loop.easel.hand.profile)
    if not drafts:
        return set()
    again = [shot for shot in story.shots if shot.id in drafts]
    new, improved = _take_in(loop, story, again, number), set()
    for shot in again:
        picture = _best_beside(loop, new[shot.id], chosen)
        if better(picture, faults_of(story, shot, picture, loop.looks), chosen[shot.id], faults[shot.id]):
            improved.add(shot.id)
            loop.versions[shot.id] = new[shot.id]
    kept = {shot.id: shot for shot in story.shots if shot.id in improved}
    shots = tuple(kept.get(shot.id, shot) for shot in loop.story.shots)
    loop.story = story.model_copy(update={"shots": shots}) if improved else loop.story
    return improved


def _best_beside(loop: _Loop, version: Version, chosen: Mapping[str, Candidate]) -> Candidate:
    """The best new picture of one shot beside those that were chosen for the others."""
    assert loop.looks is not None
    apart, floor = loop.looks.apart, loop.looks.floor
    beside = [loop.rows[other.id] for name, other in chosen.items() if name != version.shot.id]

    def value(candidate: Candidate) -> tuple[bool, int, float]:
        near = int((apart[loop.rows[candidate.id], beside] < floor).sum())
        return not candidate.copy_of, -near, candidate.score

    return max(version.candidates, key=value)


def _critique(
    loop: _Loop, version: Version, picture: Candidate, faults: tuple[str, ...], draft: ShotDraft | None, says: str = ""
) -> Critique:
    return Critique(
        shot=version.shot.id,
        round=version.round,
        picture=picture.id,
        faults=faults,
        asked=loop.author if draft is not None else "",
        revised=draft,
        says=says,
    )


def _asked(loop: _Loop, shot: Shot, faults: tuple[str, ...]) -> tuple[ShotDraft | None, str]:
    """What the author writes instead; None where nobody can be asked, and a sentence why."""
    if loop.ask is None:
        return None, "Nobody was asked: the story was painted without its author."
    key = identity("revision", picture_identity(loop.story, shot), faults, loop.author, loop.story.authorship.model)
    file = loop.easel.folder / REVISIONS / f"{key}.json"
    if (known := _read_draft(file)) is not None:
        return known, ""
    try:
        draft = loop.ask().revise(loop.story, shot, faults, loop.easel.progress)
    except ArtMasterError as error:
        return None, f"The author could not write it anew: {str(error)[:300]}"
    write_text(file, draft.model_dump_json(indent=1) + "\n")
    return draft, ""


def _read_draft(file: Path) -> ShotDraft | None:
    try:
        return ShotDraft.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None


def _last_look(loop: _Loop, chosen: Mapping[str, Candidate]) -> None:
    """Say of every shot what its last picture misses, where nothing was said of it yet."""
    assert loop.looks is not None
    said = {critique.picture for critique in loop.critiques}
    for shot in loop.story.shots:
        if chosen[shot.id].id not in said:
            faults = faults_of(loop.story, shot, chosen[shot.id], loop.looks)
            loop.critiques.append(_critique(loop, loop.versions[shot.id], chosen[shot.id], faults, None))


def _told(loop: _Loop, chosen: Mapping[str, Candidate]) -> Told:
    assert loop.looks is not None
    looks, shots = loop.looks, loop.story.shots
    rows = [loop.rows[chosen[shot.id].id] for shot in shots]
    near = {shot for pair in below_floor(_of_chosen(looks, rows), range(len(rows))) for shot in pair}
    choices = []
    for number, shot in enumerate(shots):
        version, picture = loop.versions[shot.id], chosen[shot.id]
        others = [looks.apart[rows[number], other] for place, other in enumerate(rows) if place != number]
        choices.append(
            Choice(
                shot=shot.id,
                round=version.round,
                prompt=" ".join(prompt_of(loop.story, shot).split()),
                candidates=version.candidates,
                chosen=picture.id,
                nearest=round(float(min(others)), 4) if others else None,
                floor=round(looks.floor, 4),
                why=_why(version, picture, number in near),
            )
        )
    stays = {picture.id for picture in chosen.values()}
    critiques = tuple(each.model_copy(update={"kept": each.picture in stays}) for each in loop.critiques)
    return Told(loop.story, tuple(choices), critiques, _of_rows(looks, rows), frozenset(loop.files), loop.made)


def _why(version: Version, picture: Candidate, too_near: bool) -> str:
    """Why a picture was chosen, in a sentence."""
    best = max(version.candidates, key=lambda candidate: candidate.score)
    count = len(version.candidates)
    said = f"Of {count} pictures the one with the largest score, {picture.score:.2f}."
    if count == 1:
        said = "It is the only picture."
    elif picture.copy_of:
        said = "All of them look like copies of works: this one is only shown."
    elif best.id != picture.id:
        why = "looks like a copy of a work" if best.copy_of else "would be too near to another shot's picture"
        said = f"The one with the largest score, {best.score:.2f}, {why}: this one has {picture.score:.2f}."
    return said + (" It is nearer to another shot's picture than two works of the painter are." if too_near else "")


def _of_chosen(looks: Looks, rows: Sequence[int]) -> Candidates:
    apart, none = looks.apart[np.ix_(rows, rows)], np.zeros(len(rows))
    return Candidates(tuple((n,) for n in range(len(rows))), none, none.astype(bool), apart, looks.floor)


def _of_rows(looks: Looks, rows: Sequence[int]) -> Looks:
    return replace(
        looks,
        distances=None if looks.distances is None else looks.distances[rows],
        margins=None if looks.margins is None else looks.margins[rows],
        nearest=tuple(looks.nearest[row] for row in rows),
        apart=looks.apart[np.ix_(rows, rows)],
    )

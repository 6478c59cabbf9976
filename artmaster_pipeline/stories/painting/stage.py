"""The stage illustrated_stories: a storyboard painted in one hand, the best of several pictures chosen; and judged.

    illustrated_stories/<story>/<key>/samples/          the chosen pictures, and the base's of the same prompts
    illustrated_stories/<story>/<key>/choices.jsonl     by shot: every candidate with its figures, which one, and why
    illustrated_stories/<story>/<key>/critiques.jsonl   what second looks found, and what the author wrote then
    illustrated_stories/<story>/<key>/storyboard.json   the story as it was painted
    illustrated_stories/<story>/<key>/consistency.json  spread of style over the shots, margin to other painters
    illustrated_stories/<story>/<key>/panel.json        what was measured, and verdicts.jsonl beside it
    illustrated_stories/<story>/manifest.jsonl          the records of the pictures in samples/

<key> is made from all that decides the pictures. Candidates lie beside it (`candidates.py`): after an edit those of the
other shots are there already, and only the choice is made again.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from artmaster_pipeline.evaluation.samples import SAMPLES
from artmaster_pipeline.experts.drawing import MixedDrawing
from artmaster_pipeline.experts.judged import decide_on, draw_beside, pictures_in_place
from artmaster_pipeline.experts.judging import judge_mix, write_panel
from artmaster_pipeline.experts.samples import is_there
from artmaster_pipeline.files import clear_partials, sha256_of, write_text
from artmaster_pipeline.gallery.enlarging import sample_facts
from artmaster_pipeline.generation.requests import how_drawn
from artmaster_pipeline.locks import one_at_a_time
from artmaster_pipeline.pictures import read_rgb, write_png
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import (
    MANIFEST,
    PANEL,
    VERDICTS,
    Outcome,
    Sample,
    Verdict,
    identity,
    write_manifest,
)
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import Home, Profile
from artmaster_pipeline.stories.painting.candidates import ANCHORS, CANDIDATES, CANVASES, Easel, sample_of
from artmaster_pipeline.stories.painting.consistency import consistency
from artmaster_pipeline.stories.painting.hand import OneHand, hand_of
from artmaster_pipeline.stories.painting.looking import works_for
from artmaster_pipeline.stories.painting.records import (
    CHOICES,
    CONSISTENCY,
    CRITIQUES,
    PAINTED_STORY,
    Candidate,
    Choice,
    Critique,
)
from artmaster_pipeline.stories.painting.rounds import REVISIONS, Ask, Told, tell
from artmaster_pipeline.stories.records import Author, Shot, Story
from artmaster_pipeline.stories.storyboard import (
    picture_identity,
    prompt_of,
    region_prompt,
    size_of,
    story_of,
)

# Who gives the author of that name and model, with `home` by name: `stories.authors.author_named`.
AuthorNamed = Callable[..., Author]
_BESIDE = (CANDIDATES, ANCHORS, CANVASES, REVISIONS)


def hand_at_work(home: Home, partition: str, profile: Profile, *, publishing: bool = False) -> OneHand:
    """The hand of a story with its adapters as they are now.

    Raises as `hand_of` does: with `publishing` NotPublished where pictures of an expert may not be.
    """
    story = story_of(home, partition, profile)
    return hand_of(home, story, [prompt_of(story, shot) for shot in story.shots], publishing=publishing)


def key_of(story: Story, hand: OneHand) -> str:
    """The name of what a story's pictures lie in: made from all that decides them."""
    profile = hand.profile
    shots = [picture_identity(story, shot) for shot in story.shots]
    how = how_drawn(profile, hand.resolved.drawing, size_of(story.shots[0]))
    settings = profile.stories.model_dump(mode="json")
    return identity("illustrated story", story.name, shots, hand.identity, how, settings, profile.evaluation.deciding())


@one_at_a_time
@session()
def illustrate(
    home: Home,
    partition: str,
    profile: Profile,
    progress: Progress = SILENT,
    *,
    author: AuthorNamed | None = None,
) -> Outcome[Sample]:
    """Paint a story, choose a picture for each shot, draw the base beside it, measure and judge; gives all records.

    What is there is not made again, so a stopped run goes on where it was. `author` opens whoever wrote the story, for
    shots whose pictures miss something; without it they stay as they are. Raises one error that names everything that
    is wrong with the storyboard or with its hand, before anything is painted.
    """
    story, hand = story_of(home, partition, profile), hand_at_work(home, partition, profile)
    folder, key = home.evaluation(partition), key_of(story, hand)
    folder.mkdir(parents=True, exist_ok=True)
    clear_partials(folder)
    easel = Easel(home, folder, hand, hand.profile.stories, progress)
    told = tell(easel, story, _asking(home, story, author))
    samples, new = _samples(easel, key, told)
    _write_records(folder / key, told)
    panel = write_panel(home, partition, key, ("story", story.name), profile, hand.adapters, samples, progress)
    verdict = judge_mix(home, partition, panel, profile.gate)
    figures = _figures(easel, key, told, samples)
    write_manifest(folder / key / MANIFEST, samples)
    write_manifest(folder / MANIFEST, samples)
    _remove_others(folder, key, told)
    if not verdict.publish:
        progress.say(f"The story {story.name} is not fit to be published: {' '.join(verdict.reasons)}")
    ordered, made = tuple(sorted(samples, key=lambda sample: sample.id)), told.made + new
    said = figures | {"may be published": "yes" if verdict.publish else "no"}
    return Outcome(ordered, folder / MANIFEST, made, max(0, len(ordered) - new), figures=said)


@one_at_a_time
def decide_on_story(home: Home, partition: str, decision: Any, reason: str, profile: Profile) -> Verdict:
    """Keep a person's decision on a story as it is painted now and put it into force.

    Raises WrongUse where it was not judged yet.
    """
    return decide_on(home, partition, current_key(home, partition, profile), decision, reason, profile.gate)


def current_key(home: Home, partition: str, profile: Profile) -> str:
    """The key of a story as its storyboard and its adapters are now."""
    return key_of(story_of(home, partition, profile), hand_at_work(home, partition, profile))


def illustrated_of(home: Home, partition: str, key: str) -> tuple[Sample, ...]:
    """A story's chosen pictures in the order of its shots. Raises ArtMasterError where they are missing or changed."""
    rows = pictures_in_place(home, partition, key, PAINTED_STORY)
    order = {shot.id: place for place, shot in enumerate(painted_story(home, partition, key).shots)}
    return tuple(sorted(rows, key=lambda sample: (order.get(sample.shot, len(order)), sample.id)))


def painted_story(home: Home, partition: str, key: str) -> Story:
    """A story as it was painted, with the shots that its author wrote anew."""
    return Story.model_validate_json((home.evaluation(partition) / key / PAINTED_STORY).read_bytes())


def choices_of(home: Home, partition: str, key: str) -> tuple[Choice, ...]:
    """Of each shot all candidates and the choice, in the order of the shots."""
    return tuple(Choice.model_validate_json(line) for line in _lines(home, partition, key, CHOICES))


def critiques_of(home: Home, partition: str, key: str) -> tuple[Critique, ...]:
    """All second looks, in their order."""
    return tuple(Critique.model_validate_json(line) for line in _lines(home, partition, key, CRITIQUES))


def _lines(home: Home, partition: str, key: str, name: str) -> list[str]:
    return (home.evaluation(partition) / key / name).read_text(encoding="utf-8").splitlines()


def _asking(home: Home, story: Story, author: AuthorNamed | None) -> Ask | None:
    if author is None:
        return None
    return lambda: author(story.wish.author, story.wish.model, home=home)


def _samples(easel: Easel, key: str, told: Told) -> tuple[list[Sample], int]:
    """The chosen pictures and the base's as records, their files in place, and how many were made now."""
    painted = []
    for shot, choice in zip(told.story.shots, told.choices, strict=True):
        chosen = next(candidate for candidate in choice.candidates if candidate.id == choice.chosen)
        painted.append(_sample(easel, key, told.story, shot, chosen))
    new = 0
    for sample, choice in zip(painted, told.choices, strict=True):
        file = easel.folder / sample.path
        if not is_there(file, sample.id):
            write_png(file, read_rgb(easel.folder / CANDIDATES / f"{choice.chosen}.png"), sample_facts(sample))
            new += 1
    painted = [s.model_copy(update={"sha256": sha256_of(easel.folder / s.path)}) for s in painted]
    base, drawn = _beside(easel, key, painted, told)
    return [*painted, *base], new + drawn


def _sample(easel: Easel, key: str, story: Story, shot: Shot, chosen: Candidate) -> Sample:
    """The record of a chosen picture under a name of its own, in the folder of the story as it is."""
    name = identity("story sample", chosen.id, story.name, shot.id)
    place = {"id": name, "path": f"{key}/{SAMPLES}/{name}.png", "sha256": "", "gates": _gates(easel, story, shot)}
    return Sample.model_validate(sample_of(easel, story, shot, chosen).model_dump() | place)


def _gates(easel: Easel, story: Story, shot: Shot) -> dict[str, Any]:
    """What a picture's record says beside prompt and seed: the hand's shares and strengths, places with their words."""
    settings = easel.settings
    places = [
        {"of": region.of, "box": list(region.box), "prompt": region_prompt(story, shot, region)}
        for region in shot.regions
    ]
    noise = {"shared_noise": settings.shared_noise, "story_seed": story.wish.seed} if settings.shared_noise else {}
    held = {"anchor_until": settings.anchor_until} if settings.anchor_until < 1 else {}
    return easel.hand.resolved.record() | ({"places": places} if places else {}) | noise | held


def _beside(easel: Easel, key: str, painted: Sequence[Sample], told: Told) -> tuple[list[Sample], int]:
    """The base's picture for each prompt and seed, and how many were drawn now."""
    profile, hand = easel.hand.profile, easel.hand
    plain = hand.resolved.drawing.of_base()
    planned: dict[str, tuple[Sample, MixedDrawing]] = {}
    for sample, shot in zip(painted, told.story.shots, strict=True):
        how = how_drawn(profile, plain, size_of(shot))
        name = identity("story base", sample.base_revision, sample.prompt, sample.seed, *how)
        changed = {"id": name, "column": "base", "path": f"{key}/{SAMPLES}/{name}.png", "sha256": ""}
        record = Sample.model_validate(
            sample.model_dump() | changed | {"adapter_ids": (), "gates": {}} | plain.model_dump()
        )
        size = (sample.width, sample.height)
        drawing = MixedDrawing(((sample.prompt, 1.0),), sample.seed, size, plain, None, hand.knowledge)
        planned.setdefault(name, (record, drawing))
    return draw_beside(easel.home, easel.folder, profile, planned, easel.progress)


def _write_records(folder: Path, told: Told) -> None:
    for name, lines in ((CHOICES, told.choices), (CRITIQUES, told.critiques)):
        write_text(folder / name, "".join(line.model_dump_json() + "\n" for line in lines))
    write_text(folder / PAINTED_STORY, told.story.model_dump_json(indent=1) + "\n")


def _figures(easel: Easel, key: str, told: Told, samples: Sequence[Sample]) -> dict[str, Any]:
    """What is said of a story's pictures, written to consistency.json; the main figures for a table."""
    files = [easel.folder / sample.path for sample in samples if sample.column == "adapter"]
    found = consistency(easel.home, easel.hand, works_for(easel.home, easel.hand), files, easel.progress)
    chosen = [next(c for c in choice.candidates if c.id == choice.chosen) for choice in told.choices]
    adherence = round(sum(each.adherence for each in chosen) / len(chosen), 4)
    rounds = max((choice.round for choice in told.choices), default=0)
    left = sum(len(_last(told.critiques, choice.shot)) for choice in told.choices)
    content = found | {"adherence": adherence, "rounds": rounds, "faults_left": left}
    write_text(easel.folder / key / CONSISTENCY, json.dumps(content, indent=2, sort_keys=True) + "\n")
    named = {"spread of style": found.get("spread"), "margin to other painters": found.get("margin")}
    said = {name: value for name, value in named.items() if value is not None}
    return said | {"adherence": adherence, "rounds of words": rounds, "faults left": left}


def _last(critiques: Sequence[Critique], shot: str) -> tuple[str, ...]:
    """The faults of the picture that stays."""
    of = [critique for critique in critiques if critique.shot == shot and critique.kept]
    return of[-1].faults if of else ()


def _remove_others(folder: Path, key: str, told: Told) -> None:
    """Remove what lies beside pictures of the story as it was before, and candidates of it; verdicts stay."""
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name not in (key, *_BESIDE) and (entry / PANEL).is_file():
            (entry / MANIFEST).unlink(missing_ok=True)  # first: no record of pictures that are no longer there
            shutil.rmtree(entry / SAMPLES, ignore_errors=True)
            if not (entry / VERDICTS).is_file():
                shutil.rmtree(entry)
    looked_at = told.pictures
    for file in (folder / CANDIDATES).glob("*.png"):
        if file.stem not in looked_at:
            file.unlink()

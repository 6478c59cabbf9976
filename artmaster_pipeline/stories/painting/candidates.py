"""Candidates: several pictures of every shot, a panel of every recurring figure; what is there is not painted again.

illustrated_stories/<story>/candidates/<id>.png    a picture of a shot; its id is made from all that decides it
illustrated_stories/<story>/anchors/<id>.png       a recurring figure alone
illustrated_stories/<story>/canvases/<shot>/       the map of a shot with regions
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artmaster_pipeline.experts.resolving import plain_words
from artmaster_pipeline.experts.samples import is_there
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.generation.requests import how_drawn
from artmaster_pipeline.pictures import AI_GENERATED, read_rgb, write_png
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import Sample, identity
from artmaster_pipeline.settings import CROP_SIZES, Home, StorySettings
from artmaster_pipeline.stories.painting.anchors import Held
from artmaster_pipeline.stories.painting.canvases import FEATHER, canvas_folder
from artmaster_pipeline.stories.painting.drawing import ToDraw, draw_shots
from artmaster_pipeline.stories.painting.hand import OneHand
from artmaster_pipeline.stories.painting.records import Candidate
from artmaster_pipeline.stories.records import Shot, Story
from artmaster_pipeline.stories.storyboard import picture_identity, prompt_of, recurring, size_of, visual_of

CANDIDATES, ANCHORS, CANVASES = "candidates", "anchors", "canvases"
_VERSION = 1  # part of a picture's id: raise it where the same shot would be painted otherwise


@dataclass(frozen=True)
class Drawn:
    """A candidate's picture."""

    id: str
    seed: int
    path: str  # POSIX, below the partition's folder
    sha256: str


@dataclass(frozen=True)
class Easel:
    """What all shots of a story are painted with."""

    home: Home
    folder: Path  # the partition's
    hand: OneHand
    settings: StorySettings
    progress: Progress


@dataclass(frozen=True)
class _Panel:
    id: str
    figure: str
    words: str
    shot: ToDraw


def seeds_of(shot: Shot, count: int) -> tuple[int, ...]:
    """The seeds of a shot's candidates: its own, and those made from it."""
    return (shot.seed, *(int(identity("candidate", shot.seed, number)[:8], 16) for number in range(1, count)))


def paint_candidates(easel: Easel, story: Story, shots: Sequence[Shot]) -> tuple[dict[str, tuple[Drawn, ...]], int]:
    """The candidates of each of these shots, by its id, and how many pictures were painted now.

    A shot of which one is missing is painted whole, since a picture's last digits may change with its batch.
    """
    held, made = _held_figures(easel, story, shots)
    planned = {shot.id: _planned(easel, story, shot, held[shot.id]) for shot in shots}
    every = [(key, planned[shot.id][0]) for shot in shots for key in planned[shot.id][1]]
    missing = {key for key, _ in every if not is_there(easel.folder / CANDIDATES / f"{key}.png", key)}
    again = [shot for shot in shots if missing.intersection(planned[shot.id][1])]
    names = [(key, seed, drawing) for s in again for drawing, keys in [planned[s.id]]
             for key, seed in zip(keys, drawing.seeds, strict=True)]  # fmt: skip
    with easel.progress.task(f"painting {story.name}", len(every), len(every) - len(missing)) as advance:
        drawn = draw_shots(easel.home, easel.hand, [planned[shot.id][0] for shot in again])
        for (key, seed, drawing), pixels in zip(names, drawn, strict=True):
            if key in missing:
                _keep(easel, CANDIDATES, key, pixels, drawing.prompt, seed)
                advance(note=drawing.prompt[:40])
    found = {}
    for shot in shots:
        drawing, keys = planned[shot.id]
        found[shot.id] = tuple(_drawn(easel, key, seed) for key, seed in zip(keys, drawing.seeds, strict=True))
    return found, len(missing) + made


def _drawn(easel: Easel, key: str, seed: int) -> Drawn:
    path = f"{CANDIDATES}/{key}.png"
    return Drawn(key, seed, path, sha256_of(easel.folder / path))


def _planned(easel: Easel, story: Story, shot: Shot, held: Sequence[tuple[str, Held]]) -> tuple[ToDraw, list[str]]:
    """How a shot's candidates are drawn, and their ids."""
    settings, hand = easel.settings, easel.hand
    key = picture_identity(story, shot)
    hands = None
    if shot.regions:
        folder = canvas_folder(easel.folder / CANVASES, story, shot, key, hand.painters[0])
        hands = hand.on_canvas(easel.home, folder)
    drawing = ToDraw(
        prompt=plain_words(prompt_of(story, shot)),
        size=size_of(shot),
        seeds=seeds_of(shot, settings.candidates),
        story_seed=story.wish.seed,
        shared_noise=settings.shared_noise,
        hands=hands,
        held=tuple(each for _, each in held),
        until=settings.anchor_until,
    )
    how = how_drawn(hand.profile, hand.resolved.drawing, drawing.size)
    anchored = [settings.anchor_until, [panel for panel, _ in held]] if held else []
    places = [FEATHER] if shot.regions else []
    parts = (_VERSION, key, hand.identity, *how, settings.shared_noise, anchored, places)
    return drawing, [identity("story picture", *parts, seed) for seed in drawing.seeds]


def _held_figures(easel: Easel, story: Story, shots: Sequence[Shot]) -> tuple[dict[str, list[tuple[str, Held]]], int]:
    """Of each shot the recurring figures that have a place in it, with their panels and those panels' ids."""
    found: dict[str, list[tuple[str, Held]]] = {shot.id: [] for shot in shots}
    if easel.settings.anchor_until >= 1:
        return found, 0
    again = recurring(story)
    places = [(shot, region) for shot in shots for region in shot.regions if region.of in again]
    panels = {(r.of, visual_of(story, r.of, s.era)): None for s, r in places}
    planned = {of: _panel(easel, story, *of) for of in panels}
    made = _paint_panels(easel, list(planned.values()))
    for shot, region in places:
        panel = planned[region.of, visual_of(story, region.of, shot.era)]
        picture = read_rgb(easel.folder / ANCHORS / f"{panel.id}.png")
        found[shot.id].append((panel.id, Held(picture, region.box)))
    return found, made


def _panel(easel: Easel, story: Story, figure: str, words: str) -> _Panel:
    said = ", ".join([words, *story.style_contract.palette])
    seed = int(identity("anchor", story.wish.seed, figure)[:8], 16)
    shot = ToDraw(said, CROP_SIZES[0], (seed,), story.wish.seed, easel.settings.shared_noise)
    how = how_drawn(easel.hand.profile, easel.hand.resolved.drawing, CROP_SIZES[0])
    parts = (_VERSION, said, easel.hand.identity, *how, easel.settings.shared_noise, story.wish.seed, seed)
    return _Panel(identity("anchor panel", *parts), figure, words, shot)


def _paint_panels(easel: Easel, panels: Sequence[_Panel]) -> int:
    missing = [panel for panel in panels if not is_there(easel.folder / ANCHORS / f"{panel.id}.png", panel.id)]
    drawn = draw_shots(easel.home, easel.hand, [panel.shot for panel in missing])
    for panel, pixels in zip(missing, drawn, strict=True):
        _keep(easel, ANCHORS, panel.id, pixels, panel.shot.prompt, panel.shot.seeds[0])
    return len(missing)


def _keep(easel: Easel, where: str, key: str, pixels: Any, prompt: str, seed: int) -> None:
    hand = easel.hand
    facts = {
        "id": key,
        "notice": AI_GENERATED,
        "prompt": prompt,
        "seed": seed,
        "adapter": ", ".join(adapter.id for adapter in hand.adapters),
        "base_model": hand.adapters[0].base_model,
        "base_revision": hand.adapters[0].base_revision,
    }
    write_png(easel.folder / where / f"{key}.png", pixels, facts)


def sample_of(easel: Easel, story: Story, shot: Shot, picture: Drawn | Candidate) -> Sample:
    """The record of a candidate's picture, with all but gates."""
    hand = easel.hand
    width, height = hand.profile.size(*size_of(shot))
    return Sample(
        id=picture.id,
        painter=easel.folder.name,
        column="adapter",
        adapter_ids=tuple(adapter.id for adapter in hand.adapters),
        base_model=hand.adapters[0].base_model,
        base_revision=hand.adapters[0].base_revision,
        prompt=" ".join(prompt_of(story, shot).split()),
        seed=picture.seed,
        width=width,
        height=height,
        num_inference_steps=hand.profile.evaluation.num_inference_steps,
        **hand.resolved.drawing.model_dump(),
        path=picture.path,
        sha256=picture.sha256,
        story=story.name,
        shot=shot.id,
    )

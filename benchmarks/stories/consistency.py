"""One hand over six shots: with and without the contract, the choice, shared noise, anchor panels and second looks.

    python benchmarks/stories/consistency.py HOME --sheets FOLDER [--painters A,B] [--wish TEXT] [--seed 0] [--arms A,B]

The home's painters have adapters; each is told the same wish by the template author (six shots, two eras), and all arms
are painted and measured in this one run.

Arms, each adding to the one before it unless it says otherwise:

    plain       one prompt per shot without the contract: what happens, as it is told ("The traveller comes ..."), by
                the same adapter with its trigger; own noise, one picture each
    words       the contract's words: figures as in every shot, renderings, setting, palette; own noise, one picture
                each
    places      figures have places of their own (regions) with their words besides; one picture each
    best of 2   of two pictures each one is chosen, all shots together; no places
    best of 4   of four
    noise 0.3   as best of 2, with 0.3 of the first noise's variance alike in all shots; noise 0.6: with 0.6
    at places   as best of 2, with places
    anchors     as at places, recurring figures held to their panels down to the noise level 0.7
    critique    as best of 4, and shots that miss something are written anew by the author, at most twice
    all         as critique, with places

Measures, fixed before any figure was seen:

    spread      mean style distance (tone, brushwork, whole style) of two shots as a share of that of two of the
                painter's works. At most 1 is a hand as steady as the painter's own
    margin      energy distance in style of the shots to the nearest other painter's works, less that to the painter's
                held-out works. Larger is surer; below 0 the story looks like somebody else's
    adherence   the share of other prompts (the story's others, then far ones) that fit a picture worse than the shot's
                contract prompt does, read by the base without adapter; 0.5 is chance. The arm `plain` is asked the
                same of its pictures (`shows`), and beside it of its own words (`own words`)
    seen        the share of figures on stage that are seen: the base denoises with a smaller error when told them, or
                the embedded reader names them
    figure      how far apart the places of one recurring figure are in two shots, the mean of all axes; 1 is two works
    variety     how many different pictures the shots amount to (Vendi), as a share of that of as many works
    faults      sentences that a second look has of the chosen pictures, per shot

Rule for the defaults, fixed before: shared noise, anchors and places are each on by default if, over the mean of all
painters, what they are for gets better by 0.03 or more (shared noise: spread falls; anchors: `figure` falls; places:
`seen` rises) and nothing gets worse by more than: adherence 0.03, seen 0.03, margin 0.02, variety 0.05. Otherwise off.
"""

import argparse
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from artmaster_pipeline.evaluation.axes.distances import pairwise_distances
from artmaster_pipeline.evaluation.panel.measure import concatenated
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.pictures import read_rgb
from artmaster_pipeline.progress import SILENT
from artmaster_pipeline.records import identity
from artmaster_pipeline.settings import Home, StorySettings, painter_profile
from artmaster_pipeline.stories.authors.template import TemplateAuthor
from artmaster_pipeline.stories.painting import rounds
from artmaster_pipeline.stories.painting.candidates import Easel
from artmaster_pipeline.stories.painting.consistency import consistency
from artmaster_pipeline.stories.painting.critique import faults_of
from artmaster_pipeline.stories.painting.hand import hand_of
from artmaster_pipeline.stories.painting.looking import works_for
from artmaster_pipeline.stories.painting.reading import Question, other_prompts, read_pictures
from artmaster_pipeline.stories.records import Story, Wish
from artmaster_pipeline.stories.storyboard import assemble, brief_for, prompt_of, recurring, visual_of, write_wish
from artmaster_pipeline.stories.storyboard.assembling import regions_of

ARMS: dict[str, dict[str, Any]] = {
    "plain": {"candidates": 1},
    "words": {"candidates": 1},
    "places": {"candidates": 1, "places": True},
    "best of 2": {"candidates": 2},
    "best of 4": {"candidates": 4},
    "noise 0.3": {"candidates": 2, "shared_noise": 0.3},
    "noise 0.6": {"candidates": 2, "shared_noise": 0.6},
    "at places": {"candidates": 2, "places": True},
    "anchors": {"candidates": 2, "places": True, "anchor_until": 0.7},
    "critique": {"candidates": 4, "revisions": 2},
    "all": {"candidates": 4, "revisions": 2, "places": True},
}
SHOWN = ("spread", "margin", "adherence", "own words", "seen", "figure", "variety", "faults")


def main() -> None:
    asked = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    asked.add_argument("home", type=Path)
    asked.add_argument("--painters", default="")
    asked.add_argument("--wish", default="a modern city as mountain and water")
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--sheets", type=Path, default=Path())
    asked.add_argument("--arms", default=",".join(ARMS))
    said = asked.parse_args()
    home = Home(said.home.resolve())
    rounds._copies = nobody_copies
    table: dict[str, list[dict[str, float]]] = {arm: [] for arm in said.arms.split(",")}
    for painter in said.painters.split(",") if said.painters else home.painters():
        story = written(home, painter, said.wish, said.seed)
        rows = []
        for arm, of in table.items():
            figures, pictures = measured(home, story, arm, StorySettings(**{"revisions": 0} | ARMS[arm]))
            of.append(figures)
            rows.append(pictures)
            print(f"{painter:16} {arm:10} {line(figures)}", flush=True)
        write_sheet(rows, said.sheets / f"{painter}-{said.seed}.png")
    print(f"\n{'mean':16} {'':10} {'  '.join(f'{name:>9}' for name in SHOWN)}")
    for arm, of in table.items():
        means = {name: float(np.nanmean([each.get(name, np.nan) for each in of])) for name in SHOWN}
        print(f"{'':16} {arm:10} {line(means)}")


def line(figures: dict[str, float]) -> str:
    return "  ".join(f"{figures.get(name, float('nan')):9.3f}" for name in SHOWN)


def written(home: Home, painter: str, text: str, seed: int) -> Story:
    """The template author's story of a wish, with its wish in the home."""
    profile = painter_profile(home, painter)
    wish = Wish(text=text, painter=painter, seed=seed)
    brief = brief_for(wish, home, profile)
    name = f"bench-{painter}-{seed}"
    story = assemble(brief, TemplateAuthor().write(brief, SILENT), name, home=home, profile=profile)
    write_wish(home.story(name), wish)
    return story


def arm_of(story: Story, arm: str) -> Story:
    """The story as an arm paints it."""
    if arm == "plain":
        shots = [shot.model_copy(update={"prompt": shot.plot.en}) for shot in story.shots]
        return story.model_copy(update={"shots": tuple(shots), "motifs": ()})
    if ARMS[arm].get("places"):
        shots = [shot.model_copy(update={"regions": regions_of(shot.onstage)}) for shot in story.shots]
        return story.model_copy(update={"shots": tuple(shots)})
    return story


def nobody_copies(*_: Any) -> dict[str, str]:
    """Copies are not looked for: no arm is for that, and none of these pictures is published."""
    return {}


def measured(home: Home, story: Story, arm: str, settings: StorySettings) -> tuple[dict[str, float], list[np.ndarray]]:
    """An arm's figures and pictures."""
    hand = hand_of(home, story)
    easel = Easel(home, home.evaluation(f"story_{story.name}"), hand, settings, SILENT)
    told = rounds.tell(easel, arm_of(story, arm), TemplateAuthor if settings.revisions else None)
    chosen = [next(c for c in choice.candidates if c.id == choice.chosen) for choice in told.choices]
    files = [easel.folder / candidate.path for candidate in chosen]
    found = consistency(home, hand, works_for(home, hand), files, SILENT)
    shown = told.story if settings.revisions else story
    readings = asked_of(easel, shown, files)
    seen = [float(there) for reading in readings for there in reading.there.values()]
    looked = zip(told.story.shots, chosen, strict=True)
    figures = {
        "spread": found["spread"],
        "margin": found["margin"] if found["margin"] is not None else float("nan"),
        "adherence": float(np.mean([reading.adherence for reading in readings])),
        "own words": float(np.mean([candidate.adherence for candidate in chosen])),
        "seen": float(np.mean(seen)) if seen else float("nan"),
        "figure": figure_distance(easel, shown, story, files),
        "variety": found["variety"]["pictures"] / found["variety"]["works"],
        "faults": float(np.mean([len(faults_of(told.story, shot, c, told.looks)) for shot, c in looked])),
    }
    return figures, [read_rgb(file) for file in files]


def asked_of(easel: Easel, story: Story, files: Sequence[Path]) -> list[Any]:
    """What pictures show of the contract's prompts, whatever they were painted from."""
    prompts = [prompt_of(story, shot) for shot in story.shots]
    questions = []
    for shot, prompt, file in zip(story.shots, prompts, files, strict=True):
        others = other_prompts(prompt, prompts, easel.hand.profile.evaluation.far_prompts)
        figures = {who: words for who in shot.onstage if (words := visual_of(story, who, shot.era)) in prompt}
        questions.append(Question(file, sha256_of(file), prompt, others, figures))
    return read_pictures(easel.home, easel.hand, questions, SILENT)


def figure_distance(easel: Easel, shown: Story, story: Story, files: Sequence[Path]) -> float:
    """How far apart one recurring figure's places are in two shots: the mean over pairs, of all axes."""
    again, crops = recurring(story), dict[str, list[Path]]()
    for shot, file in zip(shown.shots, files, strict=True):
        for region in regions_of(shot.onstage):
            if region.of in again:
                words = visual_of(shown, region.of, shot.era)
                crops.setdefault(words, []).append(cropped(easel, file, region.box))
    paths = [path for of in crops.values() for path in of]
    parts = {"drawn": paths, "train": list(works_for(easel.home, easel.hand).train)}
    every, rows = concatenated(parts)
    matrix = np.mean(
        list(pairwise_distances(easel.home, easel.hand.profile, every, rows["train"]).axes.values()), axis=0
    )
    place = {path: number for number, path in enumerate(paths)}
    pairs = [matrix[place[a], place[b]] for of in crops.values() for a, b in combinations(of, 2)]
    return float(np.mean(pairs)) if pairs else float("nan")


def cropped(easel: Easel, file: Path, box: tuple[float, float, float, float]) -> Path:
    """A figure's place of a picture as a file of its own."""
    path = easel.home.cache / "bench" / f"{identity('figure', sha256_of(file), box)}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        with Image.open(file) as picture:
            sides = (picture.width, picture.height) * 2
            picture.crop(tuple(round(share * side) for share, side in zip(box, sides, strict=True))).save(path)
    return path


def write_sheet(rows: Sequence[Sequence[np.ndarray]], file: Path) -> None:
    """A row for each arm, a column for each shot, twice as large."""
    tall, wide = max(p.shape[0] for row in rows for p in row), max(p.shape[1] for row in rows for p in row)
    sheet = np.full((len(rows) * (tall + 4), len(rows[0]) * (wide + 4), 3), 255, np.uint8)
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            height, width = picture.shape[:2]
            sheet[r * (tall + 4) : r * (tall + 4) + height, c * (wide + 4) : c * (wide + 4) + width] = picture
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(file)


if __name__ == "__main__":
    main()

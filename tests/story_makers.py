"""Stories over the three painters of `mixed_painters`, and who stands in for the rooms that make them: small pictures.

What is tried with them is the house around those rooms: plan, locks, DVC, Dagster, lineage, withdrawal.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml
from mixed_painters import A
from small_archive import painted

from artmaster_pipeline import stages
from artmaster_pipeline.adapters.finding import current_adapter
from artmaster_pipeline.adapters.withdrawn import marks_of
from artmaster_pipeline.errors import HoldsWithdrawn, NotPublished
from artmaster_pipeline.evaluation.verdicts import decide, last_verdict
from artmaster_pipeline.experts.judging import judge_mix
from artmaster_pipeline.experts.samples import is_there
from artmaster_pipeline.files import sha256_of, write_text
from artmaster_pipeline.gallery import renditions
from artmaster_pipeline.gallery.enlarging import enlarge_samples, sample_facts
from artmaster_pipeline.gallery.pages import static_files
from artmaster_pipeline.gallery.provenance import provenance_json, read_provenance
from artmaster_pipeline.locks import one_at_a_time
from artmaster_pipeline.pictures import write_png
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.publishing.publish import publish_site
from artmaster_pipeline.publishing.signing import Site, unsigned
from artmaster_pipeline.publishing.taking_down import take_down
from artmaster_pipeline.records import (
    MANIFEST,
    PROVENANCE,
    Adapter,
    Outcome,
    Sample,
    Storyboarded,
    Verdict,
    identity,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.settings import Home, Profile
from artmaster_pipeline.stages import story_named
from artmaster_pipeline.story_folders import read_story_text

CITY, STORY = "city", "story_city"
HAND: dict[str, Any] = {"painter": A}
SHOTS = ("shot-1", "shot-2", "shot-10")


def story_text(hand: dict[str, Any] = HAND, shots: Sequence[str] = SHOTS) -> str:
    """A story.yaml as far as the house reads it, with a person's comments."""
    said = {
        "title": {"en": "A city", "zh": "一座城"},
        "wish": {"text": f"a city by {hand.get('painter', 'several')}", **hand},
        "style_contract": {**hand, "medium": "ink"},
        "shots": [{"id": shot, "setting": f"the street of {shot}", "seed": 7} for shot in shots],
    }
    return "# mine\n" + yaml.safe_dump(said, sort_keys=False, allow_unicode=True)


def add_story(home: Home, slug: str = CITY, hand: dict[str, Any] = HAND, shots: Sequence[str] = SHOTS) -> Path:
    """Write stories/<slug>/story.yaml; gives the folder."""
    folder = home.story(slug)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "story.yaml").unlink(missing_ok=True)  # a copied home shares it with others by a hard link
    (folder / "story.yaml").write_text(story_text(hand, shots), encoding="utf-8")
    return folder


def lend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the stages of stories be made by what stands here, and the checks and the gate ask it."""
    makers = {"storyboards": "make_storyboards", "illustrated_stories": "illustrate", "story_books": "publish_book"}
    table = tuple(
        replace(stage, makes=f"story_makers:{makers[stage.name]}", lends=()) if stage.name in makers else stage
        for stage in stages.TABLE
    )
    monkeypatch.setattr(stages, "TABLE", table)
    storyboard, painting = ModuleType("storyboard"), ModuleType("painting")
    vars(storyboard).update(story_of=story_of, faults_of=lambda *_: ())
    vars(painting).update(current_key=key_of, decide_on_story=decide_on_story)
    monkeypatch.setitem(sys.modules, "artmaster_pipeline.stories.storyboard", storyboard)
    monkeypatch.setitem(sys.modules, "artmaster_pipeline.stories.painting", painting)


def story_of(home: Home, partition: str, _: Profile) -> Any:
    """A story's shots and who mended it."""
    said = read_story_text(home.story(story_named(partition)))
    shots = [SimpleNamespace(**shot) for shot in said["shots"]]
    return SimpleNamespace(shots=shots, authorship=SimpleNamespace(repairs=()))


@one_at_a_time
def make_storyboards(
    home: Home, partition: str, profile: Profile, progress: Progress = SILENT
) -> Outcome[Storyboarded]:
    """A record for each shot."""
    shots = story_of(home, partition, profile).shots
    rows = [
        Storyboarded(
            id=identity(shot.id, shot.setting),
            painter=partition,
            shot=shot.id,
            era="today",
            prompt=shot.setting,
            seed=7,
            width=512,
            height=512,
        )
        for shot in shots
    ]
    manifest = home.stage_folder("storyboards", partition) / MANIFEST
    known = {row.id for row in read_manifest(manifest, Storyboarded)}
    write_manifest(manifest, rows)
    made = sum(row.id not in known for row in rows)
    return Outcome(tuple(sorted(rows, key=lambda row: row.id)), manifest, made, len(rows) - made)


def hands(home: Home, partition: str) -> list[Adapter]:
    """The adapters of a story's painters; raises HoldsWithdrawn where a withdrawn work is in one."""
    found = [adapter for painter in home.members(partition) if (adapter := current_adapter(home, painter))]
    if marks := [mark for adapter in found for mark in marks_of(home, adapter)]:
        raise HoldsWithdrawn(f"It holds {marks[0].sha256[:16]}: {marks[0].reason}")
    return found


def key_of(home: Home, partition: str, profile: Profile) -> str:
    """The id of all that decides a story's pictures."""
    shots = [(shot.id, shot.setting) for shot in story_of(home, partition, profile).shots]
    return identity("story", shots, [adapter.id for adapter in hands(home, partition)])


@one_at_a_time
def illustrate(home: Home, partition: str, profile: Profile, progress: Progress = SILENT) -> Outcome[Sample]:
    """A picture for each shot, and a panel without figures, so that a person has to decide."""
    folder, key, drawn_by = home.evaluation(partition), key_of(home, partition, profile), hands(home, partition)
    rows, made, (width, height) = [], 0, profile.size(512, 512)
    for number, shot in enumerate(story_of(home, partition, profile).shots):
        name = identity("story sample", key, shot.id)
        row = Sample(
            id=name,
            painter=partition,
            column="adapter",
            adapter_ids=tuple(adapter.id for adapter in drawn_by),
            base_model=drawn_by[0].base_model,
            base_revision=drawn_by[0].base_revision,
            prompt=shot.setting,
            seed=number,
            width=width,
            height=height,
            num_inference_steps=1,
            guidance_scale=1.0,
            path=f"{key}/samples/{name}.png",
            sha256="",
            story=story_named(partition),
            shot=shot.id,
        )
        if not is_there(folder / row.path, name):
            write_png(folder / row.path, painted(900 + number, width, height, (70, 90, 60)), sample_facts(row))
            made += 1
        rows.append(row.model_copy(update={"sha256": sha256_of(folder / row.path)}))
    none: dict[str, Any] = {"axes": {}, "nearest": {}, "drift": {"loss": 0.0}, "counts": {}, "judged_by": []}
    panel = {"id": key, "adapter_id": key, "memorisation": {"suspects": 0, "pictures": 1}} | none
    write_text(folder / key / "panel.json", json.dumps(panel))
    write_text(folder / key / "consistency.json", json.dumps({"spread": 1.2, "margin": 0.1}))
    judge_mix(home, partition, panel, profile.gate)
    write_manifest(folder / key / MANIFEST, rows)
    write_manifest(folder / MANIFEST, rows)
    return Outcome(tuple(sorted(rows, key=lambda row: row.id)), folder / MANIFEST, made, len(rows) - made)


@one_at_a_time
def decide_on_story(home: Home, partition: str, decision: Any, reason: str, profile: Profile) -> Verdict:
    """A person's decision on the story as it is now."""
    key = key_of(home, partition, profile)
    decide(home, partition, key, decision, reason)
    panel = json.loads((home.evaluation(partition) / key / "panel.json").read_text(encoding="utf-8"))
    return judge_mix(home, partition, panel, profile.gate)


@one_at_a_time
def publish_book(home: Home, partition: str, profile: Profile, progress: Progress = SILENT) -> Outcome[Sample]:
    """A book of one page and a PDF, where the verdict lets it."""
    take_down(home, partition, progress)
    key, adapters = key_of(home, partition, profile), hands(home, partition)
    verdict = last_verdict(home.evaluation(partition) / key)
    if verdict is None or not verdict.publish:
        raise NotPublished(" ".join(verdict.reasons) if verdict else "It was not judged.")
    rows = read_manifest(home.evaluation(partition) / key / MANIFEST, Sample)
    provenance = read_provenance(home, adapters[0], rows)
    enlarged, made, how = enlarge_samples(home, partition, profile, rows, progress)
    enlarged = tuple(unsigned(home, partition, picture) for picture in enlarged)
    records = tuple(picture.record for picture in enlarged)
    contents = static_files() | {"index.html": b"<!doctype html><title>A city</title>", "book.pdf": b"%PDF-1.7\n"}
    for picture in enlarged:
        contents[picture.record.path] = picture.file
        contents |= renditions.renditions(picture.record, picture.file)
    contents[PROVENANCE] = provenance_json(provenance, records).encode()
    version = publish_site(home, Site(partition, "", provenance, contents, records), verdict.id, progress)
    manifest = home.gallery(partition) / MANIFEST
    return Outcome(
        read_manifest(manifest, Sample), manifest, made, len(records) - made, figures={"version": version.id} | how
    )

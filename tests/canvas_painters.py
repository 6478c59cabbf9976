"""Canvases over the three painters of `mixed_painters`, and who stands in for the painting: small pictures only."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from mixed_painters import A, B, C
from PIL import Image
from small_archive import painted

from artmaster_pipeline.copainting.canvas import load
from artmaster_pipeline.copainting.painting.hands import hands_of
from artmaster_pipeline.experts.samples import is_there
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.gallery.enlarging import sample_facts
from artmaster_pipeline.pictures import write_png
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import MANIFEST, Outcome, Sample, identity, write_manifest
from artmaster_pipeline.settings import Home, Profile
from artmaster_pipeline.stages import canvas_of

VILLAGE, CANVAS = "village", "canvas_village"
INKS = {A: (60, 70, 60), B: (150, 60, 40), C: (40, 60, 150)}
SAID: dict[str, Any] = {
    "prompt": "a village by a river in autumn",
    "seeds": [0, 1],
    "size": "512x512",
    "ground": {"painter": A},
    "labels": "labels.png",
    "regions": [
        {"id": "rock", "label": 1, "kind": "rock", "painter": B, "prompt": "layered mountains", "strength": 0.8},
        {"id": "river", "label": 2, "kind": "water", "mix": f"{B}=0.5 {C}=0.5", "factors": {"colour": 0.5}},
    ],
}


def labels() -> np.ndarray:
    """A map of 512x512: a rock at the left, a river through the right."""
    found = np.zeros((512, 512), dtype=np.uint8)
    found[96:384, 48:240] = 1
    found[288:448, 272:496] = 2
    return found


def add_canvas(home: Home, slug: str = VILLAGE, **changed: Any) -> Path:
    """Write canvases/<slug>/ with `SAID` and what is changed of it; gives the folder."""
    folder = home.canvas(slug)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("canvas.yaml", "labels.png"):  # a copied home shares them with others by hard links
        (folder / name).unlink(missing_ok=True)
    (folder / "canvas.yaml").write_text(yaml.safe_dump(SAID | changed, sort_keys=False), encoding="utf-8")
    Image.fromarray(labels()).save(folder / "labels.png")
    return folder


def paint(home: Home, slug: str, profile: Profile, progress: Progress = SILENT) -> Outcome[Sample]:
    """Paint every region in its painters' inks, and write the records that a painted canvas has."""
    canvas = load(home.canvas(slug), home)
    hands, partition = hands_of(home, canvas), canvas_of(slug)
    folder, (width, height) = home.evaluation(partition), profile.size(*canvas.size)
    small = np.asarray(Image.fromarray(labels()).resize((width, height), Image.Resampling.NEAREST))
    rows, made = [], 0
    for seed in canvas.seeds:
        key = identity("canvas sample", hands.identity(), seed)
        row = Sample(
            id=key,
            painter=partition,
            column="adapter",
            adapter_ids=tuple(adapter.id for adapter in hands.adapters),
            base_model=hands.adapters[0].base_model,
            base_revision=hands.adapters[0].base_revision,
            prompt=canvas.prompt,
            seed=seed,
            width=width,
            height=height,
            num_inference_steps=profile.evaluation.num_inference_steps,
            **hands.drawing.model_dump(),
            path=f"{hands.identity()}/samples/{key}.png",
            sha256="",
            canvas=slug,
            gates=hands.record(),
        )
        file = folder / row.path
        if not is_there(file, key):
            write_png(file, _painted(seed, small, row), sample_facts(row))
            made += 1
        rows.append(row.model_copy(update={"sha256": sha256_of(file)}))
    write_manifest(folder / MANIFEST, rows)
    ordered = tuple(sorted(rows, key=lambda row: row.id))
    return Outcome(ordered, folder / MANIFEST, made, len(rows) - made)


def _painted(seed: int, small: np.ndarray, row: Sample) -> np.ndarray:
    height, width = small.shape
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    for region in row.regions:
        ink = np.mean([INKS.get(painter, (90, 90, 90)) for painter in region.painters], axis=0)
        of = painted(700 + 10 * seed + region.label, width, height, tuple(int(level) for level in ink))
        pixels[small == region.label] = of[small == region.label]
    return pixels

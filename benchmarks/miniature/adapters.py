"""Does an adapter take the miniature over? Two painters that it never saw, 40 works of each, beside the base itself.

    python benchmarks/miniature/adapters.py --work DIR --scans FOLDER_OF_ONE_REAL_PAINTER [--kind work]

One painter is a style of the sample painters that the base is not taught; the other is real (`--kind` takes the rows
of that kind from the folder's MANIFEST.csv). The rooms of the product do all of it: register, crop, caption, train
with the profile `miniature`, draw. Then the same prompts and seeds are drawn with and without the adapter, and both
are compared with works that were held out of the training, on every axis of the evaluation panel, in units of the
painter's own variety. Works and prompts are drawn again with replacement for the 95 % interval of the gain. Sheets
go to `--work`.
"""

import argparse
import csv
import itertools
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from artmaster_pipeline.adapters import attach
from artmaster_pipeline.base_models import load_pipeline
from artmaster_pipeline.base_models.miniature.training_pictures import UNTAUGHT_STYLE
from artmaster_pipeline.curation import crop_scans
from artmaster_pipeline.dataset import build_training_set
from artmaster_pipeline.drawing_settings import drawing_of
from artmaster_pipeline.evaluation.axes import sets
from artmaster_pipeline.evaluation.axes.distances import pairwise_distances
from artmaster_pipeline.files import inside, write_text
from artmaster_pipeline.generation import Drawing, draw_all
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import TrainingImage
from artmaster_pipeline.sample_painters import write_scans
from artmaster_pipeline.scans import add_scans, register_scans
from artmaster_pipeline.settings import Home, Profile, load_profile
from artmaster_pipeline.training import train_adapter

TRAIN_WORKS = 40
HELD_OUT_WORKS = 36  # of the sample painter; of a real one, what there is beyond the trained
DRAWN = 36  # pictures with and without the adapter


def main() -> None:
    """Train both painters' adapters and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--scans", type=Path, help="a folder of a real painter's scans with a MANIFEST.csv")
    parser.add_argument("--kind", default="work")
    parser.add_argument("--subject", default="layered mountains", help="what the real painter's works all show")
    parser.add_argument("--model", default="miniature")
    options = parser.parse_args()
    home, progress = Home(options.work / "home"), Progress(bar=True)
    painters = {"sample-painter": options.work / "sample-painter"}
    write_scans(painters["sample-painter"], UNTAUGHT_STYLE, TRAIN_WORKS + HELD_OUT_WORKS, 21, progress)
    if options.scans:
        painters["real-painter"] = options.work / "real-painter"
        copy_works(options.scans, painters["real-painter"], options.kind, options.subject)
    rows = []
    for painter, folder in painters.items():
        add_scans(home, painter, folder, name=painter, trigger=f"{painter.replace('-', '')} style", progress=progress)
        rows += compare(home, painter, options.model, options.work, progress)
    print("| painter | axis | base | adapter | training works | gain, 95 % interval |")
    print("|---|---|---|---|---|---|")
    print("\n".join(rows))


def copy_works(source: Path, folder: Path, kind: str, subject: str) -> None:
    """Copy the manifest's works of one kind and say of each what it shows."""
    folder.mkdir(parents=True, exist_ok=True)
    with (source / "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        chosen = [row["file"] for row in csv.DictReader(file) if row.get("kind", kind) == kind]
    lines = ["file,caption"]
    for number, name in enumerate(chosen):
        path = inside(source, name)
        shutil.copyfile(path, folder / f"{number:03d}{path.suffix}")
        lines.append(f"{number:03d}{path.suffix},{subject}")
    write_text(folder / "artworks.csv", "\n".join(lines) + "\n")


def compare(home: Home, painter: str, model: str, work: Path, progress: Progress) -> list[str]:
    """Train one painter's adapter, draw, measure; gives the table's rows."""
    works = len(register_scans(home, painter, progress).records)
    profile = load_profile("miniature").model_copy(
        update={"base_model": model, "held_out_share": 1 - TRAIN_WORKS / works, "validate_share": 0.0}
    )
    crop_scans(home, painter, progress)
    images = build_training_set(home, painter, profile, progress).records
    began = time.perf_counter()
    outcome = train_adapter(home, painter, profile, progress)
    seconds = time.perf_counter() - began
    adapter = outcome.records[0]
    held_out, trained = (_one_per_work(images, split) for split in ("held_out", "train"))
    print(
        f"\n{painter}: {len(trained)} works trained, {len(held_out)} held out, {adapter.steps} steps, {seconds:.0f} s "
        f"({1000 * seconds / adapter.steps:.0f} ms a step with loading, caches and checkpoints)"
    )
    drawings = _drawings(held_out, profile)
    pipe = load_pipeline(profile)
    drawn = {"base": _draw(pipe, drawings, work / painter / "base", progress)}
    attach(pipe, inside(home.root, adapter.path))
    drawn["adapter"] = _draw(pipe, drawings, work / painter / "adapter", progress)
    originals = [inside(home.training_set(painter), image.path) for image in held_out]
    _sheet([originals, drawn["base"], drawn["adapter"]], work / f"{painter}.png")
    works_trained = [inside(home.training_set(painter), image.path) for image in trained]
    parts = [works_trained, originals, drawn["base"], drawn["adapter"]]
    return _rows(home, painter, profile, parts, [image.caption for image in held_out], progress)


def _one_per_work(images: Sequence[TrainingImage], split: str) -> list[TrainingImage]:
    works: dict[str, TrainingImage] = {}
    for image in sorted(images, key=lambda image: (image.height, image.id)):
        if image.split == split:
            works.setdefault(image.scan_sha256, image)
    return [works[key] for key in sorted(works)]


def _drawings(held_out: Sequence[TrainingImage], profile: Profile) -> list[Drawing]:
    width, height = profile.size(512, 512)
    return [
        Drawing(
            prompt=held_out[number % len(held_out)].caption,
            seed=number,
            width=width,
            height=height,
            num_inference_steps=profile.evaluation.num_inference_steps,
            settings=drawing_of(None, profile),
            max_sequence_length=profile.max_sequence_length,
        )
        for number in range(DRAWN)
    ]


def _draw(pipe: object, drawings: list[Drawing], folder: Path, progress: Progress) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, pixels in enumerate(draw_all(pipe, drawings, progress, f"Drawing {folder.name}")):
        paths.append(folder / f"{number:03d}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def _rows(
    home: Home, painter: str, profile: Profile, parts: list[list[Path]], captions: list[str], progress: Progress
) -> list[str]:
    ends = np.cumsum([0, *(len(part) for part in parts)])
    rows = (np.arange(start, end) for start, end in itertools.pairwise(ends))
    members = sets.Members(*rows, tuple(captions[n % len(captions)] for n in range(len(parts[2]))), tuple(captions))
    distances = pairwise_distances(home, profile, [path for part in parts for path in part], members.train, progress)
    rows = []
    for axis, matrix in distances.axes.items():
        found = sets.compare(matrix, members)
        figures = " | ".join(f"{part.value:.3f}" for part in (found.floor, found.result, found.ceiling))
        gain = found.gain
        rows.append(f"| {painter} | {axis} | {figures} | {gain.value:.3f} [{gain.low:.3f}, {gain.high:.3f}] |")
    return rows


def _sheet(rows: list[list[Path]], file: Path, columns: int = 12, side: int = 128) -> None:
    def row(paths: list[Path]) -> np.ndarray:
        pictures = [Image.open(paths[i % len(paths)]).convert("RGB").resize((side, side)) for i in range(columns)]
        return np.concatenate([np.asarray(picture) for picture in pictures], 1)

    Image.fromarray(np.concatenate([row(paths) for paths in rows])).save(file)


if __name__ == "__main__":
    main()

"""What the miniature is trained on: painted scenes with their captions, kept on disk, and real paintings.

Painting a scene takes as long as several training steps, so scenes are painted once, at twice the miniature's size,
and lie in shards of equal shape. A shard is a function of its number and the seed: what is there is not painted again.
"""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from artmaster_pipeline.files import writing
from artmaster_pipeline.progress import SILENT, Progress

PER_SHARD = 240
_SHAPES = ((256, 256), (256, 256), (256, 256), (256, 384))  # width, height; a quarter of the shards is upright
_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class Shard:
    """Pictures of one shape, uint8 (n, height, width, 3), and each one's captions: without and with the style."""

    pictures: np.ndarray
    captions: tuple[tuple[str, str], ...]
    styles: tuple[str, ...]


def paint_shards(folder: Path, count: int, seed: int, progress: Progress = SILENT) -> list[Path]:
    """Paint the shards 0 to count-1 that are not there yet, on all cores; gives their files in order."""
    files = [folder / f"shard-{seed}-{number:04d}.safetensors" for number in range(count)]
    missing = [number for number, file in enumerate(files) if not file.exists()]
    if missing:
        spawn = get_context("spawn")  # a fork of a process whose torch has threads may hang
        with ProcessPoolExecutor(min(_cores(), len(missing)), mp_context=spawn) as pool:
            painted = pool.map(_paint_shard, (files[number] for number in missing), missing, repeat(seed))
            with progress.task("Painting", count, count - len(missing)) as advance:
                for _ in painted:
                    advance()
    return files


def read_shard(file: Path) -> Shard:
    """A shard as `paint_shards` wrote it."""
    from safetensors.numpy import safe_open

    with safe_open(file, "np") as shard:
        captions = json.loads(shard.metadata()["captions"])
        return Shard(
            shard.get_tensor("pictures"),
            tuple((plain, named) for plain, named, _ in captions),
            tuple(style for _, _, style in captions),
        )


def paintings(corpus: Path, longest: int = 768) -> Iterator[tuple[str, np.ndarray]]:
    """The pictures below `corpus` by name, uint8 RGB, reduced to at most `longest` pixels; unreadable ones left out."""
    from PIL import Image, UnidentifiedImageError

    for file in sorted(corpus.rglob("*")):
        if file.suffix.lower() not in _PICTURES:
            continue
        try:
            with Image.open(file) as picture:
                picture.draft("RGB", (longest, longest))
                reduced = picture.convert("RGB")
                reduced.thumbnail((longest, longest), Image.Resampling.LANCZOS)
        except (UnidentifiedImageError, OSError):
            continue
        if min(reduced.size) >= 128:
            yield file.relative_to(corpus).as_posix(), np.asarray(reduced)


def _paint_shard(file: Path, number: int, seed: int) -> None:
    from safetensors.numpy import save_file

    from artmaster_pipeline.sample_painters import STYLES, imagine, paint

    os.nice(5)
    width, height = _SHAPES[number % len(_SHAPES)]
    pictures = np.empty((PER_SHARD, height, width, 3), np.uint8)
    captions = []
    for i in range(PER_SHARD):
        picture_seed = seed * 10_000_000 + number * PER_SHARD + i
        scene = imagine(picture_seed, STYLES[i % len(STYLES)])
        pictures[i] = paint(scene, picture_seed, width, height)
        captions.append((scene.caption(), scene.caption(name_style=True), scene.style))
    with writing(file) as temporary:
        save_file({"pictures": pictures}, temporary, {"captions": json.dumps(captions)})


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

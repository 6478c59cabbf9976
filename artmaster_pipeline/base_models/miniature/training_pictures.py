"""What the miniature is trained on: painted scenes and, from a corpus, real paintings, each with its caption.

Painting a scene takes as long as several training steps, so scenes are painted once, at twice the miniature's size,
and lie in shards of equal shape. A shard is a function of its number and the seed: what is there is not painted again.
Every tenth painting of a corpus is never shown to the model: those measure it.
"""

import csv
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from artmaster_pipeline.errors import BadInput
from artmaster_pipeline.files import writing
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.sample_painters import FURTHER_SUBJECTS, STYLES, SUBJECTS, Scene, imagine

PER_SHARD = 240
UNTAUGHT_STYLE = "emerald-and-ochre"  # kept from the base, so that an adapter has something to bring
TAUGHT_STYLES = tuple(style for style in STYLES if style != UNTAUGHT_STYLE)
TAUGHT_SUBJECTS = (*SUBJECTS, *FURTHER_SUBJECTS)
SHAPES = ((256, 256), (256, 256), (256, 256), (256, 384))  # width, height; a quarter of the shards is upright
_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")
_MANIFEST = "MANIFEST.csv"
_LONGEST = 768
_HELD_OUT_EVERY = 10
_CROPS = 8  # of each painting and shape
_TITLED = 0.6  # of a painting's side, from which on a crop shows what the title names

Describe = Callable[[np.ndarray, str], str]  # what a picture with a title (empty: unknown) shows, in the base's grammar


@dataclass(frozen=True)
class Shard:
    """Pictures of one shape, uint8 (n, height, width, 3), and each one's captions: without and with the style."""

    pictures: np.ndarray
    captions: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Painting:
    """A real painting: its file's name below the corpus, artist and title as far as known, uint8 (height, width, 3)."""

    name: str
    artist: str
    title: str
    pixels: np.ndarray


def taught_scene(seed: int) -> Scene:
    """A scene as the base is taught them: styles in turn, all subjects alike."""
    return imagine(seed, TAUGHT_STYLES[seed % len(TAUGHT_STYLES)], TAUGHT_SUBJECTS)


def paint_shards(folder: Path, count: int, seed: int, progress: Progress = SILENT) -> list[Path]:
    """Paint the shards 0 to count-1 that are not there yet, on all cores; gives their files in order."""
    files = [folder / f"shard-{seed}-{number:04d}.safetensors" for number in range(count)]
    paint_missing(files, _paint_shard, seed, "Painting", progress)
    return files


def paint_missing(
    files: Sequence[Path], paint: Callable[[Path, int, int], None], seed: int, description: str, progress: Progress
) -> None:
    """Have the files that are not there painted on all cores: `paint` gets a file, its number and the seed."""
    missing = [number for number, file in enumerate(files) if not file.exists()]
    if not missing:
        return
    spawn = get_context("spawn")  # a fork of a process whose torch has threads may hang
    with ProcessPoolExecutor(min(cores(), len(missing)), mp_context=spawn) as pool:
        painted = pool.map(paint, (files[number] for number in missing), missing, repeat(seed))
        with progress.task(description, len(files), len(files) - len(missing)) as advance:
            for _ in painted:
                advance()


def _paint_shard(file: Path, number: int, seed: int) -> None:
    from artmaster_pipeline.sample_painters import paint

    os.nice(5)
    width, height = SHAPES[number % len(SHAPES)]
    pictures = np.empty((PER_SHARD, height, width, 3), np.uint8)
    captions = []
    for i in range(PER_SHARD):
        picture_seed = seed * 10_000_000 + number * PER_SHARD + i
        scene = taught_scene(picture_seed)
        pictures[i] = paint(scene, picture_seed, width, height)
        captions.append((scene.caption(), scene.caption(name_style=True)))
    _write_shard(file, pictures, captions)


def crop_shards(
    folder: Path, corpora: Iterable[Path], seed: int, progress: Progress = SILENT, describe: Describe | None = None
) -> list[Path]:
    """Shards of crops of the corpora's paintings, one of squares and one of uprights; made once, then kept.

    A crop's caption says what `describe` sees in it, the artist, and what can be measured.
    """
    files = {shape: folder / f"paintings-{seed}-{shape[0]}x{shape[1]}.safetensors" for shape in dict.fromkeys(SHAPES)}
    if all(file.exists() for file in files.values()):
        return list(files.values())
    shown = [painting for corpus in corpora for painting in paintings(corpus)]
    for (width, height), file in files.items() if shown else ():
        dice = np.random.default_rng((seed, width, height))
        pictures, captions = [], []
        with progress.task(f"Cropping paintings to {width}x{height}", len(shown)) as advance:
            for painting in shown:
                for _ in range(_CROPS):
                    picture, scale = _crop(painting.pixels, width, height, dice)
                    title = painting.title if scale >= _TITLED else ""
                    said = describe(picture, title) if describe else ""
                    pictures.append(picture)
                    captions.append(caption_of(said, painting.artist, picture))
                advance(note=painting.name)
        _write_shard(file, np.stack(pictures), captions)
    return list(files.values()) if shown else []


def read_shard(file: Path) -> Shard:
    """A shard as `paint_shards` or `crop_shards` wrote it."""
    from safetensors.numpy import safe_open

    with safe_open(file, "np") as shard:
        captions = json.loads(shard.metadata()["captions"])
        return Shard(shard.get_tensor("pictures"), tuple((plain, named) for plain, named in captions))


def halved(pictures: np.ndarray) -> np.ndarray:
    """Pictures of a shard at the miniature's size: (n, height, width, 3) averaged over 2x2, rounded to uint8."""
    n, height, width, _ = pictures.shape
    return pictures.reshape(n, height // 2, 2, width // 2, 2, 3).mean((2, 4), dtype=np.float32).round().astype(np.uint8)


def paintings(corpus: Path, held_out: bool = False) -> Iterator[Painting]:
    """The paintings below `corpus` that the model may see, or those that are held out, reduced to 768 pixels.

    A `MANIFEST.csv` with the columns `file`, `artist` and `title` names them. Raises BadInput, with all of their names,
    after the last one if files cannot be read.
    """
    known = _manifest(corpus)
    files = [file for file in sorted(corpus.rglob("*")) if file.suffix.lower() in _PICTURES]
    if not files:
        raise BadInput(f"{corpus} holds no pictures", f"Name a folder with pictures ({', '.join(_PICTURES)}).")
    unreadable = []
    for number, file in enumerate(files):
        if (number % _HELD_OUT_EVERY == _HELD_OUT_EVERY // 2) != held_out:
            continue
        name = file.relative_to(corpus).as_posix()
        try:
            pixels = _reduced(file)
        except OSError as error:
            unreadable.append(f"{name} ({error})")
            continue
        if min(pixels.shape[:2]) >= 128:
            yield Painting(name, *known.get(name, ("", "")), pixels)
    if unreadable:
        raise BadInput(f"{corpus}: cannot be read: {'; '.join(unreadable)}", "Mend these files or take them out.")


def caption_of(said: str, artist: str, pixels: np.ndarray) -> tuple[str, str]:
    """What is `said` of a picture and what can be measured in its uint8 `pixels`, without and with the artist.

    Measured are lightness, colourfulness and the leading hues.
    """
    from skimage.color import rgb2lab

    lab = rgb2lab(pixels[::4, ::4]).reshape(-1, 3)
    lightness, chroma = lab[:, 0].mean(), np.hypot(lab[:, 1], lab[:, 2])
    tone = "dark" if lightness < 42 else "bright" if lightness > 68 else "half bright"
    vivid = "muted" if chroma.mean() < 13 else "vivid" if chroma.mean() > 28 else "soft"
    degrees = np.rad2deg(np.arctan2(lab[:, 2], lab[:, 1])) % 360
    edges, names = (
        (25, 65, 105, 165, 220, 308, 345),
        ("red", "orange", "yellow", "green", "turquoise", "blue", "violet"),
    )
    shares = np.bincount(np.searchsorted(edges, degrees) % len(names), chroma, len(names))
    first, second = np.argsort(-shares)[:2]
    hues = f"{names[first]} and {names[second]}" if shares[second] > 0.35 * shares[first] else names[first]
    measured = f"{tone}, {vivid} colours, {'grey' if chroma.mean() < 5 else hues}"
    by = f"a painting by {artist}" if artist else "an old painting"
    plain, named = (", ".join(part for part in (said, what, measured) if part) for what in ("a painting", by))
    return plain, named


def _manifest(corpus: Path) -> dict[str, tuple[str, str]]:
    """Each file's artist, in words without dates, and title."""
    manifest = corpus / _MANIFEST
    if not manifest.is_file():
        return {}
    with manifest.open(encoding="utf-8", newline="") as rows:
        told = [row for row in csv.DictReader(rows) if row.get("file")]
    return {row["file"]: (_name(row.get("artist") or ""), row.get("title") or "") for row in told}


def _name(artist: str) -> str:
    return " ".join(re.findall(r"[^\W\d_]+", artist.split("(", maxsplit=1)[0]))


def _reduced(file: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(file) as picture:
        picture.draft("RGB", (_LONGEST, _LONGEST))
        reduced = picture.convert("RGB")
        reduced.thumbnail((_LONGEST, _LONGEST), Image.Resampling.LANCZOS)
    return np.asarray(reduced)


def _crop(pixels: np.ndarray, width: int, height: int, dice: np.random.Generator) -> tuple[np.ndarray, float]:
    """A random crop at the size, and its side as a share of the largest that fits."""
    from PIL import Image

    share = dice.uniform(0.35, 1.0)
    scale = share * min(pixels.shape[1] / width, pixels.shape[0] / height)
    across, down = int(scale * width), int(scale * height)
    left, top = (int(dice.integers(0, room + 1)) for room in (pixels.shape[1] - across, pixels.shape[0] - down))
    crop = Image.fromarray(pixels[top : top + down, left : left + across])
    return np.asarray(crop.resize((width, height), Image.Resampling.LANCZOS)), share


def _write_shard(file: Path, pictures: np.ndarray, captions: list[tuple[str, str]]) -> None:
    from safetensors.numpy import save_file

    with writing(file) as temporary:
        save_file({"pictures": pictures}, temporary, {"captions": json.dumps(captions)})


def cores() -> int:
    """How many processes may paint at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

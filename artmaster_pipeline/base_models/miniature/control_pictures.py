"""What the miniature's ControlNet is trained on: painted scenes with exact layouts, and the signals read from them.

Scenes are painted at twice the miniature's size, as the base's were, and kept at its size. Signals are computed when
they are shown, each time a little otherwise: maps coarser and with parts left open, lines more or fewer. So the net
does not ask for one algorithm's lines or for a map that is right to the leaf.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from artmaster_pipeline.base_models.miniature.model import ControlMode
from artmaster_pipeline.base_models.miniature.training_pictures import SHAPES, halved, paint_missing, taught_scene
from artmaster_pipeline.files import writing
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.sample_painters import KIND_COLOURS, KINDS

PER_SHARD = 240
_FIRST_SEED = 70_000_000  # no scene of the base's trainings
_OTHER = KINDS.index("other")
_COLOURS = np.array(list(KIND_COLOURS.values()), np.uint8)


@dataclass(frozen=True)
class LaidOut:
    """Scenes of one shape at the miniature's size: uint8 (n, height, width, 3), their layouts and their captions."""

    pictures: np.ndarray
    kinds: np.ndarray  # uint8 (n, height, width), indices into KINDS
    captions: tuple[tuple[str, str], ...]  # without and with the style


def paint_layouts(folder: Path, count: int, seed: int, progress: Progress = SILENT) -> list[Path]:
    """Paint the shards 0 to count-1 of scenes with layouts that are not there yet; gives their files in order."""
    files = [folder / f"layouts-{seed}-{number:04d}.safetensors" for number in range(count)]
    paint_missing(files, _paint_shard, seed, "Painting scenes with layouts", progress)
    return files


def _paint_shard(file: Path, number: int, seed: int) -> None:
    from safetensors.numpy import save_file

    from artmaster_pipeline.sample_painters import paint_with_layout

    os.nice(5)
    width, height = SHAPES[number % len(SHAPES)]
    pictures = np.empty((PER_SHARD, height // 2, width // 2, 3), np.uint8)
    kinds = np.empty(pictures.shape[:3], np.uint8)
    captions = []
    for i in range(PER_SHARD):
        picture_seed = _FIRST_SEED + seed * 1_000_000 + number * PER_SHARD + i
        scene = taught_scene(picture_seed)
        picture, layout = paint_with_layout(scene, picture_seed, width, height)
        pictures[i], kinds[i] = halved(picture[None])[0], layout[::2, ::2]
        captions.append((scene.caption(), scene.caption(name_style=True)))
    with writing(file) as temporary:
        save_file({"pictures": pictures, "kinds": kinds}, temporary, {"captions": json.dumps(captions)})


def read_layouts(file: Path) -> LaidOut:
    """A shard as `paint_layouts` wrote it."""
    from safetensors.numpy import safe_open

    with safe_open(file, "np") as shard:
        captions = tuple((plain, named) for plain, named in json.loads(shard.metadata()["captions"]))
        return LaidOut(shard.get_tensor("pictures"), shard.get_tensor("kinds"), captions)


def condition(mode: ControlMode, picture: np.ndarray, kinds: np.ndarray, dice: np.random.Generator) -> np.ndarray:
    """The signal `mode` of a scene, with the chances of a training: uint8 (height, width, 3).

    `picture` is uint8 (height, width, 3), `kinds` its layout. Lines are white on black, a sketch is dark on white, in
    depth the near is bright.
    """
    if mode == "labels":
        return label_colours(_as_a_person_would(kinds, dice))
    if mode == "edges":
        return canny(picture, float(dice.uniform(60, 140)))
    if mode == "soft-line":
        return soft_line(picture, float(dice.uniform(0.8, 1.8)))
    if mode == "sketch":
        return sketch(picture, float(dice.uniform(0.8, 1.5)))
    return depth(picture, float(dice.uniform(0.4, 0.7)))


def label_colours(kinds: np.ndarray) -> np.ndarray:
    """A layout in the classes' colours: uint8 (height, width, 3)."""
    return _COLOURS[kinds]


def _as_a_person_would(kinds: np.ndarray, dice: np.random.Generator) -> np.ndarray:
    """A layout as it is drawn by hand or found by segmentation: often in broad forms, often not of everything."""
    import cv2

    rough = kinds
    if dice.random() < 0.75:
        blur = float(dice.uniform(0.8, 5.0))  # pixels: each place takes the kind that prevails around it
        shares = [cv2.GaussianBlur((kinds == kind).astype(np.float32), (0, 0), blur) for kind in range(len(KINDS))]
        rough = np.argmax(np.stack(shares), 0).astype(np.uint8)
    there = np.unique(rough)
    if dice.random() < 0.35:
        left = there[dice.random(len(there)) < dice.uniform(0.2, 0.8)]
        rough = np.where(np.isin(rough, left), np.uint8(_OTHER), rough)
    return rough


def canny(picture: np.ndarray, low: float = 100.0) -> np.ndarray:
    """Edges after Canny (1986), thresholds `low` and twice as much: white on black, uint8 (height, width, 3)."""
    import cv2

    return _grey(cv2.Canny(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), low, 2 * low))


def soft_line(picture: np.ndarray, blur: float = 1.2) -> np.ndarray:
    """Soft lines, bright where lightness changes: Sobel's gradient after a blur of `blur` pixels, its 98 % as white."""
    import cv2

    light = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), blur)
    steep = np.hypot(cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1))
    return _grey(np.clip(steep / max(float(np.percentile(steep, 98)), 1e-3) * 255, 0, 255).astype(np.uint8))


def sketch(picture: np.ndarray, sigma: float = 1.0) -> np.ndarray:
    """A sketch, dark lines on white: the difference of two Gaussians, softly cut (Winnemoeller 2012)."""
    import cv2

    light = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    fine, wide = (cv2.GaussianBlur(light, (0, 0), sigma * times) for times in (1.0, 1.6))
    sharp = fine - 0.98 * wide
    drawn = np.where(sharp >= 0.0, 1.0, 1.0 + np.tanh(60.0 * sharp))
    return _grey(np.clip(drawn * 255, 0, 255).astype(np.uint8))


def depth(picture: np.ndarray, low: float = 0.55) -> np.ndarray:
    """Depth as landscapes are painted, near is bright: `low` of it is how low a place lies, the rest its ink.

    Ink is darkness and the change within a neighbourhood, each over an eighth of the short side.
    """
    import cv2

    light = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    around = min(light.shape) / 16
    mean = cv2.GaussianBlur(light, (0, 0), around)
    change = np.sqrt(np.maximum(cv2.GaussianBlur(light * light, (0, 0), around) - mean * mean, 0))
    down = np.linspace(0, 1, light.shape[0], dtype=np.float32)[:, None]
    ink = 0.5 * _spread(1 - mean) + 0.5 * _spread(change)
    return _grey(np.clip(_spread(low * down + (1 - low) * ink) * 255, 0, 255).astype(np.uint8))


def _spread(plane: np.ndarray) -> np.ndarray:
    low, high = float(plane.min()), float(plane.max())
    return (plane - low) / max(high - low, 1e-6)


def _grey(plane: np.ndarray) -> np.ndarray:
    return np.repeat(plane[..., None], 3, axis=2)

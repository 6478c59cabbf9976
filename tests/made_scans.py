"""Small pictures for tests: painted by a seed, so that every file is another picture and none is flat."""

from pathlib import Path

import numpy as np
import pyvips  # noqa: TID253 - a test may


def painting(seed: int, width: int = 240, height: int = 320) -> np.ndarray:
    """Ink-like mountains on toned paper: (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    paper = np.full((height, width, 3), (226, 214, 190), float) + rng.normal(0, 3, (height, width, 1))
    x = np.arange(width)
    for layer in range(4):
        ridge = height * (0.35 + 0.15 * layer) + sum(
            height * 0.06 / k * np.sin(2 * np.pi * k * x / width + rng.uniform(0, 6)) for k in (1, 2, 3, 5)
        )
        below = np.arange(height)[:, None] > ridge[None, :]
        ink = rng.uniform(0.3, 1.0, (height, width, 1)) * (90 + 40 * layer)
        paper = np.where(below[..., None], paper * 0.6 + (200 - ink) * 0.4, paper)
    return paper.clip(0, 255).astype(np.uint8)


def picture(seed: int, width: int = 240, height: int = 320) -> pyvips.Image:
    """The same as a pyvips image in sRGB."""
    return pyvips.Image.new_from_array(painting(seed, width, height)).copy(interpretation="srgb")


def write(path: Path, seed: int, width: int = 240, height: int = 320) -> Path:
    """A painting as a file of the format that `path` names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(seed, width, height).write_to_file(str(path))
    return path


def around(inner: np.ndarray, margins: tuple[int, int, int, int], colour: tuple[int, int, int]) -> np.ndarray:
    """`inner` with margins (top, right, bottom, left) of one colour."""
    top, right, bottom, left = margins
    outer = np.empty((inner.shape[0] + top + bottom, inner.shape[1] + left + right, 3), np.uint8)
    outer[:] = colour
    outer[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return outer


def seal(seed: int, side: int = 48) -> np.ndarray:
    """A square seal in relief, cinnabar on paper: a rim, and lines in it like those of carved characters."""
    rng = np.random.default_rng(seed)
    cinnabar = np.zeros((side, side), bool)
    rim = max(2, side // 16)
    cinnabar[:rim] = cinnabar[-rim:] = cinnabar[:, :rim] = cinnabar[:, -rim:] = True
    for start in range(2 * rim, side - 2 * rim, 3 * rim):
        breaks = rng.random(side) < 0.15
        cinnabar[start : start + rim + 1, 2 * rim : -2 * rim] = ~breaks[2 * rim : -2 * rim]
        cinnabar[2 * rim : -2 * rim, start : start + rim] |= rng.random(side - 4 * rim)[:, None] < 0.5
    return np.where(cinnabar[..., None], (186, 58, 44), (226, 214, 190)).astype(np.uint8)


def characters(seed: int, columns: int, rows: int, side: int = 28) -> np.ndarray:
    """A block of writing as bool (height, width): columns of made-up characters, each of some strokes of one brush."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(seed)
    sheet = Image.new("1", (columns * side * 5 // 4, rows * side))
    pen = ImageDraw.Draw(sheet)
    for column in range(columns):
        for row in range(rows):
            left, top, inner = column * side * 5 // 4 + 3, row * side + 3, side - 6
            for place in np.linspace(0, inner, rng.integers(3, 5)):
                shift = rng.integers(-2, 3)
                pen.line((left, top + place, left + inner, top + place + shift), fill=1, width=2)
            for place in rng.choice(inner, rng.integers(1, 3)):
                pen.line((left + place, top, left + place + rng.integers(-4, 5), top + inner), fill=1, width=2)
    return np.array(sheet)

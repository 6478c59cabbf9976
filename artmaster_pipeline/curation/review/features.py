"""What the review list compares works by: what a picture shows, its ground, ink, colour and strokes, in some numbers.

Taken in the pass over the scans and kept with their sha256; `flags` compares them once all are there.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from artmaster_pipeline.curation.boxes import Box
from artmaster_pipeline.curation.look import Look

FEATURES = "1"  # raise it when the same look would give other numbers
Features = dict[str, float | list[float]]

_SIDE = 256  # pixels: the square root of the area at which pictures are compared
_LEAST = 48  # pixels of a side, which AlexNet needs
_DARKER = 35.0  # of CIELAB's lightness, below the ground: ink
_COLOURED = 12.0  # CIELAB distance from the ground's hue: colour
_FLAT = 2.0  # deviation of lightness below which nothing is painted


class Area(Protocol):
    """The painting in a look, as `area.find_area` gives it."""

    @property
    def box(self) -> Box: ...
    @property
    def mask(self) -> np.ndarray: ...


class Marked(Protocol):
    """A part of a look that is of one kind, as `masks.find_masks` gives it."""

    @property
    def kind(self) -> str: ...
    @property
    def outline(self) -> Sequence[tuple[float, float]]: ...


def features(look_upright: Look, area: Area, masks: Sequence[Marked]) -> Features:
    """The numbers by which a work is compared with its collection; takes a twentieth of a second a look.

    `seen` is what AlexNet's last convolution sees in the painting, 256 numbers; the others are means over the painting
    in CIELAB, and shares of it. `least_a` to `most_b` are the ends of what its lighter half has of a and b; `white_a`
    and `white_b` are of its whitest part.
    """
    from scipy.ndimage import gaussian_filter
    from skimage.color import rgb2lab

    picture, inside = _picture(look_upright, area)
    lab = rgb2lab(picture).astype(np.float32)
    light = lab[..., 0]
    detail = np.abs(light - gaussian_filter(light, 2.0))
    variance = gaussian_filter(light**2, 3.0) - gaussian_filter(light, 3.0) ** 2
    tones = np.percentile(light[inside], (2, 50, 70, 95, 98))
    white = np.median(lab[inside & (light >= tones[3])], axis=0)
    ground = np.median(lab[inside & (light >= tones[2])], axis=0)
    hue = np.hypot(lab[..., 1] - ground[1], lab[..., 2] - ground[2])
    (least_a, least_b), (most_a, most_b) = np.percentile(lab[inside & (light >= tones[1])][:, 1:], (10, 90), axis=0)
    found = {
        "ground": ground[0],
        "darkest": tones[0],
        "lightest": tones[4],
        "white_a": white[1],
        "white_b": white[2],
        "chroma": np.percentile(np.hypot(lab[..., 1], lab[..., 2])[inside], 99),
        "least_a": least_a,
        "most_a": most_a,
        "least_b": least_b,
        "most_b": most_b,
        "ink": (light < ground[0] - _DARKER)[inside].mean(),
        "blank": (variance < _FLAT**2)[inside].mean(),
        "colour": (hue > _COLOURED)[inside].mean(),
        "strokes": detail[inside].mean(),
        "written": _written(detail * inside, area.box, masks),
    }
    rounded: Features = {name: round(float(value), 4) for name, value in found.items()}
    return rounded | {"seen": _seen(picture, inside)}


def _picture(look: Look, area: Area) -> tuple[np.ndarray, np.ndarray]:
    """The painting alone, reduced to one size whatever its shape, and where in it there is painting."""
    from PIL import Image

    box = area.box
    painting = look.rgb[box.top : box.bottom, box.left : box.right]
    inside = area.mask[box.top : box.bottom, box.left : box.right]
    if not inside.any():
        inside = np.ones_like(inside)
    if not inside.all():
        painting = np.where(inside[..., None], painting, np.median(painting[inside], axis=0).astype(np.uint8))
    factor = _SIDE / (box.width * box.height) ** 0.5
    size = (max(_LEAST, round(box.width * factor)), max(_LEAST, round(box.height * factor)))
    small = Image.fromarray(painting).resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    return np.asarray(small), np.asarray(Image.fromarray(inside).resize(size))


def _written(detail: np.ndarray, box: Box, masks: Sequence[Marked]) -> float:
    """The share of all marks that lies in inscriptions."""
    from PIL import Image, ImageDraw

    sheet: Image.Image = Image.new("L", detail.shape[::-1])
    across, down = detail.shape[1] / box.width, detail.shape[0] / box.height
    for mask in masks:
        if mask.kind == "inscription":
            corners = [((x - box.left) * across, (y - box.top) * down) for x, y in mask.outline]
            ImageDraw.Draw(sheet).polygon(corners, fill=255)
    return float(detail[np.asarray(sheet) > 0].sum() / max(1e-6, detail.sum()))


def _seen(picture: np.ndarray, inside: np.ndarray) -> list[float]:
    """Of length one, roots of means: so that a few strong responses do not hide the others."""
    from PIL import Image

    from artmaster_pipeline.base_models.alexnet import deepest

    found = deepest(picture)
    there = np.asarray(Image.fromarray(inside).resize(found.shape[1::-1]))
    means = np.sqrt(found[there if there.any() else ...].reshape(-1, found.shape[2]).mean(axis=0))
    return [round(float(value), 4) for value in means / max(1e-6, float(np.linalg.norm(means)))]

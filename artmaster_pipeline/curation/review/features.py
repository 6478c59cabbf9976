"""What the review list compares works by: what a picture shows, its ground, ink, colour and strokes, in some numbers.

Taken in the pass over the scans and kept with their sha256; `flags` compares them once all are there.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from artmaster_pipeline.curation.boxes import Box
from artmaster_pipeline.curation.look import Look

if TYPE_CHECKING:
    pass

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

    `seen` is what AlexNet's last convolution sees in the whole painting, 256 numbers; the others are means over the
    painting in CIELAB, and shares of it. Ground outside of a fan is filled with the painting's own.
    """
    from scipy.ndimage import gaussian_filter
    from skimage.color import rgb2lab

    picture = _picture(look_upright, area)
    lab = rgb2lab(picture).astype(np.float32)
    light = lab[..., 0]
    low, high = np.percentile(light, (30, 70))
    ground = np.median(lab[light >= high], axis=0)
    middle = np.median(lab[(light >= low) & (light <= high)], axis=0)
    hue = np.hypot(*(lab[..., 1:] - ground[1:]).transpose(2, 0, 1))
    detail = np.abs(light - gaussian_filter(light, 2.0))
    variance = gaussian_filter(light**2, 3.0) - gaussian_filter(light, 3.0) ** 2
    found: Features = {
        "light": ground[0],
        "light_a": ground[1],
        "light_b": ground[2],
        "middle_a": middle[1],
        "middle_b": middle[2],
        "darkest": np.percentile(light, 2),
        "lightest": np.percentile(light, 98),
        "ink": (light < ground[0] - _DARKER).mean(),
        "blank": (variance < _FLAT**2).mean(),
        "colour": (hue > _COLOURED).mean(),
        "strokes": detail.mean(),
        "written": _written(detail, area.box, masks),
    }
    return {name: round(float(value), 4) for name, value in found.items()} | {"seen": _seen(picture)}


def _picture(look: Look, area: Area) -> np.ndarray:
    """The painting alone, reduced to one size whatever its shape."""
    from PIL import Image

    box = area.box
    painting = look.rgb[box.top : box.bottom, box.left : box.right]
    inside = area.mask[box.top : box.bottom, box.left : box.right]
    if not inside.all() and inside.any():
        painting = np.where(inside[..., None], painting, np.median(painting[inside], axis=0).astype(np.uint8))
    factor = _SIDE / (box.width * box.height) ** 0.5
    size = [max(_LEAST, round(side * factor)) for side in (box.width, box.height)]
    # box first: the look is up to four times as large
    return np.asarray(Image.fromarray(painting).resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0))


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


def _seen(picture: np.ndarray) -> list[float]:
    """Of length one, roots of means: so that a few strong responses do not hide the others."""
    from artmaster_pipeline.base_models.alexnet import deepest

    means = np.sqrt(deepest(picture).mean(axis=(0, 1)))
    return [round(float(value), 4) for value in means / max(1e-6, float(np.linalg.norm(means)))]

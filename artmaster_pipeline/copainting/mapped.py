"""A canvas' map as its gallery shows it: regions in colours, outlined and numbered, alone or over a painted picture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from artmaster_pipeline.copainting.canvas.colours import Colour, shades_of
from artmaster_pipeline.evaluation.report.lettering import find_lettering
from artmaster_pipeline.records import Region
from artmaster_pipeline.sample_painters.layout import KIND_COLOURS, Kind

if TYPE_CHECKING:
    from PIL import Image

_TINT = 0.45  # a region's colour over a picture; the ground is the picture as it is
_DISC = 0.022  # of the longer side: the radius of the disc that a region's number stands on
_LINE = 0.0025  # of it, too: half the width of a border
_PAPER, _INK = (250, 248, 243), (33, 30, 27)


def colours_of_regions(regions: Sequence[Region]) -> dict[str, Colour]:
    """The colour of each region by its id: its kind's, those of one kind told apart by shades; the ground is grey."""
    ground = [region for region in regions if not region.label]
    others = [region for region in regions if region.label]
    kinds: list[Kind] = [next((kind for kind in KIND_COLOURS if kind == of.kind), "other") for of in others]
    found = dict(zip((region.id for region in others), shades_of(kinds), strict=True))
    return {region.id: KIND_COLOURS["other"] for region in ground} | found


def numbers_of(regions: Sequence[Region]) -> dict[str, int]:
    """The number by which each region is named on map and page, 1 and on; the ground has 0."""
    others = [region.id for region in regions if region.label]
    return {region.id: 0 for region in regions} | {name: number for number, name in enumerate(others, 1)}


def mapped(
    labels: np.ndarray, regions: Sequence[Region], size: tuple[int, int], picture: np.ndarray | None
) -> np.ndarray:
    """The map at `size` (width, height), uint8 (height, width, 3): over `picture` of that size, or alone.

    `labels` is uint8 (rows, columns), of any size and the picture's shape: the number of the region at each place, 0
    for the ground.
    """
    from PIL import Image

    large = np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
    colours, numbers = colours_of_regions(regions), numbers_of(regions)
    table = np.full((256, 3), KIND_COLOURS["other"], np.uint8)
    for region in regions:
        table[region.label] = colours[region.id]
    pixels = table[large]
    if picture is not None:
        weight = np.where(large > 0, _TINT, 0.0)[..., None]
        pixels = np.rint(picture * (1 - weight) + pixels * weight).astype(np.uint8)
    drawn = Image.fromarray(_outlined(pixels, large, max(1, round(_LINE * max(size)))))
    for region in (each for each in regions if each.label):
        _number(drawn, large == region.label, str(numbers[region.id]), round(_DISC * max(size)))
    return np.asarray(drawn)


def _outlined(pixels: np.ndarray, large: np.ndarray, line: int) -> np.ndarray:
    """Borders in white between dark lines, to be seen on any picture."""
    from scipy.ndimage import binary_dilation

    border = np.zeros(large.shape, bool)
    border[:, 1:] |= large[:, 1:] != large[:, :-1]
    border[1:] |= large[1:] != large[:-1]
    drawn = pixels.copy()
    drawn[binary_dilation(border, iterations=line + 1)] = _INK
    drawn[binary_dilation(border, iterations=line)] = (255, 255, 255)
    return drawn


def _number(drawn: "Image.Image", region: np.ndarray, number: str, radius: int) -> None:
    """A region's number on a disc, where the region is widest."""
    from PIL import ImageDraw
    from scipy.ndimage import distance_transform_edt

    if not region.any():
        return
    radius = max(8, radius)
    within = distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(within.argmax()), within.shape)
    x, y = (
        min(max(int(at), radius + 2), side - radius - 3) for at, side in zip((column, row), drawn.size, strict=True)
    )
    pen = ImageDraw.Draw(drawn)
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_PAPER, outline=_INK, width=max(1, radius // 8))
    font = find_lettering([number]).font(number, round(1.25 * radius), sans=True)
    pen.text((x, y), number, _INK, font, anchor="mm")

"""A canvas' map as its gallery shows it: regions in colours, outlined and numbered, alone or over a painted picture."""

from collections.abc import Sequence

import numpy as np

from artmaster_pipeline.copainting.canvas.colours import Colour, shades_of
from artmaster_pipeline.copainting.canvas.outlines import numbered, outlined
from artmaster_pipeline.records import Region
from artmaster_pipeline.sample_painters.layout import KIND_COLOURS, Kind

_TINT = 0.45  # a region's colour over a picture; the ground is the picture as it is
_DISC = 0.022  # of the longer side: the radius of the disc that a region's number stands on
_LINE = 0.0025  # of it, too: half the width of a border


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
    drawn = Image.fromarray(outlined(pixels, large, max(1, round(_LINE * max(size)))))
    for region in (each for each in regions if each.label):
        numbered(drawn, large == region.label, str(numbers[region.id]), max(8, round(_DISC * max(size))))
    return np.asarray(drawn)

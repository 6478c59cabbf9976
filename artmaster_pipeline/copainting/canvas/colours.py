"""The colours in which a map of regions is shown: to a person, and to a model as the signal "labels"."""

from collections.abc import Iterable

import numpy as np

from artmaster_pipeline.copainting.canvas.reading import label_map
from artmaster_pipeline.copainting.records import Canvas
from artmaster_pipeline.records import GROUND
from artmaster_pipeline.sample_painters.layout import KIND_COLOURS, Kind

Colour = tuple[int, int, int]
_STEP = 14  # levels, between two regions of one kind: seen side by side, and still nearest to the kind's own colour


def colours_of(canvas: Canvas) -> dict[str, Colour]:
    """Region -> its kind's colour; the ground's is that of "other"."""
    return {GROUND: KIND_COLOURS["other"]} | {region.id: KIND_COLOURS[region.kind] for region in canvas.regions}


def shades_of(kinds: Iterable[Kind]) -> list[Colour]:
    """A colour for each of several regions, by kind; the second of a kind and those after it are lighter or darker."""
    found: list[Colour] = []
    seen: dict[Kind, int] = {}
    for kind in kinds:
        order = seen[kind] = seen.get(kind, -1) + 1
        base = KIND_COLOURS[kind]
        towards = 1 if sum(base) < 3 * 128 else -1
        red, green, blue = (min(255, max(0, level + towards * _STEP * order)) for level in base)
        found.append((red, green, blue))
    return found


def label_picture(canvas: Canvas) -> np.ndarray:
    """The label map in the classes' fixed colours, uint8 (height, width, 3): the signal "labels".

    Raises WrongUse as `label_map` does.
    """
    table = np.zeros((256, 3), np.uint8)
    table[0] = KIND_COLOURS["other"]
    for region in canvas.regions:
        table[region.label] = KIND_COLOURS[region.kind]
    return table[label_map(canvas)]

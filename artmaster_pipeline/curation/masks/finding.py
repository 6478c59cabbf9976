"""What lies on a painting beside the painting: seals, inscriptions, and the ground left blank."""

from typing import Protocol

import numpy as np

from artmaster_pipeline.curation.boxes import Box
from artmaster_pipeline.curation.look import Look
from artmaster_pipeline.curation.masks.blank import find_blank
from artmaster_pipeline.curation.masks.inscriptions import find_inscriptions, look_again
from artmaster_pipeline.curation.masks.regions import Region, rasterised
from artmaster_pipeline.curation.masks.seals import find_seals
from artmaster_pipeline.curation.masks.text_detector import writing_likelihood


class Area(Protocol):
    """Where the painting is in a look turned upright."""

    @property
    def box(self) -> Box: ...
    @property
    def mask(self) -> np.ndarray: ...


def find_masks(look: Look, area: Area) -> tuple[Region, ...]:
    """The seals, inscriptions and blank places of the painting, in pixels of the look (turned upright)."""
    box = area.box
    inside = np.s_[box.top : box.bottom, box.left : box.right]
    return tuple(_moved(region, box) for region in _found(look.rgb[inside], look.lab[inside], area.mask[inside]))


def _found(rgb: np.ndarray, lab: np.ndarray, painted: np.ndarray) -> list[Region]:
    writing = writing_likelihood(rgb) * painted
    seals = find_seals(lab, writing)
    stamped = rasterised([seal.outline for seal in seals], lab.shape)
    inscriptions = find_inscriptions(lab[..., 0], look_again(rgb, writing, seals) * painted, stamped)
    marked = stamped | rasterised([inscription.outline for inscription in inscriptions], lab.shape)
    return [*seals, *inscriptions, *find_blank(lab, painted, marked)]


def _moved(region: Region, box: Box) -> Region:
    return Region(region.kind, tuple((x + box.left, y + box.top) for x, y in region.outline), region.score)

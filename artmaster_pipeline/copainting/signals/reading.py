"""A picture's signals by what is asked for: the kind, and who reads it."""

from collections.abc import Callable, Mapping

import numpy as np

from artmaster_pipeline.copainting.records import MOST_REGIONS
from artmaster_pipeline.copainting.signals.depth import read_landscape_proxy
from artmaster_pipeline.copainting.signals.found import FoundRegions, ReadKind, Signal
from artmaster_pipeline.copainting.signals.lines import read_edges, read_sketch, read_soft_line
from artmaster_pipeline.copainting.signals.networks import read_by, regions_by_mask2former
from artmaster_pipeline.copainting.signals.regions import regions_of
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.sample_painters.layout import KIND_COLOURS
from artmaster_pipeline.settings import Home

# kind -> who can read it; the first needs no model
SOURCES: Mapping[str, tuple[str, ...]] = {
    "edges": ("canny", "hed"),
    "soft-line": ("soft-line", "hed"),
    "sketch": ("sketch",),
    "depth": ("landscape-proxy", "depth-anything"),
    "segmentation": ("superpixels", "mask2former", "drawn"),
}
_WITHOUT: dict[str, Callable[[np.ndarray], Signal]] = {
    "canny": read_edges,
    "soft-line": read_soft_line,
    "sketch": read_sketch,
    "landscape-proxy": read_landscape_proxy,
}


def read_signal(kind: ReadKind, picture: np.ndarray, source: str = "", home: Home | None = None) -> Signal:
    """A signal of a uint8 picture (height, width, 3), at its size.

    `source` says who reads it (`SOURCES`; empty: the first, which needs no model); a hub model may be followed by a
    folder or repository of its own, `depth-anything=/models/depth`. A segmentation, "labels" too, is the regions in
    their kinds' colours. `home` pins the commit of a hub model. Sureness is 0..1, and `says` tells what it measures.
    Raises WrongUse for a kind or source that there is not, MissingRequirement where a model cannot be had.
    """
    wanted = "segmentation" if kind == "labels" else kind
    name, _, where = source.partition("=")
    if wanted not in SOURCES:
        raise WrongUse(f"There is no signal {kind!r}: it is one of {', '.join((*SOURCES, 'labels'))}.")
    name = name or SOURCES[wanted][0]
    if name not in SOURCES[wanted]:
        raise WrongUse(f"The signal {wanted} is not read by {name!r}: its sources are {', '.join(SOURCES[wanted])}.")
    if wanted == "segmentation":
        found = read_regions(picture, source, home=home)
        return Signal(kind, found.by, coloured(found), found.sureness, found.says)
    if min(picture.shape[:2]) < 32:
        raise WrongUse(f"The picture has {picture.shape[1]} x {picture.shape[0]} pixels: 32 are needed on each side.")
    if name in _WITHOUT:
        return _WITHOUT[name](picture)
    read = read_by(name, where, picture, home)
    return Signal(kind, read.by, read.pixels, read.sureness, read.says)


def read_regions(
    picture: np.ndarray, source: str = "", *, most: int = MOST_REGIONS, home: Home | None = None
) -> FoundRegions:
    """The regions of a picture by a source of the segmentation. Raises as `read_signal` and `regions_of` do."""
    name, _, where = source.partition("=")
    if name == "mask2former":
        return regions_by_mask2former(where, picture, most, home)
    if name not in ("", "superpixels", "drawn"):
        raise WrongUse(f"Regions are not read by {name!r}: their sources are {', '.join(SOURCES['segmentation'])}.")
    return regions_of(picture, drawn=name == "drawn", most=most)


def coloured(found: FoundRegions) -> np.ndarray:
    """The regions in their kinds' colours, uint8 (height, width, 3); where none is, the colour of "other"."""
    table = np.tile(np.array(KIND_COLOURS["other"], np.uint8), (256, 1))
    for region in found.regions:
        table[region.label] = KIND_COLOURS[region.kind]
    return table[found.labels]

"""What is found in a picture: a signal that holds its structure, and the regions that it is made of."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from artmaster_pipeline.copainting.records import SignalKind
from artmaster_pipeline.sample_painters.layout import Kind

ReadKind = SignalKind | Literal["segmentation"]


@dataclass(frozen=True)
class Signal:
    """A signal as a picture of the picture's size."""

    kind: ReadKind
    by: str  # what read it: "canny", "hed", "soft-line", "sketch", "landscape-proxy", "depth-anything", ...
    pixels: np.ndarray  # uint8 (height, width, 3)
    sureness: float  # 0..1; what it measures is said where the signal is read
    says: str  # the same in words, and what is doubtful


@dataclass(frozen=True)
class FoundRegion:
    """A region of a picture and what it seems to be."""

    label: int  # of the label map
    kind: Kind
    sureness: float  # 0..1, that it is of this kind
    share: float  # of the picture's pixels


@dataclass(frozen=True)
class FoundRegions:
    """A label map, uint8 (height, width), 0 where no region is, and its regions in the order of their labels."""

    labels: np.ndarray
    regions: tuple[FoundRegion, ...]
    by: str
    says: str

    @property
    def sureness(self) -> float:
        """The regions' own, weighed by their shares."""
        shares = sum(region.share for region in self.regions)
        return sum(region.sureness * region.share for region in self.regions) / shares if shares else 0.0


def same_three(grey: np.ndarray) -> np.ndarray:
    """A grey map 0..1 (height, width) as uint8 (height, width, 3)."""
    levels = np.clip(np.rint(grey * 255), 0, 255).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=2)


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's correlation of two maps, 0 where it is negative; 1 where both are one value."""
    a, b = one.ravel() - one.mean(), other.ravel() - other.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    if size < 1e-9:
        return float(np.allclose(one, other, atol=1e-3))
    return float(max(0.0, (a @ b) / size))

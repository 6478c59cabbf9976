"""How strong detail is that only the enlarged picture has, foretold from the original's own finest octave.

For each octave and direction it is stronger or weaker by so many dB, at every place alike: its fall. That hardly
differs between one painter's scans (by 0.2 to 1.5 dB) and by several dB between painters, papers and scanners. So it is
measured on large scans of the painter where there are any, and stands at what scans of collections have in common where
not.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from artmaster_pipeline.superres.constraints import bands
from artmaster_pipeline.superres.constraints.filters import reduced
from artmaster_pipeline.superres.pixels import tensor_of

if TYPE_CHECKING:
    from torch import Tensor

Falls = tuple[tuple[float, ...], ...]  # dB; for each octave, the finest first: in the three directions of `bands`

# Medians over 46 scans of ink paintings, woodblock prints and oils.
_COMMON: dict[int, Falls] = {
    2: ((-0.5, -0.5, -2.5),),
    3: ((-0.5, -0.5, -2.5), (-3.0, -3.0, -7.0)),
    4: ((-1.0, -1.0, -2.5), (-3.0, -3.0, -7.0)),
}
_FAINT = 1e-7  # a mean square, of a twelfth of a level
_STEP = 0.5  # dB to which falls are rounded, so that one scan more seldom changes them


@dataclass(frozen=True)
class Detail:
    """One octave of an enlarged picture's luminance in one direction."""

    octave: int
    direction: int
    fall: float  # dB
    band: "Tensor"  # H * scale x W * scale
    has: "Tensor"  # its mean square around each pixel of the original, H x W
    wanted: "Tensor"  # what that should be


def common_falls(scale: int) -> Falls:
    """What paintings have in common, of pictures enlarged so many times."""
    octaves = [_COMMON[4][-1]] * bands.octaves(scale)
    return _COMMON.get(scale, tuple(octaves))


def falls_in(pictures: Iterable[np.ndarray], scale: int) -> Falls:
    """The falls of these pictures, H x W x 3 of type uint8, if they had been enlarged: each is reduced for that.

    Medians over the places of a picture, and means over the pictures. There must be one at least.
    """
    found = []
    for picture in pictures:
        height, width = (length // scale * scale for length in picture.shape[:2])
        large = tensor_of(picture[:height, :width].astype(np.float32) / 255)
        small = (reduced(large, scale) * 255).round_() / 255
        level = tuple((0.0,) * bands.DIRECTIONS for _ in range(bands.octaves(scale)))
        details = details_of(small, bands.luminance(large), level)
        ratios = [(each.has + _FAINT) / (each.wanted + _FAINT) for each in details]
        found.append([float(np.median(10 * np.log10(ratio.numpy()))) for ratio in ratios])
    means = np.round(np.mean(found, axis=0) / _STEP) * _STEP + 0.0  # no -0.0, which would be another identity
    return tuple(tuple(map(float, octave)) for octave in means.reshape(-1, bands.DIRECTIONS))


def details_of(original: "Tensor", luminance: "Tensor", falls: Falls) -> Iterator[Detail]:
    """The enlarged picture's `luminance` in all octaves that `original`, 3 x H x W, has not."""
    scale = luminance.shape[-1] // original.shape[-1]
    _, finest = bands.split(bands.luminance(original), 0)
    strengths = [bands.strength(band) for band in finest]
    rest = luminance
    for octave, fall in enumerate(falls):
        rest, parts = bands.split(rest, octave)
        for direction, band in enumerate(parts):
            wanted = strengths[direction] * 10 ** (fall[direction] / 10)
            yield Detail(octave, direction, fall[direction], band, bands.strength(band, scale), wanted)

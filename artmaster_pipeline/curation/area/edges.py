"""Straight edges along a side of a picture: where a mounting, a frame or a margin ends.

A picture is looked at from one side: `lines` are (depth, along, 3) CIELAB, the side's outermost line first. Along the
lines colours are averaged over short stretches, so that the pattern of a brocade, dust and the weave of silk are evened
out, while an edge that runs parallel to the side stays as sharp as it is.
"""

from dataclasses import dataclass

import numpy as np

REACH = 3  # lines on each side of a step that are compared
_STEP = 3.0  # CIELAB: an edge is at least so much
_STRETCHES = (12, 48)  # along a side, fewest and most
_STRETCH = 10  # pixels at least


@dataclass(frozen=True)
class Profile:
    """A side's lines with the colours averaged along stretches, and how much of each place is an edge."""

    colours: np.ndarray  # (depth, stretches, 3)
    near: np.ndarray  # bool (depth, stretches): an edge is at this line or one beside it
    support: np.ndarray  # (depth): share of the stretches for which that is so

    @property
    def depth(self) -> int:
        return len(self.colours)


def profile(lines: np.ndarray) -> Profile:
    """Look at `lines` (depth, along, 3) from their first one."""
    along = lines.shape[1]
    number = int(np.clip(along // _STRETCH, *_STRETCHES))
    starts = np.linspace(0, along, number, endpoint=False).astype(int)
    counts = np.diff([*starts, along])
    colours = np.add.reduceat(lines, starts, axis=1) / counts[None, :, None]
    steps = _edges(colours)
    near = steps > 0
    near[1:] |= steps[:-1] > 0
    near[:-1] |= steps[1:] > 0
    return Profile(colours, near, near.mean(axis=1))


def _edges(colours: np.ndarray) -> np.ndarray:
    """The change of colour from the lines before to those from here on, kept where it is largest round about."""
    from scipy.ndimage import maximum_filter1d

    depth = len(colours)
    size = np.zeros(colours.shape[:2], np.float32)
    if depth <= 2 * REACH:
        return size
    sums = np.concatenate([np.zeros((1, *colours.shape[1:]), colours.dtype), np.cumsum(colours, axis=0)])
    means = (sums[REACH:] - sums[:-REACH]) / REACH  # means[i]: lines i to i + REACH
    size[REACH : depth - REACH + 1] = np.linalg.norm(means[REACH:] - means[:-REACH], axis=2)
    return np.where((size >= _STEP) & (size == maximum_filter1d(size, 2 * REACH + 1, axis=0)), size, 0)


def candidates(side: Profile, least: float, reach: int) -> list[int]:
    """The lines up to `reach` at which an edge runs along at least that share of the side, outermost first.

    It must stand out against what lies outside of it: in a thicket of brushwork there is an edge everywhere.
    """
    from scipy.ndimage import maximum_filter1d

    support = side.support[: reach + 1]
    peaks = (support >= least) & (support == maximum_filter1d(support, 2 * REACH + 1))
    found: list[int] = []
    for place in np.flatnonzero(peaks):
        before = support[max(0, place - 4 * REACH) : max(0, place - REACH)]
        if support[place] - (before.mean() if len(before) else 0) >= 0.3 and (not found or place - found[-1] > REACH):
            found.append(int(place))
    return found

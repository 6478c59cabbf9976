"""Straight edges along a side of a picture: where a mounting, a frame or a margin ends.

A picture is looked at from one side: `lines` are (depth, along, 3) CIELAB, the side's outermost line first. Along the
lines colours are averaged over short stretches, so that the pattern of a brocade, dust and the weave of silk are evened
out, while an edge that runs parallel to the side stays as sharp as it is.
"""

from dataclasses import dataclass

import numpy as np

REACH = 3  # lines on each side of a step that are compared
_STEP = 3.0  # CIELAB: an edge is at least so much
_TILTS = (-0.4, -0.2, 0.0, 0.2, 0.4)  # degrees: paper and silk are cut by hand
_STANDS_OUT = 0.3  # share of a side by which an edge is longer than those outside of it
_STRETCHES = (12, 48)  # along a side, fewest and most
_STRETCH = 10  # pixels at least


@dataclass(frozen=True)
class Profile:
    """A side's lines with the colours averaged along stretches, and where edges are."""

    colours: np.ndarray  # (depth, stretches, 3)
    near: np.ndarray  # bool (depth, stretches): an edge is at this line or one beside it
    along: int  # pixels of a line

    @property
    def depth(self) -> int:
        return len(self.colours)

    def shifts(self, slope: float) -> np.ndarray:
        """By how many lines a line of that slope through the side's middle lies deeper, at each stretch."""
        number = self.near.shape[1]
        middles = (np.arange(number) + 0.5) / number - 0.5
        return np.round(middles * self.along * slope).astype(int)

    def sloping(self, slope: float, reach: int) -> np.ndarray:
        """`near` along lines of that slope: (reach, stretches)."""
        hits = np.zeros((reach, self.near.shape[1]), bool)
        for stretch, shift in enumerate(self.shifts(slope)):
            start, end = max(0, -shift), min(reach, self.depth - shift)
            if end > start:
                hits[start:end, stretch] = self.near[start + shift : end + shift, stretch]
        return hits


@dataclass(frozen=True)
class Edge:
    """An edge along a side: where it is at its deepest, and which stretches have it."""

    start: int  # lines that lie wholly before it
    end: int  # the first line that lies wholly behind it
    hits: np.ndarray  # bool (stretches)

    @property
    def support(self) -> float:
        return float(self.hits.mean())


def profile(lines: np.ndarray) -> Profile:
    """Look at `lines` (depth, along, 3) from their first one."""
    along = lines.shape[1]
    number = int(np.clip(along // _STRETCH, *_STRETCHES))
    starts = np.linspace(0, along, number, endpoint=False).astype(int)
    counts = np.diff([*starts, along])
    colours = np.add.reduceat(lines, starts, axis=1) / counts[None, :, None]
    steps = _edges(colours)
    near = steps.copy()
    near[1:] |= steps[:-1]
    near[:-1] |= steps[1:]
    return Profile(colours, near, along)


def _edges(colours: np.ndarray) -> np.ndarray:
    """Where the colour changes from the lines before to those from here on, and most so of the lines round about."""
    from scipy.ndimage import maximum_filter1d

    depth = len(colours)
    size = np.zeros(colours.shape[:2], np.float32)
    if depth <= 2 * REACH:
        return size > 0
    means = running_means(colours)
    size[REACH : depth - REACH + 1] = np.linalg.norm(means[REACH:] - means[:-REACH], axis=2)
    return (size >= _STEP) & (size == maximum_filter1d(size, 2 * REACH + 1, axis=0))


def running_means(colours: np.ndarray) -> np.ndarray:
    """Means over each REACH lines in a row."""
    sums = np.concatenate([np.zeros((1, *colours.shape[1:]), colours.dtype), np.cumsum(colours, axis=0)])
    return (sums[REACH:] - sums[:-REACH]) / REACH


def edges_along(side: Profile, least: float, reach: int) -> list[Edge]:
    """The edges up to the line `reach` that run along at least that share of the side, outermost first.

    An edge may slope a little. It must stand out against what lies outside of it: in a thicket of brushwork there is
    an edge everywhere.
    """
    from scipy.ndimage import maximum_filter1d

    if reach < 1:
        return []
    slopes = sorted({float(np.tan(np.radians(degrees))) for degrees in _TILTS}, key=abs)
    sloping = [side.sloping(slope, reach + 1) for slope in slopes]
    supports = np.array([hits.mean(axis=1) for hits in sloping])
    support = supports.max(axis=0)
    found: list[Edge] = []
    peaks = (support >= least) & (support == maximum_filter1d(support, 2 * REACH + 1))
    for place in np.flatnonzero(peaks):
        which = int(supports[:, place].argmax())
        before = supports[which, max(0, place - 4 * REACH) : max(0, place - REACH)]
        stands_out = support[place] - (before.mean() if len(before) else 0) >= _STANDS_OUT
        if stands_out and not (found and place - found[-1].end <= REACH):
            shifts = side.shifts(slopes[which])
            ends = int(max(1, place + shifts.min())), int(place + shifts.max())
            found.append(Edge(*ends, sloping[which][place]))
    return found

"""The pieces that a mounted work is made of: frontispiece, painting, colophons, and the silk between them."""


import numpy as np

from artmaster_pipeline.curation.area.edges import REACH, profile

_SEAM = 0.85  # share of a line at which two pieces of paper or silk meet
_STEP = 3.0  # CIELAB, from one piece to the next


def seams(lines: np.ndarray) -> list[int]:
    """Where two pieces meet along a whole line of `lines` (depth, along, 3): one step of colour throughout.

    A shore or a roof is interrupted, or changes its colours along the way.
    """
    side = profile(lines)
    colours = side.colours
    if side.depth < 8 * REACH:
        return []
    sums = np.concatenate([np.zeros((1, *colours.shape[1:]), colours.dtype), np.cumsum(colours, axis=0)])
    means = (sums[REACH:] - sums[:-REACH]) / REACH
    steps = means[REACH + 1 :] - means[: -REACH - 1]  # one line left out between
    typical = np.median(steps, axis=1, keepdims=True)
    size = np.linalg.norm(typical, axis=2)
    alike = (steps * typical).sum(axis=2) > 0.4 * size**2
    share = np.where(size[:, 0] > _STEP, alike.mean(axis=1), 0.0)
    found = []
    while share.max() >= _SEAM:
        best = np.flatnonzero(share == share.max())
        place = int(best[size[best, 0].argmax()])
        found.append(place + REACH)
        share[max(0, place - 2 * REACH) : place + 2 * REACH + 1] = 0
    return sorted(found)

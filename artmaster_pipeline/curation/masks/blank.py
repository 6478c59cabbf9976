"""Blank space (liubai): the ground's own paper or silk where no stroke touches it, water, mist and sky among it.

Paper and silk are told from paint by their evenness: one warm or neutral colour over the whole sheet, but for the slow
change that age and light bring, and on it nothing but grain. An evenly painted sky changes its colour along its height,
and stands in one place only.
"""

import numpy as np

from artmaster_pipeline.curation.masks.regions import Region, outline_of
from artmaster_pipeline.curation.masks.resampling import reduced

_CELL = 8  # pixels of a look that are judged together
_MOST, _POINTS = 8, 60
_LARGE = 0.015  # of the painting: a smaller place is a gap between strokes
_HOLE = 0.002  # of the painting: what stands in a blank place and is no speck
_DARKER = 6.0  # CIELAB lightness that the lightest mist has against the ground
_OFF_COLOUR = 5.0  # CIELAB distance in a* and b* from the ground
# Where each sign of paint begins and where it is beyond doubt
_TEMPER = (2.5, 4.5)  # spread of a*, b* over all blank places
_RELIEF = (4.5, 6.5)  # spread of their lightness
_LIGHTER = (0.12, 0.25)  # share of the painting that is lighter than its ground: ink is darker, white lead is not


def find_blank(lab: np.ndarray, painted: np.ndarray, marked: np.ndarray) -> list[Region]:
    """The largest blank places of a CIELAB picture (height, width, 3) where `painted`, and not `marked`, is true."""
    from scipy import ndimage

    if min(lab.shape[:2]) < 8 * _CELL:
        return []
    free = reduced((painted & ~marked).astype(np.float32), _CELL) > 0.9
    blank, evenness = _blank_cells(lab, free)
    blank = ndimage.binary_opening(blank, iterations=2)
    area = max(1.0, float(reduced(painted.astype(np.float32), _CELL).sum()))
    labels, _ = ndimage.label(blank)
    pieces = [(labels[place] == number, place) for number, place in enumerate(ndimage.find_objects(labels), 1)]
    large = sorted((piece for piece in pieces if piece[0].sum() >= _LARGE * area), key=lambda piece: -piece[0].sum())
    return [
        Region("blank", _outline(_opened_rings(piece, _HOLE * area), place), round(evenness, 3))
        for piece, place in large[:_MOST]
    ]


def _blank_cells(lab: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, float]:
    """Which cells hold nothing but ground, and how even that ground is, 0..1; none where it is paint."""
    from scipy import ndimage

    means = np.stack([reduced(lab[..., channel], _CELL) for channel in range(3)], axis=2)
    spread = np.sqrt(np.maximum(reduced(lab[..., 0] ** 2, _CELL) - means[..., 0] ** 2, 0))
    if not free.any():
        return free, 0.0
    grain = float(np.percentile(spread[free], 15))
    plain = free & (spread <= max(1.2, 2.0 * grain))
    if plain.sum() < 0.02 * free.sum():
        return np.zeros_like(free), 0.0
    ground = _ground(means, plain)
    off = np.hypot(means[..., 1] - ground[..., 1], means[..., 2] - ground[..., 2])
    blank = plain & (np.abs(means[..., 0] - ground[..., 0]) <= _DARKER) & (off <= _OFF_COLOUR)
    blank = ndimage.median_filter(blank.astype(np.uint8), 3).astype(bool) & free
    lighter = float((means[free][:, 0] > ground[free][:, 0] + _DARKER).mean())
    evenness = _evenness(means[blank], lighter)
    return (blank, evenness) if evenness > 0 else (np.zeros_like(free), 0.0)


def _ground(means: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """The ground's colour at each cell: the lighter plain cells', with a slope along both sides."""
    rows, columns = np.nonzero(plain)
    colours = means[plain]
    chosen = colours[:, 0] >= np.percentile(colours[:, 0], 50)
    height, width = plain.shape
    terms = np.stack([np.ones(len(rows)), rows / height - 0.5, columns / width - 0.5], axis=1)
    for _ in range(4):
        slope, *_ = np.linalg.lstsq(terms[chosen], colours[chosen], rcond=None)
        chosen = np.linalg.norm(colours - terms @ slope, axis=1) <= 1.5 * _DARKER
        if chosen.sum() < 10:
            break
    y, x = np.mgrid[:height, :width]
    return np.stack([np.ones(y.shape), y / height - 0.5, x / width - 0.5], axis=2) @ slope


def _evenness(colours: np.ndarray, lighter: float) -> float:
    """1 for one paper, 0 for paint."""
    if len(colours) < 10 or np.median(colours[:, 2]) < -3 or np.median(colours[:, 0]) < 25:
        return 0.0
    temper = float(np.hypot(colours[:, 1].std(), colours[:, 2].std()))
    signs = (temper, _TEMPER), (float(colours[:, 0].std()), _RELIEF), (lighter, _LIGHTER)
    return float(np.prod([np.clip((high - value) / (high - low), 0, 1) for value, (low, high) in signs]))


def _opened_rings(piece: np.ndarray, hole: float) -> np.ndarray:
    """The piece without holes: each large one is opened by a cut to the outside, for an outline has no holes."""
    from scipy import ndimage

    opened = piece.copy()
    labels, _ = ndimage.label(ndimage.binary_fill_holes(piece) & ~piece)
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        inside = labels[place] == number
        if inside.sum() < hole:
            opened[place] |= inside
            continue
        column = (place[1].start + place[1].stop) // 2
        up = place[0].stop / 2 + place[0].start / 2 < len(piece) / 2
        opened[slice(0, place[0].stop) if up else slice(place[0].start, None), column] = False
    return opened


def _outline(piece: np.ndarray, place: tuple[slice, slice]) -> tuple[tuple[float, float], ...]:
    outline = outline_of(piece, _POINTS, place[1].start, place[0].start)
    return tuple((x * _CELL, y * _CELL) for x, y in outline)

"""Regions at the resolution of image tokens: soft at their borders, and together one everywhere.

A border is soft over the width that its region says: across it the weight follows a Gaussian's distribution function,
from 5 % to 95 % within `feather_px`. Between two regions the narrower width holds; the ground takes its neighbour's.
Blurring all regions with one Gaussian keeps their sum, so where a canvas has several widths, each token takes that of
the border that is nearest to it.
"""

from functools import lru_cache
from math import ceil

import numpy as np

from artmaster_pipeline.copainting.canvas.reading import label_map
from artmaster_pipeline.copainting.records import Canvas
from artmaster_pipeline.records import GROUND

_WIDTH = 3.2897  # standard deviations between 5 % and 95 % of a Gaussian's distribution function
_REACH = 6  # standard deviations, beyond which a Gaussian is nothing in float64's sums


def token_masks(canvas: Canvas, rows: int, columns: int) -> dict[str, np.ndarray]:
    """How much of each token is each region's: id ("ground" first) -> float64 (rows, columns), 0..1, together 1.

    Each value is the mean of the soft region over the token's part of the canvas, which need be no whole number of
    pixels. Raises WrongUse as `label_map` does.
    """
    labels = label_map(canvas)
    numbers = {GROUND: 0} | {region.id: region.label for region in canvas.regions}
    widths = {region.label: region.feather_px for region in canvas.regions}
    chosen = _widths_at(labels, widths, rows, columns)
    found = {id: _soft(labels == number, chosen) for id, number in numbers.items()}
    whole = np.sum(list(found.values()), axis=0)
    return {id: np.clip(mask / whole, 0, 1) for id, mask in found.items()}


def _soft(region: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """A region's means over tokens, float64 as `chosen`, after the Gaussian of the width that each token has there."""
    found = np.zeros(chosen.shape)
    across, down = np.flatnonzero(region.any(axis=0)), np.flatnonzero(region.any(axis=1))
    if not across.size:
        return found
    box = slice(down[0], down[-1] + 1), slice(across[0], across[-1] + 1)
    inside = region[box].astype(np.float64)
    for width in np.unique(chosen):
        of_rows = _means(region.shape[0], chosen.shape[0], float(width))[:, box[0]]
        of_columns = _means(region.shape[1], chosen.shape[1], float(width))[:, box[1]]
        found = np.where(chosen == width, of_rows @ inside @ of_columns.T, found)
    return found


@lru_cache(maxsize=64)
def _means(pixels: int, tokens: int, width: float) -> np.ndarray:
    """The matrix (tokens, pixels) of a Gaussian, mirrored at the canvas' edges, and the means over tokens after it."""
    edges = np.linspace(0, pixels, tokens + 1)
    begin = np.arange(pixels)
    means = np.maximum(np.minimum(edges[1:, None], begin + 1) - np.maximum(edges[:-1, None], begin), 0)
    sigma = width / _WIDTH
    if sigma > 0:
        reach = ceil(_REACH * sigma)
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        blur = np.zeros((pixels, pixels))
        for offset, weight in zip(range(-reach, reach + 1), kernel, strict=True):
            at = (begin + offset) % (2 * pixels)
            np.add.at(blur, (begin, np.where(at < pixels, at, 2 * pixels - 1 - at)), weight)
        means = means @ blur
    return np.asarray(means / means.sum(axis=1, keepdims=True))


def _widths_at(labels: np.ndarray, widths: dict[int, float], rows: int, columns: int) -> np.ndarray:
    """The width of the border that is nearest to each token's middle, float64 (rows, columns)."""
    from scipy.ndimage import distance_transform_edt

    table = np.full(256, np.inf, np.float32)
    table[list(widths)] = list(widths.values())
    here = np.full(labels.shape, np.inf, np.float32)  # of each pixel at a border
    for one, other in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        border = labels[one] != labels[other]
        narrower = np.where(border, np.minimum(table[labels[one]], table[labels[other]]), np.float32(np.inf))
        for side in (one, other):
            here[side] = np.minimum(here[side], narrower)
    found = np.unique(here[np.isfinite(here)])
    if found.size <= 1:
        return np.full((rows, columns), found[0] if found.size else 0.0)
    step = max(
        1, max(labels.shape) // 512
    )  # a large map is looked at in pieces of so many pixels, much less than tokens
    coarse = tuple(side // step for side in labels.shape)
    middles = tuple(
        np.minimum(((np.arange(count) + 0.5) * side / count).astype(int), side - 1)
        for count, side in zip((rows, columns), coarse, strict=True)
    )
    distances = []
    for width in found:
        pieces = (here == width)[: coarse[0] * step, : coarse[1] * step].reshape(coarse[0], step, coarse[1], step)
        distances.append(distance_transform_edt(~pieces.any(axis=(1, 3)))[np.ix_(*middles)])
    return np.asarray(found[np.argmin(distances, axis=0)])

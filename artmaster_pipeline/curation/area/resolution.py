"""How many of a scan's pixels its detail really needs: an enlarged or blurred scan has more than it can fill.

The power of a picture falls with spatial frequency about as a power of it (Field, "Relations between the statistics of
natural images and the response properties of cortical cells", JOSA A 1987), up to the finest detail that pixels can
hold. An enlargement or a blur shows as a cliff in that curve, below the finest frequency: what lies beyond was made up.
Soft washes and mist fall faster, but evenly, and noise and compression fill the curve's end without hiding the cliff.
"""

from collections.abc import Sequence

import numpy as np

PATCH = 512  # pixels of a scan, a side of what is judged
_BANDS = 96  # of the frequencies from 0 to half a cycle a pixel
_COARSEST = 0.03  # cycles a pixel; below that is composition, not detail
_CLIFF = 9.5  # decibels that the power falls by within half an octave; a painting's own fall is 4 to 9
_STEP, _SUDDEN = 6.5, 4.5  # the same, where the fall before it was less steep by so much: rough silk, or noise
_LEVEL = 1e-3  # grey levels squared: far below what 8 bits hold
_SHOULDER = 0.86  # where a cliff's middle lies, of the frequency at which enlargement cut the detail off


def patch_places(lab: np.ndarray, mask: np.ndarray, side: int, number: int = 4) -> list[tuple[int, int]]:
    """Where the most textured squares of `side` pixels lie: left and top, apart from one another, the best first.

    `lab` is a look (height, width, 3), `mask` true on the painting; fewer places, or none, where the painting is small.
    """
    lightness = lab[..., 0]
    height, width = lightness.shape
    if min(height, width) < side or side < 2:
        return []
    texture = np.zeros_like(lightness)
    texture[:-1] += np.abs(np.diff(lightness, axis=0))
    texture[:, :-1] += np.abs(np.diff(lightness, axis=1))
    step = max(1, side // 3)
    tops, lefts = np.arange(0, height - side + 1, step), np.arange(0, width - side + 1, step)
    covered = _sums(mask.astype(np.float64), tops, lefts, side) / side**2
    found = np.where(covered > 0.98, _sums(texture, tops, lefts, side), -1.0)
    places: list[tuple[int, int]] = []
    while len(places) < number and found.size and found.max() >= 0:
        row, column = np.unravel_index(int(found.argmax()), found.shape)
        places.append((int(lefts[column]), int(tops[row])))
        found[np.ix_(np.abs(tops - tops[row]) < side, np.abs(lefts - lefts[column]) < side)] = -1
    return places


def _sums(values: np.ndarray, tops: np.ndarray, lefts: np.ndarray, side: int) -> np.ndarray:
    """The sum over each square of `side`, by top and left."""
    whole = np.pad(values.cumsum(axis=0, dtype=np.float64).cumsum(axis=1), ((1, 0), (1, 0)))
    return (
        whole[np.ix_(tops + side, lefts + side)]
        - whole[np.ix_(tops, lefts + side)]
        - whole[np.ix_(tops + side, lefts)]
        + whole[np.ix_(tops, lefts)]
    )


def effective_scale(patches: Sequence[np.ndarray]) -> float:
    """Pixels a side that the detail needs, per pixel a side that there is, 0..1: 0.5 for a scan enlarged twice.

    `patches` are grey (height, width) at the scan's own size: 8 or 16 bit, or 0..255 as float. 1 where there are none.
    """
    whole = [_unit(patch) for patch in patches if min(patch.shape[:2]) >= _BANDS]
    if not whole:
        return 1.0
    from scipy.ndimage import median_filter

    power = 10 * np.log10(np.mean([_power(patch) for patch in whole], axis=0) + _LEVEL)
    power = median_filter(power, 7, mode="nearest")  # columns of writing and woven patterns stand out as narrow peaks
    frequencies = (np.arange(_BANDS) + 0.5) / _BANDS / 2
    low = np.geomspace(_COARSEST, frequencies[-1] / 2**0.5, 80)
    fall = np.interp(low, frequencies, power) - np.interp(low * 2**0.5, frequencies, power)
    before = [(low >= place / 2.2) & (low <= place / 1.3) for place in low]
    usual = np.array([np.median(fall[near]) if near.sum() > 4 else fall.max() for near in before])
    cliffs = np.flatnonzero((fall >= _CLIFF) | ((fall >= _STEP) & (fall - usual >= _SUDDEN)))
    if not len(cliffs):
        return 1.0
    # the first cliff, to where it no longer grows steeper
    place = int(cliffs[0])
    while place + 1 < len(fall) and fall[place + 1] >= fall[place]:
        place += 1
    return float(round(min(1.0, 2 * low[place] * 2**0.25 / _SHOULDER), 2))


def _unit(patch: np.ndarray) -> np.ndarray:
    return patch.astype(np.float32) / (257 if patch.dtype == np.uint16 else 1)


def _power(patch: np.ndarray) -> np.ndarray:
    """The power spectrum averaged over all directions, in grey levels squared, by frequency."""
    side = min(patch.shape)
    inner = patch[:side, :side]
    taper = np.hanning(side).astype(np.float32)
    window = np.outer(taper, taper)
    spectrum = np.abs(np.fft.rfft2((inner - inner.mean()) * window)) ** 2 / (window**2).sum()
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    band = np.minimum((radius * 2 * _BANDS).astype(int), _BANDS).ravel()
    counts = np.bincount(band, minlength=_BANDS + 1)
    return np.bincount(band, spectrum.ravel(), _BANDS + 1)[:_BANDS] / np.maximum(counts[:_BANDS], 1)

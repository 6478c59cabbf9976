"""How far away what a landscape shows seems to be, without weights; near is white, far is black, as FLUX's nets want.

A proxy, not a depth: painted distance is a convention, and blank ground has none. It is meant to be looked at and
painted over.
"""

import numpy as np

from artmaster_pipeline.copainting.signals.found import Signal, same_three
from artmaster_pipeline.copainting.signals.superpixels import Superpixels, cut

_CUES = {"height": 0.5, "ink": 0.3, "light": 0.2}  # what each cue counts
_AIR = 0.06  # of the longer side: standard deviation of what counts as low frequencies
_SOFT = 0.006  # of the longer side: the softness of the finished map
_PALE = 12.0  # CIELAB lightness below the ground from which on there is ink
_EMPTY = 0.02  # a share of ink under which a superpixel is blank


def read_landscape_proxy(picture: np.ndarray) -> Signal:
    """Near and far of a landscape by three conventions, added: what is low is near, dark ink is near, pale air is far.

    Half of it is the height in the picture, the rest ink density (share of pixels darker than the ground) and lightness
    of low frequencies, each stretched to 0..1 and averaged over superpixels.

    Sureness: the mean rank correlation of the three cues where there is ink, times the share of the picture that is not
    blank: it is low where the conventions disagree, and where a scroll is empty.
    """
    from PIL import Image
    from scipy.ndimage import gaussian_filter

    pixels = cut(picture)
    cues = _cues(pixels)
    inked = pixels.means((_ink(pixels.lab[..., 0]) > 0).astype(np.float64)) > _EMPTY
    near = sum(weight * _stretched(cues[name]) for name, weight in _CUES.items())
    soft = gaussian_filter(np.asarray(near)[pixels.labels], _SOFT * max(pixels.labels.shape))
    small = Image.fromarray(_stretched(soft).astype(np.float32))
    whole = np.asarray(small.resize((picture.shape[1], picture.shape[0]), Image.Resampling.BICUBIC))
    drawn = float(pixels.sizes[inked].sum() / pixels.sizes.sum())
    agree = _agreement([cue[inked] for cue in cues.values()])
    says = (
        f"a landscape's proxy: height, ink and pale air agree at {agree:.2f}; {1 - drawn:.0%} is blank ground, whose "
        "depth is a guess. Look at it and paint over what is wrong"
    )
    return Signal("depth", "landscape-proxy", same_three(np.clip(whole, 0, 1)), agree * drawn, says)


def _cues(pixels: Superpixels) -> dict[str, np.ndarray]:
    """By name, how near each superpixel seems; larger is nearer."""
    from scipy.ndimage import gaussian_filter

    light = pixels.lab[..., 0]
    rows = np.arange(light.shape[0])[:, None] / max(1, light.shape[0] - 1)
    air = _AIR * max(light.shape)
    return {
        "height": pixels.means(np.broadcast_to(rows, light.shape)),
        "ink": pixels.means(gaussian_filter(_ink(light), air / 6)),
        "light": pixels.means(-gaussian_filter(light, air)),
    }


def _ink(light: np.ndarray) -> np.ndarray:
    """How much darker than the ground each pixel is, 0..1; the ground is the lightest tenth's limit."""
    ground = float(np.percentile(light, 90))
    return np.clip((ground - _PALE - light) / 30, 0, 1).astype(np.float64)


def _stretched(values: np.ndarray) -> np.ndarray:
    low, high = np.percentile(values, (1, 99))
    return np.clip((values - low) / max(1e-6, high - low), 0, 1)


def _agreement(cues: list[np.ndarray]) -> float:
    """The mean of the cues' rank correlations, 0 where they contradict one another or there is nothing to compare."""
    from scipy.stats import spearmanr

    if len(cues[0]) < 8:
        return 0.0
    pairs = [(a, b) for number, a in enumerate(cues) for b in cues[number + 1 :]]
    found = [spearmanr(a, b).statistic if a.std() > 1e-9 and b.std() > 1e-9 else 0.0 for a, b in pairs]
    return float(np.clip(np.mean(found), 0, 1))

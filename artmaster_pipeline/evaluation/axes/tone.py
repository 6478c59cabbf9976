"""Tone: which colours a picture has and how much of each, wherever they are.

Everything is measured in CIELAB (D65, 2 degrees), so differences are colour differences of CIE 1976.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from artmaster_pipeline.evaluation.axes.components import Component
from artmaster_pipeline.evaluation.axes.sliced import length_of_shift, mean_difference, quantiles, sliced

if TYPE_CHECKING:
    import numpy as np

_PIXELS = 16_384  # of each picture: 128 x 128
_DIRECTIONS = 32
_PALETTE = 8
_PALETTE_PIXELS = 4_096
_HUES = 24  # of 15 degrees
_FULLY_COLOURED = 10.0  # C*ab; paler pixels count as achromatic in part, since their hue is uncertain
_LEADING_SHARE = 0.9  # of the painter's chroma


def describe(pictures: Sequence["np.ndarray"]) -> dict[str, "np.ndarray"]:
    """The tone of RGB uint8 pictures (height, width, 3), one row each.

    `colour` (n, 2048) and `lightness` (n, 64) are quantiles, `palette` (n, 8, 4) are L*, a*, b* and share of eight
    colours, `leading hues` (n, 25) are the shares of 24 hues and, last, of the achromatic.
    """
    import numpy as np

    rows: dict[str, list[np.ndarray]] = {component.name: [] for component in COMPONENTS}
    for picture in pictures:
        lab = _pixels(picture)
        rows["colour"].append(sliced(lab, _DIRECTIONS))
        rows["palette"].append(palette(lab))
        rows["lightness"].append(quantiles(lab[None, :, 0]))
        rows["leading hues"].append(hue_shares(lab))
    return {name: np.stack(row) for name, row in rows.items()}


def palette(lab: "np.ndarray") -> "np.ndarray":
    """Eight colours of CIELAB pixels (points, 3) by k-means: (8, 4), L*, a*, b* and share; absent ones have share 0."""
    import numpy as np
    from scipy.cluster.vq import kmeans, vq

    points = lab[:: max(1, len(lab) // _PALETTE_PIXELS)].astype(np.float64)
    colours, _ = kmeans(points, min(_PALETTE, len(points)), iter=2, thresh=1e-2, rng=np.random.default_rng(0))
    shares = np.bincount(vq(points, colours)[0], minlength=len(colours)) / len(points)
    order = np.argsort(-shares, kind="stable")
    found = np.zeros((_PALETTE, 4))
    found[: len(colours)] = np.column_stack([colours, shares])[order]
    return found


def hue_shares(lab: "np.ndarray") -> "np.ndarray":
    """The shares of 24 hues in CIELAB pixels (points, 3), weighted by chroma, then of the achromatic: (25,), sum 1.

    A hue lies between two bins and counts for both, so that a slight turn of hue changes the shares slightly.
    """
    import numpy as np

    chroma = np.hypot(lab[:, 1], lab[:, 2])
    achromatic = 1 - np.minimum(chroma / _FULLY_COLOURED, 1).mean()
    place = np.arctan2(lab[:, 2], lab[:, 1]) / (2 * np.pi) % 1 * _HUES
    below = place.astype(int)
    part = place - below
    held = np.bincount(below % _HUES, chroma * (1 - part), _HUES) + np.bincount(
        (below + 1) % _HUES, chroma * part, _HUES
    )
    return np.append((1 - achromatic) * held / max(held.sum(), 1e-9), achromatic)


def _pixels(picture: "np.ndarray") -> "np.ndarray":
    """At most 16 384 pixels of a picture in CIELAB (points, 3), drawn with one seed where there are more."""
    import numpy as np
    from skimage.color import rgb2lab

    pixels = picture.reshape(-1, 3)
    if len(pixels) > _PIXELS:
        pixels = pixels[np.random.default_rng(0).choice(len(pixels), _PIXELS, replace=False)]
    return rgb2lab(pixels)


def _colour(described: "np.ndarray", _: "np.ndarray") -> "np.ndarray":
    return length_of_shift(3) * mean_difference(described)


def _lightness(described: "np.ndarray", _: "np.ndarray") -> "np.ndarray":
    return mean_difference(described)


def _palette(described: "np.ndarray", _: "np.ndarray") -> "np.ndarray":
    """Earth mover's distances of the palettes (n, 8, 4)."""
    import numpy as np
    import ot

    n = len(described)
    colours, shares = described[..., :3], np.ascontiguousarray(described[..., 3])
    distances = np.zeros((n, n))
    for row in range(n - 1):
        ground = np.linalg.norm(colours[row, None, :, None] - colours[row + 1 :, None], axis=-1)
        for offset, costs in enumerate(ground):
            other = row + 1 + offset
            moved = ot.emd2(shares[row], shares[other], costs, center_dual=False, check_marginals=False)
            distances[row, other] = distances[other, row] = max(float(moved), 0.0)
    return distances


def _leading_hues(described: "np.ndarray", painter: "np.ndarray") -> "np.ndarray":
    """Half the summed differences of the shares of the painter's leading hues, of all other hues, of the achromatic."""
    import numpy as np

    hues, achromatic = described[:, :-1], described[:, -1:]
    leading = leading_hues(hues[painter] if painter.any() else hues)
    rest = hues.sum(axis=1, keepdims=True) - hues[:, leading].sum(axis=1, keepdims=True)
    shares = np.concatenate([hues[:, leading], rest, achromatic], axis=1)
    return mean_difference(shares) * shares.shape[1] / 2


def leading_hues(hues: "np.ndarray") -> "np.ndarray":
    """The indices of the fewest hues that hold 90 % of the chroma in rows of hue shares (works, 24), largest first."""
    import numpy as np

    held = hues.mean(axis=0)
    order = np.argsort(-held, kind="stable")
    needed = int(np.searchsorted(np.cumsum(held[order]), _LEADING_SHARE * held.sum() - 1e-12)) + 1
    return order[: needed if held.sum() > 0 else 0]


COMPONENTS: tuple[Component, ...] = (
    Component(
        "colour",
        "tone",
        "CIELAB colour difference",
        "sliced Wasserstein distance of order 1 (Rabin 2011, Bonneel 2015) of CIELAB pixels (ISO/CIE 11664-4)",
        _colour,
    ),
    Component(
        "palette",
        "tone",
        "CIELAB colour difference",
        "earth mover's distance (Rubner et al. 2000) of palettes of eight colours, by CIE 1976 colour difference",
        _palette,
    ),
    Component("lightness", "tone", "CIE L*", "Wasserstein distance of order 1 of the distributions of L*", _lightness),
    Component(
        "leading hues",
        "tone",
        "share of the picture's colour",
        "total variation of chroma-weighted shares of CIELCh hues, those that hold 90 % of the painter's chroma",
        _leading_hues,
    ),
)

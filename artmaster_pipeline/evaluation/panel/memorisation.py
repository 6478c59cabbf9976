"""Did the adapter copy? For every sample the training crop that it is nearest to, and whether it is too near.

Three measures, of which two must agree on one crop: a perceptual hash, LPIPS, and the correlation of tiles. LPIPS,
which tells copies from other works best, must not speak against it: the other two alone take any two dark, smooth
pictures for copies of each other.
Each crop also counts mirrored. How near two different works of this painter come to each other is measured, too: on
works that the adapter never saw and, leaving their own work out, on the training crops. A sample must be clearly
nearer than those to be a suspect.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from artmaster_pipeline.base_models.vgg import load_vgg
from artmaster_pipeline.sessions import session

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

# Measured on 60 works by Huang Binhong and 55 by Hiroshige, 40 of each as crops, at 128 px. Largest distance of copies
# (JPEG 60, tinted, 20 % noise, mirrored, 5 % cut away at a side, zoomed by 10 %) and smallest of other works to their
# nearest crop: LPIPS at 48 px 0.28 and 0.39 (at 64 px 0.30 and 0.41); 1 - correlation of 4 x 4 tiles at 32 px, tiles
# weighted by contrast, 0.15 and 0.26 (unweighted 0.18 and 0.28; at 64 px 0.20 and 0.30). The share of tiles above 0.9
# overlaps (0.81 and 0.75). The hash of 12 x 12 bits finds no zoomed copy alone (0.32 and 0.31; the others are
# below 0.07), one of 8 x 8 still less (0.28 and 0.19).
_HASH_SIDE = 12
_LPIPS_SIDE = 48  # pixels
_TILES_SIDE, _TILES, _SHIFT = 32, 4, 2  # pixels, tiles along a side, pixels that a tile may have moved

# The limit is this quantile of the references' distances, less a margin: one pair of works that are nearly one picture
# (a replica, a second state of a print) must not set it, and few references give a quantile near their smallest.
_QUANTILE, _MARGIN = 0.05, 0.85
_MOST_REFERENCES = 50  # crops that are compared with all others; more change the quantile by little
# Bounds of each limit. The lower: what only a copy reaches, so that copies are found even where the training set holds
# a work twice under two names. The upper: what works without a common motif do not reach, for where the references are
# few or all far; also the limit where there are none.
_BOUNDS = {"phash": (15.0, 43.0), "lpips": (0.15, 0.34), "correlation": (0.15, 0.40)}
_AGREEING = 2  # measures
_LPIPS_AGAINST = 1.25  # of its limit; two soft night scenes, a false suspect, lay at 1.7, a copy in noise at 1.1
_ASPECT = 1.2  # a picture longer than that is seen through squares: a sample's ends, a crop's ends and middle
_ENDS, _THIRDS = (0.0, 1.0), (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class Limits:
    """What a sample must pass to be no suspect in that measure."""

    phash: float  # bits of 144, smallest
    lpips: float  # smallest
    correlation: float  # largest
    references: int  # pictures that they come from


@dataclass(frozen=True)
class Nearest:
    """A sample's nearest training crop by all measures together, and how near it is."""

    crop: int  # its place among the crops
    mirrored: bool
    phash: int  # bits of 144 that differ (Zauner 2010)
    lpips: float  # Zhang et al. 2018, both pictures reduced to 48 pixels
    correlation: float  # mean correlation of tiles in lightness, -1..1
    limits: Limits
    suspect: bool  # two of the three measures are within their limits, and LPIPS is not far beyond its own


@session()
def nearest(
    samples: "Sequence[np.ndarray]",
    crops: "Sequence[np.ndarray]",
    groups: Sequence[str],
    references: "Sequence[np.ndarray]",
    device: str = "cpu",
) -> tuple[Nearest, ...]:
    """The nearest training crop of each sample; pictures are uint8 (height, width, 3) of any sizes.

    `groups` names each crop's work: crops of one work say nothing about how near different works come. `references`
    are pictures of held-out works of the same painter; there may be none. The result is empty where there are no
    samples or no crops. Raises MissingRequirement where VGG16 is not installed.
    """
    import numpy as np

    if not len(samples) or not len(crops):
        return ()
    chosen = np.unique(np.linspace(0, len(crops) - 1, _MOST_REFERENCES).round().astype(int))
    queries = [*samples, *references, *(crops[place] for place in chosen)]
    distances = _distances(queries, crops, device)
    first = len(samples) + len(references)
    same_work = np.array([[groups[place] == group for group in groups] for place in chosen])
    known = {}
    for name, matrix in distances.items():
        matrix[first:][np.concatenate([same_work, same_work], axis=1)] = np.inf
        found = matrix[len(samples) :].min(axis=1)
        known[name] = found[np.isfinite(found)]
    limits = {name: _limit(name, values) for name, values in known.items()}
    shown = Limits(limits["phash"], limits["lpips"], 1 - limits["correlation"], len(known["lpips"]))
    apart = {name: matrix[: len(samples)] for name, matrix in distances.items()}
    return tuple(_nearest(number, apart, limits, shown) for number in range(len(samples)))


def _nearest(number: int, distances: "dict[str, np.ndarray]", limits: dict[str, float], shown: Limits) -> Nearest:
    import numpy as np

    ratios = {name: distances[name][number] / limits[name] for name in limits}
    within = np.sum([ratio < 1 for ratio in ratios.values()], axis=0)
    agree = (within >= _AGREEING) & (ratios["lpips"] < _LPIPS_AGAINST)
    mean = np.mean(list(ratios.values()), axis=0)
    place = int(np.lexsort((mean, ~agree))[0])
    count = len(mean) // 2
    return Nearest(
        crop=place % count,
        mirrored=place >= count,
        phash=round(float(distances["phash"][number, place])),
        lpips=float(distances["lpips"][number, place]),
        correlation=1 - float(distances["correlation"][number, place]),
        limits=shown,
        suspect=bool(agree[place]),
    )


def _limit(name: str, references: "np.ndarray") -> float:
    import numpy as np

    lowest, highest = _BOUNDS[name]
    if not len(references):
        return highest
    return float(np.clip(_MARGIN * np.quantile(references, _QUANTILE), lowest, highest))


def _distances(queries: "Sequence[np.ndarray]", crops: "Sequence[np.ndarray]", device: str) -> "dict[str, np.ndarray]":
    """By measure (queries, 2 * crops), the second half with the crops mirrored; the nearest of all pairs of views."""
    from PIL import ImageOps

    ours, whose = _views(queries, _ENDS)
    theirs, of_crop = _views(crops, _THIRDS)
    theirs += [ImageOps.mirror(view) for view in theirs]
    of_crop += [place + len(crops) for place in of_crop]
    measures: dict[str, Callable[[list[Image.Image], list[Image.Image]], np.ndarray]] = {
        "phash": _hash_distance,
        "lpips": lambda a, b: load_vgg(device).lpips_matrix(_reduced(a, _LPIPS_SIDE), _reduced(b, _LPIPS_SIDE)),
        "correlation": lambda a, b: 1 - tile_correlation(_lightness(a), _lightness(b)),
    }
    return {name: _of_pictures(measure(ours, theirs), whose, of_crop) for name, measure in measures.items()}


def _views(pictures: "Sequence[np.ndarray]", parts: tuple[float, ...]) -> "tuple[list[Image.Image], list[int]]":
    """Squares of every picture and whose they are: one of a nearly square picture, else `parts` along its length."""
    from PIL import Image

    views, places = [], []
    for place, picture in enumerate(pictures):
        image = Image.fromarray(picture)
        side = min(image.size)
        across, down = image.width - side, image.height - side
        for part in parts if max(image.size) > _ASPECT * side else (0.5,):
            left, top = round(part * across), round(part * down)
            views.append(image.crop((left, top, left + side, top + side)))
            places.append(place)
    return views, places


def _of_pictures(matrix: "np.ndarray", rows: list[int], columns: list[int]) -> "np.ndarray":
    """The smallest distance of each pair of pictures, from that of their views; both lists are ascending."""
    import numpy as np

    for axis, places in enumerate((rows, columns)):
        starts = np.flatnonzero(np.diff(places, prepend=-1))
        matrix = np.minimum.reduceat(matrix, starts, axis=axis)
    return matrix.astype(np.float64)


def _hash_distance(a: "list[Image.Image]", b: "list[Image.Image]") -> "np.ndarray":
    import numpy as np
    from imagehash import phash

    def bits(views: "list[Image.Image]") -> "np.ndarray":
        return np.stack([phash(view, hash_size=_HASH_SIDE).hash.ravel() for view in views]).astype(np.float32)

    ours, theirs = bits(a), bits(b)
    return np.asarray(ours.sum(1)[:, None] + theirs.sum(1)[None] - 2 * ours @ theirs.T)


def _reduced(views: "list[Image.Image]", side: int) -> "np.ndarray":
    import numpy as np
    from PIL import Image

    return np.stack([np.asarray(view.resize((side, side), Image.Resampling.LANCZOS)) for view in views])


def _lightness(views: "list[Image.Image]") -> "np.ndarray":
    import numpy as np

    return _reduced([view.convert("L") for view in views], _TILES_SIDE).astype(np.float32)


def tile_correlation(a: "np.ndarray", b: "np.ndarray") -> "np.ndarray":
    """How well the tiles of `a` are found in `b`, both (n, 32, 32) in lightness: the mean over 16 tiles, (n, m), -1..1.

    A tile's value is its best normalised cross-correlation (Lewis 1995) within 2 pixels of its place. Tiles count by
    their contrast: flat ones say nothing.
    """
    import numpy as np

    total = np.zeros((len(a), len(b)), dtype=np.float32)
    weight = np.full(len(a), 1e-6, dtype=np.float32)
    size = _TILES_SIDE // _TILES
    for top in range(0, _TILES_SIDE, size):
        for left in range(0, _TILES_SIDE, size):
            tiles, contrast = _centred(a[:, top : top + size, left : left + size])
            best = np.full(total.shape, -1, dtype=np.float32)
            for y in _near(top, size):
                for x in _near(left, size):
                    there, _ = _centred(b[:, y : y + size, x : x + size])
                    np.maximum(best, tiles @ there.T, out=best)
            total += best * contrast[:, None]
            weight += contrast
    return np.asarray(total / weight[:, None])


def _near(place: int, size: int) -> range:
    return range(max(0, place - _SHIFT), min(_TILES_SIDE - size, place + _SHIFT) + 1)


def _centred(tiles: "np.ndarray") -> "tuple[np.ndarray, np.ndarray]":
    """Tiles (n, h, w) as rows with mean 0 and length 1, and the length that each had."""
    import numpy as np

    rows = tiles.reshape(len(tiles), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1)
    return rows / (length[:, None] + 1e-3), length

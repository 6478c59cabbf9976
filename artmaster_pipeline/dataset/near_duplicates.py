"""Near-duplicates: which scans show one and the same artwork in another crop, size, colour cast or photograph.

All pairs are compared by perceptual hashes of the whole pictures and of windows in them; what is near there is laid
over each other and compared stroke by stroke. Both look at the register's thumbnails, which show the whole scan.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.files import inside, write_text
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import Scan
from artmaster_pipeline.settings import Home
from artmaster_pipeline.threads import usable_cpus

if TYPE_CHECKING:
    from PIL import Image

_METHOD = "1"  # of what is remembered: raise it when the same thumbnails would give other hashes or likenesses
_NEAR = 12  # of a hash's 64 bits; of unlike paintings about one pair in 1,700 is so near
_ALIKE = 0.4  # of the picture's parts three quarters correlate by this much; see `likeness`
_TRIMS = (  # shares cut off at the top, bottom, left, right: the other scan may show no more than that
    (0.0, 0.0, 0.0, 0.0),
    *((t, t, t, t) for t in (0.06, 0.12)),
    *(trim for t in (0.1, 0.2) for trim in ((t, 0, 0, 0), (0, t, 0, 0), (0, 0, t, 0), (0, 0, 0, t))),
    *(trim for t in (0.1, 0.2) for trim in ((t, t, 0, 0), (0, 0, t, t))),
    *((t, b, left, 0.15 - left) for t, b in ((0.15, 0), (0, 0.15)) for left in (0.15, 0)),
)
_SIDE = 80  # pixels: the square root of the area at which pictures are laid over each other
_SCALES = tuple(float(scale) for scale in np.geomspace(0.72, 1 / 0.72, 17))
_OVERLAP = 0.6  # of the smaller picture's area that the two must have in common
_PARTS = 4  # the overlap is compared in 4 x 4 parts
_THREADS = min(4, len(usable_cpus()))

T = TypeVar("T")
U = TypeVar("U")


def near_duplicates(
    home: Home, painter: str, scans: Sequence[Scan], progress: Progress = SILENT
) -> tuple[tuple[str, str], ...]:
    """The pairs of `scans` that show one artwork, as (sha256, sha256), the lower hash first; sorted.

    Hashes and comparisons are remembered by the scans' sha256 in the data home's cache. Raises ArtMasterError where a
    scan's thumbnail is missing or cannot be read.
    """
    file = home.cache / "near_duplicates" / f"{painter}.json"
    thumbnails = {scan.sha256: inside(home.register(painter), f"thumbnails/{scan.id}.jpg") for scan in scans}
    works = sorted(thumbnails)
    hashes, likenesses = _remembered(file)
    new = [work for work in works if work not in hashes]
    hashes |= zip(
        new, _all("Hashes of scans", lambda work: window_hashes(thumbnails[work]), new, progress), strict=True
    )
    _remember(file, works, hashes, likenesses)
    pairs = near_pairs(np.array([hashes[work] for work in works], np.uint64).reshape(-1, len(_TRIMS)))
    near = [(works[a], works[b]) for a, b in pairs]
    unknown = [pair for pair in near if pair not in likenesses]

    @lru_cache(maxsize=64)
    def strokes(work: str) -> tuple[np.ndarray, ...]:
        return strokes_of(thumbnails[work])

    found = _all("Scans that look alike", lambda pair: likeness(strokes(pair[0]), strokes(pair[1])), unknown, progress)
    likenesses |= zip(unknown, found, strict=True)
    _remember(file, works, hashes, likenesses)
    return tuple(pair for pair in near if likenesses[pair] >= _ALIKE)


def window_hashes(thumbnail: Path) -> list[int]:
    """The DCT hashes, 64 bits each, of a picture and of 18 windows in it that leave out up to a fifth at the edges.

    The hash is ImageHash's `phash`: the signs of the lowest 8 x 8 cosine frequencies against their median (Zauner
    2010, "Implementation and Benchmarking of Perceptual Image Hash Functions"). It sees no colour.
    """
    import imagehash

    picture = _grey(thumbnail)
    width, height = picture.size
    return [int(str(imagehash.phash(picture.crop(_window(trim, width, height)))), 16) for trim in _TRIMS]


def near_pairs(hashes: np.ndarray) -> list[tuple[int, int]]:
    """Rows of uint64 `hashes` (scans, windows) of which one's whole picture is near some window of the other; sorted.

    The first window is the whole picture. All pairs of 4,000 scans take seconds.
    """
    found: set[tuple[int, int]] = set()
    whole = hashes[:, 0] if len(hashes) else hashes
    for row, windows in enumerate(hashes):
        there = (np.bitwise_count(whole[:, None] ^ windows[None, :]) <= _NEAR).any(axis=1)
        found |= {(min(row, int(other)), max(row, int(other))) for other in np.flatnonzero(there) if other != row}
    return sorted(found)


def strokes_of(thumbnail: Path) -> tuple[np.ndarray, ...]:
    """What likeness compares: a picture's fine structure, float32 (height, width), at each of 17 scales.

    Grey, band-passed, freed of long horizontal and vertical lines (every mounting and print has them along its edges),
    and brought to equal contrast everywhere; so neither colour cast nor light, frame nor composition weigh.
    """
    return tuple(_strokes(_grey(thumbnail), scale) for scale in (1.0, *_SCALES))


def likeness(one: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...]) -> float:
    """How far two pictures agree where they overlap best, -1..1: the lower quartile of the correlations of 16 parts.

    `other` is tried at all its scales and shifts (normalised cross-correlation by FFT; Lewis 1995). The quartile asks
    that most of the picture agrees: a shared cartouche, seal or outline of a fan does not make one artwork of two.
    Measured on 313 paintings: at most 0.35 for the 4,000 unlike pairs with the nearest hashes; over 0.4 for 99 in 100
    scans that were cropped by up to a tenth at each side and tinted, and for 97 in 100 oblique photographs in a frame.
    """
    fixed, best = one[0], (-1.0, -1.0)
    for moved in other[1:]:
        best = max(best, _laid_over(fixed, moved))
    return round(best[1], 4)


def _laid_over(fixed: np.ndarray, moved: np.ndarray) -> tuple[float, float]:
    """At the best shift, the correlation of the overlap and the lower quartile of its parts; (-1, -1) without one."""
    from scipy import fft

    shape = tuple(a + b - 1 for a, b in zip(fixed.shape, moved.shape, strict=True))
    padded = [fft.next_fast_len(side, real=True) for side in shape]
    product = fft.rfft2(fixed, padded) * fft.rfft2(moved[::-1, ::-1], padded)
    sums = fft.irfft2(product, padded)[: shape[0], : shape[1]]
    rows, columns = (_common(a, b) for a, b in zip(fixed.shape, moved.shape, strict=True))
    common = rows[:, None] * columns[None, :]
    score = np.where(common >= _OVERLAP * min(fixed.size, moved.size), sums / common, -np.inf)
    down, across = np.unravel_index(int(score.argmax()), score.shape)
    if not np.isfinite(score[down, across]):
        return -1.0, -1.0
    down, across = int(down) - moved.shape[0] + 1, int(across) - moved.shape[1] + 1
    height, width = int(rows[down + moved.shape[0] - 1]), int(columns[across + moved.shape[1] - 1])
    a = fixed[max(0, down) :, max(0, across) :][:height, :width]
    b = moved[max(0, -down) :, max(0, -across) :][:height, :width]
    parts = [
        _correlation(p, q)
        for strip_a, strip_b in zip(np.array_split(a, _PARTS), np.array_split(b, _PARTS), strict=True)
        for p, q in zip(np.array_split(strip_a, _PARTS, 1), np.array_split(strip_b, _PARTS, 1), strict=True)
    ]
    return _correlation(a, b), float(np.quantile(parts, 0.25))


def _common(fixed: int, moved: int) -> np.ndarray:
    """How many pixels of two lines lie over each other, for every shift of the second."""
    shifts = np.arange(1 - moved, fixed)
    return np.minimum(fixed, shifts + moved) - np.maximum(0, shifts)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / max(1e-6, np.sqrt((a * a).sum() * (b * b).sum())))


def _strokes(picture: "Image.Image", scale: float) -> np.ndarray:
    from PIL import Image
    from scipy import ndimage

    factor = _SIDE * scale / (picture.width * picture.height) ** 0.5
    size = max(12, round(picture.width * factor)), max(12, round(picture.height * factor))
    grey = np.asarray(picture.resize(size, Image.Resampling.LANCZOS), np.float32)
    detail = ndimage.gaussian_filter(grey, 0.8, mode="nearest") - ndimage.gaussian_filter(grey, 4.0, mode="nearest")
    for axis in (0, 1):
        detail -= ndimage.uniform_filter1d(detail, 21, axis=axis, mode="nearest")
    contrast = np.sqrt(ndimage.gaussian_filter(detail * detail, 5.0, mode="nearest"))
    return detail / (contrast + 1.5)  # 1.5 grey levels: paper without strokes is not blown up to noise


def _grey(thumbnail: Path) -> "Image.Image":
    from PIL import Image

    try:
        with Image.open(thumbnail) as picture:
            return picture.convert("L")
    except OSError as error:
        raise ArtMasterError(f"{thumbnail} is missing or damaged: run the stage raw_scans again.") from error


def _window(trim: Sequence[float], width: int, height: int) -> tuple[int, int, int, int]:
    top, bottom, left, right = trim
    return (
        round(left * width),
        round(top * height),
        max(round(left * width) + 1, round(width - right * width)),
        max(round(top * height) + 1, round(height - bottom * height)),
    )


def _all(title: str, do: Callable[[T], U], tasks: Sequence[T], progress: Progress) -> list[U]:
    """`do` of every task, in order; nothing is said where there is nothing to do."""
    if not tasks:
        return []
    results = []
    with ThreadPoolExecutor(_THREADS) as pool, progress.task(title, len(tasks)) as advance:
        for result in pool.map(do, tasks):
            results.append(result)
            advance()
    return results


def _remembered(file: Path) -> tuple[dict[str, list[int]], dict[tuple[str, str], float]]:
    """What earlier runs found out; nothing where the file is absent, torn or of another method."""
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        if known["method"] != _METHOD:
            return {}, {}
        return known["hashes"], {(a, b): value for a, b, value in known["likenesses"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}, {}


def _remember(
    file: Path, works: Iterable[str], hashes: dict[str, list[int]], likenesses: dict[tuple[str, str], float]
) -> None:
    here = set(works)
    known = {
        "method": _METHOD,
        "hashes": {work: hashes[work] for work in sorted(here)},
        "likenesses": [[*pair, likenesses[pair]] for pair in sorted(likenesses) if here.issuperset(pair)],
    }
    text = json.dumps(known)
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        write_text(file, text)

"""Near-duplicates: which scans show one and the same artwork in another crop, size, colour cast or photograph.

The best of them is kept in the others' place.

Pairs are compared as in `likeness`, by the register's thumbnails, which show the whole scan.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from artmaster_pipeline.errors import ArtMasterError, BadInput
from artmaster_pipeline.files import inside, write_text
from artmaster_pipeline.likeness import ALIKE, WINDOWS, likeness, near_pairs, strokes_of, window_hashes
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import Scan
from artmaster_pipeline.settings import Home
from artmaster_pipeline.threads import usable_cpus

if TYPE_CHECKING:
    import pyvips
    from PIL import Image

_METHOD = "1"  # of what is remembered: raise it when the same thumbnails would give other hashes or likenesses
_WORTH = "1"  # likewise, of how good scans are
_WIDEST = 4096  # pixels of the band that the detail of a scan is judged by
_COLOURLESS = 6.0  # CIELAB chroma that no pixel of a scan without colour exceeds
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
        new, _all("Hashes of scans", lambda work: window_hashes(_grey(thumbnails[work])), new, progress), strict=True
    )
    _remember(file, hashes, likenesses)
    pairs = near_pairs(np.array([hashes[work] for work in works], np.uint64).reshape(-1, WINDOWS))
    near = [(works[a], works[b]) for a, b in pairs]
    unknown = [pair for pair in near if pair not in likenesses]

    @lru_cache(maxsize=64)
    def strokes(work: str) -> tuple[np.ndarray, ...]:
        return strokes_of(_grey(thumbnails[work]))

    found = _all("Scans that look alike", lambda pair: likeness(strokes(pair[0]), strokes(pair[1])), unknown, progress)
    likenesses |= zip(unknown, found, strict=True)
    _remember(file, hashes, likenesses)
    return tuple(pair for pair in near if likenesses[pair] >= ALIKE)


def better_scans(home: Home, painter: str, scans: Sequence[Scan], progress: Progress = SILENT) -> dict[str, str]:
    """By the sha256 of every lesser scan of an artwork, the sha256 of its best one, which is kept in its place.

    The worth of a scan depends on nothing but itself, so another scan changes the choice only by being better than all
    of its artwork. Raises ArtMasterError as `near_duplicates` does, and where a scan of such an artwork cannot be read.
    """
    groups = _joined(near_duplicates(home, painter, scans, progress))
    by_hash = {scan.sha256: scan for scan in scans}
    file = home.cache / "near_duplicates" / f"{painter}.worths.json"
    known = _known_worths(file)
    members = [sha256 for group in groups for sha256 in group]
    new = [sha256 for sha256 in members if sha256 not in known]
    known |= zip(
        new, _all("Scans of one artwork", lambda one: _worth(home, painter, by_hash[one]), new, progress), strict=True
    )
    if new:
        write_text(file, json.dumps({"method": _WORTH, "worths": {one: known[one] for one in sorted(members)}}))
    better: dict[str, str] = {}
    for group in groups:
        best = max(sorted(group), key=lambda one: known[one])
        better |= {one: best for one in group if one != best}
    return better


def _joined(pairs: Iterable[tuple[str, str]]) -> list[set[str]]:
    """Scans that are linked by pairs, directly or over others: of one artwork each."""
    groups: list[set[str]] = []
    for pair in pairs:
        touched = [group for group in groups if group.intersection(pair)]
        groups = [group for group in groups if group not in touched] + [set(pair).union(*touched)]
    return groups


def _worth(home: Home, painter: str, scan: Scan) -> float:
    """How good a scan of its artwork it is: octaves of detail in the painting, less for cast, pallor and compression.

    Ten CIELAB units of cast, half of the tonal range, or seven octaves of bytes a pixel weigh as much as half of the
    pixels; a scan without any colour is worth less than one with.
    """
    from PIL import Image
    from skimage.color import rgb2lab

    from artmaster_pipeline.curation.area import find_area
    from artmaster_pipeline.curation.look import Look
    from artmaster_pipeline.scans.decoding import open_scan, reading

    path = inside(home.scans(painter), scan.path)
    try:
        with reading(path):
            detail = _detail(open_scan(path))
    except (OSError, BadInput) as error:
        raise ArtMasterError(f"{path} is missing or damaged: run the stage raw_scans again.") from error
    with Image.open(inside(home.register(painter), f"thumbnails/{scan.id}.jpg")) as thumbnail:
        rgb = np.asarray(thumbnail.convert("RGB"))
    lab = rgb2lab(rgb).astype(np.float32)
    area = find_area(Look(rgb, lab, rgb.shape[1] / scan.width))
    painting = lab[area.box.top : area.box.bottom, area.box.left : area.box.right].reshape(-1, 3)
    pixels = scan.width * scan.height * detail**2 * len(painting) / (rgb.shape[0] * rgb.shape[1])
    colours = painting[:, 1:]
    low, high = np.percentile(painting[:, 0], (2, 98))
    colourless = float(np.linalg.norm(colours, axis=1).max()) < _COLOURLESS
    cast = float(np.linalg.norm(np.median(colours, axis=0)))
    stored = float(np.clip(np.log2(scan.bytes / (scan.width * scan.height)), -6, 1)) if scan.bytes else -6.0
    worth = float(np.log2(max(1.0, pixels))) - cast / 10 + (high - low) / 50 + stored / 7 - 2 * colourless
    return round(float(worth), 4)


def _detail(image: "pyvips.Image") -> float:
    """The effective scale of a scan, by a band across its middle."""
    from artmaster_pipeline.curation.area.resolution import PATCH, effective_scale

    width, height = min(_WIDEST, image.width), min(PATCH, image.height)
    band = image.crop((image.width - width) // 2, (image.height - height) // 2, width, height).colourspace("b-w")
    light = band.extract_band(0).numpy()
    return effective_scale([light[:, left : left + height] for left in range(0, max(1, width - height + 1), height)])


def _known_worths(file: Path) -> dict[str, float]:
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        return dict(known["worths"]) if known["method"] == _WORTH else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _grey(thumbnail: Path) -> "Image.Image":
    from PIL import Image

    try:
        with Image.open(thumbnail) as picture:
            return picture.convert("L")
    except OSError as error:
        raise ArtMasterError(f"{thumbnail} is missing or damaged: run the stage raw_scans again.") from error


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


def _remember(file: Path, hashes: dict[str, list[int]], likenesses: dict[tuple[str, str], float]) -> None:
    """Of all scans ever seen, since the stages ask about different parts of them; a withdrawal takes the file away."""
    known = {
        "method": _METHOD,
        "hashes": dict(sorted(hashes.items())),
        "likenesses": [[*pair, likenesses[pair]] for pair in sorted(likenesses)],
    }
    text = json.dumps(known)
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        write_text(file, text)

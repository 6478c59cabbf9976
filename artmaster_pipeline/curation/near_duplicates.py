"""Near-duplicates: which scans show one and the same artwork in another crop, size, colour cast or photograph.

Pairs are compared as in `likeness`, by the register's thumbnails, which show the whole scan.
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
from artmaster_pipeline.likeness import ALIKE, WINDOWS, likeness, near_pairs, strokes_of, window_hashes
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import Scan
from artmaster_pipeline.settings import Home
from artmaster_pipeline.threads import usable_cpus

if TYPE_CHECKING:
    from PIL import Image

_METHOD = "1"  # of what is remembered: raise it when the same thumbnails would give other hashes or likenesses
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
    _remember(file, works, hashes, likenesses)
    pairs = near_pairs(np.array([hashes[work] for work in works], np.uint64).reshape(-1, WINDOWS))
    near = [(works[a], works[b]) for a, b in pairs]
    unknown = [pair for pair in near if pair not in likenesses]

    @lru_cache(maxsize=64)
    def strokes(work: str) -> tuple[np.ndarray, ...]:
        return strokes_of(_grey(thumbnails[work]))

    found = _all("Scans that look alike", lambda pair: likeness(strokes(pair[0]), strokes(pair[1])), unknown, progress)
    likenesses |= zip(unknown, found, strict=True)
    _remember(file, works, hashes, likenesses)
    return tuple(pair for pair in near if likenesses[pair] >= ALIKE)


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


def better_scans(home: Home, painter: str, scans: Sequence[Scan], progress: Progress = SILENT) -> dict[str, str]:
    """Stand-in."""
    return {}

"""Knowing a withdrawn work again, whatever file it comes in: saved anew, smaller, or with its edges cut off.

The ledger keeps no picture of a work but a fingerprint: perceptual hashes (the signs of low cosine frequencies, see
Zauner 2010) of the register's thumbnail and of 86 windows in it that leave out up to 14 % at each edge. A new file's
whole picture is compared with every window, so a file that was cut along one of them is near it.
"""

import base64
import io
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from artmaster_pipeline.settings import Home
from artmaster_pipeline.withdrawals import in_force, told_apart

_SIDES = (8, 16)  # hashes of 8 x 8 and 16 x 16 frequencies: the first holds where a picture is nearly empty
_WINDOWS = (  # shares cut off at the top, bottom, left, right; the first is the whole picture
    *itertools.product((0.0, 0.05, 0.1), repeat=4),
    *((t, t, t, t) for t in (0.02, 0.03, 0.07, 0.08, 0.12, 0.14)),
)
_SIZES = tuple(side * side // 8 for side in _SIDES)  # bytes of each hash
# Mean share of differing bits. Of 313 paintings no two works came nearer than 0.25 (97,000 comparisons); of 2,504 files
# saved anew, halved or cut by up to a tenth at each side 99.5 % came nearer than 0.19, and all but 5 than 0.21.
_NEAR = 0.21


def fingerprint_of(thumbnail: Path | bytes) -> str:
    """The fingerprint of a picture by its thumbnail, as base64; empty where that cannot be read."""
    rows = _hashes(thumbnail, _WINDOWS)
    return "" if rows is None else base64.b64encode(rows.tobytes()).decode()


@dataclass(frozen=True)
class Recogniser:
    """Tells which of some works a file shows. `fingerprints` are those of the works' scans, by sha256."""

    fingerprints: Mapping[str, str]
    apart: frozenset[str] = frozenset()  # files that only resemble one, by a person's word

    @classmethod
    def of(cls, home: Home) -> "Recogniser":
        """Of the works that the ledger of a data home has as withdrawn now."""
        kept = {scan.sha256: scan.fingerprint for line in in_force(home).values() for scan in line.scans}
        return cls({sha256: kept[sha256] for sha256 in sorted(in_force(home))}, frozenset(told_apart(home)))

    def like(self, sha256: str, thumbnail: Path | bytes) -> str:
        """The sha256 of the scan whose work a file shows in other bytes; empty where it shows none of them."""
        if not self._known or sha256 in self.apart:
            return ""
        whole = whole_picture(thumbnail)
        return "" if whole is None else nearest(whole, self._known) or ""

    @cached_property
    def _known(self) -> dict[str, np.ndarray]:
        return unpacked(self.fingerprints)


def unpacked(fingerprints: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Fingerprints as rows of hashes, uint8 (windows, 40); those that are empty or of another form are left out."""
    found = {}
    for sha256, text in fingerprints.items():
        content = base64.b64decode(text)
        if len(content) == len(_WINDOWS) * sum(_SIZES):
            found[sha256] = np.frombuffer(content, np.uint8).reshape(len(_WINDOWS), -1)
    return found


def nearest(whole: np.ndarray, known: Mapping[str, np.ndarray]) -> str | None:
    """The key in `known` of which some window is near the hashes (1, 40) of a whole picture; None where none is."""
    best = min(((_distance(whole, windows), key) for key, windows in known.items()), default=(1.0, ""))
    return best[1] if best[0] <= _NEAR else None


def whole_picture(thumbnail: Path | bytes) -> np.ndarray | None:
    """The hashes of a whole picture by its thumbnail, (1, 40); None where that cannot be read."""
    return _hashes(thumbnail, _WINDOWS[:1])


def _distance(whole: np.ndarray, windows: np.ndarray) -> float:
    """The smallest mean share of differing bits, each size of hash counting as much as the other."""
    differing = np.bitwise_count(whole ^ windows)
    parts = np.split(differing, np.cumsum(_SIZES)[:-1], axis=1)
    shares = [part.sum(1) / (8 * size) for part, size in zip(parts, _SIZES, strict=True)]
    return float(np.mean(shares, axis=0).min())


def _hashes(thumbnail: Path | bytes, windows: tuple[tuple[float, ...], ...]) -> np.ndarray | None:
    """uint8 (windows, 40): the hashes of each window one after the other."""
    import imagehash
    from PIL import Image

    try:
        with Image.open(io.BytesIO(thumbnail) if isinstance(thumbnail, bytes) else thumbnail) as file:
            picture = file.convert("L")
    except OSError:
        return None
    rows = []
    for window in windows:
        part = picture.crop(_box(window, *picture.size))
        rows.append(np.concatenate([np.packbits(imagehash.phash(part, side).hash.ravel()) for side in _SIDES]))
    return np.stack(rows)


def _box(window: tuple[float, ...], width: int, height: int) -> tuple[int, int, int, int]:
    top, bottom, left, right = window
    x, y = round(left * width), round(top * height)
    return x, y, max(x + 1, round(width - right * width)), max(y + 1, round(height - bottom * height))

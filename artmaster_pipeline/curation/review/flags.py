"""Flags: which works of a collection a person should look at, how strongly, and why. A flag drops nothing.

Some are said of a work by itself (writing alone, a photograph, blur, a doubtful border), the others by comparing it with
the rest: its genre with that of most works, what it shows with its nearest neighbours, its colours with the usual ones.
Spreads are robust (median and MAD), so that the works to be found do not widen them; where a collection has no genre
of its own, or many hands, what is unusual is rare by the same measure. Other scans of an artwork weigh nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from artmaster_pipeline.curation.review.features import Features
from artmaster_pipeline.curation.review.genres import GENRES, genres_of
from artmaster_pipeline.records import CuratedScan, Flag

_FEWEST = 8  # works below which nothing is usual
_NEIGHBOURS = 0.15  # of the works, and at least five: a handful of strangers must not vouch for each other
_UNUSUAL = 3.0  # robust deviations from the median
_DOMINANT = 0.6  # mean probability from which a genre is the collection's
_MOST = 0.25  # of the works: what more of them are is no exception
_WRITING, _PHOTOGRAPH = GENRES.index("writing"), GENRES.index("photograph")
_SOFT, _ENLARGED = 0.75, 0.6  # effective scale below which a scan is said to be blurred, or enlarged
_CAST = 6.0  # CIELAB: a shift of all tones that a person sees at once


def flags_of(
    curated: Sequence[CuratedScan], features: Mapping[str, Features], unsure: Mapping[str, str] | None = None
) -> dict[str, tuple[Flag, ...]]:
    """The flags of every scan by its id, strongest first; only of those that have features.

    `features` is by scan id, and so is `unsure`: a sentence where the border is doubtful.
    """
    scans = sorted((scan for scan in curated if scan.id in features), key=lambda scan: scan.id)
    if not scans:
        return {}
    works = _Works.of(scans, features)
    found: dict[str, list[Flag]] = {scan.id: [] for scan in scans}
    for rule in (_writing, _soft):
        for scan_id, flag in rule(works):
            found[scan_id].append(flag)
    for scan_id in found:
        if doubt := (unsure or {}).get(scan_id):
            found[scan_id].append(Flag(kind="border", score=0.3, reason=doubt))
    if works.usual.sum() >= _FEWEST:
        for scan_id, flag in (*_strange(works), *_cast(works)):
            found[scan_id].append(flag)
    return {scan_id: tuple(sorted(flags, key=lambda flag: (-flag.score, flag.kind))) for scan_id, flags in found.items()}


def review_order(curated: Sequence[CuratedScan]) -> list[CuratedScan]:
    """The scans as a person should look at them: by the weight of all their flags, those without last."""
    return sorted(curated, key=lambda scan: (-weight_of(scan.flags), scan.id))


def weight_of(flags: Sequence[Flag]) -> float:
    """Of several flags together, 0..1: more than the strongest, never more than certainty."""
    return 1 - reduce(lambda left, flag: left * (1 - flag.score), flags, 1.0)


@dataclass(frozen=True)
class _Works:
    """The scans of a collection, row by row."""

    scans: list[CuratedScan]
    features: list[Features]
    seen: np.ndarray  # (scans, 256)
    genres: np.ndarray  # (scans, 5)
    usual: np.ndarray  # bool: those that count as the collection, one scan of each artwork

    @classmethod
    def of(cls, scans: list[CuratedScan], features: Mapping[str, Features]) -> "_Works":
        rows = [features[scan.id] for scan in scans]
        seen = np.array([row["seen"] for row in rows], np.float64)
        return cls(scans, rows, seen, genres_of(seen), np.array([not scan.duplicate_of for scan in scans]))

    def column(self, name: str) -> np.ndarray:
        return np.array([row[name] for row in self.features], np.float64)

    def deviations(self, values: np.ndarray, least: float) -> np.ndarray:
        """How far each value lies from the collection's median, in robust deviations of at least `least`."""
        usual = values[self.usual]
        middle = np.median(usual)
        return (values - middle) / max(least, 1.4826 * float(np.median(np.abs(usual - middle))))


def _writing(works: _Works) -> list[tuple[str, Flag]]:
    """Sheets of writing without a picture, in whatever company."""
    written = works.column("written")
    sure = np.maximum(works.genres[:, _WRITING], np.clip((written - 0.6) / 0.3, 0, 1))
    return [
        (
            scan.id,
            Flag(
                kind="calligraphy",
                score=_score(sure[row]),
                reason=f"Calligraphy without a picture: it looks like a sheet of writing ({works.genres[row, _WRITING]:.0%} "
                f"sure), and {written[row]:.0%} of its marks stand in inscriptions.",
            ),
        )
        for row, scan in enumerate(works.scans)
        if sure[row] >= 0.5
    ]


def _soft(works: _Works) -> list[tuple[str, Flag]]:
    """Scans with fewer details than pixels."""
    return [
        (
            scan.id,
            Flag(
                kind="enlarged" if scan.effective_scale < _ENLARGED else "blurred",
                score=_score(min(0.6, 0.6 * (1 - scan.effective_scale) / (1 - _ENLARGED))),
                reason=f"All its detail fits into {scan.effective_scale:.0%} of its width: it was enlarged or is out of focus.",
            ),
        )
        for scan in works.scans
        if scan.effective_scale < _SOFT
    ]


def _strange(works: _Works) -> list[tuple[str, Flag]]:
    """Works of another genre than most, and works unlike all others."""
    distance = _to_neighbours(works)
    far = works.deviations(distance, 0.04 * float(np.median(distance)))
    other, main = _of_another_genre(works)
    found = []
    for row, scan in enumerate(works.scans):
        genre = int(works.genres[row].argmax())
        is_far = far[row] >= _UNUSUAL
        if genre == _WRITING and other[row]:
            continue  # said already
        how_far = f"{distance[row] / np.median(distance):.1f} times as far from its nearest works as is usual"
        if other[row]:
            score = 1 - works.genres[row, main] + (0.1 if is_far else 0)
            kind = "photograph" if genre == _PHOTOGRAPH else "another genre"
            reason = (
                f"It looks like {GENRES[genre]} ({works.genres[row, genre]:.0%}), where the collection is mostly "
                f"{GENRES[main]}; {how_far}."
            )
            found.append((scan.id, Flag(kind=kind, score=_score(score), reason=reason)))
        elif is_far:
            score = far[row] / (far[row] + _UNUSUAL)
            found.append((scan.id, Flag(kind="another hand", score=_score(score), reason=f"It is {how_far}{_by(works, row)}.")))
    return found


def _to_neighbours(works: _Works) -> np.ndarray:
    """The mean distance of each scan to the nearest works, other scans of its own artwork left out."""
    distance = np.sqrt(np.maximum(2 - 2 * works.seen @ works.seen.T, 0))
    artworks = np.array([scan.duplicate_of or scan.scan_sha256 for scan in works.scans])
    distance[(artworks[:, None] == artworks) | ~works.usual] = np.inf
    count = max(5, round(_NEIGHBOURS * works.usual.sum()))
    return np.sort(distance, axis=1)[:, : min(count, int(works.usual.sum()) - 1)].mean(axis=1)


def _of_another_genre(works: _Works) -> tuple[np.ndarray, int]:
    """Which scans are of another genre than the collection's, and which that is; none where it has none."""
    main = int(works.genres[works.usual].mean(axis=0).argmax())
    share = works.genres[:, main]
    logit = np.log((share + 1e-6) / (1 - share + 1e-6))
    other = (share < 0.35) & (works.deviations(logit, 0.5) < -1.5)
    mixed = works.genres[works.usual, main].mean() < _DOMINANT or other[works.usual].mean() > _MOST
    return other & ~np.bool_(mixed), main


def _cast(works: _Works) -> list[tuple[str, Flag]]:
    """Scans of which light and middle tones are shifted the same way against the rest, or whose tones are pressed."""
    shifts = {}
    for tone in ("light", "middle"):
        sides = [works.column(f"{tone}_{axis}") for axis in "ab"]
        shifts[tone] = np.stack([side - np.median(side[works.usual]) for side in sides], axis=1)
    mean = (shifts["light"] + shifts["middle"]) / 2
    size = np.maximum(np.linalg.norm(mean, axis=1), 1e-6)
    along = np.minimum(*((shift * mean).sum(axis=1) / size for shift in shifts.values()))
    spread = max(_CAST / _UNUSUAL, 1.4826 * float(np.median(np.abs(along[works.usual]))))
    found = []
    for row, scan in enumerate(works.scans):
        if along[row] / spread >= _UNUSUAL:
            score = min(0.7, along[row] / (along[row] + _UNUSUAL * spread))
            reason = f"All its tones are {_hue(mean[row])} than the collection's, by {along[row]:.0f} in CIELAB ({spread:.0f} is usual)."
            found.append((scan.id, Flag(kind="colour cast", score=_score(score), reason=reason)))
    return found


def _hue(shift: np.ndarray) -> str:
    red, yellow = shift
    if abs(yellow) >= abs(red):
        return "yellower" if yellow > 0 else "bluer"
    return "redder" if red > 0 else "greener"


_SAID = {  # measures that a curator understands, and the least deviation that is worth a word
    "ink": ("ink on {:.0%} of the sheet", 0.05),
    "blank": ("blank space on {:.0%}", 0.06),
    "colour": ("colour on {:.0%}", 0.05),
    "strokes": ("strokes of contrast {:.1f}", 0.5),
    "light": ("a ground of lightness {:.0f}", 4.0),
}


def _by(works: _Works, row: int) -> str:
    """By which measures a scan differs most, with the usual range of each; empty where by none."""
    deviations = {name: works.deviations(works.column(name), least)[row] for name, (_, least) in _SAID.items()}
    words = []
    for name in sorted(deviations, key=lambda name: -abs(deviations[name]))[:2]:
        if abs(deviations[name]) >= 1.5:
            low, high = np.quantile(works.column(name)[works.usual], (0.1, 0.9))
            said = _SAID[name][0]
            digits = said[said.index("{") : said.index("}") + 1]
            values = works.column(name)[row]
            words.append(f"{said.format(values)} (most have {digits.format(low)} to {digits.format(high)})")
    return ": " + " and ".join(words) if words else ""


def _score(value: float) -> float:
    return round(float(np.clip(value, 0, 1)), 3)

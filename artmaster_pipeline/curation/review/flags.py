"""Flags: which works of a collection a person should look at, how strongly, and why. A flag drops nothing.

Some are said of a work by itself (writing alone, a photograph, blur, a doubtful border), the others by comparing it
with the rest: its genre with that of most works, what it shows with the nearest works, its colours with the usual ones.
Spreads are robust (median and MAD), so that the works to be found do not widen them; where a collection has no genre
of its own, or many hands, what is unusual is rare by the same measure. Other scans of an artwork, and works that a
person left out, weigh nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from artmaster_pipeline.curation.review.decisions import left_out
from artmaster_pipeline.curation.review.features import Features
from artmaster_pipeline.curation.review.genres import GENRES, genres_of
from artmaster_pipeline.records import CuratedScan, Flag, FlagKind

_FEWEST = 8  # works below which nothing is usual
_NEIGHBOURS = 0.15  # of the works, and at least five: a handful of strangers must not vouch for each other
_AT_ONCE = 256  # scans whose distances to all works are held
_UNUSUAL = 3.0  # robust deviations from the median
_LEAST_FARTHER = 0.1  # of the usual distance: what a deviation is at least, however alike the works are
_DOMINANT = 0.65  # of the works, from which on their genre is the collection's
_ONE = ("a landscape", "figures", "flowers, birds or animals", "writing", "a photograph")
_MANY = ("landscapes", "of figures", "of flowers, birds or animals", "writing", "photographs")
_WRITING, _PHOTOGRAPH = GENRES.index("writing"), GENRES.index("photograph")
_PICTURE = 0.4  # of the marks in inscriptions: as many stand in a picture's, and twice as many in no picture's
_SURE, _SURE_OF_PHOTOGRAPH = 0.5, 0.4  # of 219 unseen paintings one passes for writing, none for a photograph
_SOFT, _ENLARGED = 0.75, 0.6  # effective scale below which a scan is said to be blurred, or enlarged
_COLOURLESS = 3.0  # CIELAB chroma that next to no pixel of a black-and-white scan exceeds
_CAST = 7.5  # CIELAB: a shift of all tones that a person sees at once
_QUARTILE = 1.15  # the upper one of sizes whose deviation is 1 (half-normal)


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
    doubts = unsure or {}
    flags = _by_itself(works)
    flags += [
        (scan.id, Flag(kind="border", score=0.3, reason=doubts[scan.id])) for scan in scans if doubts.get(scan.id)
    ]
    if works.usual.sum() >= _FEWEST:
        flags += [*_strange(works), *_cast(works)]
    found: dict[str, list[Flag]] = {scan.id: [] for scan in scans}
    for scan_id, flag in flags:
        found[scan_id].append(flag)
    return {
        scan_id: tuple(sorted(flags, key=lambda flag: (-flag.score, flag.kind))) for scan_id, flags in found.items()
    }


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
        return cls(scans, rows, seen, genres_of(seen), np.array([_counts(scan) for scan in scans]))

    def column(self, name: str) -> np.ndarray:
        return np.array([row[name] for row in self.features], np.float64)

    def deviations(self, values: np.ndarray, least: float) -> np.ndarray:
        """How far each value lies from the collection's median, in robust deviations of at least `least`."""
        usual = values[self.usual]
        middle = np.median(usual)
        return (values - middle) / max(least, 1.4826 * float(np.median(np.abs(usual - middle))))


def _counts(scan: CuratedScan) -> bool:
    """Whether it is one of the works by which others are judged."""
    return not scan.duplicate_of and left_out(scan.decisions) is None


def _by_itself(works: _Works) -> list[tuple[str, Flag]]:
    """Sheets of writing without a picture, photographs, and scans with fewer details than pixels."""
    looks, written = works.genres[:, _WRITING], works.column("written")
    by_marks = np.clip((written - _PICTURE) / _PICTURE, 0, 1)
    sure = np.maximum(looks, by_marks)
    many = int((sure >= _SURE).sum())
    whole = f"; so are {many} of the {len(sure)} scans here" if many > max(1, len(sure) / 2) else ""
    found = []
    for row, scan in enumerate(works.scans):
        if sure[row] >= _SURE:
            why = f"by its looks, {looks[row]:.0%} sure"
            if by_marks[row] >= looks[row]:
                why = f"{written[row]:.0%} of its marks stand in inscriptions"
            reason = f"It is writing without a picture ({why}){whole}."
            found.append((scan.id, Flag(kind="calligraphy", score=_score(0.5 + sure[row] / 2), reason=reason)))
        if (photograph := works.genres[row, _PHOTOGRAPH]) >= _SURE_OF_PHOTOGRAPH:
            reason = f"It looks like a photograph ({photograph:.0%} sure)."
            found.append((scan.id, Flag(kind="photograph", score=_score(0.3 + photograph), reason=reason)))
        if (scale := scan.effective_scale) < _SOFT:
            reason = f"All its detail would fit in {scale:.0%} of its width: it was enlarged, or is out of focus."
            kind: FlagKind = "enlarged" if scale < _ENLARGED else "blurred"
            found.append((scan.id, Flag(kind=kind, score=_score(min(0.5, 1 - scale)), reason=reason)))
    return found


def _strange(works: _Works) -> list[tuple[str, Flag]]:
    """Works of another genre than most, and works unlike all others."""
    distance = _to_neighbours(works)
    usual = float(np.median(distance[works.usual]))
    far = works.deviations(distance, _LEAST_FARTHER * usual)
    other, main = _of_another_genre(works)
    found = []
    for row, scan in enumerate(works.scans):
        genre, is_far = int(works.genres[row].argmax()), far[row] >= _UNUSUAL
        how_far = f"it is {distance[row] / usual:.1f} times as far from the works nearest to it as is usual here"
        if other[row] and genre != _WRITING:  # writing is said already
            sure = works.genres[row, genre]
            kind: FlagKind = "photograph" if genre == _PHOTOGRAPH else "another genre"
            reason = f"It looks like {_ONE[genre]} ({sure:.0%} sure), where most works are {_MANY[main]}"
            flag = Flag(
                kind=kind, score=_score(sure + 0.2 * is_far), reason=f"{reason}{'; ' + how_far if is_far else ''}."
            )
            found.append((scan.id, flag))
        elif is_far:
            score = _score(far[row] / (far[row] + _UNUSUAL))
            reason = f"{how_far.capitalize()}{_by(works, row)}."
            found.append((scan.id, Flag(kind="another hand", score=score, reason=reason)))
    return found


def _to_neighbours(works: _Works) -> np.ndarray:
    """The distance of each scan to the nearest works, other scans of its own artwork left out.

    The mean of the farther two thirds of them, so that two or three strangers of one kind are as far as one.
    """
    _, artworks = np.unique([scan.duplicate_of or scan.scan_sha256 for scan in works.scans], return_inverse=True)
    usual, artworks_of_usual = works.seen[works.usual], artworks[works.usual]
    count = min(max(5, round(_NEIGHBOURS * len(usual))), len(usual) - 1)
    found = []
    for rows in np.array_split(np.arange(len(works.seen)), 1 + len(works.seen) // _AT_ONCE):
        distance = np.sqrt(np.maximum(2 - 2 * works.seen[rows] @ usual.T, 0))
        distance[artworks[rows, None] == artworks_of_usual] = np.inf
        found.append(np.sort(np.partition(distance, count)[:, :count])[:, count // 3 :].mean(axis=1))
    return np.concatenate(found)


def _of_another_genre(works: _Works) -> tuple[np.ndarray, int]:
    """Which scans are of another genre than the collection's, and which that is; none where it has none."""
    main = int(works.genres[works.usual].mean(axis=0).argmax())
    share = works.genres[:, main]
    dominant = (works.genres[works.usual].argmax(axis=1) == main).mean() >= _DOMINANT
    logit = np.log((share + 1e-6) / (1 - share + 1e-6))
    other = (share < 0.35) & (works.deviations(logit, 0.5) < -1.5)
    return other & np.bool_(dominant), main


def _cast(works: _Works) -> list[tuple[str, Flag]]:
    """Scans of which no light tone has the collection's colour, or that lack its dark tones or its light ones.

    A cast moves all of them one way; a blue sky or a yellow robe leaves others where they are.
    """
    shift = np.stack([_common_shift(works, axis) for axis in "ab"], axis=1)
    size = np.linalg.norm(shift, axis=1)
    spread = max(_CAST / _UNUSUAL, float(np.quantile(size[works.usual], 0.75)) / _QUARTILE)
    span = works.column("lightest") - works.column("darkest")
    pressed = -works.deviations(span, 6.0)
    chroma = works.column("chroma")
    coloured = float(np.median(chroma[works.usual])) >= 3 * _COLOURLESS
    found = []
    for row, scan in enumerate(works.scans):
        if coloured and chroma[row] < _COLOURLESS:
            reason = "It is in black and white, where the collection has colour."
            found.append((scan.id, Flag(kind="colour cast", score=0.5, reason=reason)))
        elif size[row] >= _UNUSUAL * spread:
            reason = (
                f"All its light tones are {_hue(shift[row])} than the collection's, by {size[row]:.0f} in CIELAB "
                f"(up to {2 * spread:.0f} is usual)."
            )
            found.append((scan.id, Flag(kind="colour cast", score=_cast_score(size[row] / spread), reason=reason)))
        elif pressed[row] >= _UNUSUAL:
            usual = float(np.median(span[works.usual]))
            reason = f"It is pale: its lightness spans {span[row]:.0f} of 100, the collection's works {usual:.0f}."
            found.append((scan.id, Flag(kind="colour cast", score=_cast_score(pressed[row]), reason=reason)))
    return found


def _common_shift(works: _Works, axis: str) -> np.ndarray:
    """How far all light tones of a scan are shifted along a CIELAB axis; zero where not all the same way."""
    tones = np.stack([works.column(f"{tone}_{axis}") for tone in ("least", "most", "white")])
    shifts = tones - np.median(tones[:, works.usual], axis=1)[:, None]
    one_way = np.abs(np.sign(shifts).sum(axis=0)) == len(shifts)
    return np.where(one_way, np.sign(shifts[0]) * np.abs(shifts).min(axis=0), 0.0)


def _cast_score(deviations: float) -> float:
    """Up to a half: a cast is mended more easily than a work that does not belong."""
    return _score(0.5 * deviations / (deviations + 1.0))


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
    "ground": ("a ground of lightness {:.0f}", 4.0),
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

"""Which picture is this? By what its file says, by its pixels, or by what it looks like; and what is behind it.

The steps in their order, each tried where the one before gives nothing: the file's own metadata, if the picture is
still the one that it was written with; the hash of its pixels; its likeness (`artmaster_pipeline.likeness`) to every
picture that was evaluated or published; at last, as a hint, metadata or content credentials that were written with
another picture.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from artmaster_pipeline.adapters.ancestry import only_inherited
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import write_text
from artmaster_pipeline.likeness import ALIKE, likeness, near, strokes_of, window_hashes
from artmaster_pipeline.lineage.answers import AdapterState, Answer, state_of
from artmaster_pipeline.lineage.archive import Archive, ask
from artmaster_pipeline.lineage.pictures import Picture, all_pictures, file_of
from artmaster_pipeline.pictures import pixels_hash
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.publishing.verify import Verified, verify_picture
from artmaster_pipeline.records import Region, Scan, regions_of
from artmaster_pipeline.settings import Home

if TYPE_CHECKING:
    from PIL import Image

Means = Literal["metadata", "pixels", "likeness", "hint", ""]

_METHOD = 1  # of what is remembered: raise it when the same pictures would give other hashes
_CLOSE = 0.1  # likenesses that differ by less do not tell two pictures apart
_LARGEST = 1024  # pixels of the longer side at which a picture is looked at


class Alike(Answer):
    """Another picture that is nearly as like, drawn by something else."""

    picture: Picture
    likeness: float


class Behind(Answer):
    """An artwork behind a picture, and the adapters through which it is."""

    scan: Scan
    adapter_ids: tuple[str, ...]
    inherited_from: tuple[str, ...] = ()  # those that they were started from, where their own trainings did not see it


class RegionBehind(Answer):
    """A region of a painted canvas: who painted it with which adapters, and the artworks behind those."""

    region: Region
    artworks: tuple[str, ...]  # sha256, sorted; of adapters that this data home does not know nothing is said


class PictureLineage(Answer):
    """What a picture is and where it comes from."""

    file: str
    recognised_by: Means  # "" : it is none that this data home knows, and says nothing of itself
    certainty: str  # how surely, one sentence
    likeness: float | None  # by which it was recognised, up to 1
    says: dict[str, Any]  # what the file or its credentials say of themselves
    picture: Picture | None  # None: this data home does not have it, the file alone speaks
    alike: tuple[Alike, ...]  # what it might be as well
    adapters: tuple[AdapterState, ...]  # that drew it and are known here
    unknown_adapters: tuple[str, ...]  # that drew it and are not
    artworks: tuple[Behind, ...]  # that those adapters were trained on
    regions: tuple[RegionBehind, ...]  # of a painted canvas, the ground first; none of other pictures
    shows: Scan | None  # the artwork of which it is a detail, where no model drew it

    @property
    def is_answered(self) -> bool:
        """Whether it was recognised, not merely guessed at, and everything behind it is known."""
        return self.recognised_by not in ("", "hint") and not self.unknown_adapters


def picture_lineage(home: Home, file: Path, progress: Progress = SILENT) -> PictureLineage:
    """What a picture file is, how that is known, and the adapters and artworks behind it.

    What pictures look like is remembered in the data home's cache. Raises WrongUse where the file is no picture.
    """
    return ask(home, lambda archive: _of_picture(home, file, archive, progress))


def _of_picture(home: Home, file: Path, archive: Archive, progress: Progress) -> PictureLineage:
    verified = verify_picture(file, home)
    shown = _grey(file)
    found = _recognised(home, file, shown, verified, archive, progress)
    drew = _drew(found.picture, verified.says) if found.by else ()
    known = [each for name in dict.fromkeys(drew) if (each := archive.adapter(name)) is not None]
    adapters = {adapter.id: adapter for adapter, _ in known}
    pictures = archive.pictures(list(adapters))
    works: dict[str, Behind] = {}
    for adapter, snapshot in sorted(known, key=lambda each: (each[0].painter, each[0].id)):
        met = [(scan, "") for scan in snapshot.scans if scan.sha256 in adapter.scan_sha256s]
        met += [(each.scan, each.through) for each in only_inherited(adapter, snapshot.inherited)]
        for scan, through in met:
            before = works.get(scan.sha256, Behind(scan=scan, adapter_ids=()))
            works[scan.sha256] = Behind(
                scan=scan,
                adapter_ids=(*before.adapter_ids, adapter.id),
                inherited_from=(*before.inherited_from, *([through] if through else ())),
            )
    return PictureLineage(
        file=str(file),
        recognised_by=found.by,
        certainty=found.certainty,
        likeness=found.likeness,
        says=verified.says,
        picture=found.picture,
        alike=found.alike,
        adapters=tuple(state_of(home, adapters[name], pictures) for name in drew if name in adapters),
        unknown_adapters=tuple(name for name in drew if name not in adapters),
        artworks=tuple(works.values()),
        regions=_regions(found, verified.says, works.values()),
        shows=_shown_work(archive, found, verified.says),
    )


@dataclass(frozen=True)
class _Found:
    by: Means
    certainty: str
    picture: Picture | None = None
    likeness: float | None = None
    alike: tuple[Alike, ...] = ()


def _recognised(
    home: Home,
    file: Path,
    shown: "Image.Image",
    verified: Verified,
    archive: Archive,
    progress: Progress,
) -> _Found:
    said = archive.picture(str(verified.says.get("id", "")))
    if verified.state in ("intact", "repacked"):
        return _by_metadata(home, file, verified, said)
    index = _index(home, all_pictures(home), progress)
    if same := index.by_pixels(pixels_hash(file)):
        return _Found("pixels", "Certain: every pixel is that of a picture in this data home.", same)
    if (found := index.by_likeness(shown)) is not None:
        return found
    if verified.says.get("adapter"):
        hint = "A hint only: the file says so, but its picture is not the one that those words were written with."
        return _Found("hint", hint, said)
    return _Found("", "No picture that this data home has evaluated or published looks like it.")


def _by_metadata(home: Home, file: Path, verified: Verified, said: Picture | None) -> _Found:
    known = file_of(home, said) if said else None
    if verified.published:
        return _Found("metadata", f"Certain: this data home published it ({verified.published[0]}).", said)
    if verified.credentials == "house":
        return _Found("metadata", "Certain: its content credentials are whole and this house's own.", said)
    if known and pixels_hash(known) == pixels_hash(file):
        return _Found("metadata", "Certain: this data home has the same picture under that name.", said)
    if known and (alike := likeness(strokes_of(_grey(known)), strokes_of(_grey(file)))) >= ALIKE:
        how = "The file says so, its hashes fit, and it looks like the picture that this data home has under that name."
        return _Found("metadata", how, said, alike)
    how = "The file says so, and its hashes fit; but this data home does not have it, and anyone can write words."
    return _Found("metadata", how)


def _regions(found: "_Found", says: dict[str, Any], works: Iterable[Behind]) -> tuple[RegionBehind, ...]:
    """The regions by the record, or by the file's own words where the data home does not have the picture."""
    gates = says.get("gates")
    told = found.picture.regions if found.picture else regions_of(gates) if isinstance(gates, dict) else ()
    works = tuple(works)

    def behind(region: Region) -> tuple[str, ...]:
        return tuple(sorted(w.scan.sha256 for w in works if not set(w.adapter_ids).isdisjoint(region.adapter_ids)))

    return tuple(RegionBehind(region=region, artworks=behind(region)) for region in told) if found.by else ()


def _drew(picture: Picture | None, says: dict[str, Any]) -> tuple[str, ...]:
    if picture is not None:
        return picture.adapter_ids
    return tuple(filter(None, str(says.get("adapter") or "").split(", ")))


def _shown_work(archive: Archive, found: _Found, says: dict[str, Any]) -> Scan | None:
    """The work that a detail of a scan shows."""
    sha256 = found.picture.scan_sha256 if found.picture else says.get("scan_sha256") if found.by else ""
    return next(iter(archive.of_scan(sha256).scans), None) if sha256 else None


@dataclass(frozen=True)
class _Index:
    """The pictures whose files are there, with the hashes of their pixels and of windows in them."""

    home: Home
    pictures: tuple[Picture, ...]
    pixels: tuple[str, ...]
    windows: np.ndarray  # uint64 (pictures, windows)

    def by_pixels(self, sha256: str) -> Picture | None:
        return next(
            (p for p, pixels in zip(self.pictures, self.pixels, strict=True) if sha256 and pixels == sha256), None
        )

    def by_likeness(self, shown: "Image.Image") -> _Found | None:
        """The picture most like `shown`, and those nearly as like; None where none is like it."""
        candidates = [self.pictures[row] for row in near(self.windows, window_hashes(shown))]
        if not candidates:
            return None
        strokes = strokes_of(shown)
        ranked = [(likeness(strokes, strokes_of(_grey(_file(self.home, each)))), each) for each in candidates]
        ranked.sort(
            key=lambda pair: (-pair[0], not pair[1].enlarged_from, pair[1].id)
        )  # a published one before its source
        best, picture = ranked[0]
        if best < ALIKE:
            return None
        others: dict[tuple[str, ...], Alike] = {}
        for value, each in ranked[1:]:
            if value > best - _CLOSE and _origin(each) != _origin(picture):
                others.setdefault(_origin(each), Alike(picture=each, likeness=value))
        how = f"By its likeness, {best:.2f} of 1 (unlike pictures stay below {ALIKE:g})"
        doubt = (
            "nearly as like others of another origin, so look at them"
            if others
            else "no other picture is nearly as like"
        )
        return _Found("likeness", f"{how}; {doubt}.", picture, best, tuple(others.values()))


def _origin(picture: Picture) -> tuple[str, ...]:
    """What decides which artworks are behind a picture."""
    return picture.adapter_ids or (picture.column, picture.scan_sha256)


def _file(home: Home, picture: Picture) -> Path:
    file = file_of(home, picture)
    assert file is not None  # the index holds no other
    return file


def _index(home: Home, pictures: Iterable[Picture], progress: Progress) -> _Index:
    memory = home.cache / "lineage" / "pictures.json"
    known = _remembered(memory)
    there = [picture for picture in pictures if file_of(home, picture)]
    if missing := [picture for picture in there if picture.sha256 not in known]:
        with progress.task("Looking at pictures", len(missing)) as advance:
            for picture in missing:
                file = _file(home, picture)
                known[picture.sha256] = [pixels_hash(file), *window_hashes(_grey(file))]
                advance()
        with suppress(OSError):  # a home that may only be read is asked the slow way each time
            now = {picture.sha256: known[picture.sha256] for picture in there}
            write_text(memory, json.dumps({"method": _METHOD, "pictures": now}))
    rows = [known[picture.sha256] for picture in there]
    windows = np.array([row[1:] for row in rows], np.uint64) if rows else np.empty((0, 1), np.uint64)
    return _Index(home, tuple(there), tuple(row[0] for row in rows), windows)


def _remembered(file: Path) -> dict[str, list[Any]]:
    """What earlier questions found out; nothing where the file is absent, torn or of another method."""
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        return dict(known["pictures"]) if known["method"] == _METHOD else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _grey(file: Path) -> "Image.Image":
    from PIL import Image

    try:
        with Image.open(file) as image:
            image.draft("L", (_LARGEST, _LARGEST))  # a large JPEG is decoded at a fraction of its size
            grey = image.convert("L")
        grey.thumbnail((_LARGEST, _LARGEST))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise WrongUse(f"{file} is no picture that can be opened: give a PNG, JPEG or WebP.") from error
    return grey

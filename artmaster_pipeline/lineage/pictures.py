"""Every picture that a data home has evaluated or published, wherever a copy of it lies, in older versions too."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, computed_field

from artmaster_pipeline.errors import BadInput
from artmaster_pipeline.files import inside
from artmaster_pipeline.publishing.versions import SiteVersions
from artmaster_pipeline.records import MANIFEST, VERSIONS_FOLDER, Sample, read_manifest
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stages import JUDGED, stage_named

# the folders of pictures that are measured and judged
EVALUATED = tuple(dict.fromkeys(stage_named(stage).folder for stage in JUDGED.values()))
PictureState = Literal["published", "unpublished", "evaluated"]


class Place(BaseModel):
    """A copy of a picture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    room: Literal["evaluation", "gallery"]
    path: str  # POSIX, below the data home
    version: str = ""  # of the gallery that holds it; empty for a site of which no version is kept
    made: str = ""  # when that version was made, ISO 8601
    in_place: bool = False  # whether visitors see it now


class Picture(Sample):
    """A picture with all places in which it lies: the evaluation, the gallery in place, older versions of it."""

    places: tuple[Place, ...]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def state(self) -> PictureState:
        """Whether visitors see it now, saw it once, or only the evaluation has it."""
        if any(place.in_place for place in self.places):
            return "published"
        return "unpublished" if any(place.room == "gallery" for place in self.places) else "evaluated"

    @property
    def since(self) -> str:
        """When the first gallery with it was made; empty where that is not recorded, or none has it."""
        return min((place.made for place in self.places if place.made), default="")


def all_pictures(home: Home, painters: Collection[str] | None = None) -> tuple[Picture, ...]:
    """The pictures of all painters, sorted by id: evaluated ones, published ones, and those of older versions.

    With `painters`, only those that lie in these painters' folders.

    Raises BadInput where a manifest that should name them cannot be read.
    """
    found: dict[str, tuple[Sample, list[Place]]] = {}
    for sample, place in (*_evaluated(home, painters), *_published(home, painters)):
        found.setdefault(sample.id, (sample, []))[1].append(place)
    return tuple(_picture(*found[name]) for name in sorted(found))


def file_of(home: Home, picture: Picture) -> Path | None:
    """A file that shows the picture; None where none is there any more."""
    files = (inside(home.root, place.path) for place in picture.places)
    return next((file for file in files if file.is_file()), None)


def _picture(sample: Sample, places: list[Place]) -> Picture:
    said: dict[str, Any] = sample.model_dump() | {"places": tuple(places)}
    return Picture.model_validate(said)


def _evaluated(home: Home, painters: Collection[str] | None) -> Iterator[tuple[Sample, Place]]:
    """Those that are current, of adapters, mixes, canvases and stories; then those of older evaluations."""
    seen: set[str] = set()
    manifests = [each for depth in ("*", "*/*") for name in EVALUATED for each in _sorted(home, name, depth)]
    for manifest in manifests:
        folder, painter = manifest.relative_to(home.root).parts[:2]
        if painters is not None and painter not in painters:
            continue
        for sample in _read(manifest):
            if sample.id not in seen:
                seen.add(sample.id)
                yield sample, Place(room="evaluation", path=f"{folder}/{painter}/{sample.path}")


def _sorted(home: Home, folder: str, depth: str) -> list[Path]:
    return sorted((home.root / folder).glob(f"{depth}/{MANIFEST}"))


def _published(home: Home, painters: Collection[str] | None) -> Iterator[tuple[Sample, Place]]:
    """Those in place, then those of the kept versions, oldest first."""
    gallery = home.root / "gallery"
    for manifest in sorted(gallery.glob(f"*/{MANIFEST}")):
        painter = manifest.parent.name
        if painters is not None and painter not in painters:
            continue
        version = SiteVersions(gallery, painter).in_place()
        known = {"version": version.id, "made": version.made} if version else {}
        for sample in _read(manifest):
            yield sample, Place(room="gallery", path=f"gallery/{painter}/{sample.path}", in_place=True, **known)
    for folder in sorted((gallery / VERSIONS_FOLDER).glob("*/")):
        if painters is not None and folder.name not in painters:
            continue
        for version in SiteVersions(gallery, folder.name).versions():
            for sample in _read(folder / version.id / MANIFEST):
                path = (folder / version.id / sample.path).relative_to(home.root).as_posix()
                yield sample, Place(room="gallery", path=path, version=version.id, made=version.made)


def _read(manifest: Path) -> tuple[Sample, ...]:
    try:
        return read_manifest(manifest, Sample)
    except (ValidationError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{manifest} cannot be read, so nobody can say which pictures were drawn",
            "Restore it with `dvc checkout`, or run the stage that writes it again.",
        ) from error

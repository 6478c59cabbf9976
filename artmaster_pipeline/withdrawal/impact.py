"""What a withdrawal touches, and what it cannot reach: worked out from the records, before anything is changed."""

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from artmaster_pipeline.adapters.finding import all_adapters, current_adapter
from artmaster_pipeline.adapters.withdrawn import Mark, meetings
from artmaster_pipeline.evaluation.withdrawn import evaluation_marks
from artmaster_pipeline.publishing.taking_down import copies_of, marked_versions, site_mark
from artmaster_pipeline.publishing.versions import SiteVersions
from artmaster_pipeline.records import MANIFEST, Adapter, Crop, Sample, Split, read_manifest
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stages import Kind, kind_of, source_named
from artmaster_pipeline.withdrawal.finding import Archive, Work, painters_of, partitions_of


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ScanOf(_Row):
    """A scan of the work, and why it counts as one."""

    painter: str
    path: str
    sha256: str
    title: str
    accession_number: str
    why: str


class Touched(_Row):
    """An adapter that met the work. One that it only judged is not marked, but its evaluation is."""

    adapter_id: str
    painter: str
    part: Split
    marked: bool
    current: bool
    evaluation_marked: bool


class Gallery(_Row):
    """A published version that holds the work, or pictures drawn with an adapter that does."""

    painter: str
    version_id: str
    adapter_id: str
    in_place: bool
    pictures: int  # drawn by adapters
    copies: tuple[str, ...]  # addresses


class MixTouched(_Row):
    """A mix of mixes.yaml that a marked adapter has a part in: it is neither drawn nor published any more."""

    partition: str  # the set of its painters
    name: str
    pictures: int


class CanvasTouched(_Row):
    """A canvas in which a marked adapter painted: it is neither painted nor published any more."""

    canvas: str
    regions: tuple[str, ...]  # that the adapter had a part in
    pictures: int


class StoryTouched(_Row):
    """A story of which a marked adapter painted pictures: it is neither painted nor published any more."""

    story: str
    shots: tuple[str, ...]
    pictures: int


class Impact(_Row):
    """Everything that a work is in, by the records."""

    sha256: str
    scans: tuple[ScanOf, ...]
    crops: int
    training_pictures: int
    adapters: tuple[Touched, ...]
    galleries: tuple[Gallery, ...]
    drawn: int  # pictures in evaluations that marked adapters drew
    retrain: tuple[str, ...]  # painters whose current adapter is marked
    out_of_reach: tuple[str, ...]
    mixes: tuple[MixTouched, ...] = ()
    canvases: tuple[CanvasTouched, ...] = ()
    stories: tuple[StoryTouched, ...] = ()


def look(home: Home, work: Work, archive: Archive) -> Impact:
    """What a work is in. Nothing is changed."""
    works = {sha256: Mark(sha256, "train", "", "") for sha256 in work.why}
    adapters = [touched for adapter in all_adapters(home) for touched in _touched(home, adapter, works)]
    galleries = tuple(gallery for each in partitions_of(home) for gallery in _galleries(home, each, works))
    images = {image.id for image in archive.images if image.scan_sha256 in work.why}
    crops = {crop.id for snapshot in archive.snapshots.values() for crop in snapshot.crops if crop.scan_sha256 in works}
    for painter in painters_of(home):
        crops |= {c.id for c in read_manifest(home.crops(painter) / MANIFEST, Crop) if c.scan_sha256 in works}
    marked = {touched.adapter_id for touched in adapters if touched.marked}
    return Impact(
        sha256=work.sha256,
        scans=tuple(
            ScanOf(
                painter=holding.painter,
                path=holding.path,
                sha256=holding.sha256,
                title=holding.title,
                accession_number=holding.accession_number,
                why=work.why[holding.sha256],
            )
            for holding in archive.holding(work.why)
        ),
        crops=len(crops),
        training_pictures=len(images),
        adapters=tuple(adapters),
        galleries=galleries,
        drawn=_drawn(home, marked),
        retrain=tuple(sorted({touched.painter for touched in adapters if touched.marked and touched.current})),
        out_of_reach=tuple(_out_of_reach(marked, galleries)),
        mixes=tuple(_mixes(home, marked)),
        canvases=tuple(_canvases(home, marked)),
        stories=tuple(_stories(home, marked)),
    )


def _touched(home: Home, adapter: Adapter, works: dict[str, Mark]) -> list[Touched]:
    """An adapter in the part in which it met the work first of all: trained on it, chosen by it, judged by it."""
    order: tuple[Split, ...] = ("train", "validate", "held_out")
    parts = sorted({mark.part for mark in meetings(home, adapter, works)}, key=order.index)
    judged = bool(evaluation_marks(home, adapter, works))
    if not parts and not judged:
        return []
    current = current_adapter(home, adapter.painter)
    return [
        Touched(
            adapter_id=adapter.id,
            painter=adapter.painter,
            part=parts[0] if parts else "held_out",
            marked=bool(parts) and parts[0] != "held_out",
            current=current is not None and current.id == adapter.id,
            evaluation_marked=judged or (bool(parts) and parts[0] != "held_out"),
        )
    ]


def _galleries(home: Home, painter: str, works: dict[str, Mark]) -> list[Gallery]:
    site_versions = SiteVersions(home.root / "gallery", painter)
    in_place = site_versions.in_place()
    found = []
    for version, _ in marked_versions(home, painter, works).values():
        pictures = read_manifest(site_versions.folder / version.id / MANIFEST, Sample)
        found.append(
            Gallery(
                painter=painter,
                version_id=version.id,
                adapter_id=version.adapter_id,
                in_place=in_place is not None and in_place.id == version.id,
                pictures=sum(bool(picture.adapter_ids) for picture in pictures),
                copies=tuple(copy.url for copy in copies_of(home, painter, {version.id})),
            )
        )
    if in_place is None and site_mark(home, painter, works):  # DVC brought it here, or somebody changed it
        site = site_versions.site / MANIFEST
        drawn = sum(bool(picture.adapter_ids) for picture in read_manifest(site, Sample))
        said = {"version_id": "", "adapter_id": "", "in_place": True, "pictures": drawn, "copies": ()}
        found.append(Gallery.model_validate({"painter": painter} | said))
    return found


def _drawn(home: Home, marked: set[str]) -> int:
    drawn = {
        (painter, sample.id)
        for painter in partitions_of(home)
        for manifest in home.evaluation(painter).rglob(MANIFEST)
        for sample in read_manifest(manifest, Sample)
        if not marked.isdisjoint(sample.adapter_ids)
    }
    return len(drawn)


def _mixes(home: Home, marked: set[str]) -> list[MixTouched]:
    """By the records of what was drawn: what is only written in mixes.yaml has touched nothing."""
    found: dict[tuple[str, str], int] = {}
    for partition in (each for each in partitions_of(home) if kind_of(each) == "painters"):
        for sample in read_manifest(home.evaluation(partition) / MANIFEST, Sample):
            if sample.mix and not marked.isdisjoint(sample.adapter_ids):
                found[partition, sample.mix] = found.get((partition, sample.mix), 0) + 1
    return [MixTouched(partition=each, name=name, pictures=count) for (each, name), count in sorted(found.items())]


def _painted(home: Home, kind: Kind, marked: set[str]) -> Iterator[tuple[str, list[Sample]]]:
    """The slugs of canvases or stories with their pictures in which marked adapters have a part, as for mixes."""
    for partition in (each for each in partitions_of(home) if kind_of(each) == kind):
        rows = read_manifest(home.evaluation(partition) / MANIFEST, Sample)
        if touched := [row for row in rows if not marked.isdisjoint(row.adapter_ids)]:
            yield source_named(partition), touched


def _canvases(home: Home, marked: set[str]) -> Iterator[CanvasTouched]:
    for canvas, touched in _painted(home, "canvas", marked):
        regions = dict.fromkeys(region for row in touched for region in row.parts_of(marked))
        yield CanvasTouched(canvas=canvas, regions=tuple(regions), pictures=len(touched))


def _stories(home: Home, marked: set[str]) -> Iterator[StoryTouched]:
    for story, touched in _painted(home, "story", marked):
        shots = sorted({row.shot for row in touched}, key=lambda shot: (len(shot), shot))  # shot-2 before shot-10
        yield StoryTouched(story=story, shots=tuple(shots), pictures=len(touched))


def _out_of_reach(marked: set[str], galleries: tuple[Gallery, ...]) -> list[str]:
    """What nobody here can take back, one sentence each."""
    said = ["The originals, wherever the owner keeps them; backups; commits of git that name files by their hashes."]
    if marked:
        ids = ", ".join(sorted(marked))
        said.append(
            f"Files that were exported from the adapters {ids} (artmaster export), and pictures that were drawn on "
            "request with them (artmaster generate, artmaster mix, artmaster copaint), and proofs of books (artmaster "
            "story book): nobody keeps a list of those. "
            "Their metadata name the adapters."
        )
    if galleries:
        said.append("What visitors downloaded from the galleries, and what search engines and web archives keep.")
    return said

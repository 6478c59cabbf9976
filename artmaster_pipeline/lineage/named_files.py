"""Which files a painter's records name, and where the records contradict one another."""

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from artmaster_pipeline.adapters.ancestry import scans_in
from artmaster_pipeline.adapters.finding import any_adapter, known_adapters, read_adapter, read_snapshot
from artmaster_pipeline.adapters.folder import LORA
from artmaster_pipeline.adapters.ledger import read_ledger
from artmaster_pipeline.adapters.tensor_file import HASH, read_words, tensors_hash
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.evaluation.verdicts import is_as_given, read_verdicts
from artmaster_pipeline.files import whole_files
from artmaster_pipeline.lineage.claims import Claims
from artmaster_pipeline.proof.listing import folders
from artmaster_pipeline.publishing.versions import SiteVersions, Version
from artmaster_pipeline.records import (
    ADAPTER_RECORD,
    CURATED,
    MANIFEST,
    PROVENANCE,
    SNAPSHOT,
    VERDICTS,
    VERSIONS_FOLDER,
    Adapter,
    AdapterSnapshot,
    Crop,
    CuratedScan,
    Record,
    Sample,
    Scan,
    TrainingImage,
    read_manifest,
)
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stages import is_filed

Add = Callable[..., None]  # what, file, says, told_by, way_out
R = TypeVar("R", bound=Record)
_NAMED = 5  # ids that a sentence names


@dataclass
class Named:
    """The files that records name, and by adapter those that it was made from."""

    claims: Claims
    behind: dict[str, set[str]] = field(default_factory=dict)  # adapter id -> paths
    whole: list[str] = field(default_factory=list)  # folders in which every file is named


def records_of(home: Home, painter: str, known: set[str], gone: frozenset[str], add: Add) -> Named:
    """What the records of a painter, a canvas or a story name; `add` is told where they cannot be read or contradict.

    `known` are the adapters that there are, or were (`adapters_ever`), `gone` the scans that are withdrawn.
    """
    reader = _Reader(home, painter, gone, add, Named(Claims(home.root)))
    if is_filed(painter):
        reader.evaluations(known)
        reader.gallery(known)
        return reader.named
    scans = reader.rows(home.register(painter) / MANIFEST, Scan)
    crops = reader.rows(home.crops(painter) / MANIFEST, Crop)
    images = reader.rows(home.training_set(painter) / MANIFEST, TrainingImage)
    reader.archive(scans, crops, images)
    reader.curated(reader.rows(home.crops(painter) / CURATED, CuratedScan), scans, crops)
    reader.adapters()
    reader.evaluations(known)
    reader.gallery(known)
    for partition in sorted({folder.rsplit("/", 1)[-1] for folder in folders(home, painter)} - {painter}):
        of_set = replace(reader, painter=partition)  # a set's files go with the first of its members
        of_set.evaluations(known)
        of_set.gallery(known)
    return reader.named


@dataclass
class _Reader:
    home: Home
    painter: str
    gone: frozenset[str]
    add: Add
    named: Named
    unread: set[Path] = field(default_factory=set)  # manifests that cannot be read: nobody can miss what they name

    def rows(self, manifest: Path, kind: type[R]) -> tuple[R, ...]:
        try:
            return read_manifest(manifest, kind)
        except (ValidationError, UnicodeDecodeError, OSError):
            self.edited(manifest, "It cannot be read")
            self.unread.add(manifest)
            return ()

    def edited(self, file: Path, says: str, *told_by: Path) -> None:
        self.add("edited", self.path(file), says, tuple(map(self.path, told_by)))

    def names_nothing(self, file: Path, what: str, ids: Iterable[str]) -> None:
        """Where records name others that are not there."""
        if missing := sorted(set(ids)):
            more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
            says = f"It names {what} that are not there: {', '.join(missing[:_NAMED])}{more}"
            self.add("names nothing", self.path(file), says, ())

    def path(self, file: Path) -> str:
        return file.relative_to(self.home.root).as_posix()

    def claim(self, folder: Path, path: str, sha256: str, told_by: Path, scan: str = "") -> None:
        """A record's file. A path that leads out of the folder is a finding, and nothing is read there."""
        if path.startswith("/") or ".." in Path(path).parts:
            self.edited(told_by, f"It names a file outside of its folder, {path}")
            return
        self.named.claims.add(f"{self.path(folder)}/{path}", sha256, self.path(told_by), scan=scan)

    def archive(self, scans: tuple[Scan, ...], crops: tuple[Crop, ...], images: tuple[TrainingImage, ...]) -> None:
        """Scans, crops with their masks, training pictures; each names one of the kind before."""
        home, painter = self.home, self.painter
        manifests = [folder(painter) / MANIFEST for folder in (home.register, home.crops, home.training_set)]
        if crops:
            self.named.whole += [f"{self.path(home.crops(painter))}/{name}/" for name in ("images", "masks")]
        if images:
            self.named.whole.append(f"{self.path(home.training_set(painter))}/images/")
        for scan in scans:
            self.claim(home.scans(painter), scan.path, scan.sha256, manifests[0], scan.sha256)
            if scan.id != scan.sha256[:16]:
                self.edited(manifests[0], f"The id {scan.id} is not made from the sha256 beside it")
        for crop in crops:
            self.claim(home.crops(painter), crop.path, crop.sha256, manifests[1], crop.scan_sha256)
            self.claim(home.crops(painter), crop.mask_path, "", manifests[1], crop.scan_sha256)
        for image in images:
            self.claim(home.training_set(painter), image.path, image.sha256, manifests[2], image.scan_sha256)
        # A withdrawal that a kill stopped has struck a scan out of some records and of others not yet.
        crops_kept = [crop for crop in crops if crop.scan_sha256 not in self.gone]
        images_kept = [image for image in images if image.scan_sha256 not in self.gone]
        known = {(scan.id, scan.sha256) for scan in scans}
        if manifests[0] not in self.unread:
            self.names_nothing(
                manifests[1], "scans", (c.scan_id for c in crops_kept if (c.scan_id, c.scan_sha256) not in known)
            )
        cut = {(crop.id, crop.scan_sha256) for crop in crops}
        if manifests[1] not in self.unread:
            self.names_nothing(
                manifests[2], "crops", (i.crop_id for i in images_kept if (i.crop_id, i.scan_sha256) not in cut)
            )

    def curated(self, works: tuple[CuratedScan, ...], scans: tuple[Scan, ...], crops: tuple[Crop, ...]) -> None:
        """What was seen in each scan; a version before the last one wrote no such records."""
        file, manifest = self.home.crops(self.painter) / CURATED, self.home.crops(self.painter) / MANIFEST
        kept = [work for work in works if work.scan_sha256 not in self.gone]
        if self.home.register(self.painter) / MANIFEST not in self.unread:
            self.names_nothing(file, "scans", {work.id for work in kept} - {scan.id for scan in scans})
        if manifest not in self.unread:
            self.names_nothing(file, "crops", {name for work in kept for name in work.crops} - {c.id for c in crops})
        if works and file not in self.unread:
            cut = {crop.id for crop in crops if crop.scan_sha256 not in self.gone}
            self.names_nothing(manifest, "curated scans", cut - {name for work in works for name in work.crops})

    def adapters(self) -> None:
        """Every adapter of the painter: its file, its ledger, its snapshot, its record."""
        home, painter = self.home, self.painter
        for folder in sorted(home.adapters(painter).glob("*/")):
            if len(folder.name) == 16 and not (folder / ADAPTER_RECORD).is_file():
                self.add("missing", self.path(folder / ADAPTER_RECORD), "The adapter has no record", ())
        for name in known_adapters(home, painter):
            folder = home.adapters(painter) / name
            try:
                adapter = read_adapter(home, painter, name)
            except ArtMasterError:
                self.edited(folder / ADAPTER_RECORD, "It is no adapter's record any more")
                continue
            if adapter is not None:
                self.adapter(folder, adapter)
        manifest = home.adapters(painter) / MANIFEST
        current = next(iter(self.rows(manifest, Adapter)), None)
        if current is None:
            return
        try:
            record = read_adapter(home, painter, current.id)
        except ArtMasterError:  # said above
            return
        if record is None:
            self.names_nothing(manifest, "adapters", [current.id])
        elif record != current:
            self.edited(manifest, f"It says something else of {current.id} than the adapter's own record", manifest)

    def adapter(self, folder: Path, adapter: Adapter) -> None:
        record, file = folder / ADAPTER_RECORD, folder / LORA
        if (adapter.id, adapter.painter, adapter.path) != (folder.name, self.painter, self.path(folder)):
            self.edited(record, "It is the record of another adapter, painter or folder", record)
        self.claim(folder, LORA, adapter.sha256, record)
        try:
            snapshot = read_snapshot(self.home, adapter)
        except ArtMasterError:
            self.edited(folder / SNAPSHOT, "It is missing or cannot be read, so nobody can say what is in the adapter")
            return
        self.snapshot(folder, adapter, snapshot)
        if file.is_file():
            self.weights(file, adapter, snapshot)

    def snapshot(self, folder: Path, adapter: Adapter, snapshot: AdapterSnapshot) -> None:
        """The snapshot describes just what the record names, and its own records fit each other."""
        file, record = folder / SNAPSHOT, folder / ADAPTER_RECORD
        train = [image for image in snapshot.training_images if image.split == "train"]
        if tuple(sorted({image.scan_sha256 for image in train})) != adapter.scan_sha256s:
            self.edited(file, "It names other artworks as trained on than the adapter's record", record)
        if sorted(image.id for image in train) != sorted(adapter.training_image_ids):
            self.edited(file, "It names other training pictures than the adapter's record", record)
        scans, crops = {scan.sha256 for scan in snapshot.scans}, {crop.id for crop in snapshot.crops}
        self.names_nothing(file, "crops", {image.crop_id for image in snapshot.training_images} - crops)
        behind = {row.scan_sha256 for rows in (snapshot.crops, snapshot.training_images) for row in rows}
        self.names_nothing(file, "scans", behind - scans)
        if snapshot.training:
            shown = set(snapshot.training.shown)
            self.names_nothing(file, "training pictures", shown - {image.id for image in snapshot.training_images})
        home, painter = self.home, self.painter
        paths = {f"{self.path(home.scans(painter))}/{scan.path}" for scan in snapshot.scans}
        crops_at, images_at = self.path(home.crops(painter)), self.path(home.training_set(painter))
        paths |= {f"{crops_at}/{path}" for crop in snapshot.crops for path in (crop.path, crop.mask_path)}
        paths |= {f"{images_at}/{image.path}" for image in snapshot.training_images}
        self.named.behind[adapter.id] = paths

    def weights(self, file: Path, adapter: Adapter, snapshot: AdapterSnapshot) -> None:
        """What the adapter's file says of itself."""
        try:
            words = read_words(file)
            said = words.get(HASH, "")
            if said and said != tensors_hash(file):
                self.edited(file, "Its weights are not those that its own hash is of", file)
        except (ArtMasterError, OSError):
            self.edited(file, "It is no safetensors file any more", file)
            return
        ledger = read_ledger(words)
        if ledger is None:
            if snapshot.training is not None:  # since then every training writes one
                self.edited(file, "The ledger of its artworks was taken out of the file", file)
        elif (ledger.adapter, tuple(sorted(work.sha256 for work in ledger.works))) != (
            adapter.id,
            scans_in(adapter, snapshot),
        ):
            record = file.with_name(ADAPTER_RECORD)
            self.edited(file, "Its ledger names another adapter or other artworks than the adapter's record", record)

    def evaluations(self, known: set[str]) -> None:
        """Pictures of the evaluations, and the verdicts."""
        folder = self.home.evaluation(self.painter)
        for manifest in (folder / MANIFEST, *sorted(folder.glob(f"*/{MANIFEST}"))):
            samples = self.rows(manifest, Sample)
            for sample in samples:
                self.claim(folder, sample.path, sample.sha256, manifest, sample.scan_sha256)
            named = {name for s in samples for name in (*s.adapter_ids, s.evaluated_adapter_id) if name}
            self.names_nothing(manifest, "adapters", named - known)
        for file in sorted(folder.glob(f"*/{VERDICTS}")):
            try:
                edited = [verdict for verdict in read_verdicts(file.parent) if not is_as_given(verdict)]
            except ArtMasterError:
                self.edited(file, "It cannot be read as a record of verdicts")
                continue
            if edited:
                self.edited(file, f"The verdict {edited[0].id} is not the one that was given under this id", file)

    def gallery(self, known: set[str]) -> None:
        """The site in place and every kept version, with what each says of its pictures' adapters."""
        site_versions = SiteVersions(self.home.root / "gallery", self.painter)
        versions = []
        for file in whole_files(site_versions.folder, "*.json"):
            try:
                versions.append(Version.model_validate_json(file.read_text(encoding="utf-8")))
            except (ValidationError, UnicodeDecodeError):
                self.edited(file, "It is no record of a version any more")
        versions.sort(key=lambda version: (version.made, version.id))
        for version in versions:
            record = site_versions.folder / f"{version.id}.json"
            behind = self.site(site_versions.folder / version.id, known)
            down = next(iter(sorted(self.gone & behind)), "")  # a site that holds a withdrawn work is taken down
            for path, sha256 in version.files.items():
                self.claim(site_versions.folder / version.id, path, sha256, record, down)
            self.named.whole.append(f"{self.path(site_versions.folder / version.id)}/")
        if site_versions.site.is_dir():
            self.site(site_versions.site, known)
            self.in_place(site_versions, [version.files for version in versions])

    def site(self, folder: Path, known: set[str]) -> set[str]:
        """What a site says of its pictures; gives the scans that are behind them."""
        manifest = folder / MANIFEST
        samples = self.rows(manifest, Sample)
        for sample in samples:
            self.claim(folder, sample.path, sample.sha256, manifest)
        self.names_nothing(manifest, "adapters", {name for s in samples for name in s.adapter_ids} - known)
        return self.provenance(folder / PROVENANCE) if (folder / PROVENANCE).is_file() else set()

    def provenance(self, file: Path) -> set[str]:
        """What a site says an adapter was trained on is what the adapter's record says; gives all scans it names."""
        try:
            content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            trained = {name: tuple(each["trained_on"]) for name, each in content["adapters"].items()}
            behind = set(content.get("scans", ())).union(*trained.values())
        except (ValueError, KeyError, TypeError, AttributeError):
            self.edited(file, "It cannot be read")
            return set()
        for name, scans in trained.items():
            try:
                adapter = any_adapter(self.home, name)
                known = scans_in(adapter, read_snapshot(self.home, adapter)) if adapter else ()
            except ArtMasterError:  # told with the painter whose it is
                continue
            if adapter is not None and tuple(sorted(scans)) != known:
                record = self.home.root / adapter.path / ADAPTER_RECORD
                self.edited(
                    file, f"It says that {name} was trained on other artworks than the adapter's record", record
                )
        return behind

    def in_place(self, site_versions: SiteVersions, versions: list[dict[str, str]]) -> None:
        """The site in place is one of the kept versions; where it is none, it is compared with the closest."""
        site, claims = site_versions.site, self.named.claims
        if not versions:
            return
        self.named.whole.append(f"{self.path(site)}/")
        there = {}
        for file in site.rglob("*"):
            with suppress(OSError):  # what nobody may read is told when it is compared
                if file.is_file():
                    there[file.relative_to(site).as_posix()] = claims.sha256(self.path(file))
        closest = max(reversed(versions), key=lambda files: len(files.items() & there.items()) - len(files))
        for path, sha256 in closest.items():
            self.claim(site, path, sha256, site_versions.folder)


def adapters_ever(home: Home) -> set[str]:
    """The ids of all adapters that have a folder, and of those that a version of a gallery was made with."""
    known = {file.parent.name for file in (home.root / "adapters").glob(f"*/*/{ADAPTER_RECORD}")}
    for folder in (home.root / "gallery" / VERSIONS_FOLDER).glob("*/"):
        try:
            known |= {version.adapter_id for version in SiteVersions(home.root / "gallery", folder.name).versions()}
        except ArtMasterError:  # told with the painter whose it is
            continue
    return known

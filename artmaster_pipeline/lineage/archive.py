"""What the questions read of a data home: by scanning its records, or by an index of them where that can be kept.

Both give the same. The index (`artmaster_pipeline.lineage.index`) is made from the records and never asked for what
they do not say; where it cannot be kept or the records cannot be indexed, they are scanned.
"""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeVar

from artmaster_pipeline.adapters.finding import all_adapters, any_adapter, read_snapshot
from artmaster_pipeline.adapters.withdrawn import parts_of
from artmaster_pipeline.errors import BadInput
from artmaster_pipeline.lineage.pictures import Picture, all_pictures
from artmaster_pipeline.records import (
    CURATED,
    MANIFEST,
    PROVENANCE,
    VERSIONS_FOLDER,
    Adapter,
    AdapterSnapshot,
    Crop,
    CuratedScan,
    Scan,
    Split,
    TrainingImage,
)
from artmaster_pipeline.records import read_manifest as read
from artmaster_pipeline.settings import Home

T = TypeVar("T")


@dataclass(frozen=True)
class Met:
    """An adapter that a scan met."""

    adapter: Adapter
    part: Split
    crops: int  # of the scan, in the adapter's snapshot
    through: str = ""  # the adapter that it was started from and that met the scan; empty: it met it itself


@dataclass(frozen=True)
class OfScan:
    """All records of one scan: those of adapters' snapshots, adapter by adapter, then those of the manifests."""

    scans: tuple[Scan, ...]
    crops: tuple[Crop, ...]
    images: tuple[TrainingImage, ...]
    curated: tuple[CuratedScan, ...]
    met: tuple[Met, ...]
    published_from: frozenset[str]  # adapters that a site says were trained on it: some may be gone


class Archive(Protocol):
    """The records of a data home, as the questions ask for them."""

    def adapter_ids(self) -> list[str]:
        """The ids of all adapters."""

    def adapter(self, adapter_id: str) -> tuple[Adapter, AdapterSnapshot] | None:
        """An adapter with its snapshot."""

    def scans_called(self, name: str) -> list[Scan]:
        """Every scan that a folded name may mean, past ones too; there may be others among them."""

    def of_scan(self, sha256: str) -> OfScan:
        """All records of the scan."""

    def pictures(self, adapter_ids: Collection[str], scan_sha256: str = "") -> tuple[Picture, ...]:
        """Every picture that the adapters drew or that shows the scan, as `all_pictures` has it; and others."""

    def picture(self, picture_id: str) -> Picture | None:
        """The picture of that id."""


def ask(home: Home, question: "Callable[[Archive], T]") -> T:
    """What `question` answers from the records of a data home: indexed, or scanned where no index can be kept."""
    from artmaster_pipeline.lineage.index import asked_of_index

    return asked_of_index(home, question, otherwise=lambda: question(Scanned(home)))


@dataclass(frozen=True)
class Scanned:
    """The records read as they lie, all of them each time that somebody asks."""

    home: Home

    def adapter_ids(self) -> list[str]:
        """The ids of all adapters."""
        return list(self._snapshots)

    def adapter(self, adapter_id: str) -> tuple[Adapter, AdapterSnapshot] | None:
        """An adapter with its snapshot."""
        return self._snapshots.get(adapter_id)

    def scans_called(self, name: str) -> list[Scan]:
        """Every scan of the data home, past ones too."""
        del name
        snapshots = [snapshot for _, snapshot in self._snapshots.values()]
        scans = [scan for each in snapshots for scan in (*each.scans, *(row.scan for row in each.inherited))]
        return scans + [row for file in self._manifests("register") for row in read(file, Scan)]

    def of_scan(self, sha256: str) -> OfScan:
        """All records of the scan."""
        snapshots = [snapshot for _, snapshot in self._snapshots.values()]
        crops = [crop for snapshot in snapshots for crop in snapshot.crops]
        crops += [crop for file in self._manifests("crops") for crop in read(file, Crop)]
        images = [image for snapshot in snapshots for image in snapshot.training_images]
        images += [image for file in self._manifests("training_set") for image in read(file, TrainingImage)]
        curated = [work for snapshot in snapshots for work in snapshot.curated]
        curated += [work for file in self._manifests("crops", CURATED) for work in read(file, CuratedScan)]
        return OfScan(
            scans=tuple(scan for scan in self.scans_called("") if scan.sha256 == sha256),
            crops=tuple(crop for crop in crops if crop.scan_sha256 == sha256),
            images=tuple(image for image in images if image.scan_sha256 == sha256),
            curated=tuple(work for work in curated if work.scan_sha256 == sha256),
            met=tuple(
                Met(adapter, met[0], sum(crop.scan_sha256 == sha256 for crop in snapshot.crops), met[1])
                for adapter, snapshot in self._snapshots.values()
                if (met := parts_of(adapter, snapshot).get(sha256))
            ),
            published_from=self._published_from(sha256),
        )

    def pictures(self, adapter_ids: Collection[str], scan_sha256: str = "") -> tuple[Picture, ...]:
        """Every picture of the data home."""
        del adapter_ids, scan_sha256
        return self._pictures

    def picture(self, picture_id: str) -> Picture | None:
        """The picture of that id."""
        return next((picture for picture in self._pictures if picture.id == picture_id), None)

    @cached_property
    def _snapshots(self) -> dict[str, tuple[Adapter, AdapterSnapshot]]:
        return {adapter.id: (adapter, read_snapshot(self.home, adapter)) for adapter in all_adapters(self.home)}

    @cached_property
    def _pictures(self) -> tuple[Picture, ...]:
        return all_pictures(self.home)

    def _manifests(self, folder: str, name: str = MANIFEST) -> list[Path]:
        return sorted(self.home.root.glob(f"{folder}/*/{name}"))

    def _published_from(self, sha256: str) -> frozenset[str]:
        gallery, found = self.home.root / "gallery", set()
        for file in (*gallery.glob(f"*/{PROVENANCE}"), *gallery.glob(f"{VERSIONS_FOLDER}/*/*/{PROVENANCE}")):
            try:
                adapters = json.loads(file.read_text(encoding="utf-8"))["adapters"]
                found |= {name for name, said in adapters.items() if sha256 in said["trained_on"]}
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise BadInput(
                    f"{file} cannot be read, so nobody can say which scans are behind the pictures beside it",
                    "Publish that painter again, or put the file back from a copy.",
                ) from error
        return frozenset(found)


def adapter_and_snapshot(home: Home, adapter_id: str) -> tuple[Adapter, AdapterSnapshot] | None:
    """An adapter with its snapshot, read from its own folder."""
    adapter = any_adapter(home, adapter_id)
    return (adapter, read_snapshot(home, adapter)) if adapter else None

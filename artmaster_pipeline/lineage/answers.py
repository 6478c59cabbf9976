"""The two questions: which artworks are in this adapter, and which adapters and pictures is this artwork in."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

from artmaster_pipeline.adapters.finding import all_adapters, current_adapter, read_snapshot
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.records import MANIFEST, Adapter, AdapterSnapshot, Crop, Sample, Scan, Split, TrainingImage
from artmaster_pipeline.records import read_manifest as read
from artmaster_pipeline.settings import Home

_HEX = re.compile(r"[0-9a-f]{8,64}")


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AdapterLineage(_Answer):
    """What is in an adapter. `artworks` are the scans it was trained on.

    Those of `validation` may have chosen its checkpoint, and the `held_out` ones only judged it.
    """

    adapter: Adapter
    artworks: tuple[Scan, ...]
    validation: tuple[Scan, ...]
    held_out: tuple[Scan, ...]
    crops: tuple[Crop, ...]
    training_images: tuple[TrainingImage, ...]
    captions_by: dict[str, int]  # who said what its training pictures show, and of how many
    samples: tuple[Sample, ...]  # drawn with it, as the current evaluation and gallery list them


class Use(_Answer):
    """One adapter that an artwork met: it was trained on it, chosen by it, or only judged by it."""

    adapter_id: str
    painter: str
    part: Split
    crops: int
    current: bool  # whether it is the painter's adapter now


class ArtworkLineage(_Answer):
    """Where an artwork has gone. `scans` has several entries where the same bytes lie under several painters."""

    sha256: str
    scans: tuple[Scan, ...]
    adapters: tuple[Use, ...]
    published: tuple[Sample, ...]  # gallery pictures drawn with an adapter trained on it, alone or with others


def adapter_lineage(home: Home, adapter_id: str) -> AdapterLineage:
    """Everything in the adapter `adapter_id`, from the snapshot it carries.

    Raises WrongUse, with the known ids, where there is no such adapter.
    """
    snapshots = _snapshots(home)
    if adapter_id not in snapshots:
        known = ", ".join(sorted(snapshots)) or "none yet; make one with: artmaster run PAINTER"
        raise WrongUse(f"There is no adapter {adapter_id!r} in {home.root}. Known adapters: {known}.")
    adapter, snapshot = snapshots[adapter_id]
    trained = set(adapter.scan_sha256s)
    used = tuple(image for image in snapshot.training_images if image.split == "train")
    crop_ids = {image.crop_id for image in used}
    return AdapterLineage(
        adapter=adapter,
        artworks=tuple(scan for scan in snapshot.scans if scan.sha256 in trained),
        validation=tuple(scan for scan in snapshot.scans if scan.sha256 in _part(snapshot, "validate")),
        held_out=tuple(scan for scan in snapshot.scans if scan.sha256 in _part(snapshot, "held_out")),
        crops=tuple(crop for crop in snapshot.crops if crop.id in crop_ids),
        training_images=used,
        captions_by=dict(sorted(Counter(image.caption_source for image in used).items())),
        samples=tuple(
            sample
            for sample in (*_samples(home, "evaluation"), *_samples(home, "gallery"))
            if adapter.id in sample.adapter_ids
        ),
    )


def artwork_lineage(home: Home, artwork: str) -> ArtworkLineage:
    """The adapters and published pictures an artwork is in; `artwork` is its sha256, or 8 or more leading digits.

    Raises WrongUse where no scan, past or present, has that hash, or several have.
    """
    snapshots = _snapshots(home)
    scans = [scan for _, snapshot in snapshots.values() for scan in snapshot.scans]
    scans += [scan for painter in home.painters() for scan in read(home.register(painter) / MANIFEST, Scan)]
    sha256 = _resolve(home, artwork, {scan.sha256 for scan in scans})
    uses = tuple(
        Use(
            adapter_id=adapter.id,
            painter=adapter.painter,
            part=part,
            crops=sum(crop.scan_sha256 == sha256 for crop in snapshot.crops),
            current=_is_current(home, adapter),
        )
        for adapter, snapshot in snapshots.values()
        if (part := _part_of(sha256, adapter, snapshot))
    )
    trained = {use.adapter_id for use in uses if use.part == "train"}
    unique = {(scan.painter, scan.path): scan for scan in scans if scan.sha256 == sha256}
    return ArtworkLineage(
        sha256=sha256,
        scans=tuple(unique[key] for key in sorted(unique)),
        adapters=uses,
        published=tuple(sample for sample in _samples(home, "gallery") if not trained.isdisjoint(sample.adapter_ids)),
    )


def _resolve(home: Home, artwork: str, known: set[str]) -> str:
    if not _HEX.fullmatch(artwork):
        raise WrongUse(f"{artwork!r} is not a sha256: give its 64 hexadecimal digits, or the first 8 or more.")
    matches = sorted(sha for sha in known if sha.startswith(artwork))
    if not matches:
        raise WrongUse(f"No scan in {home.root}, past or present, has a sha256 that begins with {artwork}.")
    if len(matches) > 1:
        raise WrongUse(f"{artwork} begins the sha256 of {len(matches)} scans; give more digits: {', '.join(matches)}.")
    return matches[0]


def _part(snapshot: AdapterSnapshot, part: Split) -> set[str]:
    """The sha256s of the scans in one part."""
    return {image.scan_sha256 for image in snapshot.training_images if image.split == part}


def _part_of(sha256: str, adapter: Adapter, snapshot: AdapterSnapshot) -> Split | None:
    """Where a scan stood; None where the adapter never met it. What the adapter's record says of training decides."""
    if sha256 in adapter.scan_sha256s:
        return "train"
    others: tuple[Split, ...] = ("validate", "held_out")
    return next((part for part in others if sha256 in _part(snapshot, part)), None)


def _snapshots(home: Home) -> dict[str, tuple[Adapter, AdapterSnapshot]]:
    """Every finished adapter of the data home with its snapshot, by id."""
    return {adapter.id: (adapter, read_snapshot(home, adapter)) for adapter in all_adapters(home)}


def _is_current(home: Home, adapter: Adapter) -> bool:
    current = current_adapter(home, adapter.painter)
    return current is not None and current.id == adapter.id


def _samples(home: Home, room: Literal["evaluation", "gallery"]) -> Iterator[Sample]:
    """The records of all pictures in a room, whoever's they are: several painters' adapters may have drawn one."""
    for manifest in sorted((home.root / room).glob(f"*/{MANIFEST}")):
        yield from read(manifest, Sample)

"""Which scans are meant: the one that a person names, and all others of the same work, under whichever painter."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from artmaster_pipeline.adapters.finding import all_adapters, read_snapshot
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import is_slug
from artmaster_pipeline.publishing.taking_down import sets_with
from artmaster_pipeline.records import (
    MANIFEST,
    QUARANTINE,
    AdapterSnapshot,
    Inherited,
    Quarantined,
    Scan,
    TrainingImage,
    read_manifest,
)
from artmaster_pipeline.scans.naming import has_digits, listed, meant_by
from artmaster_pipeline.scans.recognition import fingerprint_of, nearest, unpacked, whole_picture
from artmaster_pipeline.scans.withdrawn import read_withdrawn
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stages import KINDS, in_order, kind_of
from artmaster_pipeline.withdrawals import WithdrawnScan, in_force, read_ledger, told_apart

ASKED, SAME_PIXELS = "the one that was named", "the same pixels in another file"
WITHDRAWN_WITH_IT = "it was withdrawn with it"
SAME_WORK, LOOKS_ALIKE = "a scan of the same work, as the training set has it", "it shows the same picture"


@dataclass(frozen=True)
class Holding:
    """A scan as a painter has or had it."""

    painter: str
    path: str
    sha256: str
    title: str = ""
    accession_number: str = ""
    bytes: int = 0  # unknown for a file that was left out


@dataclass
class Archive:
    """What the data home knows of scans, past and present: the registers' records and the adapters' snapshots."""

    holdings: dict[tuple[str, str, str], Holding] = field(default_factory=dict)
    quarantined: list[Quarantined] = field(default_factory=list)
    images: list[TrainingImage] = field(default_factory=list)
    inherited: list[Inherited] = field(default_factory=list)  # by adapters that were started from others
    snapshots: dict[str, AdapterSnapshot] = field(default_factory=dict)  # by the adapter's id
    known: set[str] = field(default_factory=set)  # every sha256, those of withdrawn works included

    def holding(self, sha256s: Iterable[str]) -> tuple[Holding, ...]:
        """Where those scans lie or lay."""
        wanted = set(sha256s)
        return tuple(self.holdings[key] for key in sorted(self.holdings) if key[2] in wanted)


@dataclass(frozen=True)
class Work:
    """An artwork by the sha256 of its scans: the one that was named, and why each belongs to it."""

    sha256: str
    why: dict[str, str]  # sha256 -> a few words
    fingerprints: dict[str, str]  # empty texts where no picture was left

    @property
    def scans(self) -> tuple[WithdrawnScan, ...]:
        """The scans as the ledger keeps them."""
        return tuple(WithdrawnScan(sha256=sha, fingerprint=self.fingerprints[sha]) for sha in sorted(self.why))


def painters_of(home: Home) -> tuple[str, ...]:
    """Every painter that the home has something of, scans or not."""
    places = [home.root / folder for folder in ("scans", *(stage.folder for stage in in_order("painter")))]
    names = {entry.name for place in places if place.is_dir() for entry in place.iterdir() if entry.is_dir()}
    return tuple(sorted(name for name in names if is_slug(name)))


def partitions_of(home: Home) -> tuple[str, ...]:
    """Every painter that the home has something of, then every set, canvas and story that has pictures."""
    folders = {home.root / stage.folder for kind in KINDS[1:] for stage in in_order(kind)}
    drawn = (place.name for folder in folders for place in folder.glob("[!.]*/"))
    several = {name for name in drawn if kind_of(name) != "painter"}
    return (*painters_of(home), *sorted({*several, *sets_with(home)}))


def read_archive(home: Home) -> Archive:
    """Read all of it. Raises BadInput where an adapter's record or snapshot is damaged: the work may be in it."""
    archive = Archive()
    for adapter in all_adapters(home):
        snapshot = read_snapshot(home, adapter)
        archive.snapshots[adapter.id] = snapshot
        archive.images += snapshot.training_images
        archive.inherited += snapshot.inherited
        _hold(archive, (*snapshot.scans, *(each.scan for each in snapshot.inherited)))
    for painter in painters_of(home):
        _hold(archive, read_manifest(home.register(painter) / MANIFEST, Scan))
        archive.quarantined += read_manifest(home.register(painter) / QUARANTINE, Quarantined)
        archive.images += read_manifest(home.training_set(painter) / MANIFEST, TrainingImage)
        archive.known |= {row.sha256 for row in read_withdrawn(home, painter)}
    for row in archive.quarantined:
        if row.sha256:
            archive.holdings.setdefault((row.painter, row.path, row.sha256), Holding(row.painter, row.path, row.sha256))
    archive.known |= {holding.sha256 for holding in archive.holdings.values()}
    archive.known |= {sha256 for line in read_ledger(home) for sha256 in line.sha256s}
    return archive


def resolve(home: Home, artwork: str, archive: Archive) -> str:
    """The sha256 of a scan of the work that a person names: by its sha256, accession number or title.

    Several scans of one work are one work. Raises WrongUse where no work is meant, or several are.
    """
    digits = artwork.strip().lower()
    if by_sha256 := sorted(sha256 for sha256 in archive.known if has_digits(sha256, digits)):
        if len(by_sha256) == 1:
            return by_sha256[0]
        raise WrongUse(f"{artwork!r} can mean {len(by_sha256)} scans; give more digits: {', '.join(by_sha256)}.")
    meant = meant_by(artwork, archive.holdings.values())
    one = min(meant.found, default="")
    if one and (len(meant.found) == 1 or meant.found.keys() <= find_work(home, one, archive).why.keys()):
        return one
    if meant.found:
        raise WrongUse(
            f"{artwork!r} is the name of several works: give the sha256 of one, or its first digits. "
            f"{listed(meant.found)}"
        )
    raise WrongUse(
        f"No scan in {home.root}, past or present, is meant by {artwork!r}: give its sha256 or the first 8 digits or "
        "more of it, its whole accession number or its whole title. `artmaster lineage adapter ID` lists those of an "
        "adapter." + (f" Titles that hold these words: {listed(meant.like)}" if meant.like else "")
    )


def find_work(home: Home, sha256: str, archive: Archive) -> Work:
    """All scans of the work that a scan shows: the same pixels, the same work by the training sets, the same picture.

    Files of which a person said that they are another work stay out, unless they are what was named.
    """
    apart = told_apart(home) - {sha256}
    why = {sha256: ASKED}
    if line := in_force(home).get(sha256):  # what a killed withdrawal had found may be in no record any more
        why |= {each: WITHDRAWN_WITH_IT for each in line.sha256s if each not in {*why, *apart}}
    _follow(archive, why, apart)
    fingerprints = {each: _fingerprint(home, archive, each) for each in why}
    known = unpacked(fingerprints)
    for holding in archive.holdings.values():
        if holding.sha256 not in why and holding.sha256 not in apart and _looks_alike(home, holding, known):
            why[holding.sha256] = LOOKS_ALIKE
    _follow(archive, why, apart)
    fingerprints |= {each: _fingerprint(home, archive, each) for each in why if each not in fingerprints}
    return Work(sha256, why, fingerprints)


def _hold(archive: Archive, scans: Iterable[Scan]) -> None:
    for scan in scans:
        holding = Holding(scan.painter, scan.path, scan.sha256, scan.title, scan.accession_number, scan.bytes)
        archive.holdings[scan.painter, scan.path, scan.sha256] = holding


def _follow(archive: Archive, why: dict[str, str], apart: set[str]) -> None:
    """Add what the records say is the same, until nothing more is found."""
    works: dict[str, set[str]] = {}
    for image in archive.images:
        works.setdefault(image.work, set()).add(image.scan_sha256)
    for each in archive.inherited:
        works.setdefault(each.work, set()).add(each.scan.sha256)
    ids = {sha256[:16]: sha256 for sha256 in archive.known}
    twins = [(row.sha256, ids.get(row.duplicate_of, "")) for row in archive.quarantined if row.duplicate_of]
    before = 0
    while before < len(why):
        before = len(why)
        found = dict.fromkeys((b if a in why else a for a, b in twins if (a in why) != (b in why)), SAME_PIXELS)
        for scans in works.values():
            if not scans.isdisjoint(why):
                found |= {sha256: SAME_WORK for sha256 in scans if sha256 not in found}
        why |= {each: said for each, said in found.items() if each and each not in why and each not in apart}


def _looks_alike(home: Home, holding: Holding, known: dict[str, np.ndarray]) -> bool:
    if not known:
        return False
    whole = whole_picture(_thumbnail(home, holding))
    return whole is not None and nearest(whole, known) is not None


def _fingerprint(home: Home, archive: Archive, sha256: str) -> str:
    """By a thumbnail in some register, else as the ledger has it from before."""
    for holding in archive.holding([sha256]):
        if found := fingerprint_of(_thumbnail(home, holding)):
            return found
    kept = [scan.fingerprint for line in read_ledger(home) for scan in line.scans if scan.sha256 == sha256]
    return next((fingerprint for fingerprint in reversed(kept) if fingerprint), "")


def _thumbnail(home: Home, holding: Holding) -> Path:
    return home.register(holding.painter) / "thumbnails" / f"{holding.sha256[:16]}.jpg"

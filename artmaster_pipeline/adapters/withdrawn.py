"""Marks: which adapters hold a work that may not be used any more. They are worked out anew whenever one is asked for.

An adapter is marked where its record or its snapshot names such a work among those that it was trained on, or that
chose its weights; and where one that it was started from was. A work that only judged it is not in it: that marks the
evaluation (`evaluation.withdrawn`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from artmaster_pipeline.adapters.finding import folder_of, read_snapshot
from artmaster_pipeline.errors import BadInput, HoldsWithdrawn
from artmaster_pipeline.records import (
    MANIFEST,
    SNAPSHOT,
    WITHDRAWN,
    Adapter,
    AdapterSnapshot,
    Scan,
    Split,
    Withdrawn,
    read_manifest,
)
from artmaster_pipeline.settings import Home
from artmaster_pipeline.withdrawals import in_force, is_over, told_apart

_HOW: dict[Split, str] = {"train": "was trained on", "validate": "was chosen by", "held_out": "was judged by"}


@dataclass(frozen=True)
class Mark:
    """A work that may not be used, and what the adapter had of it."""

    sha256: str
    part: Split
    since: str  # ISO date
    reason: str
    by_rights: bool = False  # the archive's own rights in it are over; else a person withdrew it
    through: str = ""  # the adapter that it was started from and that had the work; empty: it had it itself

    def of(self, what: str) -> str:
        """The mark as a sentence about `what`, without its full stop."""
        ended = "whose rights are over since" if self.by_rights else "that was withdrawn on"
        how = (
            f"was started from the adapter {self.through}, which {_HOW[self.part]}" if self.through else _HOW[self.part]
        )
        return f"{what} {how} the work {self.sha256[:16]}, {ended} {self.since} ({self.reason})"

    def way_back(self) -> str:
        """How the mark can be taken away, as a sentence."""
        if self.by_rights:
            return "If they were extended, write the new day into rights_until of artworks.csv and run the painter."
        return f"To take the withdrawal back: artmaster restore {self.sha256[:16]}"


def withdrawn_works(home: Home, painter: str) -> dict[str, Mark]:
    """What the painter may not use now, by sha256 (`part` says nothing yet): by the ledger, and by the register."""
    lines = in_force(home)
    found = {sha256: Mark(sha256, "train", line.day, line.reason) for sha256, line in lines.items()}
    apart = told_apart(home)
    for row in read_manifest(home.register(painter) / WITHDRAWN, Withdrawn):
        like = row.like in lines and row.sha256 not in apart
        if row.sha256 not in found and (is_over(row.rights_until) or like):
            found[row.sha256] = Mark(row.sha256, "train", row.since, row.reason, bool(row.rights_until))
    for scan in read_manifest(home.register(painter) / MANIFEST, Scan):
        if scan.sha256 not in found and is_over(scan.rights_until):
            found[scan.sha256] = _ended(scan)
    return found


def marks_of(home: Home, adapter: Adapter, works: Mapping[str, Mark] | None = None) -> tuple[Mark, ...]:
    """The works in an adapter that may not be used any more: those that it was trained on or chosen by."""
    return tuple(mark for mark in meetings(home, adapter, works) if mark.part != "held_out")


def meetings(home: Home, adapter: Adapter, works: Mapping[str, Mark] | None = None) -> tuple[Mark, ...]:
    """The works that may not be used any more and that an adapter met, in whatever part; sorted by sha256.

    `works` are asked about instead, where they are given. Raises BadInput where something is withdrawn and the
    adapter's snapshot cannot be read: nobody can say then.
    """
    asked, works = works, dict(withdrawn_works(home, adapter.painter) if works is None else works)
    snapshot = _snapshot(home, adapter, needed=bool(works))
    if snapshot and asked is None:
        # what the register says today goes before what the snapshot said
        registered = {scan.sha256 for scan in read_manifest(home.register(adapter.painter) / MANIFEST, Scan)}
        for scan in (*snapshot.scans, *(each.scan for each in snapshot.inherited)):
            if scan.sha256 not in works and scan.sha256 not in registered and is_over(scan.rights_until):
                works[scan.sha256] = _ended(scan)
    parts = parts_of(adapter, snapshot)
    return tuple(
        replace(works[sha256], part=parts[sha256][0], through=parts[sha256][1])
        for sha256 in sorted(works)
        if sha256 in parts
    )


def check_not_withdrawn(home: Home, adapter: Adapter) -> None:
    """Raise HoldsWithdrawn, with the reason and the way out, where an adapter is marked."""
    marks = marks_of(home, adapter)
    if marks:
        raise HoldsWithdrawn(refusal(f"The adapter {adapter.id} of {adapter.painter}", marks, adapter.painter))


def check_network_not_withdrawn(home: Home, painters: Iterable[str], network: str) -> None:
    """Raise HoldsWithdrawn where the network that enlarges was refined on a work that may not be used any more."""
    from artmaster_pipeline.superres.refined_files import made_from

    scans = made_from(network)
    for painter in painters if scans else ():
        works = withdrawn_works(home, painter)
        if held := sorted(scans & works.keys()):
            mark = works[held[0]]
            raise HoldsWithdrawn(
                f"{mark.of(f'The network {network}')}, so it is not used any more. Refine it again without that work "
                f"(artmaster refine), or name another super_resolution in the profile. {mark.way_back()}"
            )


def refusal(what: str, marks: tuple[Mark, ...], painter: str) -> str:
    """Why something marked is not used, and the way out."""
    more = f", and {len(marks) - 1} more such works" if len(marks) > 1 else ""
    return (
        f"{marks[0].of(what)}{more}, so it is not used any more. To train without: artmaster run {painter} . "
        f"{marks[0].way_back()}"
    )


def _ended(scan: Scan) -> Mark:
    return Mark(scan.sha256, "train", scan.rights_until, f"Its rights ended on {scan.rights_until}", by_rights=True)


def _snapshot(home: Home, adapter: Adapter, *, needed: bool) -> AdapterSnapshot | None:
    if not needed and not (folder_of(home, adapter) / SNAPSHOT).is_file():
        return None
    try:
        return read_snapshot(home, adapter)
    except BadInput:
        if needed:
            raise
        return None


def parts_of(adapter: Adapter, snapshot: AdapterSnapshot | None) -> Mapping[str, tuple[Split, str]]:
    """Where each scan stood, and through which ancestor; what the record says of the own training decides."""
    met: dict[str, list[tuple[Split, str]]] = {sha256: [("train", "")] for sha256 in adapter.scan_sha256s}
    for each in snapshot.inherited if snapshot else ():
        met.setdefault(each.scan.sha256, []).append((each.part, each.through))
    for image in snapshot.training_images if snapshot else ():
        if image.split != "train":
            met.setdefault(image.scan_sha256, []).append((image.split, ""))
    return {sha256: closest(ways) for sha256, ways in met.items()}


def closest(ways: Iterable[tuple[Split, str]]) -> tuple[Split, str]:
    """Of the ways in which a scan was met (part, and through whom): trained on, then chosen by, then judged by."""
    rank: dict[Split, int] = {"held_out": 0, "validate": 1, "train": 2}
    return max(ways, key=lambda way: (rank[way[0]], not way[1]))

"""Whether a work may be changed: which work of the register a file shows, and what its rights say of changes.

A work is known by its bytes, or by its likeness to one that may not be changed. Of a file that nobody knows nobody can
say what its rights are: that is written into the record, and the person who asks answers for it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from artmaster_pipeline.errors import ArtMasterError, HoldsWithdrawn
from artmaster_pipeline.records import MANIFEST, Scan, read_manifest
from artmaster_pipeline.scans.recognition import Recogniser, fingerprint_of
from artmaster_pipeline.scans.withdrawn import read_withdrawn, way_back
from artmaster_pipeline.settings import Home
from artmaster_pipeline.withdrawals import in_force, is_over

UNKNOWN = "unknown"  # what a record says of a work that the register does not know

# Creative Commons' licences without derivatives, rightsstatements.org's statements of works in copyright (InC and what
# begins with it), and the words for either. "Not in copyright" and "no longer in copyright" are none of them.
_FORBIDS = re.compile(
    r"creativecommons\.org/licenses/by(-nc)?-nd|rightsstatements\.org/(vocab|page)/InC"
    r"|\bCC[ -]?BY([ -]NC)?[ -]ND\b|\bno[ -]?deriv\w*|\ball rights reserved\b"
    r"|(?<!\bnot )(?<!\bnot in )(?<!\bno longer )(?<!\bnever )\bin copyright\b"
    r"|禁止演绎|禁止演繹|禁止改作|版权所有|版權所有|保留(所有|一切)(权利|權利)|未经许可不得|未經許可不得",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Known:
    """What the register says of a work's rights; `painter` and `scan` are empty where it knows no such work."""

    rights: str
    painter: str = ""
    scan: str = ""  # sha256


def forbids_changes(statement: str) -> bool:
    """Whether a statement of rights forbids changed copies: no derivatives, all rights reserved, in copyright.

    A statement that says nothing of it, or that nothing is known, does not.
    """
    return bool(_FORBIDS.search(statement.replace("_", " ")))


def check_may_change(home: Home, picture: Path, sha256: str, thumbnail: bytes) -> Known:
    """What is known of the rights in a work, whose register-like `thumbnail` is given as JPEG.

    Raises HoldsWithdrawn where the work was withdrawn or the archive's rights in it are over, ArtMasterError where its
    rights forbid changes, in these bytes or in others that look like it.
    """
    _check_withdrawn(home, picture, sha256, thumbnail)
    scans = list(_scans(home))
    same = next((scan for scan in scans if scan.sha256 == sha256), None)
    closed = {scan.sha256: scan for scan in scans if forbids_changes(scan.rights) or is_over(scan.rights_until)}
    if same is None and closed:
        like = _like(home, closed, sha256, thumbnail)
        same = closed[like] if like else None
    if same is None:
        return Known(UNKNOWN)
    how = "is" if same.sha256 == sha256 else "looks like"
    what = f"{picture} {how} {same.title or same.path!r} of {same.painter} ({same.sha256[:16]})"
    if is_over(same.rights_until):
        raise HoldsWithdrawn(
            f"{what}, and the archive's rights in it ended on {same.rights_until}, so nothing is made of it. If they "
            f"were extended, write the new day into rights_until of artworks.csv and run {same.painter}."
        )
    if forbids_changes(same.rights):
        raise ArtMasterError(
            f"{what}, and its rights forbid changes ({same.rights}), so nothing is painted into it. If that is wrong, "
            f"mend `rights` of the work in artworks.csv, or in painter.yaml, and run {same.painter}; else take a work "
            "that may be changed."
        )
    return Known(same.rights or "not stated", same.painter, same.sha256)


def _check_withdrawn(home: Home, picture: Path, sha256: str, thumbnail: bytes) -> None:
    lines = in_force(home)
    like = sha256 if sha256 in lines else (Recogniser.of(home).like(sha256, thumbnail) if lines else "")
    if like:
        line = lines[like]
        what = "is a work that was withdrawn" if like == sha256 else f"shows the work {like[:16]}, which was withdrawn"
        raise HoldsWithdrawn(
            f"{picture} {what} on {line.day} ({line.reason}), so nothing is made of it. "
            f"{way_back(sha256, '' if like == sha256 else like)}"
        )
    for painter in home.painters():
        for row in read_withdrawn(home, painter):
            if row.sha256 == sha256:
                raise HoldsWithdrawn(f"{picture} may not be used since {row.since} ({row.reason}): see {painter}.")


def _scans(home: Home) -> Iterator[Scan]:
    for painter in home.painters():
        yield from read_manifest(home.register(painter) / MANIFEST, Scan)


def _like(home: Home, scans: dict[str, Scan], sha256: str, thumbnail: bytes) -> str:
    """The sha256 of that of the scans whose work the picture shows; empty where it shows none of them."""
    files = {key: home.register(scan.painter) / "thumbnails" / f"{scan.id}.jpg" for key, scan in scans.items()}
    prints = {key: fingerprint_of(file) for key, file in files.items() if file.is_file()}
    return Recogniser(prints, Recogniser.of(home).apart).like(sha256, thumbnail)

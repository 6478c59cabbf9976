"""What a person sees of a painter's curation: every work with what was found on it, what was decided, what is open."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from artmaster_pipeline.curation.review.decisions import Row, fitted, read_decisions
from artmaster_pipeline.curation.review.flags import weight_of
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.records import (
    CURATED,
    MANIFEST,
    QUARANTINE,
    Crop,
    CuratedScan,
    Quarantined,
    Scan,
    read_manifest,
)
from artmaster_pipeline.settings import Home, load_painter


@dataclass(frozen=True)
class Work:
    """A scan, what curation made of it, and what persons decided since the first day."""

    scan: Scan
    curated: CuratedScan
    crops: tuple[Crop, ...]
    reasons: tuple[Quarantined, ...]  # why it has no crops, or fewer
    rows: tuple[Row, ...]
    better: str = ""  # the path of the better scan of the same artwork, which is cropped in its place

    @property
    def score(self) -> float:
        """How much a person should look at it, by all its flags: more than the strongest, at most 1, 0 without."""
        return weight_of(self.curated.flags)

    @property
    def is_open(self) -> bool:
        """Whether persons decided something that the crops do not follow yet."""
        return tuple(row.decision for row in self.rows) != self.curated.decisions

    def as_told(self) -> dict[str, Any]:
        """The same for the page, as JSON-able values. Places are pixels of the scan turned upright."""
        curated, scan = self.curated, self.scan
        return {
            "id": scan.id,
            "file": scan.path,
            "title": scan.title,
            "number": scan.accession_number,
            "width": scan.width,
            "height": scan.height,
            "skew": curated.skew,
            "effective_scale": curated.effective_scale,
            "area": curated.area,
            "masks": [mask.model_dump(mode="json") for mask in curated.masks if mask.source == "found"],
            "crops": [
                {"box": (c.left, c.top, c.right, c.bottom), "size": (c.width, c.height)} for c in self.crops if not c.by
            ],
            "flags": [flag.model_dump(mode="json") for flag in sorted(curated.flags, key=lambda flag: -flag.score)],
            "reasons": [{"reason": row.reason, "remedy": row.remedy} for row in self.reasons],
            "better": self.better,
            "decisions": [_told(row) for row in self.rows],
            "open": self.is_open,
        }


def _told(row: Row) -> dict[str, Any]:
    decision = row.decision
    fits = fitted(decision.box) if decision.what == "crop" and decision.box else None
    return {"id": row.id, **decision.model_dump(mode="json"), "size": fits[0] if fits else None}


def works_of(home: Home, painter: str) -> tuple[Work, ...]:
    """Every work of a painter, those that a person should look at first.

    Raises ArtMasterError where curation has not run yet, or a table of decisions cannot be read.
    """
    load_painter(home, painter)
    folder = home.crops(painter)
    curated = {each.id: each for each in read_manifest(folder / CURATED, CuratedScan)}
    if not curated:
        raise ArtMasterError(
            f"There is nothing to review of {painter} yet. Run: artmaster run {painter} --until curated_crops"
        )
    scans = {scan.id: scan for scan in read_manifest(home.register(painter) / MANIFEST, Scan)}
    crops, reasons, rows = dict[str, list[Crop]](), dict[str, list[Quarantined]](), dict[str, list[Row]]()
    for crop in read_manifest(folder / MANIFEST, Crop):
        crops.setdefault(crop.scan_id, []).append(crop)
    for reason in read_manifest(folder / QUARANTINE, Quarantined):
        reasons.setdefault(reason.sha256[:16], []).append(reason)
    for row in read_decisions(home, painter).rows:
        rows.setdefault(row.scan, []).append(row)
    return in_order(
        [
            Work(
                scan,
                curated[scan.id],
                tuple(crops.get(scan.id, ())),
                tuple(reasons.get(scan.id, ())),
                tuple(rows.get(scan.path, ())),
                _path(scans, curated[scan.id].duplicate_of),
            )
            for scan in scans.values()
            if scan.id in curated
        ]
    )


def work_called(works: Sequence[Work], scan_id: str) -> Work:
    """The one of that scan; raises WrongUse where there is none."""
    for work in works:
        if work.scan.id == scan_id:
            return work
    raise WrongUse(f"There is no work {scan_id[:16]!r} to review: load the page again.")


def in_order(works: Sequence[Work]) -> tuple[Work, ...]:
    """The order of the review: the highest score first, then by file."""
    return tuple(sorted(works, key=lambda work: (-work.score, work.scan.path)))


def _path(scans: dict[str, Scan], sha256: str) -> str:
    scan = scans.get(sha256[:16])
    return scan.path if scan else ""

"""The stage curated_crops: every scan is looked at, and has its crops and their masks or a reason for having none."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from artmaster_pipeline.curation.crops.curating import RESCAN, Asked, Curated, curate, key_of, quarantined
from artmaster_pipeline.curation.near_duplicates import better_scans
from artmaster_pipeline.curation.review.decisions import Decisions, decisions_of, is_kept, left_out, read_decisions
from artmaster_pipeline.curation.review.flags import flags_of
from artmaster_pipeline.errors import ArtMasterError, BadInput
from artmaster_pipeline.files import clear_partials, sha256_of
from artmaster_pipeline.locks import one_at_a_time
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import (
    CURATED,
    MANIFEST,
    QUARANTINE,
    Crop,
    CuratedScan,
    Outcome,
    Quarantined,
    Scan,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.scans.journal import Journal
from artmaster_pipeline.settings import Home
from artmaster_pipeline.threads import usable_cpus

_THREADS = min(16, len(usable_cpus()))


@one_at_a_time
def crop_scans(home: Home, painter: str, progress: Progress = SILENT) -> Outcome[Crop]:
    """Write crops/<painter>/: what was seen in every registered scan, its crops and their masks.

    A scan without crops is in the quarantine with its reason: it is too small, has changed, was left out by a person,
    or a better scan of the same artwork is cropped. What is there already is kept, and made anew only where the scan,
    what was decided about it or the method has changed. Raises ArtMasterError where the stage raw_scans has not run or
    where not one crop could be made.
    """
    folder = home.crops(painter)
    scans = read_manifest(home.register(painter) / MANIFEST, Scan)
    if not scans:
        raise ArtMasterError(f"{painter} has no registered scans: run the stage raw_scans first.")
    clear_partials(folder)
    clear_partials(home.cache / "decoded")
    decided = read_decisions(home, painter)
    for fault in decided.faults:
        progress.say(f"{fault.relative}: {fault.reason}. {fault.remedy}.")
    asked = _asked(home, painter, scans, decided, progress)
    journal = Journal(home.cache / "crops" / f"{painter}.jsonl", Curated)
    known = _finished(folder, journal, scans, asked)
    missing = [scan for scan in scans if scan.id not in known]
    curated = dict(known)
    with (
        journal,
        ThreadPoolExecutor(_THREADS) as pool,
        progress.task(f"Cropping scans of {painter}", len(scans), len(scans) - len(missing)) as advance,
    ):
        running = {pool.submit(curate, home, scan, asked[scan.id]): scan for scan in missing}
        for finished in as_completed(running):
            scan = running[finished]
            curated[scan.id] = finished.result()
            journal.add(curated[scan.id])
            advance(note=scan.path)
    reused = sum(len(each.crops) for each in known.values())
    faults = decided.quarantined(painter)
    return _finish(home, painter, journal, [(scan, asked[scan.id], curated[scan.id]) for scan in scans], faults, reused)


def decisions_asked(home: Home, painter: str) -> dict[str, Any]:
    """What persons decided that can change the crops, by the scan's path."""
    return {
        path: [each.model_dump(mode="json") for each in decisions if each.what != "note"]
        for path, decisions in sorted(decisions_of(home, painter).items())
        if any(each.what != "note" for each in decisions)
    }


def _asked(
    home: Home, painter: str, scans: tuple[Scan, ...], decided: Decisions, progress: Progress
) -> dict[str, Asked]:
    """What is known of every scan from outside of its pixels, by its id; one that is left out stands for no other."""
    decisions = decided.by_scan()
    said = {scan.sha256: decisions.get(scan.path, ()) for scan in scans}
    better = better_scans(home, painter, [scan for scan in scans if left_out(said[scan.sha256]) is None], progress)
    stands = {lesser: kept for lesser, kept in better.items() if not is_kept(said[lesser])}
    return {scan.id: Asked(said[scan.sha256], stands.get(scan.sha256, "")) for scan in scans}


def _finish(
    home: Home,
    painter: str,
    journal: Journal[Curated],
    curated: list[tuple[Scan, Asked, Curated]],
    faults: tuple[Quarantined, ...],
    reused: int,
) -> Outcome[Crop]:
    folder = home.crops(painter)
    crops = [crop for _, _, each in curated for crop in each.crops]
    paths = {scan.sha256: scan.path for scan, _, _ in curated}
    without = [row for scan, asked, each in curated for row in _reasons(scan, asked, each, paths)]
    _remove_stale(folder, crops)
    works = [
        each.work.model_copy(update={"decisions": asked.decisions, "flags": ()})
        for _, asked, each in curated
        if each.work
    ]
    measures = {work.id: work.measures for work in works if work.measures}
    flags = flags_of(works, measures, {work.id: work.unsure for work in works})
    works = [work.model_copy(update={"flags": flags.get(work.id, ())}) for work in works]
    write_manifest(folder / CURATED, works)
    write_manifest(folder / QUARANTINE, [*without, *faults])
    write_manifest(folder / MANIFEST, crops)
    journal.clear()
    if not crops:
        reasons = "; ".join(f"{entry.path!r}: {entry.reason}" for entry in without[:5])
        raise ArtMasterError(f"No scan gave a crop. {reasons}. Add larger scans, then run the stage again.")
    return Outcome(
        records=read_manifest(folder / MANIFEST, Crop),
        manifest=folder / MANIFEST,
        made=len(crops) - reused,
        reused=reused,
        quarantined=read_manifest(folder / QUARANTINE, Quarantined),
        figures=_figures(crops, works),
    )


def _reasons(scan: Scan, asked: Asked, curated: Curated, paths: Mapping[str, str]) -> tuple[Quarantined, ...]:
    """Why a scan has no crops; nothing where it has some."""
    if curated.work is None:
        return curated.left_out
    if (decision := left_out(asked.decisions)) is not None:
        who = f" by {decision.who}" if decision.who else ""
        why = f": {decision.why.rstrip('.')}" if decision.why else ""
        remedy = "To use it again, keep it in the review or take its line out of decisions.csv"
        return (quarantined(scan, BadInput(f"It was left out{who}{why}", remedy)),)
    if asked.duplicate_of:
        reason = f"A better scan of the same artwork is used: {paths.get(asked.duplicate_of, asked.duplicate_of)}"
        row = quarantined(scan, BadInput(reason, "Nothing to do; `keep` in decisions.csv has this one cropped, too"))
        return (row.model_copy(update={"duplicate_of": asked.duplicate_of[:16]}),)
    return curated.left_out


def _remove_stale(folder: Path, crops: list[Crop]) -> None:
    named = {path for crop in crops for path in (crop.path, crop.mask_path)}
    for file in sorted(folder.glob("images/*")) + sorted(folder.glob("masks/*")):
        if file.relative_to(folder).as_posix() not in named:
            file.unlink()


def _figures(crops: list[Crop], works: list[CuratedScan]) -> dict[str, Any]:
    shares = sorted(crop.subject_share for crop in crops)
    scales = sorted(crop.source_scale for crop in crops)
    return {
        "median subject share": round(shares[len(shares) // 2], 3) if shares else 0.0,
        "median scan pixels per crop pixel": round(scales[len(scales) // 2], 3) if scales else 0.0,
        "crops a work": round(len(crops) / max(1, len({crop.scan_sha256 for crop in crops})), 2),
        "flagged works": sum(bool(work.flags) for work in works),
    }


def _finished(
    folder: Path, journal: Journal[Curated], scans: tuple[Scan, ...], asked: Mapping[str, Asked]
) -> dict[str, Curated]:
    """By scan id, what today's curation has settled: all its crops are there, or a reason for having none is."""
    noted = {each.id: each for each in journal.read()}
    # What this stage wrote itself is read line by line: the whole lines of a torn one count.
    crops = {crop.id: crop for crop in Journal(folder / MANIFEST, Crop).read()}
    works = {work.id: work for work in Journal(folder / CURATED, CuratedScan).read()}
    small = {row.sha256: row for row in Journal(folder / QUARANTINE, Quarantined).read() if row.remedy == RESCAN}
    found = {}
    for scan in scans:
        key = key_of(scan.sha256, asked[scan.id])
        before = noted.get(key)
        if before is None and (work := works.get(scan.id)) and work.made_from == key:
            before = Curated(
                id=key,
                work=work,
                crops=tuple(crops[name] for name in work.crops if name in crops),
                left_out=(small[scan.sha256],) if scan.sha256 in small and not work.crops else (),
            )
        if before and _is_settled(before, scan, asked[scan.id], folder):
            found[scan.id] = before
    return found


def _is_settled(curated: Curated, scan: Scan, asked: Asked, folder: Path) -> bool:
    """Whether nothing is left to do: a scan has all of its crops, or the reason for having none, which still holds."""
    if curated.work is None or len(curated.crops) < len(curated.work.crops):
        return False
    without = not asked.is_used or [row.path for row in curated.left_out] == [scan.path]
    return all(_is_whole(crop, folder) for crop in curated.crops) if curated.crops else without


def _is_whole(crop: Crop, folder: Path) -> bool:
    image, mask = folder / crop.path, folder / crop.mask_path
    return image.is_file() and mask.is_file() and sha256_of(image) == crop.sha256

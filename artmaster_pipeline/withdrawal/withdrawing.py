"""Withdrawing a work: the ledger's line first, which marks everything; then what the data home holds of it goes.

Every part may be done twice, so a kill at any moment is mended by the same command. What was touched is written into
the report before anything is removed, and a second run adds to it.
"""

from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from artmaster_pipeline import versioning
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.evaluation.verdicts import this_user
from artmaster_pipeline.files import clear_partials, write_text
from artmaster_pipeline.locks import working_on
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.proof import HOUSE
from artmaster_pipeline.publishing.taking_down import TakenDown, marked_versions, site_mark, take_down
from artmaster_pipeline.records import REPORTS, VERSIONS_FOLDER
from artmaster_pipeline.scans import unreadable_entries
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stages import stage_named
from artmaster_pipeline.withdrawal.finding import (
    Archive,
    Work,
    find_work,
    painters_of,
    partitions_of,
    read_archive,
    resolve,
)
from artmaster_pipeline.withdrawal.impact import Impact, look
from artmaster_pipeline.withdrawal.removing import empty_caches, note_committed, read_removal, remove, uncommitted
from artmaster_pipeline.withdrawal.report import PAGE, page
from artmaster_pipeline.withdrawal.retraining import due_for_retraining
from artmaster_pipeline.withdrawals import LedgerLine, append, in_force, new_line

_REPORT = "report.json"


class Report(BaseModel):
    """A withdrawal as it stands: what it touched, what was done, and what is left to do or cannot be done."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: LedgerLine
    impact: Impact
    files_removed: int = 0
    not_removed: tuple[str, ...] = ()
    galleries_down: tuple[str, ...] = ()  # painter/version
    copies_down: tuple[str, ...] = ()
    not_reached: tuple[str, ...] = ()  # copies that are tried again
    still_published: tuple[str, ...] = ()  # painter/version, until the next publication or --now
    purged: bool = False
    in_dvc: str = ""  # what DVC still keeps
    notes: tuple[str, ...] = ()
    queued: tuple[str, ...] = ()  # painters to be trained anew

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left that was asked for and could not be done."""
        return not self.not_removed and not self.not_reached


def impact_of(home: Home, artwork: str) -> Impact:
    """What withdrawing a work would touch; nothing is changed. Raises WrongUse where no scan is meant."""
    archive = read_archive(home)
    return look(home, find_work(home, resolve(home, artwork, archive), archive), archive)


def withdraw_artwork(
    home: Home,
    artwork: str,
    reason: str,
    by: str = "",
    *,
    now: bool = False,
    purge: bool = False,
    progress: Progress = SILENT,
) -> tuple[Report, Path]:
    """Withdraw all scans of the work that `artwork` names; gives the report and its page.

    The line in the ledger marks adapters, evaluations and galleries at once. Then the work's files are removed from the
    data home. `now` takes galleries down here and where they were copied, which else the next publication does; `purge`
    does that, too, and takes the bytes out of DVC's cache and remotes. A work that is withdrawn already gets no second
    line and needs no reason: what is left to do is done. Raises WrongUse without a reason or where no scan is meant,
    ArtMasterError where a record is damaged.
    """
    archive = read_archive(home)
    work = find_work(home, resolve(home, artwork, archive), archive)
    line = _line(home, work, archive, reason, by or this_user())
    report = _begun(home, line, look(home, work, archive))
    folder = home.root / REPORTS / line.id
    with working_on(home, HOUSE, progress):
        clear_partials(folder)
        write_text(folder / _REPORT, report.model_dump_json(indent=1) + "\n")
    removed, stays = _remove_everywhere(home, work, archive, line, progress)
    down = [take_down(home, each, progress) for each in partitions_of(home)] if now or purge else []
    purged = _purged(home, work, archive, line) if purge else None
    done = _done(home, report, removed, stays, down, purged)
    with working_on(home, HOUSE, progress):
        write_text(folder / _REPORT, done.model_dump_json(indent=1) + "\n")
        write_text(folder / PAGE, page(done))
    return done, folder / PAGE


def _line(home: Home, work: Work, archive: Archive, reason: str, by: str) -> LedgerLine:
    """The line that withdraws the work: the one in force, or a new one that names every scan of it."""
    there = in_force(home)
    if set(work.why) <= set(there):
        return there[work.sha256]
    reason = " ".join(reason.split())
    if not reason:
        raise WrongUse("A withdrawal needs a reason that others can read later: --reason TEXT")
    painters = {holding.painter for holding in archive.holding(work.why)}
    line = new_line("withdrawn", work.scans, painters, reason, by)
    append(home, line)
    return line


def _begun(home: Home, line: LedgerLine, impact: Impact) -> Report:
    """The report of an earlier, killed run with what it saw then, when all was still there; else a new one."""
    file = home.root / REPORTS / line.id / _REPORT
    if file.is_file():
        return Report.model_validate_json(file.read_text(encoding="utf-8"))
    return Report(line=line, impact=impact)


def _remove_everywhere(
    home: Home, work: Work, archive: Archive, line: LedgerLine, progress: Progress
) -> tuple[int, list[str]]:
    removed, stays = 0, list[str]()
    for painter in painters_of(home):
        with working_on(home, painter, progress):
            done = remove(home, painter, work, archive, line.id)
            removed, stays = removed + done.files, [*stays, *done.stays]
            _commit(home, painter, line)
    empty_caches(home, {holding.painter for holding in archive.holding(work.why)})
    return removed, stays


def _commit(home: Home, painter: str, line: LedgerLine) -> None:
    """Let dvc.lock name what is left of the stages that were changed, so that no checkout brings the work back.

    Dagster's record of them does not fit any more, so the next run makes them anew.
    """
    changed = uncommitted(home, line.id, painter)
    for stage in versioning.committed_stages(home, painter) if changed and home.scans(painter).is_dir() else ():
        if stage in changed and home.stage_folder(stage, painter).is_dir():
            unreadable = unreadable_entries(home, painter) if stage_named(stage).sources else ()
            versioning.commit_stage(home, stage, painter, unreadable)
    note_committed(home, line.id, painter)


def _purged(home: Home, work: Work, archive: Archive, line: LedgerLine) -> versioning.Purged:
    images = [image for image in archive.images if image.scan_sha256 in work.why]
    known = read_removal(home, line.id)
    ids = {name for image in images for name in (image.id, image.crop_id)} | set(known.ids)
    sizes = {holding.sha256: holding.bytes for holding in archive.holding(work.why) if holding.bytes}
    return versioning.purge(home, known.md5s, ids, sizes)


def _done(
    home: Home,
    report: Report,
    removed: int,
    stays: Iterable[str],
    down: list[TakenDown],
    purged: versioning.Purged | None,
) -> Report:
    """The report with what this run did beside what earlier ones did."""
    painters = partitions_of(home)
    published = [
        f"{painter}/{version_id}"
        for painter in painters
        for version_id in marked_versions(home, painter)
        if any((home.root / "gallery" / VERSIONS_FOLDER / painter / version_id).rglob("*.html"))
    ]
    published += [f"{painter} (in place)" for painter in painters if site_mark(home, painter) is not None]
    copies = tuple(f"{copy.url} (version {copy.version_id})" for each in down for copy in each.copies)
    faults = purged.faults if purged else ()
    return report.model_copy(
        update={
            "files_removed": report.files_removed + removed,
            "not_removed": (*stays, *faults),
            "galleries_down": _more(report.galleries_down, (v for each in down for v in each.versions)),
            "copies_down": _more(report.copies_down, copies),
            "not_reached": tuple(f"{copy.url}: {why}" for each in down for copy, why in each.unreached),
            "still_published": tuple(published),
            "purged": report.purged or bool(purged and not faults),
            "in_dvc": _in_dvc(home, report, purged),
            "notes": _more(report.notes, (note for each in down for note in each.notes)),
            "queued": tuple(due_for_retraining(home)),
        }
    )


def _in_dvc(home: Home, report: Report, purged: versioning.Purged | None) -> str:
    if versioning.find_root(home) is None:
        return ""
    kept = len(versioning.cached_files(home, read_removal(home, report.line.id).md5s))
    if purged:
        said = f"{purged.cache} files went out of DVC's cache and {purged.remotes} out of its remotes."
        return f"{said} {kept} have the bytes of other works, too, and stay." if kept else said
    return (
        f"DVC's cache has {kept} files of the work, and so may its remotes and every clone that pulled them. To take "
        f"them out: artmaster withdraw {report.impact.sha256[:16]} --purge"
    )


def _more(before: tuple[str, ...], more: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*before, *more)))

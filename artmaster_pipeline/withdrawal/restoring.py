"""Taking a withdrawal back, and telling a file apart from the withdrawn work that it resembles."""

import re
import shutil
from dataclasses import dataclass

from artmaster_pipeline import versioning
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.evaluation.verdicts import this_user
from artmaster_pipeline.files import inside, sha256_of, writing
from artmaster_pipeline.locks import working_on
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.scans.naming import has_digits, listed, meant_by
from artmaster_pipeline.settings import Home, load_painter
from artmaster_pipeline.withdrawal.finding import read_archive
from artmaster_pipeline.withdrawal.removing import ScanFile, forget_removal, read_removal
from artmaster_pipeline.withdrawal.retraining import due_for_retraining
from artmaster_pipeline.withdrawals import LedgerLine, WithdrawnScan, append, in_force, new_line, read_ledger

_WHOLE = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Restored:
    """A work that may be used again: whose files came back, and which scans have to be added again."""

    line: LedgerLine
    back: tuple[ScanFile, ...]
    missing: tuple[str, ...]  # sha256
    queued: tuple[str, ...]  # painters to be run


def restore_artwork(home: Home, artwork: str, reason: str = "", by: str = "", progress: Progress = SILENT) -> Restored:
    """Take the withdrawal of a work back: all marks vanish, and both lines stay in the ledger.

    Files come back where DVC's cache still has them; the others have to be added again. A work that is restored already
    gets no second line, and what a kill left to be brought back is. Raises WrongUse where no withdrawn work is meant.
    """
    there = in_force(home)
    sha256 = _resolve(home, artwork)
    if sha256 in there:
        withdrawn = there[sha256]
        scans = [scan for scan in withdrawn.scans if scan.sha256 in there]
        line = new_line("restored", scans, withdrawn.painters, " ".join(reason.split()), by or this_user())
        append(home, line)
    else:
        line = next(line for line in reversed(read_ledger(home)) if sha256 in line.sha256s)
    withdrew = [each.id for each in read_ledger(home) if not set(each.sha256s).isdisjoint(line.sha256s)]
    back = [scan for each in line.sha256s for scan in _bring_back(home, each, withdrew, progress)]
    missing = tuple(each for each in line.sha256s if each not in {scan.sha256 for scan in back})
    if not missing:
        for each in withdrew:
            forget_removal(home, each)
    return Restored(line, tuple(back), missing, tuple(due_for_retraining(home)))


def tell_apart(home: Home, sha256: str, reason: str, by: str = "") -> LedgerLine:
    """Note that the file with this sha256 only resembles a withdrawn work, so that it may be used.

    Raises WrongUse without a reason, and where those are not 64 hexadecimal digits.
    """
    reason, digits = " ".join(reason.split()), sha256.strip().lower()
    if not _WHOLE.fullmatch(digits):
        raise WrongUse(f"{sha256!r} is no whole sha256: --other-work needs all 64 digits, as the refusal names them.")
    if not reason:
        raise WrongUse("That a file shows another work needs a reason that others can read later: --reason TEXT")
    line = new_line("told apart", [WithdrawnScan(sha256=digits)], (), reason, by or this_user())
    append(home, line)
    return line


def _resolve(home: Home, artwork: str) -> str:
    """The withdrawn scan that is meant, or one that was restored before."""
    digits = artwork.strip().lower()
    there = in_force(home)
    known = [sha256 for line in read_ledger(home) if line.action != "told apart" for sha256 in line.sha256s]
    for among in (list(there), known):
        found = sorted({sha256 for sha256 in among if has_digits(sha256, digits)})
        if len(found) == 1:
            return found[0]
        if found:
            raise WrongUse(f"{artwork!r} can mean {len(found)} works; give more digits: {', '.join(found)}.")
    if named := _by_name(home, artwork):
        return named
    in_words = "; ".join(f"{sha256[:16]} ({line.day}: {line.reason})" for sha256, line in sorted(there.items()))
    raise WrongUse(
        f"{artwork!r} names no withdrawn work. Withdrawn are: {in_words or 'none'}. The ledger keeps no titles: a work "
        "is known by number or title only where an adapter was made from it; else give its sha256."
    )


def _by_name(home: Home, artwork: str) -> str:
    """The scan that is called so by what adapters say they were made from; of those in force, if any is.

    Empty where none is. Raises WrongUse where scans of several withdrawals are called so.
    """
    lines = {sha: line.id for line in read_ledger(home) if line.action != "told apart" for sha in line.sha256s}
    holdings = read_archive(home).holdings.values() if lines else ()
    for among in (in_force(home).keys(), lines.keys()):
        found = meant_by(artwork, (holding for holding in holdings if holding.sha256 in among)).found
        if len({lines[sha256] for sha256 in found}) > 1:
            raise WrongUse(
                f"{artwork!r} is the name of several withdrawn works: give the sha256 of one, or its first digits. "
                f"{listed(found)}"
            )
        if found:
            return min(found)
    return ""


def _bring_back(home: Home, sha256: str, line_ids: list[str], progress: Progress) -> list[ScanFile]:
    """Put the files of a scan back to where they lay, as those lines' removals wrote down; gives those there now."""
    back = []
    removed = {scan for each in line_ids for scan in read_removal(home, each).scans if scan.sha256 == sha256}
    cached = versioning.cached_files(home, [scan.md5 for scan in removed])
    for scan in sorted(removed, key=lambda scan: (scan.painter, scan.path)):
        painter = _now_called(home, scan.painter)
        if not home.scans(painter).is_dir():
            continue
        place, source = inside(home.scans(painter), scan.path), cached.get(scan.md5)
        if place.is_file() and sha256_of(place) == sha256:
            back.append(scan)
        elif source is not None and not place.exists() and sha256_of(source) == sha256:
            with working_on(home, painter, progress), writing(place) as temporary:
                shutil.copyfile(source, temporary)
            back.append(scan)
    return back


def _now_called(home: Home, painter: str) -> str:
    """The slug of a painter who may have been renamed since."""
    if home.scans(painter).is_dir():
        return painter
    return next((each for each in home.painters() if painter in load_painter(home, each).formerly), painter)

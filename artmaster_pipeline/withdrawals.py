"""The ledger of withdrawals: which works may not be used any more, since when, by whom and why. Lines are only added.

`withdrawals.jsonl` lies in the data home itself, beside painters.yaml, and belongs into git as that does. A line keeps
of a work its sha256 and a fingerprint that recognises it (`scans.recognition`), and no picture, title or path. What a
withdrawal touches is not written here: it follows from these lines and from what adapters say they were made from.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.files import write_text
from artmaster_pipeline.locks import working_on
from artmaster_pipeline.proof import HOUSE, read_listing
from artmaster_pipeline.records import WITHDRAWALS, Record, identity
from artmaster_pipeline.settings import Home

_NOTHING_IS_MADE = "As long as that is so nothing is made, since a withdrawn work could be used"
Action = Literal["withdrawn", "restored", "told apart"]


class WithdrawnScan(BaseModel):
    """What is kept of a scan: what its bytes are called, and what recognises its picture in other bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    fingerprint: str = ""  # empty where there was no picture left to take it from


class LedgerLine(Record):
    """A line of the ledger. `told apart` says of a file that it only resembles a withdrawn work."""

    action: Action
    scans: tuple[WithdrawnScan, ...]  # of one work
    painters: tuple[str, ...] = ()  # who had it then
    reason: str
    by: str
    at: str  # ISO 8601, UTC

    @property
    def sha256s(self) -> tuple[str, ...]:
        """The sha256 of every scan that the line speaks of."""
        return tuple(scan.sha256 for scan in self.scans)

    @property
    def day(self) -> str:
        """The day of the line, in UTC."""
        return self.at[:10]


def new_line(
    action: Action, scans: Iterable[WithdrawnScan], painters: Iterable[str], reason: str, by: str
) -> LedgerLine:
    """A line as of now; its id is made from all that it says."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    line = LedgerLine(
        id="",
        action=action,
        scans=tuple(sorted(scans, key=lambda scan: scan.sha256)),
        painters=tuple(sorted(painters)),
        reason=reason,
        by=by,
        at=at,
    )
    return line.model_copy(update={"id": identity("withdrawal", action, line.sha256s, reason, by, at)})


def append(home: Home, line: LedgerLine) -> None:
    """Add a line; those of other processes, written at the same moment, stay. It is on the disk when this returns."""
    with working_on(home, HOUSE):
        read_ledger(home)  # nothing is added to what cannot be read
        for torn in home.root.glob(f".partial-*{Path(WITHDRAWALS).suffix}"):  # no other file there ends like that
            torn.unlink()
        file = home.root / WITHDRAWALS
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        text = json.dumps(line.model_dump(mode="json"), ensure_ascii=False, sort_keys=True)
        write_text(file, f"{before}{text}\n")


def read_ledger(home: Home, *, whole: bool = True) -> tuple[LedgerLine, ...]:
    """All lines, oldest first.

    Raises ArtMasterError where one cannot be read, or where the ledger does not begin with what the product last wrote
    of it: then nobody may take what is left for all. Without `whole` the second is passed over.
    """
    file = home.root / WITHDRAWALS
    written = _as_written(home)  # asked first: the ledger may grow in between
    content = file.read_bytes() if file.exists() else b""
    number = 0
    try:
        lines = content.decode("utf-8").splitlines()
        found = []
        for number, line in enumerate(lines, 1):  # noqa: B007 - the error names it
            found.append(LedgerLine.model_validate_json(line))
    except ValueError as error:
        raise ArtMasterError(
            f"{file}, line {number}, cannot be read as a withdrawal. {_NOTHING_IS_MADE}: put the file back from git or "
            "a backup, or mend the line, then run again."
        ) from error
    if whole and written and written not in beginnings(content):  # a line may be in no list yet
        raise ArtMasterError(
            f"{file} has lost lines, or lines of it were edited: it does not begin with what was last written there. "
            f"{_NOTHING_IS_MADE}: put the file back from git or a backup, lines from elsewhere after its own, then run "
            "again. If it is meant to be so, put proof/ back to the same state, or move that folder away and keep it."
        )
    return tuple(found)


def _as_written(home: Home) -> str:
    """The ledger's sha256 as the product last wrote it; empty where no list says it, or the list cannot be read."""
    try:
        return (read_listing(home, HOUSE) or {}).get(WITHDRAWALS, "")
    except (OSError, ValueError):  # a damaged list is for `verify` to tell
        return ""


def beginnings(content: bytes) -> set[str]:
    """The sha256 of a ledger's first line, of its first two, and so on to all: of each state that it was in."""
    digest, found = hashlib.sha256(), set()
    for line in content.splitlines(keepends=True):
        digest.update(line)
        found.add(digest.hexdigest())
    return found


def in_force(home: Home, *, whole: bool = True) -> dict[str, LedgerLine]:
    """The scans that are withdrawn now, by sha256, each with the line that withdrew it; `whole` as of `read_ledger`."""
    found: dict[str, LedgerLine] = {}
    for line in read_ledger(home, whole=whole):
        for sha256 in line.sha256s:
            if line.action == "withdrawn":
                found[sha256] = line
            else:
                found.pop(sha256, None)
    return found


def told_apart(home: Home) -> set[str]:
    """The sha256 of the files of which a person said that they only resemble a withdrawn work."""
    found: set[str] = set()
    for line in read_ledger(home):
        if line.action == "told apart":
            found.update(line.sha256s)
        elif line.action == "withdrawn":
            found.difference_update(line.sha256s)
    return found


def today() -> date:
    """The day by which rights with an end are judged: the one on this machine's calendar."""
    return date.today()


def is_over(rights_until: str) -> bool:
    """Whether rights with this end (an ISO date, or empty for none) are over: they are from that day on."""
    return bool(rights_until) and date.fromisoformat(rights_until) <= today()

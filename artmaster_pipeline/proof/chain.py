"""The chain: lines to which is only ever added, each with the hash of the one before, so that an edit of any shows.

The head is written before the line that it holds is added: a kill in between, or in the middle of the line, leaves a
ledger that ends before its head, and the next who writes or checks completes it from there. A line that is neither the
one that the head holds nor a beginning of it was edited.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from artmaster_pipeline import __version__
from artmaster_pipeline.files import make_folder, to_disk, write_text
from artmaster_pipeline.house import Signed, check_text, sign_text
from artmaster_pipeline.settings import Home

if TYPE_CHECKING:
    from filelock import BaseFileLock

PROOF = "proof"  # the folder, below the data home
_LEDGER, _HEAD = "ledger.jsonl", "head.json"

SignatureState = Literal["whole", "broken", "not checked", "none"]


class Line(BaseModel):
    """A line of the chain: what was written for a painter, when and by which software."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int  # of the line, from 1
    painter: str
    stages: tuple[str, ...]  # whose folders hold what was written, in the table's order
    records: dict[str, str]  # POSIX path below the data home of a file of records -> sha256; empty: it is gone
    listing: str  # sha256 of the painter's list of files as it was then
    begins: bool = False  # the painter's first line: what was there before is known by its records' hashes alone
    found: int = 0  # files of which no hash was known then, nor taken: they were there before the first line
    after_a_kill: bool = False  # by a run that was stopped before it could say so
    list_edited: bool = False  # the list was not the one that the painter's line before this one names
    at: str  # ISO 8601, UTC
    software: str
    before: str  # sha256 of the line before; empty in the first


class Head(BaseModel):
    """The newest line, how it is signed, and since which line every head was."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: str
    number: int
    signed_since: int = 0  # the first line of those without a gap; 0: it is not signed
    signature: str = ""

    @property
    def statement(self) -> str:
        """What is signed."""
        return f"ArtMaster, newest line of the chain\n{self.number}\n{self.signed_since}\n{hash_of(self.line)}\n"


class Fault(BaseModel):
    """Something in the chain's own files that the product did not write."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str  # POSIX path below the data home
    line: int = 0  # 0: the file as a whole
    says: str  # one sentence


@dataclass(frozen=True)
class Chain:
    """The chain as it is: its lines that can be read, what is wrong with it, and how its head is signed."""

    lines: tuple[Line, ...]
    hashes: tuple[str, ...]  # of all lines, also of those that cannot be read
    faults: tuple[Fault, ...]
    torn: str  # what a kill left and was, or is to be, completed; empty: nothing
    signature: SignatureState
    signed_since: int

    @property
    def head(self) -> str:
        """The newest line's hash; empty where there is no chain."""
        return self.hashes[-1] if self.hashes else ""


def hash_of(line: str) -> str:
    """What the line after this one names it by."""
    return hashlib.sha256(line.encode()).hexdigest()


def append(
    home: Home,
    painter: str,
    *,
    stages: Sequence[str],
    records: Mapping[str, str],
    listing: str,
    begins: bool = False,
    found: int = 0,
    after_a_kill: bool = False,
    list_edited: bool = False,
) -> None:
    """Add a line, on the disk when this returns. The caller holds `chain_lock`.

    What somebody else wrote at the ledger's end stays there, and shows: the line follows the head.
    """
    folder = home.root / PROOF
    make_folder(folder)
    head = _read_head(folder)
    _complete(folder, head)
    lines = [] if head else _lines(folder)[0]
    number = head.number + 1 if head else len(lines) + 1
    line = _text(
        Line(
            number=number,
            painter=painter,
            stages=tuple(stages),
            records=dict(records),
            listing=listing,
            begins=begins,
            found=found,
            after_a_kill=after_a_kill,
            list_edited=list_edited,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            software=f"artmaster-pipeline {__version__}",
            before=hash_of(head.line) if head else hash_of(lines[-1]) if lines else "",
        )
    )
    write_text(folder / _HEAD, _head_text(_signed(home, line, number, head)))
    _add(folder / _LEDGER, line)


def listing_named(home: Home, painter: str) -> str:
    """The sha256 of the painter's list in the last line about the painter; empty where there is none."""
    texts, _ = _lines(home.root / PROOF)
    named = f'"painter":{json.dumps(painter)},'
    for text in reversed(texts):
        if named in text:
            try:
                return Line.model_validate_json(text).listing
            except ValidationError:
                return ""
    return ""


def read_chain(home: Home, *, mend: bool = True) -> Chain:
    """The chain of a data home with all that is wrong with it; no lines and no faults where there is none.

    With `mend`, a line that a kill left half-written is completed; where the home may only be read it is only told.
    """
    folder = home.root / PROOF
    if not (folder / _LEDGER).exists() and not (folder / _HEAD).exists():
        return _without(folder)
    try:
        with chain_lock(home):  # whoever adds a line writes head and ledger one after the other
            return _read(home, folder, mend=mend)
    except OSError:
        return _read(home, folder, mend=False)


def _read(home: Home, folder: Path, *, mend: bool) -> Chain:
    head, torn = _read_head(folder), ""
    if _is_torn(folder, head):
        when = "it is complete again" if mend else "the next run completes it"
        torn = f"The last line was left half-written by a run that was stopped; {when}."
        if mend:
            _complete(folder, head)
    texts, rest = _lines(folder)
    if torn and not mend and head:
        texts, rest = [*texts, head.line], ""
    lines, faults = _read_lines(texts)
    if rest:
        says = "The last line has no end, and it is not the beginning of the line that the head holds: it was edited"
        faults.append(Fault(file=f"{PROOF}/{_LEDGER}", line=len(texts) + 1, says=says))
    faults += _faults_of_head(folder, head, texts)
    state: SignatureState = "none"
    if head and head.signature:
        state = check_text(home, head.statement, head.signature)
        if state == "broken":
            says = "The signature is not this house's on this line: somebody changed it, or the keys are others since"
            faults.append(Fault(file=f"{PROOF}/{_HEAD}", says=says))
    since = head.signed_since if head else 0
    return Chain(tuple(lines), tuple(map(hash_of, texts)), tuple(faults), torn, state, since)


def chain_lock(home: Home) -> "BaseFileLock":
    """One process at a time adds to the chain, whatever the painter."""
    from filelock import FileLock

    home.cache.mkdir(parents=True, exist_ok=True)
    return FileLock(home.cache / "proof.lock")


def _without(folder: Path) -> Chain:
    lists = sorted((folder / "files").glob("[!.]*.sha256")) if folder.is_dir() else []
    says = "The chain is gone, but lists of files that it vouches for are there: it was removed"
    faults = (Fault(file=f"{PROOF}/{_LEDGER}", says=says),) if lists else ()
    return Chain((), (), faults, "", "none", 0)


def _text(line: Line) -> str:
    return json.dumps(line.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _signed(home: Home, line: str, number: int, before: Head | None) -> Head:
    """The head that a new line becomes."""
    goes_on = bool(before and before.signature and _check(home, before) == "whole")
    since = before.signed_since if before and goes_on else number
    head = Head(line=line, number=number, signed_since=since)
    if signature := sign_text(home, head.statement):
        return head.model_copy(update={"signature": signature})
    return head.model_copy(update={"signed_since": 0})


def _check(home: Home, head: Head) -> Signed:
    return check_text(home, head.statement, head.signature)


def _read_head(folder: Path) -> Head | None:
    try:
        return Head.model_validate_json((folder / _HEAD).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None


def _lines(folder: Path) -> tuple[list[str], str]:
    """The whole lines of the ledger, and what follows the last line's end."""
    try:
        content = (folder / _LEDGER).read_bytes().decode("utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return [], ""
    *lines, rest = content.split("\n")
    return [line.encode("utf-8", "replace").decode() for line in lines], rest


def _is_torn(folder: Path, head: Head | None) -> bool:
    """Whether the ledger ends before its head, as a kill leaves it: with the line before, or a part of the head's."""
    if head is None:
        return False
    texts, rest = _lines(folder)
    if not head.line.startswith(rest) or len(texts) != head.number - 1:
        return False
    try:
        before = Line.model_validate_json(head.line).before
    except ValidationError:
        return False
    return before == (hash_of(texts[-1]) if texts else "")


def _complete(folder: Path, head: Head | None) -> None:
    """Let the ledger end with a whole line: its head's, where a kill came before that, else whatever is there."""
    if head is not None and _ends_with(folder / _LEDGER, head.line):
        return
    texts, rest = _lines(folder)
    if _is_torn(folder, head) and head is not None:
        write_text(folder / _LEDGER, "".join(f"{text}\n" for text in (*texts, head.line)))
    elif rest:
        _add(folder / _LEDGER, "")


def _ends_with(ledger: Path, line: str) -> bool:
    end = f"\n{line}\n".encode()
    try:
        with ledger.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - len(end)))
            there = file.read()
    except OSError:
        return False
    return there == end or (size == len(end) - 1 and there == end[1:])


def _add(ledger: Path, line: str) -> None:
    with ledger.open("ab") as file:
        file.write(f"{line}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    to_disk(ledger.parent)


def _read_lines(texts: list[str]) -> tuple[list[Line], list[Fault]]:
    lines: list[Line] = []
    faults: list[Fault] = []
    before = ""
    for number, text in enumerate(texts, 1):
        said, line = "", None
        try:
            line = Line.model_validate_json(text)
        except ValidationError:
            said = "This line cannot be read: it was edited"
        if line is not None:
            lines.append(line)
            if line.before != before:
                said = "The line before this one was edited or removed, or this one was put in"
            elif line.number != number:
                said = f"This is line {line.number} of the chain and stands in place {number}: lines are missing"
            elif _text(line) != text:
                said = "This line is not written as the product writes it: it was edited"
        if said:
            faults.append(Fault(file=f"{PROOF}/{_LEDGER}", line=number, says=said))
        before = hash_of(text)
    return lines, faults


def _faults_of_head(folder: Path, head: Head | None, texts: list[str]) -> list[Fault]:
    if head is None:
        says = "The chain's head is missing or cannot be read: nobody can say which line was the last"
        return [Fault(file=f"{PROOF}/{_HEAD}", says=says)]
    if not texts or texts[-1] != head.line or len(texts) != head.number:
        says = (
            f"The newest line is number {head.number} and another than the last of the ledger, which has "
            f"{len(texts)}: lines were edited, added or removed"
        )
        ledger = Fault(file=f"{PROOF}/{_LEDGER}", line=len(texts), says=says)  # nobody can say which of the two it was
        return [Fault(file=f"{PROOF}/{_HEAD}", says=says), ledger]
    spelt = (folder / _HEAD).read_bytes() == _head_text(head).encode() and head.signature == head.signature.lower()
    if not spelt or (head.signed_since and not head.signature):
        says = "The chain's head is not written as the product writes it: it was edited"
        return [Fault(file=f"{PROOF}/{_HEAD}", says=says)]
    return []


def _head_text(head: Head) -> str:
    return head.model_dump_json(indent=1) + "\n"

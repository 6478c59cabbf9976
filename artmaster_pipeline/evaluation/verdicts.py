"""The verdicts on adapters and what persons decided about them: two files of lines to which is only ever added.

    evaluation/<painter>/<adapter id>/verdicts.jsonl    every verdict on the adapter, the last one in force
    evaluation/<painter>/decisions.jsonl                what persons decided, and why

A verdict names the panel that it rests on, its figures, and the champion with the champion's own. Evaluating again adds
a verdict where it differs from the last. Earlier versions of the product kept the last verdict alone, in verdict.json:
it is read as the first line, and becomes that once another is added.
"""

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from artmaster_pipeline import proof
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.files import write_text
from artmaster_pipeline.records import DECISIONS, VERDICT, VERDICTS, Verdict, identity
from artmaster_pipeline.settings import Home


def append_verdict(home: Home, painter: str, verdict: Verdict) -> Verdict:
    """Add a verdict to those on its adapter and give it with its id and time; nothing where the last one says the same.

    Raises ArtMasterError where the verdicts that are there cannot be read: nothing is written over them.
    """
    folder = home.evaluation(painter) / verdict.adapter_id
    new = verdict.model_copy(update={"id": _id(verdict), "at": _now()})
    with _writing_alone(home, painter):
        before = read_verdicts(folder)
        if before and before[-1].id == new.id:
            return before[-1]
        write_text(folder / VERDICTS, "".join(_line(each.model_dump(mode="json")) for each in (*before, new)))
        (folder / VERDICT).unlink(missing_ok=True)  # its content is the first line now
    return new


def read_verdicts(folder: Path) -> tuple[Verdict, ...]:
    """All verdicts in evaluation/<painter>/<adapter id>/, oldest first; empty where there is none.

    Raises ArtMasterError, naming the file, where it cannot be read or speaks of another adapter.
    """
    file = next((folder / name for name in (VERDICTS, VERDICT) if (folder / name).is_file()), None)
    if file is None:
        return ()
    try:
        text = file.read_text(encoding="utf-8")
        lines = text.splitlines() if file.name == VERDICTS else [text]
        found = tuple(_identified(Verdict.model_validate_json(line)) for line in lines)
        if not found:
            raise ValueError("it is empty")  # a verdict was there before: nobody may take its loss for none
    except ValueError as error:  # pydantic's, of the encoding, of an empty file
        raise ArtMasterError(
            f"{file} cannot be read as a record of verdicts. Put it back from its history (dvc checkout, or a backup), "
            "or move it away and run the stage evaluation_grid again."
        ) from error
    strangers = {verdict.adapter_id for verdict in found} - {folder.name}
    if strangers:
        raise ArtMasterError(
            f"{file} is about another adapter, {min(strangers)}. Move it away and run the stage evaluation_grid again."
        )
    return found


def is_as_given(verdict: Verdict) -> bool:
    """Whether a verdict's id is the one that is made from what it says: an edited one has another's."""
    return verdict.id == _id(verdict)


def last_verdict(folder: Path) -> Verdict | None:
    """The verdict in force in evaluation/<painter>/<adapter id>/; None where there is none. Errors: `read_verdicts`."""
    return next(reversed(read_verdicts(folder)), None)


def decide(
    home: Home, painter: str, adapter_id: str, verdict: Literal["publish", "reject"], reason: str
) -> dict[str, str]:
    """Keep a person's decision on an adapter and give it; the next evaluation puts it into force.

    Raises WrongUse without a reason, or where the adapter was not evaluated.
    """
    reason = " ".join(reason.split())
    if not reason:
        raise WrongUse("A decision needs a reason that others can read later: --reason TEXT")
    if last_verdict(home.evaluation(painter) / adapter_id) is None:
        raise WrongUse(
            f"{painter}'s adapter {adapter_id} has not been evaluated, so there is no verdict to overrule. "
            f"Run: artmaster evaluate {painter} --adapter {adapter_id}"
        )
    row = {"adapter_id": adapter_id, "verdict": verdict, "reason": reason, "by": this_user(), "at": _now()}
    file = home.evaluation(painter) / DECISIONS
    with _writing_alone(home, painter):
        write_text(file, "".join(_line(each) for each in (*_decisions(file), row)))
    proof.note_file(home, painter, file)
    return row


def last_decision(home: Home, painter: str, adapter_id: str) -> dict[str, str]:
    """What a person last decided on an adapter: verdict, reason, by, at; empty where nobody did."""
    return next(reversed(decisions_on(home, painter, adapter_id)), {})


def decisions_on(home: Home, painter: str, adapter_id: str) -> tuple[dict[str, str], ...]:
    """All that persons decided on an adapter, oldest first: verdict, reason, by, at.

    Raises ArtMasterError where the file that holds it cannot be read.
    """
    rows = _decisions(home.evaluation(painter) / DECISIONS)
    return tuple(row for row in rows if row["adapter_id"] == adapter_id)


@contextmanager
def _writing_alone(home: Home, painter: str) -> Iterator[None]:
    """One process at a time adds a line; a person's word does not wait for a stage that works on the painter."""
    from filelock import FileLock

    home.cache.mkdir(parents=True, exist_ok=True)
    with FileLock(home.cache / f"verdicts-{painter}.lock"):
        yield


def _decisions(file: Path) -> list[dict[str, str]]:
    if not file.exists():
        return []
    try:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        raise ArtMasterError(
            f"{file} cannot be read ({error}). It holds what persons decided: put it back from its history "
            "(dvc checkout, or a backup), or mend the line."
        ) from error
    return rows


def _identified(verdict: Verdict) -> Verdict:
    """A verdict of an earlier version has no id yet."""
    return verdict if verdict.id else verdict.model_copy(update={"id": _id(verdict)})


def _id(verdict: Verdict) -> str:
    return identity("verdict", verdict.model_dump(mode="json", exclude={"id", "at"}))


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def this_user() -> str:
    """Who is at work, as the system names them."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "someone"

"""decisions.csv, beside the scans: what persons decided about them, a row each, plain and editable by hand.

Columns: file, what, left, top, right, bottom, why, who, when. It is read by the rules of artworks.csv, but a file may
have many rows, in the order in which they were decided: the last `keep` or `leave out` counts, and the last `area`;
crops and masks add up. One may lie in a sub-folder and speak of the files there; the painter's own comes after those.
"""

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from artmaster_pipeline.errors import ArtMasterError, BadInput
from artmaster_pipeline.files import write_text
from artmaster_pipeline.locks import working_on
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import (
    MANIFEST,
    Corners,
    Decision,
    DecisionKind,
    Mask,
    MaskKind,
    Quarantined,
    Scan,
    identity,
    read_manifest,
)
from artmaster_pipeline.scans.artworks import Table, meant_picture, read_table, written
from artmaster_pipeline.scans.decoding import decode
from artmaster_pipeline.scans.listing import DECISIONS, Listing, Refusal, is_table, list_folder
from artmaster_pipeline.scans.registering import SMALLEST
from artmaster_pipeline.scans.withdrawn import read_withdrawn
from artmaster_pipeline.settings import CROP_SIZES, Home

COLUMNS = ("file", "what", "left", "top", "right", "bottom", "why", "who", "when")
KINDS: tuple[DecisionKind, ...] = get_args(DecisionKind)
MASKS: tuple[MaskKind, ...] = ("seal", "inscription", "blank", "damage")
PLACED = ("area", "crop", *MASKS, "clear")  # which need a box
_SIDES = ("left", "top", "right", "bottom")
_TOLERANCE = 0.02  # by which a crop's shape may miss one of the two; what is kept lies within the box that was drawn
_LONGEST = 500  # characters of `why`, of `who` and of `when`
_MEND = "Mend the row, then add or run again"


@dataclass(frozen=True)
class Row:
    """A decision and where it stands."""

    scan: str  # the scan's path below scans/<painter>/
    decision: Decision
    table: str  # path of the decisions.csv below scans/<painter>/
    line: int
    id: str  # of what the row says; the same for two rows that say the same


@dataclass(frozen=True)
class Decisions:
    """All that persons decided about a painter's scans, in the order in which it counts, and what cannot be used."""

    rows: tuple[Row, ...] = ()
    faults: tuple[Refusal, ...] = ()

    def by_scan(self) -> dict[str, tuple[Decision, ...]]:
        """The decisions on each scan that has any, by its path."""
        found: dict[str, tuple[Decision, ...]] = {}
        for row in self.rows:
            found[row.scan] = (*found.get(row.scan, ()), row.decision)
        return found

    def quarantined(self, painter: str) -> tuple[Quarantined, ...]:
        """The rows that cannot be used, as rows of a quarantine."""
        return tuple(
            Quarantined(
                id=identity("decisions", fault.relative, fault.reason),
                painter=painter,
                path=fault.relative,
                reason=fault.reason,
                remedy=fault.remedy,
            )
            for fault in self.faults
        )


def decisions_of(home: Home, painter: str, progress: Progress = SILENT) -> dict[str, tuple[Decision, ...]]:
    """The decisions on each scan that has any, by its path; `progress` is told which rows are not used.

    Raises ArtMasterError where a table cannot be read at all.
    """
    found = read_decisions(home, painter)
    for fault in found.faults:
        progress.say(f"{fault.relative}: {fault.reason}. {fault.remedy}.")
    return found.by_scan()


def read_decisions(home: Home, painter: str) -> Decisions:
    """Every decisions.csv of a painter. Rows that cannot be used are named, each with its line and the way out.

    Raises ArtMasterError where a table cannot be read at all: what persons decided would be lost without a word.
    """
    root = home.scans(painter)
    if not _has_tables(root):
        return Decisions()
    listing = list_folder(root)
    faults = [each for each in listing.refused if is_table(each.relative, (DECISIONS,))]
    tables: dict[str, Table] = {}
    for entry in sorted(listing.decisions, key=lambda each: (-each.relative.count("/"), each.relative)):
        try:
            tables[entry.relative] = read_table(entry.path, once=False)
        except BadInput as bad:
            faults.append(Refusal(entry.relative, bad.reason, bad.remedy))
    if faults:
        said = "; ".join(f"{root / each.relative}: {each.reason}. {each.remedy}" for each in faults)
        raise ArtMasterError(f"{said}. Without it what persons decided would be lost; then run again.")
    return _Reading(home, painter, listing).all(tables)


def save_decisions(
    home: Home, painter: str, new: Sequence[tuple[str, Decision]] = (), taken_back: Collection[str] = ()
) -> Decisions:
    """Add decisions, each with its scan's path, to the painter's decisions.csv, and take rows back by their ids.

    What else stands there stays: other columns, rows that cannot be used, texts. A table is written whole or not at
    all, while nobody else works on the painter. Raises BadInput for a decision that cannot be used and where a row
    would be lost; ArtMasterError where somebody works on the painter or a table cannot be read.
    """
    with working_on(home, painter, wait=False):
        before = read_decisions(home, painter)
        if missing := set(taken_back) - {row.id for row in before.rows}:
            raise BadInput(f"{len(missing)} of the rows to be taken back are gone", "Load the page again")
        root = home.scans(painter)
        lines: dict[str, set[int]] = {}
        for row in before.rows:
            if row.id in taken_back:
                lines.setdefault(row.table, set()).add(row.line)
        for table, gone in lines.items():
            _rewrite(root / table, gone, ())
        if new:
            faults = _Reading(home, painter, list_folder(root)).check(new)
            if faults:
                raise BadInput("; ".join(faults), "Correct it, then save again")
            _rewrite(_own_table(root), set(), [as_row(scan, decision) for scan, decision in new])
        return read_decisions(home, painter)


def as_row(scan: str, decision: Decision) -> dict[str, str]:
    """A decision as a row of the painter's decisions.csv."""
    box = decision.box or ("", "", "", "")
    said = (scan, decision.what, *map(str, box), decision.why, decision.who, decision.when)
    return dict(zip(COLUMNS, said, strict=True))


# What decisions amount to; all of it looks at one scan's, in their order.


def left_out(decisions: Iterable[Decision]) -> Decision | None:
    """The decision by which a scan is left out; None where there is none, or a later one keeps it."""
    last = _last(decisions, "keep", "leave out")
    return last if last and last.what == "leave out" else None


def is_kept(decisions: Iterable[Decision]) -> bool:
    """Whether a person said last that a scan is to be used, whatever is thought of it."""
    last = _last(decisions, "keep", "leave out")
    return last is not None and last.what == "keep"


def effective_area(decisions: Iterable[Decision]) -> Corners | None:
    """The painted area as it was drawn last; None where nobody drew it."""
    last = _last(decisions, "area")
    return last.box if last else None


def masks_after(found: Iterable[Mask], decisions: Sequence[Decision]) -> tuple[Mask, ...]:
    """The masks that were found and nobody cleared away, then those that persons drew."""
    cleared = [decision.box for decision in decisions if decision.what == "clear" and decision.box]
    stay = [mask for mask in found if not any(_holds_middle(box, mask.box) for box in cleared)]
    return (*stay, *person_masks(decisions))


def person_masks(decisions: Iterable[Decision]) -> tuple[Mask, ...]:
    """The masks that persons drew."""
    return tuple(
        Mask(kind=kind, outline=_outline(decision.box), source="person")
        for decision in decisions
        for kind in MASKS
        if decision.what == kind and decision.box
    )


def drawn_crops(decisions: Iterable[Decision]) -> dict[tuple[int, int], tuple[tuple[Corners, Decision], ...]]:
    """By size of `CROP_SIZES` the crops that persons drew, which replace those that were chosen at that size."""
    found: dict[tuple[int, int], tuple[tuple[Corners, Decision], ...]] = {}
    for decision in decisions:
        if decision.what == "crop" and decision.box and (fits := fitted(decision.box)):
            size, box = fits
            found[size] = (*found.get(size, ()), (box, decision))
    return found


def fitted(box: Corners) -> tuple[tuple[int, int], Corners] | None:
    """The size of `CROP_SIZES` whose shape a box has, within 2 %, and the largest box of exactly that shape in it."""
    left, top, right, bottom = box
    across, down = right - left, bottom - top
    for width, height in CROP_SIZES:
        if abs(across * height / (down * width) - 1) <= _TOLERANCE:
            new_across = min(across, int(down * width / height))
            new_down = min(down, round(new_across * height / width))
            new_left, new_top = left + (across - new_across) // 2, top + (down - new_down) // 2
            return (width, height), (new_left, new_top, new_left + new_across, new_top + new_down)
    return None


def _last(decisions: Iterable[Decision], *kinds: str) -> Decision | None:
    return next((each for each in reversed([*decisions]) if each.what in kinds), None)


def _outline(box: Corners) -> tuple[tuple[int, int], ...]:
    left, top, right, bottom = box
    return (left, top), (right, top), (right, bottom), (left, bottom)


def _holds_middle(box: Corners, other: Corners) -> bool:
    across, down = (other[0] + other[2]) / 2, (other[1] + other[3]) / 2
    return box[0] <= across <= box[2] and box[1] <= down <= box[3]


def _has_tables(root: Path) -> bool:
    return any(is_table(name, (DECISIONS,)) for _, folders, files in os.walk(root) for name in (*folders, *files))


def _own_table(root: Path) -> Path:
    """The painter's own decisions.csv, however its name is written."""
    there = (each for each in sorted(root.iterdir()) if each.name.casefold() == DECISIONS)
    return next(there, root / DECISIONS)


def _rewrite(place: Path, gone: Collection[int], new: Iterable[dict[str, str]]) -> None:
    old = read_table(place, once=False) if place.exists() else Table(COLUMNS, (), ())
    if old.faults:
        raise BadInput(f"{place} has rows that would be lost: {'; '.join(old.faults)}", "Mend them there first")
    columns = (*old.columns, *(name for name in COLUMNS if name not in old.columns))
    kept = [row for line, row in zip(old.lines, old.rows, strict=True) if line not in gone]
    write_text(place, written(Table(columns, (*kept, *new), ())))


class _Reading:
    """The rows of tables, made into decisions on the files of a listing."""

    def __init__(self, home: Home, painter: str, listing: Listing) -> None:
        self._root = home.scans(painter)
        self._pictures = {picture.relative: picture.path for picture in listing.pictures}
        # of a withdrawn work the file may be gone: what was decided about it says nothing any more, and is no fault
        self._gone = {row.path for row in read_withdrawn(home, painter)} - {"", *self._pictures}
        scans = read_manifest(home.register(painter) / MANIFEST, Scan)
        self._sizes: dict[str, tuple[int, int] | None] = {scan.path: (scan.width, scan.height) for scan in scans}

    def all(self, tables: Mapping[str, Table]) -> Decisions:
        rows, faults = [], []
        for relative, table in tables.items():
            meant = meant_picture(relative, [*self._pictures, *self._gone])
            said = list(table.faults)
            for line, row in zip(table.lines, table.rows, strict=True):
                try:
                    scan, why = meant(row)
                    if not scan:
                        raise BadInput(f"{row['file']!r}: {why}", _MEND)
                    if scan in self._gone:
                        continue
                    decision = self._decision(scan, row)
                except BadInput as bad:
                    said.append(f"line {line}: {bad.reason}")
                else:
                    rows.append(Row(scan, decision, relative, line, identity(relative, row)))
            faults += [Refusal(relative, fault, _MEND) for fault in said]
        return Decisions(tuple(rows), tuple(faults))

    def check(self, new: Iterable[tuple[str, Decision]]) -> list[str]:
        """Why decisions cannot be used, a sentence each."""
        found = []
        for scan, decision in new:
            try:
                if scan not in self._pictures:
                    raise BadInput(f"{scan!r}: there is no such scan", _MEND)
                self._decision(scan, as_row(scan, decision))
            except BadInput as bad:
                found.append(bad.reason)
        return found

    def _decision(self, scan: str, row: Mapping[str, str]) -> Decision:
        said = re.sub(r"[\s_-]+", " ", row.get("what", "").strip().casefold())
        what = next((kind for kind in KINDS if kind == said), None)
        if what is None:
            raise BadInput(f"{row.get('what', '')!r} is nothing to decide; write one of: {', '.join(KINDS)}", _MEND)
        box = _box(row)
        if box is None and what in PLACED:
            raise BadInput(f"{what!r} needs a place: left, top, right and bottom in the scan's pixels", _MEND)
        if box is not None:
            self._check_box(scan, what, box)
        why, who, when = (_one_line(row.get(name, "")) for name in ("why", "who", "when"))
        return Decision(what=what, box=box, why=why, who=who, when=when)

    def _check_box(self, scan: str, what: str, box: Corners) -> None:
        left, top, right, bottom = box
        place = f"{left},{top} to {right},{bottom}"
        if left >= right or top >= bottom:
            raise BadInput(f"{place}: right must be greater than left, and bottom than top", _MEND)
        size = self._size(scan)
        if size and (left < 0 or top < 0 or right > size[0] or bottom > size[1]):
            raise BadInput(f"{place} does not lie in {scan!r}, which has {size[0]} x {size[1]} pixels", _MEND)
        smallest = min(right - left, bottom - top)
        if what in ("area", "crop") and smallest < SMALLEST:
            raise BadInput(f"{place} is {smallest} pixels narrow; {what!r} needs {SMALLEST} a side", _MEND)
        if what == "crop" and fitted(box) is None:
            shapes = " or ".join(f"{width} to {height}" for width, height in CROP_SIZES)
            raise BadInput(f"{place} is {right - left} x {bottom - top}: a crop's sides must be as {shapes}", _MEND)

    def _size(self, scan: str) -> tuple[int, int] | None:
        """Width and height, upright; None of a file that is no picture, which the stage raw_scans says."""
        if scan not in self._sizes:
            try:
                image = decode(self._pictures[scan]).image
                self._sizes[scan] = (image.width, image.height)
            except BadInput:
                self._sizes[scan] = None
        return self._sizes[scan]


def _box(row: Mapping[str, str]) -> Corners | None:
    """The four numbers of a row; None where all of them are empty. Raises BadInput for others."""
    cells = [row.get(side, "").strip() for side in _SIDES]
    if not any(cells):
        return None
    whole = [re.fullmatch(r"(-?\d{1,9})(?:[.,]0+)?", cell) for cell in cells]
    odd = [f"{side} {cell!r}" for side, cell, number in zip(_SIDES, cells, whole, strict=True) if not number]
    if odd:
        raise BadInput(f"not whole numbers: {', '.join(odd)}", _MEND)
    left, top, right, bottom = (int(number[1]) for number in whole if number)
    return left, top, right, bottom


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_LONGEST]

"""What the archive says about its scans: artworks.csv, the .txt beside a scan, and captions.csv over both."""

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from artmaster_pipeline.errors import BadInput
from artmaster_pipeline.scans.listing import ARTWORKS, CAPTIONS, Entry, Listing, Refusal, is_table

COLUMNS = ("file", "title", "accession_number", "date", "season", "subject", "caption", "rights", "rights_until")
_LONGEST = 2000  # characters of one field; a text encoder reads about 2,000 at most
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}  # as spreadsheets write any of them
_FORMULA = re.compile(r"'*(?![+-][\d.,]+$)[=+\-@\t\r]")  # to a spreadsheet; -200 is a number
_MARKS = (  # byte order marks, the longer ones first since one begins like the other
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


@dataclass
class Descriptions:
    """Fields by picture (`Entry.relative`), and what was wrong in the files they came from, one sentence each."""

    by_picture: dict[str, dict[str, str]] = field(default_factory=dict)
    from_table: set[str] = field(default_factory=set)  # pictures that an artworks.csv describes
    unread: list[Refusal] = field(default_factory=list)  # tables and texts of which nothing could be used
    partial: list[Refusal] = field(default_factory=list)  # what could not be used of the others
    notes: list[str] = field(default_factory=list)  # what a person should know, though nothing is wrong
    undated: list[Refusal] = field(default_factory=list)  # pictures whose rights end on a day that cannot be read

    @property
    def faults(self) -> list[str]:
        """All that was wrong or is worth knowing, a line each."""
        return [*(f"{each.relative}: {each.reason}" for each in (*self.unread, *self.partial)), *self.notes]


@dataclass(frozen=True)
class Table:
    """An artworks.csv as it is written: rows by column name (lower case, underscores), the cells as they were meant."""

    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    faults: tuple[str, ...]  # rows that cannot be used, and why
    lines: tuple[int, ...] = ()  # of the rows, in the file that they were read from


def describe(listing: Listing, elsewhere: Iterable[str] = ()) -> Descriptions:
    """Read every artworks.csv, sidecar and captions.csv of a listing.

    The sidecar's text is the caption before the table's, and captions.csv, a person's last word, before both.

    A table may also speak of the pictures `elsewhere` (paths as in the listing): those that the data home has already.
    """
    found, corrections = Descriptions(), []
    pictures = [picture.relative for picture in listing.pictures]
    for table in listing.tables:
        try:
            content = read_table(table.path)
        except BadInput as bad:
            found.unread.append(Refusal(table.relative, bad.reason, bad.remedy))
        else:
            if is_table(table.relative, (CAPTIONS,)):
                corrections.append((table.relative, content))
            else:
                _describe_from_table(table.relative, content, [*pictures, *elsewhere], found)
    texts = {_form(str(Path(text.relative).with_suffix(""))): text for text in listing.captions}
    for relative in pictures:
        text = texts.get(_form(str(Path(relative).with_suffix(""))))
        if text and (caption := _read_caption(text, found)):
            found.by_picture.setdefault(relative, {})["caption"] = caption
    for relative, content in corrections:
        _correct_captions(relative, content, [*pictures, *elsewhere], found)
    return found


def read_table(path: Path, *, once: bool = True) -> Table:
    """An artworks.csv: commas, semicolons and tabs are understood; UTF-8, and what a byte order mark announces.

    A file may have one row, or several where it is not `once`. Rows that cannot be used are left out and named in
    `faults`. Raises BadInput where the whole table cannot be read.
    """
    text = read_text(path, "CSV UTF-8")
    if not text.strip():
        raise BadInput("It is empty", f"Write a header line ({', '.join(COLUMNS[:3])}, ...) and a row for each scan")
    announced = re.match(r"sep=(.)\r?\n", text)  # a line that Excel understands
    text = text[announced.end() :] if announced else text
    delimiter = announced[1] if announced else max(_DELIMITERS, key=lambda each: _header_rank(text, each))
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [_column(_said(name)) for name in next(lines, [])]
        _check_header(columns)
        return _rows(columns, lines, lambda: lines.line_num, _DELIMITERS.get(delimiter, "such signs"), once)
    except csv.Error as error:
        raise BadInput(
            f"line {lines.line_num}: {error}", "Mend that line: put a text that holds quotes or commas in quotes"
        ) from error


def read_text(path: Path, kind: str = "UTF-8") -> str:
    """The words of a file in UTF-8, or in UTF-16 or UTF-32 with a byte order mark; `kind` is what to save it as else.

    Raises BadInput with the reason.
    """
    remedy = f"Save it as '{kind}'"
    if path.exists() and not path.is_file():
        raise BadInput("It is a folder, a pipe or a device, not a file", "Rename it, or move it away")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(f"It cannot be read ({error.strerror})", "Put a readable copy in its place") from error
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8-sig")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadInput("It is not UTF-8" if encoding == "utf-8-sig" else f"Its {encoding} is broken", remedy) from error
    if "\0" in text:
        raise BadInput("It holds NUL bytes, as no text does", remedy)
    return text


def cleaned_title(relative: str) -> str:
    """A title from a file's name: no leading counter, no underscores."""
    stem = " ".join(Path(relative).stem.replace("_", " ").split())
    without_counter = re.sub(r"^\d+[\s.\-]+(?=\D)", "", stem)
    return unicodedata.normalize("NFC", without_counter.strip() or stem)


def merged(old: Table, new: Table) -> Table:
    """Two tables as one: what `new` says of a file replaces what `old` said, column by column; all else stays."""
    columns = [*old.columns, *(name for name in new.columns if name not in old.columns)]
    rows = {_name(row): row for row in old.rows}
    spoken = {_name(row) for row in new.rows}
    alike: dict[str, list[str]] = {}
    for name in rows:
        alike.setdefault(_form(name), []).append(name)
    for row in new.rows:
        name = _name(row)
        close = [other for other in alike.get(_form(name), []) if other not in spoken]
        key = name if name in rows or len(close) != 1 else close[0]
        rows[key] = rows.get(key, {}) | row
    return Table(tuple(columns), tuple(rows.values()), ())


def kept_silently(old: Table, new: Table) -> str:
    """What stays of `old` in rows that `new` describes, since `new` lacks the columns; empty where nothing does."""
    again = {_form(_name(row)) for row in new.rows}
    stays = {
        name
        for row in old.rows
        for name, text in row.items()
        if _form(_name(row)) in again and name not in new.columns and text.strip()
    }
    return f"it has no column {', '.join(sorted(stays))}: what the table before said there stays" if stays else ""


def written(table: Table) -> str:
    """A table as the text of an artworks.csv; what a spreadsheet would run as a formula is text there, too."""
    rows = [table.columns, *([row.get(name, "") for name in table.columns] for row in table.rows)]
    return "".join(f"{_line(map(_as_text, row))}\n" for row in rows)


def _line(cells: Iterable[str]) -> str:
    """A row without its end. A carriage return in a cell is quoted only where it is part of the line's end, too."""
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().removesuffix("\r\n")


def _as_text(cell: str) -> str:
    """A cell with an apostrophe before what would be a formula; `_said` takes it away again."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _said(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _header_rank(text: str, delimiter: str) -> tuple[bool, int]:
    try:
        header = next(csv.reader(io.StringIO(text.split("\n", 1)[0]), delimiter=delimiter, strict=True), [])
    except csv.Error:
        return False, 0
    return "file" in map(_column, header), len(header)


def _check_header(columns: Sequence[str]) -> None:
    if "file" not in columns:
        raise BadInput("It has no column 'file'", f"Name the columns in its first line: {', '.join(COLUMNS)}")
    twice = sorted(name for name, count in Counter(columns).items() if name and count > 1)
    if twice:
        raise BadInput(f"Two of its columns are called {', '.join(twice)}", "Keep one column of each name")


def _rows(
    columns: list[str], lines: Iterator[list[str]], line: Callable[[], int], delimiters: str, once: bool
) -> Table:
    rows: dict[int, dict[str, str]] = {}
    faults, named = [], set()
    for cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        row = {name: _said(cell) for name, cell in zip(columns, cells, strict=False) if name}
        row["file"] = row.get("file", "").strip()
        if any(cell.strip() for cell in cells[len(columns) :]):
            faults.append(
                f"line {line()} ({' | '.join(cells)[:120]}): more cells than columns ({len(cells)} for "
                f"{len(columns)}), so the row is not used; put texts with {delimiters} in quotes"
            )
        elif any(cell.strip() for name, cell in zip(columns, cells, strict=False) if not name):
            faults.append(f"line {line()}: a cell under a column without a name, so the row is not used")
        elif not row["file"]:
            faults.append(f"line {line()}: no file is named")
        elif once and _name(row) in named:
            faults.append(f"line {line()}: {row['file']!r} is described twice; the first row counts")
        else:
            named.add(_name(row))
            rows[line()] = row
    return Table(tuple(name for name in columns if name), tuple(rows.values()), tuple(faults), tuple(rows))


def _describe_from_table(relative: str, table: Table, pictures: list[str], found: Descriptions) -> None:
    """What an artworks.csv says of each picture."""

    def take(picture: str, row: dict[str, str]) -> None:
        found.from_table.add(picture)
        read = [name for name in COLUMNS[1:] if name in row]
        fields = {name: _clean(row[name], f"{relative}: the {name} of {row['file']}", found) for name in read}
        found.by_picture[picture] = {name: text for name, text in fields.items() if text}
        _check_date(picture, relative, row["file"], found)

    _take_rows(relative, table, pictures, found, found.from_table, take)
    if unknown := sorted(set(table.columns) - set(COLUMNS)):
        found.notes.append(f"{relative}: columns nobody reads: {', '.join(unknown)}")


def _check_date(picture: str, relative: str, file: str, found: Descriptions) -> None:
    """Bring a row's rights_until to one form; a picture whose date cannot be read is left out, not used for ever."""
    fields = found.by_picture[picture]
    text = fields.pop("rights_until", "")
    if not text:
        return
    try:
        fields["rights_until"] = date.fromisoformat(text).isoformat()
    except ValueError:
        remedy = "Write the date as year-month-day, for example 2031-12-31, then add or run again"
        found.partial.append(Refusal(relative, f"{file!r}: its rights_until {text!r} is no date", remedy))
        reason = f"Nobody can say how long it may be used: its rights_until in {relative} is no date ({text!r})"
        found.undated.append(Refusal(picture, reason, remedy))


def _correct_captions(relative: str, table: Table, pictures: list[str], found: Descriptions) -> None:
    """The captions of a captions.csv in place of all others; a row without one leaves the picture as it is."""
    corrected: set[str] = set()

    def take(picture: str, row: dict[str, str]) -> None:
        corrected.add(picture)
        if caption := _clean(row.get("caption", ""), f"{relative}: the caption of {row['file']}", found):
            found.by_picture.setdefault(picture, {}).update(caption=caption, caption_source=CAPTIONS)

    _take_rows(relative, table, pictures, found, corrected, take)


def _take_rows(
    relative: str,
    table: Table,
    pictures: list[str],
    found: Descriptions,
    taken: set[str],
    take: Callable[[str, dict[str, str]], None],
) -> None:
    """Give `take` each row with the picture that it speaks of; `taken` are the pictures that had theirs."""
    meant = meant_picture(relative, pictures)
    faults = list(table.faults)
    for row in table.rows:
        picture, why = meant(row)
        if not picture:
            faults.append(f"{row['file']!r}: {why}")
        elif picture in taken:
            faults.append(f"{row['file']!r} is described twice; the first row counts")
        else:
            take(picture, row)
    remedy = "Mend the row, then add or run again"
    found.partial.extend(Refusal(relative, fault, remedy) for fault in faults)


def meant_picture(relative: str, pictures: Iterable[str]) -> Callable[[dict[str, str]], tuple[str, str]]:
    """For the rows of the table at `relative`: which of `pictures` a row speaks of; or an empty text, and why."""
    folder = relative.rpartition("/")[0]
    start = f"{folder}/" if folder else ""
    exact: dict[str, str] = {}
    alike: dict[str, set[str]] = {}
    for picture in pictures:
        exact[picture.removeprefix(start)] = picture
        for name in {picture, picture.rpartition("/")[2], picture.removeprefix(start)}:
            alike.setdefault(_form(name), set()).add(picture)

    def meant(row: dict[str, str]) -> tuple[str, str]:
        close = alike.get(_form(_name(row)), set())
        picture = exact.get(_name(row)) or (next(iter(close)) if len(close) == 1 else "")
        why = "more than one scan has that name" if close else "there is no such scan"
        return (picture, "") if picture else ("", why)

    return meant


def _read_caption(text: Entry, found: Descriptions) -> str:
    try:
        return _clean(read_text(text.path), f"{text.relative}: its caption", found)
    except BadInput as bad:
        found.unread.append(Refusal(text.relative, f"{bad.reason}, and was not used", bad.remedy))
    return ""


def _clean(text: str, what: str, found: Descriptions) -> str:
    """One line without control characters, at most `_LONGEST` characters; what is cut is said."""
    visible = "".join(" " if unicodedata.category(character) == "Cc" else character for character in text)
    line = " ".join(visible.split())
    if len(line) > _LONGEST:
        found.notes.append(
            f"{what} has {len(line):,} characters ({len(line.split()):,} words): only the first {_LONGEST:,} are used"
        )
    return unicodedata.normalize("NFC", line[:_LONGEST])


def _name(row: dict[str, str]) -> str:
    """The file that a row speaks of, as a POSIX path below the table's folder."""
    return row["file"].replace("\\", "/").removeprefix("./")


def _column(name: str) -> str:
    return re.sub(r"[\s\-]+", "_", name.strip().lower())


def _form(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


__all__ = [
    "ARTWORKS", "CAPTIONS", "COLUMNS", "Descriptions", "Table", "cleaned_title", "describe", "kept_silently",
    "meant_picture", "merged", "read_table", "read_text", "written",
]  # fmt: skip

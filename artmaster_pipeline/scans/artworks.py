"""What the archive says about its scans: artworks.csv and the .txt beside a scan."""

import csv
import io
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from artmaster_pipeline.scans.listing import ARTWORKS, Entry, Listing

COLUMNS = ("file", "title", "accession_number", "date", "season", "subject", "caption", "rights")
_LONGEST = 2000  # characters of one field; a text encoder reads about 2,000 at most


@dataclass
class Descriptions:
    """Fields by picture (`Entry.relative`), and what was wrong in the files they came from, one sentence each."""

    by_picture: dict[str, dict[str, str]] = field(default_factory=dict)
    from_table: set[str] = field(default_factory=set)  # pictures that an artworks.csv describes
    faults: list[str] = field(default_factory=list)


def describe(listing: Listing) -> Descriptions:
    """Read every artworks.csv and sidecar of a listing. The sidecar's text is the caption, before the table's."""
    found = Descriptions()
    pictures = {picture.relative: picture for picture in listing.pictures}
    for table in listing.tables:
        _describe_from_table(table, pictures, found)
    texts = {_form(str(Path(text.relative).with_suffix(""))): text for text in listing.captions}
    for relative in pictures:
        text = texts.get(_form(str(Path(relative).with_suffix(""))))
        if text and (caption := _read_caption(text, found.faults)):
            found.by_picture.setdefault(relative, {})["caption"] = caption
    return found


def read_table(path: Path) -> tuple[list[dict[str, str]], list[str]]:
    """The rows of an artworks.csv by column name (lower case, underscores), and what is wrong with it.

    Commas, semicolons and tabs are understood, as spreadsheets write any of them; a byte order mark is dropped.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        return [], [f"it cannot be read ({error.strerror})"]
    except UnicodeDecodeError:
        return [], ["it is not UTF-8: save it as 'CSV UTF-8'"]
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [_column(name) for name in next(lines, [])]
        if "file" not in columns:
            return [], ["it has no column 'file'"]
        return _rows(columns, lines)
    except csv.Error as error:
        return [], [f"line {lines.line_num}: {error}"]


def cleaned_title(relative: str) -> str:
    """A title from a file's name: no leading counter, no underscores."""
    stem = " ".join(Path(relative).stem.replace("_", " ").split())
    without_counter = re.sub(r"^\d+[\s.\-]+(?=\D)", "", stem)
    return unicodedata.normalize("NFC", without_counter.strip() or stem)


def _rows(columns: list[str], lines: Any) -> tuple[list[dict[str, str]], list[str]]:
    rows, faults = [], []
    unknown = sorted({name for name in columns if name and name not in COLUMNS})
    if unknown:
        faults.append(f"columns nobody reads: {', '.join(unknown)}")
    for cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        named = zip(columns, cells, strict=False)
        row = {name: cell.strip() if name == "file" else _clean(cell) for name, cell in named if name in COLUMNS}
        if len(cells) > len(columns):
            faults.append(f"line {lines.line_num}: more cells than columns; put texts with commas in quotes")
        if row.get("file"):
            rows.append(row)
        else:
            faults.append(f"line {lines.line_num}: no file is named")
    return rows, faults


def _describe_from_table(table: Entry, pictures: dict[str, Entry], found: Descriptions) -> None:
    rows, faults = read_table(table.path)
    folder = table.relative.rpartition("/")[0]
    exact = {relative.removeprefix(f"{folder}/" if folder else ""): relative for relative in pictures}
    alike: dict[str, list[str]] = {}
    for relative in pictures:
        for name in {relative, relative.rpartition("/")[2], relative.removeprefix(f"{folder}/")}:
            alike.setdefault(_form(name), []).append(relative)
    for row in rows:
        name = row["file"].replace("\\", "/").removeprefix("./")
        close = alike.get(_form(name), [])
        relative = exact.get(name) or (close[0] if len(close) == 1 else "")
        if not relative:
            why = "more than one scan has that name" if close else "there is no such scan"
            faults.append(f"{row['file']!r}: {why}")
        elif relative in found.from_table:
            faults.append(f"{row['file']!r} is described twice; the first row counts")
        else:
            found.from_table.add(relative)
            found.by_picture[relative] = {name: text for name, text in row.items() if name != "file" and text}
    found.faults.extend(f"{table.relative}: {fault}" for fault in faults)


def _read_caption(text: Entry, faults: list[str]) -> str:
    try:
        return _clean(text.path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        faults.append(f"{text.relative}: it cannot be read ({error.strerror})")
    except UnicodeDecodeError:
        faults.append(f"{text.relative}: it is not UTF-8 and was not used")
    return ""


def _clean(text: str) -> str:
    """One line without control characters, at most `_LONGEST` characters."""
    visible = "".join(" " if unicodedata.category(character) == "Cc" else character for character in text)
    return unicodedata.normalize("NFC", " ".join(visible.split())[:_LONGEST])


def _column(name: str) -> str:
    return re.sub(r"[\s\-]+", "_", name.strip().lower())


def _form(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def merged_table(old: Path, new: Path) -> str:
    """Two artworks.csv as one: rows of `new` replace those of `old` for the same file, other old rows stay.

    A table that cannot be read adds nothing.
    """
    rows = {_form(row["file"]): row for table in (old, new) for row in read_table(table)[0]}
    lines = io.StringIO(newline="")
    writer = csv.DictWriter(lines, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows.values())
    return lines.getvalue()


__all__ = ["ARTWORKS", "COLUMNS", "Descriptions", "cleaned_title", "describe", "merged_table", "read_table"]

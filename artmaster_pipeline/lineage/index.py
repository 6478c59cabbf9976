"""An index of the records in SQLite, in the data home's cache: it answers from what a question is about alone.

It is brought up to date each time that somebody asks: a file of records whose size, time or inode is another is read
again, all others are not opened. It may be deleted at any time. One that is damaged, or was written into by anybody
else (a file beside it says how it was left), is made anew; a row that the disk damaged is told by its own hash.
"""

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, TypeVar

from artmaster_pipeline.adapters.finding import any_adapter
from artmaster_pipeline.adapters.withdrawn import closest
from artmaster_pipeline.files import write_text
from artmaster_pipeline.lineage.archive import Archive, Met, OfScan, adapter_and_snapshot
from artmaster_pipeline.lineage.pictures import EVALUATED, Picture, all_pictures
from artmaster_pipeline.records import (
    ADAPTER_RECORD,
    CURATED,
    MANIFEST,
    PROVENANCE,
    SNAPSHOT,
    VERSIONS_FOLDER,
    Adapter,
    AdapterSnapshot,
    Crop,
    CuratedScan,
    Record,
    Scan,
    Split,
    TrainingImage,
)
from artmaster_pipeline.scans.naming import folded
from artmaster_pipeline.settings import Home

_FORM = 3  # of the tables: another form is made anew
_AT_ONCE = 64  # files of records that are read between two commits
_CACHE = 64 * 1024  # KiB of pages that SQLite keeps in memory

Kind = Literal["scan", "crop", "image", "curated"]
R = TypeVar("R", bound=Record)
T = TypeVar("T")

# The order of the sources is that in which the records are scanned: adapters by painter and id, then the manifests.
_TABLES = """
CREATE TABLE source(id INTEGER PRIMARY KEY, path TEXT UNIQUE, state TEXT, rank INTEGER, painter TEXT, adapter TEXT);
CREATE TABLE record(
    id INTEGER PRIMARY KEY, digest BLOB UNIQUE, kind TEXT, scan TEXT, split TEXT, number TEXT, title TEXT, json TEXT
);
CREATE INDEX record_scan ON record(scan);
CREATE INDEX record_number ON record(number) WHERE number <> '';
CREATE INDEX record_title ON record(title) WHERE title <> '';
CREATE TABLE held(record INTEGER, source INTEGER, PRIMARY KEY(record, source)) WITHOUT ROWID;
CREATE INDEX held_source ON held(source);
CREATE TABLE trained(scan TEXT, source INTEGER, PRIMARY KEY(scan, source)) WITHOUT ROWID;
CREATE INDEX trained_source ON trained(source);
CREATE TABLE inherited(scan TEXT, source INTEGER, part TEXT, through TEXT, PRIMARY KEY(scan, source)) WITHOUT ROWID;
CREATE INDEX inherited_source ON inherited(source);
CREATE TABLE published(scan TEXT, adapter TEXT, source INTEGER, PRIMARY KEY(scan, adapter, source)) WITHOUT ROWID;
CREATE INDEX published_source ON published(source);
CREATE TABLE picture(id TEXT, source INTEGER, PRIMARY KEY(id, source)) WITHOUT ROWID;
CREATE INDEX picture_source ON picture(source);
CREATE TABLE drew(adapter TEXT, source INTEGER, PRIMARY KEY(adapter, source)) WITHOUT ROWID;
CREATE INDEX drew_source ON drew(source);
CREATE TABLE shows(scan TEXT, source INTEGER, PRIMARY KEY(scan, source)) WITHOUT ROWID;
CREATE INDEX shows_source ON shows(source);
"""
_BY_SOURCE = ("held", "trained", "inherited", "published", "picture", "drew", "shows")


class _Damaged(Exception):
    """The index is not what was written."""


class _CannotIndex(Exception):
    """Records that cannot be read: scanning says which."""


def index_file(home: Home) -> Path:
    """Where the index is."""
    return home.cache / "lineage" / "records.sqlite"


def asked_of_index(home: Home, question: "Callable[[Archive], T]", otherwise: "Callable[[], T]") -> T:
    """What `question` answers from the index, brought up to date; `otherwise` where it cannot be kept or is damaged.

    It cannot be kept where the home may only be read, or records cannot be read: scanning says which.
    """
    opened = _opened(home)
    if opened is None:
        return otherwise()
    try:
        with closing(opened):
            return question(Indexed(home, opened))
    except (sqlite3.DatabaseError, _Damaged):
        _delete_alone(index_file(home))
        return otherwise()


def _opened(home: Home) -> sqlite3.Connection | None:
    from filelock import FileLock

    if not home.root.is_dir():
        return None
    file = index_file(home)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_suffix(".lock")):
            for again in (True, False):
                try:
                    return _up_to_date(home, file)
                except (sqlite3.DatabaseError, _Damaged) as error:
                    if not again or "locked" in str(error):  # somebody reads it for long: it is not damaged
                        return None
                    _delete(file)
    except (OSError, _CannotIndex):
        return None
    return None


def _delete_alone(file: Path) -> None:
    from filelock import FileLock

    with suppress(OSError), FileLock(file.with_suffix(".lock")):
        _delete(file)


def _delete(file: Path) -> None:
    for each in (file, _left_as(file), file.with_name(f"{file.name}-journal"), file.with_name(f"{file.name}-wal")):
        each.unlink(missing_ok=True)


def _left_as(file: Path) -> Path:
    """Where the size, time and inode are written with which the index was left."""
    return file.with_suffix(".left")


def _is_as_left(file: Path) -> bool:
    try:
        return _left_as(file).read_text(encoding="utf-8") == _state(file)
    except (OSError, UnicodeDecodeError):
        return False


def _up_to_date(home: Home, file: Path) -> sqlite3.Connection:
    if file.exists() and not _is_as_left(file):
        raise _Damaged
    connection = sqlite3.connect(file, isolation_level=None)
    try:
        connection.execute(f"PRAGMA cache_size = -{_CACHE}")
        connection.execute("PRAGMA synchronous = NORMAL")
        form = connection.execute("PRAGMA user_version").fetchone()[0]
        if form != _FORM:
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise _Damaged
            connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_FORM}; COMMIT;")
            write_text(_left_as(file), _state(file))
        _update(home, connection, file)
    except BaseException:
        connection.close()
        raise
    return connection


# --- bringing it up to date


@dataclass(frozen=True)
class _Source:
    path: str  # POSIX, below the data home
    state: str
    rank: int  # 0: of an adapter; 1: a manifest; 2: only what is asked for by name
    painter: str
    adapter: str
    kind: str


def _update(home: Home, connection: sqlite3.Connection, file: Path) -> None:
    there = {source.path: source for source in _sources(home)}
    known = dict(connection.execute("SELECT path, state FROM source"))
    gone = [path for path in known if path not in there]
    new = [source for source in there.values() if known.get(source.path) != source.state]
    if not gone and not new:
        return
    work: list[_Source | str] = [*gone, *new]
    for begin in range(0, len(work), _AT_ONCE):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for each in work[begin : begin + _AT_ONCE]:
                _renew(home, connection, each)
            connection.execute("COMMIT")
            write_text(_left_as(file), _state(file))
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise


def _sources(home: Home) -> Iterator[_Source]:
    """Every file of records, with its size, time and inode."""
    root = home.root
    patterns: list[tuple[str, int, str]] = [
        (f"register/*/{MANIFEST}", 1, "scan"),
        (f"crops/*/{MANIFEST}", 1, "crop"),
        (f"crops/*/{CURATED}", 1, "curated"),
        (f"training_set/*/{MANIFEST}", 1, "image"),
        *((f"{name}/{depth}/{MANIFEST}", 2, "sample") for name in EVALUATED for depth in ("*", "*/*")),
        (f"gallery/*/{MANIFEST}", 2, "sample"),
        (f"gallery/*/{PROVENANCE}", 2, "provenance"),
        (f"gallery/{VERSIONS_FOLDER}/*/*/{MANIFEST}", 2, "sample"),
        (f"gallery/{VERSIONS_FOLDER}/*/*/{PROVENANCE}", 2, "provenance"),
    ]
    for pattern, rank, kind in patterns:
        for file in root.glob(pattern):
            parts = file.relative_to(root).parts
            painter = parts[2] if parts[1] == VERSIONS_FOLDER else parts[1]
            if parts[1] == VERSIONS_FOLDER and len(parts) == 4:  # the folder itself, by the gallery's pattern
                continue
            yield _Source("/".join(parts), _state(file), rank, painter, "", kind)
    for record in root.glob(f"adapters/*/*/{ADAPTER_RECORD}"):
        parts = record.relative_to(root).parts
        if len(parts[2]) == 16 and not set(parts[2]) - set("0123456789abcdef"):
            snapshot = record.with_name(SNAPSHOT)
            path = "/".join(parts[:3])
            if not snapshot.is_file():
                raise _CannotIndex
            yield _Source(path, f"{_state(record)} {_state(snapshot)}", 0, parts[1], parts[2], "adapter")


def _state(file: Path) -> str:
    stat = file.stat()
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"


def _renew(home: Home, connection: sqlite3.Connection, source: _Source | str) -> None:
    """Take a source out of the index and, if it is still there, in again."""
    path = source if isinstance(source, str) else source.path
    row = connection.execute("SELECT id FROM source WHERE path = ?", (path,)).fetchone()
    freed: list[tuple[int]] = []
    if row is not None:
        freed = connection.execute("SELECT record FROM held WHERE source = ?", row).fetchall()
        for table in _BY_SOURCE:
            connection.execute(f"DELETE FROM {table} WHERE source = ?", row)  # noqa: S608 - names of our own
        connection.execute("DELETE FROM source WHERE id = ?", row)
    if not isinstance(source, str):
        said = (source.path, source.state, source.rank, source.painter, source.adapter)
        cursor = connection.execute(
            "INSERT INTO source(path, state, rank, painter, adapter) VALUES (?, ?, ?, ?, ?)", said
        )
        try:
            _take_in(home, connection, source, int(cursor.lastrowid or 0))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _CannotIndex from error
    connection.executemany(
        "DELETE FROM record WHERE id = ? AND NOT EXISTS (SELECT 1 FROM held WHERE held.record = record.id)", freed
    )


def _take_in(home: Home, connection: sqlite3.Connection, source: _Source, number: int) -> None:
    place = home.root / source.path
    if source.kind == "adapter":
        record = json.loads((place / ADAPTER_RECORD).read_text(encoding="utf-8"))
        connection.executemany(
            "INSERT OR IGNORE INTO trained VALUES (?, ?)", ((scan, number) for scan in record["scan_sha256s"])
        )
        snapshot = json.loads((place / SNAPSHOT).read_text(encoding="utf-8"))
        kinds: list[tuple[Kind, str]] = [("scan", "scans"), ("crop", "crops"), ("image", "training_images")]
        for kind, name in kinds:
            _take_rows(connection, number, kind, snapshot.pop(name))
        _take_rows(connection, number, "curated", snapshot.pop("curated", ()))
        inherited = (snapshot.get("training") or {}).get("inherited", ())
        _take_rows(connection, number, "scan", (each["scan"] for each in inherited))
        ways = ((each["scan"]["sha256"], number, each["part"], each["through"]) for each in inherited)
        connection.executemany("INSERT OR IGNORE INTO inherited VALUES (?, ?, ?, ?)", ways)
    elif source.kind == "provenance":
        said = json.loads(place.read_text(encoding="utf-8"))["adapters"]
        rows = ((scan, name, number) for name, each in said.items() for scan in each["trained_on"])
        connection.executemany("INSERT OR IGNORE INTO published VALUES (?, ?, ?)", rows)
    else:
        with place.open(encoding="utf-8") as lines:
            content = [json.loads(line) for line in lines]
        if source.kind == "sample":
            _take_samples(connection, number, content)
        else:
            _take_rows(connection, number, source.kind, content)  # type: ignore[arg-type]


def _take_rows(connection: sqlite3.Connection, source: int, kind: Kind, rows: Iterable[dict[str, Any]]) -> None:
    digests, records = [], []
    for row in rows:
        text = json.dumps(row, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        digest = _digest(kind, text)
        scan = str(row["sha256"] if kind == "scan" else row["scan_sha256"])
        number, title = (folded(row.get(name, "")) if kind == "scan" else "" for name in ("accession_number", "title"))
        records.append((digest, kind, scan, row.get("split", ""), number, title, text))
        digests.append((source, digest))
    connection.executemany(
        "INSERT OR IGNORE INTO record(digest, kind, scan, split, number, title, json) VALUES (?, ?, ?, ?, ?, ?, ?)",
        records,
    )
    connection.executemany("INSERT OR IGNORE INTO held SELECT id, ? FROM record WHERE digest = ?", digests)


def _take_samples(connection: sqlite3.Connection, source: int, rows: list[dict[str, Any]]) -> None:
    drew = {name for row in rows for name in (*row.get("adapter_ids", ()), row.get("adapter_id", ""))} - {""}
    connection.executemany("INSERT OR IGNORE INTO picture VALUES (?, ?)", ((row["id"], source) for row in rows))
    connection.executemany("INSERT OR IGNORE INTO drew VALUES (?, ?)", ((name, source) for name in drew))
    scans = {row["scan_sha256"] for row in rows if row.get("scan_sha256")}
    connection.executemany("INSERT OR IGNORE INTO shows VALUES (?, ?)", ((scan, source) for scan in scans))


def _digest(kind: str, text: str) -> bytes:
    return blake2b(f"{kind} {text}".encode(), digest_size=16).digest()


# --- asking it


@dataclass(frozen=True)
class Indexed:
    """The records by the index: only what a question is about is read."""

    home: Home
    connection: sqlite3.Connection

    def adapter_ids(self) -> list[str]:
        """The ids of all adapters."""
        return [row[0] for row in self._all("SELECT adapter FROM source WHERE rank = 0 ORDER BY painter, adapter")]

    def adapter(self, adapter_id: str) -> tuple[Adapter, AdapterSnapshot] | None:
        """An adapter with its snapshot."""
        return adapter_and_snapshot(self.home, adapter_id)

    def scans_called(self, name: str) -> list[Scan]:
        """The scans of that sha256 (or its first digits), number or title; where there are none, of titles with it."""
        exact = (
            "r.id IN (SELECT id FROM record WHERE scan >= ? AND scan < ? AND kind = 'scan' UNION "
            "SELECT id FROM record WHERE number <> '' AND number = ? UNION "
            "SELECT id FROM record WHERE title <> '' AND title = ?)"
        )
        digits = name if len(name) >= 8 else "x"
        found = self._records(Scan, exact, (digits, f"{digits}g", name, name))
        if found or len(name) < 2:
            return found
        holding = "r.id IN (SELECT id FROM record INDEXED BY record_title WHERE title <> '' AND instr(title, ?) > 0)"
        return self._records(Scan, holding, (name,))

    def of_scan(self, sha256: str) -> OfScan:
        """All records of the scan."""
        published = self._all("SELECT DISTINCT adapter FROM published WHERE scan = ?", sha256)
        return OfScan(
            scans=tuple(self._records(Scan, "r.kind = 'scan' AND r.scan = ?", (sha256,))),
            crops=tuple(self._records(Crop, "r.kind = 'crop' AND r.scan = ?", (sha256,))),
            images=tuple(self._records(TrainingImage, "r.kind = 'image' AND r.scan = ?", (sha256,))),
            curated=tuple(self._records(CuratedScan, "r.kind = 'curated' AND r.scan = ?", (sha256,))),
            met=tuple(self._met(sha256)),
            published_from=frozenset(row[0] for row in published),
        )

    def pictures(self, adapter_ids: Collection[str], scan_sha256: str = "") -> tuple[Picture, ...]:
        """The pictures of every painter with a manifest that names one of the adapters or shows the scan."""
        sources = {
            row[0] for name in adapter_ids for row in self._all("SELECT source FROM drew WHERE adapter = ?", name)
        }
        if scan_sha256:
            sources |= {row[0] for row in self._all("SELECT source FROM shows WHERE scan = ?", scan_sha256)}
        ids = {row[0] for each in sources for row in self._all("SELECT id FROM picture WHERE source = ?", each)}
        return self._pictures_of(ids)

    def picture(self, picture_id: str) -> Picture | None:
        """The picture of that id."""
        return next((picture for picture in self._pictures_of({picture_id}) if picture.id == picture_id), None)

    def _pictures_of(self, ids: Collection[str]) -> tuple[Picture, ...]:
        of_id = "SELECT DISTINCT s.painter FROM picture p JOIN source s ON s.id = p.source WHERE p.id = ?"
        painters = {row[0] for each in ids for row in self._all(of_id, each)}
        return all_pictures(self.home, painters) if painters else ()

    def _met(self, sha256: str) -> Iterator[Met]:
        ways: dict[int, list[tuple[Split, str]]] = {}
        for source, part, through in self._all("SELECT source, part, through FROM inherited WHERE scan = ?", sha256):
            ways.setdefault(source, []).append((part, through))
        for (source,) in self._all("SELECT source FROM trained WHERE scan = ?", sha256):
            ways.setdefault(source, []).append(("train", ""))
        crops: dict[int, int] = {}
        rows = self._all(
            "SELECT h.source, r.kind, r.split FROM record r JOIN held h ON h.record = r.id "
            "JOIN source s ON s.id = h.source WHERE r.scan = ? AND s.rank = 0",
            sha256,
        )
        for source, kind, split in rows:
            crops[source] = crops.get(source, 0) + (kind == "crop")
            if kind == "image" and split != "train":  # the adapter's record decides what it was trained on
                ways.setdefault(source, []).append((split, ""))
        order = "SELECT id, adapter FROM source WHERE rank = 0 ORDER BY painter, adapter"
        for source, adapter_id in self._all(order) if ways else ():
            if source in ways and (adapter := any_adapter(self.home, adapter_id)):
                part, through = closest(ways[source])
                yield Met(adapter, part, crops.get(source, 0), through)

    def _records(self, kind: type[R], where: str, values: tuple[str, ...]) -> list[R]:
        """Records, once for each source that holds them, in the sources' order."""
        rows = self.connection.execute(
            "SELECT r.digest, r.kind, r.json FROM record r JOIN held h ON h.record = r.id "  # noqa: S608 - of our own
            f"JOIN source s ON s.id = h.source WHERE {where} ORDER BY s.rank, s.painter, s.adapter, r.id",
            values,
        )
        found = []
        for digest, name, text in rows:
            if _digest(name, text) != digest:
                raise _Damaged
            found.append(kind.model_validate_json(text))
        return found

    def _all(self, question: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(question, values).fetchall()

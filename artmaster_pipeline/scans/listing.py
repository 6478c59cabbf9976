"""What lies in a folder of scans: pictures, their sidecars, what has to be refused and why, what is ignored.

A file is known by its first bytes, whatever it is called; no pixels are decoded here, but those of what may be tiles of
one picture. No folder and no text is followed out of the folder; a link to a picture elsewhere is a
picture.
"""

import os
import stat
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from artmaster_pipeline.scans.kinds import HEAD, SUFFIXES, Foreign, kind_of
from artmaster_pipeline.scans.leftovers import is_ours, is_own_file, is_own_folder
from artmaster_pipeline.scans.tiles import tiled_pictures
from artmaster_pipeline.settings import PAINTER_FILE, Home

EXTENSIONS = tuple(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
ARTWORKS, CAPTIONS = "artworks.csv", "captions.csv"
TABLES = (ARTWORKS, CAPTIONS)
DECISIONS = "decisions.csv"  # what persons decided about the pictures: read by the room curation
_SIDECAR = ".txt"
_OF_TILES = ("info.json", "imageproperties.xml", "vips-properties.xml", "blank.png")
_HIDDEN = "hidden"


@dataclass(frozen=True)
class Entry:
    """A file: `relative` is its POSIX path below the folder that was listed."""

    relative: str
    path: Path


@dataclass(frozen=True)
class Refusal:
    """An entry that cannot be taken: `relative` is printable UTF-8, whatever the name on disk is."""

    relative: str
    reason: str
    remedy: str


@dataclass
class Listing:
    """A folder's content, sorted by path."""

    pictures: list[Entry] = field(default_factory=list)
    captions: list[Entry] = field(default_factory=list)  # .txt files with a picture of the same name beside them
    tables: list[Entry] = field(default_factory=list)  # artworks.csv and captions.csv files
    decisions: list[Entry] = field(default_factory=list)  # decisions.csv files
    refused: list[Refusal] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)  # what systems keep for themselves, and how many files

    def passed_over_summary(self) -> tuple[str, ...]:
        """One line for each place that systems and programs keep for themselves, for people to see what was left."""
        return tuple(
            f"left out, kept by a system or program for itself: {name} ({count} file{'' if count == 1 else 's'})"
            for name, count in sorted(self.passed_over.items())
        )


def list_folder(root: Path) -> Listing:
    """List `root` and its sub-folders. What systems keep for themselves is counted; whatever cannot be used is named.

    The tiles of one picture are refused as one entry. `root` may be a link to a folder.
    """
    listing = Listing()
    texts: list[Entry] = []
    _list(root, "", listing, texts)
    stems = {_stem(picture.relative) for picture in listing.pictures}
    for text in texts:
        if _stem(text.relative) in stems:
            listing.captions.append(text)
        else:
            listing.ignored.append(text.relative)
    _put_tiles_together(root, listing)
    _refuse_texts_from_elsewhere(root, listing)
    for part in (listing.pictures, listing.captions, listing.tables, listing.decisions, listing.refused):
        part.sort(key=lambda entry: entry.relative)
    listing.ignored.sort()
    return listing


def _refuse_texts_from_elsewhere(root: Path, listing: Listing) -> None:
    """A link may show a picture that lies elsewhere; a text would carry whatever file it names into the pages."""
    remedy = "Put the file itself in its place"
    for part in (listing.captions, listing.tables, listing.decisions):
        for entry in [each for each in part if _leads_out(root, each.path)]:
            part.remove(entry)
            listing.refused.append(Refusal(entry.relative, "It is a link to a text outside of the folder", remedy))


def _leads_out(root: Path, path: Path) -> bool:
    if not path.is_symlink():
        return False
    target = os.path.realpath(path)  # which, unlike `resolve`, puts up with a link to itself
    return not Path(target).is_relative_to(os.path.realpath(root))


def is_table(path: str, names: tuple[str, ...] = (*TABLES, DECISIONS)) -> bool:
    """Whether a path's name is that of a table about pictures, however its letters are written."""
    return path.rpartition("/")[2].casefold() in names


def one_form(name: str) -> str:
    """`name` as it compares with names that differ in case or Unicode form only (NFC, case-folded)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def unreadable_entries(home: Home, painter: str) -> tuple[str, ...]:
    """What below scans/<painter>/ no tool can hash: broken links, pipes, unreadable entries, names not in UTF-8.

    Gives POSIX paths below that folder, as Python holds them (undecodable bytes as lone surrogates), sorted.
    """
    root = home.scans(painter)
    found = []
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(folder, name)
            if not _is_utf8(name) or not _can_be_hashed(path):
                found.append(path.relative_to(root).as_posix())
                if name in folders:
                    folders.remove(name)
    return tuple(sorted(found))


def _can_be_hashed(path: Path) -> bool:
    try:
        kind = path.stat().st_mode
    except OSError:
        return False
    if stat.S_ISDIR(kind):
        return not path.is_symlink() and os.access(path, os.R_OK | os.X_OK)
    return stat.S_ISREG(kind) and os.access(path, os.R_OK)


def _list(folder: Path, prefix: str, listing: Listing, texts: list[Entry]) -> None:
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        listing.refused.append(unreadable(prefix.rstrip("/") or ".", error))
        return
    for entry in found:
        relative = prefix + _printable(entry.name)
        if relative != PAINTER_FILE and not _passed_over(entry, relative, listing):
            _list_entry(entry, relative, folder / entry.name, listing, texts)


def _list_entry(entry: os.DirEntry[str], relative: str, path: Path, listing: Listing, texts: list[Entry]) -> None:
    suffix = Path(entry.name).suffix.lower()
    is_folder = entry.is_dir(follow_symlinks=False)
    is_text = suffix == _SIDECAR or is_table(entry.name)
    kind = None if is_folder or is_text else _kind(entry, path)
    wanted = kind or suffix in EXTENSIONS or is_text or is_folder
    refusal = (bad_name(relative, entry.name) if wanted else None) or _bad_kind(relative, entry, suffix)
    if kind is None and suffix in EXTENSIONS and path.is_symlink() and not refusal:
        refusal = Refusal(relative, "It is a link to something that is no picture", "Put a picture in its place")
    if isinstance(kind, Foreign) and not refusal:
        foreign = kind.refusal()
        refusal = Refusal(relative, foreign.reason, foreign.remedy)
    if refusal:
        listing.refused.append(refusal)
    elif is_folder:
        _list(path, f"{relative}/", listing, texts)
    elif is_table(entry.name):
        part = listing.decisions if is_table(entry.name, (DECISIONS,)) else listing.tables
        part.append(Entry(relative, path))
    elif is_text:
        texts.append(Entry(relative, path))
    elif wanted:
        listing.pictures.append(Entry(relative, path))
    else:
        listing.ignored.append(relative)


def _passed_over(entry: os.DirEntry[str], relative: str, listing: Listing) -> bool:
    """Whether a system or program keeps the entry for itself; then its files are counted."""
    if entry.is_dir(follow_symlinks=False):
        if not is_own_folder(entry.name):
            return False
        if count := sum(len(files) for _, _, files in os.walk(entry.path)):
            listing.passed_over[f"{relative}/"] += count
        return True
    if not is_own_file(entry.name):
        return False
    if not is_ours(entry.name):
        listing.passed_over[_HIDDEN if entry.name.startswith(".") else entry.name.strip()] += 1
    return True


def _kind(entry: os.DirEntry[str], path: Path) -> str | Foreign | None:
    """What a regular file is by its first bytes; None for what is no picture, and for what cannot be read."""
    try:
        if not entry.is_file():
            return None
        with path.open("rb") as file:
            return kind_of(file.read(HEAD), entry.name)
    except OSError:
        return None


def _put_tiles_together(root: Path, listing: Listing) -> None:
    for tiled in tiled_pictures(root, (picture.relative for picture in listing.pictures)):
        own = {f"{tiled.place}/{name}".removeprefix("./") for name in _OF_TILES}
        gone = {*tiled.tiles, *(name for name in _names(listing) if name.casefold() in {o.casefold() for o in own})}
        listing.pictures = [picture for picture in listing.pictures if picture.relative not in gone]
        listing.ignored = [name for name in listing.ignored if name not in gone]
        listing.refused.append(Refusal(tiled.place, tiled.reason, tiled.remedy))


def _names(listing: Listing) -> list[str]:
    return [*(picture.relative for picture in listing.pictures), *listing.ignored]


def bad_name(relative: str, name: str) -> Refusal | None:
    """Why an entry of that name, which is the last part of `relative`, cannot be taken; None where it can."""
    remedy = "Rename it with plain characters and add the folder again"
    if not _is_utf8(name):
        return Refusal(relative, "Its name is not valid UTF-8", remedy)
    if any(unicodedata.category(character) == "Cc" for character in name):
        return Refusal(relative, "Its name holds a line break or another control character", remedy)
    if "\\" in name or name.startswith(".."):
        return Refusal(relative, "Its name could be read as a path that leads out of its folder", remedy)
    return None


def _bad_kind(relative: str, entry: os.DirEntry[str], suffix: str) -> Refusal | None:
    """Why an entry is not a file to read. Other files than pictures and sidecars are nobody's loss: no reason given."""
    table = is_table(entry.name)
    if entry.is_dir(follow_symlinks=False):
        like = "a picture" if suffix in EXTENSIONS else "a table of artworks" if table else ""
        remedy = "Rename the folder, or move it away"
        return Refusal(relative, f"It is a folder named like {like}", remedy) if like else None
    try:
        kind = entry.stat().st_mode
    except OSError as error:
        return unreadable(relative, error) if suffix in EXTENSIONS or table else None
    if stat.S_ISDIR(kind):
        return Refusal(relative, "It is a link to a folder", "Put the folder itself here, or add it by itself")
    if not stat.S_ISREG(kind) and (suffix in (*EXTENSIONS, _SIDECAR) or table):
        return Refusal(relative, "It is a pipe or a device, not a file", "Put a file in its place")
    return None


def unreadable(relative: str, error: OSError) -> Refusal:
    """The refusal that `error`, raised while reading the entry, amounts to."""
    if isinstance(error, FileNotFoundError):
        return Refusal(relative, "It is a link to a file that does not exist", "Put the file itself in its place")
    if isinstance(error, PermissionError):
        return Refusal(relative, "This user may not read it", f"Allow it: chmod u+r {relative!r}, then add it again")
    return Refusal(relative, f"It cannot be read ({error.strerror})", "Put a readable copy in its place")


def _printable(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _stem(relative: str) -> str:
    return one_form(str(Path(relative).with_suffix("")))

"""What lies in a folder of scans: pictures, their sidecars, what has to be refused and why, what is ignored.

Nothing is opened here; a name or a kind of entry is all that is judged. No entry is followed out of the folder.
"""

import os
import stat
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from artmaster_pipeline.settings import PAINTER_FILE, Home

EXTENSIONS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")
ARTWORKS = "artworks.csv"
_SIDECAR = ".txt"


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
    tables: list[Entry] = field(default_factory=list)  # artworks.csv files
    refused: list[Refusal] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


def list_folder(root: Path) -> Listing:
    """List `root` and its sub-folders. Hidden entries are passed over; whatever else cannot be used is named."""
    listing = Listing()
    texts: list[Entry] = []
    _list(root, "", listing, texts)
    stems = {_stem(picture.relative) for picture in listing.pictures}
    for text in texts:
        if _stem(text.relative) in stems:
            listing.captions.append(text)
        else:
            listing.ignored.append(text.relative)
    for part in (listing.pictures, listing.captions, listing.tables, listing.refused):
        part.sort(key=lambda entry: entry.relative)
    listing.ignored.sort()
    return listing


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
        suffix = Path(entry.name).suffix.lower()
        is_folder = entry.is_dir(follow_symlinks=False)
        if (entry.name.startswith(".") and not entry.name.startswith("..")) or relative == PAINTER_FILE:
            continue
        wanted = suffix in (*EXTENSIONS, _SIDECAR) or entry.name.casefold() == ARTWORKS or is_folder
        refusal = (_bad_name(relative, entry.name) if wanted else None) or _bad_kind(relative, entry, suffix)
        if refusal:
            listing.refused.append(refusal)
        elif is_folder:
            _list(folder / entry.name, f"{relative}/", listing, texts)
        elif suffix in EXTENSIONS:
            listing.pictures.append(Entry(relative, folder / entry.name))
        elif suffix == _SIDECAR:
            texts.append(Entry(relative, folder / entry.name))
        elif entry.name.casefold() == ARTWORKS:
            listing.tables.append(Entry(relative, folder / entry.name))
        else:
            listing.ignored.append(relative)


def _bad_name(relative: str, name: str) -> Refusal | None:
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
    is_table = entry.name.casefold() == ARTWORKS
    if entry.is_dir(follow_symlinks=False):
        like = "a picture" if suffix in EXTENSIONS else "the table of artworks" if is_table else ""
        remedy = "Rename the folder, or move it away"
        return Refusal(relative, f"It is a folder named like {like}", remedy) if like else None
    try:
        kind = entry.stat().st_mode
    except OSError as error:
        return unreadable(relative, error) if suffix in EXTENSIONS or is_table else None
    if stat.S_ISDIR(kind):
        return Refusal(relative, "It is a link to a folder", "Put the folder itself here, or add it by itself")
    if not stat.S_ISREG(kind) and (suffix in (*EXTENSIONS, _SIDECAR) or is_table):
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

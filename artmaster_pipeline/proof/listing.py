"""Which files the product keeps for a painter, a canvas, a story or the data home itself; lists of their hashes."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from artmaster_pipeline.files import write_text
from artmaster_pipeline.proof.chain import PROOF
from artmaster_pipeline.records import REPORTS, VERSIONS_FOLDER, WITHDRAWALS
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stages import in_order, is_filed, kind_of, members

HOUSE = ".house"  # stands for a painter where the files are the data home's own; no painter can be called so
Listing = dict[str, str]  # POSIX path below the data home -> sha256; empty: it was found, and nobody hashed it then

_FOUND = "# found before the first line: "
_GALLERY = "gallery"  # the folder of which versions are kept
_PASSING = ".partial-"  # begins the names of what is being written


def listing_file(home: Home, painter: str) -> Path:
    """Where a painter's list is."""
    return home.root / PROOF / "files" / f"{painter}.sha256"


def read_listing(home: Home, painter: str) -> Listing | None:
    """A painter's list; None where there is none yet. Raises ValueError where it cannot be read."""
    file = listing_file(home, painter)
    if not file.is_file():
        return None
    found: Listing = {}
    for line in file.read_text(encoding="utf-8").split("\n")[:-1]:
        if line.startswith(_FOUND):
            found[line.removeprefix(_FOUND)] = ""
            continue
        sha256, between, path = line[:64], line[64:66], line[66:]
        if between != "  " or not path:
            raise ValueError(f"{file} holds a line that is no hash and name")
        found[path] = sha256
    return found


def write_listing(home: Home, painter: str, listing: Mapping[str, str]) -> None:
    """Write a painter's list: `sha256sum --check` reads it in the data home."""
    lines = [f"{sha256}  {path}\n" if sha256 else f"{_FOUND}{path}\n" for path, sha256 in sorted(listing.items())]
    write_text(listing_file(home, painter), "".join(lines))


def owner_of(partition: str) -> str:
    """With whom a partition's files are listed: a painter, the first of a set's members, a canvas or a story itself."""
    return partition if is_filed(partition) else members(partition)[0]


def folders(home: Home, painter: str) -> dict[str, str]:
    """The folders that the product writes for a painter, POSIX paths below the data home, and the stage of each.

    Those of a set of painters go with the first of its members; a canvas or a story has its own, and stands for
    a painter here.
    """
    kinds = (kind_of(painter),) if is_filed(painter) else ("painter", "painters")
    found = {}
    for stage in in_order():
        if stage.kind not in kinds:
            continue
        place = home.root / stage.folder
        versions = place / VERSIONS_FOLDER
        names = {painter}
        if stage.kind == "painters":
            names = {entry.name for each in (place, versions) for entry in each.glob(f"{painter}--*")}
        for name in sorted(names):
            found[f"{stage.folder}/{name}"] = stage.name
            if stage.folder == _GALLERY:
                found[f"{stage.folder}/{VERSIONS_FOLDER}/{name}"] = stage.name
    return found


def files_there(home: Home, painter: str) -> dict[str, os.stat_result]:
    """Every file in those folders, POSIX path below the data home; what is just being written is passed over."""
    if painter == HOUSE:
        return _of_the_house(home)
    return {
        path: state
        for folder in folders(home, painter)
        for path, state in _files_below(str(home.root / folder), folder)
    }


def _of_the_house(home: Home) -> dict[str, os.stat_result]:
    """The ledger of withdrawals, the reports on them, and the pages over all painters."""
    places = [home.root / WITHDRAWALS, *sorted((home.root / "gallery").glob("[!.]*.html"))]
    there = {place.relative_to(home.root).as_posix(): place.stat() for place in places if place.is_file()}
    return there | dict(_files_below(str(home.root / REPORTS), REPORTS))


def _files_below(place: str, path: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        entries = list(os.scandir(place))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.name.startswith(_PASSING) or (entry.name.startswith(".") and entry.name.endswith(".lock")):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files_below(entry.path, f"{path}/{entry.name}")
        elif "\n" not in entry.name:
            yield f"{path}/{entry.name}", entry.stat(follow_symlinks=False)

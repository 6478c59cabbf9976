"""Bytes that shall be nowhere any more: taken out of DVC's cache and out of its remotes.

`dvc gc` does not serve: it keeps all that some commit of git names, and everything that other projects share.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.settings import Home
from artmaster_pipeline.versioning.repository import find_root, one_writer, opened, patiently


@dataclass(frozen=True)
class Purged:
    """How many objects went out of the cache and out of the remotes, and what could not be done, one sentence each."""

    cache: int = 0
    remotes: int = 0
    faults: tuple[str, ...] = ()


def cached_files(home: Home, md5s: Iterable[str]) -> dict[str, Path]:
    """Where DVC's cache keeps those bytes, by md5; what it does not have is left out."""
    root = find_root(home)
    wanted = sorted(set(md5s))
    if root is None or not wanted:
        return {}
    with one_writer(home), opened(root) as repo:
        places = {md5: Path(repo.cache.local.oid_to_path(md5)) for md5 in wanted}
    return {md5: place for md5, place in places.items() if place.is_file()}


def purge(
    home: Home, md5s: Collection[str], ids: Collection[str] = (), sha256s: dict[str, int] | None = None
) -> Purged:
    """Take objects out of DVC's cache and of every remote that its settings name.

    Beside those with the given `md5s`: what any version of a folder in the cache calls by one of the `ids` (16 digits
    at the beginning of a file's or folder's name), and files of the sizes in `sha256s` (sha256 -> bytes) that have that
    sha256. What the home names as it is now stays, whoever's it is: other works may have the same bytes, for example an
    empty mask.
    """
    root = find_root(home)
    if root is None:
        return Purged()
    with one_writer(home), opened(root) as repo:
        cache = Path(repo.cache.local.path)
        wanted = {*md5s, *_named(cache, set(ids)), *_by_content(cache, sha256s or {})}
        wanted -= _in_use(repo)
        faults: list[str] = []
        in_remotes = sum(_purge_remote(repo, str(name), wanted, faults) for name in repo.config["remote"])
        in_cache = 0
        for md5 in sorted(wanted):
            place = Path(repo.cache.local.oid_to_path(md5))
            try:
                in_cache += place.is_file()
                place.unlink(missing_ok=True)
            except OSError as error:
                faults.append(f"DVC's cache still has {place}: {error.strerror}. Remove it by hand.")
    return Purged(in_cache, in_remotes, tuple(faults))


def _in_use(repo: Any) -> set[str]:
    """The md5 of everything that the pointers name now, files of folders included."""
    try:
        used = patiently(repo.used_objs)
    except Exception as error:
        raise ArtMasterError(
            f"DVC could not say what {repo.root_dir} names ({type(error).__name__}), so nothing was purged: see what "
            "`dvc status` says, mend that, then run the same command again."
        ) from error
    return {found.value for objects in used.values() for found in objects}


def _objects(cache: Path) -> Iterator[Path]:
    yield from (file for file in cache.glob("??/*") if file.is_file())


def _named(cache: Path, ids: set[str]) -> Iterator[str]:
    for folder in (file for file in _objects(cache) if ids and file.name.endswith(".dir")):
        try:
            rows = json.loads(folder.read_text(encoding="utf-8"))
        except ValueError:
            continue
        yield from (row["md5"] for row in rows if any(part[:16] in ids for part in row["relpath"].split("/")))


def _by_content(cache: Path, sha256s: dict[str, int]) -> Iterator[str]:
    sizes = set(sha256s.values())
    for file in _objects(cache) if sizes else ():
        if file.stat().st_size in sizes and sha256_of(file) in sha256s:
            yield file.parent.name + file.name


def _purge_remote(repo: Any, name: str, md5s: set[str], faults: list[str]) -> int:
    """How many objects were taken out of a remote."""
    try:
        remote = repo.cloud.get_remote_odb(name)
        there = sorted(set(remote.oids_exist(sorted(md5s)))) if md5s else []
        for md5 in there:
            remote.delete(md5)
    except Exception as error:  # each store's library has errors of its own
        said = f"The DVC remote {name} was not purged ({type(error).__name__})"
        faults.append(f"{said}. Check it, then withdraw again with --purge.")
        return 0
    return len(there)

"""Deliveries: the addresses of deliveries.yaml, each laid out as scans/ is, and what lies there. Nothing is fetched."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import is_slug
from artmaster_pipeline.records import identity
from artmaster_pipeline.scans.kinds import Foreign, kind_of
from artmaster_pipeline.scans.leftovers import is_own_file, is_own_folder
from artmaster_pipeline.scans.listing import EXTENSIONS, is_table
from artmaster_pipeline.settings import PAINTER_FILE, Home
from artmaster_pipeline.stores import md5_of, open_store, refuse_secrets, unreachable
from artmaster_pipeline.yaml_text import read_yaml

DELIVERIES = "deliveries.yaml"
PROTOCOLS = ("s3", "gs", "abfs", "abfss", "az", "sftp", "file", "memory")
_KNOWN = "s3://bucket/prefix, gs://bucket/prefix, abfs://container/prefix, sftp://user@host/folder, file:///folder"
_FIRST = 5  # names of one kind that a note tells


@dataclass(frozen=True)
class RemoteFile:
    """A file of a painter's folder at an address. `relative` is its path below that folder, as the store has it."""

    relative: str
    path: str  # in the store
    size: int
    mark: str  # changes with the content: a checksum of it, or a time
    is_checksum: bool

    @property
    def version(self) -> str:
        """A name for the content; without a checksum for the content under this name."""
        return identity(self.size, self.mark) if self.is_checksum else identity(self.relative, self.size, self.mark)


@dataclass
class Delivery:
    """What lies at one address: files by painter, and what is left out there, in words."""

    url: str
    files: dict[str, list[RemoteFile]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def source(self) -> str:
        """The address in records."""
        return identity(self.url)


def read_deliveries(home: Home) -> tuple[str, ...]:
    """The addresses of deliveries.yaml; none where there is no such file. Raises WrongUse, naming all that is wrong."""
    file = home.root / DELIVERIES
    if not file.exists():
        return ()
    form = f"expected a list of addresses, one '- URL' each ({_KNOWN})"
    try:
        content = read_yaml(file.read_text(encoding="utf-8")) or []
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise WrongUse(f"{file} cannot be read as YAML: {' '.join(str(error).split())}. Mend it there.") from error
    if not isinstance(content, list) or not all(isinstance(url, str) for url in content):
        raise WrongUse(f"{file}: {form}.")
    faults = [fault for url in content if (fault := _fault(home, url))]
    if faults:
        raise WrongUse(f"{file}: {'; '.join(faults)}. Mend it there: {form}.")
    return tuple(dict.fromkeys(url.rstrip("/") for url in content))


def list_delivery(url: str, painter: str | None = None) -> Delivery:
    """All files at an address, or those of one painter. Raises ArtMasterError where it cannot be read."""
    store, root = open_store(url)
    delivery = Delivery(url)
    odd: set[str] = set()
    other: dict[str, list[str]] = {}
    try:
        if painter is None:
            store.ls(root, detail=False)  # says what `find` passes over: that there is no such place
        found = store.find(f"{root}/{painter}" if painter else root, detail=True)
    except Exception as error:  # each library has its own family of errors, most of them not OSError
        raise unreachable(url, error) from error
    start = len(root) + 1
    for path, info in found.items():
        folder, _, relative = path[start:].partition("/")
        if not relative or info.get("type") == "directory" or is_own_folder(folder):
            continue
        if not is_slug(folder):
            odd.add(folder)
        elif _is_wanted(relative):
            delivery.files.setdefault(folder, []).append(_file(relative, path, info))
        elif not _is_systems(relative):
            other.setdefault(folder, []).append(relative)
    for folder in sorted(odd):
        delivery.notes.append(
            f"{url}: the folder {folder!r} is passed over: its name cannot be a painter's (lower-case letters, digits "
            "and single hyphens between them, at most 64). Rename it there"
        )
    for folder, names in sorted(other.items()):
        told = ", ".join(map(repr, sorted(names)[:_FIRST])) + (" ..." if len(names) > _FIRST else "")
        delivery.notes.append(f"{url}: {len(names)} files of {folder} are neither pictures nor texts on them: {told}")
    return delivery


def foreign_kind(relative: str) -> Foreign | None:
    """The kind of picture that is not read, told by a file's name."""
    kind = kind_of(b"", relative)
    return kind if isinstance(kind, Foreign) else None


def _fault(home: Home, url: str) -> str:
    split = urlsplit(url)
    scheme = split.scheme.lower() if "://" in url else ""
    if scheme not in PROTOCOLS:
        said = f"{scheme}:// addresses are not known" if scheme else f"{url!r} is no address"
        return said + (", write file:///folder for a folder" if not scheme else "")
    try:
        refuse_secrets(url, "an address", "the file")
    except WrongUse as error:  # said without the address, which holds what nobody should read
        return str(error).rstrip(".")
    if scheme == "file":
        if split.netloc not in ("", "localhost"):
            return f"{url}: a file:// address has three slashes, file:///folder, and names this machine"
        folder = Path(unquote(split.path)).resolve()
        if folder.is_relative_to(home.root) or home.root.is_relative_to(folder):
            return f"{url}: the data home lies in that folder, or it in the data home"
    return ""


def _is_wanted(relative: str) -> bool:
    if _is_systems(relative):
        return False
    suffix = PurePosixPath(relative).suffix.lower()
    named = relative == PAINTER_FILE or is_table(relative) or suffix in (*EXTENSIONS, ".txt")
    return named or foreign_kind(relative) is not None


def _is_systems(relative: str) -> bool:
    *folders, name = relative.split("/")
    return is_own_file(name) or any(is_own_folder(folder) for folder in folders)


def _file(relative: str, path: str, info: Mapping[str, Any]) -> RemoteFile:
    checksum = md5_of(info).hex() or str(info.get("ETag") or info.get("etag") or "").strip('"')
    return RemoteFile(relative, path, int(info.get("size") or 0), checksum or time_of(info), bool(checksum))


def time_of(info: Mapping[str, Any]) -> str:
    """When a store says that a file was changed, in one form; empty where it does not say."""
    names = ("mtime", "LastModified", "last_modified", "created")
    told = next((info[name] for name in names if info.get(name)), "")
    told = told.timestamp() if isinstance(told, datetime) else told
    return f"{told:.6f}" if isinstance(told, float) else str(told)

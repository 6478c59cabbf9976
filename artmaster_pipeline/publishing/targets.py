"""Where a published site can be copied: a folder, an object store, a static space of the Hugging Face hub.

Whatever the place, a visitor sees the old site or the new one, never a mixture; older versions stay; what lies there
and is not ours is never written over. Beside the painters' sites stands the page over those that are there.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from artmaster_pipeline.errors import ArtMasterError, MissingRequirement, WrongUse
from artmaster_pipeline.files import write_text
from artmaster_pipeline.gallery.pages import PAGE, painters_pages
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.publishing.publish import check_verdict, published_version
from artmaster_pipeline.publishing.versions import Entry, Shelf, Version, now
from artmaster_pipeline.records import MANIFEST, Sample, read_manifest
from artmaster_pipeline.settings import Home

STORES = ("s3", "gs", "az", "memory")
KNOWN = "a folder, file:///folder, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, hf://spaces/USER/NAME"

_MARK = '<meta name="generator" content="ArtMaster">'
_SECRET_NAME = re.compile(r"SECRET|TOKEN|PASSWORD|CREDENTIAL|KEY|CONNECTION_STRING|SAS", re.IGNORECASE)


@dataclass(frozen=True)
class Published:
    """A painter's site in place in a data home, on its way to somewhere else."""

    home: Home
    version: Version

    @property
    def painter(self) -> str:
        """The painter's slug: the folder's name at the target, too."""
        return self.version.painter

    @property
    def files(self) -> dict[str, Path]:
        """The site's files by their POSIX path below the site; pages last, the first page at the very end."""
        pages = {name for name in self.version.files if name.endswith(".html")}
        order = sorted(self.version.files, key=lambda name: (name in pages, name == PAGE, name))
        return {name: self.home.gallery(self.painter) / name for name in order}


@dataclass(frozen=True)
class Copied:
    """What copying did: where the site is, and how many files had to be sent."""

    where: str
    version: Version
    sent: int
    there: int  # files that were at the target already


class Target(Protocol):
    """A place for sites. `put` raises ArtMasterError, with the way out, where the place refuses."""

    def put(self, site: Published, progress: Progress) -> Copied:
        """Copy a site and make it the one that visitors see."""
        ...


def copy_gallery(home: Home, painter: str, url: str, progress: Progress = SILENT) -> Copied:
    """Copy the painter's published site to `url` (see KNOWN): `url`/<painter>/, and `url`/index.html over all there.

    Copying again sends only what is not there. Raises WrongUse for an address of another kind, NotPublished where the
    adapter has been judged unfit since it was published, ArtMasterError where nothing is published or the target
    refuses.
    """
    target = find_target(url, home)
    version = published_version(home, painter)
    check_verdict(home, painter, version.adapter_id, needed=False)
    copied = target.put(Published(home, version), progress)
    said = {"version_id": version.id, "adapter_id": version.adapter_id, "to": url}
    Shelf(home.root / "gallery", painter).note(Entry(when=now(), action="copied", **said))
    return copied


def find_target(url: str, home: Home) -> Target:
    """The target that an address names. Raises WrongUse, with the known kinds, where there is none of that kind."""
    scheme = urlsplit(url).scheme.lower() if "://" in url else ""
    if scheme in ("", "file"):
        return _folder(url, home)
    _refuse_secrets(url)
    if scheme in STORES:
        from artmaster_pipeline.publishing.stores import Store

        return Store(url.rstrip("/"))
    if scheme == "hf":
        from artmaster_pipeline.publishing.spaces import find_space

        return find_space(url)
    raise WrongUse(f"--to: ArtMaster does not know {scheme}:// addresses. It knows {KNOWN}.")


def pages_over(home: Home, galleries: dict[str, Sequence[Sample]], folders: dict[str, str]) -> dict[str, bytes]:
    """The pages over all painters of a target, by name; `folders` says where each painter's files are there."""
    return painters_pages(home, galleries, folders)


def is_ours(page: str) -> bool:
    """Whether a page was made by ArtMaster, and may be replaced by another one of ours."""
    return _MARK in page


@contextmanager
def refusals(where: str, remedy: str, missing: str) -> Iterator[None]:
    """Turn what a client library raises into one ArtMasterError that holds no secrets.

    `missing` is the message where the library itself is not installed, `remedy` the way out where access is refused.
    """
    try:
        yield
    except (ArtMasterError, LookupError, TypeError, AttributeError):  # a person's mistake is said, ours is not hidden
        raise
    except ImportError as error:
        raise MissingRequirement(missing) from error
    except Exception as error:  # each library has its own family of errors, most of them not OSError
        said = without_secrets(f"{type(error).__name__}: {error}")
        raise ArtMasterError(f"{where} could not be written ({said}). {remedy} What was sent is kept.") from error


def without_secrets(text: str) -> str:
    """`text` with the values of this process's secret environment variables taken out."""
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and len(value) >= 8:
            text = text.replace(value, "***")
    return text


@dataclass(frozen=True)
class Folder:
    """A folder of this machine, or one that it has mounted. Versions are kept there as in the data home."""

    root: Path

    def put(self, site: Published, progress: Progress) -> Copied:
        """Copy the site aside, then let it take the old one's place in one step."""
        from filelock import FileLock

        shelf = Shelf(self.root, site.painter)
        self.root.mkdir(parents=True, exist_ok=True)
        self._refuse_strangers(shelf)
        with FileLock(self.root / ".artmaster.lock"), progress.task(f"copying to {self.root}", 1) as advance:
            kept = shelf.is_kept(site.version)
            if not kept:
                shelf.keep(site.version, site.files)
            before = shelf.in_place()
            shelf.put_in_place(site.version)
            if before != site.version:
                said = {"version_id": site.version.id, "adapter_id": site.version.adapter_id}
                shelf.note(Entry(when=now(), action="published", **said))
            self._renew_pages(site.home, progress)
            advance(note=site.version.id)
        sent = 0 if kept else len(site.files)
        return Copied(str(shelf.site / PAGE), site.version, sent, len(site.files) - sent)

    def _refuse_strangers(self, shelf: Shelf) -> None:
        inhabited = shelf.site.exists() and (not shelf.site.is_dir() or any(shelf.site.iterdir()))
        if inhabited and not (shelf.site / MANIFEST).is_file():
            raise WrongUse(
                f"{shelf.site} holds something that is not a gallery of ArtMaster: it is left as it is. Choose another "
                "folder, or move it away."
            )

    def _renew_pages(self, home: Home, progress: Progress) -> None:
        manifests = sorted(file for file in self.root.glob(f"*/{MANIFEST}") if not file.parent.name.startswith("."))
        galleries: dict[str, Sequence[Sample]] = {m.parent.name: read_manifest(m, Sample) for m in manifests}
        for name, page in pages_over(home, galleries, {}).items():
            file = self.root / name
            there = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
            if there and not is_ours(there):
                progress.say(f"{file} is not a page of ArtMaster: it is left as it is.")
            elif there != page.decode():
                write_text(file, page.decode())


def _folder(url: str, home: Home) -> Folder:
    split = urlsplit(url)
    if split.scheme == "file" and split.netloc not in ("", "localhost"):
        raise WrongUse(f"--to {url}: a file:// address has three slashes, file:///folder, and names this machine.")
    path = Path(unquote(split.path) if split.scheme == "file" else url).expanduser().resolve()
    if path.is_relative_to(home.root):
        raise WrongUse(
            f"--to {path} lies in the data home {home.root}, whose gallery/ is published already. Choose a folder "
            "outside."
        )
    if path.exists() and not path.is_dir():
        raise WrongUse(f"--to {path} is a file. Name a folder.")
    return Folder(path)


def _refuse_secrets(url: str) -> None:
    split = urlsplit(url)
    if "@" in split.netloc or split.query or split.fragment:
        raise WrongUse(
            "--to: the address holds a user, a password or a query. Leave them out: they would stay in the shell's "
            "history and in the ledger. The usual places of each store are read instead, for example AWS_PROFILE, "
            "~/.aws/credentials, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_CONNECTION_STRING."
        )

"""Object stores (S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage) through fsspec.

A store has no folders to rename. So a version is sent whole to a prefix of its own, checked there, and only then small
pages are written over that lead to it:

    URL/<painter>/versions/<id>/...   the site; never written over, removed only where it holds a withdrawn work
    URL/<painter>/index.html ...      one small page for each page of the site, leading to the current version
    URL/<painter>/current.json        which version that is
    URL/<painter>/versions/index.html leads to the page over all painters
    URL/index.html                    the page over all painters there
"""

import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.gallery.pages import PAGE, painters_pages
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.publishing.copies import Copied, Published, is_ours, refusals
from artmaster_pipeline.publishing.versions import Version
from artmaster_pipeline.records import MANIFEST, Sample
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stages import check_partition
from artmaster_pipeline.stores import CLOUD, md5_of

CURRENT = "current.json"

_REMEDY = (
    "Check the bucket's name, the network, and that your credentials for it may write, then run the command again."
)
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".pem": "application/x-pem-file",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}
_FOR_EVER, _ASK_FIRST = "public, max-age=31536000, immutable", "no-cache"
_LEADING = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<meta name="generator" content="ArtMaster">
<meta http-equiv="refresh" content="0; url={target}">
<link rel="canonical" href="{target}">
</head>
<body><p><a href="{target}">{title}</a></p></body>
</html>
"""


@dataclass(frozen=True)
class Store:
    """A prefix of a bucket."""

    url: str

    def put(self, site: Published, progress: Progress) -> Copied:
        """Send what is not there yet, check all of it, then let the pages lead to it."""
        with refusals(self.url, _REMEDY, CLOUD):
            import fsspec

            store, root = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
            root = root.rstrip("/")
            sent = self._send(store, f"{root}/{_version_folder(site)}", site, progress)
            self._switch(store, f"{root}/{site.painter}", site)
            self._renew_pages(store, root, site.home, site.painter, progress)
        return Copied(f"{self.url}/{site.painter}/{PAGE}", site.version, sent, len(site.files) - sent)

    def take_down(self, home: Home, version: Version, progress: Progress) -> tuple[str, ...]:
        """Remove a version's objects, and before them the pages that lead to it, the last of them what says so."""
        with refusals(self.url, _REMEDY, CLOUD):
            import fsspec

            store, root = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
            root = root.rstrip("/")
            folder = f"{root}/{check_partition(version.painter)}"
            current = f"{folder}/{CURRENT}"
            leading = store.exists(current) and json.loads(store.cat_file(current))["version"] == version.id
            for name in sorted(store.find(folder) if leading else (), key=lambda name: name == current):
                if not name.startswith(f"{folder}/versions/"):
                    store.rm_file(name)
            for name in store.find(f"{folder}/versions/{version.id}"):
                store.rm_file(name)
            self._renew_pages(store, root, home, version.painter, progress)
        return (f"{self.url}: what its own versioning and its visitors' caches keep of removed files is not removed.",)

    def _send(self, store: Any, place: str, site: Published, progress: Progress) -> int:
        """Send the files of a version that are not there whole; gives how many that were."""
        there = {name: info["size"] for name, info in store.find(place, detail=True).items()}
        missing = [
            (name, file)
            for name, file in site.files.items()
            if there.get(f"{place}/{name}") != file.stat().st_size or not _is_same(store, f"{place}/{name}", file)
        ]
        total = len(site.files)
        with progress.task(f"copying to {self.url}", total, total - len(missing)) as advance:
            for name, file in missing:
                store.put_file(str(file), f"{place}/{name}", **_said(self.url, name, _FOR_EVER))
                if not _is_same(store, f"{place}/{name}", file):
                    raise ArtMasterError(
                        f"{self.url}: {site.painter}/{name} did not arrive as it was sent. The site there is "
                        "unchanged; run the command again."
                    )
                advance(note=name)
        return len(missing)

    def _switch(self, store: Any, folder: str, site: Published) -> None:
        current = {"version": site.version.id, "adapter": site.version.adapter_id, "made": site.version.made}
        text = json.dumps(current, indent=2, sort_keys=True) + "\n"
        self._write(store, f"{folder}/{CURRENT}", text.encode())
        pages = [name for name in site.files if name.endswith(".html")]  # the first page is the last of them
        for name in pages:
            page = _leading(site.painter, f"{'../' * name.count('/')}versions/{site.version.id}/{name}")
            self._write(store, f"{folder}/{name}", page)

    def _renew_pages(self, store: Any, root: str, home: Home, of: str, progress: Progress) -> None:
        galleries: dict[str, Sequence[Sample]] = {}
        folders: dict[str, str] = {}
        for file in sorted(store.glob(f"{root}/*/{CURRENT}")):
            painter = check_partition(file.split("/")[-2])
            version = str(json.loads(store.cat_file(file))["version"])
            folders[painter] = f"{painter}/versions/{version}"
            lines = store.cat_file(f"{root}/{folders[painter]}/{MANIFEST}").decode().splitlines()
            galleries[painter] = [Sample.model_validate_json(line) for line in lines]
        for name, page in painters_pages(home, galleries, folders).items():
            there = store.cat_file(f"{root}/{name}") if store.exists(f"{root}/{name}") else b""
            if there and not is_ours(there.decode(errors="replace")):
                progress.say(f"{self.url}/{name} is not a page of ArtMaster: it is left as it is.")
            elif there != page:
                self._write(store, f"{root}/{name}", page)
            up = _leading("All painters", f"../../{name}")  # a site's link to the folder above it ends here
            self._write(store, f"{root}/{of}/versions/{name}", up)

    def _write(self, store: Any, path: str, content: bytes) -> None:
        store.pipe_file(path, content, **_said(self.url, path, _ASK_FIRST))


def _version_folder(site: Published) -> str:
    return f"{site.painter}/versions/{site.version.id}"


def _leading(title: str, target: str) -> bytes:
    """A page that leads to another one, with and without scripts."""
    return _LEADING.format(title=html.escape(title), target=html.escape(quote(target))).encode()


def _said(url: str, name: str, caching: str) -> Mapping[str, Any]:
    """What is to be said with a file, in the words of each store: its content type, and how long it may be cached."""
    kind = _TYPES.get(Path(name).suffix.lower(), "application/octet-stream")
    scheme = url.split("://", maxsplit=1)[0]
    if scheme == "s3":
        return {"ContentType": kind, "CacheControl": caching}
    if scheme == "gs":
        return {"content_type": kind, "fixed_key_metadata": {"cache_control": caching}}
    if scheme == "az":
        from azure.storage.blob import ContentSettings

        return {"content_settings": ContentSettings(content_type=kind, cache_control=caching)}
    return {}


def _is_same(store: Any, path: str, file: Path) -> bool:
    """Whether the object has the file's content: by the md5 that the store tells, else by reading it back."""
    info = store.info(path)
    if info["size"] != file.stat().st_size:
        return False
    with file.open("rb") as content:
        md5 = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).digest()
    if md5_of(info) == md5:
        return True
    return _sha256_there(store, path) == sha256_of(file)  # an ETag of many parts or of an encrypted object is no md5


def _sha256_there(store: Any, path: str) -> str:
    with store.open(path, "rb") as content:
        digest = hashlib.sha256()
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()

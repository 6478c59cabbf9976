"""Where a published site can be copied: a folder, an object store, a static space of the Hugging Face hub.

Whatever the place, a visitor sees the old site or the new one, never a mixture; older versions stay; what lies there
and is not ours is never written over. Beside the painters' sites stands the page over those that are there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from artmaster_pipeline import proof
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.files import write_text
from artmaster_pipeline.gallery.pages import PAGE, painters_pages
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.publishing.copies import Copied, Published, Target, is_ours
from artmaster_pipeline.publishing.publish import check_verdict, published_version
from artmaster_pipeline.publishing.taking_down import check_site
from artmaster_pipeline.publishing.versions import LedgerEntry, SiteVersions, Version, now
from artmaster_pipeline.records import MANIFEST, Sample, read_manifest
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stores import refuse_secrets

STORES = ("s3", "gs", "az", "memory")
KNOWN = "a folder, file:///folder, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, hf://spaces/USER/NAME"


def copy_gallery(home: Home, painter: str, url: str, progress: Progress = SILENT) -> Copied:
    """Copy the painter's published site to `url` (see KNOWN): `url`/<painter>/, and `url`/index.html over all there.

    Copying again sends only what is not there. Raises WrongUse for an address of another kind, HoldsWithdrawn where the
    site shows a withdrawn work, NotPublished where the adapter has been judged unfit since it was published,
    ArtMasterError where nothing is published or the target refuses.
    """
    target = find_target(url, home)
    check_site(home, painter)
    version = published_version(home, painter)
    if version.adapter_id:
        check_verdict(home, painter, version.adapter_id, needed=False)
    copied = target.put(Published(home, version), progress)
    said = {"version_id": version.id, "adapter_id": version.adapter_id, "to": url}
    site_versions = SiteVersions(home.root / "gallery", painter)
    site_versions.note(LedgerEntry(when=now(), action="copied", **said))
    proof.note_file(home, painter, site_versions.ledger_file)
    return copied


def find_target(url: str, home: Home) -> Target:
    """The target that an address names. Raises WrongUse, with the known kinds, where there is none of that kind."""
    scheme = urlsplit(url).scheme.lower() if "://" in url else ""
    if scheme in ("", "file"):
        return _folder(url, home)
    refuse_secrets(url, "--to", "the shell's history and in the ledger")
    if scheme in STORES:
        from artmaster_pipeline.publishing.stores import Store

        return Store(url.rstrip("/"))
    if scheme == "hf":
        from artmaster_pipeline.publishing.spaces import find_space

        return find_space(url)
    raise WrongUse(f"--to: ArtMaster does not know {scheme}:// addresses. It knows {KNOWN}.")


@dataclass(frozen=True)
class Folder:
    """A folder of this machine, or one that it has mounted. Versions are kept there as in the data home."""

    root: Path

    def put(self, site: Published, progress: Progress) -> Copied:
        """Copy the site aside, then let it take the old one's place in one step."""
        from filelock import FileLock

        site_versions = SiteVersions(self.root, site.painter)
        self.root.mkdir(parents=True, exist_ok=True)
        self._refuse_strangers(site_versions)
        with FileLock(self.root / ".artmaster.lock"), progress.task(f"copying to {self.root}", 1) as advance:
            kept = site_versions.is_kept(site.version)
            if not kept:
                site_versions.keep(site.version, site.files)
            before = site_versions.in_place()
            site_versions.put_in_place(site.version)
            if before != site.version:
                said = {"version_id": site.version.id, "adapter_id": site.version.adapter_id}
                site_versions.note(LedgerEntry(when=now(), action="published", **said))
            self._renew_pages(site.home, progress)
            advance(note=site.version.id)
        sent = 0 if kept else len(site.files)
        return Copied(str(site_versions.site / PAGE), site.version, sent, len(site.files) - sent)

    def take_down(self, home: Home, version: Version, progress: Progress) -> tuple[str, ...]:
        """Remove a version there, and the site where it is that one; a folder that is gone cannot be reached."""
        from filelock import FileLock

        site_versions = SiteVersions(self.root, version.painter)
        if not self.root.is_dir():
            raise ArtMasterError(f"{self.root} is not there: connect the drive, or make the folder again if it is gone")
        with FileLock(self.root / ".artmaster.lock"):
            site_versions.remove(version)
            self._renew_pages(home, progress)
        return ()

    def _refuse_strangers(self, site_versions: SiteVersions) -> None:
        site = site_versions.site
        inhabited = site.exists() and (not site.is_dir() or any(site.iterdir()))
        if inhabited and not (site / MANIFEST).is_file():
            raise WrongUse(
                f"{site} holds something that is not a gallery of ArtMaster: it is left as it is. Choose another "
                "folder, or move it away."
            )

    def _renew_pages(self, home: Home, progress: Progress) -> None:
        manifests = sorted(file for file in self.root.glob(f"*/{MANIFEST}") if not file.parent.name.startswith("."))
        galleries: dict[str, Sequence[Sample]] = {m.parent.name: read_manifest(m, Sample) for m in manifests}
        for name, page in painters_pages(home, galleries, {}).items():
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

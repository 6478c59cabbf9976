"""Static spaces of the Hugging Face hub: one commit holds the whole switch, the space's history the older versions."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from artmaster_pipeline.errors import MissingRequirement, WrongUse
from artmaster_pipeline.gallery.pages import PAGE, painters_pages
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.publishing.copies import Copied, Published, refusals
from artmaster_pipeline.publishing.taking_down import painters_behind
from artmaster_pipeline.publishing.versions import Version, is_site_of
from artmaster_pipeline.records import MANIFEST, Sample, read_manifest
from artmaster_pipeline.settings import Home, load_painter
from artmaster_pipeline.stages import check_partition

_ADDRESS = re.compile(r"hf://spaces/([\w.-]+/[\w.-]+)/?", re.ASCII)
_FRESH = {".gitattributes", "README.md", "index.html", "style.css"}  # what the hub puts into a new static space
_LICENCES = (  # in the hub's words, by what a statement of rights says
    ("cc0-1.0", re.compile(r"\bCC0\b|publicdomain/zero", re.IGNORECASE)),
    ("cc-by-sa-4.0", re.compile(r"\bCC[ -]BY-SA[ -]4\.0\b|licenses/by-sa/4\.0", re.IGNORECASE)),
    ("cc-by-4.0", re.compile(r"\bCC[ -]BY[ -]4\.0\b|licenses/by/4\.0", re.IGNORECASE)),
)
_REMEDY = (
    "Check the space's name, the network, and that your token may write to it "
    "(https://huggingface.co/settings/tokens), then run the command again."
)
_MISSING = "The hub's client is not installed: pip install huggingface_hub"


@dataclass(frozen=True)
class Space:
    """A space of the hub, `USER/NAME`."""

    name: str

    def put(self, site: Published, progress: Progress) -> Copied:
        """Make the space where there is none, and put the site there in one commit."""
        with refusals(f"The space {self.name}", _REMEDY, _MISSING):
            import huggingface_hub as hub

            if hub.get_token() is None:
                raise MissingRequirement(
                    f"The hub wants to know who writes to {self.name}: make a token that may write at "
                    "https://huggingface.co/settings/tokens and run `hf auth login` (or set HF_TOKEN)."
                )
            api = hub.HfApi()
            api.create_repo(self.name, repo_type="space", space_sdk="static", exist_ok=True)
            there = set(api.list_repo_files(self.name, repo_type="space"))
            self._refuse_strangers(there)
            operations = self._operations(hub, api, site, there)
            with progress.task(f"copying to the space {self.name}", 1) as advance:
                title = f"{site.painter}: version {site.version.id}, adapter {site.version.adapter_id}"
                api.create_commit(self.name, operations, commit_message=title, repo_type="space")
                advance()
        where = f"https://huggingface.co/spaces/{self.name}"
        return Copied(where, site.version, len(site.files), 0)

    def take_down(self, home: Home, version: Version, progress: Progress) -> tuple[str, ...]:
        """Remove the painter's site from the space in one commit, where it is that version; its history stays."""
        kept = f"https://huggingface.co/spaces/{self.name}: the space's history keeps what was removed, and only its "
        kept += "owner can squash it (HfApi.super_squash_history)."
        with refusals(f"The space {self.name}", _REMEDY, _MISSING):
            import huggingface_hub as hub

            api = hub.HfApi()
            there = set(api.list_repo_files(self.name, repo_type="space"))
            gone = sorted(name for name in there if name.startswith(f"{check_partition(version.painter)}/"))
            manifest = f"{version.painter}/{MANIFEST}"
            if manifest not in there or not is_site_of(self._fetched(api, manifest), version):
                return (kept,)
            operations: list[Any] = [hub.CommitOperationDelete(name) for name in gone]
            galleries = self._galleries(api, there - set(gone))
            pages = painters_pages(home, dict(sorted(galleries.items())), {})
            operations += [hub.CommitOperationAdd(name, page) for name, page in pages.items()]
            api.create_commit(self.name, operations, commit_message=f"{version.painter}: taken down", repo_type="space")
        return (kept,)

    def _refuse_strangers(self, there: set[str]) -> None:
        if not there <= _FRESH and not any(name.endswith(f"/{MANIFEST}") for name in there):
            raise WrongUse(
                f"The space {self.name} holds something that is not a gallery of ArtMaster: it is left as it is. "
                "Choose another name; a space that does not exist is made."
            )

    def _operations(self, hub: Any, api: Any, site: Published, there: set[str]) -> list[Any]:
        """All files of the site and the pages over it; files of an older version that are no longer in it go."""
        wanted = {f"{site.painter}/{name}": str(file) for name, file in site.files.items()}
        operations = [hub.CommitOperationAdd(path, file) for path, file in wanted.items()]
        gone = {name for name in there if name.startswith(f"{site.painter}/")} - set(wanted)
        operations += [hub.CommitOperationDelete(name) for name in sorted(gone)]
        galleries = {site.painter: read_manifest(site.files[MANIFEST], Sample)}
        galleries |= self._galleries(api, there - set(wanted))
        pages = painters_pages(site.home, dict(sorted(galleries.items())), {})
        operations += [hub.CommitOperationAdd(name, page) for name, page in pages.items()]
        operations.append(hub.CommitOperationAdd("README.md", _card(site.home, self.name, site.painter).encode()))
        if PAGE in there and "style.css" in there & _FRESH and there <= _FRESH:
            operations.append(hub.CommitOperationDelete("style.css"))
        return operations

    def _galleries(self, api: Any, there: set[str]) -> dict[str, tuple[Sample, ...]]:
        """The published records of every painter among the space's files."""
        manifests = sorted(name for name in there if re.fullmatch(f"[^/]+/{re.escape(MANIFEST)}", name))
        return {
            check_partition(name.split("/")[0]): read_manifest(self._fetched(api, name), Sample) for name in manifests
        }

    def _fetched(self, api: Any, name: str) -> Path:
        return Path(api.hf_hub_download(self.name, name, repo_type="space"))


def find_space(url: str) -> Space:
    """The space that hf://spaces/USER/NAME names; raises WrongUse for anything else."""
    found = _ADDRESS.fullmatch(url)
    if not found:
        raise WrongUse(f"--to {url}: the address of a space is hf://spaces/USER/NAME.")
    return Space(found.group(1))


def _card(home: Home, name: str, painter: str) -> str:
    """README.md, by whose front matter the hub knows a static space, its title and licence."""
    statements = [load_painter(home, member).rights for member in painters_behind(home, painter)]
    found = {next((licence for licence, said in _LICENCES if said.search(each)), "other") for each in statements}
    licence = found.pop() if len(found) == 1 else "other"  # of several painters, none holds for all
    matter = {"title": name.split("/")[1], "sdk": "static", "app_file": PAGE, "pinned": False, "license": licence}
    front = yaml.safe_dump(matter, allow_unicode=True, sort_keys=False)
    return (
        f"---\n{front}---\n\nPictures made with style adapters by ArtMaster: AI generated, none by the painters named. "
        f"Each painter's folder holds provenance.json, which leads from every picture to the scans behind it.\n"
    )

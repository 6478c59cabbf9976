"""What a picture file says about itself, and whether that can be believed.

Three things are asked, in rising order of strength: whether picture and facts still fit the hashes in the file (tells
damage and editing, not forgery); whether the data home knows the picture and published it so; and whether its content
credentials are whole, and whose they are.
"""

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from artmaster_pipeline.adapters.finding import any_adapter
from artmaster_pipeline.containers import without_credentials
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.gallery.provenance import read_provenance
from artmaster_pipeline.pictures import AI_GENERATED, changes, read_facts
from artmaster_pipeline.publishing.credentials import EXTRA, Credentials, check_credentials
from artmaster_pipeline.publishing.versions import SiteVersions
from artmaster_pipeline.records import VERSIONS_FOLDER
from artmaster_pipeline.settings import Home

_HASHES = ("pixels_sha256", "data_sha256", "facts_sha256")
_NAMES = {  # the facts that are shown, and how they are called
    "notice": "Notice",
    "prompt": "Prompt",
    "seed": "Seed",
    "adapter": "Adapter",
    "base_model": "Base model",
    "base_revision": "Base revision",
    "enlarged_by": "Enlarged by",
    "id": "Picture",
    "scan_sha256": "Scan",
}
_STATES = {
    "none": "none",
    "house": "whole, signed by this house ({signer})",
    "other": "whole, signed by {signer}, whom this house does not know",
    "broken": "broken (they name {signer})",
    "not checked": f"there, but not checked. To check them: {EXTRA}",
}


class Artwork(BaseModel):
    """A scan that one of the picture's adapters was trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    title: str
    accession_number: str


class Verified(BaseModel):
    """What a picture file says, and what is wrong with it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    state: Literal["intact", "changed", "unknown"]  # unknown: it carries no provenance of ArtMaster
    findings: tuple[str, ...]  # what is wrong or cannot be told, one sentence each
    says: dict[str, Any]  # notice, adapter, base model, prompt, seed, ...
    credentials: Literal["none", "house", "other", "broken", "not checked"]
    signer: str  # the organization in the certificate
    published: tuple[str, ...]  # painter/path, version: where this data home published exactly this file
    artworks: tuple[Artwork, ...] | None  # None where this data home does not know an adapter

    def lines(self) -> list[str]:
        """What a person reads, line by line; text from the file is in it as it is."""
        states = {"intact": "intact", "changed": "CHANGED", "unknown": "no provenance of ArtMaster"}
        said = [f"{self.file}: {states[self.state]}"]
        said += [f"  ! {finding}" for finding in self.findings]
        said += [f"  {_NAMES[name]}: {value}" for name, value in self.says.items()]
        said.append(f"  Content credentials: {_STATES[self.credentials].format(signer=self.signer)}")
        said += [f"  Published: {place}" for place in self.published]
        if self.artworks is not None:
            said.append(f"  Artworks behind it: {len(self.artworks)}")
            said += [
                f"    {' '.join(filter(None, (w.sha256[:16], w.accession_number, w.title)))}" for w in self.artworks
            ]
        return said


def verify_picture(file: Path, home: Home | None = None) -> Verified:
    """Read and check one PNG, JPEG or WebP; with a data home, by what that home knows too.

    Raises WrongUse where the file does not exist or cannot be opened.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise WrongUse(f"{file} cannot be read: {error.strerror or error}.") from error
    facts = read_facts(file)
    credentials = check_credentials(content, home)
    ours = any(name in facts for name in _HASHES)
    findings = list(_faults(credentials))
    if ours:
        findings += changes(file, facts)
        findings += _contradictions(facts, credentials)
    published, elsewhere = _published(home, content, facts) if home and ours else ((), False)
    if elsewhere:
        findings.append("This data home published another picture under this id.")
    state: Literal["intact", "changed", "unknown"] = "changed" if findings else "intact"
    if not ours and credentials.statement is None and AI_GENERATED.encode() not in content:
        state = "unknown"
        findings.insert(0, "It carries no provenance of ArtMaster.")
    elif not ours:
        state = "changed"
        findings.append("What ArtMaster wrote about the picture was taken out of the file, or is damaged.")
    says = facts if ours else credentials.statement or {}
    return Verified(
        file=str(file),
        state=state,
        findings=tuple(findings),
        says={name: says[name] for name in _NAMES if says.get(name) not in (None, "")},
        credentials=credentials.state,
        signer=credentials.signer,
        published=published,
        artworks=_artworks(home, str(says.get("adapter") or "")) if home else None,
    )


def _faults(credentials: Credentials) -> tuple[str, ...]:
    if credentials.state != "broken":
        return ()
    return (f"Its content credentials are broken: {credentials.fault}.",)


def _contradictions(facts: dict[str, Any], credentials: Credentials) -> list[str]:
    """Where the signed statement says something else than the file: words that were put beside another's signature."""
    stated = credentials.statement or {}
    different = [
        name
        for name in ("id", "prompt", "seed", "adapter")
        if name in stated and stated[name] != str(facts.get(name, ""))
    ]
    return [f"What was signed is something else: {', '.join(different)}."] if different else []


def _published(home: Home, content: bytes, facts: dict[str, Any]) -> tuple[tuple[str, ...], bool]:
    """Where exactly this picture was published, and whether only other pictures were published under its id."""
    sha256, plain = hashlib.sha256(content).hexdigest(), without_credentials(content)
    found, others = [], False
    name = str(facts.get("id", ""))
    for folder in sorted((home.root / "gallery" / VERSIONS_FOLDER).glob("*/")):
        site_versions = SiteVersions(home.root / "gallery", folder.name)
        for version in site_versions.versions():
            for path, kept in version.files.items():
                named = bool(name) and Path(path).stem.startswith(name)
                if kept == sha256 or (named and _without(site_versions.folder / version.id / path) == plain):
                    found.append(f"{folder.name}/{path}, version {version.id}")
                others = others or named
    return tuple(found), others and not found


def _without(file: Path) -> bytes | None:
    return without_credentials(file.read_bytes()) if file.is_file() else None


def _artworks(home: Home, drawn_by: str) -> tuple[Artwork, ...] | None:
    """The artworks behind a picture's adapters; None where this data home does not know one of them."""
    works: dict[str, Artwork] = {}
    for name in drawn_by.split(", "):
        try:
            adapter = any_adapter(home, name)
            found = read_provenance(home, adapter).trained_on if adapter else ()
        except ArtMasterError:  # its record or its snapshot is missing: nobody can say
            return None
        if adapter is None:
            return None
        works |= {w.sha256: Artwork(sha256=w.sha256, title=w.title, accession_number=w.accession_number) for w in found}
    return tuple(works.values())

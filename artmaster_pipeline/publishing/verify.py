"""What a picture file says about itself, and whether that can be believed.

A file that was merely packed again (compressed anew without loss, its parts in another order) is told from one whose
picture or words were changed, and from one whose words were taken out.

Three things are asked, in rising order of strength: whether picture and facts still fit the hashes in the file (tells
damage and editing, not forgery); whether the data home knows the picture and published it so; and whether its content
credentials are whole, and whose they are.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from artmaster_pipeline.adapters.finding import any_adapter
from artmaster_pipeline.containers import kind_of, without_credentials
from artmaster_pipeline.edits import check_edit, facts_in
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.gallery.gates import gates_in_words
from artmaster_pipeline.gallery.provenance import read_provenance
from artmaster_pipeline.pictures import (
    AI_GENERATED,
    NOT_THE_PICTURE,
    changes,
    packed_again,
    pixels_hash,
    read_facts,
    same_picture,
)
from artmaster_pipeline.publishing.credentials import EXTRA, Credentials, check_credentials
from artmaster_pipeline.publishing.versions import SiteVersions
from artmaster_pipeline.records import VERSIONS_FOLDER
from artmaster_pipeline.settings import Home

_HASHES = ("pixels_sha256", "data_sha256", "facts_sha256")
_KINDS = {".png": "png", ".jpg": "jpeg", ".webp": "webp"}  # of published files
_TAKEN_OUT = "What ArtMaster wrote about the picture was taken out of the file, or is damaged."
_NAMES = {  # the facts that are shown, and how they are called
    "notice": "Notice",
    "edited": "Edited",
    "work": "The work",
    "prompt": "Prompt",
    "seed": "Seed",
    "adapter": "Adapter",
    "mix": "Mix",
    "canvas": "Canvas",
    "story": "Story",
    "shot": "Shot",
    "gates": "Gates",
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


# repacked: the same picture and words in other bytes; unproven: a work that says a part of it was made, with nothing to
# tell whether it was changed since; unknown: it carries no provenance of ArtMaster
State = Literal["intact", "repacked", "changed", "unproven", "unknown"]


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
    state: State
    findings: tuple[str, ...]  # what is wrong or cannot be told, one sentence each
    says: dict[str, Any]  # notice, adapter, base model, prompt, seed, ...
    credentials: Literal["none", "house", "other", "broken", "not checked"]
    signer: str  # the organization in the certificate
    published: tuple[str, ...]  # painter/path, version: where this data home published exactly this file
    artworks: tuple[Artwork, ...] | None  # None where this data home does not know an adapter

    def lines(self) -> list[str]:
        """What a person reads, line by line; text from the file is in it as it is."""
        states = {
            "intact": "intact",
            "repacked": "the same picture, packed again",
            "changed": "CHANGED",
            "unproven": "a work edited with ArtMaster, by its own words",
            "unknown": "no provenance of ArtMaster",
        }
        said = [f"{self.file}: {states[self.state]}"]
        said += [f"  ! {finding}" for finding in self.findings]
        said += [f"  {_NAMES[name]}: {in_words(name, value)}" for name, value in self.says.items()]
        said.append(f"  Content credentials: {_STATES[self.credentials].format(signer=self.signer)}")
        said += [f"  Published: {place}" for place in self.published]
        if self.artworks is not None:
            said.append(f"  Artworks behind it: {len(self.artworks)}")
            said += [
                f"    {' '.join(filter(None, (w.sha256[:16], w.accession_number, w.title)))}" for w in self.artworks
            ]
        return said


def in_words(name: str, value: Any) -> str:
    """A fact that a file says of itself, as text."""
    return (gates_in_words(value) if name == "gates" else "") or str(value)


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
    if not ours and (edit := facts_in(file)):
        return _edited(file, edit, credentials, home)
    copies = _published(home, file, content, facts) if home else _Copies()
    state, findings = _judged(file, content, facts, credentials, copies)
    says = facts if ours else credentials.statement or {}
    return Verified(
        file=str(file),
        state=state,
        findings=findings,
        says={name: says[name] for name in _NAMES if says.get(name) not in (None, "")},
        credentials=credentials.state,
        signer=credentials.signer,
        published=(*copies.exact, *copies.same),
        artworks=_artworks(home, str(says.get("adapter") or "")) if home else None,
    )


def _edited(file: Path, edit: dict[str, Any], credentials: Credentials, home: Home | None) -> Verified:
    """An edited work: by the record beside it, or else by its credentials, which are of its bytes."""
    checked, broken = check_edit(file), _faults(credentials)
    signed = credentials.state in ("house", "other")
    state: State = "changed" if checked.intact is False or broken else "intact"
    if checked.intact is None and not signed and state == "intact":
        state = "unproven"
    said = {name: str(edit.get(name, "")) for name in ("kind", "mask", "source", "source_sha256")}
    share = f"{100 * edit['share']:.3g} %" if isinstance(edit.get("share"), int | float) else "a part"
    says = {name: edit.get(name) for name in _NAMES} | {
        "edited": f"{said['kind']}: {share} of the pixels was made (white in {said['mask']}), the rest is the work's",
        "work": said["source"],
        "scan_sha256": said["source_sha256"],
        "adapter": edit.get("adapter_id"),
    }
    return Verified(
        file=str(file),
        state=state,
        findings=(*broken, *(() if checked.intact is None and signed else checked.findings)),
        says={name: value for name, value in says.items() if value not in (None, "")},
        credentials=credentials.state,
        signer=credentials.signer,
        published=(),
        artworks=_artworks(home, str(says["adapter"] or "")) if home else None,
    )


@dataclass(frozen=True)
class _Copies:
    """Where a data home published a picture, as "painter/path, version ID"."""

    exact: tuple[str, ...] = ()  # these very bytes, apart from content credentials
    same: tuple[str, ...] = ()  # the same pixels and words in other bytes
    wordless: tuple[str, ...] = ()  # the same pixels, whose words are not in the file any more
    others: bool = False  # another picture of its id


def _judged(
    file: Path, content: bytes, facts: dict[str, Any], credentials: Credentials, copies: _Copies
) -> tuple[State, tuple[str, ...]]:
    """The state of a file and what is wrong with it, one sentence each."""
    broken = _faults(credentials)
    if not any(name in facts for name in _HASHES):
        if copies.wordless:
            return "changed", (*broken, _TAKEN_OUT, f"The same picture was published as {copies.wordless[0]}.")
        if credentials.statement is None and AI_GENERATED.encode() not in content:
            return "unknown", ("It carries no provenance of ArtMaster.", *broken)
        return "changed", (*broken, _TAKEN_OUT)
    findings = [*changes(file, facts), *_contradictions(facts, credentials)]
    if copies.same:  # known by its pixels and words: old files of JPEG and WebP do not tell their pixels by themselves
        findings = [finding for finding in findings if finding != NOT_THE_PICTURE]
    elif copies.others and not copies.exact:
        findings.append("This data home published another picture under this id.")
    if copies.same and not findings:
        return "repacked", broken  # credentials are of bytes: packing breaks them
    if findings or broken:
        return "changed", (*broken, *findings)
    return ("repacked" if not copies.exact and packed_again(file, facts) else "intact"), ()


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


def _published(home: Home, file: Path, content: bytes, facts: dict[str, Any]) -> _Copies:
    """Where exactly this picture was published, or the same in other bytes, or only others of its id."""
    sha256, plain = hashlib.sha256(content).hexdigest(), without_credentials(content)
    exact, same, wordless, others = [], [], [], False
    name, kind = str(facts.get("id", "")), kind_of(content)
    pixels = pixels_hash(file) if not facts and kind == "png" else ""
    for place, there, kept in _published_files(home):
        named = bool(name) and there.stem.startswith(name)
        alike = _KINDS.get(there.suffix) == kind
        if kept == sha256 or (named and _without(there) == plain):
            exact.append(place)
        elif named and alike and there.is_file() and same_picture(file, there):
            same.append(place)
        elif pixels and alike and _says_pixels(there) == pixels:
            wordless.append(place)
        others = others or named
    return _Copies(tuple(exact), tuple(same), tuple(wordless), others)


def _published_files(home: Home) -> Iterator[tuple[str, Path, str]]:
    """("painter/path, version ID", where it is kept, sha256) of every file that was ever published."""
    for folder in sorted((home.root / "gallery" / VERSIONS_FOLDER).glob("*/")):
        site_versions = SiteVersions(home.root / "gallery", folder.name)
        for version in site_versions.versions():
            for path, kept in version.files.items():
                yield f"{folder.name}/{path}, version {version.id}", site_versions.folder / version.id / path, kept


def _says_pixels(file: Path) -> str:
    """The hash of the pixels that a published PNG names, without decoding it."""
    found = re.search(rb'"pixels_sha256": "([0-9a-f]{64})"', file.read_bytes()) if file.is_file() else None
    return found[1].decode() if found else ""


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

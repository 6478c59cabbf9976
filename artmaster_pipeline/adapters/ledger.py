"""The ledger in an adapter's own file: which artworks it was trained on, so that the file alone can be asked.

It is one entry of the safetensors' metadata, JSON, whose rights statements stand once each and whose works name theirs
by number: half a megabyte for 4,000 works. It is written when the adapter is trained, and an exported file repeats it:
what the archive says later of a work changes no file.
"""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from artmaster_pipeline.base_models import describe_base
from artmaster_pipeline.records import MANIFEST, Adapter, Scan, read_manifest
from artmaster_pipeline.settings import Home, load_painter

LEDGER = "artmaster.ledger"
_FORM = 1  # of the entry
_LONGEST = 300  # characters of a title, number or statement of rights


class LedgerWork(BaseModel):
    """A scan that the adapter was trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    title: str
    accession_number: str
    rights: str  # empty: the archive stated none


class Ledger(BaseModel):
    """What an adapter is and what it was trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    adapter: str
    painter: str
    painter_name: str
    trigger: str
    profile: str
    base_model: str
    base_revision: str  # the hash of the base's weights
    base_commit: str  # the hub's, of a base that came from there
    works: tuple[LedgerWork, ...]

    def words(self) -> dict[str, str]:
        """The entry as a safetensors file holds it."""
        rights = sorted({work.rights for work in self.works})
        number = {statement: place for place, statement in enumerate(rights)}
        works = [[w.sha256, w.title, w.accession_number, number[w.rights]] for w in self.works]
        content = self.model_dump(exclude={"works"}) | {"form": _FORM, "rights": rights, "works": works}
        return {LEDGER: json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True)}


def ledger_of(home: Home, adapter: Adapter) -> Ledger:
    """The ledger of an adapter that is being made: its scans by sha256, as the register describes them now."""
    settings, trained = load_painter(home, adapter.painter), set(adapter.scan_sha256s)
    scans = read_manifest(home.register(adapter.painter) / MANIFEST, Scan)
    works = sorted((scan for scan in scans if scan.sha256 in trained), key=lambda scan: scan.sha256)
    return Ledger(
        adapter=adapter.id,
        painter=adapter.painter,
        painter_name=_cut(settings.name),
        trigger=adapter.trigger,
        profile=adapter.profile,
        base_model=describe_base(adapter.base_model).name,  # of a folder its last name alone
        base_revision=adapter.base_revision,
        base_commit=adapter.base_commit,
        works=tuple(
            LedgerWork(
                sha256=scan.sha256,
                title=_cut(scan.title),
                accession_number=_cut(scan.accession_number),
                rights=_cut(scan.rights or settings.rights),
            )
            for scan in works
        ),
    )


def read_ledger(words: dict[str, str]) -> Ledger | None:
    """The ledger in a safetensors file's metadata; None where there is none, or none that this version can read."""
    try:
        content: dict[str, Any] = json.loads(words[LEDGER])
        rights = content.pop("rights")
        works = [
            {"sha256": sha256, "title": title, "accession_number": number, "rights": rights[place]}
            for sha256, title, number, place in content.pop("works")
        ]
        return Ledger.model_validate(content | {"works": works}) if content.pop("form") == _FORM else None
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError, ValidationError):
        return None


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"

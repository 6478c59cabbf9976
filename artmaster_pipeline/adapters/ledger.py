"""The ledger in an adapter's own file: which artworks it was trained on, so that the file alone can be asked.

It is one entry of the safetensors' metadata, JSON, whose rights statements stand once each and whose works name theirs
by number: half a megabyte for 4,000 works. It is written when the adapter is trained, and an exported file repeats it:
what the archive says later of a work changes no file.
"""

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from artmaster_pipeline.adapters.ancestry import only_inherited
from artmaster_pipeline.base_models import describe_base
from artmaster_pipeline.records import MANIFEST, Adapter, Inherited, Scan, read_manifest
from artmaster_pipeline.settings import Home, load_painter

LEDGER = "artmaster.ledger"
_FORM = 1  # of the entry
_FORM_OF_STARTED = 2  # the same for an adapter that was started from another: further works, each with its ancestor
_LONGEST = 300  # characters of a title, number or statement of rights


class LedgerWork(BaseModel):
    """A scan that the adapter was trained on, or one that it was started from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    title: str
    accession_number: str
    rights: str  # empty: the archive stated none
    through: str = Field("", exclude_if=lambda ancestor: not ancestor)  # the adapter that it was inherited from


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
    started_from: str = Field("", exclude_if=lambda adapter_id: not adapter_id)
    works: tuple[LedgerWork, ...]  # those of its own training, then those that it inherited alone

    def words(self) -> dict[str, str]:
        """The entry as a safetensors file holds it."""
        rights = sorted({work.rights for work in self.works})
        number = {statement: place for place, statement in enumerate(rights)}
        works = [
            [w.sha256, w.title, w.accession_number, number[w.rights], *([w.through] if w.through else ())]
            for w in self.works
        ]
        form = _FORM_OF_STARTED if self.started_from else _FORM
        content = self.model_dump(exclude={"works"}) | {"form": form, "rights": rights, "works": works}
        return {LEDGER: json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True)}


def ledger_of(home: Home, adapter: Adapter, inherited: Iterable[Inherited] = ()) -> Ledger:
    """The ledger of an adapter that is being made: its scans by sha256, as the register describes them now.

    `inherited` is what the adapters that it was started from had seen, as it was described then.
    """
    settings, trained = load_painter(home, adapter.painter), set(adapter.scan_sha256s)
    scans = read_manifest(home.register(adapter.painter) / MANIFEST, Scan)
    works = [(scan, "") for scan in sorted(scans, key=lambda scan: scan.sha256) if scan.sha256 in trained]
    works += [(each.scan, each.through) for each in only_inherited(adapter, inherited)]
    return Ledger(
        adapter=adapter.id,
        painter=adapter.painter,
        painter_name=_cut(settings.name),
        trigger=adapter.trigger,
        profile=adapter.profile,
        base_model=describe_base(adapter.base_model).name,  # of a folder its last name alone
        base_revision=adapter.base_revision,
        base_commit=adapter.base_commit,
        started_from=adapter.started_from,
        works=tuple(
            LedgerWork(
                sha256=scan.sha256,
                title=_cut(scan.title),
                accession_number=_cut(scan.accession_number),
                rights=_cut(scan.rights or settings.rights),
                through=through,
            )
            for scan, through in works
        ),
    )


def read_ledger(words: dict[str, str]) -> Ledger | None:
    """The ledger in a safetensors file's metadata; None where there is none, or none that this version can read."""
    try:
        content: dict[str, Any] = json.loads(words[LEDGER])
        rights = content.pop("rights")
        works = [
            {"sha256": sha256, "title": title, "accession_number": number, "rights": rights[place]}
            | ({"through": further[0]} if further else {})
            for sha256, title, number, place, *further in content.pop("works")
        ]
        known = content.pop("form") in (_FORM, _FORM_OF_STARTED)
        return Ledger.model_validate(content | {"works": works}) if known else None
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError, ValidationError):
        return None


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"

"""A site that is put together but not yet published, and the content credentials its enlarged pictures are given.

What is compared, and what a version's id is made from, are the pictures before signing: a signature holds chance, so a
picture is signed once, and the signed file serves as long as the picture is the same.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from artmaster_pipeline.base_models import describe_base
from artmaster_pipeline.containers import has_credentials, without_credentials
from artmaster_pipeline.files import inside, sha256_of, writing
from artmaster_pipeline.gallery.enlarging import Picture, sample_facts, unpublished_pictures
from artmaster_pipeline.gallery.pages import Contents
from artmaster_pipeline.gallery.provenance import Provenance, provenance_json, scans_behind
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.publishing.credentials import (
    CERTIFICATE,
    EXTRA,
    Ingredient,
    Signer,
    check_credentials,
    find_signer,
    is_installed,
)
from artmaster_pipeline.publishing.versions import SiteVersions
from artmaster_pipeline.records import PROVENANCE, Sample
from artmaster_pipeline.settings import Home

_PICTURES = (".png", ".jpg", ".webp")


@dataclass(frozen=True)
class Site:
    """A site that has been put together: whose it is, its files before signing, and its records."""

    partition: str  # the painter, or the set of painters
    adapter_id: str  # empty where several adapters drew its pictures
    provenance: Provenance
    contents: Contents
    records: tuple[Sample, ...]


def hash_of(content: bytes | Path) -> str:
    """sha256 of a file's content, given as bytes or by where it lies."""
    return sha256_of(content) if isinstance(content, Path) else hashlib.sha256(content).hexdigest()


def signer_of(home: Home, progress: Progress) -> Signer | None:
    """The signer of a data home; none where no keys were made, or the extra is not installed, which is then said."""
    signer = find_signer(home)
    if signer and not is_installed():
        progress.say(f"The pictures carry metadata only, no content credentials: signing needs {EXTRA}")
        return None
    return signer


def unsigned(home: Home, painter: str, picture: Picture) -> Picture:
    """A picture as it was before it was signed: what is published is compared, and signed, from there."""
    content = picture.file.read_bytes()
    if not has_credentials(content):
        return picture
    file = unpublished_pictures(home, painter) / f"{picture.record.id}.png"
    with writing(file) as temporary:
        temporary.write_bytes(without_credentials(content))
    return Picture(picture.record.model_copy(update={"sha256": sha256_of(file)}), file)


def signed(home: Home, site: Site, signer: Signer, hashes: dict[str, str], progress: Progress) -> Site:
    """The site with its enlarged pictures signed; one that was signed before keeps that signature."""
    painter = site.partition
    by_path = {record.path: record for record in site.records if record.is_large}
    wanted = {
        name: record
        for path, record in by_path.items()
        for name in (path.removesuffix(".png") + suffix for suffix in _PICTURES)
        if name in site.contents
    }
    contents = dict(site.contents)
    with progress.task("content credentials", len(wanted)) as advance:
        for name, record in wanted.items():
            content = _signed_before(home, painter, name, hashes[name])
            if content is None:
                statement = _statement(record, site.provenance)
                ingredients = _ingredients(record, site.provenance)
                content = signer.sign(_bytes_of(contents[name]), name, statement, ingredients)
            contents[name] = content
            advance(note=name)
    records = tuple(
        record.model_copy(update={"sha256": hash_of(contents[record.path])}) if record.path in by_path else record
        for record in site.records
    )
    contents[PROVENANCE] = provenance_json(site.provenance, records).encode()
    contents[CERTIFICATE] = signer.certificate
    return replace(site, contents=contents, records=records)


def _signed_before(home: Home, painter: str, name: str, unsigned_sha256: str) -> bytes | None:
    """The same picture as this house has signed it for an earlier version, or for the site in place."""
    site_versions = SiteVersions(home.root / "gallery", painter)
    kept = (site_versions.folder / version.id for version in reversed(site_versions.versions()))
    for folder in (site_versions.site, *kept):
        file = inside(folder, name)
        content = file.read_bytes() if file.is_file() else b""
        plain = without_credentials(content)
        same = plain != content and hashlib.sha256(plain).hexdigest() == unsigned_sha256
        if same and check_credentials(content, home).state == "house":
            return content
    return None


def _statement(record: Sample, provenance: Provenance) -> dict[str, Any]:
    """What a picture's manifest states; the scans by one hash of their sorted sha256, as in provenance.json."""
    facts = {name: _text(value) for name, value in sample_facts(record).items()}
    scans = scans_behind(record, provenance)
    return facts | {
        "adapter_sha256": ", ".join(each.adapter.sha256 for each in provenance.of(record)),
        "enlarged_by": record.enlarged_by,
        "scans": str(len(scans)),
        "scans_sha256": _hash_of_all(scans),
    }


def _ingredients(record: Sample, provenance: Provenance) -> tuple[Ingredient, ...]:
    """What a picture was drawn with: the base, each adapter, and the artworks behind them as one data set.

    400 artworks as an ingredient each would add 170 KB to every picture, and of 4,000 no manifest can be made; so they
    are one, with their number and the hash of their sorted sha256. Which they are, provenance.json beside it says.
    """
    base = Ingredient("model", describe_base(record.base_model).name, record.base_revision, "The base model")
    adapters = [
        Ingredient("model", f"Style adapter {each.adapter.id}", each.adapter.sha256, "Trained on the artworks")
        for each in provenance.of(record)
    ]
    if not (scans := scans_behind(record, provenance)):
        return (base, *adapters)
    says = f"The sha256 of the scans, sorted, one a line, have this sha256; {PROVENANCE} of the gallery lists them"
    return (base, *adapters, Ingredient("dataset", f"{len(scans)} artworks", _hash_of_all(scans), says))


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True) if isinstance(value, dict) else str(value)


def _hash_of_all(scans: Iterable[str]) -> str:
    return hashlib.sha256("".join(f"{sha256}\n" for sha256 in scans).encode()).hexdigest()


def _bytes_of(content: bytes | Path) -> bytes:
    return content.read_bytes() if isinstance(content, Path) else content

"""The stage sample_gallery: the current adapter's evaluated samples, enlarged, signed and published in one step.

Nothing is published that was not judged fit. Every version of the site is kept (versions.py), so that a person can put
an older one back.
"""

import shutil
from typing import Any

from pydantic import ValidationError

from artmaster_pipeline.adapters.finding import current_adapter
from artmaster_pipeline.adapters.withdrawn import check_not_withdrawn
from artmaster_pipeline.errors import ArtMasterError, NotPublished
from artmaster_pipeline.evaluation.report.grid import GRID
from artmaster_pipeline.evaluation.verdicts import last_verdict
from artmaster_pipeline.evaluation.withdrawn import check_judged_without
from artmaster_pipeline.files import inside, sha256_of
from artmaster_pipeline.gallery.enlarging import enlarge_samples, unpublished_pictures
from artmaster_pipeline.gallery.pages import PAGE, Contents, published_cells, site_contents
from artmaster_pipeline.gallery.provenance import read_provenance
from artmaster_pipeline.locks import one_at_a_time
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.publishing.credentials import Signer
from artmaster_pipeline.publishing.painters_page import one_publisher, renew_painters_page
from artmaster_pipeline.publishing.signing import Site, hash_of, signed, signer_of, unsigned
from artmaster_pipeline.publishing.taking_down import check_version, take_down, take_down_sets
from artmaster_pipeline.publishing.versions import LedgerEntry, SiteVersions, Version, files_of, now
from artmaster_pipeline.records import (
    MANIFEST,
    Adapter,
    Outcome,
    Sample,
    Verdict,
    identity,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.settings import Home, Profile


@one_at_a_time
def publish_gallery(home: Home, painter: str, profile: Profile, progress: Progress = SILENT) -> Outcome[Sample]:
    """Publish gallery/<painter>/ and the page over all painters; gives the records of every picture in the site.

    Records with `enlarged_by` are the gallery's pictures; the others are the cells of the comparison, originals
    included. The site is built aside and takes the old one's place whole; one that would not change is left alone.
    What shows a withdrawn work is taken down first, whatever comes of the rest. Raises ArtMasterError where the current
    adapter has not been evaluated yet, HoldsWithdrawn where a withdrawn work is in it or judged it, NotPublished where
    it was not judged fit or a person put an older adapter's site back; what is published then stays as it is.
    """
    take_down(home, painter, progress)
    take_down_sets(home, painter, progress)
    _check_not_withdrawn(home, painter)
    adapter, cells = _evaluated(home, painter)
    verdict = check_verdict(home, painter, adapter.id)
    _check_held_back(home, painter, adapter.id)
    drawn = [cell for cell in cells if cell.column == "adapter"]
    provenance = read_provenance(home, adapter, drawn)
    enlarged, made, how = enlarge_samples(home, painter, profile, drawn, progress)
    enlarged = tuple(unsigned(home, painter, picture) for picture in enlarged)
    records = (*(picture.record for picture in enlarged), *published_cells(home, provenance, cells))
    site = Site(painter, adapter.id, provenance, site_contents(home, provenance, enlarged, cells), records)
    version = publish_site(home, site, verdict.id if verdict else "", progress)
    figures = {
        "pictures": len(enlarged),
        "artworks behind them": len(provenance.trained_on),
        "version": version.id,
    } | how
    manifest = home.gallery(painter) / MANIFEST
    return Outcome(read_manifest(manifest, Sample), manifest, made, len(enlarged) - made, figures=figures)


def publish_site(home: Home, site: Site, verdict_id: str, progress: Progress) -> Version:
    """Sign, keep and put in place a site of a painter, or of a set, that was put together; gives its version."""
    with one_publisher(home):
        version = _kept(home, site, signer_of(home, progress), progress)
        _put_in_place(home, site.partition, version, "published", verdict_id)
    shutil.rmtree(unpublished_pictures(home, site.partition), ignore_errors=True)
    progress.say(f"The gallery is at {home.gallery(site.partition) / PAGE}")
    return version


@one_at_a_time
def put_back(home: Home, painter: str, version_id: str) -> Version:
    """Put an older version in place again; the ledger notes it, and the stage does not undo it (see `allow_again`).

    Raises WrongUse, with the known versions, where there is none of that id; HoldsWithdrawn where it shows a withdrawn
    work; NotPublished where its adapter has been judged unfit since; ArtMasterError where its files are no longer
    whole.
    """
    version = _site_versions(home, painter).version(version_id)
    check_version(home, painter, version)
    verdict = check_verdict(home, painter, version.adapter_id, needed=False) if version.adapter_id else None
    with one_publisher(home):
        _put_in_place(home, painter, version, "put back", verdict.id if verdict else "")
    return version


@one_at_a_time
def allow_again(home: Home, painter: str) -> None:
    """Let the stage publish the current adapter after all, though a person put an older one's site back."""
    site_versions = _site_versions(home, painter)
    ledger = [entry for entry in site_versions.ledger() if not entry.to]
    if ledger and ledger[-1].action == "put back":
        with one_publisher(home):
            site_versions.note(ledger[-1].model_copy(update={"when": now(), "action": "allowed again"}))


def published_version(home: Home, painter: str) -> Version:
    """The version that is in place. A site that DVC brought here without its kept versions is taken as it is.

    Raises ArtMasterError where nothing is published, or the site in place is not as it was published.
    """
    site_versions = _site_versions(home, painter)
    if (version := site_versions.in_place()) is not None:
        return version
    records = _records_in_place(site_versions)
    if not records:
        raise ArtMasterError(f"Nothing of {painter} is published yet: artmaster publish {painter}")
    files = files_of(site_versions.site)
    changed = [record.path for record in records if files.get(record.path) != record.sha256]
    if changed or site_versions.versions():
        raise ArtMasterError(
            f"{site_versions.site} is not as it was published{': ' if changed else ''}"
            f"{', '.join(sorted(changed)[:5])}. Make it anew: artmaster publish {painter}"
        )
    made = {"painter": painter, "adapter_id": records[0].evaluated_adapter_id, "made": now(), "files": files}
    return Version(id=identity(sorted(files.items())), **made)


def kept_versions(home: Home, painter: str) -> list[dict[str, str]]:
    """The versions that are kept, oldest first, as rows of a table; `in place` says which of them visitors see."""
    site_versions = _site_versions(home, painter)
    current = site_versions.in_place()
    return [
        {
            "version": version.id,
            "made": version.made,
            "adapter": version.adapter_id,
            "signed": "yes" if version.signed_by else "no",
            "in place": "yes" if version == current else "",
        }
        for version in site_versions.versions()
    ]


def check_verdict(home: Home, painter: str, adapter_id: str, *, needed: bool = True) -> Verdict | None:
    """Raise NotPublished unless the adapter's last verdict lets its pictures be published; gives that verdict.

    `needed=False` lets an adapter pass that has no verdict: one that was published before.
    """
    try:
        verdict = last_verdict(home.evaluation(painter) / adapter_id)
    except ArtMasterError as error:
        raise NotPublished(str(error)) from error
    if verdict is None:
        if needed:
            raise NotPublished(
                f"The adapter {adapter_id} of {painter} has not been judged: run the stage evaluation_grid first "
                f"(artmaster run {painter} --until evaluation_grid)."
            )
        return None
    if not verdict.publish:
        judge = "a person" if verdict.by == "person" else "its figures"
        raise NotPublished(
            f"The adapter {adapter_id} of {painter} is not published, by the word of {judge}: "
            f"{' '.join(verdict.reasons) or 'no reason was given.'} What is published stays as it is. To overrule: "
            f"artmaster gate {painter} --adapter {adapter_id} --publish --reason TEXT"
        )
    return verdict


def _evaluated(home: Home, painter: str) -> tuple[Adapter, tuple[Sample, ...]]:
    """The current adapter and the cells of its grid; further pictures that were only measured stay out."""
    adapter = current_adapter(home, painter)
    samples = read_manifest(home.evaluation(painter) / MANIFEST, Sample)
    if adapter is None:
        raise ArtMasterError(f"There is no adapter for {painter} yet: run the stage style_adapter first.")
    if {sample.evaluated_adapter_id for sample in samples} != {adapter.id}:
        raise ArtMasterError(
            f"The current adapter {adapter.id} of {painter} has not been evaluated: run the stage "
            "evaluation_grid first."
        )
    cells = tuple(sample for sample in samples if sample.role == "row")
    changed = [
        cell.path
        for cell in cells
        if not (file := inside(home.evaluation(painter), cell.path)).is_file() or sha256_of(file) != cell.sha256
    ]
    if not (grid := home.evaluation(painter) / adapter.id / GRID).is_file():
        changed.append(str(grid.relative_to(home.evaluation(painter))))
    if changed:
        raise ArtMasterError(
            f"{len(changed)} pictures of the evaluation are missing or changed ({', '.join(changed)}): run the stage "
            "evaluation_grid again."
        )
    return adapter, cells


def _check_not_withdrawn(home: Home, painter: str) -> None:
    """Raise HoldsWithdrawn where a work that may not be used is in the current adapter, or judged it."""
    if (adapter := current_adapter(home, painter)) is not None:
        check_not_withdrawn(home, adapter)
        check_judged_without(home, adapter)


def _check_held_back(home: Home, painter: str, adapter_id: str) -> None:
    ledger = [entry for entry in _site_versions(home, painter).ledger() if not entry.to]
    if not ledger or ledger[-1].action != "put back":
        return
    last = ledger[-1]
    if last.instead_of == adapter_id != last.adapter_id:
        raise NotPublished(
            f"On {last.when} a person put the version {last.version_id} of {painter}'s gallery back, in place of the "
            f"adapter {adapter_id}'s, so this adapter is not published again by itself. To publish it after all: "
            f"artmaster publish {painter}. A newer adapter is published as usual."
        )


def _kept(home: Home, site: Site, signer: Signer | None, progress: Progress) -> Version:
    """The version that the site is; made, signed and kept where it is not there yet."""
    painter = site.partition
    site_versions = _site_versions(home, painter)
    hashes = {name: hash_of(content) for name, content in _with_manifest(home, site).items()}
    version_id = identity(sorted(hashes.items()), signer.fingerprint if signer else "")
    known = next((version for version in site_versions.versions() if version.id == version_id), None)
    if known and site_versions.is_kept(known):
        return known
    contents = _with_manifest(home, signed(home, site, signer, hashes, progress) if signer else site)
    version = Version(
        id=version_id,
        painter=painter,
        adapter_id=site.adapter_id,
        made=known.made if known else now(),
        signed_by=signer.fingerprint if signer else "",
        files={name: hash_of(content) for name, content in contents.items()},
    )
    site_versions.keep(version, contents)
    return version


def _put_in_place(home: Home, painter: str, version: Version, action: Any, verdict_id: str) -> None:
    """Put a version in place and note it; one that a killed run had put there without a note is noted now."""
    site_versions = _site_versions(home, painter)
    last = next((entry for entry in reversed(site_versions.ledger()) if not entry.to), None)
    is_in_place = site_versions.in_place() == version
    if not is_in_place or last is None or last.version_id != version.id:
        before = _records_in_place(site_versions)
        instead = before[0].evaluated_adapter_id if before else ""
        if is_in_place:
            instead = last.adapter_id if last else ""
        site_versions.put_in_place(version)
        said = {"version_id": version.id, "adapter_id": version.adapter_id, "instead_of": instead}
        said["verdict_id"] = verdict_id
        site_versions.note(LedgerEntry(when=now(), action=action, **said))
    renew_painters_page(home)


def _records_in_place(site_versions: SiteVersions) -> tuple[Sample, ...]:
    try:
        return read_manifest(site_versions.site / MANIFEST, Sample)
    except (ValidationError, UnicodeDecodeError):  # somebody wrote into it: whatever it says does not count
        return ()


def _with_manifest(home: Home, site: Site) -> Contents:
    file = unpublished_pictures(home, site.partition) / MANIFEST
    write_manifest(file, site.records)
    return {**site.contents, MANIFEST: file.read_bytes()}


def _site_versions(home: Home, painter: str) -> SiteVersions:
    return SiteVersions(home.root / "gallery", painter)

"""Taking down what shows a withdrawn work: the site in place, its kept versions, and their copies elsewhere.

A version is marked where its provenance names such a work, or where its adapter is marked. Of a marked version the
record, the manifest and the provenance stay, so that what was published can be answered; its pictures and pages go.
Which copies are still to be taken down follows from the ledger of publications: one that could not be reached is tried
again whenever something of the painter is taken down or published.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from artmaster_pipeline import versioning
from artmaster_pipeline.adapters.finding import any_adapter
from artmaster_pipeline.adapters.withdrawn import Mark, marks_of, withdrawn_works
from artmaster_pipeline.errors import ArtMasterError, HoldsWithdrawn
from artmaster_pipeline.files import remove_folder
from artmaster_pipeline.gallery.enlarging import unpublished_pictures
from artmaster_pipeline.locks import one_at_a_time, working_on
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.publishing.painters_page import one_publisher, renew_painters_page
from artmaster_pipeline.publishing.versions import LedgerEntry, SiteVersions, Version, now
from artmaster_pipeline.records import MANIFEST, PROVENANCE, TAKEN_DOWN, VERSIONS_FOLDER, Sample, read_manifest
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stages import in_words, is_filed, kind_of, members, publishing_stage
from artmaster_pipeline.stores import without_secrets

_KEPT = (MANIFEST, PROVENANCE)  # of a version that was taken down


@dataclass(frozen=True)
class Copy:
    """A version that was copied to an address and not taken down there since."""

    url: str
    version_id: str


@dataclass(frozen=True)
class TakenDown:
    """What was taken down, and what could not be: each address with the reason."""

    site: bool = False  # the site in place in the data home
    versions: tuple[str, ...] = ()
    copies: tuple[Copy, ...] = ()
    unreached: tuple[tuple[Copy, str], ...] = ()
    notes: tuple[str, ...] = ()  # what a target keeps in spite of it


def marked_versions(
    home: Home, painter: str, asked: Mapping[str, Mark] | None = None
) -> dict[str, tuple[Version, Mark]]:
    """The painter's versions, kept or taken down, that hold a work which may not be used, each with the first of them.

    `asked` are such works instead, where they are given. Raises ArtMasterError where a record of a version cannot be
    read.
    """
    works = _works(home, painter) if asked is None else asked
    of_adapters: dict[str, Mark | None] = {}
    found = {}
    site_versions = _site_versions(home, painter)
    for version in _known(site_versions):
        folder = site_versions.folder / version.id
        drew = {version.adapter_id, *(_drew(folder) if not version.adapter_id else ())} - {""}
        of_adapters |= {name: _adapter_mark(home, name, asked) for name in drew if name not in of_adapters}
        mark = next(filter(None, (of_adapters[name] for name in sorted(drew))), None)
        if mark or (mark := _named_in(folder / PROVENANCE, works)):
            found[version.id] = version, mark
    return found


def site_mark(home: Home, painter: str, asked: Mapping[str, Mark] | None = None) -> Mark | None:
    """The first such work that the site in place holds, be it a kept version or one that DVC brought here."""
    site = _site_versions(home, painter).site
    works = _works(home, painter) if asked is None else asked
    marks = (_adapter_mark(home, adapter_id, asked) for adapter_id in sorted(_drew(site)))
    return next(filter(None, marks), None) or _named_in(site / PROVENANCE, works)


def check_version(home: Home, painter: str, version: Version) -> None:
    """Raise HoldsWithdrawn where a version is marked: it is not put back."""
    if version.id in (marked := marked_versions(home, painter)):
        raise _refusal(f"The version {version.id} of {painter}'s gallery", marked[version.id][1], painter)


def check_site(home: Home, painter: str) -> None:
    """Raise HoldsWithdrawn where the site in place holds a work that may not be used: it is not copied."""
    if mark := site_mark(home, painter):
        raise _refusal(f"The gallery of {painter} that is in place", mark, painter)


def copies_of(home: Home, painter: str, version_ids: set[str]) -> tuple[Copy, ...]:
    """Where those versions were copied and, by all that is known, still are."""
    found: dict[Copy, None] = {}
    for entry in _site_versions(home, painter).ledger():
        copy = Copy(entry.to, entry.version_id)
        if entry.action == "copied" and entry.version_id in version_ids:
            found[copy] = None
        elif entry.action == TAKEN_DOWN and entry.to:
            found.pop(copy, None)
    return tuple(found)


@one_at_a_time
def take_down(home: Home, painter: str, progress: Progress = SILENT) -> TakenDown:
    """Take down all that is marked of a painter's galleries, here and where it was copied.

    May be done again at any time: what is down already is left alone. The ledger of publications notes each place
    once it is empty, so a kill forgets none.
    """
    marked, site_versions = marked_versions(home, painter), _site_versions(home, painter)
    if not marked and not site_mark(home, painter):
        return TakenDown()
    with one_publisher(home):
        site = _site_down(home, site_versions)
        down = tuple(version_id for version_id in marked if _version_down(site_versions, version_id))
        shutil.rmtree(unpublished_pictures(home, painter), ignore_errors=True)
        renew_painters_page(home)
    if _is_down(site_versions):  # no checkout shall bring it back
        versioning.forget_stage(home, publishing_stage(painter), painter)
    copies, unreached = [], []
    notes: list[str] = []
    for copy in copies_of(home, painter, set(marked)):
        try:
            notes += _copy_down(home, copy, marked[copy.version_id][0], progress)
        except (ArtMasterError, OSError) as error:
            said = without_secrets(str(error))
            unreached.append((copy, said))
            progress.say(f"Not taken down, and tried again the next time: {copy.url} ({said})")
            continue
        copies.append(copy)
        _note(site_versions, copy.version_id, marked[copy.version_id][0].adapter_id, to=copy.url)
    return TakenDown(site, down, tuple(copies), tuple(unreached), tuple(dict.fromkeys(notes)))


def take_down_sets(home: Home, painter: str, progress: Progress = SILENT) -> None:
    """Take down what is marked of the galleries of sets, canvases and stories that a painter belongs to.

    One with a painter who is being worked on is left for the next time, and that is said: to wait for it might be
    to wait for each other.
    """
    for partition in sets_with(home, painter):
        if not marked_versions(home, partition) and not site_mark(home, partition):
            continue
        try:
            with working_on(home, partition, progress, wait=False):
                take_down(home, partition, progress)
        except ArtMasterError as error:
            progress.say(f"Not taken down yet: the gallery of {in_words(partition)} ({error})")


def sets_with(home: Home, painter: str = "") -> tuple[str, ...]:
    """The sets, canvases and stories that have, or had, a gallery; with a painter, those with works of that one."""
    gallery = home.root / "gallery"
    places = [place for folder in (gallery, gallery / VERSIONS_FOLDER) for place in folder.glob("[!.]*/")]
    names = {place.name for place in places if kind_of(place.name) != "painter"}
    return tuple(sorted(name for name in names if not painter or painter in painters_behind(home, name)))


def painters_behind(home: Home, partition: str) -> tuple[str, ...]:
    """The painters whose works may be in a partition's galleries.

    Of a canvas or a story those whom its sites name, in place and in older versions, whomever its file names by now.
    """
    if not is_filed(partition):
        return members(partition)
    site_versions = _site_versions(home, partition)
    sites = (site_versions.site, *(place for place in site_versions.folder.glob("*/") if place.is_dir()))
    return tuple(sorted({painter for site in sites for painter in _painters_of_site(site)}))


def _refusal(what: str, mark: Mark, painter: str) -> HoldsWithdrawn:
    return HoldsWithdrawn(
        f"{what} holds the work {mark.sha256[:16]}, which may not be used since {mark.since} ({mark.reason}). "
        f"To publish without: artmaster run {painter} . {mark.way_back()}"
    )


def _site_down(home: Home, site_versions: SiteVersions) -> bool:
    """Remove the site in place where it holds such a work."""
    if not site_versions.site.is_dir() or site_mark(home, site_versions.painter) is None:
        return False
    version = site_versions.in_place()
    if not any(entry.action == TAKEN_DOWN and not entry.to for entry in site_versions.ledger()[-1:]):
        # first: there shall be no moment in which the site is missing and nobody can say why
        _note(site_versions, version.id if version else "", version.adapter_id if version else "")
    remove_folder(site_versions.site)
    return True


def _is_down(site_versions: SiteVersions) -> bool:
    """Whether the last that was done with the site here is that it was taken down."""
    here = [entry.action for entry in site_versions.ledger() if not entry.to]
    return not site_versions.site.exists() and here[-1:] == [TAKEN_DOWN]


def _version_down(site_versions: SiteVersions, version_id: str) -> bool:
    """Remove a kept version's pictures and pages; gives whether there were any."""
    folder = site_versions.folder / version_id
    files = [file for file in folder.rglob("*") if file.is_file() and file.relative_to(folder).as_posix() not in _KEPT]
    for file in files:
        file.unlink()
    for place in sorted((place for place in folder.rglob("*") if place.is_dir()), reverse=True):
        place.rmdir()
    return bool(files)


def _copy_down(home: Home, copy: Copy, version: Version, progress: Progress) -> tuple[str, ...]:
    from artmaster_pipeline.publishing.targets import find_target  # which asks this module what it may copy

    return find_target(copy.url, home).take_down(home, version, progress)


def _note(site_versions: SiteVersions, version_id: str, adapter_id: str, to: str = "") -> None:
    said = {"version_id": version_id, "adapter_id": adapter_id, "to": to}
    site_versions.note(LedgerEntry(when=now(), action=TAKEN_DOWN, **said))


def _known(site_versions: SiteVersions) -> tuple[Version, ...]:
    """The versions that are kept, and those that were only copied: a site that DVC brought here has no other record."""
    known = {version.id: version for version in site_versions.versions()}
    for entry in site_versions.ledger():
        if entry.action == "copied" and entry.version_id not in known:
            said = {"painter": site_versions.painter, "adapter_id": entry.adapter_id, "made": entry.when, "files": {}}
            known[entry.version_id] = Version.model_validate({"id": entry.version_id} | said)
    return tuple(known.values())


def _works(home: Home, partition: str) -> dict[str, Mark]:
    """What may not be used now by a painter, or by any painter of a set, a canvas or a story."""
    return {
        sha256: mark
        for each in painters_behind(home, partition)
        for sha256, mark in withdrawn_works(home, each).items()
    }


def _drew(site: Path) -> set[str]:
    """The adapters that a site's manifest names; none where somebody wrote into it: the provenance is left to tell."""
    try:
        records = read_manifest(site / MANIFEST, Sample)
    except (ValidationError, UnicodeDecodeError):
        return set()
    return {name for record in records for name in (*record.adapter_ids, record.evaluated_adapter_id) if name}


def _painters_of_site(site: Path) -> set[str]:
    """The painters whose adapters a site's provenance.json names; none where there is none, or somebody wrote into it.

    What is damaged is told by whoever asks whether a withdrawn work is shown there (`_named_in`).
    """
    try:
        adapters = json.loads((site / PROVENANCE).read_text(encoding="utf-8"))["adapters"]
        return {str(of["painter"]) for of in adapters.values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def _adapter_mark(home: Home, adapter_id: str, asked: Mapping[str, Mark] | None) -> Mark | None:
    adapter = any_adapter(home, adapter_id)
    return next(iter(marks_of(home, adapter, asked)), None) if adapter else None


def _named_in(provenance: Path, works: Mapping[str, Mark]) -> Mark | None:
    """The first of `works` that a site's provenance.json names; None where there is no such file."""
    if not works or not provenance.is_file():
        return None
    try:
        scans = json.loads(provenance.read_text(encoding="utf-8"))["scans"]
        return next((works[sha256] for sha256 in sorted(works) if sha256 in scans), None)
    except (ValueError, KeyError, TypeError) as error:
        raise ArtMasterError(
            f"{provenance} is damaged, so nobody can say whether a withdrawn work is shown there: move that site away."
        ) from error


def _site_versions(home: Home, painter: str) -> SiteVersions:
    return SiteVersions(home.root / "gallery", painter)

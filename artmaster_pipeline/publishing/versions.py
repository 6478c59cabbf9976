"""Every published version of a site, kept; one of them in place; a ledger of what was put there, when and why.

Below a root (the data home's gallery/, or a folder that sites are copied to):

    <painter>/                          the site in place, files of its own
    .versions/<painter>/<id>/           a version's files, read-only
    .versions/<painter>/<id>.json       its record, written last: a version without one does not exist
    .versions/<painter>/ledger.jsonl    what was put in place

Versions share what did not change between them through hard links. The site in place shares nothing with them: an
editor, or a checkout of DVC, may write into its files, and what is kept must not change with it.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.files import (
    clear_partials,
    inside,
    make_folder,
    remove_folder,
    sha256_of,
    whole_files,
    write_text,
    writing_folder,
)
from artmaster_pipeline.records import MANIFEST, PUBLICATIONS, VERSIONS_FOLDER, Record, Sample, read_manifest
from artmaster_pipeline.stages import check_partition


class Version(Record):
    """A published site. `id` is made from its contents before signing and from the signer's certificate."""

    painter: str  # or the set of painters
    adapter_id: str  # empty where several adapters drew its pictures: its manifest names them
    made: str  # ISO 8601, UTC
    signed_by: str = ""  # sha256 of the certificate that signed its pictures; empty: not signed
    files: dict[str, str]  # POSIX path below the site -> sha256


class LedgerEntry(BaseModel):
    """A line of the ledger."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: str  # ISO 8601, UTC
    action: Literal["published", "put back", "allowed again", "copied", "taken down"]
    version_id: str
    adapter_id: str
    verdict_id: str = ""  # of the adapter's verdicts.jsonl: what let it be published; empty in older lines
    instead_of: str = ""  # the adapter whose site was in place before
    to: str = ""  # where it was copied, or taken down; empty: in the data home


def now() -> str:
    """The time as the records say it: ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class SiteVersions:
    """The versions of the site of a painter, or of a set of painters, below `root`, and the site in place there."""

    root: Path
    painter: str

    @property
    def site(self) -> Path:
        """The site in place."""
        return self.root / check_partition(self.painter)

    @property
    def folder(self) -> Path:
        """Where the versions are kept."""
        return self.root / VERSIONS_FOLDER / check_partition(self.painter)

    @property
    def ledger_file(self) -> Path:
        """What was put in place or copied, a line each."""
        return self.folder / PUBLICATIONS

    def versions(self) -> tuple[Version, ...]:
        """All versions that are kept, oldest first."""
        found = [_read(file) for file in whole_files(self.folder, "*.json")]
        return tuple(sorted(found, key=lambda version: (version.made, version.id)))

    def version(self, version_id: str) -> Version:
        """A version by its id, or the first 8 of its digits or more; raises WrongUse, with the known ids, otherwise."""
        known = self.versions()
        fitting = [v for v in known if v.id == version_id or (len(version_id) >= 8 and v.id.startswith(version_id))]
        if len(fitting) == 1:
            return fitting[0]
        listed = "; ".join(f"{v.id} of {v.made} (adapter {v.adapter_id})" for v in known) or "none yet"
        raise WrongUse(f"There is no version {version_id!r} of {self.painter}'s gallery. Kept are: {listed}.")

    def is_kept(self, version: Version) -> bool:
        """Whether all files of a version are there as they were put there."""
        return (self.folder / f"{version.id}.json").is_file() and _holds(self.folder / version.id, version.files)

    def in_place(self) -> Version | None:
        """The kept version that the site in place is, file by file; None where it is none of them."""
        if not self.site.is_dir():
            return None
        there = files_of(self.site)
        return next((version for version in reversed(self.versions()) if version.files == there), None)

    def keep(self, version: Version, contents: Mapping[str, bytes | Path]) -> None:
        """Keep a version; what an older one holds already takes no further space on the disk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        clear_partials(self.folder)
        ignored = self.root / VERSIONS_FOLDER / ".gitignore"
        if not ignored.exists():
            write_text(ignored, "*\n")
        record = self.folder / f"{version.id}.json"
        record.unlink(missing_ok=True)
        older = self._by_hash()
        with writing_folder(self.folder / version.id) as building:
            for name, content in contents.items():
                file = inside(building, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                _put_file(file, content, older.get(version.files[name]), version.files[name])
        write_text(record, version.model_dump_json() + "\n")

    def put_in_place(self, version: Version) -> None:
        """Let a kept version take the place of the site in place, whole; nothing happens where it is in place already.

        Raises ArtMasterError where files of the version are missing or changed.
        """
        if _holds(self.site, version.files):
            return
        wrong = [name for name, sha256 in version.files.items() if not _is(self.folder / version.id / name, sha256)]
        if wrong:
            raise ArtMasterError(
                f"The version {version.id} of {self.painter}'s gallery cannot be put in place: {len(wrong)} of its "
                f"files are missing or changed ({', '.join(sorted(wrong)[:5])}). Choose another version."
            )
        with writing_folder(self.site) as building:
            for name in version.files:
                file = inside(building, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.folder / version.id / name, file)

    def ledger(self) -> tuple[LedgerEntry, ...]:
        """What was put in place or copied, oldest first."""
        file = self.ledger_file
        if not file.exists():
            return ()
        return tuple(LedgerEntry.model_validate_json(line) for line in file.read_text(encoding="utf-8").splitlines())

    def remove(self, version: Version) -> None:
        """Remove a version's files and its record, and the site in place where it is that one, edited or not."""
        if is_site_of(self.site / MANIFEST, version):
            remove_folder(self.site)
        shutil.rmtree(self.folder / version.id, ignore_errors=True)
        (self.folder / f"{version.id}.json").unlink(missing_ok=True)

    def note(self, entry: LedgerEntry) -> None:
        """Add a line to the ledger; those of other processes, noted at the same moment, stay."""
        from filelock import FileLock

        make_folder(self.folder)
        with FileLock(self.folder / ".ledger.lock", is_singleton=True):
            lines = [line.model_dump_json() for line in (*self.ledger(), entry)]
            write_text(self.ledger_file, "".join(f"{line}\n" for line in lines))

    def _by_hash(self) -> dict[str, Path]:
        return {sha256: self.folder / v.id / name for v in self.versions() for name, sha256 in v.files.items()}


def is_site_of(manifest: Path, version: Version) -> bool:
    """Whether a site's manifest is that of a version; of one whose files nobody knows any more, of its adapter."""
    if not manifest.is_file():
        return False
    if MANIFEST in version.files:
        return sha256_of(manifest) == version.files[MANIFEST]
    return any(sample.evaluated_adapter_id == version.adapter_id for sample in read_manifest(manifest, Sample))


def files_of(folder: Path) -> dict[str, str]:
    """The files below a folder with their sha256, by POSIX path."""
    files = (file for file in sorted(folder.rglob("*")) if not file.is_dir())
    return {file.relative_to(folder).as_posix(): sha256_of(file) for file in files}


def _holds(folder: Path, files: Mapping[str, str]) -> bool:
    return folder.is_dir() and files_of(folder) == files


def _is(file: Path, sha256: str) -> bool:
    return file.is_file() and sha256_of(file) == sha256


def _put_file(file: Path, content: bytes | Path, older: Path | None, sha256: str) -> None:
    """Put a file into a version's folder: a link to an older version's where that is whole, or a copy."""
    if older is not None and _is(older, sha256):
        try:
            os.link(older, file)
        except OSError:  # a file system without hard links, or with a limit on their number
            shutil.copyfile(older, file)
    elif isinstance(content, Path):
        shutil.copyfile(content, file)
    else:
        file.write_bytes(content)
    file.chmod(0o444)


def _read(record: Path) -> Version:
    try:
        return Version.model_validate_json(record.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise ArtMasterError(
            f"{record} is no record of a version: move it away, with the folder of its name."
        ) from error

"""What is said of the files of one painter, by whom, and whether the files are so.

A claim is a hash that somebody names for a path: a manifest, an adapter's record, a version's, DVC, the chain. Every
file is read once, whoever names it.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

What = Literal["changed", "swapped", "missing", "added", "edited", "names nothing", "unfinished"]
CHAIN = "the chain"
_CHUNK = 1 << 20


class Finding(BaseModel):
    """Something that is not as it was written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: What
    file: str  # POSIX path below the data home
    says: str  # what is wrong, one sentence
    told_by: tuple[str, ...]  # what says otherwise: files below the data home, the chain, DVC's file
    way_out: str


@dataclass(frozen=True)
class Claim:
    """The hash that somebody names for a file; empty where only its being there is named."""

    digest: str
    told_by: str
    md5: bool = False  # of DVC
    scan: str = ""  # the sha256 of the scan that the file is of or shows


@dataclass
class Claims:
    """All that is said of a painter's files, gathered before any is read."""

    root: Path
    of: dict[str, list[Claim]] = field(default_factory=lambda: defaultdict(list))
    digests: dict[str, tuple[str, str]] = field(default_factory=dict)  # path -> sha256, md5 (empty: nobody asks)

    def add(self, path: str, digest: str, told_by: str, *, md5: bool = False, scan: str = "") -> None:
        """Note that `told_by` says so."""
        self.of[path].append(Claim(digest, told_by, md5, scan))

    def sha256(self, path: str) -> str:
        """The sha256 of a file that is there."""
        return self._digests(path)[0]

    def against(self, path: str) -> tuple[str, ...]:
        """Who names another hash for a file that is there; a file that cannot be read is as nobody says."""
        try:
            sha256, md5 = self._digests(path)
        except OSError:
            return tuple(claim.told_by for claim in self.of[path])
        return tuple(c.told_by for c in self.of[path] if c.digest and c.digest != (md5 if c.md5 else sha256))

    def tellers(self, path: str) -> tuple[str, ...]:
        """Everybody who names a path, each once."""
        return tuple(dict.fromkeys(claim.told_by for claim in self.of[path]))

    def scans_behind(self, path: str) -> set[str]:
        """The scans that a path is of, as far as records say."""
        return {claim.scan for claim in self.of.get(path, ()) if claim.scan}

    def _digests(self, path: str) -> tuple[str, str]:
        asked = any(claim.md5 for claim in self.of.get(path, ()))
        if path not in self.digests or (asked and not self.digests[path][1]):
            self.digests[path] = digests_of(self.root / path, md5=asked)
        return self.digests[path]


def digests_of(file: Path, *, md5: bool) -> tuple[str, str]:
    """sha256 and, where asked, md5 of a file's bytes, which are read once."""
    one, other = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK):
            one.update(chunk)
            if md5:
                other.update(chunk)
    return one.hexdigest(), other.hexdigest() if md5 else ""


def where_bytes_belong(claims: Claims, changed: Iterable[str], missing: Iterable[str]) -> Mapping[str, str]:
    """sha256 -> the path of a changed or missing file that should have these bytes."""
    found: dict[str, str] = {}
    for path in (*changed, *missing):
        for claim in claims.of[path]:
            if claim.digest and not claim.md5:
                found.setdefault(claim.digest, path)
    return found

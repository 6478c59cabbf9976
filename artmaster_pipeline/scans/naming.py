"""What artworks are called, and which of them a person means."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

_HEX = re.compile(r"[0-9a-f]{8,64}")
_LISTED = 20  # artworks that a message names


class Called(Protocol):
    """A scan with what it can be called."""

    @property
    def sha256(self) -> str: ...
    @property
    def accession_number(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def painter(self) -> str: ...
    @property
    def path(self) -> str: ...


S = TypeVar("S", bound=Called)


@dataclass(frozen=True)
class Meant(Generic[S]):
    """Scans by sha256: those of which the whole name was given, and those whose title merely holds the words."""

    found: dict[str, S] = field(default_factory=dict)
    like: dict[str, S] = field(default_factory=dict)


def folded(text: str) -> str:
    """A name without what does not tell two names apart: case, spaces, the ways in which Unicode writes one letter."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def has_digits(sha256: str, digits: str) -> bool:
    """Whether `digits` are a sha256 or 8 or more of its first digits, in lower case."""
    return _HEX.fullmatch(digits) is not None and sha256.startswith(digits)


def meant_by(name: str, scans: Iterable[S]) -> Meant[S]:
    """Which of `scans` a person means: by sha256 or its first digits, whole accession number or whole title.

    Case, spaces and the ways in which Unicode writes one letter do not count.
    """
    wanted, meant = folded(name), Meant[S]()
    for scan in scans:
        title = folded(scan.title)
        if has_digits(scan.sha256, wanted) or (wanted and wanted in (folded(scan.accession_number), title)):
            meant.found[scan.sha256] = scan
        elif len(wanted) > 1 and wanted in title:
            meant.like[scan.sha256] = scan
    return meant


def listed(scans: Mapping[str, Called]) -> str:
    """Scans with the first digits of their sha256, number, title and place, for a message."""
    named = [
        " ".join(filter(None, (sha256[:16], scan.accession_number, scan.title, f"({scan.painter}/{scan.path})")))
        for sha256, scan in sorted(scans.items())[:_LISTED]
    ]
    return "; ".join(named) + (f"; and {len(scans) - _LISTED} more." if len(scans) > _LISTED else ".")

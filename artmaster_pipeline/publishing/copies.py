"""What every target of a copy shares: the site on its way, what copying did, and how a target's refusals are told."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from artmaster_pipeline.errors import ArtMasterError, MissingRequirement
from artmaster_pipeline.gallery.pages import PAGE
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.publishing.versions import Version
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stores import without_secrets

_MARK = '<meta name="generator" content="ArtMaster">'


@dataclass(frozen=True)
class Published:
    """A painter's site in place in a data home, on its way to somewhere else."""

    home: Home
    version: Version

    @property
    def painter(self) -> str:
        """The painter's slug: the folder's name at the target, too."""
        return self.version.painter

    @property
    def files(self) -> dict[str, Path]:
        """The site's files by their POSIX path below the site; pages last, the first page at the very end."""
        pages = {name for name in self.version.files if name.endswith(".html")}
        order = sorted(self.version.files, key=lambda name: (name in pages, name == PAGE, name))
        return {name: self.home.gallery(self.painter) / name for name in order}


@dataclass(frozen=True)
class Copied:
    """What copying did: where the site is, and how many files had to be sent."""

    where: str
    version: Version
    sent: int
    there: int  # files that were at the target already


class Target(Protocol):
    """A place for sites. `put` raises ArtMasterError, with the way out, where the place refuses."""

    def put(self, site: Published, progress: Progress) -> Copied:
        """Copy a site and make it the one that visitors see."""
        ...

    def take_down(self, home: Home, version: Version, progress: Progress) -> tuple[str, ...]:
        """Remove a version, and the site where it is the one that visitors see; gives what the place keeps of it.

        May be done again. Raises ArtMasterError where the place cannot be reached.
        """
        ...


def is_ours(page: str) -> bool:
    """Whether a page was made by ArtMaster, and may be replaced by another one of ours."""
    return _MARK in page


@contextmanager
def refusals(where: str, remedy: str, missing: str) -> Iterator[None]:
    """Turn what a client library raises into one ArtMasterError that holds no secrets.

    `missing` is the message where the library itself is not installed, `remedy` the way out where access is refused.
    """
    try:
        yield
    except (ArtMasterError, LookupError, TypeError, AttributeError):  # a person's mistake is said, ours is not hidden
        raise
    except ImportError as error:
        raise MissingRequirement(missing) from error
    except Exception as error:  # each library has its own family of errors, most of them not OSError
        said = without_secrets(f"{type(error).__name__}: {error}")
        raise ArtMasterError(f"{where} could not be written ({said}). {remedy} What was sent is kept.") from error

"""Where a model's files are: what ships with the package, a local folder, or a hub repository at one commit.

A hub model is used at a commit, never at a branch that moves: the profile names it, or the first use in a data home
does (`pins.py`). Every way in which the hub can refuse becomes one MissingRequirement that says what to do.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from artmaster_pipeline.base_models import pins
from artmaster_pipeline.base_models.family import (
    INDEX,
    Base,
    Family,
    families,
    family_by_name,
    family_of_folder,
    unknown_base,
)
from artmaster_pipeline.base_models.miniature.model import miniature_folder
from artmaster_pipeline.errors import MissingRequirement, WrongUse
from artmaster_pipeline.settings import Home, Profile

_SHIPPED = {"miniature": miniature_folder}
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Source:
    """What a pipeline's `from_pretrained` is given."""

    name: str  # a folder's path or a hub repository
    commit: str  # of the hub; empty for a folder

    @property
    def local(self) -> bool:
        """Whether it is a folder."""
        return not self.commit

    @property
    def folder(self) -> Path:
        """The folder of a local source."""
        return Path(self.name)


def find_source(profile: Profile, home: Home | None = None) -> Source:
    """Where the profile's base model is; `home` holds the commits of hub models whose profile names none.

    Raises WrongUse for a folder that is no pipeline, MissingRequirement where the hub does not give the model.
    """
    if (folder := local_folder(profile.base_model)) is None:
        return Source(profile.base_model, commit_of(profile.base_model, profile.revision, home))
    if not (folder / INDEX).is_file():
        raise WrongUse(
            f"Profile {profile.name!r}: base_model {profile.base_model} is no diffusers folder ({INDEX} is not "
            "there). Name a hub repository, 'miniature', or a folder that save_pretrained wrote."
        )
    return Source(str(folder), "")


def local_folder(base_model: str) -> Path | None:
    """The folder of a base that is one: what ships, or a path; None for a hub repository."""
    if base_model in _SHIPPED:
        return _SHIPPED[base_model]()
    folder = Path(base_model).expanduser()
    return folder if folder.is_absolute() or folder.is_dir() else None


def family_of(profile: Profile, home: Home | None = None) -> Family:
    """The family of the profile's base model. Raises as `find_source` does, and WrongUse where it is of none."""
    if (known := family_here(profile.base_model)) is not None:
        return known
    source = find_source(profile, home)
    return family_of_folder(source.folder if source.local else fetched(source.name, source.commit, INDEX).parent)


def family_here(base_model: str) -> Family | None:
    """The family of a base that is known by name or lies in a local folder; None where the hub had to be asked.

    Raises WrongUse for a folder whose pipeline is of no known family.
    """
    if (known := family_by_name(base_model)) is not None:
        return known
    folder = local_folder(base_model)
    return family_of_folder(folder) if folder is not None and (folder / INDEX).is_file() else None


def describe_base(base_model: str) -> Base:
    """What is known of the base that an adapter's record names, without the hub: also of a folder that is gone."""
    try:
        family = family_here(base_model)
    except WrongUse:
        family = None
    by_last = (f for f in families() if f.base(base_model).name in f.bases)
    family = family or next(by_last, None)
    return family.base(base_model) if family else unknown_base(base_model)


def commit_of(repository: str, revision: str | None, home: Home | None) -> str:
    """The commit at which a hub repository is used: the one that is named, or the one that this home began with."""
    if revision and _COMMIT.fullmatch(revision):
        return revision
    pinned = pins.read(home, repository, revision)
    return pinned.commit if pinned else _newest_commit(repository, revision)


def fetched(repository: str, commit: str, *names: str) -> Path:
    """A file of a repository (the last of `names`; all are fetched) in this machine's cache."""
    from huggingface_hub import hf_hub_download

    with hub_refusals(repository):
        return [Path(hf_hub_download(repository, name, revision=commit)) for name in names][-1]


@contextmanager
def hub_refusals(repository: str) -> Iterator[None]:
    """Turn what the hub's client raises into one MissingRequirement with the way out."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except (GatedRepoError, RepositoryNotFoundError) as error:
        raise MissingRequirement(licence_remedy(repository)) from error
    except RevisionNotFoundError as error:
        raise MissingRequirement(
            f"{repository} has no such revision on the hub: correct `revision` in the profile, or remove it."
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, ConnectionError, TimeoutError) as error:
        raise MissingRequirement(
            f"{repository} is not (wholly) in this machine's cache, and the hub (huggingface.co) cannot be reached. "
            f"Connect to the network (unset HF_HUB_OFFLINE if it is set), or fetch it once with "
            f"`hf download {repository}` where there is one and copy the cache.{_what_is_cached(repository)}"
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        if status in (401, 403):
            raise MissingRequirement(licence_remedy(repository)) from error
        raise MissingRequirement(
            f"The hub answered {status or 'with an error'} for {repository}: try again later, or use a cached copy "
            "with HF_HUB_OFFLINE=1."
        ) from error


def _what_is_cached(repository: str) -> str:
    """A sentence on the commits of a repository that this machine's cache holds; empty where it holds none."""
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model") / "snapshots"
    commits = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    if not commits:
        return ""
    return (
        f" The cache holds files of the commit {' and '.join(commits)}: a profile of your own that names it as the "
        "model's revision uses those."
    )


def licence_remedy(repository: str) -> str:
    """What a person does to be let in to a gated repository."""
    return (
        f"The hub does not give {repository} to this account. Sign in at https://huggingface.co/{repository}, accept "
        "its licence, make a read token at https://huggingface.co/settings/tokens, and run `hf auth login` (or set "
        "HF_TOKEN). If the name in the profile's base_model is wrong, correct it."
    )


@cache
def _newest_commit(repository: str, revision: str | None) -> str:
    """The commit that a branch stands at now; without the network, the one that the cache holds."""
    from huggingface_hub import snapshot_download

    with hub_refusals(repository):
        folder = snapshot_download(repository, revision=revision, allow_patterns=[INDEX, "config.json"])
    return Path(folder).name  # the cache keeps each commit's files in snapshots/<commit>/

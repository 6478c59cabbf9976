"""Where a base model's files are: the miniature, a local diffusers folder, or a hub repository and its commit.

Every way in which the hub can refuse becomes one MissingRequirement that says what to do.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from artmaster_pipeline.base_models.miniature.model import miniature_folder
from artmaster_pipeline.errors import MissingRequirement, WrongUse
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.settings import Profile

_INDEX = "model_index.json"


@dataclass(frozen=True)
class Source:
    """What `FluxPipeline.from_pretrained` is given, and the identity of those weights."""

    name: str  # a folder's path or a hub repository
    revision: str  # a content hash or a hub commit
    local: bool


def find_source(profile: Profile) -> Source:
    """Where the profile's base model is and which weights they are.

    A hub repository is asked for its current commit; without the network, the commit that the cache holds is taken.
    Raises WrongUse for a folder that is no pipeline, MissingRequirement where the hub does not give the model.
    """
    if profile.base_model == "miniature":
        folder = miniature_folder()
        return Source(str(folder), _content_hash(folder), local=True)
    folder = Path(profile.base_model).expanduser()
    if folder.is_absolute() or folder.is_dir():
        if not (folder / _INDEX).is_file():
            raise WrongUse(
                f"Profile {profile.name!r}: base_model {profile.base_model} is no diffusers folder ({_INDEX} is not "
                "there). Name a hub repository, 'miniature', or a folder that save_pretrained wrote."
            )
        return Source(str(folder), _content_hash(folder), local=True)
    return Source(profile.base_model, _hub_commit(profile.base_model, profile.revision), local=False)


def base_revision(profile: Profile) -> str:
    """The identity of the base model's weights: a content hash of a folder (wherever it lies), or a hub commit."""
    return find_source(profile).revision


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
            f"`hf download {repository}` where there is one and copy the cache."
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        if status in (401, 403):
            raise MissingRequirement(licence_remedy(repository)) from error
        raise MissingRequirement(
            f"The hub answered {status or 'with an error'} for {repository}: try again later, or use a cached copy "
            "with HF_HUB_OFFLINE=1."
        ) from error


def licence_remedy(repository: str) -> str:
    """What a person does to be let in to a gated repository."""
    return (
        f"The hub does not give {repository} to this account. Sign in at https://huggingface.co/{repository}, accept "
        "its licence, make a read token at https://huggingface.co/settings/tokens, and run `hf auth login` (or set "
        "HF_TOKEN). If the name in the profile's base_model is wrong, correct it."
    )


@cache
def _hub_commit(repository: str, revision: str | None) -> str:
    from huggingface_hub import hf_hub_download

    with hub_refusals(repository):
        index = Path(hf_hub_download(repository, _INDEX, revision=revision))
    return index.parent.name  # the cache keeps each commit's files in snapshots/<commit>/


def _content_hash(folder: Path) -> str:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and _counts(file, folder)]
    stats = tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files)
    return _hash_of(folder, stats)


@cache
def _hash_of(folder: Path, stats: tuple[tuple[Path, int, int], ...]) -> str:
    lines = (f"{file.relative_to(folder).as_posix()} {sha256_of(file)}" for file, _, _ in stats)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _counts(file: Path, folder: Path) -> bool:
    """Whether a file is part of the model: its index, a configuration, a tokenizer or weights of a part."""
    inner = file.relative_to(folder).parts
    return inner == (_INDEX,) or (len(inner) == 2 and not inner[1].startswith(".") and inner[0][0] != ".")

"""Networks beside the base model (captioner, panel): a local folder, or the hub's files at the one commit of a home."""

from collections.abc import Sequence
from pathlib import Path

from artmaster_pipeline.base_models import pins
from artmaster_pipeline.base_models.hub import commit_of, hub_refusals
from artmaster_pipeline.base_models.identity import hash_of_network
from artmaster_pipeline.settings import Home


def snapshot(name: str, revision: str | None, patterns: Sequence[str], home: Home | None) -> Path:
    """The local folder of a network: itself, or the hub's files of those patterns at one commit.

    The first use in a home records the commit and the hash of the weights; what later differs is refused. `name` may
    say the revision itself, `NAME@REVISION`. Raises MissingRequirement where the hub does not give it.
    """
    from huggingface_hub import snapshot_download

    if (folder := Path(name).expanduser()).is_dir():
        return folder
    repository, _, named = name.partition("@")
    asked = named or revision
    commit = commit_of(repository, asked, home)
    with hub_refusals(repository):
        folder = Path(snapshot_download(repository, revision=commit, allow_patterns=list(patterns)))
    if home is not None:
        pins.check(home, repository, asked, pins.Pin(commit, hash_of_network(folder, home)))
    return folder

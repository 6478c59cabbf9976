"""Which weights a hub model is in a data home: recorded at the first use, and refused where it later differs.

One small file per model below `settings/models/`, to be kept in git with the home's other settings. Where a profile
names no commit, the file is what keeps a home at the one that it began with.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

from artmaster_pipeline.errors import BadInput, MissingRequirement
from artmaster_pipeline.files import write_text
from artmaster_pipeline.settings import Home

_FOLDER = "settings/models"


class Pin(NamedTuple):
    """A commit of a hub repository, and the hash of the weights that it holds."""

    commit: str
    weights: str


def read(home: Home | None, repository: str, revision: str | None) -> Pin | None:
    """What this home recorded for a repository as a profile names it. Raises BadInput for a file that says nothing."""
    if home is None or not (file := _file(home, repository, revision)).is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return Pin(str(content["commit"]), str(content["weights"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{file} does not say which commit of {repository} is used here ({type(error).__name__})",
            "Restore it from git, or remove it: then the present one is recorded.",
        ) from error


def check(home: Home, repository: str, revision: str | None, now: Pin) -> None:
    """Record what is used now, or raise MissingRequirement where this home has used other weights under that name."""
    before = read(home, repository, revision)
    if before is None:
        write_text(_file(home, repository, revision), _text({"model": repository} | now._asdict()))
    elif before.weights != now.weights:
        raise MissingRequirement(
            f"{repository} holds other weights (commit {now.commit}) than this data home was made with (commit "
            f"{before.commit}; {_file(home, repository, revision)}). If its files in the cache are damaged, delete "
            "them there; to use the other weights knowingly, remove that file."
        )


def read_older_name(home: Home, weights: str) -> str | None:
    """The name under which this home's records know those weights of a base, where it is not their hash."""
    file = _older_name_file(home, weights)
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["known_as"]) if file.is_file() else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{file} does not say what it should ({type(error).__name__})", "Restore it from git."
        ) from error


def write_older_name(home: Home, weights: str, known_as: str) -> None:
    """Record that this home's records know those weights by an older name."""
    write_text(_older_name_file(home, weights), _text({"weights": weights, "known_as": known_as}))


def _file(home: Home, repository: str, revision: str | None) -> Path:
    name = re.sub(r"[^A-Za-z0-9._-]+", "--", f"{repository}@{revision}" if revision else repository)
    return home.root / _FOLDER / f"{name}.json"


def _older_name_file(home: Home, weights: str) -> Path:
    return home.root / _FOLDER / f"base-{weights[:16]}.json"


def _text(content: dict[str, str]) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"

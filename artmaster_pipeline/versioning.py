"""DVC: the bytes of every stage and their names. The only file that imports dvc.

A data home belongs to the nearest dvc.yaml whose `home` variable names it (the project's own, for `assets_data/`), or
is a DVC repository of its own. dvc.yaml holds the same six stages as Dagster, one of each per painter. After an asset
has been written, its stage is committed in process: dvc.lock then names the bytes that Dagster's record describes.
Inside `dvc repro` the commit is left to DVC.
"""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.files import write_text
from artmaster_pipeline.settings import PAINTER_FILE, STAGES, Home, Stage

PAINTERS_FILE = "painters.yaml"
_PATIENCE_SECONDS = 300.0  # how long to wait for another process that holds DVC's lock

# What each stage reads and writes, below the data home. `params` are the lines of painter.yaml that it depends on.
_DEPS: dict[Stage, tuple[str, ...]] = {
    "raw_scans": ("scans",),
    "curated_crops": ("register",),
    "training_set": ("register", "crops"),
    "style_adapter": ("training_set",),
    "evaluation_grid": ("training_set", "adapters"),
    "sample_gallery": ("register", "adapters", "evaluation"),
}
_OUT: dict[Stage, str] = dict(
    zip(STAGES, ("register", "crops", "training_set", "adapters", "evaluation", "gallery"), strict=True)
)
_PARAMS: dict[Stage, tuple[str, ...]] = {
    "training_set": ("profile", "trigger"),
    "style_adapter": ("profile", "trigger", "name", "rights"),
    "evaluation_grid": ("profile", "name"),
    "sample_gallery": ("profile", "name", "rights", "show_works"),
}


def pipeline_text(home: str) -> str:
    """The dvc.yaml of a data home at `home`, relative to the file's folder."""
    prefix = "" if home == "." else f"{home}/"  # DVC compares paths as written: "./scans" would never equal "scans"
    stages: dict[str, Any] = {}
    for stage in STAGES:
        definition: dict[str, Any] = {
            "cmd": f"artmaster run ${{item}} --only {stage} --home ${{home}}",
            "deps": [f"{prefix}{folder}/${{item}}" for folder in _DEPS[stage]],
        }
        if stage in _PARAMS:
            painter_file = f"{prefix}scans/${{item}}/{PAINTER_FILE}"
            definition["params"] = [{painter_file: list(_PARAMS[stage])}]
        definition["outs"] = [{f"{prefix}{_OUT[stage]}/${{item}}": {"persist": True}}]
        stages[stage] = {"foreach": "${painters}", "do": definition}
    head = (
        "# The six stages of every painter in the data home, the same as Dagster's assets.\n"
        "# `artmaster run` commits each stage once its asset is made; `dvc repro` runs stale ones through Dagster.\n"
    )
    content = {"vars": [{"home": home}, prefix + PAINTERS_FILE], "stages": stages}
    return head + yaml.safe_dump(content, sort_keys=False, width=120)


def find_root(home: Home) -> Path | None:
    """The folder whose dvc.yaml speaks of this data home; None where there is none yet."""
    for folder in (home.root, *home.root.parents):
        file = folder / "dvc.yaml"
        if (folder / ".dvc").is_dir() and file.is_file():
            content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
            names = [var["home"] for var in content.get("vars", ()) if isinstance(var, dict) and "home" in var]
            if names and (folder / names[0]).resolve() == home.root:
                return folder
    return None


def prepare(home: Home, painter: str | None = None) -> Path:
    """Make the data home a DVC repository where it is not yet in one, and give `painter` its six stages.

    Returns the DVC root. A home inside a git work tree that does not ignore it is versioned with git; any other keeps
    its pointers (dvc.lock) to itself.
    """
    with _one_writer(home):
        root = find_root(home)
        if root is None:
            _init(home.root)
            root = home.root
            write_text(root / "dvc.yaml", pipeline_text("."))
        file = home.root / PAINTERS_FILE
        listed = yaml.safe_load(file.read_text(encoding="utf-8"))["painters"] if file.exists() else []
        if not file.exists() or (painter and painter not in listed):
            painters = sorted({*listed, *([painter] if painter else [])})
            write_text(file, yaml.safe_dump({"painters": painters}))
        return root


def commit_stage(home: Home, stage: Stage, painter: str, unreadable: Sequence[str] = ()) -> dict[str, str]:
    """Record the current bytes of a stage in dvc.lock (and, for raw_scans, of the scans in their .dvc file).

    Args:
        home: the data home.
        stage: the stage whose output has just been written.
        painter: the painter's slug.
        unreadable: entries below scans/<painter>/ that no tool can hash (broken links and the like); DVC is told to
            pass them over, since their quarantine record already says why they are left out.

    Returns:
        The hashes that dvc.lock now names, path below the DVC root -> md5. Empty inside `dvc repro`, where DVC
        itself commits.

    Raises:
        ArtMasterError: another process holds DVC's lock for longer than a few minutes, or the commit fails.
    """
    if os.environ.get("DVC_STAGE"):
        return {}
    root = prepare(home, painter)
    with _one_writer(home):
        if stage == "raw_scans":
            _ignore(home, painter, unreadable)
            with _open(root) as repo:
                _patiently(lambda: repo.add(str(home.scans(painter))))
        with _open(root) as repo:
            stages = _patiently(lambda: repo.commit(_target(root, stage, painter), force=True))
            return {str(out): out.hash_info.value for entry in stages for out in entry.outs}


def stale_stages(home: Home, painter: str) -> tuple[Stage, ...]:
    """The stages of a painter whose inputs, settings or output are not what dvc.lock names, in order."""
    root = find_root(home)
    if root is None or not _is_listed(home, painter):
        return STAGES
    with _one_writer(home), _open(root) as repo:
        targets = [_target(root, stage, painter) for stage in STAGES]
        try:
            status = _patiently(lambda: repo.status(targets=targets))
        except OSError:  # an entry that cannot be hashed appeared in scans/: raw_scans will name it
            return STAGES
        names = {str(name).rsplit(":", 1)[-1] for name in status}
    return tuple(stage for stage in STAGES if f"{stage}@{painter}" in names)


def _target(root: Path, stage: Stage, painter: str) -> str:
    return f"{root / 'dvc.yaml'}:{stage}@{painter}"


def _is_listed(home: Home, painter: str) -> bool:
    file = home.root / PAINTERS_FILE
    return file.exists() and painter in yaml.safe_load(file.read_text(encoding="utf-8"))["painters"]


def _init(root: Path) -> None:
    from dvc.repo import Repo

    root.mkdir(parents=True, exist_ok=True)
    with_git = _git_would_track(root)
    with _quiet():
        repo = Repo.init(str(root), no_scm=not with_git, subdir=with_git)
        with repo.config.edit() as config:
            config["core"]["analytics"] = False
            config["core"]["check_update"] = False
        repo.close()


def _git_would_track(folder: Path) -> bool:
    from scmrepo.exceptions import SCMError
    from scmrepo.git import Git

    try:
        git = Git(str(folder), search_parent_directories=True)
    except SCMError:
        return False
    try:
        return not git.is_ignored(str(folder / "dvc.yaml"))
    finally:
        git.close()


def _ignore(home: Home, painter: str, unreadable: Sequence[str]) -> None:
    """Keep scans/.dvcignore: one line for each entry of each painter that cannot be hashed, and for partial copies."""
    file = home.root / "scans" / ".dvcignore"
    kept = file.read_text(encoding="utf-8").splitlines() if file.exists() else [".partial-*"]
    kept = [line for line in kept if not line.startswith(f"/{painter}/")]
    lines = kept + [f"/{painter}/{_escape(entry)}" for entry in sorted(unreadable)]
    text = "\n".join(lines) + "\n"
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        write_text(file, text)


def _escape(name: str) -> str:
    """A file's name as a gitignore pattern; what such a pattern cannot hold matches any one character."""
    characters = []
    for character in name:
        if character in "\n\r" or 0xD800 <= ord(character) <= 0xDFFF:
            characters.append("?")
        elif character in "*?[]\\! #":
            characters.append("\\" + character)
        else:
            characters.append(character)
    return "".join(characters)


@contextmanager
def _one_writer(home: Home) -> Iterator[None]:
    """One process of ours at a time: two would make DVC fail after three seconds."""
    home.cache.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(home.cache / "versioning.lock", timeout=_PATIENCE_SECONDS):
            yield
    except Timeout as error:
        raise ArtMasterError(
            f"Another process has been versioning {home.root} for over {_PATIENCE_SECONDS:.0f} s. "
            "Wait for it to end, then run the same command again; finished work is kept."
        ) from error


@contextmanager
def _open(root: Path) -> Iterator[Any]:
    from dvc.repo import Repo

    with _quiet():
        repo = Repo(str(root))
        try:
            yield repo
        finally:
            repo.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """DVC's own messages and progress bars stay off the terminal; errors still raise."""
    logger = logging.getLogger("dvc")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _patiently(work: Any) -> Any:
    """Do DVC work, trying again while a person's own `dvc` command holds the lock."""
    from dvc.exceptions import DvcException
    from dvc.lock import LockError

    give_up = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return work()
        except LockError as error:
            if time.monotonic() > give_up:
                raise ArtMasterError(
                    "Another DVC command holds the repository's lock. Wait for it to end (or, if none runs, remove "
                    ".dvc/tmp/lock and .dvc/tmp/rwlock), then run the same command again; finished work is kept."
                ) from error
            time.sleep(0.5)
        except DvcException as error:
            raise ArtMasterError(f"DVC could not record the stage: {error}") from error


if __name__ == "__main__":
    print(pipeline_text("assets_data"), end="")  # noqa: T201 - how the project's own dvc.yaml is written

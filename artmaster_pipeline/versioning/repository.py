"""The DVC repository of a data home: found, made, mended after a kill, opened by one process of ours at a time.

Whatever is made here is made file by file, each whole, and what is missing is made again: a kill at any moment leaves
a home that the next command completes.
"""

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml
from filelock import FileLock, Timeout

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.files import write_text
from artmaster_pipeline.settings import Home
from artmaster_pipeline.yaml_text import read_yaml

LOCK_FILE = "dvc.lock"
PIPELINE_FILE = "dvc.yaml"
PATIENCE_SECONDS = 300.0  # how long to wait for another process that holds DVC's lock
_CONFLICT = "<<<<<<<"
_NEW_STAGE = re.compile(r"  \S")  # a line of dvc.lock that names a stage
_DVC_GITIGNORE = "/config.local\n/tmp\n/cache\n"
_DVCIGNORE = "# Files and folders that DVC shall pass over: https://dvc.org/doc/user-guide/dvcignore\n"
_PROFILES_README = (
    "Profiles of this data home\n\n"
    "A file `NAME.yaml` here is a profile of its own, or replaces the one of that name that ships with ArtMaster.\n"
    "Which there are, and what they say: `artmaster doctor --profile NAME`.\n"
)
T = TypeVar("T")


def find_root(home: Home) -> Path | None:
    """The folder whose dvc.yaml speaks of this data home; None where there is none yet."""
    for folder in (home.root, *home.root.parents):
        if (folder / ".dvc").is_dir() and speaks_of(folder, home):
            return folder
    return None


def speaks_of(folder: Path, home: Home) -> bool:
    """Whether the dvc.yaml of a folder is there and names this data home."""
    file = folder / PIPELINE_FILE
    if not file.is_file():
        return False
    content = read_pipeline(file) if folder == home.root else _read_or_nothing(file)
    listed = content.get("vars") or ()
    names = [each["home"] for each in listed if isinstance(each, dict) and isinstance(each.get("home"), str)]
    return bool(names) and (folder / names[0]).resolve() == home.root


def read_pipeline(file: Path) -> dict[str, Any]:
    """What a dvc.yaml says; raises ArtMasterError where it cannot be read."""
    try:
        content = read_yaml(file.read_text(encoding="utf-8"), quick=True) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ArtMasterError(
            f"{file} cannot be read as YAML. Mend it (or move it away: ArtMaster writes it anew), then run again."
        ) from error
    return content if isinstance(content, dict) else {}


def _read_or_nothing(file: Path) -> dict[str, Any]:
    try:
        return read_pipeline(file)
    except ArtMasterError:  # some other project's, further up
        return {}


def make_or_mend(home: Home) -> Path:
    """The DVC root of a data home, whole: made where there is none, completed where a kill left half of it.

    A home inside a git work tree that does not ignore it is versioned with git; any other keeps its pointers
    (dvc.lock) to itself. Raises ArtMasterError where git or a file of DVC's cannot be used as it is, before anything
    is written.
    """
    root = find_root(home) or home.root
    if root == home.root:
        _check_its_own(home)
    dvc = root / ".dvc"
    if dvc.exists() and not dvc.is_dir():
        raise ArtMasterError(f"{dvc} is no folder, but DVC keeps its settings there: move it away, then run again.")
    config = _config(dvc / "config")
    with_git = not _says_yes(config.get("core", {}).get("no_scm")) and git_would_track(root)
    _write_config(dvc / "config", config, with_git=with_git)
    for file, text in (
        (dvc / ".gitignore", _DVC_GITIGNORE),
        (root / ".dvcignore", _DVCIGNORE),
        (home.root / "profiles" / "README.md", _PROFILES_README),
    ):
        if not file.exists():
            write_text(file, text)
    _mend_pointers(home, root)
    return root


def _check_its_own(home: Home) -> None:
    file = home.root / PIPELINE_FILE
    if file.is_file() and not speaks_of(home.root, home):
        raise ArtMasterError(
            f"{file} belongs to another project, so {home.root} cannot be a data home: choose a folder of its own "
            "with --home (one inside that project is fine)."
        )


def _config(file: Path) -> Any:
    """DVC's own settings file, as far as it is there."""
    from configobj import ConfigObj, ConfigObjError

    try:
        return ConfigObj(file.read_text(encoding="utf-8").splitlines() if file.is_file() else [])
    except (ConfigObjError, UnicodeDecodeError) as error:
        raise ArtMasterError(
            f"{file} cannot be read as DVC's settings. Mend it, or move it away: ArtMaster writes it anew (a remote "
            "that it named must be set again with `dvc remote add`). Nothing else is lost."
        ) from error


def _write_config(file: Path, config: Any, *, with_git: bool) -> None:
    """DVC says nothing to its makers, and needs no git where the home has none."""
    wanted = {"analytics": "False", "check_update": "False"}
    if not with_git:
        wanted["no_scm"] = "True"
    core = config.setdefault("core", {})
    missing = {name: value for name, value in wanted.items() if name not in core}
    if not with_git and not _says_yes(core.get("no_scm")):
        missing["no_scm"] = "True"
    if missing or not file.is_file():
        core.update(missing)
        write_text(file, "".join(f"{line}\n" for line in config.write()))


def _says_yes(value: Any) -> bool:
    return str(value).lower() in {"true", "yes", "on", "1"}


def git_would_track(folder: Path) -> bool:
    """Whether a folder lies in a git work tree that does not ignore it.

    Raises ArtMasterError, with the way out, where there is a git repository that git itself refuses or cannot read.
    """
    from scmrepo.exceptions import SCMError
    from scmrepo.git import Git

    folder.mkdir(parents=True, exist_ok=True)
    try:
        git = Git(str(folder), search_parent_directories=True)
    except SCMError:
        return False  # no repository anywhere above
    except Exception as error:  # dulwich lets through whatever a broken repository makes it stumble over
        raise _no_use(folder, error) from error
    try:
        if git.pygit2.repo.is_bare:  # it has no files to track
            return False
        return not git.is_ignored(str(folder / PIPELINE_FILE))
    except Exception as error:
        raise _no_use(Path(git.root_dir), error) from error
    finally:
        git.close()


def _no_use(repository: Path, error: Exception) -> ArtMasterError:
    said = " ".join(str(error).split()) or type(error).__name__
    if "not owned" in said:
        way = (
            "If you trust it, let git use it: "
            f"git config --global --add safe.directory {repository} . Or choose a home outside it with --home."
        )
        return ArtMasterError(f"The git repository {repository} belongs to another user, so git does not use it. {way}")
    return ArtMasterError(
        f"The git repository at {repository} cannot be used ({said}). Mend it (git -C {repository} status says what "
        "git makes of it), or choose a home outside it with --home. Nothing was written."
    )


def _mend_pointers(home: Home, root: Path) -> None:
    """Put right the files of DVC's that a kill tore while DVC wrote them: it does not write them whole."""
    lock = root / LOCK_FILE
    good = _good_lock(home)
    if lock.is_file() and (not _is_pointer(lock, "stages") or _is_torn_between_lines(lock, good)):
        _refuse_conflict(lock)
        if good.is_file() and _is_pointer(good, "stages"):
            write_text(lock, good.read_text(encoding="utf-8"))
        else:  # nothing was ever committed whole: every stage counts as stale, and finds its work done
            lock.unlink()
    for pointer in sorted((home.root / "scans").glob("*.dvc")):
        if pointer.is_file() and not _is_pointer(pointer, "outs"):
            _refuse_conflict(pointer)
            pointer.unlink()  # written again with the next commit of raw_scans
    for lock_of_paths in [root / ".dvc" / "tmp" / "rwlock"]:
        if lock_of_paths.is_file() and not _is_json(lock_of_paths):
            lock_of_paths.unlink()


def keep_good_lock(home: Home, root: Path) -> None:
    """Keep a copy of dvc.lock beside the caches, from which a torn one is mended."""
    text = (root / LOCK_FILE).read_text(encoding="utf-8")
    good = _good_lock(home)
    if not good.is_file() or good.read_text(encoding="utf-8") != text:
        write_text(good, text)


def _is_torn_between_lines(lock: Path, good: Path) -> bool:
    """Whether a dvc.lock is the beginning of the last whole one and ends within a stage: torn where a line ends."""
    if not good.is_file():
        return False
    text, whole = lock.read_text(encoding="utf-8"), good.read_text(encoding="utf-8")
    rest = whole.removeprefix(text)
    return rest not in ("", whole) and not _NEW_STAGE.match(rest)


def _good_lock(home: Home) -> Path:
    return home.cache / "versioning" / LOCK_FILE


def _refuse_conflict(file: Path) -> None:
    if _CONFLICT in file.read_text(encoding="utf-8", errors="replace"):
        raise ArtMasterError(
            f"{file} holds an unresolved merge of git's ({_CONFLICT} ...): resolve it there, then run again."
        )


def _is_pointer(file: Path, key: str) -> bool:
    try:
        text = file.read_text(encoding="utf-8")
        # DVC ends its files; a torn one has no end
        content = read_yaml(text, quick=True) if text.endswith("\n") else None
    except (yaml.YAMLError, UnicodeDecodeError):
        return False
    if not isinstance(content, dict) or key not in content:
        return False
    parts = content[key].values() if isinstance(content[key], dict) else content[key]
    return isinstance(content[key], dict | list) and all(isinstance(part, dict) for part in parts)


def _is_json(file: Path) -> bool:
    import json

    try:
        json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True


@contextmanager
def one_writer(home: Home) -> Iterator[None]:
    """One process of ours at a time: two would make DVC fail after three seconds."""
    home.cache.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(home.cache / "versioning.lock", timeout=PATIENCE_SECONDS, is_singleton=True):
            yield
    except Timeout as error:
        raise ArtMasterError(
            f"Another process has been versioning {home.root} for over {PATIENCE_SECONDS:.0f} s. "
            "Wait for it to end, then run the same command again; finished work is kept."
        ) from error


@contextmanager
def opened(root: Path) -> Iterator[Any]:
    """The repository as DVC's own object; what DVC and git cannot do is an ArtMasterError."""
    from dvc.repo import Repo

    with _quiet(), _told(root):
        repo = Repo(str(root))
        try:
            yield repo
        finally:
            repo.close()


@contextmanager
def _told(root: Path) -> Iterator[None]:
    """DVC's and git's exceptions as one sentence."""
    from dvc.exceptions import DvcException
    from scmrepo.exceptions import SCMError

    try:
        yield
    except DvcException as error:
        raise ArtMasterError(f"DVC cannot version {root}: {_sentence(error)}") from error
    except SCMError as error:
        raise _no_use(root, error) from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] in {"_pygit2", "pygit2", "dulwich", "git"}:
            raise _no_use(root, error) from error
        raise


def _sentence(error: BaseException) -> str:
    """An exception's own words and its causes', on one line."""
    said: list[str] = []
    at: BaseException | None = error
    while at is not None and len(said) < 3:
        words = " ".join(str(at).split())
        if words and all(words not in each for each in said):
            said.append(words)
        at = at.__cause__
    return ": ".join(said) or type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """DVC's own messages and progress bars stay off the terminal; errors still raise."""
    levels = {logger: logger.level for logger in map(logging.getLogger, ("dvc", "dvc_data", "dvc_objects", "scmrepo"))}
    for logger in levels:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


def patiently(work: Callable[[], T]) -> T:
    """Do DVC work, trying again while a person's own `dvc` command holds the lock."""
    from dvc.lock import LockError

    give_up = time.monotonic() + PATIENCE_SECONDS
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

"""Which weights a base model is: one hash over the hashes of its weight files and of what decides how they are used.

Counted are the safetensors of every part that the pipeline's index names, their configurations, the schedule and the
tokenizers; a README, a preview or another program's copy of the weights is not, nor what a library notes about itself
in a configuration. So a new commit on the hub that changes none of these is the same base. Large files are not read
where the hub's cache names them by their sha256.

Homes made by earlier versions know a local base by a hash of all its files and a hub base by its commit; where their
adapters say so, those names stay, so that nothing is trained again.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from artmaster_pipeline.base_models import pins
from artmaster_pipeline.base_models.family import INDEX
from artmaster_pipeline.base_models.hub import Source, fetched, find_source, hub_refusals
from artmaster_pipeline.base_models.miniature.model import CONTROL
from artmaster_pipeline.errors import ArtMasterError, BadInput, MissingRequirement
from artmaster_pipeline.files import sha256_of, write_text
from artmaster_pipeline.records import identity
from artmaster_pipeline.settings import Home, Profile

_WITHOUT_WEIGHTS = re.compile(r".*(?:Tokenizer(?:Fast)?|Scheduler|Processor|Extractor)")
_TEXTS = (".json", ".txt", ".model", ".jinja")  # of a tokenizer or a schedule
_SHARDS = re.compile(r"(?:diffusion_pytorch_model|model)\.safetensors\.index\.json")
_WHOLE = re.compile(r"(?:diffusion_pytorch_model|model)\.safetensors")
_CONFIG = "config.json"
_SHA256, _COMMIT = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")
_NOTED = "transformers_version"  # by a library, about itself, as are names that begin with an underscore
_BIG = 2**20  # bytes: from here on a hash is kept in the home's cache


def base_revision(profile: Profile, home: Home | None = None) -> str:
    """The identity of the base model's weights, wherever they lie: their hash, or the name that `home` knows them by.

    Raises as `find_source` does, and MissingRequirement where a hub model's weights are not those of this home's pin.
    """
    source = find_source(profile, home)
    weights = hash_of_base(source, home)
    if home is not None and not source.local:
        pins.check(home, source.name, profile.revision, pins.Pin(source.commit, weights))
    return weights if home is None else _name_in(home, profile, source, weights)


def base_commit(profile: Profile, home: Home | None = None) -> str:
    """The hub's commit that the base's files come from; empty for a local folder."""
    return find_source(profile, home).commit


def hash_of_base(source: Source, home: Home | None = None) -> str:
    """The hash of a base's weights and of what decides how they are used."""
    try:
        if source.local:
            return _hash_of_files(_files_of_folder(source.folder), home)
        return _hash_on_hub(source.name, source.commit)
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise BadInput(
            f"The files of the base model {source.name} are not whole ({type(error).__name__}: {error})",
            "Fetch or copy them again, or correct base_model in the profile.",
        ) from error


def hash_of_network(folder: Path, home: Home | None = None) -> str:
    """The hash of the safetensors of a network's folder."""
    return _combined((file.name, _sha256_of(file, home)) for file in sorted(folder.glob("*.safetensors")))


def _name_in(home: Home, profile: Profile, source: Source, weights: str) -> str:
    """The weights' hash, or the older name by which adapters of this home know them."""
    if known := pins.read_older_name(home, weights):
        return known
    for name in sorted(_names_of_bases(home, profile.base_model) - {weights}):
        if source.local:
            same = name == _content_hash(source.folder)
        else:
            same = bool(_COMMIT.fullmatch(name)) and _hash_on_hub(source.name, name) == weights
        if same:
            pins.write_older_name(home, weights, name)
            return name
    return weights


def _names_of_bases(home: Home, base_model: str) -> set[str]:
    """What the adapters of this home call the base of that name."""
    found = set()
    for file in (home.root / "adapters").glob("*/*/adapter.json"):
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            if record["base_model"] == base_model:
                found.add(str(record["base_revision"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # not an adapter's record; whoever reads the adapter says so
    return found


# --- which files count, and their hashes


def _files_of_folder(folder: Path) -> dict[str, Path]:
    """The files of a diffusers folder that count, by their path in it."""
    names = [
        f"{part.name}/{file.name}"
        for part in folder.iterdir()
        if part.is_dir()
        for file in part.iterdir()
        if file.is_file()
    ]
    return {name: folder / name for name in _counted(names, _parts(folder / INDEX), lambda name: folder / name)}


def _parts(index: Path) -> dict[str, str]:
    """Part -> class, of the parts that a pipeline's index names."""
    content = json.loads(index.read_text(encoding="utf-8"))
    return {name: of[1] for name, of in content.items() if isinstance(of, list) and len(of) == 2 and of[1]}


def _counted(names: Iterable[str], parts: dict[str, str], at: Callable[[str], Path]) -> list[str]:
    """Of a model's files those that count, sorted; `at` gives a small one's place on the disk."""
    found = {INDEX}
    inside: dict[str, list[str]] = {part: [] for part in parts}
    for name in names:
        part, _, rest = name.partition("/")
        if part in inside and rest and "/" not in rest and not rest.startswith("."):
            inside[part].append(rest)
    for part, files in inside.items():
        if _WITHOUT_WEIGHTS.fullmatch(parts[part]):
            kept = [file for file in files if Path(file).suffix in _TEXTS]
        elif shards := [file for file in files if _SHARDS.fullmatch(file)]:
            index = json.loads(at(f"{part}/{shards[0]}").read_text(encoding="utf-8"))
            kept = [_CONFIG, *set(index["weight_map"].values())]
        else:
            kept = [file for file in files if file == _CONFIG or _WHOLE.fullmatch(file)]
        found |= {f"{part}/{file}" for file in kept}
    return sorted(found)


def _hash_of_files(files: dict[str, Path], home: Home | None) -> str:
    return _combined((name, _hash_of_file(file, home)) for name, file in files.items())


def _combined(hashes: Iterable[tuple[str, str]]) -> str:
    return hashlib.sha256("\n".join(f"{name} {sha256}" for name, sha256 in hashes).encode()).hexdigest()


def _hash_of_file(file: Path, home: Home | None) -> str:
    """A JSON file counts by what it says, without what a library notes about itself; others by their bytes."""
    if file.suffix != ".json":
        return _sha256_of(file, home)
    said = _said(json.loads(file.read_text(encoding="utf-8")))
    return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _said(content: Any) -> Any:
    if not isinstance(content, dict):
        return content
    return {key: value for key, value in content.items() if key == "_class_name" or not _is_note(key)}


def _is_note(key: str) -> bool:
    return key.startswith("_") or key == _NOTED


def _sha256_of(file: Path, home: Home | None) -> str:
    """A file's sha256: from its name in the hub's cache where that is one, else read once and kept by size and time."""
    blob = file.resolve()
    if blob.parent.name == "blobs" and _SHA256.fullmatch(blob.name):
        return blob.name
    stat = blob.stat()
    return _read_once(blob, stat.st_size, stat.st_mtime_ns, home if stat.st_size >= _BIG else None)


@cache
def _read_once(file: Path, size: int, time: int, home: Home | None) -> str:
    if home is None:
        return sha256_of(file)
    kept = home.cache / "hashes" / identity("sha256 of a file", str(file), size, time)
    if kept.is_file() and _SHA256.fullmatch(said := kept.read_text(encoding="utf-8").strip()):
        return said
    found = sha256_of(file)
    write_text(kept, found + "\n")
    return found


# --- a base on the hub


@cache
def _hash_on_hub(repository: str, commit: str) -> str:
    """The hash of a base's files at a commit: from the cache if it is whole, else from what the hub says of them."""
    folder = fetched(repository, commit, INDEX).parent
    parts = _parts(folder / INDEX)
    files = _files_of_folder(folder)
    if _is_whole(files, parts):
        return _hash_of_files(files, None)
    from huggingface_hub import HfApi

    try:
        with hub_refusals(repository):
            listed = HfApi().model_info(repository, revision=commit, files_metadata=True).siblings or []
    except MissingRequirement as error:
        raise MissingRequirement(
            f"{error} Until then nobody can tell which weights commit {commit} holds: not all are in the cache."
        ) from error
    large = {file.rfilename: file.lfs.sha256 for file in listed if file.lfs}

    def at(name: str) -> Path:
        return fetched(repository, commit, name)

    names = _counted((file.rfilename for file in listed), parts, at)
    if not any(name.endswith(".safetensors") for name in names):
        raise ArtMasterError(f"{repository} at commit {commit} holds no weights as safetensors: it cannot be used.")
    return _combined((name, large[name] if name in large else _hash_of_file(at(name), None)) for name in names)


def _is_whole(files: dict[str, Path], parts: dict[str, str]) -> bool:
    """Whether every part is there with all its files: a part that was never loaded lacks its weights."""
    for part, kind in parts.items():
        names = [name for name in files if name.startswith(f"{part}/")]
        weights = [name for name in names if name.endswith(".safetensors")]
        if not names or not (weights or _WITHOUT_WEIGHTS.fullmatch(kind)):
            return False
    return all(file.is_file() for file in files.values())


# --- how earlier versions named a local folder


def _content_hash(folder: Path) -> str:
    """A hash over the index and all files of the folders below: a base's identity until this version."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and _counted_before(file, folder)]
    lines = (f"{file.relative_to(folder).as_posix()} {_sha256_of(file, None)}" for file in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _counted_before(file: Path, folder: Path) -> bool:
    inner = file.relative_to(folder).parts
    if inner[0] == CONTROL:  # came later, and is no part of the base
        return False
    return inner == (INDEX,) or (len(inner) == 2 and not inner[1].startswith(".") and inner[0][0] != ".")

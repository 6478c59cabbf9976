"""story.yaml and wish.yaml as a person wrote them: read with bounds, and judged with every fault told at once."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.experts.mixes import listed
from artmaster_pipeline.records import identity
from artmaster_pipeline.settings import Home, Profile
from artmaster_pipeline.stories.records import Authorship, Story, Wish, Words
from artmaster_pipeline.stories.storyboard.assembling import written_identity
from artmaster_pipeline.stories.storyboard.brief import OWN
from artmaster_pipeline.stories.storyboard.checking import Left, faults_of
from artmaster_pipeline.stories.storyboard.matching import plain
from artmaster_pipeline.stories.storyboard.prompts import composed
from artmaster_pipeline.story_folders import STORY_FILE, WISH_FILE
from artmaster_pipeline.yaml_text import read_strict_yaml

_LARGEST = 2**18  # bytes of a file: twenty-four shots in two languages have a tenth of it
_MOST_FAULTS = 40  # of one file that are told at once
_LISTS = ("eras", "characters", "motifs", "shots")
_HAND = "a person"  # who wrote a storyboard that does not say who
_KINDS = {dict: "'name: value' lines", list: "a list", str: "words", bool: "yes or no", type(None): "nothing"}
M = TypeVar("M", bound=BaseModel)


def read_story(file: Path, home: Home, profile: Profile, name: str = "") -> Story:
    """The storyboard of a story.yaml, or of the folder that holds it, with every prompt put together.

    What a person may leave out is added: the name (`name`, else the folder's), the shots' numbers, seeds that follow
    from the wish.
    Raises one WrongUse that names every fault.
    """
    file = file / STORY_FILE if file.is_dir() else file
    name = name or file.parent.resolve().name
    content = _completed(_content(file, "a storyboard"), file, name)
    faults: list[str] = []
    story, left = _parsed(content, faults)
    if content.get("name") != name and isinstance(content.get("name"), str):
        faults.append(f"name: it says {content['name'][:64]!r}, and its folder is {name}: say the folder's")
    if story is not None:
        faults += faults_of(story, home, profile, left)
    if faults or story is None:
        raise WrongUse(f"{file}: {listed(_bounded(dict.fromkeys(faults)))}")
    shots = tuple(
        shot if shot.prompt else shot.model_copy(update={"prompt": composed(story, shot)}) for shot in story.shots
    )
    story = story.model_copy(update={"shots": shots})
    by_hand = story.authorship.written != written_identity(story)
    return story.model_copy(update={"authorship": story.authorship.model_copy(update={"by_hand": by_hand})})


def read_wish(file: Path) -> Wish:
    """The wish of a wish.yaml, or of the folder that holds it, its text on one line.

    Raises one WrongUse that names every fault.
    """
    file = file / WISH_FILE if file.is_dir() else file
    content = _content(file, "a wish")
    try:
        wish = Wish.model_validate(content)
        return Wish.model_validate(wish.model_dump() | {"text": plain(wish.text)})
    except ValidationError as error:
        raise WrongUse(f"{file}: {listed(_bounded(_faults(Wish, error)))}") from error


def _content(file: Path, what: str) -> dict[str, Any]:
    """What a file says. Raises WrongUse where nothing in it can be read."""
    try:
        with file.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise WrongUse(f"{file} has more than {_LARGEST >> 10} KiB, and {what} is said in less: shorten it.")
        said = read_strict_yaml(content.decode("utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        why = " ".join(str(error).split())
        tab = " Indent with blanks, not with tabs." if "'\\t'" in why else ""
        raise WrongUse(f"{file} cannot be read as YAML: {why}. Mend it there.{tab}") from error
    if not isinstance(said, dict):
        raise WrongUse(f"{file}: expected 'name: value' lines, and found {_kind_of(said)} (docs/stories.md).")
    return said


def _completed(content: dict[str, Any], file: Path, name: str) -> dict[str, Any]:
    """What a person wrote, with what follows from the rest."""
    title = content.get("title")
    if isinstance(title, str):
        content["title"] = title = {"en": title}
    said = [text for text in (title or {}).values() if isinstance(text, str)] if isinstance(title, dict) else []
    content.setdefault("name", name)
    content.setdefault("language", "en")
    content.setdefault("characters", [])
    content.setdefault("motifs", [])
    if "wish" not in content:
        beside = file.parent / WISH_FILE
        content["wish"] = read_wish(beside).model_dump() if beside.is_file() else {"text": next(iter(said), "") or name}
    content.setdefault("authorship", {"author": _HAND})
    wish, shots = content["wish"], content.get("shots")
    seed = wish.get("seed", 0) if isinstance(wish, dict) else 0
    for number, shot in enumerate(shots if isinstance(shots, list) else ()):
        if isinstance(shot, dict):
            shot.setdefault("id", f"shot-{number + 1}")
            shot.setdefault("seed", int(identity("shot seed", str(seed), number), 16) % 2**31)
            shot.setdefault("perspective", "level")
            shot.setdefault("static_description", "")
            shot.setdefault("setting", "")
            shot.setdefault("narration", {})
    return content


def _parsed(content: dict[str, Any], faults: list[str]) -> tuple[Story | None, Left]:
    """The storyboard without the parts that are none, whose faults are told; None where too little is left."""
    try:
        return Story.model_validate(content), Left()
    except ValidationError as error:
        faults += _faults(Story, error)
        wrong = [fault["loc"] for fault in error.errors()]
    parts = {loc[0] for loc in wrong if len(loc) < 2 or loc[0] not in _LISTS or not isinstance(loc[1], int)}
    entries = {(loc[0], loc[1]) for loc in wrong if len(loc) > 1}
    positions, ids = {}, {}
    kept = {name: value for name, value in content.items() if name not in parts and name in Story.model_fields}
    for part in _LISTS:
        if part not in kept:
            kept[part] = []
            continue
        positions[part] = [number for number in range(len(kept[part])) if (part, number) not in entries]
        gone = [each for number, each in enumerate(kept[part]) if (part, number) in entries]
        ids[part] = frozenset(str(each["id"]) for each in gone if isinstance(each, dict) and "id" in each)
        kept[part] = [kept[part][number] for number in positions[part]]
        if not gone:
            del positions[part], ids[part]
    try:
        story = Story.model_validate({**_stand_ins(), **kept})
    except ValidationError:
        return None, Left()
    return story, Left(positions, ids, frozenset(str(name) for name in parts))


def _stand_ins() -> dict[str, Any]:
    """For parts that are not there or wrong, so that the others can be judged."""
    return {
        "name": "story",
        "title": Words(),
        "language": "en",
        "wish": Wish(text="a story"),
        "style_contract": {"medium": OWN},
        "authorship": Authorship(author=_HAND),
    }


def _faults(kind: type[BaseModel], error: ValidationError) -> list[str]:
    """What pydantic found, each with its place as a person counts it and the way out."""
    return [_fault(kind, fault) for fault in error.errors()]


def _fault(kind: type[BaseModel], fault: Mapping[str, Any]) -> str:
    where, what, said = fault["loc"], fault["type"], fault.get("input")
    place = ""
    for part in where:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else str(part)
    place = place.removesuffix(".[key]")[:160]
    if what == "extra_forbidden":
        return f"{place}: there is no such name; {_nearest(kind, where)}"
    found = _kind_of(said)
    quoted = f": put quotes around {said!r}" if isinstance(said, int | float) else ""
    messages = {
        "missing": "it is not said, and needed (docs/stories.md)",
        "string_type": f"expected words, and found {found}{quoted}",
        "string_pattern_mismatch": f"{str(said)[:64]!r}: use lower-case letters, digits and single hyphens",
        "literal_error": f"{str(said)[:64]!r}: say {fault.get('ctx', {}).get('expected')}",
    }
    messages |= dict.fromkeys(("int_type", "int_parsing", "int_from_float"), f"{said!r:.40}: say a whole number")
    messages |= dict.fromkeys(("tuple_type", "list_type"), f"expected a list, and found {found}")
    lines = f"expected 'name: value' lines, and found {found}"
    messages |= dict.fromkeys(("model_type", "dict_type", "model_attributes_type"), lines)
    return f"{place}: {messages.get(what) or fault['msg'].removeprefix('Value error, ')}"


def _nearest(kind: type[BaseModel], where: tuple[int | str, ...]) -> str:
    known = _names_at(kind, where[:-1])
    near = get_close_matches(str(where[-1]), known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"


def _names_at(kind: type[BaseModel], where: tuple[int | str, ...]) -> list[str]:
    """The names of the part that lies below `kind` at `where`."""
    for part in (part for part in where if isinstance(part, str)):
        field = kind.model_fields.get(part)
        models = [each for each in _within(field.annotation) if isinstance(each, type)] if field else []
        kind = next((each for each in models if issubclass(each, BaseModel)), kind)
    return list(kind.model_fields)


def _within(annotation: Any) -> list[Any]:
    return [annotation, *(inner for each in get_args(annotation) for inner in _within(each))]


def _kind_of(said: Any) -> str:
    return _KINDS.get(type(said), "a number" if isinstance(said, int | float) else "a value")


def _bounded(faults: Mapping[str, Any] | list[str]) -> list[str]:
    found = list(faults)
    more = len(found) - _MOST_FAULTS
    return found if more <= 0 else [*found[:_MOST_FAULTS], f"and {more} more"]

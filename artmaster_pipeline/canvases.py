"""The canvases of a data home as folders: which there are, and whose hands a canvas.yaml names.

Only that is read here, for whoever plans, locks and lists; whether a canvas can be painted `copainting.canvas` says.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import inside, is_slug, sha256_of, write_text
from artmaster_pipeline.yaml_text import read_strict_yaml

FOLDER = "canvases"  # of the data home: a folder for each canvas
CANVAS_FILE = "canvas.yaml"
_LARGEST = 2**18  # bytes of a canvas.yaml: the longest that anybody could mean has a few thousand
_FACTORS = ("composition", "colour", "brush")  # before the equals sign of a mix; anything else there is a painter
_PATHS = ("labels", "mask", "file")  # the keys below which a canvas.yaml names a file beside it
_HAND = re.compile(r"(?P<key>\b(?:painter|mix)\s*:\s*)(?P<said>\"[^\"\n]*\"|'[^'\n]*'|[^,}\n#]*)")


def canvases_in(folder: Path) -> tuple[str, ...]:
    """The slugs of the canvases in a folder of canvases, sorted: each is a folder with a canvas.yaml."""
    if not folder.is_dir():
        return ()
    return tuple(
        sorted(each.name for each in folder.iterdir() if is_slug(each.name) and (each / CANVAS_FILE).is_file())
    )


def read_canvas_text(folder: Path) -> dict[str, Any]:
    """What a canvas.yaml says, as plain data.

    Raises WrongUse where it is not there, is no YAML of 'name: value' lines, is too long, or repeats parts by aliases:
    a few lines with those may mean more than any memory holds.
    """
    file = folder / CANVAS_FILE
    try:
        if file.stat().st_size > _LARGEST:
            raise WrongUse(f"{file} has more than {_LARGEST // 1024} KiB, which no canvas needs: shorten it.")
        text = file.read_text(encoding="utf-8")
        content = read_strict_yaml(text)
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        why = " ".join(str(error).split())
        raise WrongUse(
            f"{file} cannot be read ({why}): a canvas is a folder with that file (docs/copainting.md)."
        ) from error
    if not isinstance(content, dict):
        raise WrongUse(f"{file}: expected what the canvas is as 'name: value' lines (docs/copainting.md).")
    return content


def painters_named(folder: Path) -> tuple[str, ...]:
    """Everyone whom a canvas.yaml gives a part, sorted. Raises WrongUse as `read_canvas_text` does, or for nobody."""
    found = {painter for hand in _hands(read_canvas_text(folder)) for painter in _named(hand)}
    if not found:
        raise WrongUse(f"{folder / CANVAS_FILE} names no painter: say one as `ground: {{painter: SLUG}}`.")
    return tuple(sorted(found))


def what_is_said(folder: Path) -> dict[str, Any]:
    """What a canvas.yaml says, as JSON, and the sha256 of the files that it names (empty: not there)."""
    content = read_canvas_text(folder)
    parts = [content, *_parts(content.get("regions")), *_parts(content.get("control"))]
    names = {str(part[key]) for part in parts for key in _PATHS if isinstance(part.get(key), str)}
    return {
        "canvas": json.loads(json.dumps(content, default=str, skipkeys=True)),
        "files": {name: _hash(folder, name) for name in sorted(names)},
    }


def rename_hand(folder: Path, old: str, new: str) -> bool:
    """Let a canvas.yaml name a painter anew, all else in it as a person wrote it; gives whether that could be done.

    It cannot where the file says it in a way that is not gone on with word by word: then it stays as it is.
    """
    file = folder / CANVAS_FILE
    try:
        before = read_canvas_text(folder)
        text = file.read_text(encoding="utf-8")
    except WrongUse:
        return False
    word = re.compile(rf"(?<![\w-]){re.escape(old)}(?![\w-])")
    renamed = _HAND.sub(lambda found: found["key"] + word.sub(new, found["said"]), text)
    try:
        after = read_strict_yaml(renamed)
    except yaml.YAMLError:
        return False
    wanted = [[new if painter == old else painter for painter in _named(hand)] for hand in _hands(before)]
    if [list(_named(hand)) for hand in _hands(after)] != wanted or _without_hands(after) != _without_hands(before):
        return False
    if renamed != text:
        write_text(file, renamed)
    return True


def _hash(folder: Path, name: str) -> str:
    try:
        file = inside(folder, name)
        return sha256_of(file) if file.is_file() else ""
    except (WrongUse, OSError, ValueError):
        return ""


def _parts(entries: Any) -> list[dict[str, Any]]:
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _hands(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    ground = content.get("ground")
    yield from [ground] if isinstance(ground, dict) else []
    yield from _parts(content.get("regions"))


def _without_hands(content: dict[str, Any]) -> str:
    plain = json.loads(json.dumps(content, default=str, skipkeys=True))
    for hand in _hands(plain):
        hand.pop("painter", None)
        hand.pop("mix", None)
    return json.dumps(plain, sort_keys=True)


def _named(hand: dict[str, Any]) -> Iterable[str]:
    """The slugs that a hand names: `painter: A` or `A@ID`, or those of a mix, in their order, each once."""
    said = [str(hand.get("painter") or "")]
    for word in str(hand.get("mix") or "").split():
        key, _, value = word.partition("=")
        said += [part.partition(":")[0] for part in value.split("+")] if key in _FACTORS else [key]
    return dict.fromkeys(slug for each in said if is_slug(slug := each.partition("@")[0]))

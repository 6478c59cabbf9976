"""The canvases of a data home as folders: which there are, and whose hands a canvas.yaml names.

Only that is read here, for whoever plans, locks and lists; whether a canvas can be painted `copainting.canvas` says.
"""

from pathlib import Path
from typing import Any

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import inside, is_slug, sha256_of
from artmaster_pipeline.hand_files import HandFile, as_json

FOLDER = "canvases"  # of the data home: a folder for each canvas
CANVAS_FILE = "canvas.yaml"
_CANVAS = HandFile(CANVAS_FILE, "canvas", "docs/copainting.md", (("ground",), ("regions", "*")))
_PATHS = ("labels", "mask", "file")  # the keys below which a canvas.yaml names a file beside it


def canvases_in(folder: Path) -> tuple[str, ...]:
    """The slugs of the canvases in a folder of canvases, sorted: each is a folder with a canvas.yaml."""
    if not folder.is_dir():
        return ()
    return tuple(
        sorted(each.name for each in folder.iterdir() if is_slug(each.name) and (each / CANVAS_FILE).is_file())
    )


def read_canvas_text(folder: Path) -> dict[str, Any]:
    """What a canvas.yaml says, as plain data. Raises WrongUse as `HandFile.read` does."""
    return _CANVAS.read(folder)


def painters_named(folder: Path) -> tuple[str, ...]:
    """Everyone whom a canvas.yaml gives a part, sorted. Raises WrongUse as `read_canvas_text` does, or for nobody."""
    found = _CANVAS.painters(folder)
    if not found:
        raise WrongUse(f"{folder / CANVAS_FILE} names no painter: say one as `ground: {{painter: SLUG}}`.")
    return found


def what_is_said(folder: Path) -> dict[str, Any]:
    """What a canvas.yaml says, as JSON, and the sha256 of the files that it names (empty: not there)."""
    content = read_canvas_text(folder)
    parts = [content, *_parts(content.get("regions")), *_parts(content.get("control"))]
    names = {str(part[key]) for part in parts for key in _PATHS if isinstance(part.get(key), str)}
    return {"canvas": as_json(content), "files": {name: _hash(folder, name) for name in sorted(names)}}


def rename_hand(folder: Path, old: str, new: str) -> bool:
    """Let a canvas.yaml name a painter anew, as `HandFile.rename` does; gives whether that could be done."""
    return _CANVAS.rename(folder, old, new)


def _hash(folder: Path, name: str) -> str:
    try:
        file = inside(folder, name)
        return sha256_of(file) if file.is_file() else ""
    except (WrongUse, OSError, ValueError):
        return ""


def _parts(entries: Any) -> list[dict[str, Any]]:
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []

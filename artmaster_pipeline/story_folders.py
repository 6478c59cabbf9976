"""The stories of a data home as folders: which there are, and whose hand they are painted in.

Only that is read here, for whoever plans, locks and lists; whether a storyboard has faults `stories.storyboard` says. A
story is a folder with wish.yaml, what somebody asked for, story.yaml, the storyboard, or both. Where there is a
story.yaml it alone counts, and one that cannot be read is never passed over for the wish.
"""

from pathlib import Path
from typing import Any

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import is_slug
from artmaster_pipeline.hand_files import HandFile, as_json

FOLDER = "stories"  # of the data home: a folder for each story
STORY_FILE, WISH_FILE = "story.yaml", "wish.yaml"
_GUIDE = "docs/stories.md"
_WISH = HandFile(WISH_FILE, "story", _GUIDE, ((),))
_STORY = HandFile(STORY_FILE, "story", _GUIDE, (("style_contract",),))
_WISH_IN_STORY = HandFile(STORY_FILE, "story", _GUIDE, (("style_contract",), ("wish",)))


def stories_in(folder: Path) -> tuple[str, ...]:
    """The slugs of the stories in a folder of stories, sorted: each is a folder with a wish.yaml or a story.yaml."""
    if not folder.is_dir():
        return ()
    return tuple(sorted(each.name for each in folder.iterdir() if is_slug(each.name) and _files_in(each)))


def read_story_text(folder: Path, name: str = STORY_FILE) -> dict[str, Any]:
    """What a story.yaml (or `name`, a wish.yaml) says, as plain data. Raises WrongUse as `HandFile.read` does."""
    return (_STORY if name == STORY_FILE else _WISH).read(folder)


def painters_named(folder: Path) -> tuple[str, ...]:
    """Everyone in whose hand a story is painted, sorted: by story.yaml, by wish.yaml where there is no storyboard yet.

    Raises WrongUse where that file cannot be read, or names nobody.
    """
    file = _in_force(folder)
    found = file.painters(folder)
    if not found:
        where = "`style_contract: {painter: SLUG}`" if file is _STORY else "`painter: SLUG`"
        raise WrongUse(f"{folder / file.name} names no painter: say one as {where}, or several by a `mix`.")
    return found


def what_is_said(folder: Path) -> dict[str, Any]:
    """What a story's file in force says, as JSON, by the file's name. Raises WrongUse where it cannot be read."""
    file = _in_force(folder)
    return {file.name: as_json(file.read(folder))}


def rename_hand(folder: Path, old: str, new: str) -> bool:
    """Let a story's files name a painter anew, as `HandFile.rename` does; gives whether all of them could."""
    files = {WISH_FILE: _WISH, STORY_FILE: _WISH_IN_STORY}
    renamed = [files[name].rename(folder, old, new) for name in _files_in(folder)]  # one that cannot stops no other
    return all(renamed)


def _in_force(folder: Path) -> HandFile:
    there = _files_in(folder)
    if not there:
        raise WrongUse(
            f"{folder} holds neither {STORY_FILE} nor {WISH_FILE}: `artmaster story new` writes both ({_GUIDE})."
        )
    return _WISH if WISH_FILE in there and STORY_FILE not in there else _STORY


def _files_in(folder: Path) -> list[str]:
    return [name for name in (WISH_FILE, STORY_FILE) if (folder / name).is_file()]

"""Files in which a person says who paints: read within bounds, whose hands they name, and a painter named anew in them.

A canvas' and a story's are such files: `canvases`, `story_folders`.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import is_slug, write_text
from artmaster_pipeline.yaml_text import compose_strict_yaml, read_strict_yaml

_LARGEST = 2**18  # bytes: the longest that anybody could mean has a few thousand, of a story a few tens of thousands
_FACTORS = ("composition", "colour", "brush")  # before the equals sign of a mix; anything else there is a painter
_KEYS = ("painter", "mix")  # where a hand is named
_EACH = "*"


@dataclass(frozen=True)
class HandFile:
    """A kind of file that names painters, and where in it hands stand."""

    name: str
    what: str  # it tells of, as in "which no canvas needs"
    guide: str  # where a person reads how it is written
    hands: tuple[tuple[str, ...], ...]  # the names above each hand; "*" stands for every entry of a list

    def read(self, folder: Path) -> dict[str, Any]:
        """What the file in a folder says, as plain data.

        Raises WrongUse where it is not there, is no YAML of 'name: value' lines, is too long, or repeats parts by
        aliases: a few lines with those may mean more than any memory holds.
        """
        return self._content(folder)[0]

    def painters(self, folder: Path) -> tuple[str, ...]:
        """Everyone whom it gives a part, sorted; () for nobody. Raises WrongUse as `read` does."""
        return tuple(sorted({painter for hand in self._hands(self.read(folder)) for painter in _named(hand)}))

    def rename(self, folder: Path, old: str, new: str) -> bool:
        """Name a painter anew in it, all else as a person wrote it; gives whether that could be done.

        It cannot where the file says it in a way that is not gone on with word by word: then it stays as it is.
        """
        try:
            before, text = self._content(folder)
            renamed = self._renamed(text, old, new)
            after = read_strict_yaml(renamed)
        except (WrongUse, yaml.YAMLError):
            return False
        wanted = [[new if painter == old else painter for painter in _named(hand)] for hand in self._hands(before)]
        if [list(_named(hand)) for hand in self._hands(after)] != wanted:
            return False
        if self._without_hands(after) != self._without_hands(before):
            return False
        if renamed != text:
            write_text(folder / self.name, renamed)
        return True

    def _content(self, folder: Path) -> tuple[dict[str, Any], str]:
        file = folder / self.name
        try:
            if file.stat().st_size > _LARGEST:
                raise WrongUse(f"{file} has more than {_LARGEST // 1024} KiB, which no {self.what} needs: shorten it.")
            text = file.read_text(encoding="utf-8")
            content = read_strict_yaml(text)
        except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
            why = " ".join(str(error).split())
            raise WrongUse(
                f"{file} cannot be read ({why}): a {self.what} is a folder with that file ({self.guide})."
            ) from error
        if not isinstance(content, dict):
            raise WrongUse(f"{file}: expected what the {self.what} is as 'name: value' lines ({self.guide}).")
        return content, text

    def _hands(self, content: Any) -> Iterator[dict[str, Any]]:
        for path in self.hands:
            yield from (hand for hand in _below(content, path) if isinstance(hand, dict))

    def _without_hands(self, content: dict[str, Any]) -> str:
        plain = as_json(content)
        for hand in self._hands(plain):
            for key in _KEYS:
                hand.pop(key, None)
        return json.dumps(plain, sort_keys=True)

    def _renamed(self, text: str, old: str, new: str) -> str:
        """The text with the word renamed in the values that name hands, and nowhere else."""
        word = re.compile(rf"(?<![\w-]){re.escape(old)}(?![\w-])")
        root = compose_strict_yaml(text)
        values = (value for path in self.hands for hand in _nodes(root, path) for value in _values(hand))
        for start, end in sorted({(each.start_mark.index, each.end_mark.index) for each in values}, reverse=True):
            text = text[:start] + word.sub(new, text[start:end]) + text[end:]
        return text


def as_json(content: Any) -> Any:
    """YAML's plain data as JSON has it: dates are their words."""
    return json.loads(json.dumps(content, default=str, skipkeys=True))


def _below(content: Any, path: tuple[str, ...]) -> Iterator[Any]:
    if not path:
        yield content
    elif path[0] == _EACH:
        for entry in content if isinstance(content, list) else ():
            yield from _below(entry, path[1:])
    elif isinstance(content, dict) and path[0] in content:
        yield from _below(content[path[0]], path[1:])


def _nodes(node: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """As `_below`, of what stands in the text."""
    if not path:
        yield node
    elif path[0] == _EACH:
        for entry in node.value if isinstance(node, yaml.SequenceNode) else ():
            yield from _nodes(entry, path[1:])
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == path[0]:
                yield from _nodes(value, path[1:])


def _values(hand: Any) -> Iterator[yaml.ScalarNode]:
    if isinstance(hand, yaml.MappingNode):
        yield from (value for key, value in hand.value if key.value in _KEYS and isinstance(value, yaml.ScalarNode))


def _named(hand: dict[str, Any]) -> Iterable[str]:
    """The slugs that a hand names: `painter: A` or `A@ID`, or those of a mix, in their order, each once."""
    said = [str(hand.get("painter") or "")]
    for word in str(hand.get("mix") or "").split():
        key, _, value = word.partition("=")
        said += [part.partition(":")[0] for part in value.split("+")] if key in _FACTORS else [key]
    return dict.fromkeys(slug for each in said if is_slug(slug := each.partition("@")[0]))

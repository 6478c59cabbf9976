"""The words of the gallery's pages: one table, site/strings.yaml, with each sentence in every language of the site.

A room whose pages stand on the gallery's has a table of its own beside it, of the same kind.
"""

from collections import ChainMap
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

from artmaster_pipeline.yaml_text import read_yaml

GALLERY = "artmaster_pipeline.gallery"


@dataclass(frozen=True)
class Words:
    """The site's words in one language: call it with the name of a sentence and the values that stand in it."""

    language: str  # as in strings.yaml and in the pages' names: en, zh
    tag: str  # BCP 47, for the lang attribute
    name: str  # what the language calls itself
    room: str = ""  # the package with further sentences in site/strings.yaml; they come first

    def of(self, room: str) -> "Words":
        """The same language with a room's own sentences beside the gallery's."""
        return replace(self, room=room)

    def __call__(self, key: str, **values: Any) -> Any:
        """The sentence as HTML, its values escaped unless they are HTML already.

        Where the table gives one form and another behind a bar, `n` chooses: the first for 1. Raises KeyError for a
        sentence that the table does not hold.
        """
        from markupsafe import Markup

        text = ChainMap(*(_table(room) for room in (self.room, GALLERY) if room))[key][self.language]
        if "n" in values and "|" in text:
            text = text.split("|")[0 if values["n"] == 1 else 1]
        return Markup(text).format(**values)  # noqa: S704 - the table is the product's own; format escapes the values

    def page(self, stem: str) -> str:
        """The file name of a page in this language: index.html, index.zh.html."""
        return f"{stem}.html" if self.language == "en" else f"{stem}.{self.language}.html"


ENGLISH, CHINESE = Words("en", "en", "English"), Words("zh", "zh-Hans", "中文")
LANGUAGES = (ENGLISH, CHINESE)


@cache
def _table(room: str) -> dict[str, dict[str, str]]:
    text = (resources.files(room) / "site" / "strings.yaml").read_text(encoding="utf-8")
    return dict(read_yaml(text, quick=True))

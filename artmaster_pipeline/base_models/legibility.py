"""How much of a text a base's encoders read: words that they never learnt ask nothing and teach nothing.

FLUX.1's T5 has no character of Chinese in its vocabulary, and its CLIP falls to bytes that it never learnt. A word
counts as unread where a tokenizer gives its unknown token for it, breaks a letter of it into bytes, or spells it in
pieces of less than two letters each.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from artmaster_pipeline.base_models.family import Family
from artmaster_pipeline.base_models.scripts import unread_scripts
from artmaster_pipeline.settings import Home, Profile

# A sign of a script without spaces is a word by itself.
_SIGN = r"[\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
_WORDS = re.compile(rf"{_SIGN}|(?:(?!{_SIGN})[^\W\d_])+")
_SPELLED = 2  # letters of a word that may count as spelled
_FILES = ("tokenizer/*", "tokenizer_2/*")


class Legibility:
    """Says how much of a text a base reads: by its tokenizers, or by the letters alone where they cannot be had."""

    def __init__(self, family: Family, tokenizers: Mapping[str, Any]) -> None:
        self.family, self._tokenizers = family, tokenizers
        self._known: dict[tuple[str, str], bool] = {}

    def shares(self, text: str) -> dict[str, float]:
        """By tokenizer the share of the text's words that it does not read, 0..1; 0 of a text without words."""
        words = _WORDS.findall(text)
        names = tuple(self._tokenizers) or ("letters",)
        return {name: sum(self._unread(name, word) for word in words) / max(1, len(words)) for name in names}

    def unread(self, text: str) -> float:
        """The larger of the tokenizers' shares."""
        return max(self.shares(text).values())

    def _unread(self, name: str, word: str) -> bool:
        if (name, word) not in self._known:
            known_by = self._tokenizers.get(name)
            self._known[name, word] = (
                bool(unread_scripts(word, self.family)) if known_by is None else _is_unread(known_by, word)
            )
        return self._known[name, word]


def legibility_of(profile: Profile, home: Home | None = None) -> Legibility | None:
    """What the profile's base reads, by its own tokenizers; by letters where the hub does not give them now.

    None where not even the base's family is known without the hub.
    """
    from artmaster_pipeline.base_models.hub import family_here

    family = family_here(profile.base_model)
    if family is None:
        return None
    return Legibility(family, _tokenizers(profile, home))


def _tokenizers(profile: Profile, home: Home | None) -> Mapping[str, Any]:
    from artmaster_pipeline.base_models.hub import find_source, hub_refusals
    from artmaster_pipeline.errors import MissingRequirement

    try:
        source = find_source(profile, home)
        if source.local:
            return _loaded(source.name)
        from huggingface_hub import snapshot_download

        with hub_refusals(source.name):
            return _loaded(snapshot_download(source.name, revision=source.commit, allow_patterns=list(_FILES)))
    except MissingRequirement:
        return {}


@cache
def _loaded(folder: str) -> Mapping[str, Any]:
    from pathlib import Path

    from transformers import AutoTokenizer

    names = sorted({pattern.split("/")[0] for pattern in _FILES})
    return {
        name: AutoTokenizer.from_pretrained(folder, subfolder=name) for name in names if (Path(folder) / name).is_dir()
    }


def _is_unread(tokenizer: Any, word: str) -> bool:
    tokens = tokenizer(word, add_special_tokens=False).input_ids
    if tokenizer.unk_token_id in tokens and tokenizer.convert_ids_to_tokens(tokenizer.unk_token_id) != word:
        return True
    pieces = [tokenizer.decode([token]).strip() for token in tokens]
    if any("\ufffd" in piece for piece in pieces):
        return True
    letters = [piece for piece in pieces if piece]  # T5's mark of a word's beginning is none
    return len(word) >= _SPELLED and len(letters) * 2 > len(word)

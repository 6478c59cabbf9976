"""What a base's encoders hear of a prompt: how long it may be behind the trigger, and which words they read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from artmaster_pipeline.base_models.legibility import Legibility, legibility_of
from artmaster_pipeline.settings import Home, Profile, load_painter

LONGEST = 40  # words and marks of a prompt, however much more a base hears: longer ones are heard less exactly
_FEWEST = 16  # below which no shot can be said
_CLIP = 77  # tokens that CLIP hears, its two marks among them
_PIECES = 1.3  # tokens that a word or a mark comes to
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Encoders:
    """A base's two tokenizers with how far each hears, and the triggers that stand before a prompt."""

    legibility: Legibility | None
    lengths: Mapping[str, int]  # tokenizer -> tokens
    triggers: tuple[str, ...]

    @classmethod
    def of(cls, profile: Profile, home: Home, painters: Sequence[str]) -> "Encoders":
        """Those of a profile's base; without tokenizers where they cannot be had without the hub."""
        triggers = tuple(load_painter(home, painter).trigger for painter in painters)
        lengths = {"tokenizer": _CLIP, "tokenizer_2": profile.max_sequence_length}
        return cls(legibility_of(profile, home), lengths, triggers)

    def words_left(self) -> int:
        """Words and marks that a prompt may have behind the longest trigger."""
        left = [
            (self.lengths[name] - self._longest_trigger(tokenizer)) / (1 if self._is_whole(tokenizer) else _PIECES)
            for name, tokenizer in self._tokenizers.items()
        ]
        return max(_FEWEST, min([LONGEST, *map(int, left)]))

    def too_long(self, prompt: str) -> str:
        """What is wrong with a prompt's length, with the trigger before it; empty where all of it is heard."""
        for name, tokenizer in self._tokenizers.items():
            tokens = max(_tokens(tokenizer, f"{trigger}, {prompt}") for trigger in self.triggers or ("",))
            if tokens > self.lengths[name]:
                which = "T5" if name == "tokenizer_2" else "CLIP"
                return f"{tokens} tokens with the trigger, and the base's {which} hears {self.lengths[name]}"
        return ""

    def unread(self, text: str) -> tuple[str, ...]:
        """The words of a text that an encoder does not read."""
        if self.legibility is None:
            return ()
        return tuple(word for word in dict.fromkeys(_WORD.findall(text)) if self.legibility.unread(word))

    @property
    def _tokenizers(self) -> Mapping[str, Any]:
        known = self.legibility._tokenizers if self.legibility else {}
        return {name: tokenizer for name, tokenizer in known.items() if name in self.lengths}

    def _longest_trigger(self, tokenizer: Any) -> int:
        return max((_tokens(tokenizer, f"{trigger},") for trigger in self.triggers), default=2)

    def _is_whole(self, tokenizer: Any) -> bool:
        """Whether words of pictures are one token each, as the miniature's are."""
        return _tokens(tokenizer, "azurite malachite pavilion") <= 5


def _tokens(tokenizer: Any, text: str) -> int:
    return len(tokenizer(text).input_ids)

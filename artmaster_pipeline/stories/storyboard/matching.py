"""Words found in a text: in any case and number, whole ones only, so that a carpet is no car; Chinese anywhere."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache

_WORD = re.compile(r"[^\W\d_]+(?:['’]s\b)?|\d+", re.UNICODE)
_CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_VERB = 4  # letters from which on a word also has the endings of a verb: shorter ones meet others (car, caring)


def has_chinese(text: str) -> bool:
    """Whether a text has a Chinese character."""
    return bool(_CHINESE.search(text))


def has_latin(text: str) -> bool:
    """Whether a text has a Latin letter."""
    return any(letter.isalpha() and "LATIN" in unicodedata.name(letter, "") for letter in text)


def found_in(text: str, terms: Iterable[str]) -> tuple[str, ...]:
    """Those of `terms` that a text says, in their order.

    A term of Latin letters is found as whole words, whatever their case, number, ending or hyphens: "oil paint" in
    "Oil-painted". A term of Chinese is found anywhere.
    """
    words, plain = _words(text), unicodedata.normalize("NFKC", text)
    return tuple(term for term in terms if (term in plain if has_chinese(term) else bool(_spans(words, term))))


def replaced(text: str, term: str, by: str) -> str:
    """A text with every saying of a term replaced, and the article before it where `by` brings its own."""
    spans = _spans(_words(text), term)
    for begin, end in reversed(spans):
        before = text[:begin]
        if re.match(r"(?:an?|the)\b|\w+s\b", by, re.IGNORECASE):
            before = re.sub(r"\b(?:an?|the)\s+$", "", before, flags=re.IGNORECASE)
        text = before + by + text[end:]
    return text


def count_words(text: str) -> int:
    """Words and marks, as the longest prompt is counted: each is a token or more of the encoders."""
    return len(re.findall(r"\w+|[^\w\s]", text))


def _words(text: str) -> list[tuple[str, int, int]]:
    """The words of a text, folded, with where they are in it."""
    return [
        (_folded(found.group()).removesuffix("'s"), found.start(), found.end())
        for found in _WORD.finditer(text)
        if not has_chinese(found.group())
    ]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().replace("’", "'")


def _spans(words: Sequence[tuple[str, int, int]], term: str) -> list[tuple[int, int]]:
    *first, last = [word for word, _, _ in _words(term)] or [""]
    forms, found = _forms(last), []
    for place in range(len(words) - len(first)):
        said = [word for word, _, _ in words[place : place + len(first) + 1]]
        if said[:-1] == first and said[-1] in forms:
            found.append((words[place][1], words[place + len(first)][2]))
    if first:  # "oilpaint" for "oil paint"
        joined = _forms("".join([*first, last]))
        found += [(begin, end) for word, begin, end in words if word in joined]
    return sorted(found)


@cache
def _forms(word: str) -> frozenset[str]:
    forms = {word, f"{word}s", f"{word}es"}
    if word.endswith("y"):
        forms.add(f"{word[:-1]}ies")
    if len(word) >= _VERB:
        bare = word.removesuffix("e")
        forms |= {f"{bare}ed", f"{bare}ing", f"{bare}ings", f"{bare}er", f"{bare}ers", f"{word}like", f"{word}y"}
    return frozenset(forms)

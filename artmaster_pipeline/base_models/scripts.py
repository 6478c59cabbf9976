"""Which letters of a text a base's encoders have never learnt: a prompt of such letters asks and teaches nothing.

FLUX.1's T5 has no character of Chinese in its vocabulary, and its CLIP falls to bytes that it never learnt.
"""

import unicodedata
from collections.abc import Iterable

from artmaster_pipeline.base_models.family import Family

# The first word of a letter's name in Unicode -> its script (ISO 15924)
_SCRIPTS = {
    "ARABIC": "Arab", "ARMENIAN": "Armn", "BENGALI": "Beng", "BOPOMOFO": "Bopo", "CJK": "Hani", "CYRILLIC": "Cyrl",
    "DEVANAGARI": "Deva", "GEORGIAN": "Geor", "GREEK": "Grek", "HANGUL": "Hang", "HEBREW": "Hebr", "HIRAGANA": "Hira",
    "KATAKANA": "Kana", "KHMER": "Khmr", "LATIN": "Latn", "MONGOLIAN": "Mong", "TAMIL": "Taml", "THAI": "Thai",
    "TIBETAN": "Tibt",
}  # fmt: skip
_NAMES = {"Hani": "Chinese characters", "Hira": "Hiragana", "Kana": "Katakana", "Hang": "Hangul", "Cyrl": "Cyrillic"}


def unread_scripts(text: str, family: Family) -> tuple[str, ...]:
    """The scripts of a text's letters that the family's encoders do not read, named for a person, sorted.

    Letters of a script that is not known here count as unread, by the first word of their name in Unicode.
    """
    found = set()
    for letter in text:
        if letter.isalpha():
            word = unicodedata.name(letter, "UNKNOWN").split()[0]
            script = _SCRIPTS.get(word, word.title())
            if script not in family.scripts and word not in ("FULLWIDTH", "MODIFIER", "FEMININE", "MASCULINE", "MICRO"):
                found.add(_NAMES.get(script, word.title()))
    return tuple(sorted(found))


def unread_message(texts: Iterable[str], family: Family, what: str) -> str:
    """A sentence on those texts (`what` is their name) that the family reads in part only; empty where it reads all."""
    unread = [scripts for text in texts if (scripts := unread_scripts(text, family))]
    if not unread:
        return ""
    named = ", ".join(sorted({script for scripts in unread for script in scripts}))
    count = "1 " + what if len(unread) == 1 else f"{len(unread)} {what}s"
    return (
        f"{count} {'holds' if len(unread) == 1 else 'hold'} letters that the base model ({family.name}) does not read "
        f"({named}): for it they say nothing. Say it in English."
    )

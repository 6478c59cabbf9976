"""Whether a small model's sentence can stand below a picture: whole, sound, and of nobody who is not in it."""

import re
from collections.abc import Iterable, Sequence

_WORD = re.compile(r"[a-z]+")
# Words that no sentence ends with: it broke off.
_OPEN_ENDS = frozenset(
    "a an the and or but nor of to in on at by for from with without into onto over under through between behind before "
    "after above below beside beneath beyond across along among around against during until since while when where who "
    "whom which that this these those as than because if though although so is are was were be been being am has have had "
    "do does did will would can could should may might must not no very more most its their his her my your our it they he "
    "she we i you some any every each another other such".split()
)
# Who a sentence may speak of only where he is on stage.
_PEOPLE = frozenset(
    "man woman boy girl child children baby lady gentleman dad mom mother father son daughter brother sister husband wife "
    "king queen prince princess emperor soldier soldiers warrior monk nun priest poet painter artist farmer fisherman "
    "fishermen fisher merchant traveller traveler wanderer pilgrim sailor boatman ferryman scholar teacher student friend "
    "friends lover lovers stranger strangers people crowd crowds men women kids god goddess angel ghost witch".split()
)
_BEASTS = frozenset(
    "bird birds goose geese duck ducks crane cranes heron hawk eagle owl crow raven swan sparrow horse horses donkey ox "
    "cow cows bull sheep goat dog dogs cat cats tiger lion bear wolf fox deer rabbit monkey elephant fish fishes dragon "
    "snake frog turtle butterfly bee bees whale shark mouse rat pig chicken dolphin".split()
)
_LIKE = (  # words for the same
    frozenset("bird birds goose geese duck ducks crane cranes heron sparrow swan".split()),
    frozenset("man fisherman fisher boatman traveller traveler wanderer pilgrim scholar poet monk old".split()),
    frozenset("woman lady girl".split()),
    frozenset("fisherman fisher boatman fish".split()),
)
_HE, _SHE, _I = frozenset({"he", "his", "him"}), frozenset({"she", "her", "hers"}), frozenset("i me my we us our".split())
_YOU = frozenset({"you", "your", "yours"})
_WOMEN = frozenset("lady woman girl mother sister daughter wife queen princess nun".split())
_MEN = frozenset("man boy father brother son husband fisherman monk gentleman boatman ferryman scholar poet".split())
_STAGE = frozenset("stage scene picture pictures story stories tale painting paintings canvas image images camera page book reader line "
    "example examples literature author poem sentence".split())
_RUN = 4  # words that may not come twice in a row


def faults_of_sentence(text: str, onstage: Sequence[str], said_before: Iterable[str] = ()) -> tuple[str, ...]:
    """What is wrong with an English sentence; nothing where it can stand.

    `onstage` are the words for those who are in the picture; `said_before` are the story's lines so far.
    """
    words, faults = words_in(text), []
    if not 6 <= len(words) <= 26:
        faults.append(f"it has {len(words)} words")
    if not text.endswith((".", "!", "?")) or (words and words[-1] in _OPEN_ENDS):
        faults.append("it breaks off")
    if repeated(words):
        faults.append("it says the same again")
    if strangers := sorted(_strangers(words, onstage)):
        faults.append(f"it speaks of {', '.join(strangers)}, who is not there")
    if outside := sorted(set(words) & _STAGE):
        faults.append(f"it speaks of the {outside[0]}")
    if any(_much_the_same(words, words_in(line)) for line in said_before):
        faults.append("it was said before")
    return tuple(faults)


def words_in(text: str) -> list[str]:
    """The words of an English text, in small letters."""
    return _WORD.findall(text.casefold())


def repeated(words: Sequence[str]) -> bool:
    """Whether four words come again in a row, a word follows itself, or one word of three letters comes four times."""
    runs = [tuple(words[place : place + _RUN]) for place in range(len(words) - _RUN + 1)]
    if len(runs) != len(set(runs)) or any(one == other for one, other in zip(words, words[1:], strict=False)):
        return True
    longer = [word for word in words if len(word) > 3]
    return any(longer.count(word) > 2 for word in longer)


def _strangers(words: Sequence[str], onstage: Sequence[str]) -> set[str]:
    here = {word for text in onstage for word in words_in(text)}
    alike = set().union(*(group for group in _LIKE if group & here)) | here
    strangers = set(words) & ((_PEOPLE | _BEASTS) - alike)
    persons = here & (_PEOPLE | _MEN | _WOMEN)
    if set(words) & _HE and not persons - _WOMEN:
        strangers.add("him")
    if set(words) & _SHE and not persons - _MEN:
        strangers.add("her")
    return strangers | set(words) & (_I | _YOU)


def _much_the_same(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two lines share most of their longer words, or begin with the same four."""
    if list(one[:_RUN]) == list(other[:_RUN]) and len(one) >= _RUN:
        return True
    longer, known = {word for word in one if len(word) > 3}, {word for word in other if len(word) > 3}
    return bool(longer) and len(longer & known) > 0.6 * len(longer)

"""Whether a small model's sentence can stand below a picture: whole, sound, and of nobody who is not in it."""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

_WORD = re.compile(r"[a-z]+")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Words that no sentence ends with: it broke off.
_OPEN_ENDS = _set(
    """
    a an the and or but nor of to in on at by for from with without into onto over under through between
    behind before after above below beside beneath beyond across along among around against during until since
    while when where who whom which that this these those as than because if though although so is are was
    were be been being am has have had do does did will would can could should may might must not no very more
    most its their his her my your our it they he she we i you some any every each another other such
    """
)
# Who a sentence may speak of only where he is on stage.
_PEOPLE = _set(
    """
    man woman boy girl child children baby lady gentleman dad mom mother father son daughter brother sister
    husband wife king queen prince princess emperor soldier soldiers warrior monk nun priest poet painter
    artist farmer fisherman fishermen fisher merchant traveller traveler wanderer pilgrim sailor boatman
    ferryman scholar teacher student friend friends lover lovers stranger strangers people crowd crowds men
    women kids god goddess angel ghost witch
    """
)
_BEASTS = _set(
    """
    bird birds goose geese duck ducks crane cranes heron hawk eagle owl crow raven swan sparrow horse horses
    donkey ox cow cows bull sheep goat dog dogs cat cats tiger lion bear wolf fox deer rabbit monkey elephant
    fish fishes dragon snake frog turtle butterfly bee bees whale shark mouse rat pig chicken dolphin
    """
)
_LIKE = (  # words for the same
    _set(
        """
    bird birds goose geese duck ducks crane cranes heron sparrow swan
    """
    ),
    _set("traveller traveler wanderer pilgrim"),
    _set("monk priest"),
    _set("rider horse"),
    _set("woman lady girl"),
    _set("fisherman fisher boatman fish"),
)
_HE, _SHE, _I = (
    _set("he his him"),
    _set("she her hers"),
    _set("i me my we us our"),
)
_YOU = _set("you your yours")
_WOMEN = _set(
    """
    lady woman girl mother sister daughter wife queen princess nun
    """
)
_MEN = _set(
    """
    man boy father brother son husband fisherman monk gentleman boatman ferryman scholar poet
    """
)
_STAGE = _set(
    """
    stage scene picture pictures story stories tale painting paintings canvas image images camera page book
    reader line example examples literature author poem sentence
    """
)
# Words for a season, an hour or an air, each with what the picture's own words must say for them.
_TIMES: tuple[tuple[frozenset[str], frozenset[str]], ...] = (
    (_set("snow snowy snows snowflakes snowfall ice frozen icy"), _set("snow winter")),
    (_set("winter winters wintry"), _set("winter snow")),
    (_set("rain rains rainy raindrops rainfall storm stormy thunder"), _set("rain")),
    (_set("spring springtime blossom blossoms"), _set("spring blossom blossoms")),
    (_set("summer summertime"), _set("summer")),
    (_set("autumn harvest"), _set("autumn")),
    (_set("moon moonlight moonlit night midnight stars starlight nights"), _set("night moon")),
    (_set("dawn sunrise morning mornings"), _set("dawn")),
    (_set("dusk sunset evening twilight nightfall"), _set("dusk")),
)
_SUN = _set("sun sunlight sunshine sunny sunbeams sunlit")
_NO_SUN = _set("night moon rain snow mist fog")
_NO_VERB = _set("as while when that who which where and or but the a an")
_RUN = 4  # words that may not come twice in a row


def faults_of_sentence(text: str, onstage: Sequence[str], said_before: Iterable[str] = ()) -> tuple[str, ...]:
    """What is wrong with an English sentence; nothing where it can stand.

    `onstage` are the words for those who are in the picture; `said_before` are the story's lines so far.
    """
    words, faults = words_in(text), []
    if not 6 <= len(words) <= 26:
        faults.append(f"it has {len(words)} words")
    if not text.endswith((".", "!", "?")) or (words and words[-1] in _OPEN_ENDS) or words[-2:-1] == ["but"]:
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


def untimely(text: str, seen: str) -> str:
    """A word for another season, hour or weather than the picture's words `seen` say; empty where there is none."""
    words, here = words_in(text), frozenset(words_in(seen))
    for said, asked in _TIMES:
        if not asked & here and (found := next((word for word in words if word in said), "")):
            return found
    return next((word for word in words if word in _SUN and here & _NO_SUN), "")


def words_in(text: str) -> list[str]:
    """The words of an English text, in small letters."""
    return _WORD.findall(text.casefold())


def repeated(words: Sequence[str]) -> bool:
    """Whether four words come again in a row, a word follows itself, or a longer one comes three times."""
    runs = _runs(words)
    if len(runs) != len(set(runs)) or any(one == other for one, other in pairwise(words)):
        return True
    longer = [word for word in words if len(word) > 3]
    return any(longer.count(word) > 2 for word in longer)


def is_fragment(continuation: str) -> bool:
    """Whether what follows a sentence's subject leaves it without a verb: "the lady under her parasol as she ..."."""
    return words_in(continuation)[:1] in [[word] for word in _NO_VERB]


def copies(text: str, told: Iterable[str]) -> bool:
    """Whether a text has four words in a row from one of those that are told beside it."""
    own = set(_runs(words_in(text)))
    return any(own & set(_runs(words_in(other))) for other in told)


def _runs(words: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(words[place : place + _RUN]) for place in range(len(words) - _RUN + 1)]


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

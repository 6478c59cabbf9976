"""What is said about each picture: the painter's trigger word, then what varies from work to work.

What the archive says comes first, so far as the base model reads it. Where it gives no caption of its own, a captioner
looks at the picture (`captioners/`). What nearly all works share is then left to the trigger alone, but a person's
captions.csv is taken as it is.
"""

import itertools
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path, PurePosixPath

from artmaster_pipeline.base_models.legibility import Legibility
from artmaster_pipeline.records import Scan

FILE_NAME, CAPTIONS = "file name", "captions.csv"
_CAMERA_NAME = re.compile(
    r"(?:img|image|dsc[fn]?|pict?|scan|p|untitled|photo|未标题|图片|扫描)?[\W_\d]*", re.IGNORECASE
)
_NEARLY_ALL = Fraction(9, 10)  # of the works: an archive's boilerplate has its slips and exceptions
_FEWEST_WORKS = 8  # fewer may share a word by chance
# Words that say nothing alone, of the languages in which collections most often write. A word that is missing here is
# left out like any other where nearly all works say it.
_ARTICLES = (
    "a an the der die das den dem des ein eine einen einem einer eines le la les l un une el los las il lo gli i uno "
    "una o os as um uma de het een"
)
_JOINING = (
    "of in on at by with and or to from for as into over under near behind before after its his her their is are "
    "von vom zu zum zur im am an auf aus bei mit und oder für nach vor über unter "
    "du d à au aux en dans sur sous par avec et ou pour chez del al con y e da di della dei nel nella su per "
    "do dos das no na em com van op bij met"
)
_SMALL = frozenset(f"{_ARTICLES} {_JOINING}".split())
_SEPARATORS = re.compile(r"(\s*[,;，、；。.:：|·–—-])(?:\s*[,;，、；。.:：|·]|\s+[–—-](?=\s|$))+")
_AFTER_OPENING = re.compile(r"(?<=[（(《「『\[{])[\s,;，、；:：|·–—-]+")
_BEFORE_CLOSING = re.compile(r"[\s,;，、；:：|·–—-]+(?=[)）》」』\]}])")
_EMPTY_PAIR = re.compile(r"""[（(《「『\[{][)）》」』\]}]|"\s*"|“\s*”|'\s*'|‘\s*’""")
_SIGN = "[\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"  # Chinese, Japanese
_NO_SPACES = re.compile(_SIGN)
_EDGES = " \t,;，、；。.:：|·–—-"


@dataclass(frozen=True)
class Caption:
    """The words for one work, and who says them: "captions.csv", "sidecar", "artworks.csv", "file name", a captioner.

    `subject` is the archive's own column. `whole` is a file's name before its title was taken from between the marks;
    empty where nothing was taken from it. `complete` captions describe the picture, and no captioner is asked.
    """

    text: str
    source: str
    subject: str = ""
    whole: str = ""
    complete: bool = False

    @property
    def fixed(self) -> bool:
        """Whether a person's last word is taken as it is."""
        return self.source == CAPTIONS


def archive_caption(scan: Scan, scans_folder: Path, trigger: str, painter_name: str = "") -> Caption:
    """What the archive says about a scan, behind the trigger: its caption, else title, subject and season.

    Where nothing is known but a file name (the register makes a title of it), the source is "file name" and the words
    are those of the name that are not the painter's; a camera's numbering (IMG_0034) leaves the trigger alone.
    """
    if scan.caption.strip():
        beside = "sidecar" if _has_sidecar(scans_folder / scan.path) else "artworks.csv"
        text = with_trigger(trigger, scan.caption)
        return Caption(text, scan.caption_source or beside, scan.subject, complete=True)
    stem = _form(PurePosixPath(scan.path).stem)
    told = [part for part in (scan.subject, scan.season) if part.strip()]
    if _letters(stem).endswith(_letters(scan.title)):
        name = scan.title or stem
        text = with_trigger(trigger, _words_of_name(name, painter_name), *told)
        return Caption(text, "artworks.csv" if told else FILE_NAME, scan.subject, ", ".join([name, *told]))
    return Caption(with_trigger(trigger, scan.title, *told), "artworks.csv", scan.subject)


def without_trigger(text: str, trigger: str) -> str:
    """A caption's words behind the trigger."""
    return "" if text == trigger else text.removeprefix(f"{trigger}, ")


def readable(caption: Caption, trigger: str, legibility: Legibility, most: float) -> tuple[Caption, float]:
    """The caption as a prompt may hold it, and which share of its words the base does not read.

    Above the share `most` only those phrases stay (what stands between two commas) that are read, so that a title in
    Chinese goes and a season beside it in English does not. A caption of which nothing stays is the trigger alone.
    """
    words = without_trigger(caption.text, trigger)
    unread = legibility.unread(words)
    if unread <= most:
        return caption, unread
    phrases = [phrase for phrase in re.split(r"[,;，、；。]", words) if legibility.unread(phrase) <= most]
    return replace(caption, text=with_trigger(trigger, *phrases), whole="", complete=False), unread


def described(caption: Caption, trigger: str, words: str, captioner: str, subject: str = "") -> Caption:
    """The caption with what a captioner said of the picture behind what the archive says.

    `subject` is the part of the captioner's words that names one; what the archive's column says goes before it.
    """
    if not words:
        return caption
    told = without_trigger(caption.text, trigger)
    source = f"{caption.source}, {captioner}" if told else captioner
    return Caption(with_trigger(trigger, told, words), source, caption.subject or subject)


def with_trigger(trigger: str, *parts: str) -> str:
    """The trigger and then the parts, joined by commas on one line; the trigger is never said twice."""
    words = ", ".join(text for part in parts if (text := _one_line(part).strip(" ,.;")))
    if trigger in words:
        return words
    return f"{trigger}, {words}" if words else trigger


def only_what_varies(
    captions: Sequence[Caption], works: Sequence[str], trigger: str
) -> tuple[list[Caption], tuple[str, ...]]:
    """The captions without what nearly all works say, in the same order; and what was left out, in small letters.

    What does not vary is style, or must become it: the painter's name, the medium, a collection's boilerplate. Only if
    the trigger alone stands for it does it bind to the trigger. Left out of every caption are words, and runs of words
    with no punctuation in them, that at least 90 % of the works say, and at least eight works. Chinese and Japanese
    have no spaces and are compared by runs of two characters and more. Articles and prepositions are left out only
    together with what they belong to.

    `works` names the work of each caption. A work weighs the same however many captions it has: a run counts for it by
    the share of its captions that say it. Of a file name the whole counts, so that the painter's name in another script
    is found though some captions are only a title from between marks.

    What the archive states in its `subject` column stays in that work's caption even if it is the same everywhere:
    else the subject would bind to the trigger, and the adapter could draw nothing else. The trigger is never touched;
    where nothing else is left, it stands alone. A caption from captions.csv stays as it is and takes no part. The same
    set gives the same captions in whatever order. One work more may change all captions, since it may lift a word over
    the limit or bring it below.
    """
    texts = ["" if caption.fixed else without_trigger(caption.text, trigger) for caption in captions]
    said = [_phrases(text, trigger, caption.subject) for caption, text in zip(captions, texts, strict=True)]
    whole = [
        _phrases(caption.whole, trigger, caption.subject) if caption.whole else phrases
        for caption, phrases in zip(captions, said, strict=True)
    ]
    free = [n for n, caption in enumerate(captions) if not caption.fixed]
    shared = _shared_runs([whole[n] for n in free], [works[n] for n in free])
    rest = []
    for caption, text, phrases in zip(captions, texts, said, strict=True):
        gone = _words_to_go(phrases, shared)
        rest.append(replace(caption, text=with_trigger(trigger, _without(text, gone))) if gone else caption)
    return rest, _longest(shared)


@dataclass(frozen=True)
class _Word:
    """A word, or one character of a script without spaces: its place in the text, and how it is compared."""

    start: int
    end: int
    key: str
    kept: bool = False  # part of the trigger or of the archive's subject

    @property
    def small(self) -> bool:
        return self.key in _SMALL


_Phrase = list[_Word]  # what stands between two punctuation marks
_Run = tuple[str, ...]  # the keys of neighbouring words


def _phrases(text: str, trigger: str, subject: str) -> list[_Phrase]:
    """The phrases of a text; the words of its trigger and of its subject are marked as kept."""
    words = _words(text)
    keys = [word.key for word in words]
    kept = _places(keys, [word.key for word in _words(trigger)]) | _subjects_places(keys, subject)
    phrases: list[_Phrase] = []
    end = 0
    for n, word in enumerate(words):
        if not phrases or text[end : word.start].strip():
            phrases.append([])
        phrases[-1].append(replace(word, kept=n in kept))
        end = word.end
    return phrases


def _words(text: str) -> list[_Word]:
    kinds = "".join(_kind(character) for character in text)
    return [
        _Word(found.start(), found.end(), unicodedata.normalize("NFKC", text[found.start() : found.end()]).casefold())
        for found in re.finditer(r"c|w+(?:'w+)*", kinds)
    ]


def _kind(character: str) -> str:
    """c: a word by itself, since its script has no spaces; w: part of a word; ': joins two parts; else a blank."""
    if _NO_SPACES.match(character):
        return "c"
    if unicodedata.category(character)[0] in "LMN":
        return "w"
    return "'" if character in "'’-" else " "


def _places(keys: list[str], run: list[str]) -> set[int]:
    starts = range(len(keys) - len(run) + 1 if run else 0)
    return {start + n for start in starts if keys[start : start + len(run)] == run for n in range(len(run))}


def _subjects_places(keys: list[str], subject: str) -> set[int]:
    """Where the subject is said: as a whole, or, where a caption has it in other words or another order, its words."""
    run = [word.key for word in _words(subject) if not word.small]
    return _places(keys, [word.key for word in _words(subject)]) or {n for n, key in enumerate(keys) if key in run}


def _shared_runs(whole: list[list[_Phrase]], works: Sequence[str]) -> set[_Run]:
    """The runs that nearly all works say and that say something."""
    captions_of = Counter(works)
    whole_work = math.lcm(*captions_of.values())  # what a work weighs, so that its captions' shares are whole numbers
    least = max(_NEARLY_ALL * len(captions_of), Fraction(_FEWEST_WORKS)) * whole_work
    shared: set[_Run] = set()
    longer: set[_Run] = set()
    length = 1
    while longer or length == 1:
        weights: Counter[_Run] = Counter()
        for phrases, work in zip(whole, works, strict=True):
            # A run can be common only if it is so without its first and without its last word.
            for run in {run for run, _ in _runs(phrases, length) if length == 1 or {run[1:], run[:-1]} <= longer}:
                weights[run] += whole_work // captions_of[work]
        longer = {run for run, weight in weights.items() if weight >= least}
        shared |= longer
        length += 1
    # An article at the end belongs to what follows: "a painting of [a hill]".
    return {run for run in shared if _says_something(run) and run[-1] not in _ARTICLES.split()}


def _runs(phrases: list[_Phrase], length: int) -> Iterator[tuple[_Run, list[_Word]]]:
    for phrase in phrases:
        for start in range(len(phrase) - length + 1):
            words = phrase[start : start + length]
            if not any(word.kept for word in words):
                yield tuple(word.key for word in words), words


def _says_something(run: _Run) -> bool:
    """Whether a run has a word with a meaning of its own, or two characters of a script without spaces."""
    signs = sum(bool(_NO_SPACES.match(key)) for key in run)
    return signs > 1 or any(len(key) > 1 and key not in _SMALL for key in run)


def _words_to_go(phrases: list[_Phrase], shared: set[_Run]) -> list[_Word]:
    """The words of shared runs and those that say nothing without them, in the order of the text."""
    gone: set[_Word] = set()
    for length in {len(run) for run in shared}:
        gone |= {word for run, words in _runs(phrases, length) if run in shared for word in words}
    hanging = {word for phrase in phrases if gone & set(phrase) for word in _left_hanging(phrase, gone)}
    return sorted(gone | hanging, key=lambda word: word.start)


def _left_hanging(phrase: _Phrase, gone: set[_Word]) -> set[_Word]:
    """What says nothing in a phrase without the words that are gone from it."""
    left = [word for word in phrase if word not in gone]
    if not any(word.kept or (word.key not in _SMALL and any(map(str.isalpha, word.key))) for word in left):
        return set(left)  # a number, as in "Mountain 3"
    hanging: set[_Word] = set()
    follows: _Word | None = None  # the nearest word behind that stays
    beside = False  # whether the very next word is gone
    for word in reversed(phrase):
        if word in gone:
            beside = True
        elif beside and word.small and (follows is None or follows.small):
            hanging.add(word)  # "boats on [silk]", "view of the [Seine] at Rouen"
        else:
            follows, beside = word, False
    if phrase[0] in gone:  # "[view] of a river"
        stay = (word for word in left if word not in hanging)
        hanging |= set(itertools.takewhile(lambda word: word.key in _JOINING.split() and not word.kept, stay))
    return {word for word in hanging if not word.kept}


def _without(text: str, gone: list[_Word]) -> str:
    """The text without the words, and without the brackets, marks and commas that stood about them."""
    ends = [0, *(word.end for word in gone)]
    starts = [*(word.start for word in gone), len(text)]
    left = "".join(text[end:start] for end, start in zip(ends, starts, strict=True))
    left = _EMPTY_PAIR.sub("", _BEFORE_CLOSING.sub("", _AFTER_OPENING.sub("", left)))
    left = re.sub(r"\s+(?=[,;，、；。])", "", _SEPARATORS.sub(r"\1", left))
    return _one_line(left).strip(_EDGES)


def _longest(shared: set[_Run]) -> tuple[str, ...]:
    """The runs that stand in no longer one, as a person reads them."""
    longest = {
        run for run in shared if not any(len(run) < len(other) and _places([*other], [*run]) for other in shared)
    }
    return tuple(sorted(re.sub(f"(?<={_SIGN}) (?={_SIGN})", "", " ".join(run)) for run in longest))


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _has_sidecar(scan: Path) -> bool:
    wanted = _form(f"{scan.stem}.txt").casefold()
    return scan.parent.is_dir() and any(_form(entry.name).casefold() == wanted for entry in scan.parent.iterdir())


def _words_of_name(name: str, painter_name: str) -> str:
    """The words of a file's name that say something: what stands in title marks, else all but the painter's name."""
    marked = re.findall(r"[《「『](.+?)[》」』]", name)
    if not re.search(r"\s", name.strip()):
        name = re.sub(r"[-–—]+", " ", name)  # they stand for spaces
    words = _one_line(re.sub(r"[_\[\](){}<>]+", " ", ", ".join(marked) or name))
    for part in filter(None, [painter_name.strip(), *re.split(r"[\s,()]+", painter_name)]):
        words = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", " ", words, flags=re.IGNORECASE)
    words = _one_line(words).strip(" -,.;")
    return "" if _CAMERA_NAME.fullmatch(words) else words


def _form(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _letters(text: str) -> str:
    return "".join(c for c in _form(text).casefold() if c.isalnum())

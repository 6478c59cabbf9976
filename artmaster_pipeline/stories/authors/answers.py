"""A model's answer read as a draft: found in what stands around it, and part by part, so that one fault costs one part.

Only what `StoryDraft` has is taken. Nothing here decides what can be painted: `storyboard.assemble` mends the rest.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from artmaster_pipeline.stories.records import MOST_SHOTS, ShotDraft, StoryDraft, Words

LARGEST = 200_000  # characters of an answer; a storyboard of 24 shots has about 30,000
_DEEPEST = 12  # brackets in brackets: a draft has five
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL | re.IGNORECASE)
_REFUSALS = (
    "i can't",
    "i cannot",
    "i can’t",
    "i'm sorry",
    "i’m sorry",
    "i am sorry",
    "unable to",
    "i won't",
    "as an ai",
)
_LINE, _PASSAGE, _ID_LENGTH, _MOST_IDS = 200, 600, 48, 12


class Unusable(Exception):
    """An answer without a draft in it. What it says is a sentence for a person."""


def draft_in(answer: str, repairs: list[str]) -> StoryDraft:
    """The draft in an answer; what was put right in it is added to `repairs`, a sentence each.

    Raises Unusable where there is none, and says whether it was a refusal.
    """
    found = _objects_in(answer, repairs)
    if found is None:
        raise Unusable(_why_not(answer))
    shots = found.get("shots")
    if not isinstance(shots, list) or not any(isinstance(shot, dict) for shot in shots):
        raise Unusable("its answer has no shots")
    if extra := sorted({str(name)[:40] for name in found} - {"title", "shots"}):
        repairs.append(f"The answer also said {', '.join(map(repr, extra[:5]))}, which nobody asked for: left out.")
    if len(shots) > MOST_SHOTS:
        repairs.append(f"The answer had {len(shots)} shots: the first {MOST_SHOTS} are read.")
    read = [shot_in(shot, f"Shot {number}", repairs) for number, shot in enumerate(shots[:MOST_SHOTS], 1)]
    return StoryDraft(title=_words(found.get("title"), "The title", _LINE, repairs), shots=tuple(read))


def shot_in(said: Any, place: str, repairs: list[str]) -> ShotDraft:
    """One shot, with nothing where its part could not be read."""
    if not isinstance(said, dict):
        repairs.append(f"{place} was no shot but {type(said).__name__}: the template's is taken.")
        said = {}
    if extra := sorted({str(name)[:40] for name in said} - set(ShotDraft.model_fields)):
        repairs.append(f"{place} also said {', '.join(map(repr, extra[:5]))}, which no author may say: left out.")
    perspective = said.get("perspective")
    if perspective not in ("high", "deep", "level"):
        repairs.append(f"{place} had no perspective that is known: it is level.")
        perspective = "level"
    return ShotDraft(
        era=(_ids([said.get("era")], f"{place}, its era", repairs) or ("unsaid",))[0],
        plot=_words(said.get("plot"), f"{place}, what happens", _PASSAGE, repairs),
        setting=_line(said.get("setting"), f"{place}, its setting", _LINE, repairs),
        perspective=perspective,
        onstage=_ids(said.get("onstage"), f"{place}, on stage", repairs),
        motifs=_ids(said.get("motifs", ()), f"{place}, motifs", repairs),
        static_description=_line(said.get("static_description"), f"{place}, its description", _LINE, repairs),
        narration=_words(said.get("narration"), f"{place}, its line", _PASSAGE, repairs),
    )


def _objects_in(answer: str, repairs: list[str]) -> dict[str, Any] | None:
    """The first JSON object with shots: the answer itself, what is fenced in it, or what stands among other text."""
    if len(answer) > LARGEST:
        raise Unusable(f"its answer has {len(answer)} characters, more than any storyboard")
    whole = _parsed(answer)
    if whole is not None:
        return whole
    for fenced in _FENCE.findall(answer):
        if (found := _parsed(fenced)) is not None:
            repairs.append("The answer stood in a fence: what is inside is read.")
            return found
    decoder = json.JSONDecoder()
    for place in [match.start() for match in re.finditer(r"\{", answer)][:50]:
        if (found := _parsed(answer[place:], decoder)) is not None and "shots" in found:
            repairs.append("The answer said more than the storyboard: the text around it is left out.")
            return found
    return None


def _parsed(text: str, decoder: json.JSONDecoder | None = None) -> dict[str, Any] | None:
    text = text.strip()
    if not text.startswith("{") or _depth(text) > _DEEPEST:
        return None
    try:
        found = decoder.raw_decode(text)[0] if decoder else json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _depth(text: str) -> int:
    deepest = now = 0
    for letter in text:
        now += (letter in "{[") - (letter in "}]")
        deepest = max(deepest, now)
    return deepest


def _why_not(answer: str) -> str:
    said = " ".join(answer.split())
    if not said:
        return "its answer is empty"
    opening = said[:200].casefold()
    if any(words in opening for words in _REFUSALS):
        return f"it refused: {said[:160]!r}"
    return f"its answer holds no storyboard: {said[:160]!r}"


def _words(said: Any, place: str, longest: int, repairs: list[str]) -> Words:
    if isinstance(said, str):  # one language without saying which
        is_chinese = any("\u4e00" <= letter <= "\u9fff" for letter in said)
        said = {"zh" if is_chinese else "en": said}
    if not isinstance(said, dict):
        return Words()
    return Words(
        en=_line(said.get("en"), f"{place} in English", longest, repairs),
        zh=_line(said.get("zh"), f"{place} in Chinese", longest, repairs),
    )


def _line(said: Any, place: str, longest: int, repairs: list[str]) -> str:
    if not isinstance(said, str):
        if said is not None:
            repairs.append(f"{place}: {type(said).__name__} is no text.")
        return ""
    text = " ".join(said.encode("utf-8", "ignore").decode("utf-8").split())
    if len(text) <= longest:
        return text
    repairs.append(f"{place} had {len(text)} characters: it is cut where a sentence ends, below {longest}.")
    return _cut(text, longest)


def _cut(text: str, longest: int) -> str:
    """Whole sentences, where one ends; else whole words; else what there is room for."""
    text = text[:longest]
    ends = [found.end() for found in re.finditer(r"[.!?。!?](?=\s|$|[\u4e00-\u9fff])", text)]
    if ends:
        return text[: ends[-1]]
    return text.rsplit(" ", 1)[0].rstrip(" ,;:") if " " in text else text


def _ids(said: Any, place: str, repairs: list[str]) -> tuple[str, ...]:
    if isinstance(said, str):
        said = [said]
    if not isinstance(said, Sequence):
        return ()
    found = []
    for each in said[:_MOST_IDS]:
        name = "-".join(str(each).casefold().replace("_", " ").split()) if isinstance(each, str) else ""
        if _ID.fullmatch(name) and len(name) <= _ID_LENGTH:
            found.append(name)
        elif each is not None:
            repairs.append(f"{place}: {str(each)[:40]!r} is no id: left out.")
    return tuple(dict.fromkeys(found))

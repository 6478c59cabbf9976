"""What a picture of a shot shows: its prompt rather than others, and each figure on stage.

The base reads, which has never seen the adapter's pictures: a prompt fits a picture in so far as the model, told it,
denoises it with a smaller error (`evaluation.panel.adherence`), or by CLIP where the profile has it. A figure is seen
where the prompt with its words fits better than the same prompt without them, or where the embedded reader names it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from artmaster_pipeline.dataset.captioners.reader import load_reader, subject_in
from artmaster_pipeline.evaluation.panel import drift
from artmaster_pipeline.files import write_text
from artmaster_pipeline.pictures import read_rgb
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import identity
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stories.painting.hand import OneHand

_VERSION = 1  # part of a stored reading's name
OTHERS = 8  # prompts that a picture's own is told apart from


@dataclass(frozen=True)
class Question:
    """A picture that is read."""

    file: Path
    sha256: str
    prompt: str  # without triggers
    others: tuple[str, ...]
    figures: Mapping[str, str] = field(default_factory=dict)  # character -> its words, which the prompt says

    def without(self, figure: str) -> str:
        """The prompt without a figure's words."""
        return without_words(self.prompt, self.figures[figure])

    @property
    def prompts(self) -> tuple[str, ...]:
        """All that it is asked about."""
        return tuple(dict.fromkeys((self.prompt, *self.others, *(self.without(each) for each in self.figures))))


@dataclass(frozen=True)
class Reading:
    """What a picture shows."""

    adherence: float  # the share of the others that fit it worse, 0..1
    there: dict[str, bool]  # figure -> whether it is seen
    by: dict[str, tuple[str, ...]]  # figure -> what says so: "denoising", "reader"


def other_prompts(prompt: str, prompts: Sequence[str], far: Sequence[str]) -> tuple[str, ...]:
    """What a picture's prompt is told apart from: the story's other prompts, evenly chosen, filled up with far ones."""
    near = sorted({other for other in prompts if other != prompt})
    near = near[:: max(1, -(-len(near) // OTHERS))]
    return tuple([*near, *(other for other in far if other != prompt and other not in near)][:OTHERS])


def without_words(prompt: str, words: str) -> str:
    """A prompt without some of its words, and without the comma and the joint that they leave; "" where none is left.

    "a traveller under tall trees in autumn, mist" without "a traveller under tall trees" is "in autumn, mist".
    """
    parts = [" ".join(part.replace(words, "").split()) for part in prompt.split(",")] if words else [prompt]
    return ", ".join(part for part in parts if part)


def read_pictures(home: Home, hand: OneHand, questions: Sequence[Question], progress: Progress) -> list[Reading]:
    """A reading of each picture; fits that were read before are kept in the data home's cache by picture and prompt."""
    known = {question.sha256: _known(home, hand, question.sha256) for question in questions}
    _read_missing(home, hand, questions, known, progress)
    reader = load_reader() if any(_named(question) for question in questions) else None
    found = []
    for question in questions:
        fits = known[question.sha256]
        own = fits[question.prompt]
        worse = [(fits[other] < own) + (fits[other] == own) / 2 for other in question.others]
        by = {each: _seen_by(question, each, fits, reader) for each in question.figures}
        adherence = sum(worse) / len(worse) if worse else 1.0
        found.append(Reading(adherence, {each: bool(said) for each, said in by.items()}, by))
    return found


def _seen_by(question: Question, figure: str, fits: Mapping[str, float], reader: object) -> tuple[str, ...]:
    said = ["denoising"] if fits[question.prompt] > fits[question.without(figure)] else []
    word = subject_in(question.figures[figure])
    if word and reader is not None and reader.subjects([read_rgb(question.file)]) == [word]:  # type: ignore[attr-defined]
        said.append("reader")
    return tuple(said)


def _named(question: Question) -> bool:
    return any(subject_in(words) for words in question.figures.values())


def _read_missing(
    home: Home,
    hand: OneHand,
    questions: Sequence[Question],
    known: dict[str, dict[str, float]],
    progress: Progress,
) -> None:
    missing = [(q, [prompt for prompt in q.prompts if prompt not in known[q.sha256]]) for q in questions]
    missing = [(question, prompts) for question, prompts in missing if prompts]
    with progress.task("reading what the shots show", len(questions), len(questions) - len(missing)) as advance:
        if not missing:
            return
        every = {prompt for _, prompts in missing for prompt in prompts}
        with drift.open_readers(home, hand.adapters[0], hand.profile, every) as readers:
            fits = readers(0.0)
            for question, prompts in missing:
                values = fits(read_rgb(question.file), prompts)
                known[question.sha256] |= {p: float(value) for p, value in zip(prompts, values, strict=True)}
                write_text(_file(home, hand, question.sha256), json.dumps(known[question.sha256], ensure_ascii=False))
                advance(note=question.file.name)


def _known(home: Home, hand: OneHand, sha256: str) -> dict[str, float]:
    try:
        content = json.loads(_file(home, hand, sha256).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return dict(content) if isinstance(content, dict) else {}


def _file(home: Home, hand: OneHand, sha256: str) -> Path:
    settings, adapter = hand.profile.evaluation, hand.adapters[0]
    reader = (settings.adherence, settings.clip, adapter.base_revision, hand.profile.dtype)
    return home.cache / "adherence" / f"story-{identity('story fits', _VERSION, sha256, reader)}.json"

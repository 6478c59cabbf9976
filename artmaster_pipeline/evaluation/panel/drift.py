"""Drift: does the adapter still draw what the prompt says, as the base does with the same seed?

Asked over prompts like those of the training (captions of held-out works) and over far ones (subjects of all kinds),
and at several strengths of the adapter. `adherence.py` says how a picture is read. CLIP reads all pictures alike.

Without CLIP the base reads the far prompts' pictures: it knows their subjects and tells them apart in any hand. What
captions of one painter differ in it cannot read in that painter's hand (0.31 on the demo's held-out works, where the
adapted model reads 0.91), so pictures of prompts like the training's are read by the model that drew them: one that no
longer listens cannot tell its prompts apart. How well the readers read is measured on the held-out works and their
captions, which no model made.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.evaluation import intervals
from artmaster_pipeline.evaluation.axes.distances import read_square
from artmaster_pipeline.evaluation.panel.adherence import (
    Fits,
    adherence,
    denoising_fits,
    other_prompts,
    without_trigger,
)
from artmaster_pipeline.files import inside, write_text
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import Adapter, Sample, TrainingImage, identity
from artmaster_pipeline.settings import Home, Profile

_FORM = 3  # part of a stored reading's name
METHODS = {
    "denoising": "denoising error (Li et al. 2023): far prompts by the base, the others by the model that drew them",
    "clip": "CLIP similarity (Radford et al. 2021)",
}


@dataclass(frozen=True)
class _Question:
    """A picture to be read: its file, what names its content, its prompt, and the strength of the reader's adapter."""

    file: Path
    content: str
    prompt: str
    strength: float


def measure(
    home: Home,
    adapter: Adapter,
    profile: Profile,
    drawing: DrawingSettings,
    held_out: Sequence[TrainingImage],
    samples: Sequence[Sample],
    progress: Progress,
) -> dict[str, Any]:
    """Adherence of base and adapter, the loss with its interval (over prompts), and its slope against strength.

    The adapter counts, and reads, at the strength at which `drawing` has it drawn.

    `loss` is the larger of the losses over training-like and over far prompts, None where neither were drawn. `works`
    says how well base and adapted model read the held-out works.
    """
    root, works = home.evaluation(adapter.painter), home.training_set(adapter.painter)
    drawn = {
        s.id: _Question(inside(root, s.path), s.sha256, s.prompt, _reader_of(s)) for s in samples if s.role != "row"
    }
    shown = [
        _Question(inside(works, image.path), image.sha256, image.caption, strength)
        for image in held_out
        for strength in (0.0, drawing.strength)
    ]
    reader = _Reader(home, adapter, profile, [s.prompt for s in samples if s.role == "panel"])
    with progress.task("reading what pictures show", len(drawn) + len(shown)) as advance:
        values = reader.read([*drawn.values(), *shown], advance)
    by_id = dict(zip(drawn, values[: len(drawn)], strict=True))
    found: dict[str, Any] = {"method": METHODS[profile.evaluation.adherence]}
    losses: list[intervals.Interval] = []
    for name, role in (("training_like", "panel"), ("far", "far")):
        pairs = [s for s in samples if s.role == role and s.column == "base"]
        base = [by_id[s.id] for s in pairs]
        with_it = [by_id[s.id] for s in samples if s.role == role and _strength(s) == drawing.strength]
        if not base:
            continue
        lost = [before - after for before, after in zip(base, with_it, strict=True)]
        losses.append(intervals.mean(lost, [s.prompt for s in pairs]))
        found[name] = {**_means(base, with_it), **losses[-1].named("loss")}
    if shown:
        of_works = values[len(drawn) :]
        found["works"] = _means(of_works[::2], of_works[1::2])
    worst = max(losses, key=lambda loss: loss.value, default=None)
    found |= worst.named("loss") if worst else {"loss": None, "loss_interval": [None, None]}
    return found | _slope([s for s in samples if s.role == "far"], by_id)


def _strength(sample: Sample) -> float:
    return 0.0 if sample.column == "base" else sample.strength


def _reader_of(sample: Sample) -> float:
    """The strength of the adapter on the model that reads a picture, where there is no CLIP."""
    return 0.0 if sample.role == "far" else _strength(sample)


def _means(base: Sequence[float], adapter: Sequence[float]) -> dict[str, float]:
    return {"base": round(sum(base) / len(base), 5), "adapter": round(sum(adapter) / len(adapter), 5)}


class _Reader:
    """Reads pictures; readings are kept in the data home's cache, and a model is loaded only where one is missing."""

    def __init__(self, home: Home, adapter: Adapter, profile: Profile, near: Sequence[str]) -> None:
        self._home, self._adapter, self._profile = home, adapter, profile
        self._near = [without_trigger(prompt, adapter.trigger) for prompt in near]

    def read(self, questions: Sequence[_Question], advance: Any) -> list[float]:
        """The adherence of each picture, in order."""
        values: dict[_Question, float] = {}
        missing = []
        for question in questions:
            file = self._file(question)
            if file.exists():
                values[question] = float(json.loads(file.read_text(encoding="utf-8")))
                advance()
            else:
                missing.append(question)
        for question, fits in self._with_readers(missing):
            prompt, others = self._prompts(question)
            value = 1.0
            if others:
                value = adherence(fits, read_square(question.file, self._profile), prompt, others)
            write_text(self._file(question), json.dumps(value))
            values[question] = value
            advance()
        return [values[question] for question in questions]

    def _with_readers(self, questions: Sequence[_Question]) -> Iterator[tuple[_Question, Fits]]:
        """Each question with what reads it, one strength of the adapter after the other."""
        if not questions:
            return
        prompts = {
            prompt for question in questions for own, others in [self._prompts(question)] for prompt in [own, *others]
        }
        with open_readers(self._home, self._adapter, self._profile, prompts) as readers:
            for strength in sorted({question.strength for question in questions}):
                fits = readers(strength)
                for question in questions:
                    if question.strength == strength:
                        yield question, fits

    def _prompts(self, question: _Question) -> tuple[str, list[str]]:
        """The prompt and the others as the reader should hear them: with the trigger where the adapter reads."""
        settings, trigger = self._profile.evaluation, self._adapter.trigger
        prompt = without_trigger(question.prompt, trigger)
        others = other_prompts(prompt, self._near, settings.far_prompts)
        if settings.adherence == "clip" or question.strength == 0:
            return prompt, others
        return f"{trigger}, {prompt}", [f"{trigger}, {other}" for other in others]

    def _file(self, question: _Question) -> Path:
        settings, adapter = self._profile.evaluation, self._adapter
        reader: list[object] = [settings.adherence, settings.clip]
        if settings.adherence == "denoising":
            reader = [settings.adherence, adapter.base_revision, self._profile.dtype]
            reader += [adapter.sha256, question.strength] if question.strength else []
        key = identity("adherence", _FORM, question.content, self._prompts(question), reader)
        return self._home.cache / "adherence" / f"{key}.json"


@contextmanager
def open_readers(
    home: Home, adapter: Adapter, profile: Profile, prompts: Iterable[str]
) -> Iterator[Callable[[float], Fits]]:
    """A function that gives what reads pictures drawn at a strength of the adapter (0: the base reads).

    `prompts` are all that they will be asked about.
    """
    if profile.evaluation.adherence == "clip":
        from artmaster_pipeline.evaluation.axes.hub_features import clip_fits

        fits = clip_fits(profile, home)
        yield lambda strength: fits
        return
    from artmaster_pipeline.adapters import attach
    from artmaster_pipeline.base_models import open_pipeline
    from artmaster_pipeline.generation.sampling import embed_texts

    embedded = embed_texts(profile, prompts, home)

    def reader(strength: float) -> Fits:
        if strength:
            attach(pipe, inside(home.root, adapter.path), strength)
        return denoising_fits(pipe, profile, embedded)

    with open_pipeline(profile, ("transformer", "vae"), home) as pipe:
        yield reader


def _slope(far: Sequence[Sample], read: dict[str, float]) -> dict[str, Any]:
    """Adherence by strength over the far prompts, and its least-squares slope with an interval over prompts."""
    import numpy as np

    by_strength: dict[float, list[float]] = {}
    for sample in far:
        by_strength.setdefault(_strength(sample), []).append(read[sample.id])
    prompts = [sample.prompt for sample in far if sample.column == "base"]
    if len(by_strength) < 2:
        return {"by_strength": {}, "slope": None, "slope_interval": [None, None]}
    strengths = np.array(sorted(by_strength))
    table = np.array([by_strength[strength] for strength in strengths])  # (strengths, pictures)
    centred = strengths - strengths.mean()
    slopes = centred @ (table - table.mean(0)) / (centred @ centred)  # one per prompt and seed
    shown = {f"{strength:g}": round(float(row.mean()), 5) for strength, row in zip(strengths, table, strict=True)}
    return {"by_strength": shown, **intervals.mean(slopes, prompts).named("slope")}

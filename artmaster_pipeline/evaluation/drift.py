"""Drift: does the adapter still draw what the prompt says, as the base does with the same seed?

Asked over prompts like those of the training (captions of held-out works) and over far ones (subjects of all kinds),
and at several strengths of the adapter. `adherence.py` says how a picture is read.
"""

import json
from collections.abc import Sequence
from typing import Any

from artmaster_pipeline.evaluation import sets
from artmaster_pipeline.evaluation.adherence import Fits, adherence, denoising_fits, other_prompts, without_trigger
from artmaster_pipeline.files import inside, write_text
from artmaster_pipeline.pictures import read_rgb
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import Adapter, Sample, identity
from artmaster_pipeline.settings import Home, Profile

_FORM = 1  # part of a stored reading's name
METHODS = {
    "denoising": "the base model's own denoising error (Li et al. 2023)",
    "clip": "CLIP similarity (Radford et al. 2021)",
}


def measure(
    home: Home, adapter: Adapter, profile: Profile, samples: Sequence[Sample], progress: Progress
) -> dict[str, Any]:
    """Adherence of base and adapter, the loss with its interval (over prompts), and its slope against strength.

    `loss` is the mean of the losses over training-like and over far prompts, each where there are any.
    """
    read = _Reader(home, adapter, profile, samples)
    groups = {
        "training_like": [s for s in samples if s.role == "panel"],
        "far": [s for s in samples if s.role == "far"],
    }
    found: dict[str, Any] = {"method": METHODS[profile.evaluation.adherence]}
    losses: list[list[float]] = []
    wanted = [s for group in groups.values() for s in group]
    with progress.task("reading what pictures show", len(wanted)) as advance:
        read.all(wanted, advance)
    for name, group in groups.items():
        base = [read(s) for s in group if s.column == "base"]
        with_it = [read(s) for s in group if s.column == "adapter" and s.strength == 1.0]
        if not base:
            continue
        losses.append([without - with_adapter for without, with_adapter in zip(base, with_it, strict=True)])
        found[name] = {
            "base": round(sum(base) / len(base), 5),
            "adapter": round(sum(with_it) / len(with_it), 5),
            **sets.mean_difference(with_it, base).named("loss"),
        }
    found |= _overall(losses).named("loss") if losses else {"loss": 0.0, "loss_interval": [None, None]}
    return found | _slope(groups["far"], read)


class _Reader:
    """Readings of single pictures, kept in the data home's cache; the model is loaded only where one is missing."""

    def __init__(self, home: Home, adapter: Adapter, profile: Profile, samples: Sequence[Sample]) -> None:
        self._home, self._adapter, self._profile = home, adapter, profile
        said = (s for s in samples if s.role == "panel")
        self._near = [without_trigger(s.prompt, adapter.trigger) for s in said]
        self._known: dict[str, float] = {}
        self._fits: Fits | None = None

    def __call__(self, sample: Sample) -> float:
        return self._known[sample.id]

    def all(self, samples: Sequence[Sample], advance: Any) -> None:
        """Read all pictures."""
        for sample in samples:
            self._known[sample.id] = self._read(sample)
            advance()

    def _read(self, sample: Sample) -> float:
        settings = self._profile.evaluation
        prompt = without_trigger(sample.prompt, self._adapter.trigger)
        others = other_prompts(prompt, self._near, settings.far_prompts)
        if not others:
            return 1.0
        model = [settings.adherence, settings.clip, self._adapter.base_revision, self._profile.dtype]
        key = identity("adherence", _FORM, sample.sha256, prompt, others, model)
        file = self._home.cache / "adherence" / f"{key}.json"
        if file.exists():
            return float(json.loads(file.read_text(encoding="utf-8")))
        if self._fits is None:
            self._fits = _load_fits(self._profile)
        picture = read_rgb(inside(self._home.evaluation(self._adapter.painter), sample.path))
        value = adherence(self._fits, picture, prompt, others)
        write_text(file, json.dumps(value))
        return value


def _load_fits(profile: Profile) -> Fits:
    if profile.evaluation.adherence == "clip":
        from artmaster_pipeline.evaluation.hub_features import clip_fits

        return clip_fits(profile)
    from artmaster_pipeline.base_models import load_pipeline

    return denoising_fits(load_pipeline(profile), profile)


def _overall(groups: Sequence[Sequence[float]]) -> sets.Interval:
    """The mean of the groups' means; every group's prompts are drawn again on their own."""
    import numpy as np

    dice = np.random.default_rng(0)
    value, rounds = 0.0, np.zeros(sets.ROUNDS)
    for losses in groups:
        drawn = dice.integers(0, len(losses), (sets.ROUNDS, len(losses)))
        value += float(np.mean(losses)) / len(groups)
        rounds += np.asarray(losses)[drawn].mean(1) / len(groups)
    return sets.interval(value, rounds)


def _slope(far: Sequence[Sample], read: _Reader) -> dict[str, Any]:
    """Adherence by strength over the far prompts, and its least-squares slope with an interval over prompts."""
    import numpy as np

    by_strength: dict[float, list[float]] = {}
    for sample in far:
        by_strength.setdefault(0.0 if sample.column == "base" else sample.strength, []).append(read(sample))
    if len(by_strength) < 2:
        return {"by_strength": {}, "slope": None, "slope_interval": [None, None]}
    strengths = np.array(sorted(by_strength))
    table = np.array([by_strength[strength] for strength in strengths])  # (strengths, prompts)
    centred = strengths - strengths.mean()
    slopes = centred @ (table - table.mean(0)) / (centred @ centred)  # one per prompt
    drawn = np.random.default_rng(0).integers(0, len(slopes), (sets.ROUNDS, len(slopes)))
    shown = {f"{strength:g}": round(float(row.mean()), 5) for strength, row in zip(strengths, table, strict=True)}
    return {"by_strength": shown, **sets.interval(float(slopes.mean()), slopes[drawn].mean(1)).named("slope")}

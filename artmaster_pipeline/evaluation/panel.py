"""panel.json: the distances of an adapter's samples to works it never saw, with counts and what they allow to say."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from artmaster_pipeline.evaluation.distances import Clouds, colour_distance, measure, texture_distance
from artmaster_pipeline.files import inside, write_text
from artmaster_pipeline.records import Adapter, Sample, TrainingImage, identity
from artmaster_pipeline.settings import Home, Profile

PANEL = "panel.json"

_VERSION = 2  # part of the panel's id: raise it when what is measured changes
_MOST_WORKS = 40  # of the training set, for the ceiling
_FEW = 10  # pictures; below it one picture more or less can turn the result over
_EQUAL = 0.01  # of the base's distance: smaller differences are not called differences
_UNITS = {"colour": "CIELAB units", "texture": "spreads of the held-out works"}
_METHODS = {
    "colour": "sliced Wasserstein distance of CIELAB pixels (Bonneel et al. 2015)",
    "texture": "sliced Wasserstein distance of band energies (Burt and Adelson 1983) and structure-tensor "
    "coherence and direction (Bigun and Granlund 1987)",
}


def write_panel(
    home: Home, adapter: Adapter, profile: Profile, images: Sequence[TrainingImage], samples: Sequence[Sample]
) -> dict[str, Any]:
    """Measure the samples, write panel.json beside the grid and give its content; what is there is not measured again.

    `distances` is empty where no work was held out, and `reading` says so.
    """
    held_out = _one_per_work(image for image in images if image.split == "held_out")
    train = _one_per_work(image for image in images if image.split == "train")[:_MOST_WORKS]
    generated = [sample for sample in samples if sample.column != "original"]
    sources = [[image.id, image.sha256] for image in held_out + train] + [[s.id, s.sha256] for s in generated]
    identifier = identity("panel", _VERSION, adapter.id, profile.size_divisor, sources)
    file = home.evaluation(adapter.painter) / adapter.id / PANEL
    if (old := _read(file)).get("id") == identifier:
        return old
    side = min(profile.size(512, 512))
    panel = {
        "id": identifier,
        "adapter_id": adapter.id,
        "base_model": adapter.base_model,
        "base_revision": adapter.base_revision,
        "counts": _counts(generated, held_out, train),
        "distances": {},
        "units": _UNITS,
        "methods": _METHODS,
        "measured_at": f"{side} pixels along the shorter side, every picture with equal weight",
    }
    if held_out:
        panel["distances"] = _distances(home, adapter.painter, side, generated, held_out, train)
    panel["reading"] = reading(panel)
    text = json.dumps(panel, ensure_ascii=False, indent=2, sort_keys=True)
    write_text(file, text + "\n")
    return dict(json.loads(text))


def reading(panel: dict[str, Any]) -> str:
    """The panel in plain words, with what its numbers of pictures do not allow to say."""
    counts = panel["counts"]
    if not panel["distances"]:
        return "No work was held out of the training, so nothing can be measured. Add scans of more works."
    sentences = []
    for axis, figures in panel["distances"].items():
        sentences.append(
            f"In {axis} the adapter's samples are {_compared(figures['adapter'], figures['base'])} "
            f"({figures['adapter']:.2f} against {figures['base']:.2f} {panel['units'][axis]}; the training works "
            f"themselves are at {figures['train_works']:.2f}); single samples are nearer in "
            f"{figures['nearer_samples']} of {counts['prompts']} prompts."
        )
    few = min(counts["prompts"], counts["held_out_works"])
    if few < _FEW:
        sentences.append(
            f"With {_number(counts['held_out_works'], 'held-out work')} and {_number(counts['prompts'], 'prompt')} "
            "this is a hint, not a proof."
        )
    return " ".join(sentences)


def _compared(adapter: float, base: float) -> str:
    if abs(adapter - base) < _EQUAL * base:
        return "just as far from the held-out works as the base model's"
    return f"{'nearer to' if adapter < base else 'farther from'} the held-out works than the base model's"


def flat_figures(panel: dict[str, Any]) -> dict[str, Any]:
    """The panel's figures under names for a table."""
    flat: dict[str, Any] = {f"{name.replace('_', ' ')} in the panel": n for name, n in panel["counts"].items()}
    for axis, figures in panel["distances"].items():
        flat |= {f"{axis} distance, {name.replace('_', ' ')}": value for name, value in figures.items()}
    return flat | {"reading": panel["reading"]}


def _distances(
    home: Home,
    painter: str,
    side: int,
    generated: Sequence[Sample],
    held_out: Sequence[TrainingImage],
    train: Sequence[TrainingImage],
) -> dict[str, dict[str, float | int]]:
    drawn = {
        column: measure(
            [inside(home.evaluation(painter), sample.path) for sample in generated if sample.column == column], side
        )
        for column in ("base", "adapter")
    }
    reference, trained = (
        measure([inside(home.training_set(painter), image.path) for image in works], side)
        for works in (held_out, train)
    )
    return {axis: _axis(axis, drawn, trained, reference) for axis in _UNITS}


def _axis(axis: str, drawn: dict[str, Clouds], trained: Clouds, reference: Clouds) -> dict[str, float | int]:
    works = getattr(reference, axis)

    def far(pictures: Sequence[Any]) -> float:
        return colour_distance(pictures, works) if axis == "colour" else texture_distance(pictures, works, works)

    base, adapter = getattr(drawn["base"], axis), getattr(drawn["adapter"], axis)
    pairs = zip(base, adapter, strict=True)
    return {
        "base": round(far(base), 4),
        "adapter": round(far(adapter), 4),
        "train_works": round(far(getattr(trained, axis)), 4),
        "nearer_samples": sum(far([with_it]) < far([without]) for without, with_it in pairs),
    }


def _one_per_work(images: Iterable[TrainingImage]) -> list[TrainingImage]:
    """One picture of each work, the squarest, so that a work with many crops does not count more."""
    works: dict[str, TrainingImage] = {}
    for image in sorted(images, key=lambda image: (abs(image.height - image.width), image.id)):
        works.setdefault(image.scan_sha256, image)
    return [works[key] for key in sorted(works)]


def _counts(
    generated: Sequence[Sample], held_out: Sequence[TrainingImage], train: Sequence[TrainingImage]
) -> dict[str, int]:
    return {
        "prompts": sum(sample.column == "adapter" for sample in generated),
        "held_out_works": len(held_out),
        "train_works": len(train),
    }


def _number(count: int, thing: str) -> str:
    return f"{count} {thing}{'s' if count != 1 else ''}"


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}

"""Is a mix fit to be published? Its pictures measured against the works of all painters, and judged by the same gate.

A mix has no hand of its own to be compared with, so no axis asks for a gain over the base. What is asked: no picture is
a copy of a work of any of the painters, prompts are still answered as by the base, and shapes (depiction) are not
clearly farther from the painters' works than the base's are. Which painter's works the pictures are nearest to in
composition, colour and brush is told beside it, for a person to read: it decides nothing.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from artmaster_pipeline.adapters.withdrawn import withdrawn_works
from artmaster_pipeline.errors import HoldsWithdrawn
from artmaster_pipeline.evaluation import intervals
from artmaster_pipeline.evaluation.axes import sets
from artmaster_pipeline.evaluation.axes.distances import pairwise_distances
from artmaster_pipeline.evaluation.evaluate import works_of
from artmaster_pipeline.evaluation.gate import judge
from artmaster_pipeline.evaluation.panel import drift
from artmaster_pipeline.evaluation.panel.adherence import adherence, other_prompts, without_trigger
from artmaster_pipeline.evaluation.panel.measure import MIN_HELD_OUT, concatenated, copies, one_per_work, read_panel
from artmaster_pipeline.evaluation.verdicts import append_verdict, last_decision
from artmaster_pipeline.experts.factors import AXIS_OF, FACTORS
from artmaster_pipeline.files import inside, write_text
from artmaster_pipeline.pictures import read_rgb
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import JUDGED_BY, PANEL, Adapter, Sample, TrainingImage, Verdict, identity
from artmaster_pipeline.settings import GateSettings, Home, Profile

_VERSION = 1  # part of the panel's id: raise it when something is measured otherwise
_MOST_WORKS = 60  # of each painter and part
_LIMITED = ("depiction",)  # the axes on which a mix may not be farther from the works than the base is


def write_panel(
    home: Home,
    partition: str,
    key: str,
    said: tuple[str, str],
    profile: Profile,
    adapters: Sequence[Adapter],
    samples: Sequence[Sample],
    progress: Progress,
) -> dict[str, Any]:
    """Measure a mix's samples, write its panel.json and give the content; what is there is not measured again.

    `said` is what it is and its name: a mix, or a canvas, which is measured and judged alike.
    """
    images = [image for adapter in adapters for image in works_of(home, adapter)]
    works = {part: _chosen(images, part) for part in ("train", "held_out")}
    sources: list[Any] = [[i.id, i.sha256, i.split] for i in images] + [[s.id, s.sha256] for s in samples]
    if any(sample.width != sample.height for sample in samples):
        sources.append("read whole")  # tall ones were read by their middle square before
    identifier = identity("mixed panel", _VERSION, key, profile.evaluation.deciding(), profile.size_divisor, sources)
    file = home.evaluation(partition) / key / PANEL
    if (old := read_panel(file)).get("id") == identifier:
        return old
    mixed = [sample for sample in samples if sample.column == "adapter"]
    panel: dict[str, Any] = {
        "id": identifier,
        "adapter_id": key,
        said[0]: said[1],
        "counts": {
            "prompts": len({sample.prompt for sample in mixed}),
            "pictures": len(mixed),
            **{f"{part}_works": len({i.work for i in images if i.split == part}) for part in works},
        },
        JUDGED_BY: sorted({image.scan_sha256 for image in works["held_out"]}),
        "memorisation": copies(home, profile, images, works["held_out"], mixed),
        "drift": _loss(home, profile, adapters, samples, progress),
        **_axes(home, partition, profile, works, samples, progress),
    }
    write_text(file, json.dumps(panel, ensure_ascii=False, indent=2, sort_keys=True) + "\n")
    return dict(json.loads(file.read_text(encoding="utf-8")))


def judge_mix(home: Home, partition: str, panel: dict[str, Any], limits: GateSettings) -> Verdict:
    """The verdict on a mix by its panel, or by the person who decided; kept where it says something new."""
    asked = limits.model_copy(update={"better_than_base": (), "not_worse_than_published": False})
    verdict = judge(panel, asked, None, last_decision(home, partition, panel["adapter_id"]))
    if not panel["axes"] and verdict.by == "figures":
        why = "Depiction: not measured, since too few works were held out or drawn beside; a person has to decide."
        verdict = verdict.model_copy(
            update={"publish": False, "needs_person": True, "reasons": (why,), "failed": (*verdict.failed, why)}
        )
    return append_verdict(home, partition, verdict)


def check_judges(
    home: Home, adapters: Sequence[Adapter], panels: Mapping[str, dict[str, Any]], what: str = "mix"
) -> None:
    """Raise HoldsWithdrawn where the panel of a mix (or a canvas) rests on a work that may not be used any more."""
    gone = {sha256: mark for a in adapters for sha256, mark in withdrawn_works(home, a.painter).items()}
    for name, panel in panels.items():
        if met := sorted(gone.keys() & set(panel.get(JUDGED_BY, ()))):
            mark = gone[met[0]]
            raise HoldsWithdrawn(
                f"The {what} {name} was judged by the work {met[0][:16]}, which may not be used since {mark.since} "
                f"({mark.reason}): run its {'set of painters' if what == 'mix' else what} again. {mark.way_back()}"
            )


def _chosen(images: Sequence[TrainingImage], part: str) -> list[TrainingImage]:
    """One picture of each work, of every painter as many at most."""
    found: dict[str, list[TrainingImage]] = {}
    for image in one_per_work(image for image in images if image.split == part):
        found.setdefault(image.painter, []).append(image)
    return [image for of in found.values() for image in of[:_MOST_WORKS]]


def _loss(
    home: Home, profile: Profile, adapters: Sequence[Adapter], samples: Sequence[Sample], progress: Progress
) -> dict[str, Any]:
    """How much worse than the base's pictures the mixed ones fit their prompts: the base, or CLIP, reads both."""
    triggers = [adapter.trigger for adapter in adapters]

    def plain(prompt: str) -> str:
        for trigger in triggers:
            prompt = without_trigger(prompt, trigger)
        return prompt

    asked = sorted({plain(sample.prompt) for sample in samples})
    others = {prompt: other_prompts(prompt, asked, profile.evaluation.far_prompts) for prompt in asked}
    every = {prompt for prompt, of in others.items() for prompt in (prompt, *of)}
    values: dict[str, float] = {}
    with (
        progress.task("reading what mixed pictures show", len(samples)) as advance,
        drift.open_readers(home, adapters[0], profile, every) as readers,
    ):
        fits = readers(0.0)
        for sample in samples:
            picture = read_rgb(
                inside(home.evaluation(sample.painter), sample.path)
            )  # whole: a tall one's middle is less
            prompt = plain(sample.prompt)
            values[sample.id] = adherence(fits, picture, prompt, others[prompt]) if others[prompt] else 1.0
            advance()
    base = {(sample.prompt, sample.seed): values[sample.id] for sample in samples if sample.column == "base"}
    mixed = [sample for sample in samples if sample.column == "adapter"]
    lost = [base[sample.prompt, sample.seed] - values[sample.id] for sample in mixed]
    figures = intervals.mean(lost, [sample.prompt for sample in mixed]).named("loss")
    return figures | {"method": profile.evaluation.adherence, "slope": None}


def _axes(
    home: Home,
    partition: str,
    profile: Profile,
    works: Mapping[str, list[TrainingImage]],
    samples: Sequence[Sample],
    progress: Progress,
) -> dict[str, Any]:
    """Depiction against the base's, and which painter's works the pictures are nearest to, by factor."""
    mixed = [sample for sample in samples if sample.column == "adapter"]
    base = {(sample.prompt, sample.seed): sample for sample in samples if sample.column == "base"}
    if min(len(works["train"]), len(works["held_out"])) < MIN_HELD_OUT or len(mixed) < 2:
        return {"axes": {}, "nearest": {}}
    root = home.evaluation(partition)
    parts: dict[str, list[Path]] = {
        part: [inside(home.training_set(image.painter), image.path) for image in of] for part, of in works.items()
    }
    parts["base"] = [inside(root, base[sample.prompt, sample.seed].path) for sample in mixed]
    parts["adapter"] = [inside(root, sample.path) for sample in mixed]
    paths, rows = concatenated(parts)
    members = sets.Members(
        **{name: rows[name] for name in ("train", "held_out", "base", "adapter")},  # type: ignore[arg-type]
        prompts=tuple(sample.prompt for sample in mixed),
    )
    axes = (*_LIMITED, *(AXIS_OF[factor] for factor in FACTORS))
    distances = pairwise_distances(home, profile, paths, members.train, progress, axes=axes)  # type: ignore[arg-type]
    found = {axis: sets.compare(distances.axes[axis], members).as_json() for axis in _LIMITED}  # type: ignore[index]
    clusters = members.clusters(len(paths))
    nearest: dict[str, dict[str, float]] = {}
    for factor in FACTORS:
        matrix = distances.axes[AXIS_OF[factor]]
        for painter in sorted({image.painter for image in works["train"]}):
            own = [n for n, image in zip(rows["train"], works["train"], strict=True) if image.painter == painter]
            far = sets.energy(matrix, rows["adapter"], _rows(own), clusters)
            nearest.setdefault(factor, {})[painter] = round(far, 4)
    return {"axes": found, "nearest": nearest}


def _rows(numbers: Sequence[Any]) -> Any:
    import numpy as np

    return np.array(numbers, dtype=int)

"""The panel of an adapter: is it the painter's hand, is it consistent, does it drift, does it copy. In panel.json.

All of it is measured against works that were held out of the training. `sets.py` says how sets of pictures are
compared and where intervals come from.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.adapters.withdrawn import withdrawn_works
from artmaster_pipeline.axes import AXES
from artmaster_pipeline.drawing_settings import DrawingSettings, drawing_of
from artmaster_pipeline.evaluation.axes import sets
from artmaster_pipeline.evaluation.axes.autoencoding import autoencoded
from artmaster_pipeline.evaluation.axes.distances import (
    DistanceMatrices,
    feature_extractors,
    pairwise_distances,
    read_square,
)
from artmaster_pipeline.evaluation.panel import drift, memorisation
from artmaster_pipeline.evaluation.panel.adherence import without_trigger
from artmaster_pipeline.evaluation.panel.subjects import subjects_read
from artmaster_pipeline.evaluation.panel.summary import summary
from artmaster_pipeline.evaluation.panel.two_sample import told_apart
from artmaster_pipeline.files import inside, write_text
from artmaster_pipeline.pictures import read_rgb
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import (
    JUDGED_BY,
    MANIFEST,
    PANEL,
    Adapter,
    Sample,
    TrainingImage,
    identity,
    read_manifest,
)
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import CROP_SIZES, Home, Profile

if TYPE_CHECKING:
    import numpy as np

_VERSION = 9  # part of the panel's id: raise it when something is measured otherwise
_MOST_WORKS = 100  # of each part; more change the figures by little and the time by much
_MOST_OTHERS, _MOST_OF_ANOTHER = 8, 30  # other painters, and works of each
MIN_HELD_OUT = 2  # works: with one there is no variety to compare with
_SHOWN = 3  # samples that are most and least like the painter's works


@dataclass(frozen=True)
class PanelPictures:
    """The pictures that a panel compares, in the order of the matrices' rows."""

    paths: tuple[Path, ...]
    members: sets.Members
    others: "dict[str, np.ndarray]"  # other painters of the house -> rows

    @property
    def works(self) -> "np.ndarray":
        """The rows of all works, this painter's and others'."""
        import numpy as np

        return np.concatenate([self.members.train, self.members.held_out, *self.others.values()])


@session()
def write_panel(
    home: Home,
    adapter: Adapter,
    profile: Profile,
    images: Sequence[TrainingImage],
    samples: Sequence[Sample],
    progress: Progress = SILENT,
    drawing: DrawingSettings | None = None,
    name: str = PANEL,
) -> dict[str, Any]:
    """Measure the samples, write panel.json beside the grid and give its content; what is there is not measured again.

    `drawing` says how the samples were drawn, if not as adapter and profile have it. `axes` is empty where fewer than
    two works were held out, and `summary` says so.
    """
    drawing = drawing or drawing_of(adapter, profile)
    works = {part: one_per_work(image for image in images if image.split == part) for part in ("train", "held_out")}
    others = other_painters(home, (adapter.painter,))
    identifier = _identity(adapter, profile, images, samples, others)
    file = home.evaluation(adapter.painter) / adapter.id / name
    if (old := read_panel(file)).get("id") == identifier:
        return old
    extractors = feature_extractors(profile)
    panel: dict[str, Any] = {
        "id": identifier,
        "adapter_id": adapter.id,
        "base_model": adapter.base_model,
        "base_revision": adapter.base_revision,
        "drawing": drawing.model_dump(),
        "counts": _counts(images, samples),
        JUDGED_BY: sorted({image.scan_sha256 for image in images if image.split == "held_out"}),
        "measured_at": f"{min(profile.size(*CROP_SIZES[0]))} pixels, one square picture of each work",
        "axes": {},
        "sources": {
            axis: {c.name: c.source for extractor in extractors for c in extractor.components if c.axis == axis}
            for axis in AXES
        },
    }
    if len(works["held_out"]) >= MIN_HELD_OUT and len(works["train"]) >= MIN_HELD_OUT:
        pictures = gather_pictures(home, adapter.painter, works, others, samples)
        distances = pairwise_distances(home, profile, pictures.paths, pictures.members.train, progress)
        panel |= _axes_and_spread(distances, pictures)
        drawn = [sample for sample in samples if sample.role == "panel" and sample.column == "adapter"]
        panel["likeness"] = _likeness(distances, pictures.members, drawn)
        panel["told_apart"] = _told_apart(distances, pictures.members)
        panel["style_drawable"] = _through_the_autoencoder(home, adapter, profile, pictures, progress)
        panel["autoencoder"] = _autoencoder_distance(home, adapter, profile, pictures, progress)
    whole = [sample for sample in samples if sample.column == "adapter" and sample.strength == drawing.strength]
    panel["subjects_read"] = _subjects_read(home, adapter, samples)
    panel["memorisation"] = copies(home, profile, images, works["held_out"], whole)
    judging = works["held_out"][:_MOST_WORKS]
    panel["drift"] = drift.measure(home, adapter, profile, drawing, judging, samples, progress)
    panel["summary"] = summary(panel)
    text = json.dumps(panel, ensure_ascii=False, indent=2, sort_keys=True)
    write_text(file, text + "\n")
    return dict(json.loads(text))


def gather_pictures(
    home: Home,
    painter: str,
    works: dict[str, list[TrainingImage]],
    others: dict[str, list[TrainingImage]],
    samples: Sequence[Sample],
) -> PanelPictures:
    """All pictures of a panel in one row: training works, held-out works, base, adapter, other painters."""
    root = home.evaluation(painter)
    drawn = {
        column: [inside(root, s.path) for s in samples if s.role == "panel" and s.column == column]
        for column in ("base", "adapter")
    }
    parts: dict[str, list[Path]] = {
        "train": [inside(home.training_set(painter), image.path) for image in works["train"][:_MOST_WORKS]],
        "held_out": [inside(home.training_set(painter), image.path) for image in works["held_out"][:_MOST_WORKS]],
        **drawn,
        **{f"of {name}": [inside(home.training_set(name), i.path) for i in of] for name, of in others.items()},
    }
    paths, rows = concatenated(parts)
    members = sets.Members(
        **{name: rows[name] for name in ("train", "held_out", "base", "adapter")},
        prompts=tuple(s.prompt for s in samples if s.role == "panel" and s.column == "adapter"),
        captions=tuple(image.caption for image in works["held_out"][:_MOST_WORKS]),
    )
    return PanelPictures(paths, members, {name: rows[f"of {name}"] for name in others})


def concatenated(parts: dict[str, list[Path]]) -> "tuple[tuple[Path, ...], dict[str, np.ndarray]]":
    """All pictures one after the other, and by part where they stand."""
    import numpy as np

    ends = np.cumsum([len(paths) for paths in parts.values()])
    rows = {name: np.arange(end - len(paths), end) for (name, paths), end in zip(parts.items(), ends, strict=True)}
    return tuple(path for paths in parts.values() for path in paths), rows


def one_per_work(images: Iterable[TrainingImage]) -> list[TrainingImage]:
    """One picture of each work, the first chosen of the squarest: a work with many crops does not count more."""
    works: dict[str, TrainingImage] = {}
    for image in sorted(images, key=lambda image: (abs(image.height - image.width), image.place, image.id)):
        works.setdefault(image.work, image)
    return [works[key] for key in sorted(works)]


def read_panel(file: Path) -> dict[str, Any]:
    """The content of a panel.json; empty where there is none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def flat_figures(panel: dict[str, Any]) -> dict[str, Any]:
    """The panel's main figures under names for a table."""
    flat: dict[str, Any] = {f"{name.replace('_', ' ')} in the panel": n for name, n in panel["counts"].items()}
    for axis, figures in panel["axes"].items():
        flat[f"{axis}: score"] = "none" if figures["score"] is None else figures["score"]
        flat[f"{axis}: gain over the base"] = figures["gain"]
    if "consistency" in panel:
        flat |= {"consistency": panel["consistency"]["ratio"], "diversity": panel["diversity"]["samples"]}
    flat |= {"loss of adherence": panel["drift"]["loss"], "suspects": panel["memorisation"]["suspects"]}
    if panel["subjects_read"]:
        flat |= {f"subjects read, {name}": panel["subjects_read"][name] for name in ("base", "adapter")}
    return flat | {"summary": panel["summary"]}


def _axes_and_spread(distances: DistanceMatrices, pictures: PanelPictures) -> dict[str, Any]:
    """The axes, consistency and diversity."""
    import numpy as np

    members = pictures.members
    works = np.concatenate([members.train, members.held_out])
    axes = {}
    for axis, matrix in distances.axes.items():
        parts = {component.name: m for component, m in distances.matrices[axis].items()}
        axes[axis] = {
            **sets.compare(matrix, members).as_json(),
            "components": {name: sets.compare(m, members).as_json() for name, m in parts.items()},
        }
    whole = np.mean(list(distances.axes.values()), axis=0)
    style = distances.axes["style"]
    clusters = members.clusters(len(whole))
    ratio = sets.spread_ratio(whole, members.adapter, works, clusters)
    return {
        "axes": axes,
        "consistency": {
            **ratio.named("ratio"),
            "base": round(sets.spread_ratio(whole, members.base, works, clusters).value, 5),
            "axes": {
                axis: round(sets.spread_ratio(m, members.adapter, works, clusters).value, 5)
                for axis, m in distances.axes.items()
            },
            **_margin(style, pictures),
        },
        "diversity": _diversity(style, {"samples": members.adapter, "base": members.base, "works": works}),
    }


def _likeness(distances: DistanceMatrices, members: sets.Members, drawn: Sequence[Sample]) -> dict[str, Any]:
    """The samples that are most and least like the held-out works, each with its mean distance to them by axis.

    As sets are compared, no sample is compared with the work whose caption asked for it. `own` is the training works'
    mean distance: what two of the painter's works are apart.
    """
    import numpy as np

    def mean_distances(matrix: "np.ndarray", rows: "np.ndarray") -> "np.ndarray":
        counted = members.strangers(len(matrix))[np.ix_(rows, members.held_out)]
        across = matrix[np.ix_(rows, members.held_out)]
        return np.asarray((across * counted).sum(1) / counted.sum(1).clip(1))

    by_axis = {axis: mean_distances(matrix, members.adapter) for axis, matrix in distances.axes.items()}
    own = {axis: mean_distances(matrix, members.train).mean() for axis, matrix in distances.axes.items()}
    whole = np.mean(list(by_axis.values()), axis=0)
    rows = [
        {
            "sample": drawn[n].path,
            "prompt": drawn[n].prompt,
            "seed": drawn[n].seed,
            "distance": round(float(whole[n]), 4),
            "axes": {axis: round(float(of[n]), 4) for axis, of in by_axis.items()},
        }
        for n in np.argsort(whole, kind="stable")
    ]
    return {
        "most": rows[:_SHOWN],
        "least": rows[::-1][: min(_SHOWN, max(0, len(rows) - _SHOWN))],
        "own": {axis: round(float(value), 4) for axis, value in own.items()},
    }


def _told_apart(distances: DistanceMatrices, members: sets.Members) -> dict[str, float | None]:
    """How surely a classifier on the deep features tells base, adapter and training works from the held-out works."""
    import numpy as np

    matrix = np.mean([distances.axes["depiction"], distances.axes["style"]], axis=0)
    clusters = members.clusters(len(matrix))
    found = {
        "base": told_apart(matrix, members.base, members.held_out, clusters, members.train),
        "adapter": told_apart(matrix, members.adapter, members.held_out, clusters, members.train),
        "works": told_apart(matrix, members.train, members.held_out, clusters),
    }
    return {name: None if area is None else round(area, 4) for name, area in found.items()}


def _through_the_autoencoder(
    home: Home, adapter: Adapter, profile: Profile, pictures: PanelPictures, progress: Progress
) -> dict[str, Any]:
    """Whole style again, all works seen as the base's autoencoder gives them back: the sharpest it could draw them."""
    seen, rows = list(pictures.paths), pictures.works
    squares = [read_square(seen[row], profile) for row in rows]
    for row, file in zip(rows, autoencoded(home, profile, squares, adapter.base_revision, progress), strict=True):
        seen[row] = file
    distances = pairwise_distances(home, profile, seen, pictures.members.train, progress, axes=("style",))
    return sets.compare(distances.axes["style"], pictures.members).as_json()


def _autoencoder_distance(
    home: Home, adapter: Adapter, profile: Profile, pictures: PanelPictures, progress: Progress
) -> dict[str, float]:
    """By component of whole style, how far the autoencoder alone takes the training works from the held-out ones."""
    import numpy as np

    train, held_out = pictures.members.train, pictures.members.held_out
    raw = [pictures.paths[row] for row in (*train, *held_out)]
    squares = [read_square(pictures.paths[row], profile) for row in train]
    through = autoencoded(home, profile, squares, adapter.base_revision, progress)
    trained = np.arange(len(train))
    distances = pairwise_distances(home, profile, [*raw, *through], trained, progress, axes=("style",))
    held = np.arange(len(train), len(raw))
    ours = np.arange(len(raw), len(raw) + len(through))
    return {c.name: round(sets.energy(matrix, ours, held), 5) for c, matrix in distances.matrices["style"].items()}


def _diversity(style: "np.ndarray", sets_of_rows: "dict[str, np.ndarray]") -> dict[str, float | int]:
    """Vendi scores of equally many pictures of each set (the score grows with their number), the mean over draws."""
    import numpy as np

    size = min(len(rows) for rows in sets_of_rows.values())
    found: dict[str, float | int] = {"pictures": size}
    for name, rows in sets_of_rows.items():
        dice = np.random.default_rng(0)
        drawn = [sets.vendi_score(style, dice.permutation(rows)[:size]) for _ in range(20)]
        found[name] = round(float(np.mean(drawn)), 3)
    return found


def _margin(style: "np.ndarray", pictures: PanelPictures) -> dict[str, Any]:
    """How much nearer the samples are to this painter's held-out works than to any other painter's works."""
    members = pictures.members
    clusters = members.clusters(len(style))
    own = sets.energy(style, members.adapter, members.held_out, clusters)
    far = {name: sets.energy(style, members.adapter, rows, clusters) for name, rows in pictures.others.items()}
    nearest = min(far, key=lambda name: far[name], default=None)
    return {
        "own": round(own, 5),
        "others": {name: round(distance, 5) for name, distance in far.items()},
        "nearest_other": nearest,
        "margin": round(far[nearest] - own, 5) if nearest is not None else None,
    }


def _subjects_read(home: Home, adapter: Adapter, samples: Sequence[Sample]) -> dict[str, Any] | None:
    root = home.evaluation(adapter.painter)
    drawn = {column: [s for s in samples if s.role == "panel" and s.column == column] for column in ("base", "adapter")}
    prompts = [without_trigger(sample.prompt, adapter.trigger) for sample in drawn["adapter"]]
    pictures = {column: [read_rgb(inside(root, s.path)) for s in of] for column, of in drawn.items()}
    return subjects_read(prompts, pictures["base"], pictures["adapter"])


def copies(
    home: Home,
    profile: Profile,
    images: Sequence[TrainingImage],
    held_out: Sequence[TrainingImage],
    drawn: Sequence[Sample],
) -> dict[str, Any]:
    """Each of the drawn samples with its nearest training crop, suspects first. Works may be of several painters."""
    crops = sorted((image for image in images if image.split == "train"), key=lambda image: image.id)
    found = memorisation.nearest(
        [_whole(home.evaluation(sample.painter), sample.path, profile, sample) for sample in drawn],
        [_whole(home.training_set(crop.painter), crop.path, profile, crop) for crop in crops],
        [crop.work for crop in crops],
        [read_square(inside(home.training_set(of.painter), of.path), profile) for of in held_out[:_MOST_WORKS]],
        profile.device,
    )
    rows = [
        {
            "sample": sample.path,
            "prompt": sample.prompt,
            "seed": sample.seed,
            "crop": crops[near.crop].path,
            "scan_sha256": crops[near.crop].scan_sha256,
            "mirrored": near.mirrored,
            "phash": near.phash,
            "lpips": round(near.lpips, 4),
            "correlation": round(near.correlation, 4),
            "suspect": near.suspect,
        }
        for sample, near in zip(drawn, found, strict=bool(found))
    ]
    rows.sort(key=lambda row: (not row["suspect"], row["lpips"], row["sample"]))
    limits = vars(found[0].limits) if found else {}
    return {
        "pictures": len(drawn),
        "suspects": sum(row["suspect"] for row in rows),
        "limits": {name: round(value, 4) for name, value in limits.items()},
        "nearest": rows,
    }


def _whole(root: Path, path: str, profile: Profile, record: Sample | TrainingImage) -> "np.ndarray":
    """A picture in its own shape at the model's size."""
    import numpy as np
    from PIL import Image

    size = (record.width, record.height) if isinstance(record, Sample) else profile.size(record.width, record.height)
    with Image.open(inside(root, path)) as file:
        return np.asarray(file.convert("RGB").resize(size, Image.Resampling.LANCZOS))


def other_painters(home: Home, painters: Collection[str]) -> dict[str, list[TrainingImage]]:
    """The works of the house's painters beside these, of those that have a training set, a few of each."""
    found = {}
    for name in home.painters():
        images = read_manifest(home.training_set(name) / MANIFEST, TrainingImage) if name not in painters else ()
        withdrawn = withdrawn_works(home, name)
        images = tuple(image for image in images if image.scan_sha256 not in withdrawn)
        works = [image for image in one_per_work(images) if inside(home.training_set(name), image.path).is_file()]
        if len(works) >= MIN_HELD_OUT:
            found[name] = works[:_MOST_OF_ANOTHER]
    return dict(list(found.items())[:_MOST_OTHERS])


def _counts(images: Sequence[TrainingImage], samples: Sequence[Sample]) -> dict[str, int]:
    """Distinct prompts and works, which the intervals go by, and the pictures drawn of them with the adapter."""
    drawn = [s for s in samples if s.role == "panel" and s.column == "adapter"]
    works = {part: len({i.work for i in images if i.split == part}) for part in ("train", "validate", "held_out")}
    return {
        "prompts": len({s.prompt for s in drawn}),
        "pictures": len(drawn),
        "far_prompts": len({s.prompt for s in samples if s.role == "far"}),
        **{f"{part}_works": count for part, count in works.items()},
    }


def _identity(
    adapter: Adapter,
    profile: Profile,
    images: Sequence[TrainingImage],
    samples: Sequence[Sample],
    others: dict[str, list[TrainingImage]],
) -> str:
    """Made from every picture and setting that the panel's figures follow from."""
    sources = [[image.id, image.sha256, image.split] for image in images] + [[s.id, s.sha256] for s in samples]
    other = {name: [image.sha256 for image in of] for name, of in others.items()}
    how = profile.evaluation.deciding()
    return identity("panel", _VERSION, adapter.id, profile.size_divisor, how, sources, other)

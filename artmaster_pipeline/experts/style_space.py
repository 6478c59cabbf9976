"""Where experts stand to one another: by what they change in the base's weights, and by what their pictures look like.

Adapters have different ranks and layers, so their weights have no common coordinates. What they do to the same inputs
has: each layer's change B(Ax) is asked of a few fixed probe vectors x, layers that an adapter leaves alone answer with
zeros, and the answers of all layers in a row are an adapter's place. By random projections distances between them are
those between the changes themselves, up to chance (Johnson and Lindenstrauss 1984). Principal components of such
changes tell painters apart (Liu et al. 2024, https://arxiv.org/abs/2412.12048).

Of pictures, the panel's distances on whole style are laid out by classical scaling (Torgerson 1952), which gives the
principal components of their features.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from artmaster_pipeline.adapters.finding import folder_of
from artmaster_pipeline.adapters.folder import LORA
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import Adapter
from artmaster_pipeline.settings import Home, Profile
from artmaster_pipeline.templates import html_templates

if TYPE_CHECKING:
    import numpy as np

_PROBES = 4  # of each layer
_DOWN, _UP, _ALPHA = ".lora_A.weight", ".lora_B.weight", ".alpha"
_WIDTH, _HEIGHT, _MARGIN = 640, 420, 56  # pixels of a chart
_LABEL = 24  # characters of a name on it


@dataclass(frozen=True)
class Point:
    """A place on a chart. `group` says whose it is, an empty `label` that it is one of many."""

    x: float
    y: float
    group: str
    label: str = ""


@dataclass(frozen=True)
class Chart:
    """Points in the plane of the first two principal components, and the share of all variance that each has."""

    points: tuple[Point, ...]
    explained: tuple[float, float]


def by_weights(home: Home, adapters: Sequence[Adapter]) -> Chart:
    """Adapters of one base by what they change."""
    import numpy as np

    changes = [_change(folder_of(home, adapter) / LORA) for adapter in adapters]
    layers = {layer: len(answer) for of in changes for layer, answer in of.items()}
    rows = np.array(
        [np.concatenate([of.get(layer, np.zeros(layers[layer])) for layer in sorted(layers)]) for of in changes]
    )
    places, explained = _components(rows @ rows.T)
    points = [
        Point(x, y, adapter.painter, adapter.painter) for (x, y), adapter in zip(places.tolist(), adapters, strict=True)
    ]
    return Chart(tuple(points), explained)


def by_pictures(home: Home, profile: Profile, pictures: Mapping[str, Sequence[Path]], progress: Progress) -> Chart:
    """Pictures by what they look like; each group's middle has its label."""
    import numpy as np

    from artmaster_pipeline.evaluation.axes.distances import pairwise_distances

    files = [file for of in pictures.values() for file in of]
    groups = [group for group, of in pictures.items() for _ in of]
    if len(files) < 3:
        return Chart((), (0.0, 0.0))
    distances = pairwise_distances(home, profile, files, np.arange(len(files)), progress, axes=("style",))
    squared = np.mean(list(distances.matrices["style"].values()), axis=0)
    places, explained = _components(_doubly_centred(squared))
    points = [Point(x, y, group) for (x, y), group in zip(places.tolist(), groups, strict=True)]
    for group in pictures:
        own = np.array([[point.x, point.y] for point in points if point.group == group])
        points.append(Point(float(own[:, 0].mean()), float(own[:, 1].mean()), group, group))
    return Chart(tuple(points), explained)


def chart_svg(chart: Chart, title: str) -> str:
    """A chart as an SVG that needs no other file; all names in it are escaped."""
    groups = list(dict.fromkeys(point.group for point in chart.points))
    xs, ys = [p.x for p in chart.points] or [0.0], [p.y for p in chart.points] or [0.0]
    span = max(max(xs) - min(xs), max(ys) - min(ys)) or 1.0
    scale = min(_WIDTH, _HEIGHT) - 2 * _MARGIN
    middle = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
    points = [
        {
            "x": round(_WIDTH / 2 + (point.x - middle[0]) / span * scale, 1),
            "y": round(_HEIGHT / 2 - (point.y - middle[1]) / span * scale, 1),
            "hue": round(360 * groups.index(point.group) / max(1, len(groups))),
            "label": point.label if len(point.label) <= _LABEL else f"{point.label[:_LABEL]}…",
        }
        for point in chart.points
    ]
    said = [f"{100 * share:.0f} %" for share in chart.explained]
    page = html_templates("artmaster_pipeline.experts").get_template("chart.svg.jinja")
    return str(page.render(points=points, title=title, width=_WIDTH, height=_HEIGHT, said=said)) + "\n"


def _change(file: Path) -> "dict[str, np.ndarray]":
    """Layer -> what its change makes of the layer's probes, in a row; float64."""
    import numpy as np
    from safetensors.numpy import load_file

    tensors = load_file(file)
    found = {}
    for name, down in tensors.items():
        if not name.endswith(_DOWN):
            continue
        layer = name.removesuffix(_DOWN)
        up = tensors[layer + _UP].astype(np.float64)
        alpha = float(tensors[layer + _ALPHA]) if layer + _ALPHA in tensors else len(down)
        answers = up @ (down.astype(np.float64) @ _probes(layer, down.shape[1])) * (alpha / len(down))
        found[layer] = answers.ravel() / np.sqrt(_PROBES)
    return found


def _probes(layer: str, inputs: int) -> "np.ndarray":
    """The layer's probe vectors: the same on every machine, for every adapter."""
    import numpy as np

    seed = int.from_bytes(hashlib.sha256(layer.encode()).digest()[:8])
    return np.random.default_rng(seed).normal(size=(inputs, _PROBES))


def _doubly_centred(squared: "np.ndarray") -> "np.ndarray":
    import numpy as np

    centre = np.eye(len(squared)) - 1 / len(squared)
    return np.asarray(-centre @ squared @ centre / 2)


def _components(products: "np.ndarray") -> "tuple[np.ndarray, tuple[float, float]]":
    """Rows in the plane of their first two principal components, from their scalar products; signs are fixed."""
    import numpy as np

    n = len(products)
    centre = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(centre @ products @ centre)
    values, vectors = np.clip(values[::-1], 0, None), vectors[:, ::-1]
    values, vectors = np.append(values, [0, 0])[: max(2, n)], np.hstack([vectors, np.zeros((n, 2))])
    vectors = vectors[:, :2] * np.where(vectors[np.abs(vectors[:, :2]).argmax(0), [0, 1]] < 0, -1, 1)
    whole = float(values.sum()) or 1.0
    return vectors * np.sqrt(values[:2]), (float(values[0]) / whole, float(values[1]) / whole)

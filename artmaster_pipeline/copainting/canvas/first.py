"""A first canvas from a picture or a sketch: its regions dealt to painters, for a person to go on with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from artmaster_pipeline.copainting.canvas.finding import LABELS_FILE
from artmaster_pipeline.copainting.canvas.fitting import fitted
from artmaster_pipeline.copainting.canvas.maps import Size
from artmaster_pipeline.copainting.canvas.reading import STEP, check_painters, load, token_of
from artmaster_pipeline.copainting.canvas.writing import check_free, write
from artmaster_pipeline.copainting.records import MOST_REGIONS, SignalKind
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import check_folder
from artmaster_pipeline.sample_painters.layout import Kind
from artmaster_pipeline.settings import Home

# What a region of each kind shows, and how the whole picture's prompt names it: words that every base was taught.
_SHOWS: dict[Kind, str] = {
    "sky": "open sky",
    "water": "still water",
    "rock": "layered mountains",
    "trees": "tall trees",
    "buildings": "houses of a village",
    "figures": "a traveller",
    "blank": "drifting mist",
    "other": "",
}
_NAMED: dict[Kind, str] = {
    "sky": "open sky",
    "water": "still water",
    "rock": "layered mountains",
    "trees": "trees",
    "buildings": "a village",
    "figures": "a traveller",
    "blank": "mist",
}
_PLAIN: tuple[Kind, ...] = ("blank", "other")  # what a ground that was named takes over


@dataclass(frozen=True)
class FirstCanvas:
    """What `write` takes, and what became of the regions that were found."""

    canvas_yaml: dict[str, Any]
    labels: np.ndarray  # uint8 (height, width)
    notes: tuple[str, ...] = ()


def new_canvas(
    home: Home,
    source: Path,
    folder: Path,
    painters: Sequence[str],
    *,
    ground: str = "",
    drawn: bool = False,
    control: Sequence[SignalKind] = (),
    prompt: str = "",
) -> tuple[Path, tuple[str, ...]]:
    """Read a picture's regions (of a hand-drawn layout with `drawn`) and write a canvas of its shape into `folder`.

    Gives canvas.yaml's path, and sentences on what was found. `control` are the signals that are read from the picture
    and kept to. Raises WrongUse for unknown painters and a folder that has a canvas, BadInput for a picture that cannot
    be used, MissingRequirement where a signal needs what is not here; nothing is written then.
    """
    from artmaster_pipeline.copainting.signals import read_signal, regions_of, write_signal

    profile = check_painters(home, [*painters, ground] if ground else painters)
    check_free(folder)
    token = token_of(profile)
    size, picture, lost = fitted(source, step=max(STEP, token), exact_colours=drawn)
    found = regions_of(picture, drawn=drawn, most=MOST_REGIONS)
    first = first_canvas(
        _resized(found.labels, size),
        {region.label: region.kind for region in found.regions},
        painters,
        ground=ground,
        prompt=prompt,
        control=[{"signal": kind} | ({} if kind == "labels" else {"file": f"{kind}.png"}) for kind in control],
        token=token,
    )
    signals = [read_signal(kind, _seen(picture, size)) for kind in control if kind != "labels"]
    check_folder(folder)
    for signal in signals:
        write_signal(folder / f"{signal.kind}.png", signal)
    path = write(folder, first.canvas_yaml, first.labels)
    load(path, home)
    cropped = (f"{lost:.0%} of the picture lies outside of the canvas' shape.",) if lost >= 0.005 else ()
    return path, (found.says, *cropped, *first.notes, *(signal.says for signal in signals))


def first_canvas(
    labels: np.ndarray,
    kinds: Mapping[int, Kind],
    painters: Sequence[str],
    *,
    ground: str = "",
    prompt: str = "",
    control: Sequence[dict[str, Any]] = (),
    token: int = 16,
) -> FirstCanvas:
    """A canvas of the regions of a label map, uint8 (height, width) of the canvas' size; labels stay as they are.

    Painters are dealt out by kind, the kind that has most of the picture to the first; where there are fewer kinds than
    painters, by region. The ground is the first painter's unless `ground` names another, who then gets what is blank or
    nothing in particular, too, if anything else is left. Regions of less than one token (`token` pixels a side) and
    those beyond the most that a canvas has become ground. Raises WrongUse where none is left.
    """
    counts = np.bincount(labels.reshape(-1), minlength=256)
    there = {label: kind for label, kind in kinds.items() if counts[label]}
    plain = {label for label, kind in there.items() if ground and kind in _PLAIN}
    plain = set() if len(plain) == len(there) else plain
    by_size = sorted(set(there) - plain, key=lambda label: (-int(counts[label]), label))
    kept = [label for label in by_size if counts[label] >= token * token][:MOST_REGIONS]
    if not kept:
        raise WrongUse(
            f"No region was found of {token}x{token} pixels or more of the canvas: draw a layout in flat colours, and "
            "give it with --sketch."
        )
    kept_kinds = [kinds[label] for label in kept]
    dealt = dict(zip(kept, _dealt(kept_kinds, [int(counts[label]) for label in kept], painters), strict=True))
    ids = _ids({label: kinds[label] for label in sorted(kept)})
    whose = ground or painters[0]
    said: dict[str, Any] = {
        "prompt": " ".join(prompt.split()) or _whole(kept_kinds),
        "size": f"{labels.shape[1]}x{labels.shape[0]}",
        "seeds": [0],
        "ground": {"painter": whose},
        "labels": LABELS_FILE,
        **({"control": list(control)} if control else {}),
        "regions": [_region(id, label, kinds[label], dealt[label]) for label, id in ids.items()],
    }
    remaining = np.where(np.isin(labels, kept), labels, 0).astype(np.uint8)
    left = len(by_size) - len(kept)
    notes = [f"What is blank or nothing in particular is {whose}'s, the ground."] if plain else []
    notes += [f"{left} region{'s' * (left > 1)} too small or too many became ground."] if left else []
    if idle := [painter for painter in painters if painter not in (*dealt.values(), whose)]:
        notes.append(f"There are fewer regions than painters: {', '.join(idle)} got none.")
    if remaining.all():
        notes.append(f"The regions cover the whole canvas: what you take out of them, {whose} paints as the ground.")
    return FirstCanvas(said, remaining, tuple(notes))


def _region(id: str, label: int, kind: Kind, painter: str) -> dict[str, Any]:
    shows = {"prompt": _SHOWS[kind]} if _SHOWS[kind] else {}
    return {"id": id, "label": label, "kind": kind, "painter": painter, **shows, "feather_px": 16}


def _resized(labels: np.ndarray, size: Size) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))


def _seen(picture: np.ndarray, size: Size) -> np.ndarray:
    from PIL import Image

    if picture.shape[1::-1] == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def _dealt(kinds: Sequence[Kind], counts: Sequence[int], painters: Sequence[str]) -> list[str]:
    """A painter for each region; regions are in the order of their size."""
    by_kind: dict[Kind, int] = {}
    for kind, count in zip(kinds, counts, strict=True):
        by_kind[kind] = by_kind.get(kind, 0) + count
    if len(by_kind) < len(painters):
        return [painters[index % len(painters)] for index in range(len(kinds))]
    order = sorted(by_kind, key=lambda kind: -by_kind[kind])
    return [painters[order.index(kind) % len(painters)] for kind in kinds]


def _ids(kinds: Mapping[int, Kind]) -> dict[int, str]:
    """Label -> a name made of what it is, numbered from the second of a kind on."""
    seen: dict[Kind, int] = {}
    found = {}
    for label, kind in kinds.items():
        seen[kind] = seen.get(kind, 0) + 1
        name = "part" if kind == "other" else kind
        found[label] = name if seen[kind] == 1 else f"{name}-{seen[kind]}"
    return found


def _whole(kinds: Sequence[Kind]) -> str:
    words = [_NAMED[kind] for kind in dict.fromkeys(kinds) if kind in _NAMED]
    if not words:
        return "a landscape"
    return "a landscape with " + (f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0])

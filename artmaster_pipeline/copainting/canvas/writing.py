"""A canvas written down for a person to go on with: canvas.yaml with comments, and its label map with a palette."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import yaml

from artmaster_pipeline.canvases import CANVAS_FILE
from artmaster_pipeline.copainting.canvas.colours import shades_of
from artmaster_pipeline.copainting.canvas.finding import LABELS_FILE
from artmaster_pipeline.copainting.records import SignalKind
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import check_folder, write_text, writing
from artmaster_pipeline.sample_painters.layout import KIND_COLOURS, KINDS

if TYPE_CHECKING:
    import numpy as np

_HEAD = f"""\
# Who paints which part of one picture. To paint it: artmaster copaint {CANVAS_FILE} --out FOLDER
# To see it without painting: artmaster copaint preview {CANVAS_FILE} --out seen.png
"""
_OF_CANVAS = {
    "prompt": "what the whole picture shows",
    "size": "width x height, each 256 to 2048 and a multiple of 64",
    "seeds": "a picture for each",
    "ground": "who paints what no region covers; mix, strength and prompt as in a region",
    "labels": "a pixel's number is its region's label, 0 the ground's; keep the palette when you edit it",
    "control": f"what the picture keeps to: {', '.join(get_args(SignalKind))}",
    "regions": "",
}
_OF_REGION = {
    "id": "a name of its own",
    "label": "or mask: FILE.png, white where the region is",
    "mask": "white where the region is",
    "kind": f"{', '.join(KINDS)}: its colour on the map",
    "painter": 'or mix: "A=0.7 B=0.3"; PAINTER@ID is one adapter of a painter',
    "mix": "who has which part here",
    "prompt": "what this region shows; without it, what the canvas' prompt says",
    "strength": "of the adapter, up to 1.5; without it, as chosen for the adapter",
    "factors": "how much of each the painter has here, 0 to 1; the rest is the ground's",
    "feather_px": "the width of its soft border",
    "sigma_range": "the noise levels at which it acts, 1 the first",
}
_FOR_INSTANCE = {  # of what may be said and is not: lines to take the # away from
    "control": "[{signal: labels, scale: 0.7, until: 0.8}]",
    "strength": "0.8",
    "factors": "{composition: 1, colour: 0.5, brush: 1}",
    "sigma_range": "[0, 1]",
}


def write(folder: Path, canvas_yaml: dict[str, Any], labels: "np.ndarray", overwrite: bool = False) -> Path:
    """Write canvas.yaml, as `canvas_yaml` says it, and labels.png into a folder; gives canvas.yaml's path.

    `labels` is uint8 (height, width) of the canvas' size. The map's palette has the colours of the regions' kinds, each
    region of a kind in a shade of its own. Raises WrongUse where either file is there already, unless `overwrite`.
    """
    if not overwrite:
        check_free(folder)
    check_folder(folder)
    _write_labels(folder / LABELS_FILE, canvas_yaml.get("regions", ()), labels)
    write_text(folder / CANVAS_FILE, as_yaml(canvas_yaml))
    return folder / CANVAS_FILE


def check_free(folder: Path) -> None:
    """Raise WrongUse where a folder has a canvas already."""
    there = [name for name in (CANVAS_FILE, LABELS_FILE) if os.path.lexists(folder / name)]
    if there:
        raise WrongUse(f"{folder} has a {' and a '.join(there)} already: name another folder with --out.")


def as_yaml(canvas_yaml: dict[str, Any]) -> str:
    """canvas.yaml's text, with a comment beside what a person may want to change; the first region's holds for all."""
    lines = [_HEAD.rstrip()]
    for name, comment in _OF_CANVAS.items():
        value = canvas_yaml.get(name)
        if name == "regions":
            lines.append("regions:")
            for number, region in enumerate(value or ()):
                lines += _region(region, commented=number == 0)
        elif name == "control" and value:
            lines += [f"control:  # {comment}", *(f"  - {_written(entry)}" for entry in value)]
        elif name in canvas_yaml:
            lines.append(f"{name}: {_written(value)}  # {comment}")
        elif name in _FOR_INSTANCE:
            lines.append(f"# {name}: {_FOR_INSTANCE[name]}  # {comment}")
    return "\n".join(lines) + "\n"


def _region(region: dict[str, Any], *, commented: bool) -> list[str]:
    lines: list[str] = []
    for name, comment in _OF_REGION.items():
        if name in region:
            said = f"{'    ' if lines else '  - '}{name}: {_written(region[name])}"
            lines.append(f"{said}  # {comment}" if commented else said)
        elif commented and name in _FOR_INSTANCE:
            lines.append(f"    # {name}: {_FOR_INSTANCE[name]}  # {comment}")
    return lines


def _written(value: Any) -> str:
    """A value on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")


def _write_labels(file: Path, regions: Iterable[dict[str, Any]], labels: "np.ndarray") -> None:
    from PIL import Image

    bound = [region for region in regions if "label" in region]
    palette = [*KIND_COLOURS["other"], *(0, 0, 0) * 255]
    for region, shade in zip(bound, shades_of(region.get("kind", "other") for region in bound), strict=True):
        palette[3 * region["label"] : 3 * region["label"] + 3] = shade
    image = Image.fromarray(labels, "L")
    image.putpalette(palette)
    with writing(file) as temporary:
        image.save(temporary, "PNG", bits=8)

"""A canvas.yaml read and judged: who paints what, and where. Whatever is wrong with it is told at once.

What adapters the painters have is not asked here (`experts.resolving` asks it), so that a canvas can be drawn up and
looked at before anybody was trained.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from artmaster_pipeline.canvases import CANVAS_FILE
from artmaster_pipeline.copainting.canvas.finding import name_of
from artmaster_pipeline.copainting.canvas.layout import Place, laid_out, sha256_of_labels
from artmaster_pipeline.copainting.canvas.maps import Size, file_of, read_signal
from artmaster_pipeline.copainting.canvas.wishes import (
    CanvasWish,
    ControlWish,
    HandWish,
    RegionWish,
    read_list,
    read_part,
)
from artmaster_pipeline.copainting.records import MOST_REGIONS, Canvas, Control, Hand, RegionBinding
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.experts.mixes import MOST, Mix, listed, parse_mix
from artmaster_pipeline.files import is_slug, sha256_of
from artmaster_pipeline.records import GROUND
from artmaster_pipeline.settings import Home, Profile, painter_profile
from artmaster_pipeline.yaml_text import read_strict_yaml

SMALLEST, LARGEST, STEP = 256, 2048, 64  # pixels of a side
_LONGEST_FILE = 64 * 1024  # bytes of canvas.yaml
_MOST_CONTROLS = 4
_TOKEN = 16  # of the model's pixels: eight to a latent, two latents to a token
_SIZE = re.compile(r"(\d{2,4})x(\d{2,4})")
_ADAPTER_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class _Said:
    """canvas.yaml part by part, each without its faults."""

    canvas: CanvasWish
    ground: HandWish | None
    regions: tuple[tuple[str, RegionWish], ...]  # with how messages name it
    controls: tuple[tuple[str, ControlWish], ...]
    size: Size | None

    def places(self) -> list[Place]:
        """Where regions are: those with a mask get the lowest numbers that are free."""
        taken = {region.label for _, region in self.regions if region.label is not None}
        free = (number for number in range(1, 256) if number not in taken)
        found = []
        for what, region in self.regions:
            if region.label is not None:
                found.append(Place(region.id or what, region.label))
            elif region.mask:
                found.append(Place(region.id or what, next(free), region.mask))
        return found


@dataclass
class _People:
    """Who is named, and what the data home says of them."""

    home: Home
    known: tuple[str, ...]
    named: dict[str, None] = field(default_factory=dict)  # in the order in which they were named
    adapters: dict[str, str] = field(default_factory=dict)

    def one(self, said: str, what: str, faults: list[str]) -> tuple[str, str]:
        """The painter, and the adapter's id or nothing, that PAINTER or PAINTER@ID says."""
        painter, at, adapter = said.partition("@")
        if not is_slug(painter):
            faults.append(f"{what}{said[:80]!r} is no painter's slug")
            return painter, ""
        if at and not _ADAPTER_ID.fullmatch(adapter):
            faults.append(
                f"{what}{said[:80]}: after the @ belongs an adapter's id of 16 digits (artmaster painters list)"
            )
            adapter = ""
        self.take(painter, adapter, what, faults)
        return painter, adapter

    def take(self, painter: str, adapter: str, what: str, faults: list[str]) -> None:
        """Take in a painter, and the adapter that is named."""
        self.named.setdefault(painter)
        if painter not in self.known:
            near = get_close_matches(painter, self.known, n=2, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(self.known) or 'none yet'}"
            faults.append(f"{what}there is no painter {painter!r} in {self.home.root} ({hint})")
        if adapter and self.adapters.setdefault(painter, adapter) != adapter:
            faults.append(f"{what}two adapters of {painter} are named: an expert is one adapter of one painter")

    def profile(self, faults: list[str]) -> Profile | None:
        """The profile that the first of those who are known is worked on with."""
        first = next((painter for painter in self.named if painter in self.known), None)
        try:
            return painter_profile(self.home, first) if first else None
        except ArtMasterError as error:
            faults.append(str(error).rstrip("."))
            return None


def load(path: Path, home: Home) -> Canvas:
    """The canvas of a canvas.yaml, or of the folder that holds it.

    Raises one WrongUse that names every fault of the file, of its maps, and of who is named in it.
    """
    path = path / CANVAS_FILE if path.is_dir() else path
    faults: list[str] = []
    said = _said(_content(path, faults), faults)
    people = _People(home, home.painters())
    ground = said.ground and _hand(said.ground, f"{GROUND}: ", people, faults)
    hands = [_hand(region, what, people, faults) for what, region in said.regions]
    if len(people.named) > MOST:
        faults.append(f"{len(people.named)} painters on one canvas: {MOST} are the most")
    labels = _labels(path.parent, said, people.profile(faults), faults)
    controls = _controls(path.parent, said, faults)
    if faults or labels is None or said.size is None or ground is None:
        raise WrongUse(f"{path}: {listed(faults)}")
    numbers = {place.id: place.number for place in said.places()}
    return Canvas(
        name=name_of(path.parent),
        folder=str(path.parent.resolve()),
        size=said.size,
        prompt=said.canvas.prompt,
        seeds=said.canvas.seeds,
        ground=ground,
        regions=tuple(
            RegionBinding(
                **hand.model_dump(),
                id=region.id,
                label=numbers[region.id],
                **region.model_dump(include={"kind", "factors", "feather_px", "sigma_range"}),
            )
            for hand, (_, region) in zip(hands, said.regions, strict=True)
            if hand is not None
        ),
        labels_sha256=sha256_of_labels(labels),
        control=tuple(controls),
    )


def check_painters(home: Home, named: Sequence[str]) -> Profile:
    """The profile that the first of these painters (PAINTER or PAINTER@ID) is worked on with.

    Raises one WrongUse where any of them is not there, or none or too many are named.
    """
    faults: list[str] = []
    people = _People(home, home.painters())
    for each in named:
        people.one(each, "", faults)
    if not named or len(people.named) > MOST:
        faults.append(f"{len(people.named)} painters on one canvas: name 1 to {MOST}, with commas between them")
    profile = people.profile(faults)
    if faults or profile is None:
        raise WrongUse(f"Nobody can be given a part: {listed(faults)}")
    return profile


def token_of(profile: Profile) -> int:
    """The canvas' pixels on a side of one image token."""
    return _TOKEN * profile.size_divisor


def label_map(canvas: Canvas) -> np.ndarray:
    """Which region each pixel is of, uint8 (height, width): 0 the ground, else a region's `label`.

    Raises WrongUse where canvas.yaml, the map or a mask is another by now than the one that `load` read.
    """
    faults: list[str] = []
    folder = Path(canvas.folder)
    labels = None
    try:
        said = _said(_content(folder / CANVAS_FILE, faults), faults)
        masks = {region.id: region.mask for _, region in said.regions}
        places = [Place(region.id, region.label, masks.get(region.id, "")) for region in canvas.regions]
        labels = laid_out(folder, said.canvas.labels, places, canvas.size, faults)
    except WrongUse as error:
        faults.append(str(error))
    if labels is None or sha256_of_labels(labels) != canvas.labels_sha256:
        raise WrongUse(f"The map or a mask of {folder / CANVAS_FILE} was changed after it was read: begin anew.")
    return labels


def control_picture(canvas: Canvas, control: Control) -> np.ndarray:
    """A structure signal as a picture of the canvas' size, uint8 (height, width, 3).

    Raises WrongUse where its file is another by now than the one that `load` read.
    """
    if not control.file:
        from artmaster_pipeline.copainting.canvas.colours import label_picture

        return label_picture(canvas)
    faults: list[str] = []
    folder = Path(canvas.folder)
    pixels = read_signal(folder, control.file, canvas.size, faults)
    if pixels is None or sha256_of(folder / control.file) != control.sha256:
        raise WrongUse(f"{folder / control.file} was changed after the canvas was read: begin anew.")
    return pixels


def _content(path: Path, faults: list[str]) -> dict[str, Any]:
    """What the file says. Raises WrongUse where nothing in it can be read."""
    if path.name != CANVAS_FILE:
        raise WrongUse(f"{path}: a canvas is a folder with a {CANVAS_FILE} in it: give the file that name.")
    file = file_of(path.parent, path.name, faults)
    if file is None:
        raise WrongUse(f"{path}: {listed(faults)}")
    try:
        with file.open("rb") as stream:
            content = stream.read(_LONGEST_FILE + 1)
        if len(content) > _LONGEST_FILE:
            raise WrongUse(f"{path} has more than {_LONGEST_FILE >> 10} KiB, and a canvas is said in less: shorten it.")
        said = read_strict_yaml(content.decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise WrongUse(f"{path} cannot be read as YAML: {' '.join(str(error).split())}. Mend it there.") from error
    if not isinstance(said, dict):
        raise WrongUse(f"{path}: expected 'name: value' lines: prompt, ground, regions (docs/copainting.md).")
    return said


def _said(content: dict[str, Any], faults: list[str]) -> _Said:
    canvas = read_part(CanvasWish, content, "", faults)
    if not canvas.prompt and not _told(faults, "prompt"):
        faults.append("prompt: say what the picture shows")
    if "ground" not in content:
        faults.append(f"{GROUND}: say who paints what no region covers, as {GROUND}: {{painter: NAME}}")
    regions = []
    for number, entry in enumerate(read_list(canvas.regions, "regions", MOST_REGIONS, faults), 1):
        id = entry.get("id") if isinstance(entry, dict) else None
        what = f"region {number} ({id[:64]}): " if isinstance(id, str) and id else f"region {number}: "
        regions.append((what, read_part(RegionWish, entry, what, faults)))
        if not id and not _told(faults, f"{what}expected"):
            faults.append(f"{what}id: give it a name of its own")
    if not canvas.regions:
        faults.append("regions: list one or more; a picture of one hand is drawn by artmaster generate or mix")
    controls = [
        (what := f"control {number}: ", read_part(ControlWish, entry, what, faults))
        for number, entry in enumerate(read_list(canvas.control, "control", _MOST_CONTROLS, faults), 1)
    ]
    ground = read_part(HandWish, content["ground"], f"{GROUND}: ", faults) if "ground" in content else None
    return _Said(canvas, ground, tuple(regions), tuple(controls), _size(canvas.size, faults))


def _size(said: str, faults: list[str]) -> Size | None:
    match = _SIZE.fullmatch(said)
    sides = [int(side) for side in match.groups()] if match else []
    if not sides or any(not SMALLEST <= side <= LARGEST or side % STEP for side in sides):
        faults.append(
            f"size: {said[:40]!r}: say WIDTHxHEIGHT, each from {SMALLEST} to {LARGEST} and a multiple of {STEP}, "
            "as 512x768"
        )
        return None
    return sides[0], sides[1]


def _hand(said: HandWish, what: str, people: _People, faults: list[str]) -> Hand | None:
    """Who paints a part; None where nothing can be made of what is said."""
    if bool(said.painter) == bool(said.mix):
        if not _told(faults, f"{what}painter", f"{what}mix", f"{what}expected"):
            faults.append(f"{what}say painter: NAME, or mix: 'A=0.7 B=0.3', and one of them")
        return None
    if said.mix:
        mix = _mix(said, what, people, faults)
        return None if mix is None else Hand(painters=mix.painters, mix=mix, strength=said.strength, prompt=said.prompt)
    painter, adapter = people.one(said.painter, what, faults)
    return Hand(painters=(painter,), adapter=adapter, strength=said.strength, prompt=said.prompt)


def _mix(said: HandWish, what: str, people: _People, faults: list[str]) -> Mix | None:
    wrong: list[str] = []
    mix = parse_mix(said.mix, faults=wrong)
    faults += [f"{what}mix: {fault}" for fault in wrong]
    if mix is None:
        return None
    for painter in mix.painters:
        people.take(painter, mix.adapters.get(painter, ""), what, faults)
    if said.strength is not None:
        mix = mix.model_copy(update={"strengths": dict.fromkeys(mix.painters, said.strength)})
    return mix


def _labels(folder: Path, said: _Said, profile: Profile | None, faults: list[str]) -> np.ndarray | None:
    _check_ids(said.regions, faults)
    map_file = said.canvas.labels
    by_label = [region for _, region in said.regions if region.label is not None]
    for what, region in said.regions:
        if (region.label is None) == (not region.mask) and not _told(faults, f"{what}label", f"{what}mask"):
            faults.append(f"{what}say label: NUMBER (of the label map) or mask: FILE.png, and one of them")
    if by_label and not map_file:
        faults.append("labels: name the PNG whose pixels are the regions' labels")
    elif map_file and not by_label and said.regions:
        faults.append(f"labels: {map_file[:80]} is named, and no region has a label: bind its labels, or leave it out")
    token = token_of(profile) if profile else _TOKEN
    if said.size and any(side % token for side in said.size):
        faults.append(f"size: with the profile {profile and profile.name} each side is a multiple of {token}")
    places = said.places()
    labels = laid_out(folder, map_file if by_label else "", places, said.size, faults)
    if labels is None:
        return None
    counts = np.bincount(labels.reshape(-1), minlength=256)
    faults += [
        f"{place.id} has {counts[place.number]:,} pixels, less than one token of the model ({token}x{token}): make it "
        "larger, or take it out"
        for place in places
        if counts[place.number] < token * token
    ]
    return labels


def _check_ids(regions: Sequence[tuple[str, RegionWish]], faults: list[str]) -> None:
    for name, values in (
        ("id", [region.id for _, region in regions if region.id]),
        ("label", [region.label for _, region in regions if region.label is not None and not region.mask]),
    ):
        faults += [
            f"{values.count(value)} regions have the {name} {value}: give each its own" for value in _twice(values)
        ]


def _told(faults: list[str], *beginnings: str) -> bool:
    """Whether a fault begins so: then what follows from it needs no telling."""
    return any(fault.startswith(beginnings) for fault in faults)


def _twice(values: Iterable[Any]) -> list[Any]:
    values = list(values)
    return [value for value in dict.fromkeys(values) if values.count(value) > 1]


def _controls(folder: Path, said: _Said, faults: list[str]) -> list[Control]:
    found = []
    for what, control in said.controls:
        if control.signal is None:
            if not _told(faults, f"{what}signal", f"{what}expected"):
                faults.append(f"{what}signal: say which, as edges or labels")
            continue
        sha256 = ""
        if control.file:
            wrong: list[str] = []
            read_signal(folder, control.file, said.size, wrong)
            faults += [f"{what}{control.file[:80]}: {fault}" for fault in wrong]
            sha256 = "" if wrong else sha256_of(folder / control.file)
        elif control.signal != "labels":
            faults.append(f"{what}file: name the PNG of the signal {control.signal}")
        found.append(
            Control(signal=control.signal, file=control.file, sha256=sha256, scale=control.scale, until=control.until)
        )
    for signal in _twice(control.signal for control in found):
        faults.append(f"control: {signal} is said twice: say each signal once")
    return found

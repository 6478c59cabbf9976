"""An answer as one page that needs nothing else: from scans over crops and training pictures to adapters and pictures.

The page is a graph to be read from left to right: a lane for each artwork, and beside the lanes the adapters with the
pictures that they drew. Thumbnails are in the page; text from the archive is shown as text.
"""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from artmaster_pipeline.files import inside
from artmaster_pipeline.gallery.pages import language_of, work_name
from artmaster_pipeline.lineage.answers import (
    AdapterLineage,
    AdapterState,
    ArtworkLineage,
    FileLineage,
    adapter_lineage,
)
from artmaster_pipeline.lineage.pictures import Picture, all_pictures, file_of
from artmaster_pipeline.lineage.recognising import PictureLineage
from artmaster_pipeline.lineage.words import (
    adapter_facts,
    adapter_tables,
    artwork_facts,
    artwork_tables,
    file_facts,
    picture_facts,
    share_in_words,
)
from artmaster_pipeline.pictures import AI_GENERATED
from artmaster_pipeline.records import Crop, Scan, TrainingImage
from artmaster_pipeline.settings import Home
from artmaster_pipeline.templates import html_templates

_PARTS = {"train": "trained on it", "validate": "may have been chosen by it", "held_out": "judged by it"}
_SCAN, _TRAINING, _DRAWN = 128, 88, 112  # pixels of a thumbnail's longer side


@dataclass(frozen=True)
class Step:
    """A crop with the training picture made from it; one of the two may not be on record."""

    crop: Crop | None
    image: TrainingImage | None
    thumbnail: str = ""  # of the training picture, as a data URI
    shown: str = ""  # how often, in words


@dataclass(frozen=True)
class Lane:
    """An artwork and what was made from it. `scan` is a record, or what an adapter's own file says of one."""

    scan: Any
    name: str
    thumbnail: str = ""
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Drawn:
    """A picture with its thumbnail."""

    picture: Picture
    thumbnail: str


@dataclass(frozen=True)
class Node:
    """An adapter with the pictures it drew, evaluated and published ones apart."""

    adapter_id: str
    words: str
    evaluated: tuple[Drawn, ...] = ()
    published: tuple[Drawn, ...] = ()


@dataclass(frozen=True)
class Page:
    """What the template shows."""

    title: str
    facts: Sequence[tuple[str, str]]
    lanes: Sequence[Lane]
    nodes: Sequence[Node]
    tables: Sequence[tuple[str, list[dict[str, Any]]]]
    picture: str = ""  # the picture that was asked about, as a data URI
    lists: dict[str, Sequence[Drawn]] = field(default_factory=dict)  # further pictures, by heading


def adapter_page(home: Home, answer: AdapterLineage) -> str:
    """The page about an adapter, as HTML."""
    return _html(
        Page(
            title=f"Adapter {answer.adapter.id}",
            facts=adapter_facts(answer),
            lanes=_lanes_of(home, answer),
            nodes=[_node(home, answer.state, answer.samples)],
            tables=adapter_tables(answer)[2:],  # the lanes show artworks and training pictures
        )
    )


def artwork_page(home: Home, answer: ArtworkLineage) -> str:
    """The page about an artwork, as HTML."""
    scan, *_ = answer.scans
    drawn = (*answer.evaluated, *answer.published)
    return _html(
        Page(
            title=work_name(scan),
            facts=artwork_facts(answer),
            lanes=[_lane(home, scan, answer.crops, answer.training_images)],
            nodes=[
                _node(home, use, [p for p in drawn if use.adapter_id in p.adapter_ids], _PARTS[use.part])
                for use in answer.adapters
            ],
            tables=artwork_tables(answer),
            lists={"Pictures that show a detail of it": _drawn(home, answer.details)},
        )
    )


def picture_page(home: Home, answer: PictureLineage) -> str:
    """The page about a picture, as HTML."""
    lanes: dict[str, Lane] = {}
    for state in answer.adapters:
        for lane in _lanes_of(home, adapter_lineage(home, state.adapter_id)):
            lanes.setdefault(lane.scan.sha256, lane)
    if answer.shows is not None:
        lanes[answer.shows.sha256] = _lane(home, answer.shows, (), ())
    known = [answer.picture] if answer.picture else []
    family = {name for picture in known for name in (picture.id, picture.enlarged_from) if name}
    drawn = [picture for picture in all_pictures(home) if picture.id in family or picture.enlarged_from in family]
    return _html(
        Page(
            title=Path(answer.file).name,
            facts=picture_facts(answer),
            lanes=list(lanes.values()),
            nodes=[
                _node(home, state, [p for p in drawn if state.adapter_id in p.adapter_ids]) for state in answer.adapters
            ],
            tables=[],
            picture=_thumbnail(Path(answer.file), 3 * _SCAN),
            lists={"Nearly as like": _drawn(home, [alike.picture for alike in answer.alike])},
        )
    )


def file_page(answer: FileLineage) -> str:
    """The page about an adapter's file, as HTML; it shows no pictures, since the file has none."""
    works = answer.ledger.works if answer.ledger else ()
    return _html(
        Page(
            title=Path(answer.file).name,
            facts=file_facts(answer),
            lanes=[Lane(work, work.title or work.sha256[:16]) for work in works],
            nodes=[Node(answer.adapter_id, answer.state.words if answer.state else "not in this data home")],
            tables=[],
        )
    )


def _lanes_of(home: Home, answer: AdapterLineage) -> list[Lane]:
    """A lane for every artwork that the adapter was trained on."""
    shown = {image.id: share_in_words(answer, image.id) for image in answer.training_images}
    crops: dict[str, list[Crop]] = {}
    images: dict[str, list[TrainingImage]] = {}
    for crop in answer.crops:
        crops.setdefault(crop.scan_sha256, []).append(crop)
    for image in answer.training_images:
        images.setdefault(image.scan_sha256, []).append(image)
    return [
        _lane(home, scan, crops.get(scan.sha256, ()), images.get(scan.sha256, ()), shown) for scan in answer.artworks
    ]


def _lane(
    home: Home,
    scan: Scan,
    crops: Iterable[Crop],
    images: Iterable[TrainingImage],
    shown: dict[str, str] | None = None,
) -> Lane:
    by_id, made = {crop.id: crop for crop in crops}, list(images)
    steps = [
        Step(
            by_id.get(image.crop_id),
            image,
            _thumbnail(inside(home.training_set(image.painter), image.path), _TRAINING),
            (shown or {}).get(image.id, ""),
        )
        for image in made
    ]
    used = {image.crop_id for image in made}
    steps += [Step(crop, None) for crop in by_id.values() if crop.id not in used]
    small = _thumbnail(inside(home.register(scan.painter), f"thumbnails/{scan.id}.jpg"), _SCAN)
    return Lane(scan, work_name(scan), small, tuple(steps))


def _node(home: Home, state: AdapterState, pictures: Iterable[Picture], part: str = "") -> Node:
    drawn = _drawn(home, pictures)
    return Node(
        state.adapter_id,
        ", ".join(filter(None, (part, state.words, f"made {state.made or 'on a day that is not recorded'}"))),
        tuple(each for each in drawn if each.picture.state == "evaluated"),
        tuple(each for each in drawn if each.picture.state != "evaluated"),
    )


def _drawn(home: Home, pictures: Iterable[Picture]) -> list[Drawn]:
    found = ((picture, file_of(home, picture)) for picture in pictures)
    return [Drawn(picture, _thumbnail(file, _DRAWN) if file else "") for picture, file in found]


def _thumbnail(file: Path, side: int) -> str:
    """A small JPEG of a picture as a data URI; empty where the file is gone or cannot be decoded."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            image.draft("RGB", (2 * side, 2 * side))
            small = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=72)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _html(page: Page) -> str:
    environment = html_templates("artmaster_pipeline.lineage")
    environment.filters["language"] = language_of
    template = environment.get_template("page.html.jinja")
    return template.render(vars(page) | {"notice": AI_GENERATED})

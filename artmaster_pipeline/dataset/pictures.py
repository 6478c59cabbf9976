"""The pictures of a training set: a crop's own bytes, or the crop enlarged where its scan shows too little."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.adapters.withdrawn import check_network_not_withdrawn
from artmaster_pipeline.dataset.own_pictures import OwnPicture, like_the_painters
from artmaster_pipeline.dataset.split import SplitTable
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.files import inside, sha256_of, writing
from artmaster_pipeline.pictures import read_rgb
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import Crop, Record, TrainingImage, identity
from artmaster_pipeline.scans.journal import Journal
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import Home, Profile

if TYPE_CHECKING:
    from artmaster_pipeline.superres import Enlarger, Networks

IMAGES = "images"
_METHOD = 1  # part of an enlarged picture's id: raise it when enlarging does something else


@dataclass(frozen=True)
class Picture:
    """A training picture as it lies on disk."""

    id: str
    path: str
    sha256: str
    made: bool
    drift: str = ""
    enlarged_by: str = ""
    enlarged_times: int = 1


class _Made(Record):
    """A picture that a run has made and no manifest names yet. `id` is the picture's."""

    sha256: str
    drift: str = ""


def journal_of(home: Home, painter: str) -> Journal[_Made]:
    """Where a run notes what it has made, until the manifest names it."""
    return Journal(home.cache / "training_set" / f"{painter}.jsonl", _Made)


@session()
def make_pictures(
    home: Home,
    painter: str,
    profile: Profile,
    crops: tuple[Crop, ...],
    parts: SplitTable,
    old: dict[str, TrainingImage],
    told: Progress,
) -> tuple[list[Picture], dict[str, Any]]:
    """The picture of every crop, in the crops' order, made only where it is not there, and figures on the enlarging."""
    journal = journal_of(home, painter)
    known: dict[str, _Made | TrainingImage] = {row.id: row for row in journal.read()} | old
    networks, figures = None, dict[str, Any]()
    if any(crop.lacks_detail for crop in crops):
        networks, figures = _networks(home, painter, profile, crops, parts, told)
    pictures = []
    with journal, told.task("Training pictures", len(crops)) as advance:
        for crop in crops:
            picture = _make_picture(home, painter, crop, networks if crop.lacks_detail else None, known)
            if picture.made:
                journal.add(_Made(id=picture.id, sha256=picture.sha256, drift=picture.drift))
            pictures.append(picture)
            advance(1, picture.enlarged_by)
    return pictures, figures


def _networks(
    home: Home, painter: str, profile: Profile, crops: tuple[Crop, ...], parts: SplitTable, told: Progress
) -> tuple["Networks", dict[str, Any]]:
    """What enlarges the crops that lack detail like those of the part `train` that do not, and figures on that."""
    from artmaster_pipeline.superres import networks_of

    check_network_not_withdrawn(home, [painter], profile.super_resolution)
    folder = home.crops(painter)
    large = [
        OwnPicture(crop.id, parts.places[crop.scan_sha256].work, inside(folder, crop.path), crop.sha256)
        for crop in crops
        if not crop.lacks_detail and parts.places[crop.scan_sha256].part == "train"
    ]
    constraints = profile.super_resolution_constraints
    like, figures = like_the_painters([large], constraints, told.say)
    return networks_of(profile, constraints, like), figures


def _make_picture(
    home: Home, painter: str, crop: Crop, networks: "Networks | None", known: Mapping[str, _Made | TrainingImage]
) -> Picture:
    """The crop's picture: enlarged by `networks`, or a copy where there are none."""
    from artmaster_pipeline.superres.detail import passes

    size, seen = (crop.width, crop.height), _detail_size(crop)
    factor = max(size[0] / seen[0], size[1] / seen[1])
    enlarger = networks.suited(factor) if networks else None
    how: tuple[Any, ...] = (enlarger.identity, seen, _METHOD) if enlarger else ("",)
    known_as = identity("training image", crop.id, crop.sha256, *how)
    path = f"{IMAGES}/{known_as}.png"
    target = inside(home.training_set(painter), path)
    sha256, drift, made = "", "", True
    if (row := known.get(known_as)) and target.is_file() and sha256_of(target) == row.sha256:
        sha256, drift, made = row.sha256, row.drift, False
    else:
        source = inside(home.crops(painter), crop.path)
        if not source.is_file() or sha256_of(source) != crop.sha256:
            raise ArtMasterError(f"{source} is missing or was changed: run the stage curated_crops again.")
        with writing(target) as temporary:
            if enlarger is None:
                shutil.copyfile(source, temporary)
            else:
                drift = _enlarge(source, seen, size, enlarger, temporary)
        sha256 = sha256_of(target)
    if enlarger is None:
        return Picture(known_as, path, sha256, made)
    return Picture(known_as, path, sha256, made, drift, enlarger.name, enlarger.scale ** passes(factor, enlarger.scale))


def _detail_size(crop: Crop) -> tuple[int, int]:
    """Width and height in which all that the scan shows of the crop has room: no larger than the crop's file."""
    if not (crop.lacks_detail and crop.is_soft):
        return crop.pixels
    return max(1, round(crop.width * crop.detail)), max(1, round(crop.height * crop.detail))


def _enlarge(source: Path, seen: tuple[int, int], size: tuple[int, int], enlarger: "Enlarger", target: Path) -> str:
    """Write the enlarged crop; gives why it is no faithful picture of it, or "".

    A soft scan's blur is taken away first, by reducing it to the size of its detail: a network takes blur for content.
    """
    from PIL import Image

    from artmaster_pipeline.superres import restore_detail
    from artmaster_pipeline.superres.constraints import drifted
    from artmaster_pipeline.superres.detail import resized

    crisp = resized(read_rgb(source), seen)
    enlarged = restore_detail(crisp, size, enlarger)
    Image.fromarray(enlarged).save(target, "PNG")
    return drifted(crisp, enlarged)


def reason_for(crop: Crop, times: int) -> str:
    """Why the crop was enlarged, or was not."""
    if not crop.lacks_detail:
        return f"its scan shows {crop.detail:.2g} pixels for each of the picture's"
    seen = "x".join(map(str, _detail_size(crop)))
    soft = f", since it is soft: reduced to {seen}, which holds that, and" if crop.is_soft else ":"
    return f"its scan shows {crop.detail:.2g} of the pixels{soft} enlarged {times} times"

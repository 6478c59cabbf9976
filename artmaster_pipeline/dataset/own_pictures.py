"""The painter's own pictures by which enlarged ones get their texture and grain: large, and trained on anyway.

Their works' hashes choose them, so a new scan is among them as seldom as chance has it and never moves another.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.files import inside, sha256_of
from artmaster_pipeline.pictures import read_rgb
from artmaster_pipeline.records import MANIFEST, TrainingImage, read_manifest
from artmaster_pipeline.settings import Home

if TYPE_CHECKING:
    import numpy as np

_MOST = 16  # of each painter
_LEAST = 4  # of all together; what fewer have in common is theirs and not the painter's
_SIDE = (
    256  # pixels, of each picture's middle: gives the same within half a decibel as all of it, in a sixth of the time
)


@dataclass(frozen=True)
class OwnPicture:
    """A picture that may be chosen: the crop's id, its work, and where its bytes are."""

    crop_id: str
    work: str
    file: Path
    sha256: str


def trained_on(home: Home, painters: Iterable[str]) -> list[list[OwnPicture]]:
    """Of each painter the pictures of the training set that were never enlarged, of works in the part `train`."""
    return [
        [
            OwnPicture(row.crop_id, row.work, inside(home.training_set(painter), row.path), row.sha256)
            for row in read_manifest(home.training_set(painter) / MANIFEST, TrainingImage)
            if row.split == "train" and not row.enlarged_by
        ]
        for painter in painters
    ]


def like_the_painters(
    of_each: Sequence[Sequence[OwnPicture]], constraints: Sequence[str], say: Callable[[str], None]
) -> tuple[tuple["np.ndarray", ...], dict[str, Any]]:
    """The middles of up to 16 pictures of each painter, and a figure on it; none where there are fewer than 4.

    None either where no constraint goes by them.

    Raises ArtMasterError where one is missing or was changed.
    """
    from artmaster_pipeline.superres.networks import LIKE_OTHERS

    if not LIKE_OTHERS.intersection(constraints):
        return (), {}
    chosen = [picture for pictures in of_each for picture in _spread(pictures)[:_MOST]]
    if len(chosen) < _LEAST:
        said = f"what paintings have in common: {len(chosen)} large pictures to go by, and {_LEAST} are needed"
        say(f"Texture and grain of what is enlarged are {said}.")
        return (), {"texture and grain": said}
    return tuple(map(_middle, chosen)), {"texture and grain": f"measured on {len(chosen)} large pictures"}


def _spread(pictures: Iterable[OwnPicture]) -> list[OwnPicture]:
    """One of each work first, then a second of each; works and pictures in the order of their hashes."""
    works: dict[str, list[OwnPicture]] = defaultdict(list)
    for picture in sorted(pictures, key=lambda each: each.crop_id):
        works[picture.work].append(picture)
    ranked = [(rank, each.work, each) for of in works.values() for rank, each in enumerate(of)]
    return [each for _, _, each in sorted(ranked, key=lambda row: row[:2])]


def _middle(picture: OwnPicture) -> "np.ndarray":
    if not picture.file.is_file() or sha256_of(picture.file) != picture.sha256:
        raise ArtMasterError(f"{picture.file} is missing or was changed: make it again with `artmaster run`.")
    pixels = read_rgb(picture.file)
    top, left = (max(0, (side - _SIDE) // 2) for side in pixels.shape[:2])
    return pixels[top : top + _SIDE, left : left + _SIDE]

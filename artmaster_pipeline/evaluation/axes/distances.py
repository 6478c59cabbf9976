"""How pictures look on the panel's axes: read once, described once, kept by content in the data home's cache."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from artmaster_pipeline.axes import AXES, Axis
from artmaster_pipeline.evaluation.axes import brushwork, composition, style, tone
from artmaster_pipeline.evaluation.axes.components import Component
from artmaster_pipeline.evaluation.axes.depiction import SHAPES
from artmaster_pipeline.evaluation.axes.sets import in_painters_units
from artmaster_pipeline.files import sha256_of, writing
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import identity
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import CROP_SIZES, Home, Profile

if TYPE_CHECKING:
    import numpy as np

_VERSION = 1  # part of a description's name: raise it when an axis describes pictures otherwise
_BATCH = 16

Describe = Callable[[Sequence["np.ndarray"]], "dict[str, np.ndarray]"]


@dataclass(frozen=True)
class FeatureExtractor:
    """A function that describes pictures, the components of one axis or more that it gives, and what it depends on."""

    describe: Describe
    components: tuple[Component, ...]
    name: str

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes of its components."""
        return tuple(dict.fromkeys(component.axis for component in self.components))


@dataclass(frozen=True)
class DistanceMatrices:
    """The matrices of distances between the same pictures on every axis, in the painter's own units."""

    matrices: "dict[Axis, dict[Component, np.ndarray]]"

    @cached_property
    def axes(self) -> "dict[Axis, np.ndarray]":
        """Each axis as the mean of its components: (pictures, pictures)."""
        import numpy as np

        return {axis: np.mean(list(of.values()), axis=0) for axis, of in self.matrices.items()}


def feature_extractors(profile: Profile, home: Home | None = None) -> tuple[FeatureExtractor, ...]:
    """The axes; depiction and style by the networks that the profile names, hub networks at the commits of `home`."""
    plain = [
        FeatureExtractor(tone.describe, tone.COMPONENTS, "tone"),
        FeatureExtractor(brushwork.describe, brushwork.COMPONENTS, "brushwork"),
        FeatureExtractor(composition.describe, composition.COMPONENTS, "composition"),
    ]
    if profile.evaluation.style_features == "hub":
        return (*plain, _hub_extractor(profile, home))
    return (
        *plain,
        FeatureExtractor(
            lambda pictures: style.describe(pictures, profile.device), (SHAPES, *style.COMPONENTS), "vgg16-places"
        ),
    )


def _hub_extractor(profile: Profile, home: Home | None) -> FeatureExtractor:
    """Depiction by what the hub's networks say; style by that and by VGG16's Gram matrices."""
    from artmaster_pipeline.evaluation.axes.hub_features import hub_features

    said, components, name = hub_features(profile, home)
    gram = style.COMPONENTS[0]

    def describe(pictures: Sequence["np.ndarray"]) -> "dict[str, np.ndarray]":
        return said(pictures) | {gram.name: style.describe(pictures, profile.device)[gram.name]}

    return FeatureExtractor(describe, (gram, *components), name)


def read_square(path: Path, profile: Profile) -> "np.ndarray":
    """A picture's square middle at the model's size for 512x512: uint8 (side, side, 3)."""
    import numpy as np
    from PIL import Image, ImageOps

    with Image.open(path) as file:
        picture = ImageOps.fit(file.convert("RGB"), profile.size(*CROP_SIZES[0]), Image.Resampling.LANCZOS)
    return np.asarray(picture)


@session()
def pairwise_distances(
    home: Home,
    profile: Profile,
    pictures: Sequence[Path],
    train: "np.ndarray",
    progress: Progress = SILENT,
    *,
    axes: Sequence[Axis] = AXES,
) -> DistanceMatrices:
    """Compare all `pictures` with each other on `axes`; `train` are the rows of the works trained on."""
    import numpy as np

    mask = np.zeros(len(pictures), dtype=bool)
    mask[train] = True
    hashes = [sha256_of(path) for path in pictures]
    matrices: dict[Axis, dict[Component, np.ndarray]] = {}
    for extractor in feature_extractors(profile, home):
        if not set(axes) & set(extractor.axes):
            continue
        described = _describe(home, profile, extractor, pictures, hashes, progress)
        for component in extractor.components:
            matrices.setdefault(component.axis, {})[component] = component.pairwise(described[component.name], mask)
    return DistanceMatrices({axis: in_painters_units(matrices[axis], train) for axis in AXES if axis in axes})


def _describe(
    home: Home,
    profile: Profile,
    extractor: FeatureExtractor,
    pictures: Sequence[Path],
    hashes: Sequence[str],
    progress: Progress,
) -> "dict[str, np.ndarray]":
    import numpy as np

    side = profile.size(*CROP_SIZES[0])
    # The cache's names are older than this module's; changing them would have every picture described again.
    folder = home.cache / "looks" / extractor.name
    files = [folder / f"{identity('look', _VERSION, extractor.name, key, side)}.npz" for key in hashes]
    missing = {file: path for file, path in zip(files, pictures, strict=True) if not file.exists()}
    with progress.task(f"looking at {' and '.join(extractor.axes)}", len(files), len(files) - len(missing)) as advance:
        waiting = list(missing.items())
        for start in range(0, len(waiting), _BATCH):
            batch = waiting[start : start + _BATCH]
            found = extractor.describe([read_square(path, profile) for _, path in batch])
            for row, (file, _) in enumerate(batch):
                with writing(file) as temporary:
                    np.savez(temporary, **{name: values[row] for name, values in found.items()})
            advance(len(batch))
    rows: dict[str, list[np.ndarray]] = {component.name: [] for component in extractor.components}
    for file in files:
        with np.load(file, allow_pickle=False) as arrays:
            for name, values in rows.items():
                values.append(arrays[name])
    return {name: np.stack(values) for name, values in rows.items()}

"""How pictures look on the panel's axes: read once, described once, kept by content in the data home's cache."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from artmaster_pipeline.axes import AXES, Axis
from artmaster_pipeline.evaluation.axes import brushwork, composition, depiction, style, tone
from artmaster_pipeline.evaluation.axes.components import Component
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
    """An axis as a profile sees it: the function that describes pictures, its components, and what it depends on."""

    axis: Axis
    describe: Describe
    components: tuple[Component, ...]
    name: str


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
        FeatureExtractor("tone", tone.describe, tone.COMPONENTS, "tone"),
        FeatureExtractor("brushwork", brushwork.describe, brushwork.COMPONENTS, "brushwork"),
        FeatureExtractor("composition", composition.describe, composition.COMPONENTS, "composition"),
    ]
    if profile.evaluation.style_features == "hub":
        return (*plain, *_hub_extractors(profile, home))
    device = profile.device
    return (
        *plain,
        FeatureExtractor("depiction", lambda p: depiction.describe(p, device), depiction.COMPONENTS, "depiction"),
        FeatureExtractor("style", lambda p: style.describe(p, device), style.COMPONENTS, "vgg16"),
    )


def _hub_extractors(profile: Profile, home: Home | None) -> tuple[FeatureExtractor, FeatureExtractor]:
    """Depiction by the hub's networks; style by VGG16's Gram matrices and by what they say."""
    from artmaster_pipeline.evaluation.axes.hub_features import PLACES, hub_features, hub_places

    said, components, name = hub_features(profile, home)
    gram = style.COMPONENTS[0]

    def describe(pictures: Sequence["np.ndarray"]) -> "dict[str, np.ndarray]":
        return said(pictures) | {gram.name: style.describe(pictures, profile.device)[gram.name]}

    places, of_places = hub_places(profile, home)
    return (
        FeatureExtractor("depiction", places, PLACES, of_places),
        FeatureExtractor("style", describe, (gram, *components), name),
    )


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
    matrices = {}
    for extractor in (extractor for extractor in feature_extractors(profile, home) if extractor.axis in axes):
        described = _describe(home, profile, extractor, pictures, hashes, progress)
        matrices[extractor.axis] = in_painters_units(
            {component: component.pairwise(described[component.name], mask) for component in extractor.components},
            train,
        )
    return DistanceMatrices(matrices)


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
    with progress.task(f"looking at {extractor.axis}", len(files), len(files) - len(missing)) as advance:
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

"""Pictures of an adapter with a part of it left out: a group of the transformer's blocks in a band of noise."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.adapters.finding import folder_of
from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.experts.factors import FactorMap, block_groups
from artmaster_pipeline.experts.gates import Gate
from artmaster_pipeline.experts.mixing import Expert, Mixing, mixture
from artmaster_pipeline.files import inside
from artmaster_pipeline.pictures import AI_GENERATED, is_whole, write_png
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import Adapter, identity
from artmaster_pipeline.settings import CROP_SIZES, Home, Profile

if TYPE_CHECKING:
    import numpy as np

    from artmaster_pipeline.base_models.family import TextEmbedding

PICTURES = "pictures"
_SEEDS = 6_000  # after the profile's evaluation seed: other noise than the panels'
_VERSION = 1  # part of a picture's id: raise it when the same part is left out otherwise


class KnockedOut(Gate):
    """One expert, on everywhere but in one group of blocks at the noise levels of one band."""

    group: int
    noise_band: int

    def at(self, sigma: float) -> "dict[str, np.ndarray]":
        """The expert's gate: 1, and 0 in the part that is left out."""
        found = super().at(sigma)
        if self.band(sigma) == self.noise_band:
            for gate in found.values():
                gate[self.group] = 0
        return found


@dataclass(frozen=True)
class Part:
    """What is left out: (group of blocks, noise band); without a part the whole adapter draws, or the base alone."""

    left_out: tuple[int, int] | None = None
    base: bool = False

    def gate(self, painter: str, layout: FactorMap) -> Gate:
        """The gate of a drawing without the part."""
        if self.left_out is None:
            return Gate.uniform([painter], layout)
        group, band = self.left_out
        shares = Gate.uniform([painter], layout).shares
        return KnockedOut(shares=shares, factor_map=layout, group=group, noise_band=band)


BASE, WHOLE = Part(base=True), Part()


@dataclass(frozen=True)
class Knocked:
    """A picture that the map wants."""

    part: Part
    prompt: str
    seed: int
    id: str

    @property
    def path(self) -> str:
        """The file, POSIX, below the adapter's folder of the map."""
        return f"{PICTURES}/{self.id}.png"


def parts_of(layout: FactorMap) -> tuple[Part, ...]:
    """The base, the whole adapter, and the adapter without each group of blocks in each band."""
    bands = range(len(layout.noise_bands) - 1)
    return (BASE, WHOLE, *(Part((group, band)) for group in range(len(layout.groups)) for band in bands))


def wanted(adapter: Adapter, profile: Profile, drawing: DrawingSettings, layout: FactorMap) -> tuple[Knocked, ...]:
    """Every picture of the map: part by part, the same prompts and seeds in each."""
    how = profile.experts.map
    prompts = _prompts(adapter, profile)
    first = profile.evaluation.seed + _SEEDS
    drawn = [
        (prompt, first + number * len(prompts) + place)
        for number in range(how.seeds)
        for place, prompt in enumerate(prompts)
    ]
    return tuple(
        Knocked(part, prompt, seed, _identity(adapter, profile, drawing, layout, part, prompt, seed))
        for part in parts_of(layout)
        for prompt, seed in drawn
    )


def _prompts(adapter: Adapter, profile: Profile) -> list[str]:
    return [f"{adapter.trigger}, {subject}" for subject in profile.experts.map.prompts]


def _identity(
    adapter: Adapter,
    profile: Profile,
    drawing: DrawingSettings,
    layout: FactorMap,
    part: Part,
    prompt: str,
    seed: int,
) -> str:
    how = [
        (prompt, seed, profile.size(*CROP_SIZES[0])),
        (profile.evaluation.num_inference_steps, profile.max_sequence_length, profile.dtype, profile.quantization),
    ]
    if part.base:
        return identity("map base", _VERSION, adapter.base_revision, how, drawing.of_base().model_dump())
    left_out: list[Any] = []
    if part.left_out is not None:
        group, band = layout.groups[part.left_out[0]], part.left_out[1]
        left_out = [group.blocks, group.first, group.last, layout.noise_bands[band], layout.noise_bands[band + 1]]
    return identity("map", _VERSION, adapter.id, adapter.sha256, how, drawing.model_dump(), left_out)


def draw_parts(
    home: Home, adapter: Adapter, profile: Profile, drawing: DrawingSettings, folder: Path, progress: Progress
) -> tuple[FactorMap, tuple[Knocked, ...], int]:
    """Draw the map's pictures that are not in `folder` yet; gives groups and bands, all pictures, and how many it drew.

    What is drawn together follows from the whole list, so that a run that was killed ends with the same bytes: a batch
    with a missing picture is drawn whole.
    """
    from artmaster_pipeline.base_models import open_pipeline
    from artmaster_pipeline.generation.sampling import embed_texts

    how = profile.experts.map
    edges = tuple(number / how.noise_bands for number in range(how.noise_bands + 1))
    embedded = embed_texts(profile, {*_prompts(adapter, profile)}, home, drawing)
    with open_pipeline(profile, ("transformer", "vae"), home) as pipe:
        layout = FactorMap.flat(block_groups(pipe.transformer, how.block_groups), edges)
        pictures = wanted(adapter, profile, drawing, layout)
        missing = {each.id for each in pictures if not _is_there(folder, each)}
        there = len(pictures) - len(missing)
        with progress.task(f"mapping {adapter.painter}", len(pictures), there) as advance:
            for each, pixels in _drawn(pipe, home, adapter, profile, drawing, layout, pictures, missing, embedded):
                write_png(inside(folder, each.path), pixels, _facts(each, adapter, profile, drawing, layout))
                advance()
    return layout, pictures, len(missing)


def _is_there(folder: Path, picture: Knocked) -> bool:
    file = inside(folder, picture.path)
    return file.is_file() and is_whole(file, picture.id)


def _drawn(
    pipe: Any,
    home: Home,
    adapter: Adapter,
    profile: Profile,
    drawing: DrawingSettings,
    layout: FactorMap,
    pictures: Sequence[Knocked],
    missing: set[str],
    embedded: "Mapping[str, TextEmbedding]",
) -> "Iterator[tuple[Knocked, np.ndarray]]":
    """The missing pictures: the base's without the adapter, then those of all parts with one mixture."""
    from artmaster_pipeline.generation.sampling import draw_embedded, negative_of

    negative = negative_of(pipe, embedded, drawing)
    size, steps = profile.size(*CROP_SIZES[0]), profile.evaluation.num_inference_steps

    def draw(batches: Sequence[Sequence[Knocked]], mixing: Mixing | None) -> "Iterator[tuple[Knocked, np.ndarray]]":
        for batch in batches:
            if mixing is not None:
                mixing.use([each.part.gate(adapter.painter, layout) for each in batch])
            texts, seeds = [embedded[each.prompt] for each in batch], [each.seed for each in batch]
            how = drawing.of_base() if mixing is None else drawing
            for each, pixels in zip(batch, draw_embedded(pipe, texts, seeds, *size, steps, how, negative), strict=True):
                if each.id in missing:
                    yield each, pixels

    of_base = [each for each in pictures if each.part.base]
    yield from draw(_due(of_base, missing, profile), None)
    due = _due([each for each in pictures if not each.part.base], missing, profile)
    if due:
        expert = Expert(adapter.painter, folder_of(home, adapter), drawing.strength)
        with mixture(pipe, [expert]) as mixing:
            yield from draw(due, mixing)


def _due(pictures: Sequence[Knocked], missing: set[str], profile: Profile) -> list[Sequence[Knocked]]:
    """The batches in which a picture is missing."""
    size = profile.evaluation.batch_size
    batches = [pictures[start : start + size] for start in range(0, len(pictures), size)]
    return [batch for batch in batches if not missing.isdisjoint(each.id for each in batch)]


def _facts(
    picture: Knocked, adapter: Adapter, profile: Profile, drawing: DrawingSettings, layout: FactorMap
) -> dict[str, Any]:
    left_out: dict[str, Any] = {}
    if picture.part.left_out is not None:
        group, band = picture.part.left_out
        left_out = {"left_out": layout.groups[group].name, "noise": list(layout.noise_bands[band : band + 2])}
    how = drawing.of_base() if picture.part.base else drawing
    return {
        "id": picture.id,
        "notice": AI_GENERATED,
        "prompt": picture.prompt,
        "seed": picture.seed,
        "adapter": "" if picture.part.base else adapter.id,
        "base_model": adapter.base_model,
        "base_revision": adapter.base_revision,
        "num_inference_steps": profile.evaluation.num_inference_steps,
        "guidance_scale": how.guidance_scale,
        **how.further(),
        **left_out,
    }

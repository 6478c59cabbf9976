"""The stage expert_map: the pictures of an adapter without parts of it, what they say, and the factor map from it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from artmaster_pipeline.adapters.finding import find_adapter
from artmaster_pipeline.adapters.withdrawn import check_not_withdrawn, withdrawn_works
from artmaster_pipeline.drawing_settings import drawing_of
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.evaluation.axes.distances import pairwise_distances
from artmaster_pipeline.evaluation.intervals import rounded
from artmaster_pipeline.evaluation.panel.measure import concatenated, one_per_work
from artmaster_pipeline.experts.factors import AXIS_OF, FACTORS, FactorMap
from artmaster_pipeline.experts.map.fitting import factor_map, fit
from artmaster_pipeline.experts.map.heat_map import draw_heat_map
from artmaster_pipeline.experts.map.knocking_out import BASE, WHOLE, Knocked, Part, draw_parts
from artmaster_pipeline.experts.map.measuring import Loss, loss_of
from artmaster_pipeline.experts.map.page import write_page
from artmaster_pipeline.experts.records import ExpertMap, MapPicture
from artmaster_pipeline.files import clear_partials, inside, remove_folder, sha256_of, writing
from artmaster_pipeline.locks import one_at_a_time
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import (
    MANIFEST,
    Adapter,
    Outcome,
    TrainingImage,
    identity,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import Home, Profile, load_painter

if TYPE_CHECKING:
    import numpy as np

HEAT_MAP, PAGE = "map.png", "map.html"  # in the adapter's folder of the map
_VERSION = 1  # part of the map's id: raise it when the same pictures are read otherwise
_MOST_WORKS = 40  # whose variety is the unit of distances
_LEAST_WORKS = 2
_STAGE = "expert_map"


@one_at_a_time
@session()
def map_expert(home: Home, painter: str, profile: Profile, progress: Progress = SILENT) -> Outcome[ExpertMap]:
    """Map the painter's current adapter and give the map's record.

    Writes expert_maps/<painter>/<adapter id>/ with pictures/, map.png and map.html, and a manifest of the current
    adapter's map and those of others that are still there. Pictures that are there are not drawn again, so a map that
    was interrupted goes on. Raises ArtMasterError where there is no adapter or training set, WrongUse where the base is
    another one by now, HoldsWithdrawn where a work in the adapter was withdrawn.
    """
    from artmaster_pipeline.base_models import base_revision

    adapter = find_adapter(home, painter, profile)
    check_not_withdrawn(home, adapter)
    if base_revision(profile, home) != adapter.base_revision:
        raise WrongUse(
            f"The base model {adapter.base_model} is no longer the one that the adapter {adapter.id} was trained on "
            f"(revision {adapter.base_revision}): run `artmaster run {painter}` to train on the present one."
        )
    root = home.stage_folder(_STAGE, painter)
    if root.is_dir():
        clear_partials(root)
    works = _works(home, adapter)
    key, known = _identity(adapter, profile, works), read_manifest(root / MANIFEST, ExpertMap)
    others = [row for row in known if row.adapter_id != adapter.id and _is_whole(root, row)]
    made = 0
    found = next((row for row in known if row.id == key and _is_whole(root, row)), None)
    if found is None:
        found, made = _mapped(home, adapter, profile, works, key, root / adapter.id, progress)
    _write_pages(home, found, root / adapter.id)
    kept = [row for row in others if (home.adapters(painter) / row.adapter_id).is_dir()]
    write_manifest(root / MANIFEST, [found, *kept])
    _remove_others(root, {row.adapter_id for row in (found, *kept)})
    figures = {
        **{f"{factor}: silent parts": len(parts) for factor, parts in found.silent.items()},
        **{f"{factor}: held by phi and psi": share for factor, share in found.explained.items()},
    }
    return Outcome((found,), root / MANIFEST, made, len(found.pictures) - made, figures=figures)


def read_map(home: Home, adapter: Adapter) -> ExpertMap | None:
    """The map of an adapter; None where it was not mapped."""
    rows = read_manifest(home.stage_folder(_STAGE, adapter.painter) / MANIFEST, ExpertMap)
    return next((r for r in rows if (r.adapter_id, r.adapter_sha256) == (adapter.id, adapter.sha256)), None)


def factor_map_of(home: Home, adapter: Adapter) -> FactorMap | None:
    """Where an adapter's factors live, by its map; None where it was not mapped."""
    found = read_map(home, adapter)
    return found.factor_map if found else None


def _works(home: Home, adapter: Adapter) -> list[TrainingImage]:
    """The works that the adapter was trained on, whose variety is the unit of distances."""
    withdrawn = withdrawn_works(home, adapter.painter)
    rows = read_manifest(home.training_set(adapter.painter) / MANIFEST, TrainingImage)
    trained = [row for row in rows if row.scan_sha256 in adapter.scan_sha256s and row.scan_sha256 not in withdrawn]
    works = one_per_work(trained)[:_MOST_WORKS]
    if len(works) < _LEAST_WORKS:
        raise ArtMasterError(
            f"The training set of {adapter.painter} holds {len(works)} of the works that the adapter {adapter.id} was "
            f"trained on, and distances need {_LEAST_WORKS}: artmaster run {adapter.painter} --until training_set"
        )
    return works


def _identity(adapter: Adapter, profile: Profile, works: Sequence[TrainingImage]) -> str:
    how = profile.evaluation
    return identity(
        "expert map",
        _VERSION,
        (adapter.id, adapter.sha256, adapter.base_revision),
        profile.experts.map.model_dump(mode="json"),
        drawing_of(adapter, profile).model_dump(),
        (how.num_inference_steps, how.seed, profile.max_sequence_length, profile.dtype, profile.quantization),
        sorted(image.sha256 for image in works),
    )


def _is_whole(root: Path, found: ExpertMap) -> bool:
    """Whether the map's pictures are there as they were."""
    files = [(inside(root, picture.path), picture.sha256) for picture in found.pictures]
    return all(file.is_file() and sha256_of(file) == sha256 for file, sha256 in files)


def _picture(adapter: Adapter, folder: Path, drawn: Knocked) -> MapPicture:
    group, band = drawn.part.left_out or (0, 0)
    return MapPicture(
        part="base" if drawn.part.base else "whole" if drawn.part.left_out is None else "without",
        group=group,
        band=band,
        prompt=drawn.prompt,
        seed=drawn.seed,
        path=f"{adapter.id}/{drawn.path}",
        sha256=sha256_of(inside(folder, drawn.path)),
    )


def _mapped(
    home: Home,
    adapter: Adapter,
    profile: Profile,
    works: Sequence[TrainingImage],
    key: str,
    folder: Path,
    progress: Progress,
) -> tuple[ExpertMap, int]:
    """Draw what is missing, measure it and fit the factor map; gives the record and how many pictures were drawn."""
    drawing = drawing_of(adapter, profile)
    layout, pictures, made = draw_parts(home, adapter, profile, drawing, folder, progress)
    losses = _losses(home, adapter, profile, works, layout, pictures, folder, progress)
    fits = {factor: fit(_table(losses[factor]), _silent(losses[factor])) for factor in FACTORS}
    return ExpertMap(
        id=key,
        painter=adapter.painter,
        adapter_id=adapter.id,
        adapter_sha256=adapter.sha256,
        base_model=adapter.base_model,
        base_revision=adapter.base_revision,
        profile=profile.name,
        prompts=tuple(dict.fromkeys(each.prompt for each in pictures)),
        seeds=tuple(dict.fromkeys(each.seed for each in pictures)),
        drawing=drawing,
        num_inference_steps=profile.evaluation.num_inference_steps,
        factor_map=factor_map(layout.groups, layout.noise_bands, fits),
        lost={f: tuple(tuple(_rounded(loss.lost.value) for loss in row) for row in losses[f]) for f in FACTORS},
        low={f: tuple(tuple(rounded(loss.lost.low) for loss in row) for row in losses[f]) for f in FACTORS},
        high={f: tuple(tuple(rounded(loss.lost.high) for loss in row) for row in losses[f]) for f in FACTORS},
        moved={f: tuple(tuple(_rounded(loss.moved) for loss in row) for row in losses[f]) for f in FACTORS},
        explained={factor: fits[factor].explained for factor in FACTORS},
        scan_sha256s=tuple(sorted({image.scan_sha256 for image in works})),
        pictures=tuple(_picture(adapter, folder, each) for each in pictures),
    ), made


def _losses(
    home: Home,
    adapter: Adapter,
    profile: Profile,
    works: Sequence[TrainingImage],
    layout: FactorMap,
    pictures: Sequence[Knocked],
    folder: Path,
    progress: Progress,
) -> dict[str, list[list[Loss]]]:
    """By factor what is lost without each group of blocks (rows) in each band (columns)."""
    parts: dict[Part, list[Knocked]] = {}
    for each in pictures:
        parts.setdefault(each.part, []).append(each)
    files = {str(part): [inside(folder, each.path) for each in of] for part, of in parts.items()}
    trained = {"works": [inside(home.training_set(adapter.painter), image.path) for image in works]}
    paths, rows = concatenated({**trained, **files})
    axes = tuple(AXIS_OF[factor] for factor in FACTORS)
    distances = pairwise_distances(home, profile, paths, rows["works"], progress, axes=axes).axes
    prompts = [each.prompt for each in parts[WHOLE]]

    def loss(factor: str, group: int, band: int) -> Loss:
        without = rows[str(Part((group, band)))]
        return loss_of(distances[AXIS_OF[factor]], rows[str(BASE)], rows[str(WHOLE)], without, prompts)

    bands = range(len(layout.noise_bands) - 1)
    return {f: [[loss(f, group, band) for band in bands] for group in range(len(layout.groups))] for f in FACTORS}


def _table(losses: Sequence[Sequence[Loss]]) -> "np.ndarray":
    import numpy as np

    return np.array([[loss.lost.value for loss in row] for row in losses])


def _silent(losses: Sequence[Sequence[Loss]]) -> "np.ndarray":
    import numpy as np

    return np.array([[loss.lost.low is None or loss.lost.low <= 0 for loss in row] for row in losses])


def _rounded(value: float) -> float:
    return round(float(value), 5)


def _write_pages(home: Home, found: ExpertMap, folder: Path) -> None:
    """The heat map and the page; files that would not change are left alone."""
    file = folder / HEAT_MAP
    with writing(file) as temporary:
        draw_heat_map(found, temporary)
    write_page(load_painter(home, found.painter).name, found, folder / PAGE, HEAT_MAP)


def _remove_others(root: Path, kept: set[str]) -> None:
    """Remove what is left of adapters that are gone."""
    for entry in root.iterdir():
        if entry.is_dir() and entry.name not in kept:
            remove_folder(entry)

"""The cells of the grid: their records, and the drawing of those that are not there yet."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.evaluation.rows import Row
from artmaster_pipeline.files import inside, sha256_of, writing
from artmaster_pipeline.pictures import AI_GENERATED, is_whole, write_png
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import Adapter, Column, Sample, identity
from artmaster_pipeline.settings import Home, Profile

COLUMNS: tuple[Column, ...] = ("original", "base", "adapter")


@dataclass(frozen=True)
class Cell:
    """A picture the grid wants: all of its record but the hash of its file."""

    column: Column
    row: Row
    id: str
    width: int
    height: int

    @property
    def name(self) -> str:
        """The file's name in the folder of samples."""
        return f"{self.id}.png"


def cells_of(rows: Iterable[Row], adapter: Adapter, profile: Profile) -> tuple[Cell, ...]:
    """The three cells of every row, row by row. A cell's id holds all that decides its pixels."""
    settings = profile.evaluation
    cells = []
    for row in rows:
        size = profile.size(row.image.width, row.image.height)
        drawn = (
            row.image.caption,
            row.seed,
            size,
            settings.num_inference_steps,
            settings.guidance_scale,
            profile.max_sequence_length,
            (profile.dtype, profile.quantization),
        )
        ids = {
            "original": identity("original", row.image.id, row.image.sha256, size),
            "base": identity("base", adapter.base_model, adapter.base_revision, *drawn),
            "adapter": identity("adapter", adapter.id, adapter.sha256, *drawn),
        }
        cells += [Cell(column, row, ids[column], *size) for column in COLUMNS]
    return tuple(cells)


def fill_cells(
    home: Home, adapter: Adapter, profile: Profile, cells: Sequence[Cell], known: dict[str, Sample], progress: Progress
) -> tuple[tuple[Sample, ...], int]:
    """Make the pictures that are missing; gives the records in the order of `cells`, and how many were made.

    `known` are the records of the last run by id: a base picture drawn for an older adapter is copied from there.
    """
    folder = home.evaluation(adapter.painter) / adapter.id / "samples"
    missing = [cell for cell in cells if not _is_there(home, adapter.painter, folder / cell.name, cell, known)]
    _remove_others(folder, {cell.name for cell in cells})
    with progress.task("evaluation grid", len(cells), len(cells) - len(missing)) as advance:
        for cell in (cell for cell in missing if cell.column == "original"):
            _write_original(home, adapter.painter, folder, cell)
            advance()
        generated = [cell for cell in missing if cell.column != "original"]
        if generated:
            for cell in _draw(home, adapter, profile, folder, generated):
                advance(note=f"{cell.column}, seed {cell.row.seed}")
    return tuple(_record(cell, folder, adapter, profile) for cell in cells), len(missing)


def _is_there(home: Home, painter: str, file: Path, cell: Cell, known: dict[str, Sample]) -> bool:
    row = known.get(cell.id)
    if row is None:
        return file.is_file() and is_whole(file, cell.id)  # a killed run wrote it, but no manifest
    stored = inside(home.evaluation(painter), row.path)
    if not stored.is_file() or sha256_of(stored) != row.sha256:
        return False
    if stored != file:
        with writing(file) as temporary:
            shutil.copyfile(stored, temporary)
    return True


def _remove_others(folder: Path, wanted: set[str]) -> None:
    for file in folder.glob("*"):
        if file.name not in wanted:
            file.unlink()


def _write_original(home: Home, painter: str, folder: Path, cell: Cell) -> None:
    import numpy as np
    from PIL import Image

    image = cell.row.image
    with Image.open(inside(home.training_set(painter), image.path)) as file:
        pixels = np.asarray(file.convert("RGB").resize((cell.width, cell.height), Image.Resampling.LANCZOS))
    facts = {"id": cell.id, "column": "original", "notice": "Detail of a scanned artwork", "caption": image.caption}
    write_png(folder / cell.name, pixels, facts | {"scan_sha256": image.scan_sha256, "split": image.split})


def _draw(home: Home, adapter: Adapter, profile: Profile, folder: Path, cells: Sequence[Cell]) -> Iterable[Cell]:
    """Draw the base's cells without the adapter, then the adapter's with it; yields each when its file is written."""
    from artmaster_pipeline.base_models import attach, base_revision, draw, load_pipeline

    if base_revision(profile) != adapter.base_revision:
        raise WrongUse(
            f"The base model {adapter.base_model} is no longer the one that the adapter {adapter.id} was trained on "
            f"(revision {adapter.base_revision}): run the stage style_adapter again, then this one."
        )
    pipe: Any = load_pipeline(profile)
    settings = profile.evaluation
    attached = False
    for cell in sorted(cells, key=lambda cell: cell.column == "adapter"):
        if cell.column == "adapter" and not attached:
            attach(pipe, inside(home.root, adapter.path))
            attached = True
        pixels = draw(
            pipe,
            prompt=cell.row.image.caption,
            seed=cell.row.seed,
            width=cell.width,
            height=cell.height,
            num_inference_steps=settings.num_inference_steps,
            guidance_scale=settings.guidance_scale,
            max_sequence_length=profile.max_sequence_length,
        )
        write_png(folder / cell.name, pixels, _facts(cell, adapter, profile))
        yield cell


def _facts(cell: Cell, adapter: Adapter, profile: Profile) -> dict[str, Any]:
    return {
        "id": cell.id,
        "notice": AI_GENERATED,
        "prompt": cell.row.image.caption,
        "seed": cell.row.seed,
        "adapter": adapter.id if cell.column == "adapter" else "",
        "base_model": adapter.base_model,
        "base_revision": adapter.base_revision,
        "num_inference_steps": profile.evaluation.num_inference_steps,
        "guidance_scale": profile.evaluation.guidance_scale,
    }


def _record(cell: Cell, folder: Path, adapter: Adapter, profile: Profile) -> Sample:
    return Sample(
        id=cell.id,
        painter=adapter.painter,
        column=cell.column,
        adapter_id=adapter.id,
        base_model=adapter.base_model,
        base_revision=adapter.base_revision,
        prompt=cell.row.image.caption,
        seed=cell.row.seed,
        width=cell.width,
        height=cell.height,
        num_inference_steps=profile.evaluation.num_inference_steps,
        guidance_scale=profile.evaluation.guidance_scale,
        path=f"{adapter.id}/samples/{cell.name}",
        sha256=sha256_of(folder / cell.name),
        scan_sha256=cell.row.image.scan_sha256 if cell.column == "original" else "",
    )

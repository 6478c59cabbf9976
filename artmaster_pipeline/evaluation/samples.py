"""The evaluation's pictures: the drawing of those that are not there yet, and their records."""

import itertools
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.adapters.finding import folder_of
from artmaster_pipeline.adapters.folder import weights_file
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.evaluation.cells import Cell
from artmaster_pipeline.files import inside, sha256_of, writing
from artmaster_pipeline.generation.sampling import Drawing
from artmaster_pipeline.pictures import AI_GENERATED, is_whole, write_png
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import Adapter, Sample
from artmaster_pipeline.settings import Home, Profile

if TYPE_CHECKING:
    import numpy as np

    from artmaster_pipeline.base_models import TextEmbedding

SAMPLES, EXTRA = "samples", "extra"  # folders below an adapter's evaluation


def fill_cells(
    home: Home,
    adapter: Adapter,
    profile: Profile,
    cells: Sequence[Cell],
    known: dict[str, Sample],
    progress: Progress,
    folder_name: str = SAMPLES,
) -> tuple[tuple[Sample, ...], int]:
    """Make the pictures that are missing; gives the records in the order of `cells`, and how many were made.

    `known` are the records of earlier runs by id: a base picture drawn for another adapter is copied from there.
    """
    folder = home.evaluation(adapter.painter) / adapter.id / folder_name
    missing = [cell for cell in cells if not _is_there(home, adapter.painter, folder / cell.name, cell, known)]
    if folder_name == SAMPLES:
        _remove_others(folder, {cell.name for cell in cells})
    with progress.task("evaluation pictures", len(cells), len(cells) - len(missing)) as advance:
        for cell in (cell for cell in missing if cell.column == "original"):
            _write_original(home, adapter.painter, folder, cell)
            advance()
        for cell in _draw(home, adapter, profile, folder, cells, missing):
            advance(note=f"{cell.column}, seed {cell.seed}")
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

    image = cell.image
    if image is None:
        raise ArtMasterError(f"The cell {cell.id} shows an original and names none.")
    with Image.open(inside(home.training_set(painter), image.path)) as file:
        pixels = np.asarray(file.convert("RGB").resize((cell.width, cell.height), Image.Resampling.LANCZOS))
    facts = {"id": cell.id, "column": "original", "notice": "Detail of a scanned artwork", "caption": image.caption}
    write_png(folder / cell.name, pixels, facts | {"scan_sha256": image.scan_sha256, "split": image.split})


def _draw(
    home: Home, adapter: Adapter, profile: Profile, folder: Path, cells: Sequence[Cell], missing: Sequence[Cell]
) -> Iterable[Cell]:
    """Draw the base's cells without the adapter, then the adapter's, one strength and checkpoint after the other.

    All on one transformer, with one guidance. What is drawn together, and whether it is compiled, follows from all
    `cells`, whatever is there already: it may change a picture's last digits, and a run that was killed must end with
    the same bytes. So a batch with a missing picture is drawn whole.
    """
    from artmaster_pipeline.base_models import base_revision, open_pipeline
    from artmaster_pipeline.generation.sampling import embed_texts

    drawn = sorted((cell for cell in cells if cell.column != "original"), key=_order)
    wanted = {cell.id for cell in missing}
    if wanted.isdisjoint(cell.id for cell in drawn):
        return
    if base_revision(profile, home) != adapter.base_revision:
        raise WrongUse(
            f"The base model {adapter.base_model} is no longer the one that the adapter {adapter.id} was trained on "
            f"(revision {adapter.base_revision}): run the stage style_adapter again, then this one."
        )
    groups = [list(of) for _, of in itertools.groupby(drawn, key=lambda cell: _order(cell)[:3])]
    due = [cell for of in groups if not wanted.isdisjoint(cell.id for cell in of) for cell in of]
    embedded = embed_texts(profile, {cell.prompt for cell in due}, home, due[0].drawing)
    with open_pipeline(profile, ("transformer", "vae"), home) as pipe:
        yield from _drawn(pipe, home, adapter, profile, folder, groups, wanted, embedded)


def _drawn(
    pipe: Any,
    home: Home,
    adapter: Adapter,
    profile: Profile,
    folder: Path,
    groups: Sequence[Sequence[Cell]],
    wanted: set[str],
    embedded: "Mapping[str, TextEmbedding]",
) -> Iterator[Cell]:
    """One group of cells after the other, each of one state and strength of the adapter; the wanted are written."""
    from artmaster_pipeline.adapters import attach
    from artmaster_pipeline.generation.sampling import compile_blocks, worth_compiling

    if worth_compiling(pipe, sum(map(len, groups))):
        compile_blocks(pipe)
    for same in groups:
        adapted, checkpoint, strength = _order(same[0])[:3]
        if wanted.isdisjoint(cell.id for cell in same):
            continue
        sizes = Counter((cell.width, cell.height) for cell in same)
        often = {size for size, pictures in sizes.items() if worth_compiling(pipe, pictures)}
        if adapted:
            attach(pipe, weights_file(folder_of(home, adapter), checkpoint), strength, alike=bool(often))
        for batch in _batches(same, wanted, profile):
            full = len(batch) == profile.evaluation.batch_size  # the last batch, a smaller one, is not worth its form
            pictures = _pictures(pipe, embedded, batch, profile, full and (batch[0].width, batch[0].height) in often)
            for cell, pixels in zip(batch, pictures, strict=True):
                if cell.id in wanted:
                    write_png(folder / cell.name, pixels, _facts(cell, adapter, profile))
                    yield cell


def _order(cell: Cell) -> tuple[bool, int, float, int, int]:
    """The base first, then the adapter's states, each size by size."""
    return cell.column == "adapter", cell.checkpoint, cell.drawing.strength, cell.width, cell.height


def _batches(cells: Sequence[Cell], wanted: set[str], profile: Profile) -> Iterator[list[Cell]]:
    """Those of all batches in which a picture is wanted."""
    from artmaster_pipeline.generation.sampling import batches_of

    left = iter(cells)
    for drawings in batches_of([_drawing(cell, profile) for cell in cells], profile.evaluation.batch_size):
        batch = list(itertools.islice(left, len(drawings)))
        if not wanted.isdisjoint(cell.id for cell in batch):
            yield batch


def _pictures(
    pipe: Any, embedded: "Mapping[str, TextEmbedding]", batch: Sequence[Cell], profile: Profile, compiled: bool
) -> "list[np.ndarray]":
    from artmaster_pipeline.generation.sampling import draw_embedded, negative_of, uncompiled

    drawings = [_drawing(cell, profile) for cell in batch]
    texts = [embedded[drawing.prompt] for drawing in drawings]
    negative = negative_of(pipe, embedded, drawings[0].settings)
    with nullcontext() if compiled else uncompiled():
        return draw_embedded(pipe, texts, [drawing.seed for drawing in drawings], *drawings[0].how, negative)


def _drawing(cell: Cell, profile: Profile) -> Drawing:
    return Drawing(
        prompt=cell.prompt,
        seed=cell.seed,
        width=cell.width,
        height=cell.height,
        num_inference_steps=profile.evaluation.num_inference_steps,
        settings=cell.drawing,
        max_sequence_length=profile.max_sequence_length,
    )


def _facts(cell: Cell, adapter: Adapter, profile: Profile) -> dict[str, Any]:
    facts = {
        "id": cell.id,
        "notice": AI_GENERATED,
        "prompt": cell.prompt,
        "seed": cell.seed,
        "adapter": adapter.id if cell.column == "adapter" else "",
        "base_model": adapter.base_model,
        "base_revision": adapter.base_revision,
        "num_inference_steps": profile.evaluation.num_inference_steps,
        "guidance_scale": cell.drawing.guidance_scale,
        **cell.drawing.further(),
    }
    if cell.checkpoint:
        facts["checkpoint"] = cell.checkpoint
    return facts


def _record(cell: Cell, folder: Path, adapter: Adapter, profile: Profile) -> Sample:
    return Sample(
        id=cell.id,
        painter=adapter.painter,
        column=cell.column,
        adapter_ids=(adapter.id,) if cell.column == "adapter" else (),
        evaluated_adapter_id=adapter.id,
        base_model=adapter.base_model,
        base_revision=adapter.base_revision,
        prompt=cell.prompt,
        seed=cell.seed,
        width=cell.width,
        height=cell.height,
        num_inference_steps=profile.evaluation.num_inference_steps,
        **cell.drawing.model_dump(),
        path=f"{adapter.id}/{folder.name}/{cell.name}",
        sha256=sha256_of(folder / cell.name),
        scan_sha256=cell.image.scan_sha256 if cell.image else "",
        role=cell.role,
        checkpoint=cell.checkpoint,
    )

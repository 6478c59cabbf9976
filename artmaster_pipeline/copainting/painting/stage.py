"""The stage copaintings: a canvas of the data home painted, with what the base draws beside it; measured and judged.

    copaintings/<canvas>/<key>/samples/     the pictures, and the base's of the same prompt and seeds
    copaintings/<canvas>/manifest.jsonl     the records of all

<key> is an id made from the canvas and its adapters' weights.
"""

from pathlib import Path

from artmaster_pipeline.copainting.canvas import load
from artmaster_pipeline.copainting.painting.drawing import draw_canvas
from artmaster_pipeline.copainting.painting.hands import Hands, hands_of
from artmaster_pipeline.copainting.painting.pictures import notes_on, picture_id
from artmaster_pipeline.evaluation.samples import SAMPLES
from artmaster_pipeline.experts.drawing import MixedDrawing, draw_mixed
from artmaster_pipeline.experts.resolving import plain_words
from artmaster_pipeline.experts.samples import is_there
from artmaster_pipeline.files import clear_partials, sha256_of
from artmaster_pipeline.gallery.enlarging import sample_facts
from artmaster_pipeline.generation.requests import how_drawn
from artmaster_pipeline.pictures import write_png
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import Column, Sample, identity
from artmaster_pipeline.settings import Home


def paint(home: Home, folder: Path, partition: str, path: Path, progress: Progress) -> tuple[Hands, list[Sample], int]:
    """Fill `folder` with a canvas' pictures and the base's beside them; gives all records and how many were made.

    A picture's last digits may change with its batch, so a canvas with a missing picture is painted whole.
    """
    hands = hands_of(home, load(path, home))
    for note in notes_on(hands):
        progress.say(note)
    if folder.is_dir():
        clear_partials(folder)
    planned = [*_planned(home, hands, partition, "base"), *_planned(home, hands, partition, "adapter")]
    files = {sample.id: folder / hands.identity() / SAMPLES / f"{sample.id}.png" for sample in planned}
    missing = {sample.id for sample in planned if not is_there(files[sample.id], sample.id)}
    made = 0
    with progress.task(f"painting {hands.canvas.name}", len(planned), len(planned) - len(missing)) as advance:
        for column in ("base", "adapter"):
            of = [sample for sample in planned if sample.column == column]
            if not missing.intersection(sample.id for sample in of):
                continue
            for sample, pixels in zip(of, _drawn(home, hands, of), strict=True):
                if sample.id in missing:
                    write_png(files[sample.id], pixels, sample_facts(sample))
                    made += 1
                    advance(note=f"{column}, seed {sample.seed}")
    records = [sample.model_copy(update={"sha256": sha256_of(files[sample.id])}) for sample in planned]
    return hands, records, made


def _drawn(home: Home, hands: Hands, samples: list[Sample]):  # type: ignore[no-untyped-def]
    seeds = [sample.seed for sample in samples]
    if samples[0].column == "adapter":
        return draw_canvas(home, hands, seeds)
    plain, size = hands.drawing.of_base(), hands.profile.size(*hands.canvas.size)
    said = ((plain_words(hands.canvas.prompt), 1.0),)
    drawings = [MixedDrawing(said, seed, size, plain, None, hands.knowledge) for seed in seeds]
    return draw_mixed(home, hands.profile, drawings)


def _planned(home: Home, hands: Hands, partition: str, column: Column) -> list[Sample]:
    profile, canvas = hands.profile, hands.canvas
    first = hands.adapters[0]
    painted = column == "adapter"
    drawing = hands.drawing if painted else hands.drawing.of_base()
    width, height = profile.size(*canvas.size)
    found = []
    for seed in canvas.seeds:
        key = picture_id(home, hands, seed)
        if not painted:
            key = identity("canvas base", hands.identity(), seed, *how_drawn(profile, drawing, canvas.size))
        found.append(
            Sample(
                id=key,
                painter=partition,
                column=column,
                adapter_ids=tuple(adapter.id for adapter in hands.adapters) if painted else (),
                base_model=first.base_model,
                base_revision=first.base_revision,
                prompt=plain_words(canvas.prompt),
                seed=seed,
                width=width,
                height=height,
                num_inference_steps=profile.evaluation.num_inference_steps,
                **drawing.model_dump(),
                path=f"{hands.identity()}/{SAMPLES}/{key}.png",
                sha256="",
                canvas=canvas.name,
                gates=hands.record() if painted else {},
            )
        )
    return found

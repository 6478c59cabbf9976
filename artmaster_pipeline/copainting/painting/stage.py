"""What the stage copaintings asks of this room: a canvas of the data home painted, a record for each picture.

copaintings/<canvas>/<painted>/samples/      the pictures; <painted> is `Hands.identity`
"""

from artmaster_pipeline.copainting.canvas import load
from artmaster_pipeline.copainting.painting.drawing import draw_canvas
from artmaster_pipeline.copainting.painting.hands import Hands, hands_of
from artmaster_pipeline.copainting.painting.pictures import notes_on, picture_id
from artmaster_pipeline.evaluation.samples import SAMPLES
from artmaster_pipeline.experts.resolving import plain_words
from artmaster_pipeline.experts.samples import is_there
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.gallery.enlarging import sample_facts
from artmaster_pipeline.pictures import write_png
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import MANIFEST, Outcome, Sample, identity
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import Home, Profile
from artmaster_pipeline.stages import canvas_of


@session()
def paint_canvases(home: Home, slug: str, _: Profile, progress: Progress = SILENT) -> Outcome[Sample]:
    """Paint the canvas of that name for each of its seeds; gives the records of its pictures.

    It is painted with the profile of its painters. A picture's last digits may change with its batch, so a canvas with
    a missing picture is painted whole, and what was there is left. Raises as `hands_of` and `draw_canvas` do.
    """
    hands = hands_of(home, load(home.canvas(slug), home))
    for note in notes_on(hands):
        progress.say(note)
    partition = canvas_of(slug)
    folder = home.evaluation(partition)
    planned = [_sample(hands, partition, seed) for seed in hands.canvas.seeds]
    missing = {sample.id for sample in planned if not is_there(folder / sample.path, sample.id)}
    with progress.task(f"painting {slug}", len(planned), len(planned) - len(missing)) as advance:
        drawn = draw_canvas(home, hands, [sample.seed for sample in planned] if missing else [])
        for sample, pixels in zip(planned, drawn, strict=bool(missing)):
            if sample.id in missing:
                write_png(folder / sample.path, pixels, sample_facts(sample))
                advance(note=f"seed {sample.seed}")
    records = [sample.model_copy(update={"sha256": sha256_of(folder / sample.path)}) for sample in planned]
    ordered = tuple(sorted(records, key=lambda sample: sample.id))
    return Outcome(ordered, folder / MANIFEST, len(missing), len(planned) - len(missing))


def _sample(hands: Hands, partition: str, seed: int) -> Sample:
    width, height = hands.profile.size(*hands.canvas.size)
    key = identity("canvas sample", picture_id(hands, seed))
    return Sample(
        id=key,
        painter=partition,
        column="adapter",
        adapter_ids=tuple(adapter.id for adapter in hands.adapters),
        base_model=hands.adapters[0].base_model,
        base_revision=hands.adapters[0].base_revision,
        prompt=plain_words(hands.canvas.prompt),
        seed=seed,
        width=width,
        height=height,
        num_inference_steps=hands.profile.evaluation.num_inference_steps,
        **hands.drawing.model_dump(),
        path=f"{hands.identity()}/{SAMPLES}/{key}.png",
        sha256="",
        canvas=hands.canvas.name,
        gates=hands.record(),
    )

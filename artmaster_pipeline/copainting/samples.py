"""The stage copaintings: a canvas of the data home painted, measured and judged as a mix is.

    copaintings/<canvas>/<painted>/samples/      the base's pictures beside it, of the same prompt and seeds
    copaintings/<canvas>/<painted>/labels.png    the map as it was when it was painted
    copaintings/<canvas>/<painted>/panel.json    what was measured, and verdicts.jsonl beside it
    copaintings/<canvas>/manifest.jsonl          the records of all pictures

<painted> is an id made from what the canvas says and from its adapters' weights. Where the painted pictures themselves
lie, whoever paints them decides; the records say it.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.canvases import what_is_said
from artmaster_pipeline.copainting.canvas import label_map, load
from artmaster_pipeline.copainting.painting.hands import Hands, hands_of
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.evaluation.samples import SAMPLES
from artmaster_pipeline.experts.drawing import MixedDrawing
from artmaster_pipeline.experts.judged import decide_on, draw_beside, pictures_in_place
from artmaster_pipeline.experts.judging import judge_mix, write_panel
from artmaster_pipeline.experts.samples import is_there, what_is_known
from artmaster_pipeline.files import clear_partials
from artmaster_pipeline.generation.requests import how_drawn
from artmaster_pipeline.locks import one_at_a_time
from artmaster_pipeline.pictures import write_png
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import (
    MANIFEST,
    PANEL,
    VERDICTS,
    Outcome,
    Sample,
    Verdict,
    identity,
    write_manifest,
)
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import Home, Profile
from artmaster_pipeline.stages import canvas_named

if TYPE_CHECKING:
    import numpy as np

LABELS = "labels.png"
Paint = Callable[[Home, str, Profile, Progress], Outcome[Sample]]  # the canvas' slug second


def what_is_painted(home: Home, partition: str) -> dict[str, Any]:
    """What canvas.yaml and its maps say, and what is known of its experts: resolved settings of the stage copaintings.

    Raises WrongUse where the file cannot be read.
    """
    return what_is_said(home.canvas(canvas_named(partition))) | what_is_known(home, partition)


def hands_at_work(home: Home, partition: str, *, publishing: bool = False) -> Hands:
    """The canvas of a partition with its adapters as they are now.

    Raises one error that names everything that is wrong with the canvas, or with its hands; HoldsWithdrawn where a
    withdrawn work is in one of them; with `publishing` NotPublished where an expert is not published or judged unfit.
    """
    return hands_of(home, load(home.canvas(canvas_named(partition)), home), publishing=publishing)


@one_at_a_time
@session()
def make_copaintings(
    home: Home, partition: str, profile: Profile, progress: Progress = SILENT, *, paint: Paint
) -> Outcome[Sample]:
    """Paint a canvas, draw the base beside it, measure and judge; gives the records of all pictures.

    What is there is not made again. Raises as `hands_at_work` does, before anything is painted.
    """
    folder, hands = home.evaluation(partition), hands_at_work(home, partition)
    if folder.is_dir():
        clear_partials(folder)
    key = hands.identity()
    done = paint(home, canvas_named(partition), profile, progress)
    painted = [sample for sample in done.records if sample.column == "adapter"]
    _check_told(partition, painted)
    _keep_map(folder / key / LABELS, label_map(hands.canvas), partition, hands)
    base, new = _beside(home, partition, key, hands, painted, progress)
    samples = [*painted, *base]
    said = ("canvas", hands.canvas.name)
    panel = write_panel(home, partition, key, said, profile, hands.adapters, samples, progress)
    verdict = judge_mix(home, partition, panel, profile.gate)
    write_manifest(folder / key / MANIFEST, samples)
    write_manifest(folder / MANIFEST, samples)
    _remove_others(folder, key)
    if not verdict.publish:
        progress.say(f"The canvas {hands.canvas.name} is not fit to be published: {' '.join(verdict.reasons)}")
    ordered = tuple(sorted(samples, key=lambda sample: sample.id))
    figures = done.figures | {"may be published": "yes" if verdict.publish else "no"}
    made = done.made + new
    return Outcome(ordered, folder / MANIFEST, made, len(ordered) - made, figures=figures)


@one_at_a_time
def decide_on_canvas(home: Home, partition: str, decision: Any, reason: str, profile: Profile) -> Verdict:
    """Keep a person's decision on a canvas as it is now and put it into force.

    Raises WrongUse where it was not judged yet.
    """
    return decide_on(home, partition, hands_at_work(home, partition).identity(), decision, reason, profile.gate)


def painted_of(home: Home, partition: str, key: str) -> tuple[Sample, ...]:
    """A canvas' painted pictures by seed. Raises ArtMasterError where they are missing or changed."""
    rows = pictures_in_place(home, partition, key, LABELS)
    return tuple(sorted(rows, key=lambda sample: (sample.seed, sample.id)))


def _check_told(partition: str, painted: Sequence[Sample]) -> None:
    """Raise ArtMasterError unless every picture says whose canvas it is, and of each region who painted it."""
    untold = [s.id for s in painted if s.painter != partition or not s.regions]
    drew = [s.id for s in painted if {a for of in s.regions for a in of.adapter_ids} != set(s.adapter_ids)]
    if not painted or untold or drew:
        what = ", ".join(dict.fromkeys((*untold, *drew))) or "no picture at all"
        raise ArtMasterError(
            f"What painted {partition} left records that do not say who painted which region ({what}): nothing was "
            "judged. This is a fault of the product."
        )


def _keep_map(file: Path, labels: "np.ndarray", partition: str, hands: Hands) -> None:
    """The label map that was painted, as greys: the canvas' own may be changed before its pictures are published."""
    import numpy as np

    facts = {"id": f"{partition} {hands.canvas.labels_sha256}", "notice": "A map of a canvas' regions, no picture"}
    if not is_there(file, facts["id"]):
        write_png(file, np.repeat(labels[..., None], 3, axis=-1), facts)


def _beside(
    home: Home, partition: str, key: str, hands: Hands, painted: Sequence[Sample], progress: Progress
) -> tuple[list[Sample], int]:
    """The base's picture for each prompt and seed that was painted, and how many were drawn now."""
    profile = hands.profile
    plain, size = hands.drawing.of_base(), profile.size(*hands.canvas.size)
    found: dict[str, tuple[Sample, MixedDrawing]] = {}
    for sample in sorted(painted, key=lambda sample: (sample.seed, sample.id)):
        how = how_drawn(profile, plain, hands.canvas.size)
        name = identity("canvas base", key, sample.prompt, sample.seed, *how)
        drawing = MixedDrawing(((sample.prompt, 1.0),), sample.seed, size, plain, None, hands.knowledge)
        changed: dict[str, Any] = {"id": name, "column": "base", "path": f"{key}/{SAMPLES}/{name}.png", "sha256": ""}
        changed |= {"adapter_ids": (), "canvas": "", "gates": {}, "width": size[0], "height": size[1]}
        record = Sample.model_validate(sample.model_dump() | changed | plain.model_dump())
        found.setdefault(name, (record, drawing))
    return draw_beside(home, home.evaluation(partition), profile, found, progress)


def _remove_others(folder: Path, key: str) -> None:
    """Remove what lies beside pictures of the canvas as it was before; verdicts stay."""
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != key and (entry / PANEL).is_file():
            (entry / MANIFEST).unlink(missing_ok=True)  # first: no record of pictures that are no longer there
            shutil.rmtree(entry / SAMPLES, ignore_errors=True)
            (entry / LABELS).unlink(missing_ok=True)
            if not (entry / VERDICTS).is_file():
                shutil.rmtree(entry)

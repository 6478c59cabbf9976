"""Painted canvases on request: into files that say how they were made, not painted again where they are there."""

from pathlib import Path
from typing import Any

from artmaster_pipeline.base_models.hub import family_here
from artmaster_pipeline.base_models.scripts import unread_message
from artmaster_pipeline.copainting.canvas import load
from artmaster_pipeline.copainting.painting.drawing import draw_canvas
from artmaster_pipeline.copainting.painting.hands import Hands, hands_of
from artmaster_pipeline.files import check_folder
from artmaster_pipeline.generation.requests import enlarging, facts_of, how_drawn, wanted_files
from artmaster_pipeline.pictures import write_png
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import identity
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import Home


@session()
def paint_canvas_file(
    home: Home,
    path: Path,
    *,
    out: Path = Path(),
    count: int | None = None,
    seed: int | None = None,
    enlarge: bool = False,
    long_side: int | None = None,
    progress: Progress = SILENT,
) -> list[Path]:
    """Paint a canvas.yaml; gives the pictures' files below `out`.

    A picture for each of the canvas' seeds, or `count` of them from `seed` on. The same request gives the same files:
    those that are there are not painted again. Raises WrongUse naming everything that is wrong with the canvas or its
    hands, HoldsWithdrawn where a withdrawn work is in an adapter, MissingRequirement where a control signal needs a
    network that is not here.
    """
    check_folder(out)
    canvas = load(path, home)
    hands = hands_of(home, canvas)
    for note in notes_on(hands):
        progress.say(note)
    first = canvas.seeds[0] if seed is None else seed
    seeds = canvas.seeds if count is None and seed is None else tuple(range(first, first + (count or 1)))
    network = enlarging(home, canvas.painters, hands.profile, canvas.size, enlarge, long_side, progress.say)
    ids = ((each, picture_id(hands, each, network)) for each in seeds)
    wanted = wanted_files(out, canvas.name, ids)
    missing = [picture for picture in wanted if not picture.is_there()]
    with progress.task(f"painting {canvas.name}", len(wanted), len(wanted) - len(missing)) as advance:
        drawn = draw_canvas(home, hands, [picture.seed for picture in missing])
        for picture, pixels in zip(missing, drawn, strict=True):
            facts = facts_of(picture, hands.adapters, hands.profile, hands.drawing, canvas.prompt, network)
            write_png(picture.file, network.enlarge(pixels) if network else pixels, facts | canvas_facts(hands))
            advance(note=picture.file.name)
    return [picture.file for picture in wanted]


def picture_id(hands: Hands, seed: int, network: Any = None) -> str:
    """The id of a painted canvas: made from the canvas, all weights that paint and hold it, how, and the seed."""
    how = how_drawn(hands.profile, hands.drawing, hands.canvas.size, network)
    return identity("canvas picture", hands.identity(), seed, *how)


def canvas_facts(hands: Hands) -> dict[str, Any]:
    """What a painted canvas' file says of its hands beside what every picture says."""
    return {"canvas": hands.canvas.name, "gates": hands.record()}


def notes_on(hands: Hands) -> list[str]:
    """Sentences for a person: newer adapters that are not used, words that the base does not read."""
    newer = [chosen.newer for hand in hands.resolved.values() for chosen in hand.experts if chosen.newer]
    family = family_here(hands.profile.base_model)
    prompts = list(dict.fromkeys([hands.canvas.prompt, *(hands.prompt(name) for name in hands.resolved)]))
    unread = unread_message(prompts, family, "prompt") if family is not None else ""
    return [*dict.fromkeys(newer), *([unread] if unread else [])]

"""Pictures on request: a prompt drawn with one of a painter's adapters, into files that say how they were made."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from artmaster_pipeline.adapters.finding import folder_of
from artmaster_pipeline.adapters.in_use import adapter_in_use
from artmaster_pipeline.adapters.withdrawn import check_not_withdrawn
from artmaster_pipeline.base_models.hub import family_here
from artmaster_pipeline.base_models.scripts import unread_message
from artmaster_pipeline.drawing_settings import DrawingSettings, drawing_of
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.generation.requests import (
    check_request,
    enlarging,
    facts_of,
    file_name,
    how_drawn,
    wanted_files,
)
from artmaster_pipeline.pictures import write_png
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import Adapter, identity
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import Home, Profile


@session()
def generate(
    home: Home,
    painter: str,
    profile: Profile,
    prompt: str,
    count: int = 1,
    seed: int = 0,
    adapter_id: str | None = None,
    *,
    out: Path = Path(),
    enlarge: bool = False,
    long_side: int | None = None,
    size: tuple[int, int] = (512, 512),
    strength: float | None = None,
    guidance_scale: float | None = None,
    true_cfg_scale: float | None = None,
    adapter_in_unguided: bool | None = None,
    progress: Progress = SILENT,
) -> list[Path]:
    """Draw `count` pictures of `prompt` with the seeds `seed`, `seed + 1`, ...; gives their files below `out`.

    The adapter is the published one, else the newest (`adapter_in_use`), or the one with `adapter_id`.
    The trigger word is put before a prompt that lacks it. `size` is one of the two training shapes, (512, 512) or
    (512, 768), at the profile's scale; `enlarge` enlarges in one pass, `long_side` to so many pixels. Strength and
    guidance are those chosen for the adapter (`drawing_of`) where they are not said. The same request gives the same
    files: those that are there are not drawn again. Raises WrongUse for an unknown adapter, a size, a count or a
    drawing that cannot be, and where a file of that name holds something else; ArtMasterError where the painter has no
    adapter yet; HoldsWithdrawn where a work in the adapter was withdrawn.
    """
    check_request(count, size, out)
    adapter, newer = adapter_in_use(home, painter, profile, adapter_id)
    check_not_withdrawn(home, adapter)
    drawing = drawing_of(
        adapter,
        profile,
        strength=strength,
        guidance_scale=guidance_scale,
        true_cfg_scale=true_cfg_scale,
        adapter_in_unguided=adapter_in_unguided,
    )
    if newer:
        progress.say(newer)
    said = with_trigger(prompt, adapter.trigger)
    family = family_here(profile.base_model)
    if family is not None and (unread := unread_message([prompt], family, "prompt")):
        progress.say(unread)
    network = enlarging(home, [painter], profile, size, enlarge, long_side, progress.say)
    how = how_drawn(profile, drawing, size, network)
    ids = (
        (each, identity("generated", adapter.id, adapter.sha256, said, each, *how))
        for each in range(seed, seed + count)
    )
    wanted = wanted_files(out, file_name(said.removeprefix(adapter.trigger), painter), ids)
    missing = [picture for picture in wanted if not picture.is_there()]
    with progress.task(f"drawing for {painter}", count, count - len(missing)) as advance:
        if missing:
            with _open_drawing(home, adapter, profile, drawing, said, profile.size(*size), network) as draw_one:
                for picture in missing:
                    facts = facts_of(picture, [adapter], profile, drawing, said, network)
                    write_png(picture.file, draw_one(picture.seed), facts)
                    advance(note=picture.file.name)
    return [picture.file for picture in wanted]


def with_trigger(prompt: str, trigger: str) -> str:
    """The prompt with the trigger word before it where it is not in it; without line breaks."""
    prompt = " ".join(prompt.split())
    if trigger.casefold() in prompt.casefold():
        return prompt
    return f"{trigger}, {prompt}" if prompt else trigger


def check_base(home: Home, profile: Profile, adapter: Adapter) -> None:
    """Raise WrongUse where the base is another than the one that the adapter was trained on."""
    from artmaster_pipeline.base_models import base_revision

    if base_revision(profile, home) != adapter.base_revision:
        raise WrongUse(
            f"The base model {adapter.base_model} is no longer the one that the adapter {adapter.id} was trained on "
            f"(revision {adapter.base_revision}): run `artmaster run {adapter.painter}` to train on the present one."
        )


@contextmanager
def _open_drawing(
    home: Home,
    adapter: Adapter,
    profile: Profile,
    drawing: DrawingSettings,
    prompt: str,
    size: tuple[int, int],
    network: Any,
) -> Iterator[Callable[[int], Any]]:
    """A function that draws `prompt` for a seed, with the pipeline loaded once."""
    from artmaster_pipeline.adapters import attach
    from artmaster_pipeline.base_models import open_pipeline
    from artmaster_pipeline.generation.sampling import draw_embedded, embed_texts, negative_of

    check_base(home, profile, adapter)
    embedded = embed_texts(profile, [prompt], home, drawing)
    with open_pipeline(profile, ("transformer", "vae"), home) as pipe:
        attach(pipe, folder_of(home, adapter), drawing.strength)
        drawn = (*size, profile.evaluation.num_inference_steps, drawing, negative_of(pipe, embedded, drawing))

        def draw_one(seed: int) -> Any:
            (pixels,) = draw_embedded(pipe, [embedded[prompt]], [seed], *drawn)
            return network.enlarge(pixels) if network else pixels

        yield draw_one

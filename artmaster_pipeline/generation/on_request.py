"""Pictures on request: a prompt drawn with one of a painter's adapters, into files that say how they were made."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artmaster_pipeline.adapters.finding import folder_of
from artmaster_pipeline.adapters.in_use import adapter_in_use
from artmaster_pipeline.adapters.withdrawn import check_not_withdrawn
from artmaster_pipeline.base_models.hub import family_here
from artmaster_pipeline.base_models.scripts import unread_message
from artmaster_pipeline.drawing_settings import DrawingSettings, drawing_of
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.files import check_folder, inside
from artmaster_pipeline.pictures import AI_GENERATED, is_whole, write_png
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import Adapter, identity
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import CROP_SIZES, Home, Profile

_LONGEST_NAME = 48  # characters of the prompt in a file's name


@dataclass(frozen=True)
class _Wanted:
    """A picture to draw and the file it goes to."""

    id: str
    seed: int
    file: Path


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
    (512, 768), at the profile's scale. Strength and guidance are those chosen for the adapter (`drawing_of`) where they
    are not said. The same request gives the same files: those that are there are not drawn again. Raises WrongUse for
    an unknown adapter, a size, a count or a drawing that cannot be, and where a file of that name holds something else;
    ArtMasterError where the painter has no adapter yet; HoldsWithdrawn where a work in the adapter was withdrawn.
    """
    if count < 1:
        raise WrongUse(f"{count} pictures cannot be drawn: ask for one or more.")
    if size not in CROP_SIZES:
        shapes = " or ".join(f"{width}x{height}" for width, height in CROP_SIZES)
        raise WrongUse(f"{size[0]}x{size[1]} is not a size that adapters are trained for: choose {shapes}.")
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
    check_folder(out)
    if newer:
        progress.say(newer)
    said = _with_trigger(prompt, adapter.trigger)
    family = family_here(profile.base_model)
    if family is not None and (unread := unread_message([prompt], family, "prompt")):
        progress.say(unread)
    network = _network(profile) if enlarge else None
    wanted = _wanted(adapter, profile, drawing, said, range(seed, seed + count), size, network, out)
    missing = [picture for picture in wanted if not _is_there(picture)]
    with progress.task(f"drawing for {painter}", count, count - len(missing)) as advance:
        if missing:
            with _open_drawing(home, adapter, profile, drawing, said, profile.size(*size), network) as draw_one:
                for picture in missing:
                    facts = _facts(adapter, profile, drawing, said, picture)
                    facts |= {"enlarged_by": network.name} if network else {}
                    write_png(picture.file, draw_one(picture.seed), facts)
                    advance(note=picture.file.name)
    return [picture.file for picture in wanted]


def _with_trigger(prompt: str, trigger: str) -> str:
    prompt = " ".join(prompt.split())
    if trigger.casefold() in prompt.casefold():
        return prompt
    return f"{trigger}, {prompt}" if prompt else trigger


def _network(profile: Profile) -> Any:
    from artmaster_pipeline.superres import load_network

    return load_network(profile.super_resolution, profile.device)


def _wanted(
    adapter: Adapter,
    profile: Profile,
    drawing: DrawingSettings,
    prompt: str,
    seeds: Sequence[int],
    size: tuple[int, int],
    network: Any,
    out: Path,
) -> list[_Wanted]:
    how: tuple[Any, ...] = (
        profile.size(*size),
        profile.evaluation.num_inference_steps,
        drawing.guidance_scale,
        profile.max_sequence_length,
        (profile.dtype, profile.quantization),
        network.identity if network else "",
    )
    if further := drawing.further():
        how += (further,)
    name = file_name(prompt.removeprefix(adapter.trigger), adapter.painter)
    wanted = []
    for seed in seeds:
        key = identity("generated", adapter.id, adapter.sha256, prompt, seed, *how)
        wanted.append(_Wanted(key, seed, inside(out, f"{name}-{seed}-{key[:8]}.png")))
    return wanted


def file_name(prompt: str, otherwise: str) -> str:
    """The letters and digits of a prompt (of any script) joined by hyphens; `otherwise` where it has none."""
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFC", prompt).lower())
    return "-".join(words)[:_LONGEST_NAME].strip("-") or otherwise


def _is_there(picture: _Wanted) -> bool:
    if not picture.file.exists():
        return False
    if picture.file.is_file() and is_whole(picture.file, picture.id):
        return True
    raise WrongUse(f"{picture.file} exists and is not the picture asked for: move it away or choose another --out.")


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
    from artmaster_pipeline.base_models import base_revision, open_pipeline
    from artmaster_pipeline.generation.sampling import draw_embedded, embed_texts, negative_of

    if base_revision(profile, home) != adapter.base_revision:
        raise WrongUse(
            f"The base model {adapter.base_model} is no longer the one that the adapter {adapter.id} was trained on "
            f"(revision {adapter.base_revision}): run `artmaster run {adapter.painter}` to train on the present one."
        )
    embedded = embed_texts(profile, [prompt], home, drawing)
    with open_pipeline(profile, ("transformer", "vae"), home) as pipe:
        attach(pipe, folder_of(home, adapter), drawing.strength)
        drawn = (*size, profile.evaluation.num_inference_steps, drawing, negative_of(pipe, embedded, drawing))

        def draw_one(seed: int) -> Any:
            (pixels,) = draw_embedded(pipe, [embedded[prompt]], [seed], *drawn)
            return network.enlarge(pixels) if network else pixels

        yield draw_one


def _facts(
    adapter: Adapter, profile: Profile, drawing: DrawingSettings, prompt: str, picture: _Wanted
) -> dict[str, Any]:
    return {
        "id": picture.id,
        "notice": AI_GENERATED,
        "prompt": prompt,
        "seed": picture.seed,
        "adapter": adapter.id,
        "base_model": adapter.base_model,
        "base_revision": adapter.base_revision,
        "num_inference_steps": profile.evaluation.num_inference_steps,
        "guidance_scale": drawing.guidance_scale,
        **drawing.further(),
    }

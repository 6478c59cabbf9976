"""Mixed pictures: several painters' adapters in one, drawn on request into files, or for whoever keeps the pixels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.base_models.hub import family_here
from artmaster_pipeline.base_models.scripts import unread_message
from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.experts.gating import (
    Knowledge,
    by_prompt,
    experts_of,
    gate_of,
    knowledge_of,
    token_grid,
    unmapped,
)
from artmaster_pipeline.experts.mixing import mixture
from artmaster_pipeline.experts.resolving import Resolved, check_base, plain_words
from artmaster_pipeline.generation.requests import (
    Wanted,
    check_request,
    enlarging,
    facts_of,
    file_name,
    how_drawn,
    wanted_files,
)
from artmaster_pipeline.pictures import write_png
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import identity
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import Home, Profile

if TYPE_CHECKING:
    import numpy as np
    import torch

    from artmaster_pipeline.base_models import TextEmbedding

_MOVES = range(-24, 25)  # tokens: by how much two painters' triggers may differ in length


@dataclass(frozen=True)
class MixedDrawing:
    """A picture to be drawn: by a mix, or, without one, by the base as it is drawn beside a mix."""

    heard: tuple[tuple[str, float], ...]  # prompts, of which the model hears the mean, and the weight of each
    seed: int
    size: tuple[int, int]  # the model's own pixels
    settings: DrawingSettings
    resolved: Resolved | None
    knowledge: Knowledge

    @property
    def together(self) -> tuple[Any, ...]:
        """What pictures share that one attaching of experts serves."""
        if self.resolved is None:
            return ("",)
        return tuple((chosen.adapter.id, chosen.strength) for chosen in self.resolved.experts)

    @property
    def how(self) -> tuple[Any, ...]:
        """What pictures of one batch share besides."""
        return (*self.size, self.settings)


def drawing_by(resolved: Resolved, prompt: str, seed: int, size: tuple[int, int], knowledge: Knowledge) -> MixedDrawing:
    """A picture by a mix; `prompt` is without triggers, `size` is in the profile's pixels."""
    return MixedDrawing(resolved.heard(prompt), seed, size, resolved.drawing, resolved, knowledge)


def picture_id(resolved: Resolved, knowledge: Knowledge, profile: Profile, prompt: str, seed: int, *how: Any) -> str:
    """The id of a mixed picture: made from the mix, its adapters' weights, what is known of them, prompt, seed."""
    return identity("mixed", resolved.identity(), knowledge.identity, prompt, seed, *how)


def draw_mixed(home: Home, profile: Profile, drawings: Sequence[MixedDrawing]) -> "Iterator[np.ndarray]":
    """The pictures of `drawings` in their order, uint8 (height, width, 3), each as soon as its batch is drawn.

    Neighbours that share experts, size and settings are drawn together, whatever their gates: so pictures of one mix
    should be neighbours. The base is loaded once.
    """
    from artmaster_pipeline.base_models import open_pipeline
    from artmaster_pipeline.generation.sampling import embed_texts

    if not drawings:
        return
    for resolved in {id(d.resolved): d.resolved for d in drawings if d.resolved is not None}.values():
        check_base(home, resolved)
    guided = max(drawings, key=lambda drawing: drawing.settings.true_cfg_scale).settings  # embeds what that needs
    embedded = embed_texts(profile, {text for drawing in drawings for text, _ in drawing.heard}, home, guided)
    with open_pipeline(profile, ("transformer", "vae"), home) as pipe:
        for _, of in groupby(drawings, key=lambda drawing: drawing.together):
            yield from _of_these_experts(pipe, home, profile, list(of), embedded)


def _of_these_experts(
    pipe: Any,
    home: Home,
    profile: Profile,
    drawings: Sequence[MixedDrawing],
    embedded: "Mapping[str, TextEmbedding]",
) -> "Iterator[np.ndarray]":
    resolved = drawings[0].resolved
    if resolved is None:
        for batch in _batches(drawings, profile):
            yield from _pixels(pipe, profile, batch, embedded)
        return
    with mixture(pipe, experts_of(home, resolved)) as mixing:
        for batch in _batches(drawings, profile):
            mixing.use([_gate(pipe, home, drawing) for drawing in batch])
            yield from _pixels(pipe, profile, batch, embedded)


def _gate(pipe: Any, home: Home, drawing: MixedDrawing) -> Any:
    assert drawing.resolved is not None
    factor_map = drawing.knowledge.map_for(pipe.transformer)
    return gate_of(home, drawing.resolved, factor_map, token_grid(pipe, *drawing.size))


def _pixels(
    pipe: Any, profile: Profile, batch: Sequence[MixedDrawing], embedded: "Mapping[str, TextEmbedding]"
) -> "list[np.ndarray]":
    from artmaster_pipeline.generation.sampling import draw_embedded, negative_of

    first = batch[0]
    negative = negative_of(pipe, embedded, first.settings)
    steps = profile.evaluation.num_inference_steps
    texts = [_heard(embedded, drawing) for drawing in batch]
    return draw_embedded(pipe, texts, [d.seed for d in batch], *first.size, steps, first.settings, negative)


def _heard(embedded: "Mapping[str, TextEmbedding]", drawing: MixedDrawing) -> "TextEmbedding":
    return mean_text([(embedded[text], weight) for text, weight in drawing.heard])


def mean_text(heard: "Sequence[tuple[TextEmbedding, float]]") -> "TextEmbedding":
    """The mean of the embeddings of what a picture's painters hear, weighed by their parts, which add up to one.

    So the ends of an interpolation are each painter alone, and no painter's trigger speaks louder than the painter has
    a part: all triggers in one prompt let one of them decide the layout, whoever had what. Triggers are of different
    lengths, so the same word of the prompt stands at different places: the texts are moved until it does not.
    """
    from artmaster_pipeline.base_models import TextEmbedding

    leading = max(heard, key=lambda part: part[1])[0]
    if len(heard) == 1:
        return leading
    return TextEmbedding(
        {
            name: sum(weight * _moved(text.tensors[name], there) for text, weight in heard)
            for name, there in leading.tensors.items()
        },
        max(text.words for text, _ in heard),
    )


def _moved(text: "torch.Tensor", leading: "torch.Tensor") -> "torch.Tensor":
    """Tokens x width, moved around by as many places as bring it nearest to `leading`; one vector is left as it is.

    FLUX.1 gives text tokens no place (their ids are zeros), so moving them changes nothing but what they are added to.
    """
    if text.dim() < 2:
        return text
    here = text.float()
    far = {places: float((here.roll(places, 0) - leading.float()).square().sum()) for places in _MOVES}
    return text.roll(min(_MOVES, key=lambda places: (far[places], abs(places))), 0)


def _batches(drawings: Sequence[MixedDrawing], profile: Profile) -> Iterator[list[MixedDrawing]]:
    for _, same in groupby(drawings, key=lambda drawing: drawing.how):
        of = list(same)
        for begin in range(0, len(of), profile.evaluation.batch_size):
            yield of[begin : begin + profile.evaluation.batch_size]


@session()
def mix_pictures(
    home: Home,
    prompt: str,
    steps: Sequence[Resolved],
    count: int = 1,
    seed: int = 0,
    *,
    out: Path = Path(),
    enlarge: bool = False,
    long_side: int | None = None,
    size: tuple[int, int] = (512, 512),
    progress: Progress = SILENT,
) -> list[Path]:
    """Draw `count` pictures of `prompt` by a mix, with the seeds `seed`, `seed + 1`, ...; gives their files in `out`.

    `steps` is one mix, or those of an interpolation: then each seed gives a picture per step, and a strip of all of
    them. The model hears the mean of each painter's own prompt. The same request gives the same files: those
    that are there are not drawn again. `enlarge`, `long_side` and what it raises are as in `generation.generate`.
    """
    check_request(count, size, out)
    resolved, profile = steps[0], steps[0].profile
    for newer in dict.fromkeys(chosen.newer for chosen in resolved.experts if chosen.newer):
        progress.say(newer)
    family = family_here(profile.base_model)
    if family is not None and (unread := unread_message([prompt], family, "prompt")):
        progress.say(unread)
    network = enlarging(
        home, (each.painter for each in resolved.adapters), profile, size, enlarge, long_side, progress.say
    )
    knowledge = knowledge_of(home, resolved.adapters)
    said = plain_words(prompt)
    if said_nothing := unmapped(resolved, knowledge):
        progress.say(said_nothing)
    if len(steps) == 1:
        resolved, why = by_prompt(home, resolved, prompt)
        steps = [resolved]
        if why:
            progress.say(why)
    wanted: dict[tuple[int, int], tuple[Wanted, Resolved]] = {}
    for number, step in enumerate(steps):
        how = how_drawn(profile, step.drawing, size, network)
        ids = ((s, picture_id(step, knowledge, profile, said, s, *how)) for s in range(seed, seed + count))
        name = f"{file_name(prompt, 'mix')}{f'-{number}' if len(steps) > 1 else ''}"
        wanted |= {(picture.seed, number): (picture, step) for picture in wanted_files(out, name, ids)}
    missing = [key for key in sorted(wanted) if not wanted[key][0].is_there()]
    with progress.task("drawing a mix", len(wanted), len(wanted) - len(missing)) as advance:
        drawings = [
            drawing_by(step, said, picture.seed, profile.size(*size), knowledge)
            for picture, step in (wanted[key] for key in missing)
        ]
        for key, pixels in zip(missing, draw_mixed(home, profile, drawings), strict=True):
            picture, step = wanted[key]
            facts = facts_of(picture, step.drew, profile, step.drawing, said, network)
            write_png(picture.file, network.enlarge(pixels) if network else pixels, facts | mix_facts(step))
            advance(note=picture.file.name)
    files = [wanted[key][0].file for key in sorted(wanted)]
    return files + (_strips(files, len(steps), wanted, prompt, out) if len(steps) > 1 else [])


def mix_facts(resolved: Resolved) -> dict[str, Any]:
    """What a mixed picture's file says of its gates beside what every picture says."""
    return {"mix": resolved.mix.in_words(), "gates": resolved.record()}


def _strips(
    files: Sequence[Path], steps: int, wanted: Mapping[tuple[int, int], Any], prompt: str, out: Path
) -> list[Path]:
    """One picture per seed with all steps side by side."""
    import numpy as np

    from artmaster_pipeline.pictures import AI_GENERATED, is_whole, read_rgb

    found = []
    for begin in range(0, len(files), steps):
        parts = [wanted[key] for key in sorted(wanted)][begin : begin + steps]
        seed, key = parts[0][0].seed, identity("strip", [part[0].id for part in parts])
        (strip,) = wanted_files(out, f"{file_name(prompt, 'mix')}-strip", [(seed, key)])
        adapters = dict.fromkeys(adapter.id for _, step in parts for adapter in step.drew)
        facts = {"id": key, "notice": AI_GENERATED, "prompt": plain_words(prompt), "seed": seed}
        facts |= {
            "adapter": ", ".join(adapters),
            "mix": f"{parts[0][1].mix.in_words()} to {parts[-1][1].mix.in_words()}",
        }
        facts |= {"base_model": parts[0][1].first.base_model, "base_revision": parts[0][1].first.base_revision}
        if not (strip.file.is_file() and is_whole(strip.file, key)):
            write_png(strip.file, np.concatenate([read_rgb(file) for file in files[begin : begin + steps]], 1), facts)
        found.append(strip.file)
    return found

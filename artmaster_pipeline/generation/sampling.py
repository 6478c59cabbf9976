"""Drawing pictures with a pipeline, in batches; each has its own seed, which means the same noise on every device.

Texts are embedded once each, and pictures can be drawn from embeddings alone, without text encoders on the pipeline.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from artmaster_pipeline.adapters.switching import off_in_unguided
from artmaster_pipeline.base_models.compiling import compile_repeated_blocks
from artmaster_pipeline.base_models.family import TextEmbedding, family_for
from artmaster_pipeline.drawing_settings import DrawingSettings, drawing_of
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.settings import Home, Profile
from artmaster_pipeline.threads import denoising, giving_way

if TYPE_CHECKING:
    import torch

_WORTH_COMPILING = (
    32  # pictures: an estimate, since compiling takes as long as drawing a dozen and saves a part of each
)


# diffusers' `callback_on_step_end`: the pipeline, the step's number, its timestep, and tensors by name, which it gives
AfterStep = Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Drawing:
    """One picture to be drawn, in diffusers' words; width and height are the model's own pixels."""

    prompt: str
    seed: int
    width: int
    height: int
    num_inference_steps: int
    settings: DrawingSettings
    max_sequence_length: int

    @property
    def how(self) -> tuple[int, int, int, DrawingSettings]:
        """What pictures of one batch share."""
        return self.width, self.height, self.num_inference_steps, self.settings


def draw(
    pipe: Any,
    prompt: str,
    seed: int,
    width: int,
    height: int,
    num_inference_steps: int,
    settings: DrawingSettings,
    max_sequence_length: int,
) -> np.ndarray:
    """One picture, uint8 (height, width, 3), sRGB.

    An adapter is on as it was attached: `settings.strength` is for whoever attaches it. A prompt beyond
    `max_sequence_length` is cut there. Raises WrongUse for a size that the latents do not divide.
    """
    drawing = Drawing(prompt, seed, width, height, num_inference_steps, settings, max_sequence_length)
    return next(draw_all(pipe, [drawing]))


def draw_all(
    pipe: Any,
    drawings: Iterable[Drawing],
    progress: Progress = SILENT,
    description: str = "Drawing",
    batch_size: int = 1,
) -> Iterator[np.ndarray]:
    """The pictures of `drawings` in order, each given as soon as its batch is drawn.

    A batch holds up to `batch_size` neighbours of equal size, steps and settings. What a picture is batched with may
    change its last digits, so the same list gives the same pictures. Raises WrongUse, before anything is drawn, for a
    size that the latents do not divide.
    """
    wanted, embedded = list(drawings), Embedder(pipe)
    for drawing in wanted:
        _check_size(pipe, drawing.width, drawing.height)
    with progress.task(description, len(wanted)) as advance:
        for batch in batches_of(wanted, batch_size):
            texts = [embedded(drawing.prompt, drawing.max_sequence_length) for drawing in batch]
            without = family_for(pipe).negative_prompt(batch[0].settings)
            negative = None if without is None else embedded(without, batch[0].max_sequence_length)
            pictures = draw_embedded(pipe, texts, [drawing.seed for drawing in batch], *batch[0].how, negative)
            for drawing, pixels in zip(batch, pictures, strict=True):
                advance(note=drawing.prompt[:40])
                yield pixels


def batches_of(drawings: Sequence[Drawing], batch_size: int) -> Iterator[list[Drawing]]:
    """Neighbours that can be drawn together, `batch_size` at most."""
    batch: list[Drawing] = []
    for drawing in drawings:
        if batch and (len(batch) == batch_size or drawing.how != batch[0].how):
            yield batch
            batch = []
        batch.append(drawing)
    if batch:
        yield batch


def draw_embedded(
    pipe: Any,
    texts: Sequence[TextEmbedding],
    seeds: Sequence[int],
    width: int,
    height: int,
    num_inference_steps: int,
    settings: DrawingSettings,
    negative: TextEmbedding | None = None,
    further: Mapping[str, Any] = MappingProxyType({}),
    after_step: AfterStep | None = None,
) -> list[np.ndarray]:
    """One batch of pictures from embeddings: uint8 (height, width, 3), sRGB.

    `further` holds what a pipeline of another form takes besides (`forms.as_form`), in diffusers' words: the `image`,
    the `mask_image`, the `strength`; or the `latents` to begin with. `after_step` is diffusers' `callback_on_step_end`.

    `negative` is the embedding of what the family's `negative_prompt` names for these settings, if it names one. An
    adapter is on at the strength at which it was attached; compiled blocks run uncompiled where it is off in a pass.
    The noise comes from a CPU generator of each picture alone, so a seed means the same noise on CPU and CUDA, whatever
    is drawn beside it. Raises WrongUse for a size that the latents do not divide.
    """
    import torch

    _check_size(pipe, width, height)
    transformer, family = pipe.transformer, family_for(pipe)
    given = family.conditioning(texts, negative, transformer.device, transformer.dtype)
    with torch.inference_mode(), giving_way(), _passes(pipe, given, settings):
        pictures = pipe(
            **given,
            **family.guidance_arguments(settings),
            **further,
            width=width,
            height=height,
            num_inference_steps=num_inference_steps,
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            output_type="np",
            callback_on_step_end=_both(denoising(num_inference_steps), after_step),
        ).images
    return [np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8) for pixels in pictures]


def _both(first: AfterStep, then: AfterStep | None) -> AfterStep:
    if then is None:
        return first

    def after(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        return then(pipe, step, timestep, first(pipe, step, timestep, tensors))

    return after


@contextmanager
def _passes(pipe: Any, given: "Mapping[str, torch.Tensor]", settings: DrawingSettings) -> Iterator[None]:
    """The adapter on in both passes of a guided step, or off in the one without the prompt."""
    name = family_for(pipe).hidden_text
    negative = given.get(f"negative_{name}")
    if settings.adapter_in_unguided or negative is None:
        yield
        return
    # compiled blocks would have forms of their own for the adapter on and off, and change between them at every step
    with uncompiled(), off_in_unguided(pipe.transformer, given[name], negative):
        yield


def _check_size(pipe: Any, width: int, height: int) -> None:
    grid = family_for(pipe).pixels_per_token
    if width % grid or height % grid or min(width, height) < grid:
        raise WrongUse(f"{width}x{height} cannot be drawn: this model's pictures are multiples of {grid} pixels.")


def worth_compiling(pipe: Any, pictures: int) -> bool:
    """Whether so many pictures of one size, with the same adapter at one strength, pay for compiling.

    On CUDA alone. A quantised base is left as it is: bitsandbytes asks for settings of its own to be compiled
    (https://huggingface.co/docs/diffusers/quantization/bitsandbytes).
    """
    quantised = getattr(pipe.transformer, "hf_quantizer", None) is not None
    return pictures >= _WORTH_COMPILING and pipe.transformer.device.type == "cuda" and not quantised


def compile_blocks(pipe: Any, backend: str = "inductor") -> None:
    """Have the transformer's blocks compiled when they are first called, once for all blocks of a kind.

    Each size and batch has its own compiled form, since forms for any size need several variants for strides. The
    base and the adapters have their own, too; `attach(..., alike=True)` lets all blocks, adapters and strengths of one
    rank share one. Attached otherwise, nearly every block would be compiled alone. Draw what is not worth it within
    `uncompiled()`.
    """
    compile_repeated_blocks(pipe.transformer, backend)


@contextmanager
def uncompiled() -> Iterator[None]:
    """Compiled blocks run as if they were not, as long as this lasts."""
    import torch

    with torch.compiler.set_stance("force_eager"):
        yield


def embed_texts(
    profile: Profile, texts: Iterable[str], home: Home | None = None, settings: DrawingSettings | None = None
) -> dict[str, TextEmbedding]:
    """The embeddings of texts, and of what drawing with `settings` (none: the profile's) takes away from, on the CPU.

    The text encoders are loaded alone and are gone when this returns, before the transformer is loaded: of FLUX.1-dev
    both would not fit a card of 24 GB together. Raises WrongUse for settings that the base's family does not know.
    """
    import torch

    from artmaster_pipeline.base_models import family_of, open_pipeline

    family = family_of(profile, home)
    settings = settings or drawing_of(None, profile)
    family.guidance_arguments(settings)  # what it refuses is told before anything is loaded
    without = family.negative_prompt(settings)
    wanted = sorted({*texts, *([] if without is None else [without])})
    if not wanted:
        return {}
    found = {}
    with open_pipeline(profile, family.text_encoders, home) as pipe, torch.inference_mode():
        for text in wanted:
            embedding = family.encode_text(pipe, text, profile.device, profile.max_sequence_length)
            on_cpu = {name: tensor.cpu() for name, tensor in embedding.tensors.items()}
            found[text] = replace(embedding, tensors=on_cpu)
    return found


def negative_of(pipe: Any, embedded: Mapping[str, TextEmbedding], settings: DrawingSettings) -> TextEmbedding | None:
    """Of the texts' embeddings the one that drawing takes away from with these settings; None where it does not."""
    without = family_for(pipe).negative_prompt(settings)
    return None if without is None else embedded[without]


class Embedder:
    """Embeds each text once with the pipeline's encoders."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe
        self._known: dict[tuple[str, int], TextEmbedding] = {}

    def __call__(self, prompt: str, max_sequence_length: int) -> TextEmbedding:
        """The embedding of a prompt, cut at `max_sequence_length` tokens of T5."""
        import torch

        key = (prompt, max_sequence_length)
        if key not in self._known:
            with torch.inference_mode():
                device = self._pipe.transformer.device
                self._known[key] = family_for(self._pipe).encode_text(self._pipe, prompt, device, max_sequence_length)
        return self._known[key]

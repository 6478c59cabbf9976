"""A canvas painted: all hands in one generation, each where its region is, with its words, on the structure's lines."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from artmaster_pipeline.adapters.switching import is_unguided
from artmaster_pipeline.base_models.family import TextEmbedding, family_for
from artmaster_pipeline.copainting.canvas import token_masks
from artmaster_pipeline.copainting.painting.gate import CanvasGate
from artmaster_pipeline.copainting.painting.hands import Hands
from artmaster_pipeline.copainting.painting.listening import Heard, Speech, lengthened, listening, together
from artmaster_pipeline.copainting.painting.structure import signals_of
from artmaster_pipeline.experts.drawing import mean_text
from artmaster_pipeline.experts.gating import token_grid
from artmaster_pipeline.experts.mixing import mixture
from artmaster_pipeline.experts.resolving import check_base
from artmaster_pipeline.records import GROUND
from artmaster_pipeline.settings import Home

if TYPE_CHECKING:
    import torch

    from artmaster_pipeline.generation.sampling import AfterStep


@dataclass(frozen=True)
class Prepared:
    """A canvas on a loaded pipeline: all that its pictures share."""

    gate: CanvasGate
    heard: Heard
    whole: TextEmbedding  # the canvas' prompt as a single text
    negative: TextEmbedding | None  # as long as what is heard
    unguided: np.ndarray | None  # what attention's logits need for it
    size: tuple[int, int]  # the model's pixels


def draw_canvas(home: Home, hands: Hands, seeds: Sequence[int]) -> Iterator[np.ndarray]:
    """A picture for each seed, uint8 (height, width, 3), each as soon as its batch is drawn; the base is loaded once.

    Raises WrongUse where the base is no longer the one that the adapters were trained on, MissingRequirement where a
    control signal needs a network that is not here.
    """
    from artmaster_pipeline.base_models import open_pipeline
    from artmaster_pipeline.generation.sampling import embed_texts

    if not seeds:
        return
    for resolved in hands.resolved.values():
        check_base(home, resolved)
    profile = hands.profile
    embedded = embed_texts(profile, texts_of(hands), home, hands.drawing)
    with open_pipeline(profile, ("transformer", "vae"), home) as pipe:
        prepared = prepare(pipe, home, hands, embedded)
        with at_work(pipe, home, hands, prepared), signals_of(pipe, home, hands, prepared.whole):
            for begin in range(0, len(seeds), profile.evaluation.batch_size):
                yield from draw_batch(pipe, hands, prepared, seeds[begin : begin + profile.evaluation.batch_size])


def texts_of(hands: Hands) -> set[str]:
    """Every text that is heard."""
    parts = [hands.heard_as_a_whole(), *(hands.heard(name) for name in hands.resolved)]
    return {text for part in parts for text, _ in part}


def prepare(pipe: Any, home: Home, hands: Hands, embedded: Mapping[str, TextEmbedding]) -> Prepared:
    """The gate and the text of a canvas for this pipeline."""
    from artmaster_pipeline.generation.sampling import negative_of

    size = hands.profile.size(*hands.canvas.size)
    masks = token_masks(hands.canvas, *token_grid(pipe, *size))
    hidden = family_for(pipe).hidden_text
    gates = hands.gates(home, hands.knowledge.map_for(pipe.transformer))
    whole = text_of(embedded, hands.heard_as_a_whole())
    heard = together(hidden, Speech(whole), _speeches(hands, embedded), hands.shares)
    spoken = heard.segments if len(heard.spans) > 1 else ()
    gate = CanvasGate(gates, masks, GROUND, spoken)
    negative, unguided = negative_of(pipe, embedded, hands.drawing), None
    if negative is not None:
        negative, unguided = lengthened(negative, hidden, len(heard.segments))
    return Prepared(gate, heard, whole, negative, unguided, size)


def _speeches(hands: Hands, embedded: Mapping[str, TextEmbedding]) -> list[Speech]:
    """The prompts that hands have for themselves; hands that hear the same share one."""
    found: dict[tuple[tuple[str, float], ...], list[str]] = {}
    for name in hands.with_own_words:
        found.setdefault(hands.heard(name), []).append(name)
    return [Speech(text_of(embedded, heard), tuple(names)) for heard, names in found.items()]


def text_of(embedded: Mapping[str, TextEmbedding], heard: Sequence[tuple[str, float]]) -> TextEmbedding:
    """The mean of texts by their weights, which need not add up to one."""
    total = sum(weight for _, weight in heard)
    return mean_text([(embedded[text], weight / total) for text, weight in heard])


@contextmanager
def at_work(pipe: Any, home: Home, hands: Hands, prepared: Prepared) -> Iterator[None]:
    """The canvas' experts on the pipeline, gated and listening by region, as long as this lasts."""
    with ExitStack() as stack:
        mixing = stack.enter_context(mixture(pipe, hands.experts(home)))
        hears = _hears(pipe, prepared)
        mixing.use([prepared.gate], hears)
        stack.enter_context(listening(pipe, prepared.heard, prepared.gate.masks, hears, prepared.unguided))
        yield


def _hears(pipe: Any, prepared: Prepared) -> Any:
    """Whether the text of a pass is the canvas', and not what guidance takes away from."""
    if prepared.negative is None:
        return None
    hidden, like = family_for(pipe).hidden_text, pipe.transformer
    guided = prepared.heard.text.tensors[hidden].to(like.device, like.dtype)
    unguided = prepared.negative.tensors[hidden].to(like.device, like.dtype)

    def hears(text: "torch.Tensor") -> bool:
        return not is_unguided(text[0], guided, unguided)

    return hears


def draw_batch(
    pipe: Any,
    hands: Hands,
    prepared: Prepared,
    seeds: Sequence[int],
    further: Mapping[str, Any] = MappingProxyType({}),
    after_step: "AfterStep | None" = None,
) -> list[np.ndarray]:
    """Pictures of one batch, uint8 (height, width, 3), with whatever is at work on the pipeline.

    `further` and `after_step` are as in `sampling.draw_embedded`.
    """
    from artmaster_pipeline.generation.sampling import draw_embedded

    steps = hands.profile.evaluation.num_inference_steps
    texts = [prepared.heard.text] * len(seeds)
    how = (*prepared.size, steps, hands.drawing, prepared.negative, further, after_step)
    return draw_embedded(pipe, texts, seeds, *how)

"""Regional prompts: every region listens to its own words, softly, and most where the layout is decided.

The words of all prompts stand side by side in one text, as long as one prompt's: what fills a prompt up to its length
makes room for them, so a pass costs what it costs without. An image token i listens to the words of prompt s with a
weight w_s(i), which is added to attention's logits as its logarithm:

    w_s(i) = strength(sigma) * m_s(i) for a prompt that regions have for themselves, m_s the mask of those regions
    w_whole(i) = 1 - the sum of these

The weights add up to one on every token, so text as a whole is listened to as it always is; where no region has words
of its own nothing is changed at all. Between image tokens there is no bias: strokes run on across borders. What is left
of the filling keeps the weight that all of it had. (Published: a hard mask in the first steps,
https://arxiv.org/abs/2411.02395; a soft bias between image and text alone, https://arxiv.org/abs/2510.23515.)
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from artmaster_pipeline.base_models.family import TextEmbedding
from artmaster_pipeline.experts.mixing import Hears

if TYPE_CHECKING:
    import torch

_FAINTEST = 1e-3  # the least weight, so that no token is deaf to any word
_LEAST_FILLING = 8  # tokens that stay of what fills a prompt up
# How far a region keeps to its own words, by noise level: between the levels in a line. Layout is decided early, and
# what is said late changes detail alone. Tried on ten canvases: never 20.1, from noise 0.6 on alone 17.2, so 16.7, by
# 0.95 always 16.6, wholly 15.9 (distance to each painter alone; one pass for each painter: 14.7).
_STRENGTHS = ((0.0, 0.6), (0.3, 0.75), (0.6, 0.95), (1.0, 0.95))


@dataclass(frozen=True)
class Speech:
    """A prompt of a canvas: its embedding, and the hands whose regions it is for; for none it is the whole's."""

    text: TextEmbedding
    hands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Heard:
    """The text of a canvas as the transformer takes it."""

    text: TextEmbedding
    spans: tuple[tuple[tuple[str, ...], int, int], ...]  # hands, first token, token after the last
    filling: tuple[int, float]  # the first token of what fills up, and by how much less of it there is than there was

    @property
    def segments(self) -> tuple[tuple[str, ...], ...]:
        """Of each token the hands that it is for; empty for those of the whole."""
        tokens: list[tuple[str, ...]] = [()] * len(next(iter(_hidden(self.text))))
        for hands, begin, end in self.spans:
            tokens[begin:end] = [hands] * (end - begin)
        return tuple(tokens)


def together(hidden: str, whole: Speech, others: Sequence[Speech], areas: Mapping[str, float]) -> Heard:
    """The prompts of a canvas in one text, the whole's first; `hidden` is `Family.hidden_text`.

    `areas` are the hands' parts of the canvas, by which what is one vector for a whole text is averaged. The text is
    as long as one prompt, or longer where words need it. Prompts whose number of words is not known stand in full.
    """
    import torch

    embeds = [speech.text.tensors[hidden] for speech in (whole, *others)]
    lengths = [speech.text.words or len(tokens) for speech, tokens in zip((whole, *others), embeds, strict=True)]
    spans, begin = [], 0
    for speech, length in zip((whole, *others), lengths, strict=True):
        spans.append((speech.hands, begin, begin + length))
        begin += length
    filling = embeds[0][lengths[0] :]
    kept = filling[: max(min(len(filling), _LEAST_FILLING), len(embeds[0]) - begin)]
    joined = torch.cat([*(tokens[:length] for tokens, length in zip(embeds, lengths, strict=True)), kept])
    tensors = {
        name: joined
        if name == hidden
        else _mean([speech.text.tensors[name] for speech in (whole, *others)], whole, others, areas)
        for name in whole.text.tensors
    }
    less = math.log(len(filling) / len(kept)) if len(kept) else 0.0
    return Heard(TextEmbedding(tensors, begin), tuple(spans), (begin, less))


def _mean(
    vectors: "Sequence[torch.Tensor]", whole: Speech, others: Sequence[Speech], areas: Mapping[str, float]
) -> "torch.Tensor":
    """Vectors of whole texts, weighed by the area that each text is for; the whole's text has half of it all."""
    if not others:
        return vectors[0]
    parts = [sum(areas[hand] for hand in speech.hands) for speech in others]
    total = sum(parts) or 1.0
    own = sum(part / total * vector for part, vector in zip(parts, vectors[1:], strict=True))
    mean: torch.Tensor = (vectors[0] + own) / 2
    return mean


def lengthened(text: TextEmbedding, hidden: str, tokens: int) -> tuple[TextEmbedding, np.ndarray]:
    """A text with its last tokens repeated up to so many, and what attention's logits need so that nothing changes.

    diffusers wants both texts of a guided drawing equally long. Tokens of a text have no place of their own in FLUX.1,
    so a token that stands there n times, each with its weight times 1/n, is the token. Gives the text and the
    logarithms of these weights, (tokens,).
    """
    there = text.tensors[hidden]
    again = range(len(there), tokens)
    source = [*range(len(there)), *(len(there) - 1 - (place - len(there)) % len(there) for place in again)]
    times = np.bincount(source, minlength=len(there))
    tensors = {name: tensor[source] if name == hidden else tensor for name, tensor in text.tensors.items()}
    return TextEmbedding(tensors, text.words), -np.log(times[source]).astype(np.float32)


def strength_at(sigma: float) -> float:
    """How far regions keep to their own words at a noise level, 0..1."""
    levels, strengths = zip(*_STRENGTHS, strict=True)
    return float(np.interp(sigma, levels, strengths))


def bias_at(heard: Heard, masks: Mapping[str, np.ndarray], strength: float) -> np.ndarray:
    """What is added to attention's logits, (text + image tokens) squared: a row listens, a column is listened to."""
    text = len(next(iter(_hidden(heard.text))))
    image = next(iter(masks.values())).size
    bias = np.zeros((text + image, text + image), dtype=np.float32)
    spans = [(hands, begin, end) for hands, begin, end in heard.spans if end > begin]
    own = {
        hands: strength * np.sum([np.reshape(masks[hand], -1) for hand in hands], axis=0)
        for hands, _, _ in spans
        if hands
    }
    for hands, begin, end in spans:
        weight = own[hands] if hands else 1 - np.sum([np.zeros(image), *own.values()], axis=0)
        logs = np.log(np.clip(weight, _FAINTEST, 1))
        bias[text:, begin:end] = logs[:, None]
        if hands:
            where = weight / max(weight.max(), _FAINTEST)  # words listen to their own region
            bias[begin:end, text:] = np.log(np.clip(1 - strength + strength * where, _FAINTEST, 1))[None, :]
            for other, first, after in spans:
                if other and other != hands:
                    bias[begin:end, first:after] = math.log(max(1 - strength, _FAINTEST))
    first, less = heard.filling
    bias[:, first:text] += less
    return bias


@contextmanager
def listening(
    pipe: Any,
    heard: Heard,
    masks: Mapping[str, np.ndarray],
    hears: "Hears | None" = None,
    unguided: np.ndarray | None = None,
) -> Iterator[None]:
    """Let every pass of the transformer that hears this text keep its regions to their words, as long as this lasts.

    A pass without the prompt is told apart by `hears`, asked with the text of the pass; `unguided` is what its text
    needs in turn (`lengthened`). Changes nothing where there is one prompt alone, in full.
    """
    if len(heard.spans) == 1 and not heard.filling[1]:
        yield
        return
    at_each_pass = _Bias(heard, masks, hears, unguided).before_pass
    hook = pipe.transformer.register_forward_pre_hook(at_each_pass, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


class _Bias:
    """Attention's bias in each pass; made anew only where the noise level has changed."""

    def __init__(
        self, heard: Heard, masks: Mapping[str, np.ndarray], hears: "Hears | None", unguided: np.ndarray | None
    ) -> None:
        self._heard, self._masks, self._hears, self._unguided = heard, masks, hears, unguided
        self._known: dict[float | None, torch.Tensor] = {}

    def before_pass(self, _: Any, args: tuple[Any, ...], given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The pass' arguments with the bias, in the dtype of what attends."""
        import torch

        text, states = given["encoder_hidden_states"], given["hidden_states"]
        guided = self._hears is None or self._hears(text)
        # in steps of a twentieth: at 1024x1024 a bias is 85 MB, which is not made anew for each of 28 steps
        strength = round(20 * strength_at(float(given["timestep"].reshape(-1)[0]))) / 20 if guided else None
        if strength not in self._known:
            found = self._bias(strength, states.shape[1])
            self._known = {key: bias for key, bias in self._known.items() if key is None}  # of the step before
            self._known[strength] = torch.from_numpy(found).to(states.device, states.dtype)[None, None]
        further = dict(given.get("joint_attention_kwargs") or {}) | {"attention_mask": self._known[strength]}
        return args, given | {"joint_attention_kwargs": further}

    def _bias(self, strength: float | None, image: int) -> np.ndarray:
        if strength is not None:
            return bias_at(self._heard, self._masks, strength)
        text = len(self._heard.segments)
        columns = np.zeros(text + image, dtype=np.float32)
        if self._unguided is not None:
            columns[:text] = self._unguided
        return np.broadcast_to(columns, (text + image, text + image)).copy()


def _hidden(text: TextEmbedding) -> "list[torch.Tensor]":
    """The tensor of a text that has a row for each token."""
    return [tensor for tensor in text.tensors.values() if tensor.dim() == 2]

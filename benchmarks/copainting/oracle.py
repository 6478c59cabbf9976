"""What a canvas is compared with: every hand in a pass of its own, and all adapters added up without regions."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from artmaster_pipeline.adapters.switching import is_unguided
from artmaster_pipeline.base_models.family import TextEmbedding, family_for
from artmaster_pipeline.copainting.painting.drawing import Prepared, text_of
from artmaster_pipeline.copainting.painting.gate import CanvasGate
from artmaster_pipeline.copainting.painting.hands import Hands
from artmaster_pipeline.experts.mixing import mixture
from artmaster_pipeline.generation.sampling import draw_embedded


def alone(hands: Hands, prepared: Prepared, name: str) -> CanvasGate:
    """The gate under which one hand has the whole canvas."""
    masks = {hand: np.full_like(mask, float(hand == name)) for hand, mask in prepared.gate.masks.items()}
    return CanvasGate(prepared.gate.hands, masks, prepared.gate.ground)


def drawn(pipe: Any, hands: Hands, prepared: Prepared, text: TextEmbedding, seed: int, negative: Any) -> np.ndarray:
    """One picture of a text with whatever is at work on the pipeline."""
    steps = hands.profile.evaluation.num_inference_steps
    return draw_embedded(pipe, [text], [seed], *prepared.size, steps, hands.drawing, negative)[0]


def solo(pipe: Any, home: Any, hands: Hands, prepared: Prepared, embedded: Any, name: str, seed: int) -> np.ndarray:
    """One hand alone: its adapters on all tokens, its own prompt."""
    from artmaster_pipeline.generation.sampling import negative_of

    with mixture(pipe, hands.experts(home), [alone(hands, prepared, name)]):
        return drawn(
            pipe,
            hands,
            prepared,
            text_of(embedded, hands.heard(name)),
            seed,
            negative_of(pipe, embedded, hands.drawing),
        )


def weighted_sum(pipe: Any, home: Any, hands: Hands, prepared: Prepared, embedded: Any, seed: int) -> np.ndarray:
    """All adapters everywhere, each by its part of the canvas, and the canvas' prompt: no regions at all."""
    from artmaster_pipeline.generation.sampling import negative_of

    masks = {hand: np.full_like(mask, mask.mean()) for hand, mask in prepared.gate.masks.items()}
    gate = CanvasGate(prepared.gate.hands, masks, prepared.gate.ground)
    with mixture(pipe, hands.experts(home), [gate]):
        return drawn(pipe, hands, prepared, prepared.whole, seed, negative_of(pipe, embedded, hands.drawing))


def one_pass_each(pipe: Any, home: Any, hands: Hands, prepared: Prepared, embedded: Any, seed: int) -> np.ndarray:
    """The oracle: in each step one pass for each hand, with its adapters and its prompt alone, blended by the masks.

    Blending the velocities of a step is blending the latents that they lead to.
    """
    from artmaster_pipeline.generation.sampling import negative_of

    negative = negative_of(pipe, embedded, hands.drawing)
    there = [name for name in hands.resolved if hands.shares[name] > 0]
    texts = {name: text_of(embedded, hands.heard(name)) for name in there}
    with mixture(pipe, hands.experts(home)) as mixing, _passes(pipe, mixing, hands, prepared, texts, negative):
        return drawn(pipe, hands, prepared, texts[there[0]], seed, negative)


@contextmanager
def _passes(pipe: Any, mixing: Any, hands: Hands, prepared: Prepared, texts: Any, negative: Any) -> Iterator[None]:
    """Let every pass be one for each hand."""
    import torch

    transformer, family = pipe.transformer, family_for(pipe)
    forward = transformer.forward
    hidden = family.hidden_text
    first = next(iter(texts.values())).tensors[hidden]
    gates = {name: alone(hands, prepared, name) for name in texts}

    def each(*args: Any, **given: Any) -> Any:
        said = given["encoder_hidden_states"]
        unguided = negative is not None and is_unguided(said[0], first, negative.tensors[hidden])
        whole: Any = 0
        for name, text in texts.items():
            mixing.use([gates[name]])
            own = dict(given)
            if not unguided:
                own["encoder_hidden_states"] = text.tensors[hidden][None].to(said)
                own["pooled_projections"] = text.tensors["pooled_prompt_embeds"][None].to(said)
            hooked = mixing._before_pass(transformer, (), own)  # the hook ran for the outer call alone
            assert hooked is None
            mask = torch.from_numpy(np.reshape(prepared.gate.masks[name], -1)).to(said)
            whole = whole + forward(*args, **own)[0] * mask[None, :, None]
        return (whole,)

    transformer.forward = each
    mixing.use([next(iter(gates.values()))])
    try:
        yield
    finally:
        del transformer.forward

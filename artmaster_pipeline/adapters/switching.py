"""Switching an adapter off for a part of a drawing: the pass without the prompt of classifier-free guidance."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@contextmanager
def off_in_unguided(transformer: Any, guided: "torch.Tensor", unguided: "torch.Tensor") -> Iterator[None]:
    """Let the transformer be the base's, exactly, in calls whose text is `unguided`; in those of `guided` as it is.

    Both are texts' embeddings as the pipeline is given them, so whatever the order of the calls. It holds for adapters
    that diffusers put on and for one in training, since both are PEFT's layers, and each layer is left as it was found.
    Where the pipeline copies its texts, they are told apart by their numbers: a prompt that is itself the empty one
    then counts as guided.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [module for module in transformer.modules() if isinstance(module, BaseTunerLayer)]
    before = [layer._disable_adapters for layer in layers]

    def switch(_: Any, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        off = is_unguided(given["encoder_hidden_states"], guided, unguided)
        for layer, was_off in zip(layers, before, strict=True):
            layer._disable_adapters = was_off or off

    hook = transformer.register_forward_pre_hook(switch, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()
        for layer, was_off in zip(layers, before, strict=True):
            layer._disable_adapters = was_off


def is_unguided(text: "torch.Tensor", guided: "torch.Tensor", unguided: "torch.Tensor") -> bool:
    """Whether a pass hears the text that is taken away from: by the tensor, or, where it is a copy, by its numbers."""
    import torch

    if text is guided or text is unguided:
        return text is unguided
    return text.shape == unguided.shape and torch.equal(text, unguided) and not torch.equal(guided, unguided)

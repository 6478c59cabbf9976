"""What a mix of experts is compared with: a weighted sum, one expert per step, adapters merged by PEFT.

Each is a context manager like `experts.mixture`, with one weight for each expert; afterwards all adapters are off.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer

from artmaster_pipeline.adapters import detach
from artmaster_pipeline.adapters.attaching import DOWN, PREFIX, UP
from artmaster_pipeline.experts import Expert
from artmaster_pipeline.experts.joining import joined


@contextmanager
def weighted_sum(pipe: Any, experts: Sequence[Expert], weights: Sequence[float]) -> Iterator[None]:
    """diffusers' `set_adapters`: all experts everywhere, at these weights."""
    names = _load(pipe, experts)
    try:
        pipe.set_adapters(names, [w * expert.strength for w, expert in zip(weights, experts, strict=True)])
        yield
    finally:
        detach(pipe)


@contextmanager
def switching(pipe: Any, experts: Sequence[Expert], weights: Sequence[float]) -> Iterator[list[int]]:
    """One expert per step, in turns as their weights ask; gives the list that the experts' numbers go to."""
    names, turns = _load(pipe, experts), Turns(weights)
    pipe.set_adapters(names, [expert.strength for expert in experts])
    layers = [module for module in pipe.transformer.modules() if isinstance(module, LoraLayer)]
    strengths = [dict(layer.scaling) for layer in layers]

    def switch(_: Any, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        chosen = names[turns.at(float(given["timestep"].reshape(-1)[0]))]
        for layer, own in zip(layers, strengths, strict=True):
            layer.scaling.update({name: own[name] if name == chosen else 0.0 for name in own})

    hook = pipe.transformer.register_forward_pre_hook(switch, with_kwargs=True)
    try:
        yield turns.taken
    finally:
        hook.remove()
        detach(pipe)


class Turns:
    """Whose step it is: the expert that is furthest behind its weight; a step may have two passes."""

    def __init__(self, weights: Sequence[float]) -> None:
        self._weights = [weight / sum(weights) for weight in weights]
        self._due: list[float] = []
        self._sigma = 0.0
        self.taken: list[int] = []

    def at(self, sigma: float) -> int:
        """The expert of the step at this noise level; a level above the last one begins another picture."""
        if sigma > self._sigma:
            self._due = [0.0] * len(self._weights)
        if sigma != self._sigma:
            self._due = [due + weight for due, weight in zip(self._due, self._weights, strict=True)]
            chosen = max(range(len(self._due)), key=lambda number: (round(self._due[number], 9), -number))
            self._due[chosen] -= 1
            self.taken.append(chosen)
        self._sigma = sigma
        return self.taken[-1]


@contextmanager
def merged(pipe: Any, experts: Sequence[Expert], weights: Sequence[float]) -> Iterator[None]:
    """PEFT's `add_weighted_adapter` with the combination "cat", as one LoRA."""
    tensors = cat(pipe, experts, [w * expert.strength for w, expert in zip(weights, experts, strict=True)])
    pipe.load_lora_weights(tensors, adapter_name="merged")
    for module in pipe.transformer.modules():
        if isinstance(module, LoraLayer):
            module.scaling["merged"] = 1.0
    try:
        yield
    finally:
        detach(pipe)


def cat(pipe: Any, experts: Sequence[Expert], weights: Sequence[float]) -> dict[str, torch.Tensor]:
    """The LoRA that PEFT makes of the experts, each filled up to one rank, which it asks for."""
    names, transformer = [f"part{number}" for number in range(len(experts))], pipe.transformer
    alone = [joined(pipe, [expert.weights], alike=True) for expert in experts]
    layers = sorted({layer for one in alone for layer in one.ranks})
    model = None
    for name, one in zip(names, alone, strict=True):
        rank = next(iter(one.ranks.values()))[0]
        config = LoraConfig(r=rank, lora_alpha=rank, target_modules=layers)
        if model is None:
            model = get_peft_model(transformer, config, adapter_name=name, autocast_adapter_dtype=False)
        else:
            model.add_adapter(name, config)
        for layer in layers:  # those that the expert has not stay at B = 0
            if layer in one.ranks:
                module = transformer.get_submodule(layer)
                module.lora_A[name].weight.data.copy_(one.tensors[f"{PREFIX}{layer}{DOWN}"])
                module.lora_B[name].weight.data.copy_(one.tensors[f"{PREFIX}{layer}{UP}"])
    model.add_weighted_adapter(names, list(weights), "merged", combination_type="cat")
    tensors = {}
    for layer in layers:
        module = transformer.get_submodule(layer)
        tensors[f"{PREFIX}{layer}{DOWN}"] = module.lora_A["merged"].weight.detach().clone()
        tensors[f"{PREFIX}{layer}{UP}"] = module.lora_B["merged"].weight.detach().clone()
    model.unload()
    return tensors


def _load(pipe: Any, experts: Sequence[Expert]) -> list[str]:
    names = [f"expert{number}" for number in range(len(experts))]
    for name, expert in zip(names, experts, strict=True):
        pipe.load_lora_weights(joined(pipe, [expert.weights]).tensors, adapter_name=name)
        for module in pipe.transformer.modules():
            if isinstance(module, LoraLayer) and name in module.scaling:
                module.lora_alpha[name] = module.r[name]  # the scale is in B
    return names

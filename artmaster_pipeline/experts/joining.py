"""Several adapters as one, whose ranks are all of theirs side by side: B A = sum of the experts' B_e A_e.

A gate on an expert's ranks, between A and B, is then the same as a gate on the expert's part of the output, at the cost
of one adapter: outputs are wide and ranks are few.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.adapters.attaching import ALPHA, DOWN, PREFIX, UP, fitting_layers, of_all_blocks

if TYPE_CHECKING:
    import torch

Shapes = Mapping[str, tuple[int, int]]  # layer -> inputs and outputs


@dataclass(frozen=True)
class Joined:
    """Adapters as one: LoRA tensors in diffusers' names, and how many of a layer's ranks are each adapter's."""

    tensors: "dict[str, torch.Tensor]"
    ranks: dict[str, tuple[int, ...]]  # layer -> one number for each adapter; zero where it has not the layer


def joined(pipe: Any, files: Sequence[Path], alike: bool = False) -> Joined:
    """The adapters in folders or LoRA files as one for the pipeline's transformer.

    `alike` fills them up with zeros until all blocks have the same layers and each adapter one rank in all of them:
    then compiled blocks of a kind share a form. Raises BadInput for a file that is no LoRA of this base.
    """
    from safetensors.torch import load_file

    fitting = [fitting_layers(pipe, file) for file in files]
    shapes = {layer: shape for _, own in fitting for layer, shape in own.items()}
    shapes = of_all_blocks(pipe, shapes) if alike else dict(sorted(shapes.items()))
    parts = []
    for file, own in fitting:
        of_adapter = _parts(load_file(file), own)
        parts.append(_alike(of_adapter, shapes) if alike else of_adapter)
    return _side_by_side(parts, shapes)


Parts = Mapping[str, "tuple[torch.Tensor, torch.Tensor]"]  # layer -> A (rank x inputs), B (outputs x rank)


def _parts(tensors: "Mapping[str, torch.Tensor]", layers: Shapes) -> Parts:
    """An adapter's A and B, B with the scale that its alpha makes."""
    found = {}
    for layer in layers:
        down, up = tensors[f"{PREFIX}{layer}{DOWN}"], tensors[f"{PREFIX}{layer}{UP}"]
        alpha = tensors.get(f"{PREFIX}{layer}{ALPHA}")
        scale = 1.0 if alpha is None else float(alpha) / len(down)
        found[layer] = (down, up * scale)  # of folded adapters the scale is 1
    return found


def _alike(parts: Parts, shapes: Shapes) -> Parts:
    """The same in all layers and of the adapter's largest rank, filled up with zeros."""
    import torch

    rank = max(len(down) for down, _ in parts.values())
    found = {}
    for layer, (inputs, outputs) in shapes.items():
        down, up = torch.zeros(rank, inputs), torch.zeros(outputs, rank)
        if layer in parts:
            own = len(parts[layer][0])
            down[:own], up[:, :own] = parts[layer]
        found[layer] = (down, up)
    return found


def _side_by_side(parts: Sequence[Parts], shapes: Shapes) -> Joined:
    import torch

    tensors, ranks = {}, {}
    for layer in shapes:
        there = [of_adapter[layer] for of_adapter in parts if layer in of_adapter]
        tensors[f"{PREFIX}{layer}{DOWN}"] = torch.cat([down for down, _ in there]).contiguous()
        tensors[f"{PREFIX}{layer}{UP}"] = torch.cat([up for _, up in there], dim=1).contiguous()
        ranks[layer] = tuple(len(of_adapter[layer][0]) if layer in of_adapter else 0 for of_adapter in parts)
    return Joined(tensors, ranks)

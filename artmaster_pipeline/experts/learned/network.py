"""The gate's network: (pooled text embedding, region label, noise level) -> a logit for each painter, and for nobody.

One hidden layer, in which the three inputs add up. Its parameters are a dictionary of tensors, saved as safetensors.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    Parameters = dict[str, torch.Tensor]

REGIONS = ("whole", "upper", "lower", "left", "right", "middle")  # where in a picture the gate is asked about
_WAVES = 4  # sine and cosine of so many multiples of the noise level


def new_parameters(texts: "torch.Tensor", painters: int, hidden: int, seed: int) -> "Parameters":
    """Parameters before any learning, for embeddings like `texts` (n, features), which are brought to one scale."""
    import torch

    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> "torch.Tensor":
        return torch.randn(shape, generator=generator) / math.sqrt(shape[-1])

    return {
        "text.mean": texts.mean(0),
        # one for all features: those that vary most say most
        "text.scale": texts.std(0, unbiased=False).square().mean().sqrt().clamp_min(1e-6)[None],
        "text.weight": drawn(hidden, texts.shape[1]),
        "region.weight": 0.1 * drawn(len(REGIONS), hidden),
        "noise.weight": 0.1 * drawn(hidden, 2 * _WAVES),
        "hidden.bias": torch.zeros(hidden),
        "out.weight": 0.1 * drawn(painters + 1, hidden),
        "out.bias": torch.zeros(painters + 1),
    }


def learnt(parameters: "Parameters") -> "list[torch.Tensor]":
    """Those of the parameters that learning changes."""
    return [tensor for name, tensor in parameters.items() if name not in ("text.mean", "text.scale")]


def logits(
    parameters: "Parameters", texts: "torch.Tensor", regions: "torch.Tensor", sigmas: "torch.Tensor"
) -> "torch.Tensor":
    """(n, painters + 1) for embeddings (n, features), numbers of REGIONS (n,) and noise levels (n,); nobody is last."""
    import torch

    scaled = (texts - parameters["text.mean"]) / parameters["text.scale"]
    angles = 2 * math.pi * sigmas[:, None] * torch.arange(1, _WAVES + 1) / 2
    waves = torch.cat([angles.sin(), angles.cos()], 1)
    hidden = (
        scaled @ parameters["text.weight"].T
        + parameters["region.weight"][regions]
        + waves @ parameters["noise.weight"].T
        + parameters["hidden.bias"]
    )
    answer: torch.Tensor = torch.nn.functional.gelu(hidden) @ parameters["out.weight"].T + parameters["out.bias"]
    return answer


def region_numbers(regions: Sequence[str]) -> "torch.Tensor":
    """The numbers of regions by their labels."""
    import torch

    return torch.tensor([REGIONS.index(region) for region in regions])

"""A training that begins with an adapter's change instead of none.

It starts from the folded file: what the adapter was used as, whatever budget, alpha or strength it was trained with.
A layer's change is brought into AdaLoRA's own form, P diag(lambda) Q with orthonormal P and Q, which is its singular
value decomposition (https://arxiv.org/abs/2303.10512, equation 3). Its k triplets take the first k of the layer's
ranks; the others are as fresh as ever, with E = 0 (plain LoRA: B = 0), so the model answers at step 0 as it does with
the adapter. What AdaLoRA knows of importance begins anew: it speaks of the training's own pictures and budget.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from artmaster_pipeline.adapters.folding import PREFIX
from artmaster_pipeline.training.adalora.stacked import Stacks

if TYPE_CHECKING:
    import torch

_NOISE = 1e-7  # of a layer's largest singular value: what is below it is fp32's rounding, or a file's filling of zeros


@dataclass(frozen=True)
class Change:
    """What a layer adds, as its singular value decomposition: left (out, k) diag(values) right (k, in), in float64."""

    left: "torch.Tensor"
    values: "torch.Tensor"
    right: "torch.Tensor"


def changes_in(file: Path) -> dict[str, Change]:
    """The changes of a folded adapter by the layers' names in the transformer."""
    from safetensors.torch import load_file

    tensors, found = load_file(file), {}
    for name, down in tensors.items():
        if name.endswith(".lora_A.weight"):
            layer = name.removesuffix(".lora_A.weight")
            alpha = tensors.get(f"{layer}.alpha")
            scale = 1.0 if alpha is None else float(alpha) / len(down)
            found[layer.removeprefix(PREFIX)] = _decomposed(tensors[f"{layer}.lora_B.weight"] * scale, down)
    return found


def begin_with(stacks: Stacks, changes: Mapping[str, Change], scale: float) -> None:
    """Let layers that enter with `scale` begin with `changes`.

    Raises ValueError for one of a layer that is not adapted, or of more ranks than the layer has: whoever chooses what
    to start from asks for that before.
    """
    import torch

    with torch.no_grad():
        for group in stacks.groups:
            for place, layer in enumerate(group.layers):
                if layer in changes:
                    change, room = changes[layer], group.a.shape[1]
                    if len(change.values) > room:
                        raise ValueError(f"{layer} has {room} ranks, and the change {len(change.values)}")
                    k, values = len(change.values), change.values / scale
                    # without E, the two factors share the values
                    by_right, by_left = (1.0, 1.0) if group.e is not None else (values.sqrt(), values.sqrt())
                    group.a[place, :k] = (change.right.T * by_right).T.to(group.a)
                    group.b[place, :, :k] = (change.left * by_left).to(group.b)
                    if group.e is not None:
                        group.e[place, :k, 0] = values.to(group.e)
    if strange := sorted(set(changes) - {layer for group in stacks.groups for layer in group.layers}):
        raise ValueError(f"no such layers are adapted: {', '.join(strange[:3])}")


def _decomposed(up: "torch.Tensor", down: "torch.Tensor") -> Change:
    """The singular value decomposition of `up @ down`, (out, k) and (k, in), by way of k by k."""
    import torch

    left, left_rest = torch.linalg.qr(up.double())
    right, right_rest = torch.linalg.qr(down.double().T)
    inner_left, values, inner_right = torch.linalg.svd(left_rest @ right_rest.T)
    kept = int((values > _NOISE * values[0]).sum())
    return Change((left @ inner_left)[:, :kept], values[:kept], (inner_right @ right.T)[:kept])

"""Folding: from a live AdaLoRA to a plain LoRA of the ranks it kept, which stock diffusers loads.

diffusers knows no AdaLoRA (loaded raw, its file silently does nothing). Rows with E = 0 are left out, E goes into A and
the scale into B, so that each layer's change is B' A' and its alpha is its rank. A plain LoRA has no E and keeps all.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from artmaster_pipeline.adapters.tensor_file import write_tensors

if TYPE_CHECKING:
    import torch

PREFIX = "transformer."  # diffusers' name for the module that the layers belong to


def fold(live: "dict[str, torch.Tensor]", scale: float, alphas: bool = True) -> "dict[str, torch.Tensor]":
    """LoRA tensors in diffusers' names for a live state (`adalora.parameters`), in fp32; rank-0 layers are left out.

    `lora_A.weight` is (rank, in), `lora_B.weight` (out, rank), `alpha` the rank: per layer, since ranks differ.
    Without `alphas`, for families whose LoRA files may hold none, all layers have the largest rank, filled with zeros.
    """
    import torch

    diagonals = _diagonals(live)
    widest = max((int((diagonal != 0).sum()) for diagonal in diagonals.values()), default=0)
    folded = {}
    for layer, diagonal in diagonals.items():
        rows = diagonal.nonzero().flatten()
        if len(rows) == 0:
            continue
        a = live[f"{layer}.lora_A"].detach().float().cpu()[rows] * diagonal[rows].unsqueeze(1)
        b = live[f"{layer}.lora_B"].detach().float().cpu()[:, rows] * scale
        if not alphas:
            a = torch.nn.functional.pad(a, (0, 0, 0, widest - len(rows)))
            b = torch.nn.functional.pad(b, (0, widest - len(rows)))
        folded[f"{PREFIX}{layer}.lora_A.weight"] = a.contiguous()
        folded[f"{PREFIX}{layer}.lora_B.weight"] = b.contiguous()
        if alphas:
            folded[f"{PREFIX}{layer}.alpha"] = torch.tensor(float(len(rows)))
    return folded


def ranks(live: "dict[str, torch.Tensor]") -> dict[str, int]:
    """The rank that each layer kept, zeros included, by the layer's name, sorted."""
    return {layer: int((diagonal != 0).sum()) for layer, diagonal in sorted(_diagonals(live).items())}


def save_folded(
    live: "dict[str, torch.Tensor]",
    scale: float,
    file: Path,
    alphas: bool = True,
    words: dict[str, str] | None = None,
) -> None:
    """Write the folded LoRA (`fold`) as safetensors with `words` about it; the same input gives the same bytes."""
    write_tensors(fold(live, scale, alphas), words or {}, file)


def _diagonals(live: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """Layer -> its E as (r,), in fp32 on the CPU; ones for a plain LoRA."""
    import torch

    found = {}
    for name, a in live.items():
        if name.endswith(".lora_A"):
            layer = name.removesuffix(".lora_A")
            e = live.get(f"{layer}.lora_E")
            found[layer] = torch.ones(len(a)) if e is None else e.detach().float().cpu().flatten()
    return found

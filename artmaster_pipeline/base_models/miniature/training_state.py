"""Where a training of the miniature is: weights, moving averages and optimizer states in one safetensors file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.files import writing

if TYPE_CHECKING:
    import torch


def save_state(file: Path, modules: "Mapping[str, torch.nn.Module]", optimizers: list[Any], facts: dict) -> None:
    """Write modules, optimizers and JSON-able `facts` (step, seconds spent), whole or not at all."""
    from safetensors.torch import save_file

    tensors = {f"{name}/{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer{number}/{index}/{key}": value for key, value in state.items()}
    with writing(file) as temporary:
        kept = {key: value.detach().contiguous().clone() for key, value in tensors.items()}
        save_file(kept, temporary, {"facts": json.dumps(facts)})


def load_state(file: Path, modules: "Mapping[str, torch.nn.Module]", optimizers: list[Any]) -> dict[str, Any]:
    """Put a saved state back and give its facts; empty where there is none."""
    from safetensors.torch import load_file

    if not file.is_file():
        return {}
    tensors = load_file(file)
    for name, module in modules.items():
        module.load_state_dict(_below(tensors, name))
    for number, optimizer in enumerate(optimizers):
        whole = optimizer.state_dict()
        for key, value in _below(tensors, f"optimizer{number}").items():
            index, field = key.split("/")
            whole["state"].setdefault(int(index), {})[field] = value
        optimizer.load_state_dict(whole)
    return state_facts(file)


def state_facts(file: Path) -> dict[str, Any]:
    """The facts alone."""
    from safetensors.torch import safe_open

    with safe_open(file, "pt") as opened:
        facts: dict[str, Any] = json.loads(opened.metadata()["facts"])
    return facts


def _below(tensors: "dict[str, torch.Tensor]", name: str) -> "dict[str, torch.Tensor]":
    return {key.removeprefix(name + "/"): value for key, value in tensors.items() if key.startswith(name + "/")}

"""Checkpoints of an unfinished training: all that an exact continuation needs, as safetensors and JSON, never a pickle.

PEFT's own saving crashes in mid-pruning and forgets the allocator. A checkpoint holds the adapter's raw tensors, the
optimizer's, the allocator's averages, the ranks kept, the number of the step (sigmas, noise and the order of the data
are functions of seed and step) and the log so far. Each is a folder that appears whole; the last two are kept.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.files import sha256_of, writing_folder
from artmaster_pipeline.training.adalora import ADAPTER_NAME, parameters

if TYPE_CHECKING:
    import torch

_TENSORS, _STATE = "state.safetensors", "state.json"
_KEPT = 2


@dataclass(frozen=True)
class Trainee:
    """What changes while an adapter is trained: PEFT's model, its optimizer, its rank allocator."""

    model: Any
    optimizer: "torch.optim.Optimizer"
    allocator: Any


def save_checkpoint(folder: Path, trainee: Trainee, step: int, log: list[dict[str, Any]]) -> None:
    """Write the checkpoint of `step` below `folder` and remove all but the last two."""
    from safetensors.torch import save_file

    with writing_folder(folder / f"step-{step:07d}") as temporary:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _tensors(trainee).items()}
        save_file(tensors, temporary / _TENSORS)
        state = {
            "step": step,
            "sha256": sha256_of(temporary / _TENSORS),
            "rank_pattern": trainee.model.peft_config[ADAPTER_NAME].rank_pattern,
            "log": log,
        }
        (temporary / _STATE).write_text(json.dumps(state), encoding="utf-8")
    for old in _checkpoints(folder)[_KEPT:]:
        shutil.rmtree(old)


def restore_checkpoint(folder: Path, trainee: Trainee) -> tuple[int, list[dict[str, Any]]]:
    """Put the newest whole checkpoint's state into `trainee`; returns its step and its log, (0, []) without one."""
    import torch
    from safetensors.torch import load_file

    for checkpoint in _checkpoints(folder):
        state = _whole(checkpoint)
        if state is None:
            continue
        tensors = load_file(checkpoint / _TENSORS)
        with torch.no_grad():
            for name, p in parameters(trainee.model).items():
                p.copy_(tensors[f"adapter.{name}"])
                trainee.optimizer.state[p] = {
                    key: tensors[f"optimizer.{key}.{name}"].to("cpu" if key == "step" else p.device)
                    for key in ("step", "exp_avg", "exp_avg_sq")
                }
        trainee.model.peft_config[ADAPTER_NAME].rank_pattern = state["rank_pattern"]
        allocator = {
            name.removeprefix("allocator."): tensor for name, tensor in tensors.items() if name.startswith("allocator.")
        }
        trainee.allocator.restore(allocator, state["rank_pattern"])
        return state["step"], state["log"]
    return 0, []


def _tensors(trainee: Trainee) -> "dict[str, torch.Tensor]":
    named = parameters(trainee.model)
    adapter = {f"adapter.{name}": p for name, p in named.items()}
    optimizer = {
        f"optimizer.{key}.{name}": tensor
        for name, p in named.items()
        for key, tensor in trainee.optimizer.state[p].items()
    }
    return adapter | optimizer | {f"allocator.{name}": tensor for name, tensor in trainee.allocator.state().items()}


def _checkpoints(folder: Path) -> list[Path]:
    """The newest first."""
    return sorted(folder.glob("step-*"), reverse=True) if folder.is_dir() else []


def _whole(checkpoint: Path) -> dict[str, Any] | None:
    """The checkpoint's state; None where a crash of the machine left its files torn."""
    try:
        state = json.loads((checkpoint / _STATE).read_text(encoding="utf-8"))
        return state if sha256_of(checkpoint / _TENSORS) == state["sha256"] else None
    except (OSError, ValueError):
        return None

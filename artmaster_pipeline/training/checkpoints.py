"""Checkpoints of an unfinished training: all that an exact continuation needs, safetensors and JSON, never a pickle.

PEFT's own saving crashes in mid-pruning and forgets the allocator. A checkpoint holds the adapter's raw tensors and
their running mean, the optimizer's, the allocator's averages and masks, the number of the step (sigmas, noise and the
order of the data are functions of seed and step) and what was written down so far. Each is a folder that appears whole;
the last two are kept.
"""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.files import sha256_of, writing_folder
from artmaster_pipeline.training.optimizers import optimizer_state, restore_optimizer

if TYPE_CHECKING:
    import torch

    from artmaster_pipeline.training.learner import Learner

_TENSORS, _STATE = "state.safetensors", "state.json"
_KEPT = 2


def save_checkpoint(folder: Path, learner: "Learner", step: int, history: dict[str, Any]) -> None:
    """Write the checkpoint of `step` below `folder` and remove all but the last two."""
    from safetensors.torch import save_file

    tensors, numbers = _state(learner)
    with writing_folder(folder / f"step-{step:07d}") as temporary:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, temporary / _TENSORS)
        state = {
            "step": step,
            "sha256": sha256_of(temporary / _TENSORS),
            "optimizer": numbers,
            "history": history,
        }
        (temporary / _STATE).write_text(json.dumps(state), encoding="utf-8")
    for old in _checkpoints(folder)[_KEPT:]:
        shutil.rmtree(old)


def restore_checkpoint(folder: Path, learner: "Learner") -> tuple[int, dict[str, Any]]:
    """Put the newest whole checkpoint's state into `learner`; returns its step and history, (0, {}) without one."""
    import torch
    from safetensors.torch import load_file

    for checkpoint in _checkpoints(folder):
        state = _whole(checkpoint)
        if state is None:
            continue
        tensors = load_file(checkpoint / _TENSORS)
        with torch.no_grad():
            for kind, own in (("adapter", learner.stacks.tensors), ("average", learner.averages)):
                for place, tensor in enumerate(own):
                    tensor.copy_(tensors[f"{kind}.{place}"])
        optimizer = _named(tensors, "optimizer.")
        restore_optimizer(learner.optimizer, learner.stacks.tensors, optimizer, state["optimizer"])
        if learner.allocator is not None:
            learner.allocator.restore(_named(tensors, "allocator."))
        return state["step"], state["history"]
    return 0, {}


def newest_step(folder: Path) -> int:
    """The step of the newest whole checkpoint, 0 without one."""
    return next((state["step"] for state in map(_whole, _checkpoints(folder)) if state), 0)


def _state(learner: "Learner") -> "tuple[dict[str, torch.Tensor], dict[str, Any]]":
    optimizer, numbers = optimizer_state(learner.optimizer, learner.stacks.tensors)
    tensors: dict[str, torch.Tensor] = {f"adapter.{n}": t for n, t in enumerate(learner.stacks.tensors)}
    tensors |= {f"average.{n}": t for n, t in enumerate(learner.averages)}
    tensors |= {f"optimizer.{name}": t for name, t in optimizer.items()}
    if learner.allocator is not None:
        tensors |= {f"allocator.{name}": t for name, t in learner.allocator.state().items()}
    return tensors, numbers


def _named(tensors: "dict[str, torch.Tensor]", prefix: str) -> "dict[str, torch.Tensor]":
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


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

"""The optimizers by name, and their state as tensors and numbers, so that a checkpoint needs no pickle."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.errors import MissingRequirement
from artmaster_pipeline.settings import TrainingSettings

if TYPE_CHECKING:
    import torch


def make_optimizer(tensors: "Sequence[torch.nn.Parameter]", settings: TrainingSettings) -> "torch.optim.Optimizer":
    """The settings' optimizer over the stacks. Raises MissingRequirement where its package is not installed."""
    import torch

    how: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(tensors, **how, fused=True)  # one kernel for all, on the CPU too
    try:
        if settings.optimizer == "adamw8bit":
            from bitsandbytes.optim import AdamW8bit

            return AdamW8bit(tensors, **how)
        from prodigyopt import Prodigy
    except ImportError as error:
        raise MissingRequirement(
            f"The optimizer {settings.optimizer!r} needs a package that is not installed ({error.name}): "
            "pip install 'artmaster-pipeline[optimizers]', or set `optimizer: adamw`."
        ) from error
    # as its authors advise for diffusion models (https://github.com/konstmish/prodigy)
    return Prodigy(tensors, **how, safeguard_warmup=True, use_bias_correction=True)


def optimizer_state(
    optimizer: "torch.optim.Optimizer", tensors: "Sequence[torch.nn.Parameter]"
) -> "tuple[dict[str, torch.Tensor], dict[str, Any]]":
    """All that the optimizer keeps: tensors by name, and numbers (of each tensor and of the whole)."""
    import torch

    found: dict[str, torch.Tensor] = {}
    numbers: dict[str, Any] = {}
    for place, p in enumerate(tensors):
        for key, value in optimizer.state.get(p, {}).items():
            if isinstance(value, torch.Tensor):
                found[f"{place}.{key}"] = value
            else:
                numbers[f"{place}.{key}"] = value
    (group,) = optimizer.param_groups
    whole = {key: value for key, value in group.items() if key != "params" and isinstance(value, int | float)}
    return found, {"tensors": numbers, "whole": whole}


def restore_optimizer(
    optimizer: "torch.optim.Optimizer",
    tensors: "Sequence[torch.nn.Parameter]",
    state: "dict[str, torch.Tensor]",
    numbers: dict[str, Any],
) -> None:
    """Put an `optimizer_state` back."""
    for place, p in enumerate(tensors):
        mine: dict[str, Any] = {}
        for name, value in [*state.items(), *numbers["tensors"].items()]:
            number, key = name.split(".", 1)
            if int(number) == place:
                mine[key] = value.to(p.device) if hasattr(value, "to") else value
        if mine:
            optimizer.state[p] = mine
    optimizer.param_groups[0].update(numbers["whole"])

"""PEFT's AdaLoRA (or plain LoRA) on a transformer: where it sits, how its live state is kept."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.adapters.folder import CONFIG, STATE, live_state
from artmaster_pipeline.base_models.family import family_for
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.files import write_text
from artmaster_pipeline.settings import TrainingSettings
from artmaster_pipeline.training.schedule import RankSchedule

if TYPE_CHECKING:
    import torch
    from peft import PeftModel

ADAPTER_NAME = "style"  # must not be a part of a module's path, PEFT matches by substring


def wrap(transformer: Any, settings: TrainingSettings, schedule: RankSchedule) -> "PeftModel":
    """The transformer with a fresh adapter (fp32, seeded) on every layer that a stage trains; the base is frozen."""
    import torch
    from peft import get_peft_model

    transformer.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return get_peft_model(transformer, _config(transformer, settings, schedule), adapter_name=ADAPTER_NAME)


def _config(transformer: Any, settings: TrainingSettings, schedule: RankSchedule) -> Any:
    from peft import AdaLoraConfig, LoraConfig

    targets = _targets(transformer, settings)
    if settings.adapter == "lora":
        # PEFT divides by r: so the change enters with lora_alpha / init_r, as AdaLoRA's does
        alpha = settings.lora_alpha * settings.target_r / settings.init_r
        return LoraConfig(r=settings.target_r, lora_alpha=alpha, target_modules=targets)
    return AdaLoraConfig(
        init_r=settings.init_r,
        target_r=settings.target_r,
        lora_alpha=settings.lora_alpha,
        beta1=settings.beta1,
        beta2=settings.beta2,
        tinit=schedule.tinit,
        tfinal=schedule.tfinal,
        deltaT=settings.allocate_every,
        total_step=schedule.total_step,
        orth_reg_weight=settings.orth_reg_weight,
        target_modules=targets,
    )


def _targets(transformer: Any, settings: TrainingSettings) -> str | list[str]:
    """The pattern of all layers, or the names of those that the stages train."""
    import re

    family = family_for(transformer)
    if all(not stage.layers for stage in settings.stages) or not settings.stages:
        return family.adapted_layers
    names = [name for name, _ in transformer.named_modules() if re.fullmatch(family.adapted_layers, name)]
    return [name for name in names if any(family.is_of(name, stage.layers) for stage in settings.stages)]


def parameters(model: Any) -> "dict[str, torch.nn.Parameter]":
    """The adapter's A, B and (AdaLoRA) E by their names in the transformer, without the adapter's own name, sorted."""
    found = {}
    for name, p in model.named_parameters():
        path = name.removesuffix(".weight")
        if ".lora_" in path and path.endswith(f".{ADAPTER_NAME}"):
            found[path.removeprefix("base_model.model.").removesuffix(f".{ADAPTER_NAME}")] = p
    return dict(sorted(found.items()))


def scale(settings: TrainingSettings) -> float:
    """What every layer's B (E A) is multiplied with while training: PEFT's lora_alpha / init_r."""
    return settings.lora_alpha / (settings.init_r + (1e-5 if settings.adapter == "adalora" else 0.0))


def final_scale(settings: TrainingSettings) -> float:
    """What every layer's change is multiplied with in the finished adapter: the trained scale times `strength`.

    Keeping a share of the change interpolates the weights between base and fine-tuned model, which gives up little of
    what was learnt and keeps much of what the base knows (Wortsman et al. 2022, https://arxiv.org/abs/2109.01903).
    """
    return scale(settings) * settings.strength


def live_scale(folder: Path) -> float:
    """The scale of a live adapter that `save_live` wrote."""
    return float(_read_config(folder)["scale"])


def save_live(
    live: "dict[str, torch.Tensor]", folder: Path, settings: TrainingSettings, schedule: RankSchedule
) -> None:
    """Write a live adapter: all of A, B, E as they are, and what rebuilds it at the strength that is kept."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: p.detach().cpu().contiguous() for name, p in live.items()}, folder / STATE)
    (folder / STATE).chmod(0o644)  # safetensors writes for its owner alone
    names = ("adapter", "init_r", "target_r", "lora_alpha", "beta1", "beta2", "allocate_every", "orth_reg_weight")
    content = settings.model_dump(mode="json", include=set(names))
    content |= vars(schedule) | {"scale": final_scale(settings), "layers": sorted(_layers(live))}
    write_text(folder / CONFIG, json.dumps(content, indent=1, sort_keys=True) + "\n")


def load_live(transformer: Any, folder: Path) -> "PeftModel":
    """Wrap a transformer with the live adapter that `save_live` wrote. Raises ArtMasterError where it does not fit."""
    import torch
    from peft import get_peft_model
    from safetensors.torch import load_file

    content = _read_config(folder)
    schedule = RankSchedule(*(content.pop(name) for name in ("total_step", "tinit", "tfinal")))
    scale_there, layers = content.pop("scale"), content.pop("layers")
    config = _config(transformer, TrainingSettings(**content), schedule)
    config.target_modules = set(layers)
    there = {name for name, _ in transformer.named_modules()}
    if not there.issuperset(layers):
        raise ArtMasterError(
            f"{folder} holds an adapter for other layers than this base model has ({len(layers)} layers, "
            f"{len(there.intersection(layers))} of them here): use the profile it was trained with."
        )
    model = get_peft_model(transformer, config, adapter_name=ADAPTER_NAME)
    saved = load_file(live_state(folder))
    with torch.no_grad():
        for name, p in parameters(model).items():
            p.copy_(saved[name])
    set_scale(model, scale_there)
    return model


def set_scale(model: Any, value: float) -> None:
    """Let every layer's change enter with `value`."""
    for module in model.modules():
        if ADAPTER_NAME in getattr(module, "lora_A", ()):
            divisor = module.ranknum[ADAPTER_NAME].item() + 1e-5 if hasattr(module, "ranknum") else 1.0
            module.scaling[ADAPTER_NAME] = value * divisor


def _layers(names: Iterable[str]) -> set[str]:
    return {name.rsplit(".lora_", 1)[0] for name in names}


def _read_config(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / CONFIG).read_text(encoding="utf-8")))

"""PEFT's AdaLoRA on a FLUX transformer: where it sits, how it is kept orthogonal, how its live state is kept."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.files import write_text
from artmaster_pipeline.settings import TrainingSettings
from artmaster_pipeline.training.schedule import RankSchedule

if TYPE_CHECKING:
    import torch
    from peft import PeftModel

ADAPTER_NAME = "style"  # must not be a part of a module's path, PEFT matches by substring
STATE, CONFIG = "state.safetensors", "config.json"

_DOUBLE = r"attn\.(?:to_[qkv]|to_out\.0|add_[qkv]_proj|to_add_out)|ff(?:_context)?\.net\.(?:0\.proj|2)"
_SINGLE = r"attn\.to_[qkv]|proj_mlp|proj_out"
# All attention and MLP linears of the double and single blocks; neither embedders nor modulations nor the last layer.
TARGETS = rf"transformer_blocks\.\d+\.(?:{_DOUBLE})|single_transformer_blocks\.\d+\.(?:{_SINGLE})"


def wrap(transformer: Any, settings: TrainingSettings, schedule: RankSchedule) -> "PeftModel":
    """The transformer with a fresh AdaLoRA adapter (fp32, seeded) on every target; the base is frozen."""
    import torch
    from peft import AdaLoraConfig, get_peft_model

    config = AdaLoraConfig(
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
        target_modules=TARGETS,
    )
    transformer.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return get_peft_model(transformer, config, adapter_name=ADAPTER_NAME)


def parameters(model: Any) -> "dict[str, torch.nn.Parameter]":
    """The adapter's A, B and E by their names in the transformer, without the adapter's own name, sorted."""
    ending = f".{ADAPTER_NAME}"
    found = {
        name.removeprefix("base_model.model.").removesuffix(ending): p
        for name, p in model.named_parameters()
        if ".lora_" in name and name.endswith(ending)
    }
    return dict(sorted(found.items()))


def scale(lora_alpha: float, init_r: int) -> float:
    """What PEFT multiplies every layer's B (A * E) with; its rank number stays init_r when ranks are pruned."""
    return lora_alpha / (init_r + 1e-5)


def final_alpha(settings: TrainingSettings) -> float:
    """The lora_alpha of the finished adapter: the trained one times `strength`.

    Keeping a share of the change interpolates the weights between base and fine-tuned model, which gives up little of
    what was learnt and keeps much of what the base knows (Wortsman et al. 2022, https://arxiv.org/abs/2109.01903).
    """
    return settings.lora_alpha * settings.strength


def live_scale(folder: Path) -> float:
    """The scale of a live adapter that `save_live` wrote."""
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    return scale(config["lora_alpha"], config["init_r"])


class OrthogonalLoss:
    """The mean over all A and B of ||P P^T - I||_F, as PEFT's (which never runs on FLUX), stacked by shape."""

    def __init__(self, model: Any) -> None:
        groups: dict[Any, list[Any]] = {}
        for name, p in parameters(model).items():
            if not name.endswith("lora_E"):
                groups.setdefault((name.rsplit(".", 1)[1], p.shape), []).append(p)
        self._groups = [(key[0], members) for key, members in groups.items()]
        self._count = sum(len(members) for _, members in self._groups)

    def __call__(self) -> "torch.Tensor":
        """The loss now, in fp32; call it outside autocast."""
        import torch

        total: Any = 0.0
        for kind, members in self._groups:
            stacked = torch.stack(members)
            rows = stacked if kind == "lora_A" else stacked.transpose(1, 2)
            gram = rows @ rows.transpose(1, 2)
            identity_matrix = torch.eye(gram.shape[-1], device=gram.device, dtype=gram.dtype)
            total = total + torch.linalg.matrix_norm(gram - identity_matrix).sum()
        return total / self._count


def save_live(model: Any, folder: Path, lora_alpha: float) -> None:
    """Write the live adapter: all of A, B, E as they are, and the configuration that rebuilds it at `lora_alpha`."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: p.detach().cpu().contiguous() for name, p in parameters(model).items()}
    save_file(tensors, folder / STATE)
    (folder / STATE).chmod(0o644)  # safetensors writes for its owner alone
    config = model.peft_config[ADAPTER_NAME]
    names = ("init_r", "target_r", "lora_alpha", "beta1", "beta2", "tinit", "tfinal", "deltaT", "total_step")
    content = {name: getattr(config, name) for name in names}
    content |= {"lora_alpha": lora_alpha, "peft_type": "ADALORA", "target_modules": TARGETS}
    write_text(folder / CONFIG, json.dumps(content, indent=1, sort_keys=True) + "\n")


def load_live(transformer: Any, folder: Path) -> "PeftModel":
    """Wrap a transformer with the live adapter that `save_live` wrote. Raises ArtMasterError where it does not fit."""
    import torch
    from peft import AdaLoraConfig, get_peft_model
    from safetensors.torch import load_file

    content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    content.pop("peft_type")
    model = get_peft_model(transformer, AdaLoraConfig(**content), adapter_name=ADAPTER_NAME)
    saved, here = load_file(folder / STATE), parameters(model)
    if set(saved) != set(here):
        raise ArtMasterError(
            f"{folder} holds an adapter for other layers than this base model has "
            f"({len(saved)} tensors, {len(here)} wanted): use the profile it was trained with."
        )
    with torch.no_grad():
        for name, tensor in saved.items():
            here[name].copy_(tensor)
    return model

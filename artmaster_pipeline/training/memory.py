"""How much memory a training takes, part by part, before it runs; and what to do where there was too little.

Nothing is guessed that can be counted: the base's own classes are built from its configuration on PyTorch's `meta`
device, where tensors have shapes and no bytes, wrapped as the trainer does it, and asked for one prediction. What
autograd would keep for the backward pass is counted, tensor by tensor.
"""

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.base_models.hub import find_source
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.settings import CROP_SIZES, Profile, TrainingSettings

if TYPE_CHECKING:
    import torch

_GIB = 2**30
_M_MMAP_THRESHOLD = -3  # glibc's malloc.h
_BYTES = {"float32": 4, "bfloat16": 2}
_NF4 = 0.5 + 4 / 64  # bytes a weight: 4 bits, and an fp32 scale for every 64 of them (https://arxiv.org/abs/2305.14314)
# bytes that an optimizer keeps for each trained number
_MOMENTS = {"adamw": 8.0, "adamw8bit": 2 + 8 / 256, "prodigy": 16.0}
_CUDA_CONTEXT = _GIB // 2  # kernels and libraries; PyTorch's own figures leave it out
# What the panel's hub networks hold in fp32 while they look: CLIP-L, DINOv2-B and CSD's ViT-L
_HUB_NETWORKS = 4 * (428 + 87 + 305) * 10**6
# transformer/config.json of black-forest-labs/FLUX.1-dev, for machines that do not hold it yet
_FLUX_DEV = {
    "attention_head_dim": 128,
    "axes_dims_rope": (16, 56, 56),
    "guidance_embeds": True,
    "in_channels": 64,
    "joint_attention_dim": 4096,
    "num_attention_heads": 24,
    "num_layers": 19,
    "num_single_layers": 38,
    "patch_size": 1,
    "pooled_projection_dim": 768,
}
# Linux's own mark is read where there is one: getrusage's begins with what the parent process held.
_BASELINE = """
import pathlib, resource, sys
import torch, torchvision, transformers, torch.utils.tensorboard
from diffusers import FluxPipeline
from peft import AdaLoraConfig, get_peft_model
status = pathlib.Path("/proc/self/status")
if status.exists():
    print(1024 * int(status.read_text().split("VmHWM:")[1].split()[0]))
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""


@dataclass(frozen=True)
class Forecast:
    """The memory of a training at its peak, in bytes by part."""

    profile: Profile
    parts: dict[str, float]

    @property
    def total(self) -> float:
        """All parts together."""
        return sum(self.parts.values())

    def lines(self) -> list[tuple[str, str]]:
        """(part, GiB) from the largest on."""
        ordered = sorted(self.parts.items(), key=lambda part: -part[1])
        return [(name, f"{size / _GIB:.2f} GiB") for name, size in ordered if size >= 0.005 * _GIB]

    def advice(self) -> list[tuple[str, float]]:
        """(setting, bytes that it saves) for what brings the peak down, the largest saving first."""
        found = []
        for said, profile in _smaller(self.profile):
            saved = self.total - predict(profile).total
            if saved > 0.01 * self.total:
                found.append((said, saved))
        return sorted(found, key=lambda row: -row[1])


@cache
def predict(profile: Profile) -> Forecast:
    """The forecast for a profile on its larger crop size.

    Raises ArtMasterError where the base model's configuration is nowhere on this machine.
    """
    import torch

    settings, dtype = profile.training, getattr(torch, profile.dtype)
    config = _transformer_config(profile)
    counted = _count(profile, config, settings)
    trained, steps = counted.trained, _BYTES[profile.dtype]
    importance = 8.0 if settings.adapter == "adalora" else 0.0
    parts = {
        "base model": _weights(counted, profile),
        "adapter and its gradients": trained * (8.0 + 2 * steps),  # fp32, and working copies in the model's dtype
        f"optimizer ({settings.optimizer})": trained * _MOMENTS[settings.optimizer],
        "AdaLoRA's importance": trained * importance,
        "running mean (ema_decay)": trained * 4.0 if settings.ema_decay else 0.0,
        "activations kept for the backward pass": counted.kept,
        "passing tensors": counted.passing,
        "VAE": 84e6 * steps if _is_large(config) else 8e6 * steps,
        **_around(profile, dtype),
    }
    return Forecast(profile, {name: size for name, size in parts.items() if size})


def forecast_lines(forecast: Forecast) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """A forecast as rows of two tables: the parts with their sum, and the settings that bring it down."""
    parts = [{"part": name, "takes": size} for name, size in forecast.lines()]
    parts.append({"part": "in all", "takes": f"{forecast.total / _GIB:.2f} GiB"})
    ways = [{"setting": said, "saves": f"{saved / _GIB:.2f} GiB"} for said, saved in forecast.advice()]
    return parts, ways


def give_memory_back() -> None:
    """Let glibc give freed tensors back to the system at once, where this process runs on it.

    By itself it raises, up to 32 MB, the size from which memory is returned when it is freed; a training's tensors then
    stay in its heap, in pieces. On a FLUX of 80 M parameters that made the peak 1.9 GiB instead of 1.4.
    """
    system = ctypes.CDLL(None) if os.name == "posix" else None
    if system is not None and hasattr(system, "mallopt"):
        system.mallopt(_M_MMAP_THRESHOLD, 1 << 20)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: PyTorch's on CUDA and on the CPU, or Python's own."""
    import torch

    said = str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in said or "can't allocate memory" in said)
    )


def out_of_memory_message(profile: Profile, error: BaseException) -> str:
    """What used how much, as counted and, on CUDA, as measured; and what brings it down, by how much."""
    import torch

    forecast = predict(profile)
    used = "; ".join(f"{name} {size}" for name, size in forecast.lines())
    measured = ""
    if torch.cuda.is_available():
        free, whole = torch.cuda.mem_get_info()
        measured = (
            f" The GPU has {whole / _GIB:.1f} GiB, {free / _GIB:.1f} GiB of them free; this training held "
            f"{torch.cuda.max_memory_allocated() / _GIB:.1f} GiB at most."
        )
    ways = "; ".join(f"{said} (saves about {saved / _GIB:.1f} GiB)" for said, saved in forecast.advice())
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return (
        f"Memory ran out ({first}). A training with the profile {profile.name!r} takes about "
        f"{forecast.total / _GIB:.1f} GiB at its peak: {used}.{measured} What brings it down: "
        f"{ways or 'nothing here'}, or fewer other programs. Run it again then: it goes on from its last checkpoint."
    )


def _smaller(profile: Profile) -> Iterator[tuple[str, Profile]]:
    settings = profile.training

    def changed(**training: Any) -> Profile:
        return profile.model_copy(update={"training": settings.model_copy(update=training)})

    if not settings.gradient_checkpointing:
        yield "`gradient_checkpointing: true`", changed(gradient_checkpointing=True)
    if settings.batch_size > 1:
        half = settings.batch_size // 2
        more = settings.gradient_accumulation * settings.batch_size // half
        said = f"`batch_size: {half}` with `gradient_accumulation: {more}`"
        yield said, changed(batch_size=half, gradient_accumulation=more)
    if settings.semantic_guidance.direction_weight > 0 and settings.semantic_guidance.weight > 0:
        guidance = settings.semantic_guidance.model_copy(update={"direction_weight": 0.0})
        yield "`semantic_guidance: {direction_weight: 0}`", changed(semantic_guidance=guidance)
    if profile.device == "cuda" and profile.quantization is None:
        yield "`quantization: nf4` (the profile flux-dev-24gb)", profile.model_copy(update={"quantization": "nf4"})
    if settings.optimizer != "adamw8bit":
        yield "`optimizer: adamw8bit`", changed(optimizer="adamw8bit", learning_rate=2e-4)
    if settings.init_r >= 4:
        half = settings.init_r // 2
        yield f"`init_r: {half}`", changed(init_r=half, target_r=min(settings.target_r, half - 1))


@dataclass(frozen=True)
class _Counted:
    linear: int  # numbers in the base's linear layers
    other: int  # and in the rest of it
    trained: int  # in the adapter
    kept: float  # bytes that autograd keeps
    passing: float  # bytes of tensors that come and go


def _count(profile: Profile, config: dict[str, Any], settings: TrainingSettings) -> _Counted:
    """Build everything on `meta` and ask for the largest prediction that a step makes."""
    import torch
    from diffusers import FluxTransformer2DModel

    from artmaster_pipeline.base_models.velocity import predict_velocity
    from artmaster_pipeline.training import adalora
    from artmaster_pipeline.training.schedule import RankSchedule
    from artmaster_pipeline.training.stacked import Stacks

    dtype = getattr(torch, profile.dtype)
    with torch.device("meta"):
        transformer = FluxTransformer2DModel(**config).requires_grad_(False)
        for p in transformer.parameters():
            p.data = p.data.to(dtype)
        linear = sum(m.weight.numel() for m in transformer.modules() if isinstance(m, torch.nn.Linear))
        every = sum(p.numel() for p in transformer.parameters())
        model = adalora.wrap(transformer, settings, RankSchedule(100, 10, 30))
        stacks = Stacks(model, adalora.parameters(model), dtype)
        width, height = profile.size(*CROP_SIZES[1])
        rows, tokens = _rows(settings), profile.max_sequence_length
        noisy = torch.empty(rows, config["in_channels"] // 4, height // 8, width // 8)
        texts = _Texts(rows, tokens, config, dtype)
        keeper = _Keeper(transformer)
        with keeper.counting(), _fused_attention():
            predict_velocity(transformer, noisy, torch.empty(rows), texts, 1.0, dtype)
    trained = sum(tensor.numel() for tensor in stacks.tensors)
    image, text = rows * noisy.shape[2] * noisy.shape[3] // 4, rows * tokens
    inputs = (image + text) * config["attention_head_dim"] * config["num_attention_heads"] * _BYTES[profile.dtype]
    kept = keeper.all if not settings.gradient_checkpointing else keeper.checkpointed(inputs)
    # at its widest a block holds some tensors of the MLP's width for the moment: gradients and what is recomputed
    return _Counted(linear, every - linear, trained, kept, 3 * 4 * inputs)


def _rows(settings: TrainingSettings) -> int:
    """Pictures that go through the model at once: a batch, or the guidance's prompts if those are more."""
    guidance = settings.semantic_guidance
    asked = int(guidance.weight > 0) + 2 * int(guidance.direction_weight > 0)
    return max(settings.batch_size, asked)


class _Texts(list):
    """Embeddings of shapes alone."""

    def __init__(self, rows: int, tokens: int, config: dict[str, Any], dtype: "torch.dtype") -> None:
        import torch

        from artmaster_pipeline.base_models.velocity import TextEmbedding

        one = TextEmbedding(
            torch.empty(tokens, config["joint_attention_dim"], dtype=dtype),
            torch.empty(config["pooled_projection_dim"], dtype=dtype),
        )
        super().__init__([one] * rows)


class _Keeper:
    """Counts what autograd keeps, block by block; each storage once, the model's own weights never."""

    def __init__(self, transformer: Any) -> None:
        self._weights = {p.untyped_storage()._cdata for p in transformer.parameters()}
        self._blocks = [*transformer.transformer_blocks, *transformer.single_transformer_blocks]
        self._here = -1
        self._seen: dict[int, Any] = {}
        self._by_block: dict[int, int] = {}

    @property
    def all(self) -> float:
        """Bytes kept by the whole prediction."""
        return float(sum(self._by_block.values()))

    def checkpointed(self, inputs: int) -> float:
        """Bytes kept where only each block's `inputs` (bytes) are, and one block at a time is computed again."""
        outside = self._by_block.get(-1, 0)
        return outside + len(self._blocks) * inputs + max(self._by_block.get(n, 0) for n in range(len(self._blocks)))

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count while a prediction is made."""
        import torch

        hooks = []
        for number, block in enumerate(self._blocks):
            hooks.append(block.register_forward_pre_hook(self._entering(number)))
            hooks.append(block.register_forward_hook(self._entering(-1)))
        try:
            with torch.autograd.graph.saved_tensors_hooks(self._keep, lambda tensor: tensor):
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def _entering(self, number: int) -> Callable[..., None]:
        def enter(*_: Any) -> None:
            self._here = number

        return enter

    def _keep(self, tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._weights and storage._cdata not in self._seen:
            self._seen[storage._cdata] = tensor  # held, so that no other storage gets its address
            self._by_block[self._here] = self._by_block.get(self._here, 0) + storage.nbytes()
        return tensor


@contextmanager
def _fused_attention() -> Iterator[None]:
    """On `meta` PyTorch would take the attention apart; this keeps what its fused kernels keep."""
    import torch

    class Attention(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, query: Any, key: Any, value: Any) -> Any:
            out = torch.empty_like(query)
            ctx.save_for_backward(query, key, value, out, torch.empty(query.shape[:-1], dtype=torch.float32))
            return out

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad, grad, grad

    real = torch.nn.functional.scaled_dot_product_attention
    torch.nn.functional.scaled_dot_product_attention = lambda query, key, value, **_: Attention.apply(query, key, value)
    try:
        yield
    finally:
        torch.nn.functional.scaled_dot_product_attention = real


def _weights(counted: _Counted, profile: Profile) -> float:
    each = _BYTES[profile.dtype]
    return counted.linear * (_NF4 if profile.quantization else each) + counted.other * each


def _around(profile: Profile, dtype: Any) -> dict[str, float]:
    """What is there besides the training: the process, or CUDA's context; the panel's networks."""
    if profile.device == "cpu":
        return {"Python and its libraries": _baseline()}
    panel = profile.training.validation.choose == "panel" and profile.evaluation.style_features == "hub"
    return {"CUDA itself": float(_CUDA_CONTEXT), "the panel's networks": float(_HUB_NETWORKS) if panel else 0.0}


@cache
def _baseline() -> float:
    """Peak resident bytes of a process that has only imported what the trainer imports: measured, in some seconds."""
    done = subprocess.run([sys.executable, "-c", _BASELINE], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ArtMasterError(f"The libraries cannot be imported: {done.stderr.strip().splitlines()[-1]}")
    return float(done.stdout.strip().splitlines()[-1])


def _transformer_config(profile: Profile) -> dict[str, Any]:
    from diffusers import FluxTransformer2DModel

    if profile.base_model == "miniature":
        name: str = find_source(profile).name
    else:
        name = profile.base_model
    try:
        found = FluxTransformer2DModel.load_config(name, subfolder="transformer", local_files_only=True)
    except (OSError, ValueError) as error:
        if profile.base_model.endswith("FLUX.1-dev"):
            return dict(_FLUX_DEV)
        raise ArtMasterError(
            f"The configuration of {profile.base_model} is not on this machine, so its memory cannot be forecast: "
            "fetch the model first (any training does), then ask again."
        ) from error
    return {key: value for key, value in dict(found).items() if not key.startswith("_")}


def _is_large(config: dict[str, Any]) -> bool:
    return bool(config["attention_head_dim"] * config["num_attention_heads"] >= 1024)

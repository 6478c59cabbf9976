"""How much memory a training takes, part by part, before it runs; and what to do where there was too little.

Nothing is guessed that can be counted: the base's own classes are built from their configurations on PyTorch's `meta`
device, where tensors have shapes and no bytes, wrapped as the trainer does it, and go through a step, forward and
backward. Each tensor counts from when it comes to be until it is gone, so the peak is that of the real order of things:
with gradient checkpointing, with the style constraint, with 4-bit weights that are unpacked layer by layer. Pictures
that are drawn on the way and encoders that run before are counted likewise, and the largest of these counts.

Not counted: workspaces of CUDA's libraries, and what its allocator loses between blocks.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.base_models.hub import family_of, local_folder
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.settings import CROP_SIZES, Profile, TrainingSettings

if TYPE_CHECKING:
    import torch

_GIB = 2**30
_BYTES = {"float32": 4, "bfloat16": 2}
_NF4 = 0.5 + 4 / 64  # bytes a weight: 4 bits, and an fp32 scale for every 64 of them (https://arxiv.org/abs/2305.14314)
# bytes that an optimizer keeps for each trained number
_MOMENTS = {"adamw": 8.0, "adamw8bit": 2 + 8 / 256, "prodigy": 16.0}
_CUDA_CONTEXT = _GIB // 2  # kernels and libraries; PyTorch's own figures leave it out
# parameters of the panel's networks, which look in fp32 and stay once they are loaded
_CLIP, _DINOV2, _CSD, _VGG = 428e6, 87e6, 305e6, 14.7e6
_VGG_FEATURES = 2**28  # bytes, of the pictures that VGG16 sees at once; measured
_KEPT_BY_GLIBC = 2**20  # bytes: larger blocks go back to the system, see `give_memory_back`
# What glibc's heap holds beyond the smaller ones in it, as a share of them: measured, 0.7 to 0.9
_HOLES = 0.8

_BASELINE = """
import torch, torchvision, transformers, torch.utils.tensorboard
from diffusers import {pipeline}
from peft import AdaLoraConfig, get_peft_model
import artmaster_pipeline.training.trainer
x = torch.rand(4, 8, 64, 64, requires_grad=True)
y = torch.nn.functional.scaled_dot_product_attention(x, x, x) @ x
torch.nn.functional.conv2d(y, x[:, :, :3, :3]).sum().backward()
from artmaster_pipeline.training.memory.forecast import peak_of_this_process
print(peak_of_this_process())
"""  # some arithmetic, because kernels become resident when they first run


@dataclass(frozen=True)
class Forecast:
    """The memory of a training at its peak, in bytes by part, and what it does at that moment."""

    profile: Profile
    parts: dict[str, float]
    moment: str

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
    around, resident = _around(profile), _resident(profile)
    moments = {
        "a training step": around | resident | _step(_without_optimizer(profile)),
        "drawing pictures on the way": around | resident | _drawing(profile),
        "reading the panel": around | resident | _panel(profile),
        "encoding texts": around | {"text encoders": _encoders(profile)},
        "encoding pictures": around | _encoding(profile),
    }
    moment = max(moments, key=lambda name: sum(moments[name].values()))
    return Forecast(profile, {name: size for name, size in moments[moment].items() if size}, moment)


def forecast_lines(forecast: Forecast) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """A forecast as rows of two tables: the parts with their sum, and the settings that bring it down."""
    parts = [{"part": name, "takes": size} for name, size in forecast.lines()]
    parts.append({"part": f"in all, while {forecast.moment}", "takes": f"{forecast.total / _GIB:.2f} GiB"})
    ways = [{"setting": said, "saves": f"{saved / _GIB:.2f} GiB"} for said, saved in forecast.advice()]
    return parts, ways


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

    measured = ""
    if torch.cuda.is_available():
        free, whole = torch.cuda.mem_get_info()
        measured = (
            f" The GPU has {whole / _GIB:.1f} GiB, {free / _GIB:.1f} GiB of them free; this training held "
            f"{torch.cuda.max_memory_allocated() / _GIB:.1f} GiB at most."
        )
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return (
        f"Memory ran out ({first}).{measured} {_forecast_in_words(profile)} Run it again then: it goes on from its "
        "last checkpoint."
    )


def _forecast_in_words(profile: Profile) -> str:
    """What a training takes and what brings it down; where memory is too short even to count, where to ask."""
    try:
        forecast = predict(profile)
        saved = forecast.advice()
    except (ArtMasterError, MemoryError, OSError):
        return f"End other programs, or change what `artmaster doctor --profile {profile.name}` names."
    used = "; ".join(f"{name} {size}" for name, size in forecast.lines())
    ways = "; ".join(f"{said} (saves about {size / _GIB:.1f} GiB)" for said, size in saved)
    return (
        f"A training with the profile {profile.name!r} takes about {forecast.total / _GIB:.1f} GiB at its peak: "
        f"{used}. What brings it down: {ways or 'nothing here'}, or fewer other programs."
    )


def give_memory_back() -> None:
    """Have large freed blocks given back to the system at once, in this process, where its C library is glibc.

    By itself glibc raises the size from which it does so to 32 MiB as a program goes on, and keeps what is smaller in a
    heap where blocks of many sizes leave holes: a training on the CPU then holds up to a third more than it uses, never
    twice the same. Does nothing elsewhere.
    """
    import ctypes

    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(-3, _KEPT_BY_GLIBC)  # M_MMAP_THRESHOLD of malloc.h; set once, it no longer grows


def peak_of_this_process() -> int:
    """The most bytes that this process has had resident since it began.

    Linux's `ru_maxrss` is not that: a process starts with the peak of the one that started it (man 2 getrusage has it
    kept across execve), so under a large parent it says too much.
    """
    import resource

    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


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
    if profile.evaluation.batch_size > 1:
        evaluation = profile.evaluation.model_copy(update={"batch_size": 1})
        yield "`evaluation: {batch_size: 1}`", profile.model_copy(update={"evaluation": evaluation})
    if settings.validation.choose == "panel":
        validation = settings.validation.model_copy(update={"choose": "last"})
        yield "`validation: {choose: last}` (nothing chooses among the kept states)", changed(validation=validation)
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


def _without_optimizer(profile: Profile) -> Profile:
    """The profile, but for settings that no tensor of a step depends on, so that those are counted once."""
    training = profile.training.model_copy(
        update={"optimizer": "adamw", "learning_rate": 2e-4, "ema_decay": None, "gradient_accumulation": 1}
    )
    return profile.model_copy(update={"training": training, "evaluation": type(profile.evaluation)()})


@dataclass(frozen=True)
class _Counted:
    linear: int  # numbers in the base's linear layers
    other: int  # and in the rest of it
    trained: int  # in the adapter
    kept: int  # bytes that autograd keeps for the backward pass
    peak: int  # bytes of these and all that comes and goes
    small: int  # of the peak's bytes those in blocks that glibc keeps in its heap


def _resident(profile: Profile) -> dict[str, float]:
    """What is there all through a training."""
    settings, counted = profile.training, _count(_without_optimizer(profile))
    each, trained = _BYTES[profile.dtype], counted.trained
    linear = _NF4 if profile.quantization else each
    importance = 8.0 if settings.adapter == "adalora" else 0.0
    return {
        "base model": counted.linear * linear + counted.other * each,
        "adapter and its gradients": trained * (12.0 + each),  # fp32; the working copies alone in the model's dtype
        f"optimizer ({settings.optimizer})": trained * _MOMENTS[settings.optimizer],
        "AdaLoRA's importance": trained * importance,
        "running mean (ema_decay)": trained * 4.0 if settings.ema_decay else 0.0,
        "VAE": float(_numbers(_vae(profile))) * each,
        "the panel's networks": 4 * _networks(profile),
    }


def _step(profile: Profile) -> dict[str, float]:
    counted = _count(profile)
    return {
        "activations kept for the backward pass": float(counted.kept),
        "passing tensors": float(counted.peak - counted.kept),
        "holes in the heap": _HOLES * counted.small if profile.device == "cpu" else 0.0,
    }


@cache
def _count(profile: Profile) -> _Counted:
    """Build everything on `meta` and go through the largest step."""
    import diffusers
    import torch

    from artmaster_pipeline.training.adalora import injecting as adalora
    from artmaster_pipeline.training.adalora.stacked import Stacks
    from artmaster_pipeline.training.schedule import RankSchedule

    settings, dtype = profile.training, getattr(torch, profile.dtype)
    config = _config(profile, "transformer")
    with torch.device("meta"):
        transformer = _in_dtype(getattr(diffusers, family_of(profile).transformer_class)(**config), dtype)
        linear = sum(m.weight.numel() for m in transformer.modules() if isinstance(m, torch.nn.Linear))
        every = _numbers(transformer)
        if profile.quantization:
            _unpack_when_used(transformer)
        if settings.gradient_checkpointing:
            transformer.enable_gradient_checkpointing()
        model = adalora.wrap(transformer, settings, RankSchedule(100, 10, 30)).train()
        stacks = Stacks(model, adalora.parameters(model), dtype)
        meter = _meter()()
        with meter, _fused_attention():
            kept = _go_through(profile, transformer, config, stacks, meter)
    trained = sum(tensor.numel() for tensor in stacks.tensors)
    return _Counted(linear, every - linear, trained, kept, meter.peak, meter.small)


def _go_through(profile: Profile, transformer: Any, config: dict[str, Any], stacks: Any, meter: Any) -> int:
    """A step forward, backward and through AdaLoRA's upkeep; gives the bytes that are kept between the first two."""
    import torch

    from artmaster_pipeline.base_models.family import TextEmbedding, family_for

    settings, dtype = profile.training, getattr(torch, profile.dtype)
    rows, (width, height) = _rows(settings), profile.size(*CROP_SIZES[1])
    family = family_for(transformer)
    shapes = family.text_shapes(config, profile.max_sequence_length)
    text = TextEmbedding({name: torch.empty(shape, dtype=dtype) for name, shape in shapes.items()})
    latents = torch.empty(rows, *family.latent_shape(config, width, height))
    predicted = family.predict_velocity(transformer, latents, torch.empty(rows), [text] * rows, 1.0, dtype).float()
    loss = (predicted - latents).square().mean()
    if settings.style_constraint.weight > 0:
        loss = loss + _constraint_loss(profile, predicted, latents)
    del predicted
    kept: int = meter.now
    loss.backward()
    stacks.collect()
    stacks.add_orthogonal_loss(settings.orth_reg_weight)
    if settings.adapter == "adalora":
        # its importance: a product with the gradient for every trained number
        [tensor.detach() * tensor.grad for tensor in stacks.tensors]
    return kept


def _constraint_loss(profile: Profile, predicted: Any, latents: Any) -> Any:
    import torch

    from artmaster_pipeline.training.losses.style_constraint import StyleConstraint

    constraint = StyleConstraint(_vae(profile), family_of(profile), 1.0)
    return constraint(predicted, latents, torch.zeros(len(latents), device="cpu"))


def _rows(settings: TrainingSettings) -> int:
    """Pictures that go through the model at once: a batch, or the guidance's prompts if those are more."""
    guidance = settings.semantic_guidance
    asked = int(guidance.weight > 0) + 2 * int(guidance.direction_weight > 0)
    return max(settings.batch_size, asked)


def _drawing(profile: Profile) -> dict[str, float]:
    """Of pictures drawn with the adapter as it is, decoding takes most; it is done for a batch at once."""
    validation, rows = profile.training.validation, profile.evaluation.batch_size
    asked = max(validation.samples, validation.panel_samples if validation.choose == "panel" else 0)
    return {"pictures being decoded": float(_decoded(_without_training(profile), min(rows, asked)))}


def _encoding(profile: Profile) -> dict[str, float]:
    bare = _without_training(profile)
    each = _BYTES[profile.dtype]
    return {"VAE": float(_numbers(_vae(profile))) * each, "a picture being encoded": float(_encoded(bare))}


def _panel(profile: Profile) -> dict[str, float]:
    sees = profile.training.validation.choose == "panel" and profile.evaluation.style_features == "vgg16"
    return {"what VGG16 sees in pictures": float(_VGG_FEATURES) if sees else 0.0}


def _networks(profile: Profile) -> float:
    """Parameters of the networks that the panel looks with."""
    how = profile.evaluation
    if profile.training.validation.choose != "panel":
        return 0.0
    reading = _CLIP if how.adherence == "clip" else 0.0
    if how.style_features == "vgg16":
        return _VGG + reading
    return _CLIP + _DINOV2 + (_CSD if how.csd else 0.0)


def _without_training(profile: Profile) -> Profile:
    return profile.model_copy(update={"training": TrainingSettings(), "evaluation": type(profile.evaluation)()})


@cache
def _decoded(profile: Profile, rows: int) -> int:
    """Bytes that decoding a batch of square pictures takes at its peak."""
    import torch

    if rows == 0:
        return 0
    width, height = profile.size(*CROP_SIZES[0])
    vae, meter = _vae(profile), _meter()()
    with torch.device("meta"), torch.no_grad(), meter, _fused_attention():
        factor = 2 ** (len(vae.config.block_out_channels) - 1)
        latents = torch.empty(rows, vae.config.latent_channels, height // factor, width // factor, dtype=vae.dtype)
        vae.decode(latents, return_dict=False)
    return int(meter.peak)


@cache
def _encoded(profile: Profile) -> int:
    """Bytes that encoding one picture takes at its peak."""
    import torch

    width, height = profile.size(*CROP_SIZES[1])
    vae, meter = _vae(profile), _meter()()
    with torch.device("meta"), torch.no_grad(), meter, _fused_attention():
        vae.encode(torch.empty(1, 3, height, width, dtype=vae.dtype)).latent_dist.mode()
    return int(meter.peak)


def _vae(profile: Profile) -> Any:
    """The base's VAE on `meta`."""
    import diffusers
    import torch

    kind = getattr(diffusers, family_of(profile).autoencoder_class)
    with torch.device("meta"):
        return _in_dtype(kind(**_config(profile, "vae")), getattr(torch, profile.dtype)).eval()


def _in_dtype(module: Any, dtype: "torch.dtype") -> Any:
    for p in module.requires_grad_(False).parameters():
        p.data = p.data.to(dtype)
    return module


def _numbers(module: Any) -> int:
    return sum(p.numel() for p in module.parameters())


@cache
def _meter() -> Any:
    """A context that counts the bytes of all tensors made in it that are still there (`now`), and their `peak`.

    `small` are those of the peak in tensors of less than 1 MiB.
    """
    import weakref

    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Meter(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.now = self.peak = self.small = self._small_now = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = {s._cdata for s in self._storages((args, kwargs))}  # views and what is changed in place are not new
            out = func(*args, **(kwargs or {}))
            for storage in self._storages(out):
                if storage._cdata not in given:
                    given.add(storage._cdata)
                    self._take(storage.nbytes())
                    weakref.finalize(storage, self._take, -storage.nbytes()).atexit = False
            return out

        def _take(self, size: int) -> None:
            self.now += size
            self._small_now += size if abs(size) < _KEPT_BY_GLIBC else 0
            if self.now > self.peak:
                self.peak, self.small = self.now, self._small_now

        def _storages(self, tree: Any) -> Any:
            return (leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor))

    return Meter


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
        def backward(ctx: Any, _: Any) -> Any:
            return tuple(torch.empty_like(tensor) for tensor in ctx.saved_tensors[:3])

    real = torch.nn.functional.scaled_dot_product_attention
    torch.nn.functional.scaled_dot_product_attention = lambda query, key, value, **_: Attention.apply(query, key, value)
    try:
        yield
    finally:
        torch.nn.functional.scaled_dot_product_attention = real


def _unpack_when_used(transformer: Any) -> None:
    """Let linear layers make their whole weight whenever they need it, as bitsandbytes does with its 4 bits."""
    import torch

    class Unpacked(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, weight: Any, bias: Any) -> Any:
            ctx.weight = weight
            return torch.nn.functional.linear(x, torch.empty_like(weight), bias)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad @ torch.empty_like(ctx.weight), None, None

    class Packed(torch.nn.Linear):
        def forward(self, x: Any) -> Any:
            return Unpacked.apply(x, self.weight, self.bias)

    for module in transformer.modules():
        if type(module) is torch.nn.Linear:
            module.__class__ = Packed


def _around(profile: Profile) -> dict[str, float]:
    """The process itself, or what CUDA keeps on the GPU."""
    if profile.device == "cpu":
        return {"Python and its libraries": _baseline(family_of(profile).pipeline_class)}
    return {"CUDA itself": float(_CUDA_CONTEXT)}


@cache
def _baseline(pipeline: str) -> float:
    """Peak resident bytes of a process that has imported what the trainer imports: measured, in some seconds."""
    done = subprocess.run(
        [sys.executable, "-c", _BASELINE.format(pipeline=pipeline)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ArtMasterError(f"The libraries cannot be imported: {done.stderr.strip().splitlines()[-1]}")
    return float(done.stdout.strip().splitlines()[-1])


def _encoders(profile: Profile) -> float:
    """Bytes of the text encoders' weights."""
    from safetensors import safe_open

    folder, linear, other = _folder(profile), 0.0, 0.0
    files = sorted(folder.glob("text_encoder*/*.safetensors")) if folder else []
    for file in files:
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - it is no dict
                shape, numbers = tensors.get_slice(name).get_shape(), 1
                for side in shape:
                    numbers *= side
                packed = file.parent.name in family_of(profile).quantized and len(shape) == 2 and "shared" not in name
                linear, other = (linear + numbers, other) if packed else (linear, other + numbers)
    if not files:
        linear, other = family_of(profile).base(profile.base_model).encoder_numbers
    each = _BYTES[profile.dtype]
    return linear * (_NF4 if profile.quantization else each) + other * each


def _config(profile: Profile, part: str) -> dict[str, Any]:
    """The configuration of the base's `transformer` or `vae`."""
    folder = _folder(profile)
    file = folder / part / "config.json" if folder else None
    if file is not None and file.is_file():
        return {k: v for k, v in json.loads(file.read_text(encoding="utf-8")).items() if not k.startswith("_")}
    if known := family_of(profile).base(profile.base_model).configurations:
        return dict(known[part])
    raise ArtMasterError(
        f"The configuration of {profile.base_model} is not on this machine, so its memory cannot be forecast: "
        "fetch the model first (any training does), then ask again."
    )


def _folder(profile: Profile) -> Path | None:
    """Where the base model's files are on this machine; None if they are not."""
    from huggingface_hub import try_to_load_from_cache

    if (folder := local_folder(profile.base_model)) is not None:
        return folder
    index = try_to_load_from_cache(profile.base_model, "model_index.json", revision=profile.revision)
    return Path(index).parent if isinstance(index, str) else None

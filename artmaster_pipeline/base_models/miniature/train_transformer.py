"""The miniature's text encoders and transformer, together, by flow matching on cached latents.

Noise levels are logit-normal, shifted as FLUX shifts them and a little farther, since it is in high noise that words
decide what a picture shows; captions come with and without the style, shortened, or empty
(https://arxiv.org/abs/2207.12598). Matrices of the blocks learn by Muon, everything else by AdamW. In the last part
the averaged model becomes a frozen teacher, and the student learns the teacher's guided velocity for a guidance scale
that it is told, as FLUX.1-dev was distilled (https://arxiv.org/abs/2210.03142).
"""

import copy
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from artmaster_pipeline.base_models.miniature.precision import autocast
from artmaster_pipeline.base_models.miniature.training_pictures import halved, read_shard
from artmaster_pipeline.base_models.miniature.training_state import load_state, save_state
from artmaster_pipeline.base_models.miniature.vocabulary import TEXT_TOKENS
from artmaster_pipeline.files import writing
from artmaster_pipeline.progress import Progress

if TYPE_CHECKING:
    import torch

BATCH = 64
_CUDA_BATCH = 512
_MUON_RATE = 2e-3
_ADAM_RATE = 1.5e-3
_EMA = 0.998
_SIGMAS = (0.3, 1.3)  # mean (beyond the scheduler's own shift) and deviation of the noise levels' logits
_REAL_SHARE = 0.25  # of the batches, where there is a corpus
_DISTIL_AT = 0.8  # share of the time after which the guided teacher takes over
_DISTIL_RATE = 0.4  # of the first phase's rates
_GUIDANCE = (1.0, 5.0)
TOKENS = ((32, 0.6), (TEXT_TOKENS, 0.4))  # T5 lengths and how often: padding takes part in FLUX's attention
_CHECKPOINT_SECONDS = 180


@dataclass(frozen=True)
class Latents:
    """The latents of one shard, (n, channels, height, width), and their captions; `real` if of real paintings."""

    latents: "torch.Tensor"
    captions: tuple[tuple[str, str], ...]
    real: bool = False


def encode_shards(vae: Any, files: list[Path], folder: Path, progress: Progress, real: bool = False) -> list[Latents]:
    """Each shard's latents at half the shard's size, as painted and then mirrored; encoded once, then read again."""
    import torch
    from safetensors.torch import load_file, save_file

    given = []
    with progress.task("Latents", len(files)) as advance:
        for file in files:
            shard, kept = read_shard(file), folder / file.name
            if not kept.exists():
                both = (shard.pictures, shard.pictures[:, :, ::-1])
                parts = [
                    encode_pictures(vae, halved(side[i : i + 16])) for side in both for i in range(0, len(side), 16)
                ]
                with writing(kept) as temporary:
                    save_file({"latents": torch.cat(parts).half().contiguous()}, temporary)
            mirrored = tuple((_mirrored(plain), _mirrored(named)) for plain, named in shard.captions)
            given.append(Latents(load_file(kept)["latents"], (*shard.captions, *mirrored), real))
            advance()
    return given


def _mirrored(caption: str) -> str:
    """What a caption says of the picture in a mirror."""
    sides = {"at the left": "at the right", "at the right": "at the left"}
    return re.sub("|".join(sides), lambda found: sides[found[0]], caption)


def encode_pictures(vae: Any, pictures: np.ndarray) -> "torch.Tensor":
    """The latents of uint8 pictures (n, height, width, 3) of the miniature's size: float32 (n, 16, h / 8, w / 8)."""
    import torch

    from artmaster_pipeline.base_models.miniature.train_autoencoder import to_tensor

    with torch.no_grad():
        small = to_tensor(pictures).to(vae.device, memory_format=torch.channels_last)
        return vae.encode(small).latent_dist.mode().float().cpu()


def train_transformer(
    pipe: Any,
    shards: list[Latents],
    state: Path,
    minutes: float,
    seed: int,
    progress: Progress,
    show: Callable[[str], None],
    compiled: bool = False,
    fresh: bool = True,
) -> float:
    """Train the text encoders and the transformer of `pipe` in place for `minutes`; they end as their moving average.

    `show` is called with a label whenever a checkpoint was written, while the averages are in `pipe`'s place.
    """
    loop = _Loop(pipe, shards, seed, compiled)
    loop.restore(state, fresh)
    total, saved = int(minutes * 60), time.monotonic()
    began = time.monotonic() - loop.facts["seconds"]
    with progress.task("Transformer (seconds)", total, min(int(loop.facts["seconds"]), total)) as advance:
        while (share := loop.facts["seconds"] / (minutes * 60)) < 1:
            if share >= _DISTIL_AT and loop.teacher is None:
                loop.begin_distilling()
            loop.step(share)
            spent = time.monotonic() - began
            note = f"step {loop.facts['step']}, loss {loop.facts['loss']:.4f}"
            advance(max(0, int(spent) - int(loop.facts["seconds"])), note)
            loop.facts["seconds"] = spent
            if time.monotonic() - saved > _CHECKPOINT_SECONDS:
                loop.save(state)
                with loop.averaged():
                    show(f"step-{loop.facts['step']:06d}")
                saved = time.monotonic()
    loop.save(state)
    loop.finish()
    return float(loop.facts["loss"])


def load_average(pipe: Any, state: Path) -> None:
    """Put the moving average that a training's `state` holds into `pipe`'s text encoders and transformer."""
    load_state(state, {"average": _trainees(pipe)}, [])


def _trainees(pipe: Any) -> Any:
    import torch

    return torch.nn.ModuleDict(
        {name: getattr(pipe, name) for name in ("text_encoder", "text_encoder_2", "transformer")}
    )


class _Loop:
    """One training: the trainee, its moving average, its teacher, its optimizers."""

    def __init__(self, pipe: Any, shards: list[Latents], seed: int, compiled: bool) -> None:
        self.pipe, self.shards, self.device = pipe, shards, pipe.transformer.device
        self.trainee = _trainees(pipe).train().requires_grad_(True)
        self.average = copy.deepcopy(self.trainee).requires_grad_(False)
        self.batch = _CUDA_BATCH if self.device.type == "cuda" else BATCH
        self.compiled = compiled
        self.called = _called(self.trainee, compiled)
        self.teacher: Any = None
        self.facts: dict[str, Any] = {"step": 0, "seconds": 0.0, "loss": 1.0, "distilling": False}
        self.optimizers = optimizers(self.trainee)
        self.seed = seed

    def restore(self, state: Path, fresh: bool) -> None:
        modules = {"trainee": self.trainee, "average": self.average}
        if not state.is_file():
            if fresh:
                _still(self.trainee["transformer"])
            self.average.load_state_dict(self.trainee.state_dict())
            return
        self.facts |= load_state(state, modules, self.optimizers)
        if self.facts["distilling"]:
            self._take_teacher()
            load_state(state.with_name("teacher.safetensors"), {"teacher": self.teacher}, [])

    def save(self, state: Path) -> None:
        save_state(state, {"trainee": self.trainee, "average": self.average}, self.optimizers, self.facts)
        if self.teacher is not None:
            save_state(state.with_name("teacher.safetensors"), {"teacher": self.teacher}, [], {})

    def begin_distilling(self) -> None:
        self._take_teacher()
        self.trainee.load_state_dict(self.average.state_dict())
        self.facts["distilling"] = True

    def _take_teacher(self) -> None:
        self.teacher = copy.deepcopy(self.average)
        self.guide = _called(self.teacher, self.compiled)

    def averaged(self) -> Any:
        return _Swapped(self.pipe, self.average)

    def finish(self) -> None:
        self.trainee.load_state_dict(self.average.state_dict())
        self.trainee.eval().requires_grad_(False)

    def step(self, share: float) -> None:
        import torch

        step = self.facts["step"]
        dice = np.random.default_rng((self.seed, step, 5))
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        shard = self._shard(dice)
        rows = dice.integers(len(shard.latents), size=self.batch)
        captions = [some_words(shard.captions[int(row)], dice) for row in rows]
        length = int(dice.choice([n for n, _ in TOKENS], p=[p for _, p in TOKENS]))
        clean = shard.latents[torch.from_numpy(rows)].float()
        noise = torch.randn(clean.shape, generator=generator)
        sigmas = draw_sigmas(self.pipe.scheduler, clean, generator)
        noisy = (1 - sigmas.view(-1, 1, 1, 1)) * clean + sigmas.view(-1, 1, 1, 1) * noise
        guidance = torch.ones(self.batch)
        target = (noise - clean).to(self.device)
        noisy, sigmas = noisy.to(self.device), sigmas.to(self.device)
        if self.teacher is not None:
            low, high = _GUIDANCE
            guidance = low + (high - low) * torch.rand(self.batch, generator=generator)
            target = self._guided(noisy, sigmas, captions, length, guidance)
        with autocast(self.device):
            said = velocity(self.called, self.pipe, noisy, sigmas, captions, length, guidance.to(self.device))
        loss = (said.float() - target).pow(2).mean()
        self._learn(loss, share)

    def _shard(self, dice: np.random.Generator) -> Latents:
        real = [shard for shard in self.shards if shard.real]
        painted = [shard for shard in self.shards if not shard.real]
        chosen = real if real and dice.random() < _REAL_SHARE else painted
        return chosen[int(dice.integers(len(chosen)))]

    def _guided(
        self, noisy: "torch.Tensor", sigmas: "torch.Tensor", captions: list[str], length: int, guidance: "torch.Tensor"
    ) -> "torch.Tensor":
        import torch

        ones = torch.ones(self.batch, device=self.device)
        with torch.no_grad(), autocast(self.device):
            told = velocity(self.guide, self.pipe, noisy, sigmas, captions, length, ones).float()
            untold = velocity(self.guide, self.pipe, noisy, sigmas, [""] * self.batch, length, ones).float()
        return untold + guidance.view(-1, 1, 1, 1).to(self.device) * (told - untold)

    def _learn(self, loss: "torch.Tensor", share: float) -> None:
        import torch

        rate = _rate(self.facts["step"], share)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = group["first_lr"] * rate
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trainee.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        step = self.facts["step"]
        keep = min(_EMA, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.trainee.parameters()), 1 - keep)
        self.facts["loss"] = 0.98 * self.facts["loss"] + 0.02 * float(loss.detach())
        self.facts["step"] = step + 1


def _called(models: Any, compiled: bool) -> dict[str, Any]:
    """The same models by name, the transformer compiled if asked: the wrapper shares the weights of what it wraps."""
    import torch

    parts = dict(models.items())
    if compiled:
        parts["transformer"] = torch.compile(models["transformer"], dynamic=False)
    return parts


class _Swapped:
    """While entered, the pipeline draws with the averages."""

    def __init__(self, pipe: Any, average: Any) -> None:
        self._pipe, self._average, self._own = pipe, average, {name: getattr(pipe, name) for name in average}

    def __enter__(self) -> None:
        self._pipe.register_modules(**{name: self._average[name].eval() for name in self._own})

    def __exit__(self, *_: object) -> None:
        self._pipe.register_modules(**self._own)


def velocity(
    models: Any,
    pipe: Any,
    noisy: "torch.Tensor",
    sigmas: "torch.Tensor",
    captions: list[str],
    length: int,
    guidance: "torch.Tensor",
) -> "torch.Tensor":
    """The velocity that `models` (the trained parts by name) see in `noisy` for the captions; same shape."""
    from diffusers import FluxPipeline

    height, width = noisy.shape[2:]
    said = models["transformer"](**question(models, pipe, noisy, sigmas, captions, length), guidance=guidance).sample
    return FluxPipeline._unpack_latents(said, height * 8, width * 8, 8)


def question(
    models: Any, pipe: Any, noisy: "torch.Tensor", sigmas: "torch.Tensor", captions: list[str], length: int
) -> dict[str, Any]:
    """What a transformer of FLUX, and a ControlNet for it, is asked of `noisy`: all but the guidance."""
    import torch
    from diffusers import FluxPipeline

    count, channels, height, width = noisy.shape
    words = pipe.tokenizer(captions, padding="longest", truncation=True, max_length=77, return_tensors="pt").input_ids
    pieces = pipe.tokenizer_2(
        captions, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
    ).input_ids
    device = noisy.device
    return {
        "hidden_states": FluxPipeline._pack_latents(noisy, count, channels, height, width),
        "timestep": sigmas,
        "pooled_projections": models["text_encoder"](words.to(device)).pooler_output,
        "encoder_hidden_states": models["text_encoder_2"](pieces.to(device))[0],
        "txt_ids": torch.zeros(length, 3, device=device),
        "img_ids": FluxPipeline._prepare_latent_image_ids(count, height // 2, width // 2, device, torch.float32),
    }


def some_words(pair: tuple[str, str], dice: np.random.Generator) -> str:
    """One way of saying the scene: with or without the style, whole, in part, or nothing."""
    if dice.random() < 0.1:
        return ""
    said = pair[int(dice.integers(2))]
    if dice.random() < 0.3:
        parts = said.split(", ")
        kept = [part for i, part in enumerate(parts) if i == 0 or dice.random() < 0.5]
        said = ", ".join(kept)
    return said[0].upper() + said[1:] if dice.random() < 0.2 else said


def draw_sigmas(scheduler: Any, clean: "torch.Tensor", generator: "torch.Generator") -> "torch.Tensor":
    """A noise level in 0..1 for each of the latents `clean`, as a training draws them, (n,)."""
    import torch
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    config = scheduler.config
    tokens = clean.shape[2] * clean.shape[3] // 4
    mu = calculate_shift(
        tokens, config.base_image_seq_len, config.max_image_seq_len, config.base_shift, config.max_shift
    )
    more, spread = _SIGMAS
    logits = more + spread * torch.randn(len(clean), generator=generator)
    return scheduler.time_shift(mu, 1.0, torch.sigmoid(logits))


def _still(transformer: Any) -> None:
    """Let every block begin as the identity and the velocity as zero (adaLN-Zero, https://arxiv.org/abs/2212.09748)."""
    import torch

    ends = [transformer.proj_out, transformer.norm_out.linear]
    ends += [block.norm.linear for block in transformer.single_transformer_blocks]
    for block in transformer.transformer_blocks:
        ends += [block.norm1.linear, block.norm1_context.linear]
    for linear in ends:
        torch.nn.init.zeros_(linear.weight)
        torch.nn.init.zeros_(linear.bias)


def optimizers(trainee: Any, muon_rate: float = _MUON_RATE, adam_rate: float = _ADAM_RATE) -> list[Any]:
    """Muon for the matrices of the trainee's blocks, AdamW for the rest; `first_lr` of each group is its full rate."""
    import torch

    matrices: list[Any] = []
    others: list[Any] = []
    for name, weight in trainee.named_parameters():
        inner = weight.ndim == 2 and ("blocks." in name or "layers." in name or ".block." in name)
        (matrices if inner and "norm" not in name and "relative" not in name else others).append(weight)
    muon = torch.optim.Muon(matrices, lr=muon_rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
    adam = torch.optim.AdamW(others, lr=adam_rate, betas=(0.9, 0.98), weight_decay=0.0, foreach=True)
    for optimizer in (muon, adam):
        for group in optimizer.param_groups:
            group["first_lr"] = group["lr"]
    return [muon, adam]


def _rate(step: int, share: float) -> float:
    """Warm up, stay, fall before the teacher is taken; then a lower rate that falls to the end."""
    if share >= _DISTIL_AT:
        return _DISTIL_RATE * max(0.02, (1 - share) / (1 - _DISTIL_AT))
    return min(1, (step + 1) / 100) * min(1, 0.1 + 0.9 * (_DISTIL_AT - share) / (0.4 * _DISTIL_AT))

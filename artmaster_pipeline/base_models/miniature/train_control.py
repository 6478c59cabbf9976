"""The miniature's ControlNet, by flow matching on scenes whose layout is known; the transformer stays as it is.

It is asked as diffusers' `FluxControlNetPipeline` asks it: the signal is encoded by the base's autoencoder and packed
like the latents, the mode is a token before the text, and what it answers is added behind each double block
(https://arxiv.org/abs/2302.05543). It begins as the transformer's own blocks, and its signal's embedder as that of the
latents, since both are latents of one autoencoder; only its answers begin at zero, so the base is not disturbed.

The guidance that it is told varies while the base is told none, and words are withheld from either: so its answer fits
the guided and the unguided pass of one step, both of which are given the same, and prompts that it does not know.
"""

import copy
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from artmaster_pipeline.base_models.miniature.control_pictures import condition, read_layouts
from artmaster_pipeline.base_models.miniature.model import CONTROL_MODES, CONTROLNET
from artmaster_pipeline.base_models.miniature.precision import autocast, plain_attention
from artmaster_pipeline.base_models.miniature.train_transformer import (
    TOKENS,
    draw_sigmas,
    encode_pictures,
    optimizers,
    question,
    some_words,
)
from artmaster_pipeline.base_models.miniature.training_state import load_state, save_state
from artmaster_pipeline.files import writing
from artmaster_pipeline.progress import Progress

if TYPE_CHECKING:
    import torch

BATCH = 16
_MUON_RATE = 1.5e-3
_ADAM_RATE = 1e-3
_EMA = 0.99  # a training of some thousand steps
_GUIDANCE = (1.0, 5.0)
_SILENT = 0.15  # how often the base, and apart from it the net, is told no words
_FALL_AT = 0.4  # share of the time after which the rates fall
_CHECKPOINT_SECONDS = 180
_LOOK_EVERY = 25  # steps between looks at the base's own loss
_LABELS_SHARE = 0.4  # of what is shown; the other signals share the rest


def untrained_control(transformer: Any, seed: int = 0) -> Any:
    """A `FluxControlNetModel` in fp32 that begins as the transformer's double blocks and changes nothing yet."""
    import torch
    from diffusers import FluxControlNetModel

    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        net = FluxControlNetModel(**CONTROLNET)
        torch.nn.init.normal_(net.controlnet_mode_embedder.weight, std=0.5)
    for name in ("time_text_embed", "context_embedder", "x_embedder", "transformer_blocks"):
        getattr(net, name).load_state_dict(getattr(transformer, name).state_dict())
    net.controlnet_x_embedder.load_state_dict(transformer.x_embedder.state_dict())
    return net


def train_control(
    pipe: Any,
    files: list[Path],
    state: Path,
    minutes: float,
    seed: int,
    progress: Progress,
) -> Any:
    """Train a ControlNet for the base `pipe` for `minutes` on the shards `files`; gives it as its moving average."""
    loop = _Loop(pipe, files, state.parent / "control-latents", seed, progress)
    loop.restore(state)
    total, saved = int(minutes * 60), time.monotonic()
    began = time.monotonic() - loop.facts["seconds"]
    with progress.task("ControlNet (seconds)", total, min(int(loop.facts["seconds"]), total)) as advance:
        while (share := loop.facts["seconds"] / (minutes * 60)) < 1:
            loop.step(share)
            spent = time.monotonic() - began
            note = f"step {loop.facts['step']}, loss {loop.facts['loss']:.4f} (base {loop.facts['base']:.4f})"
            advance(max(0, int(spent) - int(loop.facts["seconds"])), note)
            loop.facts["seconds"] = spent
            if time.monotonic() - saved > _CHECKPOINT_SECONDS:
                loop.save(state)
                saved = time.monotonic()
    loop.save(state)
    return loop.average.eval()


class _Shard:
    """Scenes of one shape, encoded once: their latents, their layouts', and those of one further signal of each."""

    def __init__(self, vae: Any, file: Path, kept: Path, seed: int) -> None:
        from safetensors.torch import load_file, save_file

        scenes = read_layouts(file)
        self.captions = scenes.captions
        if not kept.exists():
            dice = np.random.default_rng((seed, *file.name.encode()))
            pairs = list(zip(scenes.pictures, scenes.kinds, strict=True))
            modes = dice.integers(1, len(CONTROL_MODES), len(pairs))
            labels = [condition("labels", *pair, dice) for pair in pairs]
            others = [condition(CONTROL_MODES[mode], *pair, dice) for mode, pair in zip(modes, pairs, strict=True)]
            told = {"pictures": scenes.pictures, "labels": np.stack(labels), "others": np.stack(others)}
            tensors = {name: _encoded(vae, pictures) for name, pictures in told.items()}
            with writing(kept) as temporary:
                save_file(tensors | {"modes": _tensor(modes)}, temporary)
        tensors = load_file(kept)
        self.latents, self.modes = tensors["pictures"], tensors["modes"]
        self._labels, self._others = tensors["labels"], tensors["others"]

    def signals(self, rows: "torch.Tensor", labels: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        """The latents of the scenes' signals and their modes: of their layouts where `labels` says so."""
        import torch

        signals = torch.where(labels.view(-1, 1, 1, 1), self._labels[rows], self._others[rows])
        return signals.float(), torch.where(labels, 0, self.modes[rows])


def _tensor(numbers: np.ndarray) -> "torch.Tensor":
    import torch

    return torch.from_numpy(numbers)


def _encoded(vae: Any, pictures: np.ndarray) -> "torch.Tensor":
    import torch

    parts = [encode_pictures(vae, pictures[i : i + 16]) for i in range(0, len(pictures), 16)]
    return torch.cat(parts).half().contiguous()


def _encoders(pipe: Any) -> dict[str, Any]:
    return {name: getattr(pipe, name) for name in ("text_encoder", "text_encoder_2")}


class _Loop:
    """One training: the net, its moving average, its optimizers, and the base that it is trained for."""

    def __init__(self, pipe: Any, files: list[Path], latents: Path, seed: int, progress: Progress) -> None:
        self.pipe, self.seed, self.device = pipe, seed, pipe.transformer.device
        for part in (pipe.transformer, pipe.text_encoder, pipe.text_encoder_2, pipe.vae):
            part.eval().requires_grad_(False)
        self.shards = []
        with progress.task("Latents of scenes with layouts", len(files)) as advance:
            for file in files:
                self.shards.append(_Shard(pipe.vae, file, latents / file.name, seed))
                advance()
        self.net = untrained_control(pipe.transformer, seed).to(self.device).train()
        self.average = copy.deepcopy(self.net).requires_grad_(False)
        self.optimizers = optimizers(self.net, _MUON_RATE, _ADAM_RATE)
        self.facts: dict[str, Any] = {"step": 0, "seconds": 0.0, "loss": 1.0, "base": 1.0}

    def restore(self, state: Path) -> None:
        self.facts |= load_state(state, {"trainee": self.net, "average": self.average}, self.optimizers)

    def save(self, state: Path) -> None:
        save_state(state, {"trainee": self.net, "average": self.average}, self.optimizers, self.facts)

    def step(self, share: float) -> None:
        import torch

        step = self.facts["step"]
        dice = np.random.default_rng((self.seed, step, 7))
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        shard = self.shards[int(dice.integers(len(self.shards)))]
        rows = torch.from_numpy(dice.integers(len(shard.captions), size=BATCH))
        clean = shard.latents[rows].float()
        noise = torch.randn(clean.shape, generator=generator)
        sigmas = draw_sigmas(self.pipe.scheduler, clean, generator)
        noisy = (1 - sigmas.view(-1, 1, 1, 1)) * clean + sigmas.view(-1, 1, 1, 1) * noise
        signals, modes = shard.signals(rows, torch.from_numpy(dice.random(BATCH) < _LABELS_SHARE))
        captions = [some_words(shard.captions[int(row)], dice) for row in rows]
        length = int(dice.choice([n for n, _ in TOKENS], p=[p for _, p in TOKENS]))
        control = signals.to(self.device), modes.to(self.device)
        state = noisy.to(self.device), sigmas.to(self.device)
        told = [[caption if dice.random() >= _SILENT else "" for caption in captions] for _ in range(2)]
        low, high = _GUIDANCE
        guidance = (low + (high - low) * torch.rand(BATCH, generator=generator)).to(self.device)
        target = (noise - clean).to(self.device)
        with autocast(self.device), plain_attention(self.device):
            answer = self._answer(state, control, told[0], length, guidance)
            loss = self._loss(state, told[1], length, answer, target)
        if step % _LOOK_EVERY == 0:
            with torch.no_grad(), autocast(self.device):
                base = float(self._loss(state, told[1], length, None, target))
            self.facts["base"] += (base - self.facts["base"]) * (0.1 if step else 1.0)
        self._learn(loss, share)

    def _answer(self, state: Any, control: Any, captions: list[str], length: int, guidance: "torch.Tensor") -> Any:
        from diffusers import FluxPipeline

        (noisy, sigmas), (signal, modes) = state, control
        asked = question(_encoders(self.pipe), self.pipe, noisy, sigmas, captions, length)
        packed = FluxPipeline._pack_latents(signal, *signal.shape)
        return self.net(
            **asked, guidance=guidance, controlnet_cond=packed, controlnet_mode=modes[:, None], return_dict=False
        )[0]

    def _loss(
        self, state: Any, captions: list[str], length: int, answer: Any, target: "torch.Tensor"
    ) -> "torch.Tensor":
        import torch
        from diffusers import FluxPipeline

        noisy, sigmas = state
        asked = question(_encoders(self.pipe), self.pipe, noisy, sigmas, captions, length)
        said = self.pipe.transformer(
            **asked, guidance=torch.ones_like(sigmas), controlnet_block_samples=answer, return_dict=False
        )[0]
        height, width = noisy.shape[2:]
        return (FluxPipeline._unpack_latents(said, height * 8, width * 8, 8).float() - target).pow(2).mean()

    def _learn(self, loss: "torch.Tensor", share: float) -> None:
        import torch

        rate = min(1, (self.facts["step"] + 1) / 20) * min(1, max(0.02, (1 - share) / (1 - _FALL_AT)))
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = group["first_lr"] * rate
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        step = self.facts["step"]
        keep = min(_EMA, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.net.parameters()), 1 - keep)
        self.facts["loss"] = 0.98 * self.facts["loss"] + 0.02 * float(loss.detach())
        self.facts["step"] = step + 1

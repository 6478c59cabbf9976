"""The first stage of the miniature: its autoencoder, on crops of painted scenes and of real paintings.

The loss is L1 over a pyramid of sizes, on the picture, its gradients and (weighted, since L1 alone turns colours
grey) its chroma, with a very small KL term (https://arxiv.org/abs/2112.10752). Near the end each latent channel is
brought to mean 0 and deviation 1 inside the network's own weights, the encoder is frozen, and the decoder alone goes
on, with a little noise on the latents: it will have to draw from latents that a transformer made.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from artmaster_pipeline.base_models.training_pictures import Shard, read_shard
from artmaster_pipeline.base_models.training_state import load_state, save_state
from artmaster_pipeline.progress import Progress

if TYPE_CHECKING:
    import torch

BATCH = 8
CROP = 64  # pixels; the network is convolutional, and small crops show it more pictures in the same time
_LEARNING_RATE = 1e-3
_FREEZE_AT = 0.4  # share of the time after which the encoder is frozen; the decoder is what gains from the rest
_REAL_SHARE = 0.35
_LATENT_NOISE = 0.05
_CHECKPOINT_SECONDS = 120


@dataclass(frozen=True)
class Crops:
    """Random crops, uint8 (n, CROP, CROP, 3), of scenes and paintings at several reductions."""

    shards: list[Path]
    real: list[np.ndarray]

    def batches(self, dice: np.random.Generator) -> Any:
        """Crops without end; one shard is held at a time."""
        while True:
            shard = read_shard(self.shards[int(dice.integers(len(self.shards)))])
            for _ in range(2 * len(shard.pictures) // BATCH):
                yield np.stack([self._crop(dice, shard) for _ in range(BATCH)])

    def _crop(self, dice: np.random.Generator, shard: Shard) -> np.ndarray:
        if self.real and dice.random() < _REAL_SHARE:
            picture = self.real[int(dice.integers(len(self.real)))]
            side = int(CROP * np.exp(dice.uniform(0, np.log(min(picture.shape[:2]) / CROP))))
        else:
            picture = shard.pictures[int(dice.integers(len(shard.pictures)))]
            side = int(CROP * dice.choice((1.0, 1.5, 2.0), p=(0.15, 0.2, 0.65)))
        crop = _cut(picture, side, dice)
        return crop[:, ::-1] if dice.random() < 0.5 else crop


def _cut(picture: np.ndarray, side: int, dice: np.random.Generator) -> np.ndarray:
    from PIL import Image

    height, width = picture.shape[:2]
    top, left = int(dice.integers(height - side + 1)), int(dice.integers(width - side + 1))
    crop = picture[top : top + side, left : left + side]
    if side == CROP:
        return crop
    return np.asarray(Image.fromarray(crop).resize((CROP, CROP), Image.Resampling.BOX))


def train_autoencoder(vae: Any, crops: Crops, state: Path, minutes: float, seed: int, progress: Progress) -> float:
    """Train `vae` in place for `minutes` of wall time, what `state` says was spent included; gives its last loss."""
    import torch

    optimizer = torch.optim.AdamW(vae.parameters(), lr=_LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.0)
    facts = {"step": 0, "seconds": 0.0, "frozen": False, "loss": 1.0} | load_state(state, {"vae": vae}, [optimizer])
    dice = np.random.default_rng((seed, facts["step"]))
    began, saved = time.monotonic() - facts["seconds"], time.monotonic()
    total = int(minutes * 60)
    with progress.task("Autoencoder (seconds)", total, min(int(facts["seconds"]), total)) as advance:
        for pixels in crops.batches(dice):
            spent = time.monotonic() - began
            advance(max(0, int(spent) - int(facts["seconds"])), f"step {facts['step']}, loss {facts['loss']:.4f}")
            facts["seconds"] = spent
            share = spent / (minutes * 60)
            if share >= _FREEZE_AT and not facts["frozen"]:
                _standardise(vae, crops, seed)
                facts["frozen"] = True
            if share >= 1 or time.monotonic() - saved > _CHECKPOINT_SECONDS:
                save_state(state, {"vae": vae}, [optimizer], facts)
                saved = time.monotonic()
            if share >= 1:
                return float(facts["loss"])
            _set_rate(optimizer, facts["step"], share)
            loss = _step(vae, optimizer, to_tensor(pixels).to(vae.device), facts["frozen"])
            facts["loss"] = 0.98 * facts["loss"] + 0.02 * loss
            facts["step"] += 1
    raise AssertionError("batches never end")


def to_tensor(pixels: np.ndarray) -> "torch.Tensor":
    """uint8 (n, height, width, 3) as float (n, 3, height, width) in -1..1."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float() / 127.5 - 1


def _set_rate(optimizer: Any, step: int, share: float) -> None:
    """Warm up over 200 steps, then fall to a twentieth along a cosine of the time spent."""
    decay = 0.05 + 0.95 * 0.5 * (1 + np.cos(np.pi * min(share, 1)))
    for group in optimizer.param_groups:
        group["lr"] = _LEARNING_RATE * min(1, (step + 1) / 200) * decay


def _step(vae: Any, optimizer: Any, pictures: "torch.Tensor", frozen: bool) -> float:
    import torch

    with torch.autocast(pictures.device.type, torch.bfloat16):
        if frozen:
            with torch.no_grad():
                latents = vae.encode(pictures).latent_dist.mode()
            spread = torch.rand(len(latents), 1, 1, 1, device=latents.device)
            latents = latents + _LATENT_NOISE * spread * torch.randn_like(latents)
            kl = torch.zeros((), device=latents.device)
        else:
            posterior = vae.encode(pictures).latent_dist
            latents = posterior.sample()
            kl = posterior.kl().mean() / latents[0].numel()
        drawn = vae.decode(latents).sample
    loss = picture_loss(drawn.float(), pictures)
    optimizer.zero_grad(set_to_none=True)
    (loss + 1e-4 * kl.float()).backward()
    torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
    optimizer.step()
    return float(loss.detach())


def picture_loss(drawn: "torch.Tensor", wanted: "torch.Tensor") -> "torch.Tensor":
    """L1 of pixels, chroma and gradients, summed over full, half and quarter size; both (n, 3, height, width)."""
    import torch
    from torch.nn.functional import avg_pool2d

    total = torch.zeros((), device=drawn.device)
    difference = drawn - wanted
    for level in range(3):
        grey = difference.mean(1, keepdim=True)
        total = total + difference.abs().mean() + 1.5 * (difference - grey).abs().mean()
        total = total + difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()
        if level < 2:
            difference = avg_pool2d(difference, 2)
    return total / 3


def _standardise(vae: Any, crops: Crops, seed: int) -> None:
    """Bring each latent channel to mean 0 and deviation 1 by the encoder's last and the decoder's first convolution."""
    import torch

    channels = vae.config.latent_channels
    dice = np.random.default_rng((seed, 77))
    with torch.no_grad():
        batches = crops.batches(dice)
        seen = torch.cat([vae.encode(to_tensor(next(batches)).to(vae.device)).latent_dist.mode() for _ in range(40)])
        mean, deviation = seen.mean((0, 2, 3)), seen.std((0, 2, 3))
        last, first = vae.encoder.conv_out, vae.decoder.conv_in
        first.bias += (first.weight.sum((2, 3)) * mean).sum(1)
        first.weight *= deviation.view(1, -1, 1, 1)
        last.weight[:channels] /= deviation.view(-1, 1, 1, 1)
        last.bias[:channels] = (last.bias[:channels] - mean) / deviation
        last.bias[channels:] -= 2 * deviation.log()
    vae.encoder.requires_grad_(False)

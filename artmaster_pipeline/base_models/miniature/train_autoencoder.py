"""The miniature's decoder, on crops of painted scenes and of real paintings; its encoder is set (first_weights.py).

The loss is L1 over a pyramid of sizes, on the picture, its gradients and (weighted, since L1 alone turns colours
grey) its chroma. In the second part two terms join that ask for texture where L1 is content with its mean: how much
fine detail there is in each field of 8 pixels, and an adversary of patches with feature matching
(https://arxiv.org/abs/2012.09841, https://arxiv.org/abs/1711.11585). At the very end the adversary leaves, and with
it the small faults of colour that it puts up with. A little noise lies on the latents throughout: the decoder will have
to draw from latents that a transformer made.
"""

import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from artmaster_pipeline.base_models.miniature.precision import autocast
from artmaster_pipeline.base_models.miniature.training_pictures import PER_SHARD, read_shard
from artmaster_pipeline.base_models.miniature.training_state import load_state, save_state
from artmaster_pipeline.progress import Progress

if TYPE_CHECKING:
    import torch

BATCH = 16
CROP = 64  # pixels; the network is convolutional, and small crops show it more pictures in the same time
_LEARNING_RATE = 2e-3
_ADVERSARY_RATE = 4e-4
_TEXTURE_AT = 0.6  # share of the time after which texture is asked for
_POLISH_AT = 0.95  # share of the time after which the adversary is gone
_TEXTURE_RATE = 0.3  # of the first part's rate
_POLISH_RATE = 0.1
_DETAIL, _MATCHING, _ADVERSARIAL = 0.04, 0.10, 0.03  # weights of the texture's terms
_REAL_SHARE = 0.4
_LATENT_NOISE = 0.06
_CHECKPOINT_SECONDS = 120


@dataclass(frozen=True)
class Crops:
    """Random crops, uint8 (n, CROP, CROP, 3), of shards of scenes and of paintings at several reductions."""

    painted: list[Path]
    real: list[Path]

    def batches(self, dice: np.random.Generator) -> Any:
        """Crops without end; a shard of scenes and one of paintings are held at a time."""
        while True:
            scenes, *paintings = (read_shard(files[int(dice.integers(len(files)))]) for files in self._kinds())
            for _ in range(20 * PER_SHARD // BATCH):
                mixed = [paintings[0] if paintings and dice.random() < _REAL_SHARE else scenes for _ in range(BATCH)]
                yield np.stack([_crop(shard.pictures, dice) for shard in mixed])

    def _kinds(self) -> list[list[Path]]:
        return [files for files in (self.painted, self.real) if files]


def _crop(pictures: np.ndarray, dice: np.random.Generator) -> np.ndarray:
    picture = pictures[int(dice.integers(len(pictures)))]
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
    return np.asarray(Image.fromarray(crop).resize((CROP, CROP), Image.Resampling.LANCZOS))


def train_decoder(vae: Any, crops: Crops, state: Path, minutes: float, seed: int, progress: Progress) -> float:
    """Train `vae`'s decoder in place for `minutes` of wall time, what `state` says was spent included.

    Gives the running mean of the picture loss at the end.
    """
    import torch

    vae.encoder.requires_grad_(False)
    vae.to(memory_format=torch.channels_last)
    adversary = make_adversary(seed).to(vae.device)
    optimizers = [
        torch.optim.AdamW(vae.decoder.parameters(), lr=_LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.0),
        torch.optim.AdamW(adversary.parameters(), lr=_ADVERSARY_RATE, betas=(0.5, 0.95), weight_decay=0.0),
    ]
    facts: dict[str, Any] = {"step": 0, "seconds": 0.0, "loss": 1.0}
    facts |= load_state(state, {"vae": vae, "adversary": adversary}, optimizers)
    dice = np.random.default_rng((seed, facts["step"]))
    began, saved = time.monotonic() - facts["seconds"], time.monotonic()
    total = int(minutes * 60)
    with progress.task("Decoder (seconds)", total, min(int(facts["seconds"]), total)) as advance:
        for pixels in crops.batches(dice):
            spent = time.monotonic() - began
            advance(max(0, int(spent) - int(facts["seconds"])), f"step {facts['step']}, loss {facts['loss']:.4f}")
            facts["seconds"] = spent
            share = spent / (minutes * 60)
            if share >= 1 or time.monotonic() - saved > _CHECKPOINT_SECONDS:
                save_state(state, {"vae": vae, "adversary": adversary}, optimizers, facts)
                saved = time.monotonic()
            if share >= 1:
                return float(facts["loss"])
            _set_rate(optimizers[0], facts["step"], share)
            pictures = to_tensor(pixels).to(vae.device, memory_format=torch.channels_last)
            judge = adversary if _TEXTURE_AT <= share < _POLISH_AT else None
            loss = _step(vae, judge, optimizers, pictures, detailed=share >= _TEXTURE_AT)
            facts["loss"] = 0.98 * facts["loss"] + 0.02 * loss
            facts["step"] += 1
    raise AssertionError("batches never end")


def to_tensor(pixels: np.ndarray) -> "torch.Tensor":
    """uint8 (n, height, width, 3) as float (n, 3, height, width) in -1..1."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float() / 127.5 - 1


def make_adversary(seed: int) -> Any:
    """A judge of patches: real or drawn, a value for each 8x8 pixels (https://arxiv.org/abs/1611.07004).

    Spectral normalisation (https://arxiv.org/abs/1802.05957) keeps it from outrunning the decoder.
    """
    import torch
    from torch import nn
    from torch.nn.utils.parametrizations import spectral_norm

    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed + 1)
        widths = (3, 32, 64, 96)
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(widths):
            layers.append(
                nn.Sequential(spectral_norm(nn.Conv2d(inputs, outputs, 4, 2, 1)), nn.LeakyReLU(0.2, inplace=True))
            )
        layers.append(spectral_norm(nn.Conv2d(widths[-1], 1, 3, 1, 1)))
        return nn.ModuleList(layers)


def _set_rate(optimizer: Any, step: int, share: float) -> None:
    """Warm up over 200 steps, fall along a cosine until texture is asked for, then low rates that fall to the end."""
    if share < _TEXTURE_AT:
        rate = min(1, (step + 1) / 200) * (0.1 + 0.9 * 0.5 * (1 + np.cos(np.pi * share / _TEXTURE_AT)))
    elif share < _POLISH_AT:
        rate = _TEXTURE_RATE * (1 - share) / (1 - _TEXTURE_AT)
    else:
        rate = _POLISH_RATE * max(0.05, (1 - share) / (1 - _POLISH_AT))
    for group in optimizer.param_groups:
        group["lr"] = _LEARNING_RATE * rate


def _step(vae: Any, adversary: Any, optimizers: list[Any], pictures: "torch.Tensor", detailed: bool) -> float:
    import torch

    with torch.no_grad():
        latents = vae.encode(pictures).latent_dist.mode()
        spread = torch.rand(len(latents), 1, 1, 1, device=latents.device)
        latents = latents + _LATENT_NOISE * spread * torch.randn_like(latents)
    with autocast(pictures.device):
        drawn = vae.decode(latents).sample.float()
    loss = near = picture_loss(drawn, pictures)
    if detailed:
        loss = loss + _DETAIL * detail_loss(drawn, pictures)
    if adversary is not None:
        with autocast(pictures.device):
            told = _judge(adversary, pictures)
            seen = _judge(adversary, drawn)
        matching = torch.stack([(a.float() - b.detach().float()).abs().mean() for a, b in zip(seen, told, strict=True)])
        loss = loss + _MATCHING * matching[:-1].mean() - _ADVERSARIAL * seen[-1].float().mean()
    optimizers[0].zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(vae.decoder.parameters(), 1.0)
    optimizers[0].step()
    if adversary is not None:
        with autocast(pictures.device):
            told, seen = _judge(adversary, pictures)[-1].float(), _judge(adversary, drawn.detach())[-1].float()
        optimizers[1].zero_grad(set_to_none=True)
        ((1 - told).relu().mean() + (1 + seen).relu().mean()).backward()
        optimizers[1].step()
    return float(near.detach())


def _judge(adversary: Any, pictures: "torch.Tensor") -> list["torch.Tensor"]:
    """What each of the adversary's layers says, its verdict last."""
    said = []
    for layer in adversary:
        pictures = layer(pictures)
        said.append(pictures)
    return said


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


def detail_loss(drawn: "torch.Tensor", wanted: "torch.Tensor") -> "torch.Tensor":
    """How far the amount of fine detail differs, in natural logarithms: L1 over fields of 8x8 pixels.

    Detail is the squared Laplacian of luma; both are (n, 3, height, width) in -1..1.
    """
    import torch
    from torch.nn.functional import avg_pool2d, conv2d

    kernel = drawn.new_tensor(((0, 1, 0), (1, -4, 1), (0, 1, 0)))[None, None]

    def detail(pictures: "torch.Tensor") -> "torch.Tensor":
        fine = conv2d(pictures.mean(1, keepdim=True), kernel)
        return torch.log(avg_pool2d(fine * fine, 8, stride=4) + 1e-3)

    return (detail(drawn) - detail(wanted)).abs().mean()

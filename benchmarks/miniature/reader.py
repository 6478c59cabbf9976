"""A small classifier that reads from a picture what the sample painters were asked for. It is no part of the product.

It learns on painted scenes whose words are known, and is trusted as far as it reads scenes that it never saw.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from artmaster_pipeline.base_models.miniature.precision import autocast
from artmaster_pipeline.base_models.miniature.training_pictures import (
    PER_SHARD,
    TAUGHT_STYLES,
    TAUGHT_SUBJECTS,
    halved,
    paint_shards,
    read_shard,
    taught_scene,
)
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.sample_painters import COMPOSITIONS, PALETTES, SEASONS, TIMES_OF_DAY, WEATHERS, Scene

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "subject": TAUGHT_SUBJECTS,
    "season": SEASONS,
    "time_of_day": TIMES_OF_DAY,
    "palette": tuple(palette for style in TAUGHT_STYLES for palette in PALETTES[style]),
    "style": TAUGHT_STYLES,
    "weather": WEATHERS,
    "composition": COMPOSITIONS,
}
JUDGED = ("subject", "season", "time_of_day", "palette", "style")
_BATCH = 64


class Reader(nn.Module):
    """Pictures, uint8 (n, height, width, 3) of any size from 64 pixels, to the logits of each attribute."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 64, 96, 160, 224)
        layers: list[nn.Module] = []
        for number in range(5):
            inputs, outputs = widths[number], widths[number + 1]
            layers += [nn.Conv2d(inputs, outputs, 5 if number == 0 else 3, 2, 2 if number == 0 else 1, bias=False)]
            layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
            if number:
                layers += [nn.Conv2d(outputs, outputs, 3, 1, 1, groups=outputs // 32, bias=False)]
                layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers)
        self.heads = nn.ModuleDict({name: nn.Linear(2 * widths[-1], len(words)) for name, words in ATTRIBUTES.items()})

    def forward(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        """`pictures` is (n, 3, height, width) in -1..1."""
        seen = self.body(pictures)
        pooled = torch.cat((seen.mean((2, 3)), seen.amax((2, 3))), 1)
        return {name: head(pooled) for name, head in self.heads.items()}


def labelled(folder: Path, shards: range, seed: int, progress: Progress) -> tuple[list[np.ndarray], list[list[Scene]]]:
    """Painted pictures at the miniature's size, shard by shard, and the scenes that they show."""
    files = paint_shards(folder, shards.stop, seed, progress)
    pictures = [halved(read_shard(files[number]).pictures) for number in shards]
    first = [seed * 10_000_000 + number * PER_SHARD for number in shards]
    return pictures, [[taught_scene(start + i) for i in range(PER_SHARD)] for start in first]


def labels_of(scenes: list[Scene]) -> dict[str, torch.Tensor]:
    """The number of each scene's word, by attribute."""
    return {
        name: torch.tensor([words.index(getattr(scene, name)) for scene in scenes])
        for name, words in ATTRIBUTES.items()
    }


def train_reader(pictures: list[np.ndarray], scenes: list[list[Scene]], epochs: int, progress: Progress) -> Reader:
    """Learn from shards; a little noise, blur and shift keep it from reading what only a renderer leaves."""
    torch.manual_seed(0)
    dice = np.random.default_rng(0)
    model = Reader().to(memory_format=torch.channels_last).train()
    labels = [labels_of(each) for each in scenes]
    batches = [(shard, start) for shard in range(len(pictures)) for start in range(0, PER_SHARD, _BATCH)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=epochs * len(batches))
    with progress.task("Reader", epochs * len(batches)) as advance:
        for _ in range(epochs):
            for turn in dice.permutation(len(batches)):
                shard, start = batches[turn]
                rows = dice.permutation(PER_SHARD)[:_BATCH] if start else dice.permutation(PER_SHARD)[-_BATCH:]
                seen = _disturbed(pictures[shard][rows], dice)
                with autocast(torch.device("cpu")):
                    said = model(seen)
                losses = [
                    nn.functional.cross_entropy(said[name].float(), labels[shard][name][rows], label_smoothing=0.05)
                    for name in ATTRIBUTES
                ]
                optimizer.zero_grad(set_to_none=True)
                total = torch.stack(losses).sum()
                total.backward()
                optimizer.step()
                schedule.step()
                advance(note=f"loss {float(total.detach()):.2f}")
    return model.eval()


def read(model: Reader, pictures: np.ndarray) -> dict[str, np.ndarray]:
    """The probabilities of each attribute's words, (n, words)."""
    parts: list[dict[str, torch.Tensor]] = []
    with torch.inference_mode():
        for start in range(0, len(pictures), _BATCH):
            parts.append(model(_tensor(pictures[start : start + _BATCH])))
    return {name: torch.cat([part[name] for part in parts]).softmax(1).numpy() for name in ATTRIBUTES}


def accuracy(model: Reader, pictures: np.ndarray, scenes: list[Scene]) -> dict[str, float]:
    """The share of pictures whose word is read rightly, by attribute."""
    said, right = read(model, pictures), labels_of(scenes)
    return {name: float((said[name].argmax(1) == right[name].numpy()).mean()) for name in ATTRIBUTES}


def _tensor(pictures: np.ndarray) -> torch.Tensor:
    planes = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return planes.contiguous(memory_format=torch.channels_last)


def _disturbed(pictures: np.ndarray, dice: np.random.Generator) -> torch.Tensor:
    seen = _tensor(pictures)
    down, right = (int(n) for n in dice.integers(-6, 7, 2))
    seen = torch.roll(seen, (down, right), (2, 3))
    if dice.random() < 0.4:
        soft = nn.functional.avg_pool2d(seen, 3, 1, 1, count_include_pad=False)
        seen = torch.lerp(seen, soft, float(dice.random()))
    return seen + 0.05 * float(dice.random()) * torch.randn_like(seen)


def mean_judged(scores: dict[str, Any]) -> float:
    """The mean over the attributes that the bar is about."""
    return float(np.mean([scores[name] for name in JUDGED]))

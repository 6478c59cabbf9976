"""A training step on the miniature: this product's AdaLoRA, PEFT's AdaLoRA as documented, plain LoRA of equal rank.

    python benchmarks/training/adalora_step.py [--threads N] [--rounds N] [--steps N]

The same transformer, latents, texts, noise, optimizer settings and rank for all, one after the other in every round, in
one process. PEFT's AdaLoRA is used as its documentation says: `get_peft_model`, its layers, `update_and_allocate` after
every optimizer step, and the orthogonal loss layer by layer (PEFT would add it itself, but never does on FLUX). Plain
LoRA is PEFT's, too. A round's figure is the median step; ratios are medians over the rounds. Losses of the first are
compared with those of the second, step by step.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from artmaster_pipeline.base_models import load_pipeline
from artmaster_pipeline.base_models.family import TextEmbedding, family_for
from artmaster_pipeline.settings import Profile, TrainingSettings, load_profile
from artmaster_pipeline.training.adalora import injecting as adalora
from artmaster_pipeline.training.learner import Example, Learner
from artmaster_pipeline.training.losses.flow_matching import (
    add_noise,
    sigmas_for,
    step_generator,
    velocity_loss,
)
from artmaster_pipeline.training.schedule import rank_schedule

Times, Losses = list[float], list[float]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} threads, {options.rounds} rounds of {options.steps} steps\n")
    heads = (
        "batch",
        "masked every",
        "PEFT AdaLoRA, ms",
        "plain LoRA, ms",
        "this, ms",
        "/ PEFT",
        "/ LoRA",
        "losses apart",
    )
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    profile = load_profile("miniature")
    for size, every in ((1, 10), (1, 1), (4, 10), (4, 1)):
        changes = {"max_steps": options.steps, "allocate_every": every, "stages": ()}
        settings = TrainingSettings.model_validate(profile.training.model_dump() | changes)
        print(row(profile, settings, size, options.rounds, options.steps), flush=True)


def row(profile: Profile, settings: TrainingSettings, size: int, rounds: int, steps: int) -> str:
    """One line of the table."""
    examples = random_examples(size)
    ways: dict[str, Callable[[], tuple[Times, Losses]]] = {
        "peft": lambda: with_peft(profile, settings, examples, steps),
        "lora": lambda: with_peft(profile, plain(settings), examples, steps),
        "ours": lambda: ours(profile, settings, examples, steps),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    losses: dict[str, Losses] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            times, losses[name] = way()
            found[name].append(statistics.median(times))
    milliseconds = " | ".join(f"{1000 * statistics.median(found[name]):.1f}" for name in ways)
    ratios = [
        statistics.median(a / b for a, b in zip(found["ours"], found[name], strict=True)) for name in ("peft", "lora")
    ]
    apart = max(abs(a - b) for a, b in zip(losses["ours"], losses["peft"], strict=True))
    return f"| {size} | {settings.allocate_every} | {milliseconds} | {ratios[0]:.2f} | {ratios[1]:.2f} | {apart:.1e} |"


def plain(settings: TrainingSettings) -> TrainingSettings:
    """Plain LoRA whose rank is what AdaLoRA begins with."""
    return settings.model_copy(update={"adapter": "lora", "target_r": settings.init_r})


def random_examples(size: int) -> list[Example]:
    """Latents and embeddings of the miniature's shapes at 128x128."""
    chance = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=chance)

    return [
        Example(
            normal(16, 16, 16), TextEmbedding({"prompt_embeds": normal(48, 128), "pooled_prompt_embeds": normal(128)})
        )
        for _ in range(size)
    ]


def ours(profile: Profile, settings: TrainingSettings, examples: Sequence[Example], steps: int) -> tuple[Times, Losses]:
    """Seconds and losses of the product's own steps."""
    pipe = load_pipeline(profile, parts=("transformer",))
    learner = Learner(pipe.transformer, pipe.scheduler, settings, steps, torch.float32)
    return timed(lambda number: learner.step(number, 0, [examples])["loss"], steps)


def with_peft(
    profile: Profile, settings: TrainingSettings, examples: Sequence[Example], steps: int
) -> tuple[Times, Losses]:
    """Seconds and losses with PEFT's layers, AdaLoRA's or LoRA's."""
    pipe = load_pipeline(profile, parts=("transformer",))
    model = adalora.wrap(pipe.transformer, settings, rank_schedule(steps, settings)).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    latents = torch.stack([example.latent for example in examples])
    family = family_for(pipe)
    shift = family.shift(pipe.scheduler, family.tokens(*latents.shape[2:]))

    def step(number: int) -> float:
        generator = step_generator(settings.seed, number, 0)
        sigmas = sigmas_for(len(examples), shift, settings.timestep_sampling, generator)
        noised = add_noise(latents, sigmas, generator)
        texts = [example.text for example in examples]
        predicted = family.predict_velocity(
            pipe.transformer, noised.noisy, noised.sigmas, texts, settings.guidance_scale, torch.float32
        )
        loss = velocity_loss(predicted, noised)
        total: Any = loss
        if settings.adapter == "adalora":
            total = loss + settings.orth_reg_weight * orthogonal(model)
        total.backward()
        torch.nn.utils.clip_grad_norm_(trained, settings.max_grad_norm)
        optimizer.step()
        if settings.adapter == "adalora":
            model.base_model.update_and_allocate(number)
        optimizer.zero_grad()
        return float(loss.item())

    return timed(step, steps)


def orthogonal(model: Any) -> torch.Tensor:
    """PEFT's orthogonal loss, layer by layer."""
    total, count = torch.zeros(()), 0
    for name, p in model.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            gram = p @ p.T if "lora_A" in name else p.T @ p
            total = total + torch.norm(gram - torch.eye(len(gram)), p="fro")
            count += 1
    return total / count


def timed(step: Callable[[int], float], steps: int) -> tuple[Times, Losses]:
    """Seconds and losses of steps 1 .. `steps`."""
    times, losses = [], []
    for number in range(1, steps + 1):
        began = time.perf_counter()
        losses.append(step(number))
        times.append(time.perf_counter() - began)
    return times, losses


if __name__ == "__main__":
    main()

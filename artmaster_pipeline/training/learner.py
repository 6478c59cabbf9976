"""One step of training: AdaLoRA on a transformer, its losses, its upkeep. Knows no files and no painters."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.base_models.compiling import compile_repeated_blocks
from artmaster_pipeline.base_models.family import TextEmbedding, family_for
from artmaster_pipeline.settings import TrainingSettings
from artmaster_pipeline.training.adalora import injecting as adalora
from artmaster_pipeline.training.adalora.rank_allocation import StackedAllocator
from artmaster_pipeline.training.adalora.stacked import Stacks
from artmaster_pipeline.training.adalora.starting import Change, begin_with
from artmaster_pipeline.training.losses.flow_matching import (
    clean_latents,
    sigmas_for,
    step_generator,
    velocity_loss,
    with_noise,
)
from artmaster_pipeline.training.losses.semantic_guidance import GuidanceTexts, guidance_loss, is_due
from artmaster_pipeline.training.optimizers import make_optimizer
from artmaster_pipeline.training.processes import Processes
from artmaster_pipeline.training.schedule import learning_rate_at, rank_schedule, stages_of

if TYPE_CHECKING:
    import torch

    from artmaster_pipeline.training.losses.style_constraint import StyleConstraint


@dataclass(frozen=True)
class Example:
    """A picture as the model sees it: its clean latent (channels, height, width), its text, its weights."""

    latent: "torch.Tensor"
    text: TextEmbedding
    weights: "torch.Tensor | None" = None  # (1, height, width) of the latent: how much each place counts


class TrainingDiverged(Exception):
    """A loss or a gradient is no longer a number; the weights are those of the step before.

    `untrained`: at the very first step, before anything was learnt, so that neither the learning rate nor what was
    learnt can be the cause.
    """

    def __init__(self, untrained: bool) -> None:
        super().__init__("a loss or a gradient is no longer a number")
        self.untrained = untrained


class Learner:
    """A transformer with a fresh adapter, and everything that changes while the adapter is trained."""

    def __init__(
        self,
        transformer: Any,
        scheduler: Any,
        settings: TrainingSettings,
        total_step: int,
        dtype: "torch.dtype",
        *,
        constraint: "StyleConstraint | None" = None,
        guidance: GuidanceTexts | None = None,
        processes: Processes | None = None,
        start: "Mapping[str, Change] | None" = None,
    ) -> None:
        """Wrap `transformer` (frozen, on its device, in `dtype`); `processes` share the work of a step.

        With `start`, the layers begin with those changes instead of none.
        """
        self.transformer, self.settings, self.total_step = transformer, settings, total_step
        self._scheduler, self._dtype, self._device = scheduler, dtype, transformer.device
        self._family = family_for(transformer)
        self._constraint, self._guidance = constraint, guidance
        self._processes = processes or Processes()
        if settings.gradient_checkpointing:
            transformer.enable_gradient_checkpointing()
        self.model = adalora.wrap(transformer, settings, rank_schedule(total_step, settings)).train()
        layers = [stage.layers for stage in stages_of(settings)]
        self.stacks = Stacks(self.model, adalora.parameters(self.model), dtype, layers)
        if start:
            begin_with(self.stacks, start, adalora.scale(settings))
        self.optimizer = make_optimizer(self.stacks.tensors, settings)
        self.allocator = (
            StackedAllocator(self.model, self.stacks, adalora.ADAPTER_NAME) if settings.adapter == "adalora" else None
        )
        self.averages = [t.detach().clone() for t in self.stacks.tensors] if settings.ema_decay else []
        self._stage = 0
        if settings.compile_blocks:
            compile_repeated_blocks(transformer)

    @property
    def total_rank(self) -> int:
        """The ranks that are left in all layers."""
        if self.allocator is not None:
            return self.allocator.total_rank
        return sum(len(group.layers) * group.a.shape[1] for group in self.stacks.groups)

    def step(self, number: int, stage: int, batches: Sequence[Sequence[Example]]) -> dict[str, float]:
        """One optimizer step (from 1) on batches of pictures of one size; gives the losses, the rate and the rank.

        The order is AdaLoRA's: any other lets pruned ranks grow back. The same pictures in the same order give the
        same step in however many batches, but for fp32's rounding. Raises TrainingDiverged, before any weight is
        changed, where a loss or a gradient is not finite.
        """
        import torch

        if stage != self._stage:
            self.stacks.learn(stage)
            self._stage = stage
        self.stacks.refresh(adalora.scale(self.settings))
        losses = self._backward(number, stage, batches)
        orthogonal = torch.zeros(())
        if self.allocator is not None:
            orthogonal = self.stacks.add_orthogonal_loss(self.settings.orth_reg_weight)
        learning = [tensor for tensor in self.stacks.tensors if tensor.grad is not None]
        norm = torch.nn.utils.clip_grad_norm_(learning, self.settings.max_grad_norm)
        row = {name: value.item() for name, value in losses.items()} | {"orth": orthogonal.item(), "norm": norm.item()}
        if not all(math.isfinite(value) for value in row.values()):
            self.stacks.zero_grad()
            raise TrainingDiverged(untrained=not self.optimizer.state)
        rate = learning_rate_at(number, self.total_step, stages_of(self.settings)[stage], self.settings)
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.step()
        if self.allocator is not None:
            self.model.base_model.update_and_allocate(number)
        self._average()
        self.stacks.zero_grad()
        return row | {"lr": rate, "rank": self.total_rank}

    def live(self) -> "dict[str, torch.Tensor]":
        """The adapter as `finished` shows it: A, B and E by layer, on the CPU."""
        found: dict[str, torch.Tensor] = {}
        for group, tensors in zip(self.stacks.groups, self._by_group(self._as_finished()), strict=True):
            for part, tensor in zip("ABE", tensors, strict=False):
                found |= {
                    f"{layer}.lora_{part}": member
                    for layer, member in zip(group.layers, tensor.detach().cpu().unbind(), strict=True)
                }
        return {name: found[name].contiguous() for name in sorted(found)}

    @contextmanager
    def finished(self, scale: float) -> Iterator[None]:
        """Let the model be, for a while, what the finished adapter would be now: averaged, pruned, at `scale`."""
        import torch

        pairs = zip(self.stacks.tensors, self._as_finished(), strict=True)
        changed = [(now, then) for now, then in pairs if then is not now]
        held = [now.detach().clone() for now, _ in changed]
        with torch.no_grad():
            for now, then in changed:
                now.copy_(then)
            self.stacks.refresh(scale)
        try:
            yield
        finally:
            with torch.no_grad():
                for (now, _), before in zip(changed, held, strict=True):
                    now.copy_(before)

    @contextmanager
    def showing(self, state: "Mapping[str, torch.Tensor]", scale: float) -> Iterator[None]:
        """Let the model be, for a while, an adapter as `live` gave it, at `scale`."""
        import torch

        held = [tensor.detach().clone() for tensor in self.stacks.tensors]
        with torch.no_grad():
            for group in self.stacks.groups:
                for part, tensor in zip("ABE", group.tensors, strict=False):
                    tensor.copy_(torch.stack([state[f"{layer}.lora_{part}"] for layer in group.layers]))
            self.stacks.refresh(scale)
        try:
            yield
        finally:
            with torch.no_grad():
                for tensor, before in zip(self.stacks.tensors, held, strict=True):
                    tensor.copy_(before)

    def velocity_error(self, batch: Sequence[Example], sigma: float, generators: "Sequence[torch.Generator]") -> Any:
        """The mean squared error of each picture of a batch at one noise level, (batch,), without gradients."""
        import torch

        with torch.no_grad():
            latents = self._latents(batch)
            noise = torch.stack([torch.randn(latents.shape[1:], generator=g) for g in generators]).to(latents.device)
            noisy = (1 - sigma) * latents + sigma * noise
            sigmas = torch.full((len(batch),), sigma, device=latents.device)
            predicted = self._predict(noisy, sigmas, [example.text for example in batch])
            return (predicted.float() - (noise - latents)).square().mean((1, 2, 3)).cpu()

    def _backward(self, number: int, stage: int, batches: Sequence[Sequence[Example]]) -> "dict[str, torch.Tensor]":
        """Gradients of all losses in A, B and E, summed over the processes; gives the losses."""
        import torch

        ends = list(itertools.accumulate(len(batch) for batch in batches))
        sigmas, noise = self._noise(number, stage, batches)
        weight = _weights(batches)
        losses = {name: torch.zeros((), device=self._device) for name in ("loss", "constraint", "guidance")}
        for place, batch in self._processes.share(batches):
            part = slice(ends[place] - len(batch), ends[place])
            velocity, constraint = self._losses(batch, torch.stack(sigmas[part]), torch.stack(noise[part]))
            share = len(batch) / ends[-1]
            total = velocity * weight[place]
            if constraint is not None:
                total = total + constraint * (self.settings.style_constraint.weight * share)
            total.backward()
            losses["loss"] += velocity.detach() * weight[place]
            if constraint is not None:
                losses["constraint"] += constraint.detach() * share
        if self._guides(number):
            generator = step_generator(self.settings.seed, number, 1)
            guidance = self._guidance_loss(batches[0][0], generator)
            guidance.backward()
            losses["guidance"] += guidance.detach()
        self.stacks.collect()
        self._processes.add_up([t.grad for t in self.stacks.tensors if t.grad is not None] + list(losses.values()))
        return {name: value for name, value in losses.items() if name == "loss" or self._has(name)}

    def _has(self, name: str) -> bool:
        return (self._constraint if name == "constraint" else self._guidance) is not None

    def _guides(self, number: int) -> bool:
        last = self._processes.number == self._processes.count - 1  # the one that has no more batches than the others
        return self._guidance is not None and last and is_due(self.settings.semantic_guidance, number)

    def _noise(self, number: int, stage: int, batches: Sequence[Sequence[Example]]) -> "tuple[list[Any], list[Any]]":
        """Noise level and noise of every picture of a step, drawn for all at once: batches have no part in them."""
        import torch

        generator = step_generator(self.settings.seed, number, 0)
        band, sampling = stages_of(self.settings)[stage].sigmas, self.settings.timestep_sampling
        sigmas: list[torch.Tensor] = []
        noise: list[torch.Tensor] = []
        shapes = (example.latent.shape for batch in batches for example in batch)
        for shape, neighbours in itertools.groupby(shapes):
            count, shift = len(list(neighbours)), self._family.shift(self._scheduler, self._family.tokens(*shape[1:]))
            sigmas += sigmas_for(count, shift, sampling, generator, band).unbind()
            noise += torch.randn((count, *shape), generator=generator).unbind()
        return sigmas, noise

    def _losses(
        self, batch: Sequence[Example], sigmas: "torch.Tensor", noise: "torch.Tensor"
    ) -> "tuple[torch.Tensor, torch.Tensor | None]":
        import torch

        latents = self._latents(batch)
        noised = with_noise(latents, sigmas, noise)
        predicted = self._predict(noised.noisy, noised.sigmas, [example.text for example in batch])
        weighed = [example.weights for example in batch if example.weights is not None]
        weights = torch.stack(weighed).to(latents.device) if len(weighed) == len(batch) else None
        loss = velocity_loss(predicted, noised, weights)
        if self._constraint is None:
            return loss, None
        return loss, self._constraint(clean_latents(noised, predicted.float()), latents, noised.sigmas)

    def _guidance_loss(self, example: Example, generator: "torch.Generator") -> "torch.Tensor":
        if self._guidance is None:
            raise ValueError("no guidance")

        def predict(noisy: Any, sigmas: Any, texts: list[TextEmbedding], adapted: bool) -> Any:
            if adapted:
                return self._predict(noisy, sigmas, texts)
            with self.stacks.off():
                return self._predict(noisy, sigmas, texts)

        latent = example.latent.to(self._device)
        return guidance_loss(predict, self.settings.semantic_guidance, self._guidance, latent, generator)

    def _latents(self, batch: Sequence[Example]) -> "torch.Tensor":
        import torch

        return torch.stack([example.latent for example in batch]).to(self._device)

    def _predict(self, noisy: Any, sigmas: Any, texts: list[TextEmbedding]) -> Any:
        scale = self.settings.guidance_scale
        return self._family.predict_velocity(self.transformer, noisy, sigmas, texts, scale, self._dtype)

    def _average(self) -> None:
        import torch

        if self.averages and self.settings.ema_decay:
            with torch.no_grad():
                torch._foreach_lerp_(self.averages, self.stacks.tensors, 1 - self.settings.ema_decay)

    def _as_finished(self) -> "list[torch.Tensor]":
        """The stacks' tensors, or their running mean, without the ranks that the last allocation took away.

        Those grow back a little in the steps before the next allocation, as PEFT's do; whoever looks at the adapter
        must not see them.
        """
        tensors = list(self.averages or self.stacks.tensors)
        if self.allocator is None:
            return tensors
        return [
            tensor.detach().masked_fill(~kept.unsqueeze(-1), 0.0) if part == 2 else tensor
            for group, kept in zip(self._by_group(tensors), self.allocator.kept, strict=True)
            for part, tensor in enumerate(group)
        ]

    def _by_group(self, tensors: "Sequence[torch.Tensor]") -> "Iterator[Sequence[torch.Tensor]]":
        begin = 0
        for group in self.stacks.groups:
            yield tensors[begin : begin + len(group.tensors)]
            begin += len(group.tensors)


def _weights(batches: Sequence[Sequence[Example]]) -> list[float]:
    """How much the mean over each batch counts in the mean over the whole step.

    Pictures of one size weigh as their places do; sizes as many as they have pictures.
    """
    pictures = sum(len(batch) for batch in batches)
    shapes = {example.latent.shape for batch in batches for example in batch}
    counts, places = dict.fromkeys(shapes, 0), dict.fromkeys(shapes, 0.0)
    for batch in batches:
        for example in batch:
            counts[example.latent.shape] += 1
            places[example.latent.shape] += _places(example)
    found = []
    for batch in batches:
        shape = batch[0].latent.shape
        found.append(counts[shape] / pictures * sum(map(_places, batch)) / places[shape])
    return found


def _places(example: Example) -> float:
    return 1.0 if example.weights is None else float(example.weights.double().sum())

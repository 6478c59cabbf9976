"""The training itself: AdaLoRA on cached latents and text embeddings, step by step, resumable at any of them."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.base_models.velocity import TextEmbedding
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.files import writing
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import TrainingImage
from artmaster_pipeline.settings import Home, Profile
from artmaster_pipeline.training import adalora
from artmaster_pipeline.training.caches import free_memory, latents_of, texts_of
from artmaster_pipeline.training.checkpoints import Trainee, restore_checkpoint, save_checkpoint
from artmaster_pipeline.training.flow_matching import step_generator, velocity_loss
from artmaster_pipeline.training.fold import save_folded
from artmaster_pipeline.training.rank_allocation import StackedAllocator
from artmaster_pipeline.training.schedule import (
    Batch,
    batches,
    buckets_by_size,
    kept_steps,
    rank_schedule,
    steps_for,
)

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Job:
    """One training: what it learns from, and where its checkpoints lie."""

    home: Home
    painter: str
    profile: Profile
    revision: str  # of the base model
    images: tuple[TrainingImage, ...]  # of the train part
    checkpoints: Path

    @property
    def kept(self) -> Path:
        """Where folded adapters of earlier steps lie until the training ends."""
        return self.checkpoints / "kept"

    @property
    def steps(self) -> int:
        """Optimizer steps in all."""
        return steps_for([len(bucket) for bucket in buckets_by_size(self.images)], self.profile.training)


@dataclass(frozen=True)
class Trained:
    """A finished training: the wrapped model, and one log row per step."""

    model: Any
    log: list[dict[str, Any]]


def run(job: Job, progress: Progress) -> Trained:
    """Train to the last step, going on from the newest checkpoint. Raises ArtMasterError where the loss blows up."""
    import torch

    schedule = rank_schedule(job.steps, job.profile.training)
    latents = latents_of(job.home, job.painter, job.profile, job.revision, job.images, progress)
    texts = texts_of(job.home, job.profile, job.revision, {image.caption for image in job.images}, progress)
    try:
        loop = _Loop(job, schedule, latents, texts)
        return loop.run(progress)
    except torch.OutOfMemoryError as error:
        free_memory()
        raise ArtMasterError(
            f"The GPU's memory was too small for the profile {job.profile.name!r}. Choose flux-dev-24gb, set "
            "`gradient_checkpointing: true`, lower `batch_size`, or free the GPU of other programs."
        ) from error


class _Loop:
    def __init__(
        self, job: Job, schedule: Any, latents: "dict[str, torch.Tensor]", texts: dict[str, TextEmbedding]
    ) -> None:
        import torch

        from artmaster_pipeline.base_models import load_pipeline

        settings = job.profile.training
        pipe = load_pipeline(job.profile, parts=("transformer",))
        self._scheduler, self._transformer = pipe.scheduler, pipe.transformer
        if settings.gradient_checkpointing:
            self._transformer.enable_gradient_checkpointing()
        model = adalora.wrap(self._transformer, settings, schedule).train()
        self._parameters = list(adalora.parameters(model).values())
        optimizer = torch.optim.AdamW(
            self._parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, foreach=True
        )
        self._trainee = Trainee(model, optimizer, StackedAllocator(model, adalora.ADAPTER_NAME))
        self._orthogonal_loss = adalora.OrthogonalLoss(model)
        self._job, self._settings, self._latents, self._texts = job, settings, latents, texts
        self._dtype = getattr(torch, job.profile.dtype)

    def run(self, progress: Progress) -> Trained:
        job, settings = self._job, self._settings
        done, log = restore_checkpoint(job.checkpoints, self._trainee)
        if done:
            progress.say(f"The training goes on after step {done} of {job.steps}.")
        kept = kept_steps(job.steps, settings)
        with progress.task("Training", job.steps, done) as advance:
            for step, batch in enumerate(batches(job.images, settings), start=1):
                if step <= done:
                    continue
                row = self._step(step, batch)
                log.append(row)
                if step in kept:
                    self._keep(step)
                if step % settings.checkpoint_every == 0 or step == job.steps:
                    save_checkpoint(job.checkpoints, self._trainee, step, log)
                advance(1, f"loss {row['loss']:.3f}, rank {row['rank']}")
        return Trained(self._trainee.model, log)

    def _keep(self, step: int) -> None:
        settings, file = self._settings, self._job.kept / f"step-{step:07d}.safetensors"
        with writing(file) as temporary:
            live = adalora.parameters(self._trainee.model)
            save_folded(live, adalora.scale(adalora.final_alpha(settings), settings.init_r), temporary)

    def _step(self, step: int, batch: Batch) -> dict[str, Any]:
        """One optimizer step. The order is AdaLoRA's: any other lets pruned ranks grow back."""
        import torch

        model, optimizer, allocator = self._trainee.model, self._trainee.optimizer, self._trainee.allocator
        loss, orthogonal = self._losses(step, batch)
        (loss + self._settings.orth_reg_weight * orthogonal).backward()
        row = {
            "step": step,
            "epoch": batch.epoch,
            "loss": loss.item(),
            "orth": orthogonal.item(),
            "lr": self._settings.learning_rate,
        }
        self._refuse_blow_up(row)
        torch.nn.utils.clip_grad_norm_(self._parameters, self._settings.max_grad_norm)
        optimizer.step()
        model.base_model.update_and_allocate(step)
        optimizer.zero_grad()
        return {**row, "rank": allocator.total_rank}

    def _losses(self, step: int, batch: Batch) -> "tuple[torch.Tensor, torch.Tensor]":
        import torch

        device = self._job.profile.device
        latents = torch.stack([self._latents[image.id] for image in batch.images]).to(device)
        texts = [self._texts[image.caption] for image in batch.images]
        generator = step_generator(self._settings.seed, step)
        with torch.autocast(device, self._dtype, enabled=self._dtype == torch.bfloat16):
            loss = velocity_loss(
                self._transformer, latents, texts, self._scheduler, self._settings, self._dtype, generator
            )
        return loss, self._orthogonal_loss()

    def _refuse_blow_up(self, row: dict[str, Any]) -> None:
        if not math.isfinite(row["loss"]) or not math.isfinite(row["orth"]):
            raise ArtMasterError(
                f"The training of {self._job.painter} blew up at step {row['step']}: its loss is no longer a number. "
                f"In the profile {self._job.profile.name!r}, under `training`, try a smaller `learning_rate` (now "
                f"{self._settings.learning_rate:g}), a smaller `max_grad_norm` or `lora_alpha`; then run it again."
            )

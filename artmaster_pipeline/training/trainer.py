"""The training of one adapter: from cached latents and text embeddings to a live state, resumable at any step."""

import itertools
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.base_models.family import TextEmbedding, family_for
from artmaster_pipeline.base_models.hub import family_of
from artmaster_pipeline.drawing_settings import drawing_of
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.files import writing
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import TrainingImage, identity
from artmaster_pipeline.sessions import free_memory, is_out_of_memory
from artmaster_pipeline.settings import Home, Profile
from artmaster_pipeline.threads import giving_way
from artmaster_pipeline.training.adalora.starting import changes_in
from artmaster_pipeline.training.caches import latents_of, texts_of
from artmaster_pipeline.training.checkpoints import newest_step, restore_checkpoint, save_checkpoint
from artmaster_pipeline.training.learner import Example, Learner, TrainingDiverged
from artmaster_pipeline.training.losses.masks import weights_of
from artmaster_pipeline.training.losses.semantic_guidance import GuidanceTexts, guidance_texts
from artmaster_pipeline.training.memory.process import give_memory_back
from artmaster_pipeline.training.memory.running_out import out_of_memory_message
from artmaster_pipeline.training.monitoring.tensorboard import EventWriter
from artmaster_pipeline.training.monitoring.watch import (
    Judge,
    LiveModel,
    Trend,
    ValidationLoss,
    best_step,
    sample_prompts,
    stopped_improving,
)
from artmaster_pipeline.training.processes import Processes, processes
from artmaster_pipeline.training.schedule import Step, buckets_by_size, kept_steps, stages_of, steps, steps_for

if TYPE_CHECKING:
    import torch

_KEPT_STATE, _PICTURE = "step-{:07d}.safetensors", "step-{:07d}-{:02d}.png"


@dataclass(frozen=True)
class Job:
    """One training: what it learns from, who judges it, and where its checkpoints lie."""

    home: Home
    painter: str
    profile: Profile
    revision: str  # of the base model
    trigger: str
    images: tuple[TrainingImage, ...]  # of the parts train and validate
    checkpoints: Path
    board: Path  # TensorBoard's files
    judge: Judge | None = None
    start: Path | None = None  # the folded adapter that it starts from; none: the base alone

    @property
    def train(self) -> tuple[TrainingImage, ...]:
        """What the adapter learns from."""
        return tuple(image for image in self.images if image.split == "train")

    @property
    def steps(self) -> int:
        """Optimizer steps in all."""
        return steps_for([len(bucket) for bucket in buckets_by_size(self.train)], self.profile.training)

    @property
    def kept_folder(self) -> Path:
        """Where live states of single steps lie until the training ends."""
        return self.checkpoints / "kept"

    def kept(self, step: int) -> Path:
        """The live state of a step."""
        return self.kept_folder / _KEPT_STATE.format(step)

    def picture(self, step: int, number: int) -> Path:
        """Where a picture drawn while training lies."""
        return self.checkpoints / "samples" / _PICTURE.format(step, number)


@dataclass
class History:
    """What was written down while training; every row names its step."""

    log: list[dict[str, Any]] = field(default_factory=list)  # of every step
    losses: list[dict[str, float]] = field(default_factory=list)  # on validation works
    readings: list[dict[str, float]] = field(default_factory=list)  # of the judge
    drawn: list[int] = field(default_factory=list)  # steps with pictures

    @property
    def last_step(self) -> int:
        """The last step that was trained."""
        return int(self.log[-1]["step"]) if self.log else 0


@dataclass(frozen=True)
class Trained:
    """A finished training: the live state of the chosen step, that step, and all that was written down.

    `drawings` are the ways of drawing that were tried with that state, the best first; empty where none was asked for.
    """

    live: "dict[str, torch.Tensor]"
    step: int
    history: History
    drawings: tuple[dict[str, float], ...] = ()


def run(job: Job, progress: Progress) -> Trained:
    """Train to the end, going on from the newest checkpoint.

    Raises ArtMasterError where the loss blows up or diverges, or memory runs out.
    """
    group = processes(job.profile)
    give_memory_back()
    if not group.writes:
        progress = Progress()
        group.wait()  # until the caches are filled
    latents = latents_of(job.home, job.painter, job.profile, job.revision, job.images, progress)
    texts = texts_of(job.home, job.profile, job.revision, _all_texts(job), progress)
    if group.writes:
        group.wait()
    from artmaster_pipeline.base_models import open_pipeline

    try:
        with open_pipeline(job.profile, ("transformer", "vae"), job.home) as pipe:
            return _Loop(job, pipe, latents, texts, group).run(progress)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        message = out_of_memory_message(job.profile, error)
        free_memory()
        raise ArtMasterError(message) from error


def _all_texts(job: Job) -> set[str]:
    settings = job.profile.training
    family, ways = family_of(job.profile, job.home), (drawing_of(None, job.profile), *settings.validation.drawings)
    texts = {image.caption for image in job.images} | {job.trigger}
    texts |= {prompt for prompt, _ in sample_prompts(job.images, settings.validation.samples)}
    texts |= {without for way in ways if (without := family.negative_prompt(way)) is not None}
    if job.judge is not None:
        texts |= set(job.judge.texts)
    return texts.union(*guidance_texts(settings.semantic_guidance, job.trigger)) if _guides(job) else texts


def _guides(job: Job) -> bool:
    guidance = job.profile.training.semantic_guidance
    return guidance.weight > 0 or guidance.direction_weight > 0


class _Loop:
    def __init__(
        self, job: Job, pipe: Any, latents: "dict[str, torch.Tensor]", texts: dict[str, TextEmbedding], group: Processes
    ) -> None:
        import torch

        self._job, self._settings, self._group = job, job.profile.training, group
        self._latents, self._texts = latents, texts
        guidance = None
        if _guides(job):
            plain, triggered = guidance_texts(self._settings.semantic_guidance, job.trigger)
            guidance = GuidanceTexts(tuple(texts[t] for t in plain), tuple(texts[t] for t in triggered))
        self._learner = Learner(
            pipe.transformer,
            pipe.scheduler,
            self._settings,
            job.steps,
            getattr(torch, job.profile.dtype),
            constraint=self._constraint(pipe),
            guidance=guidance,
            processes=group,
            start=changes_in(job.start) if job.start else None,
        )
        self._weights = weights_of(job.home, job.painter, job.train, latents, self._settings)
        self._model = LiveModel(pipe, self._learner, job.profile, texts)
        self._validation_loss = self._loss_on_validation()
        self._kept = kept_steps(job.steps, self._settings)
        self._history, self._trend = History(), Trend()

    def run(self, progress: Progress) -> Trained:
        """Go through the steps that are not done yet."""
        job = self._job
        done, history = restore_checkpoint(job.checkpoints, self._learner)
        self._history = History(**history)
        if done:
            progress.say(f"The training goes on after step {done} of {job.steps}.")
        for row in self._history.log:
            self._trend.diverges(row["step"], row["stage"], row["loss"])
        self._group.wait()
        self._journal = EventWriter(job.board, done) if self._group.writes else None
        try:
            with progress.task("Training", job.steps, done) as advance:
                for step in steps(job.train, self._settings):
                    if step.number <= done:
                        continue
                    if self._stop():
                        progress.say(f"The panel has stopped improving: the training ends at step {step.number - 1}.")
                        break
                    row = self._step(step)
                    self._look(step)
                    advance(1, f"{self._stage_note(step)}loss {row['loss']:.3f}, rank {row['rank']}")
        finally:
            if self._journal is not None:
                self._journal.close()
        return self._trained(progress)

    def _step(self, step: Step) -> dict[str, Any]:
        """One step of the learner, written down."""
        batches = [[self._example(step, image, place) for place, image in enumerate(b)] for b in step.batches]
        try:
            with self._giving_way():
                row = self._learner.step(step.number, step.stage, batches)
        except TrainingDiverged as error:
            raise (
                self._broken_device(step, batches)
                if error.untrained
                else self._fault(step, "its loss is no longer a number")
            ) from error
        except RuntimeError as error:
            if self._learner.optimizer.state or is_out_of_memory(error) or self._job.profile.device == "cpu":
                raise
            raise self._broken_device(step, batches, str(error).strip().split("\n")[0]) from error
        if self._trend.diverges(step.number, step.stage, row["loss"]):
            raise self._fault(step, f"its loss has grown to {Trend.FACTOR:g} times what it was and keeps growing")
        row = {"step": step.number, "epoch": step.epoch, "stage": step.stage} | row
        self._history.log.append(row)
        if self._journal is not None:
            self._journal.scalars(step.number, {f"train/{name}": v for name, v in row.items() if name != "step"})
        return row

    def _giving_way(self) -> AbstractContextManager[None]:
        """The transformer's bits do not depend on the number of threads; those of what decodes pictures do."""
        return nullcontext() if self._settings.style_constraint.weight > 0 else giving_way()

    def _look(self, step: Step) -> None:
        """What is due after a step: the validation loss, pictures, the judge, a kept state, a checkpoint."""
        number, settings, last = step.number, self._settings, step.number == self._job.steps
        kept = number in self._kept or last
        if self._group.writes:
            if self._validation_loss is not None and (number % settings.validation.loss_every == 0 or last):
                self._write_down(number, self._history.losses, self._validation_loss(self._learner), "validation")
            if settings.validation.samples and (number % settings.validation.samples_every == 0 or last):
                self._draw(number)
            if kept:
                self._keep(number)
        if kept:
            self._history = History(**self._group.broadcast(vars(self._history)))
        if kept or number % settings.checkpoint_every == 0:
            if self._journal is not None:
                self._journal.flush()  # so that no curve has a gap before the step that a resume begins at
            if self._group.writes:
                save_checkpoint(self._job.checkpoints, self._learner, number, vars(self._history))
            self._group.wait()

    def _keep(self, number: int) -> None:
        from safetensors.torch import save_file

        with writing(self._job.kept(number)) as temporary:
            save_file(self._learner.live(), temporary)
        if self._job.judge is not None:
            self._write_down(number, self._history.readings, self._job.judge(self._model), "validation panel")

    def _draw(self, number: int) -> None:
        import numpy as np
        from PIL import Image

        asked = sample_prompts(self._job.images, self._settings.validation.samples)
        seed = self._job.profile.evaluation.seed
        pictures = self._model.draw([prompt for prompt, _ in asked], [seed + offset for _, offset in asked])
        for place, picture in enumerate(pictures):
            with writing(self._job.picture(number, place)) as temporary:
                Image.fromarray(picture).save(temporary, "PNG")
        self._history.drawn.append(number)
        if self._journal is not None and pictures:
            self._journal.picture(number, "samples", np.concatenate(pictures, 1))

    def _write_down(self, number: int, rows: list[dict[str, float]], figures: dict[str, float], tag: str) -> None:
        rows.append({"step": number} | figures)
        if self._journal is not None:
            self._journal.scalars(number, {f"{tag}/{name}": value for name, value in figures.items()})

    def _stop(self) -> bool:
        """Whether the last thing that happened was a reading that shows no more progress."""
        readings, history = self._history.readings, self._history
        due = bool(readings) and readings[-1]["step"] == history.last_step
        return due and stopped_improving(readings, self._settings.validation.patience)

    def _trained(self, progress: Progress) -> Trained:
        from safetensors.torch import load_file

        history = self._history
        chosen = best_step(history.readings) or history.last_step
        if chosen != history.last_step:
            progress.say(f"The panel finds the adapter best after step {chosen} of {history.last_step}: it is kept.")
        live = load_file(self._job.kept(chosen))
        return Trained(live, chosen, history, self._drawings(live, progress))

    def _drawings(self, live: "dict[str, torch.Tensor]", progress: Progress) -> tuple[dict[str, float], ...]:
        """The ways of drawing that the panel tried with the chosen state; none in processes that do not write."""
        judge = self._job.judge
        if judge is None or not self._settings.validation.drawings or not self._group.writes:
            return ()
        with self._giving_way():
            return judge.choose_drawing(replace(self._model, state=live), progress)

    def _example(self, step: Step, image: TrainingImage, place: int) -> Example:
        dropped = self._settings.caption_dropout > _chance("caption", self._settings.seed, step.number, image.id, place)
        text = self._texts[self._job.trigger if dropped else image.caption]
        return Example(self._latents[image.id], text, self._weights.get(image.id))

    def _constraint(self, pipe: Any) -> Any:
        from artmaster_pipeline.training.losses.style_constraint import StyleConstraint

        wanted = self._settings.style_constraint
        return StyleConstraint(pipe.vae, family_for(pipe), wanted.max_sigma) if wanted.weight > 0 else None

    def _loss_on_validation(self) -> ValidationLoss | None:
        images = [image for image in self._job.images if image.split == "validate"]
        examples = [(image, Example(self._latents[image.id], self._texts[image.caption])) for image in images]
        return ValidationLoss(examples, self._job.profile) if examples else None

    def _stage_note(self, step: Step) -> str:
        return f"{stages_of(self._settings)[step.stage].name}: " if self._settings.stages else ""

    def _broken_device(self, step: Step, batches: list[list[Example]], raised: str = "") -> ArtMasterError:
        """A first step that went wrong: no artwork and no rate can be the cause, unless a picture is encoded as NaN."""
        import torch

        from artmaster_pipeline.base_models.attention import CHOICE
        from artmaster_pipeline.base_models.device import settle_device

        profile, seen = self._job.profile, zip(step.images, itertools.chain(*batches), strict=True)
        spoilt = sorted({image.caption for image, example in seen if not example.latent.isfinite().all()})
        if spoilt:
            return ArtMasterError(
                f"The training of {self._job.painter} was not begun: the base's autoencoder gives values that are no "
                f"numbers for {', '.join(map(repr, spoilt))}. Delete {self._job.home.cache / 'latents'} and run it "
                "again; if it stays so, leave those artworks out or set `dtype: float32` in the profile."
            )
        attention = settle_device(profile)
        where = torch.cuda.get_device_name() if profile.device == "cuda" else "the CPU"
        used = f" with {attention}" if attention is not None else ""
        what = f"raised: {raised}" if raised else "gave values that are no numbers"
        return ArtMasterError(
            f"The training of {self._job.painter} was stopped at its first step, which {what}. Nothing had been learnt "
            "by then, so neither the artworks nor the learning rate are the cause, but how it was computed: in "
            f"{profile.dtype} on {where}{used}, torch {torch.__version__}. Run it again with {CHOICE}=math in the "
            "environment, which leaves attention to plain matrix products; with another version of torch or of the "
            "driver; or with files of the base model that were fetched anew."
        )

    def _fault(self, step: Step, what: str) -> ArtMasterError:
        """One message: the step, its artworks, the rate, where the last good state is, what to try."""
        job, settings = self._job, self._settings
        rate = self._learner.optimizer.param_groups[0]["lr"]
        works = ", ".join(sorted({f"{i.caption!r} (scan {i.scan_sha256[:12]})" for i in step.images}))
        good = _last_good(job, self._trend, newest_step(job.checkpoints))
        return ArtMasterError(
            f"The training of {job.painter} was stopped at step {step.number}: {what}. The step's artworks: {works}. "
            f"The learning rate was {rate:g}. {good} In the profile {job.profile.name!r}, under `training`, try a "
            f"smaller `learning_rate` (now {settings.learning_rate:g}), a smaller `max_grad_norm` or `lora_alpha`, or "
            "look at those artworks; then run it again."
        )


def _last_good(job: Job, trend: Trend, newest: int) -> str:
    """Where the last state before the loss began to grow lies, folded so that it draws."""
    from safetensors.torch import load_file

    from artmaster_pipeline.adapters.folding import save_folded
    from artmaster_pipeline.training.adalora import injecting as adalora

    kept = sorted(job.kept_folder.glob("step-*.safetensors"))
    usable = [file for file in kept if int(file.stem.removeprefix("step-")) <= max(trend.lowest_at, 0)] or kept[:1]
    if not usable:
        return f"The last checkpoint is that of step {newest}." if newest else "There is no checkpoint before it."
    target = job.checkpoints / "last-good" / "adapter.safetensors"
    with writing(target) as temporary:
        alphas = family_of(job.profile, job.home).alphas
        save_folded(load_file(usable[-1]), adalora.final_scale(job.profile.training), temporary, alphas)
    step = int(usable[-1].stem.removeprefix("step-"))
    return f"The adapter as it was after step {step}, the last good one that was kept, is {target}."


def _chance(*parts: object) -> float:
    """A number in [0, 1) that follows from the parts."""
    return int(identity(*parts), 16) / 16**16

"""The stage style_adapter: one adapter for one painter, known by what it is made from before it is made."""

import shutil
from pathlib import Path
from typing import Any

from artmaster_pipeline.adapters.describing import own_words
from artmaster_pipeline.adapters.finding import known_adapters
from artmaster_pipeline.adapters.folder import (
    CONFIG,
    LIVE,
    LOG,
    LORA,
    LOSS_PLOT,
    RANK_PLOT,
    SAMPLES,
    SAMPLES_SHEET,
    STATE,
    VALIDATION_LOSS,
    WATCH,
    WATCH_PLOT,
    hide_own_tensors,
    kept_name,
    read_record,
    read_watch,
    write_log,
    write_watch,
)
from artmaster_pipeline.adapters.ledger import ledger_of
from artmaster_pipeline.adapters.recording import training_facts, write_texts
from artmaster_pipeline.drawing_settings import DrawingSettings, drawing_of
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.files import clear_partials, sha256_of, writing_folder
from artmaster_pipeline.locks import one_at_a_time
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import (
    MANIFEST,
    Adapter,
    Outcome,
    TrainingImage,
    identity,
    manifest_hash,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import Home, Profile, load_painter
from artmaster_pipeline.training.adalora import injecting as adalora
from artmaster_pipeline.training.monitoring.watch import Judge, JudgeFor, sample_prompts
from artmaster_pipeline.training.processes import processes
from artmaster_pipeline.training.schedule import rank_schedule, times_shown, warm_settings
from artmaster_pipeline.training.trainer import Job, Trained, run
from artmaster_pipeline.training.warm_start import Start, choose_start, says_its_ancestry

_TRAINER = 3  # raise when the same pictures and settings would give another adapter
_SUMS_IN_FP32 = 4  # the same for trainings whose steps have several batches, or are not in fp32 (see `_adapter_id`)
_STARTER = 1  # the same for trainings that start from another adapter
_CHOOSER = 3  # the same where the validation panel would choose another state
_FILES = (LORA, LOG, WATCH, LOSS_PLOT, RANK_PLOT, WATCH_PLOT, f"{LIVE}/{STATE}", f"{LIVE}/{CONFIG}")
# What decides nothing about the weights; how the validation works are asked counts only where the panel chooses.
_WATCHING = {"loss_every", "sigmas", "samples_every", "samples"}


@one_at_a_time
@session()
def train_adapter(
    home: Home, painter: str, profile: Profile, progress: Progress = SILENT, judge_for: JudgeFor | None = None
) -> Outcome[Adapter]:
    """Train, fold and describe the painter's adapter; returns the one current Adapter.

    An adapter that is already there whole is not trained again; a training that was killed goes on where it was, to
    the same weights. `judge_for` makes the panel that chooses among the kept states where the profile says so; without
    it, or with too few validation works, the last state is the adapter. Under `accelerate launch` every process calls
    this, and one of them writes. Raises ArtMasterError without a training set or where the loss blows up, WrongUse for
    settings that leave AdaLoRA no room, MissingRequirement where the base model or its device is not there.

    With `warm_start`, a training begins with the painter's last adapter, or says why it does not (`warm_start`).
    """
    from artmaster_pipeline.base_models import base_revision

    rows = _training_rows(home, painter)
    revision, group = base_revision(profile, home), processes(profile)
    judge = _judge(home, painter, profile, rows, judge_for, progress)
    start = choose_start(
        home,
        painter,
        profile,
        revision,
        rows,
        lambda name, parent: _adapter_id(name, _settled(profile, rows, parent), revision, rows, judge, parent),
        _whole_record,
    )
    adapter_id, profile = start.adapter_id, _settled(profile, rows, start.parent_id)
    folder = home.adapters(painter) / adapter_id
    if group.writes:
        clear_partials(home.adapters(painter))
        for known in known_adapters(home, painter):
            hide_own_tensors(home.adapters(painter) / known)
    group.wait()
    there = _whole_record(folder, adapter_id)
    job = Job(
        home,
        painter,
        profile,
        revision,
        load_painter(home, painter).trigger,
        tuple(row for row in rows if row.split != "held_out"),
        home.cache / "training" / adapter_id,
        home.cache / "tensorboard" / painter / adapter_id,
        judge,
        start.file,
    )
    group.wait()
    made = int(there is None)
    if there is None:
        if sentence := start.sentence(job.steps):
            progress.say(sentence)
        trained = run(job, progress)
        if group.writes:
            with writing_folder(folder) as temporary:
                there = _finish(temporary, job, start, trained, rows)
            shutil.rmtree(job.checkpoints, ignore_errors=True)
    else:
        there = _describe(job, there, rows)
    if group.writes and there is not None:
        write_texts(folder, home, there, rows)
        write_manifest(home.adapters(painter) / MANIFEST, [there])
    group.wait()
    (record,) = read_manifest(home.adapters(painter) / MANIFEST, Adapter)
    return Outcome((record,), home.adapters(painter) / MANIFEST, made, 1 - made, figures=_figures(record, folder))


def _judge(
    home: Home,
    painter: str,
    profile: Profile,
    rows: tuple[TrainingImage, ...],
    judge_for: JudgeFor | None,
    progress: Progress,
) -> Judge | None:
    if judge_for is None or profile.training.validation.choose != "panel":
        return None
    judge = judge_for(home, painter, profile, rows)
    if judge is None:
        progress.say(
            "Too few works are kept for validation to choose among the adapter's states: the last one is kept."
        )
    return judge


def _training_rows(home: Home, painter: str) -> tuple[TrainingImage, ...]:
    manifest = home.training_set(painter) / MANIFEST
    if not manifest.exists():
        raise ArtMasterError(f"{manifest} does not exist yet: run the stage training_set first.")
    rows = read_manifest(manifest, TrainingImage)
    if not _train_part(rows):
        raise ArtMasterError(f"{manifest} has no pictures to train on: run the stage training_set again.")
    return rows


def _train_part(rows: tuple[TrainingImage, ...]) -> tuple[TrainingImage, ...]:
    return tuple(row for row in rows if row.split == "train")


def _settled(profile: Profile, rows: tuple[TrainingImage, ...], parent_id: str) -> Profile:
    """The profile that a training from that parent (empty: from the base) is run with."""
    if not parent_id:
        return profile
    return profile.model_copy(update={"training": warm_settings(_train_part(rows), profile.training)})


def _adapter_id(
    painter: str,
    profile: Profile,
    revision: str,
    rows: tuple[TrainingImage, ...],
    judge: Judge | None,
    parent_id: str = "",
) -> str:
    """Made from all that decides the weights: pictures and captions, base, settings, who chooses, where it starts.

    Held-out works decide nothing, and the validation works only where the panel chooses among the kept states. That a
    start from another adapter was wished for decides nothing either: the one that it is does, and the steps.
    """
    parts = ("train",) if judge is None else ("train", "validate")
    pictures = [
        [row.id, row.sha256, row.caption, row.width, row.height, row.split] for row in rows if row.split in parts
    ]
    left_out: dict[str, Any] = {
        "checkpoint_every": True,
        "validation": _WATCHING,
        "warm_start": True,
        "warm_start_share": True,
    }
    settings = profile.training.model_dump(mode="json", exclude=left_out)
    choice: Any = None
    if judge is None:
        settings.pop("validation")
        settings.pop("checkpoints")
    else:
        choice = [_CHOOSER, profile.evaluation.deciding(), profile.gate.max_drift]
    base = [revision, profile.device, profile.dtype, profile.quantization]
    sizes = [profile.size_divisor, profile.max_sequence_length]
    # One batch in fp32 is summed as it always was, so adapters of that kind keep their ids.
    one_sum = profile.dtype == "float32" and profile.training.gradient_accumulation == 1
    trainer = _TRAINER if one_sum else _SUMS_IN_FP32
    start = (["started from", _STARTER, parent_id],) if parent_id else ()
    return identity("adapter", trainer, painter, base, sizes, settings, pictures, choice, *start)


def _whole_record(folder: Path, adapter_id: str) -> Adapter | None:
    """The record of an adapter that is there with all its files, the weights that it names, and its ancestry."""
    record = read_record(folder)
    if record is None or record.id != adapter_id or not all((folder / name).is_file() for name in _FILES):
        return None
    if record.started_from and not says_its_ancestry(folder):
        return None
    return record if sha256_of(folder / LORA) == record.sha256 else None


def _finish(folder: Path, job: Job, start: Start, trained: Trained, rows: tuple[TrainingImage, ...]) -> Adapter:
    """Fill the adapter's folder; returns its record."""
    from safetensors.torch import load_file

    from artmaster_pipeline.adapters.folding import ranks, save_folded
    from artmaster_pipeline.base_models import base_commit, family_of
    from artmaster_pipeline.training.monitoring import plots

    live, settings, history = trained.live, job.profile.training, trained.history
    scale = adalora.final_scale(settings)
    alphas = family_of(job.profile, job.home).alphas
    adalora.save_live(live, folder / LIVE, settings, rank_schedule(job.steps, settings))
    for file in sorted(job.kept_folder.glob("step-*.safetensors")):
        if file != job.kept(trained.step):
            state = folder / kept_name(int(file.stem.removeprefix("step-")))
            state.parent.mkdir(exist_ok=True)
            save_folded(load_file(file), scale, state, alphas)
    write_log(folder / LOG, history.log)
    write_watch(folder / WATCH, history.losses, history.readings)
    kept = ranks(live)
    plots.draw_loss(history.log, folder / LOSS_PLOT)
    plots.draw_ranks(history.log, kept, settings.init_r, folder / RANK_PLOT)
    plots.draw_watch(history.losses, history.readings, trained.step, folder / WATCH_PLOT)
    if history.drawn:
        pictures = [[job.picture(step, n) for step in history.drawn] for n in range(settings.validation.samples)]
        plots.draw_samples(pictures, history.drawn, folder / SAMPLES_SHEET)
    last = [row["loss"] for row in history.log if row["epoch"] == history.log[-1]["epoch"]]
    measured = {
        "sha256": "",
        "ranks": kept,
        "final_loss": sum(last) / len(last),
        "base_commit": base_commit(job.profile, job.home),
        "started_from": start.parent_id,
        "steps": history.last_step,
        "chosen_step": trained.step if trained.step != history.last_step else 0,
        "drawing": _best_drawing(trained.drawings),
        "drawing_table": trained.drawings,
    }
    record, ancestry = _record(job, start.adapter_id, rows, measured), start.ancestry
    words = own_words(record, load_painter(job.home, job.painter).name)
    words |= ledger_of(job.home, record, ancestry.inherited).words()
    save_folded(live, scale, folder / LORA, alphas, words)
    record = record.model_copy(update={"sha256": sha256_of(folder / LORA)})
    _save_samples(folder, job, record, history.drawn)
    shown = times_shown(job.train, settings, trained.step)
    write_texts(folder, job.home, record, rows, training_facts(job.home, job.painter, shown, ancestry))
    return record


def _best_drawing(tried: tuple[dict[str, float], ...]) -> DrawingSettings | None:
    if not tried:
        return None
    return DrawingSettings.model_validate({name: tried[0][name] for name in DrawingSettings.model_fields})


def _save_samples(folder: Path, job: Job, adapter: Adapter, drawn: list[int]) -> None:
    """Keep the pictures drawn at the step nearest to that of the weights: the model card shows them."""
    from artmaster_pipeline.pictures import AI_GENERATED, read_rgb, write_png

    if not drawn:
        return
    step, how = min(drawn, key=lambda step: (abs(step - adapter.step), -step)), job.profile.evaluation
    drawing = drawing_of(None, job.profile)
    for number, (prompt, offset) in enumerate(sample_prompts(job.images, job.profile.training.validation.samples)):
        key = identity("while training", adapter.id, step, prompt, how.seed + offset)
        facts = {
            "id": key,
            "notice": AI_GENERATED,
            "prompt": prompt,
            "seed": how.seed + offset,
            "adapter": adapter.id,
            "base_model": adapter.base_model,
            "base_revision": adapter.base_revision,
            "num_inference_steps": how.num_inference_steps,
            "guidance_scale": drawing.guidance_scale,
            **drawing.further(),
            "checkpoint": step,
        }
        write_png(folder / SAMPLES / f"{number + 1}.png", read_rgb(job.picture(step, number)), facts)


def _describe(job: Job, there: Adapter, rows: tuple[TrainingImage, ...]) -> Adapter:
    """The record of an adapter that need not be trained again, for the archive as it stands now."""
    weights = ("sha256", "ranks", "final_loss", "steps", "chosen_step", "started_from", "base_commit")
    names = (*weights, "drawing", "drawing_table")
    return _record(job, there.id, rows, {name: getattr(there, name) for name in names})


def _record(job: Job, adapter_id: str, rows: tuple[TrainingImage, ...], measured: dict[str, Any]) -> Adapter:
    home, profile = job.home, job.profile
    return Adapter(
        id=adapter_id,
        painter=job.painter,
        path=(home.adapters(job.painter) / adapter_id).relative_to(home.root).as_posix(),
        profile=profile.name,
        base_model=profile.base_model,
        base_revision=job.revision,
        trigger=job.trigger,
        training_set_hash=manifest_hash(home.training_set(job.painter) / MANIFEST),
        training_image_ids=tuple(sorted(row.id for row in _train_part(rows))),
        scan_sha256s=tuple(sorted({row.scan_sha256 for row in _train_part(rows)})),
        seed=profile.training.seed,
        settings=profile.training.model_dump(mode="json"),
        **measured,
    )


def _figures(adapter: Adapter, folder: Path) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "total rank": sum(adapter.ranks.values()),
        "layers": len(adapter.ranks),
        "layers left out": sum(rank == 0 for rank in adapter.ranks.values()),
        "training pictures": len(adapter.training_image_ids),
        "step of the weights": adapter.step,
    }
    if adapter.started_from:
        figures["started from"] = adapter.started_from
    if adapter.drawing is not None:
        figures["drawn with"] = adapter.drawing.in_words()
    losses = [row["loss"] for row in read_watch(folder / WATCH) if row["what"] == VALIDATION_LOSS]
    return figures | ({"loss on validation works": losses[-1]} if losses else {})

"""The stage style_adapter: one adapter for one painter, known by what it is made from before it is made."""

import shutil
from pathlib import Path
from typing import Any

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.files import clear_partials, sha256_of, writing_folder
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
from artmaster_pipeline.settings import Home, Profile, load_painter
from artmaster_pipeline.training import adalora
from artmaster_pipeline.training.adapter_folder import (
    KEPT,
    LIVE,
    LOG,
    LORA,
    LOSS_PLOT,
    RANK_PLOT,
    RECORD,
    read_record,
    write_log,
    write_texts,
)
from artmaster_pipeline.training.trainer import Job, Trained, run

_TRAINER = 1  # raise when the same pictures and settings would give another adapter
_FILES = (LORA, LOG, LOSS_PLOT, RANK_PLOT, f"{LIVE}/{adalora.STATE}", f"{LIVE}/{adalora.CONFIG}")


def train_adapter(home: Home, painter: str, profile: Profile, progress: Progress = SILENT) -> Outcome[Adapter]:
    """Train, fold and describe the painter's adapter; returns the one current Adapter.

    An adapter that is already there whole is not trained again; a training that was killed goes on where it was, to
    the same weights. Raises ArtMasterError without a training set or where the loss blows up, WrongUse for settings
    that leave AdaLoRA no room, MissingRequirement where the base model or its device is not there.
    """
    from artmaster_pipeline.base_models import base_revision

    rows = _training_rows(home, painter)
    revision = base_revision(profile)
    adapter_id = _adapter_id(painter, profile, revision, rows)
    folder = home.adapters(painter) / adapter_id
    clear_partials(home.adapters(painter))
    there = _whole_record(folder, adapter_id)
    job = Job(home, painter, profile, revision, _train_part(rows), home.cache / "training" / adapter_id)
    if there is None:
        trained = run(job, progress)
        with writing_folder(folder) as temporary:
            there = _finish(temporary, job, adapter_id, trained, rows)
        shutil.rmtree(job.checkpoints, ignore_errors=True)
        made = 1
    else:
        there = _describe(job, there, rows)
        made = 0
    write_texts(folder, home, there, rows)
    manifest = home.adapters(painter) / MANIFEST
    write_manifest(manifest, [there])
    return Outcome((there,), manifest, made, 1 - made, figures=_figures(there))


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


def _adapter_id(painter: str, profile: Profile, revision: str, rows: tuple[TrainingImage, ...]) -> str:
    """Made from all that decides the weights: the train part's pictures and captions, the base, the settings.

    Held-out works, how often checkpoints are written and how many are kept decide nothing.
    """
    pictures = [[row.id, row.sha256, row.caption, row.width, row.height] for row in _train_part(rows)]
    settings = profile.training.model_dump(mode="json", exclude={"checkpoint_every", "checkpoints"})
    base = [revision, profile.device, profile.dtype, profile.quantization]
    sizes = [profile.size_divisor, profile.max_sequence_length]
    return identity("adapter", _TRAINER, painter, base, sizes, settings, pictures)


def _whole_record(folder: Path, adapter_id: str) -> Adapter | None:
    """The record of an adapter that is there with all its files and the weights that it names."""
    record = read_record(folder / RECORD)
    if record is None or record.id != adapter_id or not all((folder / name).is_file() for name in _FILES):
        return None
    return record if sha256_of(folder / LORA) == record.sha256 else None


def _finish(folder: Path, job: Job, adapter_id: str, trained: Trained, rows: tuple[TrainingImage, ...]) -> Adapter:
    """Fill the adapter's folder; returns its record."""
    from artmaster_pipeline.training import plots
    from artmaster_pipeline.training.fold import ranks, save_folded

    live, settings = adalora.parameters(trained.model), job.profile.training
    alpha = adalora.final_alpha(settings)
    save_folded(live, adalora.scale(alpha, settings.init_r), folder / LORA)
    adalora.save_live(trained.model, folder / LIVE, alpha)
    for file in sorted(job.kept.glob("step-*.safetensors")):
        (folder / KEPT).mkdir(exist_ok=True)
        shutil.copyfile(file, folder / KEPT / file.name)
    write_log(folder / LOG, trained.log)
    kept = ranks(live)
    plots.draw_loss(trained.log, folder / LOSS_PLOT)
    plots.draw_ranks(trained.log, kept, settings.init_r, folder / RANK_PLOT)
    last = [row["loss"] for row in trained.log if row["epoch"] == trained.log[-1]["epoch"]]
    measured = {"sha256": sha256_of(folder / LORA), "ranks": kept, "final_loss": sum(last) / len(last)}
    record = _record(job, adapter_id, rows, measured)
    write_texts(folder, job.home, record, rows)
    return record


def _describe(job: Job, there: Adapter, rows: tuple[TrainingImage, ...]) -> Adapter:
    """The record of an adapter that need not be trained again, for the archive as it stands now."""
    return _record(job, there.id, rows, {name: getattr(there, name) for name in ("sha256", "ranks", "final_loss")})


def _record(job: Job, adapter_id: str, rows: tuple[TrainingImage, ...], measured: dict[str, Any]) -> Adapter:
    home, profile = job.home, job.profile
    return Adapter(
        id=adapter_id,
        painter=job.painter,
        path=(home.adapters(job.painter) / adapter_id).relative_to(home.root).as_posix(),
        profile=profile.name,
        base_model=profile.base_model,
        base_revision=job.revision,
        trigger=load_painter(home, job.painter).trigger,
        training_set_hash=manifest_hash(home.training_set(job.painter) / MANIFEST),
        training_image_ids=tuple(sorted(row.id for row in _train_part(rows))),
        scan_sha256s=tuple(sorted({row.scan_sha256 for row in _train_part(rows)})),
        seed=profile.training.seed,
        steps=job.steps,
        settings=profile.training.model_dump(mode="json"),
        **measured,
    )


def _figures(adapter: Adapter) -> dict[str, Any]:
    return {
        "total rank": sum(adapter.ranks.values()),
        "layers": len(adapter.ranks),
        "layers left out": sum(rank == 0 for rank in adapter.ranks.values()),
        "training pictures": len(adapter.training_image_ids),
    }

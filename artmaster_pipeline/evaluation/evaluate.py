"""The stage evaluation_grid: one adapter against its base, on prompts of works that were held out of its training."""

import shutil

from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.evaluation.grid import write_grid
from artmaster_pipeline.evaluation.panel import flat_figures, write_panel
from artmaster_pipeline.evaluation.rows import choose_rows
from artmaster_pipeline.evaluation.samples import cells_of, fill_cells
from artmaster_pipeline.files import clear_partials
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import MANIFEST, Adapter, Outcome, Sample, TrainingImage, read_manifest, write_manifest
from artmaster_pipeline.settings import Home, Profile, load_painter


def evaluate_adapter(home: Home, painter: str, profile: Profile, progress: Progress = SILENT) -> Outcome[Sample]:
    """Draw the grid of the painter's current adapter, measure it, and give its cells.

    Writes evaluation/<painter>/<adapter id>/ with samples/, grid.png, grid.jpg and panel.json. The base's pictures are
    drawn once for all adapters that share prompts and seeds. Raises ArtMasterError where there is no adapter yet and
    WrongUse where the adapter is of another base model than the profile's.
    """
    folder = home.evaluation(painter)
    adapter = _current_adapter(home, painter, profile)
    images = read_manifest(home.training_set(painter) / MANIFEST, TrainingImage)
    rows = choose_rows(images, profile.evaluation.rows, profile.evaluation.seed)
    if not rows:
        raise ArtMasterError(f"{home.training_set(painter)} holds no pictures: run the stage training_set first.")
    if folder.is_dir():
        clear_partials(folder)
    known = {sample.id: sample for sample in read_manifest(folder / MANIFEST, Sample)}
    samples, made = fill_cells(home, adapter, profile, cells_of(rows, adapter, profile), known, progress)
    write_grid(folder / adapter.id, folder, load_painter(home, painter).name, adapter, rows, samples)
    panel = write_panel(home, adapter, profile, images, samples)
    progress.say(panel["reading"])
    write_manifest(folder / MANIFEST, samples)
    _remove_orphans(home, painter, adapter)
    records = tuple(sorted(samples, key=lambda sample: sample.id))
    return Outcome(records, folder / MANIFEST, made, len(samples) - made, figures=flat_figures(panel))


def _current_adapter(home: Home, painter: str, profile: Profile) -> Adapter:
    adapters = read_manifest(home.adapters(painter) / MANIFEST, Adapter)
    if not adapters:
        raise ArtMasterError(f"There is no adapter for {painter} yet: run the stage style_adapter first.")
    adapter = adapters[0]
    if adapter.base_model != profile.base_model:
        raise WrongUse(
            f"The adapter {adapter.id} of {painter} was trained on {adapter.base_model}, but the profile "
            f"{profile.name} uses {profile.base_model}: train with this profile first, or evaluate with "
            f"{adapter.profile}."
        )
    return adapter


def _remove_orphans(home: Home, painter: str, current: Adapter) -> None:
    """Remove the evaluations of adapters that are gone; those of older adapters that still exist stay."""
    for entry in home.evaluation(painter).iterdir():
        if entry.is_dir() and entry.name != current.id and not (home.adapters(painter) / entry.name).is_dir():
            shutil.rmtree(entry)

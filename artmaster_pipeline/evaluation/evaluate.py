"""The stage evaluation_grid: one adapter against its base, on prompts of works that were held out of its training."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from artmaster_pipeline.adapters.ancestry import scans_in
from artmaster_pipeline.adapters.finding import current_adapter, find_adapter, folder_of, read_adapter, read_snapshot
from artmaster_pipeline.adapters.folder import kept_steps
from artmaster_pipeline.adapters.withdrawn import check_not_withdrawn, marks_of, withdrawn_works
from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.evaluation.cells import Cell, CellMaker, column_cells, far_cells, panel_cells, row_cells
from artmaster_pipeline.evaluation.gate import judge
from artmaster_pipeline.evaluation.panel.compare import Contest, compare_adapters
from artmaster_pipeline.evaluation.panel.measure import flat_figures, one_per_work, write_panel
from artmaster_pipeline.evaluation.report.grid import GRID, HEADINGS, Sheet, write_grid
from artmaster_pipeline.evaluation.report.page import REPORT, write_report
from artmaster_pipeline.evaluation.rows import Row, choose_rows
from artmaster_pipeline.evaluation.samples import EXTRA, SAMPLES, fill_cells
from artmaster_pipeline.evaluation.verdicts import append_verdict, last_decision, last_verdict
from artmaster_pipeline.files import clear_partials, whole_files
from artmaster_pipeline.locks import one_at_a_time
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import (
    MANIFEST,
    PUBLICATIONS,
    TAKEN_DOWN,
    VERDICT,
    VERDICTS,
    VERSIONS_FOLDER,
    Adapter,
    Outcome,
    Sample,
    TrainingImage,
    Verdict,
    identity,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import Home, Profile, load_painter

STRENGTHS_GRID, CHECKPOINTS_GRID, CONTEST_GRID = "grid-strengths.png", "grid-checkpoints.png", "grid-against-{}.png"
DRAWN_GRID, DRAWN_PANEL = "grid-drawn-{}.png", "panel-drawn-{}.json"


@dataclass(frozen=True)
class Asked:
    """What a person wants to see beside the standard evaluation."""

    strengths: tuple[float, ...] = ()
    checkpoints: bool = False
    against: str | None = None  # another adapter's id


@dataclass(frozen=True)
class Evaluation:
    """An evaluated adapter: its pictures, how many were drawn now, the panel, the verdict, what was asked for."""

    adapter: Adapter
    samples: tuple[Sample, ...]
    made: int
    panel: dict
    verdict: Verdict
    report: Path
    contest: Contest | None = None
    grids: tuple[Path, ...] = field(default=())


@one_at_a_time
def evaluate_adapter(home: Home, painter: str, profile: Profile, progress: Progress = SILENT) -> Outcome[Sample]:
    """Evaluate the painter's current adapter and give its pictures' records.

    Writes evaluation/<painter>/<adapter id>/ with samples/, grid.png, grid.jpg, panel.json, report.html, and adds to
    verdicts.jsonl. The base's pictures are drawn once for all adapters that share prompts and seeds. Raises
    ArtMasterError where there is no adapter yet and WrongUse where it is of another base model than the profile's.
    """
    folder = home.evaluation(painter)
    adapter = find_adapter(home, painter, profile)
    done = evaluate(home, adapter, profile, Asked(), progress)
    write_manifest(folder / MANIFEST, done.samples)
    _remove_orphans(home, painter, adapter)
    records = tuple(sorted(done.samples, key=lambda sample: sample.id))
    figures = {"may be published": "yes" if done.verdict.publish else "no"} | flat_figures(done.panel)
    return Outcome(records, folder / MANIFEST, done.made, len(records) - done.made, figures=figures)


@one_at_a_time
@session()
def measure_drawn(
    home: Home, adapter: Adapter, profile: Profile, drawing: DrawingSettings, progress: Progress = SILENT
) -> tuple[dict, Path]:
    """Measure an adapter as it is when drawn otherwise than its gallery is; gives the panel and the grid's file.

    Both lie beside those of the evaluation, under names made from `drawing`. The verdict and what it rests on are left
    alone: they are of the pictures that would be published.
    """
    check_not_withdrawn(home, adapter)
    painter, folder = adapter.painter, home.evaluation(adapter.painter)
    images, rows = _judging(home, adapter, profile)
    key, known = identity("drawn", drawing.model_dump()), _known(home, painter)
    cells = _standard_cells(CellMaker(adapter, profile, drawing), rows, images)
    samples, _ = fill_cells(home, adapter, profile, cells, known, progress, EXTRA)
    sheet = Sheet(load_painter(home, painter).name, drawing.in_words(), HEADINGS)
    grid = folder / adapter.id / DRAWN_GRID.format(key)
    write_grid(grid, folder, sheet, rows, samples[: 3 * len(rows)])
    name = DRAWN_PANEL.format(key)
    return write_panel(home, adapter, profile, images, samples, progress, drawing=drawing, name=name), grid


@one_at_a_time
@session()
def evaluate(home: Home, adapter: Adapter, profile: Profile, asked: Asked, progress: Progress = SILENT) -> Evaluation:
    """Draw, measure and judge one adapter, current or not, and what else was `asked` for; writes all its files.

    Raises HoldsWithdrawn where a work in the adapter, or in the one it is asked to be compared with, was withdrawn:
    nothing is drawn with such an adapter any more.
    """
    check_not_withdrawn(home, adapter)
    painter = adapter.painter
    folder = home.evaluation(painter)
    if folder.is_dir():
        clear_partials(folder)
    images, rows = _judging(home, adapter, profile)
    known = _known(home, painter)
    cells = _standard_cells(CellMaker(adapter, profile), rows, images)
    samples, made = fill_cells(home, adapter, profile, cells, known, progress)
    known |= {sample.id: sample for sample in samples}
    name = load_painter(home, painter).name
    shown = samples[: 3 * len(rows)]
    write_grid(folder / adapter.id / GRID, folder, Sheet(name, f"adapter {adapter.id}", HEADINGS), rows, shown)
    panel = write_panel(home, adapter, profile, images, samples, progress)
    contest = _contest(home, adapter, profile, images, samples, known, progress)
    champion = last_verdict(folder / contest.champion_id) if contest and contest.champion_id else None
    decision = last_decision(home, painter, adapter.id)
    verdict = append_verdict(home, painter, judge(panel, profile.gate, contest, decision, champion))
    write_manifest(folder / adapter.id / MANIFEST, samples)
    asked_for, against = _asked_grids(home, adapter, profile, asked, rows, samples, images, known, progress)
    report = write_report(home, adapter, profile, images, samples, panel, verdict, against)
    progress.say(panel["summary"])
    return Evaluation(adapter, samples, made, panel, verdict, report, against, asked_for)


def current_verdict(home: Home, painter: str) -> tuple[Verdict, Path]:
    """The verdict on the painter's current adapter, and where its report lies.

    Raises ArtMasterError where the current adapter has not been evaluated.
    """
    adapter = current_adapter(home, painter)
    verdict = last_verdict(home.evaluation(painter) / adapter.id) if adapter else None
    if verdict is None:
        raise ArtMasterError(f"The current adapter of {painter} has not been judged: run the stage evaluation_grid.")
    return verdict, home.evaluation(painter) / verdict.adapter_id / REPORT


def verdict_on(home: Home, painter: str, adapter_id: str) -> Verdict:
    """The verdict on an adapter. Raises WrongUse where it has not been evaluated."""
    verdict = last_verdict(home.evaluation(painter) / adapter_id)
    if verdict is None:
        raise WrongUse(
            f"The adapter {adapter_id} of {painter} has not been judged. Run: "
            f"artmaster evaluate {painter} --adapter {adapter_id}"
        )
    return verdict


def works_of(home: Home, adapter: Adapter) -> tuple[TrainingImage, ...]:
    """The pictures that judge an adapter: those of the training set as it stands, without what may not be used now.

    For an older adapter, a work counts as trained on where this adapter saw it, whatever part it is in today.
    """
    withdrawn = withdrawn_works(home, adapter.painter)
    rows = read_manifest(home.training_set(adapter.painter) / MANIFEST, TrainingImage)
    images = [image for image in rows if image.scan_sha256 not in withdrawn]
    # what it was started from counts, too; an adapter without a snapshot began with the base alone
    trained = set(scans_in(adapter, read_snapshot(home, adapter)) if adapter.started_from else adapter.scan_sha256s)
    return tuple(
        image.model_copy(update={"split": "train"})
        if image.scan_sha256 in trained
        else image.model_copy(update={"split": "validate"})
        if image.split == "train"
        else image
        for image in images
    )


def _judging(home: Home, adapter: Adapter, profile: Profile) -> tuple[tuple[TrainingImage, ...], tuple[Row, ...]]:
    """The pictures that judge an adapter, and the grid's rows. Raises ArtMasterError where there are none."""
    images = works_of(home, adapter)
    rows = choose_rows(images, profile.evaluation.rows, profile.evaluation.seed)
    if not rows:
        folder = home.training_set(adapter.painter)
        raise ArtMasterError(f"{folder} holds no pictures: run the stage training_set first.")
    return images, rows


def _standard_cells(maker: CellMaker, rows: Sequence[Row], images: Sequence[TrainingImage]) -> tuple[Cell, ...]:
    return (*row_cells(maker, rows), *panel_cells(maker, _prompts(images)), *far_cells(maker))


def _prompts(images: Sequence[TrainingImage]) -> list[str]:
    """The captions of the held-out works, or of the training's where none was held out."""
    for part in ("held_out", "train"):
        works = one_per_work(image for image in images if image.split == part)
        if works:
            return [image.caption for image in works]
    return []


def _known(home: Home, painter: str) -> dict[str, Sample]:
    """The records of all evaluations of this painter by id."""
    folder = home.evaluation(painter)
    manifests = [folder / MANIFEST, *sorted(folder.glob(f"*/{MANIFEST}"))]
    return {sample.id: sample for manifest in manifests for sample in read_manifest(manifest, Sample)}


def _contest(
    home: Home,
    adapter: Adapter,
    profile: Profile,
    images: Sequence[TrainingImage],
    samples: Sequence[Sample],
    known: dict[str, Sample],
    progress: Progress,
) -> Contest | None:
    """The comparison with the adapter whose gallery is published, where that is another one."""
    champion_id, why_not = _published(home, adapter.painter)
    if why_not:
        return Contest("", adapter.id, why_not=why_not)
    if champion_id in ("", adapter.id):
        return None
    champion = read_adapter(home, adapter.painter, champion_id)
    if champion is None:
        return Contest(champion_id, adapter.id, why_not="its weights are no longer there")
    if marks_of(home, champion):  # nobody shall be measured by it, nor anything be drawn with it
        return None
    return compare_adapters(home, profile, champion, adapter, images, samples, known, progress)[0]


def _published(home: Home, painter: str) -> tuple[str, str]:
    """The id of the adapter whose gallery is in place, empty where nothing was published; or why nobody can say."""
    manifest = home.gallery(painter) / MANIFEST
    if not manifest.is_file():
        kept = manifest.parent.parent / VERSIONS_FOLDER / painter
        if _was_taken_down(kept / PUBLICATIONS):
            return "", ""
        lost = any(manifest.parent.glob("*")) or any(whole_files(kept, "*.json"))
        return "", f"{manifest} is missing, though a gallery was published" if lost else ""
    try:
        gallery = read_manifest(manifest, Sample)
    except (ValidationError, UnicodeDecodeError):
        return "", f"{manifest} cannot be read, so that nobody knows which one it is"
    return min((sample.evaluated_adapter_id for sample in gallery), default=""), ""


def _was_taken_down(ledger: Path) -> bool:
    """Whether the last word on a painter's site is that it was taken down, since it held a withdrawn work."""
    if not ledger.is_file():
        return False
    lines = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    here = [line["action"] for line in lines if not line.get("to")]  # the others are of copies elsewhere
    return here[-1:] == [TAKEN_DOWN]


def _asked_grids(
    home: Home,
    adapter: Adapter,
    profile: Profile,
    asked: Asked,
    rows: Sequence[Row],
    samples: Sequence[Sample],
    images: Sequence[TrainingImage],
    known: dict[str, Sample],
    progress: Progress,
) -> tuple[tuple[Path, ...], Contest | None]:
    """The further grids; those of earlier times stay, since they show the same adapter."""
    folder = home.evaluation(adapter.painter)
    name, grids, contest = load_painter(home, adapter.painter).name, [], None

    def draw(file: str, headings: Sequence[str], cells: Sequence[Cell]) -> None:
        found, _ = fill_cells(home, adapter, profile, cells, known, progress, EXTRA)
        sheet = Sheet(name, f"adapter {adapter.id}", tuple(headings))
        write_grid(folder / adapter.id / file, folder, sheet, rows, found)
        grids.append(folder / adapter.id / file)

    if asked.strengths:
        headings = [
            "Original",
            *(f"Strength {strength:g}" if strength else "Base model" for strength in asked.strengths),
        ]
        draw(STRENGTHS_GRID, headings, column_cells(CellMaker(adapter, profile), rows, strengths=asked.strengths))
    if asked.checkpoints:
        steps = kept_steps(folder_of(home, adapter))
        if not steps:
            raise WrongUse(f"The adapter {adapter.id} has no checkpoints: train with `checkpoints` above 0.")
        headings = ["Original", *(f"Step {step}" for step in steps), f"Step {adapter.step}"]
        draw(CHECKPOINTS_GRID, headings, column_cells(CellMaker(adapter, profile), rows, checkpoints=(*steps, 0)))
    if asked.against:
        other = find_adapter(home, adapter.painter, profile, asked.against)
        check_not_withdrawn(home, other)
        contest, theirs = compare_adapters(home, profile, other, adapter, images, samples, known, progress)
        drawn = {(s.prompt, s.seed): s for s in theirs if s.role == "row"}
        shown = [
            cell
            for original, _, ours in (samples[3 * i : 3 * i + 3] for i in range(len(rows) if theirs else 0))
            for cell in (original, drawn[original.prompt, original.seed], ours)
        ]
        named = ("Original", f"Adapter {other.id}", f"Adapter {adapter.id}")
        file = folder / adapter.id / CONTEST_GRID.format(other.id)
        if shown:
            write_grid(file, folder, Sheet(name, "two adapters", named), rows, shown)
            grids.append(file)
    return tuple(grids), contest


def _remove_orphans(home: Home, painter: str, current: Adapter) -> None:
    """Remove the pictures of adapters that are gone; their verdicts stay, which may have let them be published."""
    for entry in home.evaluation(painter).iterdir():
        if not entry.is_dir() or entry.name == current.id or (home.adapters(painter) / entry.name).is_dir():
            continue
        if not any((entry / name).is_file() for name in (VERDICTS, VERDICT)):
            shutil.rmtree(entry)
            continue
        (entry / MANIFEST).unlink(missing_ok=True)  # first: no record of pictures that are no longer there
        for name in (SAMPLES, EXTRA):
            shutil.rmtree(entry / name, ignore_errors=True)

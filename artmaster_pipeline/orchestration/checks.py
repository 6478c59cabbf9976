"""The asset checks between the stages. Blocking where going on would waste a GPU or leave a stage without its versions.

Each states what it found in figures; none repeats the work of a room.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache, wraps
from typing import Any, get_args

import dagster as dg
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as CheckStatus

from artmaster_pipeline import versioning
from artmaster_pipeline.adapters import current_adapter, published_adapter
from artmaster_pipeline.dataset.split import MIN_TRAIN_WORKS
from artmaster_pipeline.evaluation import current_verdict, last_verdict
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.orchestration import metadata
from artmaster_pipeline.orchestration.assets import PARTITIONS
from artmaster_pipeline.orchestration.failures import one_sentence
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.records import (
    CURATED,
    MANIFEST,
    QUARANTINE,
    Crop,
    CuratedScan,
    Quarantined,
    Sample,
    Scan,
    Split,
    Storyboarded,
    TrainingImage,
)
from artmaster_pipeline.records import read_manifest as read
from artmaster_pipeline.scans import unreadable_entries
from artmaster_pipeline.settings import CROP_SIZES, Home, load_painter
from artmaster_pipeline.stage_settings import partition_profile
from artmaster_pipeline.stages import Stage, Step, in_order, stage_named
from artmaster_pipeline.training import check_adapter

GATE = "fit_to_publish"
_NAMED = 5  # files in a message
_QUARANTINE_SHARE = 0.1  # of the files; more than this deserves a look


def _check(asset: str, *, blocking: bool = False, pool: str | None = None, name: str | None = None) -> Callable:
    partitions = PARTITIONS[stage_named(asset).kind]

    def checked(function: Callable) -> dg.AssetChecksDefinition:
        @wraps(function)
        def told(context: dg.AssetCheckExecutionContext, data_home: DataHome) -> dg.AssetCheckResult:
            with one_sentence(data_home.home, data_home.tries(context)):
                return function(context, data_home)

        with warnings.catch_warnings():
            # A check's verdict belongs to one partition, as its asset does; Dagster calls that a preview.
            warnings.filterwarnings("ignore", message=".*partitions_def on an AssetCheckSpec")
            found = dg.asset_check(asset=asset, name=name, blocking=blocking, pool=pool, partitions_def=partitions)
            return found(told)

    return checked


@_check("raw_scans", blocking=True)
def enough_works(context: dg.AssetCheckExecutionContext, data_home: DataHome) -> dg.AssetCheckResult:
    """There are at least two scans to train on; how many works they show is known after training_set."""
    painter = context.partition_key
    register = data_home.home.register(painter)
    scans, left_out = read(register / MANIFEST, Scan), read(register / QUARANTINE, Quarantined)
    passed = len(scans) >= MIN_TRAIN_WORKS
    return dg.AssetCheckResult(
        passed=passed,
        description=None if passed else _too_few(painter, scans, left_out),
        metadata={
            "scans": len(scans),
            "least": MIN_TRAIN_WORKS,
            "duplicates": sum(bool(entry.duplicate_of) for entry in left_out),
            "unusable": sum(not entry.duplicate_of for entry in left_out),
            **({"left out": metadata.quarantine_table(left_out)} if left_out else {}),
        },
    )


def _too_few(painter: str, scans: tuple[Scan, ...], left_out: tuple[Quarantined, ...]) -> str:
    """What there is, what a style needs, and why the other files do not count."""
    named = "; ".join(f"{entry.path!r}: {entry.reason}" for entry in left_out[:_NAMED])
    named += f"; and {len(left_out) - _NAMED} more" if len(left_out) > _NAMED else ""
    same = sum(bool(entry.duplicate_of) for entry in left_out)
    counted = f"{same} more are duplicates, {len(left_out) - same} cannot be used ({named}). " if left_out else ""
    return (
        f"{len(scans)} scan can be used and a style needs those of at least {MIN_TRAIN_WORKS} works (20 or more do "
        f"well). {counted}Add scans of other works: artmaster painters add {painter} FOLDER_OF_SCANS"
    )


@_check("raw_scans")
def few_quarantined(context: dg.AssetCheckExecutionContext, data_home: DataHome) -> dg.AssetCheckResult:
    """At most a tenth of the files had to be left out for another reason than being a duplicate."""
    register = data_home.home.register(context.partition_key)
    scans, left_out = read(register / MANIFEST, Scan), read(register / QUARANTINE, Quarantined)
    bad = [entry for entry in left_out if not entry.duplicate_of]
    share = len(bad) / max(1, len(scans) + len(bad))
    return dg.AssetCheckResult(
        passed=share <= _QUARANTINE_SHARE, severity=dg.AssetCheckSeverity.WARN, metadata={"share": share}
    )


@_check("curated_crops", blocking=True)
def every_scan_is_accounted_for(context: dg.AssetCheckExecutionContext, data_home: DataHome) -> dg.AssetCheckResult:
    """Every scan has its crops or a reason for having none, every crop is of one of the two shapes and is named."""
    home, painter = data_home.home, context.partition_key
    scans = {scan.sha256: scan.path for scan in read(home.register(painter) / MANIFEST, Scan)}
    crops = read(home.crops(painter) / MANIFEST, Crop)
    left_out = read(home.crops(painter) / QUARANTINE, Quarantined)
    missing = set(scans) - {crop.scan_sha256 for crop in crops} - {entry.sha256 for entry in left_out}
    wrong = [crop.id for crop in crops if (crop.width, crop.height) not in CROP_SIZES]
    named = {name for work in read(home.crops(painter) / CURATED, CuratedScan) for name in work.crops}
    unnamed = sorted({crop.id for crop in crops} ^ named)
    return dg.AssetCheckResult(
        passed=bool(crops) and not (missing or wrong or unnamed),
        metadata={
            "crops": len(crops),
            "scans without crops": [scans[sha] for sha in sorted(missing)],
            "wrong sizes": wrong,
            "named by scans or crops alone": unnamed,
        },
    )


@_check("training_set", blocking=True)
def ready_to_train(context: dg.AssetCheckExecutionContext, data_home: DataHome) -> dg.AssetCheckResult:
    """There are works to train on, none is in two parts, captions carry the trigger, pictures are unchanged."""
    home, painter = data_home.home, context.partition_key
    rows = read(home.training_set(painter) / MANIFEST, TrainingImage)
    trigger = load_painter(home, painter).trigger
    parts = {part: {row.work for row in rows if row.split == part} for part in get_args(Split)}
    faults = {
        "works in two parts": _in_two_parts(rows),
        "captions without the trigger": [row.id for row in rows if trigger not in row.caption],
        "changed or missing pictures": changed_files(home, "training_set", painter, rows),
    }
    return dg.AssetCheckResult(
        passed=bool(parts["train"]) and not any(faults.values()),
        metadata={**{f"{part.replace('_', '-')} works": len(works) for part, works in parts.items()}, **faults},
    )


@_check("training_set", blocking=True)
def true_to_the_scans(context: dg.AssetCheckExecutionContext, data_home: DataHome) -> dg.AssetCheckResult:
    """No enlarged picture went further from its scan in colour or texture than the limit."""
    home, painter = data_home.home, context.partition_key
    rows = read(home.training_set(painter) / MANIFEST, TrainingImage)
    paths = {scan.sha256: scan.path for scan in read(home.register(painter) / MANIFEST, Scan)}
    drifted = [
        {"picture": row.path, "scan": paths.get(row.scan_sha256, ""), "why": row.drift} for row in rows if row.drift
    ]
    return dg.AssetCheckResult(
        passed=not drifted,
        description=_too_far(painter, drifted) if drifted else None,
        metadata={
            "enlarged": sum(bool(row.enlarged_by) for row in rows),
            **({"drifted": metadata.table(drifted)} if drifted else {}),
        },
    )


def _too_far(painter: str, drifted: list[dict[str, str]]) -> str:
    """Which pictures are no longer what their scans show, and the ways out."""
    named = "; ".join(f"{each['picture']} of {each['scan']!r}: {each['why']}" for each in drifted[:_NAMED])
    named += f"; and {len(drifted) - _NAMED} more" if len(drifted) > _NAMED else ""
    return (
        f"{len(drifted)} enlarged pictures are no longer what their scans show: {named}. Choose another "
        "network (super_resolution) or all constraints (no super_resolution_constraints) in the profile, give larger "
        f"scans, or leave the works out (artmaster review {painter})."
    )


def _in_two_parts(rows: Iterable[TrainingImage]) -> list[str]:
    """The works, and the scans by their sha256, that stand in more than one part."""
    parts: dict[str, set[Split]] = {}
    for row in rows:
        for name in {row.work, row.scan_sha256}:
            parts.setdefault(name, set()).add(row.split)
    return sorted(name for name, there in parts.items() if len(there) > 1)


@_check("style_adapter", blocking=True, pool="gpu")
def folds_exactly(context: dg.AssetCheckExecutionContext, data_home: DataHome) -> dg.AssetCheckResult:
    """The folded LoRA predicts what the live AdaLoRA predicts, and not what the base alone predicts."""
    painter = context.partition_key
    figures = check_adapter(data_home.home, painter, data_home.profile(painter))
    passed = figures["folded_difference"] <= figures["tolerance"] and figures["effect"] > 0
    return dg.AssetCheckResult(passed=passed, metadata=figures)


@_check("evaluation_grid", blocking=True, name=GATE)
def fit_to_publish(context: dg.AssetCheckExecutionContext, data_home: DataHome) -> dg.AssetCheckResult:
    """The gate: by its figures and the profile's limits, or by a person's word, the adapter may be published."""
    home, painter = data_home.home, context.partition_key
    verdict, report = current_verdict(home, painter)
    return dg.AssetCheckResult(
        passed=verdict.publish,
        description="; ".join(verdict.reasons),
        metadata={
            "verdict": "may be published" if verdict.publish else "not published",
            "decided by": verdict.by,
            "reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in verdict.reasons)),
            "report": dg.MetadataValue.path(str(report)),
            "figures": dg.MetadataValue.json(verdict.figures),
        },
    )


@_check("sample_gallery", blocking=True)
def pages_are_whole(context: dg.AssetCheckExecutionContext, data_home: DataHome) -> dg.AssetCheckResult:
    """Every picture that the gallery's manifest names is there, with the bytes it names, beside the page."""
    home, painter = data_home.home, context.partition_key
    rows = read(home.gallery(painter) / MANIFEST, Sample)
    changed = changed_files(home, "sample_gallery", painter, rows)
    page = home.gallery(painter) / "index.html"
    return dg.AssetCheckResult(
        passed=bool(rows) and page.is_file() and not changed, metadata={"pictures": len(rows), "changed": changed}
    )


@_check("mixed_gallery", blocking=True)
def mixed_pages_are_whole(context: dg.AssetCheckExecutionContext, data_home: DataHome) -> dg.AssetCheckResult:
    """The same of a gallery of several painters; and every picture in it names the adapters that drew it."""
    home, partition = data_home.home, context.partition_key
    rows = read(home.gallery(partition) / MANIFEST, Sample)
    changed = changed_files(home, "mixed_gallery", partition, rows)
    nameless = [row.path for row in rows if not row.adapter_ids]
    there = (home.gallery(partition) / "index.html").is_file()
    return dg.AssetCheckResult(
        passed=bool(rows) and there and not changed and not nameless,
        metadata={"pictures": len(rows), "changed": changed, "name no adapter": nameless},
    )


@_check("copaintings", blocking=True)
def every_region_names_its_hand(context: dg.AssetCheckExecutionContext, data_home: DataHome) -> dg.AssetCheckResult:
    """Every picture of a canvas is there with the bytes it names, and says of each region which adapters painted it."""
    home, partition = data_home.home, context.partition_key
    rows = read(home.evaluation(partition) / MANIFEST, Sample)
    painted = [row for row in rows if row.column == "adapter"]
    changed = changed_files(home, "copaintings", partition, rows)
    wrong = [row.path for row in painted if not row.regions or any(not of.adapter_ids for of in row.regions)]
    return dg.AssetCheckResult(
        passed=bool(painted) and not changed and not wrong,
        metadata={
            "pictures": len(painted),
            "regions": len(painted[0].regions) if painted else 0,
            "changed": changed,
            "do not say who painted a region": wrong,
        },
    )


@_check("canvas_gallery", blocking=True)
def canvas_pages_are_whole(context: dg.AssetCheckExecutionContext, data_home: DataHome) -> dg.AssetCheckResult:
    """The same of a canvas' gallery as of a mixed one; and beside every picture lies its map."""
    home, partition = data_home.home, context.partition_key
    site = home.gallery(partition)
    rows = read(site / MANIFEST, Sample)
    changed = changed_files(home, "canvas_gallery", partition, rows)
    nameless = [row.path for row in rows if not row.adapter_ids]
    mapless = [row.path for row in rows if not (site / f"maps/{row.id}.jpg").is_file()]
    return dg.AssetCheckResult(
        passed=bool(rows) and (site / "index.html").is_file() and not (changed or nameless or mapless),
        metadata={"pictures": len(rows), "changed": changed, "name no adapter": nameless, "without a map": mapless},
    )


@_check("storyboards", blocking=True)
def storyboard_is_without_fault(context: dg.AssetCheckExecutionContext, data_home: DataHome) -> dg.AssetCheckResult:
    """The storyboard in force has no fault, and there is a record of each of its shots."""
    from artmaster_pipeline.stories.storyboard import faults_of, story_of

    home, partition = data_home.home, context.partition_key
    profile = partition_profile(home, partition)
    story = story_of(home, partition, profile)
    faults = faults_of(story, home, profile)
    listed = {row.shot for row in read(home.stage_folder("storyboards", partition) / MANIFEST, Storyboarded)}
    missing = sorted({shot.id for shot in story.shots} ^ listed)
    return dg.AssetCheckResult(
        passed=not faults and not missing,
        description="; ".join(faults) or None,
        metadata={
            "shots": len(story.shots),
            "faults": len(faults),
            "recorded or told alone": missing,
            "mended in what the author wrote": len(story.authorship.repairs),
        },
    )


@_check("illustrated_stories", blocking=True)
def every_shot_is_in_one_hand(context: dg.AssetCheckExecutionContext, data_home: DataHome) -> dg.AssetCheckResult:
    """Each shot has one picture, there with the bytes it names; all name the story and the same adapters."""
    home, partition = data_home.home, context.partition_key
    rows = read(home.evaluation(partition) / MANIFEST, Sample)
    painted = [row for row in rows if row.column == "adapter"]
    changed = changed_files(home, "illustrated_stories", partition, rows)
    nameless = [row.path for row in painted if not row.adapter_ids or not row.story or not row.shot]
    twice = sorted(shot for shot, times in Counter(row.shot for row in painted).items() if times > 1)
    hands = {row.adapter_ids for row in painted}
    return dg.AssetCheckResult(
        passed=len(hands) == 1 and not (changed or nameless or twice),
        metadata={
            "pictures": len(painted),
            "adapters": sorted({name for hand in hands for name in hand}),
            "changed": changed,
            "do not say of which story or by whom": nameless,
            "shots with several pictures": twice,
        },
    )


@_check("illustrated_stories")
def as_steady_as_the_painter(context: dg.AssetCheckExecutionContext, data_home: DataHome) -> dg.AssetCheckResult:
    """The pictures differ in style no more than the painter's own works do; a warning where they do."""
    figures = metadata.consistency_of(data_home.home, context.partition_key)
    spread = figures.get("spread")
    why = "There are too few works or pictures to measure it." if spread is None else None
    if spread is not None and spread > 1:
        why = f"Two pictures differ {spread:.2f} times as much in style as two of the painter's works."
    return dg.AssetCheckResult(
        passed=spread is None or spread <= 1,
        severity=dg.AssetCheckSeverity.WARN,
        description=why,
        metadata={name: value for name in ("spread", "margin") if (value := figures.get(name)) is not None},
    )


@_check("story_books", blocking=True)
def book_is_whole(context: dg.AssetCheckExecutionContext, data_home: DataHome) -> dg.AssetCheckResult:
    """The same of a story's book as of a mixed gallery; every picture names its shot, and the PDF is there."""
    home, partition = data_home.home, context.partition_key
    site = home.gallery(partition)
    rows = read(site / MANIFEST, Sample)
    changed = changed_files(home, "story_books", partition, rows)
    nameless = [row.path for row in rows if not row.adapter_ids or not row.shot]
    missing = [name for name in ("index.html", metadata.BOOK) if not (site / name).is_file()]
    return dg.AssetCheckResult(
        passed=bool(rows) and not (changed or nameless or missing),
        metadata={"pictures": len(rows), "changed": changed, "name no adapter or shot": nameless, "missing": missing},
    )


@_check("sample_gallery")
def from_the_newest_passed_adapter(context: dg.AssetCheckExecutionContext, data_home: DataHome) -> dg.AssetCheckResult:
    """The gallery in place is that of the newest adapter that the gate, or a person, let through."""
    passed, why = _standing(data_home.home, context.partition_key)
    return dg.AssetCheckResult(passed=passed, severity=dg.AssetCheckSeverity.WARN, description=why)


def _standing(home: Home, painter: str) -> tuple[bool, str]:
    """Whether the gallery is that of the newest adapter that passed, and a sentence that says why."""
    published, newest = published_adapter(home, painter), current_adapter(home, painter)
    if published is None or newest is None:
        return False, "No gallery of an adapter that is here is in place."
    its, newer = (last_verdict(home.evaluation(painter) / adapter.id) for adapter in (published, newest))
    if its is None or not its.publish:
        return False, f"The gallery is that of the adapter {published.id}, which did not pass, or no longer does."
    if published.id == newest.id:
        return True, f"The gallery is that of the newest adapter {newest.id}, which passed."
    if newer is None or not newer.publish:
        judged = "was not judged yet" if newer is None else "did not pass"
        return True, f"The newest adapter {newest.id} {judged}, so the gallery of {published.id}, which passed, stays."
    return False, (
        f"The newest adapter {newest.id} passed, but the gallery is that of {published.id}: a person put it back, or "
        f"publishing failed. To publish the newest: artmaster publish {painter}"
    )


def changed_files(home: Home, stage: str, painter: str, rows: tuple[Any, ...]) -> list[str]:
    """The paths of records whose file is missing or has other bytes than the record says."""
    folder = home.stage_folder(stage, painter)
    return [row.path for row in rows if not (folder / row.path).is_file() or sha256_of(folder / row.path) != row.sha256]


@cache
def _versioned(stage: Stage) -> dg.AssetChecksDefinition:
    @_check(stage.name, blocking=True, pool="dvc", name=f"{stage.name}_versioned")
    def versioned(context: dg.AssetCheckExecutionContext, data_home: DataHome) -> dg.AssetCheckResult:
        """The stage is committed: dvc.lock names the bytes that this record describes."""
        home, partition = data_home.home, context.partition_key
        unreadable = unreadable_entries(home, partition) if "scans" in stage.sources else ()
        hashes = versioning.commit_stage(home, stage.name, partition, unreadable)
        stale = bool(versioning.stale_steps(home, [Step(stage.name, partition)])) if hashes else False
        note = {} if hashes else {"note": "inside `dvc repro`: DVC commits this stage itself"}
        return dg.AssetCheckResult(passed=not stale, metadata={**hashes, **note})

    return versioned


_ROOMS_CHECKS = (
    enough_works,
    few_quarantined,
    every_scan_is_accounted_for,
    ready_to_train,
    true_to_the_scans,
    folds_exactly,
    fit_to_publish,
    pages_are_whole,
    mixed_pages_are_whole,
    every_region_names_its_hand,
    canvas_pages_are_whole,
    storyboard_is_without_fault,
    every_shot_is_in_one_hand,
    as_steady_as_the_painter,
    book_is_whole,
    from_the_newest_passed_adapter,
)


def checks() -> tuple[dg.AssetChecksDefinition, ...]:
    """The rooms' own checks, and for every stage of the table that it is versioned."""
    return (*_ROOMS_CHECKS, *(_versioned(stage) for stage in in_order()))


def blocking_checks(instance: dg.DagsterInstance, stage: str, partition: str) -> dict[str, CheckStatus | None]:
    """What the blocking checks of a stage last said of a partition, by name; None where one was never tried."""
    keys = [spec.key for check in checks() for spec in check.check_specs if spec.blocking]
    keys = [key for key in keys if key.asset_key == dg.AssetKey(stage)]
    which = PartitionKeyFilter(key=partition)
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys, which)
    return {key.name: latest[key].status if key in latest else None for key in keys}

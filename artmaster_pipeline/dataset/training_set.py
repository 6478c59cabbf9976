"""The stage training_set: every crop enlarged where its scan lacked detail, captioned, and put in its part."""

from dataclasses import dataclass
from typing import Any, get_args

from artmaster_pipeline.base_models.legibility import Legibility, legibility_of
from artmaster_pipeline.curation.near_duplicates import near_duplicates
from artmaster_pipeline.dataset.captioners.interface import Facts
from artmaster_pipeline.dataset.captioners.loading import captioner_identity, captioner_source, load_captioner
from artmaster_pipeline.dataset.captioners.reader import subject_in
from artmaster_pipeline.dataset.captions import (
    FILE_NAME,
    Caption,
    archive_caption,
    described,
    only_what_varies,
    readable,
    without_trigger,
)
from artmaster_pipeline.dataset.pictures import IMAGES, Picture, journal_of, make_pictures, reason_for
from artmaster_pipeline.dataset.split import Assignment, SplitTable, split_works, what_the_parts_mean
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.files import clear_partials
from artmaster_pipeline.locks import one_at_a_time
from artmaster_pipeline.pictures import read_rgb
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import (
    MANIFEST,
    Crop,
    Outcome,
    Record,
    Scan,
    Split,
    TrainingImage,
    identity,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import Home, Profile, load_painter

_SAID = "said.jsonl"  # in full what a captioning model said, since the captions lack what all works share
_SAID_BEFORE_WRITING = 20  # new descriptions, so that a killed run loses no more of them


class _Said(Record):
    """What a captioning model said about a training picture; `id` is the picture's."""

    captioner: str  # its identity
    text: str
    facts: str = ""  # the identity of what the archive told it


@one_at_a_time
def build_training_set(
    home: Home, painter: str, profile: Profile, progress: Progress = SILENT
) -> Outcome[TrainingImage]:
    """Make training_set/<painter>/ from the painter's crops; returns one TrainingImage per crop.

    Crops whose scan shows less than the crop can hold (`Crop.lacks_detail`) are enlarged by the smallest scale of
    `profile.super_resolution` that suffices, in texture and grain like the painter's large pictures; the others are
    copied byte for byte. Each record says how much detail there was, what was done and why.
    What nearly all works' captions say is left out of all of them (`only_what_varies`), of the held-out works' too,
    which are prompts later; so one work more may change every caption. Figures: works and pictures per part, further
    scans of a work, what the parts' sizes mean, pictures enlarged, captions by source, what was left out of them.
    Raises WrongUse where there are too few works, ArtMasterError where a crop or a thumbnail is missing, and
    MissingRequirement where a network, a captioner or CUDA is.
    """
    folder = home.training_set(painter)
    clear_partials(folder)
    scans, crops = _inputs(home, painter)
    old = {row.id: row for row in read_manifest(folder / MANIFEST, TrainingImage)}
    parts = _parts(home, painter, profile, scans, crops, old, progress)
    pictures, enlarging = make_pictures(home, painter, profile, crops, parts, old, progress)
    works = [parts.places[crop.scan_sha256].work for crop in crops]
    told = _archive_captions(home, painter, profile, scans, crops)
    said = _captions(home, painter, profile, scans, crops, pictures, told, progress)
    captions, left_out = only_what_varies(said, works, load_painter(home, painter).trigger)
    rows = [
        TrainingImage(
            id=picture.id,
            painter=painter,
            crop_id=crop.id,
            scan_id=crop.scan_id,
            scan_sha256=crop.scan_sha256,
            path=picture.path,
            sha256=picture.sha256,
            width=crop.width,
            height=crop.height,
            caption=caption.text,
            caption_source=caption.source,
            split=parts.places[crop.scan_sha256].part,
            enlarged_by=picture.enlarged_by,
            enlarged_times=picture.enlarged_times,
            detail=crop.detail,
            reason=reason_for(crop, picture.enlarged_times),
            drift=picture.drift,
            place=crop.place,
            group=parts.places[crop.scan_sha256].work,
            unread=of.unread,
        )
        for crop, picture, caption, of in zip(crops, pictures, captions, told, strict=True)
    ]
    write_manifest(folder / MANIFEST, rows)
    journal_of(home, painter).clear()
    _remove_unnamed(folder / IMAGES, {picture.path for picture in pictures})
    made = sum(picture.made for picture in pictures)
    records = tuple(sorted(rows, key=lambda row: row.id))
    return Outcome(
        records,
        folder / MANIFEST,
        made,
        len(rows) - made,
        figures=_figures(records)
        | enlarging
        | _left_out(left_out, progress)
        | _unread(told, crops, profile, progress)
        | _warnings(records, parts, scans, progress),
    )


def _inputs(home: Home, painter: str) -> tuple[dict[str, Scan], tuple[Crop, ...]]:
    scans = {scan.id: scan for scan in read_manifest(home.register(painter) / MANIFEST, Scan)}
    manifest = home.crops(painter) / MANIFEST
    if not manifest.exists():
        raise ArtMasterError(f"{manifest} does not exist yet: run the stage curated_crops first.")
    crops = read_manifest(manifest, Crop)
    if orphans := sorted({crop.scan_id for crop in crops} - set(scans)):
        raise ArtMasterError(
            f"{manifest} names scans that are no longer registered ({', '.join(orphans[:5])}): "
            "run the stage curated_crops again."
        )
    return scans, crops


def _parts(
    home: Home,
    painter: str,
    profile: Profile,
    scans: dict[str, Scan],
    crops: tuple[Crop, ...],
    old: dict[str, TrainingImage],
    told: Progress,
) -> SplitTable:
    """The part and the work of every scan that has crops."""
    cropped = [scans[scan_id] for scan_id in sorted({crop.scan_id for crop in crops})]
    return split_works(
        (scan.sha256 for scan in cropped),
        {row.scan_sha256: Assignment(row.split, row.work) for row in old.values()},
        profile.held_out_share,
        profile.validate_share,
        near_duplicates(home, painter, cropped, told),
    )


@dataclass(frozen=True)
class _Told:
    """A picture's caption, the share of the archive's words that the base does not read, and whether any were lost."""

    caption: Caption
    title: str  # of the work, or the words of its file's name
    unread: float = 0.0
    lost: bool = False


def _archive_captions(
    home: Home, painter: str, profile: Profile, scans: dict[str, Scan], crops: tuple[Crop, ...]
) -> list[_Told]:
    """What the archive says about every crop, so far as the base reads it."""
    settings, folder = load_painter(home, painter), home.scans(painter)
    legibility = legibility_of(profile, home)
    by_scan = {}
    for scan_id in {crop.scan_id for crop in crops}:
        caption = archive_caption(scans[scan_id], folder, settings.trigger, settings.name)
        title = scans[scan_id].title
        if caption.source == FILE_NAME:
            title = without_trigger(caption.text, settings.trigger)
        by_scan[scan_id] = _read(caption, title, settings.trigger, legibility, profile.max_unread)
    return [by_scan[crop.scan_id] for crop in crops]


def _read(caption: Caption, title: str, trigger: str, legibility: Legibility | None, most: float) -> _Told:
    if legibility is None:
        return _Told(caption, title)
    left, unread = readable(caption, trigger, legibility, most)
    return _Told(left, title, round(unread, 4), left is not caption)


def _captions(
    home: Home,
    painter: str,
    profile: Profile,
    scans: dict[str, Scan],
    crops: tuple[Crop, ...],
    pictures: list[Picture],
    told: list[_Told],
    progress: Progress,
) -> list[Caption]:
    """All that is said about every crop, in the crops' order: a captioner adds to what is no caption of its own."""
    captions, trigger = [each.caption for each in told], load_painter(home, painter).trigger
    unsaid = [n for n, caption in enumerate(captions) if not caption.complete]
    if profile.captioner is None or not unsaid:
        return captions
    file = home.training_set(painter) / _SAID
    speaker = captioner_identity(profile)
    known, new = {row.id: row for row in read_manifest(file, _Said)}, 0
    said: dict[str, _Said] = {}
    with session(), progress.task("Captions", len(unsaid)) as advance:
        for n in unsaid:
            scan = scans[crops[n].scan_id]
            facts = Facts(told[n].title, scan.date, scan.subject, scan.season)
            row = known.get(pictures[n].id)
            if row is None or (row.captioner, row.facts) != (speaker, identity(vars(facts))):
                picture = read_rgb(home.training_set(painter) / pictures[n].path)
                # without a name here, so that only the session holds it and can free its memory
                text = load_captioner(profile, home).describe(picture, facts)
                row = _Said(id=pictures[n].id, captioner=speaker, facts=identity(vars(facts)), text=text)
                new += 1
                if new % _SAID_BEFORE_WRITING == 0:
                    write_manifest(file, (known | said | {row.id: row}).values())
            said[row.id] = row
            source = captioner_source(profile, facts.title if told[n].lost else "")
            captions[n] = described(captions[n], trigger, row.text, source, subject_in(row.text))
            advance(1, captions[n].text)
    write_manifest(file, said.values())
    return captions


def _left_out(left_out: tuple[str, ...], told: Progress) -> dict[str, Any]:
    if not left_out:
        return {}
    told.say(
        f"Left out of every caption, since nearly all works say it: {', '.join(map(repr, left_out))}. The trigger "
        "stands for it. What shall be said nevertheless belongs into the column `subject` of artworks.csv."
    )
    return {"left out of every caption": list(left_out)}


def _remove_unnamed(folder: Any, named: set[str]) -> None:
    for file in folder.iterdir() if folder.is_dir() else ():
        if f"{IMAGES}/{file.name}" not in named:
            file.unlink()


def _figures(rows: tuple[TrainingImage, ...]) -> dict[str, Any]:
    sources = sorted({row.caption_source for row in rows})
    figures: dict[str, Any] = {}
    for part in get_args(Split):
        inside_it, name = [row for row in rows if row.split == part], part.replace("_", "-")
        figures[f"{name} works"] = len({row.work for row in inside_it})
        figures[f"{name} pictures"] = len(inside_it)
    return figures | {
        "further scans of a work": len({row.scan_sha256 for row in rows}) - len({row.work for row in rows}),
        "enlarged pictures": sum(bool(row.enlarged_by) for row in rows),
        "captions by source": {source: sum(row.caption_source == source for row in rows) for source in sources},
    }


def _unread(told: list[_Told], crops: tuple[Crop, ...], profile: Profile, progress: Progress) -> dict[str, Any]:
    """What of the archive's words stays out of the prompts, as figures and in the log; empty where all is read."""
    by_scan = {crop.scan_id: each for crop, each in zip(crops, told, strict=True)}
    lost = sum(each.lost for each in by_scan.values())
    if not lost:
        return {}
    mean = sum(each.unread for each in by_scan.values()) / len(by_scan)
    progress.say(
        f"The base model ({profile.base_model}) does not read what the archive says of {lost} of {len(by_scan)} scans: "
        f"more than {100 * profile.max_unread:.0f} % of the words ({100 * mean:.0f} % over all). Those words stay in "
        "the records and out of the prompts. To say it in words that it reads: artmaster captions "
        f"{crops[0].painter} --edit"
    )
    return {"scans whose words the base does not read": lost, "share of unread words": round(mean, 4)}


def _warnings(
    rows: tuple[TrainingImage, ...], parts: SplitTable, scans: dict[str, Scan], told: Progress
) -> dict[str, Any]:
    """What a person should know of the split, as figures and in the log; empty where there is nothing to warn of."""
    works = {part: len({row.work for row in rows if row.split == part}) for part in ("held_out", "validate")}
    warnings: dict[str, Any] = {}
    if meaning := what_the_parts_mean(works["held_out"], works["validate"]):
        warnings["what the parts mean"] = meaning
        told.say(meaning)
    if parts.apart:
        paths = {scan.sha256: scan.path for scan in scans.values()}
        named = [[f"{paths[sha256]} ({parts.places[sha256].part})" for sha256 in cluster] for cluster in parts.apart]
        warnings["near-duplicates in different parts"] = named
        told.say(
            "Near-duplicates stand in different parts, as they were put there before: "
            f"{'; '.join(', '.join(cluster) for cluster in named)}. What is held out there is no fair judge: "
            "keep one scan of each artwork and move the others out of the scans folder."
        )
    return warnings

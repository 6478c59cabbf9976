"""The questions: what is in an adapter, where has an artwork gone, and what does an adapter's file say of itself."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from artmaster_pipeline.adapters.ancestry import only_inherited, scans_in
from artmaster_pipeline.adapters.exporting import holds_lora
from artmaster_pipeline.adapters.finding import all_adapters, current_adapter, folder_of, read_snapshot
from artmaster_pipeline.adapters.folder import recorded_day
from artmaster_pipeline.adapters.ledger import Ledger, read_ledger
from artmaster_pipeline.adapters.tensor_file import HASH, read_header, read_words, tensors_hash
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.evaluation.verdicts import decisions_on, last_verdict, read_verdicts
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.lineage.archive import Archive, ask
from artmaster_pipeline.lineage.pictures import Picture, all_pictures
from artmaster_pipeline.records import (
    QUARANTINE,
    Adapter,
    AdapterSnapshot,
    Ancestor,
    Crop,
    CuratedScan,
    Decision,
    Inherited,
    Quarantined,
    Scan,
    Split,
    TrainingFacts,
    TrainingImage,
    Verdict,
)
from artmaster_pipeline.records import read_manifest as read
from artmaster_pipeline.scans.naming import folded, has_digits, listed, meant_by
from artmaster_pipeline.settings import Home

Row = TypeVar("Row", Crop, TrainingImage)

_LISTED = 20  # files that a message names


class Answer(BaseModel):
    """What every answer is: a value that can be printed as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AdapterState(Answer):
    """Where an adapter stands today."""

    adapter_id: str
    painter: str
    current: bool  # whether it is the painter's adapter now
    published: bool  # whether visitors of the gallery see pictures that it drew
    made: str  # the day, ISO 8601; empty: not recorded
    publish: bool | None  # what the last verdict on it says; None: it was not judged
    judged: str  # when that verdict was given, ISO 8601; empty: not recorded

    @property
    def words(self) -> str:
        """The same in a few words."""
        return ("current" if self.current else "superseded") + (", published" if self.published else "")


class ByPerson(Answer):
    """What a person decided about a scan before its crops were made."""

    scan_sha256: str
    file: str  # below scans/<painter>/; empty where no record says it
    decision: Decision


class AdapterLineage(Answer):
    """What is in an adapter. `artworks` are the scans it was trained on.

    Those of `validation` may have chosen its checkpoint, and the `held_out` ones only judged it.
    """

    adapter: Adapter
    state: AdapterState
    artworks: tuple[Scan, ...]
    validation: tuple[Scan, ...]
    held_out: tuple[Scan, ...]
    crops: tuple[Crop, ...]
    training_images: tuple[TrainingImage, ...]
    captions_by: dict[str, int]  # who said what its training pictures show, and of how many
    training: TrainingFacts | None  # software, how often pictures were shown, what was left out; None: not recorded
    ancestors: tuple[Ancestor, ...]  # the adapters that it was started from, the nearest first
    inherited: tuple[Inherited, ...]  # artworks that those were trained on and its own training did not see
    shares: dict[str, float]  # id of a training picture -> its part of all pictures shown, 0..1; empty: not recorded
    verdicts: tuple[Verdict, ...]  # on it, oldest first
    decisions: tuple[dict[str, str], ...]  # of persons on it, oldest first: verdict, reason, by, at
    curation: tuple[ByPerson, ...]  # what persons decided about its scans, those that they left out included
    challenged: tuple[str, ...]  # the published adapters that it was compared with
    samples: tuple[Picture, ...]  # drawn with it, alone or with others


class Use(AdapterState):
    """An adapter that an artwork met: it was trained on it, chosen by it, or only judged by it."""

    part: Split
    crops: int
    through: str = ""  # the adapter that it was started from and that met the artwork; empty: it met it itself


class ArtworkLineage(Answer):
    """Where an artwork has gone. `scans` has several entries where the same bytes lie under several painters."""

    sha256: str
    scans: tuple[Scan, ...]
    crops: tuple[Crop, ...]  # cut from it, today's and those that an adapter was made from
    training_images: tuple[TrainingImage, ...]  # made from those, likewise; captions as they were put last
    adapters: tuple[Use, ...]
    evaluated: tuple[Picture, ...]  # drawn with an adapter trained on it, and never published
    published: tuple[Picture, ...]  # the same, in the gallery in place or in an older version
    details: tuple[Picture, ...]  # pictures that show a detail of the work itself
    curation: tuple[ByPerson, ...]  # what persons decided about it, today and for the adapters that met it


class FileLineage(Answer):
    """What an adapter's file says of itself, and whether this data home can confirm it."""

    file: str
    adapter_id: str  # as the file says it, or the data home knows the file; empty: neither
    ledger: Ledger | None  # None: there is none in this file
    weights: Literal["as written", "changed", "not said"]  # against the hash of the tensors in the file
    state: AdapterState | None  # None: the data home has no such adapter
    agrees: bool | None  # whether the adapter's record names the ledger's artworks; None: one of the two is not there


def adapter_lineage(home: Home, adapter_id: str) -> AdapterLineage:
    """Everything in the adapter `adapter_id`, from the snapshot it carries.

    Raises WrongUse, with the known ids, where there is no such adapter.
    """
    return ask(home, lambda archive: _of_adapter(home, adapter_id, archive))


def _of_adapter(home: Home, adapter_id: str, archive: Archive) -> AdapterLineage:
    found = archive.adapter(adapter_id)
    if found is None:
        known = ", ".join(sorted(archive.adapter_ids())) or "none yet; make one with: artmaster run PAINTER"
        raise WrongUse(f"There is no adapter {adapter_id!r} in {home.root}. Known adapters: {known}.")
    adapter, snapshot = found
    trained = set(adapter.scan_sha256s)
    validation, held_out = _part(snapshot, "validate"), _part(snapshot, "held_out")
    used = tuple(image for image in snapshot.training_images if image.split == "train")
    crop_ids = {image.crop_id for image in used}
    samples = tuple(picture for picture in archive.pictures([adapter.id]) if adapter.id in picture.adapter_ids)
    verdicts = read_verdicts(home.evaluation(adapter.painter) / adapter.id)
    return AdapterLineage(
        adapter=adapter,
        state=state_of(home, adapter, samples),
        artworks=tuple(scan for scan in snapshot.scans if scan.sha256 in trained),
        validation=tuple(scan for scan in snapshot.scans if scan.sha256 in validation),
        held_out=tuple(scan for scan in snapshot.scans if scan.sha256 in held_out),
        crops=tuple(crop for crop in snapshot.crops if crop.id in crop_ids),
        training_images=used,
        captions_by=dict(sorted(Counter(image.caption_source for image in used).items())),
        training=snapshot.training,
        ancestors=snapshot.ancestors,
        inherited=only_inherited(adapter, snapshot.inherited),
        shares=_shares(snapshot.training.shown) if snapshot.training else {},
        verdicts=verdicts,
        decisions=decisions_on(home, adapter.painter, adapter.id),
        curation=_curation(snapshot.curated, _files(snapshot)),
        challenged=tuple(sorted({verdict.champion_id for verdict in verdicts} - {"", adapter.id})),
        samples=samples,
    )


def artwork_lineage(home: Home, artwork: str) -> ArtworkLineage:
    """Where an artwork has gone; `artwork` is its sha256, 8 or more leading digits, its accession number or its title.

    Raises WrongUse where no scan, past or present, is called so, or several are: the message lists them.
    """
    return ask(home, lambda archive: _of_artwork(home, artwork, archive))


def _of_artwork(home: Home, artwork: str, archive: Archive) -> ArtworkLineage:
    sha256 = find_artwork(home, artwork, archive.scans_called(folded(artwork)))
    rows = archive.of_scan(sha256)
    drew = {met.adapter.id for met in rows.met} | rows.published_from
    pictures = archive.pictures(drew, sha256)
    uses = tuple(
        Use(**state_of(home, met.adapter, pictures).model_dump(), part=met.part, crops=met.crops, through=met.through)
        for met in rows.met
    )
    trained = {use.adapter_id for use in uses if use.part == "train"} | rows.published_from
    drawn = [picture for picture in pictures if not trained.isdisjoint(picture.adapter_ids)]
    unique = {(scan.painter, scan.path): scan for scan in rows.scans}
    return ArtworkLineage(
        sha256=sha256,
        scans=tuple(unique[key] for key in sorted(unique)),
        crops=_once(rows.crops),
        training_images=_once(rows.images),
        adapters=uses,
        evaluated=tuple(picture for picture in drawn if picture.state == "evaluated"),
        published=tuple(picture for picture in drawn if picture.state != "evaluated"),
        details=tuple(picture for picture in pictures if picture.scan_sha256 == sha256),
        curation=_curation(rows.curated, {scan.sha256: scan.path for scan in unique.values()}),
    )


def _files(snapshot: AdapterSnapshot) -> dict[str, str]:
    """The paths of an adapter's scans, and of those that were left out, by sha256."""
    training = snapshot.training
    out = {row.sha256: row.path for row in training.without_crops} if training else {}
    return out | {scan.sha256: scan.path for scan in snapshot.scans}


def _curation(curated: Iterable[CuratedScan], files: Mapping[str, str]) -> tuple[ByPerson, ...]:
    """What persons decided, each decision once."""
    told = [
        ByPerson(scan_sha256=work.scan_sha256, file=files.get(work.scan_sha256, ""), decision=decision)
        for work in curated
        for decision in work.decisions
    ]
    return tuple(dict.fromkeys(told))


def file_lineage(file: Path, home: Home) -> FileLineage:
    """What an adapter's file says of itself; the data home need not know the adapter, nor be there at all.

    Raises WrongUse where the file is no adapter.
    """
    if not holds_lora(read_header(file)):
        raise WrongUse(f"{file} is a safetensors file, but no adapter: none of its tensors is a LoRA's.")
    words = read_words(file)
    ledger, sha256, said = read_ledger(words), sha256_of(file), words.get(HASH, "")
    adapter_id = words.get("artmaster.adapter", "")
    known = next((each for each in all_adapters(home) if adapter_id == each.id or sha256 == each.sha256), None)
    return FileLineage(
        file=str(file),
        adapter_id=known.id if known else adapter_id,
        ledger=ledger,
        weights="not said" if not said else "as written" if said == tensors_hash(file) else "changed",
        state=state_of(home, known, all_pictures(home)) if known else None,
        agrees=_agrees(home, ledger, known) if ledger and known else None,
    )


def _agrees(home: Home, ledger: Ledger, known: Adapter) -> bool:
    """Whether the adapter's record names the ledger's artworks, and its snapshot those that it inherited."""
    own = tuple(work.sha256 for work in ledger.works if not work.through)
    if own != known.scan_sha256s or ledger.started_from != known.started_from:
        return False
    said = {work.sha256 for work in ledger.works}
    return not known.started_from or said == set(scans_in(known, read_snapshot(home, known)))


def find_artwork(home: Home, artwork: str, scans: Iterable[Scan]) -> str:
    """The sha256 of the one of `scans` that is called so: by sha256 or its first digits, accession number or title.

    Case, spaces and the ways in which Unicode writes one letter do not count. Raises WrongUse where none is called so,
    or several are: the message lists them.
    """
    meant = meant_by(artwork, scans)
    if len(meant.found) == 1:
        return next(iter(meant.found))
    if meant.found:
        raise WrongUse(
            f"{artwork!r} is the name of {len(meant.found)} artworks: ask for one of them by its sha256 or its first "
            f"digits. {listed(meant.found)}"
        )
    raise WrongUse(
        f"No artwork in {home.root}, past or present, is called {artwork!r}: give the scan's sha256 or its first 8 "
        "digits or more, its whole accession number or its whole title."
        + (f" Titles that hold these words: {listed(meant.like)}" if meant.like else "")
        + _left_out(home, folded(artwork))
    )


def state_of(home: Home, adapter: Adapter, pictures: Iterable[Picture]) -> AdapterState:
    """Where an adapter stands today; `pictures` are all that the data home has."""
    current = current_adapter(home, adapter.painter)
    verdict = last_verdict(home.evaluation(adapter.painter) / adapter.id)
    return AdapterState(
        adapter_id=adapter.id,
        painter=adapter.painter,
        current=current is not None and current.id == adapter.id,
        published=any(picture.state == "published" and adapter.id in picture.adapter_ids for picture in pictures),
        made=recorded_day(folder_of(home, adapter)),
        publish=verdict.publish if verdict else None,
        judged=verdict.at if verdict else "",
    )


def _shares(shown: dict[str, int]) -> dict[str, float]:
    total = max(1, sum(shown.values()))
    return {name: times / total for name, times in shown.items()}


def _left_out(home: Home, wanted: str) -> str:
    """Why files of that sha256 or name did not become scans; empty where there are none."""
    rows = [row for file in sorted(home.root.glob(f"register/*/{QUARANTINE}")) for row in read(file, Quarantined)]
    found = [
        f" Left out is {row.painter}/{row.path}: {row.reason}. {row.remedy}."
        for row in rows
        if has_digits(row.sha256, wanted) or wanted in (folded(row.path), folded(Path(row.path).stem))
    ]
    return "".join(found[:_LISTED])


def _once(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The crops or training pictures of a scan, each once, sorted by id; of rows with one id the last."""
    unique = {row.id: row for row in rows}
    return tuple(unique[key] for key in sorted(unique))


def _part(snapshot: AdapterSnapshot, part: Split) -> set[str]:
    """The sha256s of the scans in one part."""
    return {image.scan_sha256 for image in snapshot.training_images if image.split == part}

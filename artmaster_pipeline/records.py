"""The records that pass between rooms, and how a manifest of them is written, read and hashed.

`Scan -> Crop -> TrainingImage -> Adapter -> Sample`: frozen pydantic models, one JSON line each, in a manifest beside
the files they describe. A record's `id` is made from the content and the parameters that made it, and every record
names the records it came from; so lineage can be walked from any of them with nothing but these files.
"""

import hashlib
import itertools
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.files import write_text

# Where records are, whichever room writes them: each file's name stands here and nowhere else.
MANIFEST = "manifest.jsonl"  # the records of one stage and painter
QUARANTINE = "quarantine.jsonl"  # Quarantined, beside the register's manifest
WITHDRAWN = "withdrawn.jsonl"  # Withdrawn, beside it
WITHDRAWALS = "withdrawals.jsonl"  # of the data home itself: the ledger that decides (`withdrawals`)
MIXES_FILE = "mixes.yaml"  # of the data home itself: what a person asks of several painters together
REPORTS = "withdrawals"  # the folder beside it: a report on each withdrawal, by the line's id
ADAPTER_RECORD = "adapter.json"  # an Adapter, in the adapter's folder
SNAPSHOT = "lineage.json"  # an AdapterSnapshot, beside it
PANEL = "panel.json"  # an evaluated adapter's figures
JUDGED_BY = "judged_by"  # in it: the sha256 of the scans that judged
VERDICTS = "verdicts.jsonl"  # every Verdict on it, the last one in force
VERDICT = "verdict.json"  # what earlier versions kept in its place: the last Verdict alone
DECISIONS = "decisions.jsonl"  # what persons decided about a painter's adapters
CURATED = "works.jsonl"  # CuratedScan, beside the crops' manifest
VERSIONS_FOLDER = ".versions"  # of a gallery's folder: every published site, painter by painter
PUBLICATIONS = "ledger.jsonl"  # in it, per painter: what was put in place, copied, taken down
TAKEN_DOWN = "taken down"  # an action there: the site held a work that was withdrawn
PROVENANCE = "provenance.json"  # of a published site: every picture, its adapters, their scans

Split = Literal["train", "validate", "held_out"]
Column = Literal["original", "base", "adapter"]
Role = Literal["row", "panel", "far", "extra"]
MaskKind = Literal["painting", "seal", "inscription", "blank", "damage"]
FlagKind = Literal[
    "calligraphy", "another genre", "another hand", "photograph", "colour cast", "blurred", "enlarged", "border"
]
DecisionKind = Literal["keep", "leave out", "note", "area", "crop", "seal", "inscription", "blank", "damage", "clear"]
Corners = tuple[int, int, int, int]  # left, top, right, bottom in a scan's pixels; right and bottom outside
ENOUGH_DETAIL = 0.85  # pixels with detail per pixel: sharp scans are measured at that and more (`area.resolution`)


class Record(BaseModel):
    """One row of a manifest. `id` is unique within it and never random."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str


class Scan(Record):
    """An image file that can be used: what it is, and what is known about the artwork. `id` = first 16 of sha256."""

    painter: str
    path: str  # POSIX, below scans/<painter>/
    sha256: str
    bytes: int
    width: int  # pixels, after the EXIF orientation
    height: int
    format: str  # JPEG, PNG, TIFF, WebP
    colour: str  # what the file's colours mean, e.g. "sRGB", "ICC: Adobe RGB (1998)", "CMYK without profile"
    notes: tuple[str, ...] = ()  # what was mended while reading, one sentence each
    title: str = ""
    accession_number: str = ""
    date: str = ""
    season: str = ""
    subject: str = ""
    caption: str = ""  # from captions.csv, a .txt beside the scan or the caption column: without the trigger word
    caption_source: str = Field("", exclude_if=lambda source: not source)  # "captions.csv" where a person set it there
    rights: str = ""
    rights_until: str = Field("", exclude_if=lambda day: not day)  # ISO date: from that day on it may not be used


class Withdrawn(Record):
    """A work that may not be used: by the ledger, by its likeness to one there, or since its rights are over.

    `path` is where its file lies or lay below scans/<painter>/; empty where nobody knows.
    """

    painter: str
    path: str
    sha256: str
    since: str  # ISO date
    reason: str
    like: str = ""  # the sha256 of the withdrawn scan that the file resembles
    rights_until: str = ""  # where its rights are over


class Quarantined(Record):
    """A file that was left out, why, and what its owner can do. `id` is made from the path and the content."""

    painter: str
    path: str
    sha256: str = ""  # empty when the bytes could not be read
    reason: str
    remedy: str
    duplicate_of: str = ""  # the id of the scan that is kept instead


class Mask(BaseModel):
    """A part of a scan that is of one kind; `outline` goes around it, in pixels of the scan turned upright."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: MaskKind
    outline: tuple[tuple[int, int], ...]  # (x, y), closed, at least three points
    score: float = 1.0  # how sure its source is, 0..1
    source: Literal["found", "person"] = "found"

    @property
    def box(self) -> Corners:
        """The smallest rectangle around it."""
        across, down = zip(*self.outline, strict=True)
        return min(across), min(down), max(across), max(down)


class Flag(BaseModel):
    """Why a person should look at a scan. A flag drops nothing by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FlagKind
    score: float  # how far beyond what is usual, 0..1; the review list begins with the highest
    reason: str  # one sentence


class Decision(BaseModel):
    """A row of decisions.csv: what a person decided about a scan, who, when and why.

    `box` is of the scan turned upright: the new picture area, a crop, or what a mask covers. `clear` takes away what
    was found of any mask whose middle lies in it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: DecisionKind
    box: Corners | None = None
    why: str = ""
    who: str = ""
    when: str = ""  # ISO date or time


class CuratedScan(Record):
    """What curation saw in a scan and what persons decided about it. `id` is the scan's.

    All places are pixels of the scan turned upright: turned by `skew` about its middle, on a sheet of the same size.
    """

    painter: str
    scan_sha256: str
    made_from: str = ""  # what else decided it: the method, what persons decided, the scan that stands for it
    skew: float = 0.0  # degrees, counter-clockwise, by which the painting stands askew; it is turned back by that
    area: Corners  # the painting without mounting, frame and margin
    masks: tuple[Mask, ...] = ()
    effective_scale: float = 1.0  # pixels a side that its detail needs, per pixel it has; below 1: blurred or enlarged
    flags: tuple[Flag, ...] = ()
    unsure: str = Field("", exclude_if=lambda sentence: not sentence)  # where the border is doubtful
    # by which it is compared with the others, and what they are numbers of (`review.features`)
    measures: dict[str, float | list[float]] = Field({}, exclude_if=lambda found: not found)
    duplicate_of: str = ""  # the sha256 of the better scan of the same artwork, which is cropped in its place
    decisions: tuple[Decision, ...] = ()
    crops: tuple[str, ...] = ()  # their ids, in the order in which they were chosen


class Crop(Record):
    """A rectangle of a scan at one of the two training shapes. Colours are sRGB, 8 bit.

    `width` and `height` are the shape it stands for. Its file is never enlarged: where `source_scale` is below 1 it has
    the rectangle's own pixels.
    """

    painter: str
    scan_id: str
    scan_sha256: str
    path: str  # POSIX, below crops/<painter>/
    sha256: str
    mask_path: str  # 8-bit grey, same size: how much each pixel belongs to the main subject; 0: not to be learned
    width: int
    height: int
    left: int  # the rectangle in the scan's own pixels, after the EXIF orientation and turned upright by `skew`
    top: int
    right: int
    bottom: int
    source_scale: float  # scan pixels per crop pixel; below 1 the scan had less detail than the crop's size
    subject_share: float  # share of the scan's saliency that lies in the rectangle, 0..1
    skew: float = Field(0.0, exclude_if=lambda degrees: not degrees)  # as in `CuratedScan`
    effective_scale: float = Field(1.0, exclude_if=lambda scale: scale == 1.0)  # as there
    by: str = Field("", exclude_if=lambda who: not who)  # the person who drew it; empty where it was chosen
    place: int = Field(0, exclude_if=lambda place: not place)  # in the order in which a scan's crops were chosen
    # the terms by which it was chosen, each 0..1, and as `score` what the set would be worth less without it
    terms: dict[str, float] = Field({}, exclude_if=lambda terms: not terms)

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height of its file."""
        if self.source_scale >= 1:
            return self.width, self.height
        return self.right - self.left, self.bottom - self.top

    @property
    def detail(self) -> float:
        """The scan's pixels a side that carry detail, per pixel of the shape it stands for."""
        return round(self.source_scale * self.effective_scale, 4)

    @property
    def is_soft(self) -> bool:
        """Whether its scan was enlarged or is out of focus, so that pixels alone say nothing of its detail."""
        return self.effective_scale < ENOUGH_DETAIL

    @property
    def lacks_detail(self) -> bool:
        """Whether its scan shows less than the shape that it stands for can hold: it is enlarged before training."""
        return self.source_scale < 1 or (self.is_soft and self.detail < ENOUGH_DETAIL)


class TrainingImage(Record):
    """A crop as the trainer sees it: enlarged where the scan lacked detail, with its caption and its part."""

    painter: str
    crop_id: str
    scan_id: str
    scan_sha256: str
    path: str  # POSIX, below training_set/<painter>/
    sha256: str
    width: int
    height: int
    caption: str
    caption_source: str  # "captions.csv", "sidecar", "artworks.csv", "file name", a captioner's name, or two of them
    unread: float = Field(0.0, exclude_if=lambda share: not share)  # of the archive's words, by the base; 0..1
    split: Split
    enlarged_by: str = ""  # the super-resolution network, empty where the scan had the detail itself
    enlarged_times: int = Field(1, exclude_if=lambda times: times == 1)  # by it, before it was brought to the size
    detail: float = Field(0.0, exclude_if=lambda pixels: not pixels)  # as in `Crop`; 0: not recorded
    reason: str = Field("", exclude_if=lambda words: not words)  # why it was enlarged, or was not
    drift: str = Field("", exclude_if=lambda words: not words)  # why it is no faithful picture of its crop
    place: int = Field(0, exclude_if=lambda place: not place)  # as in `Crop`
    group: str = ""  # the sha256 of the artwork's first scan, shared by its near-duplicates; empty in old manifests

    @property
    def work(self) -> str:
        """The artwork: one name for all scans that are near-duplicates of one another."""
        return self.group or self.scan_sha256


class Adapter(Record):
    """A folded AdaLoRA adapter, and everything that made it."""

    painter: str
    path: str  # POSIX, the adapter's folder below the data home
    sha256: str  # of adapter.safetensors, the folded LoRA
    profile: str
    base_model: str
    base_revision: str  # which weights: their hash, or the older name by which the data home knows them
    base_commit: str = Field("", exclude_if=lambda commit: not commit)  # the hub's, of a base that came from there
    trigger: str
    started_from: str = Field("", exclude_if=lambda adapter_id: not adapter_id)  # the adapter; empty: the base alone
    training_set_hash: str
    training_image_ids: tuple[str, ...]
    scan_sha256s: tuple[str, ...]  # of the scans in the `train` part, sorted; an adapter it started from has its own
    seed: int
    steps: int  # that were trained
    chosen_step: int = 0  # the step whose weights these are, where the panel chose an earlier one; 0: the last
    settings: dict[str, Any]
    ranks: dict[str, int]  # linear layer -> rank that AdaLoRA left it
    final_loss: float  # mean over the last epoch
    # how it draws best, by the validation works; none: not chosen
    drawing: DrawingSettings | None = Field(None, exclude_if=lambda chosen: chosen is None)
    # the settings that were tried for that, each with its figures
    drawing_table: tuple[dict[str, float], ...] = Field((), exclude_if=lambda rows: not rows)

    @property
    def step(self) -> int:
        """The training step that the weights are of."""
        return self.chosen_step or self.steps


class Ancestor(BaseModel):
    """An adapter that another was started from, directly or over others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    started_from: str = Field("", exclude_if=lambda adapter_id: not adapter_id)
    step: int  # of the weights that the next one started from
    shown: int = 0  # pictures, up to that step; 0: not recorded


class Inherited(BaseModel):
    """A scan that an ancestor was trained on or chosen by: it is in whatever was started from that ancestor."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scan: Scan
    work: str  # as `TrainingImage.work`
    part: Split  # train, where any ancestor was trained on it
    through: str  # the nearest ancestor that had it in that part
    shown: dict[str, int] = Field({}, exclude_if=lambda shown: not shown)  # ancestor -> how often, as far as recorded


class TrainingFacts(BaseModel):
    """What is known of a training beside the records it read: written down when it ends, and never renewed after."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fresh_because: str = Field("", exclude_if=lambda why: not why)  # why it started from the base, against the wish
    ancestors: tuple[Ancestor, ...] = Field((), exclude_if=lambda rows: not rows)  # the nearest first
    inherited: tuple[Inherited, ...] = Field((), exclude_if=lambda rows: not rows)  # of all of them, sorted by sha256

    software: dict[str, str]  # name -> version
    commit: str = ""  # git's, of the product where it ran from a checkout; "-changed" at its end where files differ
    shown: dict[str, int]  # id of a training picture -> how often it was seen up to the step of the weights
    quarantined: tuple[Quarantined, ...]  # files that did not become scans, and why
    without_crops: tuple[Quarantined, ...]  # scans that gave no crop of one of the sizes, and why


class AdapterSnapshot(BaseModel):
    """lineage.json of an adapter: the records it was made from, as they were then.

    Manifests move on with the archive; an answer about an adapter must not. `training_images` holds all three parts:
    those of `validate` may have chosen a checkpoint, the `held_out` ones only judged, and neither is in the adapter.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scans: tuple[Scan, ...]
    crops: tuple[Crop, ...]
    training_images: tuple[TrainingImage, ...]
    # none: the adapter is of a version that did not write it down
    training: TrainingFacts | None = Field(None, exclude_if=lambda facts: facts is None)
    # its scans as curation saw them, and those about which persons decided; none in files of earlier versions
    curated: tuple[CuratedScan, ...] = Field((), exclude_if=lambda works: not works)

    @property
    def ancestors(self) -> tuple[Ancestor, ...]:
        """The adapters that it was started from, the nearest first."""
        return self.training.ancestors if self.training else ()

    @property
    def inherited(self) -> tuple[Inherited, ...]:
        """What those had seen, whether or not the adapter's own training saw it too."""
        return self.training.inherited if self.training else ()


class Region(BaseModel):
    """A part of a painted canvas, as the picture's record tells it: whose it is, and of what."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str  # as in canvas.yaml; "ground" for what no region covers
    adapters: dict[str, str]  # painter -> the id of the adapter
    share: float = 0.0  # of the picture, 0..1
    prompt: str = ""
    strengths: dict[str, float] = {}  # painter -> of the adapter
    factors: dict[str, float] = {}  # factor -> how much of it these hands have here, where less than all
    kind: str = ""  # what it shows: rock, water, ...
    label: int = 0  # its number on the map; 0: the ground

    @property
    def painters(self) -> tuple[str, ...]:
        """Who painted it."""
        return tuple(self.adapters)

    @property
    def adapter_ids(self) -> tuple[str, ...]:
        """The adapters that did."""
        return tuple(self.adapters.values())


GROUND = "ground"  # the id of what no region of a canvas covers


def regions_of(gates: Mapping[str, Any]) -> tuple[Region, ...]:
    """The regions that a painted canvas' gates tell, the ground first, then by their numbers; () for others.

    What a file says there and is none is passed over: a picture's own words may be anybody's.
    """
    said = gates.get("regions")
    if not gates.get("canvas") or not isinstance(said, Mapping):
        return ()
    found = [region for name, of in said.items() if (region := _region(str(name), of)) is not None]
    return tuple(sorted(found, key=lambda region: (region.id != GROUND, region.label, region.id)))


def _region(name: str, of: Any) -> Region | None:
    if not isinstance(of, Mapping) or not isinstance(of.get("adapters"), Mapping):
        return None
    told: dict[str, Any] = {"id": name} | {field: value for field, value in of.items() if value is not None}
    if isinstance(strength := of.get("strength"), int | float):  # one for all hands of the region
        told.setdefault("strengths", dict.fromkeys(of["adapters"], strength))
    try:
        return Region.model_validate(told | {"id": name})
    except ValidationError:
        return None


class Storyboarded(Record):
    """A shot of a storyboard as it is painted. `id` is made from all that decides its pictures."""

    painter: str  # the story's partition
    shot: str
    era: str
    prompt: str  # without the trigger
    seed: int
    width: int  # pixels
    height: int
    onstage: tuple[str, ...] = ()
    motifs: tuple[str, ...] = ()


class Sample(Record):
    """A picture made by a model (or, in the `original` column, a held-out crop shown beside it)."""

    painter: str  # or the set of painters, the canvas, the story
    column: Column
    adapter_ids: tuple[str, ...] = ()  # all adapters that drew it; none in the columns `base` and `original`
    evaluated_adapter_id: str = ""  # the adapter whose evaluation shows it, in whatever column
    base_model: str
    base_revision: str
    prompt: str
    seed: int
    width: int
    height: int
    num_inference_steps: int
    guidance_scale: float
    true_cfg_scale: float = Field(1.0, exclude_if=lambda scale: scale == 1.0)  # as in `DrawingSettings`, as the next
    adapter_in_unguided: bool = Field(True, exclude_if=lambda on: on)
    path: str  # POSIX, below the manifest's folder
    sha256: str
    enlarged_by: str = ""
    enlarged_from: str = ""  # the id of the sample that it shows at the gallery's size
    scan_sha256: str = ""  # `original` column only
    role: Role = "row"  # in a row of the grid; measured in the panel; of a prompt far from the training; asked for
    strength: float = 1.0  # of the adapter, `adapter` column only
    checkpoint: int = 0  # the training step whose weights were used; 0 for the finished adapter
    # of a picture by several adapters: the mix of mixes.yaml that it is of, and who had which part
    mix: str = Field("", exclude_if=lambda name: not name)
    canvas: str = Field("", exclude_if=lambda name: not name)  # of a picture of a canvas: its name
    # of a picture of a story: the story's name, and the shot that it shows
    story: str = Field("", exclude_if=lambda name: not name)
    shot: str = Field("", exclude_if=lambda shot: not shot)
    gates: dict[str, Any] = Field({}, exclude_if=lambda gates: not gates)

    @property
    def is_large(self) -> bool:
        """Whether it is a gallery's own picture of a sample: enlarged, or as large as was asked for already."""
        return bool(self.enlarged_from)

    @property
    def drawn_by(self) -> str:
        """`adapter_ids` in the words of a picture's file: one as it is, several with commas between them."""
        return ", ".join(self.adapter_ids)

    @property
    def regions(self) -> "tuple[Region, ...]":
        """The parts of a canvas, the ground's first; none of other pictures."""
        return regions_of(self.gates) if self.canvas else ()

    def parts_of(self, adapter_ids: Collection[str]) -> tuple[str, ...]:
        """The regions of a canvas that any of these adapters painted."""
        wanted = set(adapter_ids)
        return tuple(region.id for region in self.regions if not wanted.isdisjoint(region.adapter_ids))

    @property
    def drawing(self) -> DrawingSettings:
        """How it was drawn; strengths on request may be beyond those that an adapter is drawn at."""
        return DrawingSettings.model_construct(
            **{name: getattr(self, name) for name in DrawingSettings.model_fields},
        )

    @model_validator(mode="before")
    @classmethod
    def _of_one_adapter(cls, row: Any) -> Any:
        """A row of a manifest from when a picture named one adapter, the one under evaluation, in every column."""
        if not isinstance(row, dict) or "adapter_id" not in row:
            return row
        new = {name: value for name, value in row.items() if name != "adapter_id"}
        drew = (row["adapter_id"],) if row.get("column") == "adapter" else ()
        return {"adapter_ids": drew, "evaluated_adapter_id": row["adapter_id"]} | new


class Verdict(BaseModel):
    """A line of an evaluated adapter's verdicts.jsonl: whether it may be published, who says so, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    adapter_id: str
    publish: bool
    by: Literal["figures", "person"]
    reasons: tuple[str, ...]  # one sentence each: what it passed or failed, or a person's words
    failed: tuple[str, ...] = ()  # the limits that the figures do not keep, whatever a person said
    figures: dict[str, Any]
    needs_person: bool = False  # a limit could not be tried, so that figures alone never let it be published
    champion_id: str = ""  # the adapter that was published when this one was judged
    champion: dict[str, Any] = {}  # its own last verdict then: id, time, figures
    panel_id: str = ""  # the panel.json that the figures are from
    id: str = ""  # made from all of the above
    at: str = ""  # ISO 8601, UTC


R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Outcome(Generic[R]):
    """What one stage gives: its records, where their manifest is, and how much of it was work."""

    records: tuple[R, ...]
    manifest: Path
    made: int  # records whose files were made now
    reused: int  # records whose files were already there
    quarantined: tuple[Quarantined, ...] = ()
    figures: dict[str, Any] = field(default_factory=dict)  # small JSON-able figures for people and checks

    @property
    def hash(self) -> str:
        """The manifest's hash: the identity of the stage's output."""
        return manifest_hash(self.manifest)


def identity(*parts: Any) -> str:
    """16 hexadecimal digits made from JSON-able parts: the same parts give the same id on every machine."""
    return hashlib.sha256(_canonical(list(parts)).encode()).hexdigest()[:16]


def write_manifest(path: Path, records: Iterable[Record]) -> None:
    """Write records sorted by id, one canonical JSON line each; whole or not at all; untouched if nothing changed."""
    rows = sorted(records, key=lambda record: record.id)
    twice = {a.id for a, b in itertools.pairwise(rows) if a.id == b.id}
    if twice:
        raise ArtMasterError(f"{path}: two records share the id {', '.join(sorted(twice))}; no manifest was written.")
    text = manifest_text(rows)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def manifest_text(records: Iterable[Record]) -> str:
    """What a manifest of these records holds, which are sorted by id."""
    return "".join(_canonical(row.model_dump(mode="json")) + "\n" for row in records)


def read_manifest(path: Path, kind: type[R]) -> tuple[R, ...]:
    """The records of a manifest, sorted by id; empty where the manifest does not exist."""
    if not path.exists():
        return ()
    with path.open(encoding="utf-8") as lines:
        return tuple(kind.model_validate_json(line) for line in lines)


def manifest_hash(path: Path) -> str:
    """sha256 of a manifest's bytes, 64 hexadecimal digits."""
    if not path.exists():
        raise ArtMasterError(f"{path} does not exist yet: run the stage that makes it first.")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def text_hash(text: str) -> str:
    """sha256 of a manifest that is not on the disk, as `manifest_hash` gives it of one that is."""
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

"""What a training begins with: the base alone or, where the profile wishes `warm_start`, the painter's last adapter.

Whatever it begins with is said, recorded, and part of the new adapter's id. An adapter that the same pictures and
settings have given already, from whatever it began with, is the one: so a run without news makes nothing, though the
last adapter is then the one that would be begun with.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from artmaster_pipeline.adapters.ancestry import Ancestry, ancestry_from
from artmaster_pipeline.adapters.finding import current_adapter, folder_of, known_adapters, read_snapshot
from artmaster_pipeline.adapters.folder import LORA, read_record
from artmaster_pipeline.adapters.withdrawn import marks_of
from artmaster_pipeline.base_models.hub import family_of
from artmaster_pipeline.errors import BadInput
from artmaster_pipeline.records import SNAPSHOT, Adapter, AdapterSnapshot, TrainingImage
from artmaster_pipeline.settings import Home, Profile, TrainingSettings, load_painter
from artmaster_pipeline.training.schedule import stages_of

IdFrom = Callable[[str, str], str]  # (the painter's slug, the id of what it begins with) -> the adapter's id
Whole = Callable[[Path, str], Adapter | None]  # (folder, id) -> the record of an adapter that is there whole


@dataclass(frozen=True)
class Start:
    """The adapter that is to be there, and what its training begins with."""

    adapter_id: str
    parent_id: str = ""  # empty: the base alone
    file: Path | None = None  # the parent's folded weights; none also where the adapter is there already
    ancestry: Ancestry = field(default_factory=Ancestry)

    def sentence(self, steps: int) -> str:
        """What the run says before a training of so many steps; empty where nobody wished for anything."""
        if self.parent_id:
            return f"The training starts from the adapter {self.parent_id}, for {steps} steps."
        why = self.ancestry.fresh_because
        return f"The training starts from the base alone: {why}." if why else ""


def choose_start(
    home: Home,
    painter: str,
    profile: Profile,
    revision: str,
    rows: tuple[TrainingImage, ...],
    id_from: IdFrom,
    whole: Whole,
) -> Start:
    """Which adapter the present pictures and settings give, and what its training begins with.

    It is known by its present or by one of its former painter's names. Where the last adapter cannot be begun with,
    the start says why.
    """
    names = (painter, *load_painter(home, painter).formerly)
    fresh = [id_from(name, "") for name in names]
    if not profile.training.warm_start:
        there = next((each for each in fresh if whole(home.adapters(painter) / each, each)), fresh[0])
        return Start(there)

    def fits(record: Adapter) -> bool:
        return record.id in {id_from(name, record.started_from) for name in names}

    last = current_adapter(home, painter)
    for record in _known(home, painter, last):
        if fits(record) and _usable(home, painter, record, whole):
            return Start(record.id, record.started_from)
    parent, why = _parent(home, painter, last, again=last is not None and fits(last))
    if parent is not None:
        why = _why_not(home, parent, profile, revision, rows, whole)
    if parent is None or why:
        return Start(fresh[0], ancestry=Ancestry(fresh_because=why))
    ancestry = ancestry_from(home, parent)
    return Start(id_from(painter, parent.id), parent.id, folder_of(home, parent) / LORA, ancestry)


def says_its_ancestry(folder: Path) -> bool:
    """Whether the lineage.json in an adapter's folder says from what it was started."""
    try:
        text = (folder / SNAPSHOT).read_text(encoding="utf-8")
        return bool(AdapterSnapshot.model_validate_json(text).ancestors)
    except (OSError, ValueError):
        return False


def _known(home: Home, painter: str, last: Adapter | None) -> Iterator[Adapter]:
    """The painter's adapters whose records can be read, the current one first."""
    ids = known_adapters(home, painter)
    current = [last.id] if last and last.id in ids else []
    for adapter_id in [*current, *(each for each in ids if each not in current)]:
        record = read_record(home.adapters(painter) / adapter_id)
        if record is not None:
            yield record


def _usable(home: Home, painter: str, record: Adapter, whole: Whole) -> bool:
    """Whether an adapter is there whole and holds nothing that may not be used, through whatever it began with."""
    folder = home.adapters(painter) / record.id
    return whole(folder, record.id) is not None and not marks_of(home, record)


def _parent(home: Home, painter: str, last: Adapter | None, *, again: bool) -> tuple[Adapter | None, str]:
    """What is to be begun with, or why nothing is. `again`: the last adapter is the one that has to be made."""
    if last is None:
        return None, "the painter has no adapter yet"
    if not again:
        return last, ""
    if not last.started_from:
        return None, f"the adapter {last.id} is made again as it was"
    before = read_record(home.adapters(painter) / last.started_from)
    return before, "" if before else f"the adapter {last.started_from}, from which the last one started, is gone"


def _why_not(
    home: Home, parent: Adapter, profile: Profile, revision: str, rows: tuple[TrainingImage, ...], whole: Whole
) -> str:
    """Why an adapter cannot be begun with, as a sentence without its full stop; empty where it can."""
    what = f"the adapter {parent.id}"
    if parent.base_revision != revision:
        return f"{what} was trained on other base weights ({parent.base_model}, {parent.base_revision})"
    if whole(folder_of(home, parent), parent.id) is None:
        return f"{what} is not whole (restore it with dvc checkout)"
    try:
        marks, snapshot = marks_of(home, parent), read_snapshot(home, parent)
    except BadInput:
        return f"nobody can say what is in {what}, since its {SNAPSHOT} cannot be read (restore it with dvc checkout)"
    if marks:
        return marks[0].of(what)
    return _no_room(what, parent, profile, home) or _judged_by_what_it_learnt(what, parent, snapshot, rows)


def _no_room(what: str, parent: Adapter, profile: Profile, home: Home) -> str:
    """Whether the parent changes a layer that is not trained, or by more ranks than a layer is given."""
    family, kinds = family_of(profile, home), [stage.layers for stage in stages_of(profile.training)]
    changed = [layer for layer, rank in parent.ranks.items() if rank]
    others = [layer for layer in changed if not any(family.is_of(layer, of) for of in kinds)]
    if others:
        return f"{what} changes {len(others)} layers that this training does not learn ({others[0]} is the first)"
    most, room = max(parent.ranks.values(), default=0), _ranks_of_a_layer(profile.training)
    return f"{what} has up to {most} ranks in a layer, and this training gives a layer {room}" if most > room else ""


def _ranks_of_a_layer(settings: TrainingSettings) -> int:
    return settings.init_r if settings.adapter == "adalora" else settings.target_r


def _judged_by_what_it_learnt(
    what: str, parent: Adapter, snapshot: AdapterSnapshot, rows: tuple[TrainingImage, ...]
) -> str:
    """Whether a work that chooses or judges now was trained on by the parent or before it: it would praise itself."""
    trained, works = set(parent.scan_sha256s), set()
    works |= {image.work for image in snapshot.training_images if image.scan_sha256 in trained}
    works |= {each.work for each in snapshot.inherited if each.part == "train"}
    trained |= {each.scan.sha256 for each in snapshot.inherited if each.part == "train"}
    for row in rows:
        if row.split != "train" and (row.scan_sha256 in trained or row.work in works):
            return f"{what} has learnt the work {row.scan_sha256[:16]}, by which adapters are chosen or judged now"
    return ""

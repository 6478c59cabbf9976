"""What an adapter has in it through those that it was started from.

Weights that begin with another adapter's hold what that one had learnt, whatever they learn next. So a descendant
carries the records of all that its ancestors were trained on or chosen by: their folders may go, the answer stays.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from artmaster_pipeline.adapters.finding import read_snapshot
from artmaster_pipeline.records import Adapter, AdapterSnapshot, Ancestor, Inherited
from artmaster_pipeline.settings import Home


@dataclass(frozen=True)
class Ancestry:
    """How a training began."""

    ancestors: tuple[Ancestor, ...] = ()  # the nearest first
    inherited: tuple[Inherited, ...] = ()
    fresh_because: str = ""  # why it began with the base alone, against the wish


def ancestry_from(home: Home, parent: Adapter) -> Ancestry:
    """The ancestry of a training that starts from `parent`. Raises BadInput where the parent's snapshot is damaged."""
    snapshot = read_snapshot(home, parent)
    shown: Counter[str] = Counter()
    for image in snapshot.training_images:
        shown[image.scan_sha256] += snapshot.training.shown.get(image.id, 0) if snapshot.training else 0
    own = Ancestor(id=parent.id, started_from=parent.started_from, step=parent.step, shown=shown.total())
    found = {each.scan.sha256: each for each in snapshot.inherited}
    scans = {scan.sha256: scan for scan in snapshot.scans}
    trained = set(parent.scan_sha256s)
    for image in snapshot.training_images:
        sha256, before = image.scan_sha256, found.get(image.scan_sha256)
        if sha256 not in trained and image.split != "validate":
            continue
        part = "train" if sha256 in trained else "validate"
        times = {parent.id: shown[sha256]} if sha256 in trained and shown[sha256] else {}
        only_chose = part == "validate" and before is not None and before.part == "train"
        found[sha256] = Inherited(
            scan=scans[sha256],
            work=image.work,
            part="train" if only_chose else part,
            through=before.through if before and only_chose else parent.id,
            shown=times | (before.shown if before else {}),
        )
    return Ancestry((own, *snapshot.ancestors), tuple(found[sha256] for sha256 in sorted(found)))


def only_inherited(adapter: Adapter, inherited: Iterable[Inherited]) -> tuple[Inherited, ...]:
    """Of what its ancestors had seen, that which they were trained on and the adapter's own training did not see."""
    own = set(adapter.scan_sha256s)
    return tuple(each for each in inherited if each.part == "train" and each.scan.sha256 not in own)


def scans_in(adapter: Adapter, snapshot: AdapterSnapshot) -> tuple[str, ...]:
    """The sha256 of every scan in the weights: of its own training, and of those that it was started from. Sorted."""
    further = only_inherited(adapter, snapshot.inherited)
    return tuple(sorted({*adapter.scan_sha256s, *(each.scan.sha256 for each in further)}))

"""Which works are trained on, which may choose a checkpoint and which only judge: decided by content, once, per work.

A work is an artwork: scans that are near-duplicates of one another are one work and stand on one side.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.records import Split

MIN_TRAIN_WORKS = 2
MIN_WORKS_TO_HOLD_OUT = 4
MIN_WORKS_TO_VALIDATE = 10


@dataclass(frozen=True)
class Assignment:
    """Where a scan stands: its part, and its work, named by the sha256 of the work's first scan."""

    part: Split
    work: str


@dataclass(frozen=True)
class SplitTable:
    """The place of every scan by its sha256, and the sets of near-duplicates that earlier decisions hold apart."""

    places: dict[str, Assignment]
    apart: tuple[tuple[str, ...], ...] = ()


def split_works(
    scan_sha256s: Iterable[str],
    earlier: Mapping[str, Assignment],
    held_out_share: float,
    validate_share: float,
    alike: Iterable[tuple[str, str]] = (),
) -> SplitTable:
    """The part and the work of every scan; scans that are `alike`, directly or over others, are one work.

    What was decided `earlier` stays: new scans never move an old one, and a new scan of an old work joins its part.
    Where near-duplicates were put into different parts before anyone knew that they are, none of them moves and they
    count as works of their own; a new scan like them goes to the part that has seen most (train, then validate), so
    that it judges nothing, and `apart` names them all, since what is held out there was trained on elsewhere.

    Of the new works, those with the lowest hashes are held out until `held_out_share` of all works is, the next ones
    validate until `validate_share` is (both rounded), the others are trained on. Two works are trained on in any case;
    only if so much was removed from the archive that they are missing, the last ones of the other parts are.

    - With fewer than 4 works nothing is held out: one work is a third of the style, and a figure by one work has no
      interval. From 4 on at least one is.
    - With fewer than 10 works none validates, as a tenth of them is less than one work; to judge comes before to
      choose. From 10 on at least one does, unless `validate_share` is 0.

    Raises WrongUse where there are fewer than two works.
    """
    works, apart = _works(set(scan_sha256s), earlier, alike)
    if len(works) < MIN_TRAIN_WORKS:
        raise WrongUse(
            f"{len(works)} work(s) can be used and a style needs at least {MIN_TRAIN_WORKS} (20 or more do well); "
            "several scans of one artwork are one work. Add scans of other works, or see the quarantine for why "
            "files were left out."
        )
    parts = {work: earlier[old[0]].part for work, scans in works.items() if (old := _old(scans, earlier))}
    new = sorted(set(works) - set(parts))
    trained = sum(part == "train" for part in parts.values())
    free = new[: max(0, len(new) - max(0, MIN_TRAIN_WORKS - trained))]
    for part, wanted in _wanted(len(works), held_out_share, validate_share).items():
        missing = max(0, wanted - sum(there == part for there in parts.values()))
        parts |= dict.fromkeys(free[:missing], part)
        free = free[missing:]
    parts |= dict.fromkeys((work for work in new if work not in parts), "train")
    _fill_train(parts, works)
    places = {scan: Assignment(parts[work], work) for work, scans in works.items() for scan in scans}
    return SplitTable({scan: places[scan] for scan in sorted(places)}, apart)


def what_the_parts_mean(held_out: int, validate: int) -> str:
    """What figures can say with so many works that judge and that choose; empty where there is nothing to warn of."""
    if held_out == 0:
        return (
            f"Fewer than {MIN_WORKS_TO_HOLD_OUT} works: none is held out, so nothing can be measured on works that the "
            "adapter never saw. Add scans of more works."
        )
    few = "1 work is" if held_out == 1 else f"{held_out} works are"
    if validate == 0:
        return (
            f"Fewer than {MIN_WORKS_TO_VALIDATE} works, or no share for validation: {few} held out and none is left to "
            "choose a checkpoint by. The figures are hints, not proofs."
        )
    if held_out < 5:
        return f"{few} held out: the figures' intervals are wide, and small differences mean nothing."
    return ""


def _works(
    scans: Collection[str], earlier: Mapping[str, Assignment], alike: Iterable[tuple[str, str]]
) -> tuple[dict[str, tuple[str, ...]], tuple[tuple[str, ...], ...]]:
    """The scans of every work by the work's name, no work in two parts; and the sets that earlier parts hold apart."""
    works: dict[str, tuple[str, ...]] = {}
    apart = []
    for cluster in _clusters(scans, [*alike, *_earlier_pairs(scans, earlier)]):
        sides: dict[Split, list[str]] = {}
        for scan in _old(cluster, earlier):
            sides.setdefault(earlier[scan].part, []).append(scan)
        if not sides:
            works[cluster[0]] = cluster
            continue
        seen_most = next(part for part in ("train", "validate", "held_out") if part in sides)
        for part, old in sides.items():
            joining = [scan for scan in cluster if scan not in earlier] if part == seen_most else []
            name = min(earlier[scan].work for scan in old)
            works[name if name not in works else old[0]] = tuple(sorted(old + joining))
        if len(sides) > 1:
            apart.append(cluster)
    return works, tuple(apart)


def _old(scans: Sequence[str], earlier: Mapping[str, Assignment]) -> list[str]:
    return [scan for scan in scans if scan in earlier]


def _earlier_pairs(scans: Collection[str], earlier: Mapping[str, Assignment]) -> list[tuple[str, str]]:
    """What belonged together stays together, even when the scan that showed it is gone."""
    first = {scan: scan for scan in scans}  # a work is named by a scan, which may have gone and come back
    old = sorted(scan for scan in scans if scan in earlier)
    return [(scan, first.setdefault(earlier[scan].work, scan)) for scan in old]


def _clusters(scans: Collection[str], pairs: Iterable[tuple[str, str]]) -> list[tuple[str, ...]]:
    """The connected sets of scans, each sorted, in the order of their first ones."""
    neighbours: dict[str, set[str]] = {scan: set() for scan in sorted(scans)}
    for a, b in pairs:
        if a in neighbours and b in neighbours:
            neighbours[a].add(b)
            neighbours[b].add(a)
    clusters, reached = [], set()
    for scan in neighbours:
        if scan not in reached:
            cluster, ahead = set(), [scan]
            while ahead:
                here = ahead.pop()
                if here not in cluster:
                    cluster.add(here)
                    ahead += neighbours[here]
            reached |= cluster
            clusters.append(tuple(sorted(cluster)))
    return clusters


def _wanted(works: int, held_out_share: float, validate_share: float) -> dict[Split, int]:
    held_out = max(1, round(held_out_share * works)) if works >= MIN_WORKS_TO_HOLD_OUT else 0
    validate = max(1, round(validate_share * works)) if works >= MIN_WORKS_TO_VALIDATE and validate_share > 0 else 0
    return {"held_out": held_out, "validate": validate}


def _fill_train(parts: dict[str, Split], works: Mapping[str, Sequence[str]]) -> None:
    """Train on the last works of the other parts where fewer than two scans are left to train on."""
    others = sorted((work for work, part in parts.items() if part != "train"), key=lambda work: (parts[work], work))
    while others and sum(len(works[work]) for work, part in parts.items() if part == "train") < MIN_TRAIN_WORKS:
        parts[others.pop()] = "train"

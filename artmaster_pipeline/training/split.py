"""Which works are trained on and which are held out to judge by: decided by content, once, per work."""

import math
from collections.abc import Iterable, Mapping

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.records import Split

MIN_TRAIN_WORKS = 2
MIN_WORKS_TO_HOLD_OUT = 4


def split_works(scan_sha256s: Iterable[str], earlier: Mapping[str, Split], held_out_share: float) -> dict[str, Split]:
    """The part of every work, by the sha256 of its scan; all crops of a work are on the same side.

    A work is held out if the first 32 bits of its hash, read as a fraction, lie below `held_out_share`. What was
    decided `earlier` stays, so that new scans never move an old one. With four works or more one is held out in any
    case; where chance would hold out more than half of a small archive, the highest hashes are trained on after all,
    as are two works in any case. Raises WrongUse where there are fewer than two works.
    """
    works = sorted(set(scan_sha256s))
    if len(works) < MIN_TRAIN_WORKS:
        raise WrongUse(
            f"{len(works)} work(s) can be used and a style needs at least {MIN_TRAIN_WORKS} (20 or more do well): "
            "add scans, or see the quarantine for why files were left out."
        )
    parts = {work: earlier.get(work) or _by_hash(work, held_out_share) for work in works}
    new_first = sorted(works, key=lambda work: (work in earlier, _fraction(work)))
    if len(works) >= MIN_WORKS_TO_HOLD_OUT and "held_out" not in parts.values():
        parts[new_first[0]] = "held_out"
    held_out = [work for work in works if parts[work] == "held_out"]
    too_many = max(MIN_TRAIN_WORKS, math.ceil(len(works) / 2)) - (len(works) - len(held_out))
    for work in sorted(held_out, key=lambda work: (work in earlier, -_fraction(work)))[: max(0, too_many)]:
        parts[work] = "train"
    return parts


def _by_hash(sha256: str, held_out_share: float) -> Split:
    return "held_out" if _fraction(sha256) < held_out_share else "train"


def _fraction(sha256: str) -> float:
    return int(sha256[:8], 16) / 2**32

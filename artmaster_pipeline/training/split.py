"""Which works are trained on and which are held out to judge by: decided by content, once, per work."""

from collections.abc import Iterable, Mapping

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.records import Split

MIN_TRAIN_WORKS = 2
MIN_WORKS_TO_HOLD_OUT = 4


def split_works(scan_sha256s: Iterable[str], earlier: Mapping[str, Split], held_out_share: float) -> dict[str, Split]:
    """The part of every work, by the sha256 of its scan; all crops of a work are on the same side.

    What was decided `earlier` stays, so that new scans never move an old one. Of the new works, those with the lowest
    hashes are held out until `held_out_share` of all works is (rounded; with four works or more at least one). Two
    works are trained on in any case. Raises WrongUse where there are fewer than two works.
    """
    works = sorted(set(scan_sha256s))
    if len(works) < MIN_TRAIN_WORKS:
        raise WrongUse(
            f"{len(works)} work(s) can be used and a style needs at least {MIN_TRAIN_WORKS} (20 or more do well): "
            "add scans, or see the quarantine for why files were left out."
        )
    held_out = [work for work in works if earlier.get(work) == "held_out"]
    wanted = max(1, round(held_out_share * len(works))) if len(works) >= MIN_WORKS_TO_HOLD_OUT else 0
    new = [work for work in works if work not in earlier]
    held_out += new[: max(0, wanted - len(held_out))]
    held_out = held_out[: len(works) - MIN_TRAIN_WORKS]
    return {work: "held_out" if work in held_out else "train" for work in works}

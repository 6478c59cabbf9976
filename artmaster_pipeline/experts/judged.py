"""What a canvas and a story share once they are painted: pictures in place, the base's beside them, a verdict.

Both are partitions with a file of their own (`stages.is_filed`), judged as a mix is. <key> is the folder's name below
`Home.evaluation`, made from all that decides their pictures.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from artmaster_pipeline.errors import ArtMasterError, NotPublished, WrongUse
from artmaster_pipeline.evaluation.panel.measure import read_panel
from artmaster_pipeline.evaluation.verdicts import decide, last_verdict
from artmaster_pipeline.experts.drawing import MixedDrawing, draw_mixed
from artmaster_pipeline.experts.judging import check_judges, judge_mix
from artmaster_pipeline.experts.samples import is_there
from artmaster_pipeline.files import inside, sha256_of
from artmaster_pipeline.gallery.enlarging import sample_facts
from artmaster_pipeline.pictures import write_png
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import MANIFEST, PANEL, Adapter, Sample, Verdict, read_manifest
from artmaster_pipeline.settings import GateSettings, Home, Profile
from artmaster_pipeline.stages import WHICH, in_words, judging_stage, kind_of, source_named


def draw_beside(
    home: Home, folder: Path, profile: Profile, planned: Mapping[str, tuple[Sample, MixedDrawing]], progress: Progress
) -> tuple[list[Sample], int]:
    """The base's pictures as records, their files below `folder`, and how many were drawn now; `planned` by id.

    A picture's last digits may change with its batch: where one is missing all are drawn, and what was there is left.
    """
    missing = {name for name, (record, _) in planned.items() if not is_there(folder / record.path, name)}
    with progress.task("drawing the base beside it", len(planned), len(planned) - len(missing)) as advance:
        drawings = [drawing for _, drawing in planned.values()] if missing else []
        for (record, _), pixels in zip(planned.values(), draw_mixed(home, profile, drawings), strict=bool(missing)):
            if record.id in missing:
                write_png(folder / record.path, pixels, sample_facts(record))
                advance(note=record.shot or f"seed {record.seed}")
    records = [r.model_copy(update={"sha256": sha256_of(folder / r.path)}) for r, _ in planned.values()]
    return records, len(missing)


def pictures_in_place(home: Home, partition: str, key: str, beside: str) -> list[Sample]:
    """The painted pictures' records. Raises ArtMasterError where one, or the file `beside`, is gone or changed."""
    root = home.evaluation(partition)
    rows = [sample for sample in read_manifest(root / key / MANIFEST, Sample) if sample.column == "adapter"]
    changed = [s.path for s in rows if not (f := inside(root, s.path)).is_file() or sha256_of(f) != s.sha256]
    if not (root / key / beside).is_file():
        changed.append(f"{key}/{beside}")
    if not rows or changed:
        raise ArtMasterError(
            f"Pictures of {in_words(partition)}, as it is now, are missing or changed"
            f"{': ' if changed else ''}{', '.join(changed[:5])}. Make them again: artmaster run {partition} "
            f"--only {judging_stage(partition)}"
        )
    return rows


def decide_on(home: Home, partition: str, key: str, decision: Any, reason: str, limits: GateSettings) -> Verdict:
    """Keep a person's decision and put it into force. Raises WrongUse where nothing was judged yet."""
    if last_verdict(home.evaluation(partition) / key) is None:
        raise WrongUse(
            f"{_named(partition)} has not been judged as it is now, so there is no verdict to overrule. Run: artmaster "
            f"run {partition} --until {judging_stage(partition)}"
        )
    decide(home, partition, key, decision, reason)
    return judge_mix(home, partition, read_panel(home.evaluation(partition) / key / PANEL), limits)


def check_passed(home: Home, partition: str, key: str, adapters: Sequence[Adapter]) -> Verdict:
    """The verdict that lets it be published.

    Raises ArtMasterError where there is none, NotPublished, with the reasons, where it does not, HoldsWithdrawn where
    a withdrawn work judged.
    """
    folder = home.evaluation(partition) / key
    verdict = last_verdict(folder)
    if verdict is None:
        raise ArtMasterError(
            f"{_named(partition)} has not been judged as it is now: run the stage "
            f"{judging_stage(partition)} first (artmaster run {partition} --until {judging_stage(partition)})."
        )
    if not verdict.publish:
        raise NotPublished(
            f"{_named(partition)} is not published: {' '.join(verdict.reasons)} What is published stays as it is. To "
            f"overrule: artmaster gate {partition} --publish --reason TEXT"
        )
    panels = {source_named(partition): read_panel(folder / PANEL)}
    check_judges(home, adapters, panels, WHICH[kind_of(partition)])
    return verdict


def _named(partition: str) -> str:
    words = in_words(partition)
    return words[0].upper() + words[1:]

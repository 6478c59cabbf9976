"""What every export is made from: the answer about an adapter, the records it carries, and who the painter is."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from artmaster_pipeline.adapters.ancestry import only_inherited
from artmaster_pipeline.adapters.finding import folder_of, read_snapshot
from artmaster_pipeline.adapters.folder import LORA, made_on
from artmaster_pipeline.adapters.withdrawn import check_not_withdrawn, withdrawn_works
from artmaster_pipeline.base_models import describe_base
from artmaster_pipeline.base_models.family import Base
from artmaster_pipeline.errors import BadInput
from artmaster_pipeline.lineage.answers import AdapterLineage, adapter_lineage
from artmaster_pipeline.records import Adapter, AdapterSnapshot, Inherited, Scan, TrainingImage, Verdict
from artmaster_pipeline.settings import Home, PainterSettings, load_painter


@dataclass(frozen=True)
class Figure:
    """A figure that the last verdict rests on; `low` and `high` bound its interval of 95 %, where there is one."""

    name: str
    says: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Subject:
    """An adapter that may be used, and all that is known of it."""

    home: Home
    answer: AdapterLineage
    snapshot: AdapterSnapshot
    painter: PainterSettings
    folder: Path  # the adapter's
    not_used: frozenset[str]  # the sha256 of the painter's works that may not be used any more

    @property
    def adapter(self) -> Adapter:
        """The adapter's record."""
        return self.answer.adapter

    @property
    def base(self) -> Base:
        """What is known of the base model."""
        return describe_base(self.adapter.base_model)

    @property
    def day(self) -> str:
        """The day on which the adapter was made, ISO 8601."""
        return made_on(self.folder)

    @property
    def verdict(self) -> Verdict | None:
        """The verdict in force."""
        return next(reversed(self.answer.verdicts), None)

    @property
    def figures(self) -> tuple[Figure, ...]:
        """What the last verdict rests on; empty where the adapter was not judged by figures."""
        said = self.verdict.figures if self.verdict else {}
        axes = ((axis, of) for axis, of in said.get("axes", {}).items() if of["score"] is not None)
        found = [
            Figure(
                f"{axis}_score", f"{axis}: 1 is the painter's own works, 0 the base", of["score"], *of["score_interval"]
            )
            for axis, of in axes
        ]
        if (drift := said.get("drift", {})).get("loss") is not None:
            found.append(
                Figure("drift", "loss of prompt adherence against the base", drift["loss"], *drift["loss_interval"])
            )
        if "suspects" in said:
            found.append(Figure("suspects", "samples that look like a training work", said["suspects"]))
        return tuple(found)

    @cached_property
    def images(self) -> tuple[TrainingImage, ...]:
        """The pictures of the training set, of all three parts, without those of works that may not be used."""
        return tuple(image for image in self.snapshot.training_images if image.scan_sha256 not in self.not_used)

    @cached_property
    def scans(self) -> dict[str, Scan]:
        """The works of those pictures, by sha256."""
        used = {image.scan_sha256 for image in self.images}
        return {scan.sha256: scan for scan in self.snapshot.scans if scan.sha256 in used}

    @property
    def inherited(self) -> dict[str, Inherited]:
        """What the adapters that it was started from were trained on and it was not, by sha256."""
        return {each.scan.sha256: each for each in only_inherited(self.adapter, self.snapshot.inherited)}

    def rights_of(self, scan: Scan) -> str:
        """What the archive states about a work: its own statement, else the painter's; empty where it states none."""
        return scan.rights or self.painter.rights


def subject_of(home: Home, adapter_id: str) -> Subject:
    """What is known of the adapter with that id.

    Raises WrongUse where there is none or its painter was removed, HoldsWithdrawn where a work in it may not be used
    any more, BadInput where its records or its weights are not there.
    """
    answer = adapter_lineage(home, adapter_id)
    adapter = answer.adapter
    check_not_withdrawn(home, adapter)
    folder = folder_of(home, adapter)
    if not (folder / LORA).is_file():
        raise BadInput(
            f"{folder / LORA} is not there",
            f"Restore it with `dvc checkout`, or make it again with `artmaster run {adapter.painter}`.",
        )
    return Subject(
        home=home,
        answer=answer,
        snapshot=read_snapshot(home, adapter),
        painter=load_painter(home, adapter.painter),
        folder=folder,
        not_used=frozenset(withdrawn_works(home, adapter.painter)),
    )

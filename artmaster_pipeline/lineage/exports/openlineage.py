"""A stage's runs as OpenLineage's events (https://openlineage.io/spec): those of the records, and those that happen.

OpenLineage's own client gives the events and their facets, so that they are what its specification says; it is the
extra `openlineage`. Facets are the standard's alone: one of our own would need a schema at a public address. A job is a
stage of a painter, a data set what a stage keeps for a painter, its version the hash of the manifest, as in Dagster.

Records hold no hours: what follows from them is dated by the day on which the adapter was made, and begins and ends at
once; a verdict and a site have their own times.
"""

import importlib.util
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from artmaster_pipeline import __version__
from artmaster_pipeline.errors import MissingRequirement
from artmaster_pipeline.experts.records import ExpertGate, ExpertMap
from artmaster_pipeline.lineage.exports.subject import Subject
from artmaster_pipeline.publishing.versions import SiteVersions
from artmaster_pipeline.records import (
    MANIFEST,
    Adapter,
    Crop,
    Record,
    Sample,
    Scan,
    Storyboarded,
    TrainingImage,
    manifest_text,
    text_hash,
)
from artmaster_pipeline.stages import Step, inputs_of, stage_named

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, RunEvent

EVENTS = "openlineage.jsonl"
EXTRA = "pip install 'artmaster-pipeline[openlineage]'"
KINDS: dict[str, type[Record]] = {  # stage -> what its manifest holds
    "raw_scans": Scan,
    "curated_crops": Crop,
    "training_set": TrainingImage,
    "style_adapter": Adapter,
    "evaluation_grid": Sample,
    "sample_gallery": Sample,
    "expert_map": ExpertMap,
    "expert_gate": ExpertGate,
    "mixed_samples": Sample,
    "mixed_gallery": Sample,
    "copaintings": Sample,
    "canvas_gallery": Sample,
    "storyboards": Storyboarded,
    "illustrated_stories": Sample,
    "story_books": Sample,
}

State = Literal["START", "COMPLETE", "FAIL", "ABORT"]
_PRODUCER = f"urn:artmaster:artmaster-pipeline:{__version__}"


def is_installed() -> bool:
    """Whether OpenLineage's client is installed."""
    return importlib.util.find_spec("openlineage") is not None


def files(subject: Subject) -> dict[str, str]:
    """openlineage.jsonl. Raises MissingRequirement where the extra `openlineage` is not installed."""
    if not is_installed():
        raise MissingRequirement(f"OpenLineage's events need the extra `openlineage`: {EXTRA}")
    from openlineage.client.serde import Serde

    return {EVENTS: "".join(f"{Serde.to_json(event)}\n" for event in _events(subject))}


@dataclass(frozen=True)
class StageRun:
    """One run of a stage. `run_id` is a UUID; `parent` the run that it is a part of, and that run's job."""

    step: Step
    run_id: str
    inputs: "Sequence[InputDataset]"
    parent: tuple[str, str] | None = None

    def event(self, state: State, at: str, outputs: "Sequence[OutputDataset]", fault: str = "") -> "RunEvent":
        """An event of the run at a time, ISO 8601 with its zone; `fault` says why it failed.

        What the run reads is told when it ends, beside what it made: readers draw an edge from one event alone, and
        4,000 works need not be told twice.
        """
        from openlineage.client import facet_v2 as facets
        from openlineage.client.event_v2 import Run, RunEvent, RunState

        said: dict[str, Any] = {
            "processing_engine": facets.processing_engine_run.ProcessingEngineRunFacet(__version__, name="ArtMaster")
        }
        if self.parent:
            run_id, job = self.parent
            said["parent"] = facets.parent_run.ParentRunFacet.create(run_id, _namespace(), job)
        if fault:
            said["errorMessage"] = facets.error_message_run.ErrorMessageRunFacet(fault, programmingLanguage="Python")
        return _ours(
            RunEvent(
                eventTime=at,
                producer=_PRODUCER,
                run=Run(self.run_id, facets=said),
                job=_job(self.step),
                eventType=RunState(state),
                inputs=[] if state == "START" else list(self.inputs),
                outputs=list(outputs),
            )
        )


def given(name: str, version: str = "", stage: str = "", **tags: str) -> "InputDataset":
    """A data set that a run reads; `stage` is the one that keeps it, `name` where it is below the data home."""
    from openlineage.client.event_v2 import InputDataset

    return InputDataset(_namespace(), name, facets=_facets(name, version, stage, tags))


def kept(step: Step, version: str = "", rows: int | None = None, *, anew: bool = False) -> "OutputDataset":
    """The data set that a stage keeps, with its version and how many records it has; `anew` where it was there."""
    from openlineage.client import facet_v2 as facets
    from openlineage.client.event_v2 import OutputDataset

    change = facets.lifecycle_state_change_dataset
    state = change.LifecycleStateChange.OVERWRITE if anew else change.LifecycleStateChange.CREATE
    return OutputDataset(
        _namespace(),
        name_of(step),
        facets={
            **_facets(name_of(step), version, step.stage, {}),
            "lifecycleStateChange": change.LifecycleStateChangeDatasetFacet(state),
        },
        outputFacets={}
        if rows is None
        else {
            "outputStatistics": facets.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                rowCount=rows
            )
        },
    )


def name_of(step: Step) -> str:
    """The name of the data set that a stage keeps for a partition: its folder below the data home."""
    return f"{stage_named(step.stage).folder}/{step.partition}"


def _namespace() -> str:
    """Of jobs and data sets: `OPENLINEAGE_NAMESPACE`, as in OpenLineage's other integrations."""
    return os.environ.get("OPENLINEAGE_NAMESPACE") or "artmaster"


def _job(step: Step) -> "Job":
    from openlineage.client import facet_v2 as facets
    from openlineage.client.event_v2 import Job

    return Job(
        _namespace(),
        f"{step.stage}.{step.partition}",
        facets={
            "documentation": facets.documentation_job.DocumentationJobFacet(stage_named(step.stage).says),
            "jobType": facets.job_type_job.JobTypeJobFacet("BATCH", "ARTMASTER", "STAGE"),
        },
    )


def _facets(name: str, version: str, stage: str, tags: dict[str, str]) -> dict[str, Any]:
    from openlineage.client import facet_v2 as facets

    source = facets.datasource_dataset.DatasourceDatasetFacet(_namespace(), uri=f"artmaster:{name}")
    found: dict[str, Any] = {"dataSource": source}
    if version:
        found["version"] = facets.dataset_version_dataset.DatasetVersionDatasetFacet(version)
    if stage:
        says = stage_named(stage).says
        found["documentation"] = facets.documentation_dataset.DocumentationDatasetFacet(says)
    if kind := KINDS.get(stage):
        field = facets.schema_dataset.SchemaDatasetFacetFields
        of = kind.model_json_schema()["properties"]
        fields = [field(name=name, type=str(said.get("type", "object"))) for name, said in of.items()]
        found["schema"] = facets.schema_dataset.SchemaDatasetFacet(fields=fields)
    if known := {name: value for name, value in tags.items() if value}:
        tag = facets.tags_dataset.TagsDatasetFacetFields
        found["tags"] = facets.tags_dataset.TagsDatasetFacet([tag(k, v, source="ARTMASTER") for k, v in known.items()])
    return found


def _ours(event: "RunEvent") -> "RunEvent":
    """The event with facets that name this product, not OpenLineage's client, as what made them."""
    parts = (event.run, event.job, *(event.inputs or ()), *(event.outputs or ()))
    for part in parts:
        for facet in (*(part.facets or {}).values(), *(getattr(part, "outputFacets", None) or {}).values()):
            facet._producer = _PRODUCER
    return event


def _events(subject: Subject) -> "Iterator[RunEvent]":
    for run, at, output in _runs(subject):
        yield run.event("START", at, [])
        yield run.event("COMPLETE", at, [output])


def _runs(subject: Subject) -> "Iterator[tuple[StageRun, str, OutputDataset]]":
    """The runs that an adapter's records tell of, each with its time and what it kept."""
    adapter, made = subject.adapter, f"{subject.day}T00:00:00Z"
    versions = {
        "training_set": adapter.training_set_hash,
        "style_adapter": text_hash(manifest_text([adapter])),
    }
    rows = {"training_set": len(subject.snapshot.training_images), "style_adapter": 1}
    for stage in ("raw_scans", "curated_crops", "training_set", "style_adapter"):
        step = Step(stage, adapter.painter)
        inputs = _scans(subject) if stage == "raw_scans" else _before(step, versions)
        run = StageRun(step, _run_id(adapter, stage), inputs)
        yield run, made, kept(step, versions.get(stage, ""), rows.get(stage))
    for verdict in subject.answer.verdicts:
        step = Step("evaluation_grid", adapter.painter)
        run = StageRun(step, _run_id(adapter, verdict.id), _before(step, versions))
        yield run, verdict.at or made, kept(step)
    for site in SiteVersions(subject.home.root / "gallery", adapter.painter).versions():
        if site.adapter_id == adapter.id:
            step = Step("sample_gallery", adapter.painter)
            run = StageRun(step, _run_id(adapter, site.id), _before(step, versions))
            yield run, site.made, kept(step, site.files[MANIFEST])


def _before(step: Step, versions: dict[str, str]) -> "list[InputDataset]":
    return [given(name_of(each), versions.get(each.stage, ""), each.stage) for each in inputs_of(step)]


def _scans(subject: Subject) -> "list[InputDataset]":
    """Each work, as the file that it is."""
    return [
        given(
            f"scans/{scan.painter}/{scan.path}",
            scan.sha256,
            title=scan.title,
            accession_number=scan.accession_number,
            rights=subject.rights_of(scan),
        )
        for scan in subject.scans.values()
    ]


def _run_id(adapter: Adapter, what: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"artmaster:run:{adapter.id}:{what}"))

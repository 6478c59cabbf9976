"""An adapter's lineage in the forms of others, read by each standard's own library; what a run tells a collector."""

import json
import shutil
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from small_archive import PAINTER, copied, evaluated, small_archive
from training_home import PAINTER as TRAINED
from typer.testing import CliRunner

from artmaster_pipeline.cli import app
from artmaster_pipeline.errors import HoldsWithdrawn, MissingRequirement, WrongUse
from artmaster_pipeline.evaluation.verdicts import append_verdict
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.lineage import exports
from artmaster_pipeline.lineage.exports import croissant, cyclonedx, export_lineage, openlineage
from artmaster_pipeline.orchestration import lineage_events, metadata
from artmaster_pipeline.orchestration.build import build_defs
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.records import (
    MANIFEST,
    Adapter,
    Outcome,
    Quarantined,
    Scan,
    TrainingImage,
    Verdict,
    manifest_hash,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stages import STAGES, Step, in_order
from artmaster_pipeline.withdrawals import WithdrawnScan, append, new_line

FIGURES = {
    "axes": {
        "tone": {"score": 0.78, "score_interval": [0.66, 0.9]},
        "brushwork": {"score": -0.4, "score_interval": [None, None]},
        "style": {"score": None, "score_interval": [None, None]},
    },
    "drift": {"loss": 0.02, "loss_interval": [0.0, 0.05]},
    "suspects": 0,
}


def adapter_of(home: Home, painter: str = PAINTER) -> Adapter:
    (adapter,) = read_manifest(home.adapters(painter) / MANIFEST, Adapter)
    return adapter


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, published_archive: Home) -> Home:
    """The published archive, whose adapter was then judged by figures."""
    home = copied(published_archive, Home(tmp_path_factory.mktemp("judged") / "home"))
    verdict = {"adapter_id": adapter_of(home).id, "publish": True, "by": "figures", "figures": FIGURES}
    append_verdict(home, PAINTER, Verdict.model_validate(verdict | {"reasons": ("Tone: *nearer* to the works.",)}))
    return home


@pytest.fixture(scope="module")
def exported(judged: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that can be written about it."""
    out = tmp_path_factory.mktemp("exported")
    export_lineage(judged, adapter_of(judged).id, out=out)
    return out


def test_the_model_card_is_one_of_the_hub_with_the_figures_of_the_verdict(exported: Path, judged: Home) -> None:
    from huggingface_hub import ModelCard

    card = ModelCard.load(exported / "README.md")
    assert (card.data.license, card.data.base_model, card.data.library_name) == ("apache-2.0", "miniature", "diffusers")
    assert {"lora", "template:sd-lora", "text-to-image"} <= set(card.data.tags or ())
    assert card.data["instance_prompt"] == adapter_of(judged).trigger
    found = {result.metric_type: result.metric_value for result in card.data.eval_results or ()}
    assert found == {"tone_score": 0.78, "brushwork_score": -0.4, "drift": 0.02, "suspects": 0}
    assert {result.dataset_name for result in card.data.eval_results or ()} == {"2 works held out of the training"}
    assert card.text.endswith(
        "## Evaluation\n\nFit to be published, by its figures.\n\n- Tone: \\*nearer\\* to the works.\n"
    )


def test_an_adapters_own_card_is_one_of_the_hub_with_its_pictures(trained: tuple[Home, Any, Adapter]) -> None:
    from huggingface_hub import ModelCard

    home, _, adapter = trained
    card = ModelCard.load(home.root / adapter.path / "README.md")
    assert card.data.license and card.data.base_model and "lora" in (card.data.tags or ())
    for picture in card.data["widget"]:
        assert picture["text"]
        assert (home.root / adapter.path / picture["output"]["url"]).is_file()


def test_the_training_set_can_be_read_by_its_croissant(exported: Path, judged: Home, tmp_path: Path) -> None:
    import mlcroissant

    folder = tmp_path / "copy"
    shutil.copytree(judged.training_set(PAINTER), folder)
    for name in (croissant.METADATA, croissant.RECORDS):
        shutil.copy(exported / name, folder)
    dataset = mlcroissant.Dataset(jsonld=folder / croissant.METADATA)
    assert not dataset.metadata.ctx.issues.errors
    assert not dataset.metadata.ctx.issues.warnings
    said = json.loads((folder / croissant.METADATA).read_text())
    hashes = {file["name"]: file["sha256"] for file in said["distribution"] if "sha256" in file}
    assert hashes == {
        croissant.RECORDS: sha256_of(folder / croissant.RECORDS),
        MANIFEST: adapter_of(judged).training_set_hash,
    }
    images = {image.id: image for image in read_manifest(judged.training_set(PAINTER) / MANIFEST, TrainingImage)}
    rows = list(dataset.records("training_pictures"))
    assert len(rows) == len(images) == 8
    for row in rows:
        field = {name.rpartition("/")[2]: value for name, value in row.items()}
        image = images[field["id"].decode()]
        assert field["picture"].size == (image.width, image.height)
        assert (field["caption"].decode(), field["split"].decode()) == (image.caption, image.split)
        assert field["artwork_sha256"].decode() == image.scan_sha256
        assert field["rights"].decode() == "In the public domain"


def test_a_real_trainings_croissant_has_boxes_and_how_often_each_was_shown(trained: tuple[Home, Any, Adapter]) -> None:
    home, _, adapter = trained
    subject = exports.subject_of(home, adapter.id)
    rows = [json.loads(line) for line in croissant.files(subject)[croissant.RECORDS].splitlines()]
    assert all((row["crop_left"], row["crop_right"]) == (0, 768) for row in rows)
    assert {row["times_shown"] > 0 for row in rows if row["split"] == "train"} == {True}
    assert {row["times_shown"] for row in rows if row["split"] != "train"} == {0}


def test_the_bill_of_materials_keeps_cyclonedx_schema(exported: Path, judged: Home, trained: Any) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    other, _, real = trained
    texts = [
        (exported / cyclonedx.BILL).read_text(),
        cyclonedx.files(exports.subject_of(other, real.id))[cyclonedx.BILL],
    ]
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert [validator.validate_str(text) for text in texts] == [None, None]
    for text, adapter in zip(texts, (adapter_of(judged), real), strict=True):
        bill = json.loads(text)
        assert bill["metadata"]["component"]["hashes"][0]["content"] == adapter.sha256
        parts = {part["bom-ref"]: part for part in bill["components"]}
        works = {f"artwork:{sha256}" for sha256 in adapter.scan_sha256s}
        assert {ref for ref in parts if ref.startswith("artwork:")} == works
        assert all(parts[work]["licenses"][0]["license"]["name"] for work in works)
        needs = {entry["ref"]: set(entry.get("dependsOn", ())) for entry in bill["dependencies"]}
        assert needs[f"training-set:{adapter.training_set_hash}"] == works
        assert set(needs) == {*parts, adapter.id}
    assert any(part.get("purl", "").startswith("pkg:pypi/torch@") for part in parts.values())
    metrics = json.loads(texts[0])["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    intervals = {metric["type"]: metric.get("confidenceInterval") for metric in metrics}
    assert intervals["brushwork_score"] is None
    assert intervals["tone_score"] == {"lowerBound": "0.66", "upperBound": "0.9"}


def test_the_events_tell_every_stage_that_the_records_know(exported: Path, judged: Home) -> None:
    events = [json.loads(line) for line in (exported / openlineage.EVENTS).read_text().splitlines()]
    assert [event["eventType"] for event in events] == ["START", "COMPLETE"] * (len(events) // 2)
    ended = {event["job"]["name"].partition(".")[0]: event for event in events[1::2]}
    assert tuple(ended) == STAGES
    assert len({event["run"]["runId"] for event in events}) == len(events) // 2
    works = {each["facets"]["version"]["datasetVersion"] for each in ended["raw_scans"]["inputs"]}
    assert works == {scan.sha256 for scan in read_manifest(judged.register(PAINTER) / MANIFEST, Scan)}
    for stage in ("style_adapter", "sample_gallery"):
        (output,) = ended[stage]["outputs"]
        kept = judged.stage_folder(stage, PAINTER) / MANIFEST
        assert output["facets"]["version"]["datasetVersion"] == manifest_hash(kept)
        assert "id" in {field["name"] for field in output["facets"]["schema"]["fields"]}
    facets = [facet for event in events for part in event["outputs"] for facet in part["facets"].values()]
    assert all(facet["_schemaURL"].startswith("https://openlineage.io/spec/facets/") for facet in facets)
    assert set(openlineage.KINDS) == {stage.name for stage in in_order()}


def test_the_command_writes_the_same_bytes_and_never_over_something_else(
    judged: Home, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter, out = adapter_of(judged), tmp_path / "out"
    command = ["lineage", "export", adapter.id, "--home", str(judged.root), "--out", str(out)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert {f.name: f.read_bytes() for f in out.iterdir()} == {f.name: f.read_bytes() for f in exported.iterdir()}
    (out / croissant.METADATA).write_text("{}")
    (out / cyclonedx.BILL).unlink()
    with pytest.raises(WrongUse, match="holds something else"):
        export_lineage(judged, adapter.id, out=out)
    assert not (out / cyclonedx.BILL).exists()
    with pytest.raises(WrongUse, match="Known adapters"):
        export_lineage(judged, "f" * 16, out=out)
    monkeypatch.setattr(openlineage, "is_installed", lambda: False)
    with pytest.raises(MissingRequirement, match=r"artmaster-pipeline\[openlineage\]"):
        export_lineage(judged, adapter.id, out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_adapter_with_a_withdrawn_work_is_not_exported_and_a_held_out_one_is_not_in_the_set(home: Home) -> None:
    adapter = small_archive(home, works=4, held_out=2)
    evaluated(home)
    scans = read_manifest(home.register(PAINTER) / MANIFEST, Scan)
    held_out = next(scan for scan in scans if scan.sha256 not in adapter.scan_sha256s)
    withdraw(home, held_out.sha256)
    records = croissant.files(exports.subject_of(home, adapter.id))[croissant.RECORDS]
    assert held_out.sha256 not in records
    assert len(records.splitlines()) == 6
    withdraw(home, adapter.scan_sha256s[0])
    with pytest.raises(HoldsWithdrawn, match="not used any more"):
        export_lineage(home, adapter.id, out=home.root / "out")
    assert not (home.root / "out").exists()


def withdraw(home: Home, sha256: str) -> None:
    append(home, new_line("withdrawn", [WithdrawnScan(sha256=sha256)], [PAINTER], "The heirs asked", "me"))


# --- what a run tells a collector


def collecting(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that collects the events of runs, configured as OpenLineage's client is."""
    file = folder / "events.jsonl"
    settings = {"transport": {"type": "file", "log_file_path": str(file), "append": True}}
    (folder / "openlineage.yml").write_text(json.dumps(settings))  # JSON is YAML
    monkeypatch.setenv("OPENLINEAGE_CONFIG", str(folder / "openlineage.yml"))
    return file


def events_in(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def made(home: Home, stage: str) -> dg.ExecuteInProcessResult:
    """A stage's asset, materialised as Dagster does it."""
    asset = next(each for each in build_defs().assets or () if each.key.to_user_string() == stage)  # type: ignore[union-attr]
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("painter", [PAINTER])
        resources = {"data_home": DataHome(root=str(home.root))}
        return dg.materialize(
            [asset], instance=instance, resources=resources, partition_key=PAINTER, raise_on_error=False
        )


def test_a_run_tells_the_collector_what_it_reads_and_keeps(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = collecting(tmp_path, monkeypatch)
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "museum")
    small_archive(home, works=2, held_out=1)
    result = made(home, "raw_scans")
    assert result.success
    began, ended = events_in(file)
    assert [began["eventType"], ended["eventType"]] == ["START", "COMPLETE"]
    assert began["run"]["runId"] == ended["run"]["runId"]
    assert ended["run"]["facets"]["parent"]["run"]["runId"] == result.run_id
    assert ended["job"] == began["job"]
    assert (ended["job"]["namespace"], ended["job"]["name"]) == ("museum", f"raw_scans.{PAINTER}")
    assert [each["name"] for each in ended["inputs"]] == [f"scans/{PAINTER}"]
    (output,) = ended["outputs"]
    version = output["facets"]["version"]["datasetVersion"]
    assert version == manifest_hash(home.register(PAINTER) / MANIFEST)
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 2
    (event,) = result.asset_materializations_for_node("raw_scans")
    assert (event.tags or {})["dagster/data_version"] == version


def test_a_failure_is_told_in_the_products_words(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = collecting(tmp_path, monkeypatch)
    small_archive(home, works=2, held_out=1)
    (home.register(PAINTER) / MANIFEST).unlink()
    assert not made(home, "curated_crops").success
    assert [event["eventType"] for event in events_in(file)] == ["START", "FAIL"]
    message = events_in(file)[1]["run"]["facets"]["errorMessage"]["message"]
    assert "run the stage" in message or "artmaster run" in message
    assert "Traceback" not in message


@pytest.mark.parametrize("why", ["nobody answers", "not installed", "no such file"])
def test_a_collector_that_takes_nothing_costs_one_message(
    home: Home, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    if why == "no such file":
        monkeypatch.setenv("OPENLINEAGE_CONFIG", str(home.root / "missing.yml"))
    else:
        monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "http")
        monkeypatch.setenv("OPENLINEAGE__TRANSPORT__URL", "http://127.0.0.1:9")
        monkeypatch.setenv("OPENLINEAGE__TRANSPORT__RETRY", '{"total": 0}')
    monkeypatch.setattr(lineage_events, "is_installed", lambda: why != "not installed")
    run = SimpleNamespace(run_id=str(uuid.uuid4()), job_name="whole_chain")
    said: list[str] = []
    for stage in ("raw_scans", "curated_crops"):
        with lineage_events.told(run, home, Step(stage, PAINTER), said.append) as tell:  # type: ignore[arg-type]
            write_manifest(home.stage_folder(stage, PAINTER) / MANIFEST, ())
            tell(Outcome((), home.stage_folder(stage, PAINTER) / MANIFEST, 0, 0))
    assert len(said) == 1
    assert "[openlineage]" in said[0] if why == "not installed" else "The run goes on" in said[0]


def test_without_a_configuration_nothing_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage_events, "_Teller", None)
    with lineage_events.told(None, home, Step("raw_scans", PAINTER), print) as tell:  # type: ignore[arg-type]
        tell(Outcome((), home.root, 0, 0))
    monkeypatch.setenv("OPENLINEAGE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "True")
    with lineage_events.told(None, home, Step("raw_scans", PAINTER), print) as tell:  # type: ignore[arg-type]
        tell(Outcome((), home.root, 0, 0))


# --- what Dagster's UI shows


def test_an_adapters_materialisation_shows_its_artworks(trained: tuple[Home, Any, Adapter]) -> None:
    home, _, adapter = trained
    outcome = Outcome((adapter,), home.adapters(TRAINED) / MANIFEST, 1, 0)
    shown = metadata.of_stage("style_adapter", home, TRAINED, outcome)
    rows = [record.data for record in shown["artworks in it"].records]
    assert {row["sha256"] for row in rows} == set(adapter.scan_sha256s)
    assert all(row["title"].startswith("Mountain") and row["crops"] == "2" for row in rows)
    assert sum(float(row["share of steps"].rstrip("%")) for row in rows) == pytest.approx(100, abs=0.1)
    assert shown["artworks' thumbnails"].md_str.startswith(f"![{len(rows)} of {len(rows)} artworks](data:image/jpeg")
    assert f"artmaster lineage adapter {adapter.id}" in shown["lineage"].md_str
    for name in ("manifest", "snapshot", "adapter_record"):
        assert Path(shown[name].path).is_file()


def test_4000_works_stay_small_and_the_rest_is_counted(tmp_path: Path) -> None:
    from PIL import Image

    Image.effect_noise((96, 96), 80).convert("RGB").save(tmp_path / "one.jpg")
    sheet = metadata.artworks_sheet([tmp_path / "one.jpg"] * 4000)
    assert sheet.md_str.startswith("![60 of 4000 artworks]")
    assert len(sheet.md_str) < 500_000
    shown = metadata.table([{"title": "x" * 2000, "n": n} for n in range(4000)])
    assert len(shown.records) == 501
    assert shown.records[-1].data == {"title": "and 3,500 more", "n": ""}
    assert max(len(record.data["title"]) for record in shown.records) < 310


def test_every_stage_says_where_its_records_are_and_how_to_ask(judged: Home) -> None:
    painters = read_manifest(judged.register(PAINTER) / MANIFEST, Scan)
    left_out = [
        Quarantined(id=str(n), painter=PAINTER, path=f"{n}.jpg", reason="torn", remedy="scan anew") for n in range(900)
    ]
    manifest = judged.register(PAINTER) / MANIFEST
    figures = {"descriptions": [f"line {n}" for n in range(5000)], "n": 3}
    shown = metadata.of_stage("raw_scans", judged, PAINTER, Outcome(painters, manifest, 0, 4, tuple(left_out), figures))
    assert shown["lineage"].md_str.startswith(f"`artmaster lineage artwork {painters[0].sha256[:16]}`")
    assert shown["open_manifest"].url == manifest.as_uri()
    assert (len(shown["quarantine"].records), shown["quarantined"]) == (501, 900)
    assert (len(shown["descriptions"]), shown["descriptions"][-1], shown["n"]) == (101, "and 4,900 more", 3)
    assert set(metadata.LINEAGE) == {stage.name for stage in in_order()}

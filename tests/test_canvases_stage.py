"""A canvas as a partition of its own: told from painters and sets, planned, locked, versioned, listed."""

import json
import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from mixed_painters import A, B, C

from artmaster_pipeline import hand_files, stages, versioning
from artmaster_pipeline.canvases import painters_named, rename_hand, what_is_said
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.experts.factors import FACTORS
from artmaster_pipeline.experts.mixes import parse_mix
from artmaster_pipeline.locks import working_on
from artmaster_pipeline.orchestration.build import build_defs
from artmaster_pipeline.records import Sample, regions_of
from artmaster_pipeline.settings import Home, default_painter, save_painter
from artmaster_pipeline.stage_settings import partition_profile, settings_of
from artmaster_pipeline.stages import Step, canvas_of, check_partition, inputs_of, kind_of, stage_named, steps_towards

CANVAS = "canvas_village"
TEXT = f"""\
# who paints what
prompt: a village by a river
ground: {{painter: {A}, strength: 0.8}}  # the ground
labels: labels.png
regions:
  - {{id: {B}, label: 1, painter: {B}, prompt: by {B} himself}}
  - id: river
    label: 2
    mix: "composition={B} colour={B}:0.7+{C}:0.3 brush={C}"
"""


@pytest.fixture
def village(home: Home) -> Home:
    """Three painters and a canvas that names them all; no pictures."""
    for painter in (A, B, C):
        home.scans(painter).mkdir(parents=True)
        save_painter(home, painter, default_painter(painter))
    write(home, TEXT)
    return home


def write(home: Home, text: str, slug: str = "village") -> Path:
    folder = home.canvas(slug)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "canvas.yaml").write_text(text, encoding="utf-8")
    return folder


def test_a_partition_says_by_its_name_whether_it_is_a_painter_a_set_or_a_canvas() -> None:
    assert canvas_of("village") == CANVAS
    assert [kind_of(name) for name in ("village", "canvas-village", "canvas--village", CANVAS)] == [
        *("painter", "painter", "painters", "canvas")
    ]
    assert check_partition(CANVAS) == CANVAS
    assert str(Step("copaintings", CANVAS)) == "copaintings of the canvas village"
    for wrong in ("canvas_", "canvas_a_b", "canvas_Village", "canvas_../x", "canvas_a--b", "other_village"):
        with pytest.raises(WrongUse):
            check_partition(wrong)
    with pytest.raises(WrongUse, match="is no canvas"):
        stages.canvas_named("village")
    with pytest.raises(ValueError, match="ask the data home"):
        stages.members(CANVAS)


def test_the_painters_of_a_canvas_are_those_whom_its_file_names(village: Home) -> None:
    assert village.members(CANVAS) == (A, B, C)
    assert village.members(A) == (A,)
    assert village.members(f"{A}--{B}") == (A, B)
    assert village.canvases() == (CANVAS,)
    (village.root / "canvases" / "empty").mkdir()
    (village.root / "canvases" / "Not A Slug").mkdir()
    assert village.canvases() == (CANVAS,)
    write(village, f"ground: {{painter: {C}@0123456789abcdef}}")
    assert village.members(CANVAS) == (C,)


@pytest.mark.parametrize(
    "words",
    [
        f"{A}=0.7 {B}=0.3",
        f"composition={A} colour={B}:0.7+{C}:0.3 brush={C}",
        f"{A}@0123456789abcdef=1,0,0,0 {B}=0,1,1,1",
    ],
)
def test_whom_a_mix_names_is_read_as_the_mix_reads_it(words: str, tmp_path: Path) -> None:
    mix = parse_mix(words, faults=[])
    assert mix is not None
    (tmp_path / "canvas.yaml").write_text(yaml.safe_dump({"ground": {"mix": words}}))
    assert painters_named(tmp_path) == tuple(sorted(mix.painters))
    assert hand_files._FACTORS == FACTORS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a list", "name: value"),
        ("prompt: nobody", "names no painter"),
        ("ground: [", "cannot be read"),
        ("a: &a {painter: x}\nground: *a", "refers to another part"),
        ("#" + "x" * 300_000, "256 KiB"),
        ("ground: \xff", "cannot be read"),
    ],
)
def test_a_canvas_file_that_names_nobody_is_said_by_its_name(home: Home, text: str, said: str) -> None:
    folder = write(home, "")
    (folder / "canvas.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(WrongUse, match=said) as told:
        home.members(CANVAS)
    assert "canvas.yaml" in str(told.value)
    shutil.rmtree(folder)
    with pytest.raises(WrongUse, match=r"canvas\.yaml"):
        home.members(CANVAS)


def test_a_plan_holds_what_the_canvas_reads_of_each_painter(village: Home) -> None:
    plan = steps_towards(CANVAS, home=village)
    assert plan[-2:] == (Step("copaintings", CANVAS), Step("canvas_gallery", CANVAS))
    assert {step.partition for step in plan[:-2]} == {A, B, C}
    assert {step.stage for step in plan[:-2]} == set(stages.STAGES)
    read = inputs_of(Step("canvas_gallery", CANVAS), village)
    assert Step("copaintings", CANVAS) in read
    assert Step("sample_gallery", C) in read
    assert steps_towards(CANVAS, "copaintings", village)[-1] == Step("copaintings", CANVAS)
    with pytest.raises(WrongUse, match="it is one of canvases"):
        steps_towards(A, "copaintings")
    with pytest.raises(WrongUse, match="it is one of sets of painters"):
        steps_towards(CANVAS, "mixed_gallery", village)


def test_a_stage_may_read_painters_and_its_own_kind_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = stages.Stage("x", "", "x", "x:y", after=("copaintings",), kind="painters")
    monkeypatch.setattr(stages, "TABLE", (*stages.TABLE, wrong))
    with pytest.raises(ValueError, match="which canvas would it be"):
        stages.in_order()


def test_the_settings_of_a_canvas_are_its_words_and_the_bytes_of_its_files(village: Home) -> None:
    stage, folder = stage_named("copaintings"), village.canvas("village")
    before = settings_of(village, CANVAS, stage)
    assert set(before["painter"]) == {A, B, C}
    assert before["asked"]["files"] == {"labels.png": ""}
    (folder / "canvas.yaml").write_text(f"# another comment\n{TEXT}", encoding="utf-8")
    assert settings_of(village, CANVAS, stage) == before
    (folder / "labels.png").write_bytes(b"a map")
    after = settings_of(village, CANVAS, stage)
    assert after["asked"]["files"]["labels.png"] != ""
    write(village, TEXT.replace("by a river", "by the sea"))
    assert settings_of(village, CANVAS, stage)["asked"]["canvas"]["prompt"] == "a village by the sea"
    (folder / "canvas.yaml").write_text(
        "labels: ../../secret\nsince: 2020-01-01\nground: {painter: x}", encoding="utf-8"
    )
    said = what_is_said(folder)
    assert said["files"] == {"../../secret": ""}
    assert json.dumps(said)


def test_painters_of_a_canvas_are_on_one_profile(village: Home) -> None:
    assert partition_profile(village, CANVAS).name == "miniature"
    save_painter(village, B, default_painter(B).model_copy(update={"profile": "flux-dev"}))
    with pytest.raises(WrongUse, match="of one canvas need one profile"):
        partition_profile(village, CANVAS)


def test_whoever_works_on_a_canvas_holds_it_and_its_painters(village: Home) -> None:
    with working_on(village, CANVAS):
        held = {file.name for file in (village.cache / "painters").glob("*.holder.json")}
        assert held == {f"{name}.holder.json" for name in (A, B, C, CANVAS)}
    write(village, "ground: [")
    with working_on(village, CANVAS):  # a site can be taken down though the file is broken
        pass


def test_dagster_has_the_stages_by_canvas() -> None:
    graph = build_defs().resolve_asset_graph()
    for name in ("copaintings", "canvas_gallery"):
        assert graph.get(dg.AssetKey(name)).partitions_def.name == "canvas"
    jobs = {job.name: job for job in build_defs().resolve_all_job_defs()}
    nodes = {node.name for node in jobs["whole_chain_of_canvases"].graph.nodes}
    assert {"copaintings", "canvas_gallery"} <= nodes


def test_a_canvas_asks_for_a_run_once_it_is_written(village: Home) -> None:
    from artmaster_pipeline.orchestration.automation import new_of
    from artmaster_pipeline.orchestration.instance import open_instance
    from artmaster_pipeline.orchestration.resources import DataHome

    cursor = None
    resources = {"data_home": DataHome(root=str(village.root))}

    def tick() -> list[str]:
        nonlocal cursor
        with (
            open_instance(village) as instance,
            dg.build_sensor_context(
                instance=instance, resources=resources, definitions=build_defs(), cursor=cursor
            ) as context,
        ):
            result = new_of("canvas")(context)
            cursor = result.cursor
            return [str(request.partition_key) for request in result.run_requests or ()]

    assert tick() == []  # somebody may be writing it
    assert tick() == [CANVAS]
    assert tick() == []
    write(village, f"# a comment\n{TEXT}")
    assert (tick(), tick()) == ([], [])
    write(village, TEXT.replace("by a river", "by the sea"))
    assert (tick(), tick(), tick()) == ([], [CANVAS], [])
    write(village, "ground: [", "broken")
    assert (tick(), tick()) == ([], [])


def test_dvc_names_the_stages_of_a_canvas_with_its_folder_and_its_painters(village: Home) -> None:
    versioning.prepare(village, CANVAS)
    written = yaml.safe_load((village.root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    stage = written[f"copaintings--{CANVAS}"]
    assert stage["cmd"].startswith(f"artmaster run {CANVAS} --only copaintings")
    assert "canvases/village" in stage["deps"]
    assert {f"adapters/{painter}" for painter in (A, B, C)} <= set(stage["deps"])
    assert stage["outs"] == [{f"copaintings/{CANVAS}": {"persist": True}}]
    assert f"copaintings/{CANVAS}" in written[f"canvas_gallery--{CANVAS}"]["deps"]
    assert "canvases/village" in written[f"settings--{CANVAS}"]["deps"]
    listed = yaml.safe_load((village.root / "painters.yaml").read_text(encoding="utf-8"))
    assert listed == {"painters": [A, B, C], "canvases": [CANVAS]}
    write(village, f"ground: {{painter: {A}}}")
    versioning.prepare(village)
    written = yaml.safe_load((village.root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert f"adapters/{B}" not in written[f"copaintings--{CANVAS}"]["deps"]


def test_a_canvas_that_is_broken_or_gone_stands_in_no_painters_way(village: Home) -> None:
    versioning.prepare(village, CANVAS)
    write(village, "ground: [")
    versioning.prepare(village, A)
    written = yaml.safe_load((village.root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert not any(CANVAS in name for name in written)
    write(village, TEXT)
    versioning.prepare(village, A)  # mended, it has its stages again
    written = yaml.safe_load((village.root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert f"copaintings--{CANVAS}" in written
    shutil.rmtree(village.canvas("village"))
    versioning.prepare(village, A)
    listed = yaml.safe_load((village.root / "painters.yaml").read_text(encoding="utf-8"))
    assert "canvases" not in listed


def test_a_painter_who_is_renamed_is_named_anew_and_the_rest_stays_as_it_was_written(village: Home) -> None:
    folder = village.canvas("village")
    assert rename_hand(folder, B, "z-painter")
    text = (folder / "canvas.yaml").read_text(encoding="utf-8")
    assert village.members(CANVAS) == (A, C, "z-painter")
    assert f"id: {B}," in text  # a region's own name, and what it shows
    assert f"by {B} himself" in text
    assert text.count("z-painter") == 3
    assert text.startswith("# who paints what\n")
    assert "# the ground" in text


def test_a_name_that_cannot_be_renamed_word_by_word_leaves_the_file_alone(village: Home) -> None:
    folder = write(village, 'ground: {painter: "\\x61-painter"}\n')
    assert painters_named(folder) == (A,)
    before = (folder / "canvas.yaml").read_bytes()
    assert not rename_hand(folder, A, "z-painter")
    assert (folder / "canvas.yaml").read_bytes() == before


def test_a_record_tells_its_regions_and_old_records_keep_their_bytes() -> None:
    gates: dict[str, Any] = {
        "canvas": "village",
        "regions": {
            "rock": {"adapters": {B: "b" * 16}, "strength": 0.8, "share": 0.4, "label": 2, "kind": "rock"},
            "ground": {"adapters": {A: "a" * 16}, "share": 0.6},
            "torn": {"adapters": "x"},
            "odd": 3,
        },
    }
    regions = regions_of(gates)
    assert [region.id for region in regions] == ["ground", "rock"]
    assert regions[1].strengths == {B: 0.8}
    said = {"column": "adapter", "base_model": "m", "base_revision": "r", "prompt": "p", "seed": 1, "sha256": "s"}
    said |= {"width": 8, "height": 8, "num_inference_steps": 1, "guidance_scale": 1.0, "path": "x.png"}
    plain = Sample.model_validate({"id": "0", "painter": A} | said)
    assert "canvas" not in plain.model_dump(mode="json")
    assert plain.regions == ()
    of = plain.model_copy(update={"canvas": "village", "gates": gates})
    assert of.parts_of(["b" * 16]) == ("rock",)
    assert Sample.model_validate(of.model_dump()) == of


def test_who_painted_what_is_refused_where_a_record_does_not_say_it() -> None:
    from artmaster_pipeline.copainting.samples import _check_told

    with pytest.raises(ArtMasterError, match="no picture at all"):
        _check_told(CANVAS, [])

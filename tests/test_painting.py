"""Painting canvases with three painters' adapters on a tiny FLUX of FLUX.1-dev's configuration keys."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from mixed_painters import A, B, C, three_experts
from PIL import Image
from small_archive import copied

from artmaster_pipeline.copainting.canvas import load
from artmaster_pipeline.copainting.painting import hands_of, paint_canvas_file, paint_canvases
from artmaster_pipeline.errors import HoldsWithdrawn, WrongUse
from artmaster_pipeline.generation import generate
from artmaster_pipeline.pictures import read_facts, read_rgb
from artmaster_pipeline.settings import Home, painter_profile
from artmaster_pipeline.withdrawals import WithdrawnScan, append, new_line


@pytest.fixture(scope="module")
def home(shared, trained) -> Home:
    """Three painters with an adapter each, on the tiny FLUX; look, but do not write."""
    there, profile, adapter = trained
    return Home(shared("three-experts", lambda folder: three_experts(Home(folder), there, profile, adapter)))


def canvas(folder: Path, labels: np.ndarray | None = None, **changes) -> Path:
    """A canvas of a left half and a small square at the right."""
    if labels is None:
        labels = np.zeros((512, 512), np.uint8)
        labels[:, :256] = 1
        labels[300:460, 300:460] = 2
    folder.mkdir(exist_ok=True)
    Image.fromarray(labels).save(folder / "labels.png")
    said = {
        "prompt": "a village",
        "ground": {"painter": A},
        "labels": "labels.png",
        "regions": [
            {"id": "rock", "label": 1, "painter": B, "prompt": "a rock", "factors": {"colour": 0.5}},
            {"id": "sky", "label": 2, "mix": f"{A}=0.4 {C}=0.6", "strength": 0.7, "sigma_range": [0.2, 1]},
        ],
    }
    (folder / "canvas.yaml").write_text(yaml.safe_dump(said | changes), encoding="utf-8")
    return folder / "canvas.yaml"


def test_a_canvas_is_painted_once_and_its_file_says_who_painted_what(home, tmp_path: Path) -> None:
    path = canvas(tmp_path / "river")
    (file,) = paint_canvas_file(home, path, out=tmp_path / "out")
    before = file.stat().st_mtime_ns
    assert paint_canvas_file(home, path, out=tmp_path / "out") == [file]
    assert file.stat().st_mtime_ns == before
    facts = read_facts(file)
    hands = hands_of(home, load(path, home))
    gates = facts["gates"] if isinstance(facts["gates"], dict) else json.loads(facts["gates"])
    assert gates == hands.record()
    assert gates["regions"]["rock"]["adapters"].keys() == {B}
    assert gates["regions"]["sky"]["adapters"].keys() == {A, C}
    assert gates["regions"]["ground"]["share"] == pytest.approx(0.5 - 160**2 / 512**2, abs=1e-3)
    assert {adapter.painter for adapter in hands.adapters} == {A, B, C}
    assert all(adapter.id in facts["adapter"] for adapter in hands.adapters)


def test_seeds_are_the_canvas_own_or_those_that_are_asked_for(home, tmp_path: Path) -> None:
    path = canvas(tmp_path / "river", seeds=[3, 5])
    own = paint_canvas_file(home, path, out=tmp_path / "own")
    asked = paint_canvas_file(home, path, out=tmp_path / "asked", count=2, seed=5)
    assert [read_facts(file)["seed"] for file in own] == [3, 5]
    assert [read_facts(file)["seed"] for file in asked] == [5, 6]
    assert read_rgb(asked[0]).shape == read_rgb(own[1]).shape


def test_a_region_that_covers_all_is_what_its_painter_draws_alone(home, tmp_path: Path) -> None:
    everywhere = np.ones((512, 512), np.uint8)
    region = {"id": "all", "label": 1, "painter": B}
    path = canvas(tmp_path / "all", everywhere, regions=[region], seeds=[4])
    (file,) = paint_canvas_file(home, path, out=tmp_path / "out")
    (alone,) = generate(home, B, painter_profile(home, B), "a village", seed=4, out=tmp_path / "alone")
    apart = np.abs(read_rgb(file).astype(int) - read_rgb(alone))
    assert apart.max() <= 1  # words and filling stand in one text; nothing else is different


def test_what_a_region_says_changes_its_own_part_most(home, tmp_path: Path) -> None:
    pictures = []
    for strength in (0.0, 1.0):
        region = {"id": "rock", "label": 1, "painter": B, "strength": strength, "feather_px": 0}
        path = canvas(tmp_path / f"{strength}", regions=[region], labels=halves())
        pictures.append(read_rgb(paint_canvas_file(home, path, out=tmp_path / "out")[0]).astype(int))
    apart = np.abs(pictures[0] - pictures[1]).mean(-1)
    width = apart.shape[1] // 2
    assert apart[:, :width].mean() > 1.5 * apart[:, width:].mean()


def halves() -> np.ndarray:
    labels = np.zeros((512, 512), np.uint8)
    labels[:, :256] = 1
    return labels


def test_everything_that_is_wrong_with_the_hands_is_one_error(home, tmp_path: Path) -> None:
    regions = [
        {"id": "rock", "label": 1, "painter": f"{B}@0000000000000000"},
        {"id": "sky", "label": 2, "painter": f"{C}@1111111111111111"},
    ]
    path = canvas(tmp_path / "wrong", regions=regions)
    with pytest.raises(WrongUse) as error:
        paint_canvas_file(home, path, out=tmp_path / "out")
    assert "0000000000000000" in str(error.value)
    assert "1111111111111111" in str(error.value)


def test_a_withdrawn_work_in_any_region_keeps_the_canvas_from_being_painted(home, trained, tmp_path: Path) -> None:
    own = copied(home, Home(tmp_path / "home"))
    hands = hands_of(own, load(canvas(tmp_path / "river"), own))
    adapter = next(adapter for adapter in hands.adapters if adapter.painter == C)
    scan = WithdrawnScan(sha256=adapter.scan_sha256s[0])
    append(own, new_line("withdrawn", [scan], [C], "The heirs asked", "me"))
    with pytest.raises(HoldsWithdrawn, match=C):
        paint_canvas_file(own, tmp_path / "river" / "canvas.yaml", out=tmp_path / "out")


def test_the_stage_paints_each_seed_and_makes_nothing_twice(home, tmp_path: Path) -> None:
    own = copied(home, Home(tmp_path / "home"))
    (own.root / "canvases").mkdir()
    canvas(own.root / "canvases" / "river", seeds=[1, 2])
    done = paint_canvases(own, "river", painter_profile(own, A))
    assert (done.made, done.reused) == (2, 0)
    hands = hands_of(own, load(own.canvas("river"), own))
    for sample in done.records:
        assert (sample.canvas, sample.painter, sample.column) == ("river", "canvas_river", "adapter")
        assert set(sample.adapter_ids) == {adapter.id for adapter in hands.adapters}
        assert (own.evaluation("canvas_river") / sample.path).is_file()
    again = paint_canvases(own, "river", painter_profile(own, A))
    assert (again.records, again.made) == (done.records, 0)
    (own.evaluation("canvas_river") / done.records[0].path).unlink()
    mended = paint_canvases(own, "river", painter_profile(own, A))
    assert (mended.records, mended.made) == (done.records, 1)

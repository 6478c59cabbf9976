"""The ground that every room stands on: names, whole writes, manifests, settings, what switches usage reports off."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.files import check_slug, clear_partials, inside, writing, writing_folder
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import Quarantined, Scan, identity, manifest_hash, read_manifest, write_manifest
from artmaster_pipeline.settings import (
    Home,
    Profile,
    complete_painter,
    default_painter,
    load_painter,
    load_profile,
    profile_names,
    save_painter,
)


def scan(name: str) -> Scan:
    sha = identity(name) * 4
    return Scan(
        id=sha[:16], painter="p", path=name, sha256=sha, bytes=1, width=2, height=3, format="PNG", colour="sRGB"
    )


@pytest.mark.parametrize("slug", ["huang-binhong", "p", "p2", "a-b-c"])
def test_slugs(slug: str) -> None:
    assert check_slug(slug) == slug


@pytest.mark.parametrize("slug", ["", "-a", "a-", "a--b", "A", "a b", "../a", "a/b", "a.b", "黄宾虹", "a" * 65, "a\n"])
def test_what_cannot_be_a_slug(slug: str) -> None:
    with pytest.raises(WrongUse):
        check_slug(slug)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "link/x"])
def test_paths_stay_inside(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(WrongUse):
        inside(root, name)
    assert inside(root, "a/b") == root / "a/b"


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "x.txt"
    file.write_text("old")
    with pytest.raises(RuntimeError), writing(file) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]
    assert file.read_text() == "old"


def test_a_folder_is_replaced_in_one_step(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    for text in ("one", "two"):
        with writing_folder(folder) as temporary:
            (temporary / text).write_text(text)
    assert [path.name for path in folder.iterdir()] == ["two"]
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_leftovers_of_a_kill_are_cleared(tmp_path: Path) -> None:
    (tmp_path / "a" / ".partial-x").mkdir(parents=True)
    (tmp_path / "a" / ".partial-x" / "y").write_text("")
    (tmp_path / ".partial-z.png").write_text("")
    clear_partials(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["a"]


@given(st.lists(st.text(min_size=1), unique=True, max_size=8), st.randoms())
def test_a_manifest_s_hash_does_not_depend_on_the_order_of_its_records(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], chance: object
) -> None:
    folder = tmp_path_factory.mktemp("m")
    records = [
        Quarantined(id=identity(name), painter="p", path=name, reason="r", remedy="m")
        for name in names
        if name.isprintable()
    ]
    write_manifest(folder / "a.jsonl", records)
    chance.shuffle(records)  # type: ignore[attr-defined]
    write_manifest(folder / "b.jsonl", records)
    assert manifest_hash(folder / "a.jsonl") == manifest_hash(folder / "b.jsonl")
    assert sorted(r.path for r in read_manifest(folder / "b.jsonl", Quarantined)) == sorted(r.path for r in records)


def test_a_manifest_with_one_id_twice_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ArtMasterError, match="share the id"):
        write_manifest(tmp_path / "m.jsonl", [scan("a"), scan("a")])
    assert not (tmp_path / "m.jsonl").exists()


def test_an_unchanged_manifest_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "m.jsonl"
    write_manifest(file, [scan("a")])
    before = file.stat().st_mtime_ns
    write_manifest(file, [scan("a")])
    assert file.stat().st_mtime_ns == before


def test_the_built_in_profiles_are_complete() -> None:
    assert set(profile_names()) == {"miniature", "flux-dev", "flux-dev-24gb"}
    assert load_profile("flux-dev").device == "cuda"
    assert load_profile("miniature").size(512, 768) == (128, 192)


def test_the_seed_s_recipe_is_flux_dev_s_default() -> None:
    recipe = load_profile("flux-dev").training
    assert (recipe.learning_rate, recipe.epochs, recipe.batch_size, recipe.repeats) == (2e-4, 15, 1, 10)


def test_a_data_home_can_bring_profiles_of_its_own(home: Home) -> None:
    (home.root / "profiles").mkdir(parents=True)
    (home.root / "profiles" / "studio.yaml").write_text("base_model: miniature\ndevice: cpu\ndtype: float32\n")
    assert isinstance(load_profile("studio", home), Profile)


def test_a_wrong_profile_names_every_fault_at_once(home: Home) -> None:
    (home.root / "profiles").mkdir(parents=True)
    (home.root / "profiles" / "bad.yaml").write_text("base_model: x\ndevice: tpu\ndtype: float32\ncolour: red\n")
    with pytest.raises(WrongUse, match=r"device.*colour|colour.*device") as error:
        load_profile("bad", home)
    assert "bad.yaml" in str(error.value)


@pytest.mark.parametrize("name", ["../miniature", "nope", "", "a/b"])
def test_profiles_that_do_not_exist(name: str) -> None:
    with pytest.raises(WrongUse, match="miniature"):
        load_profile(name)


def test_painter_settings_come_back_as_saved(home: Home) -> None:
    home.scans("huang-binhong").mkdir(parents=True)
    settings = default_painter("huang-binhong").model_copy(update={"name": "黄宾虹", "rights": "© estate: 'ask' #1"})
    save_painter(home, "huang-binhong", settings)
    assert load_painter(home, "huang-binhong") == settings
    assert home.painters() == ("huang-binhong",)


@pytest.mark.parametrize("text", ["# ours\nname: 黄宾虹 # as signed\n", "{name: 黄宾虹}", "  name: 黄宾虹", "", None])
def test_settings_that_painter_yaml_leaves_out_are_added_and_the_others_kept(home: Home, text: str | None) -> None:
    file = home.scans("huang-binhong") / "painter.yaml"
    file.parent.mkdir(parents=True)
    if text is not None:
        file.write_text(text, encoding="utf-8")
    before = load_painter(home, "huang-binhong")
    complete_painter(home, "huang-binhong")
    assert load_painter(home, "huang-binhong") == before
    assert "show_works: all" in (complete := file.read_text(encoding="utf-8"))
    assert not text or not text.startswith("#") or complete.startswith(text)
    complete_painter(home, "huang-binhong")
    assert file.read_text(encoding="utf-8") == complete


def test_an_unknown_painter_is_told_how_to_be_added(home: Home) -> None:
    with pytest.raises(WrongUse, match="artmaster painters add nobody"):
        load_painter(home, "nobody")


def test_progress_says_how_far_it_is() -> None:
    said: list[str] = []
    with Progress(said.append, every_seconds=0).task("Cropping", 3) as advance:
        for name in "abc":
            advance(note=name)
    assert said[0].startswith("Cropping: 1 of 3")
    assert said[-1].startswith("Cropping: 3 of 3")


def test_importing_the_package_switches_usage_reports_off_and_loads_nothing_heavy() -> None:
    program = (
        "import os, sys, json, artmaster_pipeline, artmaster_pipeline.cli;"
        "print(json.dumps([os.environ['DVC_NO_ANALYTICS'], os.environ['HF_HUB_DISABLE_TELEMETRY'],"
        " [m for m in ('torch','dagster','dvc','diffusers','transformers','pyvips') if m in sys.modules]]))"
    )
    clean = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name and "DVC" not in name}
    found = subprocess.run([sys.executable, "-c", program], env=clean, check=True, capture_output=True, text=True)
    assert json.loads(found.stdout) == ["1", "1", []]

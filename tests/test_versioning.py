"""DVC names the bytes of every stage, a clone gets them all back, and two writers do not break the lock."""

import hashlib
import shutil
import subprocess
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import yaml
from forked import dvc

from artmaster_pipeline import versioning
from artmaster_pipeline.settings import Home, default_painter, save_painter
from artmaster_pipeline.stages import STAGES

ROOT = Path(__file__).parent.parent


def painter_with_stages(home: Home, painter: str, *, default: bool = True) -> None:
    """A painter whose stages hold small files, all committed; with default settings, or those that are there."""
    home.scans(painter).mkdir(parents=True, exist_ok=True)
    (home.scans(painter) / "a.jpg").write_bytes(painter.encode() + b" scan")
    if default:
        save_painter(home, painter, default_painter(painter))
    for stage in STAGES:
        folder = home.stage_folder(stage, painter)
        (folder / "images").mkdir(parents=True)
        (folder / "images" / "1.png").write_bytes(f"{painter} {stage}".encode())
        versioning.commit_stage(home, stage, painter)


def contents(folder: Path) -> dict[str, str]:
    """Every versioned file below a data home by its sha256."""
    stages = ("scans", "register", "crops", "training_set", "adapters", "evaluation", "gallery")
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for stage in stages
        for path in sorted((folder / stage).rglob("*"))
        if path.is_file() and not path.name.startswith(".") and path.suffix != ".dvc"
    }


def test_the_project_s_own_dvc_yaml_is_the_one_that_the_product_writes() -> None:
    assert (ROOT / "dvc.yaml").read_text(encoding="utf-8") == versioning.pipeline_text("assets_data")


def test_a_committed_painter_is_clean(home: Home) -> None:
    painter_with_stages(home, "a-painter")
    assert versioning.stale_stages(home, "a-painter") == ()


def test_everything_of_an_unknown_painter_is_stale(home: Home) -> None:
    assert versioning.stale_stages(home, "nobody") == STAGES


def test_changing_a_scan_makes_exactly_the_first_stage_of_that_painter_stale(home: Home) -> None:
    painter_with_stages(home, "a-painter")
    painter_with_stages(home, "b-painter")
    (home.scans("a-painter") / "a.jpg").write_bytes(b"another scan")
    assert versioning.stale_stages(home, "a-painter") == ("raw_scans",)
    assert versioning.stale_stages(home, "b-painter") == ()


@pytest.mark.parametrize(
    ("folder", "stale"),
    [
        ("register", ("raw_scans", "curated_crops", "training_set", "sample_gallery")),
        ("crops", ("curated_crops", "training_set")),
        ("training_set", ("training_set", "style_adapter", "evaluation_grid", "sample_gallery")),
        ("adapters", ("style_adapter", "evaluation_grid", "sample_gallery")),
        ("evaluation", ("evaluation_grid", "sample_gallery")),
        ("gallery", ("sample_gallery",)),
    ],
)
def test_changing_a_stage_makes_it_and_its_readers_stale(home: Home, folder: str, stale: tuple[str, ...]) -> None:
    painter_with_stages(home, "a-painter")
    (home.root / folder / "a-painter" / "images" / "1.png").write_bytes(b"changed by hand")
    assert versioning.stale_stages(home, "a-painter") == stale


def test_another_profile_makes_the_stages_stale_that_use_it(home: Home) -> None:
    painter_with_stages(home, "a-painter")
    save_painter(home, "a-painter", default_painter("a-painter").model_copy(update={"profile": "flux-dev"}))
    stale = set(versioning.stale_stages(home, "a-painter"))
    assert {"training_set", "style_adapter", "evaluation_grid", "sample_gallery"} <= stale
    assert "curated_crops" not in stale


PROFILE = """
base_model: miniature
device: cpu
dtype: float32
training: {max_steps: 100}
evaluation: {rows: 2}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A painter whose profile is a file of the data home, all stages committed."""
    home = Home(tmp_path_factory.mktemp("built") / "home")
    (home.root / "profiles").mkdir(parents=True)
    (home.root / "profiles" / "own.yaml").write_text(PROFILE)
    home.scans("a-painter").mkdir(parents=True)
    save_painter(home, "a-painter", default_painter("a-painter").model_copy(update={"profile": "own"}))
    painter_with_stages(home, "a-painter", default=False)
    return home


@pytest.fixture
def own_profile(built: Home, home: Home) -> Path:
    """That home again, free to be changed; gives the profile's file."""
    shutil.copytree(built.root, home.root)
    return home.root / "profiles" / "own.yaml"


@pytest.mark.parametrize(
    ("before", "after", "stale"),
    [
        ("max_steps: 100", "max_steps: 90", ("style_adapter",)),
        ("rows: 2", "rows: 3", ("evaluation_grid",)),
        ("{rows: 2}", "{rows: 2, seed: 1}", ("style_adapter", "evaluation_grid")),
        ("{rows: 2}", "{rows: 2}\ngate: {max_suspects: 1}", ("evaluation_grid",)),
        ("{rows: 2}", "{rows: 2}\nheld_out_share: 0.3", ("training_set",)),
        ("{rows: 2}", "{rows: 2}\nsuper_resolution: realesrgan-x4plus-anime", ("training_set", "sample_gallery")),
        ("{rows: 2}", "{rows: 2}  # two will do", ()),
    ],
)
def test_an_edited_setting_makes_the_stages_stale_that_use_it(
    home: Home, own_profile: Path, before: str, after: str, stale: tuple[str, ...]
) -> None:
    assert versioning.stale_stages(home, "a-painter") == ()
    own_profile.write_text(PROFILE.replace(before, after))
    assert versioning.stale_stages(home, "a-painter") == stale
    status = dvc(home.root, "status")  # settings themselves are committed: they are what was asked for
    assert {line.split("@")[0] for line in status.splitlines() if "@a-painter:" in line} == set(stale)


def test_dvc_itself_sees_an_edited_setting(home: Home, own_profile: Path) -> None:
    """`dvc repro --dry` names the stages before any command of ours has looked: the settings first."""
    own_profile.write_text(PROFILE.replace("max_steps: 100", "max_steps: 90"))
    assert "settings@a-painter" in dvc(home.root, "status")
    dvc(home.root, "repro", "settings@a-painter")
    said = dvc(home.root, "repro", "--dry", "--single-item", "evaluation_grid@a-painter", "style_adapter@a-painter")
    assert "artmaster run a-painter --only style_adapter" in said
    assert "--only evaluation_grid" not in said


def test_entries_that_cannot_be_hashed_do_not_stop_the_commit(home: Home) -> None:
    painter_with_stages(home, "a-painter")
    names = ["broken *[1] link.jpg", "two\nlines.jpg", "#hash.jpg", "!mark.jpg"]
    for name in names:
        (home.scans("a-painter") / name).symlink_to("nowhere")
    versioning.commit_stage(home, "raw_scans", "a-painter", names)
    assert versioning.stale_stages(home, "a-painter") == ()


def test_push_clone_pull_restores_every_picture_and_weight(tmp_path: Path) -> None:
    project, clone = tmp_path / "project", tmp_path / "clone"
    home = Home(project / "assets_data")
    git(tmp_path, "init", "-q", str(project))
    home.root.mkdir()
    painter_with_stages(home, "a-painter")
    dvc(home.root, "remote", "add", "-d", "store", str(tmp_path / "store"))
    dvc(home.root, "push")
    git(project, "add", ".")
    git(project, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "pointers")
    tracked = git(project, "ls-files").split()
    assert not [name for name in tracked if name.endswith((".png", ".jpg"))], "pictures belong to DVC, not to git"
    git(tmp_path, "clone", "-q", str(project), str(clone))
    before = contents(home.root)
    shutil.rmtree(project)
    dvc(clone / "assets_data", "pull")
    assert contents(clone / "assets_data") == before
    assert len(before) == 8  # a scan, painter.yaml, six stages
    assert versioning.stale_stages(Home(clone / "assets_data"), "a-painter") == ()


def test_a_home_that_git_ignores_keeps_its_versions_to_itself(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", ".")
    (tmp_path / ".gitignore").write_text("/.demo/\n")
    home = Home(tmp_path / ".demo")
    painter_with_stages(home, "a-painter")
    assert versioning.find_root(home) == home.root
    assert ".demo" not in git(tmp_path, "status", "--porcelain", "--untracked-files=all")


def test_the_files_it_keeps_name_no_usage_reports(home: Home) -> None:
    painter_with_stages(home, "a-painter")
    config = (home.root / ".dvc" / "config").read_text()
    assert "analytics = false" in config.lower()
    assert yaml.safe_load((home.root / "painters.yaml").read_text()) == {"painters": ["a-painter"]}


def _commit_all(root: Path, painter: str) -> int:
    painter_with_stages(Home(root), painter)
    return len(STAGES)


@pytest.mark.slow
def test_writers_at_once_wait_for_each_other(home: Home) -> None:
    versioning.prepare(home)
    painters = ["a", "b", "c"]
    with ProcessPoolExecutor(3) as pool:
        assert list(pool.map(_commit_all, [home.root] * 3, painters)) == [len(STAGES)] * 3
    assert [versioning.stale_stages(home, painter) for painter in painters] == [(), (), ()]
    assert len(yaml.safe_load((home.root / "dvc.lock").read_text())["stages"]) == 3 * (len(STAGES) + 1)  # and settings


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout

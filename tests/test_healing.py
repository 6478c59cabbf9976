"""A home heals itself after a kill at any moment and after what people do by hand, or says in one message why not."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import forked
import pytest
import yaml
from forked import dvc
from test_versioning import git, painter_with_stages

from artmaster_pipeline import versioning
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.settings import Home, default_painter, save_painter
from artmaster_pipeline.stages import STAGES

PAINTER = "a-painter"


def new_painter(home: Home, painter: str = PAINTER) -> None:
    home.scans(painter).mkdir(parents=True)
    (home.scans(painter) / "a.jpg").write_bytes(b"a scan")
    save_painter(home, painter, default_painter(painter))


def commit(home: Home, painter: str = PAINTER) -> None:
    """Commit the first stage, whose output is there."""
    home.register(painter).mkdir(parents=True, exist_ok=True)
    (home.register(painter) / "manifest.jsonl").write_text("{}\n")
    versioning.commit_stage(home, "raw_scans", painter)


def _empty_dvc(home: Home) -> None:
    (home.root / ".dvc").mkdir(parents=True)


def _by_hand(home: Home) -> None:
    home.root.mkdir(parents=True, exist_ok=True)
    dvc(home.root, "init", "--no-scm")


def _empty_config(home: Home) -> None:
    _empty_dvc(home)
    (home.root / ".dvc" / "config").write_text("")


def _only_caches(home: Home) -> None:
    (home.root / ".dvc" / "tmp").mkdir(parents=True)
    (home.root / ".dvc" / "cache" / "files").mkdir(parents=True)


def _torn_rwlock(home: Home) -> None:
    (home.root / ".dvc" / "tmp").mkdir(parents=True)
    (home.root / ".dvc" / "tmp" / "rwlock").write_text('{"/x": {"wri')


def _no_pipeline(home: Home) -> None:
    versioning.prepare(home)
    (home.root / "dvc.yaml").unlink()


def _empty_lock(home: Home) -> None:
    versioning.prepare(home)
    (home.root / "dvc.lock").write_text("")


@pytest.mark.parametrize(
    "left", [_empty_dvc, _by_hand, _empty_config, _only_caches, _torn_rwlock, _no_pipeline, _empty_lock]
)
def test_half_a_repository_is_completed(home: Home, left: Callable[[Home], None]) -> None:
    new_painter(home)
    left(home)
    commit(home)
    assert "raw_scans" not in versioning.stale_stages(home, PAINTER)
    assert "up to date" in dvc(home.root, "status", "raw_scans")


def test_a_torn_dvc_lock_is_mended_from_the_last_whole_one(home: Home) -> None:
    painter_with_stages(home, PAINTER)
    lock = home.root / "dvc.lock"
    whole = lock.read_text()
    half = whole[: len(whole) // 2]
    in_a_stage = whole[: whole.index("outs:", len(whole) // 2) + len("outs:\n")]
    for torn in (half, half.rpartition("\n")[0] + "\n", in_a_stage):
        lock.write_text(torn)
        assert versioning.stale_stages(home, PAINTER) == ()
        assert lock.read_text() == whole


def test_a_dvc_lock_of_before_is_not_taken_for_a_torn_one(home: Home) -> None:
    painter_with_stages(home, PAINTER)
    lock = home.root / "dvc.lock"
    lines = lock.read_text().splitlines(keepends=True)
    last = max(n for n, line in enumerate(lines) if line.startswith("  ") and line[2] != " ")
    before = "".join(lines[:last])
    lock.write_text(before)
    assert versioning.stale_stages(home, PAINTER) != ()
    assert lock.read_text() == before


def test_a_torn_pointer_to_the_scans_is_written_again(home: Home) -> None:
    painter_with_stages(home, PAINTER)
    pointer = home.root / "scans" / f"{PAINTER}.dvc"
    pointer.write_text("outs:\n- md5: 12")
    commit(home)
    assert len(yaml.safe_load(pointer.read_text())["outs"][0]["md5"]) > 10


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("dvc.lock", "<<<<<<< HEAD\nschema: '2.0'\n", "unresolved merge"),
        ("dvc.yaml", "stages: [", "cannot be read as YAML"),
        ("dvc.yaml", "stages: {train: {cmd: ls}}\n", "belongs to another project"),
        ("painters.yaml", "painters: 3\n", "lists the painters"),
        (".dvc/config", "[core\n", "DVC's settings"),
    ],
)
def test_what_a_person_must_mend_is_said_with_the_way_out(home: Home, file: str, text: str, said: str) -> None:
    versioning.prepare(home)
    (home.root / file).write_text(text)
    new_painter(home)
    with pytest.raises(ArtMasterError, match=said):
        versioning.prepare(home, PAINTER)
    assert (home.root / file).read_text() == text, "a person's file is left alone"


def test_a_person_s_own_stages_and_remotes_stay(home: Home) -> None:
    painter_with_stages(home, PAINTER)
    dvc(home.root, "remote", "add", "-d", "store", "/nowhere")
    file = home.root / "dvc.yaml"
    content = yaml.safe_load(file.read_text())
    content["stages"]["print"] = {"cmd": "ls"}
    content["plots"] = [{"loss.csv": {"x": "step"}}]
    del content["stages"]["sample_gallery"]
    file.write_text(yaml.safe_dump(content))
    versioning.prepare(home, PAINTER)
    mended = yaml.safe_load(file.read_text())
    assert set(mended["stages"]) == {"settings", *STAGES, "print"}
    assert mended["plots"] == content["plots"]
    assert "/nowhere" in (home.root / ".dvc" / "config").read_text()


# --- git ---


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give a folder to another user")
def test_a_git_repository_of_another_user_is_said_before_anything_is_written(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "g")
    home = Home(tmp_path / "g" / "home")
    new_painter(home)
    for path in [tmp_path / "g", tmp_path / "g" / ".git"]:
        os.chown(path, 65534, 65534)
    with pytest.raises(ArtMasterError, match=f"safe.directory {tmp_path / 'g'}"):
        versioning.prepare(home, PAINTER)
    assert not (home.root / ".dvc").exists()
    for path in [tmp_path / "g", tmp_path / "g" / ".git"]:
        os.chown(path, 0, 0)
    commit(home)
    assert "raw_scans" not in versioning.stale_stages(home, PAINTER)


def _no_head(repository: Path) -> None:
    (repository / ".git" / "HEAD").unlink()


def _torn_config(repository: Path) -> None:
    (repository / ".git" / "config").write_text("[core")


def _pointing_nowhere(repository: Path) -> None:
    shutil.rmtree(repository / ".git")
    (repository / ".git").write_text("gitdir: /nowhere/at/all\n")


@pytest.mark.parametrize("breaking", [_no_head, _torn_config, _pointing_nowhere])
def test_a_broken_git_repository_is_one_message(tmp_path: Path, breaking: Callable[[Path], None]) -> None:
    git(tmp_path, "init", "-q", "g")
    home = Home(tmp_path / "g" / "home")
    new_painter(home)
    breaking(tmp_path / "g")
    with pytest.raises(ArtMasterError, match="cannot be used"):
        versioning.prepare(home, PAINTER)
    assert not (home.root / ".dvc").exists()


def test_git_that_breaks_later_is_one_message(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "g")
    home = Home(tmp_path / "g" / "home")
    new_painter(home)
    commit(home)
    _no_head(tmp_path / "g")
    with pytest.raises(ArtMasterError, match="cannot be used"):
        versioning.stale_stages(home, PAINTER)


def test_a_home_whose_git_repository_was_removed_goes_on_without(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "g")
    home = Home(tmp_path / "g" / "home")
    new_painter(home)
    commit(home)
    shutil.rmtree(tmp_path / "g" / ".git")
    assert "raw_scans" not in versioning.stale_stages(home, PAINTER)


@pytest.mark.parametrize("kind", ["bare", "worktree", "submodule", "broken head"])
def test_a_home_in_any_kind_of_git_repository_is_versioned(tmp_path: Path, kind: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "protocol.file.allow=always")
    git(tmp_path, "init", "-q", "main")
    git(tmp_path / "main", *who, "commit", "-q", "--allow-empty", "-m", "first")
    place = tmp_path / "main"
    if kind == "bare":
        git(tmp_path, "init", "-q", "--bare", "bare.git")
        place = tmp_path / "bare.git"
    elif kind == "worktree":
        git(tmp_path / "main", "worktree", "add", "-q", str(tmp_path / "tree"))
        place = tmp_path / "tree"
    elif kind == "submodule":
        git(tmp_path, "init", "-q", "outer")
        git(tmp_path / "outer", *who, "submodule", "add", "-q", str(tmp_path / "main"), "inner")
        place = tmp_path / "outer" / "inner"
    else:
        (place / ".git" / "HEAD").write_text("x")
    home = Home(place / "home")
    new_painter(home)
    commit(home)
    assert "raw_scans" not in versioning.stale_stages(home, PAINTER)


def test_without_the_git_program_a_home_is_versioned_all_the_same(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "g")
    home = Home(tmp_path / "g" / "home")
    new_painter(home)
    home.register(PAINTER).mkdir(parents=True)
    program = (
        "import sys; from pathlib import Path; from artmaster_pipeline import versioning as v\n"
        "from artmaster_pipeline.settings import Home; h = Home(Path(sys.argv[1]))\n"
        "v.commit_stage(h, 'raw_scans', 'a-painter'); print(v.stale_stages(h, 'a-painter'))"
    )
    done = forked.run(program, "program", str(home.root), env={**os.environ, "PATH": "/nonexistent"})
    assert done.returncode == 0, done.stderr
    assert "raw_scans" not in done.stdout


# --- scans elsewhere, and what people move by hand ---


@pytest.mark.parametrize("linked", ["painter", "scans", "folder inside"])
def test_scans_behind_a_link_are_used_where_they_are_and_said(tmp_path: Path, linked: str) -> None:
    drive, home = tmp_path / "drive", Home(tmp_path / "home")
    new_painter(Home(drive))
    home.root.mkdir()
    (home.root / "scans").mkdir()
    if linked == "painter":
        home.scans(PAINTER).symlink_to(drive / "scans" / PAINTER)
    elif linked == "scans":
        (home.root / "scans").rmdir()
        (home.root / "scans").symlink_to(drive / "scans")
    else:
        new_painter(home)
        (home.scans(PAINTER) / "more").symlink_to(drive / "scans" / PAINTER)
    said = versioning.said_of(home, PAINTER)
    assert bool(said) == (linked != "folder inside")
    assert all(str(drive) in each and "DVC keeps no copy" in each for each in said)
    commit(home)
    assert "raw_scans" not in versioning.stale_stages(home, PAINTER)
    (drive / "scans" / PAINTER / "b.jpg").write_bytes(b"another")
    if linked != "folder inside":
        assert "raw_scans" in versioning.stale_stages(home, PAINTER)
        assert "raw_scans@a-painter" in dvc(home.root, "status", "raw_scans")


def test_a_painter_moved_by_hand_leaves_a_home_that_goes_on(home: Home) -> None:
    painter_with_stages(home, "old")
    painter_with_stages(home, "other")
    home.scans("old").rename(home.scans("new"))
    commit(home, "new")
    assert yaml.safe_load((home.root / "painters.yaml").read_text()) == {"painters": ["new", "other"]}
    assert "raw_scans@old" not in dvc(home.root, "status")
    home.scans("new").rename(home.scans("old"))  # and back: everything of it is still there
    versioning.prepare(home, "old")
    assert versioning.stale_stages(home, "old") == ()


def test_a_clone_that_waits_for_its_pull_keeps_its_painters(home: Home, tmp_path: Path) -> None:
    painter_with_stages(home, "old")
    clone = Home(tmp_path / "clone")
    ignored = ("cache", "tmp", ".cache", "old", "other")
    shutil.copytree(home.root, clone.root, ignore=shutil.ignore_patterns(*ignored))
    new_painter(clone, "new")
    versioning.prepare(clone, "new")
    assert yaml.safe_load((clone.root / "painters.yaml").read_text()) == {"painters": ["new", "old"]}


# --- the form of before ---

OLD_PARAMS = {
    "training_set": ["profile", "trigger"],
    "style_adapter": ["profile", "trigger", "name", "rights"],
    "evaluation_grid": ["profile", "name"],
    "sample_gallery": ["profile", "name", "rights", "show_works"],
}


def into_the_old_form(home: Home, painter: str) -> None:
    """Give a home the dvc.yaml and dvc.lock that the product wrote before it resolved settings."""
    file = home.root / "dvc.yaml"
    content = yaml.safe_load(file.read_text())
    del content["stages"]["settings"]
    for name, stage in content["stages"].items():
        stage["do"].pop("params", None)
        if name in OLD_PARAMS:
            stage["do"]["params"] = [{"scans/${item}/painter.yaml": OLD_PARAMS[name]}]
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    (home.root / "dvc.lock").unlink()
    dvc(home.root, "commit", "-f", *(f"{stage}@{painter}" for stage in STAGES))
    for new in (home.root / "settings", home.root / "profiles", home.cache):
        shutil.rmtree(new)
    assert "up to date" in dvc(home.root, "status")


def test_a_home_of_the_old_form_is_taken_over_and_stays_clean(home: Home) -> None:
    painter_with_stages(home, PAINTER)
    into_the_old_form(home, PAINTER)
    (home.crops(PAINTER) / "images" / "1.png").write_bytes(b"changed before it is taken over")
    versioning.prepare(home, PAINTER)
    assert "settings" in yaml.safe_load((home.root / "dvc.yaml").read_text())["stages"]
    assert versioning.stale_stages(home, PAINTER) == ("curated_crops", "training_set")
    assert "style_adapter" not in dvc(home.root, "status")


def test_a_takeover_that_is_killed_goes_on(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from artmaster_pipeline.versioning import committing

    painter_with_stages(home, PAINTER)
    into_the_old_form(home, PAINTER)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(committing, "_commit", killed)
        with pytest.raises(KeyboardInterrupt):
            versioning.prepare(home, PAINTER)
    assert json.loads((home.cache / "versioning" / "clean-before.json").read_text())
    assert versioning.stale_stages(home, PAINTER) == ()

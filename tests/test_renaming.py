"""Painters are renamed and removed as one piece of work that may be killed, and nothing of the lineage is lost."""

import json
import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import yaml
from forked import dvc
from test_versioning import painter_with_stages

from artmaster_pipeline import versioning
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.files import write_text
from artmaster_pipeline.lineage.verifying import verify
from artmaster_pipeline.locks import one_at_a_time, working_on
from artmaster_pipeline.orchestration import painters
from artmaster_pipeline.orchestration.assets import PAINTERS
from artmaster_pipeline.orchestration.instance import open_instance
from artmaster_pipeline.orchestration.painters import remove_painter, rename_painter
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.publishing.versions import LedgerEntry, SiteVersions, now
from artmaster_pipeline.settings import Home, load_painter
from artmaster_pipeline.stages import STAGES
from artmaster_pipeline.versioning.pipeline import listed


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with two painters, whose stages are committed."""
    home = Home(tmp_path_factory.mktemp("built") / "home")
    for painter in ("old", "other"):
        write_text(home.adapters(painter) / "a1" / "adapter.json", adapter_of(painter))
        write_text(home.root / "gallery" / ".versions" / painter / "v1.json", json.dumps({"painter": painter}))
        write_text(home.cache / "register" / f"{painter}.jsonl", json.dumps({"painter": painter}) + "\n")
        painter_with_stages(home, painter)
    return home


@pytest.fixture
def archive(built: Home, home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """That home again, free to be changed, its painters known to Dagster."""
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("ARTMASTER_HOME", "")
    shutil.copytree(built.root, home.root)
    with open_instance(home) as instance:
        instance.add_dynamic_partitions(str(PAINTERS.name), ["old", "other"])
    return home


def adapter_of(painter: str) -> str:
    return json.dumps({"painter": painter, "path": f"adapters/{painter}/a1", "caption": '"painter": "old"'}, indent=1)


def partitions(home: Home) -> set[str]:
    with open_instance(home) as instance:
        return set(instance.get_dynamic_partitions(str(PAINTERS.name)))


def stopped(*given: object, **named: object) -> None:
    raise KeyboardInterrupt


def found_about(home: Home, *painters: str) -> set[str]:
    """What `verify` finds of the painters' files, and whether it finds a command that was stopped."""
    names = {name for painter in painters for name in (painter, f"{painter}.dvc")}
    found = verify(home).findings
    return {each.what for each in found if names.intersection(Path(each.file).parts) or each.what == "unfinished"}


def assert_renamed(home: Home) -> None:
    assert not [path for path in home.root.glob("*/old*") if path.name != ".cache"]
    assert json.loads((home.adapters("new") / "a1" / "adapter.json").read_text()) == json.loads(adapter_of("new"))
    assert json.loads((home.root / "gallery" / ".versions" / "new" / "v1.json").read_text()) == {"painter": "new"}
    assert json.loads((home.cache / "register" / "new.jsonl").read_text()) == {"painter": "new"}
    assert (home.gallery("new") / "images" / "1.png").read_bytes() == b"old sample_gallery"
    settings = load_painter(home, "new")
    assert (settings.name, settings.trigger, settings.formerly) == ("Old", "old style", ("old",))
    assert yaml.safe_load((home.root / "painters.yaml").read_text()) == {"painters": ["new", "other"]}
    assert partitions(home) == {"other"}
    assert not versioning.unfinished(home).exists()


def test_a_renamed_painter_keeps_everything_and_dvc_knows_it(archive: Home) -> None:
    rename_painter(archive, "old", "new")
    assert_renamed(archive)
    assert versioning.stale_stages(archive, "new") == ()
    assert versioning.stale_stages(archive, "other") == ()
    assert "up to date" in dvc(archive.root, "status")
    assert "@old" not in (archive.root / "dvc.lock").read_text()
    assert not (archive.root / "scans" / "old.dvc").exists()


@pytest.mark.parametrize("at", [0, 4, 8])
def test_a_renaming_that_is_killed_goes_on(archive: Home, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    whole, count = painters.move, 0

    def killed(source: Path, target: Path) -> None:
        nonlocal count
        count += 1
        if count > at:
            raise KeyboardInterrupt
        whole(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(painters, "move" if at < 8 else "_rewrite_records", killed)
        with pytest.raises((KeyboardInterrupt, TypeError)):
            rename_painter(archive, "old", "new")
    with pytest.raises(ArtMasterError, match="painters rename old new"):
        versioning.prepare(archive, "old")
    with pytest.raises(WrongUse, match="painters rename old new"):
        rename_painter(archive, "other", "third")
    versioning.prepare(archive, "other")  # others work on
    assert found_about(archive, "old", "new") == {"unfinished"}
    rename_painter(archive, "old", "new")
    assert_renamed(archive)


@pytest.mark.parametrize("step", ["forget", "commit_renamed"])
def test_a_renaming_that_is_killed_before_dvc_knows_it_goes_on(
    archive: Home, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """With a set of painters, a scan that DVC passes over, and a file that the kill left half-written."""
    (archive.scans("old") / "gone.jpg").symlink_to("nowhere")
    versioning.commit_stage(archive, "raw_scans", "old", ["gone.jpg"])
    versioning.prepare(archive, "old--other")
    with monkeypatch.context() as patched:
        patched.setattr(versioning, step, stopped)
        with pytest.raises(KeyboardInterrupt):
            rename_painter(archive, "old", "new")
    (archive.adapters("new") / ".partial-x.json").write_text("{")
    versioning.prepare(archive, "other")
    assert found_about(archive, "old", "new") == {"unfinished"}
    rename_painter(archive, "old", "new")
    assert listed(archive) == {"painter": ["new", "other"], "painters": ["new--other"], "canvas": [], "story": []}
    assert versioning.stale_stages(archive, "new") == ()
    assert (archive.root / "scans" / "new.dvc").is_file()
    assert versioning.passed_over(archive, "new") == [".partial-*", "gone.jpg"]
    assert not list(archive.root.rglob(".partial-*"))
    assert "unfinished" not in found_about(archive, "old", "new")


def test_scans_that_were_moved_by_hand_may_be_renamed_after(archive: Home) -> None:
    archive.scans("old").rename(archive.scans("new"))
    rename_painter(archive, "old", "new")
    assert_renamed(archive)


def test_a_name_that_is_taken_or_unknown_or_wrong_changes_nothing(archive: Home) -> None:
    for old, new in (("old", "other"), ("nobody", "new"), ("old", "No Slug"), ("old", "old")):
        with pytest.raises(WrongUse):
            rename_painter(archive, old, new)
    assert versioning.stale_stages(archive, "old") == ()
    assert not versioning.unfinished(archive).exists()


def test_a_removed_painter_leaves_the_lineage_and_what_was_published(archive: Home) -> None:
    remove_painter(archive, "old")
    assert not archive.scans("old").exists()
    left = {p.relative_to(archive.root).as_posix() for p in archive.root.rglob("*") if p.is_file() and "old" in p.parts}
    assert left == {"adapters/old/a1/adapter.json", "gallery/old/images/1.png", "gallery/.versions/old/v1.json"}
    assert yaml.safe_load((archive.root / "painters.yaml").read_text()) == {"painters": ["other"]}
    assert partitions(archive) == {"other"}
    assert "up to date" in dvc(archive.root, "status")
    with pytest.raises(WrongUse, match="known: other"):
        remove_painter(archive, "nobody")


def test_a_removal_that_is_killed_is_known_and_hides_nothing_of_others(
    archive: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(painters, "_remove", stopped)
        with pytest.raises(KeyboardInterrupt):
            remove_painter(archive, "old")
    (archive.scans("other") / "a.jpg").write_bytes(b"edited")
    assert found_about(archive, "old") == {"unfinished"}
    assert "changed" in found_about(archive, "other")
    (told,) = [each for each in verify(archive).findings if each.what == "unfinished"]
    assert told.way_out.endswith("artmaster painters remove old")
    remove_painter(archive, "old")
    assert "unfinished" not in found_about(archive, "old", "other")


def test_scans_behind_a_link_are_not_removed_with_the_painter(archive: Home, tmp_path: Path) -> None:
    archive.scans("old").rename(tmp_path / "drive")
    archive.scans("old").symlink_to(tmp_path / "drive")
    remove_painter(archive, "old")
    assert not archive.scans("old").is_symlink()
    assert (tmp_path / "drive" / "a.jpg").is_file()


# --- locks ---


def _hold(root: Path, ready: "multiprocessing.synchronize.Event", end: "multiprocessing.synchronize.Event") -> None:
    with working_on(Home(root), "old"):
        ready.set()
        end.wait(60)


def test_a_held_painter_is_neither_renamed_nor_removed_and_whoever_waits_says_for_whom(home: Home) -> None:
    home.scans("old").mkdir(parents=True)
    spawn = multiprocessing.get_context("spawn")
    ready, end = spawn.Event(), spawn.Event()
    holder = spawn.Process(target=_hold, args=(home.root, ready, end))
    holder.start()
    assert ready.wait(60)
    said: list[str] = []

    def told(message: str) -> None:
        said.append(message)
        end.set()

    @one_at_a_time
    def work(home: Home, painter: str, progress: Progress) -> str:
        return "done"

    for refused in (lambda: rename_painter(home, "old", "new"), lambda: remove_painter(home, "old")):
        with pytest.raises(ArtMasterError, match=f"process {holder.pid}, since"):
            refused()
    assert work(home, "old", Progress(told)) == "done"
    holder.join()
    assert len(said) == 1
    assert f"process {holder.pid}" in said[0]
    assert "waits" in said[0]


def test_a_lock_may_be_taken_again_by_who_holds_it(home: Home) -> None:
    with working_on(home, "old"), working_on(home, "old"), working_on(home, "old--other"):
        assert STAGES


def test_further_processes_of_one_training_do_not_wait_for_the_first(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    with working_on(home, "old"):
        assert not (home.cache / "painters").exists()


def _note(root: Path, number: int) -> None:
    entry = LedgerEntry(when=now(), action="copied", version_id=str(number), adapter_id="a")
    SiteVersions(root, "old").note(entry)


def test_what_several_processes_note_at_once_is_all_in_the_ledger(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_note, [tmp_path] * 12, range(12)))
    assert {line.version_id for line in SiteVersions(tmp_path, "old").ledger()} == set(map(str, range(12)))

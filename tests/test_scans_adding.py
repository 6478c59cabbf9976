"""Adding a folder of scans: whole copies, originals untouched, only what is new, settings kept."""

from pathlib import Path

import made_scans
import pytest
import yaml

from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.scans import add_scans, register_scans
from artmaster_pipeline.settings import Home, load_painter


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    made_scans.write(folder / "one.png", 1)
    made_scans.write(folder / "album" / "two.png", 2)
    (folder / "one.txt").write_text("a mountain", encoding="utf-8")
    (folder / "README.txt").write_text("about this folder", encoding="utf-8")
    (folder / "artworks.csv").write_text("file,title\none.png,One\nalbum/two.png,Two\n", encoding="utf-8")
    return folder


def test_scans_sidecars_and_sub_folders_arrive_as_whole_copies(home: Home, source: Path) -> None:
    added = add_scans(home, "x", source)
    assert added.added == ("album/two.png", "one.png")
    assert added.sidecars == ("one.txt", "artworks.csv")
    assert added.ignored_summary() == ("ignored: 1 x .txt",)
    for name in ("one.png", "album/two.png", "one.txt", "artworks.csv"):
        copy = home.scans("x") / name
        assert sha256_of(copy) == sha256_of(source / name)
        assert copy.stat().st_ino != (source / name).stat().st_ino


def test_adding_again_copies_only_what_is_new_or_changed(home: Home, source: Path) -> None:
    add_scans(home, "x", source)
    made_scans.write(source / "three.png", 3)
    made_scans.write(source / "one.png", 4)
    again = add_scans(home, "x", source)
    assert (again.added, again.changed, again.already_there) == (("three.png",), ("one.png",), ("album/two.png",))
    assert again.sidecars == ()
    assert sha256_of(home.scans("x") / "one.png") == sha256_of(source / "one.png")


def test_what_changed_on_disk_without_a_newer_time_is_copied_all_the_same(home: Home, source: Path) -> None:
    import os

    add_scans(home, "x", source)
    before = (home.scans("x") / "one.png").stat()
    made_scans.write(source / "one.png", 5)
    os.utime(source / "one.png", ns=(before.st_atime_ns, 0))
    assert add_scans(home, "x", source).changed == ("one.png",)


def test_settings_are_made_once_and_only_given_ones_change(home: Home, source: Path) -> None:
    add_scans(home, "li-cheng", source, name="李成", rights="public domain")
    add_scans(home, "li-cheng", source, trigger="licheng ink")
    settings = load_painter(home, "li-cheng")
    assert (settings.name, settings.trigger, settings.rights) == ("李成", "licheng ink", "public domain")
    assert yaml.safe_load((home.scans("li-cheng") / "painter.yaml").read_text(encoding="utf-8"))["name"] == "李成"


def test_a_second_archive_adds_to_the_table_of_artworks(home: Home, source: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    made_scans.write(more / "three.png", 3)
    (more / "artworks.csv").write_text("file;title\nthree.png;Three\none.png;One, mended\n", encoding="utf-8-sig")
    add_scans(home, "x", source)
    add_scans(home, "x", more)
    titles = {scan.path: scan.title for scan in register_scans(home, "x").records}
    assert titles == {"one.png": "One, mended", "album/two.png": "Two", "three.png": "Three"}


def test_a_refused_file_is_listed_by_the_stage_until_it_is_mended(home: Home, source: Path) -> None:
    (source / "lost.jpg").symlink_to(source / "nowhere.jpg")
    assert [row.path for row in add_scans(home, "x", source).refused] == ["lost.jpg"]
    left_out = register_scans(home, "x").quarantined
    assert [(row.path, row.reason) for row in left_out] == [("lost.jpg", "It is a link to a file that does not exist")]
    (source / "lost.jpg").unlink()
    made_scans.write(source / "lost.png", 9).rename(source / "lost.jpg")
    add_scans(home, "x", source)
    mended = register_scans(home, "x")
    assert mended.quarantined == ()
    assert "lost.jpg" in {scan.path for scan in mended.records}


def test_a_refusal_is_forgotten_when_its_file_is_gone_from_the_source(home: Home, source: Path) -> None:
    (source / "lost.jpg").symlink_to(source / "nowhere.jpg")
    add_scans(home, "x", source)
    (source / "lost.jpg").unlink()
    assert add_scans(home, "x", source).refused == ()
    assert register_scans(home, "x").quarantined == ()


def test_half_copies_of_a_killed_run_are_removed(home: Home, source: Path) -> None:
    add_scans(home, "x", source)
    (home.scans("x") / ".partial-abc.png").write_bytes(b"half")
    add_scans(home, "x", source)
    assert not list(home.scans("x").rglob(".partial-*"))


@pytest.mark.parametrize("place", ["nowhere", "empty", "one-file", "inside", "around"])
def test_a_source_that_is_no_folder_of_scans_is_wrong_use(home: Home, tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    made_scans.write(tmp_path / "one-file.png", 1)
    made_scans.write(home.scans("y") / "a.png", 1)
    source = {
        "nowhere": tmp_path / "nowhere",
        "empty": tmp_path / "empty",
        "one-file": tmp_path / "one-file.png",
        "inside": home.scans("y"),
        "around": home.root,
    }[place]
    with pytest.raises(WrongUse, match=r"folder|pictures"):
        add_scans(home, "x", source)
    assert not home.scans("x").exists()


def test_a_full_disk_is_an_error_with_a_way_out_and_not_a_refusal(
    home: Home, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(ArtMasterError, match=r"No space left on device.*Make room"):
        add_scans(home, "x", source)

"""Tables of artworks and captions: what the archive says is taken, or named, the first time and every later time."""

import csv
from collections.abc import Iterator
from pathlib import Path

import made_scans
import pytest
from typer.testing import CliRunner, Result

from artmaster_pipeline.cli import app
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.scans import register_scans
from artmaster_pipeline.scans.artworks import read_table
from artmaster_pipeline.settings import Home

GOOD = "file,title,rights\na.png,Peaks,CC0\nb.png,Lake,museum\n"
UNREADABLE = {
    "GBK": ("file,title\na.png,黄山\n".encode("gb18030"), "not UTF-8"),
    "Big5": ("file,title\na.png,黃山雲海\n".encode("big5"), "not UTF-8"),
    "Shift-JIS": ("file,title\na.png,富士山\n".encode("shift_jis"), "not UTF-8"),
    "Windows-1252": ("file,title\na.png,Crête\n".encode("cp1252"), "not UTF-8"),
    "UTF-16 without a mark": ("file,title\na.png,A\n".encode("utf-16-le"), "NUL bytes"),
    "NUL bytes": (b"file,title\na.png,A\0B\n", "NUL bytes"),
    "no header": (b"a.png,Peaks,CC0\nb.png,Lake,CC0\n", "no column 'file'"),
    "empty": (b"", "is empty"),
    "blank": (b"\xef\xbb\xbf\n \n", "is empty"),
    "a column twice": (b"file,title,Title\na.png,A,B\n", "called title"),
    "a quote that never ends": (b'file,title\n"a.png,A\nb.png,B\n', "line"),
    "a quote within": (b'file,title\na.png,"A" and more\n', "line 2"),
}
READABLE = {
    "with a mark": "\ufefffile,title\na.png,山 水\n".encode(),
    "UTF-16": "file\ttitle\na.png\t山 水\n".encode("utf-16"),
    "UTF-32": "file,title\na.png,山 水\n".encode("utf-32"),
    "semicolons": "file;title\na.png;山 水\n".encode(),
    "tabs": "file\ttitle\na.png\t山 水\n".encode(),
    "Excel's own line": "sep=;\r\nFile;Title\r\na.png;山 水\r\n".encode(),
    "trailing delimiters": "file,title,,\na.png,山 水,,\n,,,\n".encode(),
    "a header with commas in quotes": 'file;"title, as written";title\na.png;x;山 水\n'.encode(),
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "archive"
    for seed, name in enumerate(("a.png", "b.png")):
        made_scans.write(folder / name, seed)
    yield folder


def add(home: Home, source: Path, *options: str) -> Result:
    return CliRunner(env={"COLUMNS": "400"}).invoke(
        app, ["painters", "add", "x", str(source), "--home", str(home.root), *options]
    )


def told(result: Result) -> str:
    """What a command printed, without the table's frame and folds."""
    return " ".join(result.output.replace("│", " ").split())


def titles(home: Home) -> dict[str, tuple[str, str]]:
    return {scan.path: (scan.title, scan.rights) for scan in register_scans(home, "x").records}


@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.parametrize("later", [False, True], ids=["first", "later"])
def test_a_table_that_cannot_be_read_is_named_at_add_and_by_the_stage(
    home: Home, source: Path, name: str, later: bool
) -> None:
    content, fault = UNREADABLE[name]
    if later:
        (source / "artworks.csv").write_text(GOOD, encoding="utf-8")
        assert add(home, source).exit_code == 0
    (source / "artworks.csv").write_bytes(content)
    done = add(home, source)
    assert done.exit_code == 1
    assert "artworks.csv" in told(done)
    assert fault in told(done)
    expected = (
        {"a.png": ("Peaks", "CC0"), "b.png": ("Lake", "museum")} if later else {"a.png": ("a", ""), "b.png": ("b", "")}
    )
    assert titles(home) == expected
    assert any(fault in row.reason for row in register_scans(home, "x").quarantined if row.path == "artworks.csv")
    (source / "artworks.csv").write_text("file,title,rights\na.png,New,CC-BY\n", encoding="utf-8")
    assert add(home, source).exit_code == 0
    assert titles(home)["a.png"] == ("New", "CC-BY")
    assert not register_scans(home, "x").quarantined


@pytest.mark.parametrize("name", READABLE)
def test_tables_as_spreadsheets_write_them_are_read(home: Home, source: Path, name: str) -> None:
    (source / "artworks.csv").write_bytes(READABLE[name])
    assert add(home, source).exit_code == 0
    assert titles(home)["a.png"][0] == "山 水"


@pytest.mark.parametrize("later", [False, True], ids=["first", "later"])
def test_faults_of_rows_are_named_by_the_same_rules_the_first_time_and_later(
    home: Home, source: Path, later: bool
) -> None:
    if later:
        (source / "artworks.csv").write_text(GOOD, encoding="utf-8")
        assert add(home, source).exit_code == 0
    (source / "artworks.csv").write_text(
        "file,title,photographer\na.png,v2,S\na.png,v3,S\nb.png,Lake, at dawn,J\nz.png,Z,\n,nothing,\n",
        encoding="utf-8",
    )
    done = add(home, source)
    assert done.exit_code == 1
    for fault in (
        "line 3: 'a.png' is described twice; the first row counts",
        "line 4 (b.png | Lake | at dawn | J): more cells than columns (4 for 3), so the row is not used",
        "line 6: no file is named",
        "'z.png': there is no such scan",
        "columns nobody reads: photographer",
    ):
        assert fault in told(done), fault
    assert titles(home) == {
        "a.png": ("v2", "CC0" if later else ""),
        "b.png": ("Lake" if later else "b", "museum" if later else ""),
    }
    reasons = " ".join(row.reason for row in register_scans(home, "x").quarantined)
    assert "line 4" in reasons
    with (home.scans("x") / "artworks.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["photographer"] == "S"


def test_a_table_without_a_column_keeps_what_was_said_there_and_says_so(home: Home, source: Path) -> None:
    (source / "artworks.csv").write_text(GOOD, encoding="utf-8")
    add(home, source)
    (source / "artworks.csv").write_text("file,title\na.png,New\n", encoding="utf-8")
    done = add(home, source)
    assert "it has no column rights: what the table before said there stays" in told(done)
    assert titles(home) == {"a.png": ("New", "CC0"), "b.png": ("Lake", "museum")}
    (source / "artworks.csv").write_text("file,rights\nA.PNG,\n", encoding="utf-8")
    add(home, source)
    assert titles(home)["a.png"] == ("New", "")


def test_a_table_whose_name_is_written_otherwise_goes_into_the_same_one(home: Home, source: Path) -> None:
    (source / "artworks.csv").write_text(GOOD, encoding="utf-8")
    add(home, source)
    (source / "artworks.csv").unlink()
    (source / "Artworks.CSV").write_text("file,title\na.png,New\n", encoding="utf-8")
    add(home, source)
    assert titles(home)["a.png"] == ("New", "CC0")
    assert len([each for each in home.scans("x").iterdir() if each.suffix.lower() == ".csv"]) == 1


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_table_that_was_broken_in_the_data_home_stops_the_stage_by_name(home: Home, source: Path, name: str) -> None:
    add(home, source)
    content, fault = UNREADABLE[name]
    (home.scans("x") / "artworks.csv").write_bytes(content)
    with pytest.raises(ArtMasterError, match=f"{home.scans('x')}/artworks.csv") as raised:
        register_scans(home, "x")
    assert fault in str(raised.value)
    (source / "artworks.csv").write_text(GOOD, encoding="utf-8")
    done = add(home, source)
    assert done.exit_code == 1
    assert "The data home's own" in told(done)


def test_a_folder_and_a_pipe_named_like_the_table_are_refused(home: Home, source: Path) -> None:
    import os

    for make in (Path.mkdir, os.mkfifo):
        make(source / "artworks.csv")
        done = add(home, source)
        assert done.exit_code == 1, done.output
        assert "artworks.csv" in told(done)
        (source / "artworks.csv").rmdir() if make is Path.mkdir else (source / "artworks.csv").unlink()


def test_a_long_caption_is_said_with_its_file_and_so_is_a_long_cell(home: Home, source: Path) -> None:
    (source / "a.txt").write_text("mist " * 900, encoding="utf-8")
    (source / "artworks.csv").write_text(f"file,title\nb.png,{'peak ' * 500}\n", encoding="utf-8")
    done = add(home, source)
    assert done.exit_code == 0
    assert "a.txt: its caption has 4,499 characters (900 words): only the first 2,000 are used" in told(done)
    assert "the title of b.png has 2,499 characters (500 words)" in told(done)
    outcome = register_scans(home, "x")
    assert any("a.txt" in said for said in outcome.figures["descriptions"])
    assert len(next(scan for scan in outcome.records if scan.path == "a.png").caption) == 2000


def test_a_caption_in_another_encoding_is_named_and_one_with_a_mark_is_read(home: Home, source: Path) -> None:
    (source / "a.txt").write_bytes("云海".encode("gb18030"))
    (source / "b.txt").write_bytes("云海".encode("utf-16"))
    done = add(home, source)
    assert done.exit_code == 1
    assert "a.txt" in told(done)
    outcome = register_scans(home, "x")
    assert {scan.path: scan.caption for scan in outcome.records} == {"a.png": "", "b.png": "云海"}
    assert [row.path for row in outcome.quarantined] == ["a.txt"]


@pytest.mark.parametrize("option", ["--trigger", "--name"])
@pytest.mark.parametrize("words", ["", "   ", "\n", "a\x1b[2J", "two\nlines", "\u202eabc", "...", "x" * 5000])
def test_a_name_or_trigger_that_says_nothing_or_steers_is_refused_before_anything_is_copied(
    home: Home, source: Path, option: str, words: str
) -> None:
    done = add(home, source, option, words)
    assert done.exit_code == 1  # of the exception itself, which `main` turns into 2
    assert option in str(done.exception)
    assert not home.scans("x").exists()


def test_a_wrong_trigger_in_painter_yaml_is_named_with_the_file(home: Home, source: Path) -> None:
    add(home, source)
    for content in (
        'trigger: ""\n',
        "trigger: '  '\n",
        "name: [\n",
        "\x00",
        "- a\n",
        "trigger: 3\n",
        "show_works: x\n",
    ):
        (home.scans("x") / "painter.yaml").write_text(content, encoding="utf-8")
        with pytest.raises(ArtMasterError, match=r"painter\.yaml") as raised:
            register_scans(home, "x")
        assert "\n" not in str(raised.value)


def test_rows_keep_their_cells_as_written(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('file,title,memo\na.png," A, b ","two\nlines"\n', encoding="utf-8")
    (row,) = read_table(tmp_path / "t.csv").rows
    assert row == {"file": "a.png", "title": " A, b ", "memo": "two\nlines"}

"""The stage raw_scans: what a scan is, what the archive says about it, duplicates, work done once."""

import json
import subprocess
import sys
from pathlib import Path

import made_scans
import pytest
import pyvips  # noqa: TID253 - a test may

from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.records import MANIFEST, Scan
from artmaster_pipeline.scans import register_scans, scan_path
from artmaster_pipeline.scans.artworks import cleaned_title
from artmaster_pipeline.settings import Home


def _files(home: Home) -> dict[str, bytes]:
    folder = home.register("x")
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_scan_is_what_its_file_is(home: Home) -> None:
    path = made_scans.write(home.scans("x") / "album" / "02_snow_peaks.png", 1)
    (scan,) = register_scans(home, "x").records
    assert (scan.width, scan.height, scan.format, scan.colour) == (240, 320, "PNG", "sRGB")
    assert (scan.path, scan.bytes, scan.title) == ("album/02_snow_peaks.png", path.stat().st_size, "snow peaks")
    assert scan.id == scan.sha256[:16]
    assert scan_path(home, scan) == path
    thumbnail = pyvips.Image.new_from_file(str(home.register("x") / "thumbnails" / f"{scan.id}.jpg"))
    assert max(thumbnail.width, thumbnail.height) == 256


def test_the_archive_describes_scans_by_table_and_by_sidecar(home: Home) -> None:
    folder = home.scans("x")
    for seed, name in enumerate(("a.png", "b.png", "c.png")):
        made_scans.write(folder / name, seed)
    (folder / "painter.yaml").write_text("rights: museum\n", encoding="utf-8")
    (folder / "b.txt").write_text("  rain over\n the lake ", encoding="utf-8")
    (folder / "artworks.csv").write_text(
        "FILE,Title,Accession Number,Date,Season,Subject,Caption,Rights\n"
        'A.PNG,"Peaks, at dawn",1934.5,1934,spring,mountains,ridges at dawn,CC0\n'
        "b.png,Lake,,,,,a lake,\n",
        encoding="utf-8-sig",
    )
    scans = {scan.path: scan for scan in register_scans(home, "x").records}
    a, b, c = scans["a.png"], scans["b.png"], scans["c.png"]
    assert (a.title, a.accession_number, a.date, a.season) == ("Peaks, at dawn", "1934.5", "1934", "spring")
    assert (a.subject, a.caption, a.rights) == ("mountains", "ridges at dawn", "CC0")
    assert (b.title, b.caption, b.rights) == ("Lake", "rain over the lake", "museum")
    assert (c.title, c.caption, c.rights) == ("c", "", "museum")


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (b"file,title\nz.png,Z\n", "'z.png': there is no such scan"),
        (b"file,title\na.png,A\na.png,B\n", "described twice"),
        (b"file,title\n,A\n", "line 2: no file is named"),
        (b"file,title\na.png,A,more\n", "more cells than columns"),
        (b"file,mood\na.png,dark\n", "columns nobody reads: mood"),
        (b"file,title\n../../etc/passwd,A\n", "there is no such scan"),
    ],
)
def test_wrong_rows_of_a_table_are_reported_and_stop_nothing(home: Home, table: bytes, fault: str) -> None:
    made_scans.write(home.scans("x") / "a.png", 1)
    (home.scans("x") / "artworks.csv").write_bytes(table)
    outcome = register_scans(home, "x")
    assert len(outcome.records) == 1
    assert any(fault in said for said in outcome.figures["descriptions"])


def test_the_same_picture_is_used_once_and_the_described_file_is_the_one_that_stays(home: Home) -> None:
    folder = home.scans("x")
    made_scans.write(folder / "a.png", 1)
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes())
    made_scans.write(folder / "c.tif", 1)
    made_scans.picture(1).colourspace("rgb16").pngsave(str(folder / "d.png"))
    made_scans.write(folder / "e.png", 2)
    (folder / "artworks.csv").write_text("file,title\nc.tif,Kept\n", encoding="utf-8")
    outcome = register_scans(home, "x")
    kept = {scan.path: scan.id for scan in outcome.records}
    assert set(kept) == {"c.tif", "e.png"}
    assert {row.path: row.duplicate_of for row in outcome.quarantined} == dict.fromkeys(
        ("a.png", "b.png", "d.png"), kept["c.tif"]
    )
    assert register_scans(home, "x").made == 0


def test_describing_a_scan_anew_does_not_decode_it_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    made_scans.write(home.scans("x") / "a.png", 1)
    first = register_scans(home, "x")
    (home.scans("x") / "a.png").rename(home.scans("x") / "named.png")
    (home.scans("x") / "named.txt").write_text("mist", encoding="utf-8")

    def never(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr("artmaster_pipeline.scans.registering.decode", never)
    (scan,) = register_scans(home, "x").records
    assert (scan.path, scan.caption, scan.id) == ("named.png", "mist", first.records[0].id)


def test_what_is_taken_away_leaves_nothing_behind(home: Home) -> None:
    made_scans.write(home.scans("x") / "a.png", 1)
    gone = made_scans.write(home.scans("x") / "b.png", 2)
    register_scans(home, "x")
    gone.unlink()
    (scan,) = register_scans(home, "x").records
    assert [name for name in _files(home) if name.startswith("thumbnails/")] == [f"thumbnails/{scan.id}.jpg"]


def test_a_changed_file_under_its_old_name_is_a_new_scan(home: Home) -> None:
    made_scans.write(home.scans("x") / "a.png", 1)
    before = register_scans(home, "x")
    made_scans.write(home.scans("x") / "a.png", 2, 200, 300)
    after = register_scans(home, "x")
    assert after.records[0].id != before.records[0].id
    assert (after.records[0].width, after.records[0].height) == (200, 300)


def test_a_killed_run_goes_on_where_it_was_and_ends_the_same(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from artmaster_pipeline.scans import registering

    for seed in range(4):
        made_scans.write(home.scans("x") / f"{seed}.png", seed)
    register_scans(home, "x")
    whole = _files(home)
    journal = home.cache / "register" / "x.jsonl"
    lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    journal.write_text("".join(lines[:2]) + lines[2][:40], encoding="utf-8")
    for name in [name for name in whole if name.startswith("thumbnails/")][2:]:
        (home.register("x") / name).unlink()
    (home.register("x") / MANIFEST).unlink()
    (home.register("x") / "thumbnails" / ".partial-1.jpg").write_bytes(b"half")
    decoded = []
    monkeypatch.setattr(registering, "_decode", lambda *a, real=registering._decode: decoded.append(a[0]) or real(*a))
    register_scans(home, "x")
    assert len(decoded) == 2
    assert _files(home) == whole


def test_a_painter_without_any_usable_scan_is_an_error_that_says_why(home: Home) -> None:
    (home.scans("x")).mkdir(parents=True)
    with pytest.raises(ArtMasterError, match="It is empty"):
        register_scans(home, "x")
    (home.scans("x") / "a.jpg").write_bytes(b"")
    with pytest.raises(ArtMasterError, match=r"'a.jpg': It is empty.*artmaster painters add x"):
        register_scans(home, "x")
    with pytest.raises(WrongUse, match="There is no painter"):
        register_scans(home, "nobody")


def test_a_manifest_cannot_lead_out_of_the_painters_folder(home: Home) -> None:
    made_scans.write(home.scans("x") / "a.png", 1)
    (scan,) = register_scans(home, "x").records
    with pytest.raises(WrongUse, match="outside"):
        scan_path(home, Scan.model_validate(json.loads(scan.model_dump_json()) | {"path": "../../secret.png"}))


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("黄宾虹 《云门双峰》.jpg", "黄宾虹 《云门双峰》"),
        ("07_river_at__night.tif", "river at night"),
        ("1934.jpg", "1934"),
        ("3 horses.png", "horses"),
    ],
)
def test_a_file_name_gives_a_title(name: str, title: str) -> None:
    assert cleaned_title(name) == title


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process its peak memory")
def test_a_long_scroll_is_registered_in_a_fraction_of_its_size(home: Home) -> None:
    """Decoded whole it has 290 MB; a process of its own shows what it takes."""
    home.scans("x").mkdir(parents=True)
    scroll = pyvips.Image.xyz(36_000, 2_700).extract_band(0).linear(0.007, 0).cast("uchar").bandjoin([128, 90])
    scroll.copy(interpretation="srgb").jpegsave(str(home.scans("x") / "scroll.jpg"))
    code = (
        "import re, sys; from pathlib import Path; from artmaster_pipeline.settings import Home;"
        "from artmaster_pipeline.scans import register_scans;"
        "scan, = register_scans(Home(Path(sys.argv[1])), 'x').records;"
        "peak = re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text());"
        "print(scan.width, scan.height, int(peak[1]) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(home.root)], capture_output=True, text=True, check=True)
    width, height, mebibytes = map(int, done.stdout.split())
    assert (width, height) == (36_000, 2_700)
    assert mebibytes < 280


@pytest.mark.slow
def test_every_real_scan_is_registered(home: Home, paintings: Path) -> None:
    from artmaster_pipeline.scans import add_scans

    added = add_scans(home, "x", paintings / "huang-binhong" / "scans")
    outcome = register_scans(home, "x")
    assert len(outcome.records) == len(added.added) == 77
    assert outcome.quarantined == ()

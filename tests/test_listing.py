"""What lies in a folder: tiles are one picture, systems' own folders are counted, files are known by their bytes."""

import random
import shutil
from pathlib import Path

import made_scans
import pytest
import pyvips  # noqa: TID253 - a test may

from artmaster_pipeline.records import QUARANTINE, Quarantined, read_manifest
from artmaster_pipeline.scans import add_scans, register_scans
from artmaster_pipeline.scans.kinds import Foreign, kind_of
from artmaster_pipeline.scans.listing import Listing, list_folder
from artmaster_pipeline.settings import Home

PICTURE = made_scans.picture(1, 700, 900)


def refused(listing: Listing) -> dict[str, str]:
    return {refusal.relative: refusal.reason for refusal in listing.refused}


@pytest.mark.parametrize(
    ("layout", "place", "named"),
    [
        ("iiif", "archive/work", "IIIF"),
        ("iiif3", "archive/work", "IIIF"),
        ("dz", "archive/work_files", "Deep Zoom"),
        ("zoomify", "archive/work", "Zoomify"),
        ("google", "archive/work", "a grid of tiles"),
    ],
)
def test_tiles_of_one_picture_are_refused_as_one_thing(
    home: Home, tmp_path: Path, layout: str, place: str, named: str
) -> None:
    source = tmp_path / "source"
    made_scans.write(source / "archive" / "own.png", 2)
    PICTURE.dzsave(str(source / "archive" / "work"), layout=layout, tile_size=128)
    added = add_scans(home, "p", source)
    assert added.added == ("archive/own.png",)
    (row,) = added.refused
    assert row.path == place
    assert f"({named})" in row.reason
    assert "in one piece" in row.remedy
    outcome = register_scans(home, "p")
    assert [scan.path for scan in outcome.records] == ["archive/own.png"]
    assert [entry.path for entry in outcome.quarantined] == [place]


@pytest.mark.parametrize("layout", ["iiif3", "dz", "zoomify", "google"])
def test_tiles_that_were_dropped_in_by_hand_are_quarantined(home: Home, layout: str) -> None:
    made_scans.write(home.scans("p") / "own.png", 2)
    PICTURE.dzsave(str(home.scans("p") / "work"), layout=layout, tile_size=128)
    outcome = register_scans(home, "p")
    assert len(outcome.records) == len(outcome.quarantined) == 1
    assert read_manifest(home.register("p") / QUARANTINE, Quarantined) == outcome.quarantined


def test_the_whole_picture_of_a_iiif_export_is_named_and_alone_it_is_a_picture(tmp_path: Path) -> None:
    whole = tmp_path / "w" / "full" / "max" / "0" / "default.jpg"
    whole.parent.mkdir(parents=True)
    PICTURE.jpegsave(str(whole))
    assert [entry.relative for entry in list_folder(tmp_path).pictures] == ["w/full/max/0/default.jpg"]
    PICTURE.dzsave(str(tmp_path / "v"), layout="iiif3", tile_size=256)
    shutil.copytree(tmp_path / "v", tmp_path / "w", dirs_exist_ok=True)
    remedies = {refusal.relative: refusal.remedy for refusal in list_folder(tmp_path).refused}
    assert "'w/full/max/0/default.jpg'" in remedies["w"]
    assert "in one piece" in remedies["v"]


def cut(picture: pyvips.Image, folder: Path, name: str, rows: int = 3, columns: int = 3) -> None:
    """`picture` as tiles; `name` has {r} and {c}."""
    width, height = picture.width // columns, picture.height // rows
    for r in range(rows):
        for c in range(columns):
            path = folder / name.format(r=r, c=c)
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.crop(c * width, r * height, width, height).jpegsave(str(path))


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("tile_{r}_{c}.jpg", "tile_*"),
        ("work-x{c}-y{r}.jpg", "work-x*"),
        ("scan_row{r}_col{c}.jpg", "scan_row*"),
        ("12/{c}/{r}.jpg", "."),
        ("12/{c}_{r}.jpg", "."),
        ("row{r}/{c}.jpg", "."),
    ],
)
def test_a_grid_of_tiles_is_known_by_its_seams_whatever_it_is_called(tmp_path: Path, name: str, place: str) -> None:
    cut(PICTURE, tmp_path, name)
    listing = list_folder(tmp_path)
    assert list(refused(listing)) == [place]
    assert listing.pictures == []


@pytest.mark.parametrize("name", ["IMG_{r}_{c}.jpg", "2019/{r}/{c}.jpg", "2019/{r}_{c}.jpg", "album{r}/{c}.jpg"])
def test_works_that_are_named_like_tiles_are_works(tmp_path: Path, name: str) -> None:
    for r in range(2):
        for c in range(4):
            made_scans.write(tmp_path / name.format(r=r, c=c), 10 * r + c)
    assert len(list_folder(tmp_path).pictures) == 8


@pytest.mark.slow
def test_tiles_of_real_paintings_are_told_from_real_paintings_of_one_size(paintings: Path, tmp_path: Path) -> None:
    files = [path for path in sorted(paintings.rglob("*")) if path.suffix in (".jpg", ".jpeg", ".png")]
    chance, missed = random.Random(0), 0
    for trial in range(20):
        apart, tiles = tmp_path / f"{trial}a", tmp_path / f"{trial}b"
        apart.mkdir()
        for place in range(9):
            small = pyvips.Image.thumbnail(str(chance.choice(files)), 300, height=300, size="force")
            small.jpegsave(str(apart / f"t_{place // 3}_{place % 3}.jpg"))
        assert refused(list_folder(apart)) == {}
        cut(pyvips.Image.new_from_file(str(chance.choice(files))), tiles, "t_{r}_{c}.jpg")
        missed += not refused(list_folder(tiles))
    assert missed <= 2


OWN = (
    "#recycle/a.jpg",
    "@eaDir/a.jpg/SYNOPHOTO_THUMB_XL.jpg",
    "@Recycle/a.jpg",
    ".@__thumb/default_a.jpg",
    ".Trash-1000/files/a.jpg",
    ".Trashes/501/a.jpg",
    "$RECYCLE.BIN/S-1-5-21/$R1.jpg",
    "RECYCLER/a.jpg",
    "__MACOSX/._a.jpg",
    "System Volume Information/a.jpg",
    ".AppleDouble/a.jpg",
    ".thumbnails/a.jpg",
    "lost+found/a.jpg",
    "#snapshot/a.jpg",
    "deep/er/#Recycle/a.jpg",
    "Catalog Previews.lrdata/a.jpg",
)


def test_what_systems_keep_for_themselves_is_left_out_counted_and_said(home: Home, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for seed, name in enumerate(OWN, 10):
        made_scans.write(source / name, seed, 100, 100)
    made_scans.write(source / "work.jpg", 1)
    for name in ("._work.jpg", "Thumbs.db", "desktop.ini"):
        (source / name).write_bytes(b"x")
    added = add_scans(home, "p", source)
    assert added.added == ("work.jpg",)
    assert added.refused == ()
    told = added.ignored_summary()
    for name in OWN:
        folder = next(part for part in (*Path(name).parents, Path(name)) if str(part.parent) in (".", "deep/er"))
        assert any(f"{folder}/ (1 file)" in line for line in told), folder
    for name in ("hidden (1 file)", "Thumbs.db (1 file)", "desktop.ini (1 file)"):
        assert any(line.endswith(name) for line in told)
    made_scans.write(home.scans("p") / "#recycle" / "gone.jpg", 9)
    figures = register_scans(home, "p").figures
    assert figures["kept by systems for themselves"] == {"#recycle/": 1}


SUFFIXES = frozenset(
    (
        "heic",
        "HEIC",
        "jp2",
        "psd",
        "dng",
        "cr2",
        "NEF",
        "arw",
        "avif",
        "pdf",
        "gif",
        "bmp",
        "svg",
        "eps",
        "exr",
        "xcf",
        "zip",
    )
)
BYTES = {
    "HEIF": b"\0\0\0\x18ftypheic",
    "AVIF": b"\0\0\0\x1cftypavif",
    "video": b"\0\0\0\x18ftypqt  ",
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n",
    "JPEG XL": b"\xff\x0a\xfa",
    "JPEG XR": b"II\xbc\x01",
    "Photoshop": b"8BPS\0\1",
    "GIF": b"GIF89a",
    "Windows bitmap": b"BM\x36\0\0\0",
    "PDF": b"%PDF-1.7",
    "PostScript": b"%!PS-Adobe-3.0 EPSF",
    "drawing": b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>",
    "archive": b"PK\x03\x04",
    "camera's raw": b"II*\0\x10\0\0\0CR\x02\0",
    "DjVu": b"AT&TFORM",
}


@pytest.mark.parametrize("name", ["x.jpg", "x.tif", "x.unknown", "x"])
@pytest.mark.parametrize("kind", BYTES)
def test_a_foreign_picture_is_named_whatever_it_is_called(kind: str, name: str) -> None:
    found = kind_of(BYTES[kind], name)
    assert isinstance(found, Foreign)
    assert kind in found.what
    assert found.remedy


@pytest.mark.parametrize(
    "name",
    [f"a.{suffix}" for suffix in sorted(SUFFIXES)],
)
def test_a_kind_that_is_not_read_has_its_reason_when_added_and_when_registered(
    home: Home, tmp_path: Path, name: str
) -> None:
    made_scans.write(tmp_path / "s" / "good.png", 1)
    (tmp_path / "s" / name).write_bytes(b"whatever")
    (row,) = add_scans(home, "p", tmp_path / "s").refused
    assert (row.path, bool(row.remedy)) == (name, True)
    assert [(entry.path, entry.reason) for entry in register_scans(home, "p").quarantined] == [(name, row.reason)]


@pytest.mark.parametrize("name", ["a.jfif", "a.jpe", "a.JPG", "a.jif", "a", "a.heic", "a.gif", "a.bak", "a.0001"])
def test_a_jpeg_is_used_whatever_it_is_called(home: Home, tmp_path: Path, name: str) -> None:
    path = made_scans.write(tmp_path / "s" / "real.jpg", 1)
    path.rename(tmp_path / "s" / name)
    assert add_scans(home, "p", tmp_path / "s").added == (name,)
    (scan,) = register_scans(home, "p").records
    assert (scan.path, scan.format) == (name, "JPEG")
    said = any("Its bytes are JPEG" in note for note in scan.notes)
    assert said == (Path(name).suffix.lower() not in (".jfif", ".jpe", ".jpg", ".jif"))


def test_documents_beside_the_scans_are_ignored_and_counted(home: Home, tmp_path: Path) -> None:
    made_scans.write(tmp_path / "good.png", 1)
    for name, content in {
        "a.docx": b"PK\x03\x04",
        "a.xmp": b"<x:xmpmeta/>",
        "a.json": b"{}",
        "BMW.md": b"BM is",
    }.items():
        (tmp_path / name).write_bytes(content)
    listing = list_folder(tmp_path)
    assert listing.refused == []
    assert listing.ignored == ["BMW.md", "a.docx", "a.json", "a.xmp"]


def test_a_painter_s_folder_that_is_a_link_is_listed_as_any_other(home: Home, tmp_path: Path) -> None:
    made_scans.write(tmp_path / "drive" / "sub" / "a.png", 1)
    home.scans("p").parent.mkdir(parents=True)
    home.scans("p").symlink_to(tmp_path / "drive")
    assert [scan.path for scan in register_scans(home, "p").records] == ["sub/a.png"]

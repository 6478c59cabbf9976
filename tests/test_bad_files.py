"""Every kind of bad file is used or left out with its reason, and the good ones beside it go on."""

import os
import struct
import unicodedata
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import made_scans
import numpy as np
import pytest
import pyvips  # noqa: TID253 - a test may
from PIL import Image, ImageCms

from artmaster_pipeline.curation import crop_scans
from artmaster_pipeline.errors import BadInput
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.records import Quarantined, Scan
from artmaster_pipeline.scans import add_scans, open_scan, register_scans, scan_path, unreadable_entries
from artmaster_pipeline.scans.decoding import decode
from artmaster_pipeline.settings import Home

ODD_NAMES = (
    "quo'te\"d.jpg",
    "emoji 🏔️.jpg",
    "-rf.jpg",
    "two..dots.jpg",
    "Case.jpg",
    "case.jpg",
    unicodedata.normalize("NFC", "café.jpg"),
    unicodedata.normalize("NFD", "café.jpg"),
    "bracket[page=2].jpg",
    "percent%s.jpg",
    "UPPER.JPG",
)


def _png_header(path: Path, width: int, height: int) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 999)))


def _with_profile(path: Path, seed: int, profile: bytes) -> None:
    Image.fromarray(made_scans.painting(seed)).save(path, icc_profile=profile, quality=90)


def write_pictures(folder: Path) -> None:
    whole = made_scans.write(folder / "good.jpg", 1).read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    made_scans.write(folder / "whole.png", 23)
    (folder / "truncated.png").write_bytes((folder / "whole.png").read_bytes()[:-4000])
    made_scans.write(folder / "one-pixel.png", 2, 1, 1)
    _png_header(folder / "bomb.png", 60_000, 60_000)
    frames = pyvips.Image.arrayjoin([made_scans.picture(3), made_scans.picture(4)], across=1).copy()
    frames.set_type(pyvips.GValue.gint_type, "page-height", 320)
    frames.webpsave(str(folder / "animated.webp"), Q=80)
    frames.tiffsave(str(folder / "two-pages.tif"), page_height=320)
    frames.gifsave(str(folder / "gif.webp"))
    made_scans.picture(5).icc_transform("cmyk", input_profile="srgb").jpegsave(str(folder / "cmyk.jpg"), keep="none")
    (made_scans.picture(6).cast("ushort") * 257).cast("ushort").copy(interpretation="rgb16").pngsave(
        str(folder / "sixteen.png")
    )
    half = pyvips.Image.black(120, 320).join((pyvips.Image.black(120, 320) + 255).cast("uchar"), "horizontal")
    made_scans.picture(7).bandjoin(half).pngsave(str(folder / "alpha.png"))
    turned = made_scans.picture(8).copy()
    turned.set_type(pyvips.GValue.gint_type, "orientation", 6)
    turned.jpegsave(str(folder / "turned.jpg"))
    _with_profile(folder / "garbage-icc.jpg", 9, b"not a profile at all " * 20)
    _with_profile(folder / "huge-icc.tif", 10, b"ICC!" * 2_250_000)
    _with_profile(folder / "press-icc.tif", 11, bytes(pyvips.Image.profile_load("cmyk")))
    _with_profile(folder / "lab-icc.jpg", 17, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes())
    _with_profile(folder / "srgb-icc.png", 18, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    made_scans.picture(12).colourspace("b-w").jpegsave(str(folder / "grey.jpg"))
    made_scans.picture(13).pngsave(str(folder / "palette.png"), palette=True, bitdepth=4)
    made_scans.picture(14).pngsave(str(folder / "misnamed.jpg.png"))
    (folder / "misnamed.jpg.png").rename(folder / "misnamed.jpg")


def write_oddities(folder: Path) -> None:
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("This is not a picture.", encoding="utf-8")
    (folder / "drawing.jpg").write_text("<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>")
    (folder / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 64)
    (folder / "broken-link.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    (folder / "link.jpg").symlink_to(made_scans.write(folder.parent / "elsewhere" / "linked.jpg", 15))
    (folder / "folder-link").symlink_to(folder)
    (folder / "folder.jpg").mkdir()
    made_scans.write(folder / "locked.jpg", 16).chmod(0)
    os.mkfifo(folder / "pipe.jpg")
    for seed, name in enumerate(ODD_NAMES, 30):
        (folder / name).write_bytes(made_scans.picture(seed).jpegsave_buffer())
    for name in (b"new\nline.jpg", b"latin-\xe9.jpg", b"..\\..\\up.jpg", b"..up.jpg"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(made_scans.picture(60).jpegsave_buffer())
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / ".hidden.jpg").write_bytes(b"x")


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A folder of every kind of bad file, added, registered and cropped once for all tests here."""
    root = tmp_path_factory.mktemp("bad")
    source = root / "source"
    source.mkdir()
    write_pictures(source)
    write_oddities(source)
    before = {path: path.lstat().st_mtime_ns for path in source.iterdir()}
    home = Home(root / "home")
    with pytest.MonkeyPatch.context() as patch:
        if os.access(source / "locked.jpg", os.R_OK):  # root may read everything

            def locked(path: Path) -> str:
                if path.name == "locked.jpg":
                    raise PermissionError(13, "Permission denied")
                return sha256_of(path)

            patch.setattr("artmaster_pipeline.scans.adding.sha256_of", locked)
        added = add_scans(home, "x", source)
    register = register_scans(home, "x")
    crops = crop_scans(home, "x")
    yield SimpleNamespace(
        home=home,
        source=source,
        before=before,
        added=added,
        scans={scan.path: scan for scan in register.records},
        left_out={row.path: row for row in register.quarantined},
        crops=crops,
        register=register,
    )
    (source / "locked.jpg").chmod(0o644)


def _pixels(taken: SimpleNamespace, name: str) -> np.ndarray:
    return open_scan(scan_path(taken.home, taken.scans[name])).numpy().astype(int)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty.jpg", "empty"),
        ("truncated.jpg", "cannot be decoded to its end"),
        ("truncated.png", "cannot be decoded to its end"),
        ("text.jpg", "text"),
        ("drawing.jpg", "a drawing of lines"),
        ("phone.jpg", "HEIF"),
        ("one-pixel.png", "1 x 1"),
        ("bomb.png", "60,000 x 60,000"),
        ("animated.webp", "animation of 2 frames"),
        ("gif.webp", "GIF"),
        ("broken-link.jpg", "link to a file that does not exist"),
        ("loop.jpg", "cannot be read"),
        ("folder-link", "link to a folder"),
        ("folder.jpg", "folder named like a picture"),
        ("locked.jpg", "may not read"),
        ("pipe.jpg", "pipe"),
        ("new\nline.jpg", "line break"),
        ("latin-\\xe9.jpg", "UTF-8"),
        ("..\\..\\up.jpg", "leads out of its folder"),
        ("..up.jpg", "leads out of its folder"),
    ],
)
def test_what_cannot_be_used_is_left_out_with_its_reason_and_a_way_out(
    taken: SimpleNamespace, name: str, reason: str
) -> None:
    row: Quarantined = taken.left_out[name]
    assert reason in row.reason
    assert row.remedy
    assert str(taken.source.parent) not in row.reason + row.remedy
    assert name not in taken.scans


@pytest.mark.parametrize(
    ("name", "colour", "note"),
    [
        ("cmyk.jpg", "CMYK without profile", ""),
        ("sixteen.png", "sRGB", "16 bits a channel were reduced to 8"),
        ("alpha.png", "sRGB", "Its alpha channel was laid on white"),
        ("turned.jpg", "sRGB", "Turned as its EXIF orientation says"),
        ("garbage-icc.jpg", "sRGB", "not used"),
        ("huge-icc.tif", "sRGB", "9,000,000 bytes"),
        ("press-icc.tif", "sRGB", "not used"),
        ("lab-icc.jpg", "sRGB", "not used"),
        ("srgb-icc.png", "ICC: sRGB built-in", ""),
        ("grey.jpg", "grey", ""),
        ("palette.png", "sRGB", ""),
        ("two-pages.tif", "sRGB", "Of the 2 pictures in it page 1 (240 x 320) was used. Left out: page 2 (240 x 320)"),
        ("misnamed.jpg", "sRGB", "Its bytes are PNG"),
        ("link.jpg", "sRGB", ""),
    ],
)
def test_unusual_pictures_are_used_and_what_was_decided_is_noted(
    taken: SimpleNamespace, name: str, colour: str, note: str
) -> None:
    scan: Scan = taken.scans[name]
    assert scan.colour == colour
    assert any(note in said for said in scan.notes) if note else scan.notes == ()


@pytest.mark.parametrize(
    ("name", "seed", "tolerance"),
    [
        ("sixteen.png", 6, 0),
        ("garbage-icc.jpg", 9, 12),
        ("huge-icc.tif", 10, 0),
        ("press-icc.tif", 11, 0),
        ("srgb-icc.png", 18, 1),
    ],
)
def test_their_colours_are_those_that_were_painted(
    taken: SimpleNamespace, name: str, seed: int, tolerance: float
) -> None:
    difference = np.abs(_pixels(taken, name) - made_scans.painting(seed).astype(int))
    assert difference.mean() <= tolerance


def test_cmyk_without_a_profile_is_read_as_a_press_would_print_it(taken: SimpleNamespace) -> None:
    difference = np.abs(_pixels(taken, "cmyk.jpg") - made_scans.painting(5).astype(int))
    assert difference.mean() < 12


def test_transparent_parts_are_white(taken: SimpleNamespace) -> None:
    pixels = _pixels(taken, "alpha.png")
    assert (pixels[:, :120] == 255).all()
    assert (pixels[:, 120:] == made_scans.painting(7)[:, 120:]).all()


def test_a_turned_scan_stands_upright(taken: SimpleNamespace) -> None:
    scan = taken.scans["turned.jpg"]
    assert (scan.width, scan.height) == (320, 240)
    upright = np.rot90(made_scans.painting(8), -1).astype(int)
    assert np.abs(_pixels(taken, "turned.jpg") - upright).mean() < 12


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_names(taken: SimpleNamespace, name: str) -> None:
    assert taken.scans[name].sha256 == sha256_of(taken.source / name)


def test_names_that_differ_in_form_only_are_both_kept_and_noted(taken: SimpleNamespace) -> None:
    for name in ("Case.jpg", "case.jpg", *(name for name in ODD_NAMES if name.startswith("caf"))):
        assert any("case or Unicode form" in note for note in taken.scans[name].notes)


def test_nothing_is_lost_silently(taken: SimpleNamespace) -> None:
    named = {os.fsencode(path.name).decode("utf-8", "backslashreplace") for path in taken.source.iterdir()}
    assert named - set(taken.scans) - set(taken.left_out) == {"Thumbs.db", ".hidden.jpg"}
    assert taken.added.passed_over == (
        "left out, kept by a system or program for itself: Thumbs.db (1 file)",
        "left out, kept by a system or program for itself: hidden (1 file)",
    )


def _sparse(path: Path, head: bytes) -> None:
    """A file of 2 GB that is zeros after its head, and takes no room on the disk."""
    with path.open("wb") as file:
        file.write(head)
        file.truncate(2**31)


def _bundle(path: Path, pages: int) -> None:
    """A TIFF with so many pages of 16 x 16 grey pixels, which all have the same pixels."""
    content = bytearray(b"II*\0" + struct.pack("<I", 8 + 256) + bytes(256))
    tags = {256: 16, 257: 16, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 16, 279: 256}
    for number in range(pages):
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
        following = len(content) + 2 + len(entries) + 4 if number < pages - 1 else 0
        content += struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)
    path.write_bytes(content)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux forgets a process's peak of memory")
def test_huge_files_that_are_no_pictures_are_refused_without_being_read(tmp_path: Path) -> None:
    jpeg_head = b"\xff\xd8\xff\xe0" + struct.pack(">H", 16) + b"JFIF" + bytes(10)
    _sparse(tmp_path / "zeros.jpg", jpeg_head)
    _sparse(tmp_path / "no-lengths.jpg", b"\xff\xd8" + b"\xff\x00" * 100)
    _sparse(tmp_path / "zeros.tif", b"II*\0\x08\0\0\0")
    _sparse(tmp_path / "zeros.png", b"\x89PNG\r\n\x1a\n")
    _sparse(
        tmp_path / "zeros.webp", b"RIFF" + struct.pack("<I", 2**31 - 8) + b"WEBPVP8 " + struct.pack("<I", 2**31 - 20)
    )
    _bundle(tmp_path / "bundle.tif", 10_000)
    _bundle(tmp_path / "sketchbook.tif", 40)
    Path("/proc/self/clear_refs").write_text("5")
    before = _peak()
    for file in sorted(set(tmp_path.iterdir()) - {tmp_path / "sketchbook.tif"}):
        with pytest.raises(BadInput) as refused:
            decode(file)
        assert refused.value.remedy
        assert ("more than 256 pages" in refused.value.reason) == (file.name == "bundle.tif")
    assert "40 pages in it" in decode(tmp_path / "sketchbook.tif").notes[-1]
    assert _peak() - before < 60_000


def _peak() -> int:
    """Kilobytes."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1])


def test_what_stands_between_the_segments_of_a_jpeg_does_not_hide_its_picture(tmp_path: Path) -> None:
    whole = made_scans.write(tmp_path / "a.jpg", 1).read_bytes()
    first = 4 + int.from_bytes(whole[4:6], "big")
    (tmp_path / "a.jpg").write_bytes(whole[:first] + b"\xff\xff" + whole[first:])
    assert decode(tmp_path / "a.jpg").image.avg() > 0


def test_the_originals_are_untouched(taken: SimpleNamespace) -> None:
    assert {path: path.lstat().st_mtime_ns for path in taken.source.iterdir()} == taken.before


def test_every_scan_that_is_used_gives_crops_of_both_shapes(taken: SimpleNamespace) -> None:
    sizes: dict[str, set[tuple[int, int]]] = {}
    for crop in taken.crops.records:
        sizes.setdefault(crop.scan_id, set()).add((crop.width, crop.height))
    lesser = {row.sha256[:16] for row in taken.crops.quarantined if row.duplicate_of}
    assert sizes == {scan.id: {(512, 512), (512, 768)} for scan in taken.scans.values() if scan.id not in lesser}


def test_registering_again_decodes_nothing_and_says_the_same(taken: SimpleNamespace) -> None:
    again = register_scans(taken.home, "x")
    assert (again.made, again.reused) == (0, len(taken.scans))
    assert (again.records, again.quarantined) == (taken.register.records, taken.register.quarantined)


def test_a_folder_dropped_in_by_hand_is_registered_with_the_same_care(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    folder = home.scans("x")
    folder.mkdir(parents=True)
    write_oddities(folder)
    (folder / "locked.jpg").chmod(0o644)
    outcome = register_scans(home, "x")
    left_out = {row.path: row.reason for row in outcome.quarantined}
    assert {"empty.jpg", "broken-link.jpg", "loop.jpg", "folder.jpg", "pipe.jpg", "new\nline.jpg"} <= set(left_out)
    assert "link out of the data home" in left_out["link.jpg"]
    assert "locked.jpg" in {scan.path for scan in outcome.records}
    unreadable = set(unreadable_entries(home, "x"))
    assert {"broken-link.jpg", "loop.jpg", "pipe.jpg", "folder-link", os.fsdecode(b"latin-\xe9.jpg")} <= unreadable
    assert not unreadable & {"locked.jpg", "empty.jpg", "text.jpg", "folder.jpg", "Case.jpg"}

"""Files that are whole and yet not what they seem: extra channels, thumbnails first, few bits, rare compressions."""

import struct
from pathlib import Path

import made_scans
import numpy as np
import pytest
import pyvips  # noqa: TID253 - a test may
import tifffile  # noqa: TID253 - a test may
from PIL import Image

from artmaster_pipeline.curation import crop_scans
from artmaster_pipeline.errors import BadInput
from artmaster_pipeline.scans import decoding, register_scans
from artmaster_pipeline.scans.decoding import decode, reading
from artmaster_pipeline.settings import Home

W, H = 120, 160
PAINTED = made_scans.painting(1, W, H)
GREY = PAINTED[..., 0]
EMPTY = np.zeros((H, W), np.uint8)
SIXTEEN = PAINTED.astype(np.uint16)


def read(path: Path) -> tuple[np.ndarray, str]:
    """The pixels that would be trained on, and what was said of them."""
    decoded = decode(path)
    with reading(path):
        return decoded.image.numpy().astype(int), ". ".join(decoded.notes)


def difference(path: Path, painted: np.ndarray = PAINTED) -> float:
    wanted = painted if painted.ndim == 3 else painted[..., None]
    return float(np.abs(read(path)[0] - wanted.astype(int)).mean())


def tiff(
    path: Path, pixels: np.ndarray, extras: list[str] | None = None, photometric: str = "rgb", **how: object
) -> Path:
    tifffile.imwrite(path, pixels, photometric=photometric, extrasamples=extras, **how)
    return path


@pytest.mark.parametrize(
    ("channels", "extras", "note"),
    [
        ([PAINTED, EMPTY], ["unspecified"], "An extra channel that is not alpha was left out"),
        ([PAINTED, EMPTY, EMPTY + 9, EMPTY + 200], ["unspecified"] * 3, "3 extra channels were left out"),
        ([PAINTED, EMPTY, EMPTY + 255], ["unspecified", "unassalpha"], "not alpha was left out"),
        ([PAINTED, EMPTY + 255, EMPTY], ["unassalpha", "unspecified"], "not alpha was left out"),
        ([PAINTED, EMPTY], ["unassalpha"], "would leave a blank sheet and was not used"),
        ([PAINTED, EMPTY + 2], ["unassalpha"], "would leave a blank sheet and was not used"),
        ([PAINTED, EMPTY + 255], ["assocalpha"], "Its alpha channel was laid on white"),
    ],
)
@pytest.mark.parametrize("deep", [False, True])
def test_an_extra_channel_never_makes_a_white_sheet(
    tmp_path: Path, channels: list[np.ndarray], extras: list[str], note: str, deep: bool
) -> None:
    pixels = np.dstack(channels)
    path = tiff(tmp_path / "a.tif", pixels.astype(np.uint16) * 257 if deep else pixels, extras)
    assert difference(path) <= 1
    assert note in read(path)[1]


def test_extra_channels_of_grey_and_cmyk_are_left_out_too(tmp_path: Path) -> None:
    grey = tiff(tmp_path / "grey.tif", np.dstack([GREY, EMPTY]), ["unspecified"], "minisblack", planarconfig="contig")
    assert difference(grey, GREY) <= 1
    press = made_scans.picture(1, W, H).icc_transform("cmyk", input_profile="srgb").numpy()
    plain = read(tiff(tmp_path / "cmyk.tif", press, photometric="separated"))[0]
    pixels, note = read(tiff(tmp_path / "spot.tif", np.dstack([press, EMPTY]), ["unspecified"], "separated"))
    assert (pixels == plain).all()
    assert "left out" in note


def test_the_case_from_the_field_keeps_its_colours(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    Image.fromarray(np.dstack([PAINTED, EMPTY]), "RGBA").save(path)
    tag = lambda value: struct.pack("<HHIHH", 338, 3, 1, value, 0)  # noqa: E731
    path.write_bytes(path.read_bytes().replace(tag(2), tag(0)))
    assert difference(path) == 0


@pytest.mark.parametrize("name", ["a.png", "a.webp"])
def test_a_wholly_transparent_picture_is_kept_by_its_colours(tmp_path: Path, name: str) -> None:
    Image.fromarray(np.dstack([PAINTED, EMPTY]), "RGBA").save(tmp_path / name, lossless=True, exact=True)
    assert difference(tmp_path / name) <= 1


def test_a_sheet_without_anything_on_it_is_quarantined(home: Home) -> None:
    made_scans.write(home.scans("x") / "good.png", 1)
    Image.fromarray(np.zeros((H, W, 4), np.uint8), "RGBA").save(home.scans("x") / "nothing.png")
    tiff(home.scans("x") / "associated.tif", np.dstack([PAINTED, EMPTY]), ["assocalpha"])
    Image.fromarray((PAINTED // 20).astype(np.uint8)).save(home.scans("x") / "four-bits.png")
    outcome = register_scans(home, "x")
    assert [scan.path for scan in outcome.records] == ["good.png"]
    reasons = {row.path: row.reason for row in outcome.quarantined}
    assert "one colour" in reasons["nothing.png"]
    assert "alpha channel was laid on white" in reasons["associated.tif"]
    assert "black all over: its brightest value is 11 of 255" in reasons["four-bits.png"]


def test_the_largest_page_is_used_and_the_others_are_said(home: Home, tmp_path: Path) -> None:
    full = Image.fromarray(PAINTED)
    path = tmp_path / "t.tif"
    full.resize((W // 2, H // 2)).save(path, save_all=True, append_images=[full, full.resize((30, 40))])
    assert difference(path) == 0
    said = "Of the 3 pictures in it page 2 (120 x 160) was used. Left out: page 1 (60 x 80); page 3 (30 x 40)"
    assert read(path)[1] == said
    home.scans("x").mkdir(parents=True)
    path.rename(home.scans("x") / "t.tif")
    told: list[str] = []
    (scan,) = register_scans(home, "x", Told(told)).records
    assert (scan.width, scan.height) == (W, H)
    assert f"t.tif: {said}." in told


class Told:
    """A progress that remembers what was said."""

    def __init__(self, said: list[str]) -> None:
        self._said = said

    def say(self, message: str) -> None:
        self._said.append(message)

    def task(self, *arguments: object):
        from artmaster_pipeline.progress import SILENT

        return SILENT.task(*arguments)


def test_two_pages_of_one_size_are_said_to_be_two_pictures(tmp_path: Path) -> None:
    other = Image.fromarray(made_scans.painting(2, W, H))
    Image.fromarray(PAINTED).save(tmp_path / "two.tif", save_all=True, append_images=[other])
    assert difference(tmp_path / "two.tif") == 0
    assert "2 pages in it are pictures of their own: save each" in read(tmp_path / "two.tif")[1]


def test_a_pyramid_is_one_picture_wherever_its_levels_stand(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "down.tif") as file:
        file.write(PAINTED, photometric="rgb", subifds=1)
        file.write(PAINTED[::2, ::2], photometric="rgb", subfiletype=1)
    with tifffile.TiffWriter(tmp_path / "up.tif") as file:
        file.write(PAINTED[::4, ::4], photometric="rgb", subfiletype=1, subifds=1)
        file.write(PAINTED, photometric="rgb")
    made_scans.picture(1, W, H).tiffsave(
        str(tmp_path / "tiled.tif"), pyramid=True, tile=True, tile_width=32, tile_height=32
    )
    for name in ("down.tif", "up.tif", "tiled.tif"):
        assert difference(tmp_path / name) == 0
        assert "Left out: page" in read(tmp_path / name)[1]
        assert "of their own" not in read(tmp_path / name)[1]


def test_a_page_that_says_it_is_reduced_or_a_mask_is_not_the_scan(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.zeros((2 * H, 2 * W), bool), photometric="minisblack", subfiletype=4)
        file.write(PAINTED, photometric="rgb")
    assert difference(tmp_path / "a.tif") == 0
    assert "page 1 (240 x 320, a mask)" in read(tmp_path / "a.tif")[1]


def test_a_multi_picture_jpeg_says_what_else_is_in_it(tmp_path: Path) -> None:
    small = Image.fromarray(PAINTED[::2, ::2])
    Image.fromarray(PAINTED).save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[small], quality=95)
    assert difference(tmp_path / "a.jpg") < 4
    assert read(tmp_path / "a.jpg")[1] == (
        "Of the 2 pictures in it page 1 (120 x 160) was used. Left out: page 2 (60 x 80)"
    )


def test_an_animated_png_is_refused(tmp_path: Path) -> None:
    other = Image.fromarray(made_scans.painting(2, W, H))
    Image.fromarray(PAINTED).save(tmp_path / "a.png", save_all=True, append_images=[other])
    with pytest.raises(BadInput, match="animation"):
        decode(tmp_path / "a.png")


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("kind", ["rgb", "minisblack", "miniswhite"])
def test_few_bits_in_sixteen_are_stretched_with_a_note(tmp_path: Path, bits: int, kind: str) -> None:
    pixels = SIXTEEN if kind == "rgb" else SIXTEEN[..., 0]
    values = np.rint(pixels * ((2**bits - 1) / 255)).astype(np.uint16)
    path = tiff(tmp_path / "a.tif", values, photometric=kind)
    wanted = 255 - GREY if kind == "miniswhite" else PAINTED if kind == "rgb" else GREY
    assert difference(path, wanted) <= 1
    assert f"fill {bits} of 16 bits" in read(path)[1]


def test_a_png_of_few_bits_is_stretched_too(tmp_path: Path) -> None:
    pyvips.Image.new_from_array(SIXTEEN * 16).copy(interpretation="rgb16").pngsave(str(tmp_path / "d.png"))
    assert difference(tmp_path / "d.png") <= 1


@pytest.mark.parametrize("tag", [281, 341])
def test_the_file_s_own_word_on_its_largest_value_is_followed(tmp_path: Path, tag: int) -> None:
    said = [(tag, "H", 3, (16383, 16383, 16383), True)]
    path = tiff(tmp_path / "a.tif", SIXTEEN * 64, extratags=said)
    assert difference(path) <= 1
    assert "fill 14 of 16 bits" in read(path)[1]


@pytest.mark.parametrize("factor", [64, 20, 1 / 3])
def test_what_may_be_dark_or_of_fewer_bits_is_refused(tmp_path: Path, factor: float) -> None:
    path = tiff(tmp_path / "a.tif", (SIXTEEN * factor).astype(np.uint16))
    with pytest.raises(BadInput, match="fewer bits, or it is very dark") as refused:
        decode(path)
    assert "full range" in refused.value.remedy


def test_a_dark_painting_that_uses_its_range_stays_dark(tmp_path: Path) -> None:
    night = (PAINTED // 6).astype(np.uint8)
    night[:2, :2] = 200  # a lamp
    assert difference(tiff(tmp_path / "16.tif", night.astype(np.uint16) * 257), night) == 0
    Image.fromarray(night).save(tmp_path / "8.png")
    assert difference(tmp_path / "8.png", night) == 0


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (PAINTED.astype(np.float32) / 255, "floating-point"),
        (PAINTED.astype(np.float32) * 257, "floating-point"),
        (PAINTED.astype(np.int16) * 100, "short numbers of unknown range"),
        (PAINTED.astype(np.uint32) << 24, "uint numbers of unknown range"),
        (PAINTED.astype(np.float64) / 255, "the file itself is whole"),
    ],
)
def test_numbers_of_unknown_range_are_refused(tmp_path: Path, pixels: np.ndarray, reason: str) -> None:
    with pytest.raises(BadInput, match=reason) as refused:
        read(tiff(tmp_path / "a.tif", pixels))
    assert "Scan it again" not in str(refused.value)


@pytest.mark.parametrize("compression", ["zstd", "lzma"])
def test_a_whole_file_of_a_rare_compression_is_not_to_be_scanned_again(home: Home, compression: str) -> None:
    made_scans.write(home.scans("x") / "good.png", 1)
    Image.fromarray(PAINTED).save(home.scans("x") / "z.tif", compression=compression)
    (row,) = register_scans(home, "x").quarantined
    assert row.reason == f"Its pixels are compressed as {compression}, which is not read here; the file itself is whole"
    assert "LZW" in row.remedy


@pytest.mark.parametrize("code", [34661, 34712, 34887, 50001, 50002, 33003, 60999])
def test_every_compression_that_is_not_read_is_named(tmp_path: Path, code: int) -> None:
    """JBIG, JPEG 2000, LERC, WebP, JPEG XL and one that nobody knows: the tag says so, the strips are all there."""
    path = tiff(tmp_path / "a.tif", PAINTED)
    uncompressed = struct.pack("<HHIHH", 259, 3, 1, 1, 0)
    content = path.read_bytes()
    assert uncompressed in content
    path.write_bytes(content.replace(uncompressed, struct.pack("<HHIHH", 259, 3, 1, code, 0)))
    with pytest.raises(BadInput, match="the file itself is whole") as refused:
        read(path)
    assert "Scan it again" not in refused.value.remedy


def test_a_torn_file_of_a_rare_compression_is_to_be_copied_again(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PAINTED, photometric="rgb")
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[: len(content) // 2])
    with pytest.raises(BadInput, match="cannot be decoded to its end"):
        read(tmp_path / "a.tif")


def test_a_camera_s_raw_file_named_tif_is_known(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", PAINTED, extratags=[(50706, "B", 4, b"\1\4\0\0", True)])
    with pytest.raises(BadInput, match="camera's raw file"):
        decode(path)


def test_a_large_tiff_is_measured_at_its_own_size(home: Home) -> None:
    """It was taken for 64 times as large once, as a JPEG is that is decoded at an eighth."""
    home.scans("x").mkdir(parents=True)
    made_scans.picture(1, 240, 320).resize(17).tiffsave(str(home.scans("x") / "a.tif"), compression="lzw")
    (scan,) = register_scans(home, "x").records
    assert (scan.width, scan.height) == (4080, 5440)


@pytest.mark.parametrize(("name", "curated"), [("a.tif", 1), ("a.png", 1), ("a.jpg", 2)])
def test_a_scan_is_decoded_once_to_register_it_and_once_to_crop_it(
    home: Home, monkeypatch: pytest.MonkeyPatch, name: str, curated: int
) -> None:
    """A JPEG a second time, at half its size: cheaper than the whole for the look that finds the painting."""
    made_scans.write(home.scans("x") / name, 1, 3200, 2400)
    load = decoding._load
    opened: list[int] = []

    def counted(path: Path, kind: str, shrink: int, *rest: object, **options: bool) -> object:
        opened.append(shrink)
        return load(path, kind, shrink, *rest, **options)

    monkeypatch.setattr(decoding, "_load", counted)
    register_scans(home, "x")
    assert opened == [1]
    opened.clear()
    crop_scans(home, "x")
    assert len(opened) == curated
    assert opened.count(1) == 1


def test_a_scan_larger_than_memory_should_hold_waits_on_the_disk(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.tif", "b.jpg"):
        made_scans.write(home.scans("x") / name, 1, 1200, 900)
    crops = {crop.id: crop.sha256 for crop in (register_scans(home, "x"), crop_scans(home, "x"))[1].records}
    other = Home(home.root / "other")
    monkeypatch.setattr(decoding, "_HELD_IN_MEMORY", 0)
    for name in ("a.tif", "b.jpg"):
        made_scans.write(other.scans("x") / name, 1, 1200, 900)
    first, again = register_scans(home, "x"), register_scans(other, "x")
    assert first.hash == again.hash
    assert {crop.id: crop.sha256 for crop in crop_scans(other, "x").records} == crops
    assert list((other.cache / "decoded").iterdir()) == []

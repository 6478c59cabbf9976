"""`artmaster upscale`: files of any size, with all that they say of themselves, each once, whatever happens in between.

The network of most tests repeats every pixel and nothing is constrained, so that the right result is known to the last
bit.
"""

import functools
import itertools
import json
import signal
from pathlib import Path
from types import SimpleNamespace

import forked
import numpy as np
import pytest
import pyvips  # noqa: TID253 - a test may
from filelock import FileLock
from made_scans import painting
from PIL import Image, ImageCms

from artmaster_pipeline import superres
from artmaster_pipeline.errors import ArtMasterError, BadInput, WrongUse
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.superres import Enlarger, constrained, enlarge, load_network
from artmaster_pipeline.superres.engines.pytorch import TorchEngine
from artmaster_pipeline.superres.upscaling import Upscaled
from artmaster_pipeline.superres.upscaling.opening import open_picture
from artmaster_pipeline.superres.upscaling.passing import disk_bytes
from artmaster_pipeline.superres.upscaling.words import Words, block_of, put_into_tiff, words_in, words_of

upscale = functools.partial(superres.upscale, constraints=())

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
IPTC = b"\x1c\x02\x78\x00\x06A boat"  # record 2, data set 120: the caption


@pytest.fixture(scope="module")
def repeater(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A network of zeros, twice as wide and high: it repeats every pixel."""
    import torch
    from spandrel.architectures.Compact import Compact

    path = tmp_path_factory.mktemp("networks") / "repeater.pth"
    network = Compact(num_feat=2, num_conv=1, upscale=2)
    torch.save({name: torch.zeros_like(value) for name, value in network.state_dict().items()}, path)
    return str(path)


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of 64 pixels, so that small pictures have many."""
    monkeypatch.setattr(enlarge, "_LARGEST_TILE", 64)


def grain(height: int, width: int, bits: int = 8, seed: int = 0) -> np.ndarray:
    kind = {8: np.uint8, 16: np.uint16}[bits]
    return np.random.default_rng(seed).integers(0, 2**bits, (height, width, 3)).astype(kind)


def repeated(pixels: np.ndarray, times: int = 2) -> np.ndarray:
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def save(path: Path, pixels: np.ndarray, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = "rgb16" if pixels.dtype == np.uint16 else "srgb"
    pyvips.Image.new_from_array(pixels).copy(interpretation=kind, xres=10, yres=10).write_to_file(str(path), **options)
    return path


def load(path: Path) -> np.ndarray:
    return pyvips.Image.new_from_file(str(path), revalidate=True).numpy()


def reasons(done: Upscaled) -> dict[str, str]:
    return {failed.source.name: failed.reason for failed in done.failed}


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize(("bits", "file_format"), [(8, "png"), (8, "tiff"), (16, "png"), (16, "tiff")])
def test_every_value_of_a_picture_goes_through_tiles_and_files(
    tmp_path: Path, repeater: str, bits: int, file_format: str
):
    pixels = grain(150, 170, bits)
    source = save(tmp_path / "in.tif", pixels)
    done = upscale([source], tmp_path / "out", network=repeater, format=file_format)
    (record,) = done.pictures
    assert (record.width, record.height, done.made, done.failed) == (340, 300, 1, ())
    made = load(tmp_path / "out" / record.path)
    assert made.dtype == pixels.dtype and (made == repeated(pixels)).all()
    image = pyvips.Image.new_from_file(str(tmp_path / "out" / record.path))
    assert (image.xres, image.yres) == pytest.approx((20, 20), rel=1e-3)  # twice the pixels on the same paper
    if file_format == "tiff":
        assert image.get("tile-width") == 256


def test_a_file_gets_the_pixels_that_the_network_gives_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pixels = painting(1, 150, 110)
    monkeypatch.setattr(enlarge, "_LARGEST_TILE", 128)
    name = "realesr-animevideov3-x2"
    superres.upscale([save(tmp_path / "in.png", pixels)], tmp_path / "out", network=name)
    whole = Enlarger(load_network(name).engine, 512).enlarge(pixels)  # under the constraints that are used unasked
    assert np.abs(load(tmp_path / "out" / "in.png").astype(int) - whole).max() <= 1


def test_sixteen_bits_are_more_than_eight(tmp_path: Path):
    """A gradient finer than eight bits stays one on its way through a real network."""
    rows = np.linspace(30_000, 30_514, 60).astype(np.uint16)  # two levels of eight bits
    pixels = np.broadcast_to(rows[:, None, None], (60, 40, 3)).copy()
    source = save(tmp_path / "in.tif", pixels)
    upscale([source], tmp_path / "out", network="realesr-animevideov3-x2", format="tiff")
    middle = load(tmp_path / "out" / "in.tif")[20:100, 40].mean(axis=1)
    assert len(np.unique(middle)) > 40


@pytest.mark.parametrize(
    ("wish", "size"), [({"scale": 3}, (90, 60)), ({"scale": 1.5}, (45, 30)), ({"size": (100, 50)}, (75, 50))]
)
def test_any_scale_and_any_frame(tmp_path: Path, repeater: str, wish: dict, size: tuple[int, int]):
    source = save(tmp_path / "in.png", painting(0, 30, 20))
    (record,) = upscale([source], tmp_path / "out", network=repeater, **wish).pictures
    image = pyvips.Image.new_from_file(str(tmp_path / "out" / "in.png"))
    assert (image.width, image.height) == (record.width, record.height) == size
    assert abs(image.avg() - pyvips.Image.new_from_file(str(source)).avg()) < 1


def test_what_has_the_size_already_is_left_with_the_reason(tmp_path: Path, repeater: str):
    save(tmp_path / "in" / "large.png", painting(0, 60, 40))
    save(tmp_path / "in" / "small.png", painting(0, 30, 20))
    done = upscale([tmp_path / "in"], tmp_path / "out", network=repeater, size=(60, 60))
    assert [record.path for record in done.pictures] == ["small.png"]
    assert [(source.name, reason) for source, reason in done.left] == [("large.png", "it has 60x40 pixels already")]


def photograph(path: Path) -> Path:
    """A picture lying on its side, with all that a camera and an archive write into a file."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x8298] = 6, "A boat", "nobody"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(painting(2, 60, 40)).save(path, exif=exif, dpi=(300, 300), xmp=XMP, icc_profile=ICC, quality=95)
    return path


@pytest.mark.parametrize("file_format", ["png", "tiff", "jpeg"])
def test_profile_resolution_and_metadata_are_kept_and_the_picture_is_upright(
    tmp_path: Path, repeater: str, file_format: str
):
    source = pyvips.Image.new_from_file(str(photograph(tmp_path / "in.jpg")))
    (record,) = upscale([tmp_path / "in.jpg"], tmp_path / "out", network=repeater, format=file_format).pictures
    with Image.open(tmp_path / "out" / record.path) as image:
        assert image.size == (80, 120) and image.info["dpi"] == pytest.approx((600, 600), rel=1e-3)
        assert image.info["icc_profile"] == ICC
        exif = image.getexif()
        assert (exif[0x010E], exif[0x8298], exif.get(0x0112, 1)) == ("A boat", "nobody", 1)
        assert exif.get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"
        words = image.info.get("xmp") or image.info["XML:com.adobe.xmp"].encode()
        assert b'tiff:Orientation="1"' in words
    upright = source.autorot().numpy()
    made = load(tmp_path / "out" / record.path)
    assert np.abs(made.astype(int) - repeated(upright)).mean() < (4 if file_format == "jpeg" else 0.001)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        *itertools.product(["png", "jpg", "tif"], ["nowhere", "in the file", "in EXIF alone"]),
        *itertools.product(["webp"], ["nowhere", "in EXIF alone"]),
    ],
)
def test_the_size_on_paper_stays_where_a_file_says_it_and_is_not_made_up(
    tmp_path: Path, repeater: str, kind: str, said: str
):
    exif = Image.Exif()
    if said == "in EXIF alone":
        exif[0x011A], exif[0x011B], exif[0x0128] = 300.0, 300.0, 2
    options = {"dpi": (300, 300)} if said == "in the file" else {"exif": exif}
    Image.fromarray(painting(0, 20, 20)).save(tmp_path / f"in.{kind}", **options)
    for file_format in ("png", "tiff", "jpeg"):
        out = tmp_path / file_format
        (record,) = upscale([tmp_path / f"in.{kind}"], out, network=repeater, format=file_format).pictures
        expected = 72 if said == "nowhere" else 600  # Exif 2.32 has 72 written where nobody knows
        with Image.open(out / record.path) as image:
            assert image.info["dpi"] == pytest.approx((expected, expected), abs=0.1)
            assert image.getexif()[0x011A] == pytest.approx(expected, abs=0.1)


def test_a_description_of_the_old_pixels_is_left_out(tmp_path: Path, repeater: str):
    import tifffile

    tifffile.imwrite(tmp_path / "in.tif", painting(0, 20, 30), photometric="rgb")
    upscale([tmp_path / "in.tif"], tmp_path / "out", network=repeater, format="tiff")
    with tifffile.TiffFile(tmp_path / "out" / "in.tif") as made:
        assert not made.is_shaped and made.series[0].shape == (60, 40, 3)


def test_words_of_a_tiff_reach_every_format(tmp_path: Path, repeater: str):
    source = save(tmp_path / "in.tif", painting(0, 20, 20))
    exif = Image.Exif()
    exif[0x013B] = "Huang Binhong"
    put_into_tiff(source, words_in(exif.tobytes()))
    for file_format in ("png", "tiff", "jpeg"):
        (record,) = upscale([source], tmp_path / "out", network=repeater, format=file_format).pictures
        with Image.open(tmp_path / "out" / record.path) as image:
            assert image.getexif()[0x013B] == "Huang Binhong"


def test_captions_pass_from_every_format_to_every_other(tmp_path: Path, repeater: str):
    from PIL import IptcImagePlugin

    plain = save(tmp_path / "plain.tif", painting(0, 20, 20))
    upscale([plain], tmp_path / "first", network=repeater, format="tiff")
    source = tmp_path / "first" / "plain.tif"
    put_into_tiff(source, Words(iptc=IPTC))
    for number, file_format in enumerate(("jpeg", "png", "jpeg", "tiff", "png", "tiff")):
        out = tmp_path / str(number)
        (record,) = upscale([source], out, network=repeater, scale=1.1, format=file_format).pictures
        source = out / record.path
        assert open_picture(source).words.iptc == IPTC
        if file_format != "png":  # Pillow knows no place for it there
            with Image.open(source) as image:
                assert IptcImagePlugin.getiptcinfo(image)[2, 120] == b"A boat"


def test_a_pngs_texts_stay(tmp_path: Path, repeater: str):
    from PIL import PngImagePlugin

    texts = PngImagePlugin.PngInfo()
    texts.add_text("Creation Time", "1935")
    texts.add_itxt("Title", "江岸")
    Image.fromarray(painting(0, 20, 20)).save(tmp_path / "in.png", pnginfo=texts)
    upscale([tmp_path / "in.png"], tmp_path / "out", network=repeater)
    with Image.open(tmp_path / "out" / "in.png") as image:
        image.load()
        assert (image.info["Creation Time"], image.info["Title"]) == ("1935", "江岸")


@pytest.mark.parametrize(("big", "order"), itertools.product([False, True], "<>"))
def test_words_go_into_every_kind_of_tiff_and_come_out_again(tmp_path: Path, big: bool, order: str):
    import tifffile

    exif = Image.Exif()
    exif[0x010E], exif[0x0131] = "A boat on the river", "mine"
    exif.get_ifd(0x8769)[0x829A] = (1, 250)
    exif.get_ifd(0x8825)[2] = (48.0, 8.0, 15.5)
    words, file, pixels = words_in(exif.tobytes()), tmp_path / "a.tif", grain(20, 50)
    tifffile.imwrite(file, pixels, bigtiff=big, byteorder=order, photometric="rgb", software=False, metadata=None)
    put_into_tiff(file, words)
    assert words_of(file) == words == words_in(block_of(words)) != Words()
    assert (tifffile.imread(file) == pixels).all() and (load(file) == pixels).all()


@pytest.mark.parametrize(
    "block", [b"", b"II", b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff", b"MM\0+" + b"\xff" * 20]
)
def test_broken_words_are_none(block: bytes):
    assert words_in(block) == Words()


def test_transparency_is_enlarged_beside_the_colours(tmp_path: Path, repeater: str):
    alpha = Image.fromarray((np.hypot(*np.mgrid[-30:30, -20:20]) * 8).clip(0, 255).astype(np.uint8))
    picture = Image.fromarray(painting(3, 40, 60))
    picture.putalpha(alpha)
    picture.save(tmp_path / "in.png")
    for file_format in ("png", "tiff"):
        (record,) = upscale([tmp_path / "in.png"], tmp_path / "out", network=repeater, format=file_format).pictures
        made = load(tmp_path / "out" / record.path)
        assert (made[..., :3] == repeated(painting(3, 40, 60))).all()
        lanczos = np.asarray(alpha.resize((80, 120), Image.Resampling.LANCZOS))
        assert np.abs(made[..., 3].astype(int) - lanczos).max() <= 1
    refused = upscale([tmp_path / "in.png"], tmp_path / "out", network=repeater, format="jpeg")
    assert "alpha" in reasons(refused)["in.png"]


def test_transparency_is_the_same_in_strips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from artmaster_pipeline.superres.upscaling import sheets

    image = pyvips.Image.new_from_array(grain(50, 30)[..., :1])
    source = sheets.write_raw(image, tmp_path / "source.raw")
    whole = sheets.enlarged_by_lanczos(source, 77, 131, tmp_path / "whole.raw")[:, :]
    monkeypatch.setattr(sheets, "_CACHED", 8 * 77 * 9)
    assert (
        np.abs(sheets.enlarged_by_lanczos(source, 77, 131, tmp_path / "strips.raw")[:, :] - whole.astype(int)).max()
        <= 1
    )


def test_grey_stays_grey_and_cmyk_stays_cmyk(tmp_path: Path, repeater: str):
    grey = painting(4, 40, 30)[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(painting(4, 40, 30)).convert("CMYK").save(tmp_path / "ink.jpg", quality=98)
    sources = [tmp_path / "grey.png", tmp_path / "ink.jpg"]
    done = upscale(sources, tmp_path / "out", network=repeater, format="tiff")
    assert (load(tmp_path / "out" / "grey.tif").squeeze() == repeated(grey)).all()
    press = "cmyk"  # libvips' own, as it has none
    images = [pyvips.Image.new_from_file(str(f)) for f in (tmp_path / "ink.jpg", tmp_path / "out" / "ink.tif")]
    assert images[1].interpretation == "cmyk" and images[1].get_typeof("icc-profile-data")
    before, after = (
        image.icc_transform("srgb", embedded=True, input_profile=press, intent="relative").numpy().astype(int)
        for image in images
    )
    assert np.abs(after - repeated(before)).mean() < 2
    assert [bool(record.notes) for record in done.pictures] == [False, True]  # the profile was a guess, which is said
    assert "CMYK" in reasons(upscale(sources, tmp_path / "png", network=repeater))["ink.jpg"]


def test_nothing_is_made_twice_and_nothing_else_is_replaced_unasked(tmp_path: Path, repeater: str):
    save(tmp_path / "in" / "a.png", painting(0, 20, 30))
    first = upscale([tmp_path / "in"], tmp_path / "out", network=repeater)
    again = upscale([tmp_path / "in"], tmp_path / "out", network=repeater)
    assert (first.made, again.made) == (1, 0) and first.pictures == again.pictures
    other = upscale([tmp_path / "in"], tmp_path / "out", network=repeater, scale=4)
    assert other.made == 0 and "there already" in reasons(other)["a.png"]
    replaced = upscale([tmp_path / "in"], tmp_path / "out", network=repeater, scale=4, overwrite=True)
    assert replaced.made == 1 and load(tmp_path / "out" / "a.png").shape == (120, 80, 3)
    rough = upscale([tmp_path / "in"], tmp_path / "out", network=repeater, scale=4, dtype="bfloat16", overwrite=True)
    assert rough.made == 1 and rough.pictures[0].id != replaced.pictures[0].id
    (tmp_path / "out" / "a.png").write_bytes(b"edited")
    assert (
        "another picture" in reasons(upscale([tmp_path / "in"], tmp_path / "out", network=repeater, scale=4))["a.png"]
    )
    save(tmp_path / "in" / "a.png", painting(1, 20, 30))
    new = upscale([tmp_path / "in"], tmp_path / "out", network=repeater, overwrite=True)
    assert new.made == 1 and (load(tmp_path / "out" / "a.png") == repeated(painting(1, 20, 30))).all()


def test_the_same_bytes_under_another_name_are_not_enlarged_again(
    tmp_path: Path, repeater: str, monkeypatch: pytest.MonkeyPatch
):
    source = save(tmp_path / "in" / "a.png", painting(0, 20, 30))
    for name in ("b.png", "sub/c.png"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(source.read_bytes())
    asked = []
    whole = TorchEngine.enlarge
    monkeypatch.setattr(TorchEngine, "enlarge", lambda self, tile: asked.append(1) or whole(self, tile))
    done = upscale([tmp_path / "in"], tmp_path / "out", network=repeater)
    assert (done.made, len(done.pictures), len(asked)) == (1, 3, 1)
    assert len({(tmp_path / "out" / record.path).read_bytes() for record in done.pictures}) == 1
    source.rename(tmp_path / "in" / "d.png")
    again = upscale([tmp_path / "in" / "d.png"], tmp_path / "out", network=repeater)
    assert (again.made, len(asked)) == (0, 1) and "copy of" in again.pictures[0].notes[0]


def test_a_picture_that_was_enlarged_before_is_told_of_and_enlarged(tmp_path: Path, repeater: str):
    save(tmp_path / "in" / "sub" / "a.png", painting(0, 20, 30))
    upscale([tmp_path / "in"], tmp_path / "out", network=repeater)
    (tmp_path / "moved.png").write_bytes((tmp_path / "out" / "sub" / "a.png").read_bytes())
    (elsewhere,) = upscale([tmp_path / "out"], tmp_path / "more", network=repeater).pictures
    (here,) = upscale([tmp_path / "moved.png"], tmp_path / "out", network=repeater).pictures
    for record in (elsewhere, here):
        assert record.width == 80 and "enlarged before, from a.png by repeater" in record.notes[0]


def test_links_count_as_the_pictures_they_lead_to_and_odd_names_are_told_of(tmp_path: Path, repeater: str):
    """Under the picture's own name where it is among them; as they are named where a store holds it."""
    stored = save(tmp_path / "store" / "0a1b.tif", painting(0, 20, 30))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "boat.tif").symlink_to(stored)
    save(tmp_path / "in" / "z.tif", painting(1, 20, 30))
    (tmp_path / "in" / "a link.tif").symlink_to(tmp_path / "in" / "z.tif")
    (tmp_path / "in" / "lost.tif").symlink_to(tmp_path / "nowhere.tif")
    (tmp_path / "in" / "\udcff.tif").symlink_to(stored)
    done = upscale([tmp_path / "in"], tmp_path / "out", network=repeater)
    assert [record.path for record in done.pictures] == ["boat.png", "z.png"]
    assert reasons(done) == {"lost.tif": "It is no file, or a link to nothing"}
    (tmp_path / "in" / "boat.tif").unlink()
    assert reasons(upscale([tmp_path / "in"], tmp_path / "out", network=repeater)) == {
        "lost.tif": "It is no file, or a link to nothing",
        "\udcff.tif": "Its name is not valid UTF-8",
    }
    save(tmp_path / "in" / f"{'long' * 62}.tif", painting(0, 20, 30))
    save(tmp_path / "in" / f"{'LONG' * 62}.tif", painting(1, 20, 30))
    told = reasons(upscale([tmp_path / "in"], tmp_path / "out", network=repeater))
    assert "too long for this disk. Shorten" in told[f"{'long' * 62}.tif"]


def test_a_folder_that_cannot_be_listed_is_told_of(tmp_path: Path, repeater: str, monkeypatch: pytest.MonkeyPatch):
    import os

    save(tmp_path / "in" / "a.png", painting(0, 20, 30))
    closed = tmp_path / "in" / "closed"
    closed.mkdir()
    whole = os.scandir

    def scandir(path):
        if str(path) == str(closed):
            raise PermissionError(13, "Permission denied", str(path))
        return whole(path)

    monkeypatch.setattr(os, "scandir", scandir)
    done = upscale([tmp_path / "in"], tmp_path / "out", network=repeater)
    assert done.made == 1 and reasons(done) == {"closed": "It cannot be listed (Permission denied)"}


def test_room_for_pixels_in_work_is_taken_before_they_are_written(tmp_path: Path):
    """A mapped file with holes would end the process where the disk is full."""
    from artmaster_pipeline.superres.upscaling.sheets import Sheet

    sheet = Sheet(tmp_path, "sheet", 600, 500, 64, "cut")
    sheet.shared(0)
    taken = [file.stat() for file in tmp_path.iterdir()]
    assert len(taken) == 2 and all(stat.st_blocks * 512 >= stat.st_size > 300_000 for stat in taken)


def test_texture_and_grain_may_go_by_the_painters_own_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from artmaster_pipeline.superres.upscaling import likeness

    monkeypatch.setattr(likeness, "_MOST", 2)
    source = save(tmp_path / "in.png", painting(0, 40, 30))
    rough = np.random.default_rng(0).normal(128, 40, (520, 530, 3)).clip(0, 255).astype(np.uint8)
    scans = [save(tmp_path / "scans" / f"{number}.png", rough) for number in range(3)]
    scans[1].write_bytes(scans[1].read_bytes()[:90_000])  # the first and the last are looked at
    save(tmp_path / "scans" / "small.png", painting(0, 40, 30))
    upscale = functools.partial(superres.upscale, [source], network="realesr-animevideov3-x2")
    (plain,) = upscale(tmp_path / "plain").pictures
    (like,) = upscale(tmp_path / "like", like=tmp_path / "scans").pictures
    assert like.id != plain.id
    grain = [np.abs(np.diff(load(tmp_path / name / "in.png").astype(int), axis=0)).mean() for name in ("plain", "like")]
    assert grain[1] > 1.1 * grain[0]
    for place, wish, says in (
        (tmp_path / "scans", {"constraints": ["colour"]}, "neither"),
        (tmp_path / "absent", {}, "no such folder"),
        (tmp_path / "plain", {}, "at least 512 pixels"),
    ):
        with pytest.raises(WrongUse, match=says):
            upscale(tmp_path / "out", like=place, **wish)
    scans[2].write_bytes(scans[1].read_bytes())
    with pytest.raises(BadInput, match=r"2\.png.*cannot be read"):
        upscale(tmp_path / "out", like=tmp_path / "scans")
    assert not (tmp_path / "out").exists()


def test_names_do_not_collide_and_do_not_leave_the_folder(tmp_path: Path, repeater: str):
    for number, name in enumerate(["a.png", "a.jpg", "sub/a.png", "sub/B.png", "sub/b.PNG", "x[page=1].tif"]):
        save(tmp_path / "in" / name.lower().replace("b.png", f"b{number}.png"), painting(number, 12, 10)).rename(
            tmp_path / "in" / name
        )
    (tmp_path / "in" / ".hidden.png").write_bytes(b"")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    alone = save(tmp_path / "elsewhere" / "a.png", painting(9, 12, 10))
    done = upscale([tmp_path / "in", alone], tmp_path / "in" / "out", network=repeater)
    paths = [record.path for record in done.pictures]
    assert not done.failed and len({path.casefold() for path in paths}) == len(paths) == 7
    assert sorted(path.split("-")[0] for path in paths) == [
        "a",
        "a",
        "a",
        "sub/B",
        "sub/a.png",
        "sub/b",
        "x[page=1].png",
    ]
    assert upscale([tmp_path / "in", alone], tmp_path / "in" / "out", network=repeater).made == 0
    (tmp_path / "outside").mkdir()
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "sub").symlink_to(tmp_path / "outside")
    led = upscale([tmp_path / "in"], tmp_path / "second", network=repeater)
    assert set(reasons(led)) >= {"B.png"} and not any((tmp_path / "outside").iterdir())


def test_a_source_is_never_replaced(tmp_path: Path, repeater: str):
    source = save(tmp_path / "a.png", painting(0, 20, 30))
    before = source.read_bytes()
    done = upscale([source], tmp_path, network=repeater, overwrite=True)
    assert "source" in reasons(done)["a.png"] and source.read_bytes() == before


def test_a_bad_file_among_others_is_told_of_at_the_end(tmp_path: Path, repeater: str, capsys: pytest.CaptureFixture):
    from artmaster_pipeline.cli.app import app

    whole = save(tmp_path / "in" / "a.png", painting(0, 20, 30))
    (tmp_path / "in" / "cut.png").write_bytes(whole.read_bytes()[:700])
    (tmp_path / "in" / "empty.jpg").write_bytes(b"")
    pyvips.Image.black(9, 9).cast("float").tiffsave(str(tmp_path / "in" / "float.tif"))
    save(tmp_path / "in" / "z.png", painting(1, 20, 30))
    words = ["upscale", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--network", repeater]
    assert app(words, standalone_mode=False) == 1
    said = capsys.readouterr()
    assert "2 enlarged, 0 there already, 3 failed." in said.out
    assert sorted(file.name for file in (tmp_path / "out").glob("*.*")) == [".upscale", "a.png", "z.png"]
    assert app([*words, "--json"], standalone_mode=False) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["made"] == 0 and len(told["pictures"]) == 2
    assert {Path(failed["source"]).name for failed in told["failed"]} == {"cut.png", "empty.jpg", "float.tif"}
    for failed in told["failed"]:
        assert failed["reason"] and failed["remedy"]
        Path(failed["source"]).unlink()
    assert app([*words, "--json"], standalone_mode=False) in (0, None)


_KILLED = """
import os, signal, sys
from artmaster_pipeline.superres import enlarge, upscale
from artmaster_pipeline.superres.upscaling.sheets import Sheet
enlarge._LARGEST_TILE = 64
whole = Sheet.write
count = 0
def killing(self, top, left, values):
    global count
    whole(self, top, left, values)
    count += 1
    if count == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
Sheet.write = killing
upscale([sys.argv[1]], sys.argv[2], network=sys.argv[3], scale=4, constraints=())
"""


@pytest.mark.usefixtures("small_tiles")
def test_a_killed_run_goes_on_behind_the_last_band(tmp_path: Path, repeater: str, monkeypatch: pytest.MonkeyPatch):
    pixels = grain(120, 100)
    source, out = save(tmp_path / "in.png", pixels), tmp_path / "out"
    program = (str(source), str(out), repeater)
    for tiles in (5, 20):  # in the first pass, and in the second over twice as many pixels
        assert forked.run(_KILLED, "upscale", *program, str(tiles)).returncode == -signal.SIGKILL
        assert not (out / "in.png").exists()
    asked = []
    whole = TorchEngine.enlarge
    monkeypatch.setattr(TorchEngine, "enlarge", lambda self, tile: asked.append(1) or whole(self, tile))
    # where the disk has room for what is still to be made alone, and another picture comes first
    taken = sum(file.stat().st_size for file in (out / ".upscale" / "work").rglob("*.*"))
    network = constrained(load_network(repeater), ())
    needed = disk_bytes(open_picture(source), (400, 480), network) - taken
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=needed + 1000))
    another = save(tmp_path / "a.png", painting(0, 5, 4))
    said: list[str] = []
    done = upscale([source, another], out, network=repeater, scale=4, progress=Progress(said.append))
    assert said[-1].startswith(f"Enlarging: {len(asked)} of {len(asked)} in")  # what was there is not counted again
    tiles = [network.tiles(height, 10 * height // 12) for height in (120, 240)]
    assert done.made == 2 and len(asked) - 2 < tiles[1]  # nothing of the first pass, not all of the second
    assert (load(out / "in.png") == repeated(pixels, 4)).all()
    assert not any((out / ".upscale" / "work").iterdir())


_PEAKS = """
import sys, tracemalloc
from pathlib import Path
from artmaster_pipeline.superres import enlarge, upscale
enlarge._LARGEST_TILE = 64
network, out, *sources = sys.argv[1:]
for source in (sources[0], *sources):  # the first once before it counts: modules are loaded with it
    tracemalloc.start()
    upscale([Path(source)], Path(out), network=network, bits=16, constraints=())
    print(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    (Path(out) / Path(source).name).unlink()  # what is there would not be made again
"""


def test_memory_does_not_grow_with_the_picture(tmp_path: Path, repeater: str):
    """What Python holds; libvips and PyTorch hold what a tile and a few rows take.

    In a process of its own: in the tests' own, tables of the interpreter that other tests have filled may grow just
    then, by as much as a picture takes.
    """
    sizes = ((150, 150), (600, 150), (150, 600))
    sources = [str(save(tmp_path / f"{height}x{width}.png", grain(height, width))) for height, width in sizes]
    told = forked.run(_PEAKS, "peaks", repeater, str(tmp_path / "out"), *sources, check=True).stdout
    _, *peaks = (int(line) for line in told.split())
    assert len(peaks) == len(sizes)
    assert max(peaks) < 1.2 * peaks[0] + 100_000  # the larger ones have 2 MB, enlarged


def test_progress_tells_megapixels_a_second_and_the_time_that_is_left(
    tmp_path: Path, repeater: str, monkeypatch: pytest.MonkeyPatch
):
    """By a clock on which every look at it takes half an hour."""
    from artmaster_pipeline import progress
    from artmaster_pipeline.superres.upscaling import passing

    clock = itertools.count(0, 1800)
    for module in (progress, passing):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    for number in range(3):
        save(tmp_path / "in" / f"{number}.png", painting(number, 20, 30))
    said: list[str] = []
    upscale([tmp_path / "in"], tmp_path / "out", network=repeater, progress=Progress(said.append))
    speed = 40 * 60 / 1e6 / 1800  # the clock is looked at once between the start and the first tile
    told = f"Enlarging: 1 of 3, about 4 h 0 min left. {speed:.3g} megapixels/s, 0.png"
    assert told in said, said


def test_a_full_disk_is_seen_before_work_begins(tmp_path: Path, repeater: str, monkeypatch: pytest.MonkeyPatch):
    from shutil import _ntuple_diskusage as usage

    source = save(tmp_path / "in.png", painting(0, 20, 30))
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**6, 10**6 - 100, 100))
    failed = reasons(upscale([source], tmp_path / "out", network=repeater))
    assert failed["in.png"] == "It takes up to 32 kB of the disk while it lasts, and 100 B are free"


def test_one_process_at_a_time_enlarges_into_a_folder(tmp_path: Path, repeater: str):
    source = save(tmp_path / "in.png", painting(0, 20, 30))
    (tmp_path / "out" / ".upscale").mkdir(parents=True)
    with FileLock(tmp_path / "out" / ".upscale" / "lock"), pytest.raises(ArtMasterError, match="Another process"):
        upscale([source], tmp_path / "out", network=repeater)


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"scale": 2, "size": (9, 9)}, "give one"),
        ({"scale": 1}, "between 1 and 64"),
        ({"scale": float("nan")}, "between 1 and 64"),
        ({"size": (0, 9)}, "no pixels"),
        ({"bits": 16, "format": "jpeg"}, "holds 8 bits"),
        ({"bits": 12}, "neither 8 nor 16"),
        ({"format": "gif"}, "none of png, tiff, jpeg"),
        ({"quality": 0}, "between 1 and 100"),
        ({"network": "no-such-network"}, "Choose one of"),
        ({"engine": "abacus"}, "no engine"),
    ],
)
def test_wishes_that_cannot_be_met_are_answered_at_once(tmp_path: Path, wish: dict, says: str):
    source = save(tmp_path / "in.png", painting(0, 20, 30))
    with pytest.raises(WrongUse, match=says):
        upscale([source], tmp_path / "out", **({"network": "realesr-animevideov3-x2"} | wish))
    assert not (tmp_path / "out").exists()


def test_what_is_not_there_is_named(tmp_path: Path, repeater: str):
    with pytest.raises(WrongUse, match="absent"):
        upscale([tmp_path / "absent"], tmp_path / "out", network=repeater)
    with pytest.raises(WrongUse, match="no picture"):
        upscale([tmp_path], tmp_path / "out", network=repeater)
    (tmp_path / "a-file").write_text("")
    with pytest.raises(WrongUse, match="--out"):
        upscale([save(tmp_path / "in.png", painting(0, 20, 30))], tmp_path / "a-file", network=repeater)
    assert not (tmp_path / "out").exists()

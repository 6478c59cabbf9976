"""The picture area: mountings, frames, margins and charts are found, skew is undone, and no painting is cut."""

from pathlib import Path

import made_scans
import numpy as np
import pytest
import pyvips  # noqa: TID253 - a test may
from made_mounts import Rectangle, brocade, set_into, silk, turned, with_chart, wooden_frame

from artmaster_pipeline.curation.area import PaintedArea, find_area, upright
from artmaster_pipeline.curation.boxes import Box
from artmaster_pipeline.curation.look import Look, look_at

GROUND = (196, 190, 178)


def _look(pixels: np.ndarray) -> Look:
    image = pyvips.Image.new_from_array(np.ascontiguousarray(pixels)).copy(interpretation="srgb")
    return Look(pixels, image.colourspace("lab").numpy().astype(np.float32), 1.0)


def _area(pixels: np.ndarray) -> PaintedArea:
    return find_area(_look(pixels))


def _assert_is(area: PaintedArea, painting: Rectangle, off: int = 8, left: int = 1) -> None:
    """The area is the painting: no more than `off` pixels of it lost at a side, and `left` of a border kept."""
    box = area.box
    lost = (box.left - painting[0], box.top - painting[1], painting[2] - box.right, painting[3] - box.bottom)
    assert max(lost) <= off, (box, painting)
    assert min(lost) >= -left, (box, painting)


@pytest.mark.parametrize("colour", [(255, 255, 255), (3, 3, 3), (196, 178, 142), (120, 122, 119)])
def test_margins_of_any_colour_are_left_out(colour: tuple[int, int, int]) -> None:
    pixels = made_scans.around(made_scans.painting(3, 360, 480), (60, 45, 90, 30), colour)
    _assert_is(_area(pixels), (30, 60, 390, 540))


def test_a_mounting_inside_a_scanner_margin_is_left_out_too() -> None:
    mounted = made_scans.around(made_scans.painting(3, 300, 400), (50, 40, 50, 40), (168, 150, 118))
    pixels = made_scans.around(mounted, (20, 30, 25, 15), (4, 4, 4))
    _assert_is(_area(pixels), (55, 70, 355, 470))


def test_brocade_with_silk_inside_it_is_left_out() -> None:
    mounted, inner = set_into(silk(380, 520), made_scans.painting(4, 340, 460), 20, 30)
    pixels, outer = set_into(brocade(540, 800), mounted, 80, 160)
    _assert_is(_area(pixels), (inner[0] + outer[0], inner[1] + outer[1], inner[2] + outer[0], inner[3] + outer[1]))


def test_a_gilt_frame_on_a_wall_is_left_out() -> None:
    framed, inner = wooden_frame(made_scans.painting(5, 420, 340))
    pixels, outer = set_into(np.full((520, 600, 3), 235, np.uint8), framed, 40, 50)
    _assert_is(_area(pixels), (inner[0] + outer[0], inner[1] + outer[1], inner[2] + outer[0], inner[3] + outer[1]))


def test_a_colour_chart_and_a_ruler_in_the_margin_are_left_out() -> None:
    pixels, painting = with_chart(made_scans.painting(6, 420, 520))
    _assert_is(_area(pixels), painting)


@pytest.mark.parametrize("degrees", [-4.0, -1.2, 0.6, 3.0])
def test_skew_is_measured_and_undone(degrees: float) -> None:
    straight, painting = set_into(silk(620, 740, GROUND), made_scans.painting(7, 400, 500), 110, 120)
    pixels = turned(straight, degrees, GROUND)
    area = _area(pixels)
    assert area.skew == pytest.approx(degrees, abs=0.15)
    _assert_is(area, painting, left=2)
    box, back = area.box, upright(pixels, area.skew)
    inner = (slice(box.top, box.bottom), slice(box.left, box.right))
    # the silk's own noise is gone once a picture is turned twice, and so are a few edges of strokes
    assert np.median(np.abs(back[inner].astype(int) - straight[inner].astype(int))) <= 12


def test_a_slanting_horizon_is_no_skew() -> None:
    y, x = np.mgrid[0:400, 0:600]
    rng = np.random.default_rng(1)
    sea = np.where((y > 200 + 0.03 * x)[..., None], (70, 100, 130), (205, 210, 215)).astype(np.float32)
    pixels = (sea + rng.normal(0, 6, (400, 600, 1))).clip(0, 255).astype(np.uint8)
    area = _area(pixels)
    assert area.skew == 0
    assert area.box == Box(0, 0, 600, 400)


def test_blank_paper_is_part_of_the_painting() -> None:
    area = _area(made_scans.painting(5, 400, 600))
    assert area.mask.all()
    assert area.box == Box(0, 0, 400, 600)
    assert area.outline is None
    assert area.unsure == ""


def test_a_sky_that_darkens_and_a_shore_that_is_straight_are_no_borders() -> None:
    rng = np.random.default_rng(0)
    sky = np.linspace((70, 90, 140), (225, 220, 205), 260)[:, None, :] + np.zeros((1, 500, 1))
    sea = np.full((140, 500, 3), (90, 120, 150)) + rng.normal(0, 14, (140, 500, 1))
    picture = np.concatenate([sky, sea])
    for x in range(40, 460, 60):
        picture[230:280, x : x + 22] = (60, 50, 40)
    assert _area(picture.clip(0, 255).astype(np.uint8)).box == Box(0, 0, 500, 400)


def test_a_white_sky_above_a_straight_shore_is_kept_whole() -> None:
    rng = np.random.default_rng(2)
    picture = np.full((420, 560, 3), 250, np.float32)
    picture[150:] = rng.normal(110, 25, (270, 560, 1))
    assert _area(picture.clip(0, 255).astype(np.uint8)).box == Box(0, 0, 560, 420)


def test_a_round_leaf_has_a_mask_and_an_outline_and_gives_windows_without_the_ground() -> None:
    y, x = np.mgrid[0:500, 0:640]
    disc = (x - 320) ** 2 + (y - 250) ** 2 < 210**2
    pixels = np.where(disc[..., None], made_scans.painting(6, 640, 500), 255).astype(np.uint8)
    area = _area(pixels)
    assert not area.mask[~disc].any()
    assert area.mask.sum() > 0.95 * disc.sum()
    assert area.outline is not None
    radii = [np.hypot(a - 320, b - 250) for a, b in area.outline]
    assert 200 < min(radii) <= max(radii) < 211


def test_the_colophon_above_a_painting_is_left_out() -> None:
    paper = np.full((120, 420, 3), 236, np.uint8)
    for x in range(20, 400, 24):
        paper[15:105:9, x : x + 8] = 40
    pixels = np.concatenate([paper, (made_scans.painting(7, 420, 500) * 0.6).astype(np.uint8)])
    assert _area(pixels).box.top == pytest.approx(120, abs=10)


def test_of_a_handscroll_the_painting_is_kept_and_its_colophons_are_not() -> None:
    rng = np.random.default_rng(3)
    paper = np.full((200, 500, 3), (228, 220, 200), np.float32) + rng.normal(0, 2, (200, 500, 1))
    for x in range(15, 490, 22):
        for y in range(14, 185, 16):
            paper[y : y + 11, x + rng.integers(0, 3) : x + 12] = 50
    painting = made_scans.painting(8, 900, 200) * 0.75
    pixels = np.concatenate([paper, silk(60, 200), painting, silk(60, 200), paper], axis=1)
    area = _area(pixels.clip(0, 255).astype(np.uint8))
    assert (area.box.left, area.box.right) == pytest.approx((560, 1460), abs=14)


def test_a_picture_of_one_colour_has_an_area() -> None:
    assert _area(np.full((200, 300, 3), 128, np.uint8)).box == Box(0, 0, 300, 200)


@pytest.mark.parametrize("shape", [(5, 7), (3, 400), (40, 40), (30, 2000)])
def test_tiny_and_narrow_pictures_have_an_area(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.uint8)
    box = _area(pixels).box
    assert box.width > 0.5 * shape[1]
    assert box.height > 0.5 * shape[0]


# works with their paintings' rectangles as fractions of the scan, looked at one by one
MOUNTED_AND_BARE = [
    ("chinese-masters/unknown-yuan/artic-12314-843.jpg", (0.179, 0.170, 0.825, 0.934)),
    ("chinese-masters/unknown-qing/artic-13447-843.jpg", (0.129, 0.052, 0.866, 0.948)),
    ("chinese-masters/unknown-southern-song/li-di-sunniao-jipu-tu-800.jpg", (0.078, 0.202, 0.914, 0.848)),
    ("chinese-masters/chen-hongshou/chen-hongshou-fanggu-taoyuanming-800.jpg", (0.034, 0.122, 0.850, 0.910)),
    ("chinese-masters/wang-meng/wang-meng-juqu-linwu-800.jpg", (0.050, 0.350, 0.953, 0.976)),
    ("chinese-masters/unknown-five-dynasties/ruan-gao-langyuan-nuxian-tu-800.jpg", (0.456, 0.000, 0.894, 0.962)),
    ("chinese-masters/zhang-xuan/zhang-xuan-daolian-tu-800.jpg", (0.447, 0.050, 0.754, 0.938)),
    ("hiroshige/utagawa-hiroshige/34_yoshida.jpeg", (0.045, 0.064, 0.965, 0.947)),
    ("huang-binhong/scans/黄宾虹 山水画09.jpg", (0.000, 0.000, 1.000, 1.000)),
    ("artic-cc0/edouard-manet/81535.jpg", (0.000, 0.000, 0.993, 1.000)),
]
LEAVES = [
    "huang-binhong/scans/黄宾虹 《松峦云居》 扇页作品.jpg",
    "huang-binhong/scans/黄宾虹 山水画04.jpg",
    "chinese-masters/unknown-southern-song/li-song-huolang-tu-cleveland-800.jpg",
    "chinese-masters/unknown-southern-song/songren-xihu-fanzhou-tu-800.jpg",
]


def _real(paintings: Path, file: str) -> Look:
    path = paintings / file
    if not path.is_file():
        pytest.skip(f"no {file} among the real paintings")
    scan = pyvips.Image.new_from_file(str(path))
    return look_at(scan.colourspace("srgb"), scan.width, scan.height)


def test_real_works_lose_their_mountings_and_nothing_else(paintings: Path) -> None:
    for file, expected in MOUNTED_AND_BARE:
        look = _real(paintings, file)
        height, width = look.lab.shape[:2]
        box = find_area(look).box
        found = (box.left / width, box.top / height, box.right / width, box.bottom / height)
        assert found == pytest.approx(expected, abs=0.02), file


def test_real_fans_and_round_leaves_have_an_outline(paintings: Path) -> None:
    for file in LEAVES:
        area = find_area(_real(paintings, file))
        assert area.outline is not None, file
        inner = area.mask[area.box.top : area.box.bottom, area.box.left : area.box.right]
        assert 0.5 < inner.mean() < 0.95, file

"""Masks: seals, inscriptions and blank space are found where they are, and not where there is painting alone."""

from collections.abc import Sequence
from pathlib import Path

import made_scans
import numpy as np
import pytest
import pyvips  # noqa: TID253 - a test may

from artmaster_pipeline.curation.area import PaintedArea
from artmaster_pipeline.curation.boxes import Box
from artmaster_pipeline.curation.look import Look, look_at
from artmaster_pipeline.curation.masks import Region, find_masks, rasterised, text_detector
from artmaster_pipeline.curation.masks.blank import find_blank
from artmaster_pipeline.curation.masks.regions import outline_of
from artmaster_pipeline.curation.masks.seals import find_seals
from artmaster_pipeline.errors import MissingRequirement
from artmaster_pipeline.scans.decoding import decode

PAPER, INK = (226, 214, 190), (42, 38, 36)


def _sheet(height: int = 640, width: int = 480, seed: int = 0) -> np.ndarray:
    """Blank paper with its grain."""
    grain = np.random.default_rng(seed).normal(0, 2, (height, width, 1))
    return (np.array(PAPER) + grain).clip(0, 255).astype(np.uint8)


def _found(pixels: np.ndarray) -> tuple[Region, ...]:
    """The masks of a picture that is painting up to its edges."""
    look = look_at(pyvips.Image.new_from_array(pixels).copy(interpretation="srgb"), pixels.shape[1], pixels.shape[0])
    return find_masks(look, _all_of(look))


def _all_of(look: Look) -> PaintedArea:
    height, width = look.rgb.shape[:2]
    return PaintedArea(0.0, Box(0, 0, width, height), np.ones((height, width), bool))


def _lab(pixels: np.ndarray) -> np.ndarray:
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")
    return image.colourspace("lab").numpy().astype(np.float32)


def _blank(pixels: np.ndarray) -> list[Region]:
    painted = np.ones(pixels.shape[:2], bool)
    return find_blank(_lab(pixels), painted, ~painted)


def _mask(found: Sequence[Region], kind: str, shape: tuple[int, ...]) -> np.ndarray:
    return rasterised([region.outline for region in found if region.kind == kind], shape)


def test_a_stamped_seal_is_found_and_a_red_leaf_is_not() -> None:
    sheet = made_scans.painting(3, 480, 640)
    sheet[520:568, 400:448] = made_scans.seal(1)
    rows, columns = np.mgrid[:640, :480]
    leaf = np.hypot((rows - 80) / 26, (columns - 240) / 12 + (rows - 80) / 40) < 1
    sheet[leaf] = (176, 70, 52)
    seals = _mask(find_seals(_lab(sheet), np.zeros(sheet.shape[:2], np.float32)), "seal", sheet.shape)
    assert seals[520:568, 400:448].mean() > 0.9
    seals[510:578, 390:458] = False
    assert not seals.any()


def test_a_block_of_writing_is_found_on_paper_and_on_dark_silk() -> None:
    written = made_scans.characters(2, columns=4, rows=9)
    silk, gold = ((104, 84, 58), (48, 40, 32)), ((40, 44, 60), (196, 168, 96))
    for (ground, ink), share in (((PAPER, INK), 0.85), (silk, 0.85), (gold, 0.6)):
        sheet = np.clip(_sheet().astype(int) - PAPER + ground, 0, 255).astype(np.uint8)
        place = sheet[40 : 40 + written.shape[0], 300 : 300 + written.shape[1]]
        place[written] = ink
        inscription = _mask(_found(sheet), "inscription", sheet.shape)
        assert inscription[44 : 36 + written.shape[0], 304 : 296 + written.shape[1]].mean() > share, ground
        assert inscription[:, :250].mean() == 0, ground


def test_blank_space_is_what_neither_strokes_nor_writing_touch() -> None:
    sheet = _sheet()
    written = made_scans.characters(2, columns=3, rows=8)
    sheet[30 : 30 + written.shape[0], 360 : 360 + written.shape[1]][written] = INK
    sheet[400:560, 60:420] = made_scans.painting(1, 360, 160)
    found = _found(sheet)
    blank = _mask(found, "blank", sheet.shape) & ~_mask(found, "inscription", sheet.shape)
    assert blank[20:380, 20:330].mean() > 0.9
    assert blank[460:550, 80:400].mean() < 0.02
    assert blank[40 : 20 + written.shape[0], 370 : 350 + written.shape[1]].mean() < 0.05


def test_an_evenly_painted_sky_is_no_blank_paper() -> None:
    rows = np.linspace(0, 1, 640)[:, None, None]
    sky = (1 - rows) * (96, 132, 184) + rows * (214, 190, 170) + np.random.default_rng(1).normal(0, 1.5, (640, 480, 1))
    sky[500:] = (70, 84, 52)
    assert not _blank(sky.clip(0, 255).astype(np.uint8))


def test_a_ring_of_blank_leaves_out_what_it_surrounds() -> None:
    sheet = _sheet()
    sheet[220:420, 140:340] = made_scans.painting(5, 200, 200)
    blank = _mask(_blank(sheet), "blank", sheet.shape)
    assert blank[:180].mean() > 0.9
    assert blank[320:410, 160:320].mean() < 0.05


def test_outlines_are_short_and_cover_what_they_go_around() -> None:
    rows, columns = np.mgrid[:200, :300]
    angle = np.arctan2(rows - 100, columns - 150)
    star = np.hypot(rows - 100, columns - 150) < 70 + 12 * np.sin(9 * angle)
    for points, alike in ((12, 0.8), (40, 0.95)):
        outline = outline_of(star, points, left=7, top=5)
        assert 3 <= len(outline) <= points
        again = rasterised([outline], (210, 310))[5:205, 7:307]
        assert (again & star).sum() / (again | star).sum() > alike
    assert rasterised([[(-9, -9), (400, -9), (400, 100), (-9, 100)]], (210, 310)).sum() == 100 * 310
    assert not rasterised([], (4, 6)).any()


def test_a_network_that_is_not_the_known_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert text_detector.weights_file().is_file()
    monkeypatch.setattr(text_detector, "_SHA256", "0" * 64)
    with pytest.raises(MissingRequirement, match="pip install --force-reinstall --no-deps rapidocr"):
        text_detector.weights_file()


# file, and the boxes of its inscriptions and of its seals, in fractions of its width and height
REAL = {
    "huang-binhong/scans/黄宾虹 《吴城山》.jpg": ([(0.737, 0.069, 0.941, 0.193)], [(0.741, 0.148, 0.776, 0.166)]),
    "hiroshige/utagawa-hiroshige/04_hodogaya.jpeg": ([(0.465, 0.165, 0.56, 0.24)], []),
    "chinese-masters/zhao-mengfu/zhao-mengfu-eryang-tu-800.jpg": (
        [(0.02, 0.12, 0.21, 0.94)],
        [(0.695, 0.04, 0.76, 0.2), (0.895, 0.22, 0.95, 0.38)],
    ),
    "artic-cc0/pierre-auguste-renoir/16617.jpg": ([], []),
}


@pytest.mark.parametrize("name", REAL)
def test_real_works_are_masked_where_they_are_written_on(paintings: Path, name: str) -> None:
    image = decode(paintings / name).image.copy_memory()
    look = look_at(image, image.width, image.height)
    found = find_masks(look, _all_of(look))
    height, width = shape = look.rgb.shape[:2]
    seals, inscriptions = _mask(found, "seal", shape), _mask(found, "inscription", shape)
    for kind, boxes in zip(("inscription", "seal"), REAL[name], strict=True):
        for left, top, right, bottom in boxes:
            box = np.s_[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
            assert (seals | inscriptions)[box].mean() > 0.5, f"{kind} {(left, top, right, bottom)}"
    if name.startswith("artic"):
        assert (seals | inscriptions).mean() < 0.01
        assert not _mask(found, "blank", shape).any()
    for region in found:
        assert len(region.outline) <= (60 if region.kind == "blank" else 40)
        assert 0 < region.score <= 1
    assert sum(region.kind == "blank" for region in found) <= 8

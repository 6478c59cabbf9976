"""Crops: the two shapes, borders left out, the subject kept, colours and sizes exact, work done once."""

import shutil
import subprocess
import sys
from pathlib import Path

import made_scans
import numpy as np
import pytest
import pyvips  # noqa: TID253 - a test may

from artmaster_pipeline.curation import crop_scans
from artmaster_pipeline.curation.crops import cropping
from artmaster_pipeline.curation.crops.windows import Box, best_window
from artmaster_pipeline.curation.masks.saliency import saliency
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.records import MANIFEST, Crop, read_manifest
from artmaster_pipeline.scans import add_scans, register_scans
from artmaster_pipeline.settings import Home


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyvips.Image.new_from_array(pixels).copy(interpretation="srgb").pngsave(str(path))


def _lab(pixels: np.ndarray) -> np.ndarray:
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")
    return image.colourspace("lab").numpy().astype(np.float32)


def _crops(home: Home) -> dict[tuple[int, int], Crop]:
    register_scans(home, "x")
    return {(crop.width, crop.height): crop for crop in crop_scans(home, "x").records}


def _files(home: Home) -> dict[str, str]:
    folder = home.crops("x")
    return {file.relative_to(folder).as_posix(): sha256_of(file) for file in folder.rglob("*") if file.is_file()}


def test_a_scan_gives_a_crop_and_a_mask_at_both_shapes(home: Home) -> None:
    made_scans.write(home.scans("x") / "a.png", 1, 900, 1400)
    crops = _crops(home)
    assert set(crops) == {(512, 512), (512, 768)}
    for (width, height), crop in crops.items():
        picture = pyvips.Image.new_from_file(str(home.crops("x") / crop.path))
        mask = pyvips.Image.new_from_file(str(home.crops("x") / crop.mask_path))
        assert (picture.width, picture.height, picture.bands) == (width, height, 3)
        assert (mask.width, mask.height, mask.bands, mask.format) == (width, height, 1, "uchar")
        assert (crop.bottom - crop.top) / (crop.right - crop.left) == pytest.approx(height / width, rel=0.01)
        assert crop.source_scale == pytest.approx((crop.right - crop.left) / width, rel=1e-3)
        assert crop.source_scale > 1
        assert 0 < crop.subject_share <= 1


def test_a_crop_shows_the_pixels_of_its_rectangle(home: Home) -> None:
    pixels = made_scans.painting(2, 700, 1000)
    _save(home.scans("x") / "a.png", pixels)
    crop = _crops(home)[512, 768]
    part = pyvips.Image.new_from_array(pixels[crop.top : crop.bottom, crop.left : crop.right])
    expected = part.copy(interpretation="srgb").thumbnail_image(512, height=768, size="force").numpy().astype(int)
    got = pyvips.Image.new_from_file(str(home.crops("x") / crop.path)).numpy().astype(int)
    assert np.abs(got - expected).max() == 0


def test_a_small_scan_is_enlarged_and_says_so(home: Home) -> None:
    made_scans.write(home.scans("x") / "a.png", 1, 240, 320)
    crops = _crops(home)
    assert crops[512, 512].source_scale < 0.5
    assert pyvips.Image.new_from_file(str(home.crops("x") / crops[512, 768].path)).height == 768


def test_the_window_goes_where_the_subject_is() -> None:
    pixels = np.full((300, 1200, 3), (228, 218, 196), np.uint8)
    pixels[40:260, 860:1060] = made_scans.painting(8, 200, 220)
    for aspect in (1.0, 2 / 3):
        window = best_window(saliency(_lab(pixels)), np.ones((300, 1200), bool), Box(0, 0, 1200, 300), aspect)
        assert window is not None
        assert window.left * 1200 < 900
        assert window.right * 1200 > 1020
        assert window.subject_share > 0.5


def test_a_very_long_scroll_gets_windows_of_its_full_height(home: Home) -> None:
    made_scans.write(home.scans("x") / "scroll.jpg", 9, 6000, 300)
    for crop in _crops(home).values():
        assert crop.bottom - crop.top > 290


def test_saliency_is_higher_on_brushwork_than_on_paper() -> None:
    pixels = np.full((200, 300, 3), (228, 218, 196), np.uint8)
    pixels[60:140, 100:200] = made_scans.painting(1, 100, 80)
    found = saliency(_lab(pixels))
    assert found.shape == (200, 300)
    assert 0 <= found.min() <= found.max() <= 1
    assert found[70:130, 110:190].mean() > 4 * found[:40].mean()


def test_a_picture_of_one_colour_still_has_a_window() -> None:
    flat = np.full((200, 300, 3), 128, np.uint8)
    assert best_window(saliency(_lab(flat)), np.ones((200, 300), bool), Box(0, 0, 300, 200), 1.0) is not None


def test_what_leaves_no_useful_window_is_left_out_with_its_reason(home: Home) -> None:
    inner = made_scans.around(made_scans.painting(1, 300, 60), (40, 40, 40, 40), (255, 255, 255))
    _save(home.scans("x") / "narrow.png", inner)
    made_scans.write(home.scans("x") / "good.png", 2)
    register_scans(home, "x")
    outcome = crop_scans(home, "x")
    assert {row.path for row in outcome.quarantined} == {"narrow.png"}
    assert all("each side needs 64" in row.reason and row.sha256 for row in outcome.quarantined)
    assert len(outcome.records) == 2
    again = crop_scans(home, "x")
    assert (again.made, again.reused, again.quarantined) == (0, 2, outcome.quarantined)


def test_a_file_that_changed_after_it_was_registered_is_not_cropped_under_its_old_name(home: Home) -> None:
    made_scans.write(home.scans("x") / "a.png", 1)
    made_scans.write(home.scans("x") / "b.png", 2)
    register_scans(home, "x")
    made_scans.write(home.scans("x") / "a.png", 3)
    outcome = crop_scans(home, "x")
    assert [(row.path, row.remedy) for row in outcome.quarantined] == [("a.png", "Run the stage raw_scans again")]
    register_scans(home, "x")
    assert crop_scans(home, "x").quarantined == ()


def test_a_second_run_makes_nothing_and_a_new_scan_only_its_own(home: Home) -> None:
    made_scans.write(home.scans("x") / "a.png", 1)
    _crops(home)
    before = _files(home)
    again = crop_scans(home, "x")
    assert (again.made, again.reused) == (0, 2)
    assert _files(home) == before
    made_scans.write(home.scans("x") / "b.png", 2)
    register_scans(home, "x")
    more = crop_scans(home, "x")
    assert (more.made, more.reused) == (2, 2)


def test_a_damaged_crop_is_made_again_and_a_stale_one_removed(home: Home) -> None:
    made_scans.write(home.scans("x") / "a.png", 1)
    made_scans.write(home.scans("x") / "b.png", 2)
    crops = _crops(home)
    whole = _files(home)
    crop = next(iter(crops.values()))
    (home.crops("x") / crop.path).write_bytes(b"damaged")
    (home.crops("x") / "images" / "stale.png").write_bytes(b"x")
    (home.crops("x") / "images" / ".partial-1.png").write_bytes(b"x")
    crop_scans(home, "x")
    assert _files(home) == whole


def test_a_killed_run_goes_on_where_it_was_and_ends_the_same(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(3):
        made_scans.write(home.scans("x") / f"{seed}.png", seed)
    register_scans(home, "x")
    real, done = cropping._write, []

    def dies(*arguments: object) -> Crop:
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(real(*arguments))
        return done[-1]

    monkeypatch.setattr(cropping, "_write", dies)
    monkeypatch.setattr(cropping, "_THREADS", 1)
    with pytest.raises(KeyboardInterrupt):
        crop_scans(home, "x")
    assert not (home.crops("x") / MANIFEST).exists()
    monkeypatch.setattr(cropping, "_write", real)
    resumed = crop_scans(home, "x")
    assert (resumed.made, resumed.reused) == (2, 4)
    resumed_files = _files(home)
    for file in (home.crops("x")).rglob("*.*"):
        file.unlink()
    crop_scans(home, "x")
    assert _files(home) == resumed_files


def test_cropping_before_registering_is_an_error_that_names_the_stage(home: Home) -> None:
    made_scans.write(home.scans("x") / "a.png", 1)
    with pytest.raises(ArtMasterError, match="run the stage raw_scans first"):
        crop_scans(home, "x")


def test_real_scans_give_their_crops_without_white_margins(home: Home, paintings: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    for scan in sorted((paintings / "huang-binhong" / "scans").iterdir())[3:77:6]:
        shutil.copy(scan, archive / scan.name)
    add_scans(home, "x", archive)
    scans = register_scans(home, "x").records
    crop_scans(home, "x")
    crops = read_manifest(home.crops("x") / MANIFEST, Crop)
    assert len(crops) == 2 * len(scans) == 26
    assert [crop for crop in crops if _white_edges(home.crops("x") / crop.path)] == []


def _white_edges(path: Path) -> int:
    """How many sides of a crop are a line of the whitest white, as only the ground around a fan is."""
    pixels = pyvips.Image.new_from_file(str(path)).numpy().min(axis=2)
    return sum(bool((side >= 254).mean() > 0.98) for side in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process its peak memory")
def test_memory_does_not_grow_with_the_number_of_crops(home: Home, tmp_path: Path) -> None:
    """16 scans take what 4 take, though each is 3 MB once decoded: one at a time is held, by each of the threads."""
    code = (
        "import re, sys; from pathlib import Path; from artmaster_pipeline.settings import Home;"
        "from artmaster_pipeline.scans import register_scans; from artmaster_pipeline.curation import crop_scans;"
        "home = Home(Path(sys.argv[1])); register_scans(home, 'x'); crop_scans(home, 'x');"
        "print(int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) // 1024)"
    )
    peaks = []
    for number in (4, 16):
        folder = Home(home.root / str(number)).scans("x")
        for seed in range(number):
            made_scans.write(folder / f"{seed}.png", seed, 1000, 1000)
        arguments = [sys.executable, "-c", code, str(home.root / str(number))]
        peaks.append(int(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.split()[-1]))
    assert peaks[1] < peaks[0] + 30

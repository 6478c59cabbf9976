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
from artmaster_pipeline.curation.area import PaintedArea
from artmaster_pipeline.curation.boxes import Box
from artmaster_pipeline.curation.crops import cropping, curating
from artmaster_pipeline.curation.look import Look
from artmaster_pipeline.curation.masks.saliency import saliency
from artmaster_pipeline.curation.review import save_decisions
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.records import CURATED, MANIFEST, Crop, CuratedScan, Decision, Scan, read_manifest
from artmaster_pipeline.scans import add_scans, register_scans
from artmaster_pipeline.settings import Home


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyvips.Image.new_from_array(pixels).copy(interpretation="srgb").pngsave(str(path))


def _lab(pixels: np.ndarray) -> np.ndarray:
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")
    return image.colourspace("lab").numpy().astype(np.float32)


def _crops(home: Home) -> dict[tuple[int, int], Crop]:
    """The first chosen crop of each shape."""
    register_scans(home, "x")
    crops = sorted(crop_scans(home, "x").records, key=lambda crop: -crop.place)
    return {(crop.width, crop.height): crop for crop in crops}


def _works(home: Home) -> dict[str, CuratedScan]:
    """By the scan's path."""
    paths = {scan.id: scan.path for scan in read_manifest(home.register("x") / MANIFEST, Scan)}
    return {paths[work.id]: work for work in read_manifest(home.crops("x") / CURATED, CuratedScan)}


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
        assert crop.source_scale >= 1
        assert 0 < crop.subject_share <= 1
        assert crop.subject_share == crop.terms["saliency"]
    (work,) = _works(home).values()
    made = sorted(read_manifest(home.crops("x") / MANIFEST, Crop), key=lambda crop: crop.place)
    assert work.crops == tuple(crop.id for crop in made)
    assert 2 <= len(made) <= 6


def test_a_crop_shows_the_pixels_of_its_rectangle(home: Home) -> None:
    pixels = made_scans.painting(2, 700, 1000)
    _save(home.scans("x") / "a.png", pixels)
    crop = _crops(home)[512, 768]
    part = pyvips.Image.new_from_array(pixels[crop.top : crop.bottom, crop.left : crop.right])
    expected = part.copy(interpretation="srgb").thumbnail_image(512, height=768, size="force").numpy().astype(int)
    got = pyvips.Image.new_from_file(str(home.crops("x") / crop.path)).numpy().astype(int)
    assert np.abs(got - expected).max() == 0


def test_a_small_scan_is_never_enlarged_and_says_so(home: Home) -> None:
    made_scans.write(home.scans("x") / "a.png", 1, 240, 320)
    crops = _crops(home)
    assert crops[512, 512].source_scale < 0.5
    for crop in crops.values():
        for path in (crop.path, crop.mask_path):
            picture = pyvips.Image.new_from_file(str(home.crops("x") / path))
            assert (picture.width, picture.height) == crop.pixels == (crop.right - crop.left, crop.bottom - crop.top)


def test_16_bits_are_kept_until_a_crop_is_cut(home: Home) -> None:
    """Values a third of a level apart are rounded to the nearest level, as no step before the last has 8 bits."""
    levels = np.linspace(10_000, 14_000, 700)[None, :, None] + np.zeros((900, 1, 3))
    levels[:, ::7] += 9000  # something to look at
    path = home.scans("x") / "a.tif"
    path.parent.mkdir(parents=True)
    pyvips.Image.new_from_array(levels.astype(np.uint16)).copy(interpretation="rgb16").tiffsave(str(path))
    register_scans(home, "x")
    for crop in crop_scans(home, "x").records:
        box = pyvips.Image.new_from_file(str(path)).crop(
            crop.left, crop.top, crop.right - crop.left, crop.bottom - crop.top
        )
        exact = box.resize(crop.width / box.width, vscale=crop.height / box.height).numpy().astype(float) / 257
        got = pyvips.Image.new_from_file(str(home.crops("x") / crop.path)).numpy()
        assert np.abs(got - exact).max() <= 0.51


def test_a_skewed_painting_is_cropped_upright(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    painting = made_scans.painting(4, 600, 800)
    image = pyvips.Image.new_from_array(painting).copy(interpretation="srgb")
    skewed = image.similarity(angle=-2.0, background=[255, 255, 255]).numpy()  # its right side stands up: 2 degrees
    _save(home.scans("x") / "a.png", skewed)
    height, width = skewed.shape[:2]
    box = Box((width - 560) // 2, (height - 760) // 2, (width + 560) // 2, (height + 760) // 2)
    mask = np.zeros((height, width), bool)
    mask[box.top : box.bottom, box.left : box.right] = True

    def found(look: Look) -> PaintedArea:
        assert look.scale == 1
        return PaintedArea(2.0, box, mask)

    monkeypatch.setattr(curating, "find_area", found)
    crop = _crops(home)[512, 512]
    assert crop.skew == 2.0
    left, top = crop.left - (width - 600) // 2, crop.top - (height - 800) // 2
    part = painting[top : top + crop.bottom - crop.top, left : left + crop.right - crop.left]
    expected = pyvips.Image.new_from_array(part).copy(interpretation="srgb").thumbnail_image(512, height=512)
    got = pyvips.Image.new_from_file(str(home.crops("x") / crop.path))
    error = np.abs(got.numpy().astype(int) - expected.numpy()).mean()
    aside = np.abs(np.roll(got.numpy().astype(int), 3, axis=1) - expected.numpy()).mean()
    assert error < 0.5 * aside


def test_saliency_is_higher_on_brushwork_than_on_paper() -> None:
    pixels = np.full((200, 300, 3), (228, 218, 196), np.uint8)
    pixels[60:140, 100:200] = made_scans.painting(1, 100, 80)
    found = saliency(_lab(pixels))
    assert found.shape == (200, 300)
    assert 0 <= found.min() <= found.max() <= 1
    assert found[70:130, 110:190].mean() > 4 * found[:40].mean()


def test_what_leaves_no_useful_window_is_left_out_with_its_reason(home: Home) -> None:
    inner = made_scans.around(made_scans.painting(1, 300, 60), (40, 40, 40, 40), (255, 255, 255))
    _save(home.scans("x") / "narrow.png", inner)
    made_scans.write(home.scans("x") / "good.png", 2)
    register_scans(home, "x")
    outcome = crop_scans(home, "x")
    assert {row.path for row in outcome.quarantined} == {"narrow.png"}
    assert all("each side needs 64" in row.reason and row.sha256 for row in outcome.quarantined)
    assert set(_works(home)) == {"narrow.png", "good.png"}
    again = crop_scans(home, "x")
    assert (again.made, again.reused, again.quarantined) == (0, len(outcome.records), outcome.quarantined)


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
    register_scans(home, "x")
    first = crop_scans(home, "x")
    before = _files(home)
    again = crop_scans(home, "x")
    assert (again.made, again.reused) == (0, first.made)
    assert _files(home) == before
    made_scans.write(home.scans("x") / "b.png", 2)
    register_scans(home, "x")
    more = crop_scans(home, "x")
    assert more.reused == first.made
    assert more.made >= 2


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
    real, done = curating._write, []

    def dies(*arguments: object) -> Crop:
        done.append(real(*arguments))
        if done[-1].scan_id != done[0].scan_id:  # in the middle of the second scan
            raise KeyboardInterrupt
        return done[-1]

    monkeypatch.setattr(curating, "_write", dies)
    monkeypatch.setattr(cropping, "_THREADS", 1)
    with pytest.raises(KeyboardInterrupt):
        crop_scans(home, "x")
    assert not (home.crops("x") / MANIFEST).exists()
    monkeypatch.setattr(curating, "_write", real)
    resumed = crop_scans(home, "x")
    assert resumed.reused == sum(crop.scan_id == done[0].scan_id for crop in done) >= 2
    resumed_files = _files(home)
    for file in (home.crops("x")).rglob("*.*"):
        file.unlink()
    crop_scans(home, "x")
    assert _files(home) == resumed_files


def _decide(home: Home, scan: str, what: str, box: tuple[int, int, int, int] | None = None) -> None:
    save_decisions(home, "x", [(scan, Decision(what=what, box=box, who="curator", why="as I see it"))])


def test_a_person_decides_and_only_what_it_concerns_is_made_anew(home: Home) -> None:
    for seed in range(2):
        made_scans.write(home.scans("x") / f"{seed}.png", seed, 700, 900)
    register_scans(home, "x")
    first = crop_scans(home, "x")
    per_scan = {name: len(work.crops) for name, work in _works(home).items()}
    _decide(home, "0.png", "note")
    noted = crop_scans(home, "x")
    assert (noted.made, noted.hash) == (0, first.hash)
    assert [decision.what for decision in _works(home)["0.png"].decisions] == ["note"]

    _decide(home, "0.png", "leave out")
    out = crop_scans(home, "x")
    assert (out.made, out.reused) == (0, first.made - per_scan["0.png"])
    (row,) = out.quarantined
    assert (row.path, row.reason) == ("0.png", "It was left out by curator: as I see it")
    assert not _works(home)["0.png"].crops
    _decide(home, "0.png", "keep")
    assert crop_scans(home, "x").hash == first.hash

    _decide(home, "1.png", "area", (60, 50, 660, 850))
    _decide(home, "1.png", "seal", (300, 300, 360, 380))
    _decide(home, "1.png", "crop", (120, 100, 632, 612))
    redrawn = crop_scans(home, "x")
    assert redrawn.reused == first.made - per_scan["1.png"]
    work = _works(home)["1.png"]
    assert work.area == pytest.approx((60, 50, 660, 850), abs=2)
    assert [mask.box for mask in work.masks if mask.source == "person"] == [(300, 300, 360, 380)]
    crops = [crop for crop in redrawn.records if crop.scan_id == work.id]
    drawn = [crop for crop in crops if crop.by]
    assert [(c.left, c.top, c.right, c.bottom, c.by, c.width) for c in drawn] == [(120, 100, 632, 612, "curator", 512)]
    assert {crop.height for crop in crops if not crop.by} == {768}
    for crop in crops:
        assert crop.left >= 59
        assert crop.bottom <= 851
    mask = pyvips.Image.new_from_file(str(home.crops("x") / drawn[0].mask_path)).numpy()
    assert not mask[205:275, 185:235].any()  # the seal, at its place in the crop
    assert mask[300:].all()


def test_a_lesser_scan_of_a_work_has_no_crops_until_somebody_keeps_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_scans.write(home.scans("x") / "good.png", 1, 900, 1200)
    made_scans.write(home.scans("x") / "lesser.png", 1, 600, 800)
    scans = {scan.path: scan for scan in register_scans(home, "x").records}
    monkeypatch.setattr(cropping, "better_scans", lambda *_: {scans["lesser.png"].sha256: scans["good.png"].sha256})
    (row,) = crop_scans(home, "x").quarantined
    assert (row.path, row.duplicate_of) == ("lesser.png", scans["good.png"].id)
    assert "good.png" in row.reason
    assert _works(home)["lesser.png"].duplicate_of == scans["good.png"].sha256
    _decide(home, "lesser.png", "keep")
    outcome = crop_scans(home, "x")
    assert outcome.quarantined == ()
    assert {crop.scan_id for crop in outcome.records} == {scan.id for scan in scans.values()}


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
    assert {crop.scan_sha256 for crop in crops} == {scan.sha256 for scan in scans}
    assert [crop for crop in crops if _white_edges(home.crops("x") / crop.path)] == []


def _white_edges(path: Path) -> int:
    """How many sides of a crop are a line of the whitest white, as only the ground around a fan is."""
    pixels = pyvips.Image.new_from_file(str(path)).numpy().min(axis=2)
    return sum(bool((side >= 254).mean() > 0.98) for side in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process its peak memory")
def test_memory_does_not_grow_with_the_number_of_crops(home: Home, tmp_path: Path) -> None:
    """12 scans take what 4 take, though each is 3 MB once decoded: one at a time is held, by each of the threads."""
    code = (
        "import re, sys; from pathlib import Path; from artmaster_pipeline.settings import Home;"
        "from artmaster_pipeline.scans import register_scans; from artmaster_pipeline.curation import crop_scans;"
        "home = Home(Path(sys.argv[1])); register_scans(home, 'x'); crop_scans(home, 'x');"
        "print(int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) // 1024)"
    )
    peaks = []
    for number in (4, 12):
        folder = Home(home.root / str(number)).scans("x")
        for seed in range(number):
            made_scans.write(folder / f"{seed}.png", seed, 1000, 1000)
        arguments = [sys.executable, "-c", code, str(home.root / str(number))]
        peaks.append(int(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.split()[-1]))
    assert peaks[1] < peaks[0] + 45

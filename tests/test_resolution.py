"""Effective resolution: enlarged and blurred scans are told from sharp, soft, noisy and compressed ones."""

from pathlib import Path

import numpy as np
import pytest
import pyvips  # noqa: TID253 - a test may
from PIL import Image

from artmaster_pipeline.curation.area.resolution import PATCH, effective_scale, patch_places


def _painted(side: int = 512, seed: int = 1, fall: float = 1.3) -> np.ndarray:
    """A grey picture whose amplitude falls with frequency as that of scanned paintings does, 0..255 as float."""
    rng = np.random.default_rng(seed)
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    radius[0, 0] = 1
    response = np.exp(-2.4 * radius**2) / radius**fall  # a lens's, and the painting's
    picture = np.fft.irfft2(np.fft.rfft2(rng.normal(0, 1, (side, side))) * response, s=(side, side))
    return (128 + 45 * picture / picture.std()).clip(0, 255)


def _enlarged(grey: np.ndarray, times: float, kernel: Image.Resampling = Image.Resampling.BICUBIC) -> np.ndarray:
    size = round(grey.shape[1] * times), round(grey.shape[0] * times)
    return np.asarray(Image.fromarray(grey.astype(np.uint8)).resize(size, kernel))[:PATCH, :PATCH]


@pytest.mark.parametrize("times", [1.5, 2.0, 4.0])
@pytest.mark.parametrize("kernel", [Image.Resampling.BICUBIC, Image.Resampling.LANCZOS])
def test_an_enlarged_scan_is_seen_with_its_factor(times: float, kernel: Image.Resampling) -> None:
    assert effective_scale([_enlarged(_painted(), times, kernel)]) == pytest.approx(1 / times, rel=0.2, abs=0.12)


def test_an_enlargement_is_seen_through_compression() -> None:
    twice = pyvips.Image.new_from_array(np.ascontiguousarray(_enlarged(_painted(fall=1.1), 2)))
    for quality in (50, 75, 95):
        again = pyvips.Image.new_from_buffer(twice.jpegsave_buffer(Q=quality), "").numpy()
        assert 0.38 < effective_scale([again]) < 0.65


def test_a_blurred_scan_has_less_detail_the_more_it_is_blurred() -> None:
    image = pyvips.Image.new_from_array(_painted().astype(np.uint8))
    scales = [effective_scale([image.gaussblur(sigma).numpy()]) for sigma in (1, 2, 3)]
    assert 0.9 > scales[0] > scales[1] > scales[2]


@pytest.mark.parametrize("fall", [1.1, 1.3, 1.5])
def test_sharp_soft_noisy_and_compressed_scans_are_not_called_enlarged(fall: float) -> None:
    grey = _painted(fall=fall)
    noisy = (grey + np.random.default_rng(2).normal(0, 4, grey.shape)).clip(0, 255)
    pressed = pyvips.Image.new_from_buffer(pyvips.Image.new_from_array(grey.astype(np.uint8)).jpegsave_buffer(Q=75), "")
    for patch in (grey.astype(np.uint8), noisy.astype(np.uint8), pressed.numpy(), (grey * 257).astype(np.uint16)):
        assert effective_scale([patch]) >= 0.85


def test_woven_patterns_and_columns_of_writing_are_no_blur() -> None:
    wave = 60 * (np.sin(np.arange(512) * 0.35) > 0)
    assert effective_scale([(_painted(fall=1.0) * 0.7 + wave).clip(0, 255)]) >= 0.85


def test_without_a_patch_large_enough_nothing_is_said_against_a_scan() -> None:
    assert effective_scale([]) == 1.0
    assert effective_scale([np.zeros((40, 900))]) == 1.0
    assert effective_scale([np.full((512, 512), 7, np.uint8)]) == 1.0


def test_patches_lie_where_the_painting_is_most_textured_and_apart() -> None:
    lab = np.zeros((300, 500, 3), np.float32)
    lab[100:200, 50:150, 0] = np.random.default_rng(0).normal(50, 20, (100, 100))
    lab[150:250, 350:450, 0] = np.random.default_rng(1).normal(50, 10, (100, 100))
    lab[:60, :, 0] = 99 * (np.arange(500) % 2)  # outside of the painting
    mask = np.zeros((300, 500), bool)
    mask[60:] = True
    places = patch_places(lab, mask, 90, 3)
    (left, top), (other_left, other_top) = places[:2]
    assert abs(left - 50) <= 30
    assert abs(top - 100) <= 30
    assert abs(other_left - 350) <= 30
    assert abs(other_top - 150) <= 30
    assert all(abs(a - c) >= 90 or abs(b - d) >= 90 for a, b in places for c, d in places if (a, b) != (c, d))
    assert patch_places(lab, mask, 400, 3) == []


def test_real_paintings_soft_ones_too_are_told_from_their_enlargements(paintings: Path) -> None:
    for folder in ("huang-binhong", "artic-cc0"):
        files = sorted(path for path in (paintings / folder).rglob("*.jpg") if path.is_file())[5::17][:3]
        for file in files:
            image = pyvips.Image.new_from_file(str(file)).colourspace("b-w")
            image = image.crop(image.width // 4, image.height // 4, image.width // 2, image.height // 2)
            if min(image.width, image.height) < 300:
                continue
            sharp = image.numpy()[:PATCH, :PATCH]
            assert effective_scale([sharp]) >= 0.85, file
            assert effective_scale([image.resize(2, kernel="cubic").numpy()[:PATCH, :PATCH]]) < 0.75, file

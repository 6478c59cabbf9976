"""Constraints of super-resolution: what each step holds, that tiles and order do not matter, and what drift is."""

import dataclasses

import numpy as np
import pytest
import torch  # noqa: TID253 - a test may
from hypothesis import given, settings
from hypothesis import strategies as st

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.settings import CONSTRAINTS, load_profile
from artmaster_pipeline.superres import Enlarger, constrained, load_network
from artmaster_pipeline.superres.constraints import bands, corrections_of, drifted, falls_in
from artmaster_pipeline.superres.constraints.back_projection import BackProjection
from artmaster_pipeline.superres.constraints.colour import Colour
from artmaster_pipeline.superres.constraints.falls import common_falls, details_of
from artmaster_pipeline.superres.constraints.filters import convolved, gaussian, minimum, mirrored, reduced, widened
from artmaster_pipeline.superres.constraints.grain import Grain
from artmaster_pipeline.superres.constraints.noise import noise_of
from artmaster_pipeline.superres.constraints.texture import Texture


@pytest.fixture(scope="module")
def compact() -> Enlarger:
    return load_network("realesr-animevideov3-x4")


def painted(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Strokes on grainy paper with bare black and white in it, uint8."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    paper = np.stack([200 - rows / 8, 180 + columns / 16, 150 + 20 * np.sin(rows / 9)], axis=-1)
    ink = (np.sin(columns / 3 + 4 * np.sin(rows / 13)) > 0.7)[..., None]
    picture = np.where(ink, 30, paper) + rng.normal(0, 6, (height, width, 3))
    picture[: height // 4, : width // 4], picture[-height // 4 :, -width // 4 :] = 255, 0
    return np.clip(picture, 0, 255).astype(np.uint8)


def unit(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.transpose(2, 0, 1) / np.float32(255)).contiguous()


def smooth(original: torch.Tensor, scale: int) -> torch.Tensor:
    """An enlarged picture that lacks all fine detail and has lost its colour."""
    return (0.8 * widened(original, scale) + torch.tensor([0.1, 0.0, -0.05])[:, None, None]).clamp(0, 1)


def psnr(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(-10 * torch.log10(((one.double() - other) ** 2).mean()))


@settings(max_examples=12, deadline=None)
@given(height=st.integers(1, 24), width=st.integers(1, 24), scale=st.integers(2, 4), seed=st.integers(0, 99))
def test_reduced_again_a_back_projected_picture_is_its_original(height: int, width: int, scale: int, seed: int):
    rng = np.random.default_rng(seed)
    original = torch.from_numpy(rng.uniform(0.1, 0.9, (3, height, width)).astype(np.float32))
    enlarged = torch.from_numpy(rng.uniform(0.3, 0.7, (3, height * scale, width * scale)).astype(np.float32))
    assert psnr(reduced(BackProjection()(original, enlarged), scale), original) > 45


@pytest.mark.parametrize("levels", [255, 65535])
def test_rounded_to_bits_it_still_is_where_bare_black_and_white_are_beside_strokes(levels: int):
    original = unit(painted(48, 56))
    corrected = smooth(original, 4)
    for correct in corrections_of(CONSTRAINTS):
        corrected = correct(original, corrected)
    rounded = (corrected * levels).round() / levels
    assert psnr(reduced(smooth(original, 4), 4), original) < 25
    assert psnr(reduced(rounded, 4), original) > 45


def test_a_picture_that_agrees_is_left_alone_by_colour_and_back_projection():
    enlarged = unit(painted(96, 96))
    for correct in (Colour(), BackProjection()):
        assert (correct(reduced(enlarged, 4), enlarged) - enlarged).abs().max() < 1e-4


def test_colour_is_brought_over_up_to_an_edge_and_not_across_it():
    """Orange ribs on white that are brown in the original: the white between them stays white."""
    ribs = (torch.arange(96) // 12 % 2 == 0)[None, None]
    true, drawn = (
        torch.where(ribs, torch.tensor(rib)[:, None, None], 1.0).expand(3, 96, 96).contiguous()
        for rib in ([0.6, 0.4, 0.3], [1, 0.4, 0.1])
    )
    coloured = Colour()(reduced(true, 4), drawn)
    assert (coloured - true).abs().mean() < 0.2 * (drawn - true).abs().mean()
    assert coloured[:, :, ~ribs[0, 0]].min() > 0.97


def test_bands_add_up_to_the_picture_and_noise_has_the_variance_in_them_that_is_said():
    noise = torch.randn(256, 256, generator=torch.Generator().manual_seed(0))
    rest, summed = noise, torch.zeros_like(noise)
    for octave in range(2):
        rest, parts = bands.split(rest, octave)
        summed += sum(parts)
        assert [float(part.var()) for part in parts] == pytest.approx(bands.noise_variances(octave), rel=0.1)
    assert (summed + rest - noise).abs().max() < 1e-5
    assert float(bands.grain_variance(bands.split(noise, 0)[1]).mean()) == pytest.approx(1, rel=0.1)


def test_noise_is_white_and_depends_on_a_pixel_and_its_neighbours_alone():
    original = unit(painted(60, 64))
    noise = noise_of(original, 4).numpy()
    grainy = noise[100:, :160]
    assert abs(grainy.mean()) < 0.05 and grainy.std() == pytest.approx(1, abs=0.05)
    assert abs(np.corrcoef(grainy[1:].ravel(), grainy[:-1].ravel())[0, 1]) < 0.03
    assert (noise_of(original[:, 10:50, 20:60], 4).numpy()[4:-4, 4:-4] == noise[44:196, 84:236]).all()


def energies(enlarged: torch.Tensor, original: torch.Tensor, falls) -> np.ndarray:
    """How far bands are from what is wanted, in dB."""
    details = details_of(original, bands.luminance(enlarged), falls)
    return np.array([10 * np.log10(float(detail.has.mean() / detail.wanted.mean())) for detail in details])


def test_texture_brings_bands_to_the_energy_that_the_painters_large_pictures_have():
    large = painted(192, 192)
    falls = falls_in([large], 4)
    original, drawn = reduced(unit(large), 4), unit(large)
    soft = drawn - 0.4 * sum(bands.split(bands.luminance(drawn), 0)[1])
    before, after = (np.abs(energies(each, original, falls)) for each in (soft, Texture(falls)(original, soft)))
    assert after.mean() < 0.5 * before.mean()


def test_falls_are_told_from_large_pictures_and_are_part_of_the_identity(compact: Enlarger):
    smoothed = unit(painted(128, 128))
    rest = bands.split(smoothed[1], 0)[0].numpy()
    blurred = np.rint(np.repeat(rest[..., None], 3, -1).clip(0, 1) * 255).astype(np.uint8)
    sharp, soft = falls_in([painted(128, 128)], 4), falls_in([blurred], 4)
    assert all(one > other for one, other in zip(sharp[0], soft[0], strict=True))
    assert len(common_falls(2)) == 1 and len(common_falls(3)) == len(common_falls(4)) == 2
    own = constrained(compact, CONSTRAINTS, [painted(128, 128)])
    assert own.identity != constrained(compact, CONSTRAINTS).identity == compact.identity


def test_grain_comes_back_where_paper_has_it_and_nowhere_else():
    original = torch.full((3, 64, 64), 0.6)
    original[:, :, :32] += 0.02 * torch.randn(64, 32, generator=torch.Generator().manual_seed(0))
    grain = Grain(((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)))
    grained = grain(original, smooth(original, 4))
    added = (grained - smooth(original, 4)).abs()
    assert added[:, :, :96].mean() > 0.005 and added[:, :, 192:].max() < 1e-3
    assert (grained == grain(original, smooth(original, 4))).all()


@settings(max_examples=20, deadline=None)
@given(height=st.integers(1, 9), width=st.integers(1, 9), deviation=st.sampled_from([1.5, 3.0, 4.0]))
def test_filters_are_those_of_scipy_at_any_size(height: int, width: int, deviation: float):
    from scipy.ndimage import convolve1d, gaussian_filter, minimum_filter

    values = np.random.default_rng(height * width).uniform(size=(height, width)).astype(np.float32)
    ours = torch.from_numpy(values)
    assert gaussian(ours, deviation).numpy() == pytest.approx(gaussian_filter(values, deviation), abs=1e-6)
    assert (minimum(ours, 7).numpy() == minimum_filter(values, 7)).all()
    spread = convolve1d(values, [1, 0, 2, 0, 3, 0, 2, 0, 1], 0)
    assert convolved(ours, (3, 2, 1), -2, 2).numpy() == pytest.approx(spread, abs=1e-5)
    assert (mirrored(ours, 20, -1).numpy() == np.pad(values, ((0, 0), (20, 20)), "symmetric")).all()


def test_tiles_give_what_one_piece_gives(compact: Enlarger):
    picture = painted(110, 120)
    tiled = dataclasses.replace(compact, tile=compact.tiling.smallest)
    assert tiled.tiles(110, 120) > 1 == compact.tiles(110, 120)
    apart = np.abs(tiled.enlarge(picture).astype(int) - compact.enlarge(picture))
    assert apart.max() <= 1


def test_enlarged_twice_a_picture_has_the_colours_of_once(compact: Enlarger):
    picture = painted(24, 28)
    once = compact.enlarge(picture)
    twice = compact.enlarge(once)
    assert psnr(reduced(unit(twice), 16), unit(picture)) > 45
    assert drifted(once, twice) == drifted(picture, twice) == ""


def test_constraints_are_switched_by_name_and_their_order_is_fixed():
    names = [type(step).__name__ for step in corrections_of(["back-projection", "grain", "colour"])]
    assert names == ["Colour", "Grain", "BackProjection"]
    assert corrections_of([]) == ()
    with pytest.raises(WrongUse, match=r"'sharpness': no constraint\. Choose among tone, colour"):
        corrections_of(["grain", "sharpness"])
    assert load_profile("miniature").super_resolution_constraints == CONSTRAINTS


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda picture: picture, ""),
        (lambda picture: np.clip(picture * [1, 0.93, 1.05], 0, 255), "colours went"),
        (lambda picture: picture + 0.6 * (picture.mean(axis=(0, 1)) - picture), "colours went"),
    ],
)
def test_drift_of_colour_is_named(spoil, says: str):
    source = painted(64, 64)
    enlarged = np.repeat(np.repeat(source, 4, 0), 4, 1).astype(np.float64)
    assert says in (said := drifted(source, np.rint(spoil(enlarged)).astype(np.uint8)))
    assert bool(says) == bool(said)


def test_drift_of_texture_is_named_at_any_size():
    from PIL import Image

    source = painted(64, 64)
    blurred = (
        Image.fromarray(source).resize((32, 32), Image.Resampling.BOX).resize((160, 160), Image.Resampling.BICUBIC)
    )
    assert "finest strokes are -" in drifted(source, np.asarray(blurred))

"""What computes a network: engines give torch's pixels, Winograd's convolutions the plain ones', tiles lie in order."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.settings import EnlargingEngine
from artmaster_pipeline.superres import Enlarger, load_network
from artmaster_pipeline.superres.engines import engine_names, winograd
from artmaster_pipeline.superres.enlarge import InMemory
from artmaster_pipeline.superres.ncnn_weights import read_shipped
from artmaster_pipeline.superres.tiling import Tiling, fetched, lay_tiles

COMPACT = "realesr-animevideov3-x4"
RRDB = "realesrgan-x4plus-anime"


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).random((height, width, 3), dtype=np.float32)


def test_the_setting_names_every_engine():
    assert get_args(EnlargingEngine) == engine_names()


@settings(max_examples=15, deadline=None)
@given(
    height=st.integers(1, 21), width=st.integers(1, 21), channels=st.integers(1, 5), pieces=st.sampled_from([4, 256])
)
def test_winograds_convolutions_are_the_plain_ones(height: int, width: int, channels: int, pieces: int):
    import torch
    from torch import nn

    torch.manual_seed(height * 100 + width)
    layers = nn.Sequential(nn.Conv2d(channels, 3, 3, padding=1), nn.PReLU(3), nn.Conv2d(3, 2, 3, padding=1))
    picture = torch.rand(channels, height, width)
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr(winograd, "_PIECES", pieces)  # one strip, or many
        grid = winograd.Grid(height, width)
        first = grid.convolved(grid.phases_of(picture, "in"), winograd.Convolution.of(layers[0]), layers[1], "first")
        second = grid.convolved(first, winograd.Convolution.of(layers[2]), nn.Identity(), "second")
        assert torch.allclose(grid.picture(second), layers(picture[None])[0], atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "fit"),
    [
        ({}, True),
        ({"stride": 2}, False),
        ({"dilation": 2}, False),
        ({"padding": 0}, False),
        ({"padding_mode": "reflect"}, False),
        ({"groups": 2}, False),
        ({"bias": False}, False),
    ],
)
def test_a_convolution_of_another_make_does_not_fit(wrong: dict, fit: bool):
    from torch import nn

    assert winograd.fits(nn.Conv2d(4, 4, 3, **({"padding": 1} | wrong))) is fit


@pytest.mark.parametrize("size", [(13, 22), (1, 7), (4, 1)])
def test_an_rrdb_network_by_winograd_is_the_same_network(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch):
    import torch
    from spandrel import ModelLoader

    monkeypatch.setattr(winograd, "_PIECES", 20)
    tile = noise(*size)
    plain = ModelLoader().load_from_state_dict(read_shipped(RRDB).state_dict).eval()
    with torch.inference_mode():
        expected = plain(torch.from_numpy(tile.transpose(2, 0, 1))[None])[0]
    assert (load_network(RRDB).engine.enlarge(tile) - expected).abs().max() < 1e-4


def test_an_rrdb_network_of_another_make_is_left_as_it_is(tmp_path: Path):
    import torch
    from spandrel.architectures.ESRGAN import ESRGAN

    torch.manual_seed(0)
    network = ESRGAN(num_filters=32, num_blocks=1, scale=2, plus=True).eval()
    path = tmp_path / "plus.pth"
    torch.save(network.state_dict(), path)
    tile = noise(9, 14)
    with torch.inference_mode():
        expected = network(torch.from_numpy(tile.transpose(2, 0, 1))[None])[0].clamp(0, 1)
    assert torch.allclose(load_network(str(path)).engine.enlarge(tile), expected, atol=1e-5)


def test_float16_is_cudas_alone():
    with pytest.raises(WrongUse, match="float16 is computed on CUDA alone"):
        load_network(COMPACT, dtype="float16")


@pytest.mark.parametrize("ahead", [0, 1, 3, 9])
def test_so_many_tiles_are_begun_with_before_one_is_waited_for(ahead: int):
    told: list[str] = []

    def begin(number: int) -> Callable[[], np.ndarray]:
        told.append(f"begin {number}")
        return lambda: told.append(f"fetch {number}") or np.array(number)

    assert list(fetched(map(begin, range(5)), ahead)) == [0, 1, 2, 3, 4]
    assert told.index("fetch 0") == min(ahead + 1, 5)
    assert [each for each in told if each.startswith("fetch")] == [f"fetch {number}" for number in range(5)]


def test_tiles_that_are_asked_for_ahead_are_laid_where_they_belong():
    picture = noise(150, 110)
    tiling = Tiling(side=64, margin=4)
    assert tiling.count(150, 110) > 5
    for ahead in (0, 1, 4):
        canvas = InMemory(np.empty((300, 220, 3), np.float32), tiling.overlap * 2)
        twice = lambda tile: lambda: tile.repeat(2, 0).repeat(2, 1)  # noqa: E731
        lay_tiles(picture, 2, tiling, twice, canvas, lambda: None, ahead=ahead)
        assert np.allclose(canvas.pixels, picture.repeat(2, 0).repeat(2, 1), atol=1e-6)


def test_values_that_are_no_numbers_are_told_of():
    network = load_network(COMPACT)

    class Broken:
        def __getattr__(self, name: str):
            return getattr(network.engine, name)

        def enlarge(self, tile: np.ndarray):
            enlarged = network.engine.enlarge(tile).clone()
            enlarged[1, 2, 3] = float("nan")
            return enlarged

    with pytest.raises(ArtMasterError, match=r"realesr-animevideov3-x4 gave values that are no numbers \(float32\)"):
        Enlarger(Broken(), 64).enlarge(np.zeros((9, 9, 3), np.uint8))


def test_a_tile_takes_about_what_is_said():
    code = f"""
import re, numpy as np
from pathlib import Path
from artmaster_pipeline.superres import load_network
most = lambda: 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
engine = load_network({COMPACT!r}).engine
engine.enlarge(np.zeros((64, 64, 3), np.float32))
before = most()
engine.enlarge(np.zeros((512, 512, 3), np.float32))
print((most() - before) / engine.tile_bytes(512, 512))
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0.6 < float(answer.stdout) < 1.4


@pytest.mark.cuda
@pytest.mark.parametrize("name", [COMPACT, RRDB])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_cuda_in_16_bits_stays_close_to_float32_in_tiles_that_are_fetched_beside(name: str, dtype: str):
    picture = (noise(220, 90) * 255).astype(np.uint8)
    exact = load_network(name)
    rough = load_network(name, device="cuda", dtype=dtype)
    one, other = (Enlarger(net.engine, 96, ()).enlarge(picture).astype(float) for net in (exact, rough))
    assert 10 * np.log10(255**2 / np.mean((one - other) ** 2)) >= 45

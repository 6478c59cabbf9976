"""Exact layouts of painted scenes, the miniature's ControlNet, and what a profile's net reads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from artmaster_pipeline.base_models.control import (
    control_identity,
    control_mode,
    control_repository,
    control_signals,
    open_control,
)
from artmaster_pipeline.base_models.miniature.control_pictures import canny, condition, depth, label_colours, sketch
from artmaster_pipeline.base_models.miniature.model import CONTROL_MODES, SHIPPED, control_folder
from artmaster_pipeline.base_models.miniature.training_pictures import TAUGHT_SUBJECTS
from artmaster_pipeline.errors import MissingRequirement, WrongUse
from artmaster_pipeline.sample_painters import (
    KIND_COLOURS,
    KINDS,
    PALETTES,
    STYLES,
    Scene,
    imagine,
    paint,
    paint_with_layout,
)
from artmaster_pipeline.settings import ControlSettings, Home, Profile, load_profile

SIZE = (128, 128)


def scene(subject: str, style: str = "ink", **words: str) -> Scene:
    plain = {"season": "summer", "time_of_day": "day", "weather": "clear", "composition": "level"}
    return Scene(subject, **(plain | words), palette=PALETTES[style][0], style=style)


def kinds_of(layout: np.ndarray) -> set[str]:
    return {KINDS[index] for index in np.unique(layout)}


# Layouts


@pytest.mark.parametrize("style", STYLES)
def test_a_picture_is_the_same_whether_its_layout_is_asked_for_or_not(style: str) -> None:
    for seed in range(3):
        words = imagine(seed, style, TAUGHT_SUBJECTS)
        picture, layout = paint_with_layout(words, seed, 96, 128)
        assert np.array_equal(picture, paint(words, seed, 96, 128))
        assert layout.shape == picture.shape[:2]
        assert layout.dtype == np.uint8


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        ("layered mountains", {"sky", "rock", "water", "trees"}),
        ("a village by a river", {"sky", "rock", "water", "trees", "buildings", "figures"}),
        ("a pagoda on a hill", {"sky", "rock", "water", "buildings"}),
        ("a fishing boat on a lake", {"sky", "water", "figures"}),
        ("geese above reeds", {"sky", "water", "trees", "figures"}),
        ("a branch with a bird", {"blank", "trees", "figures"}),
        ("a vase of flowers on a terrace", {"sky", "buildings", "other"}),
        ("tall clouds over the sea", {"sky", "water", "figures"}),
    ],
)
def test_a_layout_holds_what_its_scene_shows(subject: str, shown: set[str]) -> None:
    _, layout = paint_with_layout(scene(subject), 5, *SIZE)
    assert shown <= kinds_of(layout)
    assert ("blank" in kinds_of(layout)) == ("blank" in shown)


def test_the_lower_edge_of_a_sea_is_water_and_the_upper_edge_of_a_picture_is_sky() -> None:
    _, layout = paint_with_layout(scene("tall clouds over the sea"), 2, *SIZE)
    assert kinds_of(layout[-20:]) == {"water"}
    assert kinds_of(layout[:20]) == {"sky"}


def test_air_season_hour_and_manner_do_not_move_what_stands() -> None:
    _, plain = paint_with_layout(scene("layered mountains"), 8, *SIZE)
    for words in ({"weather": "mist"}, {"weather": "rain"}, {"time_of_day": "dusk"}, {"time_of_day": "night"}):
        assert np.array_equal(paint_with_layout(scene("layered mountains", **words), 8, *SIZE)[1], plain)
    _, oil = paint_with_layout(scene("layered mountains", "oil"), 8, *SIZE)
    assert float((oil == plain).mean()) > 0.9


def test_a_larger_layout_is_the_same_one() -> None:
    _, small = paint_with_layout(scene("a bridge over a stream", "woodblock"), 4, *SIZE)
    _, large = paint_with_layout(scene("a bridge over a stream", "woodblock"), 4, 512, 512)
    assert float((large[2::4, 2::4] == small).mean()) > 0.9


def test_the_colours_of_a_picture_change_where_its_layout_does() -> None:
    picture, layout = paint_with_layout(scene("islands in still water", "woodblock"), 3, *SIZE)
    water, rock = (picture[layout == KINDS.index(kind)].mean(0) for kind in ("water", "rock"))
    assert float(np.abs(water - rock).max()) > 15


# Signals to learn from


def test_signals_look_as_union_nets_have_them() -> None:
    picture, layout = paint_with_layout(scene("a pagoda on a hill", "woodblock"), 5, *SIZE)
    assert set(map(tuple, label_colours(layout).reshape(-1, 3).tolist())) <= set(KIND_COLOURS.values())
    assert set(np.unique(canny(picture))) == {0, 255}
    assert canny(picture).mean() < 128 < sketch(picture).mean()
    near_and_far = depth(picture)[..., 0].astype(float)
    assert near_and_far[-16:].mean() > near_and_far[:16].mean() + 60
    for mode in CONTROL_MODES:
        seen = condition(mode, picture, layout, np.random.default_rng(1))
        assert seen.shape == picture.shape
        assert seen.dtype == np.uint8
        assert np.array_equal(seen, condition(mode, picture, layout, np.random.default_rng(1)))


# The net that ships


def test_the_net_is_small_and_the_weights_together_are_too() -> None:
    def size(folder: Path) -> int:
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())

    assert size(control_folder()) <= 12e6
    assert size(SHIPPED) <= 48e6


@pytest.fixture(scope="module")
def pipe() -> Iterator[Any]:
    """Stock diffusers, from the two folders alone."""
    import torch
    from diffusers import FluxControlNetModel, FluxControlNetPipeline

    control = FluxControlNetModel.from_pretrained(control_folder(), torch_dtype=torch.float32)
    loaded = FluxControlNetPipeline.from_pretrained(SHIPPED, controlnet=control, torch_dtype=torch.float32)
    loaded.set_progress_bar_config(disable=True)
    yield loaded


def drawn(
    pipe: Any, signal: np.ndarray | None, mode: str = "labels", scale: float = 1.0, tall: bool = False
) -> np.ndarray:
    """A village by a river from one noise; without a signal by the base alone."""
    import torch
    from diffusers import FluxPipeline

    width, height = (128, 192) if tall else (128, 128)
    noise = torch.randn(1, 16, height // 8, width // 8, generator=torch.Generator().manual_seed(3))
    asked: dict[str, Any] = {}
    if signal is None:
        parts = ("scheduler", "vae", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2", "transformer")
        pipe = FluxPipeline(**{name: getattr(pipe, name) for name in parts})
        pipe.set_progress_bar_config(disable=True)
    else:
        asked = {
            "control_image": Image.fromarray(signal),
            "control_mode": CONTROL_MODES.index(mode),
            "controlnet_conditioning_scale": scale,
        }
    return pipe(
        "an ink wash painting of a village by a river in summer by day",
        width=width,
        height=height,
        num_inference_steps=8,
        guidance_scale=1.0,
        latents=pipe._pack_latents(noise, 1, 16, height // 8, width // 8),
        max_sequence_length=48,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
        **asked,
    ).images[0]


def layout_of(subject: str, tall: bool = False, seed: int = 6) -> np.ndarray:
    return label_colours(paint_with_layout(scene(subject), seed, 128, 192 if tall else 128)[1])


def test_at_scale_zero_the_base_paints_what_it_paints_alone(pipe: Any) -> None:
    assert np.array_equal(drawn(pipe, layout_of("a village by a river"), scale=0.0), drawn(pipe, None))


@pytest.mark.parametrize("tall", [False, True])
def test_a_picture_follows_its_map_and_two_maps_give_two_pictures(pipe: Any, tall: bool) -> None:
    free = drawn(pipe, None, tall=tall)
    layout = layout_of("a village by a river", tall)
    left, right = (drawn(pipe, each, tall=tall) for each in (layout, np.ascontiguousarray(layout[:, ::-1])))
    assert np.abs(left - free).mean() > 0.02
    assert np.abs(left - right).mean() > 0.02


def test_the_mode_matters(pipe: Any) -> None:
    signal = layout_of("a village by a river")
    assert np.abs(drawn(pipe, signal, "labels") - drawn(pipe, signal, "edges")).mean() > 0.005


def test_where_a_map_says_land_it_is_darker_than_where_it_says_sky(pipe: Any) -> None:
    for side in (slice(0, 64), slice(64, 128)):
        layout = np.full((128, 128), KINDS.index("sky"), np.uint8)
        layout[72:] = KINDS.index("water")
        layout[24:112, side] = KINDS.index("rock")
        picture = drawn(pipe, label_colours(layout)).mean(2)
        land = np.zeros((128, 128), bool)
        land[24:72, side] = True
        air = ~land
        air[72:] = False
        air[:24] = False
        assert picture[land].mean() < picture[air].mean()


# What a profile's net is


def test_the_product_opens_the_profiles_net_and_lets_it_go() -> None:
    import gc
    import weakref

    with open_control(load_profile("miniature")) as net:
        assert str(net.dtype) == "torch.float32"
        assert not net.training
        held = weakref.ref(net)
        del net
    gc.collect()
    assert held() is None


def test_modes_are_told_by_the_signals_names() -> None:
    profile = load_profile("miniature")
    assert control_signals(profile) == CONTROL_MODES
    assert [control_mode(profile, signal) for signal in CONTROL_MODES] == [0, 1, 2, 3, 4]


def test_the_net_of_the_hub_has_no_mode_and_says_what_to_use_instead_of_labels() -> None:
    profile = load_profile("flux-dev")
    assert control_mode(profile, "edges") is None
    with pytest.raises(MissingRequirement, match="does not read the signal 'labels': it reads edges, soft-line, depth"):
        control_mode(profile, "labels")
    assert control_repository(profile) == ("Shakker-Labs/FLUX.1-dev-ControlNet-Union-Pro-2.0", None)


def test_a_profile_without_a_net_is_told_how_to_name_one() -> None:
    bare = load_profile("miniature").model_copy(update={"control": None})
    for ask in (control_signals, control_identity):
        with pytest.raises(MissingRequirement, match="names no ControlNet"):
            ask(bare)


def with_net(model: str) -> Profile:
    return load_profile("miniature").model_copy(update={"control": ControlSettings(model=model)})


def test_a_folder_without_a_net_and_a_hub_without_a_network_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingRequirement, match=r"holds no ControlNet: config.json and diffusion_pytorch_model"):
        control_identity(with_net(str(tmp_path)))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MissingRequirement, match="hub"), open_control(with_net("nobody/no-such-net"), Home(tmp_path)):
        pass


def test_the_weights_have_an_identity_and_are_no_part_of_the_bases(tmp_path: Path) -> None:
    import shutil

    from artmaster_pipeline.base_models.identity import base_revision

    profile = load_profile("miniature")
    assert len(control_identity(profile)) == 64
    alone = tmp_path / "alone"
    shutil.copytree(SHIPPED, alone, ignore=shutil.ignore_patterns("controlnet"))
    assert base_revision(profile.model_copy(update={"base_model": str(alone)})) == base_revision(profile)


# Its training


def test_a_training_goes_on_after_a_stop_and_leaves_the_base_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from diffusers import FluxControlNetModel

    from artmaster_pipeline.base_models.miniature import control_pictures, train_control, training_pictures
    from artmaster_pipeline.base_models.miniature.train import train_base_control
    from artmaster_pipeline.base_models.miniature.training_state import state_facts

    monkeypatch.setattr(control_pictures, "PER_SHARD", 4)
    monkeypatch.setattr(training_pictures, "ProcessPoolExecutor", _Here)
    monkeypatch.setattr(train_control, "BATCH", 2)
    monkeypatch.setattr("os.nice", lambda _: 0)
    before = control_identity(load_profile("miniature"))
    folder = train_base_control(tmp_path, minutes=0.03, shards=1)
    first = state_facts(tmp_path / "work/control.safetensors")
    with pytest.raises(WrongUse, match=r"earlier training \(control\): go on with it by --resume"):
        train_base_control(tmp_path, minutes=0.03, shards=1)
    train_base_control(tmp_path, minutes=first["seconds"] / 60 + 0.01, shards=1, resume=True)
    assert state_facts(tmp_path / "work/control.safetensors")["step"] > first["step"] > 0
    net = FluxControlNetModel.from_pretrained(folder, torch_dtype=torch.float32)
    assert any(float(block.weight.abs().max()) > 0 for block in net.controlnet_blocks)
    assert control_identity(load_profile("miniature")) == before


class _Here:
    """Paints in this process: a new one would not know the test's smaller shards."""

    map = staticmethod(map)

    def __init__(self, *_: object, **__: object) -> None: ...
    def __enter__(self) -> "_Here":
        return self

    def __exit__(self, *_: object) -> None: ...


def test_the_command_refuses_what_a_control_training_does_not_use(tmp_path: Path) -> None:
    from artmaster_pipeline.cli.app import app

    asked = ["base", "train", "--out", str(tmp_path), "--part", "control", "--corpus", str(tmp_path)]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code
    assert isinstance(result.exception, WrongUse | SystemExit)

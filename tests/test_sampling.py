"""Drawing in batches and from embeddings alone; the evaluation's use of it: one transformer, the same bytes."""

import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from training_home import PAINTER, TRAINING, fill_home, tiny_profile

from artmaster_pipeline.adapters import attach, detach
from artmaster_pipeline.base_models import load_pipeline, open_pipeline
from artmaster_pipeline.base_models.flux.descriptor import FAMILY
from artmaster_pipeline.dataset import build_training_set
from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.evaluation import samples
from artmaster_pipeline.evaluation.cells import CellMaker, far_cells, panel_cells
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.generation import Drawing, draw, draw_all, sampling
from artmaster_pipeline.generation.sampling import (
    batches_of,
    compile_blocks,
    draw_embedded,
    uncompiled,
    worth_compiling,
)
from artmaster_pipeline.progress import SILENT
from artmaster_pipeline.settings import EvaluationSettings, Home
from artmaster_pipeline.training import train_adapter

HOW = {"num_inference_steps": 3, "settings": DrawingSettings(guidance_scale=2.0), "max_sequence_length": 24}


@pytest.fixture(scope="module")
def flux(tiny_flux) -> Path:
    return tiny_flux


@pytest.fixture(scope="module")
def pipe(flux):
    return load_pipeline(tiny_profile(flux))


def drawings() -> list[Drawing]:
    squares = [Drawing(f"mountain {n % 2}", n, 64, 64, **HOW) for n in range(4)]
    return [*squares, Drawing("mountain 0", 9, 64, 96, **HOW), Drawing("mountain 1", 5, 64, 64, **HOW)]


def test_neighbours_of_one_size_share_a_batch():
    assert [[d.seed for d in batch] for batch in batches_of(drawings(), 3)] == [[0, 1, 2], [3], [9], [5]]


def test_batched_pictures_are_those_drawn_one_by_one(pipe):
    batched = list(draw_all(pipe, drawings(), batch_size=3))
    for drawing, pixels in zip(drawings(), batched, strict=True):
        assert pixels.shape == (drawing.height, drawing.width, 3)
        assert np.abs(pixels.astype(int) - draw(pipe, **vars(drawing)).astype(int)).max() <= 1
    assert not np.array_equal(batched[0], batched[1])


def test_each_text_is_embedded_once(pipe, monkeypatch):
    asked = []
    real = pipe.encode_prompt

    def counted(**how):
        asked.extend([how["prompt"]] if how.get("prompt") else [])
        return real(**how)

    monkeypatch.setattr(pipe, "encode_prompt", counted)
    list(draw_all(pipe, drawings(), batch_size=2))
    assert sorted(asked) == ["mountain 0", "mountain 1"]


def test_pictures_come_from_embeddings_without_text_encoders(flux, pipe):
    text = FAMILY.encode_text(pipe, "mountain 0", "cpu", 24)
    bare = load_pipeline(tiny_profile(flux), parts=("transformer", "vae"))
    assert bare.text_encoder is None
    (drawn,) = draw_embedded(bare, [text], [0], 64, 64, 3, HOW["settings"])
    assert np.array_equal(drawn, draw(pipe, "mountain 0", 0, 64, 64, **HOW))


def test_a_size_that_cannot_be_drawn_is_refused_before_anything_is_drawn(pipe):
    with pytest.raises(WrongUse, match="multiples of"):
        draw_embedded(pipe, [FAMILY.encode_text(pipe, "x", "cpu", 24)], [0], 60, 64, 3, HOW["settings"])
    with pytest.raises(WrongUse, match="60x64"):
        next(draw_all(pipe, [*drawings(), Drawing("mountain 0", 1, 60, 64, **HOW)]))


# --- compiled


def uneven(file: Path, ranks: dict[str, int]) -> Path:
    """A LoRA as AdaLoRA leaves it: other layers, and other ranks, in each block."""
    import torch
    from safetensors.torch import save_file

    dice, tensors = torch.Generator().manual_seed(sum(ranks.values())), {}
    for layer, rank in ranks.items():
        outputs = 128 if layer.endswith("proj_mlp") else 32
        tensors[f"transformer.{layer}.lora_A.weight"] = torch.randn(rank, 32, generator=dice)
        tensors[f"transformer.{layer}.lora_B.weight"] = torch.randn(outputs, rank, generator=dice)
        tensors[f"transformer.{layer}.alpha"] = torch.tensor(float(rank))
    save_file(tensors, file)
    return file


@pytest.fixture
def adapters(tmp_path) -> list[Path]:
    first = {"transformer_blocks.0.attn.to_q": 3, "transformer_blocks.1.attn.to_v": 1}
    second = {"transformer_blocks.1.attn.to_q": 4, "transformer_blocks.0.attn.to_v": 2}
    first |= {"single_transformer_blocks.0.proj_mlp": 2, "single_transformer_blocks.1.attn.to_k": 4}
    second |= {"single_transformer_blocks.1.proj_mlp": 1, "single_transformer_blocks.0.attn.to_k": 2}
    return [uneven(tmp_path / "first.safetensors", first), uneven(tmp_path / "second.safetensors", second)]


def apart(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def test_an_adapter_filled_up_to_one_rank_draws_the_same(flux, adapters):
    fresh = load_pipeline(tiny_profile(flux))
    base = draw(fresh, "mountain 0", 0, 64, 64, **HOW)
    for file, strength in ((adapters[0], 1.0), (adapters[1], 0.5)):
        attach(fresh, file, strength)
        plain = draw(fresh, "mountain 0", 0, 64, 64, **HOW)
        attach(fresh, file, strength, alike=True)
        layers = {name for name, _ in fresh.transformer.named_parameters() if "lora_A" in name}
        assert len(layers) == 8  # four kinds of layers in two blocks each
        assert {len(fresh.transformer.get_parameter(name)) for name in layers} == {4}
        assert apart(draw(fresh, "mountain 0", 0, 64, 64, **HOW), plain) <= 1
        assert apart(plain, base) > 10
    detach(fresh)
    assert np.array_equal(draw(fresh, "mountain 0", 0, 64, 64, **HOW), base)


def test_strengths_and_adapters_of_one_rank_share_what_was_compiled(flux, adapters):
    import torch

    fresh = load_pipeline(tiny_profile(flux))
    compile_blocks(fresh, backend="eager")
    base = draw(fresh, "mountain 0", 0, 64, 64, **HOW)
    attach(fresh, adapters[0], 1.0, alike=True)
    draw(fresh, "mountain 0", 0, 64, 64, **HOW)
    for file, strength in ((adapters[0], 0.5), (adapters[1], 1.0), (adapters[1], 0.3)):
        attach(fresh, file, strength, alike=True)
        with torch.compiler.set_stance("fail_on_recompile"):
            compiled = draw(fresh, "mountain 0", 0, 64, 64, **HOW)
        with uncompiled():
            assert np.array_equal(draw(fresh, "mountain 0", 0, 64, 64, **HOW), compiled)
        assert not np.array_equal(compiled, base)


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("c++") or shutil.which("g++")), reason="PyTorch compiles for the CPU with g++")
def test_compiled_blocks_draw_what_the_others_draw(flux, adapters):
    fresh = load_pipeline(tiny_profile(flux))
    compile_blocks(fresh)
    for file in (None, *adapters):
        if file:
            attach(fresh, file, alike=True)
        compiled = draw(fresh, "mountain 0", 0, 64, 64, **HOW)
        with uncompiled():
            assert apart(draw(fresh, "mountain 0", 0, 64, 64, **HOW), compiled) <= 1


def test_only_many_pictures_on_cuda_from_an_unquantised_base_are_worth_compiling(pipe):
    def on(device: str, **how):
        return SimpleNamespace(transformer=SimpleNamespace(device=SimpleNamespace(type=device), **how))

    assert worth_compiling(on("cuda"), 48)
    assert not worth_compiling(on("cuda"), 12)
    assert not worth_compiling(on("cuda", hf_quantizer=object()), 48)
    assert not worth_compiling(pipe, 48)


# --- the evaluation


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, flux):
    """(home, adapter, profile, cells) with an adapter, nothing drawn yet."""
    evaluation = EvaluationSettings(
        samples=4, num_inference_steps=2, guidance_scale=1.0, far_prompts=("a vase",), far_samples=3, batch_size=3
    )
    training = TRAINING.model_copy(update={"epochs": 1})
    home, profile = Home(tmp_path_factory.mktemp("home")), tiny_profile(flux, training=training, evaluation=evaluation)
    build_training_set(fill_home(home), PAINTER, profile)
    (adapter,) = train_adapter(home, PAINTER, profile).records
    maker = CellMaker(adapter, profile)
    return home, adapter, profile, (*panel_cells(maker, ["wangximeng style, mist"]), *far_cells(maker))


def fill(evaluated, folder: str) -> dict[str, str]:
    home, adapter, profile, cells = evaluated
    records, _ = samples.fill_cells(home, adapter, profile, cells, {}, SILENT, folder)
    return {record.id: record.sha256 for record in records}


@pytest.mark.parametrize("compiled", [False, True])
def test_missing_pictures_are_drawn_with_their_whole_batch_to_the_same_bytes_and_on_one_transformer(
    evaluated, monkeypatch, compiled
):
    home, adapter, _, cells = evaluated
    loaded, real = [], open_pipeline

    def counted(profile, parts, home):
        loaded.append(parts)
        return real(profile, parts, home)

    monkeypatch.setattr("artmaster_pipeline.base_models.open_pipeline", counted)
    monkeypatch.setattr(sampling, "worth_compiling", lambda pipe, pictures: compiled and pictures >= 4)
    monkeypatch.setattr(sampling, "compile_blocks", partial(compile_blocks, backend="eager"))
    name = "compiled" if compiled else "samples"
    whole = fill(evaluated, name)
    assert loaded == [("text_encoder", "text_encoder_2"), ("transformer", "vae")]  # never both in memory
    folder = home.evaluation(PAINTER) / adapter.id / name
    for cell in cells[::3]:
        (folder / cell.name).unlink()
    kept = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert fill(evaluated, name) == whole
    assert all((folder / name).stat().st_mtime_ns == when for name, when in kept.items())
    assert {sha256_of(file) for file in folder.iterdir()} == set(whole.values())
    assert fill(evaluated, name) == whole
    assert len(loaded) == 4


def test_pictures_of_the_base_are_the_same_after_an_adapter_was_on_and_off(flux, evaluated):
    home, adapter, _, _ = evaluated
    fresh = load_pipeline(tiny_profile(flux))
    before = draw(fresh, "mountain 0", 0, 64, 64, **HOW)
    attach(fresh, home.root / adapter.path)
    with_it = draw(fresh, "mountain 0", 0, 64, 64, **HOW)
    detach(fresh)
    assert np.array_equal(draw(fresh, "mountain 0", 0, 64, 64, **HOW), before)
    assert not np.array_equal(with_it, before)

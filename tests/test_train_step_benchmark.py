"""The benchmark of a step at FLUX.1-dev's size: its arithmetic against known figures, and the whole of it in small."""

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import forked
import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "flux_dev" / "train_step.py"
AS_A_SCRIPT = "import runpy, sys; runpy.run_path(sys.argv[0], run_name='__main__')"
MEASURED = (
    "diffusers recipe", "this", "this, compiled",
    "diffusers recipe, checkpointing", "this, checkpointing", "this, compiled, checkpointing",
    "profile flux-dev", "profile flux-dev-24gb",
    "picture, base", "picture, adapter", "picture, base, compiled", "picture, adapter, compiled",
)  # fmt: skip


@pytest.fixture(scope="module")
def benchmark():
    import importlib.util

    spec = importlib.util.spec_from_file_location("train_step", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["train_step"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["train_step"]


def at_full_size(benchmark, size, device="cuda"):
    import torch

    return benchmark.Place(device, torch.bfloat16, benchmark.FLUX_DEV, (size,), (1,), 512, 1, False)


@pytest.mark.parametrize(
    ("size", "plain", "checkpointed"), [((512, 512), 45.5, 66.9), ((512, 768), 63.2, 92.6), ((1024, 1024), 171, 245)]
)
def test_the_arithmetic_of_a_step_is_the_known_one(benchmark, size, plain, checkpointed):
    place = at_full_size(benchmark, size)
    for checkpointing, known in ((False, plain), (True, checkpointed)):
        settings = place.settings().model_copy(update={"gradient_checkpointing": checkpointing})
        assert benchmark.step_flops(place, settings, size, 1) / 1e12 == pytest.approx(known, rel=0.03)
        assert benchmark.step_flops(place, settings, size, 4) == 4 * benchmark.step_flops(place, settings, size, 1)


def test_the_arithmetic_of_a_step_is_what_torch_counts_at_full_size(benchmark):
    """Counted without a single weight: shapes alone go through all 57 blocks and back."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    place = at_full_size(benchmark, (512, 512), "meta")
    transformer = benchmark.random_transformer(place)
    settings = place.settings().model_copy(update={"gradient_checkpointing": False})
    transformer.add_adapter(benchmark.gaussian_lora(settings.init_r))
    assert sum("lora_A" in name for name, _ in transformer.named_parameters()) == 418
    texts = {
        "encoder_hidden_states": torch.empty(1, 512, 4096, device="meta", dtype=torch.bfloat16),
        "pooled_projections": torch.empty(1, 768, device="meta", dtype=torch.bfloat16),
        "txt_ids": torch.empty(512, 3, device="meta", dtype=torch.bfloat16),
    }
    noisy = torch.empty(1, 16, 64, 64, device="meta", dtype=torch.bfloat16)
    with FlopCounterMode(display=False) as counter:
        predicted = transformer(
            hidden_states=noisy.reshape(1, 1024, 64),
            timestep=torch.empty(1, device="meta"),
            guidance=torch.empty(1, device="meta"),
            img_ids=torch.empty(1024, 3, device="meta"),
            return_dict=False,
            **texts,
        )[0]
        predicted.float().square().mean().backward()
    assert benchmark.step_flops(place, settings, (512, 512), 1) == pytest.approx(counter.get_total_flops(), rel=0.03)


def test_a_model_in_4_bit_is_made_layer_by_layer_and_whole(benchmark):
    import torch

    transformer = benchmark.quantised(benchmark.tiny_place())
    layers = [module for module in transformer.modules() if isinstance(module, torch.nn.Linear)]
    assert all(layer.weight.dtype == torch.uint8 and layer.weight.quant_state is not None for layer in layers)
    assert not any(p.is_meta for p in transformer.parameters())
    whole = benchmark.random_transformer(benchmark.tiny_place()).modules()
    assert len(layers) == sum(isinstance(module, torch.nn.Linear) for module in whole)


def test_a_row_that_fails_says_so_and_the_others_go_on(benchmark, monkeypatch):
    import torch

    def full(*_):
        raise torch.OutOfMemoryError("too much")

    monkeypatch.setattr(benchmark, "peer_step", full)
    place = replace(benchmark.tiny_place(), sizes=((64, 64),), runs=1)
    peer, ours = benchmark.measure(place, re.compile("^(diffusers recipe|this) "))
    assert "| out of memory |" in benchmark.line(peer)
    assert "seconds" in ours and "ratio" not in ours
    assert any("out of memory" in fault for fault in benchmark.faults_of([peer, ours]))


def test_faults_are_found(benchmark):
    row = {"size": "1x1", "batch": 1, "seconds": 1.0, "mean": 1.0}
    rows = [
        row | {"what": "diffusers recipe", "losses": [1.0, 0.9, 0.8]},
        row | {"what": "this", "losses": [1.1, 0.9, 0.8]},
        row | {"what": "this, compiled", "losses": [1.1, 0.8, 0.8]},
        row | {"what": "picture, base", "means": [128.0]},
        row | {"what": "picture, adapter", "means": [128.0]},
    ]
    assert [fault.split(": ")[1][:10] for fault in benchmark.faults_of(rows)] == [
        "first loss",
        "compiled, ",
        "first loss",
        "the adapte",
    ]


@pytest.mark.slow
def test_the_self_test_measures_everything_and_compiled_blocks_learn_the_same(tmp_path):
    """Product, peer, compiled, checkpointed, 4-bit, pictures: every row has a time, losses agree to 1e-4.

    Without a C++ compiler, which compiled blocks need on the CPU, all other rows.
    """
    file, has_compiler = tmp_path / "rows.json", shutil.which("g++") is not None
    only = () if has_compiler else ("--only", "^(?!.*compiled)")
    done = forked.run(AS_A_SCRIPT, str(SCRIPT), "--self-test", "--json", str(file), *only)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "self-test passed" in done.stdout
    rows = json.loads(file.read_text())["rows"]
    assert [row["what"] for row in rows] == [what for what in MEASURED if has_compiler or "compiled" not in what]
    assert {row["what"] for row in rows if "ratio" in row} == {row["what"] for row in rows if row["what"][:4] == "this"}

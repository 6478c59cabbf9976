"""Several processes under `accelerate launch` train the adapter that one process trains with gradient accumulation."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from training_home import PAINTER, TRAINING, fill_home, tiny_profile

from artmaster_pipeline.dataset import build_training_set
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.records import MANIFEST, Adapter, read_manifest
from artmaster_pipeline.settings import Home, TrainingSettings
from artmaster_pipeline.training import train_adapter

SETTINGS = TrainingSettings.model_validate(
    TRAINING.model_dump()
    | {
        "gradient_accumulation": 2,
        "epochs": 4,
        "semantic_guidance": {"weight": 1.0, "direction_weight": 1.0, "every": 2},
        "style_constraint": {"weight": 0.1, "max_sigma": 1.0},
        "stages": (
            {"name": "tone", "share": 0.5, "sigmas": (0.4, 1.0)},
            {"name": "brush", "share": 0.5, "sigmas": (0.0, 0.6)},
        ),
    }
)


def train(home: Path, flux: Path) -> None:
    train_adapter(Home(home), PAINTER, tiny_profile(flux, training=SETTINGS))


if __name__ == "__main__":  # what the launched processes run
    train(Path(sys.argv[1]), Path(sys.argv[2]))


def launch_two(*arguments: Path) -> None:
    """`accelerate launch` once for each process, as mpirun does on CPUs (on GPUs it starts them all by itself)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--cpu",
        "--num_machines",
        "1",
        "--num_processes",
        "2",
    ]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--num_cpu_threads_per_process", "1"]
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    started = [
        subprocess.Popen(
            [*launch, __file__, *arguments],
            env=os.environ | group | {"RANK": rank, "LOCAL_RANK": rank},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    for process in started:
        _, said = process.communicate(timeout=600)
        assert process.returncode == 0, said[-3000:]


@pytest.mark.slow
def test_two_processes_train_what_one_does_with_accumulation(tmp_path, tiny_flux):
    import torch
    from safetensors.torch import load_file

    alone, together = Home(tmp_path / "alone"), Home(tmp_path / "together")
    build_training_set(fill_home(alone), PAINTER, tiny_profile(tiny_flux, training=SETTINGS))
    shutil.copytree(alone.root, together.root)
    train(alone.root, tiny_flux)
    launch_two(together.root, tiny_flux)
    (one,), (two,) = (read_manifest(home.adapters(PAINTER) / MANIFEST, Adapter) for home in (alone, together))
    assert one.id == two.id
    assert one.steps == two.steps > 4
    files = [home.root / a.path / "adapter.safetensors" for home, a in ((alone, one), (together, two))]
    first, second = (load_file(file) for file in files)
    assert set(first) == set(second)
    assert all(torch.allclose(first[name], second[name], atol=1e-5) for name in first)
    assert sha256_of(files[1]) == two.sha256

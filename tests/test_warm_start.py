"""A training that starts from the painter's last adapter: what it begins with, what is said of it, what marks it."""

import json

import pytest
from test_training_adapter import Stopped, StopsAt, files_below
from training_home import PAINTER, TRAINING, fill_home, tiny_profile

from artmaster_pipeline.adapters.folder import LORA
from artmaster_pipeline.adapters.finding import current_adapter, read_snapshot
from artmaster_pipeline.dataset import build_training_set
from artmaster_pipeline.records import Adapter
from artmaster_pipeline.settings import Home, Profile, TrainingSettings
from artmaster_pipeline.training import train_adapter
from artmaster_pipeline.training.adalora import injecting as adalora
from artmaster_pipeline.training.adalora.starting import changes_in
from artmaster_pipeline.training.learner import Learner

WARM = TRAINING.model_copy(update={"warm_start": True})


def prediction(transformer):
    """What a tiny transformer answers to fixed noise and words."""
    import torch

    generator = torch.Generator().manual_seed(7)
    config = transformer.config
    given = {
        "hidden_states": torch.randn(1, 16, config.in_channels, generator=generator),
        "encoder_hidden_states": torch.randn(1, 5, config.joint_attention_dim, generator=generator),
        "pooled_projections": torch.randn(1, config.pooled_projection_dim, generator=generator),
        "timestep": torch.tensor([0.5]),
        "guidance": torch.tensor([3.5]),
        "img_ids": torch.randn(16, 3, generator=generator).round(),
        "txt_ids": torch.zeros(5, 3),
    }
    with torch.inference_mode():
        return transformer(**given, return_dict=False)[0]


@pytest.mark.parametrize(
    "further",
    [{}, {"init_r": 6, "lora_alpha": 3}, {"adapter": "lora", "init_r": 8, "target_r": 4}],
    ids=["the same settings", "another budget and scale", "plain LoRA"],
)
def test_the_model_begins_as_the_last_adapter_left_it(trained, tiny_flux, further):
    """The ranks beyond the last adapter's are there and say nothing yet."""
    import torch
    from diffusers import FluxPipeline

    home, _, adapter = trained
    settings = TrainingSettings.model_validate(WARM.model_dump() | further)
    fresh, stock = (FluxPipeline.from_pretrained(tiny_flux) for _ in range(2))
    base = prediction(stock.transformer)
    stock.load_lora_weights(home.root / adapter.path)
    wanted = prediction(stock.transformer)
    changes = changes_in(home.root / adapter.path / LORA)
    learner = Learner(fresh.transformer, fresh.scheduler, settings, 20, torch.float32, start=changes)
    learner.stacks.refresh(adalora.scale(settings))
    assert (prediction(fresh.transformer) - wanted).abs().max() <= 1e-6
    assert (wanted - base).abs().max() > 1e-3
    assert learner.total_rank == len(adapter.ranks) * (settings.init_r if "adapter" not in further else 4)
    a = learner.live()
    if "adapter" not in further:
        begun = {name.removesuffix(".lora_E"): int((e != 0).sum()) for name, e in a.items() if name.endswith("lora_E")}
        assert begun == adapter.ranks
    assert all(bool((tensor != 0).any()) for name, tensor in a.items() if name.endswith("lora_A"))

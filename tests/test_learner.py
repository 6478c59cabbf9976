"""One step of training: stages, the style constraint, semantic guidance, optimizers, means, masks, what blows up."""

import pytest
from test_stacked import TOTAL, batch, learner

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.settings import (
    SemanticGuidanceSettings,
    StyleConstraintSettings,
    TrainingSettings,
    TrainingStage,
)
from artmaster_pipeline.training.adalora import injecting as adalora


def states(ours) -> dict:
    return {name: tensor.clone() for name, tensor in ours.live().items()}


def changed_layers(before: dict, after: dict) -> set[str]:
    import torch

    return {name.rsplit(".lora_", 1)[0] for name in before if not torch.equal(before[name], after[name])}


# --- stages


def test_a_stage_trains_its_layers_only_and_the_rank_budget_runs_over_the_whole():
    stages = (
        TrainingStage(name="double", share=0.4, layers=("double",)),
        TrainingStage(name="rest", share=0.6, layers=("single",), sigmas=(0.0, 0.5)),
    )
    ours = learner(stages=[stage.model_dump() for stage in stages])
    start, examples = states(ours), batch()
    for step in range(1, 9):
        ours.step(step, 0, [examples])
    middle = states(ours)
    assert all(layer.startswith("transformer_blocks.") for layer in changed_layers(start, middle))
    sleeping = [mask for group, mask in zip(ours.stacks.groups, ours.allocator.kept, strict=True) if group.learns[1]]
    assert all(mask.all() for mask in sleeping)
    awake = [mask for group, mask in zip(ours.stacks.groups, ours.allocator.kept, strict=True) if group.learns[0]]
    assert not all(mask.all() for mask in awake)
    for step in range(9, TOTAL + 1):
        ours.step(step, 1, [examples])
    after = states(ours)
    learnt = {layer for layer in changed_layers(middle, after) if not _only_pruned(layer, middle, after)}
    assert learnt
    assert all(layer.startswith("single_transformer_blocks.") for layer in learnt)
    assert ours.total_rank == 2 * len({name.rsplit(".lora_", 1)[0] for name in after})


def _only_pruned(layer: str, before: dict, after: dict) -> bool:
    """A layer that sleeps may lose ranks to the budget; what it keeps stays what it was."""
    import torch

    kept = after[f"{layer}.lora_E"] != 0
    return torch.equal(before[f"{layer}.lora_E"][kept], after[f"{layer}.lora_E"][kept]) and all(
        torch.equal(before[f"{layer}.lora_{part}"], after[f"{layer}.lora_{part}"]) for part in "AB"
    )


def test_layers_that_no_stage_trains_get_no_adapter():
    stages = [{"name": "attention", "share": 1.0, "layers": ("attention",)}]
    layers = {name.rsplit(".lora_", 1)[0] for name in learner(stages=stages).live()}
    assert layers
    assert all(".attn." in layer for layer in layers)


def test_a_stage_draws_its_own_noise_levels(monkeypatch):
    from artmaster_pipeline.training import learner as module

    seen = []
    real = module.add_noise
    monkeypatch.setattr(module, "add_noise", lambda z, sigmas, g: seen.append(sigmas) or real(z, sigmas, g))
    stages = [
        {"name": "high", "share": 0.5, "sigmas": (0.7, 1.0)},
        {"name": "low", "share": 0.5, "sigmas": (0.0, 0.3)},
    ]
    ours = learner(stages=stages)
    for step in range(1, TOTAL + 1):
        ours.step(step, int(step > TOTAL // 2), [batch()])
    high, low = seen[: TOTAL // 2], seen[TOTAL // 2 :]
    assert min(s.min().item() for s in high) >= 0.7
    assert max(s.max().item() for s in low) <= 0.3


# --- the style constraint


class _Vae:
    """A VAE with a decoder of FLUX's kind, and nothing else that the constraint reads."""

    def __init__(self):
        import torch
        from diffusers import AutoencoderKL

        torch.manual_seed(0)
        self.whole = AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2,
            block_out_channels=[8, 16], layers_per_block=1, norm_num_groups=4, latent_channels=16,
            scaling_factor=0.36, shift_factor=0.11, use_quant_conv=False, use_post_quant_conv=False,
        ).requires_grad_(False)  # fmt: skip


def constraint(max_sigma: float = 1.0):
    from artmaster_pipeline.base_models.flux.descriptor import FAMILY
    from artmaster_pipeline.training.losses.style_constraint import StyleConstraint

    return StyleConstraint(_Vae().whole, FAMILY, max_sigma)


def test_the_constraint_is_zero_for_the_same_statistics_and_grows_with_the_difference():
    import torch

    chance = torch.Generator().manual_seed(0)
    clean = torch.randn(2, 16, 8, 8, generator=chance)
    sigmas, measure = torch.tensor([0.2, 0.4]), constraint()
    assert measure(clean, clean, sigmas).item() < 1e-9
    shifted, blurred = measure(clean + 0.5, clean, sigmas).item(), measure(0.3 * clean, clean, sigmas).item()
    assert 0.01 < shifted < measure(clean + 1.0, clean, sigmas).item()
    assert 0.01 < blurred < measure(0.1 * clean, clean, sigmas).item()


def test_the_constraint_does_not_ask_where_things_are():
    import torch

    from artmaster_pipeline.training.losses.style_constraint import _difference

    features = torch.randn(2, 5, 6, 6, generator=torch.Generator().manual_seed(0))
    places = torch.randperm(36, generator=torch.Generator().manual_seed(1))
    elsewhere = features.flatten(2)[:, :, places].view_as(features)
    assert _difference(elsewhere, features).item() < 1e-9


def test_the_constraint_looks_at_low_noise_only_and_its_gradient_reaches_the_adapter():
    import torch

    clean = torch.randn(2, 16, 8, 8)
    low = constraint(max_sigma=0.3)
    assert low(clean + 1, clean, torch.tensor([0.5, 0.9])) is None
    one = low(clean + 1, clean, torch.tensor([0.2, 0.9])).item()
    both = low(clean + 1, clean, torch.tensor([0.2, 0.2])).item()
    assert 0 < one < both
    wanted = StyleConstraintSettings(weight=1.0, max_sigma=1.0).model_dump()
    with_it, without = learner(constraint=constraint(), style_constraint=wanted), learner()
    row = with_it.step(1, 0, [batch()])
    assert row["constraint"] > 0
    assert row["loss"] == without.step(1, 0, [batch()])["loss"]
    with_it.step(2, 0, [batch()])
    without.step(2, 0, [batch()])
    assert changed_layers(states(with_it), states(without))


# --- semantic guidance


def guidance_texts():
    from artmaster_pipeline.training.losses.semantic_guidance import GuidanceTexts

    texts = [example.text for example in batch(7, 4)]
    return GuidanceTexts(tuple(texts[:2]), tuple(texts[2:]))


def prediction(ours, text, adapted: bool):
    import torch

    noisy = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        ours.stacks.refresh(adalora.scale(ours.settings))
        if adapted:
            return ours._predict(noisy, torch.tensor([0.8]), [text])
        with ours.stacks.off():
            return ours._predict(noisy, torch.tensor([0.8]), [text])


@pytest.mark.parametrize("kind", ["weight", "direction_weight"])
def test_guidance_keeps_what_the_words_mean(kind):
    """The same training with and without it: at its end, prompts of the guidance mean more of what they did."""
    texts = guidance_texts()

    def drift(strength: float) -> float:
        wanted = SemanticGuidanceSettings(**{kind: strength}, every=1, min_sigma=0.5).model_dump()
        ours = learner(guidance=texts, semantic_guidance=wanted)
        for step in range(1, TOTAL + 1):
            ours.step(step, 0, [batch()])
        if kind == "weight":
            return sum(
                (prediction(ours, t, True) - prediction(ours, t, False)).square().mean().item() for t in texts.plain
            )
        adapted = prediction(ours, texts.triggered[0], True) - prediction(ours, texts.triggered[1], True)
        base = prediction(ours, texts.plain[0], False) - prediction(ours, texts.plain[1], False)
        return (adapted - base).square().mean().item()

    assert drift(20.0) < 0.7 * drift(0.0)


def test_without_effect_of_the_adapter_there_is_nothing_to_guide():
    wanted = SemanticGuidanceSettings(weight=1.0, every=1).model_dump()
    row = learner(guidance=guidance_texts(), semantic_guidance=wanted).step(1, 0, [batch()])
    assert row["guidance"] == pytest.approx(0, abs=1e-10)


def test_guidance_comes_every_so_many_steps():
    wanted = SemanticGuidanceSettings(weight=1.0, direction_weight=1.0, every=3).model_dump()
    ours = learner(guidance=guidance_texts(), semantic_guidance=wanted)
    rows = [ours.step(step, 0, [batch()]) for step in range(1, 10)]
    assert [row["guidance"] > 0 for row in rows] == [False, False, True] * 3


# --- batches, means, masks


def test_two_batches_in_a_step_are_one_batch_of_both():
    import torch

    examples = batch(0, 4)
    ours = learner(gradient_accumulation=2)
    ours.step(1, 0, [examples[:2], examples[2:]])
    again = learner(gradient_accumulation=2)
    again.stacks.refresh(adalora.scale(again.settings))
    losses = [
        again._losses(0, examples[part : part + 2], _generator(again, 1, place))[0] for place, part in enumerate((0, 2))
    ]
    ((losses[0] + losses[1]) / 2).backward()
    again.stacks.collect()
    again.stacks.add_orthogonal_loss(again.settings.orth_reg_weight)
    torch.nn.utils.clip_grad_norm_(again.stacks.tensors, again.settings.max_grad_norm)
    again.optimizer.step()
    for a, b in zip(ours.stacks.tensors, again.stacks.tensors, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def _generator(ours, *number):
    from artmaster_pipeline.training.losses.flow_matching import step_generator

    return step_generator(ours.settings.seed, *number)


def test_the_running_mean_follows_the_weights_and_is_what_is_kept():
    import torch

    ours = learner(ema_decay=0.5)
    expected = [t.detach().clone() for t in ours.stacks.tensors]
    for step in range(1, TOTAL + 1):
        ours.step(step, 0, [batch()])
        expected = [0.5 * mean + 0.5 * t.detach() for mean, t in zip(expected, ours.stacks.tensors, strict=True)]
    for group_of_three in range(len(ours.stacks.groups)):
        for part in (0, 1):
            place = 3 * group_of_three + part
            assert torch.allclose(ours.averages[place], expected[place], atol=1e-6)
    raw = learner()
    for step in range(1, TOTAL + 1):
        raw.step(step, 0, [batch()])
    assert changed_layers(states(ours), states(raw))
    ranks = [int((e != 0).sum()) for name, e in states(ours).items() if name.endswith("lora_E")]
    assert sum(ranks) <= ours.total_rank
    before = [t.detach().clone() for t in ours.stacks.tensors]
    with ours.finished(0.5):
        assert torch.equal(ours.stacks.tensors[0], ours.averages[0])
    assert all(torch.equal(a, b) for a, b in zip(before, ours.stacks.tensors, strict=True))


@pytest.mark.parametrize("ema_decay", [None, 0.5])
def test_between_two_allocations_the_adapter_shows_no_rank_that_was_taken_away(ema_decay):
    import torch

    ours, alone = (learner(ema_decay=ema_decay, allocate_every=4) for _ in range(2))
    for step in range(1, 12):
        ours.step(step, 0, [batch()])
        alone.step(step, 0, [batch()])
    kept = torch.cat([keep.flatten() for keep in ours.allocator.kept])
    grown = torch.cat([e.detach().flatten() for e in ours.stacks.tensors[2::3]])
    assert (grown[~kept] != 0).any()  # the steps since the last allocation
    shown = torch.cat([e.flatten() for name, e in states(ours).items() if name.endswith("lora_E")])
    assert int((shown != 0).sum()) == ours.total_rank == int(kept.sum())
    assert int((shown != 0).sum()) < shown.numel()
    with ours.finished(1.0):
        drawn = torch.cat([e.detach().flatten() for e in ours.stacks.tensors[2::3]])
        assert torch.equal(drawn != 0, kept)
    ours.step(12, 0, [batch()])
    alone.step(12, 0, [batch()])
    assert not changed_layers(states(ours), states(alone))  # who looked has changed nothing


def test_places_without_weight_change_nothing():
    import dataclasses

    import torch

    weights = torch.zeros(1, 8, 8)
    weights[:, :, :4] = 1
    examples = [dataclasses.replace(example, weights=weights) for example in batch()]
    ours, other = learner(), learner()
    loss = ours.step(1, 0, [examples])["loss"]
    assert loss != other.step(1, 0, [batch()])["loss"]
    flat = [dataclasses.replace(example, weights=torch.full((1, 8, 8), 0.3)) for example in batch()]
    assert learner().step(1, 0, [flat])["loss"] == pytest.approx(learner().step(1, 0, [batch()])["loss"], rel=1e-5)


# --- optimizers


@pytest.mark.parametrize(("optimizer", "rate"), [("adamw", 1e-2), ("adamw8bit", 1e-2), ("prodigy", 1.0)])
def test_every_optimizer_learns_and_goes_on_exactly_from_a_checkpoint(tmp_path, optimizer, rate):
    import torch

    from artmaster_pipeline.training.checkpoints import restore_checkpoint, save_checkpoint

    if optimizer == "adamw8bit":
        pytest.importorskip("bitsandbytes", reason="8-bit AdamW comes with the extra `cuda`")
    how = {"optimizer": optimizer, "learning_rate": rate, "ema_decay": 0.9}
    whole = learner(**how)
    for step in range(1, 13):
        whole.step(step, 0, [batch()])
    first = learner(**how)
    for step in range(1, 8):
        first.step(step, 0, [batch()])
    save_checkpoint(tmp_path, first, 7, {"log": [{"step": 7}]})
    second = learner(**how)
    assert restore_checkpoint(tmp_path, second) == (7, {"log": [{"step": 7}]})
    for step in range(8, 13):
        second.step(step, 0, [batch()])
    ours, theirs = states(whole), states(second)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert changed_layers(states(learner(**how)), ours)


def test_a_loss_that_is_no_number_is_found_before_a_weight_changes():
    import dataclasses

    import torch

    from artmaster_pipeline.training.learner import BlewUp

    ours = learner()
    ours.step(1, 0, [batch()])
    before = states(ours)
    broken = [dataclasses.replace(example, latent=example.latent * float("nan")) for example in batch()]
    with pytest.raises(BlewUp):
        ours.step(2, 0, [broken])
    assert not changed_layers(before, states(ours))
    ours.step(2, 0, [batch()])
    assert all(torch.isfinite(tensor).all() for tensor in states(ours).values())


# --- several processes


def test_a_step_that_cannot_be_shared_out_is_refused(monkeypatch):
    from artmaster_pipeline.settings import load_profile
    from artmaster_pipeline.training import processes as module

    monkeypatch.setenv("WORLD_SIZE", "2")
    module.processes.cache_clear()
    profile = load_profile("miniature")
    odd = profile.model_copy(update={"training": TrainingSettings(gradient_accumulation=3)})
    with pytest.raises(WrongUse, match="multiple of 2"):
        module.processes(odd)
    module.processes.cache_clear()

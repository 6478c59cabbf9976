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
    real = module.with_noise
    monkeypatch.setattr(module, "with_noise", lambda z, sigmas, noise: seen.append(sigmas) or real(z, sigmas, noise))
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
    ours, again = learner(gradient_accumulation=2), learner()
    for step in (1, 2):
        ours.step(step, 0, [examples[:2], examples[2:]])
        again.step(step, 0, [examples])
    for a, b in zip(ours.stacks.tensors, again.stacks.tensors, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


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

    from artmaster_pipeline.training.learner import TrainingDiverged

    ours = learner()
    ours.step(1, 0, [batch()])
    before = states(ours)
    broken = [dataclasses.replace(example, latent=example.latent * float("nan")) for example in batch()]
    with pytest.raises(TrainingDiverged):
        ours.step(2, 0, [broken])
    assert not changed_layers(before, states(ours))
    ours.step(2, 0, [batch()])
    assert all(torch.isfinite(tensor).all() for tensor in states(ours).values())


def test_only_the_first_step_of_all_is_one_of_an_untrained_adapter():
    import dataclasses

    from artmaster_pipeline.training.learner import TrainingDiverged

    broken = [dataclasses.replace(example, latent=example.latent * float("inf")) for example in batch()]
    ours = learner()
    for untrained in (True, False):
        with pytest.raises(TrainingDiverged) as caught:
            ours.step(1, 0, [broken])
        assert caught.value.untrained is untrained
        ours.step(1, 0, [batch()])


# --- a step in several batches


def weighed(examples, seed: int = 0) -> list:
    import dataclasses

    import torch

    chance = torch.Generator().manual_seed(seed)
    return [dataclasses.replace(e, weights=torch.rand(1, *e.latent.shape[1:], generator=chance)) for e in examples]


def gradients(examples, sizes: tuple[int, ...], **changes) -> "tuple[dict[str, float], list]":
    """Losses of a first step and the gradients that its optimizer is given, the examples in batches of `sizes`."""
    import torch

    ours = learner(**changes)
    for group in ours.stacks.groups:  # else B's gradient alone would not be zero
        if group.e is not None:
            group.e.data.fill_(0.5)
        group.b.data.normal_(std=0.05, generator=torch.Generator().manual_seed(0))
    left = iter(examples)
    batches = [[next(left) for _ in range(size)] for size in sizes]
    given = []
    ours.optimizer.step = lambda: given.extend(tensor.grad.clone() for tensor in ours.stacks.tensors)
    return ours.step(1, 0, batches), given


@pytest.mark.parametrize(
    "how", [{}, {"adapter": "lora"}, {"gradient_checkpointing": True}, {"weighed": True}, {"constraint": True}]
)
def test_a_step_in_bf16_does_not_depend_on_how_many_batches_it_is_made_in(how):
    import torch

    examples = weighed(batch(count=4)) if how.get("weighed") else batch(count=4)
    changes = {"dtype": "bfloat16", "orth_reg_weight": 0.0, "max_grad_norm": 1e9} | {
        name: value for name, value in how.items() if name in ("adapter", "gradient_checkpointing")
    }
    if how.get("constraint"):
        changes |= {"constraint": constraint(), "style_constraint": {"weight": 0.1, "max_sigma": 1.0}}
    whole, wanted = gradients(examples, (4,), **changes)
    assert all(grad.dtype == torch.float32 for grad in wanted)
    for sizes in ((2, 2), (1, 1, 1, 1), (3, 1)):
        row, found = gradients(examples, sizes, **changes)
        assert row["loss"] == pytest.approx(whole["loss"], rel=1e-5)
        for mine, theirs in zip(found, wanted, strict=True):
            # bf16 rounds at 4e-3; what is left is fp32's own order of sums
            assert (mine - theirs).norm() < 1e-5 * theirs.norm()


def test_batches_of_two_sizes_weigh_by_their_pictures():
    import dataclasses

    small = batch(count=3)
    large = [dataclasses.replace(e, latent=e.latent.repeat(1, 1, 2)) for e in batch(seed=1, count=1)]
    one, wanted = gradients([*small, *large], (3, 1))
    two, found = gradients([*small, *large], (1, 2, 1))
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-5)
    assert all((mine - theirs).norm() < 1e-5 * theirs.norm() for mine, theirs in zip(found, wanted, strict=True))


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

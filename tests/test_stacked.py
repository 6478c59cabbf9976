"""AdaLoRA on stacked parameters is PEFT's own: the same forward and backward, pruning, losses over a whole training."""

import pytest
from tiny_flux import SCHEDULER, tiny_transformer
from training_home import TRAINING

TOTAL = 20


def batch(seed: int = 0, count: int = 2):
    import torch

    from artmaster_pipeline.base_models import TextEmbedding
    from artmaster_pipeline.training.learner import Example

    chance = torch.Generator().manual_seed(seed)
    return [
        Example(
            torch.randn(16, 8, 8, generator=chance),
            TextEmbedding(
                {
                    "prompt_embeds": torch.randn(6, 32, generator=chance),
                    "pooled_prompt_embeds": torch.randn(32, generator=chance),
                }
            ),
        )
        for _ in range(count)
    ]


def learner(**changes):
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler

    from artmaster_pipeline.training.learner import Learner

    further = {name: changes.pop(name) for name in ("constraint", "guidance", "processes") if name in changes}
    dtype = getattr(torch, changes.pop("dtype", "float32"))
    settings = type(TRAINING).model_validate(TRAINING.model_dump() | changes)
    scheduler = FlowMatchEulerDiscreteScheduler(**SCHEDULER)
    return Learner(tiny_transformer(dtype), scheduler, settings, TOTAL, dtype, **further)


def peft_losses(settings, examples, steps: int) -> list[float]:
    """AdaLoRA as PEFT documents it: its own layers, a loop over all A and B, its own update_and_allocate."""
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler

    from artmaster_pipeline.base_models.flux.descriptor import FAMILY
    from artmaster_pipeline.training.adalora import injecting as adalora
    from artmaster_pipeline.training.losses.flow_matching import (
        add_noise,
        sigmas_for,
        step_generator,
        velocity_loss,
    )
    from artmaster_pipeline.training.schedule import rank_schedule

    transformer, scheduler = tiny_transformer(), FlowMatchEulerDiscreteScheduler(**SCHEDULER)
    model = adalora.wrap(transformer, settings, rank_schedule(TOTAL, settings)).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    latents, texts = torch.stack([e.latent for e in examples]), [e.text for e in examples]
    losses = []
    for step in range(1, steps + 1):
        generator = step_generator(settings.seed, step, 0)
        sigmas = sigmas_for(len(examples), FAMILY.shift(scheduler, 16), settings.timestep_sampling, generator)
        noised = add_noise(latents, sigmas, generator)
        predicted = FAMILY.predict_velocity(transformer, noised.noisy, noised.sigmas, texts, 1.0, torch.float32)
        loss = velocity_loss(predicted, noised)
        each = []
        for name, p in model.named_parameters():
            if "lora_A" in name or "lora_B" in name:
                gram = p @ p.T if "lora_A" in name else p.T @ p
                each.append(torch.norm(gram - torch.eye(len(gram)), p="fro"))
        (loss + settings.orth_reg_weight * torch.stack(each).mean()).backward()
        torch.nn.utils.clip_grad_norm_(trained, settings.max_grad_norm)
        optimizer.step()
        model.base_model.update_and_allocate(step)
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def test_a_training_has_the_losses_of_pefts_own_adalora():
    examples = batch()
    ours = learner()
    found = [ours.step(step, 0, [examples])["loss"] for step in range(1, TOTAL + 1)]
    assert found == pytest.approx(peft_losses(ours.settings, examples, TOTAL), abs=1e-4)
    assert max(p.abs().max().item() for name, p in ours.live().items() if name.endswith("lora_E")) > 0.01
    assert ours.total_rank == 2 * len({name.rsplit(".lora_", 1)[0] for name in ours.live()})


def test_the_stacked_allocation_prunes_what_pefts_own_prunes():
    import torch

    from artmaster_pipeline.training.adalora import injecting as adalora
    from artmaster_pipeline.training.adalora.rank_allocation import StackedAllocator
    from artmaster_pipeline.training.adalora.stacked import Stacks
    from artmaster_pipeline.training.schedule import rank_schedule

    def pruned(stacked: bool):
        model = adalora.wrap(tiny_transformer(), TRAINING, rank_schedule(TOTAL, TRAINING))
        named = adalora.parameters(model)
        if stacked:
            stacks = Stacks(model, named, torch.float32)
            StackedAllocator(model, stacks, adalora.ADAPTER_NAME)
            owners = {
                f"{layer}.lora_{part}": tensor.grad[n]
                for group in stacks.groups
                for part, tensor in zip("ABE", group.tensors, strict=True)
                for n, layer in enumerate(group.layers)
            }
        chance = torch.Generator().manual_seed(3)
        patterns = []
        for step in range(1, TOTAL + 1):
            for name, p in named.items():
                p.data += 0.01 * torch.randn(p.shape, generator=chance)
                gradient = torch.randn(p.shape, generator=chance)
                if stacked:
                    owners[name].copy_(gradient)
                else:
                    p.grad = gradient
            model.base_model.update_and_allocate(step)
            patterns.append(model.peft_config[adalora.ADAPTER_NAME].rank_pattern)
        return patterns, {name: p.detach().clone() for name, p in named.items()}

    ours, pefts = pruned(stacked=True), pruned(stacked=False)
    assert [p and dict(sorted(p.items())) for p in ours[0]] == [p and dict(sorted(p.items())) for p in pefts[0]]
    assert ours[0][-1] is not None
    assert all(torch.equal(ours[1][name], pefts[1][name]) for name in ours[1])


def test_the_orthogonal_loss_and_its_gradients_are_autograds():
    import torch

    ours = learner()
    for group in ours.stacks.groups:
        group.a.data.mul_(3)
    value = ours.stacks.add_orthogonal_loss(0.7)
    leaves, each = [], []
    for group in ours.stacks.groups:
        for matrix in (group.a, group.b):
            leaf = matrix.detach().clone().requires_grad_(True)
            leaves.append((matrix, leaf))
            rows = leaf if matrix is group.a else leaf.transpose(1, 2)
            gram = rows @ rows.transpose(1, 2) - torch.eye(rows.shape[1])
            each.append(gram.norm(dim=(1, 2)))
    wanted = torch.cat(each).mean()
    (0.7 * wanted).backward()
    assert value.item() == pytest.approx(wanted.item(), rel=1e-5)
    for matrix, leaf in leaves:
        assert torch.allclose(matrix.grad, leaf.grad, atol=1e-6)


@pytest.mark.parametrize("adapter", ["adalora", "lora"])
def test_a_layer_with_working_copies_computes_and_learns_what_pefts_layer_does(adapter):
    import torch

    from artmaster_pipeline.training.adalora import injecting as adalora
    from artmaster_pipeline.training.schedule import rank_schedule

    settings = TRAINING.model_copy(update={"adapter": adapter})
    ours = learner(adapter=adapter)
    theirs = adalora.wrap(tiny_transformer(), settings, rank_schedule(TOTAL, settings)).train()
    chance = torch.Generator().manual_seed(1)
    mine, named = adalora.parameters(ours.model), adalora.parameters(theirs)
    for name, p in named.items():
        value = torch.randn(p.shape, generator=chance) * 0.1
        p.data.copy_(value)
        mine[name].data.copy_(value)
    ours.stacks.refresh(adalora.scale(settings))
    layer = "transformer_blocks.0.ff.net.2"
    x = torch.randn(2, 5, 128, generator=chance, requires_grad=True)
    again = x.detach().clone().requires_grad_(True)
    a = ours.model.base_model.model.get_submodule(layer)(x)
    b = theirs.base_model.model.get_submodule(layer)(again)
    assert torch.allclose(a, b, atol=1e-5)
    a.square().sum().backward()
    b.square().sum().backward()
    ours.stacks.collect()
    assert torch.allclose(x.grad, again.grad, rtol=1e-4, atol=1e-4)
    (group, n) = next((g, g.layers.index(layer)) for g in ours.stacks.groups if layer in g.layers)
    for part, tensor in zip("ABE", group.tensors, strict=False):
        assert torch.allclose(tensor.grad[n], named[f"{layer}.lora_{part}"].grad, rtol=1e-3, atol=1e-4)
    with ours.stacks.off(), theirs.disable_adapter():
        assert torch.equal(
            ours.model.base_model.model.get_submodule(layer)(x), theirs.base_model.model.get_submodule(layer)(x)
        )

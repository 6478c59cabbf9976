"""Teaching the gate: first whose caption it is, then, with the experts frozen, whose prediction denoises best.

The second lesson adds the mixture's loss to the first one's, in units of what lies between the best and the worst who
may draw (they differ by a few percent, and what they share says nothing), and the load-balance loss of the Switch
Transformer (Fedus, Zoph and Shazeer 2021, https://arxiv.org/abs/2101.03961, equation 4): the number of experts
times the sum over them of the share of the cases that each gets most of, times its mean weight. It is 1 where all get
alike.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from artmaster_pipeline.experts.learned.asking import Answers
from artmaster_pipeline.experts.learned.network import REGIONS, learnt, logits, new_parameters
from artmaster_pipeline.settings import LearnedGateSettings

if TYPE_CHECKING:
    import torch

    from artmaster_pipeline.experts.learned.network import Parameters

_BLUR = 0.7  # noise on embeddings while they teach, in units of their scale: there are few captions
_NOBODY = 0.05  # of each caption's weight: the gate is never quite sure that somebody should draw


def teach(
    texts: "torch.Tensor",
    painters: "torch.Tensor",
    count: int,
    settings: LearnedGateSettings,
    answers: Answers | None = None,
    asked: "torch.Tensor | None" = None,
) -> "Parameters":
    """The gate's parameters, from captions' embeddings (n, features) with the numbers of their painters (n,).

    `answers` are the experts' on pictures, `asked` the embeddings of their captions, case by case. All captions are
    learnt at once, every painter's with the same weight together; the same input gives the same parameters.
    """
    import torch

    parameters = new_parameters(texts, count, settings.hidden, settings.seed)
    changed = [tensor.requires_grad_() for tensor in learnt(parameters)]
    generator = torch.Generator().manual_seed(settings.seed)
    counts = torch.bincount(painters, minlength=count).clamp_min(1)
    weights = 1 / counts[painters] / (counts > 0).sum()
    weights = weights / weights.sum()

    def lesson_of_captions() -> "torch.Tensor":
        regions = torch.randint(len(REGIONS), (len(texts),), generator=generator)
        sigmas = torch.rand(len(texts), generator=generator)
        blurred = texts + _BLUR * parameters["text.scale"] * torch.randn(texts.shape, generator=generator)
        odds = logits(parameters, blurred, regions, sigmas).log_softmax(1)
        own = odds.gather(1, painters[:, None])[:, 0]
        return -(weights * ((1 - _NOBODY) * own + _NOBODY * odds[:, -1])).sum()

    _descend(changed, settings, settings.caption_steps, lesson_of_captions)
    if answers is not None and asked is not None:
        unit = _spread(answers)

        def both_lessons() -> "torch.Tensor":
            gates = logits(parameters, asked, answers.regions, answers.sigmas).softmax(1)
            mixed = answers.losses(gates).mean() / unit
            return mixed + lesson_of_captions() + settings.balance * load_balance(gates[:, :-1])

        _descend(changed, settings, settings.mixture_steps, both_lessons)
    return {name: tensor.detach() for name, tensor in parameters.items()}


def load_balance(gates: "torch.Tensor") -> "torch.Tensor":
    """The load-balance loss of experts' weights (n, experts); 1 where all experts get alike, more where they do not."""
    import torch

    experts = gates.shape[1]
    most = torch.nn.functional.one_hot(gates.argmax(1), experts).float().mean(0)
    balance: torch.Tensor = experts * (most * gates.mean(0) / gates.sum(1).mean()).sum()
    return balance


def mixture_losses(answers: Answers, gates: "torch.Tensor", painters: Sequence[str]) -> dict[str, float]:
    """The mean loss of each expert alone, of nobody's, of all experts alike, and of the gate."""
    import torch

    cases, count = len(answers.target), len(painters) + 1
    alone = torch.eye(count)
    fixed = {name: alone[place] for place, name in enumerate((*painters, "nobody"))}
    fixed["all alike"] = torch.cat([torch.full((count - 1,), 1 / (count - 1)), torch.zeros(1)])
    found = {name: answers.losses(row.expand(cases, -1)).mean() for name, row in fixed.items()}
    found["the gate"] = answers.losses(gates).mean()
    return {name: round(float(value), 5) for name, value in found.items()}


def _spread(answers: Answers) -> "torch.Tensor":
    """How far the losses of who is right and who is wrong lie apart, the mean over the cases."""
    alone = answers.products.diagonal(dim1=1, dim2=2) - 2 * answers.with_target  # the target's own square falls out
    return (alone.max(1).values - alone.min(1).values).mean().clamp_min(1e-12)


def _descend(changed: "list[torch.Tensor]", settings: LearnedGateSettings, steps: int, loss: object) -> None:
    import torch

    optimizer = torch.optim.AdamW(changed, settings.learning_rate, weight_decay=settings.weight_decay)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()  # type: ignore[operator]
        optimizer.step()

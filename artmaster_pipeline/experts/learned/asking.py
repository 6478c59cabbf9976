"""What frozen experts predict of pictures with noise, kept as the little that a mixture's loss needs.

The mixture of predictions sum_e g_e v_e errs from the velocity u by the square g' A g - 2 b' g + c, with A_ef the mean
of v_e v_f, b_e that of v_e u and c that of u u over a region of the latent. So each expert is asked once for each
picture and noise level, and the gate learns from A, b and c without any expert.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.adapters.finding import folder_of
from artmaster_pipeline.base_models.family import TextEmbedding, family_for
from artmaster_pipeline.drawing_settings import drawing_of
from artmaster_pipeline.experts.learned.network import REGIONS
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import Adapter
from artmaster_pipeline.settings import Home, Profile
from artmaster_pipeline.threads import giving_way

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Question:
    """A picture: its clean latent (channels, height, width) and what its caption says without the trigger word."""

    latent: "torch.Tensor"
    text: str
    number: int  # makes the noise


@dataclass(frozen=True)
class Answers:
    """Of n cases (pictures x noise levels x regions) the quadratic forms; experts in order, nobody (the base) last."""

    texts: tuple[str, ...]  # (n,)
    regions: "torch.Tensor"  # (n,), numbers of REGIONS
    sigmas: "torch.Tensor"  # (n,)
    products: "torch.Tensor"  # A, (n, experts + 1, experts + 1)
    with_target: "torch.Tensor"  # b, (n, experts + 1)
    target: "torch.Tensor"  # c, (n,)

    def losses(self, gates: "torch.Tensor") -> "torch.Tensor":
        """The mean squared error of the mixture at gates (n, experts + 1), case by case."""
        import torch

        squares = torch.einsum("ne,nef,nf->n", gates, self.products, gates)
        return squares - 2 * (gates * self.with_target).sum(1) + self.target


def ask(
    home: Home,
    profile: Profile,
    adapters: Sequence[Adapter],
    questions: Sequence[Question],
    texts: Mapping[str, TextEmbedding],
    progress: Progress,
) -> Answers:
    """Ask every expert, told its own trigger word and what the caption says, and the base, told that alone."""
    import torch

    from artmaster_pipeline.adapters import attach, detach
    from artmaster_pipeline.base_models import open_pipeline

    sigmas = torch.tensor(profile.experts.gate.sigmas)
    noised = [_noised(question, sigmas, profile.experts.gate.seed) for question in questions]
    said: list[list[torch.Tensor]] = []
    total = (len(adapters) + 1) * len(questions)
    with open_pipeline(profile, ("transformer",), home) as pipe, progress.task("asking experts", total) as advance:
        for adapter in (*adapters, None):
            if adapter is not None:
                attach(pipe, folder_of(home, adapter), drawing_of(adapter, profile).strength)
            answers = []
            for question, (noisy, _) in zip(questions, noised, strict=True):
                prompt = told(adapter.trigger, question.text) if adapter is not None else question.text
                answers.append(_predicted(pipe, profile, noisy, sigmas, texts[prompt]))
                advance()
            said.append(answers)
            if adapter is not None:
                detach(pipe)
    forms = [
        _forms(torch.stack([answers[place] for answers in said]), noised[place][1]) for place in range(len(questions))
    ]
    cases = len(sigmas) * len(REGIONS)
    return Answers(
        texts=tuple(question.text for question in questions for _ in range(cases)),
        regions=torch.arange(len(REGIONS)).repeat(len(sigmas) * len(questions)),
        sigmas=sigmas.repeat_interleave(len(REGIONS)).repeat(len(questions)),
        products=torch.cat([form[0] for form in forms]),
        with_target=torch.cat([form[1] for form in forms]),
        target=torch.cat([form[2] for form in forms]),
    )


def told(trigger: str, text: str) -> str:
    """What an expert is told of a picture."""
    return f"{trigger}, {text}"


def _noised(question: Question, sigmas: "torch.Tensor", seed: int) -> "tuple[torch.Tensor, torch.Tensor]":
    """The latent with noise at each level, and the velocity, both (levels, channels, height, width)."""
    from artmaster_pipeline.training.losses.flow_matching import add_noise, step_generator

    latents = question.latent[None].expand(len(sigmas), -1, -1, -1)
    noised = add_noise(latents, sigmas, step_generator(seed, question.number))
    return noised.noisy, noised.velocity


def _predicted(
    pipe: Any, profile: Profile, noisy: "torch.Tensor", sigmas: "torch.Tensor", text: TextEmbedding
) -> "torch.Tensor":
    import torch

    dtype, device = getattr(torch, profile.dtype), pipe.transformer.device
    autocast = torch.autocast(profile.device, dtype, enabled=dtype == torch.bfloat16)
    with torch.inference_mode(), autocast, giving_way():
        predicted = family_for(pipe).predict_velocity(
            pipe.transformer,
            noisy.to(device),
            sigmas.to(device),
            [text] * len(sigmas),
            profile.training.guidance_scale,
            dtype,
        )
    return predicted.float().cpu()


def _forms(predicted: "torch.Tensor", velocity: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
    """A, b and c of one picture, level by level and region by region; `predicted` is (experts + 1, levels, ...)."""
    import torch

    masks = region_masks(*velocity.shape[-2:])  # regions, height, width
    size = masks.sum((1, 2)) * velocity.shape[1]
    products = torch.einsum("elchw,flchw,rhw->lref", predicted, predicted, masks) / size[None, :, None, None]
    with_target = torch.einsum("elchw,lchw,rhw->lre", predicted, velocity, masks) / size[None, :, None]
    target = torch.einsum("lchw,lchw,rhw->lr", velocity, velocity, masks) / size[None]
    return products.flatten(0, 1), with_target.flatten(0, 1), target.flatten()


def region_masks(height: int, width: int) -> "torch.Tensor":
    """The regions of a latent as ones and zeros, (regions, height, width): halves, and the middle's quarter."""
    import torch

    masks = {region: torch.zeros(height, width) for region in REGIONS}
    masks["whole"][:] = 1
    masks["upper"][: height // 2] = 1
    masks["lower"][height // 2 :] = 1
    masks["left"][:, : width // 2] = 1
    masks["right"][:, width // 2 :] = 1
    masks["middle"][height // 4 : height - height // 4, width // 4 : width - width // 4] = 1
    return torch.stack([masks[region] for region in REGIONS])

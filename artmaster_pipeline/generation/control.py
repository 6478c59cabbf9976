"""Structure signals that a drawing keeps to: ControlNets beside the transformer (https://arxiv.org/abs/2302.05543).

diffusers' FluxControlNetPipeline draws from text alone; its forms that start from a picture or repaint one take no
classifier-free guidance. So here the ControlNet is asked by a hook before each of the transformer's passes, whatever
pipeline makes them, and gives what FluxControlNetPipeline would give, to the last digit (tests/test_forms.py).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from artmaster_pipeline.base_models.family import TextEmbedding, family_for

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ControlSignal:
    """A picture of a structure, in the words of diffusers' pipelines."""

    picture: np.ndarray  # uint8 (height, width, 3), of the drawing's size
    mode: int | None  # control_mode of a union network; None: the network knows one signal alone
    scale: float = 0.7  # controlnet_conditioning_scale
    until: float = 0.8  # control_guidance_end, a share of the steps


@contextmanager
def controlled(
    pipe: Any, network: Any, signals: Sequence[ControlSignal], text: TextEmbedding | None = None
) -> Iterator[None]:
    """Let every pass of the pipeline's transformer keep to the signals, as long as this lasts.

    `network` is a FluxControlNetModel; it hears `text`, or what the transformer hears where there is none. What several
    signals add is added up. Both passes of a guided step see the same, as in diffusers. No signals change nothing.
    """
    if not signals:
        yield
        return
    asked = _Asked(pipe, network, signals, text)
    hook = pipe.transformer.register_forward_pre_hook(asked.before_pass, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


class _Asked:
    """A network that is asked once in each step."""

    def __init__(self, pipe: Any, network: Any, signals: Sequence[ControlSignal], text: TextEmbedding | None) -> None:
        self._pipe, self._network, self._text = pipe, network, text
        self._signals = [(signal, _packed(pipe, signal.picture)) for signal in signals]
        self._last: float | None = None  # the noise level of the pass before
        self._step = -1
        self._answer: dict[str, Any] = {}

    def before_pass(self, _: Any, args: tuple[Any, ...], given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The transformer's arguments with what the network adds to its blocks."""
        sigma = float(given["timestep"].reshape(-1)[0])
        if sigma != self._last:  # the second pass of a guided step is of the same noise and the same latents
            begins = self._last is None or sigma > self._last
            self._step = 0 if begins else self._step + 1
            self._last = sigma
            self._answer = self._ask(given)
        return args, given | self._answer

    def _ask(self, given: dict[str, Any]) -> dict[str, Any]:
        done = (self._step + 1) / self._pipe.num_timesteps
        found: dict[str, Any] = {}
        for signal, latent in self._signals:
            if done > signal.until or signal.scale == 0:
                continue
            double, single = self._samples(given, signal, latent)
            for name, samples in (("controlnet_block_samples", double), ("controlnet_single_block_samples", single)):
                if samples is not None:
                    before = found.get(name)
                    found[name] = [a + b for a, b in zip(before, samples, strict=True)] if before else list(samples)
        return found

    def _samples(self, given: dict[str, Any], signal: ControlSignal, latent: "torch.Tensor") -> tuple[Any, Any]:
        import torch

        states = given["hidden_states"]
        mode = None
        if signal.mode is not None:
            mode = torch.full((len(states), 1), signal.mode, device=states.device, dtype=torch.long)
        words = self._own_words(states) if self._text is not None else _words_in(given)
        samples: tuple[Any, Any] = self._network(
            hidden_states=states,
            controlnet_cond=latent.to(states).expand(len(states), -1, -1),
            controlnet_mode=mode,
            conditioning_scale=signal.scale,
            timestep=given["timestep"],
            guidance=given["guidance"] if self._network.config.guidance_embeds else None,
            **words,
            img_ids=given["img_ids"],
            return_dict=False,
        )
        return samples

    def _own_words(self, states: "torch.Tensor") -> dict[str, "torch.Tensor"]:
        assert self._text is not None
        family = family_for(self._pipe)
        return family.text_arguments(family.conditioning([self._text] * len(states), None, states.device, states.dtype))


def _words_in(given: dict[str, Any]) -> dict[str, Any]:
    """What of a pass' arguments is text."""
    return {name: given[name] for name in ("encoder_hidden_states", "pooled_projections", "txt_ids") if name in given}


def _packed(pipe: Any, picture: np.ndarray) -> "torch.Tensor":
    """A signal as the network takes it: 1 x image tokens x channels, from the autoencoder, as FLUX's latents are."""
    import torch
    from PIL import Image

    family, (height, width) = family_for(pipe), picture.shape[:2]
    with torch.inference_mode():
        return family.packed(family.encode_picture(pipe, Image.fromarray(picture), width, height))

"""Drawing pictures with a pipeline: one by one, each with its own seed, the same noise on every device."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.progress import SILENT, Progress


@dataclass(frozen=True)
class Drawing:
    """One picture to be drawn, in diffusers' words; width and height are the model's own pixels."""

    prompt: str
    seed: int
    width: int
    height: int
    num_inference_steps: int
    guidance_scale: float
    max_sequence_length: int


def draw(
    pipe: Any,
    prompt: str,
    seed: int,
    width: int,
    height: int,
    num_inference_steps: int,
    guidance_scale: float,
    max_sequence_length: int,
) -> np.ndarray:
    """One picture, uint8 (height, width, 3), sRGB.

    The noise comes from a CPU generator of this picture alone, so a seed means the same noise on CPU and CUDA,
    whatever was drawn before. A prompt beyond `max_sequence_length` is cut there. Raises WrongUse for a size that
    the latents do not divide.
    """
    import torch

    grid = pipe.vae_scale_factor * 2
    if width % grid or height % grid or min(width, height) < grid:
        raise WrongUse(f"{width}x{height} cannot be drawn: this model's pictures are multiples of {grid} pixels.")
    with torch.inference_mode():
        pixels = pipe(
            prompt=prompt,
            width=width,
            height=height,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            max_sequence_length=max_sequence_length,
            generator=torch.Generator("cpu").manual_seed(seed),
            output_type="np",
        ).images[0]
    return np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


def draw_all(
    pipe: Any, drawings: Iterable[Drawing], progress: Progress = SILENT, description: str = "Drawing"
) -> Iterator[np.ndarray]:
    """The pictures of `drawings` in order, each given as soon as it is drawn."""
    wanted = list(drawings)
    with progress.task(description, len(wanted)) as advance:
        for drawing in wanted:
            pixels = draw(pipe, **vars(drawing))
            advance(note=drawing.prompt[:40])
            yield pixels

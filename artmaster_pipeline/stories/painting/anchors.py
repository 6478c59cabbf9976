"""Anchor panels: a recurring figure is painted once, and its place in each shot is held to that picture in the noise.

After every step down to a noise level the latents of the figure's place are drawn back to the panel's, with as much of
the picture's own noise as belongs there: x = m * ((1 - sigma) * panel + sigma * noise) + (1 - m) * x, m the figure's
place, soft at its border. It is RePaint's mixing (https://arxiv.org/abs/2201.09865) with a panel for the known part,
and what latent panel anchoring (https://arxiv.org/abs/2508.09983) does to panels that are painted together. Below that
level the figure belongs to its picture alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from artmaster_pipeline.base_models.family import family_for

if TYPE_CHECKING:
    import torch

    from artmaster_pipeline.generation.sampling import AfterStep

_SOFT = 0.2  # of the figure's place on each side is the border


@dataclass(frozen=True)
class Held:
    """A figure's place in a picture and the panel that it is held to."""

    panel: np.ndarray  # uint8 (height, width, 3)
    box: tuple[float, float, float, float]  # left, top, right, bottom, as shares of the picture


def holding(
    pipe: Any, held: Sequence[Held], size: tuple[int, int], noises: "Sequence[torch.Tensor]", until: float
) -> "AfterStep":
    """What holds pictures of one batch to panels after each step, down to the noise level `until`.

    `noises` are the pictures' first noises, (channels, rows, columns) each; `size` is in the model's pixels.
    """
    import torch

    family = family_for(pipe)
    with torch.inference_mode():
        panels = torch.cat([_panel(pipe, each, size) for each in held])
    grid = size[1] // family.pixels_per_token, size[0] // family.pixels_per_token
    masks = [torch.from_numpy(soft_box(each.box, *grid)).reshape(1, -1, 1) for each in held]
    noise = torch.cat([family.packed(each) for each in noises])

    def after(pipe: Any, step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        sigma = float(pipe.scheduler.sigmas[step + 1])
        if sigma < until:
            return tensors
        latents = tensors["latents"]
        for panel, mask in zip(panels, masks, strict=True):
            known = (1 - sigma) * panel[None].to(latents) + sigma * noise.to(latents)
            latents = latents + mask.to(latents) * (known - latents)
        return tensors | {"latents": latents}

    return after


def soft_box(box: tuple[float, float, float, float], rows: int, columns: int) -> np.ndarray:
    """How much of each token is a figure's place, float32 (rows, columns), 0..1: one inside, falling at its border.

    A place that touches the picture's edge is not soft there.
    """
    left, top, right, bottom = box
    across = _ramp(left, right, columns)
    down = _ramp(top, bottom, rows)
    return np.outer(down, across).astype(np.float32)


def _ramp(begin: float, end: float, count: int) -> np.ndarray:
    middles = (np.arange(count) + 0.5) / count
    soft = max(1e-6, _SOFT * (end - begin))
    rising = np.ones(count) if begin <= 0 else np.clip((middles - begin) / soft, 0, 1)
    falling = np.ones(count) if end >= 1 else np.clip((end - middles) / soft, 0, 1)
    return np.minimum(rising, falling)


def _panel(pipe: Any, held: Held, size: tuple[int, int]) -> "torch.Tensor":
    """A picture with the panel at the figure's place as image tokens, (1, tokens, channels); its own ground around."""
    from PIL import Image, ImageOps

    family, (width, height) = family_for(pipe), size
    left, top, right, bottom = (
        round(share * side) for share, side in zip(held.box, (width, height, width, height), strict=True)
    )
    place = (max(1, right - left), max(1, bottom - top))
    ground = tuple(int(level) for level in np.median(held.panel.reshape(-1, 3), axis=0))
    picture = Image.new("RGB", (width, height), ground)
    picture.paste(ImageOps.fit(Image.fromarray(held.panel), place, Image.Resampling.LANCZOS), (left, top))
    return family.packed(family.encode_picture(pipe, picture, width, height))

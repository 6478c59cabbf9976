"""Refining a network on a painter's own large pictures: reduced, enlarged again, and compared with what they were.

What lies behind a network's trunk is trained, a few convolutions: the trunk sees what is in a picture, they draw it. So
the trunk's answer is computed once for every crop, and minutes on a CPU are enough.

The losses are what `constraints` hold, and the likeness that no statistic has:

- colour: the area mean over each of the original's pixels against that pixel (L1), which is back-projection's residual;
- texture: the strength of every octave that the original has not, in three directions and block by block, in logarithms
  (L1; module `constraints.bands`, and Portilla and Simoncelli 2000 as in `constraints.texture`);
- LPIPS with VGG16 (Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric", 2018);
- the scan's own pixels (L1), which keeps strokes in their place.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.superres.constraints import bands
from artmaster_pipeline.superres.constraints.filters import reduced
from artmaster_pipeline.superres.pixels import tensor_of

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 96  # pixels of a crop after it was reduced
STEPS = 150  # from there on the held-out pictures come no nearer
LEAST = 5  # pictures
_CROPS = 24
_HELD_OUT = 5  # one picture in so many judges
_PATCH, _CUT = 28, 2  # pixels of a crop that a step sees, and at its edges that do not count: zeros lie beyond them
_BATCH = 4
_RATE, _WARM_UP = 2e-4, 20  # of AdamW, and steps in which it rises; then it falls to nothing, linearly
_COLOUR, _TEXTURE, _PIXELS = 2.0, 0.15, 0.3  # times each loss, beside LPIPS once
_BLOCK = 6  # pixels of the original a side, in which a band's strength is compared
_FAINT = 1e-7  # a mean square: bare ground has no strength to compare
_MOST_LATTICE = 0.1  # share of the finest contrast that repeats with the scale: scans have 0.01 to 0.04


@dataclass(frozen=True)
class Refined:
    """A refined network's tensors, and how near it and the network before came to pictures that it never saw."""

    tensors: dict[str, "Tensor"]
    lpips: tuple[float, float]  # before, after
    texture: tuple[float, float]  # deviation of band strengths in dB


@dataclass(frozen=True)
class _Parts:
    """A network in two: what is computed once, and what is trained."""

    trunk: Callable[["Tensor"], "Tensor"]
    tail: Any  # a module


@dataclass(frozen=True)
class _Crop:
    features: "Tensor"  # C x h x w
    low: "Tensor"  # 3 x h x w
    scan: "Tensor"  # 3 x nh x nw


def refine(
    descriptor: Any, pictures: Sequence[np.ndarray], *, steps: int = STEPS, seed: int = 0, progress: Progress = SILENT
) -> Refined:
    """Refine a network, spandrel's descriptor of it, in place, on `pictures`, H x W x 3 of type uint8.

    Every fifth picture is held out and judges. Raises WrongUse for a family of networks that this cannot take apart,
    for fewer than 5 pictures and for one that is too small; ArtMasterError where the network came no nearer to the
    held-out pictures by LPIPS, or draws a lattice.
    """
    import torch

    parts, scale = _parts(descriptor), int(descriptor.scale)
    _check(pictures, scale)
    rng = np.random.default_rng(seed)
    places = [_places(picture, scale, -(-_CROPS // len(pictures)), rng) for picture in pictures]
    with progress.task("Refining", sum(map(len, places)) + steps) as advance:
        crops = [[_seen(parts, crop, scale, advance) for crop in each] for each in places]
        judges = [crop for each in crops[::_HELD_OUT] for crop in each]
        shown = [crop for number, each in enumerate(crops) if number % _HELD_OUT for crop in each]
        before = _judged(parts, judges, scale)
        parts.tail.requires_grad_(True).train()
        optimizer = torch.optim.AdamW(parts.tail.parameters(), _RATE, weight_decay=0)
        for step in range(steps):
            rate = min(1, (step + 1) / _WARM_UP) * (1 - step / steps)
            for group in optimizer.param_groups:
                group["lr"] = _RATE * rate
            loss = _loss(parts, shown, scale, rng)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            advance(1, f"loss {float(loss.detach()):.3f}")
        parts.tail.requires_grad_(False).eval()
    after = _judged(parts, judges, scale)
    if after[0] >= before[0]:
        raise ArtMasterError(
            f"The network came no nearer to the pictures that were held out (LPIPS {before[0]:.3f} before and "
            f"{after[0]:.3f} after), so it stays as it was. Give more pictures, or other steps."
        )
    if after[2] > _MOST_LATTICE:
        raise ArtMasterError(
            f"The network learned to draw a lattice ({after[2]:.0%} of the finest contrast), so it stays as it was. "
            "Take fewer steps."
        )
    tensors = {name: tensor.contiguous() for name, tensor in descriptor.model.state_dict().items()}
    return Refined(tensors, (before[0], after[0]), (before[1], after[1]))


def _check(pictures: Sequence[np.ndarray], scale: int) -> None:
    if len(pictures) < LEAST:
        raise WrongUse(f"A network is refined on {LEAST} pictures at least, and there are {len(pictures)}.")
    for number, picture in enumerate(pictures, 1):
        if min(picture.shape[:2]) < SIDE * scale:
            size = f"{picture.shape[1]}x{picture.shape[0]}"
            raise WrongUse(f"Picture {number} has {size} pixels, and {SIDE * scale} are needed in both directions.")


def _parts(descriptor: Any) -> _Parts:
    """Raises WrongUse for other networks than RRDB ones.

    The compact ones write all new pixels of a place at once and know which is which: for want of noise they learn to
    meet a texture's strength by a lattice, which fooled every measure and no eye.
    """
    from spandrel.architectures.ESRGAN import ESRGAN
    from torch import nn

    model = descriptor.model.eval().requires_grad_(False)
    if not isinstance(model, ESRGAN):
        raise WrongUse(
            f"Networks of the kind {descriptor.architecture.name} are not refined, since they would draw a lattice: "
            "choose an ESRGAN network, as realesrgan-x4plus is."
        )
    first, trunk, *rest = model.model
    return _Parts(nn.Sequential(first, trunk), nn.Sequential(*rest))


def _places(picture: np.ndarray, scale: int, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Crops of a picture, anywhere in it."""
    side = SIDE * scale
    tops, lefts = (rng.integers(0, length - side + 1, count) for length in picture.shape[:2])
    return [picture[top : top + side, left : left + side] for top, left in zip(tops, lefts, strict=True)]


def _seen(parts: _Parts, crop: np.ndarray, scale: int, advance: Callable[[], None]) -> _Crop:
    import torch

    scan = tensor_of(crop.astype(np.float32) / 255)
    low = (reduced(scan, scale) * 255).round() / 255
    with torch.no_grad():
        features = parts.trunk(low[None])[0]
    advance()
    return _Crop(features, low, scan)


def _loss(parts: _Parts, crops: Sequence[_Crop], scale: int, rng: np.random.Generator) -> "Tensor":
    import torch

    from artmaster_pipeline.base_models.vgg import load_vgg

    patches = [_patch(crops[int(rng.integers(len(crops)))], scale, rng) for _ in range(_BATCH)]
    features, low, scan = (torch.stack(each) for each in zip(*patches, strict=True))
    drawn = parts.tail(features)
    drawn, scan = (each[..., _CUT * scale : -_CUT * scale, _CUT * scale : -_CUT * scale] for each in (drawn, scan))
    low = low[..., _CUT:-_CUT, _CUT:-_CUT]
    colour, pixels = (reduced(drawn, scale) - low).abs().mean(), (drawn - scan).abs().mean()
    likeness = load_vgg().lpips_of(drawn, scan).mean()
    return likeness + _TEXTURE * _texture(drawn, scan, scale) + _COLOUR * colour + _PIXELS * pixels


def _patch(crop: _Crop, scale: int, rng: np.random.Generator) -> tuple["Tensor", "Tensor", "Tensor"]:
    top, left = rng.integers(0, SIDE - _PATCH + 1, 2)
    rows, columns = slice(top, top + _PATCH), slice(left, left + _PATCH)
    large = tuple(slice(each.start * scale, each.stop * scale) for each in (rows, columns))
    return crop.features[:, rows, columns], crop.low[:, rows, columns], crop.scan[:, *large]


def _texture(drawn: "Tensor", scan: "Tensor", scale: int) -> "Tensor":
    """The mean distance of band strengths in blocks, in natural logarithms of mean squares."""
    import torch

    distances = []
    for ours, theirs in zip(map(bands.luminance, drawn), map(bands.luminance, scan), strict=True):
        one, other = ours, theirs
        for octave in range(bands.octaves(scale)):
            (one, had), (other, wanted) = bands.split(one, octave), bands.split(other, octave)
            strengths = (
                [(reduced(band * band, _BLOCK * scale) + _FAINT).log() for band in each] for each in (had, wanted)
            )
            distances += [(a - b).abs().mean() for a, b in zip(*strengths, strict=True)]
    return torch.stack(distances).mean()


def _strength(band: "Tensor", block: int) -> "Tensor":
    return (reduced(band * band, block) + _FAINT).log()


def _judged(parts: _Parts, crops: Sequence[_Crop], scale: int) -> tuple[float, float, float]:
    """LPIPS, the deviation of band strengths in dB, and `lattice`: means over whole crops."""
    import torch

    from artmaster_pipeline.base_models.vgg import load_vgg

    found = []
    with torch.no_grad():
        for crop in crops:
            drawn, scan = parts.tail(crop.features[None]).clamp(0, 1), crop.scan[None]
            likeness, texture = load_vgg().lpips_of(drawn, scan), _texture(drawn, scan, scale)
            found.append((float(likeness), float(texture) * 10 / math.log(10), lattice(drawn[0], scale)))
    lpips, texture, repeated = (float(mean) for mean in np.mean(found, axis=0))
    return lpips, texture, repeated


def lattice(picture: "Tensor", scale: int) -> float:
    """How much of the contrast within squares of `scale` x `scale` pixels is alike in all of them, 0 to 1."""
    from torch.nn.functional import pixel_unshuffle

    light = bands.luminance(picture)
    within = pixel_unshuffle(light[None], scale)  # a channel for each place in a square
    within = within - within.mean(0)
    return float(within.mean((1, 2)).std() / within.std())

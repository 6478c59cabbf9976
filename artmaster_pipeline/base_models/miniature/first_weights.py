"""The miniature's encoder is set, not trained: it is the block transform of the pictures that the model will see.

Its latents are the principal components of 8x8 blocks (the Karhunen-Loeve transform: of all linear codes of that many
numbers the one with the least squared error), computed by the stock network's own convolutions: each halving
convolution sorts four pixels into channels, the last one reads the components off them, and residual branches are
zero. Before the last normalisation two large constants of opposite sign fix a group's mean and deviation, so that what
is in the group passes nearly linearly (latents correlate with the components by 0.997 or more). Two minutes of a
decoder on these latents are worth forty of an autoencoder that begins with noise and has to find colour first (each
group normalisation removes the mean that colour is); and since the latents stand before anything is trained, decoder
and transformer learn independently of each other.

A component's latent has the square root of the size that it has in the picture: coarse forms stay larger than fine
ones, as in pixels, so that noise takes the fine ones first and drawing begins with the coarse.
"""

from typing import Any

import numpy as np

BLOCK = 8
_ANCHOR = 8.0  # the constants' size; the picture's values are within -1..1
_LIFT = 4.0  # SiLU is nearly the identity around here; larger values lose their last digits in bf16
_LOG_VARIANCE = -12.0  # of the posterior: next to no noise on the latents
_CARRIED = 0.25  # a latent's size while the encoder carries it; small beside the constants
_COLOURS = (0, 1, 2)


def principal_components(pictures: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (8, 8, 3), first `count` principal components (count, 8, 8, 3) and gains (count) of 8x8 blocks.

    `pictures` is float (n, height, width, 3) with sides that 8 divides. Components are orthonormal; a gain times a
    block's coefficient is its latent, and all latents together have the deviation 1. Signs are fixed, so equal
    pictures give equal components.
    """
    n, height, width, _ = pictures.shape
    blocks = pictures.reshape(n, height // BLOCK, BLOCK, width // BLOCK, BLOCK, 3)
    rows = blocks.transpose(0, 1, 3, 2, 4, 5).reshape(-1, BLOCK * BLOCK * 3).astype(np.float64)
    mean = rows.mean(0)
    variances, vectors = np.linalg.eigh(np.cov((rows - mean).T))
    deviations, first = variances[::-1][:count] ** 0.5, vectors[:, ::-1].T[:count]
    first = first * np.sign(first[np.arange(count), np.abs(first).argmax(1)])[:, None]
    gains = 1 / (deviations * deviations.mean()) ** 0.5
    return mean.reshape(BLOCK, BLOCK, 3), first.reshape(count, BLOCK, BLOCK, 3), gains


def begin_as_block_transform(vae: Any, mean: np.ndarray, components: np.ndarray, gains: np.ndarray) -> None:
    """Set `vae`'s weights in place from what `principal_components` gave; the decoder begins with mean colours.

    `vae` is an AutoencoderKL of factor 8 whose first, second and third width are at least 12, 48 and 48.
    """
    import torch

    with torch.no_grad():
        _still_branches(vae.encoder, 48)
        _still_branches(vae.decoder, len(_COLOURS))
        _sort_pixels(vae.encoder)
        _read_components(vae.encoder, mean, components * gains[:, None, None, None] * _CARRIED)
        _read_out_latents(vae.encoder, len(components))
        _carry_up(vae.decoder, mean, components / gains[:, None, None, None])
        _read_out_picture(vae.decoder)


def _still_branches(part: Any, carried: int) -> None:
    for name, module in part.named_modules():
        if name.endswith("conv2"):
            module.weight.zero_()
            module.bias.zero_()
        if name.endswith("conv_shortcut"):
            _pass(module, range(min(carried, module.in_channels)))


def _pass(conv: Any, channels: Any) -> None:
    """Let `channels` go through a convolution as they are."""
    middle = conv.kernel_size[0] // 2
    for channel in channels:
        conv.weight[channel] = 0
        conv.weight[channel, channel, middle, middle] = 1
        conv.bias[channel] = 0


def _halving(encoder: Any) -> list[Any]:
    return [block.downsamplers[0].conv for block in encoder.down_blocks if block.downsamplers]


def _sort_pixels(encoder: Any) -> None:
    """Channel (dy * 2 + dx) * n + i of a halved picture is channel i of the pixel at (dy, dx) in each four."""
    _pass(encoder.conv_in, _COLOURS)
    for conv, inputs in zip(_halving(encoder)[:2], (3, 12), strict=True):
        for place in range(4):
            for channel in range(inputs):
                out = place * inputs + channel
                conv.weight[out] = 0
                conv.bias[out] = 0
                conv.weight[out, channel, place // 2, place % 2] = 1  # its padding is at the right and below


def _read_components(encoder: Any, mean: np.ndarray, components: np.ndarray) -> None:
    """The third halving convolution sees a block as 48 channels of 2x2 and gives the coefficients."""
    conv = _halving(encoder)[2]
    offsets = (components * mean).sum((1, 2, 3))
    for out, component in enumerate(components):
        conv.weight[out] = 0
        conv.bias[out] = -float(offsets[out])
        for y in range(BLOCK):
            for x in range(BLOCK):
                (dy, y1), (dx, x1) = divmod(y, 4), divmod(x, 4)
                outer, inner = (y1 // 2) * 2 + x1 // 2, (y1 % 2) * 2 + x1 % 2
                for colour in _COLOURS:
                    channel = (outer * 4 + inner) * 3 + colour
                    conv.weight[out, channel, dy, dx] = float(component[y, x, colour])


def _read_out_latents(encoder: Any, latents: int) -> None:
    norm, conv = encoder.conv_norm_out, encoder.conv_out
    size = norm.num_channels // norm.num_groups
    plus, minus = size - 2, size - 1  # the first group holds all latents and, at its end, the constants
    shortcut = encoder.down_blocks[-1].resnets[0].conv_shortcut
    for channel, constant in ((plus, _ANCHOR), (minus, -_ANCHOR)):
        shortcut.weight[channel] = 0
        shortcut.bias[channel] = constant
    for channel in range(latents, plus):
        shortcut.weight[channel] = 0
        shortcut.bias[channel] = 0
    for latent in range(latents):
        _read(norm, conv, latent, latent, plus, _ANCHOR * (2 / size) ** 0.5)
        conv.weight[latent] /= _CARRIED
        conv.bias[latent] /= _CARRIED
    conv.weight[latents:] = 0
    conv.bias[latents:] = _LOG_VARIANCE


def _carry_up(decoder: Any, mean: np.ndarray, components: np.ndarray) -> None:
    """Each colour's mean over a block, smoothed by a tent at every doubling."""
    means = components.mean((1, 2))  # (latents, 3): what a latent of 1 adds to the block's mean colour
    for colour in _COLOURS:
        decoder.conv_in.weight[colour] = 0
        decoder.conv_in.bias[colour] = float(mean[..., colour].mean())
        decoder.conv_in.weight[colour, :, 1, 1] = decoder.conv_in.weight.new_tensor(means[:, colour])
    tent = decoder.conv_in.weight.new_tensor((1, 2, 1)) / 4
    for block in decoder.up_blocks:
        for upsampler in block.upsamplers or ():
            for channel in _COLOURS:
                upsampler.conv.weight[channel] = 0
                upsampler.conv.bias[channel] = 0
                upsampler.conv.weight[channel, channel] = tent[:, None] * tent


def _read_out_picture(decoder: Any) -> None:
    """Each colour gets a group of its own, with its two constants, before the last normalisation."""
    shortcut = decoder.up_blocks[-1].resnets[0].conv_shortcut
    norm, conv = decoder.conv_norm_out, decoder.conv_out
    size = norm.num_channels // norm.num_groups
    deviation = _ANCHOR * (2 / size) ** 0.5
    for colour in _COLOURS:
        channel, plus, minus = (colour * size + i for i in range(3))
        for row in (channel, plus, minus):
            shortcut.weight[row] = 0
            shortcut.bias[row] = 0
        shortcut.weight[channel, colour, 0, 0] = 1
        shortcut.bias[plus], shortcut.bias[minus] = _ANCHOR, -_ANCHOR
        _read(norm, conv, colour, channel, plus, deviation)


def _read(norm: Any, conv: Any, out: int, channel: int, plus: int, deviation: float) -> None:
    """Make a last convolution give `channel` as it was before the normalisation.

    The group's mean lowers the channel and the constant alike, so their difference is free of it.
    """
    norm.weight[channel], norm.bias[channel] = deviation, _LIFT
    norm.weight[plus], norm.bias[plus] = deviation, 0
    conv.weight[out] = 0
    conv.weight[out, channel, 1, 1], conv.weight[out, plus, 1, 1] = 1, -1
    conv.bias[out] = _ANCHOR - _LIFT

"""How the miniature's autoencoder begins: as a blur that keeps colour, instead of as noise.

Left to itself it learns colour late: each group normalisation removes the mean that colour is. So a few channels carry
the picture's blocks through the network unchanged (residual branches begin at zero, https://arxiv.org/abs/2003.04887),
and before the last normalisations two large constants of opposite sign fix a group's mean and deviation, so that what
is in the group passes linearly. Training starts from there and may change all of it.
"""

from typing import Any

_ANCHOR = 8.0  # the constants' size; the picture's values are within -1..1
_LIFT = 4.0  # SiLU is nearly the identity around here; larger values lose their last digits in bf16
_LOG_VARIANCE = -5.0  # of the posterior: little noise on the latents from the beginning
_COLOURS = (0, 1, 2)
_SLOPES = (5, 6, 7)  # channels that carry how luma changes within a block: across, down, diagonally
_PLUS, _MINUS = 3, 4  # channels of the constants in the encoder


def begin_with_colours(vae: Any) -> None:
    """Set `vae`'s weights in place; latents 0-2 are then the means of 8x8 blocks, 3-5 the luma slopes in them."""
    import torch

    with torch.no_grad():
        for part in (vae.encoder, vae.decoder):
            _still_branches(part)
        _carry_down(vae.encoder)
        _read_out_latents(vae.encoder, vae.config.latent_channels)
        _carry_up(vae.decoder)
        _read_out_picture(vae.decoder)


def _still_branches(part: Any) -> None:
    for name, module in part.named_modules():
        if name.endswith("conv2"):
            module.weight.zero_()
            module.bias.zero_()
        if name.endswith("conv_shortcut"):
            _pass(module, (*_COLOURS, *_SLOPES))


def _pass(conv: Any, channels: tuple[int, ...]) -> None:
    """Let `channels` go through a convolution as they are."""
    middle = conv.kernel_size[0] // 2
    for channel in channels:
        if channel < conv.in_channels:
            conv.weight[channel] = 0
            conv.weight[channel, channel, middle, middle] = 1
            conv.bias[channel] = 0


def _carry_down(encoder: Any) -> None:
    _pass(encoder.conv_in, _COLOURS)
    halving = [block.downsamplers[0].conv for block in encoder.down_blocks if block.downsamplers]
    for conv in halving:
        for channel in _COLOURS:
            conv.weight[channel] = 0
            conv.bias[channel] = 0
            conv.weight[channel, channel, :2, :2] = 0.25  # its padding is at the right and below
    signs = conv.weight.new_tensor((((1, -1), (1, -1)), ((1, 1), (-1, -1)), ((1, -1), (-1, 1))))
    for channel, pattern in zip(_SLOPES, signs, strict=True):
        halving[-1].weight[channel] = 0
        halving[-1].bias[channel] = 0
        for colour in _COLOURS:
            halving[-1].weight[channel, colour, :2, :2] = pattern / 6


def _read_out_latents(encoder: Any, latents: int) -> None:
    shortcut = encoder.down_blocks[-1].resnets[0].conv_shortcut
    for channel, constant in ((_PLUS, _ANCHOR), (_MINUS, -_ANCHOR)):
        shortcut.weight[channel] = 0
        shortcut.bias[channel] = constant
    norm, conv = encoder.conv_norm_out, encoder.conv_out
    deviation = _ANCHOR * (2 / (norm.num_channels // norm.num_groups)) ** 0.5
    for latent, channel in enumerate((*_COLOURS, *_SLOPES)):
        _read(norm, conv, latent, channel, _PLUS, deviation)
    conv.weight[latents:] *= 0.1
    conv.bias[latents:] = _LOG_VARIANCE


def _carry_up(decoder: Any) -> None:
    _pass(decoder.conv_in, _COLOURS)
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

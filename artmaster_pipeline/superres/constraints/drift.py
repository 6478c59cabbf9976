"""Drift: how far an enlarged picture has gone from the one that it was made from, and whether that is too far."""

import numpy as np

from artmaster_pipeline.superres.constraints import bands
from artmaster_pipeline.superres.constraints.filters import reduced
from artmaster_pipeline.superres.pixels import array_of, tensor_of

_AREA = 4.0  # the standard deviation of what counts as an area, in pixels of the original
_MOST_COLOUR = 1.0  # CIEDE2000, mean: about what an attentive eye sees (Sharma, Wu and Dalal 2005)
_MOST_TEXTURE = 3.0  # dB, in any direction: half or twice the energy of the original's finest strokes
_BARE = 1e-6  # a mean square, of a quarter of a level: below it there is no texture that could go


def drifted(source: np.ndarray, enlarged: np.ndarray) -> str:
    """Why `enlarged` is no faithful picture of `source`, or "": both H x W x 3 of type uint8, of any sizes.

    Colour: the mean CIEDE2000 of areas. Texture: the energy of the source's finest octave in each direction, in dB.
    Both are looked at in the enlarged picture brought back to the source's size.
    """
    from scipy.ndimage import gaussian_filter
    from skimage.color import deltaE_ciede2000, rgb2lab

    back = _at_size(enlarged, source)
    own = source.astype(np.float32) / 255
    areas = (rgb2lab(gaussian_filter(each, (_AREA, _AREA, 0), mode="reflect")) for each in (own, back))
    colour = float(deltaE_ciede2000(*areas).mean())
    if colour > _MOST_COLOUR:
        return f"its colours went {colour:.1f} CIEDE2000 from the scan's (limit {_MOST_COLOUR:g})"
    ours, theirs = (np.array([np.mean(band**2) for band in _finest(each)]) + _BARE for each in (own, back))
    texture = 10 * np.log10(theirs / ours)
    worst = float(texture[np.abs(texture).argmax()])
    if abs(worst) > _MOST_TEXTURE:
        return f"its finest strokes are {worst:+.1f} dB from the scan's (limit {_MOST_TEXTURE:g})"
    return ""


def _finest(picture: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(band.numpy() for band in bands.split(bands.luminance(tensor_of(picture)), 0)[1])


def _at_size(enlarged: np.ndarray, source: np.ndarray) -> np.ndarray:
    """The area mean where the size is a multiple of the source's, else a resize that comes near to it; in 0..1."""
    height, width = source.shape[:2]
    scale = enlarged.shape[0] // height
    if enlarged.shape[:2] == (height * scale, width * scale):
        return array_of(reduced(tensor_of(enlarged.astype(np.float32) / 255), scale))
    from PIL import Image

    resized = Image.fromarray(enlarged).resize((width, height), Image.Resampling.BOX, reducing_gap=None)
    return np.asarray(resized, np.float32) / 255

"""Tone: the colours of areas, which an enlarged picture must share with the one it was made from."""

from dataclasses import dataclass

import numpy as np

_RADIUS = 4.0  # the standard deviation of the low-pass, in pixels of the original: wider than grain and JPEG's ringing
_REACH = 8  # two standard deviations, of a difference of few levels


@dataclass(frozen=True)
class Tone:
    """The correction that keeps the colours of areas, see `with_tone_of`."""

    name: str = "tone"
    reach: int = _REACH

    def __call__(self, original: np.ndarray, enlarged: np.ndarray) -> np.ndarray:
        return with_tone_of(original, enlarged)


def with_tone_of(original: np.ndarray, enlarged: np.ndarray) -> np.ndarray:
    """`enlarged`, (H * n) x (W * n) x 3, with the low frequencies of `original`, H x W x 3; both in 0..1, float32.

    Real-ESRGAN's networks draw strokes well and shift colours by a few levels. This is one step of back-projection
    (Irani and Peleg, "Improving resolution by image registration", 1991): the enlarged picture is reduced again, and
    what it then lacks is added. Only the low-passed part is, so that the noise of the scan does not come back.
    """
    from PIL import Image
    from scipy.ndimage import gaussian_filter

    height, width = original.shape[:2]
    scale = enlarged.shape[0] // height
    reduced = enlarged.reshape(height, scale, width, scale, 3).mean(axis=(1, 3), dtype=np.float32)
    lacking = gaussian_filter(original - reduced, (_RADIUS, _RADIUS, 0), mode="reflect")  # this mode keeps the mean
    toned = np.empty_like(enlarged)
    for channel in range(3):
        wide = Image.fromarray(lacking[..., channel]).resize((width * scale, height * scale), Image.Resampling.BILINEAR)
        np.clip(enlarged[..., channel] + np.asarray(wide), 0, 1, out=toned[..., channel])
    return toned

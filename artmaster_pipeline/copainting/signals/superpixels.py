"""Superpixels of a picture (SLIC) and what is measured in each: colour, texture, direction, place, VGG16's features.

Everything is measured on the picture at about 147,000 pixels, whatever its size is, so that a stroke counts alike.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

SEEN_PIXELS = 384 * 384  # of the picture as it is looked at
_SUPERPIXELS = 400
_COMPACTNESS = 0.1  # of SLIC, whose values skimage stretches to 0..1
_STEPS = ((0.7, 1.4), (1.4, 2.8), (2.8, 5.6))  # standard deviations, in pixels, of the bands of texture
_LEAST = 0.05  # of a band's energy: canvas grain and compression
_STAGES = (2, 3, 4)  # relu3_3, relu4_3, relu5_3

HAND_FEATURES = 20


@dataclass(frozen=True)
class Superpixels:
    """A picture cut into superpixels: `labels` int (rows, columns) 0..n-1 at the size that was looked at."""

    rgb: np.ndarray  # uint8 (rows, columns, 3)
    lab: np.ndarray  # float32 (rows, columns, 3), CIELAB
    labels: np.ndarray
    sizes: np.ndarray  # float64 (n,): pixels

    def means(self, values: np.ndarray) -> np.ndarray:
        """The means of a map (rows, columns) or of several (rows, columns, k) in each superpixel, float64 (n[, k])."""
        flat, n = self.labels.ravel(), len(self.sizes)
        if values.ndim == 2:
            return np.bincount(flat, values.ravel(), n) / self.sizes
        sums = [np.bincount(flat, values[..., k].ravel(), n) for k in range(values.shape[2])]
        return np.stack(sums, axis=1) / self.sizes[:, None]

    def neighbours(self) -> np.ndarray:
        """Which superpixels share a border, bool (n, n), symmetric, false on the diagonal."""
        n = len(self.sizes)
        touch = np.zeros((n, n), bool)
        for one, other in ((self.labels[1:], self.labels[:-1]), (self.labels[:, 1:], self.labels[:, :-1])):
            touch[one, other] = True
        touch |= touch.T
        np.fill_diagonal(touch, False)
        return touch


def seen_size(height: int, width: int) -> tuple[int, int]:
    """Rows and columns at which a picture of that size is looked at; never more than it has."""
    scale = min(1.0, (SEEN_PIXELS / (height * width)) ** 0.5)
    return max(1, round(height * scale)), max(1, round(width * scale))


def cut(picture: np.ndarray, superpixels: int = _SUPERPIXELS) -> Superpixels:
    """SLIC superpixels (Achanta et al. 2012) of a uint8 picture (height, width, 3), about so many."""
    from PIL import Image
    from skimage.color import rgb2lab
    from skimage.segmentation import slic

    rows, columns = seen_size(*picture.shape[:2])
    small = np.asarray(Image.fromarray(picture).resize((columns, rows), Image.Resampling.LANCZOS, reducing_gap=3))
    lab = rgb2lab(small).astype(np.float32)
    labels = slic(lab, superpixels, _COMPACTNESS, sigma=1.0, convert2lab=False, start_label=0, channel_axis=2)
    _, labels = np.unique(labels, return_inverse=True)
    labels = labels.reshape(rows, columns)
    return Superpixels(small, lab, labels, np.bincount(labels.ravel()).astype(np.float64))


def hand_features(pixels: Superpixels) -> np.ndarray:
    """Twenty plain measurements of each superpixel, float64 (n, 20).

    Columns: CIELAB (3), its difference from the picture's median (3), chroma, spread of lightness, three bands of
    texture as logarithms (3), how directed strokes are and how horizontal (2), how much darker than the ground,
    vertical place and its square (2), distance from the middle column, lightness and texture of the surroundings (3).
    """
    from scipy.ndimage import gaussian_filter

    lab, light = pixels.lab, pixels.lab[..., 0]
    colours = pixels.means(lab)
    spread = np.sqrt(np.maximum(pixels.means(light**2) - colours[:, 0] ** 2, 0))
    bands = [np.abs(gaussian_filter(light, fine) - gaussian_filter(light, wide)) for fine, wide in _STEPS]
    texture = np.log(_LEAST + pixels.means(np.stack(bands, axis=2)))
    directed, level = _directions(pixels)
    rows, columns = light.shape
    y, x = np.mgrid[:rows, :columns]
    down, aside = pixels.means(y / rows), pixels.means(np.abs(x / columns - 0.5))
    wide = max(rows, columns) / 12
    around = np.stack([gaussian_filter(light, wide), *(gaussian_filter(band, wide) for band in bands[:2])], axis=2)
    around[..., 1:] = np.log(_LEAST + around[..., 1:])
    apart = colours - np.median(lab.reshape(-1, 3), axis=0)
    ground = np.percentile(light, 90)
    plain = [np.hypot(colours[:, 1], colours[:, 2]), spread, directed, level, ground - colours[:, 0]]
    return np.column_stack([colours, apart, texture, *plain, down, down**2, aside, pixels.means(around)])


def _directions(pixels: Superpixels) -> tuple[np.ndarray, np.ndarray]:
    """Coherence 0..1 of each superpixel's structure tensor, and how horizontal its strokes are, -1..1."""
    from scipy.ndimage import gaussian_filter

    light = pixels.lab[..., 0]
    down, across = (gaussian_filter(light, 1.0, order=order) for order in ((1, 0), (0, 1)))
    yy, xx, xy = (pixels.means(product) for product in (down * down, across * across, down * across))
    total = yy + xx + 0.05
    return np.hypot(yy - xx, 2 * xy) / total, (yy - xx) / total


def network_features(pixels: Superpixels, vgg: Any) -> np.ndarray:
    """Logarithms of VGG16's features (relu3_3, relu4_3, relu5_3) over each superpixel, float32 (n, 1280)."""
    import torch
    from torch.nn.functional import interpolate

    weights = _shares(pixels)
    found = []
    for stage in (vgg.stages(pixels.rgb[None])[number] for number in _STAGES):
        with torch.inference_mode():
            quarter = interpolate(stage, size=weights.shape[1:], mode="bilinear", align_corners=False)[0]
        values = quarter.flatten(1).numpy()
        found.append(weights.reshape(len(weights), -1) @ values.T)
    return np.log1p(np.concatenate(found, axis=1)).astype(np.float32)


def _shares(pixels: Superpixels) -> np.ndarray:
    """Per superpixel the weights of the picture's cells of 4 x 4 pixels, summing to one: float32 (n, rows, columns)."""
    rows, columns = (max(1, side // 4) for side in pixels.labels.shape)
    y = np.minimum(np.arange(pixels.labels.shape[0]) * rows // pixels.labels.shape[0], rows - 1)
    x = np.minimum(np.arange(pixels.labels.shape[1]) * columns // pixels.labels.shape[1], columns - 1)
    shares = np.zeros((len(pixels.sizes), rows, columns), np.float32)
    np.add.at(shares, (pixels.labels, y[:, None], x[None, :]), 1.0)
    shares /= pixels.sizes[:, None, None].astype(np.float32)
    return shares

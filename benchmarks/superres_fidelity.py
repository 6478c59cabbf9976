"""Super-resolution in closed loop: real scans reduced, enlarged again, and compared with what they were.

    python benchmarks/superres_fidelity.py PAINTINGS [--works 3] [--scales 4 2] [--networks NAME ...] [--json FILE]
        [--pictures FOLDER]

`PAINTINGS` holds folders of scans, one per painter or collection. Of each the middles of `--works` files, evenly spread
over the sorted names, are reduced by the area mean to 96 x 96 pixels of 8 bits and enlarged again: by Lanczos, by each
network alone, and by each network under constraints, whose texture is measured on the folder's other files. Where the
scale is less than the network's its answer is reduced by the area mean.

The measures, fixed before anything was looked at:

- `input`: PSNR in dB of the enlarged picture, rounded to 8 bits and reduced by the area mean, against the reduced scan.
  Aim: at least 45 for every picture.
- `colour`: mean CIEDE2000 between these two after a Gaussian of 4 pixels of the reduced scan. Aim: at most 0.5.
- `LPIPS`: with VGG16 (Zhang et al. 2018), against the scan. Aim: lower than every peer's.
- `bands`: the deviation of the enlarged picture's band energies from the scan's, in dB, mean over the four finest octaves
  of a Laplacian pyramid of luminance (Burt and Adelson 1983). Aim: at most half of the network's alone.
- `strokes`: the distance of the histograms of stroke directions, half the sum of differences, 0 to 1: structure tensor of
  luminance (derivatives of Gaussians of 1 pixel, summed under one of 2), 18 directions, each pixel counting by its
  tensor's trace times its coherence (Bigun and Granlund 1987). Aim: at most half of the network's alone.
- `twice`: mean CIEDE2000 of areas, as `colour`, between a picture enlarged twice and one enlarged once.

Prints a Markdown table of means over the pictures (`input`: the worst); `--pictures` keeps sheets to look at.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

SIDE = 96  # pixels of the reduced scan
NETWORKS = ("realesr-animevideov3-x4", "realesrgan-x4plus-anime", "realesrgan-x4plus")


def reduced(picture: np.ndarray, scale: int) -> np.ndarray:
    """The area mean, float64 in the picture's own units."""
    height, width = picture.shape[0] // scale, picture.shape[1] // scale
    return picture.astype(np.float64).reshape(height, scale, width, scale, 3).mean(axis=(1, 3))


def input_psnr(enlarged: np.ndarray, low: np.ndarray) -> float:
    """See the module, `input`; at most 99."""
    error = np.mean((reduced(enlarged, enlarged.shape[0] // low.shape[0]) - low) ** 2)
    return min(99.0, float(10 * np.log10(255**2 / max(error, 1e-12))))


def colour_difference(enlarged: np.ndarray, low: np.ndarray) -> float:
    """See the module, `colour`."""
    from scipy.ndimage import gaussian_filter
    from skimage.color import deltaE_ciede2000, rgb2lab

    scale = enlarged.shape[0] // low.shape[0]
    areas = (gaussian_filter(each / 255, (4, 4, 0)) for each in (reduced(enlarged, scale), low))
    return float(deltaE_ciede2000(*(rgb2lab(each) for each in areas)).mean())


def band_energies(picture: np.ndarray) -> np.ndarray:
    """The mean squares of the four finest octaves of luminance, in dB."""
    from skimage.transform import pyramid_laplacian

    grey = picture @ np.array([0.299, 0.587, 0.114]) / 255
    levels = list(pyramid_laplacian(grey, max_layer=3))
    return np.array([10 * np.log10(np.mean(level**2) + 1e-12) for level in levels])


def directions(picture: np.ndarray) -> np.ndarray:
    """The histogram of stroke directions; its sum is one."""
    from scipy.ndimage import gaussian_filter

    grey = picture @ np.array([0.299, 0.587, 0.114])
    down, across = gaussian_filter(grey, 1, order=(1, 0)), gaussian_filter(grey, 1, order=(0, 1))
    yy, xx, xy = (gaussian_filter(each, 2) for each in (down * down, across * across, down * across))
    weight = np.hypot(xx - yy, 2 * xy)  # the trace times the coherence
    angle = 0.5 * np.arctan2(2 * xy, xx - yy)
    counts, _ = np.histogram(angle, 18, (-np.pi / 2, np.pi / 2), weights=weight)
    return counts / counts.sum()


def compared(enlarged: np.ndarray, low: np.ndarray, scan: np.ndarray) -> dict[str, float]:
    """All measures of one picture but `twice`."""
    from artmaster_pipeline.base_models.vgg import load_vgg

    return {
        "input": input_psnr(enlarged, low),
        "colour": colour_difference(enlarged, low),
        "LPIPS": float(load_vgg().lpips(enlarged[None], scan[None])[0]),
        "bands": float(np.abs(band_energies(enlarged) - band_energies(scan)).mean()),
        "strokes": float(np.abs(directions(enlarged) - directions(scan)).sum() / 2),
    }

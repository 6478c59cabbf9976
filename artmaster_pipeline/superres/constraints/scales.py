"""From the enlarged picture's grid to the original's, and back."""

import numpy as np


def reduced(enlarged: np.ndarray, scale: int) -> np.ndarray:
    """The area mean: each value what a scanner with pixels `scale` times as wide and high would see."""
    height, width = enlarged.shape[0] // scale, enlarged.shape[1] // scale
    blocks = enlarged.reshape(height, scale, width, scale, *enlarged.shape[2:])
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))


def widened(values: np.ndarray, scale: int) -> np.ndarray:
    """H x W values, interpolated linearly to (H * scale) x (W * scale), float32."""
    from PIL import Image

    height, width = values.shape
    wide = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(wide.resize((width * scale, height * scale), Image.Resampling.BILINEAR))

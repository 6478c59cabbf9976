"""Coarser maps of a picture, for what changes slowly across it, and back to its size."""

import numpy as np


def reduced(values: np.ndarray, times: int) -> np.ndarray:
    """Means over squares of so many pixels; what is left over at the right and below is left out."""
    rows, columns = values.shape[0] // times, values.shape[1] // times
    if times == 1:
        return values
    lines = values[: rows * times, : columns * times].reshape(rows, times, columns * times).mean(1)
    means: np.ndarray = lines.reshape(rows, columns, times).mean(2)
    return means


def enlarged(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A coarse map (rows, columns) at the size (height, width, ...), float32, between its points linearly."""
    from PIL import Image

    coarse = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(coarse.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))

"""PP-OCRv4's text detector: how likely each place of a picture is to be in a line of writing.

The network is a file of the package `rapidocr` (Apache-2.0, Baidu's PaddleOCR), which is read and never imported. It is
a DBNet (Liao et al., "Real-time Scene Text Detection with Differentiable Binarization", AAAI 2020) that learnt from
photographs and pages in Chinese and English, brush writing and vertical columns among them. It runs on the CPU by
onnxruntime, tile by tile, so that a long handscroll takes no more memory than a small leaf.
"""

import importlib.util
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from artmaster_pipeline.curation.masks.resampling import enlarged, reduced
from artmaster_pipeline.errors import MissingRequirement
from artmaster_pipeline.files import sha256_of

INSTALL = "pip install --force-reinstall --no-deps rapidocr==3.8.4"

_WHEEL, _FILE = "rapidocr", "ch_PP-OCRv4_det_mobile.onnx"
_SHA256 = "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9"
# pixels of a tile at most; of a side, that two neighbours both see
_TILE, _SHARED = 300_000, 96
_STRIDE = 32  # the network's sides are multiples of it
_READABLE, _ENLARGED, _MOST = 800, 2.0, 900_000  # short side that is aimed at, by so much at most, to so many pixels
_CELL, _PAPER = 16, 225.0  # pixels that the ground is averaged over; the grey level that it is brought to


def weights_file() -> Path:
    """The installed network. Raises MissingRequirement, with the command, where it is absent or another one."""
    spec = importlib.util.find_spec(_WHEEL)  # finds the folder, runs nothing in it
    for place in spec.submodule_search_locations or () if spec else ():
        path = Path(place) / "models" / _FILE
        if path.is_file() and sha256_of(path) == _SHA256:
            return path
    raise MissingRequirement(
        f"Inscriptions are found by the file {_FILE} of the package {_WHEEL}, which is not here or not the known one. "
        f"Run: {INSTALL}"
    )


def writing_likelihood(rgb: np.ndarray, times: float | None = None) -> np.ndarray:
    """For uint8 (height, width, 3) in sRGB: float32 (height, width) in 0..1, high in the core of lines of writing.

    Dark silk is brought to the lightness of paper first. The picture is enlarged so many times, or, since the
    characters of a small picture are small, until its short side suffices for them.
    """
    from PIL import Image

    size = rgb.shape[1], rgb.shape[0]
    times = times or max(1.0, min(_ENLARGED, _READABLE / min(size), (_MOST / math.prod(size)) ** 0.5))
    large = _on_paper(rgb)
    if times > 1:
        larger = [round(side * times) for side in size]
        large = np.asarray(Image.fromarray(large).resize(larger, Image.Resampling.BICUBIC))
    height, width = large.shape[:2]
    found = np.zeros((height, width), np.float32)
    for place in _tiles(height, width):
        np.maximum(found[place], _of_tile(large[place]), out=found[place])
    return found if times == 1 else np.asarray(Image.fromarray(found).resize(size, Image.Resampling.BILINEAR))


def _on_paper(rgb: np.ndarray) -> np.ndarray:
    """The picture as it were on light paper: divided by the lightness of its ground, place by place."""
    from scipy import ndimage

    coarse = reduced(rgb.mean(axis=2, dtype=np.float32), min(_CELL, *rgb.shape[:2]))
    ground = ndimage.gaussian_filter(ndimage.percentile_filter(coarse, 70, 7, mode="nearest"), 2, mode="nearest")
    level = enlarged(_PAPER / np.maximum(ground, 20), rgb.shape)
    paper = np.empty_like(rgb)
    for channel in range(3):
        paper[..., channel] = np.minimum(rgb[..., channel] * level, 255)
    return paper


def _tiles(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Few large tiles, for the network looks at the whole of what it is given to tell writing from brushwork."""
    parts = [1, 1]
    while math.prod(sides := [_side(*each) for each in zip((height, width), parts, strict=True)]) > 1.01 * _TILE:
        parts[int(sides[1] > sides[0])] += 1
    for rows in _spans(height, parts[0]):
        for columns in _spans(width, parts[1]):
            yield rows, columns


def _side(length: int, parts: int) -> int:
    return math.ceil((length + (parts - 1) * _SHARED) / parts)


def _spans(length: int, parts: int) -> Iterator[slice]:
    """Equal parts of a side that share their margins."""
    side = _side(length, parts)
    for index in range(parts):
        start = max(0, min(index * (side - _SHARED), length - side))
        yield slice(start, start + side)


def _of_tile(rgb: np.ndarray) -> np.ndarray:
    height, width = rgb.shape[:2]
    # the network learnt from blue, green, red in -1..1; what fills up to its stride is the tile's own last lines
    padded = np.pad(rgb, ((0, -height % _STRIDE), (0, -width % _STRIDE), (0, 0)), "edge")[..., ::-1]
    pixels = np.ascontiguousarray(padded.transpose(2, 0, 1)[None], np.float32) / 127.5 - 1
    session = _session()
    likelihood: np.ndarray = session.run(None, {session.get_inputs()[0].name: pixels})[0][0, 0]
    return likelihood[:height, :width]


def forget() -> None:
    """Give back what the network holds, some 100 MB; it is read again when it is next asked."""
    _session.cache_clear()


@cache
def _session() -> Any:
    """The network, read once in a process (0.1 s, 5 MB); threads may ask it at once."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # scans are looked at side by side already
    options.enable_mem_pattern = False  # one large block for all sizes would take half as much again
    return onnxruntime.InferenceSession(str(weights_file()), options, providers=["CPUExecutionProvider"])

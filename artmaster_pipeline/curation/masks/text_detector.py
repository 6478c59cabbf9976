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

from artmaster_pipeline.errors import MissingRequirement
from artmaster_pipeline.files import sha256_of

INSTALL = "pip install --force-reinstall --no-deps rapidocr==3.8.4"

_WHEEL, _FILE = "rapidocr", "ch_PP-OCRv4_det_mobile.onnx"
_SHA256 = "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9"
_TILE, _SHARED = 480, 64  # pixels of a tile's side at most, and of what two neighbours both see
_STRIDE = 32  # the network's sides are multiples of it


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


def writing_likelihood(rgb: np.ndarray) -> np.ndarray:
    """For uint8 (height, width, 3) in sRGB: float32 (height, width) in 0..1, high in the core of lines of writing."""
    found = np.zeros(rgb.shape[:2], np.float32)
    for rows in _spans(rgb.shape[0]):
        for columns in _spans(rgb.shape[1]):
            place = found[rows, columns]
            np.maximum(place, _of_tile(rgb[rows, columns]), out=place)
    return found


def _spans(length: int) -> Iterator[slice]:
    """Equal parts of a side that share their margins."""
    count = max(1, math.ceil((length - _SHARED) / (_TILE - _SHARED)))
    side = math.ceil((length + (count - 1) * _SHARED) / count)
    for index in range(count):
        start = min(index * (side - _SHARED), max(0, length - side))
        yield slice(start, start + side)


def _of_tile(rgb: np.ndarray) -> np.ndarray:
    height, width = rgb.shape[:2]
    # the network learnt from blue, green, red in -1..1; what fills up to its stride is the tile's own last lines
    padded = np.pad(rgb, ((0, -height % _STRIDE), (0, -width % _STRIDE), (0, 0)), "edge")[..., ::-1]
    pixels = np.ascontiguousarray(padded.transpose(2, 0, 1)[None], np.float32) / 127.5 - 1
    session = _session()
    likelihood: np.ndarray = session.run(None, {session.get_inputs()[0].name: pixels})[0][0, 0]
    return likelihood[:height, :width]


@cache
def _session() -> Any:
    """The network, read once in a process (0.1 s, 5 MB); threads may ask it at once."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # scans are looked at side by side already
    return onnxruntime.InferenceSession(str(weights_file()), options, providers=["CPUExecutionProvider"])

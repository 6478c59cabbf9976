"""Genres: whether a work is a landscape, of figures, of flowers, birds and animals, writing, or a photograph.

A linear readout of what AlexNet sees (`features.seen`), fitted to some hundred works that were labelled by hand
(`benchmarks/curation/train_genres.py`). It knows genres, no painters: alone it is right about five works in six, which
is enough to find the few that differ from the many.
"""

from functools import cache
from pathlib import Path

import numpy as np

WEIGHTS = Path(__file__).parent / "genres.safetensors"
GENRES = ("landscape", "figures", "flowers, birds and animals", "writing", "photograph")


def genres_of(seen: np.ndarray) -> np.ndarray:
    """The probabilities of GENRES, float64 (works, 5), by `features.seen` (works, 256)."""
    mean, weight, bias = _readout()
    return probabilities(seen, mean, weight, bias)


def probabilities(seen: np.ndarray, mean: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Of a multinomial logistic regression."""
    from scipy.special import softmax

    return softmax((seen - mean) @ weight + bias, axis=1)


@cache
def _readout() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from safetensors.numpy import load_file

    from artmaster_pipeline.errors import MissingRequirement

    if not WEIGHTS.is_file():
        raise MissingRequirement(f"{WEIGHTS} is not there: this installation lacks the package's data.")
    arrays = load_file(WEIGHTS)
    mean, weight, bias = (arrays[name].astype(np.float64) for name in ("mean", "weight", "bias"))
    return mean, weight, bias

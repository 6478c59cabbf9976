"""Which kind of thing a superpixel shows (sky, water, ...): a linear readout of VGG16's features and plain measures.

The readout ships with the package (`kinds.safetensors`, described in `kinds.md`) and was fitted to marks on paintings.
"""

from pathlib import Path

import numpy as np

from artmaster_pipeline.base_models.vgg import load_vgg
from artmaster_pipeline.copainting.signals.superpixels import Superpixels, hand_features, network_features
from artmaster_pipeline.errors import MissingRequirement
from artmaster_pipeline.sample_painters.layout import KINDS
from artmaster_pipeline.sessions import kept

WEIGHTS = Path(__file__).with_name("kinds.safetensors")


class KindReadout:
    """Fitted numbers: `plain.mean`, `plain.spread`, `net.mean`, `net.spread`, `net.axes`, `weight`, `bias`."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = {name: np.asarray(array, np.float64) for name, array in arrays.items()}

    def features(self, plain: np.ndarray, net: np.ndarray) -> np.ndarray:
        """What the readout sees of n superpixels, float64 (n, columns of both)."""
        a = self.arrays
        seen = ((net - a["net.mean"]) / a["net.spread"]) @ a["net.axes"]
        return np.hstack([(plain - a["plain.mean"]) / a["plain.spread"], seen])

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Of each kind in the order of KINDS, float64 (n, 8), rows summing to one."""
        from scipy.special import softmax

        found: np.ndarray = softmax(features @ self.arrays["weight"] + self.arrays["bias"], axis=1)
        return found


@kept
def load_readout() -> KindReadout:
    """The shipped readout. Raises MissingRequirement where the installation lacks its file."""
    from safetensors.numpy import load_file

    if not WEIGHTS.is_file():
        raise MissingRequirement(f"{WEIGHTS} is not there: this installation lacks the package's data.")
    return KindReadout(load_file(WEIGHTS))


def kinds_of(pixels: Superpixels) -> tuple[np.ndarray, np.ndarray]:
    """(probabilities of each kind (n, 8), what was seen (n, columns)) of a picture's superpixels.

    Raises MissingRequirement where the readout or VGG16's file is not installed.
    """
    readout = load_readout()
    features = readout.features(hand_features(pixels), network_features(pixels, load_vgg()))
    found = readout.probabilities(features)
    assert found.shape[1] == len(KINDS)
    return found, features

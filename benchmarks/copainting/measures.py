"""What is measured of a painted canvas, fixed before anything was painted.

- **Whose hand is it, in a region?** VGG16's relu1_2, relu2_2 and relu3_3 inside the region: mean and standard deviation
  of each channel (https://arxiv.org/abs/1703.06868), and mean and standard deviation of L*a*b*. Each number in units of
  its spread among one painter's works (pooled over painters); a painter's distance is the mean square of the
  differences to the mean of that painter's works, averaged over the four groups. The score is the mean distance of the
  canvas' other painters minus the own painter's: above zero, the region is nearer to its own. Works are read as the
  base's autoencoder gives them back, whole. How far the reader is right on works that it was not made from, seen
  through the regions of the canvases, is printed beside it.
- **How far is a region from its painter alone?** Root mean square of the L*a*b* differences inside the region to the
  picture of the same seed and the region's own prompt by that painter alone.
- **Borders.** Energy of lightness' gradient (Sobel, squared) within two pixels of a border between regions over that
  farther inside. The same of the pictures of one painter alone, on the same map, tells what the map does.
- **Time.** The process' own CPU seconds for one picture over those of one painter's picture, in one run, in turns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_STAGES = 3
_BORDER = 2  # pixels
_LEAST = 0.25  # of a feature's position that has to lie in the region


def lab(picture: np.ndarray) -> np.ndarray:
    """uint8 sRGB to L*a*b*, float32."""
    import cv2

    return cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def described(pictures: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Each picture inside its mask (bool, the picture's size): four groups of numbers in one vector each."""
    from artmaster_pipeline.base_models.vgg import load_vgg

    network = load_vgg()
    found = []
    for picture, mask in zip(pictures, masks, strict=True):
        groups = []
        for stage in network.stages(picture[None])[:_STAGES]:
            seen = stage[0].numpy()
            inside = _reduced(mask, seen.shape[1:])
            values = seen[:, inside]
            groups.append(np.concatenate([values.mean(1), values.std(1)]))
        colours = lab(picture)[mask]
        groups.append(np.concatenate([colours.mean(0), colours.std(0)]))
        found.append(groups)
    return found


def _reduced(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    import cv2

    small = cv2.resize(mask.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
    return small >= min(_LEAST, small.max())


@dataclass(frozen=True)
class Reader:
    """Whose hand a region is in: the mean of each painter's works, and the spread of works about it."""

    means: Mapping[str, list[np.ndarray]]
    spread: list[np.ndarray]

    @classmethod
    def of(cls, works: Mapping[str, Sequence[Any]]) -> "Reader":
        """`works`: painter -> what `described` gives of that painter's works."""
        means = {p: [np.mean(group, axis=0) for group in zip(*of, strict=True)] for p, of in works.items()}
        spread = []
        for number in range(_STAGES + 1):
            apart = [np.var([work[number] for work in of], axis=0) for of in works.values()]
            spread.append(np.sqrt(np.mean(apart, axis=0)) + 1e-6)
        return cls(means, spread)

    def distance(self, region: Any, painter: str) -> float:
        """How far a region is from a painter's works, in units of their spread, squared."""
        parts = zip(region, self.means[painter], self.spread, strict=True)
        return float(np.mean([np.mean(((one - mean) / spread) ** 2) for one, mean, spread in parts]))

    def score(self, region: Any, own: str, others: Sequence[str]) -> float:
        """The mean distance of the others minus the own painter's."""
        return float(np.mean([self.distance(region, other) for other in others]) - self.distance(region, own))


def from_solo(picture: np.ndarray, alone: np.ndarray, mask: np.ndarray) -> float:
    """Root mean square of the L*a*b* differences inside a region."""
    return float(np.sqrt(((lab(picture) - lab(alone))[mask] ** 2).sum(-1).mean()))


def border_energy(picture: np.ndarray, labels: np.ndarray) -> float:
    """Energy of lightness' gradient at borders between regions over that inside; nan where there is no border."""
    import cv2

    light = lab(picture)[..., 0]
    energy = cv2.Sobel(light, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(light, cv2.CV_32F, 0, 1) ** 2
    border = np.zeros(labels.shape, np.uint8)
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    border[1:] |= labels[1:] != labels[:-1]
    near = cv2.dilate(border, np.ones((2 * _BORDER + 1,) * 2, np.uint8)).astype(bool)
    return float(energy[near].mean() / energy[~near].mean()) if near.any() and not near.all() else float("nan")

"""Style as VGG16 sees it: the embedded default, which needs neither the network nor a GPU (`hub_features.py` has more).

Gram: which features occur together, wherever in the picture (Gatys, Ecker and Bethge 2016). Deep kernel: how strongly
each feature of the last stage occurs, under the cubic kernel of KID (Binkowski et al. 2018). Both forget where in the
picture something is, so they say how it is painted rather than what it shows.

Both distances are the squared distance in a kernel's feature space. The energy distance of two sets under them,
E d(x,y) - E d(x,x')/2 - E d(y,y')/2 over different pictures, is then the unbiased squared MMD (Gretton et al. 2012).
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.base_models.vgg import Vgg, chunks, load_vgg
from artmaster_pipeline.evaluation.axes.components import Component
from artmaster_pipeline.evaluation.axes.depiction import SHAPES, on_grid

if TYPE_CHECKING:
    import numpy as np

# Pictures are brought to this shorter side. Measured on 296 real paintings (Huang Binhong, Hiroshige, 13 Monets, 13
# Renoirs, old Chinese masters) reduced to 128 px: the AUC of pairs by one painter against pairs by two, mean over
# painters of five works or more, at 128, 160 and 192 px (enlarged): Gram 0.878, 0.885, 0.887; deep kernel 0.872, 0.863,
# 0.868. Enlarging costs two to three times the time for at most 0.01. 224 px from scans of 512 px: 0.881 and 0.870.
SIDE = 128
_STAGES = 4  # relu1_2, relu2_2, relu3_3, relu4_3: the fifth's Gram matrix tells painters apart no better than chance
_BUCKETS = 4096


def describe(pictures: "Sequence[np.ndarray]", device: str = "cpu") -> "dict[str, np.ndarray]":
    """Each component's description of uint8 pictures (height, width, 3) of any sizes: float32 (n, k) by its name.

    Those of depiction are among them (`depiction.SHAPES`), since the network is what takes the time.

    Raises MissingRequirement where VGG16 is not installed.
    """
    import numpy as np

    vgg = load_vgg(device)
    found: dict[str, dict[int, np.ndarray]] = {"Gram": {}, "deep kernel": {}, SHAPES.name: {}}
    for places, stack in stacks(pictures, SIDE):
        rows = [_describe(vgg, stack[chunk]) for chunk in chunks(stack)]
        for part, name in enumerate(found):
            found[name].update(zip(places, np.concatenate([row[part] for row in rows]), strict=True))
    return {name: np.stack([rows[place] for place in range(len(pictures))]) for name, rows in found.items()}


def gram_distance(descriptions: "np.ndarray", painter: "np.ndarray") -> "np.ndarray":
    """The squared Euclidean distance of Gram matrices, (n, n)."""
    import numpy as np

    rows = np.asarray(descriptions, dtype=np.float64)
    return kernel_distance(rows @ rows.T)


def deep_kernel_distance(descriptions: "np.ndarray", painter: "np.ndarray") -> "np.ndarray":
    """k(x,x) + k(y,y) - 2 k(x,y) with k(x,y) = (x.y / d + 1)^3, (n, n)."""
    import numpy as np

    rows = np.asarray(descriptions, dtype=np.float64)
    return kernel_distance((rows @ rows.T / rows.shape[1] + 1) ** 3)


def kernel_distance(kernel: "np.ndarray") -> "np.ndarray":
    """The squared distance in the feature space of a kernel with the matrix (n, n); never negative."""
    import numpy as np

    own = np.diag(kernel)
    apart = np.maximum(own[:, None] + own[None] - 2 * kernel, 0)
    np.fill_diagonal(apart, 0)
    return (apart + apart.T) / 2


COMPONENTS = (
    Component(
        "Gram",
        "style",
        "squared distance of the Gram matrices of four VGG16 stages, each scaled to length 1",
        "Gatys, Ecker and Bethge 2016, https://doi.org/10.1109/CVPR.2016.265",
        gram_distance,
    ),
    Component(
        "deep kernel",
        "style",
        "squared MMD with the cubic kernel on VGG16's last stage, its means scaled to length sqrt(512)",
        "Binkowski et al. 2018 (KID), https://arxiv.org/abs/1801.01401",
        deep_kernel_distance,
    ),
)


def stacks(pictures: "Sequence[np.ndarray]", side: int) -> "list[tuple[list[int], np.ndarray]]":
    """Pictures brought to `side` along the shorter side: stacks (n, height, width, 3), with their places."""
    import numpy as np
    from PIL import Image

    groups: dict[tuple[int, int], list[int]] = {}
    resized = []
    for place, picture in enumerate(pictures):
        scale = side / min(picture.shape[:2])
        size = (max(side, round(picture.shape[1] * scale)), max(side, round(picture.shape[0] * scale)))
        resized.append(np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)))
        groups.setdefault(size, []).append(place)
    return [(places, np.stack([resized[place] for place in places])) for places in groups.values()]


def _describe(vgg: Vgg, pictures: "np.ndarray") -> "tuple[np.ndarray, np.ndarray, np.ndarray]":
    import torch
    from torch.nn.functional import normalize

    stages = vgg.stages(pictures)
    with torch.inference_mode():
        grams = torch.cat([_gram(stage) for stage in stages[:_STAGES]], 1)
        # Scaled to one length, both lose the picture's overall contrast, which is another axis's to measure: the AUC
        # above is 0.776 and 0.693 without (128 px).
        means = normalize(stages[-1].mean((2, 3)), dim=1) * stages[-1].shape[1] ** 0.5
    return grams.cpu().numpy(), means.cpu().numpy(), on_grid(stages[-1])


def _gram(stage: Any) -> Any:
    """The Gram matrix of (n, channels, height, width), as rows of length 1 whose distances are those of the matrices.

    A stage of 512 channels has 131,328 different entries. They are added up in 4,096 buckets under random signs
    (feature hashing, Weinberger et al. 2009), which keeps distances to about 1 % in a tenth of the room.
    """
    import torch
    from torch.nn.functional import normalize

    flat = stage.flatten(2)
    matrix = normalize((flat @ flat.transpose(1, 2)).flatten(1), dim=1)
    entries, buckets, signs = (part.to(stage.device) for part in _hash(stage.shape[1]))
    rows = matrix[:, entries] * signs
    if len(entries) <= _BUCKETS:
        return rows
    return torch.zeros(len(rows), _BUCKETS, device=stage.device).index_add_(1, buckets, rows)


@cache
def _hash(channels: int) -> Any:
    """The upper triangle's places in a flat matrix, a bucket for each, and its weight with a sign."""
    import torch

    row, column = torch.triu_indices(channels, channels)
    dice = torch.Generator().manual_seed(channels)
    buckets = torch.randint(_BUCKETS, (len(row),), generator=dice)
    signs = 2.0 * torch.randint(2, (len(row),), generator=dice) - 1
    weights = torch.where(row == column, 1.0, 2.0**0.5)  # an entry off the diagonal stands for two
    return row * channels + column, buckets, signs * weights

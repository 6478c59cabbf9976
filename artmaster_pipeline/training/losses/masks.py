"""How much each place of a picture counts in the loss: the masks of curation, at the latent's size.

A crop's mask is 0 where the loss is not to look (seals, inscriptions, damage, the ground around a fan), and otherwise
says how much a place belongs to the main subject.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.files import inside
from artmaster_pipeline.records import MANIFEST, Crop, TrainingImage, read_manifest
from artmaster_pipeline.settings import Home, TrainingSettings

if TYPE_CHECKING:
    import numpy as np
    import torch


def weights_of(
    home: Home,
    painter: str,
    images: Iterable[TrainingImage],
    latents: "dict[str, torch.Tensor]",
    settings: TrainingSettings,
) -> "dict[str, torch.Tensor]":
    """Image id -> weights (1, height, width) of its latent, 0 to 1; empty where all places of all pictures count alike.

    With `leave_out_marks` a cell counts for the share of it that is not left out; with `masked_loss` it counts for how
    much it belongs to the main subject, from `unmasked_weight` to 1. A picture that is left out altogether counts as a
    whole, since a step needs something to learn. Raises ArtMasterError where a mask is missing.
    """
    if not (settings.masked_loss or settings.leave_out_marks):
        return {}
    import torch

    crops = {crop.id: crop for crop in read_manifest(home.crops(painter) / MANIFEST, Crop)}
    found = {}
    for image in images:
        crop = crops.get(image.crop_id)
        file = inside(home.crops(painter), crop.mask_path) if crop else None
        if file is None or not file.is_file():
            raise ArtMasterError(
                f"The mask of {image.path} ({image.caption!r}) is missing: run the stage curated_crops again, or set "
                "`masked_loss: false` and `leave_out_marks: false`."
            )
        found[image.id] = torch.from_numpy(_weights(file, latents[image.id].shape[1:], settings))[None]
    return {} if all(bool((weights == 1).all()) for weights in found.values()) else found


def _weights(file: Path, shape: Sequence[int], settings: TrainingSettings) -> "np.ndarray":
    import numpy as np
    from PIL import Image

    height, width = shape
    with Image.open(file) as picture:
        mask = np.asarray(picture.convert("L"), dtype=np.float32)

    def reduced(values: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BOX))

    weights = np.ones((height, width), np.float32)
    if settings.masked_loss:
        weights *= settings.unmasked_weight + (1 - settings.unmasked_weight) * reduced(mask) / 255
    if settings.leave_out_marks:
        kept = reduced((mask > 0).astype(np.float32))
        weights *= kept if kept.any() else 1
    return weights

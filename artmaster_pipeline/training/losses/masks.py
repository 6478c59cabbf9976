"""How much each place of a picture counts in the loss: the saliency masks of curation, at the latent's size."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.files import inside
from artmaster_pipeline.records import MANIFEST, Crop, TrainingImage, read_manifest
from artmaster_pipeline.settings import Home, TrainingSettings

if TYPE_CHECKING:
    import torch


def weights_of(
    home: Home,
    painter: str,
    images: Iterable[TrainingImage],
    latents: "dict[str, torch.Tensor]",
    settings: TrainingSettings,
) -> "dict[str, torch.Tensor]":
    """Image id -> weights (1, height, width) of its latent, from `unmasked_weight` to 1; empty without `masked_loss`.

    Raises ArtMasterError where a mask is missing.
    """
    if not settings.masked_loss:
        return {}
    import numpy as np
    import torch
    from PIL import Image

    crops = {crop.id: crop for crop in read_manifest(home.crops(painter) / MANIFEST, Crop)}
    found = {}
    for image in images:
        crop = crops.get(image.crop_id)
        file = inside(home.crops(painter), crop.mask_path) if crop else None
        if file is None or not file.is_file():
            raise ArtMasterError(
                f"The mask of {image.path} ({image.caption!r}) is missing: run the stage curated_crops again, or set "
                "`masked_loss: false`."
            )
        height, width = latents[image.id].shape[1:]
        with Image.open(file) as mask:
            share = np.asarray(mask.convert("L").resize((width, height), Image.Resampling.BOX), dtype=np.float32) / 255
        found[image.id] = torch.from_numpy(settings.unmasked_weight + (1 - settings.unmasked_weight) * share)[None]
    return found

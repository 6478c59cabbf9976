"""What curation leaves out of a crop does not count in the loss."""

import numpy as np
import pytest
from training_home import PAINTER, fill_home, write_mask

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.records import MANIFEST, Crop, TrainingImage, read_manifest
from artmaster_pipeline.settings import Home, TrainingSettings


@pytest.fixture
def crops(home: Home) -> tuple[Crop, ...]:
    fill_home(home, works=1, small=1)
    return read_manifest(home.crops(PAINTER) / MANIFEST, Crop)


def weights(home: Home, crops: tuple[Crop, ...], **settings):
    import torch

    from artmaster_pipeline.training.losses.masks import weights_of

    images = [
        TrainingImage(
            id=crop.id, painter=PAINTER, crop_id=crop.id, scan_id=crop.scan_id, scan_sha256=crop.scan_sha256, path="x",
            sha256="", width=crop.width, height=crop.height, caption="x", caption_source="x", split="train",
        )
        for crop in crops
    ]  # fmt: skip
    latents = {crop.id: torch.zeros(16, crop.height // 8, crop.width // 8) for crop in crops}
    return weights_of(home, PAINTER, images, latents, TrainingSettings(**settings))


def masked(crop: Crop, value: int, **places: slice) -> np.ndarray:
    width, height = crop.pixels
    mask = np.full((height, width), 200, np.uint8)
    mask[places["rows"], places["columns"]] = value
    return mask


def test_without_marks_all_places_count_alike(home: Home, crops: tuple[Crop, ...]) -> None:
    assert weights(home, crops) == {}


def test_a_seal_does_not_count_and_all_else_counts_fully(home: Home, crops: tuple[Crop, ...]) -> None:
    crop, other = crops
    width, height = crop.pixels
    write_mask(home, crop, masked(crop, 0, rows=slice(0, height // 2), columns=slice(0, width // 2)))
    found = weights(home, crops)
    (rows, columns) = found[crop.id].shape[1:]
    assert (rows, columns) == (crop.height // 8, crop.width // 8)
    assert (found[crop.id][0, : rows // 2, : columns // 2] == 0).all()
    assert found[crop.id].sum() == pytest.approx(rows * columns * 3 / 4)
    assert (found[other.id] == 1).all()
    assert weights(home, crops, leave_out_marks=False) == {}


def test_a_cell_counts_for_the_share_that_is_not_left_out(home: Home, crops: tuple[Crop, ...]) -> None:
    crop = crops[0]
    write_mask(home, crop, masked(crop, 0, rows=slice(None), columns=slice(0, None, 5)))  # a fifth of every cell
    assert np.allclose(weights(home, crops)[crop.id], 0.8, atol=0.01)


def test_both_weighings_together(home: Home, crops: tuple[Crop, ...]) -> None:
    crop = crops[0]
    write_mask(home, crop, masked(crop, 0, rows=slice(0, crop.pixels[1] // 2), columns=slice(None)))
    found = weights(home, crops, masked_loss=True, unmasked_weight=0.5)[crop.id][0]
    assert (found[: len(found) // 2] == 0).all()
    assert np.allclose(found[len(found) // 2 :], 0.5 + 0.5 * 200 / 255, atol=0.01)


def test_a_crop_that_is_all_inscription_counts_as_a_whole(home: Home, crops: tuple[Crop, ...]) -> None:
    crop, other = crops
    write_mask(home, crop, masked(crop, 0, rows=slice(None), columns=slice(None)))
    write_mask(home, other, masked(other, 0, rows=slice(0, 64), columns=slice(None)))
    assert (weights(home, crops)[crop.id] == 1).all()


def test_a_missing_mask_is_an_error_that_says_what_to_do(home: Home, crops: tuple[Crop, ...]) -> None:
    (home.crops(PAINTER) / crops[0].mask_path).unlink()
    with pytest.raises(ArtMasterError, match="curated_crops again"):
        weights(home, crops)
    assert weights(home, crops, leave_out_marks=False) == {}

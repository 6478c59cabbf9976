"""Lineage tells the three parts of the split apart: trained on, chosen by, judged by."""

import pytest
from small_archive import PAINTER, add_adapter, small_archive

from artmaster_pipeline.lineage import adapter_lineage, artwork_lineage
from artmaster_pipeline.records import MANIFEST, Adapter, Scan, TrainingImage, read_manifest
from artmaster_pipeline.settings import Home


@pytest.fixture
def adapter(home: Home) -> Adapter:
    """An adapter of three works, with one work for validation and two held out."""
    small_archive(home, works=6, held_out=2)
    images = read_manifest(home.training_set(PAINTER) / MANIFEST, TrainingImage)
    chooses = next(image.scan_sha256 for image in images if image.split == "train")
    divided = tuple(
        image.model_copy(update={"split": "validate"}) if image.scan_sha256 == chooses else image for image in images
    )
    scans = read_manifest(home.register(PAINTER) / MANIFEST, Scan)
    return add_adapter(home, scans, divided, seed=1)


def test_an_adapter_names_the_works_of_every_part_and_holds_only_those_trained_on(home, adapter):
    answer = adapter_lineage(home, adapter.id)
    parts = [{scan.sha256 for scan in scans} for scans in (answer.artworks, answer.validation, answer.held_out)]
    assert [len(part) for part in parts] == [3, 1, 2]
    assert len(set.union(*parts)) == 6
    assert {image.scan_sha256 for image in answer.training_images} == parts[0] == set(adapter.scan_sha256s)


def test_an_artwork_knows_in_which_part_it_stood(home, adapter):
    answer = adapter_lineage(home, adapter.id)
    for part, scans in (("train", answer.artworks), ("validate", answer.validation), ("held_out", answer.held_out)):
        for scan in scans:
            uses = artwork_lineage(home, scan.sha256).adapters
            assert [use.part for use in uses if use.adapter_id == adapter.id] == [part]

"""Lineage tells the three parts of the split apart: trained on, chosen by, judged by."""

import json

import pytest
from small_archive import PAINTER, add_adapter, small_archive

from artmaster_pipeline.errors import BadInput
from artmaster_pipeline.lineage import adapter_lineage, artwork_lineage
from artmaster_pipeline.records import MANIFEST, Adapter, Sample, Scan, TrainingImage, read_manifest, write_manifest
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


# --- pictures that several adapters drew


def test_a_picture_that_two_adapters_drew_is_found_from_the_works_of_either_in_whoevers_gallery(home, adapter):
    other = Adapter.model_validate(adapter.model_dump() | {"id": "f" * 16, "scan_sha256s": ("e" * 64,)})
    mixed = {"id": "0" * 16, "column": "adapter", "adapter_ids": (adapter.id, other.id), "prompt": "mist", "seed": 1}
    drawn = {"num_inference_steps": 1, "guidance_scale": 1.0, "path": "pictures/0.png", "sha256": "a" * 64}
    base = {"base_model": "miniature", "base_revision": "b", "width": 8, "height": 8, "painter": "another-painter"}
    sample = Sample.model_validate(mixed | drawn | base)
    write_manifest(home.gallery("another-painter") / MANIFEST, [sample])
    assert sample.drawn_by == f"{adapter.id}, {other.id}"
    assert adapter_lineage(home, adapter.id).samples == (sample,)
    assert [s.id for s in artwork_lineage(home, adapter.scan_sha256s[0]).published] == [sample.id]
    held_out = adapter_lineage(home, adapter.id).held_out[0]
    assert artwork_lineage(home, held_out.sha256).published == ()


@pytest.mark.parametrize(("column", "drew"), [("adapter", ("c" * 16,)), ("base", ()), ("original", ())])
def test_a_manifest_from_when_a_picture_named_one_adapter_is_still_read(home, column, drew):
    old = {
        "adapter_id": "c" * 16, "base_model": "miniature", "base_revision": "b", "checkpoint": 0, "column": column,
        "enlarged_by": "", "enlarged_from": "", "guidance_scale": 1.5, "height": 8, "id": "0" * 16,
        "num_inference_steps": 2, "painter": PAINTER, "path": "x.png", "prompt": "mist", "role": "row",
        "scan_sha256": "", "seed": 3, "sha256": "a" * 64, "strength": 1.0, "width": 8,
    }  # fmt: skip
    manifest = home.gallery(PAINTER) / MANIFEST
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps(old) + "\n")
    (sample,) = read_manifest(manifest, Sample)
    assert (sample.adapter_ids, sample.evaluated_adapter_id) == (drew, "c" * 16)
    write_manifest(manifest, [sample])
    assert read_manifest(manifest, Sample) == (sample,)


def test_a_damaged_record_of_an_adapter_is_named_with_the_way_out(home, adapter):
    record = home.root / adapter.path / "adapter.json"
    record.write_text(record.read_text()[:-20])
    with pytest.raises(BadInput, match=rf"{record} is no adapter's record.*dvc checkout"):
        adapter_lineage(home, adapter.id)

"""Lineage tells the three parts of the split apart: trained on, chosen by, judged by."""

import json
import shutil
from pathlib import Path

import pytest
from small_archive import PAINTER, add_adapter, copied, evaluated, judged, small_archive

from artmaster_pipeline.errors import BadInput, WrongUse
from artmaster_pipeline.evaluation import decide
from artmaster_pipeline.lineage import adapter_lineage, artwork_lineage, file_lineage, words
from artmaster_pipeline.publishing import publish_gallery
from artmaster_pipeline.records import (
    MANIFEST,
    QUARANTINE,
    Adapter,
    AdapterSnapshot,
    Quarantined,
    Sample,
    Scan,
    TrainingFacts,
    TrainingImage,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.settings import Home, load_profile


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
    assert [s.id for s in adapter_lineage(home, adapter.id).samples] == [sample.id]
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


# --- an artwork by any of its names


@pytest.mark.parametrize(
    "say",
    [
        lambda scan: scan.sha256,
        lambda scan: scan.sha256.upper(),
        lambda scan: scan.sha256[:8],
        lambda scan: scan.accession_number,
        lambda scan: f"  {scan.title.upper()} ",
        lambda scan: scan.title.translate({ord(c): ord(c) + 0xFEE0 for c in "Mountain"}),  # the wide letters of CJK
    ],
)
def test_an_artwork_is_found_by_sha256_digits_number_or_title(home, adapter, say):
    scan = adapter_lineage(home, adapter.id).artworks[0]
    assert artwork_lineage(home, say(scan)).sha256 == scan.sha256


def test_accents_and_scripts_are_the_same_however_unicode_writes_them(home):
    small_archive(home, works=1, held_out=0, title="Caf\u00e9 \u5c71\u6c34")
    assert len(artwork_lineage(home, "CAFE\u0301 \u5c71\u6c34").scans) == 1


def test_a_title_of_then_is_still_a_name_of_the_work(home, adapter):
    scans = read_manifest(home.register(PAINTER) / MANIFEST, Scan)
    new = [scan.model_copy(update={"title": f"Renamed {scan.title}"}) for scan in scans]
    write_manifest(home.register(PAINTER) / MANIFEST, new)
    for scan in new:
        assert artwork_lineage(home, scan.title).sha256 == artwork_lineage(home, scan.title[8:]).sha256 == scan.sha256


def test_a_title_of_several_works_lists_them_and_asks_for_more(home):
    small_archive(home, works=3, held_out=1, title="Mountain")
    known = read_manifest(home.register(PAINTER) / MANIFEST, Scan)
    with pytest.raises(WrongUse, match="3 artworks") as error:
        artwork_lineage(home, "mountain")
    assert all(scan.sha256[:16] in str(error.value) and scan.path in str(error.value) for scan in known)


@pytest.mark.parametrize("name", ["", "  ", "abcdefg", "Mountain 99", "0" * 64, "\x1b[2J"])
def test_what_no_artwork_is_called_is_said_with_what_to_give(home, adapter, name):
    with pytest.raises(WrongUse, match=r"No artwork .*accession number"):
        artwork_lineage(home, name)


def test_a_part_of_a_title_names_the_works_that_have_it(home, adapter):
    with pytest.raises(WrongUse, match=r"Titles that hold these words: .*Mountain 0"):
        artwork_lineage(home, "mountain")


def test_a_file_that_was_left_out_is_told_with_the_reason(home, adapter):
    torn = {"path": "box/Torn.jpg", "sha256": "e" * 64, "reason": "It is torn", "remedy": "Scan it again"}
    left_out = Quarantined(id="0" * 16, painter=PAINTER, **torn)
    write_manifest(home.register(PAINTER) / QUARANTINE, [left_out])
    for name in ("E" * 8, "torn", "box/torn.jpg"):
        with pytest.raises(WrongUse, match=rf"Left out is {PAINTER}/box/Torn.jpg: It is torn. Scan it again"):
            artwork_lineage(home, name)


# --- today and before


def test_a_picture_of_an_older_version_is_known_as_published_once(published_archive, tmp_path):
    home = copied(published_archive, Home(tmp_path / "home"))
    (old,) = read_manifest(home.adapters(PAINTER) / MANIFEST, Adapter)
    scan, images = old.scan_sha256s[0], read_manifest(home.training_set(PAINTER) / MANIFEST, TrainingImage)
    before = artwork_lineage(home, scan)
    assert {picture.state for picture in before.published} == {"published"}
    rest = tuple(image for image in images if image.scan_sha256 != scan)
    add_adapter(home, read_manifest(home.register(PAINTER) / MANIFEST, Scan), rest, seed=1)
    evaluated(home, 2)
    publish_gallery(home, PAINTER, load_profile("miniature"))
    after = artwork_lineage(home, scan)
    assert [(use.adapter_id, use.current, use.published) for use in after.adapters] == [(old.id, False, False)]
    assert {picture.id for picture in after.published} == {picture.id for picture in before.published}
    assert {picture.state for picture in after.published} == {"unpublished"}
    assert all(picture.since and picture.places[0].version for picture in after.published)
    assert adapter_lineage(home, old.id).state.words == "superseded"


def test_pictures_of_an_adapter_that_is_gone_are_known_by_what_was_published_with_them(published_archive, tmp_path):
    home = copied(published_archive, Home(tmp_path / "home"))
    (gone,) = read_manifest(home.adapters(PAINTER) / MANIFEST, Adapter)
    shutil.rmtree(home.root / "adapters")
    answer = artwork_lineage(home, gone.scan_sha256s[0])
    assert answer.adapters == ()
    assert {picture.adapter_ids for picture in answer.published} == {(gone.id,)}
    (home.gallery(PAINTER) / "provenance.json").write_text("{")
    with pytest.raises(BadInput, match=r"provenance\.json cannot be read"):
        artwork_lineage(home, gone.scan_sha256s[0])


def test_an_adapter_says_what_is_not_recorded_and_what_persons_decided(home, adapter):
    judged(home)
    decide(home, PAINTER, adapter.id, "reject", "The seal of a collector is everywhere.")
    answer = adapter_lineage(home, adapter.id)
    assert answer.training is None
    assert answer.shares == {}
    facts = dict(words.adapter_facts(answer))
    assert facts["Software"] == facts["Commit of ArtMaster"] == "not recorded"
    tables = dict(words.adapter_tables(answer))
    assert tables["Left out"] == [{"file": "not recorded", "why": "not recorded"}]
    assert {row["shown"] for row in tables["Training pictures"]} == {"not recorded"}
    assert [row["why"] for row in tables["Decisions of persons"]] == ["The seal of a collector is everywhere."]


def test_an_adapter_says_how_often_each_picture_was_seen_and_what_was_left_out(home, adapter):
    file = home.root / adapter.path / "lineage.json"
    snapshot = AdapterSnapshot.model_validate_json(file.read_text())
    torn = Quarantined(id="0" * 16, painter=PAINTER, path="torn.jpg", reason="It is torn", remedy="Scan it again")
    shown = dict.fromkeys(adapter.training_image_ids, 10) | {adapter.training_image_ids[0]: 30}
    facts = TrainingFacts(software={"torch": "2.15.0"}, shown=shown, quarantined=(torn,), without_crops=())
    file.write_text(snapshot.model_copy(update={"training": facts}).model_dump_json())
    answer = adapter_lineage(home, adapter.id)
    assert sum(answer.shares[name] for name in adapter.training_image_ids) == pytest.approx(1)
    assert words.share_in_words(answer, adapter.training_image_ids[0]) == "30 times (38 %)"
    assert dict(words.adapter_tables(answer))["Left out"] == [{"file": "torn.jpg", "why": "It is torn"}]
    assert dict(words.adapter_facts(answer))["Software"] == "torch 2.15.0"


# --- an adapter's file alone


def test_a_file_is_asked_outside_of_any_home(trained, tmp_path, capsys):
    home, _, adapter = trained
    file = Path(shutil.copy(home.root / adapter.path / "adapter.safetensors", tmp_path / "x.safetensors"))
    alone = file_lineage(file, Home(tmp_path / "nowhere"))
    assert [work.sha256 for work in alone.ledger.works] == list(adapter.scan_sha256s)
    assert (alone.weights, alone.state, alone.agrees) == ("as written", None, None)
    assert (file_lineage(file, home).agrees, file_lineage(file, home).adapter_id) == (True, adapter.id)
    assert not (tmp_path / "nowhere").exists()
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert file_lineage(file, home).weights == "changed"


def test_a_file_without_a_ledger_is_told_apart_from_one_that_is_no_adapter(tmp_path):
    import torch
    from safetensors.torch import save_file

    home = Home(tmp_path / "nowhere")
    for name in ("lora_unet_x.lora_down.weight", "x.to_q_lora.down.weight", "base_model.x.lora_A.default.weight"):
        save_file({name: torch.zeros(1)}, tmp_path / "other.safetensors")
        answer = file_lineage(tmp_path / "other.safetensors", home)
        assert answer.ledger is None
        assert ("Ledger", "no ledger in this file") in words.file_facts(answer)
    save_file({"conv.weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(WrongUse, match="no adapter: none of its tensors"):
        file_lineage(tmp_path / "model.safetensors", home)
    with pytest.raises(WrongUse, match="cannot be read"):
        file_lineage(tmp_path / "absent.safetensors", home)


def test_an_adapter_of_before_is_known_to_its_home_by_its_bytes(home, adapter, tmp_path):
    import torch
    from safetensors.torch import save

    weights = save({"transformer.x.lora_A.weight": torch.zeros(1)})
    scans = read_manifest(home.register(PAINTER) / MANIFEST, Scan)
    old = add_adapter(home, scans, adapter_lineage(home, adapter.id).training_images, seed=7, weights=weights)
    answer = file_lineage(home.root / old.path / "adapter.safetensors", home)
    assert (answer.adapter_id, answer.ledger, answer.agrees) == (old.id, None, None)

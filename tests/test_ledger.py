"""What a training writes down about itself, and the ledger that travels in the adapter's own file."""

import json
import struct
from collections import Counter

import pytest
from small_archive import copied
from training_home import PAINTER

from artmaster_pipeline.adapters.exporting import export_adapter
from artmaster_pipeline.adapters.ledger import LEDGER, Ledger, LedgerWork, read_ledger
from artmaster_pipeline.adapters.software import product_commit, software
from artmaster_pipeline.adapters.tensor_file import read_header, read_words
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.records import (
    MANIFEST,
    QUARANTINE,
    AdapterSnapshot,
    Quarantined,
    Scan,
    TrainingImage,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.settings import Home, TrainingSettings
from artmaster_pipeline.training import train_adapter
from artmaster_pipeline.training.schedule import steps, times_shown


def snapshot_of(home, adapter) -> AdapterSnapshot:
    return AdapterSnapshot.model_validate_json((home.root / adapter.path / "lineage.json").read_text())


# --- lineage.json


def test_a_training_writes_down_how_often_it_showed_each_picture_and_with_which_software(trained):
    home, profile, adapter = trained
    training = snapshot_of(home, adapter).training
    assert training.shown.keys() == set(adapter.training_image_ids)
    rows = [row for row in read_manifest(home.training_set(PAINTER) / MANIFEST, TrainingImage) if row.split == "train"]
    assert training.shown == Counter(image.id for step in steps(rows, profile.training) for image in step.images)
    assert training.software == software()
    assert {"artmaster-pipeline", "python", "torch", "diffusers", "peft"} <= training.software.keys()
    assert training.commit == product_commit()
    assert training.quarantined == training.without_crops == ()


def test_pictures_count_up_to_the_step_whose_weights_are_kept(trained):
    home, _, _ = trained
    rows = read_manifest(home.training_set(PAINTER) / MANIFEST, TrainingImage)
    settings = TrainingSettings(epochs=2, repeats=3, batch_size=1)
    whole, half = times_shown(rows, settings, 10**6), times_shown(rows, settings, 3 * len(rows))
    assert set(whole.values()) == {6}
    assert set(half.values()) == {3}
    assert sum(times_shown(rows, settings, 5).values()) == 5


def test_what_was_left_out_then_stays_as_it_was_then(trained, tmp_path):
    home, profile, adapter = trained
    other = copied(home, Home(tmp_path / "home"))
    left_out = Quarantined(id="0" * 16, painter=PAINTER, path="torn.jpg", reason="It is torn", remedy="Scan it again")
    write_manifest(other.register(PAINTER) / QUARANTINE, [left_out])
    before = (other.root / adapter.path / "lineage.json").read_bytes()
    assert train_adapter(other, PAINTER, profile).made == 0
    assert (other.root / adapter.path / "lineage.json").read_bytes() == before


def test_an_adapter_of_before_is_not_given_facts_that_nobody_wrote_down(trained, tmp_path):
    home, profile, adapter = trained
    other = copied(home, Home(tmp_path / "home"))
    file = other.root / adapter.path / "lineage.json"
    old = snapshot_of(other, adapter).model_copy(update={"training": None})
    file.write_text(old.model_dump_json(indent=1) + "\n")
    assert "training" not in json.loads(file.read_text())
    assert train_adapter(other, PAINTER, profile).records == (adapter,)
    assert snapshot_of(other, adapter) == old


# --- the ledger in the file


def test_an_adapters_file_names_the_works_it_was_trained_on_and_an_exported_one_repeats_it(trained, tmp_path):
    home, _, adapter = trained
    words = read_words(home.root / adapter.path / "adapter.safetensors")
    ledger = read_ledger(words)
    scans = {scan.sha256: scan for scan in read_manifest(home.register(PAINTER) / MANIFEST, Scan)}
    assert [work.sha256 for work in ledger.works] == list(adapter.scan_sha256s)
    assert [(w.title, w.rights) for w in ledger.works] == [
        (scans[sha256].title, scans[sha256].rights) for sha256 in adapter.scan_sha256s
    ]
    assert (ledger.adapter, ledger.trigger, ledger.profile) == (adapter.id, adapter.trigger, adapter.profile)
    assert ledger.base_revision == adapter.base_revision
    assert adapter.base_model not in words[LEDGER]  # a folder of this machine
    for file_format in ("diffusers", "kohya"):
        assert read_words(export_adapter(home, PAINTER, file_format, out=tmp_path).file)[LEDGER] == words[LEDGER]


def test_the_ledger_of_four_thousand_works_is_below_a_megabyte():
    works = tuple(
        LedgerWork(
            sha256=f"{n:064x}",
            title="一幅有題跋的山水圖，秋" * 2,
            accession_number=f"1960.{n}.a-b",
            rights="https://creativecommons.org/publicdomain/mark/1.0/ Given by the painter's family",
        )
        for n in range(4000)
    )
    names = dict.fromkeys(("adapter", "painter", "painter_name", "trigger", "profile", "base_model"), "x")
    ledger = Ledger(**names, base_revision="r", base_commit="", works=works)
    assert len(ledger.words()[LEDGER].encode()) < 1_000_000
    assert read_ledger(ledger.words()) == ledger


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "[" * 100_000, '{"form": 1}', '{"form": 1, "rights": [], "works": [["a", "b", "c", 0]]}'],
)
def test_what_is_no_ledger_is_not_taken_for_one(text):
    assert read_ledger({LEDGER: text}) is None
    assert read_ledger({}) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        b"\x89PNG\r\n\x1a\n and so on",
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 100_000) + b"[" * 100_000,
        struct.pack("<Q", 19) + b'{"__metadata__": 1}',
    ],
)
def test_a_file_that_is_no_safetensors_is_told_as_such(tmp_path, content):
    file = tmp_path / "x.safetensors"
    file.write_bytes(content)
    with pytest.raises(WrongUse, match="no safetensors file"):
        read_header(file)

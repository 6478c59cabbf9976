"""captions.csv: what a person corrects, and that it wins ever after."""

import csv
import json
from pathlib import Path

import pytest
from made_scans import write
from sharing import linked_copy
from typer.testing import CliRunner

from artmaster_pipeline.cli import app
from artmaster_pipeline.curation import crop_scans
from artmaster_pipeline.dataset import build_training_set, caption_rows, write_captions
from artmaster_pipeline.dataset.captions import Caption, only_what_varies
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.records import MANIFEST, Scan, read_manifest
from artmaster_pipeline.scans import register_scans
from artmaster_pipeline.settings import Home, PainterSettings, load_profile, save_painter

PAINTER = "shi-tao"
TRIGGER = "shitao style"


def with_scans(root: Path, count: int = 4) -> Home:
    home = Home(root)
    for n in range(count):
        write(home.scans(PAINTER) / f"{n}.png", n, 800, 900)
    save_painter(home, PAINTER, PainterSettings(name="Shi Tao", trigger=TRIGGER))
    (home.scans(PAINTER) / "artworks.csv").write_text(
        "file,title,season\n0.png,寒江独钓图,\n1.png,云门双峰,autumn\n2.png,A boat in mist,\n", encoding="utf-8"
    )
    (home.scans(PAINTER) / "3.txt").write_text("two boats below a cliff")
    return home


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Path:
    """A data home whose training set is built once; look, but do not write."""
    home = with_scans(tmp_path_factory.mktemp("first"))
    build(home)
    return home.root


@pytest.fixture
def built(first, tmp_path) -> Home:
    """The same, free to be changed."""
    return Home(linked_copy(first, tmp_path / "home"))


def build(home: Home) -> dict[str, tuple[str, str]]:
    """By file the caption behind the trigger, and who said it."""
    register_scans(home, PAINTER)
    crop_scans(home, PAINTER)
    build_training_set(home, PAINTER, load_profile("miniature"))
    return {row.file: (row.caption, row.source) for row in caption_rows(home, PAINTER)}


def correct(home: Home, **captions: str) -> None:
    """What a person does with the file that --edit wrote."""
    file = home.scans(PAINTER) / "captions.csv"
    rows = list(csv.DictReader(file.open(encoding="utf-8")))
    with file.open("w", encoding="utf-8", newline="") as out:
        table = csv.DictWriter(out, rows[0])
        table.writeheader()
        table.writerows({**row, "caption": captions.get(f"_{row['file'][0]}", row["caption"])} for row in rows)


def test_from_what_the_archive_says_to_a_persons_last_word(built):
    home = built
    said = {row.file: (row.caption, row.source) for row in caption_rows(home, PAINTER)}
    assert said["0.png"][0].startswith("a fishing boat on a lake in winter")
    assert said["0.png"][1] == "embedded reader, title translated"
    assert said["1.png"][0].startswith("autumn, layered mountains")
    assert said["1.png"][1] == "artworks.csv, embedded reader, title translated"
    assert said["2.png"][0].startswith("A boat in mist, ")
    assert said["2.png"][1] == "artworks.csv, embedded reader"
    assert said["3.png"] == ("two boats below a cliff", "sidecar")
    assert not any("云门" in caption for caption, _ in said.values())

    file, new = write_captions(home, PAINTER)
    assert (file.name, new) == ("captions.csv", 4)
    correct(home, _0="a man fishes alone, a wide river", _3="")
    said = build(home)
    assert said["0.png"] == ("a man fishes alone, a wide river", "captions.csv")
    assert said["1.png"][1] == "captions.csv"  # let stand
    assert said["3.png"] == ("two boats below a cliff", "sidecar")  # an empty cell says nothing

    write(home.scans(PAINTER) / "4.png", 9, 800, 900)
    build(home)
    before = file.read_text(encoding="utf-8")
    assert write_captions(home, PAINTER)[1] == 1
    assert file.read_text(encoding="utf-8").startswith(before)
    assert build(home)["0.png"] == ("a man fishes alone, a wide river", "captions.csv")


def test_the_same_captions_give_the_same_bytes_and_the_titles_stay_in_the_records(built):
    home = built
    manifest = home.training_set(PAINTER) / MANIFEST
    before = manifest.read_bytes()
    build(home)
    assert manifest.read_bytes() == before
    assert {scan.title for scan in read_manifest(home.register(PAINTER) / MANIFEST, Scan)} >= {"寒江独钓图", "云门双峰"}


def test_a_persons_caption_that_the_base_cannot_read_is_said_by_the_reader_and_counted(built):
    home = built
    write_captions(home, PAINTER)
    correct(home, _0="寒江独钓")
    register_scans(home, PAINTER)
    outcome = build_training_set(home, PAINTER, load_profile("miniature"))
    assert outcome.figures["scans whose words the base does not read"] == 1
    row = next(row for row in caption_rows(home, PAINTER) if row.file == "0.png")
    assert row.unread == 1
    assert row.source.startswith("embedded reader")


def test_rows_of_captions_csv_that_cannot_be_used_are_named(tmp_path):
    home = with_scans(tmp_path)
    (home.scans(PAINTER) / "captions.csv").write_text("file,caption\n0.png,a boat\n9.png,a cliff\n0.png,again\n")
    outcome = register_scans(home, PAINTER)
    reasons = " ".join(entry.reason for entry in outcome.quarantined)
    assert "'9.png': there is no such scan" in reasons
    assert "'0.png' is described twice" in reasons
    assert next(scan.caption for scan in outcome.records if scan.path == "0.png") == "a boat"


def test_a_captions_csv_that_cannot_be_read_stops_the_stage(tmp_path):
    home = with_scans(tmp_path)
    (home.scans(PAINTER) / "captions.csv").write_bytes(b"file,caption\n0.png,\xff\xfe\n")
    with pytest.raises(ArtMasterError, match=r"captions\.csv: It is not UTF-8"):
        register_scans(home, PAINTER)


def test_what_a_person_set_is_not_shortened_and_takes_no_part_in_what_all_works_say():
    captions = [Caption(f"{TRIGGER}, boat {n}, ink on paper", "artworks.csv") for n in range(9)]
    captions.append(Caption(f"{TRIGGER}, a cliff, ink on paper", "captions.csv"))
    rest, gone = only_what_varies(captions, [str(n) for n in range(10)], TRIGGER)
    assert gone == ("boat", "ink on paper")
    assert rest[-1].text == f"{TRIGGER}, a cliff, ink on paper"


def test_the_command_shows_who_says_what_and_writes_the_table(built, tmp_path):
    early = CliRunner().invoke(app, ["captions", PAINTER, "--home", str(with_scans(tmp_path / "early").root)])
    assert early.exit_code != 0
    home, where = built, str(built.root)
    shown = CliRunner().invoke(app, ["captions", PAINTER, "--home", where, "--edit"])
    assert shown.exit_code == 0, shown.output
    assert "Said by:" in shown.output
    assert (home.scans(PAINTER) / "captions.csv").is_file()
    rows = json.loads(CliRunner().invoke(app, ["captions", PAINTER, "--home", where, "--json"]).output)
    assert {row["file"] for row in rows} == {"0.png", "1.png", "2.png", "3.png"}
    assert {"caption", "source", "unread", "picture"} <= set(rows[0])

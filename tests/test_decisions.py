"""decisions.csv: what persons decide is read and kept as they wrote it, and what cannot be used is named."""

import csv
import threading
from pathlib import Path

import made_scans
import pytest
from small_archive import PAINTER, small_archive
from typer.testing import CliRunner

from artmaster_pipeline.adapters.ancestry import Ancestry
from artmaster_pipeline.adapters.recording import training_facts, write_texts
from artmaster_pipeline.cli import app
from artmaster_pipeline.curation.review import decisions_of, read_decisions, save_decisions
from artmaster_pipeline.curation.review.decisions import (
    COLUMNS,
    Decisions,
    drawn_crops,
    effective_area,
    fitted,
    is_kept,
    left_out,
    masks_after,
)
from artmaster_pipeline.errors import ArtMasterError, BadInput
from artmaster_pipeline.lineage import adapter_lineage, artwork_lineage, words
from artmaster_pipeline.locks import working_on
from artmaster_pipeline.records import (
    CURATED,
    MANIFEST,
    CuratedScan,
    Decision,
    Mask,
    Scan,
    TrainingImage,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.scans import register_scans
from artmaster_pipeline.settings import Home
from artmaster_pipeline.withdrawal import withdraw_artwork

HEAD = ",".join(COLUMNS) + "\n"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Two scans of 600 x 400 pixels, one of them in a folder."""
    home = Home(tmp_path / "home")
    for seed, name in enumerate(("a.png", "album/Crête.png")):
        made_scans.write(home.scans("x") / name, seed, 600, 400)
    return home


def put(home: Home, text: str | bytes, name: str = "decisions.csv") -> None:
    content = text if isinstance(text, bytes) else text.encode()
    (home.scans("x") / name).write_bytes(content)


def faults(home: Home) -> list[str]:
    return [f"{fault.relative} {fault.reason}" for fault in read_decisions(home, "x").faults]


def test_what_persons_wrote_is_read_in_its_order(home: Home) -> None:
    put(home, HEAD.replace(",", ";") + "A.PNG;Leave_out;;;;;torn;Ada;2026-11-27\na.png;keep;;;;;'=1+1;Ada;\n"
              "a.png;area;10;20;500;380;;;\na.png;area;12;20.0;500;380;;;\ncrête.png;note;;;;;夜;;\n")  # fmt: skip
    put(home, (HEAD + "Crête.png,seal,1,2,30,40,,,\n").encode("utf-16"), "album/Decisions.csv")
    found = decisions_of(home, "x")
    assert not faults(home)
    assert [each.what for each in found["a.png"]] == ["leave out", "keep", "area", "area"]
    assert found["a.png"][1].why == "=1+1"
    assert left_out(found["a.png"]) is None
    assert is_kept(found["a.png"])
    assert effective_area(found["a.png"]) == (12, 20, 500, 380)
    assert [(each.what, each.box) for each in found["album/Crête.png"]] == [("seal", (1, 2, 30, 40)), ("note", None)]


@pytest.mark.parametrize("registered", [False, True])
def test_a_row_that_cannot_be_used_is_named_and_the_others_count(home: Home, registered: bool) -> None:
    rows = {
        "b.png,keep,,,,,,,": "line 2: 'b.png': there is no such scan",
        "a.png,dance,,,,,,,": "line 3: 'dance' is nothing to decide; write one of: keep, leave out, note",
        "a.png,area,,,,,,,": "line 4: 'area' needs a place",
        "a.png,seal,1,2,3,,,,": "line 5: not whole numbers: bottom ''",
        "a.png,seal,1,2,3,4.5,,,": "line 6: not whole numbers: bottom '4.5'",
        "a.png,seal,30,2,10,20,,,": "line 7: 30,2 to 10,20: right must be greater than left",
        "a.png,area,10,20,601,380,,,": "line 8: 10,20 to 601,380 does not lie in 'a.png', which has 600 x 400 pixels",
        "a.png,area,10,20,70,380,,,": "line 9: 10,20 to 70,380 is 60 pixels narrow; 'area' needs 64 a side",
        "a.png,crop,0,0,300,330,,,": "line 10: 0,0 to 300,330 is 300 x 330: a crop's sides must be as 512 to 512 or",
        "a.png,keep,,,,,a,b,c,d": "more cells than columns",
        "a.png,leave out,,,,,faded,Ada,": "",
    }
    if registered:
        register_scans(home, "x")
    put(home, HEAD + "\n".join(rows) + "\n")
    told = faults(home)
    for row, fault in rows.items():
        assert not fault or any(fault in each for each in told), (row, told)
    assert len(told) == len(rows) - 1
    assert left_out(decisions_of(home, "x")["a.png"]) == Decision(what="leave out", why="faded", who="Ada")


def test_a_table_that_cannot_be_read_stops_all(home: Home) -> None:
    for content, said in (
        ("file,what\na.png,黄\n".encode("gb18030"), "not UTF-8"),
        (b"a.png,keep\n", "no column 'file'"),
    ):
        put(home, content)
        with pytest.raises(ArtMasterError, match=f"decisions.csv: .*{said}.*would be lost"):
            read_decisions(home, "x")


def test_saving_keeps_what_stands_there_and_takes_one_row_back(home: Home) -> None:
    put(home, 'file,what,shelf,why\na.png,note,"3,b",first\nb.png,dance,,\n')
    found = save_decisions(
        home, "x", [("album/Crête.png", Decision(what="crop", box=(0, 0, 300, 300), why="=x", who="Ada"))]
    )
    assert [row.decision.what for row in found.rows] == ["note", "crop"]
    with (home.scans("x") / "decisions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["shelf"] for row in rows] == ["3,b", "", ""]
    assert rows[1]["what"] == "dance"
    assert rows[2]["why"] == "'=x"
    left = save_decisions(home, "x", taken_back={found.rows[0].id})
    assert [row.decision.what for row in left.rows] == ["crop"]
    with pytest.raises(BadInput, match="gone"):
        save_decisions(home, "x", taken_back={found.rows[0].id})


def test_nothing_is_saved_that_could_not_be_read_again(home: Home) -> None:
    with pytest.raises(BadInput, match="does not lie in"):
        save_decisions(home, "x", [("a.png", Decision(what="seal", box=(0, 0, 10, 999)))])
    with pytest.raises(BadInput, match="no such scan"):
        save_decisions(home, "x", [("../a.png", Decision(what="keep"))])
    assert not (home.scans("x") / "decisions.csv").exists()
    text = HEAD + "a.png,keep,,,,,too,many,cells,here\n"
    put(home, text)
    with pytest.raises(BadInput, match="would be lost"):
        save_decisions(home, "x", [("a.png", Decision(what="keep"))])
    assert (home.scans("x") / "decisions.csv").read_text() == text


def test_masks_crops_and_their_places() -> None:
    seal = Mask(kind="seal", outline=((10, 10), (30, 10), (30, 30), (10, 30)))
    far = Mask(kind="inscription", outline=((100, 100), (200, 100), (200, 300)))
    decided = (Decision(what="clear", box=(0, 0, 40, 40)), Decision(what="damage", box=(1, 2, 3, 4)))
    kinds = [(mask.kind, mask.source) for mask in masks_after((seal, far), decided)]
    assert kinds == [("inscription", "found"), ("damage", "person")]
    crops = (Decision(what="crop", box=(0, 0, 303, 300)), Decision(what="crop", box=(0, 0, 200, 300), who="Ada"))
    square, tall = drawn_crops(crops)[512, 512], drawn_crops(crops)[512, 768]
    assert square[0][0] == (1, 0, 301, 300)
    assert (tall[0][0], tall[0][1].who) == ((0, 0, 200, 300), "Ada")
    assert fitted((0, 0, 300, 330)) is None


def test_a_table_comes_in_with_its_scans_and_grows(home: Home, tmp_path: Path) -> None:
    def add() -> str:
        result = CliRunner(env={"COLUMNS": "300"}).invoke(
            app, ["painters", "add", "x", str(archive), "--home", str(home.root)]
        )
        return f"{result.exit_code} {result.output}"

    archive = tmp_path / "archive"
    made_scans.write(archive / "c.png", 7)
    (archive / "decisions.csv").write_text(HEAD + "c.png,keep,,,,,,Ada,\n")
    assert add().startswith("0")
    assert is_kept(decisions_of(home, "x")["c.png"])
    save_decisions(home, "x", [("c.png", Decision(what="leave out"))])
    assert add().startswith("0")  # what was there already says nothing new: the home's last word stays
    assert left_out(decisions_of(home, "x")["c.png"])
    (archive / "decisions.csv").write_text(HEAD + "c.png,keep,,,,,,Ada,\nc.png,dance,,,,,,,\nc.png,note,,,,,now,,\n")
    said = add()
    assert said.startswith("1")
    assert "'dance' is nothing to decide" in said
    assert [each.what for each in decisions_of(home, "x")["c.png"]] == ["keep", "leave out", "note"]


def test_nobody_saves_while_the_painter_is_worked_on(home: Home) -> None:

    refused: list[str] = []

    def save() -> None:
        try:
            save_decisions(home, "x", [("a.png", Decision(what="keep"))])
        except ArtMasterError as error:
            refused.append(str(error))

    with working_on(home, "x"):
        other = threading.Thread(target=save)
        other.start()
        other.join()
    assert "being worked on" in refused[0]
    assert not (home.scans("x") / "decisions.csv").exists()


def test_what_persons_decided_stands_in_the_lineage_of_adapters_and_works(home: Home, tmp_path: Path) -> None:
    del home
    archive = Home(tmp_path / "archive")
    adapter = small_archive(archive, works=4)
    used, *_, other = read_manifest(archive.register(PAINTER) / MANIFEST, Scan)
    images = read_manifest(archive.training_set(PAINTER) / MANIFEST, TrainingImage)
    area = Decision(what="area", box=(1, 2, 300, 400), why="a frame", who="Ada", when="2026-11-27")
    out = Decision(what="leave out", why="a copy", who="Li")
    works = [
        CuratedScan(id=scan.id, painter=PAINTER, scan_sha256=scan.sha256, area=(0, 0, 9, 9), decisions=(decision,))
        for scan, decision in ((used, area), (other, out))
    ]
    write_manifest(archive.crops(PAINTER) / CURATED, works)
    folder = archive.root / adapter.path
    rows = tuple(image for image in images if image.scan_id != other.id)
    facts = training_facts(archive, PAINTER, {}, Ancestry())
    write_texts(folder, archive, adapter, rows, facts)
    assert "scans left out 1, places drawn or corrected 1" in (folder / "README.md").read_text()

    answer = adapter_lineage(archive, adapter.id)
    assert [(each.scan_sha256, each.decision) for each in answer.curation] == [
        (work.scan_sha256, work.decisions[0]) for work in sorted(works, key=lambda work: work.id)
    ]
    table = dict(words.adapter_tables(answer))["Curation by persons"]
    assert {(row["decided"], row["by"], row["why"]) for row in table} == {
        ("area", "Ada", "a frame"),
        ("leave out", "Li", "a copy"),
    }
    assert next(row for row in table if row["decided"] == "area")["in the scan's pixels"] == "1,2 to 300,400"

    write_manifest(archive.crops(PAINTER) / CURATED, [])  # what persons decide later did not make the adapter
    write_texts(folder, archive, adapter, rows)
    assert adapter_lineage(archive, adapter.id).curation == answer.curation
    assert [each.decision for each in artwork_lineage(archive, other.sha256).curation] == [out]


def test_a_withdrawn_work_is_struck_from_what_curation_saw(home: Home, tmp_path: Path) -> None:
    del home
    archive = Home(tmp_path / "archive")
    small_archive(archive, works=4)
    scans = read_manifest(archive.register(PAINTER) / MANIFEST, Scan)
    works = [CuratedScan(id=s.id, painter=PAINTER, scan_sha256=s.sha256, area=(0, 0, 9, 9)) for s in scans]
    write_manifest(archive.crops(PAINTER) / CURATED, works)
    text = HEAD + f"{scans[0].path},keep,,,,,,Ada,\n"
    (archive.scans(PAINTER) / "decisions.csv").write_text(text)
    withdraw_artwork(archive, scans[0].sha256, "the heirs asked")
    left = {work.id for work in read_manifest(archive.crops(PAINTER) / CURATED, CuratedScan)}
    assert left == {scan.id for scan in scans[1:]}
    assert (archive.scans(PAINTER) / "decisions.csv").read_text() == text  # a person's own table; nothing is read of it
    assert read_decisions(archive, PAINTER) == Decisions()

"""A withdrawn work leaves the register, and is known again in whatever file somebody brings it back."""

import datetime
import io
from collections.abc import Callable
from pathlib import Path

import made_scans
import pytest
from PIL import Image

from artmaster_pipeline import withdrawals
from artmaster_pipeline.curation import crop_scans
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.records import MANIFEST, QUARANTINE, Crop, Quarantined, Scan, read_manifest
from artmaster_pipeline.sample_painters import write_scans
from artmaster_pipeline.scans import add_scans, register_scans
from artmaster_pipeline.scans.recognition import Recogniser, fingerprint_of
from artmaster_pipeline.scans.withdrawn import is_behind, read_withdrawn
from artmaster_pipeline.settings import Home
from artmaster_pipeline.withdrawal import restore_artwork, tell_apart, withdraw_artwork

PAINTER = "p"
REASON = "The lender withdrew it"


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six works of a sample painter."""
    folder = tmp_path_factory.mktemp("painted")
    write_scans(folder, "ink", 6, seed=5)
    for file in folder.iterdir():
        if file.suffix not in {".jpg", ".png", ".tif"}:
            file.unlink()
    return folder


@pytest.fixture
def archive(home: Home, painted: Path) -> Home:
    """A painter with those six, registered."""
    add_scans(home, PAINTER, painted)
    register_scans(home, PAINTER)
    return home


def scans_of(home: Home) -> dict[str, Scan]:
    return {scan.path: scan for scan in read_manifest(home.register(PAINTER) / MANIFEST, Scan)}


def quarantined(home: Home) -> tuple[Quarantined, ...]:
    return read_manifest(home.register(PAINTER) / QUARANTINE, Quarantined)


def first(home: Home) -> Scan:
    return scans_of(home)[min(scans_of(home))]


def withdrawn(home: Home) -> tuple[Scan, bytes]:
    """Withdraw the first work; gives its record and the bytes that somebody still has."""
    scan = first(home)
    content = (home.scans(PAINTER) / scan.path).read_bytes()
    withdraw_artwork(home, scan.id, REASON)
    return scan, content


def resaved(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=40)
    return buffer.getvalue()


def halved(picture: Image.Image) -> bytes:
    return resaved(picture.resize((picture.width // 2, picture.height // 2)))


def cropped(
    picture: Image.Image, top: float = 0.1, bottom: float = 0.1, left: float = 0.1, right: float = 0.1
) -> bytes:
    width, height = picture.size
    box = (round(left * width), round(top * height), round(width * (1 - right)), round(height * (1 - bottom)))
    return resaved(picture.crop(box))


WAYS: dict[str, Callable[[bytes], bytes]] = {
    "same bytes": lambda content: content,
    "saved anew": lambda content: resaved(Image.open(io.BytesIO(content))),
    "half the size": lambda content: halved(Image.open(io.BytesIO(content))),
    "cut by a tenth all around": lambda content: cropped(Image.open(io.BytesIO(content))),
    "cut at one side": lambda content: cropped(Image.open(io.BytesIO(content)), 0.1, 0, 0, 0),
}


# The register


def test_it_is_listed_as_withdrawn_and_not_as_a_fault(archive: Home) -> None:
    scan, _ = withdrawn(archive)
    register_scans(archive, PAINTER)
    crop_scans(archive, PAINTER)
    assert scan.path not in scans_of(archive)
    assert len(scans_of(archive)) == 5
    assert quarantined(archive) == ()
    assert scan.sha256 not in {crop.scan_sha256 for crop in read_manifest(archive.crops(PAINTER) / MANIFEST, Crop)}
    (row,) = read_withdrawn(archive, PAINTER)
    assert (row.path, row.sha256, row.reason, row.rights_until) == (scan.path, scan.sha256, REASON, "")


def test_the_stage_finds_the_register_as_the_withdrawal_left_it(archive: Home) -> None:
    withdrawn(archive)
    before = {file.name: file.read_bytes() for file in archive.register(PAINTER).glob("*.jsonl")}
    outcome = register_scans(archive, PAINTER)
    assert {file.name: file.read_bytes() for file in archive.register(PAINTER).glob("*.jsonl")} == before
    assert outcome.made == 0


def test_a_table_that_still_describes_it_is_no_fault(archive: Home) -> None:
    scan = first(archive)
    (archive.scans(PAINTER) / "artworks.csv").write_text(f"file,title\n{scan.path},Mountain\n")
    withdrawn(archive)
    assert register_scans(archive, PAINTER).quarantined == ()


def test_a_home_without_withdrawals_has_no_file_of_them(archive: Home) -> None:
    assert sorted(file.name for file in archive.register(PAINTER).iterdir()) == [
        "manifest.jsonl", "quarantine.jsonl", "thumbnails",
    ]  # fmt: skip
    assert not is_behind(archive, PAINTER)


def test_when_all_works_are_withdrawn_the_stage_says_so(home: Home) -> None:
    made_scans.write(home.scans(PAINTER) / "only.png", 1)
    register_scans(home, PAINTER)
    withdraw_artwork(home, first(home).sha256, REASON)
    with pytest.raises(Exception, match="1 works are withdrawn"):
        register_scans(home, PAINTER)


# Brought back


@pytest.mark.parametrize("way", WAYS)
def test_a_withdrawn_work_that_is_added_again_is_refused(archive: Home, tmp_path: Path, way: str) -> None:
    _, content = withdrawn(archive)
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "new name.jpg").write_bytes(WAYS[way](content))
    made_scans.write(tmp_path / "again" / "another.png", 9)
    added = add_scans(archive, PAINTER, tmp_path / "again")
    assert added.added == ("another.png",)
    (refused,) = added.refused
    assert refused.path == "new name.jpg"
    assert REASON in refused.reason
    assert "artmaster restore" in refused.remedy
    assert not (archive.scans(PAINTER) / "new name.jpg").exists()


@pytest.mark.parametrize("way", WAYS)
def test_one_that_is_dropped_into_the_folder_is_not_used(archive: Home, way: str) -> None:
    scan, content = withdrawn(archive)
    (archive.scans(PAINTER) / "dropped.jpg").write_bytes(WAYS[way](content))
    said: list[str] = []

    class Told:
        def say(self, line: str) -> None:
            said.append(line)

    from artmaster_pipeline.progress import Progress

    for _ in range(2):  # the second time by what is remembered
        outcome = register_scans(archive, PAINTER, Progress(said.append))
        assert "dropped.jpg" not in {record.path for record in outcome.records}
        assert outcome.quarantined == ()
        row = next(row for row in read_withdrawn(archive, PAINTER) if row.path == "dropped.jpg")
        assert row.like == ("" if way == "same bytes" else scan.sha256)
    told = [line for line in said if "dropped.jpg is not used" in line]
    assert len(told) == 2
    assert "artmaster restore" in told[0]


def test_a_file_that_only_resembles_it_can_be_told_apart(archive: Home, tmp_path: Path) -> None:
    _, content = withdrawn(archive)
    (tmp_path / "again").mkdir()
    file = tmp_path / "again" / "a pendant.jpg"
    file.write_bytes(WAYS["saved anew"](content))
    (refused,) = add_scans(archive, PAINTER, tmp_path / "again").refused
    assert f"artmaster restore {sha256_of(file)} --other-work" in refused.remedy
    tell_apart(archive, sha256_of(file), "Its pendant, of another owner")
    assert add_scans(archive, PAINTER, tmp_path / "again").added == ("a pendant.jpg",)
    register_scans(archive, PAINTER)
    assert "a pendant.jpg" in scans_of(archive)


def test_after_a_restoration_it_comes_in_again(archive: Home, tmp_path: Path) -> None:
    scan, content = withdrawn(archive)
    restored = restore_artwork(archive, scan.sha256[:8].upper())
    assert restored.missing == (scan.sha256,)
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / scan.path).write_bytes(content)
    assert add_scans(archive, PAINTER, tmp_path / "again").added == (scan.path,)
    register_scans(archive, PAINTER)
    assert scans_of(archive)[scan.path].sha256 == scan.sha256
    assert read_withdrawn(archive, PAINTER) == ()
    assert not is_behind(archive, PAINTER)


def test_scans_that_show_the_same_picture_are_withdrawn_with_it(archive: Home, home: Home) -> None:
    scan = first(archive)
    content = (archive.scans(PAINTER) / scan.path).read_bytes()
    home.scans("q").mkdir()
    (home.scans("q") / "theirs.jpg").write_bytes(WAYS["saved anew"](content))
    register_scans(home, "q")
    report, _ = withdraw_artwork(archive, scan.sha256, REASON)
    why = {(each.painter, each.path): each.why for each in report.impact.scans}
    assert why == {
        (PAINTER, scan.path): "the one that was named",
        ("q", "theirs.jpg"): "it shows the same picture",
    }
    assert not (home.scans("q") / "theirs.jpg").exists()


@pytest.mark.slow
def test_real_paintings_are_known_again_and_not_confused(paintings: Path) -> None:
    """Every eighth painting as if it were withdrawn: it is known in each other form, and no other painting is it."""

    def thumbnail(content: bytes) -> bytes:
        with Image.open(io.BytesIO(content)) as picture:
            picture.draft("RGB", (1024, 1024))
            small = picture.convert("RGB")
        small.thumbnail((256, 256))
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=80)
        return buffer.getvalue()

    files = sorted(file for file in paintings.rglob("*") if file.suffix.lower() in {".jpg", ".jpeg"})[::8]
    small = {file.name: thumbnail(file.read_bytes()) for file in files}
    known = {name: fingerprint_of(picture) for name, picture in small.items()}
    for file in files:
        others = Recogniser({name: fingerprint for name, fingerprint in known.items() if name != file.name})
        assert others.like("new", small[file.name]) == "", file
    whole, missed = Recogniser(known), []
    for file in files:
        with Image.open(file) as picture:
            picture.draft("RGB", (1024, 1024))
            forms = [resaved(picture), halved(picture), cropped(picture), cropped(picture, 0.1, 0, 0, 0.1)]
        found = [whole.like("new", thumbnail(form)) for form in forms]
        missed += [(file.name, n) for n, each in enumerate(found) if each != file.name]
    assert len(missed) <= 0.01 * 4 * len(files), missed


# Rights that end


def dated(home: Home, text: str) -> None:
    (home.scans(PAINTER) / "artworks.csv").write_text(f"file,rights_until\n{first(home).path},{text}\n")


def on(monkeypatch: pytest.MonkeyPatch, *day: int) -> None:
    monkeypatch.setattr(withdrawals, "today", lambda: datetime.date(*day))


def test_on_the_day_a_work_leaves_the_register_and_its_file_stays(
    archive: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = first(archive)
    dated(archive, "2030-06-01")
    on(monkeypatch, 2030, 5, 31)
    register_scans(archive, PAINTER)
    assert scans_of(archive)[scan.path].rights_until == "2030-06-01"
    assert not is_behind(archive, PAINTER)
    on(monkeypatch, 2030, 6, 1)
    assert is_behind(archive, PAINTER)
    for _ in range(2):
        assert register_scans(archive, PAINTER).quarantined == ()
        assert scan.path not in scans_of(archive)
        (row,) = read_withdrawn(archive, PAINTER)
        assert (row.path, row.reason, row.rights_until) == (scan.path, "Its rights ended on 2030-06-01", "2030-06-01")
    assert not is_behind(archive, PAINTER)
    assert (archive.scans(PAINTER) / scan.path).is_file()
    (archive.scans(PAINTER) / "artworks.csv").write_text(f"file,rights_until\n{scan.path},2040-06-01\n")
    register_scans(archive, PAINTER)
    assert scan.path in scans_of(archive)
    assert read_withdrawn(archive, PAINTER) == ()


def test_another_scan_of_the_same_work_without_a_date_follows(archive: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = first(archive)
    content = (archive.scans(PAINTER) / scan.path).read_bytes()
    (archive.scans(PAINTER) / "zz cut.jpg").write_bytes(WAYS["cut by a tenth all around"](content))
    dated(archive, "2030-06-01")
    on(monkeypatch, 2031, 1, 1)
    register_scans(archive, PAINTER)
    assert {row.path for row in read_withdrawn(archive, PAINTER)} == {scan.path, "zz cut.jpg"}


@pytest.mark.parametrize("text", ["31.12.2030", "2030-13-01", "soon"])
def test_a_date_that_is_none_is_a_fault_of_its_row_and_the_work_waits(archive: Home, text: str) -> None:
    scan = first(archive)
    dated(archive, text)
    register_scans(archive, PAINTER)
    assert scan.path not in scans_of(archive)
    said = {row.path: row for row in quarantined(archive)}
    assert f"its rights_until {text!r} is no date" in said["artworks.csv"].reason
    assert "year-month-day" in said["artworks.csv"].remedy
    assert "how long it may be used" in said[scan.path].reason


def test_a_table_without_dates_leaves_the_register_s_bytes_as_they_were(archive: Home) -> None:
    assert "rights_until" not in (archive.register(PAINTER) / MANIFEST).read_text()

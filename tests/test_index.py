"""The index of lineage: the same answers as scanning, up to date after every change, and nothing lost without it."""

import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st
from small_archive import PAINTER, add_adapter, copied, evaluated

from artmaster_pipeline.errors import ArtMasterError, BadInput
from artmaster_pipeline.lineage import adapter_lineage, artwork_lineage, index, picture_lineage
from artmaster_pipeline.lineage.archive import Scanned
from artmaster_pipeline.publishing import publish_gallery
from artmaster_pipeline.records import MANIFEST, SNAPSHOT, Scan, TrainingImage, read_manifest, write_manifest
from artmaster_pipeline.settings import Home, load_profile


@pytest.fixture
def home(published_archive: Home, tmp_path: Path) -> Home:
    """A copy of a published archive."""
    return copied(published_archive, Home(tmp_path / "home"))


def scanned(question, home: Home, *args):
    """What scanning answers: the index is away."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "asked_of_index", lambda _home, _question, otherwise: otherwise())
        return told(question, home, *args)


def told(question, home: Home, *args):
    """An answer, or the error in its place."""
    try:
        return question(home, *args)
    except ArtMasterError as error:
        return type(error), str(error)


def names_of(home: Home) -> list[str]:
    """What somebody may ask for: every artwork by each of its names, parts of them, and what there is none of."""
    scans = read_manifest(home.register(PAINTER) / MANIFEST, Scan)
    names = [name for s in scans for name in (s.sha256, s.sha256[:8].upper(), s.accession_number, s.title, s.title[3:])]
    return [*names, "", "m", "mountain", "Mountain 99", "0" * 64, "%", "x' OR 1=1 --", "\x00"]


def same_everywhere(home: Home) -> None:
    """All questions have the same answers with and without the index."""
    for name in names_of(home):
        assert told(artwork_lineage, home, name) == scanned(artwork_lineage, home, name), name
    adapters = [file.parent.name for file in (home.root / "adapters").glob("*/*/adapter.json")]
    for name in (*adapters, "f" * 16, "", "../x"):
        assert told(adapter_lineage, home, name) == scanned(adapter_lineage, home, name), name


def test_every_question_is_answered_as_by_scanning(home: Home) -> None:
    same_everywhere(home)
    assert index.index_file(home).is_file()
    pictures = sorted((home.gallery(PAINTER) / "pictures").glob("*.png"))[:2]
    cells = sorted(home.evaluation(PAINTER).glob("*/samples/*.png"))[:4]
    for picture in (*pictures, *cells):
        assert told(picture_lineage, home, picture) == scanned(picture_lineage, home, picture)


def retrained(home: Home) -> None:
    """One more adapter, of fewer works, evaluated and published; the older one stays."""
    images = read_manifest(home.training_set(PAINTER) / MANIFEST, TrainingImage)
    rest = tuple(image for image in images if image.scan_sha256 != images[0].scan_sha256)
    add_adapter(home, read_manifest(home.register(PAINTER) / MANIFEST, Scan), rest, seed=1)
    evaluated(home, 2)
    publish_gallery(home, PAINTER, load_profile("miniature"))


def renamed_works(home: Home) -> None:
    manifest = home.register(PAINTER) / MANIFEST
    rows = read_manifest(manifest, Scan)
    write_manifest(manifest, [row.model_copy(update={"title": f"New {row.title}"}) for row in rows])


def fewer_works(home: Home) -> None:
    for folder, kind in ((home.register, Scan), (home.training_set, TrainingImage)):
        write_manifest(folder(PAINTER) / MANIFEST, read_manifest(folder(PAINTER) / MANIFEST, kind)[1:])


def no_adapters(home: Home) -> None:
    shutil.rmtree(home.root / "adapters")


def no_gallery(home: Home) -> None:
    shutil.rmtree(home.root / "gallery")


CHANGES = [retrained, renamed_works, fewer_works, no_adapters, no_gallery]


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_since_is_known_to_the_next_question(home: Home, change) -> None:
    same_everywhere(home)
    change(home)
    same_everywhere(home)


def test_only_what_changed_is_read_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    same_everywhere(home)
    read = []
    take_in = index._take_in
    monkeypatch.setattr(index, "_take_in", lambda *args: (read.append(args[2].path), take_in(*args))[1])
    artwork_lineage(home, "Mountain 0")
    assert read == []
    renamed_works(home)
    artwork_lineage(home, "Mountain 0")
    assert read == [f"register/{PAINTER}/manifest.jsonl"]
    file = home.register(PAINTER) / MANIFEST
    same = file.stat()
    text = file.read_text().replace("New", "Old")
    file.unlink()
    file.write_text(text)
    os.utime(file, ns=(same.st_atime_ns, same.st_mtime_ns + 1))  # as long as before
    artwork_lineage(home, "Old Mountain 0")


@given(data=st.data())
@rules(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_index_is_made_anew(published_archive: Home, tmp_path_factory: pytest.TempPathFactory, data) -> None:
    home = copied(published_archive, Home(tmp_path_factory.mktemp("damaged") / "home"))
    (scan, *_) = read_manifest(home.register(PAINTER) / MANIFEST, Scan)
    before = artwork_lineage(home, scan.sha256)
    file = index.index_file(home)
    content = bytearray(file.read_bytes())
    how = data.draw(st.sampled_from(["cut", "zeros", "text", "other tables", "folder"]))
    if how == "cut":
        file.write_bytes(content[: data.draw(st.integers(1, len(content) - 1))])
    elif how == "zeros":
        place = data.draw(st.integers(0, len(content) - 4096))
        content[place : place + 4096] = bytes(4096)
        file.write_bytes(content)
    elif how == "text":
        file.write_text("no database")
    elif how == "other tables":
        file.unlink()
        with sqlite3.connect(file) as other:
            other.execute("CREATE TABLE source(x)")
    else:
        file.unlink()
        file.mkdir()
    assert artwork_lineage(home, scan.sha256) == before
    assert artwork_lineage(home, scan.sha256) == before
    shutil.rmtree(home.root)


def test_a_row_that_was_changed_in_the_index_is_not_believed(home: Home) -> None:
    (scan, *_) = read_manifest(home.register(PAINTER) / MANIFEST, Scan)
    before = artwork_lineage(home, scan.sha256)
    file = index.index_file(home)
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE record SET json = replace(json, 'Mountain', 'Forged')")
    left = file.with_suffix(".left")
    left.write_text(f"{file.stat().st_size} {file.stat().st_mtime_ns} {file.stat().st_ino}")  # as a failing disk would
    assert artwork_lineage(home, scan.sha256) == before
    assert artwork_lineage(home, scan.sha256) == before


def test_a_home_that_may_only_be_read_is_scanned(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(Scanned, "scans_called", lambda self, name: asked.append(name) or [])
    shutil.rmtree(home.cache)
    home.cache.write_text("a file, so nothing can be written below it")
    with pytest.raises(ArtMasterError):
        artwork_lineage(home, "Mountain 0")
    assert asked == ["mountain 0"]


def test_what_cannot_be_read_is_told_as_scanning_tells_it(home: Home) -> None:
    artwork_lineage(home, "Mountain 0")
    (snapshot,) = (home.root / "adapters").glob(f"*/*/{SNAPSHOT}")
    text = snapshot.read_text()
    snapshot.write_text(text[:-9])
    with pytest.raises(BadInput, match=r"lineage\.json cannot be read"):
        artwork_lineage(home, "Mountain 0")
    snapshot.unlink()
    with pytest.raises(BadInput, match=r"lineage\.json is missing"):
        artwork_lineage(home, "Mountain 0")
    snapshot.write_text(text)
    same_everywhere(home)

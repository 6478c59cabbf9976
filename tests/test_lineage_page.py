"""The pages of `artmaster lineage` in a browser: each one file, readable, text from the archive shown as text."""

from pathlib import Path
from typing import Any

import pytest
from browsing import VIEWS, Visit, rules_broken
from forked import artmaster
from published_gallery import HOSTILE
from small_archive import PAINTER

from artmaster_pipeline.lineage import adapter_lineage
from artmaster_pipeline.records import MANIFEST, Adapter, Sample, read_manifest
from artmaster_pipeline.settings import Home

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, hostile_archive: Home) -> dict[str, Path]:
    """A page for each question, about an archive whose texts are hostile."""
    folder, home = tmp_path_factory.mktemp("pages"), hostile_archive
    (adapter,) = read_manifest(home.adapters(PAINTER) / MANIFEST, Adapter)
    picture = next(s for s in read_manifest(home.gallery(PAINTER) / MANIFEST, Sample) if s.enlarged_by)
    asked = {
        "adapter": adapter.id,
        "artwork": adapter.scan_sha256s[0],
        "picture": str(home.gallery(PAINTER) / picture.path),
    }
    for question, about in asked.items():
        artmaster("lineage", question, about, "--html", str(folder / f"{question}.html"), "--home", str(home.root))
    return {question: folder / f"{question}.html" for question in asked}


@pytest.fixture(scope="module")
def of_a_file(tmp_path_factory: pytest.TempPathFactory, trained: Any) -> Path:
    """The page about an adapter's file."""
    home, _, adapter = trained
    page = tmp_path_factory.mktemp("file") / "new" / "file.html"
    file = home.root / adapter.path / "adapter.safetensors"
    artmaster("lineage", "file", str(file), "--html", str(page), "--home", str(page.parent / "no-home"))
    return page


@pytest.mark.parametrize("question", ["adapter", "artwork", "picture"])
def test_a_page_is_whole_fits_its_window_breaks_no_rule_and_shows_titles_as_text(
    browser: Any, pages: dict[str, Path], question: str
) -> None:
    with Visit(browser, pages[question], VIEWS[0][0]) as visit:
        assert HOSTILE.strip() in visit.page.inner_text("body")
        assert visit.page.locator("script").count() == 0
        visit.load_all()
        for width, scheme in VIEWS:
            visit.looked_at(width, scheme)
            assert visit.wrong == []
            assert visit.files() == {pages[question]}
            assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width
            assert rules_broken(visit.page) == "", (width, scheme)


def test_a_page_of_a_file_alone_names_its_works(browser: Any, of_a_file: Path, trained: Any) -> None:
    with Visit(browser, of_a_file) as visit:
        assert visit.wrong == []
        text = visit.page.inner_text("main")
        assert rules_broken(visit.page) == ""
    assert all(sha256 in text for sha256 in trained[2].scan_sha256s)
    assert "Mountain" in text


def test_an_adapters_page_leads_from_every_scan_to_every_picture(
    browser: Any, pages: dict[str, Path], hostile_archive: Home
) -> None:
    (adapter,) = read_manifest(hostile_archive.adapters(PAINTER) / MANIFEST, Adapter)
    shown = read_manifest(hostile_archive.gallery(PAINTER) / MANIFEST, Sample)
    with Visit(browser, pages["adapter"]) as visit:
        visit.load_all()
        lanes = visit.page.locator(".lane").all()
        texts = [lane.inner_text() for lane in lanes]
        assert [len(lane.locator(".training img").all()) for lane in lanes] == [2, 2]
        assert [len(lane.locator(".edges path").all()) for lane in lanes] == [4, 4]
        pictures = visit.page.locator(".node").inner_text()
        whole = visit.page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert all(any(sha256 in text for text in texts) for sha256 in adapter.scan_sha256s)
    assert all(sample.id in pictures for sample in shown if adapter.id in sample.adapter_ids)
    assert whole


def test_a_folder_is_no_place_for_a_page(hostile_archive: Home, tmp_path: Path) -> None:
    (adapter,) = read_manifest(hostile_archive.adapters(PAINTER) / MANIFEST, Adapter)
    asked = ("lineage", "adapter", adapter.id, "--html", str(tmp_path), "--home", str(hostile_archive.root))
    done = artmaster(*asked, check=False)
    assert done.returncode == 2
    assert "is a folder" in done.stderr


def test_a_crop_is_drawn_where_it_lies_in_its_scan(browser: Any, trained: Any, tmp_path: Path) -> None:
    home, _, adapter = trained
    page = tmp_path / "page.html"
    artmaster("lineage", "adapter", adapter.id, "--html", str(page), "--home", str(home.root))
    answer = adapter_lineage(home, adapter.id)
    with Visit(browser, page) as visit:
        visit.load_all()
        assert visit.wrong == []
        rects = visit.page.locator(".crop rect").evaluate_all(
            "rects => rects.map(r => ['x', 'y', 'width', 'height'].map(name => Number(r.getAttribute(name))))"
        )
    boxes = [[crop.left, crop.top, crop.right - crop.left, crop.bottom - crop.top] for crop in answer.crops]
    assert sorted(rects) == sorted(boxes)
    assert len(boxes) == len(answer.training_images)

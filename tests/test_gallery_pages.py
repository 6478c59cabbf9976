"""The gallery's pages in a browser, opened from disk: whole, light, usable by keyboard, in each language and colour."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import published_gallery
import pytest
from browsing import VIEWS, Visit, rules_broken
from published_gallery import ARABIC, HEBREW
from small_archive import PAINTER

from artmaster_pipeline.settings import Home

pytestmark = pytest.mark.browser

PAGES = ("index.html", "index.zh.html", "about.html", "about.zh.html", "../index.html", "../index.zh.html")
A_MEGABYTE = 1_000_000
FIRST = "#pictures [data-open]"


@pytest.fixture(scope="module")
def published(chromium: str, published_archive: Home) -> Home:
    """A small archive after its gallery was published."""
    return published_archive


@pytest.fixture(scope="module")
def hostile(chromium: str, hostile_archive: Home) -> Home:
    """One whose texts try to be HTML, run from right to left and hold very long words."""
    return hostile_archive


@pytest.fixture(scope="module")
def large(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """One with pictures of the size that FLUX.1's have after enlarging."""
    with pytest.MonkeyPatch.context() as patch:
        yield published_gallery.large(Home(tmp_path_factory.mktemp("large") / "home"), patch)


# Whole and light


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_in_every_window_breaks_no_rule_of_accessibility_and_leads_somewhere(
    browser: Any, published: Home, name: str
) -> None:
    file = published.gallery(PAINTER) / name
    with Visit(browser, file) as visit:
        visit.load_all()
        for width, scheme in VIEWS:
            whole(visit.looked_at(width, scheme), width)
        for width, scheme in VIEWS:  # afterwards: axe-core asks for the page's files in ways that are refused
            assert rules_broken(visit.looked_at(width, scheme).page) == "", (width, scheme)
        for link in visit.page.evaluate("[...document.links].map(link => link.getAttribute('href'))"):
            if link.startswith("#"):
                assert visit.page.query_selector(link), link
            else:
                assert (file.parent / link).is_file(), link


@pytest.mark.parametrize("name", PAGES)
def test_hostile_text_does_nothing_and_is_neither_cut_off_nor_laid_over_other_text(
    browser: Any, hostile: Home, name: str
) -> None:
    with Visit(browser, hostile.gallery(PAINTER) / name) as visit:
        visit.load_all()
        for width, scheme in VIEWS:
            whole(visit.looked_at(width, scheme), width)
            beyond = visit.page.evaluate(
                """() => [...document.querySelectorAll("h1, h2, h3, p, a, dd, dt, li, th, td, figcaption, pre")]
                  .filter((e) => e.getClientRects().length && !e.closest(".cells, .skip, .track"))
                  .filter((e) => e.getBoundingClientRect().right > innerWidth + 1 || e.scrollWidth > e.clientWidth + 1
                    && getComputedStyle(e).display !== "inline")
                  .map((e) => e.className + e.textContent.slice(0, 40))"""
            )
            assert beyond == [], width


def whole(visit: Visit, width: int) -> None:
    """Nothing went wrong on the page, all of its pictures are there, and it is no wider than its window."""
    assert visit.wrong == []
    assert visit.page.evaluate("[...document.images].every(i => !i.getAttribute('src') || i.naturalWidth > 0)")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visit.page.evaluate("[...document.querySelectorAll('*')].every(e => !e.getAttribute('onload'))")
    assert all(file.is_file() for file in visit.files())
    assert visit.page.title()


def test_text_from_right_to_left_keeps_its_direction(browser: Any, published: Home, hostile: Home) -> None:
    with Visit(browser, hostile.gallery(PAINTER) / "index.html") as visit:
        directions = visit.page.evaluate(
            """(texts) => texts.map((text) => {
              const heading = document.querySelector("h1");
              heading.textContent = text;
              return getComputedStyle(heading).direction;
            })""",
            [ARABIC, HEBREW, "Mist", "云山"],
        )
    assert directions == ["rtl", "rtl", "ltr", "ltr"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "density", "names"), [(390, 3, PAGES[::2]), (1440, 2, PAGES[1::2]), (2560, 2, PAGES)]
)  # the pages of the two languages hold the same pictures; a screen of single density is given smaller ones
def test_the_first_view_is_below_a_megabyte(
    browser: Any, large: Home, width: int, density: int, names: tuple[str, ...]
) -> None:
    for name in names:
        file = large.gallery(PAINTER) / name
        with Visit(browser, file, width, until="networkidle", device_scale_factor=density) as visit:
            assert sum(file.stat().st_size for file in visit.files()) < A_MEGABYTE, name
            assert not any(file.name.startswith("openseadragon") for file in visit.files())
            assert visit.page.evaluate("document.documentElement.scrollWidth") <= width, name
            assert visit.wrong == []


def test_a_browser_without_webp_is_given_jpegs(browser: Any, published: Home) -> None:
    with Visit(browser, published.gallery(PAINTER) / "index.html") as visit:
        shown = visit.page.evaluate("[...document.querySelectorAll('picture')].map(p => p.lastElementChild.src)")
    site = published.gallery(PAINTER)
    jpegs = [Path(unquote(urlsplit(url).path)) for url in shown]
    assert jpegs
    assert all(file.suffix == ".jpg" and file.is_relative_to(site) and file.is_file() for file in jpegs)


def test_without_scripts_everything_can_still_be_read_and_reached(browser: Any, published: Home) -> None:
    with Visit(browser, published.gallery(PAINTER) / "index.html", java_script_enabled=False) as visit:
        assert visit.page.locator(".slider input:visible, [data-theme-switch]:visible, dialog:visible").count() == 0
        sides = visit.page.locator("#enlargement .slider img:visible")
        assert sides.count() == 2 * visit.page.locator("#enlargement .slider").count() > 0
        visit.page.click('a[hreflang="zh-Hans"]')
        assert visit.page.url.endswith("index.zh.html")


# The viewer


def test_the_viewer_opens_turns_and_closes_by_keyboard(browser: Any, published: Home) -> None:
    with Visit(browser, published.gallery(PAINTER) / "index.html", until="networkidle") as visit:
        page = visit.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.focus(FIRST)
        page.keyboard.press("Enter")
        page.wait_for_selector("#viewer .layers button[aria-pressed=true]")
        assert page.inner_text(".place") == "1 of 4"
        first = page.inner_text("#viewer-caption")
        page.keyboard.press("ArrowRight")
        assert page.inner_text(".place") == "2 of 4"
        assert page.inner_text("#viewer-caption") != first
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        assert page.inner_text(".place") == "4 of 4"
        page.keyboard.press("Escape")
        assert not page.evaluate("document.getElementById('viewer').open")
        assert page.evaluate(f"document.activeElement === document.querySelector('{FIRST}')")
        assert visit.wrong == []


_PAINTED = """() => {
  const canvas = document.querySelector("#viewer canvas");
  if (!canvas || !canvas.width) return false;
  const viewer = window.OpenSeadragon.getViewer(document.querySelector("#viewer .stage"));
  return viewer.world.getItemCount() > 0 && viewer.world.getItemAt(0).getFullyLoaded();
}"""


def test_the_viewer_shows_the_picture_from_disk_and_zooms_by_keyboard(browser: Any, published: Home) -> None:
    with Visit(browser, published.gallery(PAINTER) / "index.html") as visit:
        page = visit.page
        page.click(FIRST)
        page.wait_for_function(_PAINTED)
        wall = page.evaluate("getComputedStyle(document.querySelector('.stage')).backgroundColor")
        assert distinct_colours(page.locator("#viewer .stage").screenshot()) > 100, wall
        page.focus("#viewer .openseadragon-canvas")
        page.wait_for_function(f"({_AT_HOME})")
        before = zoom_of(page)
        page.keyboard.press("+")
        page.keyboard.press("+")
        page.wait_for_function(f"({_ZOOM}) > 1.01 * {before}")
        for _ in range(20):  # a key that was pressed moves the picture for some frames, on a busy machine for long
            page.keyboard.press("0")
            page.wait_for_timeout(500)
            if page.evaluate(_AT_HOME):
                break
        assert zoom_of(page) == pytest.approx(before, abs=0.001)
        assert visit.wrong == []


def test_the_viewer_keeps_its_place_when_another_layer_is_chosen(browser: Any, published: Home) -> None:
    with Visit(browser, published.gallery(PAINTER) / "index.html") as visit:
        page = visit.page
        page.click("#comparison [data-open='2']")
        page.wait_for_function(_PAINTED)
        layers = page.locator("#viewer .layers button")
        assert layers.all_inner_texts() == ["Original", "Base model", "With the adapter"]
        assert layers.nth(2).get_attribute("aria-pressed") == "true"
        page.click("[data-do='zoom-in']")
        place = zoom_of(page)
        shown = page.locator("#viewer .stage").screenshot()
        layers.nth(0).click()
        page.wait_for_function(f"{_VIEWER}.world.getItemCount() === 2 && {_VIEWER}.world.getItemAt(1).getFullyLoaded()")
        page.wait_for_function(f"{_VIEWER}.world.getItemAt(0).opacity === 0")
        page.wait_for_timeout(100)  # one frame, to be drawn
        assert "Original" in page.inner_text("#viewer-caption")
        assert zoom_of(page) == place
        assert page.locator("#viewer .stage").screenshot() != shown
        assert visit.wrong == []


@pytest.mark.slow
def test_a_large_picture_is_loaded_by_tiles(browser: Any, large: Home) -> None:
    with Visit(browser, large.gallery(PAINTER) / "index.html", until="networkidle") as visit:
        page = visit.page
        page.click(f"#pictures figure:nth-child(3) {FIRST.rsplit(maxsplit=1)[-1]}")
        page.wait_for_function(_PAINTED)
        for _ in range(6):
            page.click("[data-do='zoom-in']")
        page.wait_for_function(_PAINTED)
        tiles = {file for file in visit.files() if "tiles" in file.parts}
        assert {file.parent.name for file in tiles} >= {"13"}  # the level of the picture's own pixels
        assert not any(file.suffix == ".png" for file in visit.files())
        assert visit.wrong == []


def test_where_the_viewer_cannot_be_loaded_the_picture_is_shown_plainly(
    browser: Any, published: Home, tmp_path: Path
) -> None:
    import shutil

    site = shutil.copytree(published.gallery(PAINTER), tmp_path / "site")
    shutil.rmtree(site / "vendor")
    with Visit(browser, site / "index.html") as visit:
        visit.page.click(FIRST)
        visit.page.wait_for_selector("#viewer .stage > img")
        visit.page.wait_for_function("document.querySelector('#viewer .stage > img').naturalWidth > 0")


_VIEWER = "window.OpenSeadragon.getViewer(document.querySelector('#viewer .stage'))"
_ZOOM = f"{_VIEWER}.viewport.getZoom()"
_AT_HOME = f"Math.abs({_VIEWER}.viewport.getZoom(true) - {_VIEWER}.viewport.getHomeZoom()) < 0.001"


def zoom_of(page: Any) -> float:
    return float(page.evaluate(_ZOOM))


def distinct_colours(png: bytes) -> int:
    import io

    from PIL import Image

    with Image.open(io.BytesIO(png)) as shot:
        return len(shot.convert("RGB").getcolors(1 << 24) or ())


# The sliders, the colours


def test_the_line_over_an_enlargement_moves_by_keyboard_and_says_where_it_is(browser: Any, published: Home) -> None:
    with Visit(browser, published.gallery(PAINTER) / "index.html") as visit:
        page = visit.page
        slider = page.locator("#enlargement .slider").first
        line = slider.get_by_role("slider")
        line.focus()
        seen = []
        for key in ("Home", "End", "ArrowLeft"):
            page.keyboard.press(key)
            width = slider.evaluate(
                "e => { const at = getComputedStyle(e.querySelector('.before')).clipPath; return at; }"
            )
            seen.append((slider.evaluate("e => e.style.getPropertyValue('--at')"), width, line.input_value()))
        assert [at for at, _, _ in seen] == ["0%", "100%", "99%"]
        assert len({clip for _, clip, _ in seen}) == 3
        assert "99 %" in line.get_attribute("aria-valuetext")
        assert visit.wrong == []


def test_the_choice_of_dark_or_light_is_kept_and_otherwise_the_system_s(browser: Any, published: Home) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    with Visit(browser, published.gallery(PAINTER) / "index.html", scheme="dark", until="networkidle") as visit:
        page = visit.page
        switch = page.locator("[data-theme-switch]")
        dark = page.evaluate(paper)
        assert switch.get_attribute("aria-pressed") == "true"
        switch.click()
        assert page.evaluate(paper) != dark
        page.goto((published.gallery(PAINTER) / "about.html").as_uri())
        assert page.evaluate(paper) != dark
        assert page.locator("[data-theme-switch]").get_attribute("aria-pressed") == "false"
        assert visit.wrong == []


def test_a_dark_page_is_printed_on_light_paper(browser: Any, published: Home) -> None:
    with Visit(browser, published.gallery(PAINTER) / "index.html", scheme="dark") as visit:
        visit.page.emulate_media(media="print", color_scheme="dark")
        assert visit.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert visit.page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        assert visit.page.locator("nav:visible, dialog:visible, .bar:visible").count() == 0


def test_where_storage_is_refused_the_switch_still_works(browser: Any, published: Home) -> None:
    with Visit(browser, published.gallery(PAINTER) / "index.html", until="networkidle") as visit:
        page = visit.page
        page.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('refused'); } })")
        page.reload()
        page.click("[data-theme-switch]")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert visit.wrong == []


# For everyone: axe-core's rules


def test_the_open_viewer_breaks_no_rule_of_accessibility(browser: Any, published: Home) -> None:
    with Visit(browser, published.gallery(PAINTER) / "index.zh.html") as visit:
        visit.page.click(FIRST)
        visit.page.wait_for_function(_PAINTED)
        for scheme in ("light", "dark"):
            assert rules_broken(visit.looked_at(1440, scheme).page) == "", scheme

"""The report in a browser: whole, readable for everyone, and text from the archive shown as text."""

from pathlib import Path
from typing import Any

import pytest
from browsing import VIEWS, Visit, rules_broken
from small_archive import PAINTER, quick_drawing, small_archive, small_profile

from artmaster_pipeline.evaluation import current_verdict, evaluate_adapter
from artmaster_pipeline.settings import Home

pytestmark = pytest.mark.browser
HOSTILE = """<img src=x onerror=alert(1)> '" {{ 7*7 }} \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report on an adapter whose works have hostile titles."""
    home = Home(tmp_path_factory.mktemp("report") / "home")
    with pytest.MonkeyPatch.context() as patch:
        quick_drawing(patch)
        small_archive(home, works=6, held_out=3, title=HOSTILE)
        evaluate_adapter(home, PAINTER, small_profile(strengths=(0.5,)))
    return current_verdict(home, PAINTER)[1]


def test_the_report_is_whole_fits_its_window_breaks_no_rule_and_shows_titles_as_text(
    browser: Any, report: Path
) -> None:
    with Visit(browser, report, VIEWS[0][0]) as visit:
        visit.load_all()
        assert visit.page.get_by_text(HOSTILE).count() > 0
        for width, scheme in VIEWS:
            visit.looked_at(width, scheme)
            assert visit.wrong == []
            assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width
            assert {file.parent.parent for file in visit.files()} >= {report.parent.parent}
            assert all(file.is_relative_to(report.parent) for file in visit.files())
            assert rules_broken(visit.page) == "", (width, scheme)


def test_the_samples_most_and_least_like_the_works_are_shown(browser: Any, report: Path) -> None:
    with Visit(browser, report) as visit:
        shown = visit.page.locator("ul.samples").all()
        pictures = [
            rows.locator("img").evaluate_all("images => images.map(i => i.getAttribute('src'))") for rows in shown
        ]
    assert len(pictures) == 2
    assert not set(pictures[0]) & set(pictures[1])
    assert all((report.parent / name).is_file() for names in pictures for name in names)

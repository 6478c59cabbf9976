"""The review: what a person decides on its page stands in decisions.csv, and nobody else can decide anything."""

import csv
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import made_scans
import numpy as np
import pytest
from browsing import Visit, rules_broken
from sharing import linked_copy
from typer.testing import CliRunner

from artmaster_pipeline.cli import app
from artmaster_pipeline.curation.area.turning import turned
from artmaster_pipeline.curation.review import read_decisions, save_decisions
from artmaster_pipeline.curation.review.pictures import picture
from artmaster_pipeline.curation.review.server import LOCALHOST, Review
from artmaster_pipeline.curation.review.works import works_of
from artmaster_pipeline.records import (
    CURATED,
    MANIFEST,
    QUARANTINE,
    Crop,
    CuratedScan,
    Decision,
    Flag,
    Mask,
    Quarantined,
    Scan,
    write_manifest,
)
from artmaster_pipeline.scans import register_scans
from artmaster_pipeline.settings import Home

PAINTER = "x"
HOSTILE = "<img src=x onerror=alert(1)>"
AREA = (20, 30, 580, 880)


def curated(scan: Scan, **said: Any) -> CuratedScan:
    return CuratedScan(id=scan.id, painter=PAINTER, scan_sha256=scan.sha256, area=AREA, **said)


def crop(scan: Scan, n: int, box: tuple[int, int, int, int], size: tuple[int, int]) -> Crop:
    left, top, right, bottom = box
    return Crop(
        id=f"{scan.id[:14]}{n:02}", painter=PAINTER, scan_id=scan.id, scan_sha256=scan.sha256, path="", sha256="",
        mask_path="", width=size[0], height=size[1], left=left, top=top, right=right, bottom=bottom, source_scale=1.0,
        subject_share=0.5,
    )  # fmt: skip


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Three scans of 600 x 900 pixels as curation left them: a.png flagged, c.png as the lesser scan of a.png."""
    home = Home(tmp_path_factory.mktemp("review"))
    for seed, name in enumerate(("a.png", "b.png", "c.png")):
        made_scans.write(home.scans(PAINTER) / name, seed, 600, 900)
    (home.scans(PAINTER) / "artworks.csv").write_text(f"file,title\nb.png,{HOSTILE}\n")
    a, b, c = sorted(register_scans(home, PAINTER).records, key=lambda scan: scan.path)
    seal = Mask(kind="seal", outline=((500, 800), (540, 800), (540, 840), (500, 840)))
    flag = Flag(kind="border", score=0.7, reason=f"Its border is doubtful {HOSTILE}")
    works = [curated(a, masks=(seal,), flags=(flag,), skew=1.5), curated(b), curated(c, duplicate_of=a.sha256)]
    write_manifest(home.crops(PAINTER) / CURATED, works)
    crops = [crop(scan, 1, (50, 100, 550, 600), (512, 512)) for scan in (a, b)]
    write_manifest(home.crops(PAINTER) / MANIFEST, [*crops, crop(a, 2, (60, 40, 560, 790), (512, 768))])
    reason = {"reason": "A better scan of the same artwork is used: a.png", "remedy": "Nothing to do"}
    row = Quarantined(id=c.id, painter=PAINTER, path=c.path, sha256=c.sha256, **reason)
    write_manifest(home.crops(PAINTER) / QUARANTINE, [row])
    return home


@pytest.fixture
def home(first: Home, tmp_path: Path) -> Home:
    return Home(linked_copy(first.root, tmp_path / "home"))


def saved(home: Home) -> list[dict[str, str]]:
    with (home.scans(PAINTER) / "decisions.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_list_begins_with_what_is_flagged(home: Home) -> None:
    save_decisions(home, PAINTER, [("b.png", Decision(what="leave out", why="a copy", who="Ada"))])
    said = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["review", PAINTER, "--list", "--home", str(home.root)]).output
    assert said.index("a.png") < said.index("b.png") < said.index("c.png")
    assert "border 0.70: Its border is doubtful" in said
    assert "leave out (Ada)" in said
    assert "Without crops: A better scan of the same artwork is used: a.png." in said
    assert "1 of 3 works are flagged" in said


def test_without_curation_the_way_to_it_is_said(home: Home) -> None:
    (home.crops(PAINTER) / CURATED).unlink()
    result = CliRunner().invoke(app, ["review", PAINTER, "--list", "--home", str(home.root)])
    assert "artmaster run x --until curated_crops" in str(result.exception)


def test_a_picture_is_turned_upright_once(home: Home) -> None:
    import pyvips

    work, straight, _ = works_of(home, PAINTER)
    upright, plain = picture(home, work), picture(home, straight)
    assert upright.read_bytes() != plain.read_bytes()
    for file in (upright, plain):
        image = pyvips.Image.new_from_file(str(file))
        assert (image.width, image.height) == (600, 900)
    before = upright.stat().st_mtime_ns
    assert picture(home, work).stat().st_mtime_ns == before

    sheet = pyvips.Image.black(200, 300).draw_rect(255, 140, 40, 20, 20, fill=True)  # up and right of the middle
    rows, columns = np.nonzero(turned(sheet, 5.0).numpy() > 128)
    assert (columns.mean(), rows.mean()) == pytest.approx((158.0, 54.2), abs=0.3)  # goes down and right, clockwise


def test_only_the_page_of_this_person_is_answered(home: Home) -> None:
    from starlette.testclient import TestClient

    review = Review(home, PAINTER, 3080, "Ada")
    origin = f"http://{LOCALHOST}:3080"
    client = TestClient(review.app(), base_url=origin)
    start, scan = f"/{review.token}/", works_of(home, PAINTER)[0].scan.id
    ours = {"Origin": origin}
    change = {"scan": scan, "who": "Ada", "new": [{"what": "keep"}]}

    page = client.get(start)
    assert page.status_code == 200
    assert HOSTILE not in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert client.get(f"{start}review.js").headers["content-type"].startswith("text/javascript")
    assert client.get(f"{start}thumbnails/{scan}.jpg").headers["content-type"] == "image/jpeg"

    refusals = {
        "no token": client.get("/wrong/").status_code,
        "another host": client.get(start, headers={"Host": "evil.example:3080"}).status_code,
        "another page asks": client.get(start, headers={"Origin": "http://evil.example"}).status_code,
        "a file of the package": client.get(f"{start}server.py").status_code,
        "a way out": client.get(f"{start}thumbnails/..%2F..%2Fmanifest.jpg").status_code,
        "another page decides": client.post(f"{start}decisions", json=change, headers={"Origin": "null"}).status_code,
        "nobody says who asks": client.post(f"{start}decisions", json=change).status_code,
        "a form": client.post(f"{start}decisions", data={"scan": scan}, headers=ours).status_code,
        "too long": client.post(f"{start}decisions", json={**change, "who": "x" * 70_000}, headers=ours).status_code,
        "no decision": client.post(
            f"{start}decisions", json={**change, "new": [{"what": "x"}]}, headers=ours
        ).status_code,
        "another field": client.post(f"{start}decisions", json={**change, "file": "../x"}, headers=ours).status_code,
        "no such work": client.post(f"{start}decisions", json={**change, "scan": "0" * 16}, headers=ours).status_code,
        "out of the scan": client.post(
            f"{start}decisions", json={**change, "new": [{"what": "area", "box": [0, 0, 9999, 100]}]}, headers=ours
        ).status_code,
    }
    assert refusals == {
        "no token": 404, "another host": 403, "another page asks": 403, "a file of the package": 404,
        "a way out": 404, "another page decides": 403, "nobody says who asks": 403, "a form": 415, "too long": 413,
        "no decision": 422, "another field": 422, "no such work": 409, "out of the scan": 422,
    }  # fmt: skip
    assert not (home.scans(PAINTER) / "decisions.csv").exists()
    answer = client.post(f"{start}decisions", json=change, headers=ours)
    assert answer.json()["decisions"][0]["what"] == "keep"
    assert [row["who"] for row in saved(home)] == ["Ada"]


@pytest.fixture
def address(home: Home) -> Iterator[str]:
    """The review of the home, served as the command serves it."""
    import uvicorn

    with socket.socket() as listening:
        listening.bind((LOCALHOST, 0))
        listening.listen()
        review = Review(home, PAINTER, listening.getsockname()[1], "Ada")
        server = uvicorn.Server(uvicorn.Config(review.app(), log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://{LOCALHOST}:{listening.getsockname()[1]}/{review.token}/"
        server.should_exit = True
        thread.join()


def visit(browser: Any, address: str, **options: Any) -> Visit:
    return Visit(browser, address, 1280, until="networkidle", **options)


class Curator:
    """A person at the page, who waits for nothing but what it says."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def says(self, text: str) -> None:
        self.page.locator("#said", has_text=text).wait_for()

    def at(self, across: float, down: float) -> tuple[float, float]:
        """Where on the screen a pixel of the scan (600 x 900) is."""
        box = self.page.locator("#sheet").bounding_box()
        return box["x"] + across / 600 * box["width"], box["y"] + down / 900 * box["height"]

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.page.mouse.move(*self.at(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.at(*end), steps=4)
        self.page.mouse.up()


def near(row: dict[str, str], box: tuple[int, int, int, int]) -> bool:
    """Whether a row has that box, within what a pixel of the screen is in the scan."""
    return all(
        abs(int(row[side]) - value) <= 3 for side, value in zip(("left", "top", "right", "bottom"), box, strict=True)
    )


@pytest.mark.browser
def test_a_curator_corrects_a_border_leaves_a_work_out_and_marks_a_seal(home: Home, browser: Any, address: str) -> None:
    with visit(browser, address) as visited:
        page, curator = visited.page, Curator(visited.page)
        curator.drag((580, 455), (540, 455))  # the right border, by its handle
        curator.says("Saved: Painting area")
        page.get_by_role("button", name="Seal", exact=True).click()
        curator.drag((100, 700), (160, 760))
        curator.says("Saved: Seal")
        page.get_by_role("button", name="Remove: Seal 1 (found)").click()
        curator.says("Removed: Seal 1 (found)")
        page.get_by_role("button", name="Square crop").click()
        curator.drag((100, 300), (300, 480))
        curator.says("Saved: Crop 512×512")
        page.get_by_role("button", name="Next").click()
        assert page.locator("#name").text_content() == HOSTILE
        page.locator("#why").fill("=a copy")
        page.get_by_role("button", name="Leave out", exact=True).click()
        curator.says("Saved: Leave out")
        assert "artmaster run x" in page.locator("#use").inner_text()
        assert not visited.wrong
    rows = saved(home)
    assert [row["what"] for row in rows] == ["area", "seal", "clear", "crop", "crop", "leave out"]
    assert near(rows[0], (20, 30, 540, 880))
    assert near(rows[1], (100, 700, 160, 760))
    assert near(rows[2], (500, 800, 540, 840))
    assert near(rows[3], (50, 100, 550, 600))  # the crop that was there stays: what is seen is what is used
    assert near(rows[4], (100, 300, 300, 500))
    assert rows[5]["why"] == "'=a copy"
    assert {row["who"] for row in rows} == {"Ada"}
    assert not read_decisions(home, PAINTER).faults


@pytest.mark.browser
def test_all_of_it_can_be_done_by_keyboard_and_taken_back(home: Home, browser: Any, address: str) -> None:
    with visit(browser, address) as visited:
        page, curator = visited.page, Curator(visited.page)
        page.locator("#stage").focus()
        page.keyboard.press("Shift+ArrowLeft")
        page.keyboard.press("Alt+ArrowDown")
        page.keyboard.press("Enter")
        curator.says("Saved: Painting area")
        page.get_by_role("button", name="Seal", exact=True).focus()
        page.keyboard.press("Enter")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        curator.says("Saved: Seal")
        page.keyboard.press("Delete")
        curator.says("Removed: Seal 2 (drawn)")
        page.get_by_role("button", name="Keep", exact=True).focus()
        page.keyboard.press("Enter")
        curator.says("Saved: Keep")
        assert [(row["what"], row["right"], row["top"]) for row in saved(home)] == [
            ("area", "571", "31"),
            ("keep", "", ""),
        ]
        page.get_by_role("button", name="Undo").focus()
        for said in ("Keep", "Undo", "Seal", "Painting area"):
            page.keyboard.press("Enter")
            curator.says(f"Taken back: {said}")
        assert not saved(home)
        assert not visited.wrong


@pytest.mark.browser
def test_the_page_can_be_used_by_all(home: Home, browser: Any, address: str) -> None:
    save_decisions(home, PAINTER, [("a.png", Decision(what="damage", box=(50, 50, 90, 90), why="torn", who="Li"))])
    with visit(browser, address) as visited:
        page = visited.page
        for width, scheme in ((1280, "light"), (390, "dark")):
            visited.looked_at(width, scheme)
            for _ in range(2):
                page.locator("#language").click()
                assert not rules_broken(page)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.locator("#language").click()
        page.reload(wait_until="networkidle")
        assert page.locator("html").get_attribute("lang") == "zh-Hans"
        assert page.get_by_role("button", name="印章", exact=True).is_visible()
        assert not visited.wrong


@pytest.mark.browser
def test_a_finger_draws_and_does_not_scroll(home: Home, browser: Any, address: str) -> None:
    with visit(browser, address, has_touch=True) as visited:
        curator, hand = Curator(visited.page), visited.context.new_cdp_session(visited.page)

        def touch(kind: str, *at: float) -> None:
            points = [{"x": at[0], "y": at[1]}] if at else []
            hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        touch("touchStart", *curator.at(580, 455))
        for across in range(575, 535, -5):
            touch("touchMove", *curator.at(across, 455))
        touch("touchEnd")
        curator.says("Saved: Painting area")
    (row,) = saved(home)
    assert near(row, (20, 30, 540, 880))


@pytest.mark.browser
def test_a_copy_to_read_opens_from_disk(home: Home, browser: Any, tmp_path: Path) -> None:
    out = tmp_path / "page"
    assert CliRunner().invoke(app, ["review", PAINTER, "--out", str(out), "--home", str(home.root)]).exit_code == 0
    with Visit(browser, out / "index.html", 1280, until="networkidle") as visited:
        assert "This is a copy to read" in visited.page.locator("#open").inner_text()
        assert visited.page.locator("#keep").count() == 0
        assert visited.page.evaluate("document.getElementById('image').naturalWidth") == 600
        assert all(file.is_relative_to(out) for file in visited.files())
        assert not visited.wrong

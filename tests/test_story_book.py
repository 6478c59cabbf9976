"""A painted story as a book: both languages side by side, from disk, printed, whatever its text tries."""

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from browsing import VIEWS, Visit, rules_broken
from hypothesis import given
from hypothesis import strategies as st
from published_gallery import ARABIC, HOSTILE
from small_archive import PAINTER

from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.gallery.enlarging import Picture
from artmaster_pipeline.gallery.provenance import read_provenance
from artmaster_pipeline.records import MANIFEST, Adapter, Sample, read_manifest
from artmaster_pipeline.settings import Home, load_painter
from artmaster_pipeline.stories.book import Book, book_contents, book_of, proof_book
from artmaster_pipeline.stories.book.colophon import rows_of
from artmaster_pipeline.stories.book.contents import Round, Told
from artmaster_pipeline.stories.book.fonts import font_faces, without_type
from artmaster_pipeline.stories.book.lines import lines_of
from artmaster_pipeline.stories.book.pages import WORDS
from artmaster_pipeline.stories.records import (
    Authorship,
    Character,
    Era,
    Motif,
    Shot,
    Story,
    StyleContract,
    Wish,
    Words,
)

TOLD = {"shot-2": Told(4, "It was the nearest.", (Round(1, ("The geese are not there.",)), Round(2, (), True)))}


def a_story(**changed: Any) -> Story:
    """Four shots in two eras, in both languages."""
    lines = (
        ("He leaves before the geese do.", "雁未起，人已行。"),
        ("“As far as the rain.”", "“雨到哪里，就有几里。”"),
    )
    shots = [
        Shot(
            id=f"shot-{number}",
            era="northern-song" if number < 3 else "today",
            plot=Words(en="A traveller sets out.", zh="行旅者启程。"),
            setting="layered mountains",
            perspective="high",
            onstage=("traveller",),
            motifs=("skyscraper",) if number > 2 else (),
            static_description="mist",
            narration=Words(en=lines[number % 2][0], zh=lines[number % 2][1]),
            seed=number,
        )
        for number in range(1, 5)
    ]
    plain: dict[str, Any] = {
        "name": "mountain-and-water",
        "title": Words(en="A City as Mountain and Water", zh="山水之城"),
        "language": "en",
        "wish": Wish(text="a modern city as mountain and water", painter=PAINTER),
        "eras": (
            Era(id="northern-song", name=Words(en="the Northern Song", zh="北宋"), years="960-1127"),
            Era(id="today", name=Words(en="today", zh="今天")),
        ),
        "style_contract": StyleContract(painter=PAINTER, medium="ink", palette=("grey ink",)),
        "characters": (
            Character(id="traveller", name=Words(en="The traveller", zh="行旅者"), canonical_visual="a traveller"),
        ),
        "motifs": (
            Motif(
                id="skyscraper",
                modern_thing=Words(en="skyscraper", zh="摩天楼"),
                traditional_rendering="layered mountains",
            ),
        ),
        "shots": tuple(shots),
        "authorship": Authorship(author="template"),
    }
    return Story.model_validate(plain | changed)


def everywhere(story: Story, text: str) -> Story:
    """The story with that text wherever an author or a person writes one."""
    words = Words(en=text[:600], zh=text[:600])
    shots = tuple(shot.model_copy(update={"narration": words, "plot": words}) for shot in story.shots)
    eras = tuple(era.model_copy(update={"name": words, "years": text[:200]}) for era in story.eras)
    who = tuple(each.model_copy(update={"name": words, "canonical_visual": text[:200]}) for each in story.characters)
    things = tuple(
        each.model_copy(update={"modern_thing": words, "traditional_rendering": text[:200]}) for each in story.motifs
    )
    by = Authorship(author=text, model=text, endpoint=text, repairs=(text[:600],), weights_sha256="0" * 64)
    wish = story.wish.model_copy(update={"text": text})
    changed = {"title": words, "shots": shots, "eras": eras, "characters": who, "motifs": things}
    return story.model_copy(update=changed | {"authorship": by, "wish": wish})


def bound(home: Home, story: Story, told: Mapping[str, Told] = TOLD, *, proof: bool = False) -> Book:
    """The book of that story with the pictures of a published gallery."""
    (adapter,) = read_manifest(home.adapters(PAINTER) / MANIFEST, Adapter)
    rows = [row for row in read_manifest(home.gallery(PAINTER) / MANIFEST, Sample) if row.is_large]
    pictures = [
        Picture(row.model_copy(update={"story": story.name, "shot": shot.id}), home.gallery(PAINTER) / row.path)
        for row, shot in zip(rows, story.shots, strict=False)
    ]
    painters = {PAINTER: load_painter(home, PAINTER)}
    return book_of(story, pictures, read_provenance(home, adapter), painters, told, proof=proof)


def written(book: Book, home: Home, folder: Path) -> Path:
    """The book's folder."""
    for name, content in book_contents(home, book).items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.read_bytes() if isinstance(content, Path) else content)
    (folder / MANIFEST).write_text("", encoding="utf-8")
    return folder


def pages_of(contents: Mapping[str, Any]) -> list[str]:
    return [contents[name].decode() for name in ("index.html", "index.zh.html")]


@pytest.fixture(scope="module")
def contents(published_archive: Home) -> dict[str, Any]:
    return dict(book_contents(published_archive, bound(published_archive, a_story())))


# The folder


def test_both_pages_tell_the_whole_story_in_both_languages(contents: dict[str, Any]) -> None:
    for page in pages_of(contents):
        for shot in a_story().shots:
            for words in (shot.narration, shot.plot):
                assert words.en in page
                assert words.zh in page
        assert "The Northern Song" in page
        assert "960–1127" in page
    assert [page[:60].count('lang="zh-Hans"') for page in pages_of(contents)] == [0, 1]


def test_each_picture_stands_with_its_prompt_seed_adapter_and_critique(contents: dict[str, Any]) -> None:
    page, provenance = pages_of(contents)[0], json.loads(contents["provenance.json"])
    assert len(provenance["pictures"]) == 4
    for path, of in provenance["pictures"].items():
        assert path in contents
        for said in (of["prompt"], f"Seed {of['seed']}", of["adapter"], of["id"]):
            assert said in page
        assert of["scans"]
    assert "The geese are not there." in page
    assert "Chosen from 4 pictures" in page
    assert Story.model_validate_json(contents["storyboard.json"]) == a_story()


def test_the_same_book_has_the_same_bytes(published_archive: Home, contents: dict[str, Any]) -> None:
    assert book_contents(published_archive, bound(published_archive, a_story())) == contents


def test_things_of_today_and_who_recurs_lead_to_the_pictures(contents: dict[str, Any]) -> None:
    page = pages_of(contents)[0]
    (row,) = re.findall(r'<tr id="thing-skyscraper">.*?</tr>', page, re.DOTALL)
    assert "摩天楼" in row
    assert re.findall(r'href="#(shot-\d)"', row) == ["shot-3", "shot-4"]


def test_the_colophon_says_who_wrote_it_and_where_the_text_went(published_archive: Home) -> None:
    by = Authorship(author="http://127.0.0.1:9/v1", model="some-model", endpoint="http://127.0.0.1:9/v1", by_hand=True)
    for authorship, said in (
        (Authorship(author="template"), ("no language model", "never left this machine")),
        (Authorship(author="local", model="SmolLM2", weights_sha256="a" * 64), ("SmolLM2", "never left", "a" * 64)),
        (by, ("some-model", "was sent to http://127.0.0.1:9/v1", "A person went over the text")),
    ):
        book = bound(published_archive, a_story(authorship=authorship))
        text = " ".join(str(value) for row in rows_of(book, WORDS[0]) for value in row.values)
        assert all(each in text for each in said), text


def test_a_language_that_is_missing_is_said_once_and_a_line_that_is_where_it_would_be(published_archive: Home) -> None:
    story = a_story()
    first, *rest = story.shots
    one = first.model_copy(update={"narration": Words(en="Alone."), "plot": Words()})
    page = pages_of(book_contents(published_archive, bound(published_archive, a_story(shots=(one, *rest)))))[0]
    assert page.count("There are no Chinese words here.") == 1
    shots = [each.model_copy(update={"narration": Words(en="Alone."), "plot": Words()}) for each in story.shots]
    page = pages_of(book_contents(published_archive, bound(published_archive, a_story(shots=shots))))[0]
    assert "The story was written in English alone." in page
    assert "There are no Chinese words here." not in page
    assert "data-text-switch" not in page


def test_a_shot_without_a_picture_is_no_book(published_archive: Home) -> None:
    more = a_story().shots[0].model_copy(update={"id": "shot-5"})
    with pytest.raises(ArtMasterError, match="no picture for shot-5"):
        bound(published_archive, a_story(shots=(*a_story().shots, more)))


def test_text_of_a_story_is_no_html_and_turns_no_line_round(published_archive: Home) -> None:
    story = everywhere(a_story(), f"\u202eabc\x07 {HOSTILE}")
    made = book_contents(published_archive, bound(published_archive, story))
    for page in pages_of(made):
        assert '<script>alert("x")' not in page
        assert "<img src=http" not in page
        assert not set("\u202e\x07") & set(page)
    assert made["book.pdf"].startswith(b"%PDF")


def test_a_proof_replaces_no_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(WrongUse, match="no proof of a book"):
        proof_book(Home(tmp_path), "story_city", tmp_path / "letters")


def test_a_proof_says_so_on_its_pages_and_on_every_page_of_the_pdf(published_archive: Home) -> None:
    made = book_contents(published_archive, bound(published_archive, a_story(), proof=True))
    assert all("proof" in page for page in pages_of(made))
    assert all("Proof: not published" in page for page in texts_of(made["book.pdf"]))


# The PDF


def texts_of(pdf: bytes) -> list[str]:
    import pypdfium2

    return [page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(pdf)]


def test_the_pdf_holds_the_story_its_type_and_where_everything_comes_from(contents: dict[str, Any]) -> None:
    import pypdfium2

    pdf = pypdfium2.PdfDocument(contents["book.pdf"])
    text = re.sub(r"\s", "", "".join(texts_of(contents["book.pdf"])))
    for shot in a_story().shots:
        for words in (shot.narration.en, shot.narration.zh, shot.plot.zh):
            assert re.sub(r"\s", "", words) in text
    for of in json.loads(contents["provenance.json"])["pictures"].values():
        assert of["id"] in text
        assert of["adapter"] in text
    said = pdf.get_metadata_dict()
    assert said["Title"] == "A City as Mountain and Water · 山水之城"
    assert said["Author"].startswith("AI generated by ArtMaster")
    titles = [mark.get_title() for mark in pdf.get_toc()]
    assert [title for title in titles if "Song" in title or "Today ·" in title] == [
        "The Northern Song · 北宋",
        "Today · 今天",
    ]
    assert b"NotoSerifSC" in contents["book.pdf"]
    assert b"/FontFile3" in contents["book.pdf"]
    assert len(contents["book.pdf"]) < 3_000_000  # of fonts with 31,000 characters, what is needed


def test_words_that_leave_a_picture_no_room_go_on_beyond_its_page(published_archive: Home) -> None:
    long = Words(en=("word " * 120).strip(), zh="山" * 599 + "海")
    shots = [shot.model_copy(update={"narration": long, "plot": long}) for shot in a_story().shots]
    pages = texts_of(book_contents(published_archive, bound(published_archive, a_story(shots=shots)))["book.pdf"])
    assert sum(page.count("word") for page in pages) >= 4 * 240
    assert sum(page.count("海") for page in pages) == 4 * 2


def test_text_that_no_type_has_is_named() -> None:
    assert without_type("He said 山水 and łőč") == ""
    assert without_type(f"{ARABIC} \U0001f642한") == "한\U0001f642"


def test_the_pages_type_is_a_subset_that_is_read_from_no_file() -> None:
    from base64 import b64decode

    from fontTools.ttLib import TTFont

    faces = re.findall(r"base64,([^\"]+)", font_faces("The city 山水，“城”"))
    latin, han = (set(TTFont(io.BytesIO(b64decode(face))).getBestCmap()) for face in faces)
    assert han == set(map(ord, "山水，城"))
    assert set(map(ord, "The city“”")) <= latin
    assert "url(data:" in font_faces("城").replace('"', "")


# Lines


@given(st.text("山水城楼，。“”《》a bc-é1", max_size=60), st.integers(4, 20))
def test_lines_are_no_wider_than_asked_and_lose_nothing(text: str, width: int) -> None:
    lines = lines_of(text, width, len)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(len(line) <= width for line in lines)


def test_no_line_begins_with_a_closing_mark_or_ends_with_an_opening_one() -> None:
    assert lines_of("群山如楼，江水如街。", 4, len) == ["群山如", "楼，江水", "如街。"]
    assert lines_of("读《山水之城》。", 3, len) == ["读《山", "水之", "城》。"]
    assert lines_of("a word, and another", 8, len) == ["a word,", "and", "another"]


# In a browser


@pytest.mark.browser
@pytest.mark.parametrize("name", ["index.html", "index.zh.html"])
def test_a_book_is_whole_in_every_window_and_breaks_no_rule(
    browser: Any, published_archive: Home, tmp_path: Path, name: str
) -> None:
    site = written(bound(published_archive, a_story()), published_archive, tmp_path / "book")
    with Visit(browser, site / name) as visit:
        visit.load_all()
        for width, scheme in VIEWS:
            page = visit.looked_at(width, scheme).page
            assert visit.wrong == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert all(file.is_file() for file in visit.files())
        for width, scheme in VIEWS:
            assert rules_broken(visit.looked_at(width, scheme).page) == "", (width, scheme)


@pytest.mark.browser
def test_a_reader_may_have_one_language_and_look_closely(browser: Any, published_archive: Home, tmp_path: Path) -> None:
    site = written(bound(published_archive, a_story()), published_archive, tmp_path / "book")
    with Visit(browser, site / "index.html") as visit:
        page = visit.page
        assert page.locator(".told:visible").count() == 8
        page.click("[data-text=zh]")
        assert page.locator(".told:visible").count() == 4
        assert page.locator(".told.in-zh:visible").count() == 4
        page.click("#shot-2 [data-open]")
        page.wait_for_function("document.querySelector('#viewer canvas')")
        assert page.inner_text(".place") == "2 of 4"
        page.keyboard.press("Escape")
        assert visit.wrong == []


@pytest.mark.browser
def test_hostile_words_do_nothing_and_stay_within_the_page(
    browser: Any, published_archive: Home, tmp_path: Path
) -> None:
    story = everywhere(a_story(), HOSTILE)
    site = written(bound(published_archive, story), published_archive, tmp_path / "book")
    with Visit(browser, site / "index.html") as visit:
        visit.load_all()
        for width, scheme in VIEWS:
            page = visit.looked_at(width, scheme).page
            assert visit.wrong == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width, width
        visit.files()  # nothing is asked for elsewhere

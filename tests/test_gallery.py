"""The gallery: what is published, where it comes from, what is made again, and the page in a browser."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_archive import PAINTER, TRIGGER, add_adapter, copied, judged, quick_drawing, small_archive

from artmaster_pipeline import pictures
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.evaluation import evaluate_adapter
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.gallery import generate, publish_gallery
from artmaster_pipeline.gallery.drawing import file_name
from artmaster_pipeline.gallery.pages import language_of
from artmaster_pipeline.records import MANIFEST, Adapter, AdapterSnapshot, Sample, Scan, read_manifest, write_manifest
from artmaster_pipeline.settings import Home, load_painter, load_profile, save_painter

PROFILE = load_profile("miniature")
HOSTILE = """<script>alert("x")</script> '" onload=alert(1) {{ 7*7 }} & <img src=http://example.org/x.png>"""


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, bool]]:
    return quick_drawing(monkeypatch)


@pytest.fixture(scope="module")
def published_once(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A small archive after its gallery was published; tests look at it and leave it as it is."""
    home = Home(tmp_path_factory.mktemp("published") / "home")
    small_archive(home, works=4, held_out=2)
    publish(home)
    return home


@pytest.fixture
def published(published_once: Home, home: Home, drawn: list) -> Home:
    """A copy of it, for tests that change it."""
    return copied(published_once, home)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A gallery whose titles, captions, rights and painter's name try to be HTML."""
    home = Home(tmp_path_factory.mktemp("hostile") / "home")
    said = {"title": HOSTILE, "accession_number": HOSTILE, "date": HOSTILE, "rights": HOSTILE}
    small_archive(home, works=3, held_out=1, **said)
    save_painter(home, PAINTER, load_painter(home, PAINTER).model_copy(update={"name": HOSTILE, "rights": HOSTILE}))
    publish(home)
    return home


def publish(home: Home) -> None:
    with pytest.MonkeyPatch.context() as patch:
        quick_drawing(patch)
        evaluate_adapter(home, PAINTER, PROFILE)
        judged(home)
        publish_gallery(home, PAINTER, PROFILE)


def records_of(home: Home) -> tuple[Sample, ...]:
    return read_manifest(home.gallery(PAINTER) / MANIFEST, Sample)


def enlarged_of(home: Home) -> list[Sample]:
    return [record for record in records_of(home) if record.enlarged_by]


def files_below(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


# What is published


def test_every_adapter_sample_is_published_four_times_as_large(published_once: Home) -> None:
    samples = {s.id: s for s in read_manifest(published_once.evaluation(PAINTER) / MANIFEST, Sample)}
    enlarged = enlarged_of(published_once)
    assert {e.enlarged_from for e in enlarged} == {s.id for s in samples.values() if s.column == "adapter"}
    for picture in enlarged:
        source = samples[picture.enlarged_from]
        assert (picture.width, picture.height) == (4 * source.width, 4 * source.height)
        assert (picture.prompt, picture.seed, picture.adapter_id) == (source.prompt, source.seed, source.adapter_id)
        assert picture.enlarged_by == "realesr-animevideov3-x4"


def test_an_enlarged_picture_keeps_the_colours_of_its_sample(published_once: Home) -> None:
    folder = published_once.evaluation(PAINTER)
    sources = {s.id: folder / s.path for s in read_manifest(folder / MANIFEST, Sample)}
    for picture in enlarged_of(published_once):
        large = pictures.read_rgb(published_once.gallery(PAINTER) / picture.path).astype(float)
        small = pictures.read_rgb(sources[picture.enlarged_from]).astype(float)
        assert np.abs(large.mean((0, 1)) - small.mean((0, 1))).max() < 1


def test_every_published_file_is_accounted_for(published_once: Home) -> None:
    folder = published_once.gallery(PAINTER)
    for record in records_of(published_once):
        assert sha256_of(folder / record.path) == record.sha256
    said = {record.path for record in records_of(published_once)}
    assert {name for name in files_below(folder) if name.endswith(".png")} == said | {"grid.png"}


def test_pictures_carry_prompt_seed_and_adapter_as_png_and_as_jpeg(published_once: Home) -> None:
    folder = published_once.gallery(PAINTER)
    for picture in enlarged_of(published_once):
        for file in (folder / picture.path, (folder / picture.path).with_suffix(".jpg")):
            facts = pictures.read_facts(file)
            assert (facts["prompt"], facts["seed"], facts["adapter"]) == (
                picture.prompt,
                picture.seed,
                picture.adapter_id,
            )
            assert facts["notice"] == pictures.AI_GENERATED
            assert b"trainedAlgorithmicMedia" in file.read_bytes()


def test_provenance_leads_from_every_picture_to_the_scans(published_once: Home) -> None:
    provenance = json.loads((published_once.gallery(PAINTER) / "provenance.json").read_text(encoding="utf-8"))
    (adapter,) = read_manifest(published_once.adapters(PAINTER) / MANIFEST, Adapter)
    for record in records_of(published_once):
        said = provenance["pictures"][record.path]
        if record.column == "adapter":
            assert (said["adapter"], said["scans"]) == (adapter.id, list(adapter.scan_sha256s))
        elif record.column == "base":
            assert (said["ai_generated"], said["scans"]) == (True, [])
        else:
            assert (said["ai_generated"], said["scan"]) == (False, record.scan_sha256)
    for sha256 in adapter.scan_sha256s:
        assert provenance["scans"][sha256]["title"].startswith("Mountain")


def test_the_page_names_the_works_trained_on_and_no_others(published_once: Home) -> None:
    page = (published_once.gallery(PAINTER) / "index.html").read_text(encoding="utf-8")
    (adapter,) = read_manifest(published_once.adapters(PAINTER) / MANIFEST, Adapter)
    works = page[page.index('id="works"') : page.index('id="model"')]
    for scan in read_manifest(published_once.register(PAINTER) / MANIFEST, Scan):
        assert (scan.sha256 in works) == (scan.sha256 in adapter.scan_sha256s)
        assert (scan.accession_number in works) == (scan.sha256 in adapter.scan_sha256s)
    assert pictures.AI_GENERATED in page


def test_nothing_on_the_page_comes_from_elsewhere(published_once: Home, hostile: Home) -> None:
    for home in (published_once, hostile):
        folder = home.gallery(PAINTER)
        for name in ("index.html", "style.css", "gallery.js"):
            text = (folder / name).read_text(encoding="utf-8")
            assert not any(f'{place}="http' in text or f'{place}="//' in text for place in ("src", "href"))
            assert "@import" not in text
            assert "url(" not in text


def test_the_page_over_all_painters_lists_each_with_a_picture(published_once: Home) -> None:
    page = (published_once.root / "gallery" / "index.html").read_text(encoding="utf-8")
    assert f'href="{PAINTER}/index.html"' in page
    first = min(enlarged_of(published_once), key=lambda record: record.seed)
    assert f'src="{PAINTER}/thumbnails/{first.id}.jpg"' in page


def test_works_stand_in_the_order_of_their_accession_numbers(home: Home, drawn: list) -> None:
    small_archive(home, works=12, held_out=1)
    publish(home)
    page = (home.gallery(PAINTER) / "index.html").read_text(encoding="utf-8")
    assert page.index(">1960.2<") < page.index(">1960.10<")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Mist, 1952", ""),
        ("\u4e25\u5b50\u9675\u9493\u53f0", "zh"),
        ("\u6771\u6d77\u9053\u306e", "ja"),
        ("\uae08\uac15", "ko"),
    ],
)
def test_titles_say_which_language_they_are_in(text: str, language: str) -> None:
    assert language_of(text) == language


def test_the_rooms_templates_are_part_of_the_package() -> None:
    from importlib import resources

    site = resources.files("artmaster_pipeline.gallery") / "site"
    for name in ("painter.html", "painters.html", "style.css", "gallery.js"):
        assert (site / name).is_file()


# Incremental, atomic


def test_publishing_again_makes_nothing_and_touches_nothing(published: Home) -> None:
    def times() -> dict[Path, int]:
        return {file: file.stat().st_mtime_ns for file in (published.root / "gallery").rglob("*")}

    before = times()
    outcome = publish_gallery(published, PAINTER, PROFILE)
    assert (outcome.made, outcome.reused) == (0, 4)
    assert times() == before


def test_a_damaged_picture_is_made_again_and_comes_out_the_same(published: Home) -> None:
    before = files_below(published.gallery(PAINTER))
    victim = published.gallery(PAINTER) / enlarged_of(published)[0].path
    victim.write_bytes(b"damaged")
    (published.gallery(PAINTER) / "style.css").write_text("body { display: none }")
    (published.gallery(PAINTER) / "stray.txt").write_text("of no record")
    assert publish_gallery(published, PAINTER, PROFILE).made == 1
    assert files_below(published.gallery(PAINTER)) == before


def test_what_a_killed_run_enlarged_is_taken_up(published: Home) -> None:
    before = files_below(published.gallery(PAINTER))
    waiting = published.cache / "gallery" / PAINTER
    waiting.mkdir(parents=True)
    done, half = (published.gallery(PAINTER) / picture.path for picture in enlarged_of(published)[:2])
    shutil.copy(done, waiting)
    (waiting / half.name).write_bytes(half.read_bytes()[:5000])
    partial = published.root / "gallery" / ".partial-killed"
    published.gallery(PAINTER).rename(partial)  # a kill between the two renames of the switch
    outcome = publish_gallery(published, PAINTER, PROFILE)
    assert (outcome.made, outcome.reused) == (3, 1)
    assert files_below(published.gallery(PAINTER)) == before
    assert not partial.exists()
    assert not waiting.exists()


def test_a_failed_publication_leaves_the_old_site(published: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from artmaster_pipeline.gallery import publish as room

    before = files_below(published.root / "gallery")
    save_painter(published, PAINTER, load_painter(published, PAINTER).model_copy(update={"name": "Renamed"}))

    def disk_is_full(*_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(room, "write_manifest", disk_is_full)
    with pytest.raises(OSError, match="No space"):
        publish_gallery(published, PAINTER, PROFILE)
    assert files_below(published.root / "gallery") == before


def test_a_corrected_title_appears_without_drawing_anything(published: Home, drawn: list) -> None:
    manifest = published.register(PAINTER) / MANIFEST
    scans = read_manifest(manifest, Scan)
    write_manifest(manifest, [scan.model_copy(update={"title": f"Corrected {scan.title}"}) for scan in scans])
    assert publish_gallery(published, PAINTER, PROFILE).made == 0
    assert "Corrected Mountain 0" in (published.gallery(PAINTER) / "index.html").read_text(encoding="utf-8")
    assert drawn == []


def test_a_work_without_a_thumbnail_is_still_named(published: Home) -> None:
    (adapter,) = read_manifest(published.adapters(PAINTER) / MANIFEST, Adapter)
    (published.register(PAINTER) / "thumbnails" / f"{adapter.scan_sha256s[0][:16]}.jpg").unlink()
    publish_gallery(published, PAINTER, PROFILE)
    page = (published.gallery(PAINTER) / "index.html").read_text(encoding="utf-8")
    assert "No picture" in page
    assert adapter.scan_sha256s[0] in page


def test_an_adapter_that_was_not_evaluated_is_not_published(published: Home) -> None:
    (old,) = read_manifest(published.adapters(PAINTER) / MANIFEST, Adapter)
    snapshot = AdapterSnapshot.model_validate_json((published.root / old.path / "lineage.json").read_text())
    add_adapter(published, snapshot.scans, snapshot.training_images, seed=1)
    with pytest.raises(ArtMasterError, match="evaluation_grid"):
        publish_gallery(published, PAINTER, PROFILE)


def test_an_adapter_whose_works_nobody_can_name_is_not_published(published: Home) -> None:
    (adapter,) = read_manifest(published.adapters(PAINTER) / MANIFEST, Adapter)
    lineage = published.root / adapter.path / "lineage.json"
    snapshot = AdapterSnapshot.model_validate_json(lineage.read_text())
    lineage.write_text(snapshot.model_copy(update={"scans": snapshot.scans[1:]}).model_dump_json())
    with pytest.raises(ArtMasterError, match=snapshot.scans[0].sha256):
        publish_gallery(published, PAINTER, PROFILE)


# Hostile text


def test_text_from_the_archive_is_never_html(hostile: Home) -> None:
    for page in (hostile.gallery(PAINTER) / "index.html", hostile.root / "gallery" / "index.html"):
        text = page.read_text(encoding="utf-8")
        assert "<script>alert" not in text
        assert "<img src=http" not in text
        assert "&lt;script&gt;alert(&#34;x&#34;)" in text
        assert "{{ 7*7 }}" in text  # shown as it is, not calculated


# In a browser


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=[*quiet, "--disable-component-update", "--disable-sync"]
        )
        yield browser
        browser.close()


def open_page(browser: Any, file: Path, width: int, scheme: str = "light") -> tuple[Any, list[str]]:
    """The page from disk at that width with all its pictures loaded, and the list of what goes wrong on it."""
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(request.url))
    page.on("request", lambda request: wrong.append(request.url) if request.url.startswith("http") else None)
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    page.goto(file.as_uri())
    page.evaluate(_LOAD_ALL)
    return page, wrong


_LOAD_ALL = """async () => {
  const images = [...document.images].filter((image) => image.getAttribute("src"));
  for (const image of images) image.loading = "eager";
  await Promise.all(images.map((image) => image.decode()));
}"""


@pytest.mark.browser
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("painter", ["published_once", "hostile"])
def test_the_page_is_whole_from_disk(browser: Any, request: pytest.FixtureRequest, painter: str, width: int) -> None:
    home = request.getfixturevalue(painter)
    for file in (home.gallery(PAINTER) / "index.html", home.root / "gallery" / "index.html"):
        page, wrong = open_page(browser, file, width)
        assert wrong == []
        assert page.evaluate("[...document.images].every(i => !i.getAttribute('src') || i.naturalWidth > 0)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("[...document.querySelectorAll('img')].every(i => i.alt || i.closest('dialog'))")
        assert page.evaluate("[...document.querySelectorAll('*')].every(e => e.getAttribute('onload') === null)")
        assert page.title()
        page.close()


@pytest.mark.browser
def test_every_link_on_the_page_leads_somewhere(browser: Any, published_once: Home) -> None:
    page, _ = open_page(browser, published_once.gallery(PAINTER) / "index.html", 1440)
    for link in page.evaluate("[...document.links].map(link => link.getAttribute('href'))"):
        if link.startswith("#"):
            assert page.query_selector(link)
        else:
            assert (published_once.gallery(PAINTER) / link).is_file(), link
    page.close()


@pytest.mark.browser
def test_the_lightbox_opens_turns_and_closes_by_keyboard(browser: Any, published_once: Home) -> None:
    page, wrong = open_page(browser, published_once.gallery(PAINTER) / "index.html", 1440)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    first = "#pictures [data-lightbox]"
    page.focus(first)
    page.keyboard.press("Enter")
    assert page.evaluate("document.getElementById('lightbox').open")
    shown = page.evaluate("document.querySelector('#lightbox img').src")
    assert page.inner_text(".place") == "1 of 4"
    page.keyboard.press("ArrowRight")
    assert page.inner_text(".place") == "2 of 4"
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.querySelector('#lightbox img').src") == shown
    page.keyboard.press("Escape")
    assert not page.evaluate("document.getElementById('lightbox').open")
    assert page.evaluate(f"document.activeElement === document.querySelector('{first}')")
    assert wrong == []
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_that_wcag_asks_for(browser: Any, published_once: Home, scheme: str) -> None:
    page, _ = open_page(browser, published_once.gallery(PAINTER) / "index.html", 1440, scheme)
    paper, *inks = page.evaluate(
        "['body:bg', 'body', '.lede', '.notice', 'summary'].map(s => { const [q, bg] = s.split(':');"
        "const style = getComputedStyle(document.querySelector(q)); return bg ? style.backgroundColor : style.color; })"
    )
    for ink in inks:
        assert contrast(paper, ink) >= 4.5, (scheme, ink)  # WCAG 2.2, 1.4.3
    page.close()


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio of two CSS rgb() colours."""

    def luminance(colour: str) -> float:
        channels = np.array([float(c) for c in colour.strip("rgb()").split(",")]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


# Pictures on request


def test_generate_draws_with_the_current_adapter_and_says_the_trigger(
    published: Home, drawn: list, tmp_path: Path
) -> None:
    files = generate(published, PAINTER, PROFILE, "a pavilion above the mist", 2, 7, out=tmp_path / "out")
    assert drawn == [(f"{TRIGGER}, a pavilion above the mist", seed, True) for seed in (7, 8)]
    assert [file.name.rsplit("-", 1)[0] for file in files] == [
        "a-pavilion-above-the-mist-7",
        "a-pavilion-above-the-mist-8",
    ]
    facts = pictures.read_facts(files[0])
    (adapter,) = read_manifest(published.adapters(PAINTER) / MANIFEST, Adapter)
    assert (facts["seed"], facts["adapter"], facts["notice"]) == (7, adapter.id, pictures.AI_GENERATED)


def test_generate_does_not_say_the_trigger_twice(published: Home, drawn: list, tmp_path: Path) -> None:
    generate(published, PAINTER, PROFILE, f"Autumn, {TRIGGER.upper()}", out=tmp_path)
    assert drawn[0][0] == f"Autumn, {TRIGGER.upper()}"


def test_the_same_request_is_the_same_file_and_is_not_drawn_twice(published: Home, drawn: list, tmp_path: Path) -> None:
    first = generate(published, PAINTER, PROFILE, "mist", out=tmp_path)
    assert generate(published, PAINTER, PROFILE, "mist", out=tmp_path) == first
    assert len(drawn) == 1
    assert generate(published, PAINTER, PROFILE, "mist", out=tmp_path, size=(512, 768)) != first


def test_generate_never_writes_over_something_else(published: Home, drawn: list, tmp_path: Path) -> None:
    (file,) = generate(published, PAINTER, PROFILE, "mist", out=tmp_path)
    Image.new("RGB", (8, 8)).save(file)
    edited = file.read_bytes()
    with pytest.raises(WrongUse, match="--out"):
        generate(published, PAINTER, PROFILE, "mist", out=tmp_path)
    assert file.read_bytes() == edited


def test_generate_enlarges_on_request(published: Home, tmp_path: Path) -> None:
    (file,) = generate(published, PAINTER, PROFILE, "mist", out=tmp_path, enlarge=True, size=(512, 768))
    assert pictures.read_rgb(file).shape == (768, 512, 3)  # 128x192 at the miniature's scale, four times as large


@pytest.mark.parametrize("adapter", ["../../../etc", "0123456789abcdef", "", "ABCDEF0123456789", "0123456789abcde\n"])
def test_an_unknown_adapter_is_refused_and_the_known_are_listed(published: Home, tmp_path: Path, adapter: str) -> None:
    (known,) = read_manifest(published.adapters(PAINTER) / MANIFEST, Adapter)
    with pytest.raises(WrongUse, match=known.id):
        generate(published, PAINTER, PROFILE, "mist", adapter_id=adapter, out=tmp_path)


@pytest.mark.parametrize("wrong", [{"size": (500, 500)}, {"count": 0}])
def test_what_cannot_be_drawn_is_refused(published: Home, tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(WrongUse):
        generate(published, PAINTER, PROFILE, "mist", out=tmp_path, **wrong)


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("../../etc/passwd", "etc-passwd"),
        ('<script>"x"</script>', "script-x-script"),
        ("\u4e25\u5b50\u9675, \u9493\u53f0", "\u4e25\u5b50\u9675-\u9493\u53f0"),
        ("--rf /", "rf"),
        ("\U0001f600", "otherwise"),
        ("word " * 50, "word-word-word-word-word-word-word-word-word-wor"),
    ],
)
def test_a_prompt_becomes_a_harmless_file_name(prompt: str, name: str) -> None:
    assert file_name(prompt, "otherwise") == name

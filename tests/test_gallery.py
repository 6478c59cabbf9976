"""The gallery: what is published, where it comes from, what is made again, what it shows and says."""

import io
import json
import re
import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import published_gallery
import pytest
import yaml
from PIL import Image
from published_gallery import PROFILE, files_below
from sharing import unlinked
from small_archive import PAINTER, TRIGGER, add_adapter, copied, judged, quick_drawing, small_profile

from artmaster_pipeline import pictures
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.experts import FACTORS
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.gallery.pages import language_of
from artmaster_pipeline.gallery.renditions import (
    LARGEST_WHOLE,
    detail_files,
    details,
    renditions,
    tile_source,
    view_of,
)
from artmaster_pipeline.gallery.rights import is_open
from artmaster_pipeline.gallery.words import ENGLISH, LANGUAGES
from artmaster_pipeline.generation import generate
from artmaster_pipeline.generation.requests import file_name
from artmaster_pipeline.publishing import publish_gallery
from artmaster_pipeline.records import MANIFEST, Adapter, AdapterSnapshot, Sample, Scan, read_manifest, write_manifest
from artmaster_pipeline.settings import Home, load_painter, save_painter

PAGES = ("index.html", "index.zh.html", "about.html", "about.zh.html")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, bool]]:
    return quick_drawing(monkeypatch)


@pytest.fixture(scope="module")
def published_once(published_archive: Home) -> Home:
    """Tests look at it and leave it as it is."""
    return published_archive


@pytest.fixture
def published(published_once: Home, home: Home, drawn: list) -> Home:
    """A copy of it, for tests that change it."""
    return copied(published_once, home)


@pytest.fixture(scope="module")
def hostile(hostile_archive: Home) -> Home:
    """A gallery whose titles, captions, rights and painter's name try to be HTML."""
    return hostile_archive


def records_of(home: Home) -> tuple[Sample, ...]:
    return read_manifest(home.gallery(PAINTER) / MANIFEST, Sample)


def enlarged_of(home: Home) -> list[Sample]:
    return [record for record in records_of(home) if record.enlarged_by]


# What is published


def test_every_adapter_sample_is_published_four_times_as_large(published_once: Home) -> None:
    samples = {s.id: s for s in read_manifest(published_once.evaluation(PAINTER) / MANIFEST, Sample)}
    enlarged = enlarged_of(published_once)
    assert {e.enlarged_from for e in enlarged} == {
        s.id for s in samples.values() if s.column == "adapter" and s.role == "row"
    }
    for picture in enlarged:
        source = samples[picture.enlarged_from]
        assert (picture.width, picture.height) == (4 * source.width, 4 * source.height)
        assert (picture.prompt, picture.seed, picture.adapter_ids) == (source.prompt, source.seed, source.adapter_ids)
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
                picture.drawn_by,
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
    works = page[page.index('id="works"') : page.index('id="downloads"')]
    for scan in read_manifest(published_once.register(PAINTER) / MANIFEST, Scan):
        assert (scan.sha256 in works) == (scan.sha256 in adapter.scan_sha256s)
        assert (scan.accession_number in works) == (scan.sha256 in adapter.scan_sha256s)
    assert pictures.AI_GENERATED in page


def test_nothing_on_the_page_comes_from_elsewhere(published_once: Home, hostile: Home) -> None:
    for home in (published_once, hostile):
        folder = home.gallery(PAINTER)
        for name in (*PAGES, "style.css", "theme.js", "gallery.js"):
            text = (folder / name).read_text(encoding="utf-8")
            assert not any(f'{place}="http' in text or f'{place}="//' in text for place in ("src", "href"))
            assert "@import" not in text
            assert "url(" not in text


def test_the_page_over_all_painters_lists_each_with_a_picture(published_once: Home) -> None:
    page = (published_once.root / "gallery" / "index.html").read_text(encoding="utf-8")
    assert f'href="{PAINTER}/index.html"' in page
    first = min(enlarged_of(published_once), key=lambda record: record.seed)
    assert f'src="{PAINTER}/thumbnails/{first.id}.jpg"' in page


def test_works_stand_in_the_order_of_their_accession_numbers(home: Home) -> None:
    published_gallery.published(home, rows=1, works=12, held_out=1)
    page = (home.gallery(PAINTER) / "index.html").read_text(encoding="utf-8")
    assert page.index(">1960.2<") < page.index(">1960.10<")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Mist, 1952", ""),
        ("\u4e25\u5b50\u9675\u9493\u53f0", "zh"),
        ("\u6771\u6d77\u9053\u306e", "ja"),
        ("\uae08\uac15", "ko"),
        (published_gallery.ARABIC, "ar"),
        (published_gallery.HEBREW, "he"),
    ],
)
def test_titles_say_which_language_they_are_in(text: str, language: str) -> None:
    assert language_of(text) == language


def test_the_rooms_templates_are_part_of_the_package() -> None:
    from importlib import resources

    site = resources.files("artmaster_pipeline.gallery") / "site"
    for name in ("painter.html", "painters.html", "strings.yaml", "style.css", "vendor/openseadragon.min.js"):
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
    unlinked(victim).write_bytes(b"damaged")
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
    from artmaster_pipeline.publishing import publish as room

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
    assert "Named without a picture" in page
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


# Rights


def publish_showing(home: Home, show_works: Any, rights: Any = ()) -> tuple[str, list[Sample]]:
    """Publish with that setting, the scans' rights being `rights`; gives the page and the details of works in it."""
    save_painter(home, PAINTER, load_painter(home, PAINTER).model_copy(update={"show_works": show_works}))
    manifest = home.register(PAINTER) / MANIFEST
    scans = read_manifest(manifest, Scan)
    said = [*rights, *[""] * (len(scans) - len(rights))]
    write_manifest(manifest, [s.model_copy(update={"rights": r}) for s, r in zip(scans, said, strict=True)])
    publish_gallery(home, PAINTER, PROFILE)
    page = (home.gallery(PAINTER) / "index.html").read_text(encoding="utf-8")
    return page, [record for record in records_of(home) if record.column == "original"]


def test_no_work_is_shown_where_the_archive_says_none(published: Home) -> None:
    page, originals = publish_showing(published, "none")
    files = files_below(published.gallery(PAINTER))
    assert originals == []
    assert "grid.png" not in files
    assert not any(name.startswith("works/") for name in files)
    works = [s.title for s in read_manifest(published.register(PAINTER) / MANIFEST, Scan)]
    (adapter,) = read_manifest(published.adapters(PAINTER) / MANIFEST, Adapter)
    assert sum(f">{title}<" in page for title in works) == len(adapter.scan_sha256s)  # named all the same
    assert "Not shown" in page
    hidden = {
        s.sha256 for s in read_manifest(published.evaluation(PAINTER) / MANIFEST, Sample) if s.column == "original"
    }
    assert hidden.isdisjoint(sha256_of(published.gallery(PAINTER) / name) for name in files)


def test_only_works_under_an_open_statement_are_shown_where_the_archive_says_open(published: Home) -> None:
    scans = read_manifest(published.register(PAINTER) / MANIFEST, Scan)
    rights = ["CC0", "In copyright, the estate", "https://creativecommons.org/licenses/by/4.0/", "CC BY-NC 4.0"]
    _, originals = publish_showing(published, "open", rights)
    (adapter,) = read_manifest(published.adapters(PAINTER) / MANIFEST, Adapter)
    opened = {scans[0].sha256, scans[2].sha256}
    shown = {name for name in files_below(published.gallery(PAINTER)) if name.startswith("works/")}
    assert shown == {f"works/{sha256[:16]}.jpg" for sha256 in opened & set(adapter.scan_sha256s)}
    assert {record.scan_sha256 for record in originals} <= opened
    provenance = json.loads((published.gallery(PAINTER) / "provenance.json").read_text(encoding="utf-8"))
    assert set(provenance["scans"]) == {scan.sha256 for scan in scans}  # provenance names every work


@pytest.mark.parametrize(
    "statement",
    [
        "Public domain",
        "In the public domain in the country of origin",
        "CC0: painted by this program",
        "CC BY-SA 4.0",
        "Creative Commons Attribution 4.0 International",
        "https://creativecommons.org/publicdomain/zero/1.0/",
        "http://rightsstatements.org/vocab/NoC-US/1.0/",
        "No known copyright restrictions",
        "公有领域",
    ],
)
def test_an_open_statement_is_known_as_open(statement: str) -> None:
    assert is_open(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "",
        "© The estate",
        "Not in the public domain",
        "Public domain from 2041; until then all rights reserved",
        "CC BY-NC 4.0",
        "CC BY-NC-ND",
        "CC_BY_NC",
        "https://creativecommons.org/licenses/by-nc/4.0/",
        "https://creativecommons.org/licenses/by-nd/4.0/",
        "http://rightsstatements.org/vocab/InC/1.0/",
        "http://rightsstatements.org/vocab/NoC-NC/1.0/",
        "尚未进入公有领域",
        "by permission of the museum",
    ],
)
def test_any_other_statement_is_not(statement: str) -> None:
    assert not is_open(statement)


# Words


def test_every_sentence_is_there_in_every_language_with_the_same_values() -> None:
    text = (resources.files("artmaster_pipeline.gallery") / "site" / "strings.yaml").read_text(encoding="utf-8")
    for key, said in yaml.safe_load(text).items():
        assert set(said) == {words.language for words in LANGUAGES}, key
        values = {frozenset(re.findall(r"{(\w+)}", sentence)) for sentence in said.values()}
        assert len(values) == 1, key
        for sentence in said.values():  # words for people, no names of the code
            assert set(re.findall(r"\w*[a-z][A-Z]\w*", sentence)) <= {"ArtMaster", "AdaLoRA"}, key


def test_every_sentence_of_the_table_is_said_somewhere() -> None:
    site = resources.files("artmaster_pipeline.gallery") / "site"
    table = set(yaml.safe_load((site / "strings.yaml").read_text(encoding="utf-8")))
    sources = [file.read_text(encoding="utf-8") for file in site.iterdir() if file.name.endswith(".html")]
    sources.append((resources.files("artmaster_pipeline.gallery") / "pages.py").read_text(encoding="utf-8"))
    rooms = resources.files("artmaster_pipeline")
    sources += [(rooms / room / "publishing.py").read_text(encoding="utf-8") for room in ("experts", "copainting")]
    said = set(re.findall(r'"([a-z_]+)"', "".join(sources))) | set(FACTORS)
    put_together = ("axis_", "shown_", "chart_", "kind_")
    built = {key for key in table if key.startswith(put_together)}
    assert table <= said | built


def test_the_chinese_page_says_the_same_in_chinese(published_once: Home) -> None:
    page = (published_once.gallery(PAINTER) / "index.zh.html").read_text(encoding="utf-8")
    assert '<html lang="zh-Hans">' in page
    assert "由 ArtMaster 以人工智能生成" in page
    assert 'hreflang="en" href="index.html"' in page
    for picture in enlarged_of(published_once):
        assert f'href="pictures/{picture.id}.jpg"' in page


def test_values_are_escaped_and_never_read_as_names_of_values() -> None:
    said = str(ENGLISH("seed", seed="<b>{n}</b>"))
    assert said == "Seed &lt;b&gt;{n}&lt;/b&gt;"
    assert [str(ENGLISH("works_n", n=n)) for n in (0, 1, 2)] == ["0 works", "1 work", "2 works"]


# How it was judged


def test_the_pages_tell_how_the_adapter_was_judged(published_once: Home) -> None:
    for name in ("index.html", "about.html"):
        page = (published_once.gallery(PAINTER) / name).read_text(encoding="utf-8")
        assert "Released for publication by the figures" in page
        assert ">0.78<" in page
        assert "0.66 to 0.90" in page
        assert "\N{MINUS SIGN}0.42" in page
    assert "Two small pictures." in page  # the panel in words


def test_a_release_by_a_person_says_so_and_names_the_limits_that_were_not_kept(published: Home) -> None:
    verdict = judged(published, by="person", reasons=("Anna decided: it is good enough.",))
    (adapter,) = read_manifest(published.adapters(PAINTER) / MANIFEST, Adapter)
    file = published.evaluation(PAINTER) / adapter.id / "verdict.json"
    file.write_text(verdict.model_copy(update={"failed": ("Tone: too far.",)}).model_dump_json(), encoding="utf-8")
    publish_gallery(published, PAINTER, PROFILE)
    page = (published.gallery(PAINTER) / "about.html").read_text(encoding="utf-8")
    assert "Released for publication by a person" in page
    assert "Anna decided: it is good enough." in page
    assert "Tone: too far." in page


@pytest.mark.parametrize("text", ["", "[]", '{"axes": {"tone": {"score": "high"}}}'])
def test_a_panel_that_cannot_be_read_is_named(published: Home, text: str) -> None:
    (adapter,) = read_manifest(published.adapters(PAINTER) / MANIFEST, Adapter)
    file = published.evaluation(PAINTER) / adapter.id / "panel.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ArtMasterError, match=r"panel\.json.*evaluation_grid"):
        publish_gallery(published, PAINTER, PROFILE)


# Pictures in the sizes that pages ask for


def test_the_enlargement_is_shown_where_the_picture_changes_most(tmp_path: Path) -> None:
    small = np.full((96, 144, 3), 128, np.uint8)
    small[48:80, 96:128] = np.random.default_rng(0).integers(0, 255, (32, 32, 3))  # the only detail there is
    large = np.kron(small, np.ones((16, 16, 1), np.uint8))
    before, after = tmp_path / "before.png", tmp_path / "after.png"
    Image.fromarray(small).save(before)
    Image.fromarray(large).save(after)
    source = sample(144, 96)
    record = source.model_copy(update={"id": "b" * 16, "width": 2304, "height": 1536, "enlarged_by": "a network"})
    made = details(record, after, source, before)
    names = detail_files(record)
    shown = {side: np.asarray(Image.open(io.BytesIO(made[names[f"{side}_jpg"]]))) for side in ("before", "after")}
    assert shown["before"].shape == shown["after"].shape == (853, 1280, 3)
    assert all((np.abs(pixels.astype(int) - 128) > 8).any((1, 2)).sum() > 400 for pixels in shown.values())
    difference = np.abs(shown["before"].astype(float) - shown["after"]).mean()
    assert difference < np.abs(shown["before"].astype(float) - shown["after"][:, ::-1]).mean() / 2  # the same part


def test_a_picture_beyond_what_a_browser_takes_whole_becomes_a_pyramid(tmp_path: Path) -> None:
    file = tmp_path / "large.png"
    Image.fromarray(np.tile(np.arange(240, dtype=np.uint8)[:, None, None], (1, 5000, 3))).save(file)
    record = sample(5000, 240).model_copy(update={"enlarged_by": "a network", "enlarged_from": "b" * 16})
    made = renditions(record, file)
    described = tile_source(record)["Image"]
    assert described["Size"] == {"Width": "5000", "Height": "240"}
    top = {name for name in made if name.startswith(f"{described['Url']}13/")}  # 2**13 is the first beyond 5000
    assert top == {f"{described['Url']}13/{column}_0.jpg" for column in range(-(-5000 // int(described["TileSize"])))}
    with Image.open(io.BytesIO(made[view_of(record)])) as view:
        assert max(view.size) == LARGEST_WHOLE
    assert renditions(record, file) == made


def sample(width: int, height: int) -> Sample:
    return Sample(
        id="a" * 16,
        painter=PAINTER,
        column="adapter",
        adapter_ids=("c" * 16,),
        evaluated_adapter_id="c" * 16,
        base_model="miniature",
        base_revision="r",
        prompt="mist",
        seed=0,
        width=width,
        height=height,
        num_inference_steps=2,
        guidance_scale=1,
        path=f"pictures/{'a' * 16}.png",
        sha256="0" * 64,
    )


# Hostile text


def test_text_from_the_archive_is_never_html(hostile: Home) -> None:
    site = hostile.gallery(PAINTER)
    for page in (*(site / name for name in PAGES), *(site.parent / name for name in PAGES[:2])):
        text = page.read_text(encoding="utf-8")
        assert "<script>alert" not in text
        assert "<img src=http" not in text
        assert "&lt;script&gt;alert(&#34;x&#34;)" in text
        assert "{{ 7*7 }}" in text  # shown as it is, not calculated


def test_a_published_picture_says_how_it_was_drawn(published: Home) -> None:
    chosen = {"strength": 0.8, "guidance_scale": 2.5, "true_cfg_scale": 1.5, "adapter_in_unguided": False}
    manifest = published.evaluation(PAINTER) / MANIFEST
    cells = read_manifest(manifest, Sample)
    write_manifest(
        manifest, [s.model_copy(update={"id": s.id[::-1], **chosen}) if s.column == "adapter" else s for s in cells]
    )
    publish_gallery(published, PAINTER, PROFILE)
    record = enlarged_of(published)[0]
    assert record.drawing.model_dump() == chosen
    assert pictures.read_facts(published.gallery(PAINTER) / record.path).items() >= chosen.items()
    traced = json.loads((published.gallery(PAINTER) / "provenance.json").read_text(encoding="utf-8"))["pictures"]
    assert traced[record.path]["true_cfg_scale"] == 1.5
    page = (published.gallery(PAINTER) / "index.html").read_text(encoding="utf-8")
    assert "<dt>Strength of the adapter</dt><dd>0.8</dd>" in page
    assert "<dd>1.5 (without the adapter in the pass without the prompt)</dd>" in page


# Pictures on request


def test_generate_draws_as_was_asked_for_and_says_so(published: Home, tmp_path: Path) -> None:
    plainly = small_profile()
    (plain,) = generate(published, PAINTER, plainly, "mist", out=tmp_path)
    same = generate(published, PAINTER, plainly, "mist", out=tmp_path, strength=1.0, true_cfg_scale=1.0)
    assert same == [plain]
    assert {"strength", "true_cfg_scale", "adapter_in_unguided"}.isdisjoint(pictures.read_facts(plain))
    asked: dict[str, Any] = {
        "strength": 0.8, "guidance_scale": 2.5, "true_cfg_scale": 1.5, "adapter_in_unguided": False,
    }  # fmt: skip
    (other,) = generate(published, PAINTER, plainly, "mist", out=tmp_path, **asked)
    assert other != plain
    assert pictures.read_facts(other).items() >= asked.items()
    with pytest.raises(WrongUse, match=r"--strength 2: .*--true-cfg-scale 0\.5: "):
        generate(published, PAINTER, plainly, "mist", out=tmp_path, strength=2, true_cfg_scale=0.5)


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


def test_a_place_that_takes_no_pictures_is_told_before_anything_is_drawn(published: Home, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for place in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "link"):
        with pytest.raises(WrongUse, match="--out"):
            generate(published, PAINTER, PROFILE, "mist", out=place)
    assert (tmp_path / "file").read_text() == "mine"


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

"""A canvas of three painters: painted, measured, judged, published, answered for by region, and taken down again."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from browsing import VIEWS, Visit, rules_broken
from canvas_painters import CANVAS, SAID, VILLAGE, add_canvas, labels, paint
from mixed_painters import PROFILE, A, B, C, quick_mixing, three_experts, three_published
from PIL import Image
from small_archive import copied

from artmaster_pipeline import versioning
from artmaster_pipeline.adapters.finding import current_adapter
from artmaster_pipeline.copainting import samples
from artmaster_pipeline.copainting.mapped import mapped
from artmaster_pipeline.copainting.publishing import publish_canvas
from artmaster_pipeline.copainting.samples import decide_on_canvas, hands_at_work, make_copaintings
from artmaster_pipeline.errors import ArtMasterError, HoldsWithdrawn, NotPublished, WrongUse
from artmaster_pipeline.evaluation.verdicts import last_verdict
from artmaster_pipeline.files import write_text
from artmaster_pipeline.lineage import adapter_lineage, artwork_lineage, picture_lineage, verify
from artmaster_pipeline.lineage.index import index_file
from artmaster_pipeline.lineage.words import artwork_tables, picture_facts, picture_tables
from artmaster_pipeline.orchestration.assets import make
from artmaster_pipeline.orchestration.painters import remove_painter, rename_painter
from artmaster_pipeline.orchestration.run import run_painter
from artmaster_pipeline.progress import SILENT
from artmaster_pipeline.publishing import publish_gallery
from artmaster_pipeline.publishing.publish import kept_versions, published_version
from artmaster_pipeline.publishing.taking_down import painters_behind, sets_with
from artmaster_pipeline.publishing.targets import copy_gallery
from artmaster_pipeline.publishing.verify import verify_picture
from artmaster_pipeline.records import MANIFEST, Region, Sample, TrainingImage, Verdict, read_manifest
from artmaster_pipeline.settings import Home, load_painter, save_painter
from artmaster_pipeline.stage_settings import partition_profile
from artmaster_pipeline.stages import stage_named
from artmaster_pipeline.withdrawal import impact_of, withdraw_artwork

HOSTILE = "<img src=x onerror=alert(1)> '\"&"


@pytest.fixture(scope="module")
def painters(shared: Any) -> Home:
    """Three painters with published galleries; look, but do not write."""
    return Home(shared("three-published", lambda folder: three_published(Home(folder))))


@pytest.fixture(scope="module")
def site(shared: Any, painters: Home) -> Home:
    """The same after a canvas of all three was painted and published; look, but do not write."""

    def make(folder: Path) -> None:
        folder.rmdir()  # which the copy makes
        home = copied(painters, Home(folder))
        with pytest.MonkeyPatch.context() as patch:
            quick_mixing(patch)
            unmeasured(patch)
            add_canvas(home)
            make_copaintings(home, CANVAS, PROFILE, paint=paint)
            decide_on_canvas(home, CANVAS, "publish", "A person looked at both", PROFILE)
            publish_canvas(home, CANVAS, PROFILE)

    return Home(shared("canvas-published", make))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, bool]]:
    return quick_mixing(monkeypatch)


def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let canvases be measured in no time, as `mixed_painters.unmeasured` does mixes."""

    def write_panel(home: Home, partition: str, key: str, said: tuple[str, str], *_: Any) -> dict[str, Any]:
        none: dict[str, Any] = {"axes": {}, "nearest": {}, "drift": {"loss": 0.0}, "counts": {}, "judged_by": []}
        panel = {"id": key, "adapter_id": key, said[0]: said[1], "memorisation": {"suspects": 0, "pictures": 1}} | none
        write_text(home.evaluation(partition) / key / "panel.json", json.dumps(panel))
        return panel

    monkeypatch.setattr(samples, "write_panel", write_panel)


def adapters_of(home: Home) -> dict[str, Any]:
    return {painter: current_adapter(home, painter) for painter in (A, B, C)}


def test_a_canvas_is_painted_measured_and_judged_once(painters: Home, tmp_path: Path, quick: list) -> None:
    home = copied(painters, Home(tmp_path / "home"))
    with pytest.raises(WrongUse, match=r"canvas\.yaml"):
        make_copaintings(home, CANVAS, PROFILE, paint=paint)
    add_canvas(home)
    done = make_copaintings(home, CANVAS, PROFILE, paint=paint)
    assert done.made == len(done.records) == 4  # two seeds, and the base beside each
    assert quick == [(SAID["prompt"], 0, False), (SAID["prompt"], 1, False)]
    adapters = adapters_of(home)
    for record in done.records:
        assert (home.evaluation(CANVAS) / record.path).is_file()
        assert record.painter == CANVAS
        if record.column == "adapter":
            assert [region.id for region in record.regions] == ["ground", "rock", "river"]
            assert record.regions[2].adapter_ids == (adapters[B].id, adapters[C].id)
            assert record.parts_of([adapters[B].id]) == ("rock", "river")
        else:
            assert (record.canvas, record.gates, record.adapter_ids) == ("", {}, ())
    key = hands_at_work(home, CANVAS).identity()
    panel = json.loads((home.evaluation(CANVAS) / key / "panel.json").read_text())
    assert panel["canvas"] == VILLAGE
    assert panel["memorisation"]["pictures"] == 2
    assert panel["counts"]["train_works"] == 6
    assert set(panel["nearest"]["brush"]) == {A, B, C}
    with Image.open(home.evaluation(CANVAS) / key / "labels.png") as image:
        assert np.array_equal(np.asarray(image)[..., 0], labels())
    again = make_copaintings(home, CANVAS, PROFILE, paint=paint)
    assert (again.made, again.hash) == (0, done.hash)
    add_canvas(home, seeds=[0])
    assert len(make_copaintings(home, CANVAS, PROFILE, paint=paint).records) == 2
    assert not (home.evaluation(CANVAS) / key / "samples").exists()
    assert (home.evaluation(CANVAS) / key / "verdicts.jsonl").is_file()


def test_a_canvas_that_copies_a_work_of_any_painter_is_not_published(
    painters: Home, tmp_path: Path, quick: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    import canvas_painters

    home = copied(painters, Home(tmp_path / "home"))
    add_canvas(home)
    rows = read_manifest(home.training_set(C) / MANIFEST, TrainingImage)
    work = next(row for row in rows if row.split == "train" and row.height == 512)
    with Image.open(home.training_set(C) / work.path) as image:
        pixels = np.asarray(image.convert("RGB").resize((128, 128), Image.Resampling.LANCZOS))
    monkeypatch.setattr(canvas_painters, "_painted", lambda *_: pixels)
    make_copaintings(home, CANVAS, PROFILE, paint=paint)
    with pytest.raises(NotPublished, match="samples look like a training work"):
        publish_canvas(home, CANVAS, PROFILE)
    assert not home.gallery(CANVAS).exists()


def test_what_was_not_judged_as_it_is_now_is_not_published(site: Home, tmp_path: Path, quick: list) -> None:
    home = copied(site, Home(tmp_path / "home"))
    add_canvas(home, prompt="a village by the sea")
    with pytest.raises(ArtMasterError, match="not been judged as it is now"):
        publish_canvas(home, CANVAS, PROFILE)
    with pytest.raises(WrongUse, match="not been judged as it is now"):
        decide_on_canvas(home, CANVAS, "publish", "Looked", PROFILE)
    assert published_version(home, CANVAS).painter == CANVAS
    add_canvas(home)
    labels_file = home.canvas(VILLAGE) / "labels.png"
    labels_file.unlink()
    Image.fromarray(labels().T).save(labels_file)  # another map is another canvas
    with pytest.raises(ArtMasterError, match="not been judged as it is now"):
        publish_canvas(home, CANVAS, PROFILE)


def test_a_person_may_decide_and_is_named(site: Home) -> None:
    key = hands_at_work(site, CANVAS).identity()
    verdict = last_verdict(site.evaluation(CANVAS) / key)
    assert verdict is not None
    assert (verdict.publish, verdict.by, verdict.adapter_id) == (True, "person", key)


def test_the_site_shows_the_map_the_hands_of_each_region_and_their_works(site: Home) -> None:
    place, adapters = site.gallery(CANVAS), adapters_of(site)
    page = (place / "index.html").read_text(encoding="utf-8")
    records = read_manifest(place / MANIFEST, Sample)
    assert len(records) == 2
    for said in ("Map over the picture", "layered mountains", "river", 'id="works-c-painter"', 'id="region-rock"'):
        assert said in page
    provenance = json.loads((place / "provenance.json").read_text(encoding="utf-8"))
    assert set(provenance["adapters"]) == {adapter.id for adapter in adapters.values()}
    for traced in provenance["pictures"].values():
        assert traced["canvas"] == VILLAGE
        assert traced["regions"]["rock"] == {"adapters": [adapters[B].id], "scans": list(adapters[B].scan_sha256s)}
        both = sorted((*adapters[B].scan_sha256s, *adapters[C].scan_sha256s))
        assert traced["regions"]["river"] == {"adapters": [adapters[B].id, adapters[C].id], "scans": both}
        assert traced["regions"]["ground"]["scans"] == list(adapters[A].scan_sha256s)
    with Image.open(place / "map.png") as image:
        assert image.size[0] == image.size[1]
    for record in records:
        with Image.open(place / record.path) as drawn, Image.open(place / f"maps/{record.id}.jpg") as over:
            assert over.size == (1024, 1024)  # a small picture's map is drawn finer than its pixels
            tinted = np.asarray(over.convert("RGB").resize(drawn.size), float)
            plain = np.asarray(drawn.convert("RGB"), float)
        side = plain.shape[0]
        far = np.abs(plain - tinted).mean(-1)
        assert far[: side // 10].mean() < 6  # the ground is the picture as it is
        assert far[side // 4 : side // 2, side // 8 : side // 3].mean() > 15
    for name in ("index.html", "index.zh.html"):
        over = (place.parent / name).read_text(encoding="utf-8")
        assert f"{CANVAS}/{name}" in over
        assert "village (" in over


def test_words_of_a_person_are_no_html(painters: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = copied(painters, Home(tmp_path / "home"))
    quick_mixing(monkeypatch)
    unmeasured(monkeypatch)
    save_painter(home, B, load_painter(home, B).model_copy(update={"name": HOSTILE, "rights": HOSTILE}))
    regions = [SAID["regions"][0] | {"prompt": HOSTILE}, SAID["regions"][1]]
    add_canvas(home, prompt=HOSTILE, regions=regions)
    make_copaintings(home, CANVAS, PROFILE, paint=paint)
    decide_on_canvas(home, CANVAS, "publish", "Looked", PROFILE)
    publish_canvas(home, CANVAS, PROFILE)
    for name in ("index.html", "index.zh.html"):
        page = (home.gallery(CANVAS) / name).read_text(encoding="utf-8")
        assert "<img src=x" not in page
        assert "&lt;img src=x" in page


def test_a_picture_leads_by_region_to_its_hands_and_works_and_back(site: Home, tmp_path: Path) -> None:
    home = copied(site, Home(tmp_path / "home"))
    adapters = adapters_of(home)
    (picture, *_) = sorted((home.gallery(CANVAS) / "pictures").glob("*.png"))
    verified = verify_picture(picture, home)
    assert verified.state == "intact"
    assert any("Gates: ground (" in line for line in verified.lines())
    assert f"Canvas: {VILLAGE}" in {line.strip() for line in verified.lines()}
    answer = picture_lineage(home, picture)
    assert answer.recognised_by == "metadata"
    assert [of.region.id for of in answer.regions] == ["ground", "rock", "river"]
    assert answer.regions[1].artworks == adapters[B].scan_sha256s
    assert set(answer.regions[2].artworks) == {*adapters[B].scan_sha256s, *adapters[C].scan_sha256s}
    assert ("Canvas", VILLAGE) in picture_facts(answer)
    heading, rows = picture_tables(answer)[0]
    assert heading == "Regions"
    assert [row["painters"] for row in rows] == [A, B, f"{B}, {C}"]
    assert answer.picture is not None
    for painter, adapter in adapters.items():
        drawn = {sample.id: sample for sample in adapter_lineage(home, adapter.id).samples}
        regions = {A: ("ground",), B: ("rock", "river"), C: ("river",)}[painter]
        assert drawn[answer.picture.id].parts_of([adapter.id]) == regions
        used = artwork_lineage(home, adapter.scan_sha256s[0])
        assert answer.picture.id in {sample.id for sample in used.published}
        told = dict(artwork_tables(used))["Published pictures"]
        assert {row["regions"] for row in told if row["picture"] == answer.picture.id} == {", ".join(regions)}
    indexed = artwork_lineage(home, adapters[C].scan_sha256s[0]).model_dump_json()
    index_file(home).unlink()
    index_file(home).parent.chmod(0o500)
    try:
        assert artwork_lineage(home, adapters[C].scan_sha256s[0]).model_dump_json() == indexed
    finally:
        index_file(home).parent.chmod(0o700)


def test_a_file_alone_says_who_painted_which_region(site: Home, tmp_path: Path) -> None:
    (picture, *_) = sorted((site.gallery(CANVAS) / "pictures").glob("*.png"))
    elsewhere = Home(tmp_path / "elsewhere")
    elsewhere.root.mkdir()
    answer = picture_lineage(elsewhere, picture)
    assert answer.picture is None
    assert [of.region.id for of in answer.regions] == ["ground", "rock", "river"]
    assert len(answer.unknown_adapters) == 3


def test_verify_knows_the_files_of_a_canvas_and_finds_what_was_changed(site: Home, tmp_path: Path) -> None:
    from sharing import unlinked

    home = copied(site, Home(tmp_path / "home"))
    whole = verify(home)
    before = {finding.file for finding in whole.findings}
    assert not any(CANVAS in file for file in before)
    assert whole.checked["copaintings"] > 4
    (picture, *_) = sorted((home.evaluation(CANVAS)).glob("*/samples/*.png"))
    unlinked(picture).write_bytes(picture.read_bytes()[:-1])
    map_file = unlinked(home.gallery(CANVAS) / "map.png")
    map_file.write_bytes(map_file.read_bytes()[:-1])
    (home.evaluation(CANVAS) / "stray.png").write_bytes(b"x")
    found = {finding.file for finding in verify(home).findings} - before
    stray = f"copaintings/{CANVAS}/stray.png"
    assert found == {picture.relative_to(home.root).as_posix(), f"gallery/{CANVAS}/map.png", stray}


def test_a_withdrawn_work_behind_one_region_takes_the_canvas_down(site: Home, tmp_path: Path, quick: list) -> None:
    home = copied(site, Home(tmp_path / "home"))
    copy_gallery(home, CANVAS, str(tmp_path / "elsewhere"))
    work = adapters_of(home)[C].scan_sha256s[0]
    impact = impact_of(home, work)
    assert [(of.canvas, of.regions, of.pictures) for of in impact.canvases] == [(VILLAGE, ("river",), 2)]
    assert CANVAS in {gallery.painter for gallery in impact.galleries}
    report, page = withdraw_artwork(home, work, "The owner asks for it", now=True)
    assert not home.gallery(CANVAS).exists()
    assert not (tmp_path / "elsewhere" / CANVAS / "index.html").exists()
    assert not any(CANVAS in said for said in report.still_published)
    assert f"<td>{VILLAGE}</td><td>river</td>" in page.read_text(encoding="utf-8")
    assert f"{CANVAS}/index.html" not in (home.root / "gallery" / "index.html").read_text(encoding="utf-8")
    with pytest.raises(HoldsWithdrawn, match="The owner asks for it"):
        make_copaintings(home, CANVAS, PROFILE, paint=paint)
    with pytest.raises(HoldsWithdrawn, match="The owner asks for it"):
        publish_canvas(home, CANVAS, PROFILE)


def test_whom_the_canvas_names_by_now_does_not_hide_what_is_published(site: Home, tmp_path: Path, quick: list) -> None:
    home = copied(site, Home(tmp_path / "home"))
    add_canvas(home, regions=[SAID["regions"][0]])  # nothing of c-painter any more
    assert home.members(CANVAS) == (A, B)
    assert painters_behind(home, CANVAS) == (A, B, C)
    assert CANVAS in sets_with(home, C)
    (home.canvas(VILLAGE) / "canvas.yaml").write_text("broken: [", encoding="utf-8")
    report, _ = withdraw_artwork(home, adapters_of(home)[C].scan_sha256s[0], "No longer free")
    assert f"{CANVAS} (in place)" in report.still_published
    publish_gallery(home, A, PROFILE)  # the next publication of anybody behind it takes it down
    assert not home.gallery(CANVAS).exists()


def test_an_expert_that_is_no_longer_fit_taints_the_canvas(site: Home, tmp_path: Path, quick: list) -> None:
    home = copied(site, Home(tmp_path / "home"))
    adapter = adapters_of(home)[B]
    unfit = Verdict(adapter_id=adapter.id, publish=False, by="person", reasons=("Too like the works",), figures={})
    file = home.evaluation(B) / adapter.id / "verdict.json"
    file.unlink()
    file.write_text(unfit.model_dump_json(), encoding="utf-8")
    with pytest.raises(NotPublished, match="Too like the works"):
        publish_canvas(home, CANVAS, PROFILE)
    assert published_version(home, CANVAS).painter == CANVAS  # what was published stays as it is


def test_dagster_makes_the_stages_of_a_canvas_and_dvc_names_them(
    painters: Home, tmp_path: Path, quick: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    from artmaster_pipeline.copainting import painting

    home = copied(painters, Home(tmp_path / "home"))
    unmeasured(monkeypatch)
    monkeypatch.setattr(painting, "paint_canvases", paint, raising=False)
    add_canvas(home)
    assert run_painter(home, CANVAS, only="copaintings").made == ("copaintings",)
    with pytest.raises(ArtMasterError, match="a person has to decide"):
        run_painter(home, CANVAS, only="canvas_gallery")
    decide_on_canvas(home, CANVAS, "publish", "Looked at", PROFILE)
    run_painter(home, CANVAS, only="copaintings")
    assert run_painter(home, CANVAS, only="canvas_gallery").made == ("canvas_gallery",)
    assert versioning.stale_stages(home, CANVAS) == ()
    stages = yaml.safe_load((home.root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert {f"copaintings--{CANVAS}", f"canvas_gallery--{CANVAS}"} <= set(stages)
    add_canvas(home, seeds=[4, 5])
    assert versioning.stale_stages(home, CANVAS) == ("copaintings",)
    add_canvas(home)
    assert versioning.stale_stages(home, CANVAS) == ()


def test_a_painter_who_is_renamed_keeps_a_place_on_the_canvas(site: Home, tmp_path: Path) -> None:
    home = copied(site, Home(tmp_path / "home"))
    rename_painter(home, B, "z-painter")
    assert home.members(CANVAS) == (A, C, "z-painter")
    assert published_version(home, CANVAS).painter == CANVAS
    (picture, *_) = sorted((home.gallery(CANVAS) / "pictures").glob("*.png"))
    answer = picture_lineage(home, picture)
    assert {state.painter for state in answer.adapters} == {A, C, "z-painter"}
    assert not any(CANVAS in finding.file for finding in verify(home).findings)


def test_a_painter_who_is_removed_leaves_the_canvas_published_and_answered_for(site: Home, tmp_path: Path) -> None:
    home = copied(site, Home(tmp_path / "home"))
    remove_painter(home, C)
    assert len(kept_versions(home, CANVAS)) == 1
    (picture, *_) = sorted((home.gallery(CANVAS) / "pictures").glob("*.png"))
    assert len(picture_lineage(home, picture).regions) == 3
    with pytest.raises(WrongUse, match=f"no painter '{C}'"):
        hands_at_work(home, CANVAS)
    listed = yaml.safe_load((home.root / "painters.yaml").read_text(encoding="utf-8"))
    assert CANVAS not in listed.get("canvases", ())


def test_a_canvas_whose_folder_is_gone_is_still_listed_verified_and_taken_down(site: Home, tmp_path: Path) -> None:
    home = copied(site, Home(tmp_path / "home"))
    shutil.rmtree(home.canvas(VILLAGE))
    assert not any(CANVAS in finding.file for finding in verify(home).findings)
    withdraw_artwork(home, adapters_of(home)[A].scan_sha256s[0], "No longer free", now=True)
    assert not home.gallery(CANVAS).exists()


def test_the_painting_itself_gives_the_stage_what_it_asks_for(
    shared: Any, trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, profile, adapter = trained
    experts = Home(shared("three-experts", lambda folder: three_experts(Home(folder), there, profile, adapter)))
    home = copied(experts, Home(tmp_path / "home"))
    unmeasured(monkeypatch)
    add_canvas(home)
    stage, profile = stage_named("copaintings"), partition_profile(home, CANVAS)
    done = make(home, stage, CANVAS, SILENT)
    assert done.made == len(done.records) == 4
    drawn = [record for record in done.records if record.column == "adapter"]
    assert [of.id for of in drawn[0].regions] == ["ground", "rock", "river"]
    assert sum(of.share for of in drawn[0].regions) == pytest.approx(1, abs=0.001)
    assert {(record.prompt, record.seed) for record in done.records} == {(SAID["prompt"], 0), (SAID["prompt"], 1)}
    assert stage.function()(home, CANVAS, profile, **stage.lent()).made == 0


def test_the_map_shows_each_region_in_its_kinds_colour_at_any_size() -> None:
    regions = (
        Region(id="ground", adapters={A: "0"}),
        Region(id="rock", adapters={B: "1"}, kind="rock", label=1),
        Region(id="river", adapters={C: "2"}, kind="water", label=2),
    )
    for size in ((512, 512), (300, 300)):
        shown = mapped(labels(), regions, size, None)
        assert shown.shape == (size[1], size[0], 3)
        assert tuple(shown[2, 2]) == (128, 128, 128)
        assert tuple(shown[size[1] // 4, size[0] // 8]) == (120, 75, 40)
        assert tuple(shown[int(size[1] * 0.6), int(size[0] * 0.9)]) == (20, 70, 200)
    picture = np.full((512, 512, 3), 255, np.uint8)
    over = mapped(labels(), regions, (512, 512), picture)
    assert np.array_equal(over[:80], picture[:80])


@pytest.mark.parametrize("name", ["index.html", "index.zh.html"])
def test_the_page_of_a_canvas_is_whole_in_every_window_and_breaks_no_rule_of_accessibility(
    browser: Any, site: Home, name: str
) -> None:
    file = site.gallery(CANVAS) / name
    with Visit(browser, file) as visit:
        visit.load_all()
        for width, scheme in VIEWS:
            page = visit.looked_at(width, scheme).page
            assert page.evaluate("document.documentElement.scrollWidth") <= width, width
            assert page.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")
        assert visit.wrong == []
        for width, scheme in VIEWS:
            assert rules_broken(visit.looked_at(width, scheme).page) == "", (width, scheme)
        for link in visit.page.evaluate("[...document.links].map(link => link.getAttribute('href'))"):
            assert visit.page.query_selector(link) if link.startswith("#") else (file.parent / link).is_file(), link


def test_the_viewer_lays_the_map_over_the_picture(browser: Any, site: Home) -> None:
    with Visit(browser, site.gallery(CANVAS) / "index.html") as visit:
        page = visit.page
        page.click('[data-open="1"] >> nth=0')
        page.wait_for_selector("#viewer .layers button[aria-pressed=true]")
        pressed = '#viewer .layers button[aria-pressed="true"]'
        assert page.inner_text(pressed) == "Map over the picture"
        assert "numbered regions" in page.inner_text("#viewer-caption")
        page.click("#viewer .layers button >> nth=0")
        page.wait_for_selector('#viewer .layers button[aria-pressed="true"]:text-is("Picture")')
        assert visit.wrong == []


def test_the_command_line_names_a_canvas_as_it_names_a_set(site: Home, tmp_path: Path) -> None:
    from forked import artmaster

    home = copied(site, Home(tmp_path / "home"))
    told = artmaster("gate", CANVAS, "--json", "--home", str(home.root))
    assert json.loads(told.stdout)["by"] == "person"
    kept = artmaster("gate", CANVAS, "--reject", "--reason", "Not any more", "--home", str(home.root))
    assert f"Canvas {VILLAGE}" in kept.stdout
    with pytest.raises(NotPublished, match="Not any more"):
        publish_canvas(home, CANVAS, PROFILE)
    unknown = artmaster("run", "canvas_nowhere", "--home", str(home.root), check=False)
    assert unknown.returncode != 0
    assert "canvases/nowhere/canvas.yaml" in unknown.stderr

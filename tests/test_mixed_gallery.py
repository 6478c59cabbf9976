"""The mixed gallery of three painters: drawn, measured, judged, published, answered for, and taken down again."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from browsing import VIEWS, Visit, rules_broken
from mixed_painters import PROFILE, SET, THREE_HANDS, A, B, C, quick_mixing, three_published, unmeasured, write_mixes
from PIL import Image
from small_archive import copied

from artmaster_pipeline import versioning
from artmaster_pipeline.adapters.finding import current_adapter
from artmaster_pipeline.errors import HoldsWithdrawn, NotPublished, WrongUse
from artmaster_pipeline.evaluation.verdicts import last_verdict
from artmaster_pipeline.experts.publishing import publish_mixes
from artmaster_pipeline.experts.samples import decide_on_mix, draw_mixes, mix_called
from artmaster_pipeline.gallery.provenance import read_provenance
from artmaster_pipeline.lineage import adapter_lineage, artwork_lineage, picture_lineage, verify
from artmaster_pipeline.lineage.index import index_file
from artmaster_pipeline.orchestration.painters import rename_painter
from artmaster_pipeline.orchestration.run import run_painter
from artmaster_pipeline.publishing import publish_gallery
from artmaster_pipeline.publishing.publish import kept_versions, published_version
from artmaster_pipeline.publishing.signing import _ingredients
from artmaster_pipeline.publishing.targets import copy_gallery
from artmaster_pipeline.publishing.verify import verify_picture
from artmaster_pipeline.records import MANIFEST, Sample, TrainingImage, Verdict, read_manifest
from artmaster_pipeline.settings import Home, load_painter, save_painter
from artmaster_pipeline.withdrawal import impact_of, withdraw_artwork

WAY = {"from": A, "to": B, "steps": 3, "prompts": ["a river"], "seeds": [5]}


def as_json(answer: Any) -> dict:
    return dict(json.loads(answer.model_dump_json()))


@pytest.fixture(scope="module")
def painters(shared: Any) -> Home:
    """Three painters with published galleries; look, but do not write."""
    return Home(shared("three-published", lambda folder: three_published(Home(folder))))


@pytest.fixture(scope="module")
def mixed(shared: Any, painters: Home) -> Home:
    """The same after the mixes of all three were drawn and published; look, but do not write."""

    def make(folder: Path) -> None:
        folder.rmdir()  # which the copy makes
        home = copied(painters, Home(folder))
        with pytest.MonkeyPatch.context() as patch:
            quick_mixing(patch)
            unmeasured(patch)
            write_mixes(home, three_hands=THREE_HANDS, way=WAY, evenly=_of_three("uniform"))
            draw_mixes(home, SET, PROFILE)
            for name in ("three-hands", "evenly"):
                decide_on_mix(home, SET, name, "publish", "A person looked at all of them", PROFILE)
            publish_mixes(home, SET, PROFILE)

    return Home(shared("mixed", make))


def _of_three(gate: str) -> dict[str, Any]:
    return {"painters": [A, B, C], "prompts": ["a river", "a hill"], "gate": gate}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, bool]]:
    return quick_mixing(monkeypatch)


def test_each_mix_is_drawn_measured_and_judged_once(painters: Home, tmp_path: Path, quick: list) -> None:
    home = copied(painters, Home(tmp_path / "home"))
    with pytest.raises(WrongUse, match="has no mix of just"):
        draw_mixes(home, SET, PROFILE)
    write_mixes(home, three_hands=THREE_HANDS, way=WAY)
    done = draw_mixes(home, SET, PROFILE)
    assert done.made == len(done.records) == 8
    assert {record.mix for record in done.records} == {"three-hands"}  # the way is of a set of two
    adapters = [current_adapter(home, painter) for painter in (A, B, C)]
    heard = {"; ".join(f"{painter} style, {prompt}" for painter in (A, B, C)) for prompt in THREE_HANDS["prompts"]}
    assert {prompt for prompt, _, mixed in quick if mixed} == heard
    assert {prompt for prompt, _, mixed in quick if not mixed} == set(THREE_HANDS["prompts"])
    for record in done.records:
        if record.column == "adapter":
            assert record.adapter_ids == tuple(adapter.id for adapter in adapters if adapter)
            assert record.gates["shares"][C]["brush"] == 1
    mix = mix_called(home, SET, "three-hands")
    panel = json.loads((home.evaluation(SET) / mix.key / "panel.json").read_text())
    assert panel["memorisation"]["pictures"] == 4
    assert set(panel["nearest"]) == {"composition", "colour", "brush"}
    assert set(panel["nearest"]["brush"]) == {A, B, C}
    assert panel["counts"]["train_works"] == 6
    again = draw_mixes(home, SET, PROFILE)
    assert (again.made, again.hash) == (0, done.hash)


def test_a_mix_that_copies_a_work_of_any_painter_is_not_published(
    painters: Home, tmp_path: Path, quick: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    from artmaster_pipeline.generation import sampling

    home = copied(painters, Home(tmp_path / "home"))
    write_mixes(home, three_hands=THREE_HANDS)
    rows = read_manifest(home.training_set(C) / MANIFEST, TrainingImage)
    work = next(row for row in rows if row.split == "train" and row.height == 512)
    with Image.open(home.training_set(C) / work.path) as image:
        pixels = np.asarray(image.convert("RGB").resize((128, 128), Image.Resampling.LANCZOS))
    monkeypatch.setattr(sampling, "draw_embedded", lambda pipe, texts, *_: [pixels] * len(texts))
    draw_mixes(home, SET, PROFILE)
    with pytest.raises(NotPublished, match="samples look like a training work"):
        publish_mixes(home, SET, PROFILE)
    assert not home.gallery(SET).exists()


def test_a_person_may_decide_and_is_named(mixed: Home) -> None:
    mix = mix_called(mixed, SET, "three-hands")
    verdict = last_verdict(mixed.evaluation(SET) / mix.key)
    assert verdict is not None
    assert (verdict.publish, verdict.by, verdict.adapter_id) == (True, "person", mix.key)


def test_the_site_shows_the_mixes_who_has_which_part_and_all_works(mixed: Home) -> None:
    site = mixed.gallery(SET)
    page = (site / "index.html").read_text(encoding="utf-8")
    for said in (f"composition by {A}; colour by {B}; brush by {C}", "experts-by-weights.svg", "uniform gate"):
        assert said in page
    records = read_manifest(site / MANIFEST, Sample)
    assert len(records) == 8
    assert all(record.enlarged_by and (site / record.path).is_file() for record in records)
    provenance = json.loads((site / "provenance.json").read_text(encoding="utf-8"))
    adapters = [current_adapter(mixed, painter) for painter in (A, B, C)]
    assert set(provenance["adapters"]) == {adapter.id for adapter in adapters if adapter}
    works = sorted(sha256 for adapter in adapters if adapter for sha256 in adapter.scan_sha256s)
    for traced in provenance["pictures"].values():
        assert traced["scans"] == works
        assert traced["gates"]["adapters"][B] == adapters[1].id  # type: ignore[union-attr]
    for work in works:
        assert work[:12] in page
    (first, *_) = records
    behind = read_provenance(mixed, adapters[0], records)  # type: ignore[arg-type]
    ingredients = _ingredients(first, behind)  # what content credentials name
    assert [each.title.rsplit(maxsplit=1)[-1] for each in ingredients[1:4]] == [a.id for a in adapters if a]
    assert ingredients[4].title == "6 artworks"
    for name in ("index.html", "index.zh.html"):
        over = (site.parent / name).read_text(encoding="utf-8")
        assert f"{SET}/{name}" in over
        assert " × " in over


def test_the_strictest_painter_decides_which_works_are_shown(
    painters: Home, tmp_path: Path, quick: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = copied(painters, Home(tmp_path / "home"))
    unmeasured(monkeypatch)
    write_mixes(home, way=WAY)
    pair = f"{A}--{B}"
    draw_mixes(home, pair, PROFILE)
    decide_on_mix(home, pair, "way", "publish", "Looked at", PROFILE)
    publish_mixes(home, pair, PROFILE)
    site = home.gallery(pair)
    assert any((site / "works").iterdir())
    assert len(list((site / "strips").glob("*.png"))) == 3
    rows = read_manifest(site / MANIFEST, Sample)
    assert sorted(len(row.adapter_ids) for row in rows) == [1, 1, 2]
    (home.scans(B) / "painter.yaml").unlink()
    save_painter(home, B, load_painter(painters, B).model_copy(update={"show_works": "none"}))
    publish_mixes(home, pair, PROFILE)
    assert not (site / "works").exists()
    assert len(kept_versions(home, pair)) == 2


def test_a_mixed_picture_leads_to_all_experts_and_works_and_back(mixed: Home, tmp_path: Path) -> None:
    home = copied(mixed, Home(tmp_path / "home"))
    (picture, *_) = sorted((home.gallery(SET) / "pictures").glob("*.png"))
    verified = verify_picture(picture, home)
    assert verified.state == "intact"
    assert any("Gates: composition by" in line or "Gates: uniform" in line for line in verified.lines())
    answer = picture_lineage(home, picture)
    assert answer.recognised_by == "metadata"
    assert [state.painter for state in answer.adapters] == [A, B, C]
    assert len(answer.artworks) == 6
    adapters = [current_adapter(home, painter) for painter in (A, B, C)]
    assert answer.picture is not None
    for adapter in adapters:
        assert adapter is not None
        assert answer.picture.id in {sample.id for sample in adapter_lineage(home, adapter.id).samples}
        used = artwork_lineage(home, adapter.scan_sha256s[0])
        assert answer.picture.id in {sample.id for sample in used.published}
    indexed = as_json(artwork_lineage(home, adapters[2].scan_sha256s[0]))  # type: ignore[union-attr]
    index_file(home).unlink()
    index_file(home).parent.chmod(0o500)
    try:
        assert as_json(artwork_lineage(home, adapters[2].scan_sha256s[0])) == indexed  # type: ignore[union-attr]
    finally:
        index_file(home).parent.chmod(0o700)


def test_verify_finds_what_was_changed_in_a_mixed_gallery(mixed: Home, tmp_path: Path) -> None:
    from sharing import unlinked

    home = copied(mixed, Home(tmp_path / "home"))
    before = {finding.file for finding in verify(home).findings}
    assert not any(SET in file for file in before)
    (picture, *_) = sorted((home.evaluation(SET)).glob("*/samples/*.png"))
    unlinked(picture).write_bytes(picture.read_bytes()[:-1])
    provenance = unlinked(home.gallery(SET) / "provenance.json")
    provenance.write_text(provenance.read_text(encoding="utf-8").replace("trained_on", "trained_0n"), encoding="utf-8")
    found = {finding.file for finding in verify(home).findings} - before
    assert found == {picture.relative_to(home.root).as_posix(), f"gallery/{SET}/provenance.json"}


def test_a_withdrawn_work_of_one_painter_takes_the_mixed_gallery_down(mixed: Home, tmp_path: Path, quick: list) -> None:
    home = copied(mixed, Home(tmp_path / "home"))
    copy_gallery(home, SET, str(tmp_path / "elsewhere"))
    adapter = current_adapter(home, B)
    assert adapter is not None
    work = adapter.scan_sha256s[0]
    impact = impact_of(home, work)
    assert {(mix.partition, mix.name) for mix in impact.mixes} == {(SET, "three-hands"), (SET, "evenly")}
    assert SET in {gallery.painter for gallery in impact.galleries}
    report, page = withdraw_artwork(home, work, "The owner asks for it", now=True)
    assert not home.gallery(SET).exists()
    assert not (tmp_path / "elsewhere" / SET / "index.html").exists()
    assert not any("--" in said for said in report.still_published)
    assert "three-hands" in page.read_text(encoding="utf-8")
    assert f"{SET}/index.html" not in (home.root / "gallery" / "index.html").read_text(encoding="utf-8")
    for again in (draw_mixes, publish_mixes):
        with pytest.raises(HoldsWithdrawn, match="The owner asks for it"):
            again(home, SET, PROFILE)


def test_without_now_the_next_publication_of_any_member_takes_it_down(mixed: Home, tmp_path: Path, quick: list) -> None:
    home = copied(mixed, Home(tmp_path / "home"))
    adapter = current_adapter(home, C)
    assert adapter is not None
    report, _ = withdraw_artwork(home, adapter.scan_sha256s[0], "No longer free")
    assert f"{SET} (in place)" in report.still_published
    publish_gallery(home, A, PROFILE)
    assert not home.gallery(SET).exists()


def test_an_expert_that_is_no_longer_published_taints_its_mixes(mixed: Home, tmp_path: Path, quick: list) -> None:
    home = copied(mixed, Home(tmp_path / "home"))
    adapter = current_adapter(home, A)
    assert adapter is not None
    unfit = Verdict(adapter_id=adapter.id, publish=False, by="person", reasons=("Too like the works",), figures={})
    file = home.evaluation(A) / adapter.id / "verdict.json"
    file.unlink()
    file.write_text(unfit.model_dump_json(), encoding="utf-8")
    with pytest.raises(NotPublished, match="Too like the works"):
        publish_mixes(home, SET, PROFILE)
    assert published_version(home, SET).painter == SET  # what was published stays as it is


def test_dagster_makes_the_stages_of_a_set_and_dvc_names_them(
    painters: Home, tmp_path: Path, quick: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = copied(painters, Home(tmp_path / "home"))
    unmeasured(monkeypatch)
    pair = f"{A}--{B}"
    write_mixes(home, way=WAY)
    run_painter(home, pair, only="mixed_samples")
    decide_on_mix(home, pair, "way", "publish", "Looked at", PROFILE)
    run_painter(home, pair, only="mixed_samples")
    assert run_painter(home, pair, only="mixed_gallery").made == ("mixed_gallery",)
    mine = {"mixed_samples", "mixed_gallery"}
    assert not mine & set(versioning.stale_stages(home, pair))
    stages = yaml.safe_load((home.root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert {f"mixed_gallery--{pair}", f"mixed_samples--{pair}"} <= set(stages)
    write_mixes(home, way=WAY | {"seeds": [6]}, other=_of_three("uniform"))
    assert mine & set(versioning.stale_stages(home, pair)) == {"mixed_samples"}
    write_mixes(home, way=WAY, other=_of_three("uniform"))  # a mix of other painters is none of this set's business
    assert not mine & set(versioning.stale_stages(home, pair))


def test_a_painter_who_is_renamed_keeps_a_place_in_mixed_galleries(mixed: Home, tmp_path: Path) -> None:
    home = copied(mixed, Home(tmp_path / "home"))
    rename_painter(home, B, "z-painter")
    renamed = f"{A}--{C}--z-painter"
    assert published_version(home, renamed).painter == renamed
    assert not home.gallery(SET).exists()
    (picture, *_) = sorted((home.gallery(renamed) / "pictures").glob("*.png"))
    answer = picture_lineage(home, picture)
    assert {state.painter for state in answer.adapters} == {A, C, "z-painter"}
    assert answer.picture is not None
    assert answer.picture.state == "published"
    assert not any("--" in finding.file for finding in verify(home).findings)


@pytest.mark.parametrize("name", ["index.html", "index.zh.html"])
def test_the_page_of_mixes_is_whole_in_every_window_and_breaks_no_rule_of_accessibility(
    browser: Any, mixed: Home, name: str
) -> None:
    file = mixed.gallery(SET) / name
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

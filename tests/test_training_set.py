"""The stage training_set: crops become captioned pictures, each work on one side of the split, nothing made twice."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from training_home import PAINTER, fill_home, tiny_profile, write_thumbnail

from artmaster_pipeline.dataset import build_training_set
from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import MANIFEST, Crop, Scan, TrainingImage, read_manifest, write_manifest
from artmaster_pipeline.settings import Home


def build(home: Home, **changes):
    return build_training_set(home, PAINTER, tiny_profile(Path("unused"), **changes))


def manifest_bytes(home: Home) -> bytes:
    return (home.training_set(PAINTER) / MANIFEST).read_bytes()


def test_every_crop_becomes_a_picture_of_exactly_its_size_with_trigger_and_part(home):
    outcome = build(fill_home(home, works=10))
    assert len(outcome.records) == outcome.made == 20
    for row in outcome.records:
        file = home.training_set(PAINTER) / row.path
        assert sha256_of(file) == row.sha256
        assert Image.open(file).size == (row.width, row.height)
        assert row.caption.startswith("wangximeng style")
        assert row.caption_source == "artworks.csv"
    assert {row.split for row in outcome.records} == {"train", "validate", "held_out"}
    assert read_manifest(outcome.manifest, TrainingImage) == outcome.records


def test_both_crops_of_a_work_are_on_the_same_side(home):
    sides = {}
    for row in build(fill_home(home, works=8)).records:
        sides.setdefault(row.scan_sha256, set()).add(row.split)
    assert all(len(side) == 1 for side in sides.values())


def test_only_crops_whose_scan_lacked_detail_are_drawn_again_by_the_network(home):
    fill_home(home, works=2, small=1)
    outcome = build(home)
    crops = {crop.id: crop for crop in read_manifest(home.crops(PAINTER) / MANIFEST, Crop)}
    for row in outcome.records:
        crop = crops[row.crop_id]
        restored = crop.source_scale < 1
        assert bool(row.enlarged_by) == restored
        assert (row.sha256 != crop.sha256) == restored
    assert outcome.figures["enlarged pictures"] == 2


def test_a_second_run_makes_nothing_and_changes_no_byte(home):
    build(fill_home(home))
    before = manifest_bytes(home)
    again = build(home)
    assert (again.made, again.reused) == (0, 10)
    assert manifest_bytes(home) == before


def test_a_damaged_picture_is_made_again_and_a_stranger_is_removed(home):
    first = build(fill_home(home))
    before = manifest_bytes(home)
    images = home.training_set(PAINTER) / "images"
    (home.training_set(PAINTER) / first.records[0].path).write_bytes(b"torn")
    (images / "stranger.png").write_bytes(b"who")
    (images / ".partial-killed.png").write_bytes(b"half")
    assert build(home).made == 1
    assert manifest_bytes(home) == before
    assert len(list(images.iterdir())) == len(first.records)


def test_a_run_that_was_killed_before_its_manifest_ends_in_the_same_records(home, tmp_path):
    build(fill_home(home))
    broken = fill_home(Home(tmp_path / "broken"))
    build(broken)
    (broken.training_set(PAINTER) / MANIFEST).unlink()
    build(broken)
    assert manifest_bytes(broken) == manifest_bytes(home)


def test_a_new_caption_changes_the_row_but_makes_no_picture_again(home):
    build(fill_home(home))
    register = home.register(PAINTER) / MANIFEST
    scans = read_manifest(register, Scan)
    write_manifest(register, [scan.model_copy(update={"subject": "waterfall"}) for scan in scans])
    outcome = build(home)
    assert outcome.made == 0
    assert all("waterfall" in row.caption for row in outcome.records)


def retell(home: Home, *known: dict[str, str]) -> None:
    """Let the register know something else about its scans, by the numbers in their names."""
    register = home.register(PAINTER) / MANIFEST
    scans = sorted(read_manifest(register, Scan), key=lambda scan: int(Path(scan.path).stem))
    write_manifest(register, [scan.model_copy(update=new) for scan, new in zip(scans, known, strict=True)])


def test_what_all_works_say_is_left_out_of_every_part_and_named(home):
    fill_home(home, works=12)
    seen = [
        "boats",
        "rain",
        "pines",
        "a temple",
        "geese",
        "snow",
        "a ford",
        "a cave",
        "a hut",
        "fog",
        "plums",
        "a cliff",
    ]
    retell(home, *({"caption": f"{one}, ink on paper"} for one in seen))
    said = []
    outcome = build_training_set(home, PAINTER, tiny_profile(Path("unused")), Progress(said.append))
    assert {row.caption for row in outcome.records} == {f"wangximeng style, {one}" for one in seen}
    assert outcome.figures["left out of every caption"] == ["ink on paper"]
    assert any("'ink on paper'" in line and "column `subject`" in line for line in said)
    before = manifest_bytes(home)
    assert build(home).made == 0
    assert manifest_bytes(home) == before


def test_two_scans_of_one_artwork_count_once_in_what_all_works_say(home):
    fill_home(home, works=8)
    captions = [{"caption": f"{one}, signed"} for one in ["boats", "rain", "pines", "geese", "snow", "fog", "plums"]]
    retell(home, *captions, {"caption": "plums in a vase, signed"})
    assert build(home).figures["left out of every caption"] == ["signed"]
    show_the_same(home, 6, 7)
    (home.cache / "near_duplicates" / f"{PAINTER}.json").unlink()
    shutil.rmtree(home.training_set(PAINTER))
    outcome = build(home)
    assert "left out of every caption" not in outcome.figures
    assert all(row.caption.endswith(", signed") for row in outcome.records)


class SaysTheSameOfAll:
    """A captioning model that counts how often it is asked."""

    asked = 0

    def __init__(self, profile, home) -> None:
        self.name = profile.captioner

    def describe(self, picture, facts) -> str:
        SaysTheSameOfAll.asked += 1
        return f"a painting of colour {picture.mean(axis=(0, 1)).round().astype(int).sum()}x and stones"


def test_what_a_model_said_is_kept_in_full_so_that_later_works_are_measured_by_it(home, monkeypatch):
    monkeypatch.setattr("artmaster_pipeline.dataset.captioners.loading.VisionLanguageCaptioner", SaysTheSameOfAll)
    monkeypatch.setattr(SaysTheSameOfAll, "asked", 0)

    def tell(works: int):
        fill_home(home, works)
        retell(home, *({"title": str(n), "season": ""} for n in range(works)))
        return build(home, captioner="says-the-same").records

    assert not any("painting" in row.caption or "stones" in row.caption for row in tell(8))
    assert SaysTheSameOfAll.asked == 16
    first = manifest_bytes(home)
    tell(8)
    assert (SaysTheSameOfAll.asked, manifest_bytes(home)) == (16, first)
    rows = tell(10)
    assert SaysTheSameOfAll.asked == 20
    assert not any("painting" in row.caption or "stones" in row.caption for row in rows)
    assert {row.caption_source for row in rows} == {"says-the-same"}


def test_new_scans_leave_the_old_split_alone(home):
    before = {row.id: row.split for row in build(fill_home(home, works=4)).records}
    after = {row.id: row.split for row in build(fill_home(home, works=12)).records}
    assert {name: after[name] for name in before} == before


def show_the_same(home: Home, *works: int) -> None:
    """Let the register show one artwork for several works, each scanned at a size of its own."""
    scans = {scan.path: scan for scan in read_manifest(home.register(PAINTER) / MANIFEST, Scan)}
    shown = home.crops(PAINTER) / "images" / f"{works[0]}-768.png"
    for work in works[1:]:
        smaller = home.root / f"{work}.png"
        with Image.open(shown) as picture:
            picture.resize((200 - work, 300)).save(smaller)
        write_thumbnail(home, scans[f"{work}.png"], smaller)


def test_two_scans_of_one_artwork_are_one_work_on_one_side(home):
    show_the_same(fill_home(home, works=6), 1, 4)
    outcome = build(home)
    names = {scan.sha256: scan.path for scan in read_manifest(home.register(PAINTER) / MANIFEST, Scan)}
    works = {}
    for row in outcome.records:
        works.setdefault(row.work, set()).add((names[row.scan_sha256], row.split))
    together = [work for work in works.values() if len(work) > 1]
    assert [sorted(path for path, _ in work) for work in together] == [["1.png", "4.png"]]
    assert len({part for _, part in together[0]}) == 1
    assert outcome.figures["further scans of a work"] == 1
    assert sum(outcome.figures[f"{part} works"] for part in ("train", "validate", "held-out")) == 5


def test_near_duplicates_that_were_parted_before_stay_where_they_are_and_are_named(home):
    first = build(fill_home(home, works=6)).records
    names = {scan.sha256: scan.path for scan in read_manifest(home.register(PAINTER) / MANIFEST, Scan)}
    (held_out,) = {row.scan_sha256 for row in first if row.split == "held_out"}
    trained = next(row.scan_sha256 for row in first if row.split == "train")
    show_the_same(home, *(int(Path(names[sha256]).stem) for sha256 in (held_out, trained)))
    (home.cache / "near_duplicates" / f"{PAINTER}.json").unlink()
    said = []
    outcome = build_training_set(home, PAINTER, tiny_profile(Path("unused")), Progress(said.append))
    assert outcome.records == first
    (named,) = outcome.figures["near-duplicates in different parts"]
    assert set(named) == {f"{names[held_out]} (held_out)", f"{names[trained]} (train)"}
    assert any("keep one scan of each artwork" in line and names[held_out] in line for line in said)


def test_a_training_set_from_before_works_had_names_keeps_its_parts(home):
    first = build(fill_home(home, works=6))
    lines = [json.loads(line) for line in first.manifest.read_text().splitlines()]
    old = "".join(json.dumps({k: v for k, v in line.items() if k != "group"}) + "\n" for line in lines)
    first.manifest.write_text(old)
    assert build(home).records == first.records


@pytest.mark.parametrize(("works", "meaning"), [(3, "none is held out"), (6, "none is left to choose"), (12, "wide")])
def test_what_few_works_mean_for_the_figures_is_said(home, works, meaning):
    said = []
    outcome = build_training_set(fill_home(home, works), PAINTER, tiny_profile(Path("unused")), Progress(said.append))
    assert meaning in outcome.figures["what the parts mean"]
    assert outcome.figures["what the parts mean"] in said


def test_one_work_is_refused_with_the_way_out(home):
    with pytest.raises(WrongUse, match="Add scans"):
        build(fill_home(home, works=1))


def test_a_missing_crop_names_the_stage_to_run_again(home):
    fill_home(home)
    next((home.crops(PAINTER) / "images").iterdir()).unlink()
    with pytest.raises(ArtMasterError, match="run the stage curated_crops again"):
        build(home)

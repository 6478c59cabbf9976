"""The review list: what does not belong in a collection is flagged with score and reason, the rest is left alone."""

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from artmaster_pipeline.curation.area import PaintedArea
from artmaster_pipeline.curation.boxes import Box
from artmaster_pipeline.curation.look import Look
from artmaster_pipeline.curation.masks import Region, find_masks
from artmaster_pipeline.curation.review.features import Features, features
from artmaster_pipeline.curation.review.flags import flags_of, review_order, weight_of
from artmaster_pipeline.records import CuratedScan, Decision, Flag

MARKS = Path(__file__).parent.parent / "benchmarks" / "curation" / "marked.csv"
WORKS = 20  # of the sixty that belong
ONE_SERIES = "hiroshige"


def look(picture: Image.Image, side: int = 400) -> Look:
    from skimage.color import rgb2lab

    small = picture.convert("RGB")
    small.thumbnail((side, side))
    return Look(np.asarray(small), rgb2lab(np.asarray(small)).astype(np.float32), 1.0)


def area(of: Look, mask: np.ndarray | None = None) -> PaintedArea:
    height, width = of.rgb.shape[:2]
    return PaintedArea(0.0, Box(0, 0, width, height), np.ones((height, width), bool) if mask is None else mask)


def measured(picture: Image.Image) -> Features:
    seen = look(picture)
    return features(seen, area(seen), ())


def opened(file: Path) -> Image.Image:
    with Image.open(file) as picture:
        picture.draft("RGB", (400, 400))
        return picture.convert("RGB")


def flagged(of: dict[str, Features], **facts: dict[str, object]) -> dict[str, tuple[Flag, ...]]:
    """The flags of scans by name; `facts` are what their records say besides, by name."""
    return flags_of([record(name, **facts.get(name, {})) for name in of], of)


def record(name: str, **facts: object) -> CuratedScan:
    return CuratedScan.model_validate({"id": name, "painter": "x", "scan_sha256": name, "area": (0, 0, 9, 9)} | facts)


def kinds(flags: Iterable[Flag]) -> set[str]:
    return {flag.kind for flag in flags}


@pytest.fixture(scope="module")
def archive(paintings: Path) -> dict[str, dict[str, Features]]:
    """Of a real archive: every other one of the works that belong, and the outliers."""
    folder, found = paintings / "huang-binhong", {"work": {}, "outlier": {}}  # type: ignore[var-annotated]
    with (folder / "MANIFEST.csv").open(encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    works = [row for row in rows if row["kind"] == "work"][:: 60 // WORKS]
    for row in works + [row for row in rows if row["kind"] == "outlier"]:
        found[row["kind"]][row["file"]] = measured(opened(folder / row["file"]))
    return found


def test_flowers_horses_and_calligraphy_stand_out_of_an_archive_of_landscapes(archive) -> None:
    found = flagged(archive["work"] | archive["outlier"])
    assert [name for name in archive["outlier"] if not found[name]] == []
    assert sum(bool(found[name]) for name in archive["work"]) <= WORKS // 10
    flowers = [found[name] for name in archive["outlier"] if "花" in name]
    assert all(of[0].kind == "another genre" and "flowers" in of[0].reason for of in flowers)
    (calligraphy,) = [found[name] for name in archive["outlier"] if "背面" in name]
    assert calligraphy[0].kind == "calligraphy"
    assert all(0 < flag.score <= 1 and flag.reason.endswith(".") for of in found.values() for flag in of)


def test_works_of_another_painter_stand_out_too(archive, paintings: Path) -> None:
    strangers = {f"stranger {file.stem}": file for file in sorted((paintings / ONE_SERIES).rglob("*.jpeg"))[:3]}
    found = flagged(archive["work"] | {name: measured(opened(file)) for name, file in strangers.items()})
    assert all(kinds(found[name]) & {"another hand", "another genre"} for name in strangers)


def test_a_collection_of_calligraphy_is_flagged_as_a_whole(paintings: Path) -> None:
    """The passages of writing on works that the readout of genres was not fitted to, black on white and as rubbings."""
    sheets = [sheet for sheet in passages(paintings) if min(sheet.size) >= 160][:5]
    looks = [look(sheet, 300) for sheet in [*sheets, ImageOps.invert(sheets[0])]]
    found = flagged(
        {str(place): features(seen, area(seen), find_masks(seen, area(seen))) for place, seen in enumerate(looks)}
    )
    assert sum("calligraphy" in kinds(of) for of in found.values()) >= 0.8 * len(found)
    assert "scans here" in next(flag for of in found.values() for flag in of if flag.kind == "calligraphy").reason


def passages(paintings: Path) -> Iterable[Image.Image]:
    with MARKS.open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            if row["kind"] == "inscription" and row["file"].startswith("huang-binhong"):
                with Image.open(paintings / row["file"]) as scan:
                    sides = zip(("left", "top", "right", "bottom"), scan.size * 2, strict=True)
                    yield scan.convert("RGB").crop(tuple(int(float(row[side]) * length) for side, length in sides))


def gained(*gains: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda pixels: pixels * np.array(gains)


CASTS = {
    "yellower": gained(1, 0.92, 0.7),
    "bluer": gained(0.66, 0.85, 1.05),
    "pale": lambda pixels: pixels * 0.4 + 140,
    "black and white": lambda pixels: pixels.mean(axis=2, keepdims=True).repeat(3, axis=2),
}


@pytest.mark.parametrize("cast", CASTS)
def test_a_cast_is_named(cast: str, prints, paintings: Path) -> None:
    pixels = CASTS[cast](np.asarray(opened(sorted((paintings / ONE_SERIES).rglob("*.jpeg"))[3]), np.float64))
    scan = measured(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)))
    (flag,) = [flag for flag in flagged(prints | {"cast": scan})["cast"] if flag.kind == "colour cast"]
    assert cast in flag.reason


@pytest.fixture(scope="module")
def prints(paintings: Path) -> dict[str, Features]:
    """Of one series, in many colours."""
    files = sorted((paintings / ONE_SERIES).rglob("*.jpeg"))[4:20]
    return {file.stem: measured(opened(file)) for file in files}


def test_nothing_stands_out_of_one_series_nor_of_mixed_leaves(prints, paintings: Path) -> None:
    assert sum(bool(of) for of in flagged(prints).values()) <= 2
    leaves = sorted((paintings / "artic-cc0").rglob("*.jpg"))[::4]
    found = flagged({file.stem: measured(opened(file)) for file in leaves})
    assert "another genre" not in {kind for of in found.values() for kind in kinds(of)}
    assert sum(bool(of) for of in found.values()) <= len(leaves) / 5


def test_among_seven_works_nothing_is_unusual_but_writing_is_writing(archive) -> None:
    names = [*list(archive["work"])[:5], *[name for name in archive["outlier"] if "背面" in name or "花" in name][-2:]]
    found = flagged({name: (archive["work"] | archive["outlier"])[name] for name in names})
    assert {kind for of in found.values() for kind in kinds(of)} == {"calligraphy"}


def test_other_scans_of_a_work_and_works_left_out_weigh_nothing(archive) -> None:
    stranger = next(name for name in archive["outlier"] if "春风" in name)
    works = archive["work"] | {stranger: archive["outlier"][stranger]}
    again = {f"again {number}": works[stranger] for number in range(20)}
    alone = flagged(works)
    copies = {name: {"duplicate_of": stranger} for name in again}
    out = {name: {"decisions": (Decision(what="leave out"),)} for name in again}
    for facts in (copies, out):
        found = flagged(works | again, **facts)
        assert {name: found[name] for name in works} == alone
    assert kinds(alone[stranger]) & {"another hand", "another genre"}


def test_doubt_and_blur_are_said_and_the_list_begins_with_the_heaviest() -> None:
    plain = measured(Image.effect_noise((200, 160), 40).convert("RGB"))
    scans = [record("a"), record("b", effective_scale=0.4), record("c", effective_scale=0.7), record("d")]
    found = flags_of(scans, {scan.id: plain for scan in scans[:3]}, {"a": "The left edge is faint."})
    assert set(found) == {"a", "b", "c"}
    own = {name: [flag for flag in of if flag.kind in ("border", "enlarged", "blurred")] for name, of in found.items()}
    assert [(flag.kind, flag.reason) for flag in own["a"]] == [("border", "The left edge is faint.")]
    assert [kinds(own[name]) for name in "bc"] == [{"enlarged"}, {"blurred"}]
    assert "40%" in own["b"][0].reason
    listed = review_order([scan.model_copy(update={"flags": tuple(own.get(scan.id, ()))}) for scan in scans])
    assert [scan.id for scan in listed] == ["b", "a", "c", "d"]
    assert weight_of(own["b"]) > weight_of(own["a"]) >= weight_of(own["c"]) > weight_of(()) == 0
    assert weight_of([*own["b"], *own["a"]]) > weight_of(own["b"])


def test_what_lies_around_a_fan_does_not_count() -> None:
    chance = np.random.default_rng(0).integers(0, 255, (160, 240, 3), dtype=np.uint8)
    mask = np.zeros((160, 240), bool)
    mask[30:130, 40:200] = True
    white, black = (Look(np.where(mask[..., None], chance, np.uint8(g)), np.zeros((1, 1, 3)), 1.0) for g in (255, 0))
    on_white, on_black = (features(one, area(one, mask), ()) for one in (white, black))
    assert on_white == on_black


def test_marks_in_inscriptions_are_counted() -> None:
    sheet = np.full((200, 200, 3), 235, np.uint8)
    sheet[20:180:6, 20:90:5] = 20
    seen = Look(sheet, np.zeros((1, 1, 3), np.float32), 1.0)
    region = Region("inscription", ((10, 10), (100, 10), (100, 190), (10, 190)), 1.0)
    assert features(seen, area(seen), (region,))["written"] > 0.95  # type: ignore[operator]
    assert features(seen, area(seen), ())["written"] == 0


def test_nothing_comes_of_nothing() -> None:
    assert flags_of([], {}) == {}
    assert flags_of([record("a")], {}) == {}

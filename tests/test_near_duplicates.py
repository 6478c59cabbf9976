"""Near-duplicates: two scans of one artwork are found, two artworks that resemble each other are kept apart."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from artmaster_pipeline.curation import near_duplicates as room
from artmaster_pipeline.curation.near_duplicates import better_scans, near_duplicates
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.records import Scan, identity
from artmaster_pipeline.sample_painters import write_scans
from artmaster_pipeline.settings import Home

PAINTER = "painter"


def register(home: Home, pictures: dict[str, Image.Image]) -> tuple[Scan, ...]:
    """The scans as the register has them: a record and a thumbnail of 256 pixels each."""
    thumbnails = home.register(PAINTER) / "thumbnails"
    thumbnails.mkdir(parents=True, exist_ok=True)
    scans = []
    for name, picture in pictures.items():
        sha256 = identity(name) * 4
        small = picture.convert("RGB")
        small.thumbnail((256, 256))
        small.save(thumbnails / f"{sha256[:16]}.jpg", quality=80)
        scans.append(
            Scan(
                id=sha256[:16], painter=PAINTER, path=name, sha256=sha256, bytes=1, width=picture.width,
                height=picture.height, format="JPEG", colour="sRGB",
            )
        )  # fmt: skip
    return tuple(scans)


def found(home: Home, scans: tuple[Scan, ...]) -> set[frozenset[str]]:
    names = {scan.sha256: scan.path for scan in scans}
    return {frozenset((names[a], names[b])) for a, b in near_duplicates(home, PAINTER, scans)}


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Image.Image]:
    """Eight works of a sample painter."""
    folder = tmp_path_factory.mktemp("painted")
    write_scans(folder, "ink", 8, seed=5)
    files = sorted(file for file in folder.iterdir() if file.suffix in {".jpg", ".png", ".tif"})
    return {file.name: Image.open(file).convert("RGB") for file in files}


def cropped(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    return picture.crop((width // 12, height // 20, width - width // 25, height - height // 12))


def tinted(picture: Image.Image) -> Image.Image:
    yellowed = np.asarray(picture) * np.array([1.0, 0.92, 0.7]) * 0.9 + 12
    return ImageEnhance.Contrast(Image.fromarray(yellowed.clip(0, 255).astype(np.uint8))).enhance(0.8)


def small(picture: Image.Image) -> Image.Image:
    return picture.resize((picture.width // 4, picture.height // 4))


def photographed(picture: Image.Image) -> Image.Image:
    """On a wall, in a thin frame, the camera not quite straight."""
    width, height = picture.size
    wall = Image.new("RGB", (width * 6 // 5, height * 6 // 5), (150, 140, 130))
    left, top = (wall.width - width) // 2, (wall.height - height) // 2
    ImageDraw.Draw(wall).rectangle((left - 8, top - 8, left + width + 8, top + height + 8), fill=(60, 40, 30))
    wall.paste(picture, (left, top))
    corners = (wall.width // 60, 0, 0, wall.height, wall.width, wall.height * 59 // 60, wall.width, wall.height // 70)
    return wall.transform(wall.size, Image.Transform.QUAD, corners, Image.Resampling.BICUBIC)


@pytest.mark.parametrize("again", [cropped, tinted, small, photographed, lambda picture: tinted(cropped(picture))])
def test_another_scan_of_a_work_is_joined_with_it_and_with_nothing_else(home, painted, again):
    name = sorted(painted)[2]
    scans = register(home, painted | {"again": again(painted[name])})
    assert found(home, scans) == {frozenset((name, "again"))}


def test_two_works_in_one_mounting_with_one_seal_are_two(home, painted):
    mounted = {}
    for name, picture in painted.items():
        sheet = Image.new("RGB", (420, 620), (205, 190, 160))
        draw = ImageDraw.Draw(sheet)
        draw.rectangle((8, 8, 411, 611), outline=(60, 50, 40), width=5)
        sheet.paste(picture.resize((340, 500)), (40, 60))
        draw.rectangle((345, 500, 372, 530), fill=(170, 30, 30))
        mounted[name] = sheet
    assert found(home, register(home, mounted)) == set()


def test_a_second_run_looks_at_no_thumbnail_and_finds_the_same(home, painted):
    name = sorted(painted)[0]
    scans = register(home, painted | {"again": tinted(painted[name])})
    first = near_duplicates(home, PAINTER, scans)
    for thumbnail in (home.register(PAINTER) / "thumbnails").iterdir():
        thumbnail.unlink()
    assert near_duplicates(home, PAINTER, scans) == first
    assert near_duplicates(home, PAINTER, scans[:-1]) == ()


def test_a_torn_memory_is_made_again(home, painted):
    scans = register(home, painted)
    near_duplicates(home, PAINTER, scans)
    (memory,) = (home.cache / "near_duplicates").iterdir()
    whole = memory.read_text()
    memory.write_text(whole[: len(whole) // 2])
    assert near_duplicates(home, PAINTER, scans) == ()
    assert memory.read_text() == whole


def test_a_missing_thumbnail_names_the_stage_to_run_again(home, painted):
    scans = register(home, painted)
    (home.register(PAINTER) / "thumbnails" / f"{scans[0].id}.jpg").unlink()
    with pytest.raises(ArtMasterError, match="run the stage raw_scans again"):
        near_duplicates(home, PAINTER, scans)


def test_all_pairs_are_compared_and_only_near_ones_named():
    chance = np.random.default_rng(0)
    hashes = chance.integers(0, 2**63, (500, 19), dtype=np.uint64)
    hashes[321, 0] = hashes[7, 13] ^ np.uint64(0b1011)
    assert room.near_pairs(hashes) == [(7, 321)]
    assert room.near_pairs(hashes[:1]) == room.near_pairs(hashes[:0]) == []


def registered_with_files(home: Home, pictures: dict[str, Image.Image], quality: int = 92) -> tuple[Scan, ...]:
    """The same, and the scans themselves."""
    scans = register(home, pictures)
    home.scans(PAINTER).mkdir(parents=True, exist_ok=True)
    sizes = {}
    for name, picture in pictures.items():
        file = home.scans(PAINTER) / name
        picture.save(file, "JPEG", quality=40 if "pressed" in name else quality)
        sizes[name] = file.stat().st_size
    return tuple(scan.model_copy(update={"bytes": sizes[scan.path]}) for scan in scans)


def kept(home: Home, scans: tuple[Scan, ...]) -> dict[str, str]:
    names = {scan.sha256: scan.path for scan in scans}
    return {names[lesser]: names[best] for lesser, best in better_scans(home, PAINTER, scans).items()}


def enlarged(picture: Image.Image) -> Image.Image:
    """With half as many pixels again as the scan, and a third of them worth having."""
    return small(picture).resize((picture.width * 3 // 2, picture.height * 3 // 2), Image.Resampling.BICUBIC)


def test_the_scan_with_the_most_detail_and_the_least_cast_stands_for_the_others(home, painted):
    work = painted[sorted(painted)[1]]
    lesser = {
        "small": small(work).resize((work.width // 2, work.height // 2)),
        "tinted": tinted(work),
        "cropped": cropped(work),
        "enlarged": enlarged(work),
        "pressed": work,
        "grey": work.convert("L").convert("RGB"),
    }
    scans = registered_with_files(home, {"best": work, "other": painted[sorted(painted)[4]]} | lesser)
    assert kept(home, scans) == dict.fromkeys(lesser, "best")


def test_another_lesser_scan_changes_no_choice_and_a_better_one_does(home, painted):
    work = painted[sorted(painted)[3]]
    parts = {"half": work.resize((work.width * 2 // 3, work.height * 2 // 3)), "tinted": tinted(work)}
    scans = registered_with_files(home, parts)
    (first,) = kept(home, scans).values()
    assert set(kept(home, registered_with_files(home, parts | {"tiny": small(work)})).values()) == {first}
    better = registered_with_files(home, parts | {"whole": work})
    assert kept(home, better) == dict.fromkeys(parts, "whole")
    for file in home.scans(PAINTER).iterdir():
        file.unlink()
    assert kept(home, better) == dict.fromkeys(parts, "whole")


def test_a_mirrored_picture_is_another_work(home, painted):
    work = painted[sorted(painted)[0]]
    scans = register(home, {"work": work, "mirrored": ImageOps.mirror(work)})
    assert better_scans(home, PAINTER, scans) == {}


def test_a_scan_of_a_group_that_is_gone_names_the_stage_to_run_again(home, painted):
    work = painted[sorted(painted)[0]]
    scans = registered_with_files(home, {"a": work, "b": tinted(work)})
    (home.scans(PAINTER) / "a").unlink()
    with pytest.raises(ArtMasterError, match="run the stage raw_scans again"):
        better_scans(home, PAINTER, scans)


@pytest.mark.slow
def test_of_three_hundred_paintings_exactly_the_known_pair_is_joined(home, paintings):
    """Prints of one series, album leaves in one mounting, and fans on white stay apart."""
    pictures, known = {}, set()
    for collection in ("huang-binhong", "hiroshige", "artic-cc0", "chinese-masters"):
        with (paintings / collection / "MANIFEST.csv").open(encoding="utf-8") as rows:
            for row in csv.DictReader(rows):
                pictures[row["file"]] = thumbnail_of(paintings / collection / row["file"])
                known |= {row["file"]} if "near-duplicate" in row["note"] else set()
    assert len(known) == 2
    assert found(home, register(home, pictures)) == {frozenset(known)}


def thumbnail_of(file: Path) -> Image.Image:
    with Image.open(file) as picture:
        picture.draft("RGB", (512, 512))
        small = picture.convert("RGB")
    small.thumbnail((256, 256))
    return small

"""The procedural painters: what a caption says is in the picture, and the same seed gives the same bytes."""

import csv
import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.sample_painters import (
    COMPOSITIONS,
    PALETTES,
    SEASONS,
    STYLES,
    SUBJECTS,
    TIMES_OF_DAY,
    WEATHERS,
    Scene,
    imagine,
    paint,
    write_scans,
)

SMALL = (96, 128)


def scene(style: str, **words: str) -> Scene:
    plain = Scene("layered mountains", "summer", "day", "clear", "towering", PALETTES[style][0], style)
    return replace(plain, **words)


def lightness(picture: np.ndarray) -> float:
    return float(picture.astype(float).mean())


def chroma(picture: np.ndarray) -> float:
    """Mean distance in Lab from the grey axis."""
    from skimage.color import rgb2lab

    return float(np.hypot(*np.moveaxis(rgb2lab(picture)[..., 1:], 2, 0)).mean())


def mean_over_seeds(measure, words: Scene, seeds: range = range(3)) -> float:
    return float(np.mean([measure(paint(words, seed, *SMALL)) for seed in seeds]))


# What is imagined and said


@pytest.mark.parametrize("style", STYLES)
def test_imagined_scenes_use_the_whole_vocabulary_and_are_the_same_for_the_same_seed(style: str) -> None:
    scenes = [imagine(seed, style) for seed in range(400)]
    assert scenes == [imagine(seed, style) for seed in range(400)]
    for field, words in (
        ("subject", SUBJECTS),
        ("season", SEASONS),
        ("time_of_day", TIMES_OF_DAY),
        ("weather", WEATHERS),
        ("composition", COMPOSITIONS),
        ("palette", PALETTES[style]),
    ):
        assert {getattr(each, field) for each in scenes} == set(words)
    assert not [each for each in scenes if (each.weather == "snow") and each.season != "winter"]
    assert not [each for each in scenes if (each.weather == "rain") and each.season == "winter"]


def test_a_caption_names_what_is_drawn_and_no_two_scenes_share_one() -> None:
    for style in STYLES:
        every = itertools.product(SUBJECTS, SEASONS, TIMES_OF_DAY, WEATHERS, COMPOSITIONS, PALETTES[style])
        captions = [Scene(*words, style).caption() for words in every]
        assert len(set(captions)) == len(captions)
    said = scene("ink", subject="a waterfall between cliffs", season="autumn", weather="rain").caption()
    assert said == "a waterfall between cliffs in autumn by day, rain, a towering view, wet black ink"
    assert scene("ink").caption(name_style=True) == "an ink wash painting of " + scene("ink").caption()


def test_a_word_outside_the_vocabulary_is_refused_with_the_words_to_choose_from() -> None:
    with pytest.raises(WrongUse, match=r"season 'monsoon' is not one of spring.*; palette 'neon'"):
        scene("ink", season="monsoon", palette="neon")
    with pytest.raises(WrongUse, match="choose one of emerald-and-ochre"):
        imagine(1, "fresco")


# What is painted


@pytest.mark.parametrize("style", STYLES)
def test_every_subject_is_painted_in_every_style_as_its_own_picture(style: str) -> None:
    pictures = [paint(scene(style, subject=subject), 3, *SMALL) for subject in SUBJECTS]
    for picture in pictures:
        assert picture.shape == (128, 96, 3)
        assert picture.dtype == np.uint8
        assert picture.astype(float).std() > 6
    for one, other in itertools.combinations(pictures, 2):
        assert np.abs(one.astype(float) - other).mean() > 2


@pytest.mark.parametrize("style", STYLES)
def test_the_same_seed_gives_the_same_pixels_and_another_seed_another_picture(style: str) -> None:
    first = paint(scene(style), 11, *SMALL)
    assert np.array_equal(first, paint(scene(style), 11, *SMALL))
    assert np.abs(first.astype(float) - paint(scene(style), 12, *SMALL)).mean() > 2


@pytest.mark.parametrize("style", ["emerald-and-ochre", "ink", "woodblock", "airbrush"])
@pytest.mark.parametrize("subject", ["layered mountains", "a branch with a bird", "a village by a river"])
def test_a_larger_picture_is_the_same_picture_with_finer_strokes(style: str, subject: str) -> None:
    words = scene(style, subject=subject)
    small = Image.fromarray(paint(words, 5, 128, 192)).convert("L")
    large = Image.fromarray(paint(words, 5, 640, 960)).convert("L")
    small, large = (np.asarray(each.resize((32, 48), Image.Resampling.BOX), float) for each in (small, large))
    assert np.corrcoef(small.ravel(), large.ravel())[0, 1] > 0.96


@pytest.mark.parametrize("style", STYLES)
def test_night_is_darker_than_day_and_has_a_moon(style: str) -> None:
    for subject in ("islands in still water", "bamboo"):
        day, night = (scene(style, subject=subject, time_of_day=time) for time in ("day", "night"))
        assert mean_over_seeds(lightness, night) < 0.75 * mean_over_seeds(lightness, day)
        sky = paint(night, 2, *SMALL)[:45].astype(float).mean(2)
        assert sky.max() > 190
        assert np.median(sky) < 150


@pytest.mark.parametrize("style", ["emerald-and-ochre", "woodblock", "oil", "gouache", "airbrush"])
def test_autumn_is_more_colourful_than_winter(style: str) -> None:
    autumn, winter = (scene(style, season=season) for season in ("autumn", "winter"))
    assert mean_over_seeds(chroma, autumn) > 1.25 * mean_over_seeds(chroma, winter)


@pytest.mark.parametrize("style", ["emerald-and-ochre", "woodblock", "ink"])
def test_the_seasons_of_one_picture_differ(style: str) -> None:
    pictures = [
        paint(scene(style, season=season, subject="a traveller under tall trees"), 4, *SMALL) for season in SEASONS
    ]
    for one, other in itertools.combinations(pictures, 2):
        assert np.abs(one.astype(float) - other).mean() > 2


def test_snow_whitens_the_land() -> None:
    def white(picture: np.ndarray) -> float:
        return float((picture[60:].min(2) > 205).mean())

    summer, winter = (scene("woodblock", season=season) for season in ("summer", "winter"))
    assert mean_over_seeds(white, winter) > mean_over_seeds(white, summer) + 0.1


@pytest.mark.parametrize("style", ["emerald-and-ochre", "ink", "woodblock"])
def test_mist_takes_contrast_from_the_middle_of_the_picture(style: str) -> None:
    def contrast(picture: np.ndarray) -> float:
        return float(picture[35:80].astype(float).mean(2).std())

    assert mean_over_seeds(contrast, scene(style, weather="mist")) < 0.9 * mean_over_seeds(contrast, scene(style))


def test_ink_has_almost_no_colour_and_the_other_styles_have() -> None:
    for subject in ("layered mountains", "a branch with a bird"):
        assert mean_over_seeds(chroma, scene("ink", subject=subject)) < 9
        for style in ("emerald-and-ochre", "woodblock"):
            assert mean_over_seeds(chroma, scene(style, subject=subject)) > 14


@pytest.mark.parametrize("subject", ["layered mountains", "bamboo", "a pine beside a rock", "a village by a river"])
def test_the_weight_lies_on_the_side_the_caption_says(subject: str) -> None:
    def right_share(picture: np.ndarray) -> float:
        edges = np.abs(np.diff(picture.astype(float).mean(2), axis=0))
        return float(edges[:, 48:].sum() / edges.sum())

    left, right = (scene("ink", subject=subject, composition=f"{side}-weighted") for side in ("left", "right"))
    assert mean_over_seeds(right_share, left) < 0.47
    assert mean_over_seeds(right_share, right) > 0.53


def test_sizes_that_cannot_be_painted_are_refused() -> None:
    for size in ((16, 128), (128, 9000)):
        with pytest.raises(WrongUse, match="each side must be 32 to 8192 pixels"):
            paint(scene("ink"), 1, *size)


# What is scanned


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    folder = tmp_path_factory.mktemp("archive")
    return folder, write_scans(folder, "woodblock", 6, 4)


def test_the_same_seed_gives_the_same_bytes(archive: tuple[Path, list[Path]], tmp_path: Path) -> None:
    folder, _ = archive
    again = write_scans(tmp_path, "woodblock", 2, 4)
    for path in again:
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_scans_that_are_there_are_kept_and_missing_ones_made_again(archive: tuple[Path, list[Path]]) -> None:
    folder, paths = archive
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}
    lost = paths[0]
    lost.unlink()
    assert write_scans(folder, "woodblock", 6, 4) == paths
    assert lost.read_bytes() == before[lost][1]
    assert [path.stat().st_mtime_ns for path in paths[1:]] == [before[path][0] for path in paths[1:]]
    assert not list(folder.glob(".partial-*"))


def test_scans_differ_in_size_and_shape_and_carry_a_profile(archive: tuple[Path, list[Path]]) -> None:
    _, paths = archive
    shapes, formats = set(), set()
    for path in paths:
        with Image.open(path) as scan:
            scan.load()
            assert scan.mode == "RGB"
            assert 1100 <= max(scan.size) <= 1800
            assert b"sRGB" in scan.info["icc_profile"] or b"s\x00R\x00G\x00B" in scan.info["icc_profile"]
            if scan.format == "JPEG":
                assert scan.getexif()[0x010F] == "ArtMaster"
            shapes.add(round(scan.width / scan.height, 1))
            formats.add(scan.format)
    assert len(shapes) >= 3
    assert {"JPEG", "PNG"} <= formats


def test_the_table_of_artworks_names_each_scan_and_says_its_scene(archive: tuple[Path, list[Path]]) -> None:
    folder, paths = archive
    with (folder / "artworks.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "file", "title", "accession_number", "date", "season", "subject", "caption", "rights"
    ]  # fmt: skip
    assert [folder / row["file"] for row in rows] == paths
    assert len({row["accession_number"] for row in rows}) == len(rows)
    for row in rows:
        assert row["season"] in SEASONS
        assert row["subject"] in SUBJECTS
        assert row["caption"].startswith(f"{row['subject']} in {row['season']} ")
        assert row["rights"].startswith("CC0")


def test_no_scans_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="at least one"):
        write_scans(tmp_path, "ink", 0, 1)


def test_importing_the_painters_loads_no_heavy_library() -> None:
    code = (
        "import sys, artmaster_pipeline.sample_painters;"
        "print([m for m in ('scipy', 'torch', 'skimage') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"

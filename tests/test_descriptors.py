"""What the panel's tone, brushwork and composition see, and what they do not."""

import csv
import io
import warnings
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from artmaster_pipeline.evaluation.axes import brushwork, composition, tone
from artmaster_pipeline.evaluation.axes.components import Component
from artmaster_pipeline.evaluation.axes.sets import in_painters_units
from artmaster_pipeline.sample_painters import imagine, paint

AXES = {"tone": tone, "brushwork": brushwork, "composition": composition}
COMPONENTS = [(axis, component) for axis, module in AXES.items() for component in module.COMPONENTS]
EACH_AXIS = pytest.mark.parametrize("axis", AXES.values(), ids=AXES)
EACH_COMPONENT = pytest.mark.parametrize(
    ("axis", "component"), COMPONENTS, ids=[f"{axis}-{component.name}" for axis, component in COMPONENTS]
)
WORKS = 8
SIDE = 128


@cache
def works(style: str = "ink") -> tuple[np.ndarray, ...]:
    """Works of one procedural painter, painted larger than they are measured."""
    return tuple(sized(paint(imagine(seed, style), seed, 256, 256)) for seed in range(WORKS))


def sized(picture: np.ndarray, filtered: Image.Resampling = Image.Resampling.LANCZOS) -> np.ndarray:
    return np.asarray(ImageOps.fit(Image.fromarray(picture), (SIDE, SIDE), filtered))


def components_between(axis: ModuleType, pictures: list[np.ndarray], painter: int) -> dict[Component, np.ndarray]:
    """The matrices of an axis, in the painter's own units; the first `painter` pictures are the painter's works."""
    mask = np.arange(len(pictures)) < painter
    described = axis.describe(pictures)
    plain = {component: component.pairwise(described[component.name], mask) for component in axis.COMPONENTS}
    return in_painters_units(plain, np.flatnonzero(mask))


def moved(axis: ModuleType, change, of: tuple[np.ndarray, ...] | None = None) -> dict[str, float]:
    """How far `change` moves works on each component and on the axis, in mean distances between two works."""
    unchanged = of or works()
    pictures = [*unchanged, *(change(work) for work in unchanged)]
    matrices = components_between(axis, pictures, WORKS)
    far = {c.name: float(np.diagonal(matrix[:WORKS, WORKS:]).mean()) for c, matrix in matrices.items()}
    return far | {"axis": float(np.mean(list(far.values())))}


# Changes of a picture


def to_lab(picture: np.ndarray) -> np.ndarray:
    from skimage.color import rgb2lab

    return rgb2lab(picture)


def from_lab(lab: np.ndarray) -> np.ndarray:
    from skimage.color import lab2rgb

    return lab2rgb(lab) * 255


def low_passed(picture: np.ndarray, sigma: float) -> np.ndarray:
    from skimage.filters import gaussian

    return gaussian(picture.astype(float), sigma, mode="reflect", channel_axis=-1)


def turned_hue(picture: np.ndarray, turn: float = np.pi / 3, chroma: float = 1.0) -> np.ndarray:
    """By `turn` around the grey axis of CIELAB."""
    lab = to_lab(picture)
    a, b = chroma * lab[..., 1], chroma * lab[..., 2]
    lab[..., 1], lab[..., 2] = a * np.cos(turn) - b * np.sin(turn), a * np.sin(turn) + b * np.cos(turn)
    return as_picture(from_lab(lab))


def as_picture(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def blurred(sigma: float):
    return lambda picture: as_picture(low_passed(picture, sigma))


def sharpened(picture: np.ndarray) -> np.ndarray:
    plain = picture.astype(float)
    return as_picture(plain + 0.5 * (plain - low_passed(picture, 1.0)))


def compressed(quality: int):
    def compress(picture: np.ndarray) -> np.ndarray:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file).convert("RGB"))

    return compress


def shuffled(picture: np.ndarray) -> np.ndarray:
    tiles = [tile for row in np.split(picture, 4) for tile in np.split(row, 4, axis=1)]
    order = np.random.default_rng(1).permutation(16)
    return np.concatenate([np.concatenate([tiles[order[4 * r + c]] for c in range(4)], axis=1) for r in range(4)])


def drawn(angle: float = 30.0, width: int = 3, seed: int = 0, paper: int = 235, ink: int = 40) -> np.ndarray:
    """Strokes of one direction, in degrees, and one width on paper."""
    sheet = Image.new("RGB", (4 * SIDE, 4 * SIDE), (paper,) * 3)
    pen, dice = ImageDraw.Draw(sheet), np.random.default_rng(seed)
    for x, y, turn in zip(*dice.uniform(0, 4 * SIDE, (2, 60)), dice.normal(angle, 12, 60), strict=True):
        dx, dy = 50 * np.cos(np.deg2rad(turn)), 50 * np.sin(np.deg2rad(turn))
        pen.line((x - dx, y - dy, x + dx, y + dy), fill=(ink,) * 3, width=4 * width)
    return sized(np.asarray(sheet))


def difference(axis: ModuleType, component: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    described = axis.describe([a, b])[component]
    return described[1] - described[0]


# Every component


@EACH_COMPONENT
def test_distances_are_symmetric_never_negative_and_zero_between_equal_pictures(
    axis: str, component: Component
) -> None:
    pictures = [*works(), works()[0].copy(), *works("woodblock")]
    described = AXES[axis].describe(pictures)
    assert set(described) == {one.name for one in AXES[axis].COMPONENTS}
    rows = described[component.name]
    distances = component.pairwise(rows, np.arange(len(pictures)) < WORKS)
    assert len(rows) == len(pictures)
    assert distances.shape == (len(pictures), len(pictures))
    np.testing.assert_allclose(distances, distances.T, atol=1e-9)
    assert np.isfinite(distances).all()
    assert distances.min() >= 0
    assert not distances.diagonal().any()
    assert distances[0, WORKS] == pytest.approx(0, abs=1e-6)
    assert (distances[0, 1:WORKS] > 1e-3).all()
    assert component.axis == axis


@EACH_AXIS
def test_the_other_pictures_do_not_change_how_a_picture_is_described(axis: ModuleType) -> None:
    together, alone = axis.describe(works()), axis.describe(works()[3:4])
    for name, rows in together.items():
        np.testing.assert_array_equal(rows[3], alone[name][0])


@EACH_AXIS
def test_flat_black_and_two_valued_pictures_have_finite_distances_without_a_warning(axis: ModuleType) -> None:
    bits = np.repeat(np.random.default_rng(0).integers(0, 2, (SIDE, SIDE, 1), dtype=np.uint8) * 255, 3, axis=2)
    flat = [np.full((SIDE, SIDE, 3), colour, dtype=np.uint8) for colour in ((0, 0, 0), (255, 255, 255), (170, 40, 60))]
    pictures = [*flat, bits, drawn(), works()[0]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        described = axis.describe(pictures)
        for works_of_painter in (np.ones(6, dtype=bool), np.zeros(6, dtype=bool), np.arange(6) < 1):
            for component in axis.COMPONENTS:
                assert np.isfinite(component.pairwise(described[component.name], works_of_painter)).all()


@EACH_AXIS
def test_pictures_need_not_be_square(axis: ModuleType) -> None:
    tall = paint(imagine(1, "ink"), 1, SIDE, 192)
    described = axis.describe([tall, works()[0]])
    for component in axis.COMPONENTS:
        assert component.pairwise(described[component.name], np.ones(2, dtype=bool))[0, 1] > 0


# What moves which axis


def test_a_turn_of_hue_moves_tone_and_neither_brushwork_nor_composition() -> None:
    pale = tuple(turned_hue(work, 0, chroma=0.5) for work in works("woodblock"))  # stay inside sRGB when turned
    tones = moved(tone, turned_hue, pale)
    assert tones["leading hues"] > 0.5
    assert tones["lightness"] < 0.05
    assert tones["axis"] > 0.3
    assert moved(brushwork, turned_hue, pale)["axis"] < 0.1
    assert moved(composition, turned_hue, pale)["axis"] < 0.1


def test_a_strong_blur_moves_brushwork_most() -> None:
    strokes, tones = moved(brushwork, blurred(3.0)), moved(tone, blurred(3.0))
    assert all(distance > 0.8 for distance in strokes.values()), strokes
    assert tones["axis"] < 0.35


def test_shuffled_tiles_move_composition_and_hardly_tone() -> None:
    tones, places = moved(tone, shuffled), moved(composition, shuffled)
    assert tones["axis"] < 0.1
    assert places["centre of mass"] > 0.5
    assert places["balance"] > 0.5


@pytest.mark.parametrize(
    "scan", [compressed(95), compressed(70), blurred(0.5), sharpened], ids=["q95", "q70", "softer", "sharpened"]
)
def test_a_scan_that_is_softer_sharpened_or_compressed_has_the_same_brushwork(scan) -> None:
    assert moved(brushwork, scan)["axis"] < 0.3


def test_another_filter_of_the_resize_changes_brushwork_little() -> None:
    large = [paint(imagine(seed, "ink"), seed, 512, 512) for seed in range(4)]
    filters = (Image.Resampling.LANCZOS, Image.Resampling.BICUBIC, Image.Resampling.BILINEAR, Image.Resampling.BOX)
    pictures = [sized(picture, filtered) for filtered in filters for picture in large]
    for component, matrix in components_between(brushwork, pictures, 4).items():
        by_filter = [np.diagonal(matrix[:4, 4 * number : 4 * number + 4]).mean() for number in (1, 2, 3)]
        assert max(by_filter) < 0.35, component.name


# Tone


def test_the_colour_distance_is_the_sliced_wasserstein_distance_of_order_one() -> None:
    import ot

    first, second = works()[0], works("woodblock")[0]
    points = [to_lab(picture).reshape(-1, 3)[::3] for picture in (first, second)]
    expected = 2 * ot.sliced_wasserstein_distance(*points, n_projections=500, p=1, seed=3)
    described = tone.describe([first, second])["colour"]
    assert tone.COMPONENTS[0].pairwise(described, np.ones(2, dtype=bool))[0, 1] == pytest.approx(expected, rel=0.04)


def test_a_shift_of_every_colour_is_its_length_in_colour_and_palette() -> None:
    pale, deep = (np.full((SIDE, SIDE, 3), value, dtype=np.uint8) for value in ((180, 170, 150), (120, 90, 110)))
    length = np.linalg.norm(to_lab(pale)[0, 0] - to_lab(deep)[0, 0])
    described = tone.describe([pale, deep])
    for component in tone.COMPONENTS[:2]:
        distance = component.pairwise(described[component.name], np.ones(2, dtype=bool))[0, 1]
        assert distance == pytest.approx(length, rel=0.03)


def test_a_palette_holds_the_pictures_colours_and_their_shares() -> None:
    picture = np.full((SIDE, SIDE, 3), 230, dtype=np.uint8)
    picture[: SIDE // 4] = (40, 60, 160)
    found = tone.palette(to_lab(picture).reshape(-1, 3))
    for colour, share in (((230, 230, 230), 0.75), ((40, 60, 160), 0.25)):
        lab = to_lab(np.array(colour, dtype=np.uint8))
        near = np.linalg.norm(found[:, :3] - lab, axis=1) < 1
        assert found[near, 3].sum() == pytest.approx(share, abs=0.01)


def test_leading_hues_are_the_fewest_that_hold_the_painters_chroma() -> None:
    hues = np.zeros((2, 24))
    hues[:, [3, 17]] = 0.4
    hues[:, [5, 6]] = 0.03
    assert sorted(tone.leading_hues(hues)) == [3, 17]
    assert len(tone.leading_hues(np.zeros((2, 24)))) == 0


def test_hues_that_the_painter_does_not_use_count_as_one() -> None:
    blue, red, yellow = (
        np.full((SIDE, SIDE, 3), c, dtype=np.uint8) for c in ((40, 70, 170), (180, 40, 40), (200, 190, 40))
    )
    described = tone.describe([blue, red, yellow])["leading hues"]
    distances = tone.COMPONENTS[3].pairwise(described, np.array([True, False, False]))
    assert distances[0, 1] == pytest.approx(1, abs=0.05)
    assert distances[1, 2] == pytest.approx(0, abs=0.05)


# Brushwork


def test_the_direction_of_strokes_is_seen() -> None:
    pictures = [drawn(30, seed=seed) for seed in range(4)] + [drawn(120, seed=seed) for seed in range(4)]
    matrices = {component.name: matrix for component, matrix in components_between(brushwork, pictures, 4).items()}
    assert matrices["texture"][:4, 4:].mean() > 2 * matrices["texture"][4:, 4:].mean()
    assert matrices["bands"][:4, 4:].mean() > 1.3


def test_strokes_of_one_direction_have_little_entropy_and_much_coherence() -> None:
    crossed = np.minimum(drawn(30), drawn(120, seed=1))
    entropy, coherence = difference(brushwork, "stroke direction", drawn(30), crossed)
    assert entropy > 0.1
    assert coherence < -0.03


def test_the_width_of_strokes_is_seen_dark_or_light() -> None:
    thin, wide = drawn(width=3), drawn(width=6)
    dark = difference(brushwork, "stroke width", thin, wide)[0]
    light = difference(brushwork, "stroke width", 255 - thin, 255 - wide)[2]
    assert 0.4 < dark < 1.1  # twice as wide is 1; the low-pass has widened the thin ones
    assert 0.4 < light < 1.1


def test_the_slope_of_the_spectrum_is_that_of_noise_made_with_it() -> None:
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)[None, :])
    frequency[0, 0] = 1
    for slope in (-2.0, -3.0):
        found = []
        for seed in range(10):
            white = np.fft.rfft2(np.random.default_rng(seed).standard_normal((256, 256)))
            light = np.fft.irfft2(white * frequency ** (slope / 2))
            found.append(brushwork.spectrum_slope(50 + 10 * light / light.std()))
        assert np.mean(found) == pytest.approx(slope, abs=0.15)


def test_few_strong_strokes_have_a_higher_kurtosis_than_many_weak_ones() -> None:
    noise = np.random.default_rng(0).normal(128, 30, (SIDE, SIDE, 1)).repeat(3, axis=2)
    one = np.full((SIDE, SIDE, 3), 235, dtype=np.uint8)
    one[60:66, 30:100] = 30
    octaves = 3
    assert (difference(brushwork, "bands", as_picture(noise), one)[-octaves:] > 1).all()


# Composition


@pytest.mark.parametrize(("paper", "ink"), [(235, 40), (110, 40), (110, 220)], ids=["paper", "silk", "light-on-silk"])
def test_blank_space_is_the_bare_ground_whatever_its_tone(paper: int, ink: int) -> None:
    picture = np.full((SIDE, SIDE, 3), paper, dtype=np.uint8)
    strokes = drawn(paper=paper, ink=ink)
    picture[64:] = strokes[64:]
    share, largest = composition.describe([picture])["blank space"][0]
    bare = (strokes[64:, :, 0] == paper).mean() / 2
    assert 0.4 < share <= 0.5 + bare
    assert largest > 0.4
    assert composition.describe([picture])["centre of mass"][0, 1] > 0.65


def test_brushed_oils_have_hardly_any_blank_space() -> None:
    dabs = np.random.default_rng(0).normal(0, 12, (SIDE, SIDE, 3))
    oils = as_picture(140 + 4 * low_passed(dabs, 1.5))
    assert composition.describe([oils])["blank space"][0, 0] < 0.05


def test_the_weight_lies_where_the_strokes_are() -> None:
    picture = np.full((SIDE, SIDE, 3), 230, dtype=np.uint8)
    picture[96:112, 16:32] = 30
    described = composition.describe([picture, picture[:, ::-1]])
    np.testing.assert_allclose(described["centre of mass"], [[24 / 128, 104 / 128], [104 / 128, 104 / 128]], atol=0.01)
    np.testing.assert_allclose(described["balance"], [[0, 0, 1, 0], [0, 0, 0, 1]], atol=0.01)


def test_the_box_counting_dimension_is_one_for_a_line_and_near_two_for_edges_everywhere() -> None:
    line = np.full((SIDE, SIDE), 90.0)
    line[:, 64:] = 20
    noise = low_passed(np.random.default_rng(0).normal(50, 60, (SIDE, SIDE, 1)), 1.0)[..., 0]
    assert composition.box_dimension(line) == pytest.approx(1, abs=0.1)
    assert composition.box_dimension(noise) > 1.7
    assert composition.box_dimension(np.full((SIDE, SIDE), 50.0)) == 0


def test_entropy_and_complexity_are_those_of_ordpy() -> None:
    import ordpy

    light = np.random.default_rng(0).uniform(0, 100, (40, 60)).cumsum(axis=1) / 60
    expected = ordpy.complexity_entropy(np.rint(light / 2), dx=2, dy=2)
    np.testing.assert_allclose(composition.order(light), expected, atol=1e-12)


def test_the_size_of_a_picture_hardly_changes_its_composition() -> None:
    large = [paint(imagine(seed, "ink"), seed, 512, 512) for seed in range(4)]
    matrices = components_between(composition, [*map(sized, large), *large], 4)
    assert np.mean([np.diagonal(matrix[:4, 4:]).mean() for matrix in matrices.values()]) < 0.01


# Real paintings


@pytest.fixture(scope="module")
def collections(paintings: Path) -> dict[str, list[np.ndarray]]:
    """The square middles of works by three painters."""
    with (paintings / "huang-binhong" / "MANIFEST.csv").open(encoding="utf-8") as file:
        binhong = [paintings / "huang-binhong" / row["file"] for row in csv.DictReader(file) if row["kind"] == "work"]
    files = {
        "hiroshige": sorted((paintings / "hiroshige").rglob("*.jp*g"))[::2],
        "huang-binhong": sorted(binhong)[::2],
        "monet": sorted((paintings / "artic-cc0" / "claude-monet").glob("*.jpg")),
    }
    return {painter: [middle(path) for path in of_painter] for painter, of_painter in files.items()}


def middle(path: Path) -> np.ndarray:
    with Image.open(path) as file:
        file.draft("RGB", (4 * SIDE, 4 * SIDE))
        return sized(np.asarray(file.convert("RGB")))


def energy(matrix: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """The unbiased energy distance of two sets of rows: about 0 for two samples of one painter."""
    within = [matrix[np.ix_(rows, rows)].sum() / (len(rows) * (len(rows) - 1)) for rows in (a, b)]
    return float(matrix[np.ix_(a, b)].mean() - np.mean(within))


@EACH_AXIS
@pytest.mark.parametrize(
    ("painter", "other"),
    [
        ("hiroshige", "huang-binhong"),
        ("hiroshige", "monet"),
        ("huang-binhong", "hiroshige"),
        ("huang-binhong", "monet"),
        ("monet", "hiroshige"),
        ("monet", "huang-binhong"),
    ],
)
def test_works_of_one_painter_are_nearer_to_each_other_than_to_anothers(
    axis: ModuleType, painter: str, other: str, collections: dict[str, list[np.ndarray]]
) -> None:
    ours, theirs = collections[painter], collections[other]
    matrices = components_between(axis, [*ours, *theirs], len(ours))
    matrix = np.mean(list(matrices.values()), axis=0)
    apart = energy(matrix, *np.split(np.arange(len(matrix)), [len(ours)]))
    dice = np.random.default_rng(0)
    mixed = [energy(matrix, *np.split(dice.permutation(len(matrix)), [len(ours)])) for _ in range(200)]
    print(f"{painter} to {other}: {apart:.2f} of the painter's variety; works dealt out at random: {max(mixed):.2f}")
    assert apart > max(0.1, *mixed)


@EACH_AXIS
@pytest.mark.parametrize(("painter", "other"), [("hiroshige", "huang-binhong"), ("huang-binhong", "hiroshige")])
def test_held_out_works_are_as_near_to_training_works_as_these_are_to_each_other(
    axis: ModuleType, painter: str, other: str, collections: dict[str, list[np.ndarray]]
) -> None:
    ours, theirs = collections[painter], collections[other]
    train, held_out = ours[1::2], ours[::2]
    matrices = components_between(axis, [*train, *held_out, *theirs], len(train))
    matrix = np.mean(list(matrices.values()), axis=0)
    rows = np.split(np.arange(len(matrix)), np.cumsum([len(train), len(held_out)]))
    own, foreign = energy(matrix, rows[0], rows[1]), energy(matrix, rows[2], rows[1])
    print(f"to held-out works of {painter}: training works {own:.2f}, {other} {foreign:.2f}")
    assert abs(own) < 0.1
    assert foreign > 0.3

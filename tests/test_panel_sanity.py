"""Can the panel tell? Real works score near 1, another painter's near or below 0, spoilt ones fall on their own axis.

Here the floor is not a model but works of other painters mixed, which is what a model of all painters gives. Every
candidate stands where the adapter's samples stand.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from sharing import shared_base

from artmaster_pipeline.axes import AXES
from artmaster_pipeline.evaluation.axes import sets
from artmaster_pipeline.evaluation.axes.distances import DistanceMatrices, pairwise_distances
from artmaster_pipeline.evaluation.panel import memorisation
from artmaster_pipeline.settings import Home, load_profile

PROFILE = load_profile("miniature")
SIDE = 128
TRAIN, HELD_OUT, CANDIDATES = 24, 15, 13
PAINTERS = ("hiroshige", "huang-binhong")
OTHERS = ("renoir", "monet", "the other")


@dataclass(frozen=True)
class Bench:
    """One painter's works in three parts, others' works, and the candidates made of the third part."""

    train: list[np.ndarray]
    held_out: list[np.ndarray]
    others: list[np.ndarray]
    candidates: dict[str, list[np.ndarray]]
    distances: DistanceMatrices
    rows: dict[str, np.ndarray]

    def compared(self, candidate: str, axis: str, floor: str = "others") -> sets.Comparison:
        members = sets.Members(*(self.rows[name] for name in ("train", "held out", floor, candidate)))
        return sets.compare(self.distances.axes[axis], members)  # type: ignore[index]

    def score(self, candidate: str, axis: str) -> float:
        score = self.compared(candidate, axis).score
        assert score is not None
        return score.value


def squares(files: list[Path], count: int) -> list[np.ndarray]:
    """The middle squares of evenly chosen works."""
    chosen = [files[round(i)] for i in np.linspace(0, len(files) - 1, min(count, len(files)))]
    pictures = []
    for file in chosen:
        with Image.open(file) as picture:
            picture.draft("RGB", (512, 512))
            side = min(picture.size)
            left, top = (picture.width - side) // 2, (picture.height - side) // 2
            square = picture.convert("RGB").crop((left, top, left + side, top + side))
            pictures.append(np.asarray(square.resize((SIDE, SIDE), Image.Resampling.LANCZOS)))
    return pictures


def works_of(paintings: Path, painter: str) -> list[Path]:
    if painter == "huang-binhong":
        import csv

        manifest = paintings / painter / "MANIFEST.csv"
        with manifest.open(encoding="utf-8", newline="") as file:
            return [paintings / painter / row["file"] for row in csv.DictReader(file) if row["kind"] == "work"]
    return sorted(file for file in (paintings / painter).rglob("*") if file.suffix in (".jpg", ".jpeg", ".png"))


def blurred(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(3)))


def recoloured(picture: np.ndarray) -> np.ndarray:
    """Half round the hues, with every colour as strong as the strongest third of the scale allows."""
    hue, saturation, value = Image.fromarray(picture).convert("HSV").split()
    hue = hue.point(lambda h: (h + 128) % 256)
    saturation = saturation.point(lambda s: min(255, s + 70))
    return np.asarray(Image.merge("HSV", (hue, saturation, value)).convert("RGB"))


def shuffled(picture: np.ndarray) -> np.ndarray:
    """Cut into 4 x 4 tiles that change places."""
    size = SIDE // 4
    tiles = [picture[r : r + size, c : c + size] for r in range(0, SIDE, size) for c in range(0, SIDE, size)]
    order = np.random.default_rng(int(picture.sum())).permutation(len(tiles))
    return np.concatenate([np.concatenate([tiles[order[4 * r + c]] for c in range(4)], 1) for r in range(4)])


def nearly_copied(picture: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 6, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def tiled(works: list[np.ndarray], tile: int, count: int) -> list[np.ndarray]:
    """Sheets of patches of works, laid out at random: the painter's texture, and no picture."""
    dice = np.random.default_rng(tile)
    sheets = []
    for _ in range(count):
        sheet = np.empty((SIDE, SIDE, 3), np.uint8)
        for top in range(0, SIDE, tile):
            for left in range(0, SIDE, tile):
                work = works[dice.integers(len(works))]
                y, x = dice.integers(0, SIDE - tile + 1, 2)
                sheet[top : top + tile, left : left + tile] = work[y : y + tile, x : x + tile]
        sheets.append(sheet)
    return sheets


def smooth(number: int) -> np.ndarray:
    """A sheet of one tone that falls off to one side, with a little grain: mist, an empty sky, blank paper."""
    dice = np.random.default_rng(number)
    light, fall = dice.uniform(150, 235), dice.uniform(-40, 40)
    slope = np.linspace(-0.5, 0.5, SIDE)[:, None, None] * fall
    grey = light + slope + dice.normal(0, dice.uniform(0.5, 3), (SIDE, SIDE, 1))
    return np.clip(grey * np.array([1.0, 0.98, 0.94]), 0, 255).astype(np.uint8)


def home_of_descriptions(factory: pytest.TempPathFactory) -> Home:
    """A data home whose cache all tests of the panel share: a picture that two of them look at is described once."""
    return Home(shared_base(factory) / "descriptions")


@pytest.fixture(scope="module", params=PAINTERS)
def bench(request: pytest.FixtureRequest, paintings: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    painter = request.param
    works = squares(works_of(paintings, painter), TRAIN + HELD_OUT + CANDIDATES)
    order = np.random.default_rng(1).permutation(len(works))
    parts = np.split(order, [TRAIN, TRAIN + HELD_OUT])
    train, held_out, real = ([works[i] for i in part] for part in parts)
    other = [name for name in (*PAINTERS, "chinese-masters") if name != painter][:2]
    mixed = [squares(works_of(paintings, name), 10) for name in (*other, "artic-cc0")]
    others = [picture for group in mixed for picture in group]
    candidates = {
        "real": real,
        "renoir": squares(works_of(paintings, "artic-cc0/pierre-auguste-renoir"), CANDIDATES),
        "monet": squares(works_of(paintings, "artic-cc0/claude-monet"), CANDIDATES),
        "the other": squares(works_of(paintings, next(name for name in PAINTERS if name != painter)), CANDIDATES),
        "blurred": [blurred(picture) for picture in real],
        "recoloured": [recoloured(picture) for picture in real],
        "shuffled": [shuffled(picture) for picture in real],
        "tiled": tiled(train, SIDE // 4, len(real)),
        "copied": [nearly_copied(picture) for picture in train[: len(real)]],
        "collapsed": [nearly_copied(np.roll(real[0], n, axis=1)) for n in range(len(real))],
    }
    # pairs: every candidate set is as large as the floor's
    others = others[: len(real)] if len(others) >= len(real) else others
    home = home_of_descriptions(tmp_path_factory)
    folder = tmp_path_factory.mktemp(painter)
    sequence = {"train": train, "held out": held_out, "others": others, **candidates}
    paths, rows = [], {}
    for name, pictures in sequence.items():
        rows[name] = np.arange(len(paths), len(paths) + len(pictures))
        for number, picture in enumerate(pictures):
            file = folder / f"{name}-{number}.png"
            Image.fromarray(picture).save(file)
            paths.append(file)
    distances = pairwise_distances(home, PROFILE, paths, rows["train"])
    return Bench(train, held_out, others, candidates, distances, rows)


@pytest.mark.slow
@pytest.mark.parametrize("axis", AXES)
def test_works_that_nobody_saw_score_near_one(bench: Bench, axis: str) -> None:
    assert 0.9 < bench.score("real", axis) < 1.1


@pytest.mark.slow
@pytest.mark.parametrize("axis", ["tone", "brushwork", "style"])
def test_other_painters_works_score_near_or_below_zero(bench: Bench, axis: str) -> None:
    scores = [bench.score(painter, axis) for painter in OTHERS]
    assert np.mean(scores) < 0.3
    assert max(scores) < 0.65  # two painters may share one trait


@pytest.mark.slow
@pytest.mark.parametrize("painter", OTHERS)
def test_on_all_axes_together_each_other_painter_is_far_below_the_works(bench: Bench, painter: str) -> None:
    assert np.mean([bench.score(painter, axis) for axis in AXES]) < 0.35


@pytest.mark.slow
def test_blurred_pictures_fall_on_brushwork_and_keep_their_tone(bench: Bench) -> None:
    assert bench.score("blurred", "brushwork") < bench.score("real", "brushwork") - 0.5
    assert bench.score("blurred", "tone") > 0.7


@pytest.mark.slow
def test_recoloured_pictures_fall_on_tone_and_keep_their_brushwork(bench: Bench) -> None:
    assert bench.score("recoloured", "tone") < bench.score("real", "tone") - 0.5
    assert bench.score("recoloured", "composition") > 0.6
    assert bench.score("recoloured", "brushwork") > 0.6


@pytest.mark.slow
def test_shuffled_pictures_fall_on_composition_and_keep_their_tone(bench: Bench) -> None:
    found = {axis: bench.compared("real", axis, floor="shuffled") for axis in AXES}
    assert found["composition"].p < 0.01
    assert found["tone"].gain.value == pytest.approx(0, abs=0.005)
    assert found["composition"].gain.value > found["brushwork"].gain.value


@pytest.mark.slow
def test_patches_of_his_own_works_laid_out_at_random_are_no_pictures(bench: Bench) -> None:
    assert bench.score("tiled", "depiction") < bench.score("real", "depiction") - 0.4
    assert bench.score("tiled", "tone") > 0.7  # which is why tone alone cannot judge


@pytest.mark.slow
def test_smooth_and_empty_pictures_are_no_copies(bench: Bench) -> None:
    works = [str(number) for number in range(len(bench.train))]
    found = memorisation.nearest([smooth(number) for number in range(24)], bench.train, works, bench.held_out)
    assert sum(near.suspect for near in found) == 0


@pytest.mark.slow
def test_copies_score_well_and_are_suspects(bench: Bench) -> None:
    assert bench.score("copied", "brushwork") > 0.7
    assert bench.score("copied", "style") > 0.7

    def suspects(pictures: list[np.ndarray]) -> int:
        works = [str(number) for number in range(len(bench.train))]
        found = memorisation.nearest(pictures, bench.train, works, bench.held_out)
        return sum(near.suspect for near in found)

    assert suspects(bench.candidates["copied"]) == len(bench.candidates["copied"])
    assert suspects(bench.candidates["real"]) <= 1


@pytest.mark.slow
def test_one_picture_again_and_again_is_a_collapse(bench: Bench) -> None:
    works = np.concatenate([bench.rows["train"], bench.rows["held out"]])
    whole = np.mean(list(bench.distances.axes.values()), axis=0)
    assert sets.spread_ratio(whole, bench.rows["collapsed"], works).value < 0.4
    assert 0.7 < sets.spread_ratio(whole, bench.rows["real"], works).value < 1.3
    style = bench.distances.axes["style"]
    assert sets.vendi_score(style, bench.rows["collapsed"]) < 0.6 * sets.vendi_score(style, bench.rows["real"])

"""Does the panel know a picture from a texture? Three sets that were drawn for one painter, and textures of his works.

Forty pictures each (`judging/README.md` beside the paintings says what a person sees in them): what the base draws,
blotches in the painter's ink all over the sheet, and ink landscapes. The first is the floor.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_panel_sanity import home_of_descriptions, squares, tiled, works_of

from artmaster_pipeline.axes import AXES
from artmaster_pipeline.evaluation.axes import sets
from artmaster_pipeline.evaluation.axes.distances import DistanceMatrices, pairwise_distances
from artmaster_pipeline.evaluation.gate import judge
from artmaster_pipeline.evaluation.panel.two_sample import told_apart
from artmaster_pipeline.settings import GateSettings, load_profile

PAINTER = "huang-binhong"
TRAIN, HELD_OUT = 28, 18
DRAWN = ("base", "camouflage", "landscape")
TILES = (16, 32)


@dataclass(frozen=True)
class Judged:
    distances: DistanceMatrices
    rows: dict[str, np.ndarray]

    def compared(self, candidate: str, axis: str) -> sets.Comparison:
        floor = self.rows["base"][: len(self.rows[candidate])]
        rows = (self.rows["train"], self.rows["held out"], floor, self.rows[candidate])
        return sets.compare(self.distances.axes[axis], sets.Members(*rows))  # type: ignore[index]

    def panel(self, candidate: str) -> dict:
        axes = {axis: self.compared(candidate, axis).as_json() for axis in AXES}
        return {
            "adapter_id": candidate, "axes": axes, "counts": {},
            "drift": {"loss": 0.0}, "memorisation": {"suspects": 0, "pictures": 40},
        }  # fmt: skip


@pytest.fixture(scope="module")
def judged(paintings: Path, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    folder = paintings.parent / "judging"
    if not folder.is_dir():
        pytest.skip("no pictures for a judge to be judged by: put a folder `judging` beside the paintings")
    works = squares(works_of(paintings, PAINTER), 60)
    works = [works[n] for n in np.random.default_rng(1).permutation(len(works))]
    pictures = {"train": works[:TRAIN], "held out": works[TRAIN : TRAIN + HELD_OUT], "real": works[TRAIN + HELD_OUT :]}
    for name in DRAWN:
        pictures[name] = [np.asarray(Image.open(file).convert("RGB")) for file in sorted((folder / name).glob("*.png"))]
    pictures |= {f"tiles of {tile}": tiled(pictures["train"], tile, 20) for tile in TILES}
    home, sheets = home_of_descriptions(tmp_path_factory), tmp_path_factory.mktemp("judging")
    paths, rows = [], {}
    for name, of in pictures.items():
        rows[name] = np.arange(len(paths), len(paths) + len(of))
        for number, picture in enumerate(of):
            paths.append(sheets / f"{name}-{number}.png")
            Image.fromarray(picture).save(paths[-1])
    return Judged(pairwise_distances(home, load_profile("miniature"), paths, rows["train"]), rows)


@pytest.mark.slow
def test_blotches_are_no_nearer_than_the_base_in_what_is_depicted_and_are_refused(judged: Judged) -> None:
    found = judged.compared("camouflage", "depiction")
    assert found.gain.high < 0
    refused = judge(judged.panel("camouflage"), GateSettings(), None, {})
    assert not refused.publish
    assert any(reason.startswith("Depiction: not clearly nearer") for reason in refused.reasons)


@pytest.mark.slow
def test_landscapes_are_clearly_nearer_than_the_base_in_what_is_depicted(judged: Judged) -> None:
    assert judged.compared("landscape", "depiction").gain.low > 0


@pytest.mark.slow
def test_works_that_nobody_saw_are_as_near_as_can_be(judged: Judged) -> None:
    score = judged.compared("real", "depiction").score
    assert score is not None
    assert 0.9 < score.value < 1.1


@pytest.mark.slow
@pytest.mark.parametrize("tile", TILES)
def test_a_texture_of_his_own_works_is_far_from_them_in_what_is_depicted(judged: Judged, tile: int) -> None:
    texture, works = judged.compared(f"tiles of {tile}", "depiction"), judged.compared("real", "depiction")
    assert texture.score is not None
    assert works.score is not None
    assert texture.score.value < works.score.value - 0.4


@pytest.mark.slow
def test_blotches_are_told_from_his_works_and_his_works_are_not(judged: Judged) -> None:
    matrix = np.mean([judged.distances.axes["depiction"], judged.distances.axes["style"]], axis=0)
    clusters = np.arange(len(matrix))

    def told(name: str) -> float:
        area = told_apart(matrix, judged.rows[name], judged.rows["held out"], clusters, judged.rows["train"])
        assert area is not None
        return area

    assert told("camouflage") > 0.95
    assert 0.3 < told("real") < 0.7

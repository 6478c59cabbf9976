"""The validation panel: which state, and which way of drawing, comes nearest to the validation works on every side."""

from types import SimpleNamespace

import numpy as np
import pytest
from training_home import PAINTER, fill_home

from artmaster_pipeline.dataset import build_training_set
from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.evaluation import validation_panel
from artmaster_pipeline.evaluation.axes.distances import read_square
from artmaster_pipeline.files import inside
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.settings import Home, load_profile

WEAK, RIGHT = DrawingSettings(strength=0.2, guidance_scale=1.0), DrawingSettings(strength=0.7, guidance_scale=1.0)
BLOTCHES = DrawingSettings(strength=1.0, guidance_scale=1.0)


class Draws:
    """Draws works of the painter at one strength, mixtures with noise at a lower one, their pixels mixed up at full."""

    pipe, texts = SimpleNamespace(), {}

    def __init__(self, works):
        self.works, self.asked = works, []

    def draw(self, prompts, seeds, *, adapted=True, drawing=None):
        self.asked.append((tuple(prompts), tuple(seeds), adapted, drawing))
        return [self._one(seed, adapted, drawing) for seed in seeds]

    def _one(self, seed, adapted, drawing):
        dice, work = np.random.default_rng(seed), self.works[seed % len(self.works)]
        noise = dice.integers(0, 256, work.shape, dtype=np.uint8)
        if not adapted:
            return noise
        if drawing == BLOTCHES:
            return dice.permutation(work.reshape(-1, 3)).reshape(work.shape)
        share = 1.0 if drawing == RIGHT else 0.1
        return (share * work + (1 - share) * noise).astype(np.uint8)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A home with a training set, its pictures and the profile; look, but do not write."""
    home, profile = Home(tmp_path_factory.mktemp("judged") / "home"), load_profile("miniature")
    how = profile.training.validation.model_copy(
        update={"drawings": (WEAK, RIGHT, BLOTCHES), "drawing_samples": 4, "panel_samples": 6, "far_prompts": ()}
    )
    training = profile.training.model_copy(update={"validation": how})
    profile = profile.model_copy(update={"training": training, "captioner": None})
    return home, profile, build_training_set(fill_home(home, works=16), PAINTER, profile).records


@pytest.fixture
def panel(judged):
    home, profile, images = judged
    works = [read_square(inside(home.training_set(PAINTER), i.path), profile) for i in images if i.split == "validate"]
    return validation_panel(home, PAINTER, profile, images), Draws(works)


def test_the_way_of_drawing_is_the_one_that_is_near_on_every_side(panel):
    judge, draws = panel
    rows = judge.choose_drawing(draws, Progress())
    assert rows[0]["strength"] == RIGHT.strength
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
    assert all({"tone", "brushwork", "composition", "depiction", "style"} <= set(row) for row in rows)
    drawn = [(prompts, seeds) for prompts, seeds, adapted, _ in draws.asked if adapted]
    assert len(drawn) == 3
    assert len(set(drawn)) == 1  # the same prompts and noise for all
    assert judge.choose_drawing(draws, Progress()) == rows


def test_the_base_is_drawn_once_for_all_ways_of_one_guidance(panel):
    judge, draws = panel
    judge(draws, RIGHT)
    judge.choose_drawing(draws, Progress())
    assert sum(not adapted for _, _, adapted, _ in draws.asked) == 1


def test_a_state_at_the_base_scores_near_nothing_and_the_works_near_one(panel):
    judge, draws = panel
    assert judge(draws, RIGHT)["score"] > 0.8
    assert judge(draws, WEAK)["score"] < 0.5

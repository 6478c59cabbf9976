"""Whether a picture still shows the subject that was asked for, as the embedded reader sees it."""

import numpy as np
from PIL import Image

from artmaster_pipeline.evaluation.panel.subjects import subjects_read
from artmaster_pipeline.evaluation.panel.summary import summary
from artmaster_pipeline.sample_painters import imagine, paint
from artmaster_pipeline.sessions import session


def test_painted_scenes_show_their_subjects_and_noise_shows_none():
    scenes = [imagine(70_000 + n, "ink") for n in range(12)]
    painted = [
        np.asarray(Image.fromarray(paint(scene, 70_000 + n, 256, 256)).resize((128, 128)))
        for n, scene in enumerate(scenes)
    ]
    noise = [np.random.default_rng(n).integers(0, 256, (128, 128, 3), dtype=np.uint8) for n in range(12)]
    prompts = [scene.caption() for scene in scenes]
    with session():
        found = subjects_read([*prompts, "a castle"], [*noise, noise[0]], [*painted, noise[0]])
    assert found is not None
    assert found["pictures"] == 12  # a castle is no subject of the reader's
    assert found["adapter"] >= 0.75
    assert found["base"] <= 0.4


def test_of_prompts_in_other_words_nothing_is_measured():
    assert subjects_read(["a castle", ""], [], []) is None


def test_the_summary_says_it():
    panel = {
        "axes": {}, "drawing": {"strength": 1.0, "guidance_scale": 1.0}, "drift": {},
        "counts": {"held_out_works": 0, "prompts": 2, "pictures": 4},
        "memorisation": {"pictures": 0, "suspects": 0}, "subjects_read": {"pictures": 4, "base": 0.75, "adapter": 0.5},
    }  # fmt: skip
    assert "finds the subject that was asked for in 50 % of the samples (of the base's pictures in 75 %)" in summary(
        panel
    )
    assert "embedded reader" not in summary(panel | {"subjects_read": None})

"""How much of one hand a story's pictures are: their spread in style, the margin to other painters, their prompts.

Measured on works that were held out as well as on those that were trained on, and choosing used neither the first nor
anything else of this page.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from artmaster_pipeline.evaluation.axes import sets
from artmaster_pipeline.evaluation.axes.distances import pairwise_distances
from artmaster_pipeline.evaluation.panel.measure import MIN_HELD_OUT, concatenated
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.settings import Home
from artmaster_pipeline.stories.painting.hand import OneHand
from artmaster_pipeline.stories.painting.looking import Works, style_of


def consistency(home: Home, hand: OneHand, works: Works, files: Sequence[Path], progress: Progress) -> dict[str, Any]:
    """The figures of a story's pictures, as JSON; empty where there are too few works or pictures.

    `spread` is the mean style distance of two pictures as a share of that of two of the painter's works: at most 1 is a
    hand as steady as the painter's own; near 0 is one picture again and again. `margin` is by how much nearer the
    pictures are, as a set, to the painter's held-out works than to the nearest other painter's. `variety` is how many
    different pictures they amount to, over all axes, and of as many works.
    """
    if min(len(works.train), len(works.held_out), len(files)) < MIN_HELD_OUT:
        return {}
    parts = {"drawn": list(files), "train": list(works.train), "held_out": list(works.held_out)}
    parts |= {f"of {name}": list(of) for name, of in works.others.items()}
    paths, rows = concatenated(parts)
    distances = pairwise_distances(home, hand.profile, paths, rows["train"], progress)
    style, whole = style_of(distances), np.mean(list(distances.axes.values()), axis=0)
    drawn, own = rows["drawn"], np.concatenate([rows["train"], rows["held_out"]])
    far = {name: sets.energy(style, drawn, rows[f"of {name}"]) for name in works.others}
    nearest = min(far, key=lambda name: far[name], default=None)
    to_own = sets.energy(style, drawn, rows["held_out"])
    return {
        **sets.spread_ratio(style, drawn, own).named("spread"),
        "axes": {axis: round(sets.spread_ratio(m, drawn, own).value, 4) for axis, m in distances.axes.items()},
        "distance": round(to_own, 4),
        "others": {name: round(value, 4) for name, value in far.items()},
        "nearest_other": nearest,
        "margin": None if nearest is None else round(far[nearest] - to_own, 4),
        "variety": {
            "pictures": round(sets.vendi_score(whole, drawn), 3),
            "works": round(_variety(whole, own, drawn), 3),
        },
    }


def _variety(whole: np.ndarray, works: np.ndarray, drawn: np.ndarray) -> float:
    """The Vendi score of as many works as there are pictures, the mean over draws."""
    dice, size = np.random.default_rng(0), min(len(works), len(drawn))
    return float(np.mean([sets.vendi_score(whole, dice.permutation(works)[:size]) for _ in range(20)]))

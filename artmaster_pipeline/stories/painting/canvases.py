"""A shot with regions as a canvas: the figures' places with their own words, all in the one hand."""

from pathlib import Path
from typing import Any

import numpy as np

from artmaster_pipeline.canvases import CANVAS_FILE
from artmaster_pipeline.copainting.canvas import write
from artmaster_pipeline.records import identity
from artmaster_pipeline.stories.records import Shot, ShotRegion, Story
from artmaster_pipeline.stories.storyboard import prompt_of, region_prompt, size_of

# The width of a place's soft border, in the canvas' pixels: two tokens of the miniature, eight of FLUX.1. At 48 the
# eye finds the boxes.
FEATHER = 128.0


def canvas_folder(folder: Path, story: Story, shot: Shot, key: str, painter: str) -> Path:
    """The folder of a shot's canvas, below `folder`; written where it is not there. `key` is the shot's identity.

    `painter` stands for the hand: who draws, `OneHand.on_canvas` says.
    """
    there = folder / f"{shot.id}-{identity('shot canvas', key, FEATHER)[:8]}"
    if not (there / CANVAS_FILE).is_file():
        write(there, _said(story, shot, painter), labels_of(shot.regions, size_of(shot)), overwrite=True)
    return there


def labels_of(regions: tuple[ShotRegion, ...], size: tuple[int, int]) -> np.ndarray:
    """Which region each pixel is of, uint8 (height, width), numbered from 1 on; 0 is none's.

    The smaller of two regions lies above the larger, so that neither is lost.
    """
    width, height = size
    labels = np.zeros((height, width), dtype=np.uint8)
    for number, region in sorted(enumerate(regions, 1), key=lambda each: (-_area(each[1]), each[0])):
        left, top, right, bottom = region.box
        labels[round(top * height) : round(bottom * height), round(left * width) : round(right * width)] = number
    return labels


def _area(region: ShotRegion) -> float:
    left, top, right, bottom = region.box
    return (right - left) * (bottom - top)


def _said(story: Story, shot: Shot, painter: str) -> dict[str, Any]:
    width, height = size_of(shot)
    return {
        "prompt": prompt_of(story, shot),
        "size": f"{width}x{height}",
        "seeds": [shot.seed],
        "ground": {"painter": painter},
        "labels": "labels.png",
        "regions": [
            {
                "id": region.id,
                "label": number,
                "kind": "figures",
                "painter": painter,
                "prompt": region_prompt(story, shot, region),
                "feather_px": FEATHER,
            }
            for number, region in enumerate(shot.regions, 1)
        ],
    }

"""A map's borders and numbers, drawn over a picture."""

from typing import TYPE_CHECKING

import numpy as np

from artmaster_pipeline.evaluation.report.lettering import find_lettering

if TYPE_CHECKING:
    from PIL import Image

PAPER, INK = (250, 248, 243), (33, 30, 27)


def outlined(pixels: np.ndarray, labels: np.ndarray, line: int) -> np.ndarray:
    """Borders between labels in white between dark lines, seen on any picture; `line` is half a border's width."""
    from scipy.ndimage import binary_dilation

    border = np.zeros(labels.shape, bool)
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    border[1:] |= labels[1:] != labels[:-1]
    drawn = pixels.copy()
    drawn[binary_dilation(border, iterations=line + 1)] = INK
    drawn[binary_dilation(border, iterations=line)] = (255, 255, 255)
    return drawn


def numbered(drawn: "Image.Image", region: np.ndarray, number: str, radius: int) -> None:
    """A region's number on a disc, where the region is widest; of a band's many such places in the middle one."""
    from PIL import ImageDraw
    from scipy.ndimage import distance_transform_edt

    if not region.any():
        return
    inside = distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    places = np.argwhere(inside >= 0.95 * inside.max())
    y, x = places[np.square(places - np.argwhere(region).mean(axis=0)).sum(axis=1).argmin()]
    x, y = (min(max(int(at), radius + 2), side - radius - 3) for at, side in zip((x, y), drawn.size, strict=True))
    pen = ImageDraw.Draw(drawn)
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=PAPER, outline=INK, width=max(1, radius // 8))
    font = find_lettering([number]).font(number, round((1.25 if len(number) < 3 else 0.95) * radius), sans=True)
    pen.text((x, y), number, INK, font, anchor="mm")
